"""The same functions, transformed by needle and by torch.func."""

import itertools

import numpy as np
import pytest

import needle as ndl
from needle import Tensor

torch = pytest.importorskip("torch")
func = pytest.importorskip("torch.func")
pytestmark = pytest.mark.filterwarnings("ignore:.*torch.jit:DeprecationWarning")  # its own

# functions of a library `m` and tensors, which both libraries spell alike
SCALAR = {
    "Rosenbrock": (
        lambda m, x: ((x[1:] - x[:-1] ** 2) ** 2 * 100 + (1 - x[:-1]) ** 2).sum(),
        [(4,)],
    ),
    "lecture": (lambda m, x, y: m.log(x) + x * y - m.sin(y), [(), ()]),
    "perceptron": (
        lambda m, x, w, v: (m.tanh(x @ w) @ v).mean(),
        [(3, 2), (2, 4), (4,)],
    ),
    "softmax of logits": (
        lambda m, x: (m.exp(x) / m.exp(x).sum() * x * x).sum(),
        [(2, 3)],
    ),
    "used twice": (lambda m, x, y: (x * y * x + m.sqrt(x) / y).sum(), [(3,), (3,)]),
    "ignored": (lambda m, x, y: (x**3).sum(), [(3,), (2,)]),
    "reshaped": (lambda m, x: (x.reshape((3, 2)) @ x).reshape((-1,))[2] ** 2, [(2, 3)]),
}
MAPS = {
    "elementwise": (lambda m, x: m.sin(x) * m.exp(-x), [(2, 3)]),
    "linear": (lambda m, x, w: x @ w, [(2, 3), (3, 2)]),
    "one to many": (lambda m, x: m.cos(x * m.sqrt(x)).reshape((1,)) * (x + 1), [()]),
    "broadcast": (lambda m, x, y: x / y + m.tanh(y), [(3, 1), (2,)]),
    "norms": (lambda m, x: m.sqrt((x * x).sum(1)), [(3, 2)]),
}


def points(shapes, seed=0):
    rng = np.random.default_rng(seed)
    return [rng.uniform(0.5, 1.5, size=shape) for shape in shapes]


def ours(arrays):
    return tuple(Tensor(array) for array in arrays)


def theirs(arrays):
    return tuple(torch.tensor(array) for array in arrays)


@pytest.fixture(params=SCALAR)
def scalar(request):
    """A function of one value for needle, the same for PyTorch, and the shapes it takes."""
    function, shapes = SCALAR[request.param]
    return lambda *x: function(ndl, *x), lambda *x: function(torch, *x), shapes


@pytest.fixture(params=[*SCALAR, *MAPS])
def any_map(request):
    """Likewise of any value."""
    function, shapes = {**SCALAR, **MAPS}[request.param]
    return lambda *x: function(ndl, *x), lambda *x: function(torch, *x), shapes


@pytest.fixture
def same(close):
    """same(a, b): nested tuples of tensors of both libraries are equal."""

    def compare(mine, other):
        if isinstance(other, tuple):
            assert len(mine) == len(other)
            for a, b in zip(mine, other, strict=True):
                compare(a, b)
        else:
            assert mine.shape == tuple(other.shape)
            close(mine, other.detach().numpy(), 1e-10)

    return compare


def test_grad(scalar, mode, same):
    f, g, shapes = scalar
    arrays = points(shapes)
    argnums = tuple(range(len(shapes)))
    same(ndl.grad(f, argnums)(*ours(arrays)), func.grad(g, argnums)(*theirs(arrays)))
    same(ndl.grad(f)(*ours(arrays)), func.grad(g)(*theirs(arrays)))
    gradients, value = func.grad_and_value(g, argnums)(*theirs(arrays))
    same(ndl.value_and_grad(f, argnums)(*ours(arrays)), (value, gradients))


def test_vjp(any_map, mode, same):
    f, g, shapes = any_map
    arrays = points(shapes)
    value, pull_back = ndl.vjp(f, *ours(arrays))
    expected, torch_pull_back = func.vjp(g, *theirs(arrays))
    same(value, expected)
    cotangent = np.random.default_rng(1).normal(size=value.shape)
    same(pull_back(Tensor(cotangent)), torch_pull_back(torch.tensor(cotangent)))


def test_jvp(any_map, mode, same):
    f, g, shapes = any_map
    arrays, tangents = points(shapes), points(shapes, 1)
    same(ndl.jvp(f, ours(arrays), ours(tangents)), func.jvp(g, theirs(arrays), theirs(tangents)))


def test_jacobian_both_ways(any_map, mode, same):
    f, g, shapes = any_map
    arrays = points(shapes)
    argnums = tuple(range(len(shapes)))
    for direction, theirs_way in (("reverse", func.jacrev), ("forward", func.jacfwd)):
        jacobian = ndl.jacobian(f, direction, argnums)(*ours(arrays))
        same(jacobian, theirs_way(g, argnums)(*theirs(arrays)))


def test_hessian(scalar, mode, same):
    f, g, shapes = scalar
    arrays = points(shapes)
    same(ndl.hessian(f)(*ours(arrays)), func.hessian(g)(*theirs(arrays)))
    argnums = tuple(range(len(shapes)))
    same(ndl.hessian(f, argnums)(*ours(arrays)), func.hessian(g, argnums)(*theirs(arrays)))


def test_hvp(scalar, mode, same):
    f, g, shapes = scalar
    arrays, vectors = points(shapes), points(shapes, 1)
    argnums = tuple(range(len(shapes)))
    _, expected = func.jvp(func.grad(g, argnums), theirs(arrays), theirs(vectors))
    same(ndl.hvp(f, ours(arrays), ours(vectors)), expected)


LEVELS = {
    "grad": (ndl.grad, func.grad),
    "tangent": (
        lambda f: lambda x: ndl.jvp(f, (x,), (ndl.init.ones_like(x),))[1],
        lambda f: lambda x: func.jvp(f, (x,), (torch.ones_like(x),))[1],
    ),
    "pulled back": (
        lambda f: lambda x: ndl.vjp(f, x)[1](ndl.init.ones_like(x))[0],
        lambda f: lambda x: func.vjp(f, x)[1](torch.ones_like(x))[0],
    ),
    "Jacobian": (ndl.jacobian, func.jacrev),
    "forward Jacobian": (lambda f: ndl.jacobian(f, "forward"), func.jacfwd),
}


@pytest.mark.parametrize("levels", list(itertools.product(LEVELS, repeat=2)))
def test_third_derivative_by_any_two_transformations_of_the_gradient(levels, mode, same):
    def f(m, x):
        return m.sin(x) * m.exp(x * 0.5) / (x + 1)

    mine, other = ndl.grad(lambda x: f(ndl, x)), func.grad(lambda x: f(torch, x))
    for level in levels:
        mine, other = LEVELS[level][0](mine), LEVELS[level][1](other)
    same(mine(Tensor(0.7)), other(torch.tensor(0.7, dtype=torch.float64)))


@pytest.mark.parametrize("inner", ["reverse", "forward"])
@pytest.mark.parametrize("outer", ["reverse", "forward"])
def test_jacobian_of_a_jacobian(inner, outer, mode, same):
    f = MAPS["elementwise"][0]
    ways = {"reverse": func.jacrev, "forward": func.jacfwd}
    (x,) = points([(2, 2)])
    mine = ndl.jacobian(ndl.jacobian(lambda x: f(ndl, x @ x), inner), outer)(Tensor(x))
    expected = ways[outer](ways[inner](lambda x: f(torch, x @ x)))(torch.tensor(x))
    assert mine.shape == (2, 2) * 3
    same(mine, expected)


def test_gradient_with_respect_to_parameters(same):
    """The parameters of a Module against those of the same module in PyTorch."""
    np.random.seed(0)
    model = ndl.nn.Sequential(
        ndl.nn.Linear(3, 4, dtype="float64"), ndl.nn.Tanh(), ndl.nn.Linear(4, 2, dtype="float64")
    )
    twin = torch.nn.Sequential(torch.nn.Linear(3, 4), torch.nn.Tanh(), torch.nn.Linear(4, 2))
    twin = twin.double()
    weights = {name: torch.tensor(p.numpy()) for name, p in model.named_parameters()}
    weights = {
        name: value.T if name.endswith("weight") else value[0] for name, value in weights.items()
    }
    (x,) = points([(5, 3)])

    gradients = ndl.grad(lambda model: (model(Tensor(x)) ** 2).mean())(model)
    expected = func.grad(
        lambda weights: (func.functional_call(twin, weights, torch.tensor(x)) ** 2).mean()
    )(weights)
    assert gradients.keys() == expected.keys()
    for name, gradient in gradients.items():
        mine = gradient.transpose() if name.endswith("weight") else gradient[0]
        same(mine, expected[name])
