"""Rows of the elementwise ops: see __init__.py."""

import math

import numpy as np

from needle import ops
from needle.ops.arithmetic import divide_or_zero, masked
from needle.ops.functions import root
from needle.ops.losses import SmoothAbs


def _float_of(a):
    return np.result_type(a.dtype, 0.0)


_error_function = np.vectorize(math.erf, otypes=[float])


def _erf(a):
    return np.asarray(_error_function(a), _float_of(a))


def _smooth_abs(a):
    return np.where(np.abs(a) < 0.4, a * a / 0.8, np.abs(a) - 0.2)


ONE, TWO, THREE = "one operand", "two operands", "three operands"

ROWS = [
    # arithmetic with a number
    ("add_scalar", lambda a: ops.add_scalar(a, 2.5), lambda a: a + 2.5, ONE),
    ("divide_scalar", lambda a: ops.divide_scalar(a, -4), lambda a: a / -4, ONE),
    ("mul_scalar", lambda a: ops.mul_scalar(a, -3), lambda a: a * -3, ONE),
    ("power_scalar 0", lambda a: ops.power_scalar(a, 0), lambda a: np.power(a, 0), ONE),
    ("power_scalar 0.5", lambda a: ops.power_scalar(a, 0.5), np.sqrt, ONE, "positive"),
    ("power_scalar 1", lambda a: ops.power_scalar(a, 1), lambda a: a, ONE),
    ("power_scalar 2", lambda a: ops.power_scalar(a, 2), lambda a: a * a, ONE),
    ("power_scalar 3", lambda a: ops.power_scalar(a, 3), lambda a: a * a * a, ONE),
    ("power_scalar -1.5", lambda a: ops.power_scalar(a, -1.5), lambda a: a**-1.5, ONE, "positive"),
    # functions
    ("abs", ops.abs, np.abs, ONE),
    ("arccos", ops.arccos, np.arccos, ONE, "unit"),
    ("arcsin", ops.arcsin, np.arcsin, ONE, "unit"),
    ("arctan", ops.arctan, np.arctan, ONE),
    ("astype", lambda a: ops.astype(a, _float_of(a)), lambda a: a.astype(_float_of(a)), ONE),
    ("ceil", ops.ceil, np.ceil, ONE, "constant"),
    ("clip", lambda a: ops.clip(a, -0.5, 0.5), lambda a: np.clip(a, -0.5, 0.5), ONE),
    ("clip below", lambda a: ops.clip(a, low=0.1), lambda a: np.maximum(a, 0.1), ONE),
    ("clamp", lambda a: ops.clamp(a, max=0.2), lambda a: np.minimum(a, 0.2), ONE),
    ("cos", ops.cos, np.cos, ONE),
    ("cosh", ops.cosh, np.cosh, ONE),
    ("erf", ops.erf, _erf, ONE),
    ("exp", ops.exp, np.exp, ONE),
    ("exp2", ops.exp2, np.exp2, ONE),
    ("expm1", ops.expm1, np.expm1, ONE),
    ("floor", ops.floor, np.floor, ONE, "constant"),
    ("isfinite", ops.isfinite, np.isfinite, ONE, "constant"),
    ("isinf", ops.isinf, np.isinf, ONE, "constant"),
    ("isnan", ops.isnan, np.isnan, ONE, "constant"),
    ("log", ops.log, np.log, ONE, "positive"),
    ("log10", ops.log10, np.log10, ONE, "positive"),
    ("log1p", ops.log1p, np.log1p, ONE, "positive"),
    ("log2", ops.log2, np.log2, ONE, "positive"),
    ("negate", ops.negate, np.negative, ONE),
    ("relu", ops.relu, lambda a: np.where(a > 0, a, 0), ONE),
    ("round", ops.round, np.round, ONE, "constant"),
    ("round to 1 place", lambda a: ops.round(a, 1), lambda a: np.round(a, 1), ONE, "constant"),
    (
        "round to tens",
        lambda a: ops.round(a, -1),
        lambda a: np.round(a, -1),
        ONE,
        "constant",
        "floats",
    ),
    ("sigmoid", ops.sigmoid, lambda a: 1 / (1 + np.exp(-a)), ONE),
    ("sign", ops.sign, np.sign, ONE, "constant"),
    ("sin", ops.sin, np.sin, ONE),
    ("sinh", ops.sinh, np.sinh, ONE),
    ("sqrt", ops.sqrt, np.sqrt, ONE, "positive"),
    ("root", root, np.sqrt, ONE, "positive"),
    ("smooth_abs", SmoothAbs(0.4), _smooth_abs, ONE, "floats"),
    ("tan", ops.tan, np.tan, ONE, "unit"),
    ("tanh", ops.tanh, np.tanh, ONE),
    # two operands, which broadcast
    ("arctan2", ops.arctan2, np.arctan2, TWO, "positive"),
    ("add", ops.add, np.add, TWO),
    ("divide", ops.divide, np.true_divide, TWO, "positive"),
    ("logaddexp", ops.logaddexp, np.logaddexp, TWO),
    ("maximum", ops.maximum, np.maximum, TWO),
    ("minimum", ops.minimum, np.minimum, TWO),
    ("multiply", ops.multiply, np.multiply, TWO),
    ("power", ops.power, np.power, TWO, "positive"),
    (
        "where",
        lambda c, a, b: ops.where(c > 0.5, a, b),
        lambda c, a, b: np.where(c > 0.5, a, b),
        THREE,
    ),
    (
        "masked",
        lambda a, b: masked(a, b > 0),
        lambda a, b: np.where(b > 0, a, np.zeros((), a.dtype)),
        TWO,
    ),
    ("divide_or_zero", divide_or_zero, np.true_divide, TWO, "positive"),
    ("floor_divide", ops.floor_divide, np.floor_divide, TWO, "constant", "positive"),
    ("remainder", ops.remainder, np.remainder, TWO, "positive"),
    # logic
    *[
        (name, getattr(ops, name), getattr(np, name), TWO, "constant")
        for name in ("logical_and", "logical_or", "logical_xor")
    ],
    ("logical_not", ops.logical_not, np.logical_not, ONE, "constant"),
    ("bitwise_not", lambda a: ops.bitwise_not(a > 0), lambda a: np.invert(a > 0), ONE, "constant"),
    *[
        (
            name,
            lambda a, b, name=name: getattr(ops, name)(a > 0, b > 0),
            lambda a, b, name=name: getattr(np, name)(a > 0, b > 0),
            TWO,
            "constant",
        )
        for name in ("bitwise_and", "bitwise_or", "bitwise_xor")
    ],
    # comparisons
    (
        "isclose",
        lambda a, b: ops.isclose(a, b, 0.5, equal_nan=True),
        lambda a, b: np.isclose(a, b, 0.5, equal_nan=True),
        TWO,
        "constant",
    ),
    ("equal", ops.equal, np.equal, TWO, "constant"),
    ("greater", ops.greater, np.greater, TWO, "constant"),
    ("greater_equal", ops.greater_equal, np.greater_equal, TWO, "constant"),
    ("less", ops.less, np.less, TWO, "constant"),
    ("less_equal", ops.less_equal, np.less_equal, TWO, "constant"),
    ("not_equal", ops.not_equal, np.not_equal, TWO, "constant"),
]
