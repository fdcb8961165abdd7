"""The table of ops, with ops such as users write; what is counted of the checks of every op."""

from collections import Counter
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import table

import needle as ndl
from needle import Tensor
from needle.autograd import modes
from tests.rows import parameters

# --- ops with `compute` and `gradient` alone, as users write them


class Cube(ndl.TensorOp):
    """a³."""

    def compute(self, a: Any) -> Any:
        return a * a * a

    def gradient(self, out_grad: Any, node: Any) -> Any:
        return out_grad * node.inputs[0] ** 2 * 3


class Bilinear(ndl.TensorOp):
    """aᵀ·W·b for vectors a and b."""

    def compute(self, a: Any, w: Any, b: Any) -> Any:
        return a @ w @ b

    def gradient(self, out_grad: Any, node: Any) -> Any:
        a, w, b = node.inputs
        rows, columns = w.shape
        outer = a.reshape((rows, 1)) @ b.reshape((1, columns))
        return out_grad * (w @ b), out_grad * outer, out_grad * (a @ w)


class Polar(ndl.TensorTupleOp):
    """(r·cos φ, r·sin φ)."""

    def compute(self, r: Any, phi: Any) -> Any:
        return r * np.cos(phi), r * np.sin(phi)

    def gradient(self, out_grad: Any, node: Any) -> Any:
        r, phi = node.inputs
        x, y = ndl.cos(phi), ndl.sin(phi)
        return out_grad[0] * x + out_grad[1] * y, (out_grad[1] * x - out_grad[0] * y) * r


class Length(ndl.TensorOp):
    """The Euclidean length of the entries of a tuple, element by element."""

    def compute(self, arrays: Any) -> Any:
        return np.sqrt(sum(array * array for array in arrays))

    def gradient(self, out_grad: Any, node: Any) -> Any:
        return ndl.make_tuple(*[out_grad * entry / node for entry in node.inputs[0]])


_USER_ROWS = [
    ("Cube", Cube(), lambda a: a**3, [[(2, 3)], [()], [(0,)]]),
    ("Bilinear", Bilinear(), lambda a, w, b: a @ w @ b, [[(2,), (2, 3), (3,)]]),
    (
        "Polar",
        Polar(),
        lambda r, phi: (r * np.cos(phi), r * np.sin(phi)),
        [[(3,), (3,)], [(), ()]],
    ),
    (
        "Length",
        lambda a, b: Length()(ndl.make_tuple(a, b)),
        lambda a, b: np.hypot(a, b),
        [[(2, 2), (2, 2)]],
    ),
]
CASES = [case for case in table.CASES if case.differentiable] + [
    table.Case(name, function, reference, shapes, frozenset({"floats"}))
    for name, function, reference, runs in _USER_ROWS
    for shapes in runs
]


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """A test that takes `case` runs on every differentiable row of the table."""
    if "case" in metafunc.fixturenames:
        metafunc.parametrize("case", **parameters(CASES))


# --- what was checked


@pytest.fixture
def checked(record_property: Callable[..., None], mode: str) -> Callable[..., None]:
    """checked(case, direction, order): notes for the summary that a case passed gradcheck so."""

    def note(case: table.Case, direction: str, order: str) -> None:
        check = {"op": case.name.split()[0], "case": (case.name, case.shapes)}
        record_property("gradcheck", {**check, "mode": mode, "way": f"{direction}, {order} order"})

    return note


def pytest_terminal_summary(terminalreporter: Any) -> None:
    """Say how many combinations of op, mode, direction and order passed gradcheck."""
    checks = [
        check
        for report in terminalreporter.stats.get("passed", [])
        for name, check in report.user_properties
        if name == "gradcheck"
    ]
    if not checks:
        return
    terminalreporter.section("gradcheck of every op")
    for way in sorted({check["way"] for check in checks}):
        modes = Counter(check["mode"] for check in checks if check["way"] == way)
        terminalreporter.write_line(f"{way}: {modes['eager']} eager, {modes['lazy']} lazy")
    ops, cases = (len({str(check[kind]) for check in checks}) for kind in ("op", "case"))
    terminalreporter.write_line(
        f"{ops} ops in {cases} cases × {{eager, lazy}} × {{forward, reverse}} × "
        f"{{first, second order}}: {len(checks)} combinations passed"
    )


# --- further fixtures


@pytest.fixture
def constant() -> Callable[..., Tensor]:
    """constant(values): a float64 tensor that requires no gradient."""
    return lambda values: Tensor(values, dtype="float64", requires_grad=False)


@pytest.fixture
def close() -> Callable[..., None]:
    """close(actual, expected, tolerance=1e-12): for Tensors, arrays and numbers."""

    def compare(actual: Any, expected: Any, tolerance: float = 1e-12) -> None:
        np.testing.assert_allclose(np.asarray(actual), np.asarray(expected), tolerance, tolerance)

    return compare


@pytest.fixture
def computed(monkeypatch: pytest.MonkeyPatch) -> Counter[str]:
    """How often ops have computed since the test began, by their names."""
    counts: Counter[str] = Counter()
    run = ndl.Op._run

    def counting(op: ndl.Op, arrays: Any) -> Any:
        counts[type(op).__name__] += 1
        return run(op, arrays)

    monkeypatch.setattr(ndl.Op, "_run", counting)
    return counts


def _ops_run(function, *args):
    counts = Counter()

    def count(value, op, inputs):
        counts[type(op).__name__] += 1

    with modes.override(modes.observers, (count,)):
        function(*args)
    return counts


@pytest.fixture
def ops_run():
    """ops_run(function, *args): how often each op ran, outside of vmap."""
    return _ops_run
