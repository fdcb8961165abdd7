"""What recurrent layers have in common: one op computes all steps of a sequence, in one direction.

x is (steps, batch, input); the state h is (batch, size), of LSTM also the cell c. The weights are
W_ih (input, gates·hidden) and W_hh (size, gates·hidden), the biases (gates·hidden,). The inputs'
products with W_ih, and in the adjoint the weights' gradients, are one product for all steps.

`lengths` (batch,) are those of the sequences: beyond its length a sequence keeps its state, and its
outputs are 0. With `reverse`, x is read from the last step to the first.
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from functools import cache
from typing import Any, ClassVar

import numpy as np

from ..autograd import (
    AbstractArray,
    Array,
    Tensor,
    TensorTuple,
    TensorTupleOp,
)  # fmt: skip
from ..device import to_numpy
from .arithmetic import where
from .composed import adjoints_of_adjoints
from .kinds import check_whole_numbers
from .sums import sum_over
from .tuples import split, stack

__all__: list[str] = []  # the kinds are in rnn.py

Arrays = dict[str, Any]  # operands by name
Results = tuple[Sequence[Array], Sequence[Array]]


class Recurrence(TensorTupleOp):
    """(outputs, final states, what the adjoint needs): see the classes of the three kinds."""

    materialize_grads = False

    order: ClassVar[tuple[int, ...]]  # of the gates inside: the last is a tanh, the others σ
    states: ClassVar[tuple[str, ...]] = ("h",)
    adds_biases: ClassVar[bool] = True
    """Whether the two biases are added to the same sums."""

    def __init__(self, operands: tuple[str, ...], reverse: bool = False) -> None:
        self.operands = operands
        self.reverse = reverse

    @property
    def constant_operands(self) -> slice:  # type: ignore[override]
        return slice(self.operands.index("lengths"), None) if self.is_masked else slice(0, 0)

    @property
    def is_masked(self) -> bool:
        return "lengths" in self.operands

    @property
    def results(self) -> int:
        """How many of the outputs are those of the layer."""
        return 1 + len(self.states)

    def named(self, operands: Sequence[Any]) -> Arrays:
        """Operands by their names; those that are missing are None."""
        names = ("bias_ih", "bias_hh", "weight_hr", "lengths")
        return dict.fromkeys(names) | dict(zip(self.operands, operands, strict=True))

    def check(self, *arrays: Array) -> None:
        """Raise unless lengths are whole numbers from 1 to the number of steps."""
        if not self.is_masked:
            return
        lengths, steps = arrays[-1], arrays[0].shape[0]
        check_whole_numbers(lengths, "lengths of sequences are whole numbers")
        if not ((lengths >= 1) & (lengths <= steps)).all().item():
            found = to_numpy(lengths)
            place = int(np.argmax((found < 1) | (found > steps)))
            raise ValueError(
                f"sequence {place} has length {found[place]}: the lengths of sequences in a batch "
                f"of {steps} steps are from 1 to {steps}"
            )

    def _error(self, cause: Exception, arrays: Sequence[Array]) -> Exception:
        return (
            cause if self.is_masked and "sequence" in str(cause) else super()._error(cause, arrays)
        )

    def infer(self, *arrays: Array) -> tuple[Array, ...]:
        given = self.named(arrays)
        steps, h = given["x"].shape[0], given["h"]
        finals = [given[name].shape for name in self.states]
        saved = self._saved_shapes(steps, *finals[-1])
        shapes = [(steps, *h.shape), *finals, (steps + 1, *h.shape), *saved]
        return tuple([AbstractArray(shape, h.dtype) for shape in shapes])

    def compute(self, *arrays: Array) -> tuple[Array, ...]:
        given = self.named(arrays)
        mask = self._mask(given)
        x = self._in_order(_masked(given["x"], mask))
        steps, batch, _ = x.shape
        weight = self._halved(self._by_gate(given["weight_ih"]))
        gates = np.matmul(_rows(x), weight).reshape((len(weight), steps, batch, weight.shape[-1]))
        given["weight_hh"] = self._halved(self._by_gate(given["weight_hh"]))
        for name in ("bias_ih", "bias_hh"):  # of the shape of a step: repeating rows takes longer
            given[name] = self._repeated(given[name], gates[:, 0])
        h = np.empty_like(given["h"], shape=(steps + 1, *given["h"].shape), order="C")
        h[0] = given["h"]  # h[k + 1] is that after step k
        further, saved = self._run_steps(gates, h, given, self._in_order(mask))
        outputs = _masked(self._in_order(h[1:]).copy(), mask)
        finals = [state.copy() for state in (h[-1], *further)]
        return outputs, *finals, h, *saved

    def adjoints(
        self, g: Sequence[Any], arrays: Sequence[Array], outputs: Sequence[Array], wanted: Any
    ) -> Arrays:
        """The adjoints of the operands in `wanted`, perhaps others, from those of the results."""
        given = self.named(arrays)
        x, mask = given["x"], self._mask(given)
        h, *saved = outputs[self.results :]
        along = None if g[0] is None else self._in_order(_masked(g[0], mask))
        finals = [
            np.zeros_like(given[name]) if each is None else each.copy()
            for name, each in zip(self.states, g[1:], strict=True)
        ]
        given["weight_hh"] = self._by_gate(given["weight_hh"], transposed=True)
        order = self._in_order(mask)
        of_x, of_h, found = self._run_back(along, finals, h, saved, given, order)
        # per gate the rows of all steps
        of_x, of_h = (each.reshape((len(each), -1, each.shape[-1])) for each in (of_x, of_h))
        if "weight_ih" in wanted:
            rows = _rows(self._in_order(_masked(x, mask)))
            found["weight_ih"] = self._by_column(np.matmul(rows.T, of_x))
        if "weight_hh" in wanted:
            found["weight_hh"] = self._by_column(np.matmul(_rows(h[:-1]).T, of_h))
        for name, each in (("bias_ih", of_x), ("bias_hh", of_h)):
            if name in wanted:
                sums = [sum_over(each[gate], (0,)) for gate in range(len(each))]
                found[name] = self._by_column(sums).reshape((-1,))
        if "x" in wanted:
            weight_ih = self._by_gate(given["weight_ih"])
            total = np.dot(of_x[0], weight_ih[0].T)
            for gate in range(1, len(of_x)):
                total += np.dot(of_x[gate], weight_ih[gate].T)
            found["x"] = self._in_order(total.reshape(x.shape))
        return found

    def gradient(self, out_grad: Any, node: Any) -> tuple[Any, ...]:
        g = [out_grad[index] for index in range(self.results)]
        wanted = tuple(
            name
            for name, operand in zip(self.operands, node.inputs, strict=True)
            if operand.requires_grad and name != "lengths"
        )
        op = _adjoint(self, tuple([each is not None for each in g]), wanted)
        given = [each for each in g if each is not None]
        found = TensorTuple.make_from_op(op, (*given, *node.inputs, node)).tuple()
        by_name = dict(zip(wanted, found, strict=True))
        return tuple([by_name.get(name) for name in self.operands])

    def composed(self, operands: Sequence[Tensor]) -> list[Tensor]:
        """The results as compositions of small ops, which have derivatives of every order."""
        given = self.named(operands)
        x = given["x"]
        states = [given[name] for name in self.states]
        mask = None
        if self.is_masked:
            arrays = {name: given[name].realize_cached_data() for name in ("x", "lengths")}
            mask = Tensor.make_const(self._mask(arrays))
            x = where(mask, x, 0)
        outputs: dict[int, Tensor] = {}
        products = _plus(x @ given["weight_ih"], given["bias_ih"])
        if self.adds_biases:
            products = _plus(products, given["bias_hh"])
        steps, times = split(products, 0), range(x.shape[0])
        for step in self._in_order(times):
            found = self._composed_step(steps[step], states, given)
            outputs[step] = found[0]
            if mask is not None:
                outputs[step] = where(mask[step], found[0], 0)
                found = [
                    where(mask[step], new, old) for new, old in zip(found, states, strict=True)
                ]
            states = found
        return [stack([outputs[step] for step in times]), *states]

    # --- for the kinds

    def _saved_shapes(self, steps: int, batch: int, hidden: int) -> list[tuple[int, ...]]:
        raise NotImplementedError

    def _run_steps(self, gates: Any, h: Any, given: Arrays, mask: Any) -> Results:
        """Fill h with the states after all steps, from the gates' products with x.

        Returns the final values of the other states, and what else the adjoint needs.
        """
        raise NotImplementedError

    def _run_back(
        self, along: Any, finals: Any, h: Any, saved: Any, given: Arrays, mask: Any
    ) -> tuple[Array, Array, Arrays]:
        """The adjoints of the gates' products with x and with h, by gate, and of initial states."""
        raise NotImplementedError

    def _composed_step(self, product: Tensor, states: Any, given: Arrays) -> list[Tensor]:
        """The next states."""
        raise NotImplementedError

    # --- helpers

    def _in_order(self, steps: Any) -> Any:
        """The steps in the order in which they are read, and the inverse of that."""
        return steps[::-1] if self.reverse and steps is not None else steps

    def _by_gate(self, columns: Array, transposed: bool = False) -> Array:
        """(rows, gates·hidden) as (gates, rows, hidden), in the order of the gates inside."""
        width = columns.shape[1] // len(self.order)
        rows = columns.shape[0]
        shape = (len(self.order), *((width, rows) if transposed else (rows, width)))
        gates = np.empty_like(columns, shape=shape, order="C")  # np.stack keeps a transposed order
        for place, gate in enumerate(self.order):
            part = columns[:, gate * width : (gate + 1) * width]
            gates[place] = part.T if transposed else part
        return gates

    def _by_column(self, gates: Any) -> Array:
        """The inverse of `_by_gate`."""
        numbers = range(len(self.order))
        return np.concatenate([gates[self.order.index(gate)] for gate in numbers], axis=1)

    def _repeated(self, bias: Array | None, like: Array) -> Array | None:
        if bias is None:
            return None
        rows = np.empty_like(like, order="C")
        rows[...] = self._halved(self._by_gate(bias.reshape((1, bias.size))))
        return rows

    def _halved(self, gates: Array) -> Array:
        """With half the sums of all gates but the last: σ(z) is (1 + tanh(z/2))/2."""
        gates[:-1] *= 0.5
        return gates

    def _mask(self, given: Arrays) -> Array | None:
        """(steps, batch, 1): which steps are part of the sequences."""
        if not self.is_masked:
            return None
        lengths = given["lengths"]
        steps = np.arange(given["x"].shape[0], like=lengths)
        return (steps[:, None] < lengths)[:, :, None]


class RecurrenceAdjoint(TensorTupleOp):
    """The adjoints of the operands in `wanted`, from those of the results that are `given`.

    Operands: these adjoints, the operands of the op, its outputs. Adjoints: those of the same
    computation made of small ops.
    """

    materialize_grads = False

    def __init__(self, op: Recurrence, given: tuple[bool, ...], wanted: tuple[str, ...]) -> None:
        self.op = op
        self.given = given
        self.wanted = wanted

    @property
    def key(self) -> Hashable:
        return type(self), self.op.key, self.given, self.wanted

    def infer(self, *arrays: Array) -> tuple[Array, ...]:
        given = self.op.named(arrays[sum(self.given) : -1])
        return tuple([AbstractArray(given[name].shape, given[name].dtype) for name in self.wanted])

    def compute(self, *arrays: Any) -> tuple[Array, ...]:
        *values, outputs = arrays
        remaining = iter(values)
        g = [next(remaining) if is_given else None for is_given in self.given]
        found = self.op.adjoints(g, list(remaining), outputs, self.wanted)
        return tuple([found[name] for name in self.wanted])

    def gradient(self, out_grad: Any, node: Any) -> tuple[Any, ...]:
        count = sum(self.given)
        values = node.inputs[:-1]

        def results(operands: Sequence[Tensor]) -> list[Tensor]:
            pairs = zip(self.op.composed(operands), self.given, strict=True)
            return [result for result, is_given in pairs if is_given]

        places = [self.op.operands.index(name) for name in self.wanted]
        h = [out_grad[index] for index in range(len(places))]
        return *adjoints_of_adjoints(results, values[:count], values[count:], places, h), None


_adjoint = cache(RecurrenceAdjoint)  # one instance for all calls


def _masked(steps: Array, mask: Array | None) -> Array:
    return steps if mask is None else np.where(mask, steps, 0)


def _rows(steps: Array) -> Array:
    """(steps, batch, size) as a matrix."""
    count, batch, size = steps.shape
    return steps.reshape((count * batch, size))


def _plus(product: Tensor, bias: Tensor | None) -> Tensor:
    return product if bias is None else product + bias
