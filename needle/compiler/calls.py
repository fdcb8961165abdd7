"""Call: an op that stays as it is in a program: it cannot be opened into calls of NumPy."""

from __future__ import annotations

from typing import Any

from ..autograd import Op

__all__ = ["Call"]


class Call:
    """An op as the function of a node, because it cannot be opened: `reason` says why."""

    def __init__(self, op: Op, abstract: Any, reason: str) -> None:
        self.op, self.reason = op, reason
        self.__name__ = type(op).__name__
        self._key = op.key
        self._expected = _shapes(abstract)
        is_own = type(op).__module__.partition(".")[0] == __name__.partition(".")[0]
        self.may_share_memory = op.shares_memory or not is_own
        """Whether the result may be a view of an operand; who knows what a user's op returns."""

    def __call__(self, *arrays: Any) -> Any:
        result = self.op._run(arrays)
        if _shapes(result) != self._expected:
            raise RuntimeError(
                f"{self.__name__} gave {_shapes(result)} where {self._expected} was recorded: in a "
                "compiled function shapes must not depend on the values of tensors"
            )
        return result

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Call) and self._key == other._key

    def __hash__(self) -> int:
        return hash(self._key)


def _shapes(arrays: Any) -> Any:
    return (
        tuple(map(_shapes, arrays)) if isinstance(arrays, tuple) else (arrays.shape, arrays.dtype)
    )
