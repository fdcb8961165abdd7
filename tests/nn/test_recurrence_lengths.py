"""Sequences of different lengths against PyTorch's packed sequences."""

import numpy as np
import pytest

import needle as ndl
from needle import Tensor, nn
from needle.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence
from needle.testing import gradcheck
from tests.nn.recurrent import (
    KINDS,
    as_state,
    as_tuple,
    gradients_of,
    objective,
    pair,
    same,
    states_of,
)

LENGTHS = [3, 5, 1]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("options", [{}, {"num_layers": 2, "bidirectional": True}])
def test_lengths_are_packed_sequences_of_torch(kind, options) -> None:
    torch = pytest.importorskip("torch")
    rnn = torch.nn.utils.rnn
    ours, theirs = pair(kind, batch_first=True, **options)
    x, states = np.random.randn(3, 5, 3), states_of(ours, batch=3)
    padded = x.copy()
    for row, length in zip(padded, LENGTHS, strict=True):
        row[length:] = np.nan  # what is beyond a length is not read
    mine = [Tensor(array) for array in (padded, *states)]
    other = [torch.tensor(array, requires_grad=True) for array in (x, *states)]
    y, state = ours(mine[0], as_state(mine[1:]), lengths=LENGTHS)
    given = rnn.pack_padded_sequence(other[0], LENGTHS, batch_first=True, enforce_sorted=False)
    packed, expected_state = theirs(given, as_state(other[1:]))
    expected = rnn.pad_packed_sequence(packed, batch_first=True)[0]
    results, wanted = (y, *as_tuple(state)), (expected, *as_tuple(expected_state))
    for result, each in zip(results, wanted, strict=True):
        same(result, each)
    objective(results).backward(create_graph=False)
    objective(wanted).backward()
    for tensor, each in zip(mine, other, strict=True):
        same(tensor.grad, each.grad)
    for parameter, gradient in zip(ours.parameters(), gradients_of(theirs, ours), strict=True):
        np.testing.assert_allclose(parameter.grad.numpy(), gradient, 1e-10, 1e-10)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("is_sorted", [False, True])
def test_packed_sequences_are_lengths(kind, is_sorted) -> None:
    layer, x = getattr(nn, kind)(3, 4, 2, bidirectional=True), ndl.init.randn(5, 3, 3)
    lengths = sorted(LENGTHS, reverse=True) if is_sorted else LENGTHS
    expected, expected_state = layer(x, lengths=Tensor(lengths, requires_grad=False))
    packed = pack_padded_sequence(x, lengths, enforce_sorted=is_sorted)
    y, state = layer(packed)
    assert y.batch_sizes.tolist() == packed.batch_sizes.tolist()
    found, back = pad_packed_sequence(y)
    assert back.tolist() == lengths
    np.testing.assert_array_equal(found.numpy(), expected.numpy())
    for mine, other in zip(as_tuple(state), as_tuple(expected_state), strict=True):
        np.testing.assert_array_equal(mine.numpy(), other.numpy())


@pytest.mark.parametrize("kind", KINDS)
def test_second_derivatives_with_lengths(kind) -> None:
    layer = getattr(nn, kind)(2, 2, bidirectional=True, dtype="float64")
    x = Tensor(np.random.randn(3, 2, 2))
    assert gradcheck(lambda x: layer(x, lengths=[3, 2])[0] ** 2, x, order=2, mode="random")


def test_whole_sequences_need_no_lengths() -> None:
    layer, x = nn.LSTM(3, 4, bidirectional=True), ndl.init.randn(4, 2, 3)
    with ndl.no_grad():
        np.testing.assert_array_equal(layer(x)[0].numpy(), layer(x, lengths=[4, 4])[0].numpy())
