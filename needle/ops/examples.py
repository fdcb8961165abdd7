"""Examples in the docstrings of ops, which an op's class shares with its function.

A line that starts with # has the names that the lines after it are for, as they look in a session.
"""

from . import (
    activations,
    arithmetic,
    attention,
    contraction,
    einsum,
    functions,
    indexing,
    linalg,
    losses,
    normalization,
    order,
    picking,
    rearranging,
    reductions,
    tuples,
    views,
)
from .examples_of_arrays import OF_ARRAYS

_ELEMENTWISE = """
# AddScalar add_scalar
>>> print(ndl.add_scalar(ndl.Tensor([1.0, 2.0]), 3))
[4. 5.]
# MulScalar mul_scalar
>>> print(ndl.mul_scalar(ndl.Tensor([1.0, 2.0]), 3))
[3. 6.]
# DivScalar divide_scalar
>>> print(ndl.divide_scalar(ndl.Tensor([1, 2]), 2))
[0.5 1. ]
# PowerScalar power_scalar
>>> print(ndl.power_scalar(ndl.Tensor([1.0, 3.0]), 2))
[1. 9.]
# EWiseAdd add
>>> print(ndl.add(ndl.Tensor([1.0, 2.0]), ndl.Tensor([3.0, 2.0])))
[4. 4.]
# EWiseMul multiply
>>> print(ndl.multiply(ndl.Tensor([1.0, 2.0]), ndl.Tensor([3.0, 2.0])))
[3. 4.]
# EWiseDiv divide
>>> print(ndl.divide(ndl.Tensor([1.0, 2.0]), ndl.Tensor([3.0, 2.0])).numpy().round(3))
[0.333 1.   ]
# EWisePow power
>>> print(ndl.power(ndl.Tensor([1.0, 2.0]), ndl.Tensor([3.0, 2.0])))
[1. 4.]
# Negate negate
>>> print(ndl.negate(ndl.Tensor([1.0, -2.0])))
[-1.  2.]
# Maximum maximum
>>> print(ndl.maximum(ndl.Tensor([1.0, 2.0]), ndl.Tensor([3.0, 2.0])))
[3. 2.]
# Minimum minimum
>>> print(ndl.minimum(ndl.Tensor([1.0, 2.0]), ndl.Tensor([3.0, 2.0])))
[1. 2.]
# Where where
>>> a, b = ndl.Tensor([1.0, 2.0]), ndl.Tensor([3.0, 2.0])
>>> print(ndl.where(a < b, a, 0))
[1. 0.]
# Equal equal
>>> print(ndl.equal(ndl.Tensor([1.0, 2.0]), ndl.Tensor([3.0, 2.0])))
[False  True]
# NotEqual not_equal
>>> print(ndl.not_equal(ndl.Tensor([1.0, 2.0]), ndl.Tensor([3.0, 2.0])))
[ True False]
# Less less
>>> print(ndl.less(ndl.Tensor([1.0, 2.0]), ndl.Tensor([3.0, 2.0])))
[ True False]
# LessEqual less_equal
>>> print(ndl.less_equal(ndl.Tensor([1.0, 2.0]), ndl.Tensor([3.0, 2.0])))
[ True  True]
# Greater greater
>>> print(ndl.greater(ndl.Tensor([1.0, 2.0]), ndl.Tensor([3.0, 2.0])))
[False False]
# GreaterEqual greater_equal
>>> print(ndl.greater_equal(ndl.Tensor([1.0, 2.0]), ndl.Tensor([3.0, 2.0])))
[False  True]
# FloorDivide floor_divide
>>> print(ndl.floor_divide(ndl.Tensor([7, -7]), 3))
[ 2 -3]
# Remainder remainder
>>> print(ndl.remainder(ndl.Tensor([7, -7]), 3))
[1 2]
# BitwiseAnd bitwise_and
>>> print(ndl.bitwise_and(ndl.Tensor([1, 6]), 3))
[1 2]
# BitwiseOr bitwise_or
>>> print(ndl.bitwise_or(ndl.Tensor([1, 6]), 3))
[3 7]
# BitwiseXor bitwise_xor
>>> print(ndl.bitwise_xor(ndl.Tensor([1, 6]), 3))
[2 5]
# BitwiseNot bitwise_not
>>> print(ndl.bitwise_not(ndl.Tensor([True, False])))
[False  True]
# LogicalAnd logical_and
>>> print(ndl.logical_and(ndl.Tensor([True, True]), ndl.Tensor([True, False])))
[ True False]
# LogicalOr logical_or
>>> print(ndl.logical_or(ndl.Tensor([True, False]), ndl.Tensor([False, False])))
[ True False]
# LogicalXor logical_xor
>>> print(ndl.logical_xor(ndl.Tensor([True, True]), ndl.Tensor([True, False])))
[False  True]
# LogicalNot logical_not
>>> print(ndl.logical_not(ndl.Tensor([0, 2])))
[ True False]
# IsClose
>>> print(ndl.ops.IsClose(atol=0.2)(ndl.Tensor([1.0, 2.0]), ndl.Tensor([1.1, 2.5])))
[ True False]
# expand
>>> ndl.expand(ndl.ones(2, 1), 4, -1, 3).shape
(4, 2, 3)
# expand_as
>>> ndl.expand_as(ndl.ones(2, 1), ndl.ones(2, 3)).shape
(2, 3)
# t
>>> ndl.t(ndl.ones(2, 3)).shape
(3, 2)
# contiguous
>>> ndl.contiguous(ndl.ones(2, 3).T).is_contiguous()
True
# WeightedBinCount
>>> labels, weights = ndl.Tensor([1, 1]), ndl.Tensor([0.5, 1.0])
>>> print(ndl.ops.WeightedBinCount()(labels, weights))
[0.  1.5]
# BinCount
>>> print(ndl.ops.BinCount(minlength=3)(ndl.Tensor([1, 1])))
[0 2 0]
# amax
>>> print(ndl.amax(ndl.Tensor([[1.0, 5.0], [7.0, 3.0]]), dim=(0, 1)))
7.0
# amin
>>> print(ndl.amin(ndl.Tensor([[1.0, 5.0], [7.0, 3.0]]), dim=1, keepdim=True))
[[1.]
 [3.]]
# Abs abs
>>> print(ndl.abs(ndl.Tensor([-1.0, 0.0, 2.0])))
[1. 0. 2.]
# Sign sign
>>> print(ndl.sign(ndl.Tensor([-1.0, 0.0, 2.0])))
[-1.  0.  1.]
# ArcSin arcsin
>>> print(ndl.arcsin(ndl.Tensor([0.0, 1.0])))
[0.         1.57079633]
# ArcTan arctan
>>> print(ndl.arctan(ndl.Tensor([0.0, 1.0])))
[0.         0.78539816]
# Cos cos
>>> print(ndl.cos(ndl.Tensor([0.0, 1.0])))
[1.         0.54030231]
# Sin sin
>>> print(ndl.sin(ndl.Tensor([0.0, 1.0])))
[0.         0.84147098]
# Tan tan
>>> print(ndl.tan(ndl.Tensor([0.0, 1.0])))
[0.         1.55740772]
# Cosh cosh
>>> print(ndl.cosh(ndl.Tensor([0.0, 1.0])))
[1.         1.54308063]
# Sinh sinh
>>> print(ndl.sinh(ndl.Tensor([0.0, 1.0])))
[0.         1.17520119]
# Exp exp
>>> print(ndl.exp(ndl.Tensor([0.0, 1.0])))
[1.         2.71828183]
# Expm1 expm1
>>> print(ndl.expm1(ndl.Tensor([0.0, 1e-10])))
[0.e+00 1.e-10]
# Log log
>>> print(ndl.log(ndl.Tensor([1.0, 10.0])))
[0.         2.30258509]
# Log1p log1p
>>> print(ndl.log1p(ndl.Tensor([0.0, 1e-10])))
[0.e+00 1.e-10]
# Sqrt sqrt
>>> print(ndl.sqrt(ndl.Tensor([4.0, 9.0])))
[2. 3.]
# Astype astype
>>> print(ndl.astype(ndl.Tensor([1.5, -1.5]), "int64"))
[ 1 -1]
# Clip clip
>>> print(ndl.clip(ndl.Tensor([-2.0, 0.5, 3.0]), 0, 1))
[0.  0.5 1. ]
# ReLU relu
>>> print(ndl.relu(ndl.Tensor([-1.0, 0.0, 2.0])))
[0. 0. 2.]
# Sigmoid sigmoid
>>> print(ndl.sigmoid(ndl.Tensor([-1.0, 0.0, 2.0])))
[0.26894142 0.5        0.88079708]
# Tanh tanh
>>> print(ndl.tanh(ndl.Tensor([-1.0, 0.0, 2.0])))
[-0.76159416  0.          0.96402758]
# SiLU silu
>>> print(ndl.silu(ndl.Tensor([-1.0, 0.0, 2.0])))
[-0.26894142  0.          1.76159416]
# Softplus softplus
>>> print(ndl.softplus(ndl.Tensor([-1.0, 0.0, 2.0])))
[0.31326169 0.69314718 2.12692801]
# ELU elu
>>> print(ndl.elu(ndl.Tensor([-1.0, 0.0, 2.0])))
[-0.63212056  0.          2.        ]
# LeakyReLU leaky_relu
>>> print(ndl.leaky_relu(ndl.Tensor([-1.0, 0.0, 2.0]), 0.1))
[-0.1  0.   2. ]
# Hardtanh hardtanh
>>> print(ndl.hardtanh(ndl.Tensor([-1.0, 0.0, 2.0])))
[-1.  0.  1.]
# GELU gelu
>>> print(ndl.gelu(ndl.Tensor([-1.0, 0.0, 2.0])))
[-0.15865525  0.          1.95449974]
# GELUTanh
>>> print(ndl.gelu(ndl.Tensor([-1.0, 0.0, 2.0]), "tanh"))
[-0.15880801  0.          1.95459769]
"""

_FAMILIES = (
    activations, arithmetic, attention, contraction, einsum, functions, indexing, linalg, losses,
    normalization, reductions, order, picking, rearranging, tuples, views,
)  # fmt: skip
_OPS = {name: value for family in _FAMILIES for name, value in vars(family).items()}

for _block in f"{_ELEMENTWISE}{OF_ARRAYS}".strip("# \n").split("\n# "):
    _names, *_lines = _block.split("\n")
    _example = "".join(f"\n        {line}" for line in [">>> import needle as ndl", *_lines])
    for _name in _names.split():
        _op = _OPS[_name]
        _op.__doc__ = f"{(_op.__doc__ or '').rstrip()}\n\n    Example:{_example}\n    "
