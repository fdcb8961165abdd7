"""The elements of images in other places: padding, shuffled channels, windows as columns.

Raises:
    TypeError: x is not a Tensor; a setting is not a whole number.
    ValueError: shapes do not fit, or a setting is out of its range.
"""

import math
from collections.abc import Sequence

from ... import ops
from ...autograd import Tensor
from ...ops.kinds import integers
from ...ops.windows import Lengths, each_axis, each_padding, output_lengths
from ..checks import check_sizes, check_tensor
from .spatial import on_batch

__all__ = ["channel_shuffle", "fold", "pad", "pixel_shuffle", "pixel_unshuffle", "unfold"]


def pad(
    x: Tensor, pad: Sequence[int], mode: str = "constant", value: float | None = None
) -> Tensor:
    """x with elements added before and after the last axes.

    `pad` is (before, after) for the last axis, then for the last but one, and so on; negative
    numbers take elements away. `mode` says what is added: "constant" is `value`, by default 0,
    "reflect" and "replicate" what is next to the end, without and with the end itself, "circular"
    what is at the other end.

    Example:
        >>> import needle as ndl
        >>> from needle.nn import functional as F
        >>> print(F.pad(ndl.Tensor([[1.0, 2.0, 3.0]]), (1, 2), "circular"))
        [[3. 1. 2. 3. 1. 2.]]
    """
    check_tensor("pad", x)
    if mode not in ("constant", *_ENDS):
        raise ValueError(f"pad: mode is one of constant, {', '.join(_ENDS)}, got {mode!r}")
    if value is not None and mode != "constant":
        raise ValueError(f"pad: a value is for the mode constant, got {value} with mode {mode!r}")
    given = integers(pad, "pad")
    if len(given) % 2 or len(given) > 2 * x.ndim:
        raise ValueError(
            f"pad: expected a pair (before, after) for each padded axis, from the last on, got "
            f"{tuple(given)} for {x.ndim} axes"
        )
    pairs = [(0, 0)] * x.ndim
    for axis in range(len(given) // 2):
        pairs[-1 - axis] = (int(given[2 * axis]), int(given[2 * axis + 1]))
    takes_first = mode in ("constant", "circular")  # the others add before they take away
    for axis, (length, (before, after)) in enumerate(zip(x.shape, pairs, strict=True)):
        left = length + min(before, 0) + min(after, 0) if takes_first else length + before + after
        if left < 0:
            raise ValueError(f"pad: axis {axis} of length {length} is padded by {before}, {after}")
        room = {"constant": math.inf, "reflect": max(0, length - 1), "circular": left}
        if max(before, after) > room.get(mode, math.inf if length else 0):
            raise ValueError(
                f"pad: axis {axis} of length {length} cannot be padded by {(before, after)} in the "
                f"mode {mode!r}"
            )
    if takes_first:
        x = _shortened(x, pairs)
    widths = [(max(0, before), max(0, after)) for before, after in pairs]
    if mode == "constant":
        return ops.pad(x, widths, "constant", 0 if value is None else value)
    for axis, (before, after) in enumerate(widths):
        if before or after:
            x = ops.concatenate(_ENDS[mode](x, axis, before, after), axis)
    return x if takes_first else _shortened(x, pairs)


def _shortened(x: Tensor, pairs: list[tuple[int, int]]) -> Tensor:
    """x without the elements that negative numbers take away."""
    if all(width >= 0 for pair in pairs for width in pair):
        return x
    return x[tuple([
        slice(max(0, -before), length + min(0, after))
        for length, (before, after) in zip(x.shape, pairs, strict=True)
    ])]  # fmt: skip


def _slice(x: Tensor, axis: int, start: int, stop: int) -> Tensor:
    return x[(*[slice(None)] * axis, slice(start, stop))]


def _reflected(x: Tensor, axis: int, before: int, after: int) -> list[Tensor]:
    length = x.shape[axis]
    front = ops.flip(_slice(x, axis, 1, before + 1), axis)
    return [front, x, ops.flip(_slice(x, axis, length - after - 1, length - 1), axis)]


def _replicated(x: Tensor, axis: int, before: int, after: int) -> list[Tensor]:
    length, shape = x.shape[axis], list(x.shape)
    ends = []
    for start, width in ((0, before), (length - 1, after)):
        shape[axis] = width
        ends.append(_slice(x, axis, start, start + 1).broadcast_to(tuple(shape)))
    return [ends[0], x, ends[1]]


def _around(x: Tensor, axis: int, before: int, after: int) -> list[Tensor]:
    length = x.shape[axis]
    return [_slice(x, axis, length - before, length), x, _slice(x, axis, 0, after)]


_ENDS = {"reflect": _reflected, "replicate": _replicated, "circular": _around}


# --- channels and pixels


def pixel_shuffle(x: Tensor, upscale_factor: int) -> Tensor:
    """(..., C·r², H, W) → (..., C, H·r, W·r): channels become r×r pixels (Shi et al. 2016).

    Example:
        >>> import needle as ndl
        >>> from needle.nn import functional as F
        >>> F.pixel_shuffle(ndl.init.ones(2, 12, 4, 4), 2).shape
        (2, 3, 8, 8)
    """
    check_tensor("pixel_shuffle", x)
    check_sizes("pixel_shuffle", 1, upscale_factor=upscale_factor)
    r = upscale_factor
    if x.ndim < 3 or x.shape[-3] % r**2:
        raise ValueError(
            f"pixel_shuffle expected (..., C, H, W) with C divisible by {r**2}, got {x.shape}"
        )
    *batch, channels, height, width = x.shape
    n = len(batch)
    parts = x.reshape((*batch, channels // r**2, r, r, height, width))
    order = (*range(n), n, n + 3, n + 1, n + 4, n + 2)
    return parts.permute(order).reshape((*batch, channels // r**2, height * r, width * r))


def pixel_unshuffle(x: Tensor, downscale_factor: int) -> Tensor:
    """(..., C, H·r, W·r) → (..., C·r², H, W): the inverse of `pixel_shuffle`.

    Example:
        >>> import needle as ndl
        >>> from needle.nn import functional as F
        >>> F.pixel_unshuffle(ndl.init.ones(2, 3, 8, 8), 2).shape
        (2, 12, 4, 4)
    """
    check_tensor("pixel_unshuffle", x)
    check_sizes("pixel_unshuffle", 1, downscale_factor=downscale_factor)
    r = downscale_factor
    if x.ndim < 3 or x.shape[-2] % r or x.shape[-1] % r:
        raise ValueError(
            f"pixel_unshuffle expected (..., C, H, W) with H and W divisible by {r}, got {x.shape}"
        )
    *batch, channels, height, width = x.shape
    n = len(batch)
    parts = x.reshape((*batch, channels, height // r, r, width // r, r))
    order = (*range(n), n, n + 2, n + 4, n + 1, n + 3)
    return parts.permute(order).reshape((*batch, channels * r**2, height // r, width // r))


def channel_shuffle(x: Tensor, groups: int) -> Tensor:
    """The channels of x (N, C, ...) in turn from each of `groups` groups (Zhang et al. 2018).

    Example:
        >>> import needle as ndl
        >>> from needle.nn import functional as F
        >>> print(F.channel_shuffle(ndl.Tensor([[[1.0], [2.0], [3.0], [4.0]]]), 2)[0, :, 0])
        [1. 3. 2. 4.]
    """
    check_tensor("channel_shuffle", x)
    check_sizes("channel_shuffle", 1, groups=groups)
    if x.ndim < 3 or x.shape[1] % groups:
        raise ValueError(
            f"channel_shuffle expected (N, C, ...) with C divisible by {groups}, got {x.shape}"
        )
    parts = x.reshape((x.shape[0], groups, x.shape[1] // groups, *x.shape[2:]))
    return parts.swapaxes(1, 2).reshape(x.shape)


# --- windows as columns

Setting = int | Sequence[int]


def unfold(
    x: Tensor,
    kernel_size: Setting,
    dilation: Setting = 1,
    padding: Setting = 0,
    stride: Setting = 1,
) -> Tensor:
    """The windows of x (N, C, H, W) as columns: (N, C·taps, windows). Padding is zeros.

    Example:
        >>> import needle as ndl
        >>> from needle.nn import functional as F
        >>> F.unfold(ndl.init.ones(2, 3, 8, 8), 2).shape
        (2, 12, 49)
    """

    def columns(x: Tensor) -> Tensor:
        settings = _windows("unfold", x.shape[2:], kernel_size, stride, padding, dilation)
        return ops.Unfold(*settings)(x)

    return on_batch("unfold", 2, x, columns, floats=False)


def fold(
    x: Tensor,
    output_size: Setting,
    kernel_size: Setting,
    dilation: Setting = 1,
    padding: Setting = 0,
    stride: Setting = 1,
) -> Tensor:
    """Columns x (N, C·taps, windows) added up to images (N, C, *output_size), as `unfold` cut them.

    Example:
        >>> import needle as ndl
        >>> from needle.nn import functional as F
        >>> F.fold(ndl.init.ones(2, 12, 49), (8, 8), 2).shape
        (2, 3, 8, 8)
    """
    lengths = each_axis(output_size, 2, "output_size")
    settings = _windows("fold", lengths, kernel_size, stride, padding, dilation)
    windows, taps = math.prod(output_lengths(*settings)), math.prod(settings[1])

    def images(x: Tensor) -> Tensor:
        if x.shape[1] % taps or x.shape[2] != windows:
            raise ValueError(
                f"fold expected (N, C·{taps}, {windows}) for kernel_size {kernel_size} and "
                f"output_size {output_size}, got {x.shape}"
            )
        return ops.Fold(*settings)(x)

    return on_batch("fold", 1, x, images, floats=False)


def _windows(
    layer: str,
    lengths: Lengths,
    kernel_size: Setting,
    stride: Setting,
    padding: Setting,
    dilation: Setting,
) -> tuple[Lengths, Lengths, Lengths, tuple[tuple[int, int], ...], Lengths]:
    settings = (
        lengths,
        each_axis(kernel_size, 2, "kernel_size"),
        each_axis(stride, 2, "stride"),
        each_padding(padding, 2),
        each_axis(dilation, 2, "dilation"),
    )
    try:
        output_lengths(*settings)
    except ValueError as error:
        raise ValueError(f"{layer}: {error}") from None
    return settings
