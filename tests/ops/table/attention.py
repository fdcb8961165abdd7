"""Rows of attention: see __init__.py."""

import numpy as np

from needle import Tensor, cpu, ops


def _weights(q, k, bias=0.0, scale=None):
    scale = q.shape[-1] ** -0.5 if scale is None else scale
    exponentials = np.exp(q @ np.swapaxes(k, -2, -1) * np.asarray(scale, q.dtype) + bias)
    total = exponentials.sum(-1, keepdims=True)
    return exponentials / np.where(total == 0, 1, total)


def _hidden(seen, dtype):
    return np.where(seen, 0, -np.inf).astype(dtype)


def _up_to(diagonal, q, k):
    return _hidden(np.tri(q.shape[-2], k.shape[-2], diagonal, dtype=bool), q.dtype)


def _padding(q, k):
    """Booleans of the shape of a key padding mask; the first example has no key at all."""
    mask = np.ones((*q.shape[:-2], 1, k.shape[-2]), bool)
    mask[..., -1:] = False
    mask.reshape(-1, k.shape[-2])[:1] = False
    return mask


def _kept(k):
    """Of dropout."""
    return np.arange(k.shape[-2]) % 3 != 0


def _factors(k):
    return (_kept(k) * 1.25).astype(k.dtype)


_SEEDS = np.array([5, 2**50]).reshape(2, 1, 1)


def _drawn_factors(q, k):
    """Of dropout, by the seeds of the two matrices of scores."""
    shape = q.shape[-2], k.shape[-2]
    drawn = np.stack([cpu().seeded_rand(seed, 0, *shape) for seed in _SEEDS])
    return ((drawn < 0.6) / 0.6).astype(k.dtype)


def _constant(array, like):
    return Tensor.make_const(like.device.array(array))


_SHAPES = [(2, 2, 2), (2, 3, 2), (2, 3, 1)]

ROWS = [
    (
        "attention",
        ops.attention,
        lambda q, k, v: _weights(q, k) @ v,
        [[(3, 2), (4, 2), (4, 3)], [(2, 1, 2, 1), (3, 2, 1), (1, 2, 2)], [(0, 2), (3, 2), (3, 2)]],
        "floats",
    ),
    *[
        (
            f"attention up to diagonal {diagonal}{' in blocks' * in_blocks}",
            lambda q, k, v, d=diagonal, in_blocks=in_blocks: ops.attention(
                q, k, v, scale=0.5, diagonal=d, in_blocks=in_blocks
            ),
            lambda q, k, v, d=diagonal: _weights(q, k, _up_to(d, q, k), 0.5) @ v,
            [_SHAPES],
            "floats",
        )
        for diagonal, in_blocks in ((1, True), (-1, False))
    ],
    (
        "attention with a padding mask",
        lambda q, k, v: ops.attention(q, k, v, _constant(_padding(q, k), q)),
        lambda q, k, v: _weights(q, k, _hidden(_padding(q, k), q.dtype)) @ v,
        [_SHAPES],
        "floats",
    ),
    *[
        (
            f"attention with numbers as mask, dropout{' in blocks' * in_blocks}",
            lambda q, k, v, m, in_blocks=in_blocks: ops.attention(
                q, k, v, m, _constant(_kept(k), q), 0.2, in_blocks=in_blocks
            ),
            lambda q, k, v, m: (_weights(q, k, m) * _factors(k)) @ v,
            [[*_SHAPES, (2, 1, 3)]],
            "floats",
        )
        for in_blocks in (False, True)
    ],
    *[
        (
            f"attention with seeds of dropout{' in blocks' * in_blocks}",
            lambda q, k, v, in_blocks=in_blocks: ops.attention(
                q, k, v, None, _constant(_SEEDS, q), 0.4, diagonal=1, in_blocks=in_blocks
            ),
            lambda q, k, v: (_weights(q, k, _up_to(1, q, k)) * _drawn_factors(q, k)) @ v,
            [_SHAPES],
            "floats",
        )
        for in_blocks in (False, True)
    ],
    (
        "attention_weights",
        lambda q, k, v, m: ops.attention_weights(q, k, v, m, _constant(_kept(k), q), 0.2),
        lambda q, k, v, m: (
            (_weights(q, k, m) * _factors(k)) @ v,
            _weights(q, k, m) * _factors(k),
        ),
        [[*_SHAPES, (2, 3)]],
        "floats",
    ),
]
