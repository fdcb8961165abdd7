"""Normalisation layers."""

from collections.abc import Sequence
from typing import Any, ClassVar

from .. import init
from ..autograd import Tensor
from ..device import Device
from . import functional
from .checks import as_shape, check_floats
from .module import Module, Parameter

__all__ = [
    "BatchNorm1d", "BatchNorm2d", "GroupNorm", "LayerNorm", "LayerNorm1d", "RMSNorm",
]  # fmt: skip


class _BatchNorm(Module):
    shapes: ClassVar[dict[int, str]]  # the numbers of axes that are taken, and how they are called
    running_mean: Tensor | None
    running_var: Tensor | None

    def __init__(
        self,
        dim: int,
        eps: float = 1e-5,
        momentum: float = 0.1,
        device: Device | None = None,
        dtype: Any = "float32",
        affine: bool = True,
        track_running_stats: bool = True,
        *,
        bias: bool = True,
    ) -> None:
        super().__init__()
        if momentum is None or not 0 <= momentum <= 1:
            raise ValueError(f"{type(self).__name__}: momentum from 0 to 1, got {momentum}")
        self.dim = dim
        self.eps = eps
        self.momentum = momentum
        where: dict[str, Any] = {"device": device, "dtype": dtype}
        self.weight = Parameter(init.ones(dim, **where)) if affine else None
        self.bias = Parameter(init.zeros(dim, **where)) if affine and bias else None
        tracked = track_running_stats
        self.register_buffer("running_mean", init.zeros(dim, **where) if tracked else None)
        self.register_buffer("running_var", init.ones(dim, **where) if tracked else None)

    def forward(self, x: Tensor) -> Tensor:
        shape = x.shape
        if len(shape) not in self.shapes or shape[1] != self.dim:
            self._refuse(shape)
        check_floats(type(self).__name__, x)
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

    def _refuse(self, shape: tuple[int, ...]) -> None:
        expected = " or ".join(f"({axes})" for axes in self.shapes.values())
        raise ValueError(
            f"{type(self).__name__} expected {expected} with C = {self.dim}, got {shape}"
        )

    def extra_repr(self) -> str:
        affine = "" if self.weight is not None else ", affine=False"
        return f"{self.dim}, eps={self.eps}, momentum={self.momentum}{affine}"


class BatchNorm1d(_BatchNorm):
    """Each channel of a batch with mean 0 and variance 1, then scaled and shifted.

        y = (x - mean)/√(variance + eps)·weight + bias

    In training the moments are those of the batch, the variance the biased one; in eval mode they
    are the running ones: running ← (1 - momentum)·running + momentum·observed. (PyTorch puts the
    unbiased variance into the running one.) Source: Ioffe & Szegedy 2015.

    Args:
        dim: number of channels, C. The input is (N, C) or (N, C, L).
        eps: keeps the root away from 0.
        momentum: share of the newest batch in the running statistics.
        affine: whether to scale and shift.
        track_running_stats: without, the moments are always those of the batch.
        bias: whether to shift, with `affine`.

    Attributes:
        weight, bias: (dim,), ones and zeros; or None.
        running_mean, running_var: (dim,), buffers.

    Raises:
        ValueError: another shape, or training with one value a channel.
    """

    shapes: ClassVar = {2: "N, C", 3: "N, C, L"}


class BatchNorm2d(_BatchNorm):
    """`BatchNorm1d` for images: each channel over batch, height and width, (N, C, H, W).

    Arguments, attributes and errors are those of `BatchNorm1d`.
    """

    shapes: ClassVar = {4: "N, C, H, W"}


class LayerNorm(Module):
    """Each sample with mean 0 and variance 1 over its last axes, then scaled and shifted.

        y = (x - mean)/√(variance + eps)·weight + bias

    Source: Ba, Kiros & Hinton 2016.

    Args:
        normalized_shape: lengths of the axes that are normalised together. The input is
            (..., *normalized_shape).
        eps: keeps the root away from 0.
        elementwise_affine: whether to scale and shift.
        bias: whether to shift.

    Attributes:
        weight, bias: of shape normalized_shape, ones and zeros; or None.

    Raises:
        TypeError: the input holds no floating-point numbers.
        ValueError: the input ends in another shape.
    """

    def __init__(
        self,
        normalized_shape: Sequence[int] | int,
        eps: float = 1e-5,
        elementwise_affine: bool = True,
        bias: bool = True,
        device: Device | None = None,
        dtype: Any = "float32",
    ) -> None:
        super().__init__()
        self.normalized_shape = as_shape(type(self).__name__, normalized_shape)
        self.eps = eps
        where: dict[str, Any] = {"device": device, "dtype": dtype}
        scale, shift = elementwise_affine, elementwise_affine and bias
        self.weight = Parameter(init.ones(*self.normalized_shape, **where)) if scale else None
        self.bias = Parameter(init.zeros(*self.normalized_shape, **where)) if shift else None

    def forward(self, x: Tensor) -> Tensor:
        return functional.layer_norm(x, self.normalized_shape, self.weight, self.bias, self.eps)

    def extra_repr(self) -> str:
        return f"{', '.join(map(str, self.normalized_shape))}, eps={self.eps}"


class LayerNorm1d(LayerNorm):
    """`LayerNorm` over the last axis, of length `dim`."""

    def __init__(
        self, dim: int, eps: float = 1e-5, device: Device | None = None, dtype: Any = "float32"
    ) -> None:
        super().__init__(dim, eps, device=device, dtype=dtype)
        self.dim = dim


class GroupNorm(Module):
    """Each sample's channels in groups, each with mean 0 and variance 1 (Wu & He 2018).

    Args:
        num_groups: a divisor of num_channels.
        num_channels: C. The input is (N, C, ...).
        eps: keeps the root away from 0.
        affine: whether to scale and shift each channel.
        bias: whether to shift, with `affine`.

    Attributes:
        weight, bias: (num_channels,), ones and zeros; or None.

    Raises:
        ValueError: the channels do not split into the groups, or the input has another shape.
    """

    def __init__(
        self,
        num_groups: int,
        num_channels: int,
        eps: float = 1e-5,
        affine: bool = True,
        device: Device | None = None,
        dtype: Any = "float32",
        *,
        bias: bool = True,
    ) -> None:
        super().__init__()
        if num_groups < 1 or num_channels % num_groups:
            raise ValueError(
                f"GroupNorm: {num_channels} channels do not split into {num_groups} groups"
            )
        self.num_groups = num_groups
        self.num_channels = num_channels
        self.eps = eps
        where: dict[str, Any] = {"device": device, "dtype": dtype}
        self.weight = Parameter(init.ones(num_channels, **where)) if affine else None
        self.bias = Parameter(init.zeros(num_channels, **where)) if affine and bias else None

    def forward(self, x: Tensor) -> Tensor:
        shape = x.shape
        if len(shape) < 2 or shape[1] != self.num_channels:
            raise ValueError(
                f"GroupNorm expected (N, C, ...), C = {self.num_channels}, got {shape}"
            )
        return functional.group_norm(x, self.num_groups, self.weight, self.bias, self.eps)

    def extra_repr(self) -> str:
        return f"{self.num_groups}, {self.num_channels}, eps={self.eps}"


class RMSNorm(Module):
    """Each sample divided by its root mean square over its last axes (Zhang & Sennrich 2019).

        y = x/√(mean(x²) + eps)·weight

    Args:
        normalized_shape: lengths of the axes that are normalised together. The input is
            (..., *normalized_shape).
        eps: by default the spacing of the input's dtype at 1.
        elementwise_affine: whether to scale.

    Attributes:
        weight: of shape normalized_shape, ones; or None.

    Raises:
        TypeError: the input holds no floating-point numbers.
        ValueError: the input ends in another shape.
    """

    def __init__(
        self,
        normalized_shape: Sequence[int] | int,
        eps: float | None = None,
        elementwise_affine: bool = True,
        device: Device | None = None,
        dtype: Any = "float32",
    ) -> None:
        super().__init__()
        self.normalized_shape = as_shape("RMSNorm", normalized_shape)
        self.eps = eps
        ones = init.ones(*self.normalized_shape, device=device, dtype=dtype)
        self.weight = Parameter(ones) if elementwise_affine else None

    def forward(self, x: Tensor) -> Tensor:
        return functional.rms_norm(x, self.normalized_shape, self.weight, self.eps)

    def extra_repr(self) -> str:
        return f"{', '.join(map(str, self.normalized_shape))}, eps={self.eps}"
