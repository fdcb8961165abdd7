"""Rows of convolution and windows: see __init__.py."""

import itertools

import numpy as np

from needle import ops
from needle.ops.resampling import resample, table_of_neighbours


def _windows(x, kernel, stride, padding, dilation, ceil_to=None):
    """(index of the output, the window of the padded x), by loops."""
    ends = [(0, 0), (0, 0), *[(before, after + 9) for before, after in padding]]
    padded = np.pad(x, ends)
    lengths = [
        (n + before + after - d * (k - 1) - 1) // s + 1
        for n, k, s, (before, after), d in zip(
            x.shape[2:], kernel, stride, padding, dilation, strict=True
        )
    ]
    for place in itertools.product(*map(range, lengths)):
        spans = zip(place, kernel, stride, dilation, strict=True)
        read = [slice(i * s, i * s + d * (k - 1) + 1, d) for i, k, s, d in spans]
        yield lengths, place, padded[(..., *read)]


def _convolved(x, weight, bias=0, stride=1, padding=0, dilation=1, groups=1):
    n = x.ndim - 2
    result = None
    axes = list(range(2, n + 2))
    for lengths, place, window in _windows(
        x, weight.shape[2:], (stride,) * n, ((padding, padding),) * n, (dilation,) * n
    ):
        if result is None:
            result = np.zeros((x.shape[0], weight.shape[0], *lengths), x.dtype)
        inputs, outputs = np.split(window, groups, 1), np.split(weight, groups)
        sums = [
            np.tensordot(a, w, ([1, *axes], [1, *axes]))
            for a, w in zip(inputs, outputs, strict=True)
        ]
        result[(..., *place)] = np.concatenate(sums, 1) + bias
    return result


def _of_units(function, shape, *arrays):
    """A linear function's adjoint applied to `arrays[0]`, by the function's value of each unit."""
    result = np.zeros(shape, arrays[0].dtype)
    for place in np.ndindex(*shape):
        unit = np.zeros(shape, arrays[0].dtype)
        unit[place] = 1
        result[place] = (function(unit) * arrays[0]).sum()
    return result


def _of_windows(reduced, stride):
    def function(x):
        found = {
            place: reduced(window)
            for _, place, window in _windows(x, (2,), (stride,), [(0, 0)], (1,))
        }
        return np.stack(list(found.values()), -1)

    return function


_WINDOWS = ((5,), (2,), (2,), ((0, 0),), (1,))
_FOLDED = ((4,), (2,), (1,), ((1, 0),), (1,))


def _unfolded(x):
    columns = [
        window.reshape(len(x), -1) for _, _, window in _windows(x, (2,), (1,), [(1, 0)], (1,))
    ]
    return np.stack(columns, -1)


def _dilated(a):
    result = np.zeros((a.shape[0] * 3, a.shape[1]), a.dtype)
    result[::3] = a
    return result


# what each of three results has of five elements; nothing reads the last but one
_SHARES = [[1, 0, 0], [2, 0, 1], [0, 1, 2], [0, 0, 0], [0, 3, 0]]


def _resampled(axis=-1):
    sources, targets = np.nonzero(_SHARES)
    weights = np.array(_SHARES)[sources, targets]
    tables = table_of_neighbours(targets, sources, weights, 3, 5)
    return lambda a: resample(a, tables, axis)


ROWS = [
    ("convolution", ops.convolution, _convolved, [[(2, 3, 4), (2, 3, 2), (2,)]]),
    (
        "convolution with groups",
        lambda a, b: ops.convolution(a, b, stride=2, padding=1, groups=2),
        lambda a, b: _convolved(a, b, stride=2, padding=1, groups=2),
        [[(2, 2, 3, 4), (2, 1, 2, 2)], [(1, 4, 3, 2), (2, 2, 3, 1)]],
    ),
    (
        "conv",
        lambda a, b: ops.conv(a, b, 1, 1),
        lambda a, b: np.moveaxis(
            _convolved(np.moveaxis(a, -1, 1), b.transpose(3, 2, 0, 1), padding=1), 1, -1
        ),
        [[(1, 2, 3, 2), (2, 2, 2, 2)]],
    ),
    (
        "transposed_convolution",
        lambda a, b: ops.transposed_convolution(a, b, 2),
        lambda a, b: _of_units(lambda x: _convolved(x, b, stride=2), (2, 2, 6), a),
        [[(2, 1, 3), (1, 2, 2)]],
    ),
    (
        "convolution of weights",
        ops.ConvolutionOfWeights((1,), ((0, 0),), (2,), 1, (2,)),
        lambda a, b: _of_units(lambda w: _convolved(a, w, dilation=2), (1, 2, 2), b),
        [[(2, 2, 5), (2, 1, 3)]],
    ),
    (
        "resample",
        _resampled(),
        lambda a: a @ np.array(_SHARES, a.dtype),
        [[(2, 5)], [(5,)]],
        "floats",
    ),
    (
        "resample along another axis",
        _resampled(axis=-2),
        lambda a: np.swapaxes(np.swapaxes(a, -2, -1) @ np.array(_SHARES, a.dtype), -2, -1),
        [[(2, 5, 3)]],
        "floats",
    ),
    ("dilate", lambda a: ops.dilate(a, (0,), 2), _dilated, [[(2, 3)]]),
    ("undilate", lambda a: ops.undilate(a, (0,), 1), lambda a: a[::2], [[(3, 2)], [(2, 3)]]),
    (
        "window sum",
        ops.WindowSum(*_WINDOWS),
        _of_windows(lambda window: window.sum(-1), 2),
        [[(2, 2, 5)]],
    ),
    (
        "window max",
        ops.WindowMax(*_WINDOWS),
        _of_windows(lambda window: window.max(-1), 2),
        [[(2, 2, 5)]],
    ),
    (
        "window argmax",
        ops.WindowArgMax(*_WINDOWS),
        lambda a: _of_windows(lambda window: window.argmax(-1), 2)(a) + np.array([0, 2]),
        [[(2, 2, 5)]],
        "constant",
    ),
    ("unfold", ops.Unfold(*_FOLDED), _unfolded, [[(2, 1, 4)]]),
    (
        "fold",
        ops.Fold(*_FOLDED),
        lambda a: _of_units(_unfolded, (2, 1, 4), a),
        [[(2, 2, 4)]],
    ),
]
