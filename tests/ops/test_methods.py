"""Methods of Tensor that NumPy's and PyTorch's users have in their fingers."""

import json

import numpy as np
import pytest

import needle as ndl
from needle import Tensor

ARRAY = np.arange(6.0).reshape(2, 3)


def test_numbers_are_formatted():
    loss = Tensor([1.23456]).sum()
    assert f"{loss:.4f}" == "1.2346"
    assert f"{Tensor([[2.5]]):8.3e} {Tensor(7):03d} {Tensor(True)!s}" == "2.500e+00 007 True"
    assert f"{Tensor([1.0, 2.0])}" == "[1. 2.]"
    with pytest.raises(TypeError, match=r"format '.2f' takes a tensor of one element, .*\(2,\)"):
        f"{Tensor([1.0, 2.0]):.2f}"


def test_rounding():
    x = Tensor([1.256, -2.5])
    np.testing.assert_array_equal(round(x, 2).numpy(), [1.26, -2.5])
    np.testing.assert_array_equal(round(x).numpy(), [1, -2])
    np.testing.assert_array_equal(x.round(decimals=1).numpy(), [1.3, -2.5])
    assert f"{round(x[0], 2)}" == "1.26"
    np.testing.assert_array_equal(ndl.round(Tensor([15, 25]), 0).numpy(), [15, 25])


def test_values_as_python_numbers():
    assert Tensor(ARRAY).tolist() == ARRAY.tolist()
    assert Tensor([True, False]).tolist() == [True, False]
    assert json.dumps(Tensor([1, 2]).tolist()) == "[1, 2]"
    assert Tensor(2.5).tolist() == 2.5


def test_size_is_a_number_and_a_method():
    for x in (Tensor(ARRAY), Tensor(ARRAY) * 2):
        assert x.size == x.numel() == 6
        assert isinstance(x.size, int)
        assert x.size() == (2, 3)
        assert (x.size(0), x.size(-1), x.size(dim=1)) == (2, 3, 3)
        assert (x.dim(), x.ndim) == (2, 2)
        assert type(x.size * 2) is int
        assert list(range(x.size)) == [0, 1, 2, 3, 4, 5]
        assert f"{x.size} {x.size!r} {x.size:3d}" == "6 6   6"
        assert json.dumps({"size": x.size}) == '{"size": 6}'
        assert np.zeros(x.size).shape == (6,)
    with ndl.lazy_mode():
        y = Tensor(ARRAY) * 2
        assert (y.size, y.size(), y.cached_data) == (6, (2, 3), None)
    with pytest.raises(IndexError):
        Tensor(ARRAY).size(2)


@pytest.mark.parametrize(
    ("name", "dtype"),
    [
        ("float", "float32"), ("double", "float64"), ("half", "float16"), ("int", "int32"),
        ("long", "int64"), ("bool", "bool"),
    ],
)  # fmt: skip
def test_casts(name, dtype):
    for source in ("float64", "float32", "uint8"):
        y = getattr(Tensor(ARRAY, dtype=source), name)()
        assert y.dtype == dtype
        np.testing.assert_array_equal(y.numpy(), ARRAY.astype(dtype))
    x = Tensor(ARRAY)
    y = getattr(x, name)()
    assert y.requires_grad == (np.dtype(dtype).kind == "f")


def test_to_takes_dtypes_devices_and_tensors():
    x = Tensor(ARRAY)
    other = Tensor([1.0], dtype="float32")
    for y in (x.to("float32"), x.to(np.float32), x.to("cpu", "float32"), x.to(other)):
        assert y.dtype == np.float32
    assert x.to("cpu") is x.to(x) is x
    x.to(other).sum().backward()
    np.testing.assert_array_equal(x.grad.numpy(), np.ones((2, 3)))


def test_truth_values():
    x = Tensor([[0.0, np.nan], [1.0, 2.0]])
    assert x.isnan().tolist() == [[False, True], [False, False]]
    assert x.isnan().any().item() is True
    assert (x > -1).all(dim=1).tolist() == [False, True]
    assert not x.isfinite().all()
    assert ndl.isinf(Tensor([1.0, -np.inf])).any()


def test_data_takes_a_tensor_with_other_leading_axes_of_length_1():
    bias = ndl.nn.Linear(3, 5).bias
    assert bias.shape == (1, 5)
    values = np.arange(5, dtype="float32")
    for shape in ((5,), (1, 5), (1, 1, 5)):
        bias.data = Tensor(values.reshape(shape), dtype="float32")
        assert bias.shape == (1, 5)
        np.testing.assert_array_equal(bias.numpy(), [values])
    vector = Tensor([1.0, 2.0])
    vector.data = Tensor([[3.0, 4.0]])
    np.testing.assert_array_equal(vector.numpy(), [3, 4])
    for wrong in (np.ones((5, 1)), np.ones((2, 5)), np.ones(4)):
        with pytest.raises(ValueError, match="cannot be replaced"):
            bias.data = Tensor(wrong, dtype="float32")


def test_norms_of_matrices_and_of_all_elements():
    x = Tensor(ARRAY)
    assert x.norm().item() == pytest.approx(np.sqrt((ARRAY**2).sum()))
    assert x.norm("fro").item() == x.norm().item()
    assert x.norm(1).item() == ARRAY.sum()
    assert ndl.vector_norm(x, np.inf).item() == 5
    assert ndl.linalg.norm(x, 1).item() == np.linalg.norm(x, 1).item() == np.linalg.norm(ARRAY, 1)
    assert ndl.norm(x, 1, axis=(0, 1)).item() == np.linalg.norm(ARRAY, 1)
    for order in (1, 2, np.inf):  # another number in NumPy than in PyTorch
        with pytest.raises(ValueError, match=r"ambiguous.*needle.linalg.norm.*vector_norm"):
            ndl.norm(x, order)
    assert ndl.norm(x, "fro").item() == ndl.norm(x).item()
