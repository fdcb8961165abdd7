"""The table of ops: each row is run by every test that asks for a `case`.

A new op gets a row here, and with it tests of its value, both derivatives, both modes, dtypes,
memory layouts and other libraries' arrays.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest

import needle as ndl
from needle import Tensor, ops

Shapes = Sequence[tuple[int, ...]]

NUMBERS, POSITIVE, UNIT = "any numbers", "positive", "between -1 and 1"

_DRAWS: dict[str, Callable[..., np.ndarray]] = {
    NUMBERS: lambda rng, shape: rng.normal(size=shape),
    POSITIVE: lambda rng, shape: rng.uniform(0.5, 2, size=shape),
    UNIT: lambda rng, shape: rng.uniform(-0.8, 0.8, size=shape),
}


@dataclass(frozen=True)
class Case:
    """A function of Tensors, the same in NumPy, and the shapes of its inputs."""

    name: str  # begins with the function's name in needle.ops
    function: Callable[..., Any]
    reference: Callable[..., Any]
    shapes: Shapes
    domain: str = NUMBERS
    differentiable: bool = True

    def arrays(self, dtype: Any = np.float64) -> list[np.ndarray]:
        """The sample inputs."""
        rng = np.random.default_rng(0)
        if np.dtype(dtype).kind == "i":
            return [rng.integers(1, 4, size=shape, dtype=dtype) for shape in self.shapes]
        draw = _DRAWS[self.domain]
        return [np.asarray(draw(rng, shape), dtype) for shape in self.shapes]

    def outputs(self, inputs: Sequence[Tensor]) -> list[Tensor]:
        """The function's value as a list of Tensors, one unless it is a TensorTuple."""
        value = self.function(*inputs)
        return list(value) if isinstance(value, ndl.TensorTuple) else [value]

    def expected(self, inputs: Sequence[np.ndarray]) -> list[np.ndarray]:
        """What the outputs should be."""
        value = self.reference(*inputs)
        return [np.asarray(entry) for entry in (value if isinstance(value, tuple) else (value,))]

    def objective(self, inputs: Sequence[Tensor]) -> Tensor:
        """A number that depends on every output, nonlinearly: Σ w·y + y²/2."""
        terms = [(y * _weights(y.shape) + y * y / 2).sum() for y in self.outputs(inputs)]
        return sum(terms[1:], start=terms[0])

    def expected_objective(self, *inputs: np.ndarray) -> float:
        return sum(float((y * _weights(y.shape) + y * y / 2).sum()) for y in self.expected(inputs))

    def gradients(self, arrays: Sequence[np.ndarray]) -> list[np.ndarray]:
        """The gradient of the objective, by backward()."""
        inputs = [Tensor(array) for array in arrays]
        self.objective(inputs).backward()
        return [gradient_of(x) for x in inputs]


def gradient_of(x: Tensor) -> np.ndarray:
    """x.grad as an array; zeros where no gradient arrived."""
    return np.zeros(x.shape) if x.grad is None else x.grad.numpy()


@pytest.fixture(name="gradient_of")
def _gradient_of() -> Callable[[Tensor], np.ndarray]:
    return gradient_of


def _weights(shape: tuple[int, ...]) -> np.ndarray:
    return np.linspace(0.5, 1.5, math.prod(shape)).reshape(shape)


def _rows(
    name: str, function: Any, reference: Any, *all_shapes: Shapes, **options: Any
) -> list[Case]:
    return [Case(name, function, reference, shapes, **options) for shapes in all_shapes]


ONE: list[Shapes] = [[(2, 3)], [()], [(0, 3)], [(1,)], [(2, 1, 2)]]
TWO: list[Shapes] = [
    [(2, 3), (2, 3)],
    [(3, 1), (1, 4)],
    [(1,), (2, 3)],
    [(), (2, 3)],
    [(2, 3), ()],
    [(0, 3), (1, 3)],
    [(2, 1, 2), (3, 1)],
    [(1, 1), (1,)],
    [(), ()],
]
THREE: list[Shapes] = [[(2, 3)] * 3, [(3, 1), (1, 4), ()], [(), (2, 1), (1, 3)], [(0, 2)] * 3]
PRODUCTS: list[Shapes] = [
    [(2, 3), (3, 4)],
    [(3,), (3,)],
    [(3,), (3, 2)],
    [(2, 3), (3,)],
    [(2, 2, 3), (3,)],
    [(3,), (2, 3, 2)],
    [(2, 2, 3), (3, 2)],
    [(2, 3), (2, 3, 2)],
    [(2, 1, 2, 3), (3, 3, 2)],
    [(1, 2, 3), (2, 3, 2)],
    [(0, 3), (3, 2)],
    [(2, 0), (0, 3)],
    [(2, 2, 0), (0, 3)],
]
REDUCED: list[tuple[Any, list[Shapes]]] = [
    (None, [[(2, 3)], [(3,)], [()]]),
    (0, [[(3, 3)], [(1, 2)]]),
    (-1, [[(2, 3)], [(0, 3)]]),
    ((0, 2), [[(2, 3, 2)]]),
    ((), [[(2,)]]),
]


def _log_sum_exp(a: np.ndarray, axis: Any, keepdims: bool) -> np.ndarray:
    return np.log(np.sum(np.exp(a), axis=axis, keepdims=keepdims))


def _cross_entropy(z: np.ndarray, mean: bool) -> np.ndarray:
    """With each row's first maximum as its class."""
    losses = _log_sum_exp(z, 1, False) - np.max(z, 1)
    return np.mean(losses) if mean else losses


def _moments(x: np.ndarray, axes: Any) -> tuple[np.ndarray, np.ndarray]:
    return np.mean(x, axis=axes, keepdims=True), np.var(x, axis=axes, keepdims=True)


def _standardized(x: np.ndarray, axes: Any) -> np.ndarray:
    mean, variance = _moments(x, axes)
    return (x - mean) / np.sqrt(variance + 0.1)


def _batch_moments(x: Tensor) -> Any:
    running = Tensor.make_const(np.zeros_like(x.cached_data, shape=(3,), dtype=float))
    return ops.BatchMoments((0,), running, running, 0.5)(x)


def _put(a: np.ndarray) -> np.ndarray:
    result = np.zeros_like(a, shape=(4, 3))
    for row, target in enumerate([0, 2, 2]):
        result[target] += a[row]
    return result


def _float_of(a: Any) -> np.dtype:
    return np.result_type(a.dtype, 0.0)


_error_function = np.vectorize(math.erf, otypes=[float])


def _erf(a: np.ndarray) -> np.ndarray:
    return np.asarray(_error_function(a), _float_of(a))


_UNARY: list[tuple[str, Any, Any, str]] = [
    ("abs", ops.abs, np.abs, NUMBERS),
    ("add_scalar", lambda a: ops.add_scalar(a, 2.5), lambda a: a + 2.5, NUMBERS),
    ("arcsin", ops.arcsin, np.arcsin, UNIT),
    ("arctan", ops.arctan, np.arctan, NUMBERS),
    ("astype", lambda a: ops.astype(a, _float_of(a)), lambda a: a.astype(_float_of(a)), NUMBERS),
    ("clip", lambda a: ops.clip(a, -0.5, 0.5), lambda a: np.clip(a, -0.5, 0.5), NUMBERS),
    ("clip below", lambda a: ops.clip(a, low=0.1), lambda a: np.maximum(a, 0.1), NUMBERS),
    ("cos", ops.cos, np.cos, NUMBERS),
    ("cosh", ops.cosh, np.cosh, NUMBERS),
    ("divide_scalar", lambda a: ops.divide_scalar(a, -4), lambda a: a / -4, NUMBERS),
    ("elu", ops.elu, lambda a: np.where(a > 0, a, np.exp(a) - 1), NUMBERS),
    ("elu 0.5", lambda a: ops.elu(a, 0.5), lambda a: np.where(a > 0, a, np.expm1(a) / 2), NUMBERS),
    ("erf", ops.erf, _erf, NUMBERS),
    ("exp", ops.exp, np.exp, NUMBERS),
    ("expm1", ops.expm1, np.expm1, NUMBERS),
    (
        "fused_add_scalars",
        lambda a: ops.fused_add_scalars(a, 1, -2.5),
        lambda a: (a + 1, a - 2.5),
        NUMBERS,
    ),
    ("gelu", ops.gelu, lambda a: a * (1 + _erf(a / math.sqrt(2))) / 2, NUMBERS),
    (
        "gelu tanh",
        lambda a: ops.gelu(a, "tanh"),
        lambda a: a / 2 * (1 + np.tanh(math.sqrt(2 / math.pi) * (a + 0.044715 * a**3))),
        NUMBERS,
    ),
    ("hardtanh", lambda a: ops.hardtanh(a, -0.3, 0.7), lambda a: np.clip(a, -0.3, 0.7), NUMBERS),
    ("leaky_relu", ops.leaky_relu, lambda a: np.where(a > 0, a, a * 0.01), NUMBERS),
    ("log", ops.log, np.log, POSITIVE),
    ("log1p", ops.log1p, np.log1p, POSITIVE),
    ("make_tuple", lambda a: ops.make_tuple(a, a * a), lambda a: (a, a * a), NUMBERS),
    ("mul_scalar", lambda a: ops.mul_scalar(a, -3), lambda a: a * -3, NUMBERS),
    ("negate", ops.negate, np.negative, NUMBERS),
    ("power_scalar 0", lambda a: ops.power_scalar(a, 0), lambda a: np.power(a, 0), NUMBERS),
    ("power_scalar 0.5", lambda a: ops.power_scalar(a, 0.5), np.sqrt, POSITIVE),
    ("power_scalar 1", lambda a: ops.power_scalar(a, 1), lambda a: a, NUMBERS),
    ("power_scalar 2", lambda a: ops.power_scalar(a, 2), lambda a: a * a, NUMBERS),
    ("power_scalar 3", lambda a: ops.power_scalar(a, 3), lambda a: a * a * a, NUMBERS),
    ("power_scalar -1.5", lambda a: ops.power_scalar(a, -1.5), lambda a: a**-1.5, POSITIVE),
    ("relu", ops.relu, lambda a: np.where(a > 0, a, 0), NUMBERS),
    ("sigmoid", ops.sigmoid, lambda a: 1 / (1 + np.exp(-a)), NUMBERS),
    ("silu", ops.silu, lambda a: a / (1 + np.exp(-a)), NUMBERS),
    ("sin", ops.sin, np.sin, NUMBERS),
    ("sinh", ops.sinh, np.sinh, NUMBERS),
    ("softplus", ops.softplus, lambda a: np.log(1 + np.exp(a)), NUMBERS),
    (
        "softplus beta",
        lambda a: ops.softplus(a, beta=2, threshold=1),
        lambda a: np.where(a * 2 > 1, a, np.log(1 + np.exp(a * 2)) / 2),
        NUMBERS,
    ),
    ("sqrt", ops.sqrt, np.sqrt, POSITIVE),
    ("tan", ops.tan, np.tan, UNIT),
    ("tanh", ops.tanh, np.tanh, NUMBERS),
]
_BINARY: list[tuple[str, Any, Any, str]] = [
    ("add", ops.add, np.add, NUMBERS),
    ("divide", ops.divide, np.true_divide, POSITIVE),
    ("logaddexp", ops.logaddexp, np.logaddexp, NUMBERS),
    ("maximum", ops.maximum, np.maximum, NUMBERS),
    ("minimum", ops.minimum, np.minimum, NUMBERS),
    ("multiply", ops.multiply, np.multiply, NUMBERS),
    ("power", ops.power, np.power, POSITIVE),
]
_COMPARISONS: list[tuple[str, Any, Any]] = [
    ("equal", ops.equal, np.equal),
    ("greater", ops.greater, np.greater),
    ("greater_equal", ops.greater_equal, np.greater_equal),
    ("less", ops.less, np.less),
    ("less_equal", ops.less_equal, np.less_equal),
    ("not_equal", ops.not_equal, np.not_equal),
]
_REDUCTIONS: list[tuple[str, Any, Any]] = [
    ("logsumexp", ops.logsumexp, _log_sum_exp),
    ("max", ops.max, np.max),
    ("mean", ops.mean, np.mean),
    ("min", ops.min, np.min),
    ("summation", ops.summation, np.sum),
    ("var", ops.var, np.var),
]
# axes, and the shapes of x, its scale and its shift
_NORMALIZED_AXES: list[tuple[Any, list[Shapes]]] = [
    (0, [[(4, 3), (3,), (3,)], [(4, 3), (1, 3), (1, 3)], [(1, 2), (2,), (2,)]]),
    (-1, [[(4, 3), (3,), (3,)], [(3,), (3,), (3,)], [(0, 2), (2,), (2,)], [(2, 2, 3), (3,), (3,)]]),
    ((0, 2), [[(2, 3, 2), (3, 1), (3, 1)]]),
    ((1, 2), [[(2, 2, 2), (2, 2), (2, 2)], [(2, 2, 2), (), ()]]),
]
_INDICES: list[tuple[str, Any]] = [
    ("an integer", -1),
    ("slices", (slice(None, None, -1), slice(1, None))),
    ("None and Ellipsis", (None, ..., 0)),
    ("repeated rows", [0, 2, 0, 0]),
    ("a mask", np.array([True, False, True])),
    ("pairs", ([0, 0, 1], [1, 1, 2])),
    ("a row and columns", (0, [2, 2])),
    ("nothing", slice(0, 0)),
]
# over the last axis unless told otherwise: name, function, reference of axis
_NORMALIZED: list[tuple[str, Any, Any]] = [
    ("softmax", ops.softmax, lambda a, axis: np.exp(a - _log_sum_exp(a, axis, True))),
    ("logsoftmax", ops.logsoftmax, lambda a, axis: a - _log_sum_exp(a, axis, True)),
]

CASES: list[Case] = [
    *[
        case
        for name, function, reference, domain in _UNARY
        for case in _rows(name, function, reference, *ONE, domain=domain)
    ],
    *[
        case
        for name, function, reference, domain in _BINARY
        for case in _rows(name, function, reference, *TWO, domain=domain)
    ],
    *[
        case
        for name, function, reference in _COMPARISONS
        for case in _rows(name, function, reference, *TWO, differentiable=False)
    ],
    *_rows("sign", ops.sign, np.sign, *ONE, differentiable=False),
    *_rows(
        "where",
        lambda c, a, b: ops.where(c > 0.5, a, b),
        lambda c, a, b: np.where(c > 0.5, a, b),
        *THREE,
    ),
    *[
        case
        for name, function, reference in _REDUCTIONS
        for axes, shapes in REDUCED
        for keepdims in (False, True)
        for case in _rows(
            f"{name} over {axes}{' keepdims' * keepdims}",
            lambda a, f=function, axes=axes, keepdims=keepdims: f(a, axes, keepdims=keepdims),
            lambda a, f=reference, axes=axes, keepdims=keepdims: f(a, axis=axes, keepdims=keepdims),
            *shapes,
        )
    ],
    *_rows(
        "var ddof 1",
        lambda a: ops.var(a, 0, ddof=1),
        lambda a: np.var(a, axis=0, ddof=1),
        [(3, 2)],
    ),
    *_rows("summation of none", lambda a: ops.summation(a, 1), lambda a: np.sum(a, 1), [(2, 0)]),
    *[
        case
        for name, function, reference in _NORMALIZED
        for axes, shapes in REDUCED
        for case in _rows(
            f"{name} over {axes}",
            lambda a, f=function, axes=axes: f(a, axes),
            lambda a, f=reference, axes=axes: f(a, axes),
            *shapes,
        )
    ],
    *[
        case
        for axes, shapes in _NORMALIZED_AXES
        for case in [
            *_rows(
                f"normalize over {axes}",
                lambda x, w, b, axes=axes: ops.normalize(x, w, b, axes, 0.1),
                lambda x, w, b, axes=axes: _standardized(x, axes) * w + b,
                *shapes,
            ),
            *_rows(
                f"moments over {axes}",
                lambda x, axes=axes: ops.moments(x, axes),
                lambda x, axes=axes: _moments(x, axes),
                *[[x] for x, *_ in shapes],
                differentiable=False,
            ),
        ]
    ],
    *_rows(
        "moments of batches",
        _batch_moments,
        lambda x: _moments(x, 0),
        [(4, 3)],
        differentiable=False,
    ),
    *[
        case
        for axis, shapes in ((None, [[(2, 3)], [()]]), (0, [[(3, 3)], [(3, 0)]]), (-1, [[(2, 3)]]))
        for case in _rows(
            f"argmax over {axis}",
            lambda a, axis=axis: ops.argmax(a, axis),
            lambda a, axis=axis: np.argmax(a, axis),
            *shapes,
            differentiable=False,
        )
    ],
    *[
        case
        for mean in (False, True)
        for case in _rows(
            f"softmax_cross_entropy{' mean' * mean}",
            lambda z, mean=mean: ops.softmax_cross_entropy(z, ops.argmax(z, 1), mean),
            lambda z, mean=mean: _cross_entropy(z, mean),
            [(3, 4)],
            [(1, 1)],
        )
    ],
    *_rows("matmul", ops.matmul, np.matmul, *PRODUCTS),
    *[
        case
        for target, shapes in (
            ((3, 2), [[(2, 3)], [(6,)]]),
            ((), [[(1, 1)], [()]]),
            ((-1,), [[(2, 3)], [()], [(0, 2)]]),
            ((0, 5), [[(2, 0)]]),
        )
        for case in _rows(
            f"reshape to {target}",
            lambda a, target=target: ops.reshape(a, target),
            lambda a, target=target: np.reshape(a, target),
            *shapes,
        )
    ],
    *[
        case
        for target, shapes in (
            ((2, 3), [[(2, 3)], [(3,)], [(1, 3)], [(2, 1)], [(1,)], [()]]),
            ((1, 1, 3), [[(1, 3)], [(1, 1)], [(3,)]]),
            ((0, 3), [[(1, 3)], [(0, 1)]]),
            ((), [[()]]),
        )
        for case in _rows(
            f"broadcast_to {target}",
            lambda a, target=target: ops.broadcast_to(a, target),
            lambda a, target=target: np.broadcast_to(a, target),
            *shapes,
        )
    ],
    *_rows("transpose", ops.transpose, lambda a: a.swapaxes(-1, -2), [(2, 3)], [(2, 3, 4)]),
    *_rows(
        "transpose (0, -1)",
        lambda a: ops.transpose(a, (0, -1)),
        lambda a: a.swapaxes(0, -1),
        [(2, 3, 4)],
        [(0, 2)],
    ),
    *_rows("permute", lambda a: ops.permute(a, (1, -1, 0)), lambda a: a.transpose(1, 2, 0), [(2, 3, 2)]),
    *_rows("permute no axes", lambda a: ops.permute(a, ()), lambda a: a, [()]),
    *_rows("flip", ops.flip, np.flip, *ONE),
    *_rows("flip axis", lambda a: ops.flip(a, -1), lambda a: np.flip(a, -1), [(2, 3)], [(2, 0)]),
    *_rows(
        "expand_dims",
        lambda a: ops.expand_dims(a, (0, -1)),
        lambda a: np.expand_dims(a, (0, -1)),
        *ONE,
    ),
    *_rows("squeeze", ops.squeeze, np.squeeze, [(1, 2, 1)], [(1,)], [()], [(0, 1)]),
    *_rows(
        "squeeze axis", lambda a: ops.squeeze(a, -1), lambda a: np.squeeze(a, -1), [(1, 2, 1)]
    ),
    *_rows(
        "concatenate",
        lambda a, b, c: ops.concatenate([a, b, c]),
        lambda a, b, c: np.concatenate([a, b, c]),
        [(2, 3), (1, 3), (0, 3)],
        [(1,), (2,), (3,)],
    ),
    *_rows(
        "concatenate along -1",
        lambda a, b: ops.concatenate([a, b], -1),
        lambda a, b: np.concatenate([a, b], -1),
        [(2, 1), (2, 2)],
    ),
    *[
        case
        for axis in (0, -1)
        for case in _rows(
            f"stack along {axis}",
            lambda a, b, axis=axis: ops.stack([a, b], axis),
            lambda a, b, axis=axis: np.stack([a, b], axis),
            [(2, 3), (2, 3)],
            [(), ()],
            [(0, 2), (0, 2)],
        )
    ],
    *[
        case
        for axis, shapes in ((0, [[(2, 3)], [(2,)], [(2, 0)]]), (-1, [[(2, 3)], [(0, 2)]]))
        for case in _rows(
            f"split along {axis}",
            lambda a, axis=axis: ops.split(a, axis),
            lambda a, axis=axis: tuple(np.moveaxis(a, axis, 0)),
            *shapes,
        )
    ],
    *_rows(
        "tuple_get_item",
        lambda a: ops.tuple_get_item(ops.split(a), -1) * ops.tuple_get_item(ops.split(a), 0),
        lambda a: a[-1] * a[0],
        [(3, 2)],
        [(1,)],
    ),
    *[
        case
        for kind, index in _INDICES
        for case in _rows(
            f"getitem by {kind}",
            lambda a, index=index: ops.getitem(a, index),
            lambda a, index=index: a[index],
            [(3, 3)],
        )
    ],
    *_rows("getitem of no axes", lambda a: ops.getitem(a, ...), lambda a: a, [()]),
    *_rows("put", lambda a: ops.PutItem((np.array([0, 2, 2]),), (4, 3))(a), _put, [(3, 3)]),
    *_rows(
        "put slice",
        lambda a: ops.PutItem((slice(1, 3),), (4,))(a),
        lambda a: np.pad(a, 1),
        [(2,)],
    ),
]  # fmt: skip


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """A test that takes `case` runs on all of the table, and the others on the part they name."""
    parts = {
        "case": CASES,
        "smooth_case": [case for case in CASES if case.differentiable],
        "constant_case": [case for case in CASES if not case.differentiable],
        "integer_case": [case for case in CASES if case.domain != UNIT],
    }
    for name, cases in parts.items():
        if name in metafunc.fixturenames:
            ids = [f"{case.name} {' '.join(map(str, case.shapes))}" for case in cases]
            metafunc.parametrize(name, cases, ids=ids)


@pytest.fixture
def all_cases() -> list[Case]:
    """The whole table."""
    return CASES
