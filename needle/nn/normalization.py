"""Normalisation layers. Inputs are checked by the functions that they call."""

from collections.abc import Sequence
from functools import partial
from typing import Any, ClassVar

from .. import init
from ..autograd import Tensor
from ..device import Device
from . import functional
from .checks import as_shape, check_channels, check_fraction, check_groups, check_sizes
from .drawn import DrawnModule
from .function import FunctionModule
from .functional.spatial import on_batch
from .init import constant_
from .parameter import Parameter

__all__ = [
    "BatchNorm1d", "BatchNorm2d", "BatchNorm3d", "GroupNorm", "InstanceNorm1d",
    "InstanceNorm2d", "InstanceNorm3d", "LayerNorm", "LayerNorm1d", "LocalResponseNorm", "RMSNorm",
]  # fmt: skip


class _Normalization(DrawnModule):
    """Holds eps, and a weight (ones) and a bias (zeros) of `shape`, each where it is wanted."""

    weight: Parameter | None
    bias: Parameter | None

    def __init__(
        self, shape: Sequence[int], eps: Any, scale: bool, shift: bool, device: Any, dtype: Any
    ) -> None:
        super().__init__()
        if eps is not None and not eps >= 0:
            raise ValueError(f"{type(self).__name__}: eps must be at least 0, got {eps}")
        self.eps = eps
        self._shape = tuple(shape)
        absent = {"weight": scale, "bias": shift}
        self._draw(device, dtype, [name for name, wanted in absent.items() if not wanted])

    def _draws(self) -> dict[str, Any]:
        return {
            "weight": partial(init.ones, *self._shape),
            "bias": partial(init.zeros, *self._shape),
        }


class _BatchNorm(_Normalization):
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
        check_sizes(type(self).__name__, dim=dim)
        super().__init__((dim,), eps, affine, affine and bias, device, dtype)
        if momentum is None:
            raise ValueError(
                f"{type(self).__name__}: momentum must be from 0 to 1, got None: for the mean over "
                "all batches, set layer.momentum = 1 / n before the n-th"
            )
        check_fraction(f"{type(self).__name__}: momentum", momentum)
        self.dim = self.num_features = dim
        self.momentum = momentum
        self.affine, self.track_running_stats = affine, track_running_stats
        for name, draw in {"running_mean": init.zeros, "running_var": init.ones}.items():
            tracked = draw(dim, device=device, dtype=dtype) if track_running_stats else None
            self.register_buffer(name, tracked)

    def reset_running_stats(self) -> None:
        """Set the running statistics to their initial values."""
        for tracked, value in ((self.running_mean, 0), (self.running_var, 1)):
            if tracked is not None:
                constant_(tracked, value)

    def reset_parameters(self) -> None:
        self.reset_running_stats()
        super().reset_parameters()

    def forward(self, x: Tensor) -> Tensor:
        check_channels(type(self).__name__, self.layout, x, self.ndims, self.dim)
        mean, variance = self.running_mean, self.running_var
        training = self.training or mean is None
        return functional.batch_norm(
            x, mean, variance, self.weight, self.bias, training, self.momentum, self.eps
        )

    def extra_repr(self) -> str:
        affine = "" if self.weight is not None else ", affine=False"
        return f"{self.dim}, eps={self.eps}, momentum={self.momentum}{affine}"


class BatchNorm1d(_BatchNorm):
    """Normalises each channel over the batch (Ioffe & Szegedy 2015).

        y = (x - mean)/√(variance + eps)·weight + bias

    The input is (N, C) or (N, C, L), with C = dim. In training mode, mean and (biased) variance are
    those of the batch, and the running statistics are updated, running ← (1 - momentum)·running +
    momentum·observed. (PyTorch observes the unbiased variance.) In eval mode the running statistics
    are used.

    Args:
        momentum: in [0, 1].
        affine: whether to have `weight` and `bias`; `bias=False` leaves out the latter alone.
        track_running_stats: if False, the statistics of the batch are used in both modes.

    Attributes:
        weight, bias: (dim,), initially ones and zeros; or None.
        running_mean, running_var: (dim,), buffers, initially zeros and ones; or None.

    Example:
        >>> import needle as ndl
        >>> layer = ndl.nn.BatchNorm1d(3)
        >>> layer(ndl.init.ones(5, 3)).shape
        (5, 3)
    """

    layout = "(N, C) or (N, C, L)"
    ndims = (2, 3)


class BatchNorm2d(_BatchNorm):
    """`BatchNorm1d` for images, (N, C, H, W): each channel over batch, height and width.

    Example:
        >>> import needle as ndl
        >>> layer = ndl.nn.BatchNorm2d(3)
        >>> layer(ndl.init.ones(5, 3, 8, 8)).shape
        (5, 3, 8, 8)
    """

    layout = "(N, C, H, W)"
    ndims = (4,)


class BatchNorm3d(_BatchNorm):
    """`BatchNorm1d` for volumes, (N, C, D, H, W): each channel over batch and positions.

    Example:
        >>> import needle as ndl
        >>> layer = ndl.nn.BatchNorm3d(3)
        >>> layer(ndl.init.ones(5, 3, 4, 4, 4)).shape
        (5, 3, 4, 4, 4)
    """

    layout = "(N, C, D, H, W)"
    ndims = (5,)


class _OverLastAxes(_Normalization):
    def __init__(
        self, normalized_shape: Sequence[int] | int, eps: Any, scale: bool, *args: Any
    ) -> None:
        self.normalized_shape = as_shape(type(self).__name__, normalized_shape)
        self.elementwise_affine = scale
        super().__init__(self.normalized_shape, eps, scale, *args)

    def extra_repr(self) -> str:
        return f"{', '.join(map(str, self.normalized_shape))}, eps={self.eps}"


class LayerNorm(_OverLastAxes):
    """Normalises each sample over its last axes (Ba, Kiros & Hinton 2016).

        y = (x - mean)/√(variance + eps)·weight + bias

    The input is (..., *normalized_shape); `weight` and `bias` have the shape normalized_shape.

    Example:
        >>> import needle as ndl
        >>> layer = ndl.nn.LayerNorm((4, 3))
        >>> layer(ndl.init.ones(5, 4, 3)).shape
        (5, 4, 3)
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
        shift = elementwise_affine and bias
        super().__init__(normalized_shape, eps, elementwise_affine, shift, device, dtype)

    def forward(self, x: Tensor) -> Tensor:
        return functional.layer_norm(x, self.normalized_shape, self.weight, self.bias, self.eps)


class LayerNorm1d(LayerNorm):
    """`LayerNorm` over the last axis, of length `dim`.

    Example:
        >>> import needle as ndl
        >>> layer = ndl.nn.LayerNorm1d(3)
        >>> layer(ndl.init.ones(5, 3)).shape
        (5, 3)
    """

    def __init__(
        self,
        dim: int,
        eps: float = 1e-5,
        device: Device | str | None = None,
        dtype: Any = "float32",
    ) -> None:
        super().__init__(dim, eps, device=device, dtype=dtype)
        self.dim = dim


class GroupNorm(_Normalization):
    """Normalises each sample over groups of channels (Wu & He 2018).

    The input is (N, num_channels, ...); `weight` and `bias` are (num_channels,). `num_groups` must
    divide num_channels.

    Example:
        >>> import needle as ndl
        >>> layer = ndl.nn.GroupNorm(2, 6)
        >>> layer(ndl.init.ones(5, 6, 8)).shape
        (5, 6, 8)
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
        check_sizes("GroupNorm", num_groups=num_groups, num_channels=num_channels)
        super().__init__((num_channels,), eps, affine, affine and bias, device, dtype)
        check_groups(num_groups, num_channels)
        self.num_groups = num_groups
        self.num_channels = num_channels
        self.affine = affine

    def forward(self, x: Tensor) -> Tensor:
        check_channels("GroupNorm", "(N, C, ...)", x, channels=self.num_channels)
        return functional.group_norm(x, self.num_groups, self.weight, self.bias, self.eps)

    def extra_repr(self) -> str:
        return f"{self.num_groups}, {self.num_channels}, eps={self.eps}"


class _InstanceNorm(_BatchNorm):
    def __init__(
        self,
        num_features: int,
        eps: float = 1e-5,
        momentum: float = 0.1,
        affine: bool = False,
        track_running_stats: bool = False,
        device: Device | str | None = None,
        dtype: Any = "float32",
        *,
        bias: bool = True,
    ) -> None:
        super().__init__(
            num_features, eps, momentum, device, dtype, affine, track_running_stats, bias=bias
        )

    def forward(self, x: Tensor) -> Tensor:
        return on_batch(type(self).__name__, self.ndims[0] - 2, x, self._normalized)

    def _normalized(self, x: Tensor) -> Tensor:
        check_channels(type(self).__name__, self.layout, x, self.ndims, self.dim)
        mean, variance = self.running_mean, self.running_var
        own = self.training or mean is None
        return functional.instance_norm(
            x, mean, variance, self.weight, self.bias, own, self.momentum, self.eps
        )


class InstanceNorm1d(_InstanceNorm):
    """Normalises each channel of each sample of (N, C, L) (Ulyanov et al. 2016).

    In training mode with its own mean and variance; with `track_running_stats` in eval mode with
    averages over the batches seen. Without `affine` there are no `weight` and `bias`.

    Example:
        >>> import needle as ndl
        >>> ndl.nn.InstanceNorm1d(3)(ndl.init.rand(2, 3, 8)).shape
        (2, 3, 8)
    """

    layout = "(N, C, L)"
    ndims = (3,)


class InstanceNorm2d(_InstanceNorm):
    """`InstanceNorm1d` for (N, C, H, W).

    Example:
        >>> import needle as ndl
        >>> ndl.nn.InstanceNorm2d(3)(ndl.init.rand(2, 3, 8, 8)).shape
        (2, 3, 8, 8)
    """

    layout = "(N, C, H, W)"
    ndims = (4,)


class InstanceNorm3d(_InstanceNorm):
    """`InstanceNorm1d` for (N, C, D, H, W).

    Example:
        >>> import needle as ndl
        >>> ndl.nn.InstanceNorm3d(3)(ndl.init.rand(2, 3, 8, 8, 8)).shape
        (2, 3, 8, 8, 8)
    """

    layout = "(N, C, D, H, W)"
    ndims = (5,)


class LocalResponseNorm(FunctionModule, function=functional.local_response_norm):
    """x/(k + alpha·m(x²))^beta, m(·) over `size` neighbouring channels of x (N, C, ...).

    From Krizhevsky et al. 2012.

    Example:
        >>> import needle as ndl
        >>> ndl.nn.LocalResponseNorm(5)(ndl.init.rand(2, 8, 4, 4)).shape
        (2, 8, 4, 4)
    """

    size: int
    alpha: float = 1e-4
    beta: float = 0.75
    k: float = 1.0


class RMSNorm(_OverLastAxes):
    """Divides each sample by its root mean square over its last axes (Zhang & Sennrich 2019).

        y = x/√(mean(x²) + eps)·weight

    The input is (..., *normalized_shape), the shape of `weight` is normalized_shape. `eps` is by
    default the machine epsilon of the input's dtype.

    Example:
        >>> import needle as ndl
        >>> layer = ndl.nn.RMSNorm(2)
        >>> print(layer(ndl.Tensor([3.0, 4.0], dtype="float32")))
        [0.84852815 1.1313709 ]
    """

    def __init__(
        self,
        normalized_shape: Sequence[int] | int,
        eps: float | None = None,
        elementwise_affine: bool = True,
        device: Device | str | None = None,
        dtype: Any = "float32",
    ) -> None:
        super().__init__(normalized_shape, eps, elementwise_affine, False, device, dtype)

    def forward(self, x: Tensor) -> Tensor:
        return functional.rms_norm(x, self.normalized_shape, self.weight, self.eps)
