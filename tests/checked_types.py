"""What type checkers see of needle's names; mypy reads this file (see pyproject.toml)."""

from typing import assert_type

import needle
from needle import Tensor


def types(x: Tensor) -> None:
    assert_type(needle.exp(x), Tensor)
    assert_type(needle.add(x, 1.0), Tensor)
    assert_type(needle.matmul(x, x), Tensor)
    assert_type(needle.ops.summation(x, axes=0), Tensor)
    assert_type(needle.init.zeros(2, 3), Tensor)
    assert_type(needle.graph.expression(x), str)
    assert_type(needle.testing.gradcheck(needle.exp, [x]), bool)
    assert_type(needle.__version__, str)
    assert_type(needle.linalg.inv(x), Tensor)
    needle.nonsense  # type: ignore[attr-defined]  # noqa: B018
    needle.arithmetic  # type: ignore[attr-defined]  # noqa: B018 - a module of ops
