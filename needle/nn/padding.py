"""Padding layers. Inputs are checked by `functional.pad`, which they call."""

from collections.abc import Sequence
from typing import ClassVar

from ..autograd import Tensor
from ..ops.windows import each_axis
from . import functional
from .functional.spatial import on_batch
from .module import Module

__all__ = [
    "CircularPad1d", "CircularPad2d", "CircularPad3d", "ConstantPad1d", "ConstantPad2d",
    "ConstantPad3d", "ReflectionPad1d", "ReflectionPad2d", "ReflectionPad3d", "ReplicationPad1d",
    "ReplicationPad2d", "ReplicationPad3d", "ZeroPad1d", "ZeroPad2d", "ZeroPad3d",
]  # fmt: skip


class _Pad(Module):
    n: ClassVar[int]
    mode: ClassVar[str]
    value: float | None = None

    def __init__(self, padding: int | Sequence[int]) -> None:
        super().__init__()
        layer = type(self).__name__
        ends = (padding,) if isinstance(padding, int) else tuple(padding)
        self.padding = each_axis(ends, 2 * self.n, f"{layer}: padding", least=-(2**31))

    def forward(self, x: Tensor) -> Tensor:
        def padded(x: Tensor) -> Tensor:
            return functional.pad(x, self.padding, self.mode, self.value)

        return on_batch(type(self).__name__, self.n, x, padded, floats=False)

    def extra_repr(self) -> str:
        return f"padding={self.padding}" + ("" if self.value is None else f", value={self.value}")


class _ConstantPad(_Pad):
    mode = "constant"

    def __init__(self, padding: int | Sequence[int], value: float) -> None:
        super().__init__(padding)
        self.value = value


class CircularPad1d(_Pad):
    """Adds elements from the other end at both ends of the spatial axes of (N, C, L).

    `padding` is one number for all ends, or (before, after) of the last axis, then of the last but
    one, and so on, as in `functional.pad`.

    Example:
        >>> import needle as ndl
        >>> ndl.nn.CircularPad1d(1)(ndl.init.ones(2, 3, 8)).shape
        (2, 3, 10)
    """

    n = 1
    mode = "circular"


class CircularPad2d(_Pad):
    """Adds elements from the other end at both ends of the spatial axes of (N, C, H, W).

    Example:
        >>> import needle as ndl
        >>> ndl.nn.CircularPad2d(1)(ndl.init.ones(2, 3, 8, 8)).shape
        (2, 3, 10, 10)
    """

    n = 2
    mode = "circular"


class CircularPad3d(_Pad):
    """Adds elements from the other end at both ends of the spatial axes of (N, C, D, H, W).

    Example:
        >>> import needle as ndl
        >>> ndl.nn.CircularPad3d(1)(ndl.init.ones(2, 3, 8, 8, 8)).shape
        (2, 3, 10, 10, 10)
    """

    n = 3
    mode = "circular"


class ConstantPad1d(_ConstantPad):
    """Adds `value` at both ends of the spatial axes of (N, C, L).

    Example:
        >>> import needle as ndl
        >>> ndl.nn.ConstantPad1d(1, 2.5)(ndl.init.ones(2, 3, 8)).shape
        (2, 3, 10)
    """

    n = 1


class ConstantPad2d(_ConstantPad):
    """Adds `value` at both ends of the spatial axes of (N, C, H, W).

    Example:
        >>> import needle as ndl
        >>> ndl.nn.ConstantPad2d(1, 2.5)(ndl.init.ones(2, 3, 8, 8)).shape
        (2, 3, 10, 10)
    """

    n = 2


class ConstantPad3d(_ConstantPad):
    """Adds `value` at both ends of the spatial axes of (N, C, D, H, W).

    Example:
        >>> import needle as ndl
        >>> ndl.nn.ConstantPad3d(1, 2.5)(ndl.init.ones(2, 3, 8, 8, 8)).shape
        (2, 3, 10, 10, 10)
    """

    n = 3


class ReflectionPad1d(_Pad):
    """Adds mirrored elements at both ends of the spatial axes of (N, C, L).

    Example:
        >>> import needle as ndl
        >>> ndl.nn.ReflectionPad1d(1)(ndl.init.ones(2, 3, 8)).shape
        (2, 3, 10)
    """

    n = 1
    mode = "reflect"


class ReflectionPad2d(_Pad):
    """Adds mirrored elements at both ends of the spatial axes of (N, C, H, W).

    Example:
        >>> import needle as ndl
        >>> ndl.nn.ReflectionPad2d(1)(ndl.init.ones(2, 3, 8, 8)).shape
        (2, 3, 10, 10)
    """

    n = 2
    mode = "reflect"


class ReflectionPad3d(_Pad):
    """Adds mirrored elements at both ends of the spatial axes of (N, C, D, H, W).

    Example:
        >>> import needle as ndl
        >>> ndl.nn.ReflectionPad3d(1)(ndl.init.ones(2, 3, 8, 8, 8)).shape
        (2, 3, 10, 10, 10)
    """

    n = 3
    mode = "reflect"


class ReplicationPad1d(_Pad):
    """Adds the outermost elements at both ends of the spatial axes of (N, C, L).

    Example:
        >>> import needle as ndl
        >>> ndl.nn.ReplicationPad1d(1)(ndl.init.ones(2, 3, 8)).shape
        (2, 3, 10)
    """

    n = 1
    mode = "replicate"


class ReplicationPad2d(_Pad):
    """Adds the outermost elements at both ends of the spatial axes of (N, C, H, W).

    Example:
        >>> import needle as ndl
        >>> ndl.nn.ReplicationPad2d(1)(ndl.init.ones(2, 3, 8, 8)).shape
        (2, 3, 10, 10)
    """

    n = 2
    mode = "replicate"


class ReplicationPad3d(_Pad):
    """Adds the outermost elements at both ends of the spatial axes of (N, C, D, H, W).

    Example:
        >>> import needle as ndl
        >>> ndl.nn.ReplicationPad3d(1)(ndl.init.ones(2, 3, 8, 8, 8)).shape
        (2, 3, 10, 10, 10)
    """

    n = 3
    mode = "replicate"


class ZeroPad1d(_Pad):
    """Adds zeros at both ends of the spatial axes of (N, C, L).

    Example:
        >>> import needle as ndl
        >>> ndl.nn.ZeroPad1d(1)(ndl.init.ones(2, 3, 8)).shape
        (2, 3, 10)
    """

    n = 1
    mode = "constant"


class ZeroPad2d(_Pad):
    """Adds zeros at both ends of the spatial axes of (N, C, H, W).

    Example:
        >>> import needle as ndl
        >>> ndl.nn.ZeroPad2d(1)(ndl.init.ones(2, 3, 8, 8)).shape
        (2, 3, 10, 10)
    """

    n = 2
    mode = "constant"


class ZeroPad3d(_Pad):
    """Adds zeros at both ends of the spatial axes of (N, C, D, H, W).

    Example:
        >>> import needle as ndl
        >>> ndl.nn.ZeroPad3d(1)(ndl.init.ones(2, 3, 8, 8, 8)).shape
        (2, 3, 10, 10, 10)
    """

    n = 3
    mode = "constant"
