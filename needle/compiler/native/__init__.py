"""Machine code: kernels compiled by Numba, NumPy's BLAS, a cache of compiled code."""

from .blas import addresses
from .cache import load
from .runner import runner

__all__ = ["addresses", "load", "runner"]
