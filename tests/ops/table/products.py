"""Rows of products of matrices: see __init__.py."""

import numpy as np

from needle import ops

ROWS = [
    (
        "affine",
        ops.affine,
        lambda x, weight, bias: x @ weight + bias,
        [
            [(2, 3), (3, 4), (4,)],
            [(2, 3), (3, 4), (1, 4)],
            [(2, 2, 3), (3, 2), (1, 2)],
            [(3,), (3, 2), (2,)],
            [(3,), (3, 2), (1, 2)],
            [(2, 3), (3, 2), (1,)],
            [(0, 3), (3, 2), (2,)],
        ],
    ),
    (
        "matmul",
        ops.matmul,
        np.matmul,
        [
            [(2, 3), (3, 4)],
            [(3,), (3,)],
            [(3,), (3, 2)],
            [(2, 3), (3,)],
            [(2, 2, 3), (3,)],
            [(3,), (2, 3, 2)],
            [(2, 2, 3), (3, 2)],
            [(2, 3), (2, 3, 2)],
            [(2, 1, 2, 3), (3, 3, 2)],
            [(1, 2, 3), (2, 3, 2)],
            [(0, 3), (3, 2)],
            [(2, 0), (0, 3)],
            [(2, 2, 0), (0, 3)],
        ],
    ),
    *[
        (
            f"matmul of {'aᵀ' if swaps_a else 'a'} and {'bᵀ' if swaps_b else 'b'}",
            ops.MatMul(swaps_a, swaps_b),
            lambda a, b, swaps_a=swaps_a, swaps_b=swaps_b: (
                (np.swapaxes(a, -2, -1) if swaps_a else a)
                @ (np.swapaxes(b, -2, -1) if swaps_b else b)
            ),
            shapes,
        )
        for swaps_a, swaps_b, shapes in (
            (
                True,
                False,
                [[(3, 2), (3, 4)], [(2, 3, 2), (3, 4)], [(3, 2), (2, 3, 2)], [(3, 2), (3,)]],
            ),
            (
                False,
                True,
                [[(2, 3), (4, 3)], [(2, 2, 3), (2, 3)], [(2, 3), (2, 2, 3)], [(3,), (2, 3)]],
            ),
            (True, True, [[(3, 2), (4, 3)], [(2, 3, 2), (2, 3)], [(3, 2), (2, 1, 3)]]),
        )
    ],
    *[
        (name, getattr(ops, name), np.matmul, [shapes])
        for name, shapes in (
            ("mm", [(2, 3), (3, 4)]),
            ("bmm", [(2, 2, 3), (2, 3, 1)]),
            ("mv", [(2, 3), (3,)]),
        )
    ],
    ("dot", ops.dot, np.dot, [[(3,), (3,)], [(2, 3), (3, 2)], [(2, 3), (2, 3, 2)], [(), (2,)]]),
    ("inner", ops.inner, np.inner, [[(3,), (3,)], [(2, 3), (4, 3)], [(2,), ()]]),
]
