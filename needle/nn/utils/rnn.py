"""Sequences of different lengths in one batch: padded to the longest, or packed without padding."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from ...autograd import Tensor
from ...ops import concatenate, getitem, swapaxes, where
from ...ops.indexing import ARRAY, ScatterAdd
from ..checks import check_tensor, numbers_of

__all__ = [
    "PackedSequence", "pack_padded_sequence", "pack_sequence", "pad_packed_sequence",
    "pad_sequence", "unpack_sequence", "unpad_sequence",
]  # fmt: skip


class PackedSequence(NamedTuple):
    """The steps of sequences sorted by length, one step of all sequences after another.

    Attributes:
        data: (Σ lengths, ...).
        batch_sizes: (longest,), how many sequences have each step.
        sorted_indices: (batch,), the sequences from the longest to the shortest; None where they
            were sorted.
        unsorted_indices: (batch,), the place of each sequence among them.

    Example:
        >>> import needle as ndl
        >>> from needle.nn.utils.rnn import pack_sequence
        >>> packed = pack_sequence([ndl.Tensor([1, 2, 3]), ndl.Tensor([4, 5])])
        >>> packed.data.tolist(), packed.batch_sizes.tolist()
        ([1, 4, 2, 5, 3], [2, 2, 1])
    """

    data: Tensor
    batch_sizes: Tensor
    sorted_indices: Tensor | None = None
    unsorted_indices: Tensor | None = None

    def lengths(self) -> np.ndarray:
        """The lengths of the sequences, in their original order."""
        sizes = _numbers(self.batch_sizes)
        lengths = (sizes > np.arange(sizes[0])[:, None]).sum(1)
        if self.unsorted_indices is None:
            return lengths
        return lengths[_numbers(self.unsorted_indices)]

    def places(self) -> tuple[np.ndarray, np.ndarray]:
        """The step and the sequence of each row of `data`."""
        sizes = _numbers(self.batch_sizes)
        steps = np.repeat(np.arange(len(sizes)), sizes)
        sequences = np.concatenate([np.arange(size) for size in sizes])
        if self.sorted_indices is not None:
            sequences = _numbers(self.sorted_indices)[sequences]
        return steps, sequences

    def with_data(self, data: Tensor) -> PackedSequence:
        """The same sequences with other data."""
        return self._replace(data=data)


def pack_padded_sequence(
    x: Tensor, lengths: Any, batch_first: bool = False, enforce_sorted: bool = True
) -> PackedSequence:
    """Pack padded sequences (steps, batch, ...), or (batch, steps, ...) with `batch_first`.

    Args:
        x: a Tensor.
        lengths: (batch,), from 1 to steps.
        batch_first: whether the batch is the first axis.
        enforce_sorted: whether lengths that do not decrease are a ValueError; otherwise the
            sequences are sorted, and come back in their own order.

    Example:
        >>> import needle as ndl
        >>> from needle.nn.utils.rnn import pack_padded_sequence
        >>> x = ndl.Tensor([[1, 0], [2, 3]])
        >>> pack_padded_sequence(x, [1, 2], batch_first=True, enforce_sorted=False).data.tolist()
        [2, 1, 3]
    """
    check_tensor("pack_padded_sequence", x)
    if x.ndim < 2:
        raise ValueError(f"pack_padded_sequence expected (steps, batch, ...), got {x.shape}")
    if batch_first:
        x = swapaxes(x, 0, 1)
    numbers = _checked_lengths(lengths, x.shape[0], x.shape[1])
    order = None
    if not enforce_sorted:
        order = np.argsort(-numbers, kind="stable")
    elif (np.diff(numbers) > 0).any():
        raise ValueError(
            f"pack_padded_sequence: lengths {numbers.tolist()} are not sorted from the longest to "
            "the shortest: sort the sequences, or pass enforce_sorted=False"
        )
    sizes = (numbers > np.arange(numbers.max())[:, None]).sum(1)
    packed = PackedSequence(
        x,
        _constant(sizes),
        None if order is None else _constant(order),
        None if order is None else _constant(np.argsort(order)),
    )
    return packed.with_data(getitem(x, packed.places()))


def pad_packed_sequence(
    sequence: PackedSequence,
    batch_first: bool = False,
    padding_value: float = 0.0,
    total_length: int | None = None,
) -> tuple[Tensor, Tensor]:
    """The inverse of `pack_padded_sequence`: (padded sequences, their lengths).

    `padding_value` fills what is beyond a length; `total_length` is the number of steps, by default
    that of the longest sequence.

    Example:
        >>> import needle as ndl
        >>> from needle.nn.utils.rnn import pack_sequence, pad_packed_sequence
        >>> packed = pack_sequence([ndl.Tensor([1, 2, 3]), ndl.Tensor([4, 5])])
        >>> padded, lengths = pad_packed_sequence(packed, batch_first=True)
        >>> padded.tolist(), lengths.tolist()
        ([[1, 2, 3], [4, 5, 0]], [3, 2])
    """
    if not isinstance(sequence, PackedSequence):
        kind = type(sequence).__name__
        raise TypeError(f"pad_packed_sequence takes a PackedSequence, got {kind}")
    lengths = sequence.lengths()
    longest = int(lengths.max())
    if total_length is not None and total_length < longest:
        raise ValueError(
            f"pad_packed_sequence: total_length={total_length} for a sequence of {longest} steps"
        )
    steps = total_length or longest
    padded = _placed(sequence.data, sequence.places(), (steps, len(lengths)))
    padded = _filled(padded, lengths, padding_value)
    return swapaxes(padded, 0, 1) if batch_first else padded, _constant(lengths)


def pad_sequence(
    sequences: Sequence[Tensor],
    batch_first: bool = False,
    padding_value: float = 0.0,
    padding_side: str = "right",
) -> Tensor:
    """Sequences (steps, ...) side by side, (longest, batch, ...), the shorter ones padded.

    With `batch_first`, (batch, longest, ...). `padding_side` is "right" or "left".

    Example:
        >>> import needle as ndl
        >>> from needle.nn.utils.rnn import pad_sequence
        >>> print(pad_sequence([ndl.Tensor([1, 2, 3]), ndl.Tensor([4])], batch_first=True))
        [[1 2 3]
         [4 0 0]]
    """
    lengths = _lengths_of("pad_sequence", sequences)
    if padding_side not in ("left", "right"):
        raise ValueError(f"padding_side must be 'left' or 'right', got {padding_side!r}")
    longest = max(lengths)
    is_left = padding_side == "left"
    starts = [longest - length if is_left else 0 for length in lengths]
    pairs = list(zip(starts, lengths, strict=True))
    steps = np.concatenate([np.arange(start, start + length) for start, length in pairs])
    numbers = np.repeat(np.arange(len(lengths)), lengths)
    padded = _placed(concatenate(sequences), (steps, numbers), (longest, len(lengths)))
    padded = _filled(padded, np.asarray(lengths), padding_value, is_left)
    return swapaxes(padded, 0, 1) if batch_first else padded


def unpad_sequence(padded: Tensor, lengths: Any, batch_first: bool = False) -> list[Tensor]:
    """The inverse of `pad_sequence`: a list of sequences (steps, ...).

    Example:
        >>> import needle as ndl
        >>> from needle.nn.utils.rnn import unpad_sequence
        >>> padded = ndl.Tensor([[1, 2, 3], [4, 0, 0]])
        >>> [each.tolist() for each in unpad_sequence(padded, [3, 1], batch_first=True)]
        [[1, 2, 3], [4]]
    """
    check_tensor("unpad_sequence", padded)
    rows = padded if batch_first else swapaxes(padded, 0, 1)
    numbers = _checked_lengths(lengths, rows.shape[1], rows.shape[0])
    return [rows[index, :length] for index, length in enumerate(numbers.tolist())]


def pack_sequence(sequences: Sequence[Tensor], enforce_sorted: bool = True) -> PackedSequence:
    """Pack a list of sequences (steps, ...): see `pack_padded_sequence`.

    Example:
        >>> import needle as ndl
        >>> from needle.nn.utils.rnn import pack_sequence
        >>> pack_sequence([ndl.Tensor([1, 2, 3]), ndl.Tensor([4, 5])]).data.tolist()
        [1, 4, 2, 5, 3]
    """
    lengths = _lengths_of("pack_sequence", sequences)
    return pack_padded_sequence(pad_sequence(sequences), lengths, enforce_sorted=enforce_sorted)


def unpack_sequence(packed_sequences: PackedSequence) -> list[Tensor]:
    """The inverse of `pack_sequence`: a list of sequences (steps, ...).

    Example:
        >>> import needle as ndl
        >>> from needle.nn.utils.rnn import pack_sequence, unpack_sequence
        >>> packed = pack_sequence([ndl.Tensor([1, 2, 3]), ndl.Tensor([4, 5])])
        >>> [each.tolist() for each in unpack_sequence(packed)]
        [[1, 2, 3], [4, 5]]
    """
    return unpad_sequence(*pad_packed_sequence(packed_sequences))


def _placed(rows: Tensor, places: tuple[np.ndarray, np.ndarray], shape: tuple[int, ...]) -> Tensor:
    """Zeros with rows at their places."""
    op = ScatterAdd((ARRAY, ARRAY), (*shape, *rows.shape[1:]))
    return op(rows, *map(_constant, places))


def _filled(padded: Tensor, lengths: np.ndarray, value: float, is_left: bool = False) -> Tensor:
    if not value:
        return padded
    steps = np.arange(padded.shape[0])[:, None]
    is_inside = steps >= padded.shape[0] - lengths if is_left else steps < lengths
    is_inside = is_inside.reshape((*is_inside.shape, *[1] * (padded.ndim - 2)))
    return where(_constant(is_inside), padded, value)


def _lengths_of(function: str, sequences: Sequence[Tensor]) -> list[int]:
    if isinstance(sequences, Tensor) or not len(sequences):
        raise ValueError(f"{function} takes a list of at least one Tensor")
    for index, each in enumerate(sequences):
        check_tensor(function, each)
        if not each.ndim or each.shape[1:] != sequences[0].shape[1:]:
            raise ValueError(
                f"{function} expected sequences (steps, ...) that differ in their steps only, got "
                f"{sequences[0].shape} and, at {index}, {each.shape}"
            )
    return [each.shape[0] for each in sequences]


def _checked_lengths(lengths: Any, steps: int, batch: int) -> np.ndarray:
    numbers = _numbers(lengths)
    if numbers.shape != (batch,):
        raise ValueError(f"expected {batch} lengths, one per sequence, got {numbers.shape}")
    for place, length in enumerate(numbers.tolist()):
        if length != int(length) or not 1 <= length <= steps:
            raise ValueError(
                f"sequence {place} has length {length}: the lengths of sequences in a batch of "
                f"{steps} steps are whole numbers from 1 to {steps}"
            )
    return numbers.astype(np.int64)


def _numbers(values: Any) -> np.ndarray:
    return numbers_of(values, "call layers with padded sequences, layer(x, lengths=lengths)")


def _constant(numbers: np.ndarray) -> Tensor:
    return Tensor(numbers, requires_grad=False)
