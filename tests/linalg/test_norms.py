"""Norms of vectors and matrices."""

import numpy as np
import pytest

from needle import Tensor, linalg

INF = np.inf
VECTOR_ORDERS = [None, 0, 1, 2, 3, 2.5, 4, 0.5, -1, INF, -INF]
MATRIX_ORDERS = [None, "fro", "nuc", 1, -1, 2, -2, INF, -INF]
RNG = np.random.default_rng(0)


def close(actual, expected):
    assert actual.shape == np.shape(expected)
    np.testing.assert_allclose(actual.numpy(), expected, rtol=1e-12)


# --- values and derivatives


@pytest.mark.parametrize("order", VECTOR_ORDERS)
@pytest.mark.parametrize("keepdims", [False, True])
@pytest.mark.parametrize(("shape", "axis"), [((3,), None), ((2, 3), 0), ((2, 3), -1), ((1, 2), 1)])
def test_vectors(order, shape, axis, keepdims, mode, check_derivatives):
    array = RNG.normal(size=shape)
    close(
        linalg.norm(Tensor(array), order, axis, keepdims),
        np.linalg.norm(array, order, axis, keepdims),
    )
    if order != 0:
        check_derivatives(lambda a: linalg.norm(a, order, axis, keepdims), array)


@pytest.mark.parametrize("order", MATRIX_ORDERS)
@pytest.mark.parametrize("keepdims", [False, True])
@pytest.mark.parametrize(
    ("shape", "axis"),
    [((2, 3), None), ((3, 3), (0, 1)), ((3, 2, 2), (-2, -1)), ((3, 2, 2), (2, 0)), ((1, 2), None)],
)
def test_matrices(order, shape, axis, keepdims, mode, check_derivatives):
    array = RNG.normal(size=shape)
    close(
        linalg.norm(Tensor(array), order, axis, keepdims),
        np.linalg.norm(array, order, axis, keepdims),
    )
    check_derivatives(lambda a: linalg.norm(a, order, axis, keepdims), array)


@pytest.mark.parametrize("shape", [(), (1,), (2, 3, 2), (0,), (0, 3)])
@pytest.mark.parametrize("keepdims", [False, True])
def test_without_order_and_axis_all_elements_count(shape, keepdims, mode, check_derivatives):
    array = RNG.normal(size=shape)
    close(linalg.norm(Tensor(array), keepdims=keepdims), np.linalg.norm(array, keepdims=keepdims))
    check_derivatives(lambda a: linalg.norm(a, keepdims=keepdims), array)


@pytest.mark.parametrize("order", [None, "nuc", 1, 2, INF])
def test_float32_stays_float32(order):
    x = Tensor(RNG.normal(size=(2, 3)), dtype="float32")
    value = linalg.norm(x, order)
    value.backward()
    assert value.dtype == x.grad.dtype == np.float32


def test_norm_of_integers_is_a_float():
    value = linalg.norm(Tensor([3, 4]))
    assert value.dtype == np.float64
    assert value.item() == 5


@pytest.mark.parametrize("order", [None, 2, 1, 3, INF])
def test_gradients_are_pytorchs(order, gradients_like_pytorchs):
    torch = pytest.importorskip("torch")
    gradients_like_pytorchs(
        lambda a: linalg.norm(a, order, axis=-1),
        lambda t: torch.linalg.vector_norm(t, 2 if order is None else order, dim=-1),
        RNG.normal(size=(4, 3)),
    )


# --- at 0


@pytest.mark.parametrize("order", [None, 2, 1, 3, 1.5])
def test_gradient_at_0_is_0_to_second_order(order, mode):
    x = Tensor(np.zeros((2, 3)))
    linalg.norm(x, order, axis=1).sum().backward()
    np.testing.assert_array_equal(x.grad.numpy(), np.zeros((2, 3)))
    (x.grad * x).sum().backward()
    np.testing.assert_array_equal(x.grad.numpy(), np.zeros((2, 3)))


def test_a_row_of_0_does_not_disturb_the_others():
    x = Tensor([[0.0, 0.0], [3.0, 4.0]])
    linalg.norm(x, axis=1).sum().backward()
    np.testing.assert_allclose(x.grad.numpy(), [[0, 0], [0.6, 0.8]])


def test_an_element_of_0_has_a_second_derivative(check_derivatives):
    check_derivatives(linalg.norm, np.array([0.0, 3.0, 4.0]))
    check_derivatives(lambda a: linalg.norm(a, 4), np.array([0.0, 3.0, 4.0]))


# --- bad input


@pytest.mark.parametrize(
    ("shape", "order", "axis", "complaint"),
    [
        ((2, 3), "max", None, "norm of matrices takes 'fro', 'nuc'.*got 'max'"),
        ((2, 3), 3, None, "got 3"),
        ((2, 3), "fro", 0, "norm of vectors takes a number as ord, got 'fro'"),
        ((2, 3, 2), 2, None, r"got 3 of shape \(2, 3, 2\)"),
        ((2, 3, 2), None, (0, 1, 2), "one axis .* or two"),
        ((), 2, None, "got 0"),
        ((2, 3), None, (0, 0), "twice"),
    ],
)
def test_what_is_no_norm_is_refused(shape, order, axis, complaint):
    with pytest.raises(ValueError, match=complaint):
        linalg.norm(Tensor(np.ones(shape)), order, axis)


def test_axis_out_of_range_is_refused():
    with pytest.raises(IndexError, match="axis 2 is out of range for 2 axes"):
        linalg.norm(Tensor(np.ones((2, 3))), axis=2)
