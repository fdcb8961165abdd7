"""Rows of reductions, of what normalises along axes, and of losses: see __init__.py."""

import numpy as np

from needle import Tensor, ops


def _log_sum_exp(a, axis, keepdims):
    return np.log(np.sum(np.exp(a), axis=axis, keepdims=keepdims))


def _cross_entropy(z):
    """With each row's first maximum as its class."""
    return _log_sum_exp(z, 1, False) - np.max(z, 1)


def _normalize(x, weight, bias, axes):
    variance = np.var(x, axis=axes, keepdims=True)
    deviation = x - np.mean(x, axis=axes, keepdims=True)
    return deviation / np.sqrt(variance + 1e-3) * weight + bias


def _statistics(x):
    zeros, ones = (x.device.full(x.shape[1:], value, x.dtype) for value in (0, 1))
    return Tensor.make_const(zeros), Tensor.make_const(ones)


def _by_axes(function):
    return lambda a, axes, keepdims: function(a, axes=axes, keepdims=keepdims)


_AXES = [
    (None, [[(2, 3)], [(3,)], [()]]),
    (0, [[(3, 3)], [(1, 2)]]),
    (-1, [[(2, 3)], [(0, 3)]]),
    ((0, 2), [[(2, 3, 2)]]),
    ((), [[(2,)]]),
]
_REDUCTIONS = [
    ("amax", ops.amax, np.amax),
    ("amin", ops.amin, np.amin),
    ("logsumexp", ops.logsumexp, _log_sum_exp),
    ("max", _by_axes(ops.max), np.max),
    ("mean", ops.mean, np.mean),
    ("min", _by_axes(ops.min), np.min),
    ("sum", ops.sum, np.sum),
    ("summation", ops.summation, np.sum),
    ("var", ops.var, np.var),
]
_KEEPING_SHAPE = [
    ("softmax", ops.softmax, lambda a, axis: np.exp(a - _log_sum_exp(a, axis, True))),
    ("log_softmax", ops.log_softmax, lambda a, axis: a - _log_sum_exp(a, axis, True)),
    ("logsoftmax", ops.logsoftmax, lambda a, axis: a - _log_sum_exp(a, axis, True)),
]

ROWS = [
    *[
        (
            f"{name} over {axes}{' keepdims' * keepdims}",
            lambda a, f=function, axes=axes, keepdims=keepdims: f(a, axes, keepdims=keepdims),
            lambda a, f=reference, axes=axes, keepdims=keepdims: f(a, axis=axes, keepdims=keepdims),
            shapes,
        )
        for name, function, reference in _REDUCTIONS
        for axes, shapes in _AXES
        for keepdims in (False, True)
    ],
    (
        "var ddof 1",
        lambda a: ops.var(a, 0, ddof=1),
        lambda a: np.var(a, axis=0, ddof=1),
        [[(3, 2)]],
    ),
    (
        "std",
        lambda a: ops.std(a, 0, ddof=1),
        lambda a: np.std(a, axis=0, ddof=1),
        [[(3, 2)]],
    ),
    ("summation of none", lambda a: ops.summation(a, 1), lambda a: np.sum(a, 1), [[(2, 0)]]),
    *[
        (
            f"{name} over {axes}",
            lambda a, f=function, axes=axes: f(a, axes),
            lambda a, f=reference, axes=axes: f(a, axes),
            shapes,
        )
        for name, function, reference in _KEEPING_SHAPE
        for axes, shapes in _AXES
    ],
    *[
        (
            f"argmax over {axis}",
            lambda a, axis=axis: ops.argmax(a, axis),
            lambda a, axis=axis: np.argmax(a, axis),
            shapes,
            "constant",
        )
        for axis, shapes in ((None, [[(2, 3)], [()]]), (0, [[(3, 3)], [(3, 0)]]), (-1, [[(2, 3)]]))
    ],
    *[
        (
            f"argmin over {axis}",
            lambda a, axis=axis: ops.argmin(a, axis),
            lambda a, axis=axis: np.argmin(a, axis),
            shapes,
            "constant",
        )
        for axis, shapes in ((None, [[(2, 3)], [()]]), (0, [[(3, 3)]]), (-1, [[(2, 3)]]))
    ],
    *[
        (
            f"{name} over {axes}",
            lambda a, f=function, axes=axes: f(a > 0.5, axes),
            lambda a, f=reference, axes=axes: f(a > 0.5, axis=axes),
            shapes,
            "constant",
        )
        for name, function, reference in (("all", ops.all, np.all), ("any", ops.any, np.any))
        for axes, shapes in _AXES
    ],
    # order
    *[
        (
            f"quantile {method}",
            lambda a, method=method: ops.quantile(a, [0.3, 0.5], 1, True, method=method),
            lambda a, method=method: np.quantile(a, [0.3, 0.5], 1, keepdims=True, method=method),
            [[(2, 4)], [(2, 1)]],
        )
        for method in ("linear", "lower", "higher", "midpoint", "nearest")
    ],
    ("quantile of all", lambda a: ops.quantile(a, 0.3), lambda a: np.quantile(a, 0.3), [[(2, 3)]]),
    (
        "median",
        lambda a: ops.median(a, axis=-1),
        lambda a: np.median(a, axis=-1),
        [[(2, 4)], [(2, 3)], [(1,)]],
    ),
    (
        "bincount",
        lambda a, b: ops.bincount(ops.argmax(a, 1), ops.argmax(b, 1), 3),
        lambda a, b: np.bincount(np.argmax(a, 1), np.argmax(b, 1), 3),
        [[(4, 3), (4, 2)]],
        "constant",
    ),
    (
        "bincount of weights",
        lambda a, b: ops.bincount(ops.argmax(a, 1), b, 3),
        lambda a, b: np.bincount(np.argmax(a, 1), b, 3).astype(b.dtype),
        [[(4, 3), (4,)]],
        "floats",
    ),
    (
        "bincount at least 5",
        lambda a: ops.bincount(ops.argmax(a, 1), minlength=5),
        lambda a: np.bincount(np.argmax(a, 1), minlength=5),
        [[(4, 3)]],
        "constant",
    ),
    # losses
    (
        "softmax_cross_entropy",
        lambda z: ops.softmax_cross_entropy(z, ops.argmax(z, 1)),
        _cross_entropy,
        [[(3, 4)], [(1, 1)]],
    ),
    (
        "softmax_cross_entropy mean",
        lambda z: ops.softmax_cross_entropy(z, ops.argmax(z, 1), mean=True),
        lambda z: np.mean(_cross_entropy(z)),
        [[(3, 4)], [(1, 1)]],
    ),
    (
        "softmax_cross_entropy of class numbers that are floats",
        lambda z: ops.softmax_cross_entropy(z, ops.argmax(z, 1).astype("float32")),
        _cross_entropy,
        [[(3, 4)], [(1, 1)]],
    ),
    (
        "softmax_cross_entropy of many classes",
        lambda z: ops.softmax_cross_entropy(z, ops.argmax(z, 1)),
        _cross_entropy,
        [[(2, 65)], [(0, 3)]],
    ),
    (
        "softmax_cross_entropy with a label to ignore",
        lambda z: ops.softmax_cross_entropy(z, ops.argmax(z, 1), ignore_index=3),
        lambda z: np.where(np.argmax(z, 1) == 3, 0, _cross_entropy(z)),
        [[(3, 4)], [(4, 5)]],
    ),
    (
        "softmax_cross_entropy mean with a label to ignore",
        lambda z: ops.softmax_cross_entropy(z, ops.argmax(z, 1), mean=True, ignore_index=3),
        lambda z: np.mean(_cross_entropy(z)[np.argmax(z, 1) != 3]),
        [[(4, 5)]],
    ),
    *[
        (
            f"negative log-likelihood, {ignore_index} ignored",
            lambda z, ignore_index=ignore_index: ops.NegativeLogLikelihood(ignore_index)(
                z, ops.argmax(z, 1)
            ),
            lambda z, ignore_index=ignore_index: np.where(
                np.argmax(z, 1) == ignore_index, 0, -np.max(z, 1)
            ),
            [[(3, 4)], [(1, 1)]],
        )
        for ignore_index in (None, 0)
    ],
    (
        "weighted mean of losses",
        lambda a, w: ops.WeightedMean()(a, w),
        lambda a, w: np.sum(a) / np.sum(w),
        [[(3,), (3,)], [(2, 2), (2,)]],
        "positive",
    ),
    (
        "binary_cross_entropy",
        lambda z, t: ops.binary_cross_entropy(ops.sigmoid(z), ops.sigmoid(t)),
        lambda z, t: np.log(1 + np.exp(z)) - z / (1 + np.exp(-t)),
        [[(2, 3), (2, 3)], [(3,), ()], [(0, 2), (0, 2)]],
    ),
    # normalisation
    (
        "normalize a batch, with running statistics",
        lambda x, w, b: ops.BatchNorm((0,), eps=1e-3)(x, w, b, *_statistics(x))[0],
        lambda x, w, b: _normalize(x, w, b, 0),
        [[(3, 2), (2,), (2,)]],
        "floats",
    ),
    *[
        (
            f"normalize over {axes}",
            lambda x, w, b, axes=axes: ops.normalize(x, w, b, axes, eps=1e-3),
            lambda x, w, b, axes=axes: _normalize(x, w, b, axes),
            shapes,
            "floats",
        )
        for axes, shapes in (
            (0, [[(3, 2), (2,), (2,)], [(3, 2), (1, 2), (1, 2)]]),
            (-1, [[(2, 3), (3,), (3,)], [(2, 2, 3), (3,), (3,)]]),
            ((0, 2), [[(2, 2, 3), (2, 1), (2, 1)]]),
        )
    ],
]
