"""Arguments of compiled functions, values that are read, and Python that runs while recording."""

import copy
import warnings

import numpy as np
import pytest

import needle as ndl
from needle import nn
from needle.compiler import function as compiler_function

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
