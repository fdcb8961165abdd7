"""Machine code: kernels compiled by Numba, NumPy's BLAS, a cache of compiled code."""

__all__: list[str] = []
