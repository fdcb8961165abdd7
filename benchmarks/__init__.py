"""Measures needle against the libraries beside it: `python -m benchmarks` (see README.md)."""
