"""Passes: each makes a program that computes the same with less work. One file each."""

from .common import merge_common
from .constants import fold_constants
from .identities import simplify
from .long_sums import widen_long_sums
from .pipeline import PASSES, optimised
from .products import fold_updates
from .reuse import reuse
from .rewriting import rewritten

__all__ = [
    "PASSES", "fold_constants", "fold_updates", "merge_common", "optimised", "reuse", "rewritten",
    "simplify", "widen_long_sums",
]  # fmt: skip
