"""Rows of views, indexing and tuples: see __init__.py."""

import numpy as np

from needle import Tensor, ops
from needle.ops.indexing import ARRAY

ONE = "one operand"

_INDICES = [
    ("an integer", -1),
    ("slices", (slice(None, None, -1), slice(1, None))),
    ("None and Ellipsis", (None, ..., 0)),
    ("repeated rows", [0, 2, 0, 0]),
    ("a mask", np.array([True, False, True])),
    ("pairs", ([0, 0, 1], [1, 1, 2])),
    ("a row and columns", (0, [2, 2])),
    ("nothing", slice(0, 0)),
]


def _like(a, numbers):
    """A constant where the array of `a` lives."""
    return Tensor(numbers, device=a.device, requires_grad=False)


def _moved_rows(a):
    return np.concatenate([a[-1:], a[:-1]])


def _gathered(a):
    return np.take_along_axis(a[:2], np.array([[0, 2], [1, 1]]), 1)


def _scattered(a, b):
    result = a.copy()
    np.add.at(result, ([[0, 0], [1, 1]], [[0, 2], [1, 1]]), b[:2, :2])
    return result


def _put(a, b):
    result = a.copy()
    result[1:] = b
    return result


def _put_rows(a, b):
    result = a.copy()
    result[[0, 2, 0]] = b
    return result


def _scatter(a, b):
    result = a.copy()
    np.put_along_axis(result, np.array([[0, 2], [1, 0]]), b[:2, :2], 1)
    return result


def _index_add(a, b):
    result = a.copy()
    np.add.at(result, (slice(None), [0, 2, 0]), b)
    return result


def _index_fill(a):
    result = a.copy()
    result[:, [0, 2]] = 7
    return result


def _scatter_add(a):
    result = np.zeros_like(a, shape=(4, 3))
    for row, target in enumerate([0, 2, 2]):
        result[target] += a[row]
    return result


ROWS = [
    # views
    ("identity", ops.identity, lambda a: a, ONE),
    (
        "flatten",
        lambda a: ops.flatten(a, 1),
        lambda a: np.reshape(a, (a.shape[0], np.prod(a.shape[1:], dtype=int))),
        [[(2, 3, 2)], [(2, 3)], [(0, 2, 3)]],
    ),
    ("stop_gradient", ops.stop_gradient, lambda a: a, ONE, "constant"),
    *[
        (
            f"reshape to {target}",
            lambda a, target=target: ops.reshape(a, target),
            lambda a, target=target: np.reshape(a, target),
            shapes,
        )
        for target, shapes in (
            ((3, 2), [[(2, 3)], [(6,)]]),
            ((), [[(1, 1)], [()]]),
            ((-1,), [[(2, 3)], [()], [(0, 2)]]),
            ((0, 5), [[(2, 0)]]),
        )
    ],
    *[
        (
            f"broadcast_to {target}",
            lambda a, target=target: ops.broadcast_to(a, target),
            lambda a, target=target: np.broadcast_to(a, target),
            shapes,
        )
        for target, shapes in (
            ((2, 3), [[(2, 3)], [(3,)], [(1, 3)], [(2, 1)], [(1,)], [()]]),
            ((1, 1, 3), [[(1, 3)], [(1, 1)], [(3,)]]),
            ((0, 3), [[(1, 3)], [(0, 1)]]),
            ((), [[()]]),
        )
    ],
    ("transpose", ops.transpose, lambda a: a.swapaxes(-1, -2), [[(2, 3)], [(2, 3, 4)], [(0, 2)]]),
    (
        "transpose (0, -1)",
        lambda a: ops.transpose(a, (0, -1)),
        lambda a: a.swapaxes(0, -1),
        [[(2, 3, 4)]],
    ),
    (
        "permute",
        lambda a: ops.permute(a, (1, -1, 0)),
        lambda a: a.transpose(1, 2, 0),
        [[(2, 3, 2)]],
    ),
    ("permute no axes", lambda a: ops.permute(a, ()), lambda a: a, [[()]]),
    ("flip", ops.flip, np.flip, ONE),
    ("flip axis", lambda a: ops.flip(a, -1), lambda a: np.flip(a, -1), [[(2, 3)], [(2, 0)]]),
    *[
        (
            name,
            lambda a, name=name: getattr(ops, name)(a, (0, -1)),
            lambda a: np.expand_dims(a, (0, -1)),
            ONE,
        )
        for name in ("expand_dims", "unsqueeze")
    ],
    (
        "expand",
        lambda a: ops.expand(a, 4, -1, 3),
        lambda a: np.broadcast_to(a, (4, 2, 3)),
        [[(2, 1)], [(2, 3)]],
    ),
    ("expand_as", ops.expand_as, lambda a, b: np.broadcast_to(a, b.shape), [[(3, 1), (2, 3, 2)]]),
    ("t", ops.t, np.transpose, [[(2, 3)]]),
    ("squeeze", ops.squeeze, np.squeeze, [[(1, 2, 1)], [(1,)], [()], [(0, 1)]]),
    ("squeeze axis", lambda a: ops.squeeze(a, -1), lambda a: np.squeeze(a, -1), [[(1, 2, 1)]]),
    # joining and taking apart
    (
        "concatenate",
        lambda a, b, c: ops.concatenate([a, b, c]),
        lambda a, b, c: np.concatenate([a, b, c]),
        [[(2, 3), (1, 3), (0, 3)], [(1,), (2,), (3,)]],
    ),
    (
        "concatenate along -1",
        lambda a, b: ops.concatenate([a, b], -1),
        lambda a, b: np.concatenate([a, b], -1),
        [[(2, 1), (2, 2)]],
    ),
    *[
        (
            f"stack along {axis}",
            lambda a, b, axis=axis: ops.stack([a, b], axis),
            lambda a, b, axis=axis: np.stack([a, b], axis),
            [[(2, 3), (2, 3)], [(), ()], [(0, 2), (0, 2)]],
        )
        for axis in (0, -1)
    ],
    *[
        (
            f"split along {axis}",
            lambda a, axis=axis: ops.split(a, axis),
            lambda a, axis=axis: tuple(np.moveaxis(a, axis, 0)),
            shapes,
        )
        for axis, shapes in ((0, [[(2, 3)], [(2,)], [(2, 0)]]), (-1, [[(2, 3)], [(1, 2)]]))
    ],
    ("make_tuple", lambda a: ops.make_tuple(a, a * a), lambda a: (a, a * a), ONE),
    (
        "tuple_get_item",
        lambda a: ops.tuple_get_item(ops.split(a), -1) * ops.tuple_get_item(ops.split(a), 0),
        lambda a: a[-1] * a[0],
        [[(3, 2)], [(1,)]],
    ),
    (
        "fused_add_scalars",
        lambda a: ops.fused_add_scalars(a, 1, -2.5),
        lambda a: (a + 1, a - 2.5),
        ONE,
    ),
    # indexing
    *[
        (
            f"getitem by {kind}",
            lambda a, index=index: ops.getitem(a, index),
            lambda a, index=index: a[index],
            [[(3, 3)]],
        )
        for kind, index in _INDICES
    ],
    ("getitem of no axes", lambda a: ops.getitem(a, ...), lambda a: a, [[()]]),
    (
        "scatter_add",
        lambda a: ops.ScatterAdd((ARRAY,), (4, 3))(a, _like(a, [0, 2, 2])),
        _scatter_add,
        [[(3, 3)]],
    ),
    (
        "embedding",
        lambda a: ops.Embedding()(a, _like(a, [0, 2, 2])),
        lambda a: a[[0, 2, 2]],
        [[(3, 2)]],
    ),
    (
        "embedding of whole floats",
        lambda a: ops.Embedding()(a, _like(a, [[0, 2]]).astype(a.dtype)),
        lambda a: a[[[0, 2]]],
        [[(3, 2)]],
    ),
    (
        "scatter_add to a slice",
        lambda a: ops.ScatterAdd((slice(1, 3),), (4,))(a),
        lambda a: np.pad(a, 1),
        [[(2,)]],
    ),
    # picking along an axis, and assignment
    (
        "gather",
        lambda a: ops.gather(a, 1, _like(a, [[0, 2], [1, 1]])),
        _gathered,
        [[(2, 3)], [(3, 3)]],
    ),
    (
        "take_along_axis",
        lambda a: ops.take_along_axis(a, _like(a, [[2, 0]]), 1),
        lambda a: a[:, [2, 0]],
        [[(2, 3)]],
    ),
    (
        "index_select",
        lambda a: ops.index_select(a, 1, _like(a, [2, 0, 2])),
        lambda a: a[:, [2, 0, 2]],
        [[(2, 3)]],
    ),
    (
        "scatter_add along an axis",
        lambda a, b: ops.scatter_add(a, 1, _like(a, [[0, 2], [1, 1]]), b),
        _scattered,
        [[(2, 3), (2, 2)], [(3, 3), (3, 2)]],
    ),
    (
        "masked_fill",
        lambda a: ops.masked_fill(a, a > 0.5, 2),
        lambda a: np.where(a > 0.5, np.asarray(2, a.dtype), a),
        ONE,
    ),
    ("put in a slice", lambda a, b: a.at[1:].set(b), _put, [[(3, 2), (2, 2)], [(3, 2), (2,)]]),
    (
        "put in rows, one of them twice",
        lambda a, b: a.at[_like(a, [0, 2, 0])].set(b),
        _put_rows,
        [[(3, 2), (3, 2)]],
    ),
    (
        "scatter",
        lambda a, b: ops.scatter(a, 1, _like(a, [[0, 2], [1, 0]]), b),
        _scatter,
        [[(2, 3), (2, 2)], [(2, 3), (3, 4)]],
    ),
    (
        "index_add",
        lambda a, b: ops.index_add(a, 1, _like(a, [0, 2, 0]), b),
        _index_add,
        [[(2, 3), (2, 3)]],
    ),
    ("index_fill", lambda a: ops.index_fill(a, 1, _like(a, [0, 2]), 7), _index_fill, [[(2, 3)]]),
    # joining, repeating, moving
    ("cat", lambda a, b: ops.cat([a, b], 1), lambda a, b: np.hstack([a, b]), [[(2, 1), (2, 2)]]),
    ("chunk", lambda a: ops.chunk(a, 2), lambda a: (a[:2], a[2:]), [[(3, 2)], [(4,)]]),
    ("clone", ops.clone, np.copy, ONE),
    ("contiguous", lambda a: ops.contiguous(ops.transpose(a)), lambda a: a.T, [[(2, 3)]]),
    ("diff", ops.diff, np.diff, [[(2, 3)], [(1,)]]),
    ("diff twice", lambda a: ops.diff(a, 2, 0), lambda a: np.diff(a, 2, 0), [[(4, 2)]]),
    *[
        (
            name,
            lambda a, b, name=name: getattr(ops, name)([a, b]),
            lambda a, b, name=name: getattr(np, name)([a, b]),
            [[(2, 3), (2, 3)], [(3,), (3,)], [(), ()]],
        )
        for name in ("hstack", "vstack")
    ],
    ("unbind", lambda a: ops.unbind(a, 1), lambda a: tuple(a.T), [[(3, 2)]]),
    (
        "meshgrid",
        lambda a, b: ops.meshgrid(a, b, indexing="ij"),
        lambda a, b: tuple(np.meshgrid(a, b, indexing="ij")),
        [[(2,), (3,)]],
    ),
    (
        "meshgrid xy",
        lambda a, b, c: ops.meshgrid(a, b, c, indexing="xy"),
        lambda a, b, c: tuple(np.meshgrid(a, b, c)),
        [[(2,), (3,), (4,)]],
    ),
    *[
        (
            name,
            lambda a, name=name: getattr(ops, name)(a, (0, 1), (-1, 0)),
            lambda a: np.moveaxis(a, (0, 1), (-1, 0)),
            [[(2, 3, 4)]],
        )
        for name in ("moveaxis", "movedim")
    ],
    ("pad", lambda a: ops.pad(a, 1), lambda a: np.pad(a, 1), [[(2, 3)], [(2,)]]),
    *[
        (
            f"pad {mode}",
            lambda a, mode=mode: ops.pad(a, ((0, 0), (1, 2)), mode),
            lambda a, mode=mode: np.pad(a, ((0, 0), (1, 2)), mode),
            [[(2, 3)]],
        )
        for mode in ("edge", "reflect", "symmetric", "wrap")
    ],
    ("repeat", lambda a: ops.repeat(a, 2), lambda a: np.repeat(a, 2), [[(2, 3)], [()]]),
    (
        "repeat along an axis",
        lambda a: ops.repeat(a, [2, 0, 1], 1),
        lambda a: np.repeat(a, [2, 0, 1], 1),
        [[(2, 3)]],
    ),
    ("roll", lambda a: ops.roll(a, 2), lambda a: np.roll(a, 2), [[(2, 3)], [(1,)]]),
    ("roll along 0", lambda a: ops.roll(a, 1, 0), _moved_rows, [[(3, 2)]]),
    (
        "roll along both",
        lambda a: ops.roll(a, (1, -1), (0, 1)),
        lambda a: np.roll(a, (1, -1), (0, 1)),
        [[(3, 2)]],
    ),
    ("swapaxes", lambda a: ops.swapaxes(a, 0, -1), lambda a: a.swapaxes(0, -1), [[(2, 3, 4)]]),
    ("tile", lambda a: ops.tile(a, 2), lambda a: np.tile(a, 2), [[(2, 3)], [()], [(2,)]]),
    ("tile by axes", lambda a: ops.tile(a, (2, 1, 3)), lambda a: np.tile(a, (2, 1, 3)), [[(2, 3)]]),
]
