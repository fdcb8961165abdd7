"""Assignment to a tensor: the only op with an effect, reported to the observers."""

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


_assign = Assign()


def assign(target: Tensor, value: Tensor, in_place: bool = True) -> None:
    """Write the values of `value` into `target`, and report an op `Assign` to the observers.

    Its inputs are (target, value) and its result is `target` itself, so that a recording also holds
    what a step changes. A checkpoint that recomputes writes nothing, because the first run did.

    Args:
        target: a leaf, such as a parameter or a buffer.
        value: broadcasts to the shape of `target`; converted to its dtype.
        in_place: write into the array of `target`, which other tensors may share; False: share
            the array of `value` instead.
    """
    if modes.is_recomputing.get():
        return
    if in_place:
        _assign._run((target.realize_cached_data(), value._array()))
    else:
        target.cached_data = value.realize_cached_data()
    if modes.observers.get():
        modes.notify(target, _assign, (target, value))
