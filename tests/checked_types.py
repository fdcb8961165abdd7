"""What type checkers see of needle's names; mypy reads this file (see pyproject.toml)."""

from collections.abc import Callable
from typing import Any, assert_type

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
    assert_type(needle.maximum(x, 0), Tensor)
    assert_type(needle.clip(x, 0, high=1), Tensor)
    assert_type(needle.flip(x, axes=0), Tensor)
    assert_type(needle.mean(x, dim=0, keepdim=True), Tensor)
    assert_type(needle.max(x, axis=0), Tensor)
    assert_type(needle.sum(x, dim=0, keepdim=True), Tensor)
    assert_type(needle.logsumexp(x, dim=0), Tensor)
    assert_type(needle.zeros(2, 3, dtype="float64"), Tensor)
    unary: Callable[[Tensor], Tensor] = needle.sqrt
    binary: Callable[[Tensor, Any], Tensor] = needle.add
    assert unary is not binary


def errors(x: Tensor) -> None:
    needle.expp(x)  # type: ignore[attr-defined]
    needle.nonsense  # type: ignore[attr-defined]  # noqa: B018
    needle.arithmetic  # type: ignore[attr-defined]  # noqa: B018 - a module of ops
    needle.exp()  # type: ignore[call-arg]
    needle.exp(x, 2)  # type: ignore[call-arg]
    needle.add(x)  # type: ignore[call-arg]
    needle.flip(x, axis=0, nonsense=1)  # type: ignore[call-arg]
    needle.mean(x, nonsense=0)  # type: ignore[call-overload]
    needle.mean()  # type: ignore[call-overload]
    x.nonsense()  # type: ignore[attr-defined]
