"""Tensors by NumPy's and PyTorch's names: sequences, identity matrices, constants and draws "like".

Numbers with a fraction are float32, whole numbers int64, unless `dtype` says something else. None
requires a gradient unless `requires_grad` says so.
"""

from typing import Any

import numpy as np

from ..autograd import Tensor
from ..device import Device, as_device
from .basic import as_shape, constant, rand, randn

__all__ = [
    "arange", "eye", "full", "full_like", "linspace", "ones_like", "rand_like", "randn_like",
    "zeros_like",
]  # fmt: skip


def _dtype_of(*numbers: Any) -> str:
    if all(isinstance(number, bool | np.bool) for number in numbers):
        return "bool"
    return "int64" if all(isinstance(each, int | np.integer) for each in numbers) else "float32"


def _tensor(array: Any, device: Device | str | None, dtype: Any, requires_grad: bool) -> Tensor:
    return Tensor(array, device=device, dtype=dtype, requires_grad=requires_grad)


def arange(
    start: float,
    stop: float | None = None,
    step: float = 1,
    *,
    device: Device | str | None = None,
    dtype: Any = None,
    requires_grad: bool = False,
) -> Tensor:
    """start, start + step, ... below stop; `arange(n)` counts from 0 to n - 1.

    Example:
        >>> import needle as ndl
        >>> ndl.arange(1, 4).numpy()
        array([1, 2, 3])
    """
    ends: tuple[Any, Any] = (0, start) if stop is None else (start, stop)
    kind = _dtype_of(*ends, step)
    array = np.arange(*ends, step)
    return _tensor(array, device, dtype or ("int64" if kind == "bool" else kind), requires_grad)


def linspace(
    start: float,
    stop: float,
    num: int = 50,
    *,
    device: Device | str | None = None,
    dtype: Any = "float32",
    requires_grad: bool = False,
) -> Tensor:
    """`num` numbers at equal distances from start to stop, with both ends.

    Example:
        >>> import needle as ndl
        >>> ndl.linspace(0, 1, 5).numpy()
        array([0.  , 0.25, 0.5 , 0.75, 1.  ], dtype=float32)
    """
    return _tensor(np.linspace(start, stop, num), device, dtype, requires_grad)


def eye(
    n: int,
    m: int | None = None,
    *,
    device: Device | str | None = None,
    dtype: Any = "float32",
    requires_grad: bool = False,
) -> Tensor:
    """The n×n identity matrix, or n×m with ones on the diagonal.

    Example:
        >>> import needle as ndl
        >>> ndl.eye(2).numpy()
        array([[1., 0.],
               [0., 1.]], dtype=float32)
    """
    return _tensor(np.eye(n, m), device, dtype, requires_grad)


def full(
    shape: Any,
    fill_value: Any,
    *,
    device: Device | str | None = None,
    dtype: Any = None,
    requires_grad: bool = False,
) -> Tensor:
    """A tensor filled with a number, in the dtype of the number (float32 for fractions).

    Example:
        >>> import needle as ndl
        >>> ndl.full((2,), 0.5).numpy()
        array([0.5, 0.5], dtype=float32)
    """
    lengths = as_shape("full", (shape,))
    array = as_device(device).full(lengths, fill_value, dtype or _dtype_of(fill_value))
    return Tensor.make_const(array, requires_grad)


def _like(tensor: Tensor, device: Any, dtype: Any) -> dict[str, Any]:
    return {
        "dtype": tensor.dtype if dtype is None else dtype,
        "device": tensor.device if device is None else device,
    }


def full_like(
    tensor: Tensor,
    fill_value: Any,
    *,
    device: Any = None,
    dtype: Any = None,
    requires_grad: bool = False,
) -> Tensor:
    """A number in the shape and dtype of `tensor`, by default on its device.

    Example:
        >>> import needle as ndl
        >>> ndl.full_like(ndl.Tensor([1.0, 2.0]), 3).numpy()
        array([3., 3.])
    """
    where = _like(tensor, device, dtype)
    return constant(*tensor.shape, c=fill_value, requires_grad=requires_grad, **where)


def ones_like(
    tensor: Tensor, *, device: Any = None, dtype: Any = None, requires_grad: bool = False
) -> Tensor:
    """Ones in the shape and dtype of `tensor`, by default on its device.

    Example:
        >>> import needle as ndl
        >>> print(ndl.init.ones_like(ndl.Tensor([1.0, 2.0])))
        [1. 1.]
    """
    return full_like(tensor, 1, device=device, dtype=dtype, requires_grad=requires_grad)


def zeros_like(
    tensor: Tensor, *, device: Any = None, dtype: Any = None, requires_grad: bool = False
) -> Tensor:
    """Zeros in the shape and dtype of `tensor`, by default on its device.

    Example:
        >>> import needle as ndl
        >>> print(ndl.init.zeros_like(ndl.Tensor([1.0, 2.0])))
        [0. 0.]
    """
    return full_like(tensor, 0, device=device, dtype=dtype, requires_grad=requires_grad)


def rand_like(tensor: Tensor, *, device: Any = None, dtype: Any = None, **options: Any) -> Tensor:
    """Draws in the shape and dtype of `tensor`; `options` as in `rand`.

    Example:
        >>> import needle as ndl
        >>> ndl.rand_like(ndl.Tensor([1.0, 2.0])).shape
        (2,)
    """
    return rand(*tensor.shape, **_like(tensor, device, dtype), **options)


def randn_like(tensor: Tensor, *, device: Any = None, dtype: Any = None, **options: Any) -> Tensor:
    """Draws in the shape and dtype of `tensor`; `options` as in `randn`.

    Example:
        >>> import needle as ndl
        >>> ndl.randn_like(ndl.Tensor([1.0, 2.0])).shape
        (2,)
    """
    return randn(*tensor.shape, **_like(tensor, device, dtype), **options)
