"""Mistakes that circulate in published implementations of this design, each with its test."""

import numpy as np
import pytest

import needle as ndl
from needle import Tensor, ops

RNG = np.random.default_rng(0)


def gradients(function, *arrays, weights=None):
    """The adjoints of the inputs, where the result's adjoint is `weights`."""
    inputs = [Tensor(array) for array in arrays]
    function(*inputs).backward(weights)
    return [x.grad.numpy() for x in inputs]


def test_trap_adjoint_of_a_sum_over_one_of_two_equal_axes(mode):
    weights = np.array([1.0, 10.0, 100.0])
    (down,) = gradients(lambda x: x.sum(0), np.ones((3, 3)), weights=weights)
    (along,) = gradients(lambda x: x.sum(1), np.ones((3, 3)), weights=weights)
    np.testing.assert_array_equal(down, np.tile(weights, (3, 1)))
    np.testing.assert_array_equal(along, np.tile(weights, (3, 1)).T)


def test_trap_adjoint_of_a_sum_over_two_of_three_equal_axes(mode):
    weights = np.array([1.0, 10.0])
    (middle,) = gradients(lambda x: x.sum((0, 2)), np.ones((2, 2, 2)), weights=weights)
    np.testing.assert_array_equal(middle, np.broadcast_to(weights[:, None], (2, 2, 2)))


@pytest.mark.parametrize(
    ("shape", "target", "summed"),
    [
        ((1, 3), (1, 3), ()),  # length 1 stays length 1
        ((1,), (1, 1, 1), (0, 1)),
        ((3,), (2, 3), (0,)),  # new leading axes
        ((3,), (3, 3), (0,)),  # ... of the old axis's length
        ((3, 1), (3, 3), (1,)),
        ((1, 3), (3, 3), (0,)),
        ((1, 3, 1), (2, 3, 2), (0, 2)),
        ((2, 1), (2, 2, 2), (0, 2)),
        ((), (2, 3), (0, 1)),
    ],
)
def test_trap_adjoint_of_broadcast_to(mode, shape, target, summed):
    weights = RNG.normal(size=target)
    (adjoint,) = gradients(
        lambda x: x.broadcast_to(target), RNG.normal(size=shape), weights=weights
    )
    assert adjoint.shape == shape
    np.testing.assert_allclose(adjoint, weights.sum(summed).reshape(shape))


@pytest.mark.parametrize(
    ("left", "right"),
    [
        ((2, 1, 3, 4), (5, 4, 6)),  # batch axes that broadcast against each other
        ((5, 3, 4), (4, 6)),  # only the left is batched
        ((3, 4), (5, 4, 6)),  # only the right
        ((1, 3, 4), (5, 4, 6)),
        ((4,), (4,)),  # 1-d operands
        ((4,), (4, 6)),
        ((3, 4), (4,)),
        ((5, 3, 4), (4,)),
        ((4,), (5, 4, 6)),
    ],
)
def test_trap_adjoints_of_matmul(mode, left, right):
    a, b = RNG.normal(size=left), RNG.normal(size=right)
    weights = RNG.normal(size=np.matmul(a, b).shape)
    adjoint_a, adjoint_b = gradients(ops.matmul, a, b, weights=weights)
    # by hand: both as batches of matrices, then summed back over what was repeated
    wide_a = a if a.ndim > 1 else a[None, :]
    wide_b = b if b.ndim > 1 else b[:, None]
    wide = weights[..., None] if b.ndim == 1 else weights
    wide = wide[..., None, :] if a.ndim == 1 else wide
    full_a = wide @ wide_b.swapaxes(-1, -2)
    full_b = wide_a.swapaxes(-1, -2) @ wide
    np.testing.assert_allclose(adjoint_a, summed_to(full_a, wide_a.shape).reshape(left))
    np.testing.assert_allclose(adjoint_b, summed_to(full_b, wide_b.shape).reshape(right))


def summed_to(array, shape):
    """The sum over the axes along which `shape` was repeated, one axis at a time."""
    while array.ndim > len(shape):
        array = array.sum(0)
    for axis, length in enumerate(shape):
        if length == 1:
            array = array.sum(axis, keepdims=True)
    return array


@pytest.mark.parametrize("axes", [None, 0, 1, (0, 1), (0, 2), -1])
def test_trap_gradient_of_logsumexp_in_the_inputs_shape(mode, axes):
    array = RNG.normal(size=(3, 3, 3))
    normalized = tuple(range(3)) if axes is None else axes
    weights = RNG.normal(size=np.sum(array, axis=normalized).shape)
    (adjoint,) = gradients(lambda x: x.logsumexp(axes), array, weights=weights)
    share = np.exp(array) / np.exp(array).sum(normalized, keepdims=True)
    expected = np.reshape(weights, np.sum(array, axis=normalized, keepdims=True).shape) * share
    np.testing.assert_allclose(adjoint, expected)


def test_trap_logsumexp_of_a_row_of_minus_infinity(mode):
    array = np.array([[-np.inf, -np.inf], [0.0, -np.inf], [1.0, 1.0]])
    x = Tensor(array)
    y = x.logsumexp(1)
    np.testing.assert_allclose(y.numpy(), [-np.inf, 0, 1 + np.log(2)])
    y.backward(Tensor([1.0, 1.0, 1.0]))
    np.testing.assert_array_equal(x.grad.numpy(), [[0, 0], [1, 0], [0.5, 0.5]])


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_trap_logsumexp_does_not_overflow(mode, dtype):
    x = Tensor([[1000.0, 10000.0, 100.0], [-1e4, -1e4, -1e4]], dtype=dtype)
    y = x.logsumexp(1)
    np.testing.assert_allclose(y.numpy(), [10000, -1e4 + np.log(3)], rtol=1e-6)
    y.backward()
    np.testing.assert_allclose(x.grad.numpy(), [[0, 1, 0], [1 / 3, 1 / 3, 1 / 3]], rtol=1e-6)


def test_trap_softmax_of_large_numbers_is_finite(mode):
    x = Tensor([1000.0, 10000.0, 100.0])
    for function in (ndl.softmax, ndl.logsoftmax):
        y = function(x)
        assert np.isfinite(y.numpy()).all()
        y.backward(Tensor([1.0, 2.0, 3.0]))
        assert np.isfinite(x.grad.numpy()).all()
    np.testing.assert_array_equal(ndl.softmax(x).numpy(), [0, 1, 0])


def test_trap_logsoftmax_next_to_a_large_maximum(mode):
    x = Tensor([[1e4, 1e4, 0.0], [-1e4, -1e4, -np.inf]], dtype="float32")
    expected = [[-np.log(2), -np.log(2), -1e4 - np.log(2)], [-np.log(2), -np.log(2), -np.inf]]
    np.testing.assert_allclose(ndl.logsoftmax(x).numpy(), expected, rtol=1e-6)


def test_trap_power_of_zero_with_exponent_zero(mode):
    x = Tensor([0.0, 2.0])
    y = x**0
    np.testing.assert_array_equal(y.numpy(), [1, 1])
    y.backward()
    np.testing.assert_array_equal(x.grad.numpy(), [0, 0])

    exponent = Tensor([0.0, 0.0])
    (x**exponent).backward()
    np.testing.assert_array_equal(x.grad.numpy(), [0, 0])
    np.testing.assert_allclose(exponent.grad.numpy(), [0, np.log(2)])


def test_powers_of_zero_have_derivatives_of_every_order(mode):
    x = Tensor([0.0])
    derivative, found = x**3, []
    for _ in range(4):
        derivative.backward()
        derivative = x.grad
        found.append(derivative.item())
    assert found == [0, 0, 6, 0]


def test_second_derivatives_of_a_power_where_the_exponent_is_zero(mode):
    a, b = Tensor([2.0]), Tensor([0.0])
    (a**b).backward()
    b.grad.backward()  # ∂²/∂a∂b = aᵇ⁻¹·(1 + b·ln a) = 1/2, ∂²/∂b² = (ln a)²
    np.testing.assert_allclose((a.grad.item(), b.grad.item()), (0.5, np.log(2) ** 2))
    (a**b).backward()
    a.grad.backward()
    np.testing.assert_allclose((a.grad.item(), b.grad.item()), (0, 0.5))


def test_trap_squares_do_not_go_through_power(strict_array):
    called = []

    class Recording(strict_array):
        def __array_ufunc__(self, ufunc, method, *inputs, **options):
            called.append(ufunc)
            return super().__array_ufunc__(ufunc, method, *inputs, **options)

    for exponent in (2, 2.0, 1, 0.5):
        Tensor.make_const(Recording(np.ones(2))) ** exponent
    assert called == [np.square, np.square, np.positive, np.sqrt]


def test_trap_gradient_of_gradient_of_relu(mode):
    x = Tensor([-2.0, 3.0])
    (ndl.relu(x) ** 3).backward()
    np.testing.assert_array_equal(x.grad.numpy(), [0, 27])
    x.grad.backward()
    np.testing.assert_array_equal(x.grad.numpy(), [0, 18])
    x.grad.backward()
    np.testing.assert_array_equal(x.grad.numpy(), [0, 6])


def test_trap_derivative_of_relu_at_zero_is_zero(mode):
    x = Tensor([0.0, -0.0])
    (ndl.relu(x) * 5).backward()
    np.testing.assert_array_equal(x.grad.numpy(), [0, 0])


def test_trap_float32_is_not_widened_by_a_training_step():
    rng = np.random.default_rng(0)

    def single(*shape):
        return Tensor(rng.normal(size=shape), dtype="float32")

    x, w1, b1, w2 = single(8, 5), single(5, 4), single(1, 4), single(4, 3)
    hidden = ndl.relu(x @ w1 + b1.broadcast_to((8, 4)))
    logits = hidden @ w2
    labels = np.eye(3, dtype=np.float32)[rng.integers(3, size=8)]
    loss = (logits.logsumexp(1) - (logits * labels).sum(1)).sum() / 8
    loss.backward(create_graph=False)
    for weight in (w1, b1, w2):
        assert weight.grad.dtype == np.float32
        weight.data = weight.data - 0.1 * weight.grad.data
        assert weight.dtype == np.float32
    assert loss.dtype == np.float32
