"""A program of calls of kernels, run by one call of machine code.

A program is an array of int64: for each call the address of a kernel, how many arguments it has,
and the arguments (addresses of operands, sizes, strides); 0 at the end.
"""

import ctypes
from collections.abc import Callable
from functools import cache, partial
from typing import Any

from .cache import load

__all__ = ["SOURCE", "function_at", "runner"]

SOURCE = """
def kernel(program):
    at = 0
    while program[at] != 0:
        call(program[at], address_plus(program, at + 2))
        at += 2 + program[at + 1]
"""


@cache
def runner() -> Callable[[int], None]:
    """The function that runs the program at an address. Other threads go on meanwhile."""
    return function_at(load([SOURCE])[0])


def function_at(address: int) -> Callable[[Any], None]:
    """A kernel as a function of the address of its arguments."""
    pointer = ctypes.c_void_p
    function = ctypes.CFUNCTYPE(None, pointer, pointer, pointer)(address)
    result, exception = ctypes.c_int64(), ctypes.c_int64()  # of Numba's functions: none
    return partial(function, ctypes.byref(result), ctypes.byref(exception))
