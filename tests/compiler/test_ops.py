"""Every row of the table of ops: forward and backward, compiled against eager.

Rows are compiled together, as one function. Kernels of the numba executor run in plain Python for
all rows, and as machine code for rows with every op; `python -m tests.fuzz --only rows` compiles
them all.
"""

import numpy as np
import pytest

import needle as ndl
from needle.autograd import modes
from needle.compiler.calls import Call
from tests.compiler.comparison import agree_on_rows, value_and_gradients
from tests.ops import table

PARTS = 50
READ_VALUES = {"getitem by a mask"}  # their shapes depend on values
CASES = [case for case in table.CASES if case.name not in READ_VALUES]
OPENED = [
    "add", "matmul", "relu", "gelu", "sum over 0", "logsumexp over 0", "split along -1",
    "embedding", "softmax_cross_entropy mean", "normalize over -1", "where", "cumsum", "einsum",
]  # fmt: skip


def with_every_op(cases):
    """As few of the cases as make all ops that the forward passes of all make."""
    known, chosen = set(), []

    def observe(value, op, inputs):
        found.add(type(op))

    for case in cases:
        found = set()
        np.random.seed(0)
        with modes.override(modes.observers, (observe,)), np.errstate(all="ignore"):
            case.outputs([ndl.Tensor(array) for array in case.arrays()])
        if found - known:
            known |= found
            chosen.append(case)
    return chosen


# the shapes of a row are in several parts, and so it is compiled for both dtypes
@pytest.mark.parametrize("part", range(PARTS))
def test_rows_by_numpy(part):
    agree_on_rows(CASES[part::PARTS], ["float32", "float64"][part % 2], "numpy")


@pytest.mark.parametrize("part", range(PARTS))
def test_rows_by_interpreted_kernels(part, interpreted):
    pytest.importorskip("numba")
    agree_on_rows(CASES[part::PARTS], ["float64", "float32"][part % 2], "numba")


@pytest.mark.parametrize("part", range(8))
def test_rows_with_every_op_by_numba(part):
    pytest.importorskip("numba")
    cases = with_every_op([case for case in CASES if case.name != "expm"])  # takes many kernels
    agree_on_rows(cases[part::8], "float32", "numba")


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
