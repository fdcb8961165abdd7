"""Arguments and results that are nested containers: derivatives have the same structure."""

import dataclasses
from collections import OrderedDict, defaultdict
from typing import Any, NamedTuple

import numpy as np
import pytest

import needle as ndl
from needle import Tensor
from needle.differentiation.tree import flatten, paths, substituted


class Pair(NamedTuple):
    first: Any
    second: Any


@dataclasses.dataclass
class Point:
    x: Any
    y: Any
    label: str = "P"
    norm: Any = dataclasses.field(init=False, default=0)


@dataclasses.dataclass(frozen=True, slots=True)
class Frozen:
    x: Any
    y: Any

    def __post_init__(self):
        if self.x.shape != (2,):
            raise ValueError("x is a pair")


def leaves():
    return Tensor([2.0, 3.0]), Tensor(5.0)


CONTAINERS = {
    "tuple": lambda a, b: (a, b),
    "list": lambda a, b: [a, b],
    "dict": lambda a, b: {"a": a, "b": b},
    "dict of mixed keys": lambda a, b: {"a": a, 1: b},
    "ordered dict": lambda a, b: OrderedDict(z=a, a=b),
    "default dict": lambda a, b: defaultdict(list, {"a": a, "b": b}),
    "named tuple": Pair,
    "dataclass": Point,
    "frozen dataclass": Frozen,
    "TensorTuple": ndl.make_tuple,
    "nested": lambda a, b: {"x": [a, (b, Pair("text", None))], "y": Point({}, ())},
    "nested in a Pair": lambda a, b: Pair([a], {"b": Frozen(a, b)}),
}


@pytest.fixture(params=CONTAINERS)
def container(request):
    """container(a, b), of two tensors."""
    return CONTAINERS[request.param]


def same_structure(a, b):
    """Equal types, keys and other entries; tensors of equal shapes."""
    assert type(a) is type(b)
    if isinstance(a, Tensor):
        assert a.shape == b.shape
    elif isinstance(a, dict):
        assert list(a) == list(b)
        for key in a:
            same_structure(a[key], b[key])
    elif isinstance(a, tuple | list | ndl.TensorTuple):
        for entry, other in zip(a, b, strict=True):
            same_structure(entry, other)
    elif dataclasses.is_dataclass(a):
        for field in dataclasses.fields(a):
            same_structure(getattr(a, field.name), getattr(b, field.name))
    else:
        assert a == b


def weighted(tree):
    """A number that depends on every tensor of a container: Σ k·x³ for the k-th."""
    terms = [(x**3).sum() * k for k, x in enumerate(flatten(tree)[0], start=1)]
    return sum(terms[1:], start=terms[0])


# --- arguments


def test_gradient_has_the_structure_of_the_argument(container, mode, close):
    tree = container(*leaves())
    gradient = ndl.grad(weighted)(tree)
    same_structure(gradient, tree)
    tensors = flatten(tree)[0]
    for k, (x, slope) in enumerate(zip(tensors, flatten(gradient)[0], strict=True), start=1):
        close(slope, 3 * k * x.numpy() ** 2)


def test_function_gets_the_same_containers(container):
    tree = container(*leaves())
    seen = []

    def function(argument):
        seen.append(argument)
        return weighted(argument)

    ndl.grad(function)(tree)
    ndl.jvp(function, (tree,), (tree,))
    for argument in seen:
        same_structure(argument, tree)
        for inside, outside in zip(flatten(argument)[0], flatten(tree)[0], strict=True):
            np.testing.assert_array_equal(inside.numpy(), outside.numpy())


def test_forward_mode_through_containers(container, mode, close):
    tree = container(*leaves())
    tensors = flatten(tree)[0]
    value, tangent = ndl.jvp(weighted, (tree,), (tree,))
    expected = [3 * k * (x.numpy() ** 3).sum() for k, x in enumerate(tensors, start=1)]
    close(tangent, sum(expected))
    close(value, sum(expected) / 3)


def test_second_derivatives_through_containers(container, mode, close):
    tree = container(*leaves())
    tensors = flatten(tree)[0]
    (product,) = ndl.hvp(weighted, (tree,), (tree,))
    same_structure(product, tree)
    for k, (x, part) in enumerate(zip(tensors, flatten(product)[0], strict=True), start=1):
        close(part, 6 * k * x.numpy() ** 2)
    hessian = flatten(ndl.hessian(weighted)(tree))[0]
    assert [block.shape for block in hessian] == [
        a.shape + b.shape for a in tensors for b in tensors
    ]
    close(hessian[0], np.diag(6 * tensors[0].numpy()))
    assert not hessian[1].numpy().any()


def test_entries_that_are_not_used_get_zeros(mode):
    """The adjoint of a container is the same container of adjoints."""

    def f(x):
        return (x * x).sum()

    d = {"cat": Tensor([1.0, 2.0]), "dog": Tensor([[3.0]])}
    adjoint = ndl.grad(lambda d: f(d["cat"]))(d)
    np.testing.assert_array_equal(adjoint["cat"].numpy(), [2, 4])
    np.testing.assert_array_equal(adjoint["dog"].numpy(), [[0]])
    assert adjoint["dog"].dtype == np.float64
    _, pull_back = ndl.vjp(lambda d: d["cat"], d)
    np.testing.assert_array_equal(pull_back(Tensor([1.0, 1.0]))[0]["dog"].numpy(), [[0]])


def test_one_tensor_in_two_places_has_two_gradients():
    x = Tensor(3.0)
    gradient = ndl.grad(lambda d: d["a"] ** 2 * d["b"])({"a": x, "b": x})
    assert (gradient["a"].item(), gradient["b"].item()) == (18, 9)


def test_dict_is_only_read():
    tree = {"a": Tensor(1.0), "b": [Tensor(2.0)]}
    before = tree["a"], tree["b"], tree["b"][0]
    ndl.grad(lambda d: d["a"] * d["b"][0])(tree)
    assert all(a is b for a, b in zip(before, (tree["a"], tree["b"], tree["b"][0]), strict=True))


def test_several_containers(close):
    gradients = ndl.grad(lambda a, b: a["x"] * b[0] * b[1], (0, 1))(
        {"x": Tensor(2.0)}, (Tensor(3.0), Tensor(5.0))
    )
    assert gradients[0]["x"].item() == 15
    assert [g.item() for g in gradients[1]] == [10, 6]


# --- results


@pytest.mark.parametrize("way", ["reverse", "forward"])
def test_jacobian_has_the_containers_of_results_outside(container, way, mode, close):
    x, y = leaves()
    result = container(x * x, y * x[0])
    jacobian = ndl.jacobian(lambda d: container(d["x"] * d["x"], d["y"] * d["x"][0]), way)(
        {"x": x, "y": y}
    )
    blocks = flatten(jacobian)[0]
    outputs = flatten(result)[0]
    assert [block.shape for block in blocks] == [
        output.shape + argument.shape for output in outputs for argument in (x, y)
    ]
    close(blocks[0], np.diag([4, 6]))
    close(blocks[1], [0, 0])
    close(blocks[-2], [5, 0])
    close(blocks[-1], 2)


def test_values_and_tangents_have_the_structure_of_the_result(container, mode, close):
    a, b = leaves()
    value, tangent = ndl.jvp(lambda a, b: container(a * b, b * b), (a, b), (a, b))
    same_structure(value, container(a * b, b * b))
    same_structure(tangent, value)
    value_again, pull_back = ndl.vjp(lambda a, b: container(a * b, b * b), a, b)
    same_structure(value_again, value)
    by_a, by_b = pull_back(value_again)
    assert (by_a.shape, by_b.shape) == ((2,), ())


def test_what_is_no_tensor_is_passed_through():
    value, tangent = ndl.jvp(lambda x: {"y": x * 2, "note": "text", "n": 3}, (Tensor(1.0),),
                             (Tensor(1.0),))  # fmt: skip
    assert (value["note"], value["n"], value["y"].item(), tangent["y"].item()) == ("text", 3, 2, 2)


# --- TensorTuple


def test_function_of_a_tensor_tuple_sees_one(mode):
    pair = ndl.make_tuple(Tensor(2.0), Tensor(3.0))
    gradient = ndl.grad(lambda pair: (pair + pair)[0] * pair[1])(pair)
    assert isinstance(gradient, ndl.TensorTuple)
    assert [entry.item() for entry in gradient] == [6, 4]


def test_adjoint_of_a_tensor_tuple_in_a_graph(mode):
    def function(x):
        rows = ndl.split(x)
        return rows[0] * rows[2]

    x = Tensor([2.0, 3.0, 5.0])
    np.testing.assert_array_equal(ndl.grad(function)(x).numpy(), [5, 0, 2])
    np.testing.assert_array_equal(
        ndl.hessian(function)(x).numpy(), np.eye(3)[::-1] - np.diag([0, 1, 0])
    )


# --- needle.differentiation.tree


def test_paths_say_where_tensors_are():
    tree = {"a": [Tensor(1.0), Pair(Tensor(2.0), 3)], "b": Point(Tensor(3.0), None)}
    assert list(paths(tree)) == ["['a'][0]", "['a'][1][0]", "['b'].x"]


def test_modules_stay_when_tensors_are_substituted():
    layer = ndl.nn.Linear(2, 2)
    tree = substituted({"layer": layer, "x": Tensor(1.0)}, lambda tensor: "other")
    assert tree == {"layer": layer, "x": "other"}
    tensors, rebuild = flatten({"layer": layer})
    assert rebuild(range(2)) == {"layer": {"weight": 0, "bias": 1}}
    assert tensors[0] is layer.weight
