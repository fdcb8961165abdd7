"""What cannot be differentiated is refused, at the call, with what to do instead."""

import numpy as np
import pytest

import needle as ndl
from needle import Tensor

x = Tensor([1.0, 2.0])


def loss(x):
    return (x * x).sum()


def square(x):
    return x * x


CASES = {
    # results
    "several elements": (
        lambda: ndl.grad(square)(x),
        ValueError,
        r"square gave shape \(2,\): sum it, or use jacobian",
    ),
    "no tensor": (
        lambda: ndl.grad(lambda x: 3.0)(x), TypeError, "must return a Tensor, got float",
    ),
    "an array": (
        lambda: ndl.grad(lambda x: np.ones(1))(x), TypeError, "must return a Tensor, got ndarray",
    ),
    "nothing": (
        lambda: ndl.grad(lambda x: None)(x), TypeError, "must return a Tensor, got NoneType",
    ),
    "a tuple": (
        lambda: ndl.grad(lambda x: (x, x))(x), TypeError, "must return a Tensor, got tuple",
    ),
    "no pair with has_aux": (
        lambda: ndl.grad(loss, has_aux=True)(x), TypeError, r"loss must return \(value, aux\)",
    ),
    "no tensor in jvp": (lambda: ndl.jvp(lambda x: 3, (x,), (x,)), TypeError, "returned no tensor"),
    "no tensor in vjp": (lambda: ndl.vjp(lambda x: [], x), TypeError, "returned no tensor"),
    "no tensor in jacobian": (
        lambda: ndl.jacobian(lambda x: {})(x), TypeError, "returned no tensor",
    ),
    "no tensor in a forward jacobian": (
        lambda: ndl.jacobian(lambda x: {}, "forward")(x), TypeError, "returned no tensor",
    ),
    "Hessian of several elements": (
        lambda: ndl.hessian(square)(x), ValueError, "sum it, or use jacobian",
    ),
    "hvp of several elements": (
        lambda: ndl.hvp(square, x, x), ValueError, "sum it, or use jacobian",
    ),
    # arguments
    "integers": (
        lambda: ndl.grad(loss)(Tensor([1, 2])),
        TypeError,
        r"argument 0 of loss holds a tensor of int64: .* use astype\('float64'\)",
    ),
    "booleans": (lambda: ndl.grad(loss)(Tensor([True])), TypeError, "holds a tensor of bool"),
    "integers in a container": (
        lambda: ndl.grad(lambda a, b: a, 1)(x, {"n": [Tensor(1)]}), TypeError,
        "argument 1 of <lambda> holds a tensor of int64",
    ),
    "integers in jvp": (
        lambda: ndl.jvp(loss, (Tensor([1, 2]),), (Tensor([1, 2]),)), TypeError, "int64",
    ),
    "integers in a forward jacobian": (
        lambda: ndl.jacobian(loss, "forward")(Tensor([1, 2])), TypeError, "int64",
    ),
    "integers in hessian": (lambda: ndl.hessian(loss)(Tensor([1, 2])), TypeError, "int64"),
    "a number": (
        lambda: ndl.grad(loss)(3.0), TypeError, r"argument 0 of loss holds no tensor .*wrap",
    ),
    "an empty container": (lambda: ndl.grad(loss)([]), TypeError, "holds no tensor"),
    # argnums
    "argnums beyond the last": (
        lambda: ndl.grad(loss, 1)(x), ValueError, "loss got 1 arguments: no argnums 1",
    ),
    "argnums before the first": (lambda: ndl.grad(loss, -2)(x), ValueError, "no argnums -2"),
    "one of several argnums": (
        lambda: ndl.jacobian(loss, argnums=(0, 3))(x), ValueError, "no argnums 3",
    ),
    "no arguments": (lambda: ndl.grad(lambda: 1)(), ValueError, "got 0 arguments"),
    "an argument twice": (
        lambda: ndl.grad(lambda x, y: x * y, (1, -1))(x, x), ValueError,
        r"argnums \(1, -1\) name an argument twice",
    ),
    # tangents and cotangents
    "shape of a tangent": (
        lambda: ndl.jvp(loss, (x,), (Tensor([1.0]),)), ValueError,
        r"tangents differ from the primals at \[0\]: shape \(1,\), expected \(2,\)",
    ),
    "dtype of a tangent": (
        lambda: ndl.jvp(loss, (x,), (Tensor([1.0, 1.0], dtype="float32"),)), TypeError,
        r"at \[0\]: dtype float32, expected float64",
    ),
    "number of tangents": (
        lambda: ndl.jvp(loss, (x,), (x, x)), ValueError,
        r"tensors at \['\[0\]', '\[1\]'\], expected at \['\[0\]'\]",
    ),
    "structure of tangents": (
        lambda: ndl.jvp(lambda d: d["a"], ({"a": x},), ([x],)), ValueError,
        "the structure of the tangents differs from that of the primals",
    ),
    "keys of tangents": (
        lambda: ndl.jvp(lambda d: d["a"], ({"a": x},), ({"b": x},)), ValueError, "structure",
    ),
    "tangents that are no tensors": (
        lambda: ndl.jvp(loss, (x,), (np.ones(2),)), ValueError, "structure of the tangents",
    ),
    "primals without a tuple": (
        lambda: ndl.jvp(loss, x, x), TypeError, r"write \(x,\) for one argument",
    ),
    "vector of hvp": (
        lambda: ndl.hvp(loss, x, Tensor([1.0])), ValueError, r"shape \(1,\), expected \(2,\)",
    ),
    "vectors of hvp": (lambda: ndl.hvp(loss, (x,), (x, x)), ValueError, "structure"),
    "shape of a cotangent": (
        lambda: ndl.vjp(square, x)[1](Tensor(1.0)), ValueError,
        r"cotangents differ from the value: shape \(\), expected \(2,\)",
    ),
    "dtype of a cotangent": (
        lambda: ndl.vjp(square, x)[1](Tensor([1, 1])), TypeError, "dtype int64, expected float64",
    ),
    "structure of cotangents": (
        lambda: ndl.vjp(lambda x: (x, x), x)[1](x), ValueError,
        "the structure of the cotangents differs from that of the value",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", CASES)
def test_refusal(name, mode):
    call, kind, message = CASES[name]
    with pytest.raises(kind, match=message):
        call()
    assert x.grad is None
