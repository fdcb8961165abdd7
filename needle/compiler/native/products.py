"""Products of a program as calls of NumPy's BLAS."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from ..program import Node
from .blas import PRODUCT, addresses
from .layout import Layout, Place

__all__ = ["fits", "product_calls", "source_of"]

_MOST = 64  # calls of one product


def source_of(dtype: Any) -> str:
    """The kernel of products of a dtype."""
    return PRODUCT.format(number=dtype.name)


def _matrix(layout: Layout) -> tuple[int, int] | None:
    """Whether the matrices of a layout are transposed in memory, and the stride of their rows."""
    size = layout.dtype.itemsize
    (rows, columns), (row, column) = layout.shape[-2:], layout.strides[-2:]
    if row % size or column % size:
        return None
    row, column = row // size, column // size
    if (column == 1 or columns == 1) and (row >= columns or rows == 1):
        return 0, max(row, columns)
    if (row == 1 or rows == 1) and (column >= rows or columns == 1):
        return 1, max(column, rows)
    return None


def _batch(layout: Layout, count: int) -> tuple[int, ...]:
    """The strides of the axes before the matrices, 0 for those along which they repeat."""
    missing = count - (len(layout.shape) - 2)
    return (0,) * missing + layout.strides[:-2]


def fits(node: Node, layout_of: Callable[[Node], Layout]) -> bool:
    """Whether BLAS can compute a product from where its operands are."""
    if addresses() is None:
        return False
    a, b = (layout_of(each) for each in node.operands[:2])
    assert node.shape is not None
    calls = int(np.prod(node.shape[:-2][:-1], dtype=np.int64)) if len(node.shape) > 3 else 1
    return _matrix(a) is not None and _matrix(b) is not None and calls <= _MOST


def product_calls(
    node: Node, place_of: Callable[[Node], Place], result: Place, alpha: Place, beta: Place
) -> Iterator[list[Any]]:
    """The arguments of each call of the kernel of products."""
    found = addresses()
    assert found is not None
    assert node.shape is not None
    function = found["sgemm" if node.dtype.char == "f" else "dgemm"]
    a, b = (place_of(each) for each in node.operands[:2])
    left, right = _matrix(a.layout), _matrix(b.layout)
    assert left is not None, "`fits` was asked before"
    assert right is not None, "`fits` was asked before"
    (a_transposed, a_row), (b_transposed, b_row) = left, right
    m, n = node.shape[-2:]
    k = node.operands[0].shape[-1]
    repeats = (1, *node.shape[:-2])
    outer, batch = repeats[:-1], repeats[-1]
    count = len(node.shape) - 2
    steps = [(0, *_batch(place.layout, count)) for place in (a, b, result)]
    head = [function, a_transposed, b_transposed, m, n, k, alpha, beta]
    rows = (a_row, b_row, n)
    for index in np.ndindex(*outer):
        arguments = list(head)
        for place, row, step in zip((a, b, result), rows, steps, strict=True):
            offset = sum(i * s for i, s in zip(index, step[:-1], strict=True))
            arguments += [_moved(place, offset), row, step[-1] if count else 0]
        yield [*arguments, batch]


def _moved(place: Place, offset: int) -> Place:
    layout = place.layout
    if not offset:
        return place
    moved = Layout(layout.owner, layout.offset + offset, layout.shape, layout.strides, layout.dtype)
    return Place(place.home, moved)
