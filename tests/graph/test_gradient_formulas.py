"""Gradients of matrix products: their formulas read as on paper, and compute the same numbers."""

import numpy as np
import pytest

import needle as ndl
from needle import Tensor, nn
from needle.graph import draw, expression, trace_table

X, Y = Tensor(np.arange(6.0).reshape(3, 2)), Tensor(np.arange(12.0).reshape(3, 4))
Z = Tensor(np.arange(8.0).reshape(2, 4))
NAMES = {"x": X, "y": Y, "z": Z}


def gradients(value, *variables):
    """Fresh gradients of the sum of squares of `value`, as graphs."""
    (value**2).sum().backward()
    return [variable.grad for variable in variables]


PRODUCTS = {
    "x @ z": (lambda: X @ Z, (X, Z), ["x @ z * 2 @ z.T", "x.T @ (x @ z * 2)"]),
    "x.T @ y": (lambda: X.T @ Y, (X, Y), ["(x.T @ y * 2 @ y.T).T", "x @ (x.T @ y * 2)"]),
    "z @ y.T": (lambda: Z @ Y.T, (Z, Y), ["z @ y.T * 2 @ y", "(z.T @ (z @ y.T * 2)).T"]),
}


@pytest.mark.parametrize("formula", PRODUCTS)
def test_first_derivatives(formula):
    product, variables, expected = PRODUCTS[formula]
    assert expression(product(), NAMES) == formula
    assert [expression(each, NAMES) for each in gradients(product(), *variables)] == expected


def test_second_derivatives():
    (slope,) = gradients(X.T @ Y, Y)
    of_x, of_y = gradients(slope, X, Y)
    assert expression(of_y, NAMES).splitlines() == [
        "t1 = x.T @ y",
        "x @ (x.T @ (x @ (2 * t1) * 2) * 2 * t1 ** 0)",
    ]
    assert expression(of_x, NAMES).splitlines() == [
        "t1 = x.T @ y",
        "t2 = 2 * t1",
        "t3 = x @ t2 * 2",
        "(t2 @ t3.T + x.T @ t3 * 2 * t1 ** 0 @ y.T).T",
    ]


def test_linear_layer():
    layer = nn.Linear(2, 3, dtype="float64")
    weight, bias, x = gradients(layer(X), layer.weight, layer.bias, X)
    names = {"x": X, **dict(layer.named_parameters())}
    output = "2 * (x @ weight + bias)"
    assert expression(weight, names) == f"x.T @ ({output})"
    assert expression(bias, names) == f"sum({output}, axes=(0,), keepdims=True)"
    assert expression(x, names) == f"{output} @ weight.T"


def test_transposed_twice_is_what_it_was():
    assert expression(X.T.T @ Z, NAMES) == "x @ z"
    assert expression(((X + 1).T.T * 2).T, NAMES) == "(2 * (x + 1)).T"
    swapped = (X + 1).T
    assert expression(swapped @ Y + swapped @ Y, NAMES).splitlines()[0] == "t1 = (x + 1).T"


def test_einsum_is_written_as_it_is_called():
    (slope,) = gradients(ndl.einsum("ij,jk->ik", X, Z), Z)
    text = "einsum('ij,ik->jk', x, 2 * einsum('ij,jk->ik', x, z))"
    assert expression(slope, NAMES) == text


def evaluate(text, names):
    """The value of the lines of an expression, by Python and needle."""
    values = {**names, "sum": ndl.summation, "reshape": ndl.reshape}
    values["broadcast_to"] = ndl.broadcast_to
    *lines, result = text.splitlines()
    for line in lines:
        exec(line, values)
    return eval(result, values)


SHAPES = [
    ((3, 2), (2, 4)), ((5, 3, 2), (5, 2, 4)), ((5, 3, 2), (2, 4)), ((3, 2), (5, 2, 4)),
    ((2, 1, 3, 4), (5, 4, 6)), ((2,), (2, 4)), ((3, 2), (2,)), ((2,), (2,)), ((5, 3, 2), (2,)),
    ((2,), (5, 2, 4)), ((1, 1), (1, 1)),
]  # fmt: skip
CASES = [
    (*shapes, swaps)
    for shapes in SHAPES
    for swaps in [(False, False), (True, False), (False, True), (True, True)]
    if all(len(shape) > 1 or not swap for shape, swap in zip(shapes, swaps, strict=True))
]


@pytest.mark.parametrize(("left", "right", "swaps"), CASES, ids=str)
def test_formulas_compute_the_gradients(left, right, swaps):
    a, b = (Tensor(np.random.uniform(0.5, 1.5, size=shape)) for shape in (left, right))
    names = {"a": a.mT.detach() if swaps[0] else a, "b": b.mT.detach() if swaps[1] else b}
    for tensor in names.values():
        tensor.requires_grad = True
    a, b = names.values()
    product = (a.mT if swaps[0] else a) @ (b.mT if swaps[1] else b)
    for first in gradients(product, a, b):
        for gradient in (first, *gradients(first, a, b)):
            value = evaluate(expression(gradient, names), names)
            np.testing.assert_allclose(value.numpy(), gradient.numpy(), rtol=1e-12)
            assert value.shape == gradient.shape


# --- the other views


def test_drawn_gradients_multiply_without_transposed_copies():
    value = (X @ Z).sum()
    value.backward()
    drawing = draw([value, X.grad, Z.grad], names=NAMES)
    assert drawing.values == 7  # x, z, the product, its sum, 1, and a product for each gradient
    assert "gradient of x\\na @ b.T\\nfloat64 (3, 2)" in drawing.source
    assert "gradient of z\\na.T @ b\\nfloat64 (2, 4)" in drawing.source


def test_table_of_a_gradient():
    table = trace_table(ndl.grad(lambda x: ((x @ Z) ** 2).sum()), X, names={"z": Z})
    formulas = [row.formula for row in table.rows]
    assert formulas[-1] == f"v{len(formulas) - 1} @ z.T"
    np.testing.assert_allclose(table.rows[-1].value, gradients(X @ Z, X)[0].numpy())
