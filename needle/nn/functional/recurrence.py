"""Recurrent layers of one direction.

Raises:
    TypeError: an operand is not a Tensor of floating-point numbers, or a length not a whole number.
    ValueError: shapes do not fit, a sequence is empty, or a length is beyond the sequence.
"""

from typing import Any

import numpy as np

from ...autograd import Tensor
from ...ops.rnn import ElmanRecurrence, GRURecurrence, LSTMRecurrence, recurrence
from ..checks import check_floats, check_tensor

__all__ = ["gru", "lstm", "rnn"]


def rnn(
    x: Tensor,
    h: Tensor | None,
    weight_ih: Tensor,
    weight_hh: Tensor,
    bias_ih: Tensor | None = None,
    bias_hh: Tensor | None = None,
    lengths: Any = None,
    reverse: bool = False,
    nonlinearity: str = "tanh",
) -> tuple[Tensor, Tensor]:
    """h' = tanh(x·W_ih + b_ih + h·W_hh + b_hh) for each step: (outputs, final h).

    Args:
        x: (steps, batch, input).
        h: (batch, hidden); None stands for zeros.
        weight_ih: (input, hidden).
        weight_hh: (hidden, hidden).
        bias_ih, bias_hh: (hidden,).
        lengths: (batch,), the lengths of the sequences, from 1 to steps. Outputs beyond a length
            are 0, and the final h is that after the last step of each sequence.
        reverse: whether to start at the last step of each sequence.
        nonlinearity: "tanh" or "relu".

    Example:
        >>> import needle as ndl
        >>> from needle.nn import functional as F
        >>> x, identity = ndl.init.ones(3, 1, 2), ndl.init.eye(2)
        >>> outputs, h = F.rnn(x, None, identity, identity, nonlinearity="relu")
        >>> print(outputs[:, 0])
        [[1. 1.]
         [2. 2.]
         [3. 3.]]
    """
    if nonlinearity not in ("tanh", "relu"):
        raise ValueError(f"RNN: nonlinearity must be 'tanh' or 'relu', got {nonlinearity!r}")
    weights = {"weight_ih": weight_ih, "weight_hh": weight_hh, "bias_ih": bias_ih}
    operands = _checked("RNN", 1, x, {"h": h}, weights | {"bias_hh": bias_hh}, lengths)
    return recurrence(ElmanRecurrence, operands, reverse, nonlinearity)


def lstm(
    x: Tensor,
    state: tuple[Tensor, Tensor] | None,
    weight_ih: Tensor,
    weight_hh: Tensor,
    bias_ih: Tensor | None = None,
    bias_hh: Tensor | None = None,
    weight_hr: Tensor | None = None,
    lengths: Any = None,
    reverse: bool = False,
) -> tuple[Tensor, tuple[Tensor, Tensor]]:
    """c' = σ(f)⊙c + σ(i)⊙tanh(g), h' = σ(o)⊙tanh(c') for each step: (outputs, (final h, final c)).

    i, f, g, o are the quarters of x·W_ih + b_ih + h·W_hh + b_hh. With a projection, the outputs and
    h are h'·W_hr (Sak et al. 2014).

    Args:
        x: (steps, batch, input).
        state: (h, c), of (batch, hidden), h of (batch, projected) with a projection; None stands
            for zeros.
        weight_ih: (input, 4·hidden).
        weight_hh: (hidden, 4·hidden), or (projected, 4·hidden).
        bias_ih, bias_hh: (4·hidden,).
        weight_hr: (hidden, projected).
        lengths, reverse: as in `rnn`.

    Example:
        >>> import needle as ndl
        >>> from needle.nn import functional as F
        >>> x = ndl.init.randn(5, 2, 3)
        >>> outputs, (h, c) = F.lstm(x, None, ndl.init.randn(3, 16), ndl.init.randn(4, 16))
        >>> outputs.shape, h.shape, c.shape
        ((5, 2, 4), (2, 4), (2, 4))
    """
    if state is not None and not (isinstance(state, tuple | list) and len(state) == 2):
        raise TypeError(f"LSTM: the state is a pair (h, c), got {type(state).__name__}")
    h, c = state or (None, None)
    weights = {"weight_ih": weight_ih, "weight_hh": weight_hh, "bias_ih": bias_ih}
    weights |= {"bias_hh": bias_hh, "weight_hr": weight_hr}
    operands = _checked("LSTM", 4, x, {"h": h, "c": c}, weights, lengths)
    outputs, h, c = recurrence(LSTMRecurrence, operands, reverse)
    return outputs, (h, c)


def gru(
    x: Tensor,
    h: Tensor | None,
    weight_ih: Tensor,
    weight_hh: Tensor,
    bias_ih: Tensor | None = None,
    bias_hh: Tensor | None = None,
    lengths: Any = None,
    reverse: bool = False,
) -> tuple[Tensor, Tensor]:
    """h' = (1 - z)⊙n + z⊙h for each step: (outputs, final h).

    r = σ(a_r + b_r), z = σ(a_z + b_z) and n = tanh(a_n + r⊙b_n), where a_r, a_z, a_n are the thirds
    of x·W_ih + b_ih, and b_r, b_z, b_n those of h·W_hh + b_hh.

    Args:
        x: (steps, batch, input).
        h: (batch, hidden); None stands for zeros.
        weight_ih: (input, 3·hidden).
        weight_hh: (hidden, 3·hidden).
        bias_ih, bias_hh: (3·hidden,).
        lengths, reverse: as in `rnn`.

    Example:
        >>> import needle as ndl
        >>> from needle.nn import functional as F
        >>> x = ndl.init.randn(5, 2, 3)
        >>> outputs, h = F.gru(x, None, ndl.init.randn(3, 12), ndl.init.randn(4, 12))
        >>> outputs.shape, h.shape
        ((5, 2, 4), (2, 4))
    """
    weights = {"weight_ih": weight_ih, "weight_hh": weight_hh, "bias_ih": bias_ih}
    operands = _checked("GRU", 3, x, {"h": h}, weights | {"bias_hh": bias_hh}, lengths)
    return recurrence(GRURecurrence, operands, reverse)


Operands = dict[str, Any]  # by name, None where there is none


def _checked(
    layer: str, gates: int, x: Tensor, states: Operands, weights: Operands, lengths: Any
) -> Operands:
    """The operands of the op, in one dtype; states of zeros in the place of None."""
    check_floats(layer, x)
    weight_ih, projection = weights["weight_ih"], weights.get("weight_hr")
    check_floats(f"{layer}: weight_ih", weight_ih)
    if weight_ih.ndim != 2 or weight_ih.shape[1] % gates:
        columns = f"{gates}·hidden" if gates > 1 else "hidden"
        raise ValueError(f"{layer} expected weight_ih (input, {columns}), got {weight_ih.shape}")
    inputs, columns = weight_ih.shape
    hidden = columns // gates
    size = hidden if projection is None else projection.shape[-1]
    if x.ndim != 3 or x.shape[2] != inputs:
        raise ValueError(f"{layer} expected (steps, batch, {inputs}), got {x.shape}")
    steps, batch, _ = x.shape
    if not steps:
        raise ValueError(f"{layer} expected sequences of at least one step, got {x.shape}")
    expected = {
        "weight_hh": (size, columns), "bias_ih": (columns,), "bias_hh": (columns,),
        "weight_hr": (hidden, size), "h": (batch, size), "c": (batch, hidden),
    }  # fmt: skip
    operands = {"x": x, **states, **weights}
    for name, shape in expected.items():
        tensor = operands.get(name)
        if tensor is None:
            if name in states:
                operands[name] = Tensor.make_const(x.device.full(shape, 0, weight_ih.dtype))
            continue
        check_floats(f"{layer}: {name}", tensor)
        if tensor.shape != shape:
            raise ValueError(f"{layer} expected {name} of shape {shape}, got {tensor.shape}")
    dtypes = {each.dtype for each in operands.values() if each is not None}
    if len(dtypes) > 1:
        dtype = np.result_type(*dtypes)
        operands = {
            name: each if each is None or each.dtype == dtype else each.astype(dtype)
            for name, each in operands.items()
        }
    return operands | {"lengths": _as_lengths(layer, lengths, x)}


def _as_lengths(layer: str, lengths: Any, x: Tensor) -> Tensor | None:
    """Lengths as a Tensor (batch,); x is (steps, batch, ...). The op checks the values."""
    if lengths is None:
        return None
    if not isinstance(lengths, Tensor):
        lengths = Tensor(lengths, device=x.device, requires_grad=False)
    check_tensor(layer, lengths)
    if lengths.shape != x.shape[1:2]:
        raise ValueError(
            f"{layer} expected {x.shape[1]} lengths, one per sequence, got {lengths.shape}"
        )
    return lengths
