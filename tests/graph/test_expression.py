"""expression: formulas that say what the graph computes, with the parentheses that they need."""

import ast
import time

import hypothesis
import numpy as np
import pytest
from hypothesis import strategies

import needle as ndl
from needle import Tensor, nn
from needle.graph import draw, expression

X1, X2 = Tensor(2.0), Tensor(5.0)
NAMES = {"x1": X1, "x2": X2}
A, W = Tensor(np.arange(6.0).reshape(2, 3)), Tensor(np.ones((3, 2)))
MATRICES = {"a": A, "w": W}


def negated(x):
    return -x


FORMULAS = {
    "the worked example": (ndl.log(X1) + X1 * X2 - ndl.sin(X2), "log(x1) + x1 * x2 - sin(x2)"),
    "product, then sum": (X1 * X2 + X1.log(), "x1 * x2 + log(x1)"),
    "sum, then product": ((X1 + X2) * X1, "(x1 + x2) * x1"),
    "sum of a sum": (X1 + (X2 + X1), "x1 + (x2 + x1)"),
    "difference": (X1 - X2, "x1 - x2"),
    "difference of a difference": (X1 - (X2 - X1), "x1 - (x2 - x1)"),
    "difference, then difference": (X1 - X2 - X1, "x1 - x2 - x1"),
    "difference of a product": (X1 - X1 * X2, "x1 - x1 * x2"),
    "quotients": (X1 / X2 / X1, "x1 / x2 / x1"),
    "quotient of a quotient": (X1 / (X2 / X1), "x1 / (x2 / x1)"),
    "quotient of a product": (X1 / (X2 * X1), "x1 / (x2 * x1)"),
    "sign": (-X1, "-x1"),
    "sign of a sum": (-(X1 + X2), "-(x1 + x2)"),
    "sign of a product": (-(X1 * X2), "-x1 * x2"),
    "sign of a sign": (-negated(X1), "x1"),
    "sign of a difference of signs": (-(-X1 - X2), "-(-x1 - x2)"),
    "sign of a negative product": (-((-X1) * X2), "x1 * x2"),
    "reshape of nothing": (A.reshape(2, 3).broadcast_to((2, 3)) + 1, "a + 1"),
    "cast of nothing": (A.astype("float64"), "a"),
    "sign of a power": (-(X1**2), "-x1 ** 2"),
    "power of a sign": ((-X1) ** 2, "(-x1) ** 2"),
    "power of a power": ((X1**2) ** 3, "(x1 ** 2) ** 3"),
    "power to a power": (X1 ** (X2**X1), "x1 ** x2 ** x1"),
    "negative power": (X1**-2, "x1 ** -2"),
    "number to a power": (2**X1, "2 ** x1"),
    "negative number to a power": (ndl.power(Tensor(-2.0, requires_grad=False), X1), "(-2) ** x1"),
    "number on the right": (X1 + 2, "x1 + 2"),
    "number subtracted": (X1 - 2.5, "x1 - 2.5"),
    "subtracted from a number": (2 - X1, "2 - x1"),
    "negative first": (-X1 + X2, "x2 - x1"),
    "two negatives": (-X1 - X2, "-x1 - x2"),
    "number times": (X1 * 3, "3 * x1"),
    "number times a sum": (3 * (X1 + X2), "3 * (x1 + x2)"),
    "number times a product": (X1 * X2 * 3, "x1 * x2 * 3"),
    "three factors": (3 * X1 * X2, "3 * x1 * x2"),
    "minus a number times": (X1 - 3 * X2, "x1 - 3 * x2"),
    "plus a negative number times": (X1 + -3 * X2, "x1 - 3 * x2"),
    "times minus one": (X1 * -1 + X2, "x2 - x1"),
    "number over": (1 / X1, "1 / x1"),
    "over a number": (X1 / 4, "x1 / 4"),
    "matrix product": (A @ W, "a @ w"),
    "matrix product of a sum": ((A + 1) @ W, "(a + 1) @ w"),
    "transposed": (A.T, "a.T"),
    "transposed sum": ((A + A * 2).T, "(a + 2 * a).T"),
    "two axes swapped": (A.transpose((0, 1)), "transpose(a, axes=(0, 1))"),
    "sum": (A.sum(), "sum(a)"),
    "sum over an axis": (A.sum(axes=0), "sum(a, axes=0)"),
    "sum over axes": (A.sum((0, 1), keepdims=True), "sum(a, axes=(0, 1), keepdims=True)"),
    "one axis of a tuple": (A.sum((1,)), "sum(a, axes=(1,))"),
    "mean": (A.mean(), "sum(a) / 6"),
    "element": (A[0, 1], "a[0, 1]"),
    "slices": (A[..., 1:, None], "a[..., 1:, None]"),
    "steps": (A[::2], "a[::2]"),
    "array index": (A[[1, 0]], "a[[1, 0]]"),
    "large index": (A[np.zeros(100, int)], "a[<int64 (100,)>]"),
    "element of a sum": ((A + 1)[0], "(a + 1)[0]"),
    "shape": (A.reshape(3, 2), "reshape(a, shape=(3, 2))"),
    "dtype": (A.astype("float32"), "astype(a, dtype=float32)"),
    "function of several words": (ndl.leaky_relu(A, 0.2), "leaky_relu(a, slope=0.2)"),
    "defaults left out": (ndl.leaky_relu(A), "leaky_relu(a)"),
    "clip": (A.clip(0, None), "clip(a, low=0)"),
    "stack": (ndl.stack([X1, X2]), "stack((x1, x2))"),
    "concatenation": (ndl.concatenate([A, A], -1), "concatenate((a, a), axis=-1)"),
    "default of the function": (A.softmax(), "softmax(a)"),
    "default of the op alone": (A.softmax(None), "softmax(a, axes=None)"),
    "tuple of one": (ndl.make_tuple(X1), "(x1,)"),
    "entry of a tuple": (ndl.split(A)[1], "split(a)[1]"),
    "maximum": (ndl.maximum(X1, 0), "maximum(x1, 0)"),
    "twice the same operand": (X1 * X1, "x1 * x1"),
    "leaf": (X1, "x1"),
    "number": (Tensor(3.0, requires_grad=False), "3"),
    "small number": (X1 + 1e-8, "x1 + 1e-08"),
    "large number": (X1 * 1e30, "1e+30 * x1"),
}


@pytest.mark.parametrize("name", FORMULAS)
def test_formula(name):
    value, formula = FORMULAS[name]
    assert expression(value, NAMES | MATRICES) == formula


class Swish(ndl.TensorOp):
    def __init__(self, beta=1.0, tag=None, table=None):
        self.beta = beta
        self.tag = tag
        self.table = table

    def compute(self, a, b):
        return a * b

    def gradient(self, out_grad, node):
        a, b = node.inputs
        return out_grad * b, out_grad * a


def test_own_op_is_written_as_a_call_of_its_class():
    assert expression(Swish()(X1, X2 + 1), NAMES) == "Swish(x1, x2 + 1)"
    assert expression(Swish(2, "fast", {})(X1, X2), NAMES) == "Swish(x1, x2, beta=2, tag='fast')"


def test_own_op_with_the_name_of_one_of_ours_is_not_taken_for_it():
    class Negate(Swish):
        pass

    assert expression(Negate()(X1, X2), NAMES) == "Negate(x1, x2)"


def test_comparisons_are_there_in_lazy_mode():
    with ndl.lazy_mode():
        value = (X1 + 1 > X2 * 2) == (X1 < X2)
        assert expression(value, NAMES) == "(x1 + 1 > 2 * x2) == (x1 < x2)"
        assert value.cached_data is None


# --- data are operands


def test_index_arrays_are_operands():
    index, mask = Tensor([1, 0], requires_grad=False), Tensor([True, False], requires_grad=False)
    names = MATRICES | {"i": index, "m": mask}
    assert expression(A[index], names) == "a[i]"
    assert expression(A[0, index] + A[mask, 1:, None][0], names) == "a[0, i] + a[m, 1:, None][0]"
    assert expression(A[index], MATRICES) == "a[[1, 0]]"
    assert expression(A[:, index + 1]) == "A[:, [2, 1]]"
    (slope,) = gradient(A[index] ** 2, A)
    assert expression(slope, names) == "ScatterAdd(2 * a[i], index=(i,), shape=(2, 3))"
    with ndl.lazy_mode():
        assert expression(A[index + 1], names) == "a[i + 1]"


def test_labels_are_operands_and_values_for_the_gradient_are_not_shown(mode):
    labels = Tensor([0, 2], requires_grad=False)
    loss = ndl.softmax_cross_entropy(A, labels)
    names = MATRICES | {"y": labels}
    assert expression(loss, names) == "softmax_cross_entropy(a, y)"
    assert expression(loss.exp() + loss, {**names, "l": loss}).splitlines() == [
        "l = softmax_cross_entropy(a, y)",
        "exp(l) + l",
    ]
    layer = nn.LayerNorm1d(3, dtype="float64")
    formula = expression(layer(A), {**MATRICES, **dict(layer.named_parameters())})
    assert formula == "normalize(a, weight, bias, axes=(1,))"


# --- names


def test_leaves_without_names_are_numbered():
    a, b, constant = Tensor(1.0), Tensor(2.0), Tensor([1.0, 2.0], requires_grad=False)
    assert expression(a * b + constant * a, {}) == "x1 * x2 + c1 * x1"
    assert expression(a * b, {"x1": b}) == "x2 * x1"


def test_variables_of_the_caller_are_names():
    rate, _1 = Tensor(2.0), Tensor(3.0)
    scale = Tensor(0.5, requires_grad=False)
    assert expression(scale * rate * X1 + _1) == "scale * rate * X1 + x1"
    assert '"rate\\n' in draw(rate * 2).source
    model = nn.Linear(2, 1)
    weight = model.weight
    assert '"weight\\n' in draw(weight * 2).source
    assert weight is model.weight
    assert '"Parameter\\n' not in draw(model(Tensor([[1.0, 2.0]])), module=model).source


def test_names_may_be_a_list():
    assert expression(X1 * X2 + 1, ["u", "v"]) == "u * v + 1"


def test_names_may_be_a_model():
    model = nn.Sequential(nn.Linear(2, 3), nn.ReLU(), nn.Linear(3, 1, bias=False))
    formula = expression(model(Tensor([[1.0, 2.0]])), model)
    assert formula == "relu(x1 @ 0.weight + 0.bias) @ 2.weight"


def test_results_may_have_names():
    hidden = X1 * X2
    value = hidden.exp() + hidden
    assert expression(value, {**NAMES, "h": hidden, "y": value}).splitlines() == [
        "h = x1 * x2",
        "y = exp(h) + h",
    ]


@pytest.mark.parametrize("names", [["u"], ["u", "v", "w"], "uv"])
def test_wrong_number_of_names(names):
    with pytest.raises(ValueError, match="2 leaves"):
        expression(X1 * X2, names)


def test_bad_arguments():
    with pytest.raises(TypeError, match="expression takes a Tensor, got ndarray"):
        expression(np.ones(2))
    with pytest.raises(TypeError, match=r"'x'.*float"):
        expression(X1 * X2, {"x": 2.0})


# --- sharing


def test_what_is_shared_is_computed_once():
    product = X1 * X2
    total = product + 1
    value = total * total.log() / product
    assert expression(value, NAMES).splitlines() == [
        "t1 = x1 * x2",
        "t2 = t1 + 1",
        "t2 * log(t2) / t1",
    ]


def test_names_of_lines_avoid_names_that_are_taken():
    product = X1 * X2
    text = expression(product * product.log(), {"t1": X1, "x": X2})
    assert text.splitlines() == ["t2 = t1 * x", "t2 * log(t2)"]


def test_sharing_keeps_formulas_short():
    one = value = Tensor(1.0)
    for _ in range(50):
        value = value * value
    lines = expression(value, {"x1": one}).splitlines()
    assert len(lines) == 50
    assert lines[-1] == "t49 * t49"


def test_long_formulas_are_broken():
    value = X1
    for _ in range(40):
        value = value + X2
    lines = expression(value, NAMES, width=60).splitlines()
    assert len(lines) > 3
    assert max(map(len, lines)) < 80
    assert evaluate("\n".join(lines), NAMES) == value.item()


def test_deep_graph():
    value = X1
    for _ in range(100_000):
        value = value + X2
    start = time.perf_counter()
    lines = expression(value, NAMES).splitlines()
    assert time.perf_counter() - start < 20
    assert sum(line.count("+") for line in lines) == 100_000


# --- gradients


def gradient(value, *variables):
    """Fresh gradients of `value`, as graphs."""
    value.backward()
    return [variable.grad for variable in variables]


def test_gradient_of_the_worked_example():
    slope1, slope2 = gradient(X1.log() + X1 * X2 - X2.sin(), X1, X2)
    assert expression(slope1, NAMES) == "x2 + 1 / x1"
    assert expression(slope2, NAMES) == "x1 - cos(x2)"


def test_gradient_of_gradient():
    (slope,) = gradient(X1**4, X1)
    assert expression(slope, NAMES) == "4 * x1 ** 3"
    (curve,) = gradient(slope, X1)
    assert expression(curve, NAMES) == "4 * (3 * x1 ** 2)"


def test_gradients_of_sums_need_no_ones():
    (slope,) = gradient((A * A).sum(), A)
    assert expression(slope, MATRICES) == "a + a"
    (slope,) = gradient((A**2).mean(), A)
    assert expression(slope, MATRICES) == f"{1 / 6!r} * (2 * a)"


def test_ones_stay_where_they_matter():
    (slope,) = gradient((A @ W).sum(), W)
    assert expression(slope, MATRICES) == "a.T @ c1"
    ones = Tensor(np.ones((3, 1)), requires_grad=False)
    assert expression(ones * Tensor([1.0, 2.0]), {}) == "c1 * x1"


# --- formulas are right: Python reads them as the graph computes


def evaluate(text, names):
    """The value of the lines of an expression, by Python."""
    values = {name: tensor.numpy() for name, tensor in names.items()}
    functions = {"exp": np.exp, "sin": np.sin, "maximum": np.maximum}
    *lines, result = text.splitlines()
    for line in lines:
        exec(line, functions, values)
    return eval(result, functions, values)


LEAVES = strategies.sampled_from([X1, X2, Tensor(0.75)])
NUMBERS = strategies.sampled_from([2, 3.5, -1, -0.25, 1])


def extend(values):
    pairs = strategies.tuples(values, values)
    with_number = strategies.tuples(values, NUMBERS)
    return strategies.one_of(
        pairs.map(lambda p: p[0] + p[1]),
        pairs.map(lambda p: p[0] - p[1]),
        pairs.map(lambda p: p[0] * p[1]),
        pairs.map(lambda p: p[0] / (p[1] * p[1] + 1)),
        pairs.map(lambda p: ndl.maximum(*p)),
        values.map(lambda v: -v),
        values.map(lambda v: v**2),
        values.map(ndl.sin),
        with_number.map(lambda p: p[0] + p[1]),
        with_number.map(lambda p: p[0] - p[1]),
        with_number.map(lambda p: p[1] - p[0]),
        with_number.map(lambda p: p[0] * p[1]),
        with_number.map(lambda p: p[0] / p[1]),
        with_number.map(lambda p: p[1] / (p[0] * p[0] + 1)),
    )


@hypothesis.settings(derandomize=True, deadline=None, max_examples=50)
@hypothesis.given(strategies.recursive(LEAVES, extend, max_leaves=12))
def test_python_reads_the_formula_as_the_graph_computes_it(value):
    leaves = [leaf for leaf in ndl.autograd.find_topo_sort([value]) if leaf.is_leaf()]
    names = {f"v{k}": leaf for k, leaf in enumerate(leaves) if leaf.requires_grad}
    text = expression(value, names)
    with np.errstate(all="ignore"):
        np.testing.assert_array_equal(evaluate(text, names), value.numpy())
    for line in text.splitlines():
        assert unneeded_parentheses(line) == []


def unneeded_parentheses(line):
    """What the formula would be without a pair, where it would mean the same, --x aside."""
    found, open_at = [], []
    for position, character in enumerate(line):
        if character == "(":
            open_at.append(position)
        elif character == ")":
            start = open_at.pop()
            shorter = line[:start] + line[start + 1 : position] + line[position + 1 :]
            if line[start - 1 : start + 2] != "-(-" and tree(shorter) == tree(line):
                found.append(shorter)
    return found


def tree(code):
    try:
        return ast.dump(ast.parse(code))
    except SyntaxError:
        return None


IMAGES, KERNELS = Tensor(np.ones((1, 2, 8, 8))), Tensor(np.ones((2, 2, 3, 3)))
QUERIES, STEPS = Tensor(np.ones((2, 5, 4))), Tensor(np.ones((2, 1, 3), "float32"))
F = nn.functional


@pytest.mark.parametrize(
    ("value", "formula"),
    [
        (F.conv2d(IMAGES, KERNELS), "conv2d(x, w)"),
        (F.conv2d(IMAGES, KERNELS, stride=2, padding=1), "conv2d(x, w, stride=2, padding=1)"),
        (F.conv2d(IMAGES, KERNELS, dilation=(1, 2)), "conv2d(x, w, dilation=(1, 2))"),
        (F.max_pool2d(IMAGES, 2), "max_pool2d(x, kernel_size=2, stride=2)"),
        (F.max_pool1d(IMAGES[0], 2, 1), "max_pool1d(x[0], kernel_size=2, stride=1)"),
        (
            F.scaled_dot_product_attention(QUERIES, QUERIES, QUERIES, is_causal=True),
            "scaled_dot_product_attention(q, q, q, scale=0.5, is_causal=True)",
        ),
        (nn.LSTM(3, 4)(STEPS)[0], "lstm(s, c1, c2, x1, x2, x3, x4)"),
        (nn.GRU(3, 4)(STEPS)[0], "gru(s, c1, x1, x2, x3, x4)"),
    ],
)
def test_calls_have_the_names_and_settings_that_users_know(value, formula):
    names = {"x": IMAGES, "w": KERNELS, "q": QUERIES, "s": STEPS}
    assert expression(value, names) == formula
