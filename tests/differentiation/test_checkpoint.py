"""checkpoint: the plain gradient to the bit, less memory, an inner graph that is not kept."""

import copy

import numpy as np
import pytest

import needle as ndl
from benchmarks import checkpoint_memory
from needle import Tensor, nn


def plain(function, *args):
    return function(*args)


def gradients(loss, *tensors):
    """The gradients of a number, as bytes: equal means equal to the bit."""
    for tensor in tensors:
        tensor.grad = None
    loss.backward()
    return [None if tensor.grad is None else tensor.grad.numpy().tobytes() for tensor in tensors]


def both(build, *tensors):
    """The value and gradients of build(checkpoint) and of build(plain), equally seeded."""
    results = []
    for call in (ndl.checkpoint, plain):
        np.random.seed(7)
        loss = build(call)
        results.append((loss.numpy().tobytes(), gradients(loss, *tensors)))
        results[-1] += (np.random.rand(),)  # the random state goes on the same way
    return results


def equal(build, *tensors):
    checkpointed, expected = both(build, *tensors)
    assert checkpointed == expected
    assert None not in expected[1]


@pytest.fixture
def model():
    np.random.seed(0)
    return nn.Sequential(
        nn.Linear(6, 8), nn.ReLU(), nn.Dropout(0.3), nn.Linear(8, 8), nn.Tanh(), nn.Dropout(0.5),
        nn.LayerNorm1d(8), nn.Linear(8, 3),
    )  # fmt: skip


@pytest.fixture
def x():
    return Tensor(np.random.default_rng(0).normal(size=(4, 6)), dtype="float32")


# --- equal to the plain gradient


def test_stack_of_layers_with_dropout(model, x, mode):
    equal(lambda call: (call(model, x) ** 2).sum(), x, *model.parameters())


def test_module_may_be_an_argument(model, x, mode):
    equal(lambda call: (call(lambda m, x: m(x), model, x) ** 2).sum(), x, *model.parameters())


def test_pieces_in_a_row(model, x, mode):
    layers = list(model)

    def build(call):
        y = x
        for start in range(0, len(layers), 3):
            y = call(nn.Sequential(*layers[start : start + 3]), y)
        return nn.SoftmaxLoss()(y, Tensor([0, 1, 2, 0]))

    equal(build, x, *model.parameters())


def test_checkpoints_inside_checkpoints(model, x, mode):
    first, second = nn.Sequential(*model[:3]), nn.Sequential(*model[3:])

    def build(call):
        return call(lambda x: call(second, call(first, x)) * call(lambda x: x.sum(), x), x).sum()

    equal(build, x, *model.parameters())


def test_random_branches_draw_in_the_same_order(x, mode):
    drop = nn.Dropout(0.5)
    equal(lambda call: call(lambda x: (drop(x) * drop(x * 2) + drop(x)).sum(), x), x)


def test_generators_draw_the_same_again(x, mode):
    used, other = ndl.Generator(3), copy.deepcopy(ndl.Generator(4))

    def function(x):
        noise = ndl.init.rand(*x.shape, generator=used, dtype="float32")
        return ((x * noise) ** 2).sum() * ndl.init.rand(1, generator=other).item()

    results = []
    for call in (ndl.checkpoint, plain):
        used.load_state_dict(ndl.Generator(3).state_dict())
        other.load_state_dict(ndl.Generator(4).state_dict())
        loss = call(function, x)
        apart = ndl.Generator(5)
        after = apart.rand()  # draws outside of the function stay as they are
        found = gradients(loss, x)
        assert apart.rand() != after
        results.append((loss.numpy().tobytes(), found, used.rand(), other.rand()))
    assert results[0] == results[1]


@pytest.mark.parametrize("forward_mode", ["eager", "lazy"])
@pytest.mark.parametrize("backward_mode", ["eager", "lazy"])
def test_mode_of_backward_may_be_another(forward_mode, backward_mode, x):
    drop = nn.Dropout(0.5)
    results = []
    for call in (ndl.checkpoint, plain):
        np.random.seed(0)
        with ndl.autograd.modes.override(ndl.autograd.modes.is_lazy, forward_mode == "lazy"):
            loss = call(lambda x: (drop(x) + drop(x * x)).sum(), x)
            loss.numpy()
        np.random.seed(1)
        with ndl.autograd.modes.override(ndl.autograd.modes.is_lazy, backward_mode == "lazy"):
            results.append(gradients(loss, x))
    assert results[0] == results[1]


def test_several_arguments_and_results_in_containers(mode):
    a, b, c = Tensor([1.0, 2.0]), Tensor([3.0, 4.0]), Tensor(5.0)

    def function(pair, options, scale=2):
        y = pair["a"] * options[0]
        return {"y": y * scale, "z": (ndl.exp(pair["b"]) * y, "text")}

    def build(call):
        result = call(function, {"a": a, "b": b}, [c, None], 3)
        assert result["z"][1] == "text"
        return (result["y"] * result["z"][0]).sum() + result["y"].sum()

    equal(build, a, b, c)


def test_result_that_is_not_used(mode):
    x = Tensor([1.0, 2.0])
    equal(lambda call: call(lambda x: (x * x, ndl.exp(x), x.sum()), x)[0].sum(), x)


def test_captured_tensors_get_gradients(mode):
    x, w = Tensor([1.0, 2.0]), Tensor([3.0, 4.0])
    middle = w * w
    equal(lambda call: call(lambda x: (x * middle * w).sum(), x), x, w)


def test_argument_that_the_function_also_captures(mode):
    x = Tensor([1.0, 2.0])
    equal(lambda call: call(lambda y: (y * x * y).sum(), x), x)
    assert x.grad.numpy().tolist() == [3, 12]


def test_one_tensor_as_two_arguments(mode):
    x = Tensor([1.0, 2.0])
    equal(lambda call: call(lambda a, b: (a * a * b).sum(), x, x), x)


def test_argument_and_captured_tensor_that_are_handed_through(mode):
    x, y, w = Tensor(2.0), Tensor(3.0), Tensor(5.0)

    def build(call):
        a, b, c = call(lambda x, y: (x * 2, y, w), x, y)
        return a * b * c

    equal(build, x, y, w)


def test_function_without_arguments(mode):
    w = Tensor([3.0, 4.0])
    equal(lambda call: call(lambda: (w * w).sum()), w)


def test_arguments_that_require_no_gradient(mode):
    x, n = Tensor([1.0, 2.0], requires_grad=False), Tensor([1, 2])
    w = Tensor([3.0, 4.0])
    equal(lambda call: call(lambda x, n: (w * x)[n - 1].sum(), x, n), w)


def test_integer_results(mode):
    x = Tensor([[1.0, 3.0, 2.0]])

    def build(call):
        best, y = call(lambda x: (ndl.argmax(x, 1), x * x), x)
        assert best.dtype.kind == "i"
        return (y[0][best] * 2).sum()

    equal(build, x)


@pytest.mark.filterwarnings("ignore::needle.GradientReplacedWarning")
def test_running_statistics_move_once(mode):
    x = Tensor(np.random.default_rng(0).normal(size=(8, 3)), dtype="float32")

    def statistics(call):
        layer = nn.BatchNorm1d(3)
        for _ in range(2):
            call(lambda x: (call(layer, x * 2) ** 2).sum(), x).backward()
        return layer.running_mean.numpy(), layer.running_var.numpy()

    for checkpointed, expected in zip(statistics(ndl.checkpoint), statistics(plain), strict=True):
        np.testing.assert_array_equal(checkpointed, expected)
        assert expected.any()


# --- derivatives of derivatives


def test_gradient_of_the_gradient(mode):
    x, w = Tensor([0.5, 1.0]), Tensor([2.0, 3.0])

    def second(call):
        value = call(lambda x: ndl.exp(x * w).sum(), x)
        slope = ndl.autograd.compute_adjoints([value], [Tensor(1.0)], [x])[0]
        return (slope * slope).sum()

    equal(second, x, w)


@pytest.mark.parametrize("transform", ["grad", "hessian", "forward", "hvp", "grad of jvp"])
def test_inside_transformations(transform, mode, close):
    x = Tensor([0.5, 1.0, 1.5])

    def through(call):
        def function(x):
            return call(lambda x: (ndl.exp(x) * call(ndl.sin, x * x)).sum(), x)

        return {
            "grad": lambda: ndl.grad(function)(x),
            "hessian": lambda: ndl.hessian(function)(x),
            "forward": lambda: ndl.jacobian(ndl.grad(function), "forward")(x),
            "hvp": lambda: ndl.hvp(function, x, x),
            "grad of jvp": lambda: ndl.grad(lambda x: ndl.jvp(function, (x,), (x,))[1])(x),
        }[transform]()

    close(through(ndl.checkpoint), through(plain).numpy())


def test_forward_mode_through_a_checkpoint(mode):
    x = Tensor([1.0, 2.0])
    value, tangent = ndl.jvp(lambda x: ndl.checkpoint(lambda x: x**3, x), (x,), (x,))
    np.testing.assert_array_equal(value.numpy(), [1, 8])
    np.testing.assert_array_equal(tangent.numpy(), [3, 24])


def test_gradient_taken_inside(mode):
    x = Tensor(2.0)
    equal(lambda call: call(lambda x: ndl.grad(lambda y: y**3)(x) * x, x), x)
    assert x.grad.item() == 36


def test_random_numbers_inside_forward_mode():
    x, drop = Tensor(np.ones(50)), nn.Dropout(0.5)

    def tangent(call):
        np.random.seed(0)
        return ndl.jvp(lambda x: call(drop, x), (x,), (x,))[1].numpy()

    np.testing.assert_array_equal(tangent(ndl.checkpoint), tangent(plain))


# --- what is kept


def test_no_grad_keeps_nothing(x, model):
    with ndl.no_grad():
        y = ndl.checkpoint(model, x)
    assert y.is_leaf()
    assert not y.requires_grad


def test_function_of_constants_is_a_constant():
    y = ndl.checkpoint(lambda x: x * 2, Tensor(1.0, requires_grad=False))
    assert not y.requires_grad


def test_inner_graph_is_not_kept(mode):
    x = Tensor(np.ones(3))
    before = ndl.count_live_tensors()

    def long(x):
        for _ in range(50):
            x = ndl.sin(x)
        return x

    y = ndl.checkpoint(long, x)
    with_gradient = ndl.checkpoint(lambda x: ndl.grad(lambda x: long(x).sum())(x), x)
    assert ndl.count_live_tensors() <= before + 4
    (y * with_gradient).sum().backward(create_graph=False)
    assert ndl.count_live_tensors() <= before + 7


@pytest.mark.filterwarnings("ignore::needle.GradientReplacedWarning")
def test_function_is_called_again_once_for_each_backward(computed):
    x = Tensor([1.0, 2.0])
    y = ndl.checkpoint(lambda x: ndl.exp(x).sum(), x)
    assert computed["Exp"] == 1
    y.backward()
    assert computed["Exp"] == 2
    y.backward()
    assert computed["Exp"] == 3


def test_error_inside_names_the_layer(x):
    with pytest.raises(ValueError, match="Linear"):
        ndl.checkpoint(nn.Sequential(nn.Linear(5, 2)), x)


def test_memory_of_a_deep_stack():
    """The benchmark: 64 Linear + ReLU, checkpointed every 8, in less than half the memory."""
    plain_step, checkpointed = checkpoint_memory.measure(width=64, batch=256)
    assert checkpointed.peak_bytes < plain_step.peak_bytes / 2
    for a, b in zip(plain_step.gradients, checkpointed.gradients, strict=True):
        np.testing.assert_array_equal(a, b)


def test_benchmark_prints_a_table(monkeypatch, capsys):
    arguments = ["--layers", "4", "--every", "2", "--width", "8", "--batch", "8"]
    monkeypatch.setattr("sys.argv", ["checkpoint_memory.py", *arguments])
    checkpoint_memory.main()
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "4 × (Linear(8, 8), ReLU), batch 8, float32"
    assert [line.split()[0] for line in lines[2:5]] == ["plain", "checkpoint", "ratio"]
    assert lines[5] == "gradients equal to the bit: yes"
