"""Connectionist temporal classification (Graves et al. 2006): labels of unaligned sequences.

The states of a target of n labels are the labels with blanks before, between and after them, 2n + 1
in all. A path starts at one of the first two, stays, goes on to the next state, or over a blank
between different labels, and ends at one of the last two.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from typing import Any, NamedTuple

import numpy as np

from ..autograd import AbstractArray, Array, Tensor, TensorOp, TensorTupleOp
from ..device import to_numpy
from .arithmetic import maximum, where
from .composed import adjoints_of_adjoints
from .indexing import concatenate
from .kinds import check_whole_numbers, constant_like
from .picking import take_along_axis
from .reductions import logsumexp
from .tuples import stack

__all__ = ["TemporalClassification"]

_NEVER = -1e30  # the logarithm of 0, with which differences are numbers


class _States(NamedTuple):
    """What the paths through the states of a batch of targets depend on."""

    labels: Array  # (batch, states)
    skips: (
        Array  # (batch, states), 0 where a path may come from the state before the last, or -1e30
    )
    first: Array  # (states,), 0 for those where paths start, else -1e30
    last: Array  # (batch, states), 0 for those where paths end
    active: Array  # (steps, batch, 1), which steps are part of the sequences
    ends: Array  # (steps, batch, 1), the last of them


class TemporalClassification(TensorTupleOp):
    """(losses, shares): -ln of the sum over all paths of Π exp(l) for log-probabilities l.

    Operands: l (steps, batch, classes), labels (batch, length), the lengths of the sequences and of
    the targets (batch,). `shares` is the probability of each class in each step, given the target;
    the adjoint of l is -g·shares.
    """

    materialize_grads = False  # the second output is for the gradient alone
    constant_operands = slice(1, None)

    def __init__(self, blank: int = 0) -> None:
        self.blank = blank

    def check(self, scores: Array, labels: Array, lengths: Array, sizes: Array) -> None:
        """Raise unless lengths fit and labels are classes other than the blank."""
        steps, _, classes = scores.shape
        expected = "CTCLoss: {} are whole numbers"
        for name, numbers, least, most in (
            ("input_lengths", lengths, 1, steps),
            ("target_lengths", sizes, 0, labels.shape[1]),
        ):
            check_whole_numbers(numbers, expected.format(name))
            found = to_numpy(numbers)
            if ((found < least) | (found > most)).any():
                place = int(np.argmax((found < least) | (found > most)))
                raise ValueError(
                    f"CTCLoss: {name} are from {least} to {most}, got {found[place]} for sequence "
                    f"{place}"
                )
        check_whole_numbers(labels, expected.format("targets"))
        found = to_numpy(labels)
        is_used = np.arange(labels.shape[1]) < to_numpy(sizes)[:, None]
        wrong = is_used & ((found < 0) | (found >= classes) | (found == self.blank))
        if wrong.any():
            index = tuple(np.argwhere(wrong)[0].tolist())
            raise ValueError(
                f"CTCLoss: targets are classes from 0 to {classes - 1} other than the blank, "
                f"{self.blank}, got {found[index]} at {index}"
            )

    def _error(self, cause: Exception, arrays: Sequence[Array]) -> Exception:
        return cause

    def infer(self, *arrays: Array) -> tuple[Array, Array]:
        scores = arrays[0]
        return AbstractArray(scores.shape[1:2], scores.dtype), scores

    def compute(
        self, scores: Array, labels: Array, lengths: Array, sizes: Array
    ) -> tuple[Array, Array]:
        states = self._states(scores, labels, lengths, sizes)
        steps, _, classes = scores.shape
        shape = (steps, *states.labels.shape)
        emitted = np.take_along_axis(scores, np.broadcast_to(states.labels, shape), 2)
        emitted = np.maximum(emitted, _NEVER)  # there is no difference of infinities
        forward = np.empty_like(emitted, order="C")
        forward[0] = emitted[0] + states.first
        for step in range(1, steps):
            ahead = _sum_of_paths(forward[step - 1], states.skips, 1) + emitted[step]
            forward[step] = np.where(states.active[step], ahead, forward[step - 1])
        total = _log_sum(forward[-1] + states.last)
        # backward[step] leaves out what the step itself emits
        backward = np.broadcast_to(states.last, shape).copy()
        for step in range(steps - 2, -1, -1):
            ahead = _sum_of_paths(backward[step + 1] + emitted[step + 1], states.skips, -1)
            backward[step] = np.where(states.ends[step], states.last, ahead)
        is_possible = total > _NEVER / 2
        forward += backward
        forward -= total
        shares = np.exp(np.where(states.active & is_possible, forward, _NEVER))
        picked = states.labels[:, :, None] == np.arange(classes, like=states.labels)
        by_class = np.matmul(np.swapaxes(shares, 0, 1), picked.astype(scores.dtype))
        losses = np.where(is_possible, -total, np.inf)[:, 0]
        return losses, np.swapaxes(by_class, 0, 1)

    def gradient(self, out_grad: Any, node: Any) -> tuple[Tensor | None, None, None, None]:
        of_scores = Tensor.make_from_op(_adjoint(self.blank), (out_grad[0], *node.inputs, node))
        return of_scores, None, None, None

    def composed(self, operands: Sequence[Tensor]) -> list[Tensor]:
        """The losses in small ops; a target that does not fit has a large one."""
        scores = operands[0]
        arrays = [each.realize_cached_data() for each in operands]
        states = _States(*map(Tensor.make_const, self._states(*arrays)))
        shape = (scores.shape[0], *states.labels.shape)
        emitted = maximum(take_along_axis(scores, states.labels.broadcast_to(shape), 2), _NEVER)
        paths = emitted[0] + states.first
        absent = constant_like(paths, _NEVER)
        for step in range(1, shape[0]):
            by_one = concatenate([absent[:, :1], paths[:, :-1]], 1)
            by_two = concatenate([absent[:, :2], paths[:, :-2]], 1)[:, : shape[2]] + states.skips
            ahead = logsumexp(stack([paths, by_one, by_two]), 0) + emitted[step]
            paths = where(states.active[step], ahead, paths)
        return [-logsumexp(paths + states.last, 1)]

    def _states(self, scores: Array, labels: Array, lengths: Array, sizes: Array) -> _States:
        batch, count = labels.shape
        numbers = np.arange(2 * count + 1, like=labels)
        is_label = numbers % 2 == 1
        padded = np.zeros_like(labels, shape=(batch, count + 1), dtype=np.int64)
        is_used = np.arange(count, like=labels) < sizes[:, None]
        padded[:, :count] = np.where(is_used, labels, self.blank)
        labels = np.where(is_label, padded[:, numbers // 2], self.blank)
        before = np.zeros_like(labels) + self.blank
        before[:, 2:] = labels[:, :-2]
        steps = np.arange(scores.shape[0], like=lengths)[:, None]
        ends = 2 * sizes[:, None]

        def zero_where(condition: Array) -> Array:
            return np.where(condition, 0, _NEVER).astype(scores.dtype)

        return _States(
            labels,
            zero_where(is_label & (labels != before)),
            zero_where(numbers < 2),
            zero_where((numbers == ends) | (numbers == ends - 1)),
            (steps < lengths)[:, :, None],
            (steps >= lengths - 1)[:, :, None],
        )


class _Adjoint(TensorOp):
    """The adjoint of the log-probabilities: -g·shares."""

    def __init__(self, blank: int) -> None:
        self.blank = blank

    def compute(self, g: Array, scores: Array, *others: Any) -> Array:
        return others[-1][1] * -g[:, None]

    def gradient(self, out_grad: Tensor, node: Any) -> tuple[Any, ...]:
        g, *operands, _ = node.inputs
        losses = TemporalClassification(self.blank).composed
        found = adjoints_of_adjoints(losses, [g], operands, [0], [out_grad])
        return *found, None


_adjoint = cache(_Adjoint)  # one instance for all calls


def _sum_of_paths(before: Array, skips: Array, direction: int) -> Array:
    """ln Σ exp of the states from which a path comes; with direction -1, to which it goes."""
    by_one, by_two = np.full_like(before, _NEVER), np.full_like(before, _NEVER)
    if direction > 0:
        by_one[:, 1:] = before[:, :-1]
        by_two[:, 2:] = before[:, :-2]
        by_two += skips
    else:
        by_one[:, :-1] = before[:, 1:]
        by_two[:, :-2] = (before + skips)[:, 2:]
    largest = np.maximum(np.maximum(before, by_one), by_two)
    total = np.exp(before - largest)
    total += np.exp(by_one - largest)
    total += np.exp(by_two - largest)
    return np.log(total) + largest


def _log_sum(paths: Array) -> Array:
    """ln Σ exp over the states, (batch, 1)."""
    largest = paths.max(axis=1, keepdims=True)
    return np.log(np.exp(paths - largest).sum(axis=1, keepdims=True)) + largest
