"""Tensors by NumPy's and PyTorch's names."""

import numpy as np
import pytest

import needle as ndl
from needle import Tensor, init

torch = pytest.importorskip("torch")

SAME = {
    "arange": lambda lib: lib.arange(5),
    "arange from": lambda lib: lib.arange(2, 5),
    "arange by": lambda lib: lib.arange(0.0, 1.0, 0.25),
    "arange down": lambda lib: lib.arange(3, 0, -1),
    "linspace": lambda lib: lib.linspace(0, 1, 7),
    "eye": lambda lib: lib.eye(3),
    "eye of two": lambda lib: lib.eye(2, 3),
    "full": lambda lib: lib.full((2, 3), 0.5),
    "full of integers": lambda lib: lib.full((2,), 3),
    "full of truth": lambda lib: lib.full((), True),
    "zeros": lambda lib: lib.zeros(2, 3),
    "zeros of a tuple": lambda lib: lib.zeros((2, 3)),
    "zeros without axes": lambda lib: lib.zeros(()),
    "ones": lambda lib: lib.ones([2, 3]),
    "zeros_like": lambda lib: lib.zeros_like(lib.arange(3)),
    "ones_like": lambda lib: lib.ones_like(lib.eye(2)),
    "full_like": lambda lib: lib.full_like(lib.eye(2), 7),
}


@pytest.mark.parametrize("name", SAME)
def test_values_and_dtypes_are_pytorchs(name):
    ours, theirs = SAME[name](ndl), SAME[name](torch)
    np.testing.assert_allclose(ours.numpy(), theirs.numpy(), rtol=1e-6)
    assert ours.numpy().dtype == theirs.numpy().dtype
    assert not ours.requires_grad


@pytest.mark.parametrize("name", ["rand", "randn", "randb", "zeros", "ones", "constant"])
@pytest.mark.parametrize("shape", [(3, 4), (5,), (), (0, 2)])
def test_shapes_are_given_one_by_one_or_as_one(name, shape):
    function = getattr(init, name)
    for given in ((shape,), (list(shape),), shape):
        ndl.manual_seed(0)
        first = function(*given)
        assert first.shape == shape
        ndl.manual_seed(0)
        np.testing.assert_array_equal(first.numpy(), function(*shape).numpy())
    if shape:
        assert ndl.zeros(Tensor(np.zeros(shape)).shape).shape == shape


@pytest.mark.parametrize("shape", [(2.5,), ("3",), ((2, None),), (-1, 2), (True,)])
def test_other_shapes_are_refused(shape):
    for name in ("rand", "randn", "zeros", "ones"):
        with pytest.raises((TypeError, ValueError), match=r"init\.\w+: lengths of axes are"):
            getattr(ndl, name)(*shape)


def test_orthogonal_and_truncated_draws_take_tuples_too():
    assert init.orthogonal((3, 2)).shape == init.trunc_normal((3, 2)).shape == (3, 2)


def test_draws_like_another_tensor():
    x = Tensor(np.zeros((2, 3)))
    for function in (ndl.rand_like, ndl.randn_like):
        y = function(x)
        assert (y.shape, y.dtype, y.requires_grad) == ((2, 3), np.float64, False)
        assert function(x, dtype="float32", requires_grad=True).requires_grad
    first = ndl.randn_like(x, generator=ndl.Generator(1))
    np.testing.assert_array_equal(
        first.numpy(), ndl.randn(2, 3, generator=ndl.Generator(1), dtype="float64").numpy()
    )


def test_keywords():
    for y in (
        ndl.arange(3, dtype="float32", requires_grad=True),
        ndl.linspace(0, 1, 3, requires_grad=True),
        ndl.eye(2, requires_grad=True, device="cpu"),
        ndl.full((2,), 1.0, requires_grad=True),
        ndl.zeros_like(ndl.arange(2), dtype="float32", requires_grad=True),
    ):
        assert (y.dtype, y.requires_grad) == (np.float32, True)


def test_they_are_the_functions_of_init():
    for name in ("arange", "eye", "full", "linspace", "ones", "rand", "randn", "zeros_like"):
        assert getattr(ndl, name) is getattr(init, name)
