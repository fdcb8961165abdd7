"""Running the same on the CPU and on the device of strict arrays."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pytest

from needle import Tensor


def _leaves(values: Any) -> list[Tensor]:
    """The tensors in (nested) tuples, lists and dicts."""
    if isinstance(values, Tensor):
        return [values]
    entries = values.values() if isinstance(values, dict) else values
    return [tensor for entry in entries for tensor in _leaves(entry)]


@pytest.fixture
def check_both(strict_array, strict_device) -> Callable[..., None]:
    """check_both(run): run("strict") gives the values of run("cpu"), in strict arrays."""

    def check(run: Callable[[str], Any], tolerance: float = 1e-6) -> None:
        results: list[Sequence[Tensor]] = []
        for name in ("cpu", "strict"):
            np.random.seed(0)
            results.append(_leaves(run(name)))
        assert len(results[0]) == len(results[1]) > 0
        for expected, actual in zip(*results, strict=True):
            assert type(actual.realize_cached_data()) is strict_array
            assert actual.device == strict_device
            assert actual.dtype == expected.dtype
            np.testing.assert_allclose(actual.numpy(), expected.numpy(), tolerance, tolerance)

    return check
