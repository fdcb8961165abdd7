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

_EXAMPLES = """
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
# Summation summation
>>> print(ndl.summation(ndl.Tensor([[1.0, 5.0], [7.0, 3.0]]), axes=0))
[8. 8.]
# Max max
>>> print(ndl.max(ndl.Tensor([[1.0, 5.0], [7.0, 3.0]]), axes=1))
[5. 7.]
# Min min
>>> print(ndl.min(ndl.Tensor([[1.0, 5.0], [7.0, 3.0]]), axes=1))
[1. 3.]
# mean
>>> print(ndl.mean(ndl.Tensor([[1.0, 5.0], [7.0, 3.0]]), axes=0))
[4. 4.]
# var
>>> print(ndl.var(ndl.Tensor([[1.0, 5.0], [7.0, 3.0]]), axes=0))
[9. 1.]
# std
>>> print(ndl.std(ndl.Tensor([[1.0, 5.0], [7.0, 3.0]]), axes=0))
[3. 1.]
# ArgMax argmax
>>> print(ndl.argmax(ndl.Tensor([[1.0, 5.0], [7.0, 3.0]]), axis=1))
[1 0]
# ArgSort argsort
>>> print(ndl.argsort(ndl.Tensor([3.0, 1.0, 2.0])))
[1 2 0]
# Sort
>>> print(ndl.sort(ndl.Tensor([3.0, 1.0, 2.0])))
[1. 2. 3.]
# TakeAlongAxis
>>> a = ndl.Tensor([[1.0, 5.0], [7.0, 3.0]])
>>> print(ndl.TakeAlongAxis(axis=1)(a, ndl.Tensor([[1, 0], [0, 1]])))
[[5. 1.]
 [7. 3.]]
# CumSum cumsum
>>> print(ndl.cumsum(ndl.Tensor([1.0, 2.0, 3.0])))
[1. 3. 6.]
# Prod
>>> print(ndl.prod(ndl.Tensor([[1.0, 2.0], [3.0, 4.0]]), axis=0))
[3. 8.]
# LogSumExp logsumexp
>>> print(ndl.logsumexp(ndl.Tensor([[0.0, 0.0], [1000.0, 0.0]]), axes=1))
[6.93147181e-01 1.00000000e+03]
# Softmax softmax
>>> print(ndl.softmax(ndl.Tensor([0.0, 0.0, 1000.0])))
[0. 0. 1.]
# LogSoftmax logsoftmax
>>> print(ndl.logsoftmax(ndl.Tensor([[0.0, 0.0]])))
[[-0.69314718 -0.69314718]]
# MatMul matmul
>>> a = ndl.Tensor([[4.0, 1.0], [1.0, 3.0]])
>>> print(ndl.matmul(a, a))
[[17.  7.]
 [ 7. 10.]]
# Affine affine
>>> x, weight, bias = ndl.Tensor([[1.0, 2.0]]), ndl.Tensor([[1.0], [1.0]]), ndl.Tensor([0.5])
>>> print(ndl.affine(x, weight, bias))
[[3.5]]
# Einsum
>>> a = ndl.Tensor([[4.0, 1.0], [1.0, 3.0]])
>>> print(ndl.Einsum("ij,jk->ik")(a, a))
[[17.  7.]
 [ 7. 10.]]
# BroadcastTo broadcast_to
>>> print(ndl.broadcast_to(ndl.Tensor([1.0, 2.0]), (2, 2)))
[[1. 2.]
 [1. 2.]]
# Reshape reshape
>>> print(ndl.reshape(ndl.Tensor([1.0, 2.0, 3.0, 4.0]), (2, -1)))
[[1. 2.]
 [3. 4.]]
# Transpose transpose
>>> print(ndl.transpose(ndl.Tensor([[1.0, 2.0], [3.0, 4.0]])))
[[1. 3.]
 [2. 4.]]
# Permute permute
>>> ndl.permute(ndl.init.ones(2, 3, 4), (2, 0, 1)).shape
(4, 2, 3)
# Flip flip
>>> print(ndl.flip(ndl.Tensor([1.0, 2.0, 3.0]), 0))
[3. 2. 1.]
# Identity identity
>>> print(ndl.identity(ndl.Tensor([1.0, 2.0])))
[1. 2.]
# expand_dims
>>> ndl.expand_dims(ndl.init.ones(2, 3), 1).shape
(2, 1, 3)
# squeeze
>>> ndl.squeeze(ndl.init.ones(2, 1, 3)).shape
(2, 3)
# flatten
>>> ndl.flatten(ndl.init.ones(2, 3, 4), 1).shape
(2, 12)
# Diagonal diagonal
>>> print(ndl.diagonal(ndl.Tensor([[4.0, 1.0], [1.0, 3.0]])))
[4. 3.]
# trace
>>> ndl.trace(ndl.Tensor([[4.0, 1.0], [1.0, 3.0]])).item()
7.0
# DiagonalMatrix
>>> print(ndl.DiagonalMatrix((2, 2))(ndl.Tensor([1.0, 2.0])))
[[1. 0.]
 [0. 2.]]
# Triu triu
>>> print(ndl.triu(ndl.Tensor([[1.0, 5.0], [7.0, 3.0]])))
[[1. 5.]
 [0. 3.]]
# Cholesky cholesky
>>> a = ndl.Tensor([[4.0, 1.0], [1.0, 3.0]])
>>> factor = ndl.cholesky(a)
>>> print((factor @ factor.T).numpy().round(3))
[[4. 1.]
 [1. 3.]]
# Inverse inv inverse
>>> print(ndl.inv(ndl.Tensor([[4.0, 1.0], [1.0, 3.0]])).numpy().round(3))
[[ 0.273 -0.091]
 [-0.091  0.364]]
# Cofactor
>>> print(ndl.Cofactor()(ndl.Tensor([[4.0, 1.0], [1.0, 3.0]])).numpy().round(3))
[[ 3. -1.]
 [-1.  4.]]
# Solve solve
>>> a = ndl.Tensor([[4.0, 1.0], [1.0, 3.0]])
>>> print(ndl.solve(a, ndl.Tensor([5.0, 4.0])).numpy().round(3))
[1. 1.]
# SlogDet SlogDetResult
>>> a = ndl.Tensor([[4.0, 1.0], [1.0, 3.0]])
>>> sign, logabsdet = ndl.slogdet(a)
>>> round(sign.item() * logabsdet.exp().item(), 3)
11.0
# Eigh EighResult
>>> a = ndl.Tensor([[4.0, 1.0], [1.0, 3.0]])
>>> values, vectors = ndl.eigh(a)
>>> print(values.numpy().round(3))
[2.382 4.618]
# Eigvalsh eigvalsh
>>> print(ndl.eigvalsh(ndl.Tensor([[4.0, 1.0], [1.0, 3.0]])).numpy().round(3))
[2.382 4.618]
# SVD SVDResult
>>> a = ndl.Tensor([[4.0, 1.0], [1.0, 3.0]])
>>> u, s, vt = ndl.svd(a)
>>> print(s.numpy().round(3))
[4.618 2.382]
# PseudoInverse
>>> print(ndl.ops.PseudoInverse()(ndl.Tensor([[2.0, 0.0], [0.0, 0.0]])))
[[0.5 0. ]
 [0.  0. ]]
# LstsqResult
>>> found = ndl.lstsq(ndl.Tensor([[1.0], [1.0]]), ndl.Tensor([1.0, 3.0]))
>>> print(found.solution.numpy().round(3), found.residuals.numpy().round(3))
[2.] [2.]
# SVDVals svdvals
>>> print(ndl.svdvals(ndl.Tensor([[4.0, 1.0], [1.0, 3.0]])).numpy().round(3))
[4.618 2.382]
# QR QRResult qr
>>> a = ndl.Tensor([[4.0, 1.0], [1.0, 3.0]])
>>> q, r = ndl.qr(a)
>>> print((q @ r).numpy().round(3))
[[4. 1.]
 [1. 3.]]
# Norm
>>> print(ndl.norm(ndl.Tensor([3.0, 4.0])))
5.0
# PowerNorm
>>> print(ndl.norm(ndl.Tensor([3.0, 4.0]), 3).numpy().round(3))
4.498
# Concatenate concatenate
>>> print(ndl.concatenate([ndl.Tensor([1.0, 2.0]), ndl.Tensor([3.0, 2.0])]))
[1. 2. 3. 2.]
# Stack stack
>>> print(ndl.stack([ndl.Tensor([1.0, 2.0]), ndl.Tensor([3.0, 2.0])]))
[[1. 2.]
 [3. 2.]]
# Split split
>>> rows = ndl.split(ndl.Tensor([[1.0, 2.0], [3.0, 4.0]]))
>>> print(rows[1])
[3. 4.]
# MakeTensorTuple make_tuple
>>> len(ndl.make_tuple(ndl.Tensor([1.0, 2.0]), ndl.Tensor([3.0, 2.0])))
2
# TupleGetItem tuple_get_item
>>> a, b = ndl.Tensor([1.0, 2.0]), ndl.Tensor([3.0, 2.0])
>>> print(ndl.tuple_get_item(ndl.make_tuple(a, b), 1))
[3. 2.]
# FusedAddScalars fused_add_scalars
>>> print(ndl.fused_add_scalars(ndl.Tensor([1.0]), 1, 2)[1])
[3.]
# GetItem getitem
>>> print(ndl.getitem(ndl.Tensor([[1.0, 5.0], [7.0, 3.0]]), (slice(None), 1)))
[5. 3.]
# ScatterAdd
>>> grid = ndl.ScatterAdd((slice(0, 2),), (4,))
>>> print(grid(ndl.Tensor([1.0, 2.0])))
[1. 2. 0. 0.]
# Embedding
>>> print(ndl.Embedding()(ndl.Tensor([[1.0, 2.0], [3.0, 4.0]]), ndl.Tensor([1, 0])))
[[3. 4.]
 [1. 2.]]
# ArcCos arccos
>>> print(ndl.arccos(ndl.Tensor([1.0, 0.0])).numpy().round(3))
[0.    1.571]
# ArcTan2 arctan2
>>> print(ndl.arctan2(ndl.Tensor([1.0, -1.0]), ndl.Tensor([0.0, 0.0])).numpy().round(3))
[ 1.571 -1.571]
# Floor floor
>>> print(ndl.floor(ndl.Tensor([1.5, -1.5])))
[ 1. -2.]
# Ceil ceil
>>> print(ndl.ceil(ndl.Tensor([1.5, -1.5])))
[ 2. -1.]
# Rint
>>> print(ndl.Rint()(ndl.Tensor([1.5, 2.5, 2.6])))
[2. 2. 3.]
# IsNaN isnan
>>> print(ndl.isnan(ndl.Tensor([1.0, float("nan")])))
[False  True]
# IsInf isinf
>>> print(ndl.isinf(ndl.Tensor([1.0, float("-inf")])))
[False  True]
# IsFinite isfinite
>>> print(ndl.isfinite(ndl.Tensor([1.0, float("inf"), float("nan")])))
[ True False False]
# Log2 log2
>>> print(ndl.log2(ndl.Tensor([1.0, 8.0])))
[0. 3.]
# Log10 log10
>>> print(ndl.log10(ndl.Tensor([1.0, 1000.0])))
[0. 3.]
# Exp2 exp2
>>> print(ndl.exp2(ndl.Tensor([1.0, 3.0])))
[2. 8.]
# AnyTrue any
>>> print(ndl.any(ndl.Tensor([[1.0, 2.0], [3.0, 4.0]]) > 2.5, axis=1))
[False  True]
# AllTrue all
>>> print(ndl.all(ndl.Tensor([[1.0, 2.0], [3.0, 4.0]]) > 1.5, axis=1))
[False  True]
# sum
>>> print(ndl.sum(ndl.Tensor([[1.0, 2.0], [3.0, 4.0]]), axis=1))
[3. 7.]
# ArgMin argmin
>>> print(ndl.argmin(ndl.Tensor([[3.0, 1.0], [0.0, 2.0]]), axis=1))
[1 0]
# Clone clone
>>> print(ndl.clone(ndl.Tensor([1.0, 2.0])))
[1. 2.]
# Put
>>> print(ndl.Put((0,))(ndl.Tensor([1.0, 2.0]), ndl.Tensor(5.0)))
[5. 2.]
# Unique
>>> print(ndl.Unique()(ndl.Tensor([3, 1, 3]))[0])
[1 3]
# BatchNorm
>>> x, one, zero = ndl.Tensor([[1.0], [3.0]]), ndl.Tensor([1.0]), ndl.Tensor([0.0])
>>> outputs = ndl.BatchNorm((0,))(x, one, zero, zero, one)
>>> print(outputs[3])
[0.2]
# Normalize normalize
>>> x = ndl.Tensor([[1.0, 3.0]])
>>> print(ndl.normalize(x, ndl.init.ones(2), ndl.init.zeros(2), axes=(1,)).numpy().round(3))
[[-1.  1.]]
# Attention attention
>>> q, k, v = (ndl.Tensor(rows) for rows in ([[0.0]], [[1.0], [2.0]], [[3.0], [5.0]]))
>>> print(ndl.attention(q, k, v))
[[4.]]
# attention_weights
>>> q, k, v = (ndl.Tensor(rows) for rows in ([[0.0]], [[1.0], [2.0]], [[3.0], [5.0]]))
>>> print(ndl.attention_weights(q, k, v)[1])
[[0.5 0.5]]
# BinaryCrossEntropy binary_cross_entropy
>>> p, t = ndl.Tensor([0.5, 0.9]), ndl.Tensor([1.0, 1.0])
>>> print(ndl.binary_cross_entropy(p, t).numpy().round(4))
[0.6931 0.1054]
# SoftmaxCrossEntropy softmax_cross_entropy
>>> logits = ndl.Tensor([[2.0, 0.0], [0.0, 1.0]])
>>> print(ndl.softmax_cross_entropy(logits, ndl.Tensor([0, 1])).numpy().round(4))
[0.1269 0.3133]
# NegativeLogLikelihood
>>> scores = ndl.Tensor([[0.7, 0.3]]).log()
>>> print(ndl.NegativeLogLikelihood()(scores, ndl.Tensor([0])).numpy().round(4))
[0.3567]
# WeightedMean
>>> ndl.WeightedMean()(ndl.Tensor([1.0, 4.0]), ndl.Tensor([3.0, 1.0])).item()
1.25
"""

_FAMILIES = (
    activations, arithmetic, attention, contraction, einsum, functions, indexing, linalg, losses,
    normalization, reductions, order, picking, rearranging, tuples, views,
)  # fmt: skip
_OPS = {name: value for family in _FAMILIES for name, value in vars(family).items()}

for _block in _EXAMPLES.strip("# \n").split("\n# "):
    _names, *_lines = _block.split("\n")
    _example = "".join(f"\n        {line}" for line in [">>> import needle as ndl", *_lines])
    for _name in _names.split():
        _op = _OPS[_name]
        _op.__doc__ = f"{(_op.__doc__ or '').rstrip()}\n\n    Example:{_example}\n    "
