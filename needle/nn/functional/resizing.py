"""Images with other lengths: interpolation, axis by axis.

Raises:
    TypeError: x is not a Tensor of floating-point numbers; a length is not a whole number.
    ValueError: shapes do not fit, or a setting is out of its range.
"""

import math
from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import Any

import numpy as np

from ...autograd import Tensor
from ...ops.functions import in_single_precision
from ...ops.resampling import resample, table_of_neighbours
from ...ops.windows import Lengths, each_axis
from ..checks import check_floats
from .pooling import adaptive_avg_pool

__all__ = ["interpolate", "upsample"]


def _nearest(x: Tensor, axis: int, size: int, scale: float, shift: float) -> Tensor:
    # in float32, as in PyTorch, so that the same pixels are chosen
    places = (np.arange(size, dtype=np.float32) + np.float32(shift)) * np.float32(scale)
    chosen = np.minimum(np.floor(places).astype(np.int64), x.shape[axis] - 1)
    index = Tensor(chosen, device=x.device, requires_grad=False)
    return x[(*[slice(None)] * axis, index)]


def _triangle(t: np.ndarray) -> np.ndarray:
    return np.maximum(0, 1 - abs(t))


def _keys(a: float) -> Callable[[np.ndarray], np.ndarray]:
    """The cubic kernel of Keys 1981."""

    def kernel(t: np.ndarray) -> np.ndarray:
        t = abs(t)
        near = ((a + 2) * t - (a + 3)) * t * t + 1
        far = ((t - 5) * t + 8) * t * a - 4 * a
        return np.where(t <= 1, near, np.where(t < 2, far, 0))

    return kernel


@lru_cache
def _tables(mode: str, length: int, size: int, scale: float, is_aligned: bool) -> Any:
    """Tables, see `ops.resampling`, of the pixels around places; the outermost ones continue."""
    kernel, reach = (_keys(-0.75), 2) if mode == "bicubic" else (_triangle, 1)
    steps = np.arange(size)
    places = steps * scale if is_aligned else (steps + 0.5) * scale - 0.5
    if mode != "bicubic":
        places = places.clip(0)
    first = np.floor(places).astype(int)
    taps = first + np.arange(1 - reach, reach + 1)[:, None]
    weights = kernel(places - taps)
    sources = taps.clip(0, length - 1)
    targets = np.broadcast_to(steps, taps.shape)
    return table_of_neighbours(targets.ravel(), sources.ravel(), weights.ravel(), size, length)


@lru_cache
def _smoothing_tables(mode: str, length: int, size: int, scale: float) -> Any:
    """Tables with the kernel as wide as the pixels of the result, where they are larger."""
    kernel, reach = (_triangle, 1) if mode == "bilinear" else (_keys(-0.5), 2)
    wide = max(scale, 1.0)
    centers = (np.arange(size) + 0.5) * scale
    weights = kernel((np.arange(length) + 0.5 - centers[:, None]) / wide)
    first = np.maximum((centers - reach * wide + 0.5).astype(int), 0)
    last = np.minimum((centers + reach * wide + 0.5).astype(int), length)
    columns = np.arange(length)
    is_read = (columns >= first[:, None]) & (columns < last[:, None])
    weights = np.where(is_read, weights, 0)
    weights /= weights.sum(1, keepdims=True)
    targets, sources = np.nonzero(is_read)
    return table_of_neighbours(targets, sources, weights[is_read], size, length)


_AXES = {"linear": 1, "bilinear": 2, "bicubic": 2, "trilinear": 3}


@in_single_precision
def interpolate(
    x: Tensor,
    size: int | Sequence[int] | None = None,
    scale_factor: float | Sequence[float] | None = None,
    mode: str = "nearest",
    align_corners: bool | None = None,
    recompute_scale_factor: bool | None = None,
    antialias: bool = False,
) -> Tensor:
    """x (N, C, ...) with other spatial lengths: `size`, or its own times `scale_factor`.

    Args:
        mode: "nearest", "nearest-exact", "area" for one to three axes; "linear" for one,
            "bilinear" and "bicubic" for two, "trilinear" for three.
        align_corners: True lets the centres of the outermost pixels stay where they are, the
            default their edges. Not for "nearest" and "area".
        recompute_scale_factor: whether pixels are as far apart as the lengths say, rather than as
            `scale_factor` says, which differs where lengths are rounded.
        antialias: whether "bilinear" and "bicubic" average over the pixels that become one.

    Example:
        >>> import needle as ndl
        >>> from needle.nn import functional as F
        >>> print(F.interpolate(ndl.Tensor([[[0.0, 4.0]]]), size=4, mode="linear"))
        [[[0. 1. 3. 4.]]]
    """
    check_floats("interpolate", x)
    n = x.ndim - 2
    if n not in (1, 2, 3):
        raise ValueError(
            f"interpolate expected (N, C, ...) with 1 to 3 spatial axes, got {x.shape}"
        )
    if mode not in ("nearest", "nearest-exact", "area", *_AXES) or _AXES.get(mode, n) != n:
        fitting = [each for each, axes in _AXES.items() if axes == n]
        known = ", ".join(["nearest", "nearest-exact", "area", *fitting])
        raise ValueError(f"interpolate: mode for {n} spatial axes is {known}, got {mode!r}")
    if align_corners is not None and mode not in _AXES:
        raise ValueError(f"interpolate: align_corners is for {', '.join(_AXES)}, not {mode!r}")
    if antialias and mode not in ("bilinear", "bicubic"):
        raise ValueError(f"interpolate: antialias is for bilinear and bicubic, not {mode!r}")
    lengths = x.shape[2:]
    sizes, factors = _new_lengths(n, lengths, size, scale_factor)
    if min(sizes) < 1 or min(lengths) < 1:
        raise ValueError(f"interpolate: from lengths {lengths} to {sizes}: all must be positive")
    if mode == "area":
        return adaptive_avg_pool(n, x, sizes)
    # what makes the image smaller first, then the axes whose pixels are side by side
    for axis in sorted(range(n), key=lambda axis: (sizes[axis] / lengths[axis], -axis)):
        length, new = lengths[axis], sizes[axis]
        scale = length / new
        if factors and not recompute_scale_factor:
            scale = 1 / factors[axis]
        if align_corners:
            scale = (length - 1) / (new - 1) if new > 1 else 0.0
        if antialias:
            if new != length:
                x = resample(x, _smoothing_tables(mode, length, new, scale), axis + 2)
        elif not mode.startswith("nearest"):
            tables = _tables(mode, length, new, scale, bool(align_corners))
            x = resample(x, tables, axis + 2)
        elif new % length == 0 and scale * new == length:
            x = _repeated(x, new // length, axis + 2)
        else:
            x = _nearest(x, axis + 2, new, scale, 0.5 if mode == "nearest-exact" else 0.0)
    return x


def _repeated(x: Tensor, times: int, axis: int) -> Tensor:
    shape = x.shape
    wide = x.expand_dims(axis + 1).broadcast_to((*shape[: axis + 1], times, *shape[axis + 1 :]))
    return wide.reshape((*shape[:axis], shape[axis] * times, *shape[axis + 1 :]))


def _new_lengths(
    n: int, lengths: Lengths, size: Any, scale_factor: Any
) -> tuple[Lengths, tuple[float, ...]]:
    """The new lengths, and the factors where those are given."""
    if (size is None) == (scale_factor is None):
        raise ValueError("interpolate: give either size or scale_factor")
    if size is not None:
        return each_axis(size, n, "size"), ()
    factors = tuple(scale_factor) if isinstance(scale_factor, Sequence) else (scale_factor,) * n
    if len(factors) != n or not all(factor > 0 for factor in factors):
        raise ValueError(
            f"interpolate: scale_factor is a positive number or {n} of them, got {scale_factor}"
        )
    new = [math.floor(length * factor) for length, factor in zip(lengths, factors, strict=True)]
    return tuple(new), factors


def upsample(
    x: Tensor,
    size: int | Sequence[int] | None = None,
    scale_factor: float | Sequence[float] | None = None,
    mode: str = "nearest",
    align_corners: bool | None = None,
) -> Tensor:
    """`interpolate` under the name that PyTorch had for it.

    Example:
        >>> import needle as ndl
        >>> from needle.nn import functional as F
        >>> F.upsample(ndl.init.ones(2, 6, 4, 4), scale_factor=2).shape
        (2, 6, 8, 8)
    """
    return interpolate(x, size, scale_factor, mode, align_corners)
