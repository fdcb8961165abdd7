"""Writing an op: log cosh, a loss that is quadratic near 0 and linear for large values.

    python examples/custom_op.py

An op defines two methods: `compute`, on arrays, and `gradient`, which writes the adjoint with other
ops. Reverse and forward mode, derivatives of any order and lazy evaluation follow from them.
"""

import math

import numpy as np

import needle as ndl
from needle.testing import gradcheck

LOG_2 = math.log(2)  # a Python float keeps float32; a NumPy scalar, np.log(2), would not


class LogCosh(ndl.TensorOp):
    """ln cosh a, element by element. Adjoint: g·tanh a."""

    def compute(self, a: np.ndarray) -> np.ndarray:
        # cosh overflows beyond 710; ln cosh a = |a| + ln(1 + e^(-2|a|)) - ln 2 does not
        size = np.absolute(a)
        return size + np.log1p(np.exp(-2 * size)) - LOG_2

    def gradient(self, out_grad: ndl.Tensor, node: ndl.Tensor) -> ndl.Tensor:
        (a,) = node.inputs
        return out_grad * ndl.tanh(a)


def log_cosh(a: ndl.Tensor) -> ndl.Tensor:
    """ln cosh a, element by element."""
    return LogCosh()(a)


def main() -> None:
    """Use the op in each mode of differentiation and in training."""
    x = ndl.Tensor([-1000.0, -1.0, 0.0, 0.5])

    def loss(x: ndl.Tensor) -> ndl.Tensor:
        return log_cosh(x).sum()

    print("value:            ", log_cosh(x).numpy())
    loss(x).backward()
    print("backward:         ", x.grad.numpy())
    print("reverse mode:     ", ndl.grad(loss)(x).numpy())
    ones = ndl.init.ones_like(x)
    _, tangent = ndl.jvp(log_cosh, (x,), (ones,))
    print("forward mode:     ", tangent.numpy())
    print("second order:     ", ndl.hvp(loss, x, ones).numpy())  # 1 - tanh², the diagonal Hessian

    with ndl.lazy_mode():
        y = log_cosh(x)
        print("lazily computed:  ", y.cached_data is None, "then", y.numpy())

    point = ndl.Tensor([-1.0, 0.3, 2.0])  # finite differences are inaccurate for large values
    print("gradcheck passes: ", gradcheck(log_cosh, point, order=2))

    # float32 stays float32, and a model that uses the op trains like any other
    np.random.seed(0)
    layer = ndl.nn.Linear(1, 1)
    inputs = ndl.init.rand(64, 1, low=-1.0, high=1.0)
    optimizer = ndl.optim.Adam(layer.parameters(), lr=0.1)
    for _ in range(200):
        error = log_cosh(layer(inputs) - inputs * 3 - 1).mean()
        error.backward(create_graph=False)
        optimizer.step()
    print("a fit of 3x + 1:  ", f"{layer.weight.item():.3f}·x + {layer.bias.item():.3f}")


if __name__ == "__main__":
    with np.printoptions(precision=4, suppress=True):
        main()
