"""Tensors from data, from sequences and from constants, by NumPy's and PyTorch's names.

Numbers with a fraction are float32, whole numbers int64, unless `dtype` says something else. None
requires a gradient unless `requires_grad` says so.
"""

from collections.abc import Callable
from functools import partial
from typing import Any, Protocol

import numpy as np

from ..autograd import Tensor
from ..device import Device, as_device
from ..ops.functions import to
from ..ops.losses import class_numbers
from .draws import as_shape, rand, randn

__all__ = [
    "arange", "as_tensor", "constant", "empty", "empty_like", "eye", "from_numpy", "full",
    "full_like", "linspace", "one_hot", "ones", "ones_like", "rand_like", "randn_like", "tensor",
    "zeros", "zeros_like",
]  # fmt: skip


def _dtype_of(*numbers: Any) -> str:
    if all(isinstance(number, bool | np.bool) for number in numbers):
        return "bool"
    return "int64" if all(isinstance(each, int | np.integer) for each in numbers) else "float32"


def _tensor(array: Any, device: Device | str | None, dtype: Any, requires_grad: bool) -> Tensor:
    return Tensor(array, device=device, dtype=dtype, requires_grad=requires_grad)


# --- from data


def tensor(
    data: Any,
    *,
    device: Device | str | None = None,
    dtype: Any = None,
    requires_grad: bool = False,
) -> Tensor:
    """A copy of an array or of (nested lists of) numbers: float32 for Python's floats.

    As PyTorch's; `Tensor` takes NumPy's dtypes, and requires a gradient by default.

    Example:
        >>> import needle as ndl
        >>> ndl.tensor([1.0, 2.0])
        needle.Tensor([1. 2.], dtype=float32, requires_grad=False)
    """
    result = _tensor(data, device, dtype, requires_grad)
    is_of_python = not isinstance(data, Tensor | np.generic) and not hasattr(data, "__array__")
    if dtype is None and is_of_python and result.dtype == np.float64:
        return _tensor(data, device, "float32", requires_grad)
    return result


def as_tensor(data: Any, dtype: Any = None, device: Device | str | None = None) -> Tensor:
    """`data` as a tensor: a Tensor itself, in its graph, and anything else as by `tensor`.

    Example:
        >>> import needle as ndl
        >>> x = ndl.Tensor([1.0])
        >>> ndl.as_tensor(x) is x, ndl.as_tensor(x, dtype="float32").requires_grad
        (True, True)
    """
    if isinstance(data, Tensor):
        return to(data, dtype=dtype, device=device)
    return tensor(data, dtype=dtype, device=device)


def from_numpy(array: np.ndarray) -> Tensor:
    """A tensor of the values and the dtype of a NumPy array: a copy, unlike in PyTorch.

    Example:
        >>> import numpy as np
        >>> import needle as ndl
        >>> ndl.from_numpy(np.arange(3.0))
        needle.Tensor([0. 1. 2.], dtype=float64, requires_grad=False)
    """
    if not isinstance(array, np.ndarray):
        raise TypeError(
            f"from_numpy takes a NumPy array, got {type(array).__name__}: use needle.tensor"
        )
    return Tensor(array, requires_grad=False)


# --- sequences


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


# --- constants


def constant(
    *shape: Any,
    c: float = 1.0,
    device: Device | str | None = None,
    dtype: Any = "float32",
    requires_grad: bool = False,
) -> Tensor:
    """A tensor filled with c.

    Example:
        >>> import needle as ndl
        >>> print(ndl.init.constant(2, 2, c=0.5))
        [[0.5 0.5]
         [0.5 0.5]]
    """
    lengths = as_shape("constant", shape)
    return Tensor.make_const(as_device(device).full(lengths, c, dtype), requires_grad)


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


class _OfShape(Protocol):
    __name__: str
    __qualname__: str

    def __call__(
        self,
        *shape: Any,
        device: Device | str | None = None,
        dtype: Any = "float32",
        requires_grad: bool = False,
    ) -> Tensor: ...


class _Like(Protocol):
    __name__: str
    __qualname__: str

    def __call__(
        self,
        tensor: Tensor,
        *,
        device: Device | str | None = None,
        dtype: Any = None,
        **options: Any,
    ) -> Tensor: ...


def _filled(name: str, c: float, text: str) -> _OfShape:
    """The function `name`, of tensors filled with c."""

    def function(
        *shape: Any,
        device: Device | str | None = None,
        dtype: Any = "float32",
        requires_grad: bool = False,
    ) -> Tensor:
        lengths = as_shape(name, shape)
        return Tensor.make_const(as_device(device).full(lengths, c, dtype), requires_grad)

    function.__name__ = function.__qualname__ = name
    function.__doc__ = text
    return function


def _like(name: str, create: Callable[..., Tensor], text: str) -> _Like:
    """The function `name`, which calls `create` with the shape, dtype and device of a tensor."""

    def function(
        tensor: Tensor,
        *,
        device: Device | str | None = None,
        dtype: Any = None,
        **options: Any,
    ) -> Tensor:
        options["dtype"] = tensor.dtype if dtype is None else dtype
        options["device"] = tensor.device if device is None else device
        return create(*tensor.shape, **options)

    function.__name__ = function.__qualname__ = name
    function.__doc__ = text
    return function


zeros = _filled(
    "zeros",
    0,
    """A tensor of zeros of a shape, given as lengths or as one tuple.

    Example:
        >>> import needle as ndl
        >>> ndl.init.zeros(2, dtype="int64")
        needle.Tensor([0 0], dtype=int64, requires_grad=False)
    """,
)
ones = _filled(
    "ones",
    1,
    """A tensor of ones of a shape, given as lengths or as one tuple.

    Example:
        >>> import needle as ndl
        >>> ndl.init.ones(2, 3)
        needle.Tensor([[1. 1. 1.]
                       [1. 1. 1.]], dtype=float32, requires_grad=False)
    """,
)
empty = _filled(
    "empty",
    0,
    """A tensor of a shape, to be filled: of zeros; NumPy and PyTorch leave any numbers there.

    Example:
        >>> import needle as ndl
        >>> ndl.empty(2, 3).shape
        (2, 3)
    """,
)
zeros_like = _like(
    "zeros_like",
    zeros,
    """Zeros in the shape and dtype of `tensor`, by default on its device.

    Example:
        >>> import needle as ndl
        >>> print(ndl.init.zeros_like(ndl.Tensor([1.0, 2.0])))
        [0. 0.]
    """,
)
ones_like = _like(
    "ones_like",
    ones,
    """Ones in the shape and dtype of `tensor`, by default on its device.

    Example:
        >>> import needle as ndl
        >>> print(ndl.init.ones_like(ndl.Tensor([1.0, 2.0])))
        [1. 1.]
    """,
)
empty_like = _like(
    "empty_like",
    empty,
    """A tensor in the shape and dtype of `tensor`, to be filled: see `empty`.

    Example:
        >>> import needle as ndl
        >>> ndl.empty_like(ndl.Tensor([1.0, 2.0])).shape
        (2,)
    """,
)
rand_like = _like(
    "rand_like",
    rand,
    """Draws in the shape and dtype of `tensor`; `options` as in `rand`.

    Example:
        >>> import needle as ndl
        >>> ndl.rand_like(ndl.Tensor([1.0, 2.0])).shape
        (2,)
    """,
)
randn_like = _like(
    "randn_like",
    randn,
    """Draws in the shape and dtype of `tensor`; `options` as in `randn`.

    Example:
        >>> import needle as ndl
        >>> ndl.randn_like(ndl.Tensor([1.0, 2.0])).shape
        (2,)
    """,
)


def full_like(tensor: Tensor, fill_value: Any, **options: Any) -> Tensor:
    """A number in the shape and dtype of `tensor`; `options` as in `ones_like`.

    Example:
        >>> import needle as ndl
        >>> ndl.full_like(ndl.Tensor([1.0, 2.0]), 3).numpy()
        array([3., 3.])
    """
    return _like("full_like", partial(constant, c=fill_value), "")(tensor, **options)


def one_hot(
    n: int,
    i: Tensor,
    device: Device | str | None = None,
    dtype: Any = "float32",
    requires_grad: bool = False,
) -> Tensor:
    """1 at each class number of `i`, integers or whole floats, 0 elsewhere: shape i.shape + (n,).

    Other floats are a TypeError, a class number outside 0 ... n - 1 a ValueError.

    Example:
        >>> import needle as ndl
        >>> print(ndl.init.one_hot(3, ndl.Tensor([0, 2])))
        [[1. 0. 0.]
         [0. 0. 1.]]
    """
    given = i.numpy() if isinstance(i, Tensor) else np.asarray(i)
    classes = class_numbers(given)  # on the host, where the numbers are checked
    if classes.size and not 0 <= classes.min() <= classes.max() < n:
        raise ValueError(
            f"one_hot: class numbers from {classes.min()} to {classes.max()}, allowed 0 to {n - 1}"
        )
    return Tensor.make_const(as_device(device).one_hot(n, classes, dtype), requires_grad)
