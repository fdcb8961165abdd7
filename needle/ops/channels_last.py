"""The convolution of images with their channels last."""

from typing import Any

import numpy as np

from ..autograd import Array, Tensor, TensorOp
from .convolution import Convolution, by_weight, by_x, convolution_with, settings_of
from .views import permute

__all__ = ["Conv", "conv"]


class Conv(TensorOp):
    """The convolution of images (N, H, W, C) with a kernel (K, K, C, O), for square padding.

    `Convolution` with the channels last. Adjoints: its adjoints.

    Example:
        >>> import needle as ndl
        >>> ndl.ops.Conv(stride=2)(ndl.init.ones(1, 5, 5, 3), ndl.init.ones(3, 3, 3, 8)).shape
        (1, 2, 2, 8)
    """

    def __init__(self, stride: int = 1, padding: int = 0) -> None:
        self.stride = stride
        self.padding = padding

    @property
    def _op(self) -> Convolution:
        return convolution_with(*settings_of(2, self.stride, self.padding, 1, 1))

    def compute(self, a: Array, b: Array) -> Array:
        arrays = np.transpose(a, _CHANNELS_FIRST), np.transpose(b, _OUTPUTS_FIRST)
        return np.transpose(self._op.compute(*arrays), _CHANNELS_LAST)

    def infer(self, a: Array, b: Array) -> Any:
        arrays = np.transpose(a, _CHANNELS_FIRST), np.transpose(b, _OUTPUTS_FIRST)
        return np.transpose(self._op.infer(*arrays), _CHANNELS_LAST)

    def gradient(self, out_grad: Tensor, node: Tensor) -> tuple[Tensor | None, ...]:
        a, b = node.inputs
        x, weight = permute(a, _CHANNELS_FIRST), permute(b, _OUTPUTS_FIRST)
        g = permute(out_grad, _CHANNELS_FIRST)
        of_a = of_b = None
        if a.requires_grad:
            of_a = permute(by_x(self._op, g, weight, x.shape), _CHANNELS_LAST)
        if b.requires_grad:
            of_b = permute(by_weight(self._op, x, g, weight.shape), _OUTPUTS_LAST)
        return of_a, of_b

    def _reason(self, cause: Exception, *arrays: Array) -> str:
        a, b = arrays
        if a.ndim != 4 or b.ndim != 4:
            return f"expected (N, H, W, C) and (K, K, C, O), got {a.ndim} and {b.ndim} axes"
        if a.shape[3] != b.shape[2]:
            return (
                f"the kernel is for {b.shape[2]} channels, the images have {a.shape[3]} along "
                "axis 3: they are (N, H, W, C), the kernel (K, K, C, O)"
            )
        return str(cause)


_CHANNELS_FIRST, _CHANNELS_LAST = (0, 3, 1, 2), (0, 2, 3, 1)
_OUTPUTS_FIRST, _OUTPUTS_LAST = (3, 2, 0, 1), (2, 3, 1, 0)


def conv(a: Tensor, b: Tensor, stride: int = 1, padding: int = 1) -> Tensor:
    """The convolution of images a (N, H, W, C) with a kernel b (K, K, C, O).

    `nn.functional.conv2d` takes PyTorch's layout, and more settings.

    Example:
        >>> import needle as ndl
        >>> ndl.conv(ndl.init.ones(2, 8, 8, 3), ndl.init.ones(3, 3, 3, 16)).shape
        (2, 8, 8, 16)
    """
    return Conv(stride, padding)(a, b)
