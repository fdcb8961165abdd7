"""Initial values: constants, random draws, and the initialisations of layers."""

from .basic import constant, one_hot, ones, ones_like, rand, randb, randn, zeros, zeros_like
from .fan import (
    calculate_gain,
    kaiming_normal,
    kaiming_uniform,
    xavier_normal,
    xavier_uniform,
)
from .special import orthogonal, trunc_normal

__all__ = [
    "calculate_gain", "constant", "kaiming_normal", "kaiming_uniform", "one_hot", "ones",
    "ones_like", "orthogonal", "rand", "randb", "randn", "trunc_normal", "xavier_normal",
    "xavier_uniform", "zeros", "zeros_like",
]  # fmt: skip
