"""Parts of kernels and products, for threads that work side by side."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np

from .barriers import Access, access
from .kernel import Kernel
from .layout import Layout, Place

__all__ = ["Part", "parts_of_kernel", "parts_of_product"]

LEAST_WORK = 2**12  # operations of a kernel that are worth dividing
LEAST_PRODUCT = 2**16
_PIECE = 16  # elements, so that no two threads write to one line of the cache

_IN_PLACE = 10**6  # multiplications up to which OpenBLAS does not copy the matrices first
_FEW_ROWS = 64
_NARROWEST = 32

# where these stand among the arguments of the kernel of products
_M, _N, _K, _BATCH = 3, 4, 5, 17
_A, _B, _C = 8, 11, 14  # each followed by its row and the way to the next matrix


class Part(NamedTuple):
    """What one thread does of a call: the arguments of the kernel, and the memory it uses."""

    arguments: list[Any]
    accesses: list[Access]


def parts_of_kernel(kernel: Kernel, threads: int) -> list[Part]:
    """A part for each thread; one part where a kernel cannot or need not be divided."""
    arguments, divided = kernel.arguments, kernel.loops.divided
    if divided is None:
        return [Part(arguments, list(kernel.memory()))]
    length = kernel.loops.dims[divided][0]
    is_worth = kernel.work >= LEAST_WORK and length >= threads
    bounds = _bounds(length, threads) if is_worth else [(0, length)]
    return [
        Part([*arguments[:-2], first, last], list(kernel.memory(first, last)))
        for first, last in bounds
    ]


def parts_of_product(arguments: list[Any], threads: int) -> list[Part]:
    """The same for the kernel of products."""
    m, n, k, batch = (arguments[i] for i in (_M, _N, _K, _BATCH))
    if batch >= threads:
        divided, length = _matrices, batch
    elif m >= n or (m >= _PIECE * threads and m <= _FEW_ROWS * threads):
        divided, length = _rows, m
    else:
        divided, length = _columns, n
    is_worth = m * n * k * batch >= LEAST_PRODUCT and length >= threads
    bounds = _bounds(length, threads) if is_worth else [(0, length)]
    found = [divided(arguments, first, last) for first, last in bounds]
    return [Part(_in_blocks(each), list(_memory(each))) for each in found]


def _memory(arguments: list[Any]) -> Iterator[Access]:
    """What a product reads and writes."""
    m, n, k, batch = (arguments[i] for i in (_M, _N, _K, _BATCH))
    shapes = (k, m) if arguments[1] else (m, k), (n, k) if arguments[2] else (k, n), (m, n)
    for at, (rows, columns) in zip((_A, _B, _C), shapes, strict=True):
        place, row, matrix = arguments[at : at + 3]
        size = place.layout.dtype.itemsize
        steps = [(row * size, 0, rows), (size, 0, columns), (matrix, 0, batch)]
        yield access(place, steps, at == _C)
    for place in arguments[6:8]:
        if not isinstance(place.home, np.ndarray):  # a number that is part of the program
            yield access(place, (), False)


def _bounds(length: int, parts: int) -> list[tuple[int, int]]:
    piece = _PIECE if length >= _PIECE * parts else 1
    ends = [length * part // parts // piece * piece for part in range(parts)]
    return list(zip(ends, [*ends[1:], length], strict=True))


def _matrices(arguments: list[Any], first: int, last: int) -> list[Any]:
    found = list(arguments)
    for at in (_A, _B, _C):
        found[at] = _moved(found[at], first * found[at + 2])
    found[_BATCH] = last - first
    return found


def _rows(arguments: list[Any], first: int, last: int) -> list[Any]:
    found = list(arguments)
    step = 1 if arguments[1] else arguments[_A + 1]
    found[_A] = _moved(found[_A], first * step * found[_A].layout.dtype.itemsize)
    found[_C] = _moved(found[_C], first * found[_C + 1] * found[_C].layout.dtype.itemsize)
    found[_M] = last - first
    return found


def _columns(arguments: list[Any], first: int, last: int) -> list[Any]:
    found = list(arguments)
    step = arguments[_B + 1] if arguments[2] else 1
    found[_B] = _moved(found[_B], first * step * found[_B].layout.dtype.itemsize)
    found[_C] = _moved(found[_C], first * found[_C].layout.dtype.itemsize)
    found[_N] = last - first
    return found


def _in_blocks(arguments: list[Any]) -> list[Any]:
    """A product of few rows as one of many blocks of columns, which BLAS reads where they are."""
    m, n, k, batch = (arguments[i] for i in (_M, _N, _K, _BATCH))
    width = n
    while m * width * k > _IN_PLACE and not width % (2 * _NARROWEST):
        width //= 2
    is_fit = m <= _FEW_ROWS and m * width * k <= _IN_PLACE and not arguments[2]
    if batch > 1 or width == n or not is_fit:
        return arguments
    found = list(arguments)
    size = found[_B].layout.dtype.itemsize
    found[_N], found[_BATCH] = width, n // width
    found[_A + 2], found[_B + 2], found[_C + 2] = 0, width * size, width * size
    return found


def _moved(place: Place, offset: int) -> Place:
    layout = place.layout
    moved = Layout(layout.owner, layout.offset + offset, layout.shape, layout.strides, layout.dtype)
    return Place(place.home, moved)
