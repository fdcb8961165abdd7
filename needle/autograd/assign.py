"""Assignment to a tensor: the only op with an effect, reported to the observers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from . import modes
from .changes import before_change, changes_of
from .op import Op

if TYPE_CHECKING:
    from .tensor import Tensor

__all__ = ["assign"]


class Assign(Op):
    """The values of the second operand, written into the array of the first. No gradient."""

    differentiable = False

    def compute(self, target: Any, value: Any) -> Any:
        target[...] = value
        return target


_assign = Assign()


def assign(
    target: Tensor, value: Tensor, in_place: bool = True, is_read_by_gradients: bool = True
) -> None:
    """Write the values of `value` into `target`, and report an op `Assign` to the observers.

    Its inputs are (target, value) and its result is `target` itself, so that a recording also holds
    what a step changes. A checkpoint that recomputes writes nothing, because the first run did.

    Args:
        target: a leaf, such as a parameter or a buffer.
        value: broadcasts to the shape of `target`; converted to its dtype.
        in_place: write into the array of `target`, which other tensors may share; False: share
            the array of `value` instead.
        is_read_by_gradients: whether `backward` notices the change. Not for running statistics,
            which every forward pass changes and no gradient reads.

    Example:
        >>> import needle as ndl
        >>> x = ndl.Tensor([1.0, 2.0])
        >>> ndl.autograd.assign(x, ndl.Tensor([3.0, 4.0]))
        >>> print(x)
        [3. 4.]
    """
    if modes.is_recomputing.get():
        return
    if (effects := modes.effects.get()) is not None:
        effects.assign(target, value, in_place, is_read_by_gradients)
        return
    if in_place:
        own = target.realize_cached_data()  # first: it gives a broadcast view its own memory
        array = value._array()
    else:
        array = value.realize_cached_data()
    if is_read_by_gradients:
        before_change((target,), is_replaced=not in_place)
    elif target._changes.readers:
        target._changes.compute_readers()
    if in_place:
        if own.shape == array.shape:
            own[...] = array
        else:
            _assign._run((own, array))
    else:
        target.cached_data = array
        target._changes = changes_of(value)
    if modes.observers.get():
        modes.notify(target, _assign, (target, value))
