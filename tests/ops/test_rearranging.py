"""Joining, repeating and moving elements, against PyTorch."""

import numpy as np
import pytest

import needle as ndl
from needle import Tensor

torch = pytest.importorskip("torch")

ARRAY = np.random.default_rng(0).normal(size=(3, 4))
CASES = {
    "cat": lambda lib, x: lib.cat([x, x * 2], dim=1),
    "chunk": lambda lib, x: lib.chunk(x, 3, dim=1)[1] * 2,
    "split": lambda lib, x: x.split(2, dim=1)[0] * 3 + x.split([1, x.shape[0] - 1])[0].sum(),
    "chunk unevenly": lambda lib, x: lib.cat([p * p for p in x.chunk(2, 0)]),
    "roll": lambda lib, x: lib.roll(x, 5),
    "roll along dims": lambda lib, x: lib.roll(x, (1, -2), dims=(0, 1)),
    "diff": lambda lib, x: lib.diff(x, dim=0),
    "diff twice": lambda lib, x: lib.diff(x, 2),
    "tile": lambda lib, x: lib.tile(x, (2, 1, 2)),
    "tile by method": lambda lib, x: x.tile(2, 3),
    "repeat_interleave": lambda lib, x: x.repeat_interleave(2, dim=1),
    "repeat_interleave all": lambda lib, x: x.repeat_interleave(3),
    "meshgrid": lambda lib, x: lib.meshgrid(x[0], x[1, :2], indexing="ij")[1] * x[2, 0],
    "meshgrid xy": lambda lib, x: lib.meshgrid(x[0], x[1, :2], indexing="xy")[0] * x[2, 0],
    "moveaxis": lambda lib, x: lib.moveaxis(x, 0, -1),
    "swapaxes": lambda lib, x: lib.swapaxes(x, 0, 1),
    "clone": lambda lib, x: x.clone() * x,
    "mT": lambda lib, x: x.mT @ x,
    "unsqueeze": lambda lib, x: x.unsqueeze(dim=1) * x,
    "norm": lambda lib, x: x.norm() + x.norm(3, dim=1) + x.norm(p=1, dim=0, keepdim=True).sum(),
    "clamp": lambda lib, x: x.clamp(min=-0.5) * x.clamp(max=0.5),
    "arctan2": lambda lib, x: lib.arctan2(x, x**2 + 1),
    "arccos": lambda lib, x: lib.arccos(x / 4),
    "log2": lambda lib, x: lib.log2(x**2 + 1) + lib.log10(x**2 + 1) + lib.exp2(x),
}


@pytest.mark.parametrize("name", CASES)
def test_values_and_derivatives_are_pytorchs(mode, name):
    function = CASES[name]
    ours, theirs = Tensor(ARRAY), torch.tensor(ARRAY, requires_grad=True)
    y, expected = function(ndl, ours), function(torch, theirs)
    close(y, expected)
    first = ndl.grad(lambda x: (function(ndl, x) ** 3).sum())
    (slope,) = torch.autograd.grad((expected**3).sum(), theirs, create_graph=True)
    close(first(ours), slope)
    (curvature,) = torch.autograd.grad((slope**2).sum(), theirs)
    close(ndl.grad(lambda x: (first(x) ** 2).sum())(ours), curvature)


def close(ours, theirs):
    np.testing.assert_allclose(ours.numpy(), theirs.detach().numpy(), rtol=1e-9, atol=1e-9)


def test_the_method_split_is_pytorchs():
    for length in range(5):
        x, theirs = Tensor(np.arange(length)), torch.arange(length)
        for size in (1, 2, 7, [length], [0, length]):
            expected = [tuple(piece.tolist()) for piece in theirs.split(size)]
            assert [tuple(piece.tolist()) for piece in x.split(size)] == expected
    with pytest.raises(ValueError, match="split: expected a size from 1, got 0"):
        x.split(0)
    with pytest.raises(ValueError, match=r"split: expected sizes from 0, 4 in all, got \[1, 2\]"):
        x.split([1, 2])


def test_chunks_are_pytorchs():
    for length in range(1, 8):
        for chunks in range(1, 9):
            ours = ndl.chunk(Tensor(np.arange(length)), chunks)
            theirs = torch.chunk(torch.arange(length), chunks)
            assert [each.tolist() for each in ours] == [each.tolist() for each in theirs]
    with pytest.raises(ValueError, match="chunk: expected 1 piece or more, got 0"):
        ndl.chunk(Tensor([1.0]), 0)


def test_clones_have_memory_of_their_own():
    x = Tensor([1.0, 2.0])
    copy = x.clone()
    with ndl.no_grad():
        x[0] = 5.0
    np.testing.assert_array_equal(copy.numpy(), [1, 2])


@pytest.mark.parametrize("sizes", [(2,), (2, 1), (2, 3)])
def test_the_method_repeat_is_refused_because_numpy_and_pytorch_differ(sizes):
    x = Tensor([[1.0, 2.0]])
    with pytest.raises(TypeError, match=r"x\.tile.* PyTorch.*repeat_interleave.* NumPy"):
        x.repeat(*sizes)
    np.testing.assert_array_equal(x.repeat(2, axis=1).numpy(), [[1, 1, 2, 2]])


def test_meshgrid_says_which_axis_comes_first():
    x = Tensor([1.0, 2.0])
    with pytest.raises(ValueError, match="'ij' \\(PyTorch's default\\) or 'xy' \\(NumPy's"):
        ndl.meshgrid(x, x)
    assert len(ndl.meshgrid([x, x, x], indexing="xy")) == 3


def test_pad_refuses_what_numpy_and_pytorch_read_differently():
    with pytest.raises(ValueError, match="ambiguous for 2 axes"):
        ndl.pad(Tensor(ARRAY), (1, 2))
    assert ndl.pad(Tensor(ARRAY), (1,)).shape == (5, 6)
    assert ndl.pad(Tensor([1.0]), (1, 2)).shape == (4,)
    filled = ndl.pad(Tensor(ARRAY), ((1, 0), (0, 2)), constant_values=7)
    expected = np.pad(ARRAY, ((1, 0), (0, 2)), constant_values=7)
    np.testing.assert_array_equal(filled.numpy(), expected)
    with pytest.raises(ValueError, match="widths count from 0"):
        ndl.pad(Tensor([1.0]), -1)
    for several in ((1, 2), [1.0], "a"):  # a pair is for before and after in NumPy
        with pytest.raises(TypeError, match="constant_values is one number for all ends"):
            ndl.pad(Tensor(np.zeros((2, 2))), ((1, 1), (0, 0)), constant_values=several)
    with pytest.raises(TypeError, match=r"pad: expected a number, got a Tensor .*item\(\)"):
        ndl.nn.functional.pad(Tensor([1.0]), (1, 1), value=Tensor(2.0))


def test_matrices_of_a_batch_are_transposed_by_mt():
    x = Tensor(np.zeros((2, 3, 4)))
    assert x.mT.shape == (2, 4, 3)
    with pytest.raises(ValueError, match=r"x\.T .*\(2, 3, 4\) is ambiguous: x\.mT"):
        _ = x.T
    assert Tensor([1.0, 2.0]).T.shape == (2,)
    assert Tensor(np.zeros((2, 3))).T.shape == (3, 2)


def test_rolls_of_unequal_numbers_are_refused():
    with pytest.raises(ValueError, match="2 shifts for 1 axes"):
        ndl.roll(Tensor(ARRAY), (1, 2), 0)
    assert ndl.roll(Tensor(ARRAY), 1, (0, 1)).shape == (3, 4)
