"""Numbers and tables as text."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

__all__ = ["aligned", "decimal_text"]


def aligned(table: Sequence[Sequence[str]]) -> list[str]:
    """The rows of a table as lines: two columns aligned to the left, the others to the right."""
    widths = [max(map(len, column)) for column in zip(*table, strict=True)]
    lines = []
    for row in table:
        cells = [
            cell.rjust(width) if column > 1 else cell.ljust(width)
            for column, (cell, width) in enumerate(zip(row, widths, strict=True))
        ]
        lines.append("  ".join(cells).rstrip())
    return lines


def decimal_text(numbers: Any, precision: int) -> str:
    """A number, or nested lists of numbers, with `precision` decimals and no trailing zeros."""
    if isinstance(numbers, list):
        return f"[{', '.join(decimal_text(number, precision) for number in numbers)}]"
    if not isinstance(numbers, float) or not math.isfinite(numbers):
        return str(numbers)
    if numbers and not 10.0**-precision <= abs(numbers) < 1e6:
        return f"{numbers:.{precision}g}"
    text = f"{numbers:.{precision}f}"
    return text.rstrip("0").rstrip(".") if "." in text else text
