"""Convolution and transposed convolution of images of one, two and three spatial axes.

A setting is a number for all spatial axes, or a tuple with one for each.

Raises:
    TypeError: an operand is not a Tensor of floats; a setting is not a whole number.
    ValueError: shapes do not fit, the kernel is larger than the padded image, `groups` does not
        divide the channels, or a setting is out of its range.
"""

from collections.abc import Sequence

from ... import ops
from ...autograd import Tensor
from ...ops.windows import each_axis, each_padding
from .spatial import for_axes, on_batch

__all__ = [
    "conv1d", "conv2d", "conv3d", "conv_transpose1d", "conv_transpose2d", "conv_transpose3d",
]  # fmt: skip

Setting = int | Sequence[int]


def _conv(
    n: int,
    x: Tensor,
    weight: Tensor,
    bias: Tensor | None = None,
    stride: Setting = 1,
    padding: Setting | str = 0,
    dilation: Setting = 1,
    groups: int = 1,
) -> Tensor:
    layer = f"conv{n}d"
    _check_weight(layer, n, weight)
    _check_bias(layer, bias, weight.shape[0])
    steps, apart = each_axis(stride, n, "stride"), each_axis(dilation, n, "dilation")
    ends = same_padding(layer, weight.shape[2:], steps, apart, padding)
    return on_batch(
        layer, n, x, lambda x: ops.convolution(x, weight, bias, steps, ends, apart, groups)
    )


conv1d, conv2d, conv3d = for_axes(
    _conv,
    "conv{n}d",
    """Convolves x {layout} with weight (O, C/groups, ...), and adds bias (O,).

    Without padding at the ends unless `padding` is given: how many zeros, "same" for as many as
    keep the lengths (with stride 1), "valid" for none. Each of `groups` groups of outputs reads as
    many channels.

    Example:
        >>> import needle as ndl
        >>> from needle.nn import functional as F
        >>> x, weight = ndl.init.ones(2, 6, {a}), ndl.init.ones(4, 6, {c})
        >>> F.conv{n}d(x, weight, padding=1, stride=2).shape
        (2, 4, {b})
    """,
)


def _conv_transpose(
    n: int,
    x: Tensor,
    weight: Tensor,
    bias: Tensor | None = None,
    stride: Setting = 1,
    padding: Setting = 0,
    output_padding: Setting = 0,
    groups: int = 1,
    dilation: Setting = 1,
) -> Tensor:
    layer = f"conv_transpose{n}d"
    _check_weight(layer, n, weight)
    _check_bias(layer, bias, weight.shape[1] * groups)

    def transposed(x: Tensor) -> Tensor:
        y = ops.transposed_convolution(x, weight, stride, padding, output_padding, groups, dilation)
        return y if bias is None else y + bias.reshape((-1, *[1] * n))

    return on_batch(layer, n, x, transposed)


conv_transpose1d, conv_transpose2d, conv_transpose3d = for_axes(
    _conv_transpose,
    "conv_transpose{n}d",
    """The adjoint of `conv{n}d` by its images, of x {layout}, with weight (C, O/groups, ...).

    The lengths become (length - 1)·stride - 2·padding + dilation·(kernel - 1) + output_padding + 1.

    Example:
        >>> import needle as ndl
        >>> from needle.nn import functional as F
        >>> x, weight = ndl.init.ones(2, 6, {b}), ndl.init.ones(6, 4, {d})
        >>> F.conv_transpose{n}d(x, weight, stride=2).shape
        (2, 4, {a})
    """,
)


def same_padding(
    layer: str,
    kernel: tuple[int, ...],
    stride: tuple[int, ...],
    dilation: tuple[int, ...],
    padding: Setting | str,
) -> tuple[tuple[int, int], ...]:
    """`padding` as pairs (before, after)."""
    if padding == "same":
        if max(stride) > 1:
            raise ValueError(f"{layer}: padding='same' is for stride 1, got {stride}")
        wide = [apart * (taps - 1) for taps, apart in zip(kernel, dilation, strict=True)]
        return tuple([(each // 2, each - each // 2) for each in wide])
    if padding == "valid":
        padding = 0
    if isinstance(padding, str):
        raise ValueError(f"{layer}: padding is a number, 'same' or 'valid', got {padding!r}")
    return each_padding(padding, len(kernel))


def _check_weight(layer: str, n: int, weight: Tensor) -> None:
    if weight.ndim != n + 2:
        raise ValueError(
            f"{layer} expected a weight of {n + 2} axes, {n} of them spatial, got {weight.shape}"
        )
    if 0 in weight.shape[2:]:
        raise ValueError(f"{layer} expected a kernel of positive lengths, got {weight.shape}")


def _check_bias(layer: str, bias: Tensor | None, channels: int) -> None:
    if bias is not None and bias.shape != (channels,):
        raise ValueError(
            f"{layer} expected a bias of shape {(channels,)}, a number for each channel of the "
            f"result, got {bias.shape}"
        )
