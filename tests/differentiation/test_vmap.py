"""vmap: axes, nesting, ops without a rule, bad input."""

import dataclasses

import numpy as np
import pytest

import needle as ndl
from needle import Tensor, nn
from needle.autograd import modes

pytestmark = pytest.mark.filterwarnings("ignore:.*torch.jit:DeprecationWarning")  # its own

RNG = np.random.default_rng(0)
X, W = RNG.normal(size=(4, 3)), RNG.normal(size=(3, 5))


def x():
    return Tensor(X)


def close(actual, expected, tolerance=1e-10):
    np.testing.assert_allclose(np.asarray(actual.numpy()), expected, tolerance, tolerance)


# --- axes


@pytest.mark.parametrize(
    ("in_axes", "out_axes", "shapes"),
    [
        (0, 0, [(4, 3), (4, 3)]),
        (1, 0, [(3, 4), (3, 4)]),
        ((0, None), 0, [(4, 3), (3,)]),
        ((None, 0), 1, [(3,), (4, 3)]),
        ((1, 0), -1, [(3, 4), (4, 3)]),
        ([-1, 0], 0, [(3, 4), (4, 3)]),
        ((2, 0), 1, [(3, 2, 4), (4, 2, 3)]),
    ],
)
def test_axes_are_torchs_and_jaxs(in_axes, out_axes, shapes):
    func, jax = pytest.importorskip("torch.func"), pytest.importorskip("jax")
    torch = pytest.importorskip("torch")
    arrays = [RNG.normal(size=shape).astype("float32") for shape in shapes]

    def function(a, b):
        return a * b if a.ndim == 1 else a @ b

    actual = ndl.vmap(function, in_axes, out_axes)(*map(Tensor, arrays)).numpy()
    axes = tuple(in_axes) if isinstance(in_axes, list) else in_axes
    theirs = func.vmap(function, axes, out_axes)(*map(torch.tensor, arrays)).numpy()
    np.testing.assert_allclose(actual, theirs, rtol=1e-5)
    np.testing.assert_allclose(actual, jax.vmap(function, axes, out_axes)(*arrays), rtol=1e-5)


def test_containers_of_tensors():
    @dataclasses.dataclass
    class Pair:
        first: Tensor
        second: Tensor

    def function(state, pair, text):
        assert text == "text"
        total = state["a"].sum() + state["b"][0] * 2
        return {"total": total, "pair": Pair(pair.first * total, pair.second), "none": None}

    state = {"a": x(), "b": [Tensor(X[:, 0]), 7]}
    result = ndl.vmap(function, ({"a": 0, "b": [0, None]}, 0, None))(
        state, Pair(x(), Tensor(X * 2)), "text"
    )
    total = X.sum(1) + X[:, 0] * 2
    close(result["total"], total)
    close(result["pair"].first, X * total[:, None])
    close(result["pair"].second, X * 2)
    assert result["none"] is None


def test_out_axes_of_containers():
    def function(a):
        return {"row": a, "pair": (a * 2, Tensor(1.0)), "tuple": ndl.make_tuple(a, a)}

    result = ndl.vmap(function, out_axes={"row": 1, "pair": (0, None), "tuple": -1})(x())
    close(result["row"], X.T)
    close(result["pair"][0], X * 2)
    assert result["pair"][1].shape == ()
    assert isinstance(result["tuple"], ndl.TensorTuple)
    close(result["tuple"][1], X.T)


def test_a_result_that_depends_on_no_example_is_repeated():
    close(ndl.vmap(lambda a: Tensor(W))(x()), np.tile(W, (4, 1, 1)))


def test_the_result_is_another_tensor():
    argument = x()
    result = ndl.vmap(lambda a: a)(argument)
    assert result is not argument


def test_keyword_arguments_are_shared():
    result = ndl.vmap(lambda a, *, b, power: (a * b) ** power)(x(), b=Tensor(W[:, 0]), power=2)
    close(result, (X * W[:, 0]) ** 2)


def test_no_examples():
    empty = Tensor(np.zeros((0, 3)))
    assert ndl.vmap(lambda a: ndl.tanh(a @ Tensor(W)).sum())(empty).shape == (0,)
    assert ndl.vmap(ndl.grad(lambda a: (a**2).sum()))(empty).shape == (0, 3)
    assert ndl.vmap(WithoutRule())(empty).shape == (0, 3)


# --- nesting


def test_nested():
    a, b = Tensor(X), Tensor(RNG.normal(size=(6, 3)))
    products = ndl.vmap(lambda a: ndl.vmap(lambda b: (a * b).sum())(b))(a)
    close(products, X @ b.numpy().T)
    products = ndl.vmap(ndl.vmap(lambda a, b: a * b, (None, 0)), (0, None))(a, b)
    close(products, X[:, None] * b.numpy())


def test_hessian_and_jacobian_of_each_example():
    function = lambda a: ndl.sin(a).sum() * a[0]  # noqa: E731
    for transform in (ndl.hessian, ndl.jacobian, lambda f: ndl.jacobian(f, mode="forward")):
        expected = np.stack([transform(function)(Tensor(row)).numpy() for row in X])
        close(ndl.vmap(transform(function))(x()), expected)


def test_jacobian_by_vmap_of_vjp():
    _, pull_back = ndl.vjp(lambda a: ndl.tanh(a @ Tensor(W)), Tensor(X[0]))
    jacobian = ndl.vmap(lambda g: pull_back(g)[0])(Tensor(np.eye(5)))
    close(jacobian, ndl.jacobian(lambda a: ndl.tanh(a @ Tensor(W)))(Tensor(X[0])).numpy())


def test_grad_of_vmap_of_grad():
    """A penalty on the gradient of each sample."""

    def penalty(weight):
        slopes = ndl.vmap(ndl.grad(lambda a: ndl.tanh(a @ weight).sum()))(x())
        return (slopes**2).sum()

    def looped(weight):
        slope = ndl.grad(lambda a: ndl.tanh(a @ weight).sum())
        return sum(((slope(Tensor(row)) ** 2).sum() for row in X), start=Tensor(0.0))

    close(ndl.grad(penalty)(Tensor(W)), ndl.grad(looped)(Tensor(W)).numpy())
    weight = Tensor(W)
    penalty(weight).backward()
    close(weight.grad, ndl.grad(looped)(Tensor(W)).numpy())


def test_vmap_inside_jvp_and_jvp_inside_vmap():
    direction = Tensor(np.cos(X))
    weight, along = Tensor(W), Tensor(np.sin(W))

    def mapped(a, weight):
        return ndl.vmap(lambda row: ndl.tanh(row @ weight).sum())(a)

    def plain(a, weight):
        return ndl.tanh(a @ weight).sum(1)

    _, actual = ndl.jvp(mapped, (x(), weight), (direction, along))
    _, expected = ndl.jvp(plain, (x(), weight), (direction, along))
    close(actual, expected.numpy())
    each = ndl.vmap(lambda a, t: ndl.jvp(lambda a: ndl.tanh(a @ weight).sum(), (a,), (t,))[1])
    close(each(x(), direction), ndl.jvp(plain, (x(), weight), (direction, weight * 0))[1].numpy())


def test_checkpoint_inside():
    def function(a):
        return ndl.checkpoint(lambda a: ndl.tanh(a) * a, a).sum()

    close(ndl.vmap(ndl.grad(function))(x()), 1 * np.tanh(X) + X / np.cosh(X) ** 2)
    total = ndl.grad(lambda x: ndl.checkpoint(lambda x: ndl.vmap(function)(x), x).sum())
    close(total(x()), np.tanh(X) + X / np.cosh(X) ** 2)


def test_lazily():
    with ndl.lazy_mode():
        result = ndl.vmap(lambda a: ndl.tanh(a @ Tensor(W)).sum())(x())
        gradient = ndl.grad(lambda x: ndl.vmap(lambda a: (a**3).sum())(x).sum())(x())
        assert result.cached_data is None
        assert result.shape == (4,)
    close(result, np.tanh(X @ W).sum(1))
    close(gradient, 3 * X**2)


# --- ops without a rule


class WithoutRule(ndl.TensorOp):
    """a³, as users write ops."""

    def compute(self, a):
        return a * a * a

    def gradient(self, out_grad, node):
        return out_grad * node.inputs[0] ** 2 * 3


class MyCube(WithoutRule, ndl.ops.Elementwise):
    """With the kind that it is of."""


class Backwards(ndl.ops.Concatenate):
    """An op that is derived from one with a rule, and computes something else."""

    def compute(self, *arrays):
        return np.flip(np.concatenate(arrays, 0), 0)


def test_an_op_that_computes_something_else_than_its_base_runs_for_each_example():
    result = ndl.vmap(lambda a: Backwards()(a, a * 2))(x())
    close(result, np.concatenate([X, X * 2], 1)[:, ::-1])


def test_an_op_without_a_rule_runs_for_each_example(ops_run):
    for op in (WithoutRule(), MyCube()):
        close(ndl.vmap(op)(x()), X**3)
        close(ndl.vmap(ndl.grad(lambda a, op=op: op(a).sum()))(x()), 3 * X**2)
    assert ops_run(ndl.vmap(WithoutRule()), x())["WithoutRule"] == 4
    assert ops_run(ndl.vmap(MyCube()), x())["MyCube"] == 1


# --- bad input


@pytest.mark.parametrize(
    ("call", "error", "text"),
    [
        (lambda: ndl.vmap(lambda a: a if a.sum() > 0 else -a)(x()), TypeError, "numbers cannot"),
        (lambda: ndl.vmap(lambda a: a * a[0].item())(x()), TypeError, r"needle\.where"),
        (lambda: ndl.vmap(lambda a: a * float(a[0]))(x()), TypeError, "cannot be read"),
        (lambda: ndl.vmap(lambda a: Tensor(a.numpy()))(x()), TypeError, "cannot be read"),
        (lambda: ndl.vmap(lambda a: Tensor(np.asarray(a)))(x()), TypeError, "cannot be read"),
        (lambda: ndl.vmap(lambda a: Tensor(a))(x()), TypeError, "cannot be read"),
        (lambda: ndl.vmap(lambda a: a.sum().backward())(x()), TypeError, "no tensor"),
        (lambda: ndl.vmap(lambda a: a)(3.0), ValueError, "maps over nothing"),
        (lambda: ndl.vmap(lambda a: a, None)(x()), ValueError, "maps over nothing"),
        (lambda: ndl.vmap(lambda a: a, 2)(x()), ValueError, r"no axis 2 in .* \(4, 3\)"),
        (lambda: ndl.vmap(lambda a: a)(Tensor(1.0)), ValueError, r"no axis 0 in .* \(\)"),
        (
            lambda: ndl.vmap(lambda a, b: a)(x(), Tensor(W)), ValueError,
            r"differ in length: axis 0 of \(4, 3\), axis 0 of \(3, 5\)",
        ),
        (lambda: ndl.vmap(lambda a: a, (0, 0))(x()), ValueError, r"in_axes .*of 1 entries"),
        (lambda: ndl.vmap(lambda a: a, ([0],))(x()), ValueError, "for a Tensor of no entries"),
        (lambda: ndl.vmap(lambda a: a, out_axes=(0, 0))(x()), ValueError, "out_axes of vmap"),
        (lambda: ndl.vmap(lambda a: a, out_axes=None)(x()), ValueError, "differs between"),
        (lambda: ndl.vmap(lambda a: a, out_axes=2)(x()), IndexError, "axis 2 is out of range"),
        (lambda: ndl.vmap(lambda a: 3.0)(x()), TypeError, "returned no tensor"),
        (lambda: ndl.vmap(lambda m, a: m(a))(nn.Linear(3, 2), x()), ValueError, "examples share"),
        (lambda: ndl.vmap(lambda a: a @ a[:2])(x()), ValueError, r"MatMul of shape \(3,\) and"),
        (lambda: ndl.vmap(lambda a: a + a[:2])(x()), ValueError, r"of shape \(3,\) and \(2,\)"),
        (lambda: ndl.vmap(lambda a: a.sum(1))(x()), IndexError, "axis 1 is out of range"),
        (lambda: ndl.vmap(lambda a: a.reshape((2, 2)))(x()), ValueError, r"3 elements .* \(2, 2\)"),
        (lambda: ndl.vmap(lambda a: a.sum() @ a)(x()), ValueError, "without axes has no matrix"),
        (lambda: ndl.vmap(ndl.linalg.inv)(x()), np.linalg.LinAlgError, "square matrices"),
    ],
)  # fmt: skip
def test_bad_input(call, error, text):
    with pytest.raises(error, match=text):
        call()


def test_printing_inside():
    texts = []
    ndl.vmap(lambda a: texts.append((repr(a), str(a), f"{a}")) or a)(x())
    text = (
        "needle.Tensor(one of a batch inside vmap, shape=(3,), dtype=float64, requires_grad=True)"
    )
    assert texts == [(text,) * 3]


def test_a_tensor_that_left_vmap_has_no_numbers():
    kept = []
    ndl.vmap(lambda a: kept.append(a * 2) or a)(x())
    for use in (lambda a: a + 1, lambda a: a.numpy(), lambda a: ndl.vmap(lambda b: a * b)(x())):
        with pytest.raises(TypeError, match="inside vmap"):
            use(kept[0])
    assert kept[0].shape == (3,)


def test_running_statistics_cannot_be_of_each_example():
    layer = nn.BatchNorm1d(3)
    with pytest.raises(TypeError, match="nor be written"):
        ndl.vmap(layer)(Tensor(RNG.normal(size=(2, 4, 3)), dtype="float32"))
    layer.eval()
    batch = Tensor(RNG.normal(size=(2, 4, 3)), dtype="float32")
    close(ndl.vmap(layer)(batch)[1], layer(batch[1]).numpy(), 1e-6)


def test_modes_are_as_before_after_an_error():
    before = modes.observers.get(), modes.is_lazy.get(), modes.grad_enabled.get()
    with pytest.raises(TypeError):
        ndl.vmap(lambda a: a.numpy())(x())
    assert (modes.observers.get(), modes.is_lazy.get(), modes.grad_enabled.get()) == before
