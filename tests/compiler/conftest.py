"""Executors, and the comparison of a compiled function with the same function run eagerly."""

import dataclasses
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pytest
import table

import needle as ndl
from needle.compiler import recorded_step
from needle.differentiation.tree import flatten

TOLERANCES = {"float32": 1e-5, "float64": 1e-11}


@pytest.fixture(params=["numpy", "numba"])
def executor(request: pytest.FixtureRequest) -> str:
    """The name of an executor, each in turn."""
    if request.param == "numba":
        pytest.importorskip("numba")
        kinds = recorded_step.EXECUTORS
        if kinds["numba"] is kinds["numpy"]:
            pytest.skip("there is no executor that uses Numba yet")
    return request.param


def _close(actual: Any, expected: Any, what: str = "") -> None:
    """Two structures of tensors, arrays and Python values are equal up to rounding.

    Relative to the largest number of an array: sums in another order round differently.
    """
    if isinstance(expected, ndl.Tensor):
        assert isinstance(actual, ndl.Tensor), f"{what}: {actual!r} is no tensor"
        return _close(actual.numpy(), expected.numpy(), what)
    if isinstance(expected, dict):
        assert list(actual) == list(expected), what
        for key in expected:
            _close(actual[key], expected[key], f"{what}[{key!r}]")
    elif isinstance(expected, ndl.TensorTuple | tuple | list):
        assert type(actual) is type(expected), what
        for i, (one, other) in enumerate(zip(actual, expected, strict=True)):
            _close(one, other, f"{what}[{i}]")
    elif isinstance(expected, np.ndarray):
        assert (actual.shape, actual.dtype) == (expected.shape, expected.dtype), what
        tolerance = TOLERANCES.get(expected.dtype.name, 0)
        scale = 0.01  # what is zero but for rounding
        if tolerance:
            scale = float(np.abs(expected[np.isfinite(expected)]).max(initial=scale))
        np.testing.assert_allclose(actual, expected, tolerance, tolerance * scale, err_msg=what)
    elif dataclasses.is_dataclass(expected):
        _close(vars(actual), vars(expected), what)
    else:
        assert actual == expected or (actual != actual and expected != expected), what
    return None


def _state(owner: Any) -> Any:
    """What a step changes in a module, an optimizer or a tensor."""
    if isinstance(owner, ndl.Tensor):
        return owner
    if isinstance(owner, ndl.nn.Module):
        return {name: value.numpy() for name, value in owner.state_dict().items()}
    return owner.state_dict()


def _agree(
    build: Callable[[], tuple[Callable[..., Any], Sequence[Any]]],
    batches: Sequence[Sequence[Any]],
    executor: str,
    between: Callable[..., None] | None = None,
    eager_every: int = 0,
) -> Any:
    """Run a step eagerly and compiled, and compare results, states and random draws.

    Args:
        build: makes a step, and the modules, optimizers and tensors that it changes. Called twice.
        batches: the arguments of each call: tensors, or arrays for tensors that need no gradient.
        between: between(number, *owners) is called before each step.
        eager_every: every so many steps of the compiled run are made by the original function.

    Returns:
        the compiled function.
    """
    runs, states = [], []
    for is_compiled in (False, True):
        np.random.seed(0)
        function, owners = build()
        step = ndl.compile(function, executor=executor) if is_compiled else function
        results = []
        for number, batch in enumerate(batches):
            if between is not None:
                between(number, *owners)
            batch = [
                ndl.Tensor(each, requires_grad=False) if isinstance(each, np.ndarray) else each
                for each in batch
            ]
            is_eager = eager_every and number % eager_every == 0
            result = (function if is_eager else step)(*batch)
            tensors, rebuild = flatten(result)
            results.append(rebuild([ndl.Tensor(tensor.numpy()) for tensor in tensors]))
        runs.append((results, list(map(_state, owners))))
        states.append(np.random.random())
    (wanted, owned), (got, changed) = runs
    _close(got, wanted, "results")
    _close(changed, owned, "state")
    assert states[0] == states[1], "random draws"
    return step


@pytest.fixture
def close() -> Callable[..., None]:
    """close(actual, expected): equal structures, numbers up to rounding."""
    return _close


@pytest.fixture
def agree(executor: str) -> Callable[..., Any]:
    """agree(build, batches): compare a compiled step with an eager one; see `_agree`."""
    return lambda build, batches, **options: _agree(build, batches, executor, **options)


@pytest.fixture
def rows() -> dict[str, list[table.Case]]:
    """The rows of the table of ops by name: a list of choices of shapes."""
    rows: dict[str, list[table.Case]] = {}
    for case in table.CASES:
        rows.setdefault(case.name, []).append(case)
    return rows
