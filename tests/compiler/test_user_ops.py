"""Users' own ops in compiled functions."""

import numpy as np
import pytest

import needle as ndl

A = np.arange(6.0).reshape(2, 3) + 1


def tensor(array=A, requires_grad=False):
    return ndl.Tensor(array, requires_grad=requires_grad)


class Inverse(ndl.TensorOp):
    def compute(self, a):
        return np.linalg.inv(a)

    def gradient(self, out_grad, node):
        return -(node.transpose() @ out_grad @ node.transpose())


class Scaled(ndl.TensorOp):
    """Reads a value in its compute."""

    def compute(self, a):
        return a / a.max().item()

    def gradient(self, out_grad, node):
        (a,) = node.inputs
        return out_grad / ndl.max(a.detach())


class Both(ndl.TensorTupleOp):
    def compute(self, a):
        return np.sin(a), np.asarray(np.cos(a))

    def gradient(self, out_grad, node):
        (a,) = node.inputs
        return out_grad[0] * ndl.cos(a) - out_grad[1] * ndl.sin(a)


class Noise(ndl.TensorOp):
    is_random = True

    def compute(self, a):
        return a + np.random.rand(*a.shape)

    def gradient(self, out_grad, node):
        return out_grad


def test_random_ops_keep_their_order_around_kernels(agree):
    """A kernel of `u` and `u * second` would be needed before the first and after the second."""

    def step(x):
        u = ndl.exp(x)
        first = Noise()(u)
        second = Noise()(x)
        return u * second + first

    agree(lambda: (step, []), [(SQUARE,), (SQUARE + 1,)])


SQUARE = np.array([[2.0, 0.5], [0.25, 1.0]])


@pytest.mark.parametrize("op", [Inverse, Scaled, Both, Noise])
def test_a_users_own_op(op, agree):
    def step(x):
        def function(x):
            y = op()(x * 2)
            return (y if isinstance(y, ndl.Tensor) else y[0] + y[1] * 2).sum()

        return ndl.value_and_grad(function)(x)

    agree(lambda: (step, []), [(SQUARE,), (SQUARE + 1,)])
