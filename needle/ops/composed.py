"""Derivatives of adjoints that one op computes: those of the same computation in small ops."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from ..autograd import Tensor, compute_adjoints, modes
from .views import identity

__all__: list[str] = []


def adjoints_of_adjoints(
    function: Callable[[Sequence[Tensor]], Sequence[Tensor]],
    g: Sequence[Tensor],
    operands: Sequence[Tensor],
    wanted: Sequence[int],
    h: Sequence[Tensor | None],
) -> list[Any]:
    """The adjoints of g and of the operands, None where there are none.

    Args:
        function: the results of the op from its operands, in small ops.
        g: the adjoints of these results.
        operands: those of the op.
        wanted: the operands whose adjoints were computed.
        h: the adjoints of these adjoints; None for those that nothing used.
    """
    records = modes.grad_enabled.get()
    with modes.enable_grad():
        # aliases: one tensor may be several operands
        g, operands = [identity(each) for each in g], [identity(each) for each in operands]
        found = compute_adjoints(function(operands), g, [operands[index] for index in wanted])
    pairs = [(a, b) for a, b in zip(found, h, strict=True) if a is not None and b is not None]
    with modes.enable_grad(records):
        return compute_adjoints([a for a, _ in pairs], [b for _, b in pairs], [*g, *operands])
