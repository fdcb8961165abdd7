"""Functions of matrices that are made of products: chains of them, and the exponential."""

from collections.abc import Sequence
from functools import lru_cache
from itertools import pairwise

import numpy as np

from ...autograd import Tensor
from ...autograd.abstract import NeedsNumbers
from ..arithmetic import greater, where
from ..contraction import matmul
from ..functions import abs
from ..names import as_tensors, by_any_name
from ..reductions import Max, summation
from ..views import stop_gradient
from .solve import solve

__all__ = ["expm", "matrix_exp", "multi_dot"]


def multi_dot(arrays: Sequence[Tensor]) -> Tensor:
    """The product of two or more matrices, in the order that takes the fewest multiplications.

    The first and the last may be vectors, a row and a column, as in np.linalg.multi_dot.

    Example:
        >>> import needle as ndl
        >>> row, matrix = ndl.Tensor([1.0, 2.0]), ndl.Tensor([[1.0, 2.0], [3.0, 4.0]])
        >>> ndl.linalg.multi_dot([row, matrix, matrix, row]).item()
        145.0
    """
    arrays = as_tensors("multi_dot", arrays)
    if len(arrays) < 2:
        raise ValueError(f"multi_dot takes two or more tensors, got {len(arrays)}")
    shapes = [tuple(array.shape) for array in arrays]
    for place, shape in enumerate(shapes):
        is_inner = 0 < place < len(shapes) - 1
        if len(shape) != 2 and (is_inner or len(shape) != 1):
            raise ValueError(
                f"multi_dot of shapes {', '.join(map(str, shapes))}: it takes matrices, the first "
                f"and the last may be vectors; tensor {place} has {len(shape)} axes"
            )
    for place, (left, right) in enumerate(pairwise(shapes)):
        if left[-1] != right[0]:
            raise ValueError(
                f"multi_dot of shapes {', '.join(map(str, shapes))}: tensors {place} and "
                f"{place + 1} have no product, {left[-1]} and {right[0]} differ"
            )
    lengths = [shapes[0][0] if len(shapes[0]) == 2 else 1, *[shape[0] for shape in shapes[1:]]]
    lengths.append(shapes[-1][1] if len(shapes[-1]) == 2 else 1)
    splits = _order(tuple(lengths))

    def product(first: int, last: int) -> Tensor:
        if first == last:
            return arrays[first]
        middle = splits[first, last]
        return matmul(product(first, middle), product(middle + 1, last))

    return product(0, len(arrays) - 1)


@lru_cache
def _order(lengths: tuple[int, ...]) -> dict[tuple[int, int], int]:
    """Where to split each run of matrices; matrix i is lengths[i] × lengths[i + 1]."""
    count = len(lengths) - 1
    costs = {(place, place): 0 for place in range(count)}
    splits: dict[tuple[int, int], int] = {}
    for width in range(1, count):
        for first in range(count - width):
            last = first + width
            costs[first, last], splits[first, last] = min(
                (
                    costs[first, middle]
                    + costs[middle + 1, last]
                    + lengths[first] * lengths[middle + 1] * lengths[last + 1],
                    middle,
                )
                for middle in range(first, last)
            )
    return splits


# N. J. Higham, "The scaling and squaring method for the matrix exponential revisited" (2005): the
# coefficients of the Padé approximant of degree 13, lowest first; A. H. Al-Mohy and N. J. Higham
# (2009): the norm up to which it is exact in float64
_PADE = (
    64764752532480000.0, 32382376266240000.0, 7771770303897600.0, 1187353796428800.0,
    129060195264000.0, 10559470521600.0, 670442572800.0, 33522128640.0, 1323241920.0, 40840800.0,
    960960.0, 16380.0, 182.0, 1.0,
)  # fmt: skip
_LARGEST_NORM = 4.25
_MOST_SQUARINGS = 64  # of matrices whose norm cannot be read; larger ones have no digit right


@by_any_name
def expm(a: Tensor) -> Tensor:
    """The exponential of square matrices, Σ Aᵏ/k!, as scipy.linalg.expm; batched.

    By scaling and squaring, made of products and one solution of a system, so that it has all
    derivatives.

    Example:
        >>> import needle as ndl
        >>> ndl.linalg.expm(ndl.Tensor([[0.0, 1.0], [0.0, 0.0]])).numpy()
        array([[1., 1.],
               [0., 1.]])
    """
    a = a if isinstance(a, Tensor) else Tensor(a, requires_grad=False)
    if a.ndim < 2 or a.shape[-1] != a.shape[-2]:
        raise np.linalg.LinAlgError(
            f"expm of shape {a.shape}: it takes square matrices in the last two axes"
        )
    if a.dtype.kind != "f":
        a = a.astype(np.float64)
    if not a.size:
        return a * 1
    norm = Max(-1, keepdims=True)(summation(abs(stop_gradient(a)), -2, keepdims=True))
    try:
        squarings = _squarings(norm.numpy().max())
        are_all = a.ndim == 2
    except NeedsNumbers:  # inside vmap
        squarings, are_all = _MOST_SQUARINGS, False
    if are_all:
        result = _pade(a * 0.5**squarings)
        for _ in range(squarings):
            result = result @ result
        return result
    # each matrix as often as its own norm asks for: more would round its result off
    are_large = [greater(norm, _LARGEST_NORM * 2.0**power) for power in range(squarings)]
    for is_large in are_large:
        a = where(is_large, a * 0.5, a)
    result = _pade(a)
    for is_large in are_large:
        result = where(is_large, result @ result, result)
    return result


matrix_exp = expm  # PyTorch's name


def _squarings(norm: float) -> int:
    return int(np.ceil(np.log2(norm / _LARGEST_NORM))) if _LARGEST_NORM < norm < np.inf else 0


def _pade(a: Tensor) -> Tensor:
    """The rational approximation of the exponential near 0."""
    one = Tensor.make_const(a.device.array(np.eye(a.shape[-1]), a.dtype))
    b = _PADE
    square = a @ a
    fourth = square @ square
    sixth = fourth @ square
    odd = sixth @ (sixth * b[13] + fourth * b[11] + square * b[9])
    odd = a @ (odd + sixth * b[7] + fourth * b[5] + square * b[3] + one * b[1])
    even = sixth @ (sixth * b[12] + fourth * b[10] + square * b[8])
    even = even + sixth * b[6] + fourth * b[4] + square * b[2] + one * b[0]
    return solve(even - odd, even + odd)
