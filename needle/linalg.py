"""Linear algebra under the names of numpy.linalg, for real matrices, batched over leading axes.

All of it is made of the ops in `needle.ops`. Here, as in numpy.linalg, `diagonal` and `trace`
take the last two axes.
"""

from .autograd import Tensor
from .ops import (
    EighResult, LstsqResult, QRResult, SVDResult, SlogDetResult, cholesky, det, eigh, eigvalsh,
    einsum, expm, inv, inverse, lstsq, matmul, matrix_exp, multi_dot, outer, pinv, qr, slogdet,
    solve, svd, svdvals, tensordot, tril, triu, vector_norm,
)  # fmt: skip
from .ops import diagonal as _diagonal
from .ops import trace as _trace
from .ops.linalg.norms import numpys_norm as norm

__all__ = [
    "EighResult", "LstsqResult", "QRResult", "SVDResult", "SlogDetResult", "cholesky", "det",
    "diagonal", "eigh", "eigvalsh", "einsum", "expm", "inv", "inverse", "lstsq", "matmul",
    "matrix_exp", "multi_dot", "norm", "outer", "pinv", "qr", "slogdet", "solve", "svd",
    "svdvals", "tensordot", "trace", "tril", "triu", "vector_norm",
]  # fmt: skip


def diagonal(a: Tensor, *, offset: int = 0) -> Tensor:
    """The diagonals of the last two axes; `needle.ops.diagonal` takes any two.

    Example:
        >>> import needle as ndl
        >>> print(ndl.linalg.diagonal(ndl.Tensor([[1.0, 2.0], [3.0, 4.0]])))
        [1. 4.]
    """
    return _diagonal(a, offset, -2, -1)


def trace(a: Tensor, *, offset: int = 0) -> Tensor:
    """The sums of the diagonals of the last two axes; `needle.ops.trace` takes any two.

    Example:
        >>> import needle as ndl
        >>> ndl.linalg.trace(ndl.Tensor([[1.0, 2.0], [3.0, 4.0]])).item()
        5.0
    """
    return _trace(a, offset, -2, -1)
