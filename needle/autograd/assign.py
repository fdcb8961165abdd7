"""The one way in which a tensor gets new values: an effect that observers see."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from . import modes
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


def assign(target: Tensor, value: Tensor, in_place: bool = True) -> None:
    """Give `target` the numbers of `value`: an effect, which observers see.

    Observers are told of an op `Assign` on (target, value), whose result is `target` itself: so
    a recording holds what a step changes beside what it returns. While a checkpoint computes a
    piece again nothing is written, because the first run did so.

    Args:
        target: a leaf, such as a parameter or a buffer.
        value: broadcasts to the shape of `target`; converted to its dtype.
        in_place: whether `target` keeps its array, so that all tensors that share it change,
            too; otherwise it shares the array of `value` from now on.
    """
    if modes.is_recomputing.get():
        return
    array = value._array() if in_place else value.realize_cached_data()
    if in_place:
        own = target.realize_cached_data()
        if own.shape == array.shape:
            own[...] = array
        else:
            _assign._run((own, array))
    else:
        target.cached_data = array
    if modes.observers.get():
        modes.notify(target, _assign, (target, value))


_assign = Assign()
