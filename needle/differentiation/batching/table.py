"""Batching rules: how an op computes what it gives for each example of a batch, in one go.

A batch is a tensor whose axis 0 counts the examples; an op knows the axes behind it. `batched`
applies an op to operands of which some are batches, by the rule of its kind in the table `RULES`
below. A rule is written in ops on whole batches, so its result has derivatives of every order in
both modes. An op without a rule runs once for each example.
"""

from __future__ import annotations

import math
import string
from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import Any

from ...autograd import Tensor, TensorTuple
from ...ops import (
    Affine,
    ArgMax,
    ArgMin,
    ArgSort,
    BroadcastTo,
    Clone,
    Concatenate,
    Convolution,
    ConvolutionOfWeights,
    CumSum,
    Diagonal,
    Dilate,
    Einsum,
    Elementwise,
    Embedding,
    Flip,
    Fold,
    FusedAddScalars,
    GetItem,
    Identity,
    MakeTensorTuple,
    MatMul,
    Permute,
    Reduction,
    Reshape,
    ScatterAdd,
    Sort,
    Split,
    Stack,
    StopGradient,
    TakeAlongAxis,
    Transpose,
    TransposedConvolution,
    Tril,
    Triu,
    TupleGetItem,
    UnDilate,
    Unfold,
    WindowArgMax,
    WindowMax,
    WindowSum,
    add,
    broadcast_to,
    expand_dims,
    permute,
    reshape,
    squeeze,
    stack,
    transpose,
)  # fmt: skip
from ...ops.attention import Attention, _AttentionAdjoint, _KeptInBlocks
from ...ops.functions import ToDevice
from ...ops.kinds import normalize_axis
from ...ops.linalg.factorizations import SafeDivide
from ...ops.linalg.matrices import DiagonalMatrix
from ...ops.linalg.solve import MatrixErrors
from ...ops.losses import NegativeLogLikelihood, SoftmaxCrossEntropy, _SoftmaxMinusOneHot
from ...ops.normalization import BatchNorm, Normalize, _NormalizeAdjoint
from ...ops.picking import Put
from ...ops.pooling import WINDOW_ADJOINTS
from ...ops.random import DropoutMask, Kept
from ...ops.resampling import Resample
from . import images, indexing, layers
from .batches import Operand, aligned, by_loop, changed, full, shifted, widened

__all__ = ["RULES", "batched"]


Rule = Callable[[Any, Sequence[Operand], int], Any]


def batched(op: Any, operands: Sequence[Operand], size: int) -> Any:
    """The batch of what `op` gives for each of `size` examples, a tuple of batches for a tuple."""
    if op.is_random:  # it draws for each example, whatever its operands are
        operands = [Operand(full(operand, size), True) for operand in operands]
    try:
        result = _rule_of(op.__class__)(op, operands, size)
    except (ValueError, TypeError, IndexError):
        _explain(op, operands)
        raise
    return result.tuple() if isinstance(result, TensorTuple) else result


def _explain(op: Any, operands: Sequence[Operand]) -> None:
    """Raise the error that `op` has for one example, if it has one: with the shapes of that."""
    arrays = [operand.abstract() for operand in operands]
    try:
        op.compute(*arrays)
    except TypeError:  # the computation needs numbers
        return
    except (ValueError, IndexError) as cause:
        raise op._error(cause, arrays) from None


# --- rules of kinds


def _same(op: Any, operands: Sequence[Operand], size: int) -> Any:
    """The op itself, which does not mind one axis more in front."""
    return op(*[full(operand, size) for operand in operands])


def _aligned_by(*cores: int) -> Rule:
    """The op itself, which broadcasts all axes of each operand but the last `cores`."""

    def rule(op: Any, operands: Sequence[Operand], size: int) -> Any:
        each = cores if len(cores) == len(operands) else cores[:1] * len(operands)
        if any(len(operand.shape) < core for operand, core in zip(operands, each, strict=True)):
            raise ValueError("an operand lacks axes")
        return op(*aligned(operands, each))

    return rule


def _with_axes(*names: str) -> Rule:
    """The op with these parameters, axes of the first operand, one further back."""

    def rule(op: Any, operands: Sequence[Operand], size: int) -> Any:
        ndim = len(operands[0].shape)
        axes = {name: shifted(getattr(op, name), ndim) for name in names}
        return changed(op, **axes)(*[full(operand, size) for operand in operands])

    return rule


# --- rules of views


def _reshape(op: Any, operands: Sequence[Operand], size: int) -> Tensor:
    shape = op.compute(operands[0].abstract()).shape  # without -1
    return reshape(operands[0].value, (size, *shape))


def _broadcast_to(op: Any, operands: Sequence[Operand], size: int) -> Tensor:
    if len(operands[0].shape) > len(op.shape):
        raise ValueError("more axes than the shape")
    return broadcast_to(widened(operands[0], len(op.shape)), (size, *op.shape))


def _transpose(op: Any, operands: Sequence[Operand], size: int) -> Tensor:
    axes = (-2, -1) if op.axes is None else op.axes
    return transpose(operands[0].value, shifted(axes, len(operands[0].shape)))


def _permute(op: Any, operands: Sequence[Operand], size: int) -> Tensor:
    axes = shifted(op.axes, len(operands[0].shape))
    return permute(operands[0].value, (0, *axes))


def _diagonal_matrix(op: Any, operands: Sequence[Operand], size: int) -> Tensor:
    axis1, axis2 = shifted((op.axis1, op.axis2), len(op.shape))
    shape = (size, *op.shape)
    return changed(op, shape=shape, axis1=axis1, axis2=axis2)(operands[0].value)


def _triangle(op: Any, operands: Sequence[Operand], size: int) -> Tensor:
    (a,) = operands
    if len(a.shape) != 1:
        return _aligned_by(2)(op, operands, size)
    rows = broadcast_to(widened(a, 2), (size, *a.shape, *a.shape))  # as NumPy does
    return op(rows)


# --- rules of contractions


def _matmul(op: Any, operands: Sequence[Operand], size: int) -> Tensor:
    a, b = operands
    if min(len(a.shape), len(b.shape)) < 1 or (
        (op.transposes_a and len(a.shape) < 2) or (op.transposes_b and len(b.shape) < 2)
    ):
        raise ValueError("an operand lacks axes")
    is_row, is_column = len(a.shape) == 1, len(b.shape) == 1
    if is_column and not a.is_batched and len(a.shape) == 2:  # one product of two matrices
        return MatMul(False, not op.transposes_a)(b.value, a.value)
    if is_row:
        a = Operand(expand_dims(a.value, -2), a.is_batched)
    if is_column:
        b = Operand(expand_dims(b.value, -1), b.is_batched)
    product = _outer(op, a, b)
    if product is None:
        product = op(*aligned((a, b), (2, 2)))
    gone = [axis for axis, is_gone in ((-2, is_row), (-1, is_column)) if is_gone]
    return squeeze(product, gone) if gone else product


def _outer(op: Any, a: Operand, b: Operand) -> Tensor | None:
    """Products of columns and rows, which gradients of weights are, faster than as matrices."""
    inner = a.shape[-2 if op.transposes_a else -1], b.shape[-1 if op.transposes_b else -2]
    if inner != (1, 1) or not (a.is_batched and b.is_batched):
        return None
    column, row = aligned((a, b), (2, 2))
    column = transpose(column) if op.transposes_a else column
    return column * (transpose(row) if op.transposes_b else row)


def _affine(op: Any, operands: Sequence[Operand], size: int) -> Tensor:
    x, weight, bias = operands
    if len(weight.shape) != 2:
        raise ValueError("no matrix")
    is_shared = not (weight.is_batched or bias.is_batched)
    if is_shared and (len(x.shape) > 1 or len(bias.shape) < 2):
        return op(x.value, weight.value, bias.value)
    product = _matmul(MatMul(), (x, weight), size)
    is_batched = x.is_batched or weight.is_batched
    return add(*aligned((Operand(product, is_batched), bias), (0, 0)))


def _einsum(op: Any, operands: Sequence[Operand], size: int) -> Tensor:
    terms, result = op.subscripts.split("->")
    free = [letter for letter in string.ascii_letters if letter not in op.subscripts]
    if not free:
        return by_loop(op, operands, size)
    named = [
        free[0] * operand.is_batched + term
        for term, operand in zip(terms.split(","), operands, strict=True)
    ]
    return type(op)(f"{','.join(named)}->{free[0]}{result}")(*[each.value for each in operands])


# --- rules along an axis, and of tuples


def _argmax(op: Any, operands: Sequence[Operand], size: int) -> Tensor:
    (a,) = operands
    if op.axis is not None:
        return _with_axes("axis")(op, operands, size)
    flat = reshape(a.value, (size, math.prod(a.shape)))
    numbers = changed(op, axis=1, keepdims=False)(flat)
    return reshape(numbers, (size, *[1] * len(a.shape))) if op.keepdims else numbers


def _stack(op: Any, operands: Sequence[Operand], size: int) -> Tensor:
    tensors = full(operands[0], size)
    axis = normalize_axis(op.axis, max([each.ndim for each in tensors], default=0)) + 1
    return stack(tensors, axis)


def _make_tuple(op: Any, operands: Sequence[Operand], size: int) -> tuple[Tensor, ...]:
    return tuple([full(operand, size) for operand in operands])


def _tuple_get_item(op: Any, operands: Sequence[Operand], size: int) -> Tensor:
    return operands[0].value[op.index]


def _resample(op: Any, operands: Sequence[Operand], size: int) -> Any:
    """The op itself, whose axis is counted from the end; the tables are the same for all."""
    x, *tables = operands
    if any(table.is_batched for table in tables):
        return by_loop(op, operands, size)
    return op(full(x, size), *[table.value for table in tables])


_along_axis = _with_axes("axis")
_along_axes = _with_axes("axes")

RULES: dict[Any, Rule] = {
    # kinds, for the ops of users, too
    Elementwise: _aligned_by(0),
    Reduction: _along_axes,
    # views
    Clone: _same,
    Identity: _same,
    StopGradient: _same,
    Reshape: _reshape,
    BroadcastTo: _broadcast_to,
    Transpose: _transpose,
    Permute: _permute,
    Flip: _along_axes,
    Diagonal: _with_axes("axis1", "axis2"),
    # contractions
    MatMul: _matmul,
    Affine: _affine,
    Einsum: _einsum,
    Convolution: images.convolution,
    TransposedConvolution: images.convolution,
    ConvolutionOfWeights: images.convolution_of_weights,
    Resample: _resample,
    # windows over images
    **dict.fromkeys(
        (Fold, Unfold, WindowArgMax, WindowMax, WindowSum, *WINDOW_ADJOINTS), images.windows
    ),
    Dilate: _along_axes,
    UnDilate: _along_axes,
    # indexing
    GetItem: indexing.getitem,
    Put: indexing.put,
    ScatterAdd: indexing.scatter_add,
    Embedding: indexing.embedding,
    # along one axis
    ArgMax: _argmax,
    ArgMin: _argmax,
    ArgSort: _along_axis,
    Concatenate: _along_axis,
    CumSum: _along_axis,
    Sort: _along_axis,
    Split: _along_axis,
    TakeAlongAxis: _along_axis,
    # tuples
    FusedAddScalars: _same,
    MakeTensorTuple: _make_tuple,
    Stack: _stack,
    TupleGetItem: _tuple_get_item,
    # linear algebra
    MatrixErrors: _aligned_by(2),
    SafeDivide: _aligned_by(2, 2, 1),
    DiagonalMatrix: _diagonal_matrix,
    Tril: _triangle,
    Triu: _triangle,
    # layers and losses
    BatchNorm: by_loop,
    Normalize: layers.normalize,
    _NormalizeAdjoint: layers.normalize_adjoint,
    Attention: layers.attention,
    _AttentionAdjoint: layers.attention_adjoint,
    _KeptInBlocks: _same,
    SoftmaxCrossEntropy: layers.cross_entropy,
    _SoftmaxMinusOneHot: layers.cross_entropy_adjoint,
    NegativeLogLikelihood: layers.log_likelihood,
    DropoutMask: _same,
    Kept: _same,
    ToDevice: _same,
}


KINDS = (Elementwise, Reduction, MatrixErrors)
"""Their rules hold for all ops of the kind, the others for ops with the same `compute`."""


@lru_cache(1024)
def _rule_of(kind: Any) -> Rule:
    """The rule of the first class in the order of inheritance that has one."""
    for base in kind.__mro__:
        if base in RULES and (base in KINDS or kind.compute is base.compute):
            return RULES[base]
    return by_loop
