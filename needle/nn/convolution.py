"""Convolution layers. Inputs are checked by the functions that they call."""

import math
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, ClassVar

from .. import init
from ..autograd import Tensor
from ..device import Device
from ..ops.windows import Lengths, each_axis
from . import functional
from .checks import check_sizes
from .drawn import DrawnModule
from .functional.convolution import Setting, same_padding
from .parameter import Parameter

__all__ = [
    "Conv", "Conv1d", "Conv2d", "Conv3d", "ConvTranspose1d", "ConvTranspose2d", "ConvTranspose3d",
]  # fmt: skip

_MODES = {
    "zeros": "constant",
    "reflect": "reflect",
    "replicate": "replicate",
    "circular": "circular",
}


class _Convolution(DrawnModule):
    """What convolutions and transposed ones share."""

    n: ClassVar[int]
    is_transposed: ClassVar[bool] = False  # the weight is (in, out, ...), not (out, in, ...)
    weight: Parameter
    bias: Parameter | None

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: Setting,
        stride: Setting,
        padding: Setting | str,
        dilation: Setting,
        groups: int,
        bias: bool,
        padding_mode: str,
        device: Device | str | None,
        dtype: Any,
    ) -> None:
        super().__init__()
        layer = type(self).__name__
        sizes = {"in_channels": in_channels, "out_channels": out_channels, "groups": groups}
        check_sizes(layer, 1, **sizes)
        for name in ("in_channels", "out_channels"):
            if sizes[name] % groups:
                raise ValueError(f"{layer}: groups={groups} does not divide {name}={sizes[name]}")
        modes = ("zeros",) if self.is_transposed else _MODES
        if padding_mode not in modes:
            raise ValueError(
                f"{layer}: padding_mode is one of {', '.join(modes)}, got {padding_mode!r}"
            )
        self.in_channels = in_channels
        self.out_channels = out_channels
        self.kernel_size = each_axis(kernel_size, self.n, f"{layer}: kernel_size")
        self.stride = each_axis(stride, self.n, f"{layer}: stride")
        self.dilation = each_axis(dilation, self.n, f"{layer}: dilation")
        self._ends = same_padding(layer, self.kernel_size, self.stride, self.dilation, padding)
        self.padding: Any = padding
        if not isinstance(padding, str):
            self.padding = each_axis(padding, self.n, f"{layer}: padding", 0)
        self.groups = groups
        self.padding_mode = padding_mode
        self._draw(device, dtype, absent=() if bias else ("bias",))

    def _draws(self) -> dict[str, Any]:
        channels = (self.in_channels, self.out_channels)
        first, second = channels if self.is_transposed else channels[::-1]
        shape = (first, second // self.groups, *self.kernel_size)
        bound = 1 / math.sqrt(math.prod(shape[1:]))
        return {
            "weight": partial(init.rand, *shape, low=-bound, high=bound),
            "bias": partial(init.rand, self.out_channels, low=-bound, high=bound),
        }

    def extra_repr(self) -> str:
        parts = [f"{self.in_channels}, {self.out_channels}, kernel_size={self.kernel_size}"]
        parts.append(f"stride={self.stride}")
        zeros, ones = (0,) * self.n, (1,) * self.n
        usual = {
            "padding": zeros, "output_padding": zeros, "dilation": ones, "groups": 1,
            "padding_mode": "zeros",
        }  # fmt: skip
        for name, value in usual.items():
            if getattr(self, name, value) != value:
                parts.append(f"{name}={getattr(self, name)}")
        return ", ".join(parts) + ("" if self.bias is not None else ", bias=False")


class _ConvNd(_Convolution):
    _convolve: ClassVar[Callable[..., Tensor]]

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: Setting,
        stride: Setting = 1,
        padding: Setting | str = 0,
        dilation: Setting = 1,
        groups: int = 1,
        bias: bool = True,
        padding_mode: str = "zeros",
        device: Device | str | None = None,
        dtype: Any = "float32",
    ) -> None:
        super().__init__(
            in_channels, out_channels, kernel_size, stride, padding, dilation, groups, bias,
            padding_mode, device, dtype,
        )  # fmt: skip

    def forward(self, x: Tensor) -> Tensor:
        ends: Any = self._ends
        if self.padding_mode != "zeros":
            widths = [width for pair in reversed(ends) for width in pair]
            x, ends = functional.pad(x, widths, self.padding_mode), 0
        return self._convolve(
            x, self.weight, self.bias, self.stride, ends, self.dilation, self.groups
        )


class Conv1d(_ConvNd):
    """Convolution of series (N, in_channels, L) → (N, out_channels, L').

        y[o] = bias[o] + Σ x[c] ⋆ weight[o, c], over the channels c of o's group

    Each setting is a number, or a tuple of one for each spatial axis.

    Args:
        padding: how many elements are added at both ends of an axis; "same" keeps the lengths (with
            stride 1), "valid" adds none.
        dilation: the distance between the taps of the kernel.
        groups: divides the channels; each group of outputs reads the inputs of its own group.
        padding_mode: what is added: "zeros", "reflect", "replicate" or "circular".

    Attributes:
        weight: (out_channels, in_channels/groups, kernel_size), U(±1/√fan_in) with fan_in the
            product of all its lengths but the first.
        bias: (out_channels,), from the same distribution; None without bias.

    Example:
        >>> import needle as ndl
        >>> ndl.nn.Conv1d(3, 16, 5, padding=2)(ndl.init.rand(8, 3, 100)).shape
        (8, 16, 100)
    """

    n = 1
    _convolve = staticmethod(functional.conv1d)


class Conv2d(_ConvNd):
    """Convolution of images (N, in_channels, H, W) → (N, out_channels, H', W').

    Settings and attributes are those of `Conv1d`.

    Example:
        >>> import needle as ndl
        >>> ndl.nn.Conv2d(3, 16, 3, stride=2, padding=1)(ndl.init.rand(8, 3, 32, 32)).shape
        (8, 16, 16, 16)
    """

    n = 2
    _convolve = staticmethod(functional.conv2d)


class Conv3d(_ConvNd):
    """Convolution of volumes (N, in_channels, D, H, W) → (N, out_channels, D', H', W').

    Settings and attributes are those of `Conv1d`.

    Example:
        >>> import needle as ndl
        >>> ndl.nn.Conv3d(3, 16, 3, padding="same")(ndl.init.rand(2, 3, 8, 8, 8)).shape
        (2, 16, 8, 8, 8)
    """

    n = 3
    _convolve = staticmethod(functional.conv3d)


class _ConvTransposeNd(_Convolution):
    is_transposed = True
    _convolve: ClassVar[Callable[..., Tensor]]

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: Setting,
        stride: Setting = 1,
        padding: Setting = 0,
        output_padding: Setting = 0,
        groups: int = 1,
        bias: bool = True,
        dilation: Setting = 1,
        padding_mode: str = "zeros",
        device: Device | str | None = None,
        dtype: Any = "float32",
    ) -> None:
        super().__init__(
            in_channels, out_channels, kernel_size, stride, padding, dilation, groups, bias,
            padding_mode, device, dtype,
        )  # fmt: skip
        name = f"{type(self).__name__}: output_padding"
        self.output_padding = each_axis(output_padding, self.n, name, 0)

    def forward(self, x: Tensor, output_size: Sequence[int] | None = None) -> Tensor:
        more = self.output_padding if output_size is None else self._more(x, output_size)
        return self._convolve(
            x, self.weight, self.bias, self.stride, self.padding, more, self.groups, self.dilation
        )

    def _more(self, x: Tensor, output_size: Sequence[int]) -> Lengths:
        """The output_padding that makes the spatial lengths those of `output_size`."""
        lengths = tuple(output_size)[-self.n :]
        least = [
            (length - 1) * step - 2 * end + apart * (taps - 1) + 1
            for length, step, end, apart, taps in zip(
                x.shape[-self.n :], self.stride, self.padding, self.dilation, self.kernel_size,
                strict=True,
            )
        ]  # fmt: skip
        more = tuple([wanted - length for wanted, length in zip(lengths, least, strict=True)])
        if any(not 0 <= extra < step for extra, step in zip(more, self.stride, strict=True)):
            most = tuple([a + step - 1 for a, step in zip(least, self.stride, strict=True)])
            raise ValueError(
                f"{type(self).__name__}: output_size of {x.shape} is from {tuple(least)} to "
                f"{most}, got {lengths}"
            )
        return more


class ConvTranspose1d(_ConvTransposeNd):
    """Transposed convolution of series (N, in_channels, L) → (N, out_channels, L').

    The adjoint of a convolution: it enlarges by `stride` what `Conv1d` with equal settings reduces.
    `output_padding` is added to the lengths, where several have a convolution of the input's
    lengths; or the lengths are given in the call, as `output_size`.

    Attributes:
        weight: (in_channels, out_channels/groups, kernel_size), U(±1/√fan_in) with fan_in the
            product of all its lengths but the first.
        bias: (out_channels,), from the same distribution; None without bias.

    Example:
        >>> import needle as ndl
        >>> layer = ndl.nn.ConvTranspose1d(16, 8, 4, stride=2, padding=1)
        >>> layer(ndl.init.rand(8, 16, 50)).shape
        (8, 8, 100)
    """

    n = 1
    _convolve = staticmethod(functional.conv_transpose1d)


class ConvTranspose2d(_ConvTransposeNd):
    """Transposed convolution of images (N, in_channels, H, W) → (N, out_channels, H', W').

    Settings and attributes are those of `ConvTranspose1d`.

    Example:
        >>> import needle as ndl
        >>> layer = ndl.nn.ConvTranspose2d(16, 8, 2, stride=2)
        >>> layer(ndl.init.rand(8, 16, 7, 7)).shape
        (8, 8, 14, 14)
    """

    n = 2
    _convolve = staticmethod(functional.conv_transpose2d)


class ConvTranspose3d(_ConvTransposeNd):
    """Transposed convolution of volumes (N, in_channels, D, H, W) → (N, out_channels, D', H', W').

    Settings and attributes are those of `ConvTranspose1d`.

    Example:
        >>> import needle as ndl
        >>> layer = ndl.nn.ConvTranspose3d(16, 8, 2, stride=2)
        >>> layer(ndl.init.rand(2, 16, 4, 4, 4)).shape
        (2, 8, 8, 8, 8)
    """

    n = 3
    _convolve = staticmethod(functional.conv_transpose3d)


class Conv(DrawnModule):
    """Convolution of images (N, in_channels, H, W) with padding that keeps their size, stride 1.

    The layer of the course 10-714. `Conv2d` is PyTorch's, with more settings and another layout of
    the weight.

    Attributes:
        weight: (kernel_size, kernel_size, in_channels, out_channels), Kaiming-uniform with fan_in =
            kernel_size²·in_channels.
        bias: (out_channels,), U(±1/√fan_in); None without bias.

    Example:
        >>> import needle as ndl
        >>> ndl.nn.Conv(3, 16, 3)(ndl.init.rand(8, 3, 32, 32)).shape
        (8, 16, 32, 32)
    """

    weight: Parameter
    bias: Parameter | None

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: Setting,
        stride: Setting = 1,
        bias: bool = True,
        device: Device | str | None = None,
        dtype: Any = "float32",
    ) -> None:
        super().__init__()
        check_sizes("Conv", 1, in_channels=in_channels, out_channels=out_channels)
        self.in_channels = in_channels
        self.out_channels = out_channels
        self.kernel_size = self._square("kernel_size", kernel_size)
        self.stride = self._square("stride", stride)
        self._draw(device, dtype, absent=() if bias else ("bias",))

    def _square(self, name: str, setting: Setting) -> int:
        height, width = each_axis(setting, 2, f"Conv: {name}")
        if height != width:
            raise ValueError(f"Conv: {name} is the same for both axes, got {setting}: use Conv2d")
        return height

    def _draws(self) -> dict[str, Any]:
        size = self.kernel_size
        fan_in, fan_out = size**2 * self.in_channels, size**2 * self.out_channels
        shape = size, size, self.in_channels, self.out_channels
        bound = 1 / math.sqrt(fan_in)
        return {
            "weight": partial(init.kaiming_uniform, fan_in, fan_out, shape),
            "bias": partial(init.rand, self.out_channels, low=-bound, high=bound),
        }

    def forward(self, x: Tensor) -> Tensor:
        weight = self.weight.permute((3, 2, 0, 1))
        return functional.conv2d(x, weight, self.bias, self.stride, (self.kernel_size - 1) // 2)

    def extra_repr(self) -> str:
        bias = "" if self.bias is not None else ", bias=False"
        sizes = f"{self.in_channels}, {self.out_channels}, kernel_size={self.kernel_size}"
        return f"{sizes}, stride={self.stride}{bias}"
