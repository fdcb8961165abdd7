"""What compiled functions reach beside their arguments: it may change, and be copied."""

import copy
import pickle

import numpy as np
import pytest

import needle as ndl
from needle import nn

A = np.arange(6.0).reshape(2, 3) + 1


def tensor(array=A, requires_grad=False):
    return ndl.Tensor(array, requires_grad=requires_grad)


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
