"""Where arrays live: a Device creates arrays and draws random numbers.

Everything else about an array is NumPy's protocol, which other array libraries speak too, so
creation and randomness are all that a new kind of device has to provide.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np

__all__ = ["Device", "cpu", "default_device", "manual_seed"]

Shape = tuple[int, ...]


class Device:
    """A place where arrays live; this one is the CPU, with NumPy's arrays and random state."""

    name = "cpu"

    def __repr__(self) -> str:
        return f"needle.{self.name}()"

    def array(self, data: Any, dtype: Any = None) -> Any:
        """A new array with a copy of `data`."""
        return np.array(data, dtype=dtype)

    def full(self, shape: Sequence[int], value: Any, dtype: Any) -> Any:
        """An array of `shape` filled with `value`."""
        return np.full(shape, value, dtype=dtype)

    def rand(self, *shape: int) -> Any:
        """float64 draws from U(0, 1), from NumPy's global random state."""
        # with no axes, rand returns a Python float
        return np.asarray(np.random.rand(*shape))

    def randn(self, *shape: int) -> Any:
        """float64 draws from N(0, 1), from NumPy's global random state."""
        return np.asarray(np.random.randn(*shape))

    def one_hot(self, n: int, classes: Any, dtype: Any) -> Any:
        """1 at each class number, 0 elsewhere: shape classes.shape + (n,)."""
        rows = np.zeros((*classes.shape, n), dtype=dtype)
        np.put_along_axis(rows, classes[..., None], 1, axis=-1)
        return rows


_CPU = Device()


def cpu() -> Device:
    """The CPU."""
    return _CPU


def default_device() -> Device:
    """The device of tensors that do not say where they live."""
    return _CPU


def manual_seed(seed: int) -> None:
    """Seed NumPy's global random state, from which every draw of needle comes."""
    np.random.seed(seed)
