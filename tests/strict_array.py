"""A strict array type: it speaks NumPy's protocols as CuPy's arrays do, for tests without a GPU."""

import inspect
from operator import attrgetter
from types import SimpleNamespace
from typing import Any

import numpy as np
from numpy.lib.mixins import NDArrayOperatorsMixin

from needle import Device

# CuPy's functions as its reference documents them; NumPy hands its calls on to these
_CUPY_FUNCTIONS = """
all(a, axis=None, out=None, keepdims=False)
any(a, axis=None, out=None, keepdims=False)
arange(start, stop=None, step=1, dtype=None)
argmax(a, axis=None, dtype=None, out=None, keepdims=False)
argmin(a, axis=None, dtype=None, out=None, keepdims=False)
argsort(a, axis=-1, kind=None)
argwhere(a)
array(obj, dtype=None, copy=True, order="K", subok=False, ndmin=0)
array_equal(a1, a2, equal_nan=False)
asarray(a, dtype=None, order=None, copy=None)
ascontiguousarray(a, dtype=None)
atleast_1d(*arys)
atleast_2d(*arys)
bincount(x, weights=None, minlength=None)
broadcast_arrays(*args)
broadcast_to(array, shape)
clip(a, a_min, a_max, out=None)
concatenate(tup, axis=0, out=None, *, dtype=None, casting="same_kind")
copy(a, order="K")
copyto(dst, src, casting="same_kind", where=None)
count_nonzero(a, axis=None)
cumprod(a, axis=None, dtype=None, out=None)
cumsum(a, axis=None, dtype=None, out=None)
diag(v, k=0)
diagonal(a, offset=0, axis1=0, axis2=1)
dot(a, b, out=None)
einsum(*operands, **options)
empty(shape, dtype=float, order="C")
empty_like(prototype, dtype=None, order="K", subok=None, shape=None)
expand_dims(a, axis)
extract(condition, a)
eye(N, M=None, k=0, dtype=float, order="C")
flip(a, axis=None)
full(shape, fill_value, dtype=None, order="C")
full_like(a, fill_value, dtype=None, order="K", subok=None, shape=None)
inner(a, b)
linalg.cholesky(a)
linalg.det(a)
linalg.eigh(a, UPLO="L")
linalg.eigvalsh(a, UPLO="L")
linalg.inv(a)
linalg.qr(a, mode="reduced")
linalg.slogdet(a)
linalg.solve(a, b)
linalg.svd(a, full_matrices=True, compute_uv=True)
max(a, axis=None, out=None, keepdims=False)
may_share_memory(a, b, max_work=None)
mean(a, axis=None, dtype=None, out=None, keepdims=False)
min(a, axis=None, out=None, keepdims=False)
moveaxis(a, source, destination)
nonzero(a)
ones(shape, dtype=float, order="C")
ones_like(a, dtype=None, order="K", subok=None, shape=None)
outer(a, b, out=None)
prod(a, axis=None, dtype=None, out=None, keepdims=False)
put_along_axis(arr, indices, values, axis)
ravel(a, order="C")
repeat(a, repeats, axis=None)
reshape(a, newshape, order="C", *, copy=None)
result_type(*arrays_and_dtypes)
roll(a, shift, axis=None)
shape(a)
sort(a, axis=-1, kind=None)
split(ary, indices_or_sections, axis=0)
squeeze(a, axis=None)
stack(tup, axis=0, out=None, *, dtype=None, casting="same_kind")
std(a, axis=None, dtype=None, out=None, ddof=0, keepdims=False)
sum(a, axis=None, dtype=None, out=None, keepdims=False)
swapaxes(a, axis1, axis2)
take(a, indices, axis=None, out=None)
take_along_axis(a, indices, axis)
tensordot(a, b, axes=2)
tile(A, reps)
transpose(a, axes=None)
tril(m, k=0)
triu(m, k=0)
unique(ar, return_index=False, return_inverse=False, return_counts=False, axis=None)
var(a, axis=None, dtype=None, out=None, ddof=0, keepdims=False)
vdot(a, b)
where(condition, x=None, y=None)
zeros(shape, dtype=float, order="C")
zeros_like(a, dtype=None, order="K", subok=None, shape=None)
"""
_CUPY_METHODS = """
all(axis=None, out=None, keepdims=False)
any(axis=None, out=None, keepdims=False)
argmax(axis=None, out=None, dtype=None, keepdims=False)
argmin(axis=None, out=None, dtype=None, keepdims=False)
argsort(axis=-1, kind=None)
astype(dtype, order="K", casting="unsafe", subok=True, copy=True)
clip(min=None, max=None, out=None)
copy(order="C")
cumsum(axis=None, dtype=None, out=None)
diagonal(offset=0, axis1=0, axis2=1)
dot(b, out=None)
fill(value)
flatten(order="C")
max(axis=None, out=None, keepdims=False)
mean(axis=None, dtype=None, out=None, keepdims=False)
min(axis=None, out=None, keepdims=False)
nonzero()
prod(axis=None, dtype=None, out=None, keepdims=False)
ravel(order="C")
repeat(repeats, axis=None)
reshape(*shape, order="C", copy=None)
squeeze(axis=None)
std(axis=None, dtype=None, out=None, ddof=0, keepdims=False)
sum(axis=None, dtype=None, out=None, keepdims=False)
swapaxes(axis1, axis2)
take(indices, axis=None, out=None)
transpose(*axes)
var(axis=None, dtype=None, out=None, ddof=0, keepdims=False)
view(dtype=None)
"""
_CREATION = {np.arange, np.array, np.asarray, np.empty, np.eye, np.full, np.ones, np.zeros}


def _signatures(text: str) -> dict[str, inspect.Signature]:
    """The signatures in a text of one call a line, by name."""
    calls = [line.rstrip(")").partition("(") for line in text.split("\n") if line]
    return {name: inspect.signature(eval(f"lambda {names}: 0")) for name, _, names in calls}


_FUNCTIONS = {attrgetter(name)(np): each for name, each in _signatures(_CUPY_FUNCTIONS).items()}
_METHODS = _signatures(_CUPY_METHODS)
_NOT_IN_CUPY = {np.isnat, np.matvec, np.spacing, np.vecdot, np.vecmat}


class StrictArray(NDArrayOperatorsMixin):
    """An array of another library with what CuPy documents, as an array on a GPU would be.

    It is no np.ndarray and does not mix with arrays that are, not even with those of no axes;
    Python's and NumPy's numbers are fine. NumPy's functions and ufuncs take CuPy's arguments
    alone, and no methods of ufuncs but `np.add.at`. Nothing converts it but `get()`, `item()` and
    `tolist()`, which `StrictArray.reads` counts.
    """

    reads = 0

    def __init__(self, data: np.ndarray) -> None:
        self._data = data

    shape = property(lambda self: self._data.shape)
    dtype = property(lambda self: self._data.dtype)
    ndim = property(lambda self: self._data.ndim)
    size = property(lambda self: self._data.size)
    nbytes = property(lambda self: self._data.nbytes)
    itemsize = property(lambda self: self._data.itemsize)
    strides = property(lambda self: self._data.strides)
    T = property(lambda self: StrictArray(self._data.T))

    @property
    def flags(self) -> SimpleNamespace:
        names = ("c_contiguous", "f_contiguous", "owndata")  # and none that says writeable
        return SimpleNamespace(**{name: getattr(self._data.flags, name) for name in names})

    def get(self) -> np.ndarray:
        """A copy on the host."""
        StrictArray.reads += 1
        return self._data.copy()

    def item(self) -> Any:
        """The only element, as a Python number."""
        return self.get().item()

    def tolist(self) -> Any:
        """The elements as Python's numbers."""
        return self.get().tolist()

    def __getattr__(self, name: str) -> Any:
        if name not in _METHODS:
            raise AttributeError(f"arrays of CuPy have no {name!r} that a strict array allows")

        def method(*args: Any, **options: Any) -> Any:
            _METHODS[name].bind(*args, **options)
            return _called(getattr(self._data, name), args, options)

        return method

    def __len__(self) -> int:
        return len(self._data)

    def __getitem__(self, index: Any) -> Any:
        return _wrapped(self._data[_as_index(index)])

    def __setitem__(self, index: Any, value: Any) -> None:
        self._data[_as_index(index)] = _unwrapped(value)

    def __array_ufunc__(self, ufunc: Any, method: str, *inputs: Any, **options: Any) -> Any:
        if ufunc is np.add and method == "at":
            target, index, value = inputs
            return np.add.at(target._data, _as_index(index), _unwrapped(value))
        if method != "__call__" or ufunc in _NOT_IN_CUPY:
            raise TypeError(f"CuPy may lack np.{ufunc.__name__}.{method}")
        if options.keys() - {"out", "dtype", "casting"}:
            raise TypeError(f"CuPy's ufuncs do not take all of {sorted(options)}")
        return _called(ufunc, inputs, options)

    def __array_function__(self, function: Any, types: Any, args: Any, options: Any) -> Any:
        if function not in _FUNCTIONS:
            raise TypeError(f"CuPy may lack np.{function.__name__}")
        _FUNCTIONS[function].bind(*args, **options)
        if function in _CREATION:  # called with `like`, which asks for a strict array
            return _wrapped(function(*_unwrapped(args, np.ndarray), **options))
        return _called(function, args, options)

    def _refuse(self, *args: Any, **options: Any) -> Any:
        raise TypeError("a strict array does not convert itself")

    __array__ = __float__ = __int__ = __bool__ = __index__ = __iter__ = _refuse


def _called(function: Any, args: Any, options: Any) -> Any:
    """function(*args, **options) on strict arrays; it returns `out` itself where that is given."""
    value = function(*_unwrapped(args), **_unwrapped(options))
    out = options.get("out")
    if isinstance(out, tuple):  # as ufuncs give it
        (out,) = out
    return _wrapped(value) if out is None else out


def _wrapped(value: Any) -> Any:
    """Strict arrays in place of NumPy's, also in a tuple or list."""
    if isinstance(value, np.ndarray | np.generic):
        return StrictArray(np.asarray(value))
    if isinstance(value, tuple | list):
        entries = map(_wrapped, value)
        return type(value)(*entries) if hasattr(value, "_fields") else type(value)(entries)
    return value


def _unwrapped(value: Any, *allowed: type) -> Any:
    """NumPy's arrays in place of strict ones, also inside tuples, lists and dicts."""
    if isinstance(value, StrictArray):
        return value._data
    if isinstance(value, np.ndarray) and not isinstance(value, allowed):
        raise TypeError("a strict array does not mix with NumPy's arrays")
    if isinstance(value, tuple | list):
        return type(value)(_unwrapped(entry, *allowed) for entry in value)
    if isinstance(value, dict):
        return {name: _unwrapped(entry, *allowed) for name, entry in value.items()}
    return value


def _as_index(index: Any) -> Any:
    parts = _unwrapped(index if isinstance(index, tuple) else (index,))
    masks = [part for part in parts if isinstance(part, np.ndarray) and part.dtype.kind == "b"]
    if len(masks) > 1:
        raise TypeError("CuPy's arrays take one boolean mask at most")
    return parts if isinstance(index, tuple) else parts[0]


def _strict(create: Any) -> Any:
    """A function that creates strict arrays as `create` does NumPy's."""
    return lambda *args, **options: _wrapped(create(*_unwrapped(args, np.ndarray), **options))


STRICT_DEVICE = Device(
    "strict",
    SimpleNamespace(
        ndarray=StrictArray,
        **{create.__name__: _strict(create) for create in (np.array, np.asarray, np.full)},
        arange=_strict(np.arange),
    ),
)
