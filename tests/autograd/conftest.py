"""The modes, and whether they are on."""

import pytest

import needle as ndl
from needle import Tensor


def records() -> bool:
    return (Tensor([1.0]) * 2).requires_grad


def waits() -> bool:
    return (Tensor([1.0]) * 2).cached_data is None


MODES = {"no_grad": (ndl.no_grad, lambda: not records()), "lazy_mode": (ndl.lazy_mode, waits)}


@pytest.fixture(params=MODES)
def switch(request):
    """A mode, and whether it is on."""
    return MODES[request.param]
