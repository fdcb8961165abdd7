"""The gradient of tensors by tensors, from the graph that is there: PyTorch's autograd.grad."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ..autograd import Tensor, compute_adjoints, find_topo_sort, modes
from ..ops.kinds import constant_like, or_zeros

__all__ = ["gradients"]


def gradients(
    outputs: Any,
    inputs: Any = None,
    grad_outputs: Any = None,
    retain_graph: bool | None = None,
    create_graph: bool = False,
    allow_unused: bool = False,
    materialize_grads: bool = False,
    only_inputs: bool = True,
) -> tuple[Any, ...]:
    """What `grad` gives for tensors, see there."""
    ys, xs = _tensors("outputs", outputs), _tensors("inputs", inputs)
    for index, x in enumerate(xs):
        if not x.requires_grad:
            raise RuntimeError(f"grad: inputs[{index}] of shape {x.shape} requires no gradient")
    for index, y in enumerate(ys):
        if not y.requires_grad:
            raise RuntimeError(
                f"grad: outputs[{index}] of shape {y.shape} has no graph: it requires no gradient, "
                "because no input did or because it was made under no_grad() or by detach()"
            )
    adjoints = [
        _adjoint_of(index, y, given)
        for index, (y, given) in enumerate(zip(ys, _given(ys, grad_outputs), strict=True))
    ]
    with modes.enable_grad(create_graph):
        found = _adjoints(ys, adjoints, xs)
    if materialize_grads:
        return tuple(or_zeros(found, xs))
    for index, gradient in enumerate(found):
        if gradient is None and not allow_unused:
            raise RuntimeError(
                f"grad: no output depends on inputs[{index}] of shape {xs[index].shape}: "
                "allow_unused=True gives None for it, materialize_grads=True zeros"
            )
    return tuple(found)


def _adjoints(
    ys: Sequence[Tensor], adjoints: Sequence[Tensor], xs: Sequence[Tensor]
) -> list[Tensor | None]:
    """The adjoint of each of xs, some of which may depend on others: what flows on counts, too."""
    above = [x for x in xs if x.inputs and not set(xs).isdisjoint(find_topo_sort([x])[:-1])]
    first = [x for x in xs if x not in set(above)]
    found = dict(zip(first, compute_adjoints(ys, adjoints, first), strict=True))
    for x in above:  # one by one, because a walk ends at what it looks for
        (found[x],) = compute_adjoints(ys, adjoints, [x])
    return [found[x] for x in xs]


def _tensors(what: str, given: Any) -> list[Tensor]:
    tensors = [given] if isinstance(given, Tensor) else given
    if not isinstance(tensors, list | tuple) or not all(isinstance(x, Tensor) for x in tensors):
        kind = type(given).__name__
        raise TypeError(
            f"grad takes a function, or tensors and the tensors to differentiate them by, "
            f"grad(y, x): {what} is {'missing' if given is None else 'a ' + kind}"
        )
    return list(tensors)


def _given(outputs: Sequence[Tensor], grad_outputs: Any) -> Sequence[Any]:
    if grad_outputs is None:
        return [None] * len(outputs)
    given = grad_outputs if isinstance(grad_outputs, list | tuple) else [grad_outputs]
    if len(given) != len(outputs):
        raise ValueError(f"grad: {len(given)} grad_outputs for {len(outputs)} outputs")
    return given


def _adjoint_of(index: int, output: Tensor, given: Any) -> Tensor:
    if given is None:
        if output.size != 1:
            raise RuntimeError(
                f"grad: outputs[{index}] has shape {output.shape}: give its adjoint in "
                "grad_outputs, or sum it"
            )
        return constant_like(output, 1)
    if not isinstance(given, Tensor):
        given = Tensor(given, device=output.device, dtype=output.dtype, requires_grad=False)
    if given.shape != output.shape:
        raise ValueError(
            f"grad: grad_outputs[{index}] of shape {given.shape} for an output of {output.shape}"
        )
    return given
