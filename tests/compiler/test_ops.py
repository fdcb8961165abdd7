"""Every row of the table of ops: forward and backward, compiled against eager."""

import numpy as np
import pytest
import table

import needle as ndl
from needle.compiler.calls import Call

NAMES = list(dict.fromkeys(case.name for case in table.CASES))
OPENED = [
    "add", "matmul", "relu", "gelu", "sum over 0", "logsumexp over 0", "split along -1",
    "embedding", "softmax_cross_entropy mean", "normalize over -1", "where", "cumsum", "einsum",
]  # fmt: skip
READ_VALUES = {"getitem by a mask"}  # their shapes depend on values


def value_and_gradients(case):
    """A function of the inputs: the outputs, and the gradients of a nonlinear sum of them."""

    def function(*inputs):
        outputs = case.outputs(inputs)
        if not case.differentiable:
            return outputs, []
        terms = []
        for y in outputs:
            weights = np.linspace(0.5, 1.5, y.size).reshape(y.shape).astype(y.dtype)
            terms.append((y * weights + y * y / 2).sum())
        sum(terms[1:], start=terms[0]).backward()
        return outputs, [x.grad for x in inputs]

    return function


def check(case, dtype, executor, close):
    arrays = case.arrays(dtype)
    function = value_and_gradients(case)
    compiled = ndl.compile(function, executor=executor)
    results = []
    for each in (function, compiled, compiled):
        np.random.seed(0)
        with np.errstate(all="ignore"):
            results.append(each(*map(ndl.Tensor, arrays)))
    for result in results[1:]:
        close(result, results[0], case.name)
    assert compiled.recordings == 1
    return compiled


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("first", sorted({name[0] for name in NAMES}))
def test_compiled_rows_of_the_table(first, dtype, close, rows):
    for name, cases in rows.items():
        if name.startswith(first) and name not in READ_VALUES:
            # each dtype in other shapes
            check(cases[dtype == "float64" and len(cases) > 1], dtype, "numpy", close)


@pytest.mark.parametrize("name", OPENED)
def test_compiled_rows_by_numba(name, close, rows):
    pytest.importorskip("numba")
    check(rows[name][0], "float32", "numba", close)


@pytest.mark.parametrize("name", OPENED)
def test_an_op_is_opened_into_calls_of_numpy(name, rows):
    compiled = ndl.compile(value_and_gradients(rows[name][0]), executor="numpy")
    compiled(*map(ndl.Tensor, rows[name][0].arrays()))
    nodes = compiled._last.recorded_program.nodes
    assert not any(isinstance(node.function, Call) for node in nodes)


@pytest.mark.parametrize("name", sorted(READ_VALUES))
def test_an_op_whose_shape_depends_on_values_says_so(name, rows):
    function = value_and_gradients(rows[name][0])
    with pytest.raises(TypeError, match="where"):
        ndl.compile(function, executor="numpy")(*map(ndl.Tensor, rows[name][0].arrays()))
