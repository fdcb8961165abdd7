"""Pooling layers; their formulas and errors are those of `needle.nn.functional`."""

from collections.abc import Sequence
from typing import Any

from ..autograd import Tensor
from . import functional
from .function import FunctionModule, FunctionOfSettings
from .functional.pooling import Setting, Sizes

__all__ = [
    "AdaptiveAvgPool1d", "AdaptiveAvgPool2d", "AdaptiveAvgPool3d", "AdaptiveMaxPool1d",
    "AdaptiveMaxPool2d", "AdaptiveMaxPool3d", "AvgPool1d", "AvgPool2d", "AvgPool3d", "LPPool1d",
    "LPPool2d", "LPPool3d", "MaxPool1d", "MaxPool2d", "MaxPool3d", "MaxUnpool1d", "MaxUnpool2d",
    "MaxUnpool3d",
]  # fmt: skip


class _MaxPool(FunctionModule):
    def forward(self, x: Tensor) -> Any:
        *windows, with_indices, ceil_mode = self._settings(self)  # the function has them swapped
        return self._function(x, *windows, ceil_mode, with_indices)


class MaxPool1d(_MaxPool, function=functional.max_pool1d):
    """The largest element of each window of x (N, C, L).

    With `return_indices` the result is a pair: also where it is, as `MaxUnpool1d` takes it.

    Example:
        >>> import needle as ndl
        >>> ndl.nn.MaxPool1d(2)(ndl.init.rand(2, 6, 8)).shape
        (2, 6, 4)
    """

    kernel_size: Setting
    stride: Setting | None = None
    padding: Setting = 0
    dilation: Setting = 1
    return_indices: bool = False
    ceil_mode: bool = False


class MaxPool2d(_MaxPool, function=functional.max_pool2d):
    """The largest element of each window of x (N, C, H, W).

    With `return_indices` the result is a pair: also where it is, as `MaxUnpool2d` takes it.

    Example:
        >>> import needle as ndl
        >>> ndl.nn.MaxPool2d(2)(ndl.init.rand(2, 6, 8, 8)).shape
        (2, 6, 4, 4)
    """

    kernel_size: Setting
    stride: Setting | None = None
    padding: Setting = 0
    dilation: Setting = 1
    return_indices: bool = False
    ceil_mode: bool = False


class MaxPool3d(_MaxPool, function=functional.max_pool3d):
    """The largest element of each window of x (N, C, D, H, W).

    With `return_indices` the result is a pair: also where it is, as `MaxUnpool3d` takes it.

    Example:
        >>> import needle as ndl
        >>> ndl.nn.MaxPool3d(2)(ndl.init.rand(2, 6, 8, 8, 8)).shape
        (2, 6, 4, 4, 4)
    """

    kernel_size: Setting
    stride: Setting | None = None
    padding: Setting = 0
    dilation: Setting = 1
    return_indices: bool = False
    ceil_mode: bool = False


class AvgPool1d(FunctionModule, function=functional.avg_pool1d):
    """The mean of each window of x (N, C, L).

    Example:
        >>> import needle as ndl
        >>> ndl.nn.AvgPool1d(2)(ndl.init.rand(2, 6, 8)).shape
        (2, 6, 4)
    """

    kernel_size: Setting
    stride: Setting | None = None
    padding: Setting = 0
    ceil_mode: bool = False
    count_include_pad: bool = True


class AvgPool2d(FunctionModule, function=functional.avg_pool2d):
    """The mean of each window of x (N, C, H, W).

    Example:
        >>> import needle as ndl
        >>> ndl.nn.AvgPool2d(2)(ndl.init.rand(2, 6, 8, 8)).shape
        (2, 6, 4, 4)
    """

    kernel_size: Setting
    stride: Setting | None = None
    padding: Setting = 0
    ceil_mode: bool = False
    count_include_pad: bool = True
    divisor_override: int | None = None


class AvgPool3d(FunctionModule, function=functional.avg_pool3d):
    """The mean of each window of x (N, C, D, H, W).

    Example:
        >>> import needle as ndl
        >>> ndl.nn.AvgPool3d(2)(ndl.init.rand(2, 6, 8, 8, 8)).shape
        (2, 6, 4, 4, 4)
    """

    kernel_size: Setting
    stride: Setting | None = None
    padding: Setting = 0
    ceil_mode: bool = False
    count_include_pad: bool = True
    divisor_override: int | None = None


class LPPool1d(FunctionModule, function=functional.lp_pool1d):
    """(Σ xᵖ)^(1/p) over each window of x (N, C, L), with p = norm_type.

    Example:
        >>> import needle as ndl
        >>> ndl.nn.LPPool1d(2, 2)(ndl.init.rand(2, 6, 8)).shape
        (2, 6, 4)
    """

    norm_type: float
    kernel_size: Setting
    stride: Setting | None = None
    ceil_mode: bool = False


class LPPool2d(FunctionModule, function=functional.lp_pool2d):
    """(Σ xᵖ)^(1/p) over each window of x (N, C, H, W), with p = norm_type.

    Example:
        >>> import needle as ndl
        >>> ndl.nn.LPPool2d(2, 2)(ndl.init.rand(2, 6, 8, 8)).shape
        (2, 6, 4, 4)
    """

    norm_type: float
    kernel_size: Setting
    stride: Setting | None = None
    ceil_mode: bool = False


class LPPool3d(FunctionModule, function=functional.lp_pool3d):
    """(Σ xᵖ)^(1/p) over each window of x (N, C, D, H, W), with p = norm_type.

    Example:
        >>> import needle as ndl
        >>> ndl.nn.LPPool3d(2, 2)(ndl.init.rand(2, 6, 8, 8, 8)).shape
        (2, 6, 4, 4, 4)
    """

    norm_type: float
    kernel_size: Setting
    stride: Setting | None = None
    ceil_mode: bool = False


class AdaptiveAvgPool1d(FunctionModule, function=functional.adaptive_avg_pool1d):
    """The means of `output_size` windows that cover x (N, C, L).

    Example:
        >>> import needle as ndl
        >>> ndl.nn.AdaptiveAvgPool1d(1)(ndl.init.rand(2, 6, 8)).shape
        (2, 6, 1)
    """

    output_size: Sizes


class AdaptiveAvgPool2d(FunctionModule, function=functional.adaptive_avg_pool2d):
    """The means of `output_size` windows that cover x (N, C, H, W).

    Example:
        >>> import needle as ndl
        >>> ndl.nn.AdaptiveAvgPool2d(1)(ndl.init.rand(2, 6, 8, 8)).shape
        (2, 6, 1, 1)
    """

    output_size: Sizes


class AdaptiveAvgPool3d(FunctionModule, function=functional.adaptive_avg_pool3d):
    """The means of `output_size` windows that cover x (N, C, D, H, W).

    Example:
        >>> import needle as ndl
        >>> ndl.nn.AdaptiveAvgPool3d(1)(ndl.init.rand(2, 6, 8, 8, 8)).shape
        (2, 6, 1, 1, 1)
    """

    output_size: Sizes


class AdaptiveMaxPool1d(FunctionModule, function=functional.adaptive_max_pool1d):
    """The largest elements of `output_size` windows that cover x (N, C, L).

    Example:
        >>> import needle as ndl
        >>> ndl.nn.AdaptiveMaxPool1d(1)(ndl.init.rand(2, 6, 8)).shape
        (2, 6, 1)
    """

    output_size: Sizes
    return_indices: bool = False


class AdaptiveMaxPool2d(FunctionModule, function=functional.adaptive_max_pool2d):
    """The largest elements of `output_size` windows that cover x (N, C, H, W).

    Example:
        >>> import needle as ndl
        >>> ndl.nn.AdaptiveMaxPool2d(1)(ndl.init.rand(2, 6, 8, 8)).shape
        (2, 6, 1, 1)
    """

    output_size: Sizes
    return_indices: bool = False


class AdaptiveMaxPool3d(FunctionModule, function=functional.adaptive_max_pool3d):
    """The largest elements of `output_size` windows that cover x (N, C, D, H, W).

    Example:
        >>> import needle as ndl
        >>> ndl.nn.AdaptiveMaxPool3d(1)(ndl.init.rand(2, 6, 8, 8, 8)).shape
        (2, 6, 1, 1, 1)
    """

    output_size: Sizes
    return_indices: bool = False


class _Unpool(FunctionOfSettings):
    def forward(
        self, x: Tensor, indices: Tensor, output_size: Sequence[int] | None = None
    ) -> Tensor:
        return self._function(x, indices, *self._settings(self), output_size)


class MaxUnpool1d(_Unpool, function=functional.max_unpool1d):
    """Zeros, with x (N, C, L) where `MaxPool1d(..., return_indices=True)` has found it.

    Example:
        >>> import needle as ndl
        >>> y, indices = ndl.nn.MaxPool1d(2, return_indices=True)(ndl.init.rand(2, 6, 8))
        >>> ndl.nn.MaxUnpool1d(2)(y, indices).shape
        (2, 6, 8)
    """

    kernel_size: Setting
    stride: Setting | None = None
    padding: Setting = 0


class MaxUnpool2d(_Unpool, function=functional.max_unpool2d):
    """Zeros, with x (N, C, H, W) where `MaxPool2d(..., return_indices=True)` has found it.

    Example:
        >>> import needle as ndl
        >>> y, indices = ndl.nn.MaxPool2d(2, return_indices=True)(ndl.init.rand(2, 6, 8, 8))
        >>> ndl.nn.MaxUnpool2d(2)(y, indices).shape
        (2, 6, 8, 8)
    """

    kernel_size: Setting
    stride: Setting | None = None
    padding: Setting = 0


class MaxUnpool3d(_Unpool, function=functional.max_unpool3d):
    """Zeros, with x (N, C, D, H, W) where `MaxPool3d(..., return_indices=True)` has found it.

    Example:
        >>> import needle as ndl
        >>> y, indices = ndl.nn.MaxPool3d(2, return_indices=True)(ndl.init.rand(2, 6, 8, 8, 8))
        >>> ndl.nn.MaxUnpool3d(2)(y, indices).shape
        (2, 6, 8, 8, 8)
    """

    kernel_size: Setting
    stride: Setting | None = None
    padding: Setting = 0
