"""Batch normalisation over the batches of all ranks."""

from __future__ import annotations

import math
from typing import Any

from .. import init, ops
from ..autograd import Tensor, assign
from ..device import Device
from ..nn import BatchNorm1d, BatchNorm2d, BatchNorm3d, Module
from ..nn.checks import check_channels
from ..nn.normalization import _BatchNorm
from ..ops.functions import in_single_precision
from .collectives import all_gather
from .communicator import communicator

__all__ = ["SyncBatchNorm", "convert_sync_batchnorm"]


class SyncBatchNorm(_BatchNorm):
    """`BatchNorm1d` to `BatchNorm3d` over the batches of all ranks together.

    The input is (N, C, ...), with C = num_features; N may differ between ranks. In training mode,
    outputs, gradients and running statistics are those of one process with the whole batch, and
    all ranks must call the layer. In eval mode, ranks exchange nothing.

    Args:
        process_group: None, which stands for all ranks; others are not supported.

    The other arguments and the attributes are those of `BatchNorm1d`, in PyTorch's order.

    Example:
        >>> import needle as ndl
        >>> layer = ndl.distributed.SyncBatchNorm(3)
        >>> layer(ndl.init.rand(5, 3, 8, 8)).shape
        (5, 3, 8, 8)
    """

    layout = "(N, C, ...)"
    ndims = tuple(range(2, 65))

    def __init__(
        self,
        num_features: int,
        eps: float = 1e-5,
        momentum: float = 0.1,
        affine: bool = True,
        track_running_stats: bool = True,
        process_group: None = None,
        device: Device | str | None = None,
        dtype: Any = "float32",
    ) -> None:
        if process_group is not None:
            raise ValueError("SyncBatchNorm: process_group must be None, which is all ranks")
        super().__init__(num_features, eps, momentum, device, dtype, affine, track_running_stats)

    def forward(self, x: Tensor) -> Tensor:
        is_shared = self.training or self.running_mean is None
        if not is_shared or communicator().size == 1:
            return super().forward(x)
        check_channels("SyncBatchNorm", self.layout, x, self.ndims, self.dim)
        return _normalized(x, self)

    @classmethod
    def convert_sync_batchnorm(cls, module: Module, process_group: None = None) -> Module:
        """`convert_sync_batchnorm(module)`, where PyTorch has it."""
        if process_group is not None:
            raise ValueError("convert_sync_batchnorm: process_group must be None: all ranks")
        return convert_sync_batchnorm(module)


@in_single_precision
def _normalized(x: Tensor, layer: SyncBatchNorm) -> Tensor:
    """As in training; updates the running statistics."""
    mean, variance = _moments(x)
    for running, observed in ((layer.running_mean, mean), (layer.running_var, variance)):
        if running is not None:
            moved = running.detach() * (1 - layer.momentum) + observed.detach() * layer.momentum
            assign(running, moved, is_read_by_gradients=False)
    scale = (variance + layer.eps) ** -0.5
    if layer.weight is not None:
        scale = scale * layer.weight
    shape = (1, layer.dim, *[1] * (x.ndim - 2))
    y = (x - mean.reshape(shape)) * scale.reshape(shape)
    return y if layer.bias is None else y + layer.bias.reshape(shape)


def _moments(x: Tensor) -> tuple[Tensor, Tensor]:
    """Mean and (biased) variance of each channel over the batches of all ranks.

    From those of each rank (Chan, Golub & LeVeque 1979), so that one exchange is enough.
    """
    axes = (0, *range(2, x.ndim))
    count = math.prod(x.shape) // x.shape[1]
    own_mean = x.sum(axes) / max(count, 1)
    shape = (1, -1, *[1] * (x.ndim - 2))
    squares = ((x - own_mean.reshape(shape)) ** 2).sum(axes)
    own_count = init.constant(1, c=count, device=x.device, dtype=x.dtype)
    every = all_gather(ops.cat([own_count, own_mean, squares]))
    counts, means, squares = every[:, :1], every[:, 1 : 1 + x.shape[1]], every[:, 1 + x.shape[1] :]
    total = counts.sum(0)
    mean = (counts * means).sum(0) / total
    return mean, (squares + counts * (means - mean) ** 2).sum(0) / total


_ALONE: tuple[type[Module], ...] = (BatchNorm1d, BatchNorm2d, BatchNorm3d)


def convert_sync_batchnorm(module: Module) -> Module:
    """Make every `BatchNorm1d`, `2d` and `3d` of a model a `SyncBatchNorm`; returns the model.

    The layers change in place: their parameters and statistics stay the same objects, so that an
    optimizer that has them goes on.

    Example:
        >>> import needle as ndl
        >>> from needle import nn
        >>> model = nn.Sequential(nn.Linear(4, 3), nn.BatchNorm1d(3))
        >>> ndl.distributed.convert_sync_batchnorm(model)[1]
        SyncBatchNorm(3, eps=1e-05, momentum=0.1)  # 6 parameters
    """
    for layer in module.modules():
        if isinstance(layer, _ALONE):
            layer.__class__ = SyncBatchNorm
    return module
