"""Convolution over any number of spatial axes, with both its adjoints as ops.

⟨g, conv(x, w)⟩ is linear in each of x (N, C, ...), w (O, C/groups, ...) and g (N, O, ...). Its
derivative by g is the convolution, that by x the transposed convolution, that by w the third op
here: the gradients of each of the three are the other two.

In the instances a setting is a tuple of numbers, one for each spatial axis, and the padding one of
pairs (before, after). Arrays are computed in correlation.py, with the channels last in memory.
"""

import operator
from functools import cache, reduce
from typing import Any

import numpy as np

from ..autograd import AbstractArray, Array, Tensor
from .correlation import correlate, correlate_transposed, correlate_weights
from .kinds import Contraction
from .reductions import summation
from .windows import Lengths, Padding, each_axis, each_padding, output_lengths

__all__ = [
    "Convolution", "convolution", "ConvolutionOfWeights", "TransposedConvolution",
    "transposed_convolution",
]  # fmt: skip


class _Convolving(Contraction):
    """An op of two arrays that is linear in each."""

    def __init__(
        self, stride: Lengths, padding: Padding, dilation: Lengths, groups: int = 1
    ) -> None:
        self.stride = stride
        self.padding = padding
        self.dilation = dilation
        self.groups = groups

    @property
    def _settings(self) -> tuple[Any, ...]:
        return self.stride, self.padding, self.dilation, self.groups

    @property
    def _numbers(self) -> tuple[Lengths, Lengths, Lengths, int]:
        """The settings as correlation.py takes them, which infers the padding behind."""
        before = tuple([first for first, _ in self.padding])
        return self.stride, before, self.dilation, self.groups

    def tangent(self, tangents: Any, node: Tensor) -> Tensor:
        a, b = node.inputs[:2]
        of_a, of_b, *of_bias = tangents
        parts = [] if of_a is None else [self(of_a, b)]
        if of_b is not None:
            parts.append(self(a, of_b))
        for each in of_bias:
            if each is not None:
                per_channel = each.reshape((-1, *[1] * len(self.stride)))
                parts.append(per_channel.broadcast_to(node.shape))
        return reduce(operator.add, parts)

    def infer(self, a: Array, b: Array, *bias: Array) -> AbstractArray:
        return AbstractArray(self._shape(a, b), np.result_type(a.dtype, b.dtype))

    def compute(self, a: Array, b: Array, *bias: Array) -> Array:
        shape = self._shape(a, b)
        dtype = np.result_type(a.dtype, b.dtype)
        return self._compute(shape, None, *_widened(a, b, *bias)).astype(dtype, copy=False)

    def compute_into(self, out: Array, *arrays: Array) -> None:
        widened = _widened(*arrays)
        found = self._compute(out.shape, out if out.dtype == widened[0].dtype else None, *widened)
        if found is not out:
            out[...] = found

    def _shape(self, a: Array, b: Array) -> tuple[int, ...]:
        raise NotImplementedError

    def _compute(self, shape: tuple[int, ...], out: Array | None, *arrays: Array) -> Array:
        """The result, in the memory of `out` if there is one and it suits."""
        raise NotImplementedError


def _widened(*arrays: Array) -> list[Array]:
    """Arrays of one dtype; float16 is added up in float32."""
    dtype = np.result_type(arrays[0].dtype, arrays[1].dtype)
    wide = np.result_type(dtype, np.float32) if dtype.kind == "f" else dtype
    return [each.astype(wide, copy=False) for each in arrays]


class Convolution(_Convolving):
    """y[n, o, i] = b[o] + Σ x[n, c, i·stride + k·dilation - before]·w[o, c, k], over c and k.

    x (N, C, ...) is 0 outside, w (O, C/groups, ...), b (O,), which may be left out: channel o reads
    the channels of its group. float16 is added up in float32. Adjoints: the transposed convolution
    of g with w, the `ConvolutionOfWeights` of x and g, and g summed over all but the channels.

    Example:
        >>> import needle as ndl
        >>> op = ndl.ops.Convolution(stride=(2,), padding=((0, 0),), dilation=(1,))
        >>> print(op(ndl.init.ones(1, 1, 4), ndl.init.ones(1, 1, 2)))
        [[[2. 2.]]]
    """

    def _shape(self, x: Array, weight: Array) -> tuple[int, ...]:
        ndim = len(self.stride)
        if x.ndim != ndim + 2 or weight.ndim != ndim + 2:
            raise ValueError(
                f"expected (N, C) and (O, C) with {ndim} spatial axes behind, "
                f"got {x.ndim} and {weight.ndim} axes"
            )
        _check_groups(weight.shape[0], self.groups, "the weight's axis 0")
        channels = weight.shape[1] * self.groups
        if x.shape[1] != channels:
            _check_groups(x.shape[1], self.groups, "the input's axis 1")
            grouped = f" in each of {self.groups} groups" if self.groups > 1 else ""
            raise ValueError(
                f"the weight is for {weight.shape[1]} channels{grouped}, the input has "
                f"{x.shape[1]} along axis 1, expected {channels}"
                f"{_layout_hint(x.shape, channels)}"
            )
        lengths = output_lengths(
            x.shape[2:], weight.shape[2:], self.stride, self.padding, self.dilation
        )
        return x.shape[0], weight.shape[0], *lengths

    def _compute(self, shape: tuple[int, ...], out: Array | None, *arrays: Array) -> Array:
        x, weight, *bias = arrays
        return correlate(x, weight, bias[0] if bias else None, *self._numbers, shape[2:], out)

    def gradient(self, out_grad: Tensor, node: Tensor) -> tuple[Tensor | None, ...]:
        x, weight, *bias = node.inputs
        adjoints = [
            by_x(self, out_grad, weight, x.shape) if x.requires_grad else None,
            by_weight(self, x, out_grad, weight.shape) if weight.requires_grad else None,
        ]
        for each in bias:
            summed = (0, *range(2, out_grad.ndim))
            adjoints.append(summation(out_grad, summed) if each.requires_grad else None)
        return tuple(adjoints)


class TransposedConvolution(_Convolving):
    """Σ g[n, o, i]·w[o, c, k] at each pixel i·stride + k·dilation - before of images of `lengths`.

    The adjoint of `Convolution` by x: g (N, O, ...), w (O, C/groups, ...). Adjoints, for that of
    the result, h: the convolution of h with w, and the `ConvolutionOfWeights` of h and g.

    Example:
        >>> import needle as ndl
        >>> op = ndl.ops.TransposedConvolution((2,), ((0, 0),), (1,), 1, lengths=(4,))
        >>> print(op(ndl.Tensor([[[1.0, 2.0]]]), ndl.Tensor([[[1.0, 10.0]]])))
        [[[ 1. 10.  2. 20.]]]
    """

    def __init__(
        self,
        stride: Lengths,
        padding: Padding,
        dilation: Lengths,
        groups: int,
        lengths: Lengths,
    ) -> None:
        super().__init__(stride, padding, dilation, groups)
        self.lengths = lengths

    def _shape(self, g: Array, weight: Array) -> tuple[int, ...]:
        ndim = len(self.stride)
        if g.ndim != ndim + 2 or weight.ndim != ndim + 2:
            raise ValueError(
                f"expected (N, C) and (C, O) with {ndim} spatial axes behind, "
                f"got {g.ndim} and {weight.ndim} axes"
            )
        _check_groups(weight.shape[0], self.groups, "the weight's axis 0")
        if g.shape[1] != weight.shape[0]:
            raise ValueError(
                f"the weight is for {weight.shape[0]} channels, the input has {g.shape[1]} along "
                f"axis 1{_layout_hint(g.shape, weight.shape[0])}"
            )
        return g.shape[0], weight.shape[1] * self.groups, *self.lengths

    def _compute(self, shape: tuple[int, ...], out: Array | None, *arrays: Array) -> Array:
        g, weight = arrays
        return correlate_transposed(g, weight, *self._numbers, self.lengths, out)

    def gradient(self, out_grad: Tensor, node: Tensor) -> tuple[Tensor | None, ...]:
        g, weight = node.inputs
        return (
            by_g(self, out_grad, weight, g.shape) if g.requires_grad else None,
            by_weight(self, out_grad, g, weight.shape) if weight.requires_grad else None,
        )


class ConvolutionOfWeights(_Convolving):
    """Σ x[n, c, i·stride + k·dilation - before]·g[n, o, i], over n and i, for each o, c and k.

    The adjoint of `Convolution` by w, whose windows have the lengths `kernel`. Adjoints, for that
    of the result, u: the transposed convolution of g with u, and the convolution of x with u.

    Example:
        >>> import needle as ndl
        >>> op = ndl.ops.ConvolutionOfWeights((1,), ((0, 0),), (1,), 1, kernel=(2,))
        >>> print(op(ndl.Tensor([[[1.0, 2.0, 3.0]]]), ndl.Tensor([[[1.0, 1.0]]])))
        [[[3. 5.]]]
    """

    def __init__(
        self,
        stride: Lengths,
        padding: Padding,
        dilation: Lengths,
        groups: int,
        kernel: Lengths,
    ) -> None:
        super().__init__(stride, padding, dilation, groups)
        self.kernel = kernel

    def _shape(self, x: Array, g: Array) -> tuple[int, ...]:
        return g.shape[1], x.shape[1] // self.groups, *self.kernel

    def _compute(self, shape: tuple[int, ...], out: Array | None, *arrays: Array) -> Array:
        x, g = arrays
        return correlate_weights(x, g, self.kernel, *self._numbers)

    def gradient(self, out_grad: Tensor, node: Tensor) -> tuple[Tensor | None, ...]:
        x, g = node.inputs
        return (
            by_x(self, g, out_grad, x.shape) if x.requires_grad else None,
            by_g(self, x, out_grad, g.shape) if g.requires_grad else None,
        )


# one instance for all calls with equal settings
convolution_with = cache(Convolution)
_transposed = cache(TransposedConvolution)
_of_weights = cache(ConvolutionOfWeights)


# the derivatives of ⟨g, conv(x, w)⟩


def by_g(op: _Convolving, x: Tensor, weight: Tensor, shape: tuple[int, ...]) -> Tensor:
    y = Tensor.make_from_op(convolution_with(*op._settings), (x, weight))
    # longer where an output padding of x reaches the stride
    return y if y.shape == shape else y[(..., *map(slice, shape[2:]))]


def by_x(op: _Convolving, g: Tensor, weight: Tensor, shape: tuple[int, ...]) -> Tensor:
    return Tensor.make_from_op(_transposed(*op._settings, shape[2:]), (g, weight))


def by_weight(op: _Convolving, x: Tensor, g: Tensor, shape: tuple[int, ...]) -> Tensor:
    return Tensor.make_from_op(_of_weights(*op._settings, shape[2:]), (x, g))


def _check_groups(channels: int, groups: int, where: str) -> None:
    if channels % groups:
        raise ValueError(f"{channels} channels along {where} do not split into {groups} groups")


def _layout_hint(shape: tuple[int, ...], channels: int) -> str:
    """What to say where an image has its channels last."""
    if shape[-1] != channels:
        return ""
    order = (0, len(shape) - 1, *range(1, len(shape) - 1))
    return f"; the last axis has that length: x.permute({order}) puts the channels first"


# --- functions


def settings_of(
    ndim: int, stride: Any, padding: Any, dilation: Any, groups: int
) -> tuple[Lengths, Padding, Lengths, int]:
    (groups,) = each_axis(groups, 1, "groups")
    return (
        each_axis(stride, ndim, "stride"),
        each_padding(padding, ndim),
        each_axis(dilation, ndim, "dilation"),
        groups,
    )


def convolution(
    a: Tensor,
    weight: Tensor,
    bias: Tensor | None = None,
    stride: Any = 1,
    padding: Any = 0,
    dilation: Any = 1,
    groups: int = 1,
) -> Tensor:
    """The convolution of images a (N, C, ...) with weight (O, C/groups, ...), and bias (O,) added.

    Each setting is a number for all spatial axes, or one for each; padding also a pair (before,
    after) for each. PyTorch's `conv1d`, `conv2d` and `conv3d` are in `nn.functional`.

    Example:
        >>> import needle as ndl
        >>> image, kernel = ndl.init.ones(1, 1, 3, 3), ndl.init.ones(1, 1, 2, 2)
        >>> print(ndl.ops.convolution(image, kernel)[0, 0])
        [[4. 4.]
         [4. 4.]]
    """
    settings = settings_of(weight.ndim - 2, stride, padding, dilation, groups)
    return convolution_with(*settings)(*([a, weight] if bias is None else [a, weight, bias]))


def transposed_convolution(
    a: Tensor,
    weight: Tensor,
    stride: Any = 1,
    padding: Any = 0,
    output_padding: Any = 0,
    groups: int = 1,
    dilation: Any = 1,
) -> Tensor:
    """The adjoint of `convolution` by its images, applied to a (N, C, ...).

    The weight is (C, O/groups, ...). Of the images whose convolution has a's lengths, those are
    meant that are longer than the shortest by `output_padding`, which is below stride or dilation.

    Example:
        >>> import needle as ndl
        >>> images, kernel = ndl.init.ones(1, 2, 4, 4), ndl.init.ones(2, 3, 2, 2)
        >>> ndl.ops.transposed_convolution(images, kernel, stride=2).shape
        (1, 3, 8, 8)
    """
    ndim = weight.ndim - 2
    if 0 in a.shape[2:]:
        raise ValueError(f"transposed convolution: expected images with pixels, got {a.shape}")
    settings = settings_of(ndim, stride, padding, dilation, groups)
    more = each_axis(output_padding, ndim, "output_padding", 0)
    lengths = []
    for length, taps, step, (before, after), apart, extra in zip(
        a.shape[2:], weight.shape[2:], *settings[:3], more, strict=True
    ):
        if extra >= max(step, apart):
            raise ValueError(
                f"output_padding: expected less than the stride or the dilation, got {extra} "
                f"with stride {step} and dilation {apart}"
            )
        lengths.append((length - 1) * step - before - after + apart * (taps - 1) + extra + 1)
    if min(lengths, default=1) < 1:
        raise ValueError(
            f"transposed convolution of {tuple(a.shape[2:])} with a kernel of "
            f"{tuple(weight.shape[2:])}: the result would have lengths {tuple(lengths)}, all of "
            "which must be positive: use less padding"
        )
    return _transposed(*settings, tuple(lengths))(a, weight)
