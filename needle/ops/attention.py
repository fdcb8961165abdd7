"""Scaled dot-product attention, softmax(scale·q·kᵀ + mask)·v, as one op with one adjoint.

In the formulas P is the softmax, F the factors of dropout (0 or 1/(1 - p)), g the adjoint of the
result y; ∘ is the product of elements, and Σ sums over the keys.
"""

import math
from collections.abc import Iterator
from typing import Any

import numpy as np

from ..autograd import AbstractArray, Array, Tensor, TensorTuple, TensorTupleOp
from ..device import device_of
from .arithmetic import where
from .kinds import broadcast_shape, or_zeros, plain_number, repeated_axes, unbroadcast
from .random import dropped
from .reductions import softmax, summation
from .sums import sum_over
from .views import broadcast_to, transpose

__all__ = ["Attention", "attention", "attention_weights"]

_MOST_SCORES = 2**22  # of more, none are kept for the gradient, and few are there at a time
_LEAST_SCORES = 2**12  # of a matrix that is worth a step of its own
_BLOCK = 2**18  # scores of a step


class _Scores(TensorTupleOp):
    """What attention and its adjoint share.

    Args:
        scale: the factor of the products of queries and keys.
        diagonal: query i sees the keys up to i + diagonal; None: all.
        others: which operands follow q, k and v: "mask" (booleans, true where a key takes part, or
            numbers that are added to the scores), "kept" (booleans of dropout, or in blocks
            integers (..., 1, 1), the seed of those of each matrix).
        in_blocks: whether to go through the queries in blocks, and to keep one number of each for
            the gradient instead of its probabilities.
        dropout: the probability p.
    """

    def __init__(
        self,
        scale: float = 1.0,
        diagonal: int | None = None,
        others: tuple[str, ...] = (),
        in_blocks: bool = False,
        dropout: float = 0.0,
    ) -> None:
        self.scale = plain_number(scale)
        self.diagonal = diagonal
        self.others = others
        self.in_blocks = in_blocks
        self.dropout = plain_number(dropout)

    def _named(self, operands: Any) -> dict[str, Any]:
        return dict(zip(self.others, operands, strict=True))

    def _dropped(self, weights: Any, others: dict[str, Any]) -> Any:
        """weights∘F, of an array or a tensor."""
        if "kept" not in others:
            return weights
        op = dropped(self.dropout)
        return (op if isinstance(weights, Tensor) else op.compute)(weights, others["kept"])

    def _scores(self, q: Array, k: Array, others: dict[str, Array], first: int = 0) -> Array:
        """scale·q·kᵀ + mask; `first` is the number of the first query."""
        scores = np.matmul(q, np.swapaxes(k, -2, -1))
        scores *= self.scale
        if "mask" in others:
            scores += _bias(others["mask"], scores)
        if self.diagonal is not None:
            rows, keys = scores.shape[-2:]
            last = np.arange(rows, like=scores)[:, None] + (first + self.diagonal)
            scores += _bias(np.arange(keys, like=scores) <= last, scores)
        return scores

    def _blocks(
        self, q: Array, k: Array, others: dict[str, Array]
    ) -> Iterator[tuple[Any, Any, int, dict[str, Array]]]:
        """The indices of the queries and of the keys of each block, its first row, its operands."""
        *leading, queries, _ = q.shape
        keys = k.shape[-2]
        shape = (*leading, queries, keys)
        others = {name: np.broadcast_to(array, shape) for name, array in others.items()}
        step = max(1, _BLOCK // keys)
        for index in np.ndindex(*leading):
            for start in range(0, queries, step):
                stop = min(start + step, queries)
                seen = keys
                if self.diagonal is not None:
                    seen = min(keys, max(0, stop + self.diagonal))
                here = {name: array[index][start:stop, :seen] for name, array in others.items()}
                if "kept" in here and here["kept"].dtype.kind == "i":
                    here["kept"] = self._drawn(here["kept"], start)
                yield (*index, slice(start, stop)), (*index, slice(seen)), start, here

    def _drawn(self, seed: Array, first: int) -> Array:
        """What dropout keeps in a block, in the shape to which the seed is repeated."""
        draws = device_of(seed).seeded_rand(seed[:1, :1], first, *seed.shape)
        return draws < 1 - self.dropout


class _KeptInBlocks(_Scores):
    """What dropout keeps in all blocks of q and k, (..., L, S), by the seeds of the matrices."""

    differentiable = False

    def compute(self, q: Array, k: Array, seeds: Array) -> tuple[Array]:
        kept = np.zeros((*q.shape[:-1], k.shape[-2]), bool, like=q)
        for rows, keys, _, here in self._blocks(q, k, {"kept": seeds}):
            kept[(*rows, keys[-1])] = here["kept"]
        return (kept,)

    def infer(self, q: Any, k: Any, seeds: Any) -> Any:
        return (AbstractArray((*q.shape[:-1], k.shape[-2]), np.dtype(bool)),)


def _bias(mask: Array, scores: Array) -> Array:
    """Numbers to add: 0 where a mask of booleans is true, else -inf."""
    number = scores.dtype.type  # of floats of Python, NumPy makes float64
    return np.where(mask, number(0), number(-np.inf)) if mask.dtype.kind == "b" else mask


class Attention(_Scores):
    """(y, P): y = (P∘F)·v with P = softmax(scale·q·kᵀ + mask), 0 where no key takes part.

    q (..., L, E), k (..., S, E) and v (..., S, V) have equal leading axes; the mask and F broadcast
    to (..., L, S). In blocks, the second output is the logarithm of each softmax's denominator,
    (..., L, 1), which is for the gradient alone. Adjoints, with U = (g·vᵀ)∘F + that of P and
    D = P∘(U - Σ U∘P): scale·D·k, scale·Dᵀ·q, (P∘F)ᵀ·g; D of a mask of numbers.
    """

    materialize_grads = False

    @property
    def constant_operands(self) -> slice:  # type: ignore[override]
        """What is kept."""
        return slice(3 + ("mask" in self.others), None)

    def compute(self, q: Array, k: Array, v: Array, *others: Array) -> tuple[Array, Array]:
        named = self._named(others)
        if not self.in_blocks:
            weights = _softmax(self._scores(q, k, named))[0]
            return np.matmul(self._dropped(weights, named), v), weights
        y, total = [
            np.empty(each.shape, each.dtype, like=q) for each in self.infer(q, k, v, *others)
        ]
        for rows, keys, first, here in self._blocks(q, k, named):
            weights, total[rows] = _softmax(self._scores(q[rows], k[keys], here, first))
            y[rows] = np.matmul(self._dropped(weights, here), v[keys])
        return y, total

    def infer(self, q: Any, k: Any, v: Any, *others: Any) -> Any:
        if not self.in_blocks:
            return self.compute(q, k, v, *others)
        kind = np.result_type(q.dtype, k.dtype)
        shapes = (*q.shape[:-1], v.shape[-1]), (*q.shape[:-1], 1)
        return AbstractArray(shapes[0], np.result_type(kind, v.dtype)), AbstractArray(
            shapes[1], kind
        )

    def gradient(self, out_grad: Any, node: Any) -> tuple[Any, ...]:
        of_y, of_weights = out_grad
        (of_y,) = or_zeros([of_y], [node[0]])
        others, operands = self.others, (of_y, node, *node.inputs)
        if of_weights is not None and not self.in_blocks:
            others, operands = (*others, "weights"), (*operands, of_weights)
        mask = self._named(node.inputs[3:]).get("mask")
        of_mask = mask is not None and mask.requires_grad and mask.dtype.kind == "f"
        op = _AttentionAdjoint(
            of_mask, self.scale, self.diagonal, others, self.in_blocks, self.dropout
        )
        adjoints = TensorTuple.make_from_op(op, operands).tuple()
        return *adjoints, *[None] * (len(node.inputs) - len(adjoints))

    def _reason(self, cause: Exception, *arrays: Array) -> str:
        return "expected q (..., L, E), k (..., S, E), v (..., S, V), and others to broadcast"


def _softmax(scores: Array) -> tuple[Array, Array]:
    """The softmax of each row, in the memory of the scores, and the logarithm of its sum."""
    if not scores.size:
        return scores, np.zeros_like(scores, shape=(*scores.shape[:-1], 1))
    highest = scores.max(axis=-1, keepdims=True)
    highest = np.where(highest == -np.inf, 0, highest)
    scores -= highest
    scores = np.exp(scores, out=scores)
    total = sum_over(scores, (scores.ndim - 1,))
    total = np.where(total == 0, 1, total)
    scores *= 1 / total
    return scores, np.log(total) + highest


class _AttentionAdjoint(_Scores):
    """The adjoints of q, k, v and, if `of_mask`, the mask: of g, the outputs of `Attention` and its
    operands, of which the last, "weights", may be the adjoint of P.

    Let h be the adjoints of the results, A = scale·(h_q·kᵀ + q·h_kᵀ) + h_mask, a = Σ A∘P and
    u = Σ U∘P. Those of U and P are C = P∘(A - a) and E = A∘(U - u) - a·U + (g·h_vᵀ)∘F, that of the
    scores T = P∘(E - Σ E∘P). The adjoints are (P∘F)·h_v + (C∘F)·v of g, scale·(T·k + D·h_k) of q,
    scale·(Tᵀ·q + Dᵀ·h_q) of k, (C∘F)ᵀ·g of v, T of the mask and C of the weights.
    """

    def __init__(self, of_mask: bool, *settings: Any) -> None:
        super().__init__(*settings)
        self.of_mask = of_mask

    def compute(
        self, g: Array, outputs: tuple[Array, Array], q: Array, k: Array, v: Array, *others: Array
    ) -> tuple[Array, ...]:
        named = self._named(others)
        if self.in_blocks:
            return self._of_blocks(g, outputs, q, k, v, named)
        of_scores, of_v = self._adjoints(g, *outputs, v, named)
        of_q = np.matmul(of_scores, k)
        of_q *= self.scale
        of_k = np.matmul(np.swapaxes(of_scores, -2, -1), q * self.scale)
        if not self.of_mask:
            return of_q, of_k, of_v
        return of_q, of_k, of_v, _sum_to(of_scores, named["mask"].shape)

    def infer(self, g: Any, outputs: Any, q: Any, k: Any, v: Any, *others: Any) -> Any:
        if not self.in_blocks:
            return self.compute(g, outputs, q, k, v, *others)
        operands = (q, k, v, self._named(others)["mask"]) if self.of_mask else (q, k, v)
        return tuple([AbstractArray(each.shape, each.dtype) for each in operands])

    def _of_blocks(
        self, g: Array, outputs: tuple[Array, Array], q: Array, k: Array, v: Array, named: Any
    ) -> tuple[Array, ...]:
        of_q, of_k, of_v = [np.zeros_like(each, order="C") for each in (q, k, v)]
        y, total = outputs
        of_mask = np.zeros_like(named["mask"], order="C") if self.of_mask else None
        for rows, keys, first, here in self._blocks(q, k, named):
            weights = self._scores(q[rows], k[keys], here, first)
            weights -= total[rows]
            weights = np.exp(weights, out=weights)
            of_scores, of_values = self._adjoints(g[rows], y[rows], weights, v[keys], here)
            of_q[rows] = np.matmul(of_scores, k[keys]) * self.scale
            of_k[keys] += np.matmul(np.swapaxes(of_scores, -2, -1), q[rows] * self.scale)
            of_v[keys] += of_values
            if of_mask is not None:
                place = _place((*rows, keys[-1]), of_mask.shape)
                of_mask[place] += _sum_to(of_scores, of_mask[place].shape)
        return (of_q, of_k, of_v) if of_mask is None else (of_q, of_k, of_v, of_mask)

    def _adjoints(
        self, g: Array, y: Array, weights: Array, v: Array, others: dict[str, Array]
    ) -> tuple[Array, Array]:
        """The adjoints of the scores and of v."""
        of_v = np.matmul(np.swapaxes(self._dropped(weights, others), -2, -1), g)
        of_scores = self._dropped(np.matmul(g, np.swapaxes(v, -2, -1)), others)
        inner = g * y  # its sum is that of U∘P, without the adjoint of P
        if "weights" in others:
            of_scores += others["weights"]
            inner = of_scores * weights
        of_scores -= sum_over(inner, (inner.ndim - 1,))
        of_scores *= weights
        return of_scores, of_v

    def gradient(self, out_grad: TensorTuple, node: Any) -> tuple[Tensor | None, ...]:
        g, _, q, k, v, *others = node.inputs
        named = self._named(others)
        if "kept" in named:
            named["kept"] = _whole(named["kept"], q, k, self.dropout, self.diagonal)
        h_q, h_k, h_v, *h_mask = out_grad.tuple()

        def total(a: Tensor) -> Tensor:
            return summation(a, -1, keepdims=True)

        p = softmax(self._masked(q @ transpose(k) * self.scale, named), -1)
        of_p = self._dropped(g @ transpose(v), named)
        if "weights" in named:
            of_p = of_p + named["weights"]
        centred = of_p - total(of_p * p)
        of_scores = p * centred
        a = (h_q @ transpose(k) + q @ transpose(h_k)) * self.scale
        if h_mask:
            a = a + h_mask[0]
        mean = total(a * p)
        c = p * (a - mean)
        e = a * centred - mean * of_p + self._dropped(g @ transpose(h_v), named)
        t = p * (e - total(e * p))
        dropped_c = self._dropped(c, named)
        adjoints = {"mask": unbroadcast(t, named["mask"].shape) if h_mask else None, "weights": c}
        return (
            self._dropped(p, named) @ h_v + dropped_c @ v,
            None,
            (t @ k + of_scores @ h_k) * self.scale,
            (transpose(t) @ q + transpose(of_scores) @ h_q) * self.scale,
            transpose(dropped_c) @ g,
            *[adjoints.get(name) for name in self.others],
        )

    def _masked(self, scores: Tensor, others: dict[str, Tensor]) -> Tensor:
        """`_scores`, as part of the graph."""
        if "mask" in others:
            mask = others["mask"]
            scores = where(mask, scores, -np.inf) if mask.dtype.kind == "b" else scores + mask
        if self.diagonal is not None:
            rows, keys = scores.shape[-2:]
            seen = np.tri(rows, keys, self.diagonal, dtype=bool)
            scores = where(Tensor.make_const(scores.device.array(seen)), scores, -np.inf)
        return scores


def _sum_to(a: Array, shape: tuple[int, ...]) -> Array:
    """The adjoint of broadcasting an array of `shape` to that of a."""
    axes = repeated_axes(a.shape, shape)
    return a.sum(axis=axes).reshape(shape) if axes else a


def _place(index: tuple[Any, ...], shape: tuple[int, ...]) -> tuple[Any, ...]:
    """The index of an array of `shape` that is broadcast before it is indexed."""
    own = index[len(index) - len(shape) :]
    return tuple(
        [
            part if length > 1 else slice(None) if isinstance(part, slice) else 0
            for part, length in zip(own, shape, strict=True)
        ]
    )


def _whole(kept: Tensor, q: Tensor, k: Tensor, dropout: float, diagonal: int | None) -> Tensor:
    """The booleans of dropout, also where `kept` holds seeds."""
    if kept.dtype.kind == "b":
        return kept
    return _KeptInBlocks(diagonal=diagonal, dropout=dropout)(q, k, kept)[0]


def has_many_scores(shape: tuple[int, ...]) -> bool:
    """Whether attention with scores of this shape goes through the queries in blocks."""
    return math.prod(shape[-2:]) >= _LEAST_SCORES and math.prod(shape) > _MOST_SCORES


def _outputs(
    q: Tensor,
    k: Tensor,
    v: Tensor,
    mask: Tensor | None,
    kept: Tensor | None,
    dropout: float,
    scale: float | None,
    diagonal: int | None,
    in_blocks: bool | None,
) -> tuple[TensorTuple, Tensor | None]:
    """The outputs of `Attention`, and the operand `kept` that it had."""
    leading = broadcast_shape(*[each.shape[:-2] for each in (q, k, v)])
    q, k, v = [
        each if each.shape[:-2] == leading else broadcast_to(each, leading + each.shape[-2:])
        for each in (q, k, v)
    ]
    if scale is None:
        scale = 1 / math.sqrt(max(1, q.shape[-1]))
    if in_blocks is None:
        in_blocks = has_many_scores((*q.shape[:-1], k.shape[-2]))
    if kept is not None and not in_blocks:
        kept = _whole(kept, q, k, dropout, diagonal)
    others = {"mask": mask, "kept": kept}
    given = {name: each for name, each in others.items() if each is not None}
    op = Attention(scale, diagonal, tuple(given), in_blocks, dropout)
    return op(q, k, v, *given.values()), kept


def attention(
    q: Tensor,
    k: Tensor,
    v: Tensor,
    mask: Tensor | None = None,
    kept: Tensor | None = None,
    dropout: float = 0.0,
    scale: float | None = None,
    diagonal: int | None = None,
    in_blocks: bool | None = None,
) -> Tensor:
    """softmax(scale·q·kᵀ + mask)·v: (..., L, E), (..., S, E), (..., S, V) → (..., L, V).

    Args:
        mask: broadcasts to (..., L, S): booleans, true where a key takes part, or numbers to add.
        kept: booleans that broadcast to (..., L, S): which weights dropout keeps. Or integers
            (..., 1, 1): seeds, one for each matrix of scores, from which the booleans are drawn,
            in blocks only those of a block at a time.
        dropout: the probability p with which it keeps none; the others are divided by 1 - p.
        scale: by default 1/√E.
        diagonal: query i sees the keys up to i + diagonal; by default all.
        in_blocks: whether to go through the queries in blocks, with memory that grows with L + S
            instead of L·S; by default where there are many scores.
    """
    return _outputs(q, k, v, mask, kept, dropout, scale, diagonal, in_blocks)[0][0]


def attention_weights(
    q: Tensor,
    k: Tensor,
    v: Tensor,
    mask: Tensor | None = None,
    kept: Tensor | None = None,
    dropout: float = 0.0,
    scale: float | None = None,
    diagonal: int | None = None,
) -> tuple[Tensor, Tensor]:
    """`attention`, and its weights softmax(scale·q·kᵀ + mask) after dropout, (..., L, S)."""
    (y, weights), kept = _outputs(q, k, v, mask, kept, dropout, scale, diagonal, False)
    return y, weights if kept is None else dropped(dropout)(weights, kept)
