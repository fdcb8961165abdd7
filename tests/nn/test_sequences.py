"""Padding and packing of sequences against PyTorch's functions; bad input."""

import numpy as np
import pytest

from needle import Tensor
from needle.nn.utils import rnn

LENGTHS = [3, 5, 1]


def sequences(tail=(2,), lengths=LENGTHS):
    return [np.random.RandomState(k).randn(length, *tail) for k, length in enumerate(lengths)]


@pytest.mark.parametrize("tail", [(), (2,), (2, 3)])
@pytest.mark.parametrize("batch_first", [False, True])
@pytest.mark.parametrize("side", ["right", "left"])
def test_pad_sequence_is_torchs(same_as_torch, tail, batch_first, side) -> None:
    torch = pytest.importorskip("torch")
    for value in (0.0, -1.5):
        options = batch_first, value, side
        same_as_torch(
            lambda *each, options=options: rnn.pad_sequence(each, *options),
            lambda *each, options=options: torch.nn.utils.rnn.pad_sequence(each, *options),
            *sequences(tail),
        )


@pytest.mark.parametrize("batch_first", [False, True])
@pytest.mark.parametrize("enforce_sorted", [False, True])
def test_packed_sequences_are_torchs(batch_first, enforce_sorted) -> None:
    torch = pytest.importorskip("torch")
    theirs = torch.nn.utils.rnn
    lengths = sorted(LENGTHS, reverse=True) if enforce_sorted else LENGTHS
    array = np.random.randn(*((3, 6, 2) if batch_first else (6, 3, 2)))
    x, other = Tensor(array), torch.tensor(array, requires_grad=True)
    packed = rnn.pack_padded_sequence(x, lengths, batch_first, enforce_sorted)
    expected = theirs.pack_padded_sequence(other, lengths, batch_first, enforce_sorted)
    for name in ("data", "batch_sizes", "sorted_indices", "unsorted_indices"):
        mine, wanted = getattr(packed, name), getattr(expected, name)
        assert (mine is None) == (wanted is None)
        if mine is not None:
            np.testing.assert_array_equal(mine.numpy(), wanted.detach().numpy())
    for options in ((batch_first,), (batch_first, -2.0, 7)):
        padded, found = rnn.pad_packed_sequence(packed, *options)
        wanted, found_there = theirs.pad_packed_sequence(expected, *options)
        np.testing.assert_array_equal(padded.numpy(), wanted.detach().numpy())
        assert found.tolist() == found_there.tolist() == lengths
    (padded**2).sum().backward()
    (wanted**2).sum().backward()
    np.testing.assert_allclose(x.grad.numpy(), other.grad.numpy())


def test_lists_of_sequences_come_back() -> None:
    torch = pytest.importorskip("torch")
    arrays = sequences()
    packed = rnn.pack_sequence([Tensor(each) for each in arrays], enforce_sorted=False)
    expected = torch.nn.utils.rnn.pack_sequence(list(map(torch.tensor, arrays)), False)
    np.testing.assert_array_equal(packed.data.numpy(), expected.data.numpy())
    for found, each in zip(rnn.unpack_sequence(packed), arrays, strict=True):
        np.testing.assert_array_equal(found.numpy(), each)
    padded = rnn.pad_sequence([Tensor(each) for each in arrays])
    for found, each in zip(rnn.unpad_sequence(padded, LENGTHS), arrays, strict=True):
        np.testing.assert_array_equal(found.numpy(), each)


X = Tensor(np.zeros((5, 2, 3)))


@pytest.mark.parametrize(
    ("call", "kind", "text"),
    [
        (lambda: rnn.pack_padded_sequence(X, [5, 0]), ValueError, "sequence 1 has length 0"),
        (
            lambda: rnn.pack_padded_sequence(X, [6, 1]),
            ValueError,
            "sequence 0 has length 6",
        ),
        (lambda: rnn.pack_padded_sequence(X, [5, -1]), ValueError, "sequence 1 has length -1"),
        (lambda: rnn.pack_padded_sequence(X, [2.5, 1]), ValueError, "sequence 0 has length 2.5"),
        (lambda: rnn.pack_padded_sequence(X, [5]), ValueError, "expected 2 lengths"),
        (
            lambda: rnn.pack_padded_sequence(X, [2, 5]),
            ValueError,
            r"\[2, 5\] are not sorted",
        ),
        (lambda: rnn.pack_padded_sequence(X[0, 0], [3]), ValueError, r"\(steps, batch, ...\)"),
        (lambda: rnn.pack_sequence([X, X[0]]), ValueError, r"\(5, 2, 3\) and, at 1, \(2, 3\)"),
        (lambda: rnn.pad_sequence([]), ValueError, "at least one Tensor"),
        (lambda: rnn.pad_sequence([np.ones(3)]), TypeError, "expected a Tensor, got ndarray"),
        (lambda: rnn.pad_sequence([X], padding_side="up"), ValueError, "'left' or 'right'"),
        (lambda: rnn.pad_packed_sequence(X), TypeError, "takes a PackedSequence, got Tensor"),
        (
            lambda: rnn.pad_packed_sequence(rnn.pack_sequence([X]), total_length=4),
            ValueError,
            "total_length=4 for a sequence of 5 steps",
        ),
    ],
)
def test_errors(call, kind, text) -> None:
    with pytest.raises(kind, match=text):
        call()
