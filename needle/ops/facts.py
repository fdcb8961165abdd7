"""Facts about tensors, as Python's numbers and truth values."""

from typing import Any

from ..autograd import Tensor
from .arithmetic import equal
from .functions import isclose
from .names import as_tensors, by_any_name

__all__ = ["allclose", "array_equal", "is_floating_point", "is_tensor", "numel"]


@by_any_name
def allclose(
    a: Tensor, b: Any, rtol: float = 1e-5, atol: float = 1e-8, equal_nan: bool = False
) -> bool:
    """Whether all elements are close to each other, as `isclose`.

    Example:
        >>> import needle as ndl
        >>> ndl.allclose(ndl.Tensor([0.3]), ndl.Tensor([0.1]) * 3)
        True
    """
    return bool(isclose(a, b, rtol, atol, equal_nan).all().item())


def array_equal(a: Tensor, b: Any) -> bool:
    """Whether two tensors have the same shape and elements; PyTorch's `equal`.

    Example:
        >>> import needle as ndl
        >>> ndl.array_equal(ndl.Tensor([1.0, 2.0]), ndl.Tensor([1.0, 2.0]))
        True
    """
    a, b = as_tensors("array_equal", (a, b))
    return a.shape == b.shape and bool(equal(a, b).all().item())


@by_any_name
def is_floating_point(a: Tensor) -> bool:
    """Whether the dtype is one of floats.

    Example:
        >>> import needle as ndl
        >>> ndl.is_floating_point(ndl.Tensor([1, 2]))
        False
    """
    return a.dtype.kind == "f"


def is_tensor(value: Any) -> bool:
    """Whether a value is a Tensor.

    Example:
        >>> import needle as ndl
        >>> ndl.is_tensor(ndl.Tensor(1.0)), ndl.is_tensor(1.0)
        (True, False)
    """
    return isinstance(value, Tensor)


@by_any_name
def numel(a: Tensor) -> int:
    """The number of elements.

    Example:
        >>> import needle as ndl
        >>> ndl.numel(ndl.ones(2, 3))
        6
    """
    return a.numel()
