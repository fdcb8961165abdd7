"""Reverse mode: one walk over the graph, from the outputs to what they were made of."""

from __future__ import annotations

import operator
import sys
import warnings
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from . import modes
from .changes import gradient_of_changed, last_change

if TYPE_CHECKING:
    from .value import Value

__all__ = [
    "RETAINED", "GradientReplacedWarning", "Stored", "calls_inside_needle", "check_used",
    "clear_gradients", "compute_adjoints", "compute_gradient_of_variables", "find_topo_sort",
    "leaves_early", "transforms",
]  # fmt: skip


def find_topo_sort(node_list: Sequence[Value], known: Sequence[Value] = ()) -> list[Value]:
    """All values that `node_list` depends on, inputs first: depth-first post-order.

    `known` values, and what only they depend on, are left out.

    Example:
        >>> import needle as ndl
        >>> x = ndl.Tensor([1.0])
        >>> y = x * 2 + x
        >>> [type(value.op).__name__ for value in ndl.autograd.find_topo_sort([y])]
        ['NoneType', 'MulScalar', 'EWiseAdd']
    """
    order: list[Value] = []
    seen: set[Value] = set(known)
    stack: list[Any] = list(reversed(node_list))
    while stack:
        node = stack.pop()
        if node is None:  # everything that the value below it depends on is in the order
            order.append(stack.pop())
        elif node not in seen:
            seen.add(node)
            if node.inputs:
                stack += (node, None)
                stack += node.inputs[::-1]
            else:
                order.append(node)
    return order


RETAINED = "retained"
"""The key among a value's hooks that has `backward` store its gradient, after all hooks."""


class GradientReplacedWarning(UserWarning):
    """`backward` replaced a gradient that was never read: it stores gradients and does not add.

    Example:
        >>> import needle as ndl
        >>> issubclass(ndl.GradientReplacedWarning, UserWarning)
        True
    """


class Stored:
    """Gradients that one call stored: whether any of them was read or reset since.

    In a recorded step each gradient has its own: `is_stepped` if an optimizer has used it.
    """

    __slots__ = ("is_stepped", "is_used")

    def __init__(self, is_used: bool = False) -> None:
        self.is_used, self.is_stepped = is_used, False


transforms: list[Callable[[list[Value], Iterator[Any]], Iterator[Any]]] = []
"""Each takes the values that `backward` is about to visit, the last one first, and the leaves with
their adjoints as they are found, and yields leaves with adjoints to store. It may reorder the
values before it takes the first leaf."""


def leaves_early(order: list[Value]) -> None:
    """Reorder values so that a leaf is visited as soon as its adjoint is complete."""
    placed: set[Value] = set()
    early: list[Value] = []
    for node in order:
        if node.op is None:
            continue
        for operand in node.inputs:  # of which `node` is the oldest user
            if operand.requires_grad and operand.op is None and operand not in placed:
                placed.add(operand)
                early.append(operand)
        early.append(node)
    order[:] = [node for node in order if node.op is None and node not in placed] + early


def compute_gradient_of_variables(output_tensor: Value, out_grad: Value) -> None:
    """Store the gradient of `output_tensor` in `.grad` of the leaves that require it.

    It replaces a former gradient, by None for a leaf that no adjoint reaches; in a block of
    `accumulate_gradients()` it is added. Gradients share no memory with each other or with
    `out_grad`.

    Example:
        >>> import needle as ndl
        >>> x = ndl.Tensor([1.0, 2.0])
        >>> y = x * x
        >>> ndl.autograd.compute_gradient_of_variables(y, ndl.init.ones(2))
        >>> print(x.grad)
        [2. 4.]
    """
    order = _by_age([output_tensor])
    accumulate, effects = modes.accumulate.get(), modes.effects.get()
    stored = Stored()
    taken = {_memory(out_grad)}
    leaves = _walk_back({output_tensor: out_grad}, order)
    for function in transforms:
        leaves = function(order, leaves)
    for leaf, adjoint in leaves:
        if adjoint is None:
            if not accumulate:
                leaf.grad = None
            continue
        gradient = _in_precision_of(leaf, adjoint)
        if effects is not None:
            stored = Stored()
            if accumulate:
                effects.accumulate(leaf)
        if leaf._grad is not None:
            if accumulate:
                gradient = leaf._grad + gradient
            else:
                check_used(leaf)
        if (memory := _memory(gradient)) in taken:
            gradient = copied(gradient)
            memory = _memory(gradient)
        taken.add(memory)
        leaf._grad, leaf._stored = gradient, stored


def check_used(leaf: Value) -> None:
    """Warn if nothing has used the gradient of `leaf`, which is about to be replaced."""
    stored = leaf._stored
    if not (stored.is_used or stored.is_stepped):
        stored.is_used = True
        warnings.warn(_REPLACED, GradientReplacedWarning, stacklevel=calls_inside_needle())


def calls_inside_needle() -> int:
    """The `stacklevel` that shows a warning at the user's line."""
    frame, level = sys._getframe(1), 1
    while frame.f_back is not None and frame.f_globals["__name__"].startswith("needle."):
        frame, level = frame.f_back, level + 1
    return level


_REPLACED = (
    "backward() replaces gradients of a former backward() that nothing has read. To add them up, "
    "call backward(accumulate=True) or use needle.accumulate_gradients(); otherwise reset them "
    "with optimizer.reset_grad() first"
)


def clear_gradients(leaves: Iterable[Value], set_to_none: bool = True) -> None:
    """Set the gradients of `leaves` to None, or those that exist to zeros.

    Example:
        >>> import needle as ndl
        >>> x = ndl.Tensor([1.0])
        >>> (x * 2).backward()
        >>> ndl.autograd.clear_gradients([x])
        >>> x.grad is None
        True
    """
    if (effects := modes.effects.get()) is not None:
        effects.clear(leaves := list(leaves))
    for leaf in leaves:
        leaf._stored.is_used = True
        if set_to_none:
            leaf._grad = None
        elif leaf.grad is not None:
            leaf.grad = leaf.grad.make_const(np.zeros_like(leaf.realize_cached_data()))


def _memory(value: Any) -> int:
    """What tells apart the memory of values alive at once: a view has that of its base."""
    data = value.cached_data
    if data is None:
        data = value.realize_cached_data()
    try:
        base = data.base
    except AttributeError:  # a tuple, or another library's array
        return id(data)
    return id(data if base is None else base)


def copied(adjoint: Any) -> Any:
    """The same numbers in memory of their own, as another value of the adjoint's graph."""
    return adjoint if isinstance(adjoint.realize_cached_data(), tuple) else adjoint * 1


def compute_adjoints(
    outputs: Sequence[Value], out_grads: Sequence[Value], variables: Sequence[Value]
) -> list[Any]:
    """The adjoint of each of `variables`, None where no output depends on it.

    Stores nothing in `.grad` of leaves. Nothing upstream of the variables is visited, and nothing
    that does not depend on them.

    Example:
        >>> import needle as ndl
        >>> x = ndl.Tensor([1.0, 2.0])
        >>> y = x * x
        >>> (adjoint,) = ndl.autograd.compute_adjoints([y], [ndl.Tensor([1.0, 1.0])], [x])
        >>> print(adjoint)
        [2. 4.]
    """
    adjoints: dict[Value, Any] = {}
    for output, out_grad in zip(outputs, out_grads, strict=True):
        if output.requires_grad:
            adjoints[output] = adjoints[output] + out_grad if output in adjoints else out_grad
    order = _by_age(outputs, known=variables)
    relevant = set(variables)
    for node in order:
        if not relevant.isdisjoint(node.inputs):
            relevant.add(node)
    order = [node for node in order if node in relevant]
    for node, adjoint in _walk_back(adjoints, order, relevant):
        if node.op is not None:  # it retains its gradient
            node.grad = None if adjoint is None else copied(adjoint)
    return [
        None if variable not in adjoints else _in_precision_of(variable, adjoints[variable])
        for variable in variables
    ]


def _by_age(outputs: Sequence[Value], known: Sequence[Value] = ()) -> list[Value]:
    """The values that require a gradient and that `outputs` depend on, oldest first.

    A topological order, because an op makes its value after its inputs. `known` values, and what
    only they depend on, are left out.
    """
    seen = set(known)
    found = [value for value in dict.fromkeys(outputs) if value.requires_grad and value not in seen]
    seen.update(found)
    for node in found:  # which grows
        for operand in node.inputs:
            if operand.requires_grad and operand not in seen:
                seen.add(operand)
                found.append(operand)
    found.sort(key=_made)
    return found


_made = operator.attrgetter("made")


def _walk_back(
    adjoints: dict[Value, Any], order: list[Value], relevant: set[Value] | None = None
) -> Iterator[tuple[Value, Any]]:
    """Reverse mode: the leaves of `order`, and values that retain their gradient, with adjoints.

    `order` holds values that require a gradient; the last one comes first. A value that no adjoint
    reaches comes with None.

    The adjoint of a value is the sum of the partial adjoints that its users pass back; it is
    dropped as soon as its op has used it. `adjoints` holds those of the outputs, and at the end
    those of values that are not in `order`.
    """
    # sums made here, which nobody else holds: a further partial adjoint can be added in place
    own_sums: set[Value] = set()
    in_place = not (modes.grad_enabled.get() or modes.observers.get())
    differentiate = modes.differentiate.get()
    changed = last_change[0]
    while order:
        node = order.pop()
        adjoint = adjoints.pop(node, None)
        if adjoint is None:  # none of its users passed one back
            if node.op is None or (node._hooks and RETAINED in node._hooks):
                yield node, None
            continue
        if adjoint.__class__ is dict:
            adjoint = _of_outputs(node, adjoint)
        if node._hooks:
            adjoint = _hooked(node, adjoint)
            changed = last_change[0]  # by hooks
            if RETAINED in node._hooks:
                yield node, adjoint
        op = node.op
        if op is None:
            yield node, adjoint
            continue
        gradient = op.gradient_as_tuple if differentiate is None else differentiate
        if node.made > changed:
            partials = gradient(adjoint, node)
        else:
            partials = gradient_of_changed(gradient, adjoint, node)
        for operand, partial in zip(node.inputs, partials):  # noqa: B905 - gradient_as_tuple counts
            if partial is None or not operand.requires_grad:
                continue
            if relevant is not None and operand not in relevant:
                continue
            known = adjoints.get(operand)
            if known is None:
                adjoints[operand] = partial
            elif operand in own_sums:
                whole = known.cached_data
                data = partial.cached_data
                np.add(whole, partial.realize_cached_data() if data is None else data, whole)
            elif partial.__class__ is dict or known.__class__ is dict:
                adjoints[operand] = _sum_of_entries(known, partial)
            else:
                known = known + partial
                adjoints[operand] = known
                if in_place and _can_grow(known.cached_data):
                    own_sums.add(operand)


def _sum_of_entries(known: Any, partial: Any) -> dict[int, Any]:
    """The sum of two adjoints of a tuple: dicts of entries, where the others are 0, or tuples."""
    sums = known if known.__class__ is dict else dict(enumerate(known))
    for index, entry in partial.items() if partial.__class__ is dict else enumerate(partial):
        former = sums.get(index)
        sums[index] = entry if former is None else former + entry
    return sums


def _of_outputs(node: Any, entries: dict[int, Any]) -> Any:
    """The adjoint of a tuple from the adjoints of some of its entries."""
    if node.op is None or node.op.materialize_grads or node._hooks:
        return node._with_entries(entries.items())
    return tuple(map(entries.get, range(len(node.cached_data or node))))


def _can_grow(data: Any) -> bool:
    """Whether adjoints can be added to `data` in place: no tuple, nothing lazy, no integers."""
    return data is not None and data.__class__ is not tuple and data.dtype.kind == "f"


def _hooked(node: Value, adjoint: Any) -> Any:
    """What the hooks of `node` make of its adjoint, one after another."""
    for hook in list((node._hooks or {}).values()):
        replacement = None if hook is None else hook(adjoint)
        if replacement is None:
            continue
        if not hasattr(replacement, "cached_data") or replacement.shape != adjoint.shape:
            kind = f"{type(replacement).__name__} of shape {getattr(replacement, 'shape', ())}"
            raise ValueError(
                f"a hook returned a {kind} for an adjoint of shape {adjoint.shape}: "
                "return a tensor of that shape, or None to leave the adjoint as it is"
            )
        adjoint = replacement
    return adjoint


def _in_precision_of(value: Any, adjoint: Any) -> Any:
    """`adjoint` in the floating-point dtype of `value`: mixing dtypes widens what lies between."""
    if adjoint.__class__ is dict:
        return value._with_entries(adjoint.items())
    data, found = value.cached_data, adjoint.cached_data
    if data is None or found is None:  # lazy
        data, found = value.abstract(), adjoint.abstract()
    if isinstance(data, tuple) or found.dtype == data.dtype or data.dtype.kind != "f":
        return adjoint
    return adjoint.astype(data.dtype)
