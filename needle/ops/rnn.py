"""The recurrent layers: Elman's, LSTM, GRU.

In the formulas σ is the logistic function, ⊙ the product of elements, and g the adjoint of the
result of a step.
"""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np

from ..autograd import Array, Tensor, TensorTuple, modes
from .activations import relu, sigmoid, tanh
from .recurrence import Arrays, Recurrence, Results, _plus, _rows
from .tuples import split

__all__ = ["ElmanRecurrence", "GRURecurrence", "LSTMRecurrence", "recurrence"]


class ElmanRecurrence(Recurrence):
    """h' = tanh(x·W_ih + b_ih + h·W_hh + b_hh), or relu: (outputs, final h, all h).

    Adjoint of the sum in a step: (g + the next step's, times W_hhᵀ) ⊙ (1 - h'²), for relu where
    h' > 0. Those of x and of the weights are its products with W_ihᵀ, xᵀ and hᵀ.
    """

    order = (0,)

    def __init__(
        self, operands: tuple[str, ...], reverse: bool = False, nonlinearity: str = "tanh"
    ) -> None:
        super().__init__(operands, reverse)
        self.nonlinearity = nonlinearity

    def _saved_shapes(self, steps: int, batch: int, hidden: int) -> list[tuple[int, ...]]:
        return []

    def _run_steps(self, gates: Any, h: Any, given: Arrays, mask: Any) -> Results:
        sums, weight = gates[0], given["weight_hh"][0]
        bias = _total(given["bias_ih"], given["bias_hh"])
        for step in range(len(sums)):
            after = h[step + 1]
            np.dot(h[step], weight, out=after)
            after += sums[step]
            if bias is not None:
                after += bias[0]
            if self.nonlinearity == "tanh":
                np.tanh(after, out=after)
            else:
                np.maximum(after, 0, out=after)
            if mask is not None:
                after[...] = np.where(mask[step], after, h[step])
        return (), ()

    def _run_back(
        self, along: Any, finals: Any, h: Any, saved: Any, given: Arrays, mask: Any
    ) -> tuple[Array, Array, Arrays]:
        (of_h,) = finals
        weight = given["weight_hh"][0]
        of_sums = np.empty_like(h[1:], order="C")
        resting = None
        for step in reversed(range(len(of_sums))):
            if along is not None:
                of_h += along[step]
            if mask is not None:
                of_h, resting = _parted(of_h, mask[step])
            z, after = of_sums[step], h[step + 1]
            if self.nonlinearity == "tanh":
                np.multiply(after, after, out=z)
                np.subtract(1, z, out=z)
                z *= of_h
            else:
                np.multiply(of_h, after > 0, out=z)
            of_h = np.dot(z, weight)
            if resting is not None:
                of_h += resting
        return of_sums[None], of_sums[None], {"h": of_h}

    def _composed_step(self, product: Tensor, states: Any, given: Arrays) -> list[Tensor]:
        function = tanh if self.nonlinearity == "tanh" else relu
        return [function(product + states[0] @ given["weight_hh"])]


class LSTMRecurrence(Recurrence):
    """c' = f⊙c + i⊙g, h' = o⊙tanh c', with a projection h' = (o⊙tanh c')·W_hr.

    i, f, g, o are the quarters of x·W_ih + b_ih + h·W_hh + b_hh, after a tanh for g and σ for the
    others. Value: (outputs, final h, final c, all h, all c, all gates). Adjoint of c' in a step:
    that of the next step, ⊙ f of that step, + the adjoint of h' ⊙ o⊙(1 - tanh² c'); those of the
    gates before σ and tanh follow, and their products with W_hhᵀ, W_ihᵀ, xᵀ and hᵀ are the others.
    """

    order = (3, 0, 1, 2)
    states = ("h", "c")

    def _saved_shapes(self, steps: int, batch: int, hidden: int) -> list[tuple[int, ...]]:
        return [(steps + 1, 6, batch, hidden)]

    def _run_steps(self, gates: Any, h: Any, given: Arrays, mask: Any) -> Results:
        weight, projection = given["weight_hh"], given["weight_hr"]
        bias = _total(given["bias_ih"], given["bias_hh"])
        (shape,) = self._saved_shapes(gates.shape[1], *given["c"].shape)
        # of each step: tanh c after it, the gates o, i, f, g, and c before it. Those that are
        # multiplied by the same lie side by side, and are multiplied at once
        cells = np.empty_like(gates, shape=shape, order="C")
        cells[0, 5], cells[-1, :5] = given["c"], 0
        parts, (first, second) = _pair_like(cells[0, 0])
        for step in range(gates.shape[1]):
            cell, c, after = cells[step], cells[step + 1, 5], h[step + 1]
            z, logistic, tanh_c = cell[1:5], cell[1:4], cell[0]
            np.matmul(h[step], weight, out=z)
            z += gates[:, step]
            if bias is not None:
                z += bias
            np.tanh(z, out=z)
            logistic *= 0.5
            logistic += 0.5
            np.multiply(cell[2:4], cell[4:], out=parts)  # i⊙g and f⊙c
            np.add(first, second, out=c)
            np.tanh(c, out=tanh_c)
            if projection is None:
                np.multiply(tanh_c, cell[1], out=after)
            else:
                np.multiply(tanh_c, cell[1], out=first)
                np.dot(first, projection, out=after)
            if mask is not None:
                after[...] = np.where(mask[step], after, h[step])
                c[...] = np.where(mask[step], c, cell[5])
        return (cells[-1, 5],), (cells,)

    def _run_back(
        self, along: Any, finals: Any, h: Any, saved: Any, given: Arrays, mask: Any
    ) -> tuple[Array, Array, Arrays]:
        of_h, of_c = finals
        (cells,) = saved
        weight, projection = given["weight_hh"], given["weight_hr"]
        steps, hidden = len(cells) - 1, h[1:]
        if projection is not None:
            hidden = cells[:-1, 0] * cells[:-1, 1]
            of_projected = np.empty_like(h[1:], order="C")
        shape = cells[0, 1:].shape  # of the gates and c
        of_gates = np.empty_like(cells, shape=(4, steps, *shape[1:]), order="C")
        found, slope = np.empty_like(cells[0, 1:]), np.empty_like(cells[0, 1:5])
        of_o, of_next, product = found[0], found[:4], np.empty_like(h[0], shape=(4, *of_h.shape))
        part, logistic, last = np.empty_like(of_c), slope[:3], slope[3]
        found[4] = of_c
        of_c = found[4]
        resting: Any = None
        for step in reversed(range(steps)):
            cell = cells[step]
            if along is not None:
                of_h += along[step]
            if mask is not None:
                of_h, rest_h = _parted(of_h, mask[step])
                active, rest_c = _parted(of_c, mask[step])
                of_c[...] = active
                resting = rest_h, rest_c
            of_m = of_h
            if projection is not None:
                of_projected[step] = of_h
                of_m = np.dot(of_h, projection.T)
            # of_m⊙o⊙(1 - tanh² c), where of_o is of_m⊙tanh c, and h is o⊙tanh c
            np.multiply(of_m, cell[0], out=of_o)
            np.multiply(of_m, cell[1], out=part)
            of_c += part
            np.multiply(of_o, hidden[step], out=part)
            of_c -= part
            np.multiply(cell[4:], of_c, out=found[1:3])  # g and c: of i and f
            np.multiply(cell[2:4], of_c, out=found[3:])  # i and f: of g and c
            np.subtract(1, cell[1:4], out=logistic)
            logistic *= cell[1:4]
            np.multiply(cell[4], cell[4], out=last)
            np.subtract(1, last, out=last)
            result = of_gates[:, step]
            np.multiply(of_next, slope, out=result)
            np.matmul(result, weight, out=product)
            of_h = _sum_of_gates(product)
            if resting is not None:
                of_h += resting[0]
                of_c += resting[1]
        of_states = {"h": of_h, "c": of_c}
        if projection is not None:
            of_states["weight_hr"] = np.dot(_rows(hidden).T, _rows(of_projected))
        return of_gates, of_gates, of_states

    def _composed_step(self, product: Tensor, states: Any, given: Arrays) -> list[Tensor]:
        h, c = states
        i, f, g, o = _parts(product + h @ given["weight_hh"], 4)
        c = sigmoid(f) * c + sigmoid(i) * tanh(g)
        h = sigmoid(o) * tanh(c)
        return [h if given["weight_hr"] is None else h @ given["weight_hr"], c]


class GRURecurrence(Recurrence):
    """h' = (1 - z)⊙n + z⊙h with n = tanh(a_n + r⊙b_n), z = σ(a_z + b_z), r = σ(a_r + b_r).

    a_r, a_z, a_n are the thirds of x·W_ih + b_ih, b_r, b_z, b_n those of h·W_hh + b_hh. Value:
    (outputs, final h, all h, all gates, all b_n). Adjoints of the gates in a step, from that of
    h': g⊙(1 - z) of n, g⊙(h - n) of z, and from that of tanh's operand, ⊙ b_n, of r.
    """

    order = (0, 1, 2)
    adds_biases = False

    def _saved_shapes(self, steps: int, batch: int, hidden: int) -> list[tuple[int, ...]]:
        return [(3, steps, batch, hidden), (steps, batch, hidden)]

    def _run_steps(self, gates: Any, h: Any, given: Arrays, mask: Any) -> Results:
        weight, bias_ih, bias_hh = (given[name] for name in ("weight_hh", "bias_ih", "bias_hh"))
        product = np.empty_like(gates[:, 0], order="C")
        candidates = np.empty_like(gates[0], order="C")
        for step in range(gates.shape[1]):
            values, before, after = gates[:, step], h[step], h[step + 1]
            np.matmul(before, weight, out=product)
            if bias_hh is not None:
                product += bias_hh
            if bias_ih is not None:
                values += bias_ih
            b_n = candidates[step]
            b_n[...] = product[2]
            r, z, n = _each(values)
            logistic = values[:2]
            logistic += product[:2]
            np.tanh(logistic, out=logistic)
            logistic *= 0.5
            logistic += 0.5
            np.multiply(r, b_n, out=after)
            n += after
            np.tanh(n, out=n)
            np.subtract(before, n, out=after)
            after *= z
            after += n
            if mask is not None:
                after[...] = np.where(mask[step], after, before)
        return (), (gates, candidates)

    def _run_back(
        self, along: Any, finals: Any, h: Any, saved: Any, given: Arrays, mask: Any
    ) -> tuple[Array, Array, Arrays]:
        (of_h,), (gates, candidates) = finals, saved
        weight = given["weight_hh"]
        of_x, of_products = np.empty_like(gates, order="C"), np.empty_like(gates, order="C")
        slope = np.empty_like(gates[:, 0], order="C")
        product = np.empty_like(slope)
        resting = None
        for step in reversed(range(gates.shape[1])):
            if along is not None:
                of_h += along[step]
            if mask is not None:
                of_h, resting = _parted(of_h, mask[step])
            values, result, of_product = gates[:, step], of_x[:, step], of_products[:, step]
            r, z, n = _each(values)
            of_r, of_z, of_n = _each(result)
            np.subtract(h[step], n, out=of_z)
            of_z *= of_h
            np.multiply(of_h, z, out=slope[0])
            np.subtract(of_h, slope[0], out=of_n)
            np.multiply(n, n, out=slope[2])
            np.subtract(1, slope[2], out=slope[2])
            of_n *= slope[2]
            np.multiply(of_n, candidates[step], out=of_r)
            of_h = slope[0].copy()
            np.subtract(1, values[:2], out=slope[:2])
            slope[:2] *= values[:2]
            result[:2] *= slope[:2]
            of_product[:2] = result[:2]
            np.multiply(of_n, r, out=of_product[2])
            np.matmul(of_product, weight, out=product)
            of_h += _sum_of_gates(product)
            if resting is not None:
                of_h += resting
        return of_x, of_products, {"h": of_h}

    def _composed_step(self, product: Tensor, states: Any, given: Arrays) -> list[Tensor]:
        (h,) = states
        a_r, a_z, a_n = _parts(product, 3)
        b_r, b_z, b_n = _parts(_plus(h @ given["weight_hh"], given["bias_hh"]), 3)
        n = tanh(a_n + sigmoid(a_r + b_r) * b_n)
        return [n + sigmoid(a_z + b_z) * (h - n)]


def _each(values: Array) -> list[Array]:
    """The parts along the first axis; arrays of some libraries cannot be iterated."""
    return [values[index] for index in range(len(values))]


def _pair_like(a: Array) -> tuple[Array, list[Array]]:
    """Memory for two arrays like a, and each of them."""
    pair = np.empty_like(a, shape=(2, *a.shape), order="C")
    return pair, _each(pair)


def _parts(gates: Tensor, count: int) -> TensorTuple:
    """The columns of each gate."""
    batch, columns = gates.shape
    return split(gates.reshape((batch, count, columns // count)), 1)


def _total(a: Array | None, b: Array | None) -> Array | None:
    if a is None or b is None:
        return a if b is None else b
    return a + b


def _parted(adjoint: Array, active: Array) -> tuple[Array, Array]:
    """The rows of sequences that have this step, and those of the others; else 0."""
    return np.where(active, adjoint, 0), np.where(active, 0, adjoint)


def _sum_of_gates(products: Array) -> Array:
    total = products[0] + products[1]
    for gate in range(2, len(products)):
        total += products[gate]
    return total


_LONGEST = 64  # a recording of more steps would take longer to compile than it saves


def recurrence(kind: Any, operands: dict[str, Any], *settings: Any) -> Any:
    """(outputs, *final states) of a layer in one direction; operands that are None are left out.

    While a step is recorded, sequences that are not long are small ops, which a compiler joins.
    """
    given = {name: operand for name, operand in operands.items() if operand is not None}
    op: Any = _made(kind, tuple(given), *settings)
    is_recorded = modes.effects.get() is not None
    if is_recorded and not op.is_masked and len(given["x"]) <= _LONGEST:
        return tuple(op.composed(list(given.values())))
    outputs = op(*given.values())
    return tuple([outputs[index] for index in range(op.results)])


_made = cache(lambda kind, *settings: kind(*settings))  # one instance for all calls
