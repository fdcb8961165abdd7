"""Tensors from data, and random whole numbers, as in PyTorch."""

import numpy as np
import pytest

import needle as ndl
from needle import Tensor


@pytest.mark.parametrize(
    ("data", "dtype"),
    [
        ([1.0, 2.0], "float32"),
        (2.5, "float32"),
        ([[1, 2], [3, 4]], "int64"),
        ([True, False], "bool"),
        (np.array([1.0]), "float64"),
        (np.float64(1.0), "float64"),
        (np.array([1], "uint8"), "uint8"),
        (Tensor([1.0]), "float64"),
    ],
)
def test_tensor_has_pytorchs_dtypes(data, dtype):
    x = ndl.tensor(data)
    assert (x.dtype, x.requires_grad) == (dtype, False)
    np.testing.assert_array_equal(x.numpy(), np.asarray(data))
    assert ndl.tensor(data, dtype=ndl.float16, requires_grad=True).dtype == "float16"
    torch = pytest.importorskip("torch")
    if not isinstance(data, Tensor):
        assert str(torch.tensor(data).dtype) == f"torch.{dtype}"


def test_data_are_copied():
    array = np.array([1.0, 2.0])
    tensors = [ndl.tensor(array), ndl.from_numpy(array), ndl.as_tensor(array)]
    array[:] = 0
    for x in tensors:
        np.testing.assert_array_equal(x.numpy(), [1, 2])
    with pytest.raises(TypeError, match=r"from_numpy takes a NumPy array, got list: use needle"):
        ndl.from_numpy([1.0])


def test_as_tensor_stays_in_the_graph():
    x = Tensor([1.0, 2.0])
    assert ndl.as_tensor(x) is x
    ndl.as_tensor(x, dtype="float32").sum().backward()
    np.testing.assert_array_equal(x.grad.numpy(), [1, 1])


@pytest.mark.parametrize(
    "draw",
    [
        lambda: ndl.randint(3, 7, (1000,)),
        lambda: ndl.randint(low=3, high=7, size=(10, 100)),
        lambda: ndl.randint(4, (1000,)) + 3,
        lambda: ndl.randint(4, size=1000, generator=ndl.Generator(0)) + 3,
    ],
)
def test_randint(draw):
    x = draw()
    assert (x.dtype, x.size) == ("int64", 1000)
    assert sorted(set(x.numpy().ravel().tolist())) == [3, 4, 5, 6]


def test_randint_of_nothing():
    assert ndl.randint(5).shape == ()
    for low, high in ((3, 3), (0, 2**60), (0, None)):
        with pytest.raises(ValueError, match="randint: no whole numbers from"):
            ndl.randint(low, high, (2,))


def test_randperm_is_a_permutation():
    ndl.manual_seed(0)
    x = ndl.randperm(20)
    assert x.tolist() != list(range(20)) == sorted(x.tolist())
    assert x.dtype == "int64"
