"""Weighted sums of a few neighbours along an axis: interpolation and means of windows.

A table of neighbours is a pair of arrays (k, size): element i of the result is the sum of
weights[:, i] times the elements at places[:, i]. All of them count, also where a weight is 0, and
no others do: NaN and infinity reach the neighbours alone, which they would not in a product with a
matrix of weights.
"""

import math
from functools import cache
from typing import Any

import numpy as np

from ..autograd import AbstractArray, Array, Tensor, TensorOp

__all__ = ["Resample"]

Table = tuple[np.ndarray, np.ndarray]  # places, weights


class Resample(TensorOp):
    """Σ weights[k, i]·x[..., places[k, i], ...] over k, along an axis counted from the end.

    Operands: x; places and weights, those of the adjoint. Result i is 0 where places[0, i] is
    below 0, which `gaps` says may be; `gaps_of_adjoint` says it of the adjoint's places. Adjoint:
    the same op with the adjoint's table.

    Example:
        >>> import needle as ndl
        >>> places, weights = ndl.Tensor([[0, 1], [1, 2]]), ndl.Tensor([[1.0, 1.0], [1.0, 1.0]])
        >>> of_adjoint = ndl.Tensor([[0, 0, 1], [0, 1, 1]]), ndl.Tensor([[0.5, 1, 0.5]] * 2)
        >>> print(ndl.ops.Resample(-1)(ndl.Tensor([1.0, 2.0, 4.0]), places, weights, *of_adjoint))
        [3. 6.]
    """

    constant_operands = slice(1, None)

    def __init__(self, axis: int, gaps: bool = False, gaps_of_adjoint: bool = False) -> None:
        self.axis = axis
        self.gaps = gaps
        self.gaps_of_adjoint = gaps_of_adjoint

    def infer(self, x: Array, places: Array, *others: Array) -> AbstractArray:
        shape = list(x.shape)
        shape[self.axis] = places.shape[1]
        return AbstractArray(tuple(shape), x.dtype)

    def compute(self, x: Array, places: Array, weights: Array, *others: Array) -> Array:
        behind = x.shape[x.ndim + self.axis + 1 :]
        # for each element behind the axis: broadcasting over short rows takes longer
        factors = np.repeat(weights, math.prod(behind), axis=1).reshape((*weights.shape, *behind))
        total = np.take(x, places[0], axis=self.axis)
        total *= factors[0]
        for k in range(1, len(places)):
            part = np.take(x, places[k], axis=self.axis)
            part *= factors[k]
            total += part
        if self.gaps:
            total = np.where((places[0] < 0).reshape((-1, *[1] * len(behind))), 0, total)
        return total

    def gradient(self, out_grad: Tensor, node: Tensor) -> tuple[Tensor | None, ...]:
        places, weights, *of_adjoint = node.inputs[1:]
        op = _resample(self.axis, self.gaps_of_adjoint, self.gaps)
        found = Tensor.make_from_op(op, (out_grad, *of_adjoint, places, weights))
        return found, None, None, None, None

    def tangent(self, tangents: Any, node: Tensor) -> Tensor:
        return self(tangents[0], *node.inputs[1:])


_resample = cache(Resample)  # one instance for all calls with equal settings


def table_of_neighbours(
    targets: np.ndarray, sources: np.ndarray, weights: Any, size: int, length: int
) -> tuple[Table, Table]:
    """The table of a sum of weights·x[sources] at each of `targets`, and that of its adjoint.

    `size` and `length` are the lengths of the result and of x.
    """
    weights = np.broadcast_to(weights, targets.shape)
    # of one pair, weights of one sign are one weight, also for the products with infinity
    pairs = np.stack([targets, sources, np.sign(weights)])
    (targets, sources, _), found = np.unique(pairs, axis=1, return_inverse=True)
    weights = np.bincount(found, weights)
    targets, sources = targets.astype(np.int64), sources.astype(np.int64)
    return _table(targets, sources, weights, size), _table(sources, targets, weights, length)


def _table(targets: np.ndarray, sources: np.ndarray, weights: np.ndarray, size: int) -> Table:
    order = np.argsort(targets, kind="stable")
    targets, sources, weights = targets[order], sources[order], weights[order]
    counts = np.bincount(targets, minlength=size)
    rank = np.arange(len(targets)) - (np.cumsum(counts) - counts)[targets]
    shape = int(counts.max()), size
    places, factors = np.full(shape, -1), np.zeros(shape)
    places[rank, targets], factors[rank, targets] = sources, weights
    # where others have more sources, the first is there several times, with a share of its weight
    missing = np.arange(len(places))[:, None] >= counts
    factors[0] /= missing.sum(0) + (counts > 0)
    return np.where(missing, places[0], places), np.where(missing, factors[0], factors)


def resample(x: Tensor, tables: tuple[Table, Table], axis: int) -> Tensor:
    """Weighted sums of neighbours along an axis, by the tables of `table_of_neighbours`."""
    gaps = [bool((places[0] < 0).any()) for places, _ in tables]
    operands = [
        Tensor(array, device=x.device, dtype=dtype, requires_grad=False)
        for table in tables
        for array, dtype in zip(table, (np.int64, x.dtype), strict=True)
    ]
    return _resample(axis % x.ndim - x.ndim, *gaps)(x, *operands)
