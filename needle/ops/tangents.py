"""Forward mode: the tangent of an op, derived from its gradient.

The adjoint map of an op, g ↦ gradient(g), is linear in g. Its transpose maps the tangents of the
inputs to the tangent of the result, and transposing a linear map is differentiating it: so an op
with `compute` and `gradient` alone has a tangent. Where the derivative is diagonal (elementwise
ops) or the op itself is linear, the rule is one line instead.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np

from ..autograd import Tensor, TensorTupleOp, Value, compute_adjoints, modes
from ..autograd.changes import tick
from ..autograd.op import Op
from .kinds import Elementwise, or_zeros
from .tuples import make_tuple

__all__: list[str] = []


def _derived_tangent(op: Op, tangents: Sequence[Any], node: Any) -> Any:
    """The derivative of <gradient(g), tangents> with respect to g, which occurs linearly."""
    moving = {index for index, tangent in enumerate(tangents) if tangent is not None}
    records = _is_recorded(node, tangents)
    with modes.enable_grad():
        view = _with_moving_inputs(node, moving)
        entries = node.realize_cached_data()
        is_tuple = isinstance(op, TensorTupleOp)
        dummies = [
            Tensor.make_const(np.zeros_like(entry), requires_grad=True)
            for entry in (entries if is_tuple else [entries])
        ]
        out_grad = make_tuple(*dummies) if is_tuple else dummies[0]
        adjoints = op.gradient_as_tuple(out_grad, view)
    pairs = [(adjoints[i], tangents[i]) for i in moving if adjoints[i] is not None]
    with modes.enable_grad(records):
        results = compute_adjoints(
            [adjoint for adjoint, _ in pairs], [tangent for _, tangent in pairs], dummies
        )
    if all(result is None for result in results):
        return None
    filled = or_zeros(results, dummies)
    return make_tuple(*filled) if is_tuple else filled[0]


def _diagonal_tangent(op: Op, tangents: Sequence[Any], node: Any) -> Any:
    """Σ ∂y/∂xᵢ·tᵢ: a diagonal derivative is its own transpose, so `gradient` applies it."""
    total = None
    shape = node.shape
    with modes.enable_grad(_is_recorded(node, tangents)):
        for index, tangent in enumerate(tangents):
            if tangent is None:
                continue
            if tangent.shape != shape:
                tangent = tangent.broadcast_to(shape)
            partials = op.gradient(tangent, _with_moving_inputs(node, {index}))
            partial = partials[index] if isinstance(partials, tuple) else partials
            if partial is not None:
                total = partial if total is None else total + partial
    return total


def _is_recorded(node: Value, tangents: Sequence[Any]) -> bool:
    values = [*node.inputs, *(tangent for tangent in tangents if tangent is not None)]
    return modes.grad_enabled.get() and any(value.requires_grad for value in values)


def _with_moving_inputs(node: Any, moving: set[int]) -> Any:
    """`node` as its op's `gradient` should see it: the moving inputs require a gradient."""
    if all(node.inputs[index].requires_grad for index in moving):
        return node
    view = _copy(node)
    inputs = list(node.inputs)
    for index in moving:
        if not inputs[index].requires_grad:
            inputs[index] = _copy(inputs[index])
            inputs[index].requires_grad = True
    view.inputs = tuple(inputs)
    return view


def _copy(value: Value) -> Any:
    """The same node as another object, with what transformations attached to it."""
    copy = type(value).make_const(value.cached_data, value.requires_grad)
    copy.op = value.op
    copy.inputs = value.inputs
    copy.made = tick()
    copy.__dict__.update(value.__dict__)
    return copy


Op.tangent = _derived_tangent
Elementwise.tangent = _diagonal_tangent
