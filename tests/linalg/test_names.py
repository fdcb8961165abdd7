"""needle.linalg has NumPy's names, and NumPy's meaning of them."""

import numpy as np
import pytest

import needle as ndl
from needle import Tensor, linalg


def test_every_name_is_public_and_documented():
    for name in linalg.__all__:
        assert (getattr(linalg, name).__doc__ or "").strip(), name


def test_every_other_function_is_one_of_numpy():
    own = {"einsum", "expm", "inverse", "matrix_exp", "tril", "triu"}
    functions = {name for name in linalg.__all__ if name.islower()}
    assert {name for name in functions if not hasattr(np.linalg, name)} == own


def test_ops_has_them_too():
    for name in linalg.__all__:
        assert hasattr(ndl.ops, name), name


@pytest.mark.parametrize("name", ["diagonal", "trace"])
@pytest.mark.parametrize("offset", [-1, 0, 1])
def test_the_last_two_axes_are_the_matrices(name, offset, mode, check_derivatives):
    array = np.random.default_rng(0).normal(size=(2, 3, 4))
    value = getattr(linalg, name)(Tensor(array), offset=offset)
    np.testing.assert_allclose(value.numpy(), getattr(np.linalg, name)(array, offset=offset))
    check_derivatives(lambda a: getattr(linalg, name)(a, offset=offset), array)
