"""Pseudoinverses and least squares, batched over leading axes.

In the formulas g is the adjoint of the result. Source: G. H. Golub and V. Pereyra, "The
differentiation of pseudo-inverses and nonlinear least squares problems whose variables separate"
(1973).
"""

from typing import Any, NamedTuple

import numpy as np

from ...autograd import Array, Tensor, TensorOp
from ...autograd.abstract import NeedsNumbers
from ..arithmetic import greater
from ..names import by_any_name
from ..reductions import summation
from ..views import expand_dims
from .factorizations import svdvals
from .matrices import tril
from .solve import FiniteMatrices

__all__ = ["LstsqResult", "PseudoInverse", "lstsq", "pinv"]


class PseudoInverse(FiniteMatrices, TensorOp):
    """The pseudoinverse P of A. Adjoint: -Pᵀ·g·Pᵀ + (1 - A·P)·gᵀ·P·Pᵀ + Pᵀ·P·gᵀ·(1 - P·A).

    Singular values up to `rtol` times the largest count as 0. With `hermitian` the lower triangle
    of a symmetric matrix is read, and the adjoint is symmetric.
    """

    square = False

    def __init__(self, rtol: float | None = None, hermitian: bool = False) -> None:
        self.rtol = rtol
        self.hermitian = hermitian

    def compute(self, a: Array) -> Array:
        if self.hermitian:
            a = np.tril(a) + np.swapaxes(np.tril(a, -1), -1, -2)
        u, s, vt = np.linalg.svd(a, full_matrices=False)
        is_used = s > s[..., :1] * _tolerance(self.rtol, a)
        inverses = np.where(is_used, 1 / np.where(is_used, s, 1), 0)
        scaled = np.expand_dims(inverses, -1) * np.swapaxes(u, -1, -2)
        return np.matmul(np.swapaxes(vt, -1, -2), scaled)

    def gradient(self, out_grad: Tensor, node: Tensor) -> Tensor:
        (a,) = node.inputs
        if self.hermitian:
            a = tril(a) + tril(a, -1).transpose()
        p, pt, gt = node, node.transpose(), out_grad.transpose()
        adjoint = -(pt @ out_grad @ pt)
        adjoint = adjoint + (gt - a @ (p @ gt)) @ p @ pt + pt @ p @ (gt - (gt @ p) @ a)
        return (adjoint + adjoint.transpose()) / 2 if self.hermitian else adjoint


def _tolerance(rtol: float | None, a: Any) -> float:
    """By default the larger length of the matrices times the precision, as in SciPy and PyTorch."""
    if rtol is not None:
        return rtol
    dtype = a.dtype if a.dtype.kind == "f" else np.dtype(np.float64)
    return float(max(a.shape[-2:]) * np.finfo(dtype).eps)


class LstsqResult(NamedTuple):
    """Solutions, sums of squared residuals, ranks and singular values."""

    solution: Tensor
    residuals: Tensor
    rank: Tensor
    singular_values: Tensor


@by_any_name
def pinv(
    a: Tensor, rcond: float | None = None, hermitian: bool = False, *, rtol: float | None = None
) -> Tensor:
    """The Moore-Penrose pseudoinverse of matrices (..., m, n), of shape (..., n, m).

    Args:
        a: the matrices.
        rcond, rtol: singular values up to this fraction of the largest count as 0; by default
            max(m, n) times the precision of the dtype, as in SciPy and PyTorch.
        hermitian: read the lower triangle of symmetric matrices; the gradient is symmetric.

    The derivative holds where the rank does not change.

    Example:
        >>> import needle as ndl
        >>> ndl.linalg.pinv(ndl.Tensor([[2.0, 0.0], [0.0, 0.0], [0.0, 0.0]])).numpy()
        array([[0.5, 0. , 0. ],
               [0. , 0. , 0. ]])
    """
    if rcond is not None and rtol is not None:
        raise ValueError("pinv: rcond and rtol are two names of one argument, give one of them")
    return PseudoInverse(rtol if rcond is None else rcond, hermitian)(a)


@by_any_name
def lstsq(a: Tensor, b: Tensor, rcond: float | None = None) -> LstsqResult:
    """The x of least norm among those that make ‖a·x - b‖ least, as np.linalg.lstsq, batched.

    Args:
        a: matrices (..., m, n) of any rank.
        b: a vector (m,), or matrices (..., m, k).
        rcond: singular values up to this fraction of the largest count as 0; by default max(m, n)
            times the precision of the dtype.

    Returns:
        solution: (n,) or (..., n, k).
        residuals: the sums of (a·x - b)² of each column, (..., k), or (1,) for a vector; as in
            NumPy there are none, (..., 0), where m ≤ n or a matrix has a rank below n. Inside
            `vmap`, where ranks cannot be read, there are.
        rank: integers.
        singular_values: of a, descending.

    All but the rank can be differentiated, where the rank does not change.

    Example:
        >>> import needle as ndl
        >>> a = ndl.Tensor([[1.0, 0.0], [1.0, 1.0], [1.0, 2.0]])
        >>> line = ndl.linalg.lstsq(a, ndl.Tensor([1.0, 3.0, 5.0])).solution
        >>> line.numpy().round(9)
        array([1., 2.])
    """
    rows, columns = _lengths(a)
    if b.ndim == 0 or b.shape[-2 if b.ndim > 1 else 0] != rows:
        raise ValueError(
            f"lstsq: the right side of shape {b.shape} needs {rows} rows, one for each row of the "
            f"matrix of shape {a.shape}"
        )
    right = expand_dims(b, -1) if b.ndim == 1 else b
    x = pinv(a, rcond) @ right
    singular_values = svdvals(a)
    limit = singular_values[..., :1] * _tolerance(rcond, a)
    rank = summation(greater(singular_values, limit).astype(np.int64), -1)
    residuals = summation((a @ x - right) ** 2, -2)
    if rows <= columns or _is_deficient(rank, columns):
        residuals = residuals[..., :0]
    return LstsqResult(x[..., 0] if b.ndim == 1 else x, residuals, rank, singular_values)


def _lengths(a: Tensor) -> tuple[int, int]:
    if a.ndim < 2:
        raise np.linalg.LinAlgError(
            f"lstsq of shape {a.shape}: it takes matrices in the last two axes"
        )
    return a.shape[-2], a.shape[-1]


def _is_deficient(rank: Tensor, columns: int) -> bool:
    try:
        return bool((rank.numpy() < columns).any())
    except NeedsNumbers:
        return False
