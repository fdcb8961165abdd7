"""What PyTorch's users have in their fingers, beside what the table of ops runs."""

import inspect

import numpy as np
import pytest
from table import CASES

import needle as ndl
from needle import Tensor, ops

ARRAY = np.arange(6.0).reshape(2, 3)
INTEGERS, OTHERS = np.array([7, -7, 12]), np.array([3, 3, -5])
OPERATORS = {
    "//": lambda a, b: a // b,
    "%": lambda a, b: a % b,
    "&": lambda a, b: a & b,
    "|": lambda a, b: a | b,
    "^": lambda a, b: a ^ b,
}


@pytest.mark.parametrize("symbol", OPERATORS)
def test_operators_of_integers(symbol):
    operator = OPERATORS[symbol]
    pairs = [(INTEGERS, OTHERS), (INTEGERS, 3), (3, OTHERS), (INTEGERS.astype("uint8"), OTHERS)]
    for a, b in pairs:
        expected = operator(a, b)
        x, y = (Tensor(each) if isinstance(each, np.ndarray) else each for each in (a, b))
        for found in (operator(x, y), operator(x, b), operator(a, y)):
            if isinstance(found, Tensor):  # two arrays or numbers give none
                np.testing.assert_array_equal(found.numpy(), expected)
                assert found.dtype == expected.dtype


@pytest.mark.parametrize("symbol", ["&", "|", "^"])
def test_operators_of_booleans(symbol):
    a, b = np.array([True, True, False]), np.array([True, False, False])
    operator = OPERATORS[symbol]
    for found in (operator(Tensor(a), Tensor(b)), operator(a, Tensor(b)), operator(Tensor(a), b)):
        np.testing.assert_array_equal(found.numpy(), operator(a, b))
    np.testing.assert_array_equal((~Tensor(a)).numpy(), ~a)
    np.testing.assert_array_equal((~Tensor(INTEGERS)).numpy(), ~INTEGERS)
    x = Tensor([1.0, 2.0])
    with pytest.raises(TypeError, match=r"expected integers or booleans, got float64: comparisons"):
        operator(x, x)


def test_operators_of_floats_and_in_place():
    x, y = np.array([7.5, -7.5]), np.array([2.0, -3.0])
    for symbol in ("//", "%"):
        for found in (OPERATORS[symbol](Tensor(x), Tensor(y)), OPERATORS[symbol](x, Tensor(y))):
            np.testing.assert_array_equal(found.numpy(), OPERATORS[symbol](x, y))
    z = same = Tensor(INTEGERS, requires_grad=False)
    z //= 2
    z %= 4
    z |= 1
    np.testing.assert_array_equal(same.numpy(), INTEGERS // 2 % 4 | 1)


# --- arrays and lists in the place of tensors

FIRST = {case.name.split()[0]: case for case in reversed(CASES)}
CHECKED_IN_FUNCTIONAL = ("attention", "convolution", "pooling", "recurrence")  # files of ops
PLAIN = [
    name
    for name, case in FIRST.items()
    if case.function is getattr(ops, name, None)
    and case.function.__module__.split(".")[-1] not in CHECKED_IN_FUNCTIONAL
]


@pytest.mark.parametrize("name", PLAIN)
def test_functions_take_arrays_and_lists(name):
    case = FIRST[name]
    expected = case.outputs([Tensor(array) for array in case.arrays()])
    for operands in (case.arrays(), [array.tolist() for array in case.arrays()]):
        outputs = case.outputs(operands)
        for output, wanted in zip(outputs, expected, strict=True):
            assert isinstance(output, Tensor)
            assert not output.requires_grad
            np.testing.assert_array_equal(output.numpy(), wanted.numpy())


def test_sequences_of_arrays_and_lists():
    assert len(PLAIN) > 80
    rows = [[1.0, 2.0], [3.0, 4.0]]
    for name in ("stack", "concatenate", "cat", "hstack", "vstack"):
        expected = getattr(ops, name)([Tensor(row) for row in rows]).numpy()
        for given in (rows, np.array(rows), [np.array(row) for row in rows]):
            np.testing.assert_array_equal(getattr(ndl, name)(given).numpy(), expected)


@pytest.mark.parametrize("function", [ndl.exp, ndl.mean, ndl.sum, ndl.max, ndl.flatten])
def test_lists_of_tensors_are_explained(function):
    x = Tensor([1.0, 2.0])
    with pytest.raises(TypeError, match=r"got list: needle\.stack\(\.\.\.\) makes one tensor"):
        function([x[0], x[1]])
    with pytest.raises(TypeError, match="got list: its rows differ in length"):
        function([[1.0], [1.0, 2.0]])
    with pytest.raises(TypeError, match=r"got str: wrap it with needle\.Tensor"):
        function("text")


# --- names


def test_transpose_takes_two_axes_as_pytorch_does():
    x = Tensor(np.zeros((2, 3, 4)))
    for y in (
        ndl.transpose(x, 0, 2), ndl.transpose(x, (0, 2)), ndl.transpose(x, dim0=0, dim1=2),
        ndl.transpose(x, axes=(0, -1)), x.transpose(0, 2), x.transpose(dim0=2, dim1=0),
    ):  # fmt: skip
        assert y.shape == (4, 3, 2)
    assert ndl.transpose(x).shape == (2, 4, 3)


def test_methods_give_what_functions_give():
    x, y = Tensor(ARRAY), Tensor(ARRAY + 1)
    np.testing.assert_array_equal(x.mm(y.t()).numpy(), ARRAY @ (ARRAY + 1).T)
    assert x.expand(4, -1, -1).shape == (4, 2, 3)
    assert x[:1].expand((5, 3)).shape == (5, 3)
    assert x[:, :1].expand_as(x).shape == x.movedim(0, 1).T.shape == (2, 3)
    assert [row.shape for row in x.unbind(dim=1)] == [(2,), (2,), (2,)]
    np.testing.assert_allclose(x.log_softmax(dim=1).exp().sum(1).numpy(), [1, 1])
    assert (x.amax(dim=(0, 1)).item(), x.amin(dim=0, keepdim=True).shape) == (5, (1, 3))
    assert (x.allclose(y - 1), x.equal(y), x.equal(x[0]), x.isclose(y).any().item()) == (
        True, False, False, False,
    )  # fmt: skip
    assert not x.T.is_contiguous()
    assert x.T.contiguous().is_contiguous()
    assert x.contiguous() is x
    assert ndl.numel(x) == 6
    with pytest.raises(ValueError, match=r"expand: -1 in \(-1, 2, 3\)"):
        x.expand(-1, 2, 3)
    with pytest.raises(ValueError, match=r"mm takes tensors of 2 and 2 axes, got .*matmul"):
        ndl.mm(x, x[0])
    with pytest.raises(ValueError, match=r"bmm takes .* equal lengths of the first, got"):
        ndl.bmm(ndl.zeros(2, 3, 3), ndl.zeros(1, 3, 3))


def test_median_along_a_dim_is_ambiguous():
    x = Tensor(ARRAY)
    for call in (lambda: x.median(1), lambda: x.median(dim=1), lambda: ndl.median(x, dim=1)):
        with pytest.raises(TypeError, match=r"ambiguous: PyTorch .*median\(axis=...\).*quantile"):
            call()
    torch = pytest.importorskip("torch")
    expected = torch.tensor(ARRAY).quantile(0.5, dim=0, keepdim=True, interpolation="lower")
    found = x.quantile(0.5, dim=0, keepdim=True, interpolation="lower")
    np.testing.assert_array_equal(found.numpy(), expected.numpy())


def test_quantiles_of_special_values():
    inf, nan = np.inf, np.nan
    for values in ([1.0, 2.0, inf], [1.0, inf], [nan, 1.0], [-inf, -inf, 3.0], [-inf, 2.0]):
        np.testing.assert_array_equal(ndl.median(Tensor(values)).item(), np.median(values))
    for q, method in ((1.5, "linear"), (0.5, "best")):
        with pytest.raises(ValueError, match=r"quantile: (q must be|method is one of)"):
            ndl.quantile(Tensor([1.0]), q, method=method)
    with pytest.raises(ValueError, match="quantile of no elements"):
        ndl.quantile(ndl.zeros(0), 0.5)


def test_scatter_and_its_kind_in_place():
    classes = Tensor([[2], [0]])
    x = ndl.zeros(2, 3).scatter_(1, classes, 1.0)
    np.testing.assert_array_equal(x.numpy(), ndl.init.one_hot(3, classes[:, 0]).numpy())
    x.index_add_(0, [0, 0], ndl.ones(2, 3), alpha=2)
    x.index_fill_(1, [1], -1)
    x.masked_fill_(x == 5, 9)
    np.testing.assert_array_equal(x.numpy(), [[4, -1, 9], [1, -1, 0]])
    weights = Tensor([[0.0, 0.0]])
    with pytest.raises(RuntimeError, match=r"scatter_\(\) would leave out the derivative"):
        weights.scatter_(1, [[0]], 1.0)
    with pytest.raises(TypeError, match="cannot take float64: use astype"):
        ndl.scatter(Tensor([1, 2]), 0, [0], Tensor([1.5]))


def test_requires_grad_():
    x = ndl.zeros(2)
    assert x.requires_grad_() is x
    assert x.requires_grad
    (x * 2).sum().backward()
    assert x.grad is not None
    assert not x.requires_grad_(False).requires_grad
    y = Tensor([1.0]) * 2
    assert y.requires_grad_() is y
    with pytest.raises(RuntimeError, match=r"requires_grad_\(False\) .* use tensor.detach\(\)"):
        y.requires_grad_(False)


def test_vmap_takes_pytorchs_names():
    x = Tensor(ARRAY)
    y = ndl.vmap(lambda a: a * 2, in_dims=1, out_dims=1)(x)
    np.testing.assert_array_equal(y.numpy(), 2 * ARRAY)
    with pytest.raises(TypeError, match="got 'in_axes' twice"):
        ndl.vmap(lambda a: a, in_axes=0, in_dims=0)


def test_facts_are_python_values():
    for name in ops.facts.__all__:
        assert inspect.isfunction(getattr(ndl, name))
    x = Tensor([1.0, np.nan])
    assert ndl.allclose(x, x, equal_nan=True) is True
    assert ndl.allclose(x, x) is False
    assert ndl.array_equal([1, 2], np.array([1, 2])) is True


def test_plus_sign():
    x = Tensor([1.0, -2.0])
    (+x).sum().backward()
    assert ((+x).tolist(), x.grad.tolist()) == ([1.0, -2.0], [1.0, 1.0])
