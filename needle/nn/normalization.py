"""Normalisation layers. Inputs are checked by the functions that they call."""

from collections.abc import Sequence
from typing import Any, ClassVar

from .. import init
from ..autograd import Tensor
from ..device import Device
from . import functional
from .checks import as_shape, check_channels, check_fraction, check_groups
from .module import Module, Parameter

__all__ = [
    "BatchNorm1d", "BatchNorm2d", "GroupNorm", "LayerNorm", "LayerNorm1d", "RMSNorm",
]  # fmt: skip


def _affine(
    shape: Sequence[int], scale: bool, shift: bool, device: Any, dtype: Any
) -> tuple[Parameter | None, Parameter | None]:
    """Weight (ones) and bias (zeros), each where it is wanted."""
    where: dict[str, Any] = {"device": device, "dtype": dtype}
    return (
        Parameter(init.ones(*shape, **where)) if scale else None,
        Parameter(init.zeros(*shape, **where)) if shift else None,
    )


class _BatchNorm(Module):
    layout: ClassVar[str]
    ndims: ClassVar[tuple[int, ...]]
    running_mean: Tensor | None
    running_var: Tensor | None

    def __init__(
        self,
        dim: int,
        eps: float = 1e-5,
        momentum: float = 0.1,
        device: Device | str | None = None,
        dtype: Any = "float32",
        affine: bool = True,
        track_running_stats: bool = True,
        *,
        bias: bool = True,
    ) -> None:
        super().__init__()
        check_fraction(f"{type(self).__name__}: momentum", momentum)
        self.dim = dim
        self.eps = eps
        self.momentum = momentum
        self.weight, self.bias = _affine((dim,), affine, affine and bias, device, dtype)
        where: dict[str, Any] = {"device": device, "dtype": dtype}
        tracked = track_running_stats
        self.register_buffer("running_mean", init.zeros(dim, **where) if tracked else None)
        self.register_buffer("running_var", init.ones(dim, **where) if tracked else None)

    def forward(self, x: Tensor) -> Tensor:
        check_channels(type(self).__name__, self.layout, x, self.ndims, self.dim)
        return functional.batch_norm(
            x,
            self.running_mean,
            self.running_var,
            self.weight,
            self.bias,
            self.training or self.running_mean is None,
            self.momentum,
            self.eps,
        )

    def extra_repr(self) -> str:
        affine = "" if self.weight is not None else ", affine=False"
        return f"{self.dim}, eps={self.eps}, momentum={self.momentum}{affine}"


class BatchNorm1d(_BatchNorm):
    """Normalises each channel over the batch (Ioffe & Szegedy 2015).

        y = (x - mean)/√(variance + eps)·weight + bias

    In training mode, mean and (biased) variance are those of the batch, and the running statistics
    are updated: running ← (1 - momentum)·running + momentum·observed. (PyTorch updates the running
    variance with the unbiased one.) In eval mode the running statistics are used.

    Args:
        dim: number of channels, C. The input is (N, C) or (N, C, L).
        eps: added to the variance for numerical stability.
        momentum: weight of the batch in the running statistics, in [0, 1].
        affine: whether to have `weight` and `bias`; `bias=False` leaves out the latter alone.
        track_running_stats: if False, the statistics of the batch are used in both modes.

    Attributes:
        weight, bias: (dim,), initially ones and zeros; or None.
        running_mean, running_var: (dim,), buffers, initially zeros and ones; or None.
    """

    layout = "(N, C) or (N, C, L)"
    ndims = (2, 3)


class BatchNorm2d(_BatchNorm):
    """`BatchNorm1d` for images, (N, C, H, W): each channel over batch, height and width.

    Arguments, attributes and errors are those of `BatchNorm1d`.
    """

    layout = "(N, C, H, W)"
    ndims = (4,)


class LayerNorm(Module):
    """Normalises each sample over its last axes (Ba, Kiros & Hinton 2016).

        y = (x - mean)/√(variance + eps)·weight + bias

    The input is (..., *normalized_shape); `weight` and `bias` have the shape normalized_shape.
    Other arguments are as in `BatchNorm1d`.
    """

    def __init__(
        self,
        normalized_shape: Sequence[int] | int,
        eps: float = 1e-5,
        elementwise_affine: bool = True,
        bias: bool = True,
        device: Device | str | None = None,
        dtype: Any = "float32",
    ) -> None:
        super().__init__()
        self.normalized_shape = as_shape(type(self).__name__, normalized_shape)
        self.eps = eps
        scale, shift = elementwise_affine, elementwise_affine and bias
        self.weight, self.bias = _affine(self.normalized_shape, scale, shift, device, dtype)

    def forward(self, x: Tensor) -> Tensor:
        return functional.layer_norm(x, self.normalized_shape, self.weight, self.bias, self.eps)

    def extra_repr(self) -> str:
        return f"{', '.join(map(str, self.normalized_shape))}, eps={self.eps}"


class LayerNorm1d(LayerNorm):
    """`LayerNorm` over the last axis, of length `dim`."""

    def __init__(
        self,
        dim: int,
        eps: float = 1e-5,
        device: Device | str | None = None,
        dtype: Any = "float32",
    ) -> None:
        super().__init__(dim, eps, device=device, dtype=dtype)
        self.dim = dim


class GroupNorm(Module):
    """Normalises each sample over groups of channels (Wu & He 2018).

    The input is (N, num_channels, ...); `weight` and `bias` are (num_channels,). Other arguments
    are as in `BatchNorm1d`.

    Raises:
        ValueError: num_groups does not divide num_channels.
    """

    def __init__(
        self,
        num_groups: int,
        num_channels: int,
        eps: float = 1e-5,
        affine: bool = True,
        device: Device | str | None = None,
        dtype: Any = "float32",
        *,
        bias: bool = True,
    ) -> None:
        super().__init__()
        check_groups(num_groups, num_channels)
        self.num_groups = num_groups
        self.num_channels = num_channels
        self.eps = eps
        self.weight, self.bias = _affine((num_channels,), affine, affine and bias, device, dtype)

    def forward(self, x: Tensor) -> Tensor:
        check_channels("GroupNorm", "(N, C, ...)", x, channels=self.num_channels)
        return functional.group_norm(x, self.num_groups, self.weight, self.bias, self.eps)

    def extra_repr(self) -> str:
        return f"{self.num_groups}, {self.num_channels}, eps={self.eps}"


class RMSNorm(Module):
    """Divides each sample by its root mean square over its last axes (Zhang & Sennrich 2019).

        y = x/√(mean(x²) + eps)·weight

    The input is (..., *normalized_shape), the shape of `weight` is normalized_shape. `eps` is by
    default the machine epsilon of the input's dtype.
    """

    def __init__(
        self,
        normalized_shape: Sequence[int] | int,
        eps: float | None = None,
        elementwise_affine: bool = True,
        device: Device | str | None = None,
        dtype: Any = "float32",
    ) -> None:
        super().__init__()
        self.normalized_shape = as_shape("RMSNorm", normalized_shape)
        self.eps = eps
        self.weight, _ = _affine(self.normalized_shape, elementwise_affine, False, device, dtype)

    def forward(self, x: Tensor) -> Tensor:
        return functional.rms_norm(x, self.normalized_shape, self.weight, self.eps)

    def extra_repr(self) -> str:
        return f"{', '.join(map(str, self.normalized_shape))}, eps={self.eps}"
