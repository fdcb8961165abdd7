"""The numba executor: groups, memory, products and kernels, beyond what both executors share."""

import numpy as np
import pytest

import needle as ndl
from needle import Tensor, nn
from needle.autograd import assign
from tests.fuzz.graphs import NEEDLE, Program

pytest.importorskip("numba")

from needle.compiler.native import blas, compiler, groups, products


def compiled(function):
    return ndl.compile(function, executor="numba")


def kinds(step):
    """The kinds of the groups of a compiled function, in order."""
    return [group.kind for group in step._recorded().executable._schedule.order]


def close(result, expected, tolerance=1e-9):
    scale = 1 + np.abs(expected.numpy()).max(initial=0)
    np.testing.assert_allclose(result.numpy(), expected.numpy(), tolerance, tolerance * scale)


@pytest.mark.parametrize("seed", range(40))
def test_random_programs(seed, interpreted):
    """Values, gradients, and states that they update, of which some are exchanged."""
    program = Program(np.random.default_rng(seed))

    def make():
        states = [Tensor(np.zeros(leaf.shape), requires_grad=False) for leaf in program.leaves]

        def step(*inputs):
            value = program(NEEDLE, *inputs)
            gradients = ndl.grad(lambda *x: program(NEEDLE, *x), argnums=tuple(range(len(inputs))))(
                *inputs
            )
            for state, gradient in zip(states, gradients, strict=True):
                assign(state, state * 0.5 + gradient)
            if len(states) > 1 and states[0].shape == states[1].shape:
                former = states[0] * 1.0
                assign(states[0], states[1])
                assign(states[1], former + states[0])
            return [value, *gradients, *[state + 1 for state in states]]

        return step, states

    inputs = [Tensor(leaf, requires_grad=False) for leaf in program.leaves]
    (eager, expected), (function, found) = make(), make()
    step = compiled(function)
    for _ in range(2):
        for pair in zip([*step(*inputs), *found], [*eager(*inputs), *expected], strict=True):
            close(*pair)


def classifier(hidden=8, **options):
    """A training step of a small classifier, and its model."""
    np.random.seed(0)
    model = nn.Sequential(nn.Linear(6, hidden), nn.ReLU(), nn.Linear(hidden, 3))
    optimizer = ndl.optim.SGD(model.parameters(), lr=0.1, **options)
    loss_function = nn.SoftmaxLoss()

    def step(images, labels):
        loss = loss_function(model(images), labels)
        optimizer.reset_grad()
        loss.backward(create_graph=False)
        optimizer.step()
        return loss

    return step, model


def batch(size):
    rng = np.random.default_rng(1)
    images = Tensor(rng.normal(size=(size, 6)).astype(np.float32), requires_grad=False)
    return images, Tensor(rng.integers(0, 3, size))


def weights(model):
    return [parameter.numpy() for parameter in model.parameters()]


def trained_alike(make, steps=3, size=5):
    """The compiled function, after as many steps as an eager one, with the same weights."""
    (eager, expected), (function, model) = make(), make()
    step = compiled(function)
    for _ in range(steps):
        close(step(*batch(size)), eager(*batch(size)), 1e-5)
    for one, other in zip(weights(model), weights(expected), strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-5, atol=1e-6)
    return step


def test_a_classifier():
    """No Python between the calls; the loss and its gradient are one kernel over rows."""
    step = trained_alike(classifier)
    assert set(kinds(step)) == {"kernel", "product", "concatenation"}
    order = step._recorded().executable._schedule.order
    (fused,) = [g for g in order if any(n.function is np.exp for n in g.nodes)]
    assert {np.max, np.exp, np.log, np.sum} <= {node.function for node in fused.nodes}


def test_momentum():
    step = trained_alike(lambda: classifier(momentum=0.9, weight_decay=0.01))
    assert "call" not in kinds(step)


def test_smaller_batches_compile_nothing_anew(monkeypatch):
    step = compiled(classifier(hidden=7)[0])
    step(*batch(8))
    monkeypatch.setattr(compiler, "compile_source", lambda *args: pytest.fail("compiles again"))
    step(*batch(5))
    assert step.recordings == 2


def test_equal_kernels_are_compiled_once():
    layers = [layer for _ in range(4) for layer in (nn.Linear(6, 6), nn.Tanh())]
    model = nn.Sequential(*layers)
    step = compiled(lambda x: model(x))
    step(batch(5)[0])
    sources = [source for _, source in step._recorded().executable.kernels]
    assert len(sources) == 4
    assert len(set(sources)) == 1


def test_without_a_blas(monkeypatch):
    """np.matmul is called."""
    monkeypatch.setattr(products, "addresses", lambda: None)
    monkeypatch.setattr(blas, "addresses", lambda: None)
    step = trained_alike(classifier)
    assert "product" not in kinds(step)


@pytest.mark.parametrize("layout", ["transposed", "strided"])
def test_parameters_in_other_layouts(layout):
    def make():
        step, model = classifier()
        for parameter in model.parameters():
            array = parameter.numpy().copy()
            if layout == "transposed":
                array = np.asfortranarray(array)
            else:
                array = np.repeat(array, 2, axis=-1)[..., ::2]
            parameter.data = Tensor(array)
        return step, model

    trained_alike(make)


def test_parameters_that_get_another_layout():
    (eager, expected), (function, model) = classifier(), classifier()
    step = compiled(function)
    for number in range(3):
        close(step(*batch(5)), eager(*batch(5)), 1e-5)
        for each in (expected, model):
            weight = next(iter(each.parameters()))
            order = "F" if number else "C"
            weight.data = Tensor(np.array(weight.numpy(), order=order))
    for one, other in zip(weights(model), weights(expected), strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-5, atol=1e-6)


def test_arguments_in_other_layouts():
    rng = np.random.default_rng(0)
    array = rng.normal(size=(6, 4))
    step = compiled(lambda x: (x * 2 + 1).sum(0))
    for each in (array, array[::-1], np.asfortranarray(array), np.repeat(array, 2, 1)[:, ::2]):
        x = Tensor(0.0, requires_grad=False)
        x.cached_data = each
        np.testing.assert_allclose(step(x).numpy(), (each * 2 + 1).sum(0))


def test_an_argument_that_shares_memory_with_what_changes():
    memory = np.arange(6.0)
    state, x = Tensor(0.0, requires_grad=False), Tensor(0.0, requires_grad=False)
    state.cached_data, x.cached_data = memory[:5], memory[1:]

    def function(x):
        assign(state, state + x * 2)
        return x * 1

    step, expected = compiled(function), np.arange(6.0)
    for _ in range(2):
        given = expected[1:].copy()
        expected[:5] += given * 2
        np.testing.assert_allclose(step(x).numpy(), given)
        np.testing.assert_allclose(memory, expected)


def test_states_that_share_memory():
    memory = np.arange(6.0)
    a, b = Tensor(0.0, requires_grad=False), Tensor(0.0, requires_grad=False)
    a.cached_data, b.cached_data = memory[:4], memory[2:]

    @compiled
    def step():
        assign(a, a + b)
        return a.sum()

    expected = memory.copy()
    expected[:4] = expected[:4] + expected[2:]
    assert step().item() == expected[:4].sum()
    np.testing.assert_allclose(memory, expected)


def test_rounding_is_numpys():
    """Additions are not reordered, and products are rounded before they are added."""
    x = Tensor(np.random.default_rng(0).normal(size=100).astype(np.float32), requires_grad=False)

    def function(x):
        rounded = (x + 12582912.0) - 12582912.0
        return rounded, x * x - (x * 1.0) * x, (x * 3.0 + 0.1) / 7.0

    for result, expected in zip(compiled(function)(x), function(x), strict=True):
        np.testing.assert_array_equal(result.numpy(), expected.numpy())


def test_special_values():
    numbers = [np.nan, np.inf, -np.inf, 0.0, -0.0, 1e-45, 1.0]
    x = Tensor(np.array([numbers, numbers[::-1]], np.float32), requires_grad=False)

    def function(x):
        return (
            ndl.relu(x), ndl.maximum(x, -x), x.max(1), x.max(), x.sum(0), ndl.exp(x),
            ndl.where(x > 0, x, -1.0), 1 / x, ndl.abs(x), x[:, 2:].min(1),
        )  # fmt: skip

    with np.errstate(all="ignore"):
        for result, expected in zip(compiled(function)(x), function(x), strict=True):
            np.testing.assert_allclose(result.numpy(), expected.numpy(), rtol=1e-6)


def test_half_precision_stays_a_call():
    x = Tensor(np.ones((2, 3), np.float16), requires_grad=False)
    step = compiled(lambda x: x * 2 + 1)
    assert step(x).numpy().tolist() == [[3.0] * 3] * 2
    assert step(x).dtype == np.float16
    assert set(kinds(step)) == {"call"}


@pytest.mark.parametrize("axis", [0, 1, -1])
def test_joined_arrays(axis):
    x = Tensor(np.arange(6.0).reshape(2, 3), requires_grad=False)

    def function(x):
        return ndl.concatenate([x * 2, x, ndl.matmul(x, ndl.permute(x, (1, 0)))[:, :1] + x], axis)

    close(compiled(function)(x), function(x))


def test_long_sums_are_accurate():
    x = Tensor(np.full(1 << 22, 0.1, np.float32), requires_grad=False)
    step = compiled(lambda x: (x.sum(), (x.reshape((2, -1)) * 1.0).sum(1)))
    total, halves = step(x)
    assert abs(total.item() / (0.1 * (1 << 22)) - 1) < 1e-6
    assert np.abs(halves.numpy() / (0.1 * (1 << 21)) - 1).max() < 1e-6


def test_equal_kernels_have_one_name_in_what_is_shown():
    step = compiled(classifier()[0])
    step(*batch(5))
    source = step.source()
    assert source.count("def kernel_1(arguments):") == 1
    assert "def step():\n    product()" in source
    body = source.partition("def step():")[2]
    assert body.count("kernel_") > source.count("def kernel_")


def test_what_numba_cannot_compile_runs_by_numpy(monkeypatch):
    def compile_source(source, name):
        raise RuntimeError("no such instruction")

    monkeypatch.setattr(compiler, "compile_source", compile_source)
    x = Tensor(np.arange(5.0), requires_grad=False)
    step = compiled(lambda x: x * 0.1234567 - 17)
    with pytest.warns(RuntimeWarning, match="NumPy's functions .*no such instruction"):
        close(step(x), x * 0.1234567 - 17)
    close(step(x), x * 0.1234567 - 17)


def test_numbers_in_pieces():
    """Fields of records, whose strides are no multiple of an element."""
    records = np.zeros(4, [("tag", np.int8), ("number", np.float32)])
    state = Tensor(0.0, requires_grad=False)
    state.cached_data = records["number"]
    step = compiled(lambda x: state + x)
    with pytest.warns(RuntimeWarning, match="no whole elements"):
        result = step(Tensor(np.ones(4, np.float32), requires_grad=False))
    assert result.numpy().tolist() == [1.0] * 4


def test_numbers_in_the_other_byte_order():
    array = np.arange(4.0).astype(">f8")
    x = Tensor(0.0, requires_grad=False)
    x.cached_data = array
    assert compiled(lambda x: x * 2 + 1)(x).numpy().tolist() == [1.0, 3.0, 5.0, 7.0]


def test_large_groups_are_parted(monkeypatch):
    monkeypatch.setattr(groups, "LARGEST", 4)
    x = Tensor(np.arange(5.0), requires_grad=False)

    def function(x):
        for _ in range(12):
            x = x * 0.5 + 1
        return x

    step = compiled(function)
    close(step(x), function(x))
    assert kinds(step) == ["kernel"] * 6


@pytest.mark.parametrize("axis", [0, 1, 2, -1])
def test_parts_of_a_concatenation_lie_in_it_along_the_first_axis_only(axis):
    """Along another axis their rows alternate."""
    rng = np.random.default_rng(0)
    a, b = (Tensor(rng.normal(size=(2, 3, 4)), requires_grad=False) for _ in range(2))
    function = lambda a, b: ndl.cat([a.exp() @ a.mT @ a, (b * 2).tanh()], axis)  # noqa: E731
    result = ndl.compile(function, executor="numba")(a, b)
    np.testing.assert_allclose(result.numpy(), function(a, b).numpy(), rtol=1e-12)


def test_gradients_of_attention():
    """Those of query, key and value are joined along the axis before the last one."""
    ndl.manual_seed(0)
    layer = ndl.nn.MultiheadAttention(4, 2, batch_first=True)
    x, weight = (ndl.randn(2, 3, 4, requires_grad=False) for _ in range(2))

    def gradients(x):
        y, _ = layer(x, x, x, need_weights=False)
        return ndl.grad((y * weight).sum(), [*layer.parameters()])

    compiled = ndl.compile(gradients, executor="numba")
    for result, expected in zip(compiled(x), gradients(x), strict=True):
        np.testing.assert_allclose(result.numpy(), expected.numpy(), rtol=1e-5, atol=1e-6)


def test_long_chains_of_values_that_are_used_twice(interpreted):
    """The time to plan them grows with their number, not with that of the ways through them."""
    x = Tensor(np.linspace(0, 1, 9).reshape(3, 3), requires_grad=False)

    def function(x):
        former = x @ x  # whose memory can be taken again
        now = former * 0.5
        for _ in range(46):
            former, now = now, now - former
        return now, (now - now.max()).sum()

    for result, expected in zip(compiled(function)(x), function(x), strict=True):
        close(result, expected)
