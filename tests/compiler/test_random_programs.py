"""Random programs: each pass, and the numpy executor, against calling one node after another."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import needle as ndl
from needle.compiler.numpy_executor import NumpyExecutable
from needle.compiler.passes import PASSES, optimised
from needle.compiler.program import (
    Captured,
    Constant,
    Input,
    Node,
    Program,
    cast,
    evaluate,
    getitem,
    set_item,
)  # fmt: skip

SHAPES = [(3, 4), (4,), (), (3, 1), (4, 3), (1, 4)]
UNARY = [np.negative, np.tanh, np.absolute, np.positive, np.sign]
BINARY = [np.add, np.subtract, np.multiply, np.maximum, np.minimum]
INDICES = [
    (slice(None), slice(1, 3)), (slice(None, None, -1),), (0,), (Ellipsis, None),
    (slice(None, None, 2), Ellipsis), (slice(None),),
]  # fmt: skip


class Builder:
    """Nodes that hypothesis chooses one after another, with what they may be made of."""

    def __init__(self, draw):
        self.draw = draw
        rng = np.random.default_rng(draw(st.integers(0, 99)))
        self.arrays = [np.asarray(rng.normal(size=shape)) for shape in SHAPES]
        self.inputs = [Input(i, each.shape, each.dtype) for i, each in enumerate(self.arrays)]
        self.tensors = [ndl.Tensor(rng.normal(size=shape)) for shape in SHAPES[:5]]
        self.captured = [Captured(tensor) for tensor in self.tensors]
        numbers = [Constant(np.array(number)) for number in (0.0, 1.0, -2.5)]
        self.nodes = [*self.inputs, *self.captured, *numbers, Constant(np.ones((3, 4)))]

    def choose(self, things):
        return self.draw(st.sampled_from(list(things)))

    def made(self, function, operands, options=None):
        """A node whose shape is that of the real result."""
        zeros = [
            np.ones(each.shape, each.dtype) if isinstance(each, Node) else each for each in operands
        ]
        if function is np.concatenate:
            zeros[0] = tuple(np.ones(each.shape) for each in operands[0])
        result = np.asarray(function(*zeros, **(options or {})))
        node = Node(function, tuple(operands), options or {}, result.shape, result.dtype)
        self.nodes.append(node)

    def floats(self, fits=lambda node: True):
        return [each for each in self.nodes if each.dtype.kind == "f" and fits(each)]

    def add(self):
        a = self.choose(self.floats())
        kind = self.choose(KINDS)
        if kind == "unary":
            self.made(self.choose(UNARY), [a])
        elif kind == "binary":
            b = self.choose([*self.floats(lambda each: broadcasts(a, each)), 1.0, 0, 2])
            operands = [a, b] if self.draw(st.booleans()) else [b, a]
            self.made(self.choose(BINARY), operands)
        elif kind == "where":
            others = self.floats(lambda each: each.shape == a.shape)
            self.made(np.greater, [a, self.choose([*others, 0.0])])
            self.made(np.where, [self.nodes[-1], self.choose(others), self.choose([a, 0.0])])
        elif kind == "cast":
            self.made(cast, [a, np.dtype(self.choose(["float64", "int64"]))])
            self.made(cast, [self.nodes[-1], np.dtype("float64")])
        elif kind == "reduction" and a.size:  # no maximum of nothing
            axes = range(len(a.shape))
            chosen = self.draw(st.lists(st.sampled_from(axes), unique=True)) if a.shape else []
            options = {"axis": tuple(sorted(chosen)), "keepdims": self.draw(st.booleans())}
            self.made(self.choose([np.sum, np.max, np.min]), [a], options)
        elif kind == "reshape":
            n = math.prod(a.shape)
            shapes = [(n,), (1, n), (n, 1), (*a.shape, 1)]
            self.made(np.reshape, [a, self.choose(shapes)])
        elif kind == "transpose":
            self.made(np.transpose, [a, tuple(self.draw(st.permutations(range(len(a.shape)))))])
        elif kind == "broadcast":
            self.made(np.broadcast_to, [a, self.choose([(2, *a.shape), a.shape])])
        elif kind == "index" and a.shape:
            index = self.choose(INDICES)
            if sum(part is not None and part is not Ellipsis for part in index) <= len(a.shape):
                self.made(getitem, [a, index])
                part = self.nodes[-1]
                if self.draw(st.booleans()) and part.size:
                    values = self.choose(self.floats(lambda each: fits_into(each, part)))
                    self.made(set_item, [a, index, values])
        elif kind == "product" and len(a.shape) == 2:
            partners = self.floats(
                lambda each: len(each.shape) == 2 and each.shape[0] == a.shape[1]
            )
            if partners:
                self.made(np.matmul, [a, self.choose(partners)])
        elif kind == "join" and a.shape:
            others = self.floats(lambda each: each.shape == a.shape)
            axis = self.draw(st.integers(0, len(a.shape) - 1))
            self.made(np.concatenate, [(a, self.choose(others)), axis])

    def program(self):
        for _ in range(self.draw(st.integers(1, 12))):
            self.add()
        results = self.draw(st.lists(st.sampled_from(self.nodes), min_size=1, max_size=3))
        assignments = []
        for leaf in self.captured:
            values = self.floats(
                lambda each, leaf=leaf: each.shape == leaf.shape and each is not leaf
            )
            if values and self.draw(st.booleans()):
                assignments.append((leaf, self.choose(reversed(values))))
        return Program(self.inputs, results, assignments)

    def known(self):
        known = dict(zip(self.inputs, self.arrays, strict=True))
        known.update((leaf, leaf.tensor.numpy()) for leaf in self.captured)
        known.update((each, each.array) for each in self.nodes if isinstance(each, Constant))
        return known


KINDS = ["unary", "binary", "binary", "binary", "where", "cast", "reduction", "reduction",
         "reshape", "transpose", "broadcast", "index", "product", "product", "join"]  # fmt: skip


def broadcasts(a, b):
    try:
        np.broadcast_shapes(a.shape, b.shape)
    except ValueError:
        return False
    return True


def fits_into(node, part):
    return broadcasts(node, part) and np.broadcast_shapes(node.shape, part.shape) == part.shape


def values_of(program, known):
    """Results and new values, and the constants that a pass may have made."""
    known = {**known, **{each: each.array for each in program.nodes if isinstance(each, Constant)}}
    roots = [*program.results, *[value for _, value in program.assignments]]
    evaluate(roots, known)
    return [np.array(known[root]) for root in roots]


def assert_equal(found, wanted):
    for one, other in zip(found, wanted, strict=True):
        assert (one.shape, one.dtype) == (other.shape, other.dtype)
        scale = np.abs(other).max(initial=1.0)
        np.testing.assert_allclose(one, other, 1e-11, 1e-12 * scale)


def number_of(leaves):
    return [leaf for leaf, _ in leaves]


@pytest.mark.parametrize("name", [*PASSES, "all"])
@settings(max_examples=40, deadline=None)
@given(data=st.data())
def test_a_pass_changes_no_values(name, data):
    builder = Builder(data.draw)
    program = builder.program()
    changed = optimised(program)[0] if name == "all" else PASSES[name](program)
    assert number_of(changed.assignments) == number_of(program.assignments)
    assert_equal(values_of(changed, builder.known()), values_of(program, builder.known()))


@settings(max_examples=150, deadline=None)
@given(data=st.data())
def test_the_numpy_executor_computes_what_the_program_says(data):
    builder = Builder(data.draw)
    program = builder.program()
    executable = NumpyExecutable(program, builder.arrays)
    arguments = [array.copy() for array in builder.arrays]
    for _ in range(2):
        wanted = values_of(program, builder.known())
        results = executable.run(builder.arrays)
        count = len(program.results)
        assert_equal(results, wanted[:count])
        new = [leaf.tensor.numpy() for leaf, _ in program.assignments]
        assert_equal(new, wanted[count:])
    for array, before in zip(builder.arrays, arguments, strict=True):
        np.testing.assert_array_equal(array, before)
