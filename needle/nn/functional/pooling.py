"""Pooling: what of each window of an image is kept.

A setting is a number for all spatial axes, or a tuple with one for each; `stride` is by default the
size of the window.

Raises:
    TypeError: x is not a Tensor of floating-point numbers; a setting is not a whole number.
    ValueError: a window is larger than the padded image, padding is more than half a window, or a
        setting is out of its range.
"""

import math
from collections.abc import Sequence
from functools import lru_cache
from typing import Any

import numpy as np

from ... import ops
from ...autograd import Tensor
from ...ops.functions import in_single_precision
from ...ops.pooling import window_max, window_sum
from ...ops.resampling import resample, table_of_neighbours
from ...ops.windows import Lengths, each_axis, output_lengths
from .spatial import for_axes, on_batch

__all__ = [
    "adaptive_avg_pool1d", "adaptive_avg_pool2d", "adaptive_avg_pool3d", "adaptive_max_pool1d",
    "adaptive_max_pool2d", "adaptive_max_pool3d", "avg_pool1d", "avg_pool2d", "avg_pool3d",
    "lp_pool1d", "lp_pool2d", "lp_pool3d", "max_pool1d", "max_pool2d", "max_pool3d",
    "max_unpool1d", "max_unpool2d", "max_unpool3d",
]  # fmt: skip

Setting = int | Sequence[int]


def _windows(
    layer: str,
    n: int,
    x: Tensor,
    kernel_size: Setting,
    stride: Setting | None,
    padding: Setting,
    dilation: Setting,
    ceil_mode: bool,
) -> tuple[Any, ...]:
    """The settings of an op with windows over x, checked."""
    kernel = each_axis(kernel_size, n, "kernel_size")
    steps = kernel if stride is None or stride == () else each_axis(stride, n, "stride")
    ends = each_axis(padding, n, "padding", 0)
    apart = each_axis(dilation, n, "dilation")
    for width, taps, gap in zip(ends, kernel, apart, strict=True):
        if 2 * width > gap * (taps - 1) + 1:
            raise ValueError(
                f"{layer}: padding must be at most half of the kernel, got {padding} for "
                f"kernel_size {kernel_size}"
            )
    lengths = x.shape[2:]
    settings = lengths, kernel, steps, tuple(zip(ends, ends, strict=True)), apart, bool(ceil_mode)
    try:
        output_lengths(*settings)
    except ValueError as error:
        raise ValueError(f"{layer} of {x.shape}: {error}") from None
    return settings


def _max_pool(
    n: int,
    x: Tensor,
    kernel_size: Setting,
    stride: Setting | None = None,
    padding: Setting = 0,
    dilation: Setting = 1,
    ceil_mode: bool = False,
    return_indices: bool = False,
) -> Any:
    layer = f"max_pool{n}d"

    def pooled(x: Tensor) -> Any:
        settings = _windows(layer, n, x, kernel_size, stride, padding, dilation, ceil_mode)
        largest = window_max(*settings)(x)
        return (largest, ops.WindowArgMax(*settings)(x)) if return_indices else largest

    return on_batch(layer, n, x, pooled)


max_pool1d, max_pool2d, max_pool3d = for_axes(
    _max_pool,
    "max_pool{n}d",
    """The largest element of each window of x {layout}.

    With `ceil_mode` the last window may reach beyond the end. With `return_indices` a pair: also
    where it is, as an index into the flattened spatial axes, for `max_unpool{n}d`.

    Example:
        >>> import needle as ndl
        >>> from needle.nn import functional as F
        >>> F.max_pool{n}d(ndl.init.ones(2, 6, {a}), 2).shape
        (2, 6, {b})
    """,
)


def _avg_pool(
    n: int,
    x: Tensor,
    kernel_size: Setting,
    stride: Setting | None = None,
    padding: Setting = 0,
    ceil_mode: bool = False,
    count_include_pad: bool = True,
    divisor_override: int | None = None,
) -> Tensor:
    layer = f"avg_pool{n}d"
    if divisor_override is not None and not divisor_override:
        raise ValueError(f"{layer}: divisor_override must not be 0")

    @in_single_precision
    def pooled(x: Tensor) -> Tensor:
        settings = _windows(layer, n, x, kernel_size, stride, padding, 1, ceil_mode)
        total = window_sum(*settings)(x)
        if divisor_override is not None:
            return total / divisor_override
        counts = _counts(settings, count_include_pad)
        if counts.min() == counts.max():
            return total / int(counts.max())
        return total * Tensor(1 / counts, device=x.device, dtype=x.dtype, requires_grad=False)

    return on_batch(layer, n, x, pooled)


def _counts(settings: tuple[Any, ...], with_padding: bool) -> np.ndarray:
    """How many elements each window has."""
    lengths, kernel, stride, padding, *_ = settings
    outputs = output_lengths(*settings)
    counts = np.ones(())
    for axis, (before, after) in enumerate(padding):
        first = np.arange(outputs[axis]) * stride[axis] - before
        outside = (before, after) if with_padding else (0, 0)
        begin = np.maximum(first, -outside[0])
        end = np.minimum(first + kernel[axis], lengths[axis] + outside[1])
        counts = np.multiply.outer(counts, end - begin)
    return counts


avg_pool1d, avg_pool2d, avg_pool3d = for_axes(
    _avg_pool,
    "avg_pool{n}d",
    """The mean of each window of x {layout}.

    Padding counts as zeros, or not at all without `count_include_pad`; `divisor_override` is what
    the sum is divided by instead of the number of elements. With `ceil_mode` the last window may
    reach beyond the end, where nothing counts.

    Example:
        >>> import needle as ndl
        >>> from needle.nn import functional as F
        >>> F.avg_pool{n}d(ndl.init.ones(2, 6, {a}), 2).shape
        (2, 6, {b})
    """,
)


def _lp_pool(
    n: int,
    x: Tensor,
    norm_type: float,
    kernel_size: Setting,
    stride: Setting | None = None,
    ceil_mode: bool = False,
) -> Tensor:
    if norm_type == 0:
        raise ValueError(f"lp_pool{n}d: norm_type must not be 0")
    size = math.prod(each_axis(kernel_size, n, "kernel_size"))

    @in_single_precision
    def pooled(x: Tensor) -> Tensor:
        means = _avg_pool(n, x**norm_type, kernel_size, stride, 0, ceil_mode)
        return (means * size) ** (1 / norm_type)

    return pooled(x)


lp_pool1d, lp_pool2d, lp_pool3d = for_axes(
    _lp_pool,
    "lp_pool{n}d",
    """(Σ xᵖ)^(1/p) over each window of x {layout}, with p = norm_type.

    Example:
        >>> import needle as ndl
        >>> from needle.nn import functional as F
        >>> F.lp_pool{n}d(ndl.init.ones(2, 6, {a}), 2, 2).shape
        (2, 6, {b})
    """,
)


def _max_unpool(
    n: int,
    x: Tensor,
    indices: Tensor,
    kernel_size: Setting,
    stride: Setting | None = None,
    padding: Setting = 0,
    output_size: Sequence[int] | None = None,
) -> Tensor:
    layer = f"max_unpool{n}d"
    kernel = each_axis(kernel_size, n, "kernel_size")
    steps = kernel if stride is None else each_axis(stride, n, "stride")
    ends = each_axis(padding, n, "padding", 0)
    if indices.shape != x.shape:
        raise ValueError(f"{layer} expected indices of shape {x.shape}, got {indices.shape}")
    if output_size is None:
        settings = zip(x.shape[-n:], steps, ends, kernel, strict=True)
        lengths = tuple(
            [(count - 1) * step - 2 * end + taps for count, step, end, taps in settings]
        )
    else:
        lengths = tuple(output_size)[-n:]
    rows, places = math.prod(x.shape[:-n]), math.prod(x.shape[-n:])
    flat = indices.reshape((rows, places))
    zeros = Tensor(
        np.zeros((rows, math.prod(lengths))), device=x.device, dtype=x.dtype, requires_grad=False
    )
    each_row = Tensor(np.arange(rows)[:, None], device=x.device, requires_grad=False)
    try:
        image = zeros.at[each_row, flat].set(x.reshape((rows, places)))
    except IndexError as error:
        raise ValueError(
            f"{layer}: some indices are outside images of lengths {lengths}: give the lengths of "
            "the pooled image as output_size"
        ) from error
    return image.reshape((*x.shape[:-n], *lengths))


max_unpool1d, max_unpool2d, max_unpool3d = for_axes(
    _max_unpool,
    "max_unpool{n}d",
    """Zeros, with x {layout} where `max_pool{n}d(..., return_indices=True)` has found it.

    `output_size` are the lengths of the pooled image, where several have the same windows.

    Example:
        >>> import needle as ndl
        >>> from needle.nn import functional as F
        >>> y, indices = F.max_pool{n}d(ndl.init.ones(2, 6, {a}), 2, return_indices=True)
        >>> F.max_unpool{n}d(y, indices, 2).shape
        (2, 6, {a})
    """,
)


# --- as many windows as are wanted

Sizes = int | None | Sequence[int | None]


def _sizes(layer: str, n: int, x: Tensor, output_size: Sizes) -> Lengths:
    """The lengths of the result; None is that of x."""
    given = output_size if isinstance(output_size, Sequence) else (output_size,) * n
    if len(given) == 1:
        given = tuple(given) * n
    if len(given) != n:
        raise ValueError(f"{layer}: output_size is a number or {n} of them, got {output_size}")
    sizes = tuple([x.shape[2:][i] if size is None else size for i, size in enumerate(given)])
    return each_axis(sizes, n, "output_size")


def _bounds(length: int, size: int) -> list[tuple[int, int]]:
    """Where the windows begin and end: they have about equal lengths, and may overlap."""
    return [(i * length // size, -(-(i + 1) * length // size)) for i in range(size)]


@lru_cache
def _means(length: int, size: int) -> Any:
    """The tables of the means of windows, see `ops.resampling`."""
    begin, end = np.transpose(_bounds(length, size))
    counts = end - begin
    targets = np.repeat(np.arange(size), counts)
    first = np.repeat(begin - (np.cumsum(counts) - counts), counts)
    sources = first + np.arange(len(targets))
    return table_of_neighbours(targets, sources, 1 / counts[targets], size, length)


def adaptive_avg_pool(n: int, x: Tensor, output_size: Sizes) -> Tensor:
    layer = f"adaptive_avg_pool{n}d"

    @in_single_precision
    def pooled(x: Tensor) -> Tensor:
        sizes = _sizes(layer, n, x, output_size)
        _check_not_empty(layer, x)
        if set(sizes) == {1}:
            return x.mean(tuple(range(2, n + 2)), keepdims=True)
        if _divides(sizes, x.shape[2:]):
            return _avg_pool(n, x, _quotients(x.shape[2:], sizes))
        for axis, (length, size) in enumerate(zip(x.shape[2:], sizes, strict=True), start=2):
            x = resample(x, _means(length, size), axis)
        return x

    return on_batch(layer, n, x, pooled)


def _check_not_empty(layer: str, x: Tensor) -> None:
    if 0 in x.shape[2:]:
        raise ValueError(f"{layer} expected images with pixels, got {x.shape}")


def _divides(sizes: Lengths, lengths: Lengths) -> bool:
    return all(length % size == 0 for length, size in zip(lengths, sizes, strict=True))


def _quotients(lengths: Lengths, sizes: Lengths) -> Lengths:
    return tuple([length // size for length, size in zip(lengths, sizes, strict=True)])


adaptive_avg_pool1d, adaptive_avg_pool2d, adaptive_avg_pool3d = for_axes(
    adaptive_avg_pool,
    "adaptive_avg_pool{n}d",
    """The means of as many windows of x {layout} as `output_size` says, which cover it.

    Window i is from ⌊i·length/size⌋ to ⌈(i + 1)·length/size⌉; None stands for x's own length.

    Example:
        >>> import needle as ndl
        >>> from needle.nn import functional as F
        >>> F.adaptive_avg_pool{n}d(ndl.init.ones(2, 6, {a}), 1).shape
        (2, 6, {e})
    """,
)


def _adaptive_max_pool(n: int, x: Tensor, output_size: Sizes, return_indices: bool = False) -> Any:
    layer = f"adaptive_max_pool{n}d"

    def pooled(x: Tensor) -> Any:
        lengths, sizes = x.shape[2:], _sizes(layer, n, x, output_size)
        _check_not_empty(layer, x)
        if _divides(sizes, lengths):
            quotients = _quotients(lengths, sizes)
            return _max_pool(n, x, quotients, return_indices=return_indices)
        places = np.zeros((*sizes, 1), np.int64)  # of what each window reads, among all pixels
        for axis, (length, size) in enumerate(zip(lengths, sizes, strict=True)):
            bounds = _bounds(length, size)
            widest = max(end - begin for begin, end in bounds)
            read = [[min(begin + i, end - 1) for i in range(widest)] for begin, end in bounds]
            along = np.reshape(read, [size if i == axis else 1 for i in range(n)] + [1, widest])
            places = (places[..., None] * length + along).reshape((*sizes, -1))
        flat = x.reshape((*x.shape[:2], math.prod(lengths)))
        windows = flat[:, :, Tensor(places, device=x.device, requires_grad=False)]
        first = windows.argmax(-1, keepdims=True)
        largest = ops.take_along_axis(windows, first, -1).squeeze(-1)
        if not return_indices:
            return largest
        table = Tensor(places, device=x.device, requires_grad=False)
        table = table.broadcast_to(windows.shape)
        return largest, ops.take_along_axis(table, first, -1).squeeze(-1)

    return on_batch(layer, n, x, pooled)


adaptive_max_pool1d, adaptive_max_pool2d, adaptive_max_pool3d = for_axes(
    _adaptive_max_pool,
    "adaptive_max_pool{n}d",
    """The largest elements of as many windows of x {layout} as `output_size` says.

    The windows are those of `adaptive_avg_pool{n}d`. With `return_indices` a pair, as
    `max_pool{n}d`.

    Example:
        >>> import needle as ndl
        >>> from needle.nn import functional as F
        >>> F.adaptive_max_pool{n}d(ndl.init.ones(2, 6, {a}), 1).shape
        (2, 6, {e})
    """,
)
