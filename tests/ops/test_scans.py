"""Running sums, products and order along axes."""

import numpy as np
import pytest

import needle as ndl
from needle import Tensor

RNG = np.random.default_rng(0)


@pytest.mark.parametrize(
    ("shape", "axis"),
    [
        ((), None),
        *[
            (shape, axis)
            for shape in [(1,), (4,), (2, 3), (0, 3), (2, 3, 2)]
            for axis in (None, 0, -1)
        ],
    ],
)
@pytest.mark.parametrize("name", ["cumsum", "sort"])
def test_value_and_derivatives(name, shape, axis, mode, check_derivatives):
    array = RNG.normal(size=shape)
    value = getattr(ndl, name)(Tensor(array), axis)
    np.testing.assert_allclose(value.numpy(), getattr(np, name)(array, axis))
    check_derivatives(lambda a: getattr(ndl, name)(a, axis), array)


# --- prod

ZEROS = {
    "no zeros": [[1.5, -2.0, 0.5], [3.0, 1.0, -1.0]],
    "a zero": [[0.0, -2.0, 0.5], [3.0, 1.0, -1.0]],
    "two zeros": [[0.0, -2.0, 0.0], [3.0, 0.0, -1.0]],
    "all zeros": [[0.0, 0.0, 0.0], [0.0, 0.0, 0.0]],
    "nothing": [[], []],
    "long": RNG.choice([0.0, 0.5, -1.5], size=(3, 7)),
}


@pytest.mark.parametrize("axis", [None, 0, 1, (0, 1), ()])
@pytest.mark.parametrize("keepdims", [False, True])
@pytest.mark.parametrize("factors", ZEROS)
def test_prod(factors, axis, keepdims, mode, check_derivatives):
    array = np.array(ZEROS[factors])
    value = ndl.prod(Tensor(array), axis, keepdims)
    expected = np.prod(array, axis=axis, keepdims=keepdims)
    assert value.shape == np.shape(expected)
    np.testing.assert_allclose(value.numpy(), expected)
    check_derivatives(lambda a: ndl.prod(a, axis, keepdims), array)


def test_prod_has_its_third_derivative_at_zero():
    # ∂³(a·b·c·d) / ∂a∂b∂c = d, although three factors are 0
    x = Tensor([0.0, 0.0, 0.0, 5.0])
    ndl.prod(x).backward()
    x.grad[0].backward()
    x.grad[1].backward()
    np.testing.assert_allclose(x.grad.numpy(), [0, 0, 5, 0])


def test_prod_over_axes_that_do_not_lie_together(check_derivatives):
    array = RNG.normal(size=(2, 3, 2, 2))
    value = ndl.prod(Tensor(array), (0, -1))
    np.testing.assert_allclose(value.numpy(), np.prod(array, axis=(0, -1)))
    check_derivatives(lambda a: ndl.prod(a, (0, -1)), array)


# --- order


def test_adjoints_of_equal_elements_go_back_in_their_order():
    x = Tensor([2.0, 1.0, 2.0, 1.0])
    (ndl.sort(x) * np.array([1.0, 2.0, 3.0, 4.0])).sum().backward()
    np.testing.assert_array_equal(x.grad.numpy(), [3, 1, 4, 2])


def test_argsort_is_stable_and_passes_no_gradient(mode):
    x = Tensor([[2.0, 1.0, 2.0, 1.0]])
    order = ndl.argsort(x)
    assert not order.requires_grad
    np.testing.assert_array_equal(order.numpy(), [[1, 3, 0, 2]])
    np.testing.assert_array_equal(ndl.argsort(x, None).numpy(), [1, 3, 0, 2])


def test_gradient_of_sort_is_pytorchs():
    torch = pytest.importorskip("torch")
    array, weights = RNG.normal(size=(3, 5)), RNG.normal(size=(3, 5))
    x, t = Tensor(array), torch.tensor(array, requires_grad=True)
    (ndl.sort(x, 0) * weights).sum().backward()
    (torch.sort(t, 0).values * torch.tensor(weights)).sum().backward()
    np.testing.assert_array_equal(x.grad.numpy(), t.grad.numpy())


@pytest.mark.parametrize(
    "function",
    [ndl.cumsum, ndl.sort, ndl.prod, lambda a: ndl.cumsum(a, 1), lambda a: ndl.prod(a, 0)],
)
def test_float32_stays_float32(function):
    x = Tensor(RNG.normal(size=(2, 3)), dtype="float32")
    value = function(x)
    value.sum().backward()
    assert value.dtype == x.grad.dtype == np.float32


@pytest.mark.parametrize("function", [ndl.cumsum, ndl.prod, ndl.sort, ndl.argsort])
def test_axis_out_of_range_is_refused(function):
    with pytest.raises(IndexError, match="axis 2 is out of range for 2 axes"):
        function(Tensor(np.ones((2, 3))), 2)
