"""Source text of a kernel to object code, by Numba, which is imported here only."""

import math
from typing import Any

import numba
import numpy as np
from numba.core import types

from . import atomics, mathematics, pointers

__all__ = ["compile_source"]


_DTYPES = ["boolean", "float32", "float64"]
_DTYPES += [f"{sign}int{bits}" for sign in ("", "u") for bits in (8, 16, 32, 64)]
_NAMES: dict[str, Any] = {
    "math": math,
    "np": np,
    **{name: getattr(types, name) for name in _DTYPES},
    **{name: getattr(pointers, name) for name in pointers.__all__},
    **{name: getattr(mathematics, name) for name in mathematics.__all__},
    **{name: getattr(atomics, name) for name in atomics.__all__},
}
_SIGNATURE = types.void(types.CPointer(types.int64))


def compile_source(source: str, name: str) -> tuple[str, bytes]:
    """The symbol of a kernel and object code that defines it, from its source.

    The source defines a function `kernel` of a pointer to its arguments; what it may use is in
    `mathematics`, `pointers` and `atomics`. `name` becomes part of the symbol, which differs
    between kernels.
    """
    namespace = dict(_NAMES)
    exec(compile(source, f"<needle {name}>", "exec"), namespace)
    function = namespace["kernel"]
    function.__name__ = function.__qualname__ = name
    dispatcher = numba.njit(
        _SIGNATURE,
        fastmath=False,  # each number is rounded as NumPy does; `plus` and `times` are apart
        error_model="numpy",
        boundscheck=False,
        no_cpython_wrapper=True,
        no_cfunc_wrapper=True,
        _nrt=False,
    )(function)
    (result,) = dispatcher.overloads.values()
    _, _, (content, _) = result.library.serialize_using_object_code()
    return result.fndesc.llvm_func_name, content
