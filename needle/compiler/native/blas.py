"""NumPy's own BLAS, by the addresses of its C functions.

A second BLAS beside it would start threads of its own, and two pools fight for the cores.
"""

import ctypes
import sys
from collections.abc import Callable
from functools import cache
from importlib import import_module
from typing import Any, NamedTuple

import numpy as np

__all__ = ["FUNCTIONS", "PRODUCT", "addresses", "function_of", "thread_functions"]

# before and after the name: in NumPy's wheels, OpenBLAS and MKL, and Accelerate. The first are
# those with integers of 64 bits, which are what is passed: the others read the lower half
_SPELLINGS = [("scipy_cblas_", "64_"), ("cblas_", "64_"), ("cblas_", "$NEWLAPACK$ILP64")]
if sys.platform != "darwin":  # where arguments of 32 bits are packed
    _SPELLINGS += [("scipy_cblas_", ""), ("cblas_", "")]
FUNCTIONS = {"sgemm": np.float32, "dgemm": np.float64}


def _libraries() -> list[Any]:
    """NumPy's extension, through which the libraries it was linked with are searched, or these."""
    if sys.platform != "win32":
        return [ctypes.CDLL(import_module("numpy._core._multiarray_umath").__file__)]
    libraries = import_module("threadpoolctl").threadpool_info()
    found = [info for info in libraries if info["user_api"] == "blas"]
    return [ctypes.CDLL(info["filepath"]) for info in found if "numpy" in info["filepath"]]


@cache
def addresses() -> dict[str, int] | None:
    """The address of each of FUNCTIONS, or None where NumPy's BLAS has none that are usable.

    The functions have been tried on a small product.
    """
    try:
        libraries = _libraries()
    except (ImportError, OSError, AttributeError):
        return None
    for library in libraries:
        for prefix, suffix in _SPELLINGS:
            try:
                functions = {name: library[f"{prefix}{name}{suffix}"] for name in FUNCTIONS}
            except AttributeError:
                continue
            if all(map(_multiplies, functions.values(), FUNCTIONS.values())):
                return {
                    name: ctypes.cast(function, ctypes.c_void_p).value or 0
                    for name, function in functions.items()
                }
    return None


class ThreadFunctions(NamedTuple):
    """Of OpenBLAS: what tells how many threads it has, and the address of what sets them."""

    get: Callable[[], int]
    set: int


@cache
def thread_functions() -> ThreadFunctions | None:
    """Those of NumPy's BLAS, None where it is not OpenBLAS."""
    try:
        libraries = _libraries()
    except (ImportError, OSError, AttributeError):
        return None
    for library in libraries:
        for prefix, suffix in (("scipy_", "64_"), ("scipy_", ""), ("", "64_"), ("", "")):
            try:
                get = library[f"{prefix}openblas_get_num_threads{suffix}"]
                set_ = library[f"{prefix}openblas_set_num_threads{suffix}"]
            except AttributeError:
                continue
            return ThreadFunctions(get, ctypes.cast(set_, ctypes.c_void_p).value or 0)
    return None


def function_of(name: str) -> Any:
    """One of FUNCTIONS as a function of Python, with the arguments of C."""
    address = (addresses() or {})[name]
    return _typed(ctypes.CFUNCTYPE(None)(address), FUNCTIONS[name])


def _typed(function: Any, dtype: Any) -> Any:
    """A C function with the types of its arguments."""
    integer, pointer = ctypes.c_int64, ctypes.c_void_p
    number = ctypes.c_float if dtype is np.float32 else ctypes.c_double
    function.argtypes = [ctypes.c_int] * 3 + [integer] * 3 + [number, pointer, integer]
    function.argtypes += [pointer, integer, number, pointer, integer]
    function.restype = None
    return function


def _multiplies(function: Any, dtype: Any) -> bool:
    """Whether a C function multiplies matrices as cblas_sgemm and cblas_dgemm do."""
    _typed(function, dtype)
    a, b = np.arange(6, dtype=dtype).reshape(2, 3), np.arange(12, dtype=dtype).reshape(4, 3)
    c = np.ones((2, 4), dtype)
    function(101, 111, 112, 2, 4, 3, 2, a.ctypes, 3, b.ctypes, 3, 1, c.ctypes, 4)
    return np.array_equal(c, 1 + 2 * (a @ b.T))


# the kernel of products: c = α·a·b + β·c for each of `batch` pairs of matrices in rows
PRODUCT = """
def kernel(arguments):
    function, a_transposed, b_transposed = arguments[0], arguments[1], arguments[2]
    m, n, k = arguments[3], arguments[4], arguments[5]
    alpha, beta = operand(arguments, 6, {number}, 0)[0], operand(arguments, 7, {number}, 1)[0]
    a, a_row, a_matrix = arguments[8], arguments[9], arguments[10]
    b, b_row, b_matrix = arguments[11], arguments[12], arguments[13]
    c, c_row, c_matrix = arguments[14], arguments[15], arguments[16]
    for i in range(arguments[17]):
        gemm(function, a_transposed, b_transposed, m, n, k, alpha, a, a_row, b, b_row,
             beta, c, c_row)
        a, b, c = a + a_matrix, b + b_matrix, c + c_matrix
"""
