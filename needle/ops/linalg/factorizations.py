"""Factorizations of matrices, batched over leading axes.

In the formulas g with the name of a factor is the adjoint of that factor. Sources: M. Giles, "An
extended collection of matrix derivative results" (2008); J. Townsend, "Differentiating the singular
value decomposition" (2016); S. Walter and L. Lehmann, "Algorithmic differentiation of linear
algebra functions" (2010).
"""

from collections.abc import Sequence
from typing import Literal, NamedTuple

import numpy as np

from ...autograd import Array, Tensor, TensorOp, TensorTuple, TensorTupleOp
from ...device import to_numpy
from ..indexing import concatenate
from ..kinds import stated, unary, unbroadcast
from ..names import by_any_name
from ..views import expand_dims
from .matrices import diagonal_mask, diagonal_matrix, tril
from .solve import FiniteMatrices, MatrixOp, Solve, entries, name_matrix, solve

__all__ = [
    "Cholesky", "cholesky", "Eigh", "EighResult", "eigh", "Eigvalsh", "eigvalsh", "QR", "QRResult",
    "qr", "SVD", "SVDResult", "svd", "SVDVals", "svdvals",
]  # fmt: skip


class Cholesky(MatrixOp):
    """The lower triangular L with A = L·Lᵀ. Adjoint: sym(L⁻ᵀ·Φ(Lᵀ·g)·L⁻¹).

    Φ takes the lower triangle with half the diagonal, sym(X) = (X + Xᵀ)/2.
    """

    compute = staticmethod(np.linalg.cholesky)

    def gradient(self, out_grad: Tensor, node: Tensor) -> Tensor:
        upper = node.transpose()
        inner = upper @ out_grad
        half = (tril(inner) + tril(inner, -1)) / 2
        return _symmetric(solve(upper, solve(upper, half).transpose()))

    def _reason(self, cause: Exception, *arrays: Array) -> str:
        reason = super()._reason(cause, *arrays)
        if "positive definite" not in reason:
            return reason
        smallest = to_numpy(np.linalg.eigvalsh(arrays[0]))[..., 0]
        name = name_matrix(np.argwhere(~(smallest > smallest.min()))[0])
        return f"{name} is not positive definite: its smallest eigenvalue is {smallest.min()}"


class Eigh(FiniteMatrices, TensorTupleOp):
    """(w, V) with A = V·diag(w)·Vᵀ. Adjoint: sym(V·(diag(g_w) + K)·Vᵀ).

    K_ij = (Vᵀ·g_V)_ij / (w_j - w_i): no derivative of V where eigenvalues are equal.
    """

    def __init__(self, uplo: Literal["L", "U"] = "L") -> None:
        self.uplo = uplo

    def compute(self, a: Array) -> tuple[Array, ...]:
        return tuple(np.linalg.eigh(a, self.uplo))

    def gradient(self, out_grad: TensorTuple, node: TensorTuple) -> Tensor:
        (w, v), (g_w, g_v) = node, out_grad
        turns = SafeDivide("eigen")(v.transpose() @ g_v, expand_dims(w, -2) - expand_dims(w, -1), w)
        return _symmetric(v @ (diagonal_matrix(g_w) + turns) @ v.transpose())


class SVD(FiniteMatrices, TensorTupleOp):
    """(U, s, Vᵀ) with A = U·diag(s)·Vᵀ. Adjoint: U·(diag(g_s) + K)·Vᵀ + parts off U and off V.

    K = (D + Dᵀ + E - Eᵀ)/2, D_ij = (Uᵀ·g_U + Vᵀ·g_V)_ij / (s_j - s_i),
    E_ij = (Uᵀ·g_U - Vᵀ·g_V)_ij / (s_j + s_i). The parts are (1 - U·Uᵀ)·g_U·diag(s)⁻¹·Vᵀ and
    U·diag(s)⁻¹·g_Vᵀ·(1 - V·Vᵀ). No derivative of U and V where singular values are equal, or 0
    unless A is square.
    """

    square = False

    def __init__(self, full_matrices: bool = True) -> None:
        self.full_matrices = full_matrices

    def compute(self, a: Array) -> tuple[Array, ...]:
        return tuple(np.linalg.svd(a, self.full_matrices))

    def gradient(self, out_grad: TensorTuple, node: TensorTuple) -> Tensor:
        rows, columns = node.inputs[0].shape[-2:]
        if self.full_matrices and rows != columns:
            raise ValueError(
                f"svd of {rows}×{columns} matrices with full_matrices=True: the vectors without "
                "a singular value are arbitrary and have no derivative; pass full_matrices=False"
            )
        (u, s, vt), (g_u, g_s, g_vt) = node, out_grad
        v, g_v = vt.transpose(), g_vt.transpose()
        turn_u, turn_v = u.transpose() @ g_u, vt @ g_v
        quotient = SafeDivide("singular ")
        d = quotient(turn_u + turn_v, expand_dims(s, -2) - expand_dims(s, -1), s)
        e = quotient(turn_u - turn_v, expand_dims(s, -2) + expand_dims(s, -1), s)
        turns = (d + d.transpose() + e - e.transpose()) / 2
        adjoint = u @ (diagonal_matrix(g_s) + turns) @ vt
        over = SafeDivide("singular ", pairs=False)
        if rows > columns:
            adjoint = adjoint + over(g_u - u @ turn_u, expand_dims(s, -2), s) @ vt
        if columns > rows:
            adjoint = adjoint + u @ over(g_v - v @ turn_v, expand_dims(s, -2), s).transpose()
        return adjoint


class QR(FiniteMatrices, TensorTupleOp):
    """(Q, R) with A = Q·R. Adjoint: (g_Q + Q·C(R·g_Rᵀ - g_Qᵀ·Q))·R⁻ᵀ.

    C mirrors the lower triangle. Of a matrix [A, B] with more columns than rows R is
    [R, Qᵀ·B], whose second part is differentiated as that product.
    """

    square = False

    def compute(self, a: Array) -> tuple[Array, ...]:
        return tuple(np.linalg.qr(a))

    def gradient(self, out_grad: TensorTuple, node: TensorTuple) -> Tensor:
        (a,) = node.inputs
        (q, r), (g_q, g_r) = node, out_grad
        rows, columns = a.shape[-2:]
        if columns <= rows:
            return _square_part(q, r, g_q, g_r)
        g_rest = g_r[..., rows:]
        g_q = g_q + a[..., rows:] @ g_rest.transpose()
        first = _square_part(q, r[..., :rows], g_q, g_r[..., :rows])
        return concatenate((first, q @ g_rest), axis=-1)


def _square_part(q: Tensor, r: Tensor, g_q: Tensor, g_r: Tensor) -> Tensor:
    inner = r @ g_r.transpose() - g_q.transpose() @ q
    mirrored = tril(inner) + tril(inner, -1).transpose()
    return SolveFullRank()(r, (g_q + q @ mirrored).transpose()).transpose()


class SolveFullRank(Solve):
    """R⁻¹·B for a triangular R, if the columns of Q·R are independent. Adjoints: as Solve."""

    def check(self, r: Array, b: Array) -> None:
        sizes = np.absolute(np.diagonal(r, axis1=-2, axis2=-1))
        is_zero = sizes <= _tolerance(sizes)
        if is_zero.any().item():
            *batch, _ = np.argwhere(to_numpy(is_zero))[0]
            raise np.linalg.LinAlgError(
                f"{name_matrix(batch)} has linearly dependent columns: "
                "its QR factorization has no derivative"
            )

    def _error(self, cause: Exception, arrays: Sequence[Array]) -> Exception:
        return cause


class SafeDivide(TensorOp):
    """x / d, and 0 where d is 0 to rounding and the result does not use that column of x.

    A column of zeros is not used. The third operand, w, gives d its scale. With `pairs`, d belongs
    to columns i and j, of which neither may be used. Adjoints: g / d, -g·y / d.
    """

    def __init__(self, kind: str, pairs: bool = True) -> None:
        self.kind = kind
        self.pairs = pairs

    def check(self, x: Array, d: Array, w: Array) -> None:
        is_used = np.any(x != 0, axis=-2, keepdims=True)
        if self.pairs:
            is_used = (is_used | np.swapaxes(is_used, -1, -2)) & ~diagonal_mask(w)
        is_wrong = self._is_zero(d, w) & is_used
        if not is_wrong.any().item():
            return
        *batch, i, j = map(int, np.argwhere(to_numpy(is_wrong))[0])
        values = to_numpy(w)[tuple(batch)]
        if self.pairs:
            who = f"{self.kind}values {i} and {j} are equal to rounding ({values[i]}, {values[j]})"
        else:
            who = f"{self.kind}value {j} is 0 to rounding ({values[j]})"
        raise np.linalg.LinAlgError(
            f"{who} in {name_matrix(batch)}: such {self.kind}vectors have no derivative, only the "
            f"{self.kind}values and the other {self.kind}vectors have one"
        )

    def compute(self, x: Array, d: Array, w: Array) -> Array:
        is_zero = self._is_zero(d, w)
        return np.where(is_zero, 0, x) / np.where(is_zero, 1, d)

    def _is_zero(self, d: Array, w: Array) -> Array:
        is_zero = np.absolute(d) <= np.expand_dims(_tolerance(w), -2)
        return is_zero | diagonal_mask(w) if self.pairs else is_zero

    def _error(self, cause: Exception, arrays: Sequence[Array]) -> Exception:
        return cause

    def gradient(self, out_grad: Tensor, node: Tensor) -> tuple[Tensor | None, Tensor, None]:
        x, d, w = node.inputs
        adjoint_x = self(out_grad, d, w) if x.requires_grad else None
        return adjoint_x, unbroadcast(-self(out_grad * node, d, w), d.shape), None


def _tolerance(values: Array) -> Array:
    """The differences below which eigenvalues of one matrix are equal to rounding."""
    largest = np.absolute(values)
    if values.shape[-1]:
        largest = largest.max(axis=-1, keepdims=True)
    return largest * (10 * values.shape[-1] * np.finfo(values.dtype).eps)


def _symmetric(a: Tensor) -> Tensor:
    return (a + a.transpose()) / 2


def _eigenvalues_adjoint(g: Tensor, y: Tensor, a: Tensor, uplo: Literal["L", "U"]) -> Tensor:
    v = eigh(a, uplo).eigenvectors
    return (v * expand_dims(g, -2)) @ v.transpose()


Eigvalsh, _ = stated(
    MatrixOp, "Eigvalsh", "eigvalsh",
    lambda a, /, uplo="L": np.linalg.eigvalsh(a, uplo), _eigenvalues_adjoint,
    "The eigenvalues w of A = V·diag(w)·Vᵀ. Adjoint: V·diag(g)·Vᵀ.",
)  # fmt: skip


class SVDVals(MatrixOp):
    """The singular values s of A = U·diag(s)·Vᵀ, descending. Adjoint: U·diag(g)·Vᵀ."""

    square = False

    def compute(self, a: Array) -> Array:
        return np.linalg.svd(a, compute_uv=False)

    def gradient(self, out_grad: Tensor, node: Tensor) -> Tensor:
        u, _, vt = entries(SVD(full_matrices=False)(node.inputs[0]), 3)
        return (u * expand_dims(out_grad, -2)) @ vt


svdvals = unary(SVDVals())


class EighResult(NamedTuple):
    """Eigenvalues, ascending, and eigenvectors, the columns."""

    eigenvalues: Tensor
    eigenvectors: Tensor


class SVDResult(NamedTuple):
    """Left singular vectors (columns), singular values, descending, right ones (rows)."""

    U: Tensor
    S: Tensor
    Vh: Tensor


class QRResult(NamedTuple):
    """Orthonormal columns and an upper triangular matrix."""

    Q: Tensor
    R: Tensor


@by_any_name
def cholesky(a: Tensor, *, upper: bool = False) -> Tensor:
    """The lower triangular L with a = L·Lᵀ (or its transpose, `upper`) of symmetric matrices.

    Only one triangle of a is read; the gradient is symmetric. numpy.linalg.LinAlgError says which
    matrix is not positive definite.
    """
    return Cholesky()(a.transpose()).transpose() if upper else Cholesky()(a)


@by_any_name
def eigh(a: Tensor, UPLO: Literal["L", "U"] = "L") -> EighResult:
    """Eigenvalues, ascending, and eigenvectors of symmetric matrices: a·v_i = w_i·v_i.

    Only the triangle `UPLO` of a is read; the gradient is symmetric. Eigenvectors of eigenvalues
    that are equal to rounding have no derivative: backward raises numpy.linalg.LinAlgError if the
    result depends on them. The eigenvalues and the other eigenvectors have their first derivative.

    Example:
        >>> import needle as ndl
        >>> w, v = ndl.linalg.eigh(ndl.Tensor([[2.0, 1.0], [1.0, 2.0]]))
        >>> w.numpy().round(6)
        array([1., 3.])
    """
    return EighResult(*entries(Eigh(UPLO)(a), 2))


@by_any_name
def eigvalsh(a: Tensor, UPLO: Literal["L", "U"] = "L") -> Tensor:
    """The eigenvalues of symmetric matrices, ascending."""
    return Eigvalsh(UPLO)(a)


@by_any_name
def svd(a: Tensor, full_matrices: bool = True, compute_uv: bool = True) -> SVDResult | Tensor:
    """The singular value decomposition a = U·diag(S)·Vh, S descending; S alone if not compute_uv.

    With full_matrices (NumPy's default) U and Vh are square, and only square matrices can be
    differentiated: pass False. Vectors of singular values that are equal to rounding (or 0, unless
    a is square) have no derivative: backward raises numpy.linalg.LinAlgError if the result depends
    on them. The singular values have their first derivative.

    Example:
        >>> import needle as ndl
        >>> u, s, vh = ndl.linalg.svd(ndl.Tensor([[0.0, 2.0], [3.0, 0.0], [0.0, 0.0]]), False)
        >>> s.numpy(), u.shape
        (array([3., 2.]), (3, 2))
    """
    return SVDResult(*entries(SVD(full_matrices)(a), 3)) if compute_uv else svdvals(a)


@by_any_name
def qr(a: Tensor, mode: str = "reduced") -> QRResult | Tensor:
    """Q with orthonormal columns and upper triangular R, a = Q·R; R alone with mode "r".

    Its derivative exists where the columns of a (the first ones, if there are more than rows) are
    linearly independent; else backward raises numpy.linalg.LinAlgError.
    """
    if mode not in ("reduced", "r"):
        raise ValueError(f"qr takes the modes 'reduced' and 'r', got {mode!r}")
    q, r = entries(QR()(a), 2)
    return QRResult(q, r) if mode == "reduced" else r
