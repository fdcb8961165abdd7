"""What notebooks show of a tensor: a table of its elements under a line of shape and dtype."""

from collections.abc import Sequence
from typing import Any

import numpy as np

__all__ = ["array_html"]

_EDGE = 5  # rows and columns shown at each end of a long axis


def array_html(array: np.ndarray, caption: str) -> str:
    """An array as HTML: a table if it has one or two axes and elements, else its text."""
    from html import escape  # only where a notebook asks for it

    head = f"<div>{escape(caption)}</div>"
    if array.ndim not in (1, 2) or not array.size:
        return f"<div>{head}<pre>{escape(str(array))}</pre></div>"
    matrix = np.atleast_2d(array)
    rows, columns = (_shown(length) for length in matrix.shape)
    lines = []
    for row in rows:
        cells = ["⋮" if row is None else _text(matrix, row, column) for column in columns]
        lines.append("<tr>" + "".join(f"<td>{cell}</td>" for cell in cells) + "</tr>")
    return f"<div>{head}<table>{''.join(lines)}</table></div>"


def _shown(length: int) -> Sequence[int | None]:
    """The indices that are shown of an axis, with None in the place of the others."""
    if length <= 2 * _EDGE:
        return range(length)
    return [*range(_EDGE), None, *range(length - _EDGE, length)]


def _text(matrix: Any, row: int, column: int | None) -> str:
    if column is None:
        return "…"
    value = matrix[row, column]
    return f"{value:.5g}" if matrix.dtype.kind == "f" else str(value)
