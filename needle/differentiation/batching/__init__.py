"""Batching rules for vmap: how an op computes what it gives for each example of a batch, in one go.

The table of the rules is in table.py.
"""

from .batches import Operand, full, moved_axes
from .table import RULES, batched

__all__ = ["RULES", "Operand", "batched", "full", "moved_axes"]
