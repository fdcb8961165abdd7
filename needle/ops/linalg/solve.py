"""Inverses, linear systems and determinants of square matrices, batched over leading axes.

In the formulas g is the adjoint of the result and y the result; A is the matrix.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from ...autograd import Array, Tensor, TensorOp, TensorTuple, TensorTupleOp
from ..indexing import ScatterAdd
from ..kinds import unbroadcast
from ..reductions import summation
from ..tuples import TupleGetItem
from ..views import expand_dims

__all__ = [
    "Cofactor", "Det", "det", "Inverse", "inv", "inverse", "SlogDet", "SlogDetResult", "slogdet",
    "Solve", "solve",
]  # fmt: skip


class MatrixErrors:
    """What ops on matrices say of the matrix that has no result."""

    square = True
    missing = "inverse"

    def _error(self, cause: Exception, arrays: Sequence[Array]) -> Exception:
        error = super()._error(cause, arrays)  # type: ignore[misc]
        is_numerical = isinstance(cause, np.linalg.LinAlgError)
        return np.linalg.LinAlgError(str(error)) if is_numerical else error

    def _reason(self, cause: Exception, *arrays: Array) -> str:
        a = arrays[0]
        if a.ndim < 2 or (self.square and a.shape[-1] != a.shape[-2]):
            kind = "square matrices" if self.square else "matrices"
            return f"it takes {kind} in the last two axes"
        return str(cause)


def entries(value: TensorTuple, count: int) -> list[Tensor]:
    """The entries of a tuple of known length, without computing it."""
    return [TupleGetItem(index)(value) for index in range(count)]


def name_matrix(index: Sequence[int]) -> str:
    """How an error calls a matrix of a batch."""
    return f"matrix {tuple(map(int, index))} of the batch" if len(index) else "the matrix"


class _Invertible(MatrixErrors):
    def _reason(self, cause: Exception, *arrays: Array) -> str:
        reason = super()._reason(cause, *arrays)
        if reason != "Singular matrix":
            return reason
        singular = np.argwhere(np.linalg.slogdet(arrays[0])[0] == 0)
        name = name_matrix(singular[0]) if len(singular) else "a matrix"
        return (
            f"{name} is singular: its rows are linearly dependent, and it has no inverse; "
            "a small multiple of the identity added to it gives it one"
        )


class Inverse(_Invertible, TensorOp):
    """A⁻¹. Adjoint: -yᵀ·g·yᵀ."""

    compute = staticmethod(np.linalg.inv)

    def gradient(self, out_grad: Tensor, node: Tensor) -> Tensor:
        transposed = node.transpose()
        return -(transposed @ out_grad @ transposed)


class Solve(_Invertible, TensorOp):
    """A⁻¹·B for matrices B. Adjoints: -h·yᵀ, h, with h = A⁻ᵀ·g."""

    def compute(self, a: Array, b: Array) -> Array:
        return np.linalg.solve(a, b)

    def gradient(self, out_grad: Tensor, node: Tensor) -> tuple[Tensor | None, Tensor]:
        a, b = node.inputs
        adjoint = Solve()(a.transpose(), out_grad)
        adjoint_a = None
        if a.requires_grad:
            adjoint_a = unbroadcast(-(adjoint @ node.transpose()), a.shape)
        return adjoint_a, unbroadcast(adjoint, b.shape)

    def _reason(self, cause: Exception, *arrays: Array) -> str:
        a, b = arrays
        if a.ndim > 1 and a.shape[-2] == a.shape[-1] != b.shape[-2]:
            return f"the right side needs {a.shape[-1]} rows, one a row of the matrix"
        return super()._reason(cause, *arrays)


class Det(MatrixErrors, TensorOp):
    """det A. Adjoint: g·C, the cofactors of A: also where A is singular."""

    compute = staticmethod(np.linalg.det)

    def gradient(self, out_grad: Tensor, node: Tensor) -> Tensor:
        return expand_dims(out_grad, (-2, -1)) * Cofactor()(node.inputs[0])


class Cofactor(MatrixErrors, TensorOp):
    """C_ij = ∂ det A / ∂ A_ij, which is det A·A⁻ᵀ, and finite where A is singular.

    Adjoint: y·(Σ g·A⁻ᵀ) - y·gᵀ·A⁻ᵀ; for small matrices, and so for singular ones, by minors:
    C_ij is ± the determinant of A without row i and column j.
    """

    small = 6  # from here on n² determinants cost too much, and A must not be singular

    def compute(self, a: Array) -> Array:
        # A = U·S·V: the cofactors of S are products of its other elements, without a division
        u, s, v = np.linalg.svd(a)
        own = np.eye(s.shape[-1], dtype=bool, like=s)
        others = np.prod(np.where(own, 1, np.expand_dims(s, -2)), axis=-1)
        signs = np.expand_dims(np.linalg.det(u) * np.linalg.det(v), (-2, -1))
        return signs * np.matmul(u * np.expand_dims(others, -2), v)

    def gradient(self, out_grad: Tensor, node: Tensor) -> Tensor:
        (a,) = node.inputs
        if a.shape[-1] <= self.small:
            return self._gradient_by_minors(out_grad, a)
        transposed = inv(a).transpose()
        share = summation(out_grad * transposed, (-2, -1), keepdims=True)
        return node * share - node @ out_grad.transpose() @ transposed

    @staticmethod
    def _gradient_by_minors(out_grad: Tensor, a: Tensor) -> Tensor:
        index = _minors(a.shape[-1])
        signs = np.ones_like(a.realize_cached_data(), shape=a.shape[-2:])
        signs[::2, 1::2] = signs[1::2, ::2] = -1
        weights = expand_dims(out_grad * Tensor.make_const(signs), (-2, -1))
        return ScatterAdd(index, a.shape)(weights * Cofactor()(a[index]))


def _minors(n: int) -> tuple[Any, ...]:
    """The index of the n² matrices that lack a row and a column of an n×n matrix."""
    others = [[each for each in range(n) if each != left] for left in range(n)]
    kept = np.reshape(np.array(others, int), (n, max(n - 1, 0)))
    return Ellipsis, kept[:, None, :, None], kept[None, :, None, :]


class SlogDet(MatrixErrors, TensorTupleOp):
    """(sign of det A, ln |det A|). Adjoint: g₁·A⁻ᵀ; the sign is constant."""

    def compute(self, a: Array) -> tuple[Array, Array]:
        sign, logarithm = np.linalg.slogdet(a)
        return np.reshape(sign, a.shape[:-2]), np.reshape(logarithm, a.shape[:-2])

    def gradient(self, out_grad: TensorTuple, node: TensorTuple) -> Tensor:
        return expand_dims(out_grad[1], (-2, -1)) * inv(node.inputs[0]).transpose()


class SlogDetResult(NamedTuple):
    """The sign of a determinant and the logarithm of its absolute value."""

    sign: Tensor
    logabsdet: Tensor


def inv(a: Tensor) -> Tensor:
    """The inverse of square matrices.

    Raises:
        numpy.linalg.LinAlgError: a matrix is singular; the text says which.

    Example:
        >>> import needle as ndl
        >>> ndl.linalg.inv(ndl.Tensor([[2.0, 0.0], [0.0, 4.0]])).numpy()
        array([[0.5 , 0.  ],
               [0.  , 0.25]])
    """
    return Inverse()(a)


inverse = inv


def solve(a: Tensor, b: Tensor) -> Tensor:
    """The solution x of a·x = b. As in NumPy, b is a vector if it has one axis, else matrices.

    Raises:
        numpy.linalg.LinAlgError: a matrix is singular; the text says which.

    Example:
        >>> import needle as ndl
        >>> ndl.linalg.solve(ndl.Tensor([[2.0, 0.0], [0.0, 4.0]]), ndl.Tensor([1.0, 1.0])).numpy()
        array([0.5 , 0.25])
    """
    return Solve()(a, expand_dims(b, -1))[..., 0] if b.ndim == 1 else Solve()(a, b)


def det(a: Tensor) -> Tensor:
    """The determinant of square matrices; its gradient is right where it is 0, too.

    The second derivative of matrices larger than 6×6 goes through the inverse: they must not be
    singular.

    Example:
        >>> import needle as ndl
        >>> x = ndl.Tensor([[1.0, 2.0], [2.0, 4.0]])
        >>> ndl.linalg.det(x).backward()
        >>> x.grad.numpy().round(12)
        array([[ 4., -2.],
               [-2.,  1.]])
    """
    return Det()(a)


def slogdet(a: Tensor) -> SlogDetResult:
    """The sign and ln |det a|, which neither overflows nor underflows; (0, -inf) if singular.

    Differentiating the logarithm of a singular matrix raises numpy.linalg.LinAlgError.

    Example:
        >>> import needle as ndl
        >>> sign, logarithm = ndl.linalg.slogdet(ndl.Tensor([[2.0, 0.0], [0.0, -4.0]]))
        >>> sign.item(), round(logarithm.item(), 4)
        (-1.0, 2.0794)
    """
    value = SlogDet()(a)
    return SlogDetResult(*entries(value, 2))
