"""Rows of ops over sequences: see __init__.py."""

import itertools

import numpy as np

from needle import Tensor
from needle.ops.ctc import TemporalClassification
from needle.ops.rnn import ElmanRecurrence, GRURecurrence, LSTMRecurrence, recurrence


def _like(a, numbers):
    """A constant where the array of `a` lives."""
    return Tensor(numbers, device=a.device, requires_grad=False)


def _weights_of(gates):
    """Shapes of W_ih, W_hh and the biases, for 3 inputs and states of 2."""
    return (3, 2 * gates), (2, 2 * gates), (2 * gates,), (2 * gates,)


def _layer(kind, *settings, lengths=False):
    """A recurrent layer as a function of x, the states, and the weights."""

    def run(*operands):
        states = ("h", "c")[: len(operands) - 5]
        names = ("x", *states, "weight_ih", "weight_hh", "bias_ih", "bias_hh")
        named = dict(zip(names, operands, strict=True))
        if lengths:
            named["lengths"] = _like(operands[0], np.array([3, 1]))
        return recurrence(kind, named, *settings)

    return run


def _stepped(step, is_reversed=False, lengths=False):
    """The same, one step after the other."""

    def run(x, *operands):
        *states, w_ih, w_hh, b_ih, b_hh = operands
        outputs, times = [None] * len(x), range(len(x))
        for time in reversed(times) if is_reversed else times:
            active = time < np.array([[3], [1]]) if lengths else True
            new = step(x[time] @ w_ih + b_ih, states[0] @ w_hh + b_hh, *states)
            states = [np.where(active, a, b) for a, b in zip(new, states, strict=True)]
            outputs[time] = np.where(active, new[0], 0).astype(x.dtype)
        return np.stack(outputs), *[each.astype(x.dtype) for each in states]

    return run


def _logistic(a):
    return 1 / (1 + np.exp(-a))


def _lstm_step(a, b, h, c):
    i, f, g, o = np.split(a + b, 4, axis=1)
    c = _logistic(f) * c + _logistic(i) * np.tanh(g)
    return _logistic(o) * np.tanh(c), c


def _gru_step(a, b, h):
    (a_r, a_z, a_n), (b_r, b_z, b_n) = np.split(a, 3, axis=1), np.split(b, 3, axis=1)
    z = _logistic(a_z + b_z)
    return ((1 - z) * np.tanh(a_n + _logistic(a_r + b_r) * b_n) + z * h,)


_RECURRENCES = [
    (
        f"{name}{' reversed' * is_reversed}{' with lengths' * lengths}",
        _layer(kind, is_reversed, lengths=lengths),
        _stepped(step, is_reversed, lengths),
        [[(3, 2, 3), *[(2, 2)] * states, *_weights_of(gates)]],
        "floats",
    )
    for name, kind, step, states, gates in [
        ("recurrence", ElmanRecurrence, lambda a, b, h: (np.tanh(a + b),), 1, 1),
        ("lstm recurrence", LSTMRecurrence, _lstm_step, 2, 4),
        ("gru recurrence", GRURecurrence, _gru_step, 1, 3),
    ]
    for is_reversed in (False, True)
    for lengths in (False, True)
]


def _ctc(a):
    """The losses of two targets, with 3 and 4 steps."""
    numbers = [_like(a, np.array(each)) for each in ([[1, 1], [2, 0]], [4, 3], [2, 1])]
    return TemporalClassification()(a, *numbers)[0]


def _all_paths(a):
    losses = []
    for index, (steps, target) in enumerate([(4, [1, 1]), (3, [2])]):
        total = 0
        for path in itertools.product(range(3), repeat=steps):
            merged = [label for label, _ in itertools.groupby(path) if label]
            if merged == target:
                total += np.exp(sum(a[step, index, label] for step, label in enumerate(path)))
        losses.append(-np.log(total))
    return np.array(losses, a.dtype)


ROWS = [
    *_RECURRENCES,
    ("temporal classification", _ctc, _all_paths, [[(4, 2, 3)]], "floats"),
]
