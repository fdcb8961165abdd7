"""trace_table: rows, formulas, and the numbers of the three traces."""

import gc
import weakref

import numpy as np
import pytest

import needle as ndl
from needle import Tensor, nn
from needle.graph import trace_table


def worked_example(x1, x2):
    return ndl.log(x1) + x1 * x2 - ndl.sin(x2)


WORKED = """\
node  formula   value  tangent x1  tangent x2  adjoint
v1    x1            2           1           0      5.5
v2    x2            5           0           1    1.716
v3    log(v1)   0.693         0.5           0        1
v4    v1 * v2      10           5           2        1
v5    sin(v2)  -0.959           0       0.284       -1
v6    v3 + v4  10.693         5.5           2        1
v7    v6 - v5  11.652         5.5       1.716        1"""


def test_worked_example(mode):
    table = trace_table(worked_example, 2.0, 5.0)
    assert str(table) == WORKED
    assert repr(table) == WORKED
    last = table.rows[-1]
    assert last.value == np.log(2) + 10 - np.sin(5)
    np.testing.assert_allclose(last.tangents, [0.5 + 5, 2 - np.cos(5)])
    np.testing.assert_allclose([row.adjoint for row in table.rows[:2]], last.tangents)


def test_markdown():
    table = trace_table(worked_example, 2.0, 5.0)
    lines = table.to_markdown().splitlines()
    assert lines[0] == "| node | formula | value | tangent x1 | tangent x2 | adjoint |"
    assert lines[1] == "| --- | --- | ---: | ---: | ---: | ---: |"
    assert lines[-1] == "| v7 | `v6 - v5` | 11.652 | 5.5 | 1.716 | 1 |"
    assert len(lines) == 9
    assert table._repr_markdown_() == table.to_markdown()


def formulas(f, *inputs, **options):
    return [row.formula for row in trace_table(f, *inputs, **options).rows]


def test_each_value_comes_after_its_operands():
    def f(a, b):
        early = a.exp()
        late = ((a * b).sin() + b).cos()
        return early * late

    assert formulas(f, 1.0, 2.0) == [
        "a", "b", "exp(v1)", "v1 * v2", "sin(v4)", "v5 + v2", "cos(v6)", "v3 * v7",
    ]  # fmt: skip


def test_difference_comes_as_early_as_a_sum():
    def f(x):
        return (x - x.sin()) * x.cos().cos().cos()

    order = ["x", "sin(v1)", "cos(v1)", "v1 - v2", "cos(v3)", "cos(v5)", "v4 * v6"]
    assert formulas(f, 1.0) == order


@pytest.mark.parametrize(
    ("f", "expected"),
    [
        (lambda x: 2 - x, ["x", "2 - v1"]),
        (lambda x: -x, ["x", "-v1"]),
        (lambda x: -x + x.exp(), ["x", "-v1", "exp(v1)", "v2 + v3"]),
        (lambda x: x - x, ["x", "v1 - v1"]),
        (lambda x: (lambda n: (x + n) * n)(-x), ["x", "-v1", "v1 + v2", "v3 * v2"]),
        (lambda x: x * 1, ["x", "1 * v1"]),
        (lambda x: x, ["x"]),
        (lambda x: 3 / x**2, ["x", "v1 ** 2", "3 / v2"]),
    ],
)
def test_only_differences_are_one_value(f, expected):
    assert formulas(f, 2.0) == expected


def test_tensors_from_outside_are_constants():
    outside = Tensor([1.0, 2.0])
    made = outside * 3
    assert formulas(lambda x: x * outside + made, [1.0, 2.0]) == ["x", "v1 * c1", "v2 + c2"]
    rows = trace_table(lambda x: x * outside, [1.0, 2.0], names={"w": outside}).rows
    assert rows[1].formula == "v1 * w"
    assert outside.grad is None


def test_parameters_go_by_their_names():
    layer = nn.Linear(2, 1)
    x = np.ones((1, 2), "float32")
    assert formulas(layer, x, names=layer) == ["x1", "v1 @ weight + bias"]
    assert layer.weight.grad is None


def test_graph_is_let_go_of():
    made = []

    def f(x):
        made.append(weakref.ref(x.exp()))
        return (x * 2).log() * x

    def g(x):
        y = f(x)
        made.append(weakref.ref(y))
        return y

    gc.disable()  # no cycle keeps it
    try:
        trace_table(g, 1.0)
        assert [reference() for reference in made] == [None, None]
    finally:
        gc.enable()


def test_inputs_are_copied():
    x = Tensor([1.0, 2.0])
    table = trace_table(lambda x: (x * x).sum(), x)
    assert x.grad is None
    np.testing.assert_array_equal(table.rows[0].adjoint, [2, 4])


def test_names_of_the_inputs():
    assert trace_table(lambda *values: values[0] * values[1], 1, 2).inputs == ("x1", "x2")
    assert trace_table(lambda first, second=None: first, 1).inputs == ("first",)
    assert trace_table(ndl.sin, 1.0).inputs == ("a",)


def test_tensors_with_axes():
    x, w = np.array([[1.0, 2.0]]), np.array([[3.0], [4.0]])
    table = trace_table(lambda x, w: ndl.tanh(x @ w / 10).sum(), x, w)
    product, result = table.rows[2], table.rows[-1]
    assert product.formula == "v1 @ v2"
    slope = 1 - np.tanh(1.1) ** 2
    np.testing.assert_allclose(product.adjoint, [[slope / 10]])
    np.testing.assert_allclose(product.tangents[0], [[7.0]])  # along all elements at once
    np.testing.assert_allclose(table.rows[0].adjoint, slope / 10 * w.T)
    np.testing.assert_allclose(result.tangents[1], slope / 10 * 3)
    assert "[[3], [4]]" in str(table)


def test_forward_and_reverse_mode_agree_on_every_row():
    def f(x, y):
        return ((x * y).exp() / (x + y.sin()) - y**2) * x

    table = trace_table(f, 0.7, 1.3)
    # the derivative of the result is the adjoint of each cut of the graph times its tangent
    for column in range(2):
        leaf, result = table.rows[column], table.rows[-1]
        np.testing.assert_allclose(leaf.adjoint, result.tangents[column], rtol=1e-12)


def test_tuples_inside():
    table = trace_table(lambda x: ndl.stack(ndl.split(x)) ** 2, [1.0, 2.0])
    assert [row.formula for row in table.rows] == ["x", "split(v1)", "stack(v2)", "v3 ** 2"]
    assert str(table).splitlines()[2].split("  ")[-1].strip() == "(2, 4)"


def test_values_for_the_gradient_are_no_rows(mode):
    def loss(z):
        return ndl.softmax_cross_entropy(z * 2, Tensor([0, 1], requires_grad=False)).sum()

    table = trace_table(loss, [[1.0, 2.0], [3.0, 4.0]])
    assert [row.formula for row in table.rows] == [
        "z", "2 * v1", "softmax_cross_entropy(v2, c1)", "sum(v3)",
    ]  # fmt: skip
    assert table.rows[2].value.shape == (2,)
    np.testing.assert_allclose(table.rows[3].tangents[0], 0, atol=1e-12)
    np.testing.assert_array_equal(table.rows[2].adjoint, [1, 1])


def test_result_that_ignores_inputs():
    table = trace_table(lambda x, y: y * 2, 1.0, 2.0)
    assert (table.rows[0].adjoint, table.rows[2].tangents[0]) == (None, None)
    assert str(table).splitlines()[1].split() == ["v1", "x", "1", "1", "0", "0"]
    constant = trace_table(lambda x: Tensor([3.0]), 1.0).rows[1]
    assert constant.formula == "a constant"
    assert constant.adjoint == 1


def test_steps_without_gradient_are_rows_in_lazy_mode():
    with ndl.lazy_mode():
        assert formulas(lambda x: (x > 1) * x, 2.0) == ["x", "v1 > 1", "v2 * v1"]


def test_it_works_under_no_grad():
    with ndl.no_grad():
        assert str(trace_table(worked_example, 2.0, 5.0)) == WORKED


def test_precision_and_small_and_large_numbers():
    table = trace_table(lambda x: x * 1e-7 + 1e8, 1 / 3, precision=5)
    assert "0.33333" in str(table)
    assert "3.3333e-08" in str(table)
    assert "1e+08" in str(table)


def test_large_arrays_are_summed_up():
    assert "float64 (100,)" in str(trace_table(lambda x: x.sum(), np.ones(100)))


def test_result_must_be_a_tensor():
    with pytest.raises(TypeError, match="f returned a float"):
        trace_table(lambda x: 3.0, 1.0)
