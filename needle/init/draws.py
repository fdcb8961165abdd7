"""Random draws.

They come from `generator`, or from NumPy's global random state without one. Those of real numbers
are float64 and cast afterwards, so that a seed reproduces them in any dtype of floats; other dtypes
are a TypeError.
"""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from ..autograd import Tensor
from ..device import Device, Generator, as_device

__all__ = ["orthogonal", "rand", "randb", "randint", "randn", "randperm", "trunc_normal"]


def as_shape(name: str, shape: Sequence[Any], dtype: Any = "float32") -> tuple[int, ...]:
    """`shape`, given as lengths or as one tuple, once it and the dtype of random floats fit."""
    if len(shape) == 1 and isinstance(shape[0], tuple | list):
        shape = shape[0]
    for length in shape:
        if isinstance(length, bool) or not isinstance(length, int | np.integer):
            raise TypeError(f"init.{name}: lengths of axes are whole numbers, got {length!r}")
        if length < 0:
            raise ValueError(f"init.{name}: lengths of axes are at least 0, got {length}")
    if np.dtype(dtype).kind != "f":
        raise TypeError(
            f"init.{name} draws floating-point numbers, which dtype {dtype} cannot hold: "
            "use init.randint or astype()"
        )
    return tuple(shape)


def rand(
    *shape: Any,
    low: float = 0.0,
    high: float = 1.0,
    device: Device | str | None = None,
    dtype: Any = "float32",
    requires_grad: bool = False,
    generator: Generator | None = None,
) -> Tensor:
    """Draws from U(low, high).

    Example:
        >>> import needle as ndl
        >>> ndl.manual_seed(0)
        >>> print(ndl.init.rand(3, low=-1.0))
        [0.09762701 0.43037874 0.20552675]
    """
    shape = as_shape("rand", shape, dtype)
    array = as_device(device).rand(*shape, generator=generator) * (high - low) + low
    return Tensor(array, device=device, dtype=dtype, requires_grad=requires_grad)


def randn(
    *shape: Any,
    mean: float = 0.0,
    std: float = 1.0,
    device: Device | str | None = None,
    dtype: Any = "float32",
    requires_grad: bool = False,
    generator: Generator | None = None,
) -> Tensor:
    """Draws from N(mean, std²).

    Example:
        >>> import needle as ndl
        >>> ndl.manual_seed(0)
        >>> print(ndl.init.randn(3))
        [1.7640524 0.4001572 0.978738 ]
    """
    shape = as_shape("randn", shape, dtype)
    array = as_device(device).randn(*shape, generator=generator) * std + mean
    return Tensor(array, device=device, dtype=dtype, requires_grad=requires_grad)


def randb(
    *shape: Any,
    p: float = 0.5,
    device: Device | str | None = None,
    dtype: Any = "bool",
    requires_grad: bool = False,
    generator: Generator | None = None,
) -> Tensor:
    """True with probability p, where U(0, 1) ≤ p; p outside [0, 1] is a ValueError.

    Example:
        >>> import needle as ndl
        >>> ndl.manual_seed(0)
        >>> print(ndl.init.randb(4, p=0.6))
        [ True False False  True]
    """
    if not 0 <= p <= 1:
        raise ValueError(f"randb: p must be a probability from 0 to 1, got {p}")
    shape = as_shape("randb", shape)
    array = as_device(device).rand(*shape, generator=generator) <= p
    return Tensor(array, device=device, dtype=dtype, requires_grad=requires_grad)


def randint(
    low: int,
    high: Any = None,
    size: Any = None,
    *,
    device: Device | str | None = None,
    dtype: Any = "int64",
    requires_grad: bool = False,
    generator: Generator | None = None,
) -> Tensor:
    """Whole numbers from low to high - 1: `randint(0, 10, (2, 3))`; from 0 without `high`.

    PyTorch's `randint(10, (2, 3))` and NumPy's `randint(10, size=(2, 3))` do the same.

    Example:
        >>> import needle as ndl
        >>> ndl.manual_seed(0)
        >>> print(ndl.randint(10, (4,)))
        [5 7 6 5]
    """
    if isinstance(high, tuple | list):
        high, size = None, high
    low, high = (0, low) if high is None else (low, high)
    if not low < high or high - low > 2**53:
        raise ValueError(f"randint: no whole numbers from {low} to below {high} to draw from")
    shape = as_shape("randint", () if size is None else (size,))
    array = np.floor(as_device(device).rand(*shape, generator=generator) * (high - low)) + low
    return Tensor(array, device=device, dtype=dtype, requires_grad=requires_grad)


def randperm(
    n: int,
    *,
    device: Device | str | None = None,
    dtype: Any = "int64",
    requires_grad: bool = False,
    generator: Generator | None = None,
) -> Tensor:
    """The whole numbers from 0 to n - 1 in random order.

    Example:
        >>> import needle as ndl
        >>> ndl.manual_seed(0)
        >>> print(ndl.randperm(4))
        [2 3 1 0]
    """
    array = as_device(device).permutation(n, generator=generator)
    return Tensor(array, device=device, dtype=dtype, requires_grad=requires_grad)


def orthogonal(
    *shape: Any,
    gain: float = 1.0,
    device: Device | str | None = None,
    dtype: Any = "float32",
    requires_grad: bool = False,
    generator: Generator | None = None,
) -> Tensor:
    """A random matrix whose rows or columns, whichever are fewer, are orthonormal, times gain.

    The Q of a QR decomposition of N(0, 1) draws, with the signs that make R's diagonal positive
    (Saxe et al. 2014; Mezzadri 2007). All axes but the last count as one; fewer than two are a
    ValueError.

    Example:
        >>> import numpy as np
        >>> import needle as ndl
        >>> q = ndl.init.orthogonal(3, 3, dtype="float64")
        >>> abs(q.T @ q - np.eye(3)).max().item() < 1e-12
        True
    """
    shape = as_shape("orthogonal", shape, dtype)
    if len(shape) < 2:
        raise ValueError(f"orthogonal needs at least two axes, got shape {shape}")
    rows, columns = math.prod(shape[:-1]), shape[-1]
    larger, smaller = max(rows, columns), min(rows, columns)
    q, r = np.linalg.qr(as_device(device).randn(larger, smaller, generator=generator))
    q *= np.where(np.diagonal(r) < 0, -gain, gain)
    matrix = q if rows >= columns else q.T
    return Tensor.make_const(matrix.reshape(shape).astype(dtype, order="C"), requires_grad)


def trunc_normal(
    *shape: Any,
    mean: float = 0.0,
    std: float = 1.0,
    a: float = -2.0,
    b: float = 2.0,
    device: Device | str | None = None,
    dtype: Any = "float32",
    requires_grad: bool = False,
    generator: Generator | None = None,
) -> Tensor:
    """Draws from N(mean, std²), restricted to [a, b], a < b; mean and std > 0 are finite.

    Example:
        >>> import needle as ndl
        >>> x = ndl.init.trunc_normal(1000, std=2.0, a=-1.0, b=1.0)
        >>> -1 <= x.min().item() < x.max().item() <= 1
        True
    """
    shape = as_shape("trunc_normal", shape, dtype)
    if not (0 < std < math.inf and math.isfinite(mean) and a < b):
        raise ValueError(
            "trunc_normal needs a finite mean and std, std > 0 and a < b, "
            f"got mean={mean}, std={std}, a={a}, b={b}"
        )
    shape = as_shape("trunc_normal", shape, dtype)
    low, high = (a - mean) / std, (b - mean) / std
    draws = _standard_draws(low, high, math.prod(shape), as_device(device), generator)
    array = np.clip(draws * std + mean, a, b).reshape(shape).astype(dtype)
    return Tensor.make_const(array, requires_grad)


def _standard_draws(low: float, high: float, count: int, device: Device, generator: Any) -> Any:
    """Draws from N(0, 1) in [low, high], by rejection from the uniform distribution.

    A draw x is kept with probability e^((m² - x²)/2), where m is the number in the interval
    closest to 0. The interval is cut off where that is less than e^-40.
    """
    low, high = (min(max(end, -1e100), 1e100) for end in (low, high))  # whose squares are finite
    mode = min(max(low, 0.0), high)
    reach = math.hypot(mode, math.sqrt(80))
    low, high = max(low, -reach), min(high, reach)
    kept = device.rand(0)
    while kept.size < count:
        size = 2 * (count - kept.size) + 16
        draws = device.rand(size, generator=generator) * (high - low) + low
        is_kept = device.rand(size, generator=generator) <= np.exp((mode**2 - draws**2) / 2)
        kept = np.concatenate([kept, draws[is_kept]])
    return kept[:count]
