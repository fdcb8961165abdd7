"""Rows of the activation functions: see __init__.py."""

import math

import numpy as np

from needle import ops

_error_function = np.vectorize(math.erf, otypes=[float])


def _gelu(a):
    share = (1 + _error_function(a / math.sqrt(2))) / 2
    return np.asarray(a * share, np.result_type(a.dtype, 0.0))


def _gelu_tanh(a):
    return a / 2 * (1 + np.tanh(math.sqrt(2 / math.pi) * (a + 0.044715 * a**3)))


ONE = "one operand"

ROWS = [
    ("elu", lambda a: ops.elu(a, 0.7), lambda a: np.where(a > 0, a, 0.7 * np.expm1(a)), ONE),
    ("gelu", ops.gelu, _gelu, ONE),
    ("gelu by tanh", lambda a: ops.gelu(a, "tanh"), _gelu_tanh, ONE),
    ("hardtanh", lambda a: ops.hardtanh(a, -0.5, 1), lambda a: np.clip(a, -0.5, 1), ONE),
    ("leaky_relu", lambda a: ops.leaky_relu(a, 0.1), lambda a: np.where(a > 0, a, 0.1 * a), ONE),
    ("silu", ops.silu, lambda a: a / (1 + np.exp(-a)), ONE),
    ("softplus", lambda a: ops.softplus(a, 2), lambda a: np.log1p(np.exp(2 * a)) / 2, ONE),
    (
        "softplus beyond its threshold",
        lambda a: ops.softplus(a, threshold=0.5),
        lambda a: np.where(a > 0.5, a, np.log1p(np.exp(a))),
        ONE,
    ),
]
