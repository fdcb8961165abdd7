"""Constants and random draws.

Draws come from `generator`, or from NumPy's global random state without one. They are float64 and
cast afterwards, so that a seed reproduces them in any dtype.
"""

from typing import Any

from ..autograd import Tensor
from ..device import Device, Generator, as_device
from ..ops.losses import class_numbers

__all__ = [
    "constant", "one_hot", "ones", "ones_like", "rand", "randb", "randn", "zeros", "zeros_like",
]  # fmt: skip


def rand(
    *shape: int,
    low: float = 0.0,
    high: float = 1.0,
    device: Device | str | None = None,
    dtype: Any = "float32",
    requires_grad: bool = False,
    generator: Generator | None = None,
) -> Tensor:
    """Draws from U(low, high)."""
    array = as_device(device).rand(*shape, generator=generator) * (high - low) + low
    return Tensor(array, device=device, dtype=dtype, requires_grad=requires_grad)


def randn(
    *shape: int,
    mean: float = 0.0,
    std: float = 1.0,
    device: Device | str | None = None,
    dtype: Any = "float32",
    requires_grad: bool = False,
    generator: Generator | None = None,
) -> Tensor:
    """Draws from N(mean, std²)."""
    array = as_device(device).randn(*shape, generator=generator) * std + mean
    return Tensor(array, device=device, dtype=dtype, requires_grad=requires_grad)


def randb(
    *shape: int,
    p: float = 0.5,
    device: Device | str | None = None,
    dtype: Any = "bool",
    requires_grad: bool = False,
    generator: Generator | None = None,
) -> Tensor:
    """True with probability p: where U(0, 1) ≤ p.

    Raises:
        ValueError: p is not in [0, 1].
    """
    if not 0 <= p <= 1:
        raise ValueError(f"randb: p must be a probability from 0 to 1, got {p}")
    array = as_device(device).rand(*shape, generator=generator) <= p
    return Tensor(array, device=device, dtype=dtype, requires_grad=requires_grad)


def constant(
    *shape: int,
    c: float = 1.0,
    device: Device | str | None = None,
    dtype: Any = "float32",
    requires_grad: bool = False,
) -> Tensor:
    """A tensor filled with c."""
    return Tensor.make_const(as_device(device).full(shape, c, dtype), requires_grad)


def ones(*shape: int, **kwargs: Any) -> Tensor:
    """A tensor of ones; keywords as in `constant`."""
    return constant(*shape, c=1, **kwargs)


def zeros(*shape: int, **kwargs: Any) -> Tensor:
    """A tensor of zeros; keywords as in `constant`."""
    return constant(*shape, c=0, **kwargs)


def ones_like(
    tensor: Tensor, *, device: Device | str | None = None, requires_grad: bool = False
) -> Tensor:
    """Ones in the shape and dtype of `tensor`, by default on its device."""
    options = {"device": device or tensor.device, "requires_grad": requires_grad}
    return ones(*tensor.shape, dtype=tensor.dtype, **options)


def zeros_like(
    tensor: Tensor, *, device: Device | str | None = None, requires_grad: bool = False
) -> Tensor:
    """Zeros in the shape and dtype of `tensor`, by default on its device."""
    options = {"device": device or tensor.device, "requires_grad": requires_grad}
    return zeros(*tensor.shape, dtype=tensor.dtype, **options)


def one_hot(
    n: int,
    i: Tensor,
    device: Device | str | None = None,
    dtype: Any = "float32",
    requires_grad: bool = False,
) -> Tensor:
    """1 at each class number of `i`, integers or whole floats, 0 elsewhere: shape i.shape + (n,).

    Raises:
        TypeError: `i` holds numbers that are not whole.
        ValueError: a class number is not in 0 ... n - 1.
    """
    classes = class_numbers(i.numpy())  # on the host, where the numbers are checked
    if classes.size and not 0 <= classes.min() <= classes.max() < n:
        raise ValueError(
            f"one_hot: class numbers from {classes.min()} to {classes.max()}, allowed 0 to {n - 1}"
        )
    return Tensor.make_const(as_device(device).one_hot(n, classes, dtype), requires_grad)
