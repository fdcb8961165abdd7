"""Einstein's sum convention, and the products that are cases of it."""

import math
from collections.abc import Iterable, Sequence
from functools import lru_cache
from typing import Any

import numpy as np

from ..autograd import Array, Tensor
from .arithmetic import multiply
from .contraction import matmul
from .kinds import Contraction, normalize_axes
from .linalg.matrices import diagonal
from .names import as_tensors, by_any_name
from .reductions import summation
from .views import permute, reshape

__all__ = ["Einsum", "bmm", "dot", "einsum", "inner", "mm", "mv", "outer", "tensordot"]

_LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
_Shape = tuple[int, ...]
_Labelled = tuple[str, Tensor]  # a letter for each axis, and the tensor


class Einsum(Contraction):
    """Σ a·b over the labels that the result lacks: `Einsum("ij,jk->ik")(a, b)`.

    A label occurs at most once in a term, and in at least two terms. Adjoints: einsum of g and b
    with the labels of a, einsum of a and g with the labels of b.
    """

    def __init__(self, subscripts: str) -> None:
        self.subscripts = subscripts
        operands, self.result = subscripts.split("->")
        self.left, self.right = left, right = operands.split(",")
        result = self.result
        self._summed = [label for label in left if label not in result]
        self._batch = [label for label in result if label in left and label in right]
        self._rows = [label for label in result if label not in right]
        self._columns = [label for label in result if label not in left]
        self._orders = (
            _order(left, self._batch + self._rows + self._summed),
            _order(right, self._batch + self._summed + self._columns),
            _order(self._batch + self._rows + self._columns, result),
        )
        self._is_inner = not (self._rows or self._columns)

    def compute(self, a: Array, b: Array) -> Array:
        if not self._summed or (self._is_inner and self._batch):  # no case for matmul
            return np.einsum(self.subscripts, a, b)
        length = dict(zip(self.left + self.right, a.shape + b.shape, strict=True))
        batch, rows, columns, summed = (
            [length[label] for label in labels]
            for labels in (self._batch, self._rows, self._columns, self._summed)
        )
        inner = math.prod(summed)
        order_a, order_b, order_result = self._orders
        a = np.reshape(np.transpose(a, order_a), (*batch, math.prod(rows), inner))
        b = np.reshape(np.transpose(b, order_b), (*batch, inner, math.prod(columns)))
        product = np.reshape(np.matmul(a, b), (*batch, *rows, *columns))
        return np.transpose(product, order_result)

    def gradient(self, out_grad: Tensor, node: Tensor) -> tuple[Tensor | None, Tensor | None]:
        a, b = node.inputs
        for_a = f"{self.result},{self.right}->{self.left}"
        for_b = f"{self.left},{self.result}->{self.right}"
        return (
            _einsum(for_a)(out_grad, b) if a.requires_grad else None,
            _einsum(for_b)(a, out_grad) if b.requires_grad else None,
        )


_einsum = lru_cache(Einsum)


def _order(labels: Sequence[str], wanted: Iterable[str]) -> list[int]:
    return [labels.index(label) for label in wanted]


def einsum(subscripts: Any, *operands: Any, optimize: bool | str = "greedy") -> Tensor:
    """A sum of products of any number of tensors, by Einstein's convention (np.einsum).

    Args:
        subscripts: one letter for each axis, terms separated by commas: `"ij,jk->ik"`. Without
            `->` the result has the letters that occur once, in alphabetical order. `...` stands
            for axes that broadcast; a letter that occurs twice in a term takes its diagonal.
            NumPy's other form, `einsum(a, [0, 1], b, [1, 2], [0, 2])`, is accepted, too.
        optimize: the order of contraction of three or more operands, "greedy" or "optimal" as in
            np.einsum; False contracts them from left to right.

    Example:
        >>> import needle as ndl
        >>> a, b = ndl.Tensor([[1.0, 2.0], [3.0, 4.0]]), ndl.Tensor([1.0, 10.0])
        >>> ndl.einsum("ij,j->i", a, b).numpy()
        array([21., 43.])
    """
    if not isinstance(subscripts, str):
        subscripts, operands = _from_lists((subscripts, *operands))
    operands = tuple(as_tensors("einsum", operands))
    shapes = tuple(operand.shape for operand in operands)
    terms, result = _terms(subscripts, shapes)
    length = _lengths(subscripts, terms, shapes)
    labelled = [_once_each(*each, length) for each in zip(terms, operands, strict=True)]
    equation = ",".join(labels for labels, _ in labelled) + "->" + result
    for positions in _path(equation, tuple([each.shape for _, each in labelled]), optimize):
        chosen = [labelled[position] for position in positions]
        others = [each for position, each in enumerate(labelled) if position not in positions]
        kept = result + "".join(labels for labels, _ in others)
        labelled = [*others, _contract(chosen, kept)]
    ((labels, tensor),) = labelled
    return permute(tensor, _order(labels, result)) if labels != result else tensor


def _from_lists(arguments: tuple[Any, ...]) -> tuple[str, tuple[Any, ...]]:
    """einsum(a, [0, 1], b, [1, 2], [0, 2]) in letters."""

    def letters(labels: Iterable[Any]) -> str:
        return "".join("..." if label is Ellipsis else _LETTERS[label] for label in labels)

    pairs = len(arguments) // 2
    subscripts = ",".join(letters(labels) for labels in arguments[1 : 2 * pairs : 2])
    if len(arguments) % 2:
        subscripts += "->" + letters(arguments[-1])
    return subscripts, arguments[0 : 2 * pairs : 2]


@lru_cache
def _terms(subscripts: str, shapes: tuple[_Shape, ...]) -> tuple[list[str], str]:
    """The labels of each operand and of the result, with letters for what `...` stands for."""
    left, arrow, result = subscripts.replace(" ", "").partition("->")
    terms = left.split(",")
    if len(terms) != len(shapes):
        raise ValueError(f"einsum {subscripts!r} has {len(terms)} terms for {len(shapes)} operands")
    widths = []
    for term, shape in zip(terms, shapes, strict=True):
        named = term.replace("...", "", 1)
        width = len(shape) - len(named)  # the number of axes that `...` stands for
        if width < 0 or (width and named == term) or not set(named) <= set(_LETTERS):
            raise ValueError(
                f"einsum {subscripts!r}: term {term!r} does not fit an operand of shape "
                f"{shape}: it takes one letter for each axis, and '...' for any number of axes"
            )
        widths.append(width)
    spread = "".join(letter for letter in _LETTERS if letter not in subscripts)[: max(widths)]
    letters = "".join(terms).replace(".", "")
    if not arrow:
        result = "..." + "".join(sorted(each for each in letters if letters.count(each) == 1))
    named = result.replace("...", "", 1)
    if len(set(named)) < len(named) or not set(named) <= set(letters):
        raise ValueError(
            f"einsum {subscripts!r}: the result takes each letter of the terms at most once"
        )
    if spread and named == result:
        raise ValueError(f"einsum {subscripts!r}: the result lacks the '...' of the terms")
    terms = [
        term.replace("...", spread[len(spread) - width :])
        for term, width in zip(terms, widths, strict=True)
    ]
    return terms, result.replace("...", spread)


def _lengths(subscripts: str, terms: Sequence[str], shapes: Sequence[_Shape]) -> dict[str, int]:
    """The length that each label stands for."""
    length = dict.fromkeys("".join(terms), 1)
    for term, shape in zip(terms, shapes, strict=True):
        last = dict(zip(term, shape, strict=True))  # axes of one operand do not broadcast
        for label, size in zip(term, shape, strict=True):
            is_diagonal = size != last[label]
            known = last[label] if is_diagonal else length[label]
            if size != known and (is_diagonal or 1 not in (size, known)):
                raise ValueError(
                    f"einsum {subscripts!r} of shapes {' and '.join(map(str, shapes))}: "
                    f"{label!r} stands for lengths {min(size, known)} and {max(size, known)}"
                )
            if length[label] == 1:
                length[label] = size
    return length


def _once_each(labels: str, tensor: Tensor, length: dict[str, int]) -> _Labelled:
    """The operand with each label once: repeated labels take diagonals, axes of length 1 that
    broadcast are removed."""
    while len(set(labels)) < len(labels):
        label = next(each for each in labels if labels.count(each) > 1)
        first, second = labels.index(label), labels.rindex(label)
        tensor = diagonal(tensor, 0, first, second)
        labels = labels[:first] + labels[first + 1 : second] + labels[second + 1 :] + label
    shape = tensor.shape
    kept = [pair for pair in zip(labels, shape, strict=True) if length[pair[0]] == pair[1]]
    if len(kept) < len(labels):
        labels = "".join(label for label, _ in kept)
        tensor = reshape(tensor, tuple(size for _, size in kept))
    return labels, tensor


@lru_cache
def _path(equation: str, shapes: tuple[_Shape, ...], optimize: bool | str) -> list[tuple[int, ...]]:
    """The positions of the operands of each contraction; its product is appended to the rest."""
    if len(shapes) < 3:
        return [tuple(range(len(shapes)))]
    # NumPy reads the shapes only: views of one number need no memory
    operands = [np.broadcast_to(0.0, shape) for shape in shapes]
    return np.einsum_path(equation, *operands, optimize=optimize)[0][1:]


def _contract(chosen: Sequence[_Labelled], kept: str) -> _Labelled:
    """The product of operands, summed over the labels that are not kept."""
    product, *others = chosen
    for position, (labels, tensor) in enumerate(others, start=1):
        needed = kept + "".join(each for each, _ in chosen[position + 1 :])
        left, a = _summed(product, needed + labels)
        right, b = _summed((labels, tensor), needed + product[0])
        joined = "".join(each for each in dict.fromkeys(needed) if each in left or each in right)
        product = joined, _einsum(f"{left},{right}->{joined}")(a, b)
    return _summed(product, kept)


def _summed(labelled: _Labelled, kept: str) -> _Labelled:
    labels, tensor = labelled
    axes = [axis for axis, label in enumerate(labels) if label not in kept]
    if not axes:
        return labelled
    return "".join(label for label in labels if label in kept), summation(tensor, axes)


@by_any_name
def tensordot(a: Tensor, b: Tensor, axes: Any = 2) -> Tensor:
    """The sum of products over `axes`: an int (the last of a with the first of b) or two lists.

    Example:
        >>> import needle as ndl
        >>> ndl.tensordot(ndl.Tensor([1.0, 2.0]), ndl.Tensor([3.0, 4.0]), 1).item()
        11.0
    """
    if isinstance(axes, int):
        axes = range(a.ndim - axes, a.ndim), range(axes)
    axes_a, axes_b = (
        normalize_axes(given, operand.ndim) for given, operand in zip(axes, (a, b), strict=True)
    )
    if [a.shape[axis] for axis in axes_a] != [b.shape[axis] for axis in axes_b]:
        raise ValueError(
            f"tensordot of shapes {a.shape} and {b.shape}: axes {axes_a} and {axes_b} differ in "
            "number or length"
        )
    left, right = _LETTERS[: a.ndim], list(_LETTERS[a.ndim : a.ndim + b.ndim])
    for axis_a, axis_b in zip(axes_a, axes_b, strict=True):
        right[axis_b] = left[axis_a]
    result = "".join(each for each in (*left, *right) if (each in left) != (each in right))
    return _einsum(f"{left},{''.join(right)}->{result}")(a, b)


@by_any_name
def outer(a: Tensor, b: Tensor) -> Tensor:
    """The matrix a_i·b_j of two vectors; tensors of more axes are flattened.

    Example:
        >>> import needle as ndl
        >>> ndl.outer(ndl.Tensor([1.0, 2.0]), ndl.Tensor([3.0, 4.0])).numpy()
        array([[3., 4.],
               [6., 8.]])
    """
    return multiply(reshape(a, (a.size, 1)), reshape(b, (1, b.size)))


@by_any_name
def dot(a: Tensor, b: Tensor) -> Tensor:
    """Σ a·b of two vectors; of more axes as np.dot: over the last of a and the last but one of b.

    Example:
        >>> import needle as ndl
        >>> ndl.dot(ndl.Tensor([1.0, 2.0]), ndl.Tensor([3.0, 4.0])).item()
        11.0
    """
    if not a.ndim or not b.ndim:
        return multiply(a, b)
    return matmul(a, b) if b.ndim <= 2 else tensordot(a, b, ([-1], [-2]))


@by_any_name
def inner(a: Tensor, b: Tensor) -> Tensor:
    """Σ a·b over the last axes of both, as np.inner.

    Example:
        >>> import needle as ndl
        >>> ndl.inner(ndl.Tensor([[1.0, 2.0], [0.0, 1.0]]), ndl.Tensor([3.0, 4.0])).numpy()
        array([11.,  4.])
    """
    return tensordot(a, b, ([-1], [-1])) if a.ndim and b.ndim else multiply(a, b)


@by_any_name
def mm(a: Tensor, b: Tensor) -> Tensor:
    """The product of two matrices. `matmul` takes tensors of any number of axes.

    Example:
        >>> import needle as ndl
        >>> ndl.mm(ndl.Tensor([[1.0, 2.0]]), ndl.Tensor([[3.0], [4.0]])).numpy()
        array([[11.]])
    """
    return _checked_product("mm", a, b, 2, 2)


@by_any_name
def bmm(a: Tensor, b: Tensor) -> Tensor:
    """The products of two batches of matrices, of three axes each.

    Example:
        >>> import needle as ndl
        >>> ndl.bmm(ndl.ones(5, 2, 3), ndl.ones(5, 3, 4)).shape
        (5, 2, 4)
    """
    return _checked_product("bmm", a, b, 3, 3)


@by_any_name
def mv(a: Tensor, b: Tensor) -> Tensor:
    """The product of a matrix and a vector.

    Example:
        >>> import needle as ndl
        >>> ndl.mv(ndl.Tensor([[1.0, 2.0]]), ndl.Tensor([3.0, 4.0])).numpy()
        array([11.])
    """
    return _checked_product("mv", a, b, 2, 1)


def _checked_product(name: str, a: Tensor, b: Tensor, left: int, right: int) -> Tensor:
    if (a.ndim, b.ndim) != (left, right) or (left == 3 and len(a) != len(b)):
        batches = " and equal lengths of the first" if left == 3 else ""
        raise ValueError(
            f"{name} takes tensors of {left} and {right} axes{batches}, got shapes {a.shape} and "
            f"{b.shape}: matmul takes any number of axes, which broadcast"
        )
    return matmul(a, b)
