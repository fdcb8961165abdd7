"""Rows of linear algebra, running sums and order along axes: see __init__.py."""

import numpy as np

from needle import ops


def _transposed(a):
    return a.swapaxes(-1, -2) if isinstance(a, np.ndarray) else a.transpose()


def _symmetric(a):
    return a + _transposed(a)


def _definite(a):
    return a @ _transposed(a)


def _cofactor(a):
    return np.linalg.det(a)[..., None, None] * _transposed(np.linalg.inv(a))


def _diagonal_matrix(a):
    result = np.zeros_like(a, shape=(*a.shape, a.shape[-1] + 1))
    for index in range(a.shape[-1]):
        result[..., index, index + 1] = a[..., index]
    return result


def _exponential(a):
    """By its series, of a small part of the matrix."""
    term = result = np.broadcast_to(np.eye(a.shape[-1]), a.shape)
    for power in range(1, 30):
        term = term @ a / (64 * power)
        result = result + term
    for _ in range(6):
        result = result @ result
    return result


def _rearranged(a):
    return np.take_along_axis(a, np.argsort(a, 0), 0)


def _log_cumulative(a, axis=None):
    a = a.reshape(-1) if axis is None else a
    return np.logaddexp.accumulate(a, axis=axis or 0)


def _top(a):
    order = np.flip(np.argsort(a, -1, kind="stable"), -1)[..., :2]
    return np.take_along_axis(a, order, -1), order


SQUARE = [[(3, 3)], [(2, 2, 2)]]
TALL_AND_WIDE = [[(3, 2)], [(2, 3)], [(2, 3, 2)]]

ROWS = [
    # systems and determinants
    ("inv", ops.inv, np.linalg.inv, SQUARE, "floats"),
    ("inverse", ops.inverse, np.linalg.inv, [[(1, 1)]], "floats"),
    (
        "solve",
        ops.solve,
        np.linalg.solve,
        [[(3, 3), (3, 2)], [(3, 3), (3,)], [(2, 1, 2, 2), (3, 2, 1)]],
        "floats",
    ),
    ("det", ops.det, np.linalg.det, SQUARE, "floats"),
    (
        "slogdet",
        ops.slogdet,
        lambda a: tuple(np.linalg.slogdet(a)),
        SQUARE,
        "floats",
    ),
    ("cofactors", ops.Cofactor(), _cofactor, SQUARE, "floats"),
    # factorizations
    (
        "cholesky",
        lambda a: ops.cholesky(_definite(a)),
        lambda a: np.linalg.cholesky(_definite(a)),
        [[(2, 3)], [(2, 2, 3)]],
        "floats",
    ),
    (
        "eigh",
        lambda a: ops.eigh(_symmetric(a)),
        lambda a: tuple(np.linalg.eigh(_symmetric(a))),
        SQUARE,
        "floats",
    ),
    (
        "eigvalsh",
        lambda a: ops.eigvalsh(_symmetric(a)),
        lambda a: np.linalg.eigvalsh(_symmetric(a)),
        SQUARE,
        "floats",
    ),
    (
        "svd",
        lambda a: ops.svd(a, full_matrices=False),
        lambda a: tuple(np.linalg.svd(a, full_matrices=False)),
        [*SQUARE, *TALL_AND_WIDE],
        "floats",
    ),
    ("svdvals", ops.svdvals, lambda a: np.linalg.svd(a)[1], TALL_AND_WIDE, "floats"),
    ("qr", ops.qr, lambda a: tuple(np.linalg.qr(a)), [*SQUARE, *TALL_AND_WIDE], "floats"),
    # pseudoinverses and least squares
    ("pinv", ops.pinv, np.linalg.pinv, [*SQUARE, *TALL_AND_WIDE, [(0, 2)]], "floats"),
    (
        "pinv hermitian",
        lambda a: ops.pinv(_symmetric(a), hermitian=True),
        lambda a: np.linalg.pinv(_symmetric(a)),
        SQUARE,
        "floats",
    ),
    (
        "lstsq",
        lambda a, b: tuple(ops.lstsq(a, b))[:2],
        lambda a, b: tuple(np.linalg.lstsq(a, b)[:2]),
        [[(4, 2), (4, 3)], [(4, 2), (4,)], [(2, 3), (2, 1)], [(3, 3), (3,)]],
        "floats",
    ),
    # products
    ("expm", ops.expm, _exponential, SQUARE, "floats"),
    ("matrix_exp", ops.matrix_exp, _exponential, [[(2, 2)]], "floats"),
    (
        "expm of large matrices",
        lambda a: ops.expm(a * 5),
        lambda a: _exponential(a * 5),
        SQUARE,
        "floats",
        "unit",
    ),
    (
        "multi_dot",
        lambda a, b, c: ops.multi_dot([a, b, c]),
        lambda a, b, c: a @ b @ c,
        [[(2, 3), (3, 4), (4, 2)], [(4,), (4, 2), (2, 3)], [(2, 3), (3, 2), (2,)]],
    ),
    # norms
    ("norm", ops.norm, np.linalg.norm, [[(3,)], [(2, 3)]]),
    (
        "vector_norm",
        lambda a: ops.vector_norm(a, 3, (0, -1), keepdims=True),
        lambda a: np.linalg.vector_norm(a, ord=3, axis=(0, -1), keepdims=True),
        [[(2, 3)], [(2, 2, 3)]],
        "floats",
    ),
    ("norm 3", lambda a: ops.norm(a, 3, -1), lambda a: np.linalg.norm(a, 3, -1), [[(2, 3)]]),
    (
        "norm nuc",
        lambda a: ops.norm(a, "nuc"),
        lambda a: np.linalg.norm(a, "nuc"),
        [[(2, 3)]],
        "floats",
    ),
    # triangles and diagonals
    ("diagonal", ops.diagonal, np.diagonal, [[(3, 3)], [(2, 3)], [(3, 2, 2)]]),
    (
        "diagonal of the last axes",
        lambda a: ops.diagonal(a, -1, -1, -2),
        lambda a: np.diagonal(a, -1, -1, -2),
        [[(2, 3, 3)]],
    ),
    (
        "diagonal put back",
        lambda a: ops.DiagonalMatrix((*a.shape, a.shape[-1] + 1), 1)(a),
        _diagonal_matrix,
        [[(3,)], [(2, 2)]],
    ),
    ("trace", ops.trace, np.trace, [[(3, 3)], [(2, 3, 2)]]),
    ("tril", lambda a: ops.tril(a, 1), lambda a: np.tril(a, 1), [[(3, 3)], [(2, 2, 3)]]),
    ("triu", lambda a: ops.triu(a, 1), lambda a: np.triu(a, 1), [[(3, 3)], [(2, 2, 3)]]),
    # products
    (
        "einsum",
        lambda a, b: ops.einsum("bij,jk->kb", a, b),
        lambda a, b: np.einsum("bij,jk->kb", a, b),
        [[(2, 3, 2), (2, 3)]],
    ),
    (
        "einsum of a diagonal and three",
        lambda a, b, c: ops.einsum("ii,i...,j->...j", a, b, c),
        lambda a, b, c: np.einsum("ii,i...,j->...j", a, b, c),
        [[(2, 2), (2, 3), (2,)]],
    ),
    ("outer", ops.outer, np.outer, [[(2,), (3,)], [(2, 2), ()]]),
    (
        "tensordot",
        lambda a, b: ops.tensordot(a, b, ([0, 1], [1, 0])),
        lambda a, b: np.tensordot(a, b, ([0, 1], [1, 0])),
        [[(2, 3, 2), (3, 2)]],
    ),
    # running sums, products, order
    ("cumsum", ops.cumsum, np.cumsum, [[(2, 3)], [()]]),
    (
        "cumsum along -1",
        lambda a: ops.cumsum(a, -1),
        lambda a: np.cumsum(a, -1),
        [[(2, 3)], [(2, 0)]],
    ),
    ("cumprod", ops.cumprod, np.cumprod, [[(2, 3)], [()], [(1,)]]),
    ("cumprod along 0", lambda a: ops.cumprod(a, 0), lambda a: np.cumprod(a, 0), [[(5, 2)]]),
    ("logcumsumexp", ops.logcumsumexp, _log_cumulative, [[(2, 3)], [()]]),
    (
        "logcumsumexp along 0",
        lambda a: ops.logcumsumexp(a, 0),
        lambda a: _log_cumulative(a, 0),
        [[(5, 2)]],
    ),
    ("prod", ops.prod, np.prod, [[(2, 3)], [(1,)], [()]]),
    (
        "prod over (0, 2)",
        lambda a: ops.prod(a, (0, 2)),
        lambda a: np.prod(a, (0, 2)),
        [[(2, 3, 2)]],
    ),
    ("sort", ops.sort, np.sort, [[(2, 3)], [(3,)], [(2, 0)]]),
    ("sort along 0", lambda a: ops.sort(a, 0), lambda a: np.sort(a, 0), [[(3, 2)]]),
    (
        "argsort",
        ops.argsort,
        lambda a: np.argsort(a, kind="stable"),
        [[(2, 3)], [(2, 0)]],
        "constant",
    ),
    (
        "sort by dim",
        lambda a: ops.sort(a, dim=0).values,
        lambda a: np.sort(a, 0),
        [[(3, 2)]],
    ),
    (
        "sort descending",
        lambda a: ops.sort(a, descending=True).values,
        lambda a: np.flip(np.sort(a), -1),
        [[(2, 3)]],
    ),
    (
        "argsort descending",
        lambda a: ops.argsort(a, descending=True),
        lambda a: np.flip(np.argsort(a, kind="stable"), -1),
        [[(2, 3)]],
        "constant",
    ),
    ("topk", lambda a: ops.topk(a, 2).values, lambda a: _top(a)[0], [[(2, 3)], [(4,)]]),
    ("topk where", lambda a: ops.topk(a, 2).indices, lambda a: _top(a)[1], [[(2, 3)]], "constant"),
    ("unique", ops.unique, np.unique, [[(2, 3)], [(0,)]], "constant"),
    (
        "unique and counts",
        lambda a: ops.unique(a, return_inverse=True, return_counts=True),
        lambda a: tuple(np.unique(a, return_inverse=True, return_counts=True)),
        [[(2, 3)]],
        "constant",
    ),
    ("rearranged", lambda a: ops.TakeAlongAxis(0)(a, ops.argsort(a, 0)), _rearranged, [[(3, 2)]]),
]
