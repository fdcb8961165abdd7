"""What a compiled function refuses and warns of, what it does with what changes, and threads."""

import copy
import pickle
import sys
import threading
import warnings

import numpy as np
import pytest

import needle as ndl
from needle import nn
from needle.compiler import function as compiler_function
from tests.interruption import interrupted

A = np.arange(6.0).reshape(2, 3) + 1


def tensor(array=A, requires_grad=False):
    return ndl.Tensor(array, requires_grad=requires_grad)


# --- reading values


@pytest.mark.parametrize(
    "read",
    [
        lambda y: y.sum().item(),
        lambda y: float(y.sum()),
        lambda y: bool(y.sum()),
        lambda y: 1 if y.sum() > 0 else 2,
        lambda y: y.numpy(),
        lambda y: print(y),
        lambda y: f"{y}",
        lambda y: y[y > 0],
        lambda y: [*range(int(y.sum()))],
        lambda y: np.asarray(y),
        lambda y: y.tolist(),
    ],
)
def test_reading_values_says_where_and_what_to_do(read, executor, capsys):
    def step(x):
        y = x * 2
        read(y)  # here
        return y

    compiled = ndl.compile(step, executor=executor)
    with pytest.raises(
        TypeError, match=r"(?s)in the compiled function step, .*needle\.where"
    ) as info:
        compiled(tensor())
    line = read.__code__.co_firstlineno
    assert f"{__file__}:{line}:" in str(info.value)


def test_reading_what_was_captured_or_is_constant_is_fine(executor):
    scale = tensor(3.0)
    step = ndl.compile(lambda x: x * scale.item() + ndl.Tensor(2.0).item(), executor=executor)
    np.testing.assert_array_equal(step(tensor()).numpy(), A * 3 + 2)


def test_needs_numbers_leaves_everything_as_it_was(executor):
    model = nn.Linear(3, 2)
    optimizer = ndl.optim.Adam(model.parameters())
    before = copy.deepcopy(model.state_dict())

    @ndl.compile(executor=executor)
    def step(x):
        loss = model(x).sum()
        optimizer.reset_grad()
        loss.backward()
        optimizer.step()
        return loss.item()

    for _ in range(2):
        with pytest.raises(TypeError, match="return the tensor"):
            step(tensor(A.astype("float32")))
    for name, value in model.state_dict().items():
        np.testing.assert_array_equal(value.numpy(), before[name].numpy())
    assert model.weight.grad is None
    assert all(entry["step"] == 0 for entry in optimizer.state.values())
    model(tensor(A.astype("float32"))).sum().backward()
    optimizer.step()


# --- arguments


def test_numpy_arrays_as_arguments(executor):
    with pytest.raises(TypeError, match="pass a Tensor"):
        ndl.compile(lambda x: x, executor=executor)(A)


def test_an_argument_with_a_graph(executor):
    x = ndl.Tensor(A) * 2
    with pytest.raises(ValueError, match="detach"):
        ndl.compile(lambda x: x * 2, executor=executor)(x)


def test_a_captured_tensor_with_a_graph(executor):
    y = ndl.Tensor(A) * 2
    with pytest.raises(ValueError, match=r"(?s)compiled function.*detach"):
        ndl.compile(lambda x: x * y, executor=executor)(tensor())


def test_arguments_of_another_structure_are_recorded_anew(executor):
    step = ndl.compile(lambda x: x[0] if isinstance(x, tuple | list) else x["a"], executor=executor)
    x = tensor()
    for given in ((x,), [x], {"a": x}, (x, x)):
        np.testing.assert_array_equal(step(given).numpy(), A)
    assert step.recordings == 4


def test_wrong_arguments_are_the_errors_of_the_function(executor):
    step = ndl.compile(lambda x, y: x @ y, executor=executor)
    with pytest.raises(TypeError, match="missing"):
        step(tensor())
    with pytest.raises(ValueError, match=r"MatMul of shape \(2, 3\) and \(2, 3\)"):
        step(tensor(), tensor())
    np.testing.assert_allclose(step(tensor(), tensor(A.T)).numpy(), A @ A.T)


def test_wrong_labels_are_found_in_every_call(executor):
    step = ndl.compile(lambda x, y: nn.SoftmaxLoss()(x * 2, y), executor=executor)
    x = tensor(A)
    for labels in ([0, 3], [0, 1], [0, 3], [-1, 0]):
        if min(labels) < 0 or max(labels) > 2:
            with pytest.raises(ValueError, match="0 to 2"):
                step(x, tensor(labels))
        else:
            step(x, tensor(labels))


def test_what_compile_takes():
    with pytest.raises(TypeError, match="function or a Module"):
        ndl.compile(3)
    with pytest.raises(ValueError, match="'auto', 'numba' or 'numpy'"):
        ndl.compile(lambda x: x, executor="jax")


def test_without_numba(monkeypatch):
    monkeypatch.setattr(compiler_function.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(ImportError, match=r"needle-dl\[compile\]"):
        ndl.compile(lambda x: x, executor="numba")
    assert ndl.compile(lambda x: x).executor == "numpy"


def test_before_the_first_call():
    with pytest.raises(RuntimeError, match="call the compiled function first"):
        ndl.compile(lambda x: x, executor="numpy").report()


# --- what changes outside


def test_a_captured_tensor_that_changes_is_seen(executor):
    scale = ndl.Tensor(2.0, requires_grad=False)
    holder = {"scale": scale}
    step = ndl.compile(lambda x: x * holder["scale"], executor=executor)
    x = tensor()
    np.testing.assert_array_equal(step(x).numpy(), A * 2)
    scale.realize_cached_data()[...] = 3
    np.testing.assert_array_equal(step(x).numpy(), A * 3)
    scale.data = ndl.Tensor(4.0)
    np.testing.assert_array_equal(step(x).numpy(), A * 4)
    assert step.recordings == 1
    holder["scale"] = ndl.Tensor(5.0)
    np.testing.assert_array_equal(step(x).numpy(), A * 5)


def test_variables_attributes_and_functions_that_change(executor):
    class Settings:
        scale = 1.0

    settings, function = Settings(), ndl.sin
    settings.scale = 2.0

    def step(x):
        return function(x) * settings.scale

    compiled = ndl.compile(step, executor=executor)
    x = tensor()
    np.testing.assert_allclose(compiled(x).numpy(), np.sin(A) * 2)
    settings.scale = 3.0
    np.testing.assert_allclose(compiled(x).numpy(), np.sin(A) * 3)
    function = ndl.cos
    np.testing.assert_allclose(compiled(x).numpy(), np.cos(A) * 3)
    assert compiled.recordings == 3
    settings.scale = 6.0 / 2
    compiled(x)
    assert compiled.recordings == 3


def test_the_structure_of_a_module_changes(executor, close):
    model = nn.Sequential(nn.Linear(3, 3), nn.ReLU())
    compiled = ndl.compile(model, executor=executor)
    x = tensor(A.astype("float32"))
    close(compiled(x), model(x).detach())
    model.append(nn.Linear(3, 2))
    close(compiled(x), model(x).detach())
    model[0] = nn.Linear(3, 3)
    close(compiled(x), model(x).detach())
    model[1].inplace = False
    hook = model[1].register_forward_hook(lambda module, args, output: output * 2)
    close(compiled(x), model(x).detach())
    hook.remove()
    close(compiled(x), model(x).detach())


def test_a_users_module_with_settings(executor, close):
    class Repeated(nn.Module):
        def __init__(self):
            super().__init__()
            self.layer, self.times = nn.Linear(3, 3), 1

        def forward(self, x):
            return self.repeated(x)

        def repeated(self, x):
            for _ in range(self.times):
                x = self.layer(x)
            return x

    model = Repeated()
    compiled = ndl.compile(model, executor=executor)
    x = tensor(A.astype("float32"))
    close(compiled(x), model(x).detach())
    model.times = 3
    close(compiled(x), model(x).detach())
    assert compiled.recordings == 2


def test_a_step_that_replaces_a_parameter(executor):
    model = nn.Linear(3, 2, dtype="float64")

    @ndl.compile(executor=executor)
    def step(x):
        model.weight = nn.Parameter(model.weight.detach() * 0.5)
        return model(x)

    with pytest.raises((TypeError, ValueError), match=r"\.data"):
        step(tensor())


def test_a_parameter_that_is_replaced_outside(executor, close):
    model = nn.Linear(3, 2, dtype="float64")
    compiled = ndl.compile(model, executor=executor)
    x = tensor()
    close(compiled(x), model(x).detach())
    model.weight = nn.Parameter(np.ones((3, 2)))
    close(compiled(x), model(x).detach())


# --- Python runs while recording


def test_side_effects_happen_when_recording(executor):
    calls = []

    @ndl.compile(executor=executor)
    def step(x):
        calls.append(len(calls))
        return x * 2

    for _ in range(3):
        step(tensor())
    assert calls == [0]


def test_a_tensor_that_escapes(executor):
    kept = []

    @ndl.compile(executor=executor)
    def step(x):
        kept.append(x * 2)
        return x * 3

    step(tensor())
    for use in (lambda y: y.numpy(), lambda y: y + 1, lambda y: float(y.sum()), repr):
        with pytest.raises(RuntimeError, match="must return what is used later"):
            use(kept[0])


def test_many_recordings_give_one_warning():
    step = ndl.compile(lambda x, factor: x * factor, executor="numpy")
    for factor in range(16):
        step(tensor(), factor)
    with pytest.warns(
        RuntimeWarning, match=r"recorded 17 times.*the arguments: factor \(15 became 16\)"
    ) as caught:
        step(tensor(), 16)
    step(tensor(), 17)
    assert len(caught) == 1
    assert caught[0].filename == __file__


def test_many_recordings_name_what_changes():
    class Settings:
        scale = 1.0

    settings = Settings()
    step = ndl.compile(lambda x: x * settings.scale, executor="numpy")
    for number in range(16):
        settings.scale = float(number)
        step(tensor())
    settings.scale = 16.0
    with pytest.warns(RuntimeWarning, match="scale"):
        step(tensor())


def test_many_recordings_name_the_arguments_of_other_shapes():
    step = ndl.compile(lambda batch, scale: batch["x"] * scale, executor="numpy")
    for rows in range(1, 17):
        step({"x": tensor(np.zeros(rows))}, scale=2)
    with pytest.warns(RuntimeWarning, match=r"batch \(float64\[16\] became float64\[17\]\)$"):
        step({"x": tensor(np.zeros(17))}, scale=2)


def test_shapes_that_vary_do_not_stay_in_memory_for_ever():
    step = ndl.compile(lambda x: x * 2, executor="numpy")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for rows in range(1, 30):
            assert step(tensor(np.ones((rows, 2)))).shape == (rows, 2)
    assert step.recordings == 29


# --- exceptions and threads


def test_an_exception_leaves_the_parameters_as_they_were(executor):
    class Picky(ndl.TensorOp):
        """Raises at negative numbers, in its compute: no compiler can open it."""

        def compute(self, a):
            if (a < 0).any().item():
                raise ValueError("negative")
            return np.sqrt(a)

        def gradient(self, out_grad, node):
            return out_grad / (2 * node)

    weight = ndl.Tensor([1.0, 4.0])
    optimizer = ndl.optim.Adam([weight], lr=0.1)
    schedule = ndl.optim.StepLR(optimizer, 1)

    @ndl.compile(executor=executor)
    def step(x):
        loss = Picky()(weight * x).sum()
        optimizer.reset_grad()
        loss.backward(create_graph=False)
        schedule.step()
        optimizer.step()
        return loss

    step(tensor([1.0, 1.0]))
    before, lr = weight.numpy(), optimizer.lr
    with pytest.raises(ValueError, match="negative"):
        step(tensor([1.0, -1.0]))
    np.testing.assert_array_equal(weight.numpy(), before)
    assert optimizer.state[weight]["step"] == 1
    assert optimizer.lr == lr
    step(tensor([1.0, 1.0]))
    assert optimizer.state[weight]["step"] == 2


def test_ctrl_c_leaves_the_parameters_before_or_after_the_step(executor):
    def make():
        np.random.seed(0)
        model = nn.Linear(3, 2)
        optimizer = ndl.optim.SGD(model.parameters(), lr=0.1, momentum=0.9)

        @ndl.compile(executor=executor)
        def step(x):
            loss = (model(x) ** 2).sum()
            optimizer.reset_grad()
            loss.backward(create_graph=False)
            optimizer.step()
            return loss

        step(x)
        return model, step

    x = tensor(A.astype("float32"))
    model, step = make()
    states = [[p.numpy() for p in model.parameters()]]
    step(x)
    states.append([p.numpy() for p in model.parameters()])
    for at in range(1, 400, 7):
        model, step = make()
        was_interrupted = interrupted(lambda step=step: step(x), at, "line")
        now = [p.numpy() for p in model.parameters()]
        assert any(
            all(np.array_equal(one, other) for one, other in zip(now, state, strict=True))
            for state in states
        )
        if not was_interrupted:
            return
    pytest.fail("the step has more lines than that")


def test_two_compiled_functions_in_two_threads(executor):
    steps = [ndl.compile(lambda x, k=k: (x * k).sum(), executor=executor) for k in (2, 3)]
    found = [[], []]

    def work(number):
        x = tensor()
        for _ in range(50):
            found[number].append(steps[number](x).item())

    run(lambda: work(0), lambda: work(1))
    assert found == [[2 * A.sum()] * 50, [3 * A.sum()] * 50]


def test_one_compiled_function_from_two_threads(executor):
    step = ndl.compile(lambda x: (x * x).sum() * 2, executor=executor)
    found = [[], []]

    def work(number):
        for i in range(50):
            found[number].append(step(tensor(A[: 1 + i % 2] + number)).item())

    run(lambda: work(0), lambda: work(1))
    for number in range(2):
        wanted = [2 * ((A[: 1 + i % 2] + number) ** 2).sum() for i in range(50)]
        np.testing.assert_allclose(found[number], wanted)


def run(*functions):
    """Run functions in threads of their own; an exception of one is raised."""
    errors = []

    def guarded(function):
        try:
            function()
        except BaseException as error:
            errors.append(error)

    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-5)
    try:
        threads = [threading.Thread(target=guarded, args=(each,)) for each in functions]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    finally:
        sys.setswitchinterval(interval)
    if errors:
        raise errors[0]


# --- copies


def double(x):
    return x * 2


def test_copies_and_pickles(executor, close):
    model = nn.Sequential(nn.Linear(3, 3), nn.Tanh())
    compiled = ndl.compile(model, executor=executor)
    x = tensor(A.astype("float32"))
    expected = compiled(x)
    twin = copy.deepcopy(compiled)
    close(twin(x), expected)
    model[0].weight.data = model[0].weight.data * 0
    close(twin(x), expected)
    other_model = copy.deepcopy(model)
    close(ndl.compile(other_model, executor=executor)(x), compiled(x))
    close(pickle.loads(pickle.dumps(model))(x).detach(), compiled(x))
    assert pickle.loads(pickle.dumps(ndl.compile(double, executor=executor)))(x).shape == (2, 3)


def test_what_was_captured_is_copied_with_its_values(executor):
    weight = ndl.Tensor(A)
    optimizer = ndl.optim.Adam([weight], lr=0.1)

    @ndl.compile(executor=executor)
    def step():
        optimizer.reset_grad()
        (weight * weight).sum().backward(create_graph=False)
        optimizer.step()

    step()
    twin_weight, twin = copy.deepcopy((weight, optimizer))
    step()
    twin.reset_grad()
    (twin_weight * twin_weight).sum().backward(create_graph=False)
    twin.step()
    np.testing.assert_allclose(twin_weight.numpy(), weight.numpy(), 1e-12)


# --- users' own ops


class Inverse(ndl.TensorOp):
    def compute(self, a):
        return np.linalg.inv(a)

    def gradient(self, out_grad, node):
        return -(node.transpose() @ out_grad @ node.transpose())


class Scaled(ndl.TensorOp):
    """Reads a value in its compute."""

    def compute(self, a):
        return a / a.max().item()

    def gradient(self, out_grad, node):
        (a,) = node.inputs
        return out_grad / ndl.max(a.detach())


class Both(ndl.TensorTupleOp):
    def compute(self, a):
        return np.sin(a), np.asarray(np.cos(a))

    def gradient(self, out_grad, node):
        (a,) = node.inputs
        return out_grad[0] * ndl.cos(a) - out_grad[1] * ndl.sin(a)


class Noise(ndl.TensorOp):
    is_random = True

    def compute(self, a):
        return a + np.random.rand(*a.shape)

    def gradient(self, out_grad, node):
        return out_grad


def test_random_ops_keep_their_order_around_kernels(agree):
    """A kernel of `u` and `u * second` would be needed before the first and after the second."""

    def step(x):
        u = ndl.exp(x)
        first = Noise()(u)
        second = Noise()(x)
        return u * second + first

    agree(lambda: (step, []), [(SQUARE,), (SQUARE + 1,)])


SQUARE = np.array([[2.0, 0.5], [0.25, 1.0]])


@pytest.mark.parametrize("op", [Inverse, Scaled, Both, Noise])
def test_a_users_own_op(op, agree):
    def step(x):
        def function(x):
            y = op()(x * 2)
            return (y if isinstance(y, ndl.Tensor) else y[0] + y[1] * 2).sum()

        return ndl.value_and_grad(function)(x)

    agree(lambda: (step, []), [(SQUARE,), (SQUARE + 1,)])


# --- gradients


def test_gradients_are_none_after_a_step_that_used_them(executor):
    weight, other = ndl.Tensor(A), ndl.Tensor(A)
    optimizer = ndl.optim.SGD([weight], lr=0.1)

    @ndl.compile(executor=executor)
    def step(x):
        optimizer.reset_grad()
        (weight * other * x).sum().backward(create_graph=False)
        optimizer.step()

    for _ in range(2):
        step(tensor())
        assert weight.grad is None
        assert other.grad is not None  # which no optimizer has used


def test_gradients_that_are_read_or_returned_are_stored(executor):
    weight, other = ndl.Tensor(A), ndl.Tensor(A)
    optimizer = ndl.optim.SGD([weight, other], lr=0.0)

    @ndl.compile(executor=executor)
    def step(x):
        optimizer.reset_grad()
        (weight * x + other * 2 * x).sum().backward(create_graph=False)
        norm = (weight.grad * weight.grad).sum()
        optimizer.step()
        return norm

    for _ in range(2):
        np.testing.assert_allclose(step(tensor()).item(), (A * A).sum())
        np.testing.assert_allclose(weight.grad.numpy(), A)
        assert other.grad is None


def test_clipping_alone_stores_no_gradients(executor):
    weight = ndl.Tensor(A)
    optimizer = ndl.optim.SGD([weight], lr=0.1)

    @ndl.compile(executor=executor)
    def step(x):
        optimizer.reset_grad()
        (weight * x).sum().backward(create_graph=False)
        norm = optimizer.clip_grad_norm(0.25)
        optimizer.step()
        return norm

    np.testing.assert_allclose(step(tensor()).item(), np.sqrt((A * A).sum()))
    assert weight.grad is None


def test_a_compiled_module_is_no_part_of_a_module():
    compiled = ndl.compile(nn.Linear(2, 3), executor="numpy")
    with pytest.raises(TypeError, match="cannot hold a compiled Linear, whose parameters"):
        nn.Sequential(compiled, nn.ReLU())
    model = nn.Module()
    with pytest.raises(TypeError, match="compile the whole model"):
        model.layer = compiled
