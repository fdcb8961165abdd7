"""Inverses, linear systems and determinants of square matrices, batched over leading axes."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from ...autograd import Array, Tensor, TensorOp, TensorTuple, TensorTupleOp
from ...device import to_numpy
from ..kinds import stated, unbroadcast
from ..names import by_any_name
from ..reductions import summation
from ..tuples import TupleGetItem
from ..views import expand_dims
from .matrices import diagonal_mask, diagonal_matrix, trace

__all__ = [
    "Cofactor", "Det", "det", "Inverse", "inv", "inverse", "SlogDet", "SlogDetResult", "slogdet",
    "Solve", "solve",
]  # fmt: skip


class MatrixErrors:
    """Why an op on matrices failed: the shape, or a singular matrix."""

    square = True

    def _reason(self, cause: Exception, *arrays: Array) -> str:
        a = arrays[0]
        if a.ndim < 2 or (self.square and a.shape[-1] != a.shape[-2]):
            kind = "square matrices" if self.square else "matrices"
            return f"it takes {kind} in the last two axes"
        if str(cause) != "Singular matrix":
            return str(cause)
        singular = np.argwhere(to_numpy(np.linalg.slogdet(a)[0]) == 0)
        name = name_matrix(singular[0]) if len(singular) else "a matrix"
        return (
            f"{name} is singular: its rows are linearly dependent, and it has no inverse; "
            "add a small multiple of the identity to make it invertible"
        )


def entries(value: TensorTuple, count: int) -> list[Tensor]:
    """The entries of a tuple of known length, without computing it."""
    return [TupleGetItem(index)(value) for index in range(count)]


def name_matrix(index: Sequence[int]) -> str:
    """A matrix of a batch, for error messages."""
    return f"matrix {tuple(map(int, index))} of the batch" if len(index) else "the matrix"


class FiniteMatrices(MatrixErrors):
    """LAPACK's results are undefined for matrices with NaN or infinity; they are errors here."""

    def check(self, a: Array, *others: Array) -> None:
        if np.isfinite(a).all().item():
            return
        *index, row, column = np.argwhere(~np.isfinite(to_numpy(a)))[0].tolist()
        value = "NaN" if np.isnan(a[*index, row, column]) else "infinity"
        raise np.linalg.LinAlgError(
            f"{name_matrix(index)} holds {value} at row {row}, column {column}: "
            "look for where it comes from with needle.detect_anomaly()"
        )


class MatrixOp(FiniteMatrices, TensorOp):
    """An op of square matrices, which are finite."""


class Solve(MatrixOp):
    """A⁻¹·B for matrices B. Adjoints: -h·yᵀ, h, with h = A⁻ᵀ·g."""

    compute = staticmethod(np.linalg.solve)

    def gradient(self, out_grad: Tensor, node: Tensor) -> tuple[Tensor | None, Tensor]:
        a, b = node.inputs
        adjoint = self(a.transpose(), out_grad)
        adjoint_a = None
        if a.requires_grad:
            adjoint_a = unbroadcast(-(adjoint @ node.transpose()), a.shape)
        return adjoint_a, unbroadcast(adjoint, b.shape)

    def _reason(self, cause: Exception, *arrays: Array) -> str:
        a, b = arrays
        if a.ndim > 1 and a.shape[-2] == a.shape[-1] != b.shape[-2]:
            return f"the right side needs {a.shape[-1]} rows, one for each row of the matrix"
        return super()._reason(cause, *arrays)


class _AnyMatrices(MatrixErrors, TensorOp):
    """An op of square matrices that is NaN where they are."""


def _cofactors(a: Array) -> Array:
    # A = U·S·V: the cofactors of S are products of its other elements, without a division
    u, s, v = np.linalg.svd(a)
    others = np.prod(np.where(diagonal_mask(s), 1, np.expand_dims(s, -2)), axis=-1)
    signs = np.expand_dims(np.linalg.det(u) * np.linalg.det(v), (-2, -1))
    return signs * np.matmul(u * np.expand_dims(others, -2), v)


def _cofactors_adjoint(g: Tensor, y: Tensor, a: Tensor) -> Tensor:
    if a.shape[-1] <= 6:
        return _derivative_of_cofactors(a, g)
    transposed = inv(a).transpose()
    total = summation(g * transposed, (-2, -1), keepdims=True)
    return y * total - y @ g.transpose() @ transposed


def _derivative_of_cofactors(a: Tensor, direction: Tensor) -> Tensor:
    """The directional derivative of the cofactors, a polynomial in the elements of A.

    The algorithm of Faddeev and LeVerrier: with M₁ = 1 and Mₖ₊₁ = A·Mₖ - tr(A·Mₖ)/k, the
    transposed cofactors are ±Mₙ. Stable for small matrices only.
    """
    n = a.shape[-1]

    def reduced(product: Tensor, k: int) -> Tensor:
        share = expand_dims(trace(product, 0, -2, -1) / k, -1)
        return product - diagonal_matrix(share.broadcast_to((*share.shape[:-1], n)))

    m, derivative = a, direction * 0  # M₁ is not used
    for k in range(1, n):
        of_product = direction @ m + a @ derivative if k > 1 else direction
        m, derivative = reduced(a @ m if k > 1 else a, k), reduced(of_product, k)
    return derivative.transpose() * (-1) ** (n - 1)


# fmt: off
Inverse, inv = stated(MatrixOp, "Inverse", "inv", np.linalg.inv, lambda g, y, a: -(y.mT @ g @ y.mT),
    "The inverse A⁻¹ of square matrices, else numpy.linalg.LinAlgError. Adjoint: -yᵀ·g·yᵀ.")
Cofactor, _cofactor = stated(MatrixOp, "Cofactor", "cofactor", _cofactors, _cofactors_adjoint,
    """C_ij = ∂ det A / ∂ A_ij, which is det A·A⁻ᵀ, and finite where A is singular.

    Adjoint: the directional derivative of C along g, since the Hessian of det is symmetric; of
    matrices larger than 6×6 y·(Σ g·A⁻ᵀ) - y·gᵀ·A⁻ᵀ, for which A must not be singular.
    """)
Det, det = stated(_AnyMatrices, "Det", "det",
    np.linalg.det, lambda g, y, a: expand_dims(g, (-2, -1)) * _cofactor(a),
    """The determinant of square matrices. Adjoint: g·C, with the cofactors C of A.

    The derivatives of matrices up to 6×6 are right where A is singular, too; so is the first
    derivative of larger ones, but the second goes through the inverse.

    Example:
        >>> import needle as ndl
        >>> x = ndl.Tensor([[1.0, 2.0], [2.0, 4.0]])
        >>> ndl.linalg.det(x).backward()
        >>> x.grad.numpy().round(12)
        array([[ 4., -2.],
               [-2.,  1.]])
    """)
# fmt: on
inverse = inv


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


@by_any_name
def solve(a: Tensor, b: Tensor) -> Tensor:
    """The solution x of a·x = b. As in NumPy, b is a vector if it has one axis, else matrices.

    numpy.linalg.LinAlgError says which matrix is singular.
    """
    return Solve()(a, expand_dims(b, -1))[..., 0] if b.ndim == 1 else Solve()(a, b)


@by_any_name
def slogdet(a: Tensor) -> SlogDetResult:
    """The sign and ln |det a|, which neither overflows nor underflows; (0, -inf) if singular.

    Differentiating the logarithm of a singular matrix raises numpy.linalg.LinAlgError.

    Example:
        >>> import needle as ndl
        >>> sign, logarithm = ndl.linalg.slogdet(ndl.Tensor([[2.0, 0.0], [0.0, -4.0]]))
        >>> sign.item(), round(logarithm.item(), 4)
        (-1.0, 2.0794)
    """
    return SlogDetResult(*entries(SlogDet()(a), 2))
