"""The comparison of a compiled function with the same function run eagerly."""

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

import needle as ndl
from needle.differentiation.tree import flatten
from tests.ops import table

__all__ = ["TOLERANCES", "agree", "agree_on_rows", "close", "value_and_gradients"]

TOLERANCES = {"float32": 1e-5, "float64": 1e-11}


def close(
    actual: Any, expected: Any, what: str = "", tolerances: Mapping[str, float] = TOLERANCES
) -> None:
    """Two structures of tensors, arrays and Python values are equal up to rounding.

    Relative to the largest number of an array: sums in another order round differently.
    """
    if isinstance(expected, ndl.Tensor):
        assert isinstance(actual, ndl.Tensor), f"{what}: {actual!r} is no tensor"
        return close(actual.numpy(), expected.numpy(), what, tolerances)
    if isinstance(expected, dict):
        assert list(actual) == list(expected), what
        for key in expected:
            close(actual[key], expected[key], f"{what}[{key!r}]", tolerances)
    elif isinstance(expected, ndl.TensorTuple | tuple | list):
        assert type(actual) is type(expected), what
        for i, (one, other) in enumerate(zip(actual, expected, strict=True)):
            close(one, other, f"{what}[{i}]", tolerances)
    elif isinstance(expected, np.ndarray):
        assert (actual.shape, actual.dtype) == (expected.shape, expected.dtype), what
        tolerance = tolerances.get(expected.dtype.name, 0)
        scale = 0.01  # what is zero but for rounding
        if tolerance:
            scale = float(np.abs(expected[np.isfinite(expected)]).max(initial=scale))
        np.testing.assert_allclose(actual, expected, tolerance, tolerance * scale, err_msg=what)
    elif dataclasses.is_dataclass(expected):
        close(vars(actual), vars(expected), what, tolerances)
    else:
        assert actual == expected or (actual != actual and expected != expected), what
    return None


def state(owner: Any) -> Any:
    """What a step changes in a module, an optimizer or a tensor."""
    if isinstance(owner, ndl.Tensor):
        return owner
    if isinstance(owner, ndl.nn.Module):
        return {name: value.numpy() for name, value in owner.state_dict().items()}
    return owner.state_dict()


def agree(
    build: Callable[[], tuple[Callable[..., Any], Sequence[Any]]],
    batches: Sequence[Sequence[Any]],
    executor: str,
    between: Callable[..., None] | None = None,
    eager_every: int = 0,
    tolerances: Mapping[str, float] = TOLERANCES,
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
    runs, draws = [], []
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
        runs.append((results, list(map(state, owners))))
        draws.append(np.random.random())
    (wanted, owned), (got, changed) = runs
    close(got, wanted, "results", tolerances)
    close(changed, owned, "state", tolerances)
    assert draws[0] == draws[1], "random draws"
    return step


def value_and_gradients(case: table.Case) -> Callable[..., Any]:
    """A function of the inputs: the outputs, and the gradients of a nonlinear sum of them."""

    def function(*inputs: ndl.Tensor) -> Any:
        outputs = case.outputs(inputs)
        if not case.differentiable:
            return outputs, []
        terms = []
        for y in outputs:
            weights = np.linspace(0.5, 1.5, y.size).reshape(y.shape).astype(y.dtype)
            terms.append((y * weights + y * y / 2).sum())
        sum(terms[1:], start=terms[0]).backward()
        return outputs, [x.grad for x in inputs]

    return function


def agree_on_rows(cases: Sequence[table.Case], dtype: Any, executor: str) -> Any:
    """Compare rows of the table of ops, compiled as one function, with eager ones.

    Returns the compiled function.
    """
    functions = [value_and_gradients(case) for case in cases]

    def function(*inputs: ndl.Tensor) -> list[Any]:
        given = iter(inputs)
        return [
            each(*[next(given) for _ in case.shapes])
            for each, case in zip(functions, cases, strict=True)
        ]

    compiled = ndl.compile(function, executor=executor)
    arrays = [array for case in cases for array in case.arrays(dtype)]
    results = []
    for each in (function, compiled, compiled):
        np.random.seed(0)
        with np.errstate(all="ignore"):
            results.append(each(*map(ndl.Tensor, arrays)))
    expected, *others = results
    for result in others:
        for case, one, other in zip(cases, result, expected, strict=True):
            close(one, other, f"{case.name} {case.shapes}")
    assert compiled.recordings == 1
    return compiled
