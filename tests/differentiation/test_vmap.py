"""vmap: against loops, torch.func and JAX; every op is in test_vmap_of_every_op.py."""

import dataclasses
from collections import Counter

import numpy as np
import pytest

import needle as ndl
import needle.nn.functional as F
from needle import Tensor, nn
from needle.autograd import modes

pytestmark = pytest.mark.filterwarnings("ignore:.*torch.jit:DeprecationWarning")  # its own

RNG = np.random.default_rng(0)
X, W = RNG.normal(size=(4, 3)), RNG.normal(size=(3, 5))


def x():
    return Tensor(X)


def close(actual, expected, tolerance=1e-10):
    np.testing.assert_allclose(np.asarray(actual.numpy()), expected, tolerance, tolerance)


def ops_run(function, *args):
    """How often each op ran outside vmap."""
    counts = Counter()

    def count(value, op, inputs):
        counts[type(op).__name__] += 1

    with modes.override(modes.observers, (count,)):
        function(*args)
    return counts


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


# --- models


def model():
    np.random.seed(0)
    return nn.Sequential(nn.Linear(3, 8), nn.LayerNorm(8), nn.ReLU(), nn.Linear(8, 4))


def sample_loss(model, x, y):
    return nn.SoftmaxLoss()(model(x.reshape((1, 3))), y.reshape((1,)))


def test_gradients_of_each_sample_are_torchs():
    torch, func = pytest.importorskip("torch"), pytest.importorskip("torch.func")
    network = model()
    images, labels = Tensor(X, dtype="float32"), Tensor(np.array([0, 3, 1, 1]), requires_grad=False)
    gradients = ndl.vmap(ndl.grad(sample_loss), in_axes=(None, 0, 0))(network, images, labels)
    twin = torch.nn.Sequential(
        torch.nn.Linear(3, 8), torch.nn.LayerNorm(8), torch.nn.ReLU(), torch.nn.Linear(8, 4)
    )
    state = {}
    for name, p in network.named_parameters():
        array = p.numpy()
        is_linear = name[0] in "03"
        state[name] = torch.tensor(array.T if is_linear and "weight" in name else array.reshape(-1))

    def loss(parameters, x, y):
        scores = func.functional_call(twin, parameters, (x[None],))
        return torch.nn.functional.cross_entropy(scores, y[None])

    expected = func.vmap(func.grad(loss), in_dims=(None, 0, 0))(
        state, torch.tensor(images.numpy()), torch.tensor(labels.numpy())
    )
    for name, gradient in gradients.items():
        theirs = expected[name].numpy()
        if theirs.ndim == 3:
            theirs = theirs.swapaxes(1, 2)
        assert gradient.dtype == np.float32
        np.testing.assert_allclose(gradient.numpy(), theirs.reshape(gradient.shape), atol=1e-5)


def test_gradients_of_each_sample_run_no_loop():
    counts = []
    for size in (2, 50):
        images = ndl.init.randn(size, 3)
        labels = Tensor(np.zeros(size, int), requires_grad=False)
        mapped = ndl.vmap(ndl.grad(sample_loss), in_axes=(None, 0, 0))
        counts.append(ops_run(mapped, model(), images, labels))
    assert counts[0] == counts[1]


def test_the_sum_of_the_gradients_of_the_samples_is_that_of_the_batch():
    network = model()
    images, labels = ndl.init.randn(6, 3), Tensor(np.arange(6) % 4, requires_grad=False)
    each = ndl.vmap(ndl.grad(sample_loss), in_axes=(None, 0, 0))(network, images, labels)
    whole = ndl.grad(lambda m: nn.SoftmaxLoss()(m(images), labels))(network)
    for name, gradient in whole.items():
        close(each[name].mean(0), gradient.numpy(), 1e-5)


@pytest.mark.parametrize(
    "loss",
    [
        lambda z, y: F.cross_entropy(z, y),
        lambda z, y: F.cross_entropy(z, y, ignore_index=2),
        lambda z, y: F.cross_entropy(z, y, label_smoothing=0.1, reduction="sum"),
        lambda z, y: F.cross_entropy(z, y, weight=Tensor([1.0, 2.0, 3.0]), reduction="mean"),
        lambda z, y: F.cross_entropy(z, F.softmax(z * 0.5)),
        lambda z, y: F.nll_loss(F.log_softmax(z), y),
        lambda z, y: F.mse_loss(z, z * 0.5),
        lambda z, y: F.smooth_l1_loss(z, z * 0.5),
        lambda z, y: F.binary_cross_entropy(F.sigmoid(z), F.sigmoid(z * 2).detach()),
        lambda z, y: F.binary_cross_entropy_with_logits(z, F.sigmoid(z * 2).detach()),
        lambda z, y: F.kl_div(F.log_softmax(z), F.softmax(z * 2).detach()),
        lambda z, y: F.embedding(y, z).sum() ** 2,
        lambda z, y: F.batch_norm(z, None, None, training=True)[0, 1] ** 2,
        lambda z, y: F.layer_norm(z, 3)[0, 1] ** 2,
        lambda z, y: (z[y.astype("int64")] ** 2).sum(),
    ],
)
def test_losses_and_layers(loss):
    z = Tensor(RNG.normal(size=(3, 4, 3)))
    y = Tensor(np.array([[0, 1, 2, 1], [1, 1, 0, 0], [2, 0, 0, 0]]), requires_grad=False)
    function = ndl.value_and_grad(loss)
    value, gradient = ndl.vmap(function)(z, y)
    for index in range(3):
        expected, slope = function(z[index], y[index])
        close(value[index], expected.numpy())
        close(gradient[index], slope.numpy())


def test_a_label_out_of_range_is_refused():
    labels = Tensor(np.array([[0], [4]]), requires_grad=False)
    with pytest.raises(ValueError, match="labels from 4 to 4 for 3 classes"):
        ndl.vmap(lambda z, y: F.cross_entropy(z, y))(Tensor(np.ones((2, 1, 3))), labels)
    with pytest.raises(ValueError, match="must be from 0 to 1, got"):
        ndl.vmap(lambda p: F.binary_cross_entropy(p, p.detach()))(x())


# --- randomness


def test_random_ops_draw_for_each_example():
    ones = Tensor(np.ones((4, 100)), dtype="float32")
    ndl.manual_seed(0)
    dropped = ndl.vmap(F.dropout)(ones).numpy()
    assert len({tuple(row) for row in dropped}) == 4
    ndl.manual_seed(0)
    looped = np.stack([F.dropout(row).numpy() for row in ones])
    np.testing.assert_array_equal(dropped, looped)


def test_random_ops_of_what_the_examples_share_draw_for_each_example():
    shared = Tensor(np.ones(100), requires_grad=False)
    dropped = ndl.vmap(lambda a: F.dropout(shared) * a.sum() * 0 + F.dropout(shared))(x()).numpy()
    assert len({tuple(row) for row in dropped}) == 4


def test_tensors_that_are_drawn_inside_are_shared():
    drawn = ndl.vmap(lambda a: a * 0 + ndl.init.rand(3, dtype="float64"))(x()).numpy()
    assert (drawn == drawn[0]).all()


# --- what carries no gradient


@pytest.mark.parametrize(
    "constant",
    [
        lambda a: a.detach(),
        lambda a: a.data,
        ndl.stop_gradient,
        ndl.no_grad()(lambda a: a * 1),
        lambda a: Tensor.make_const(a.cached_data),
    ],
)
def test_constants_stay_constant(constant):
    function = lambda a: (a * constant(a)).sum()  # noqa: E731
    close(ndl.vmap(ndl.grad(function))(x()), X)
    close(ndl.grad(lambda x: ndl.vmap(function)(x).sum())(x()), X)
    direction = Tensor(np.cos(X), requires_grad=False)
    each = lambda a, t: ndl.jvp(function, (a,), (t,))[1]  # noqa: E731
    expected = np.stack([each(a, t).numpy() for a, t in zip(x(), direction, strict=True)])
    close(ndl.jvp(lambda x: ndl.vmap(function)(x), (x(),), (direction,))[1], expected)
    close(ndl.vmap(each)(x(), direction), expected)


def test_results_have_a_graph_where_they_should():
    weight = Tensor(W)
    function = ndl.vmap(lambda a: (a @ weight).sum())
    constant = x().detach()
    assert function(constant).requires_grad
    with ndl.no_grad():
        assert not function(x()).requires_grad
        assert not ndl.vmap(ndl.grad(lambda a: (a @ weight).sum()))(x()).requires_grad
        assert not ndl.vmap(lambda a: a)(x()).requires_grad
    weight.requires_grad = False
    assert not function(constant).requires_grad
    assert not ndl.vmap(ndl.grad(lambda a: (a @ weight).sum()))(constant).requires_grad


def test_nothing_stays_alive():
    function = ndl.vmap(ndl.grad(lambda a: ndl.tanh(a @ Tensor(W)).sum()))
    argument = x().detach()
    before = ndl.count_live_tensors()
    for _ in range(3):
        function(argument)
    assert ndl.count_live_tensors() == before


# --- indexing

INDICES = {
    "an integer": lambda a, i: a[1],
    "slices": lambda a, i: a[1:, ::-1],
    "None and Ellipsis": lambda a, i: a[None, ..., 0],
    "one index each": lambda a, i: a[i[0, 0]],
    "rows": lambda a, i: a[i],
    "columns": lambda a, i: a[:, i],
    "the last axis": lambda a, i: a[..., i[0]],
    "pairs": lambda a, i: a[i, i],
    "two sides": lambda a, i: a[i[0], :, i[1]],
    "two sides of None": lambda a, i: a[i[0], None, i[1]],
    "an integer and columns": lambda a, i: a[0, :, i],
    "an integer beside": lambda a, i: a[:, 1, i],
    "behind Ellipsis": lambda a, i: a[None, ..., i, 0],
    "broadcast pairs": lambda a, i: a[i[0][:, None], i[1]],
    "in the middle": lambda a, i: a[:, i[0], i[1]],
    "a shared and an own one": lambda a, i: a[i[0], np.array([0, 1, 1])],
    "shared rows": lambda a, i: a[[0, 2, 0]],
    "shared sides": lambda a, i: a[[0, 1], :, [1, 2]],
    "a shared mask": lambda a, i: a[np.array([True, False, True])],
    "a shared mask behind": lambda a, i: a[:, np.array([True, False, True])],
    "a shared mask of two axes": lambda a, i: a[np.eye(3, dtype=bool)],
    "a mask of two axes behind": lambda a, i: a[:, np.eye(3, dtype=bool)],
}


@pytest.mark.parametrize("mapped", [(0, 0), (0, None), (None, 0)])
@pytest.mark.parametrize("name", INDICES)
def test_indexing(name, mapped):
    arrays = RNG.normal(size=(4, 3, 3, 3)), RNG.integers(0, 3, size=(4, 2, 3))
    a, i = (
        Tensor(array if axis == 0 else array[0]) for array, axis in zip(arrays, mapped, strict=True)
    )
    i.requires_grad = False
    function = INDICES[name]
    weighted = lambda a, i: (ndl.sin(function(a, i)) ** 2).sum()  # noqa: E731
    for each in (function, ndl.grad(weighted)):
        expected = np.stack([
            each(a[k] if mapped[0] == 0 else a, i[k] if mapped[1] == 0 else i).numpy()
            for k in range(4)
        ])  # fmt: skip
        close(ndl.vmap(each, mapped)(a, i), expected)
    through = ndl.grad(lambda a: (ndl.vmap(function, mapped)(a, i) ** 2).sum())(a)
    looped = ndl.grad(
        lambda a: sum(
            (function(a[k] if mapped[0] == 0 else a, i[k] if mapped[1] == 0 else i) ** 2).sum()
            for k in range(4)
        )
    )(a)
    close(through, looped.numpy())


PLACES = {
    "an integer": lambda i: 1,
    "slices": lambda i: (slice(1, None), slice(None, None, -1)),
    "rows": lambda i: i[0],
    "columns": lambda i: (slice(None), i[0]),
    "pairs": lambda i: (i[0], i[1]),
    "two sides": lambda i: (i[0], slice(None), i[1]),
    "a shared mask": lambda i: np.array([True, False, True]),
}


@pytest.mark.parametrize("mapped", [(0, 0, 0), (0, None, None), (None, 0, None), (None, None, 0)])
@pytest.mark.parametrize("name", PLACES)
def test_setting_items(name, mapped):
    index = PLACES[name]
    arrays = [RNG.normal(size=(4, 3, 3, 3)), RNG.integers(0, 3, size=(4, 2, 3))]
    arrays.append(RNG.normal(size=(4, *arrays[0][0][index(arrays[1][0])].shape)))
    a, i, b = (
        Tensor(array if axis == 0 else array[0], requires_grad=array.dtype.kind == "f")
        for array, axis in zip(arrays, mapped, strict=True)
    )

    def function(a, i, b):
        return a.at[index(i)].set(b)

    gradient = ndl.grad(lambda a, i, b: (function(a, i, b) ** 3).sum(), (0, 2))
    for each in (lambda *x: (function(*x),), gradient):
        examples = [
            each(*[x[k] if axis == 0 else x for x, axis in zip((a, i, b), mapped, strict=True)])
            for k in range(4)
        ]
        for found, *expected in zip(ndl.vmap(each, mapped)(a, i, b), *examples, strict=True):
            close(found, np.stack([one.numpy() for one in expected]))


def test_a_mask_of_each_example_is_refused():
    with pytest.raises(RuntimeError, match=r"a boolean mask .* needle\.where"):
        ndl.vmap(lambda a: a[a > 0])(x())


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


def test_an_op_without_a_rule_runs_for_each_example():
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
