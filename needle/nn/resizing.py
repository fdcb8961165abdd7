"""Layers that resize images or rearrange their elements; formulas and errors are the functions'."""

from collections.abc import Sequence
from typing import Any

from . import functional
from .function import FunctionModule
from .functional.rearranging import Setting

__all__ = [
    "ChannelShuffle", "Fold", "PixelShuffle", "PixelUnshuffle", "Unfold", "Upsample",
    "UpsamplingBilinear2d", "UpsamplingNearest2d",
]  # fmt: skip


class Upsample(FunctionModule, function=functional.interpolate):
    """x (N, C, ...) with other spatial lengths: `size`, or its own times `scale_factor`.

    Args:
        mode: "nearest", "linear", "bilinear", "bicubic" or "trilinear"; see
            `functional.interpolate`.
        align_corners: True lets the centres of the outermost pixels stay where they are.

    Example:
        >>> import needle as ndl
        >>> layer = ndl.nn.Upsample(scale_factor=2, mode="bilinear")
        >>> layer(ndl.init.rand(2, 6, 4, 4)).shape
        (2, 6, 8, 8)
    """

    size: int | Sequence[int] | None = None
    scale_factor: float | Sequence[float] | None = None
    mode: str = "nearest"
    align_corners: bool | None = None
    recompute_scale_factor: bool | None = None


def _bilinear(x: Any, size: Any, scale_factor: Any) -> Any:
    return functional.interpolate(x, size, scale_factor, "bilinear", align_corners=True)


class UpsamplingNearest2d(FunctionModule, function=functional.interpolate):
    """`Upsample` of images (N, C, H, W) in the mode "nearest".

    Example:
        >>> import needle as ndl
        >>> ndl.nn.UpsamplingNearest2d(scale_factor=2)(ndl.init.rand(2, 6, 4, 4)).shape
        (2, 6, 8, 8)
    """

    size: int | Sequence[int] | None = None
    scale_factor: float | Sequence[float] | None = None


class UpsamplingBilinear2d(FunctionModule, function=_bilinear):
    """`Upsample` of images (N, C, H, W) in the mode "bilinear", with align_corners.

    Example:
        >>> import needle as ndl
        >>> ndl.nn.UpsamplingBilinear2d(size=(8, 6))(ndl.init.rand(2, 6, 4, 4)).shape
        (2, 6, 8, 6)
    """

    size: int | Sequence[int] | None = None
    scale_factor: float | Sequence[float] | None = None


class PixelShuffle(FunctionModule, function=functional.pixel_shuffle):
    """(..., C·r², H, W) → (..., C, H·r, W·r): channels become r×r pixels (Shi et al. 2016).

    Example:
        >>> import needle as ndl
        >>> ndl.nn.PixelShuffle(2)(ndl.init.rand(2, 12, 4, 4)).shape
        (2, 3, 8, 8)
    """

    upscale_factor: int


class PixelUnshuffle(FunctionModule, function=functional.pixel_unshuffle):
    """(..., C, H·r, W·r) → (..., C·r², H, W): the inverse of `PixelShuffle`.

    Example:
        >>> import needle as ndl
        >>> ndl.nn.PixelUnshuffle(2)(ndl.init.rand(2, 3, 8, 8)).shape
        (2, 12, 4, 4)
    """

    downscale_factor: int


class ChannelShuffle(FunctionModule, function=functional.channel_shuffle):
    """The channels of x (N, C, ...) in turn from each of `groups` groups (Zhang et al. 2018).

    Example:
        >>> import needle as ndl
        >>> ndl.nn.ChannelShuffle(2)(ndl.init.rand(2, 4, 3, 3)).shape
        (2, 4, 3, 3)
    """

    groups: int


class Unfold(FunctionModule, function=functional.unfold):
    """The windows of x (N, C, H, W) as columns: (N, C·taps, windows). Padding is zeros.

    Example:
        >>> import needle as ndl
        >>> ndl.nn.Unfold(2)(ndl.init.rand(2, 3, 8, 8)).shape
        (2, 12, 49)
    """

    kernel_size: Setting
    dilation: Setting = 1
    padding: Setting = 0
    stride: Setting = 1


class Fold(FunctionModule, function=functional.fold):
    """Columns (N, C·taps, windows) added up to images (N, C, *output_size), as `Unfold` cut them.

    Example:
        >>> import needle as ndl
        >>> ndl.nn.Fold((8, 8), 2)(ndl.init.rand(2, 12, 49)).shape
        (2, 3, 8, 8)
    """

    output_size: Setting
    kernel_size: Setting
    dilation: Setting = 1
    padding: Setting = 0
    stride: Setting = 1
