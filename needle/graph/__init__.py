"""Ways to look at a graph: formulas, traces and drawings."""

from .draw import Recording, draw, record
from .drawing import Drawing
from .expression import expression
from .summary import summary
from .table import TraceRow, TraceTable, trace_table

__all__ = [
    "Drawing", "Recording", "TraceRow", "TraceTable", "draw", "expression", "record", "summary",
    "trace_table",
]  # fmt: skip
