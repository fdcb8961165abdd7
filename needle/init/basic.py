"""Constants and random draws.

Draws come from NumPy's global random state in float64 and are cast afterwards, so that
`np.random.seed(s)` reproduces them in any dtype.
"""

from typing import Any

from ..autograd import Tensor
from ..device import Device, default_device
from ..ops.losses import class_numbers

__all__ = [
    "constant",
    "one_hot",
    "ones",
    "ones_like",
    "rand",
    "randb",
    "randn",
    "zeros",
    "zeros_like",
]


def rand(
    *shape: int,
    low: float = 0.0,
    high: float = 1.0,
    device: Device | None = None,
    dtype: Any = "float32",
    requires_grad: bool = False,
) -> Tensor:
    """Draws from U(low, high)."""
    array = (device or default_device()).rand(*shape) * (high - low) + low
    return _wrap(array, dtype, requires_grad)


def randn(
    *shape: int,
    mean: float = 0.0,
    std: float = 1.0,
    device: Device | None = None,
    dtype: Any = "float32",
    requires_grad: bool = False,
) -> Tensor:
    """Draws from N(mean, std²)."""
    array = (device or default_device()).randn(*shape) * std + mean
    return _wrap(array, dtype, requires_grad)


def randb(
    *shape: int,
    p: float = 0.5,
    device: Device | None = None,
    dtype: Any = "bool",
    requires_grad: bool = False,
) -> Tensor:
    """True with probability p: where U(0, 1) ≤ p.

    Raises:
        ValueError: p is not in [0, 1].
    """
    if not 0 <= p <= 1:
        raise ValueError(f"randb: p must be a probability from 0 to 1, got {p}")
    return _wrap((device or default_device()).rand(*shape) <= p, dtype, requires_grad)


def constant(
    *shape: int,
    c: float = 1.0,
    device: Device | None = None,
    dtype: Any = "float32",
    requires_grad: bool = False,
) -> Tensor:
    """A tensor filled with c."""
    array = (device or default_device()).full(shape, c, dtype)
    return Tensor.make_const(array, requires_grad)


def ones(*shape: int, **kwargs: Any) -> Tensor:
    """A tensor of ones; keywords as in `constant`."""
    return constant(*shape, c=1, **kwargs)


def zeros(*shape: int, **kwargs: Any) -> Tensor:
    """A tensor of zeros; keywords as in `constant`."""
    return constant(*shape, c=0, **kwargs)


def ones_like(
    tensor: Tensor, *, device: Device | None = None, requires_grad: bool = False
) -> Tensor:
    """Ones in the shape and dtype of `tensor`."""
    return _constant_like(tensor, 1, device, requires_grad)


def zeros_like(
    tensor: Tensor, *, device: Device | None = None, requires_grad: bool = False
) -> Tensor:
    """Zeros in the shape and dtype of `tensor`."""
    return _constant_like(tensor, 0, device, requires_grad)


def one_hot(
    n: int,
    i: Tensor,
    device: Device | None = None,
    dtype: Any = "float32",
    requires_grad: bool = False,
) -> Tensor:
    """1 at each class number of `i`, integers or whole floats, 0 elsewhere: shape i.shape + (n,).

    Raises:
        TypeError: `i` holds something else than whole numbers.
        ValueError: a class number is not in 0 ... n - 1.
    """
    classes = class_numbers(i.realize_cached_data())
    if classes.size and not 0 <= classes.min() <= classes.max() < n:
        raise ValueError(
            f"one_hot: class numbers from {classes.min()} to {classes.max()}, allowed 0 to {n - 1}"
        )
    array = (device or default_device()).one_hot(n, classes, dtype)
    return Tensor.make_const(array, requires_grad)


def _wrap(array: Any, dtype: Any, requires_grad: bool) -> Tensor:
    return Tensor.make_const(array.astype(dtype, copy=False), requires_grad)


def _constant_like(tensor: Tensor, c: float, device: Device | None, requires_grad: bool) -> Tensor:
    device = device or tensor.device
    return constant(
        *tensor.shape, c=c, device=device, dtype=tensor.dtype, requires_grad=requires_grad
    )
