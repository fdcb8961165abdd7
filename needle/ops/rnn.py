"""The recurrent layers: Elman's, LSTM, GRU.

In the formulas σ is the logistic function, ⊙ the product of elements, and g the adjoint of the
result of a step.
"""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np

from ..autograd import Array, Tensor
from .activations import relu, sigmoid, tanh
from .recurrence import Arrays, Recurrence, _plus, _rows

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

    def _saved_shapes(self, steps: int, h: Any, *rest: Any) -> list[tuple[int, ...]]:
        return [(steps + 1, *h)]

    def _run_steps(self, gates: Any, kept: Any, given: Arrays, mask: Any) -> tuple[Array, ...]:
        sums, weight = gates[0], given["weight_hh"][0]
        befores, afters = self._before_and_after(kept[0])
        bias = _total(given["bias_ih"], given["bias_hh"])
        for step in self._times(len(sums)):
            z, h = sums[step], afters[step]
            np.dot(befores[step], weight, out=h)
            h += z
            if bias is not None:
                h += bias[0]
            if self.nonlinearity == "tanh":
                np.tanh(h, out=h)
            else:
                np.maximum(h, 0, out=h)
            if mask is not None:
                h[...] = np.where(mask[step], h, befores[step])
        return ()

    def _run_back(
        self, along: Any, finals: Any, kept: Any, further: Any, given: Arrays, mask: Any
    ) -> tuple[Array, Array, Arrays]:
        (of_h,) = finals
        afters, weight = self._before_and_after(kept[0])[1], given["weight_hh"][0]
        of_sums = np.empty_like(afters, order="C")
        resting = None
        for step in self._times(len(afters))[::-1]:
            if along is not None:
                of_h += along[step]
            if mask is not None:
                of_h, resting = _parted(of_h, mask[step])
            z, h = of_sums[step], afters[step]
            if self.nonlinearity == "tanh":
                np.multiply(h, h, out=z)
                np.subtract(1, z, out=z)
                z *= of_h
            else:
                np.multiply(of_h, h > 0, out=z)
            of_h = np.dot(z, weight)
            if resting is not None:
                of_h += resting
        return of_sums[None], of_sums[None], {"h": of_h}

    def _composed_step(self, product: Tensor, states: Any, given: Arrays) -> list[Tensor]:
        function = tanh if self.nonlinearity == "tanh" else relu
        return [function(product + _plus(states[0] @ given["weight_hh"], given["bias_hh"]))]


class LSTMRecurrence(Recurrence):
    """c' = f⊙c + i⊙g, h' = o⊙tanh c', with a projection h' = (o⊙tanh c')·W_hr.

    i, f, g, o are the quarters of x·W_ih + b_ih + h·W_hh + b_hh, after a tanh for g and σ for the
    others. Value: (outputs, final h, final c, all h, all c, all gates). Adjoint of c' in a step:
    that of the next step, ⊙ f of that step, + the adjoint of h' ⊙ o⊙(1 - tanh² c'); those of the
    gates before σ and tanh follow, and their products with W_hhᵀ, W_ihᵀ, xᵀ and hᵀ are the others.
    """

    order = (0, 1, 3, 2)
    states = ("h", "c")

    def _saved_shapes(self, steps: int, h: Any, *rest: Any) -> list[tuple[int, ...]]:
        return [(steps + 1, *h), (steps + 1, *rest[0]), (4, steps, *rest[0])]

    def _run_steps(self, gates: Any, kept: Any, given: Arrays, mask: Any) -> tuple[Array, ...]:
        (h_before, h_after), (c_before, c_after) = map(self._before_and_after, kept)
        weight, projection = given["weight_hh"], given["weight_hr"]
        bias = _total(given["bias_ih"], given["bias_hh"])
        product, part = np.empty_like(gates[:, 0], order="C"), np.empty_like(given["c"], order="C")
        for step in self._times(gates.shape[1]):
            z, h, c = gates[:, step], h_after[step], c_after[step]
            np.matmul(h_before[step], weight, out=product)
            product += z
            if bias is not None:
                product += bias
            _activate(product, z)
            i, f, o, g = _each(z)
            np.multiply(f, c_before[step], out=c)
            np.multiply(i, g, out=part)
            c += part
            np.tanh(c, out=part)
            if projection is None:
                np.multiply(part, o, out=h)
            else:
                part *= o
                np.dot(part, projection, out=h)
            if mask is not None:
                h[...] = np.where(mask[step], h, h_before[step])
                c[...] = np.where(mask[step], c, c_before[step])
        return (gates,)

    def _run_back(
        self, along: Any, finals: Any, kept: Any, further: Any, given: Arrays, mask: Any
    ) -> tuple[Array, Array, Arrays]:
        of_h, of_c = finals
        (gates,), (c_before, c_after) = further, self._before_and_after(kept[1])
        weight, projection = given["weight_hh"], given["weight_hr"]
        of_gates, slope = np.empty_like(gates, order="C"), np.empty_like(gates[:, 0], order="C")
        product = np.empty_like(gates[:, 0], shape=(4, *of_h.shape), order="C")
        cell = np.empty_like(of_c, order="C")
        of_projected = None
        if projection is not None:
            of_projected = np.empty_like(of_h, shape=(gates.shape[1], *of_h.shape), order="C")
        resting: Any = None
        for step in self._times(gates.shape[1])[::-1]:
            if along is not None:
                of_h += along[step]
            if mask is not None:
                (of_h, rest_h), (of_c, rest_c) = (
                    _parted(each, mask[step]) for each in (of_h, of_c)
                )
                resting = rest_h, rest_c
            of_m = of_h
            if of_projected is not None:
                of_projected[step] = of_h
                of_m = np.dot(of_h, projection.T)
            values, result = gates[:, step], of_gates[:, step]
            i, f, o, g = _each(values)
            of_i, of_f, of_o, of_g = _each(result)
            np.tanh(c_after[step], out=cell)
            np.multiply(of_m, cell, out=of_o)
            cell *= cell
            np.subtract(1, cell, out=cell)
            cell *= o
            cell *= of_m
            of_c += cell
            np.multiply(of_c, g, out=of_i)
            np.multiply(of_c, c_before[step], out=of_f)
            np.multiply(of_c, i, out=of_g)
            _through_activations(values, result, slope)
            of_c *= f
            np.matmul(result, weight, out=product)
            of_h = _sum_of_gates(product)
            if resting is not None:
                of_h += resting[0]
                of_c += resting[1]
        found = {"h": of_h, "c": of_c}
        if of_projected is not None:
            hidden = np.tanh(c_after) * gates[2]
            found["weight_hr"] = np.dot(_rows(hidden).T, _rows(of_projected))
        return of_gates, of_gates, found

    def _composed_step(self, product: Tensor, states: Any, given: Arrays) -> list[Tensor]:
        h, c = states
        i, f, g, o = _parts(product + _plus(h @ given["weight_hh"], given["bias_hh"]), 4)
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

    def _saved_shapes(self, steps: int, h: Any, *rest: Any) -> list[tuple[int, ...]]:
        return [(steps + 1, *h), (3, steps, *h), (steps, *h)]

    def _run_steps(self, gates: Any, kept: Any, given: Arrays, mask: Any) -> tuple[Array, ...]:
        befores, afters = self._before_and_after(kept[0])
        weight, bias_ih, bias_hh = (given[name] for name in ("weight_hh", "bias_ih", "bias_hh"))
        product = np.empty_like(gates[:, 0], order="C")
        candidates = np.empty_like(gates[0], order="C")
        for step in self._times(gates.shape[1]):
            values, before, h = gates[:, step], befores[step], afters[step]
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
            np.multiply(r, b_n, out=h)
            n += h
            np.tanh(n, out=n)
            np.subtract(before, n, out=h)
            h *= z
            h += n
            if mask is not None:
                h[...] = np.where(mask[step], h, before)
        return gates, candidates

    def _run_back(
        self, along: Any, finals: Any, kept: Any, further: Any, given: Arrays, mask: Any
    ) -> tuple[Array, Array, Arrays]:
        (of_h,), (gates, candidates) = finals, further
        befores, weight = self._before_and_after(kept[0])[0], given["weight_hh"]
        of_x, of_products = np.empty_like(gates, order="C"), np.empty_like(gates, order="C")
        slope = np.empty_like(gates[:, 0], order="C")
        product = np.empty_like(slope)
        resting = None
        for step in self._times(gates.shape[1])[::-1]:
            if along is not None:
                of_h += along[step]
            if mask is not None:
                of_h, resting = _parted(of_h, mask[step])
            values, result, of_product = gates[:, step], of_x[:, step], of_products[:, step]
            r, z, n = _each(values)
            of_r, of_z, of_n = _each(result)
            np.subtract(befores[step], n, out=of_z)
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


def _parts(gates: Tensor, count: int) -> list[Tensor]:
    """The columns of each gate."""
    width = gates.shape[-1] // count
    return [gates[:, gate * width : (gate + 1) * width] for gate in range(count)]


def _total(a: Array | None, b: Array | None) -> Array | None:
    if a is None or b is None:
        return a if b is None else b
    return a + b


def _parted(adjoint: Array, active: Array) -> tuple[Array, Array]:
    """The rows of sequences that have this step, and those of the others; else 0."""
    return np.where(active, adjoint, 0), np.where(active, 0, adjoint)


def _activate(sums: Array, out: Array) -> None:
    """The gates of sums, of which all but the last are halved: their σ is (1 + tanh)/2."""
    np.tanh(sums, out=out)
    logistic = out[:-1]
    logistic *= 0.5
    logistic += 0.5


def _through_activations(gates: Array, adjoints: Array, slope: Array) -> None:
    """Multiply adjoints of gates by the derivatives of σ and tanh; `slope` is their memory."""
    logistic, last = slope[:-1], slope[-1]
    np.subtract(1, gates[:-1], out=logistic)
    logistic *= gates[:-1]
    np.multiply(gates[-1], gates[-1], out=last)
    np.subtract(1, last, out=last)
    adjoints *= slope


def _sum_of_gates(products: Array) -> Array:
    total = products[0] + products[1]
    for gate in range(2, len(products)):
        total += products[gate]
    return total


def recurrence(kind: Any, operands: dict[str, Any], *settings: Any) -> Any:
    """(outputs, *final states) of a layer in one direction; operands that are None are left out."""
    given = {name: operand for name, operand in operands.items() if operand is not None}
    op: Any = _made(kind, tuple(given), *settings)
    outputs = op(*given.values())
    return tuple([outputs[index] for index in range(op.results)])


_made = cache(lambda kind, *settings: kind(*settings))  # one instance for all calls
