"""Examples in the docstrings of ops that are not elementwise, as examples.py has them."""

__all__ = ["OF_ARRAYS"]

OF_ARRAYS = """\
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
