"""A step that an observer watches: ops and assignments. tests/compiler runs them again."""

import numpy as np
import pytest

import needle as ndl
from needle.autograd import modes
from needle.optim import SGD, Adam, Optimizer


@pytest.fixture
def record():
    """record(function): the (value, op, inputs) that an observer sees while it runs."""

    def run(function):
        seen = []
        token = modes.observers.set((lambda *event: seen.append(event),))
        try:
            function()
        finally:
            modes.observers.reset(token)
        return seen

    return run


def twins(params):
    return [ndl.Tensor(param.numpy()) for param in params]


def test_recorded_and_eager_steps_alternate(any_optimizer, make_params, train, record):
    params = make_params()
    others = twins(params)
    optimizer, eager = any_optimizer(params), any_optimizer(others)
    for step in range(4):
        train(eager, [step])
        if step % 2:
            record(lambda step=step: train(optimizer, [step]))
        else:
            train(optimizer, [step])
    for param, other in zip(params, others, strict=True):
        np.testing.assert_array_equal(param.numpy(), other.numpy())


def test_every_parameter_and_number_is_an_operand(make_params, give_gradients, record):
    params = make_params()
    give_gradients(params)
    optimizer = SGD(params, lr=0.1, momentum=0.9)
    seen = record(optimizer.step)
    assigned = [value for value, op, _ in seen if type(op).__name__ == "Assign"]
    assert {id(param) for param in params} <= {id(value) for value in assigned}
    made = {id(value) for value, _, _ in seen}
    given = {id(operand) for _, _, inputs in seen for operand in inputs} - made
    arrays = [operand for _, _, inputs in seen for operand in inputs if id(operand) in given]
    values = {operand.item() for operand in arrays if not operand.shape}
    assert {np.float32(0.1).item(), np.float32(0.9).item()} <= values
    hidden = [value for _, op, _ in seen for value in vars(op).values()]
    assert not any(isinstance(value, float | np.ndarray | ndl.Tensor) for value in hidden)


def test_a_recording_of_lazy_values(make_params, give_gradients, record):
    params = make_params()
    others = twins(params)
    give_gradients(params)
    give_gradients(others)
    Adam(others, lr=0.1).step()
    with ndl.lazy_mode():
        record(Adam(params, lr=0.1).step)
    for param, other in zip(params, others, strict=True):
        np.testing.assert_array_equal(param.numpy(), other.numpy())


def test_a_function_without_an_op_says_so(make_params, train, record):
    class Cubic(Optimizer):
        def update(self, theta, g, state, settings, step):
            return theta - np.cbrt(g), state

    with pytest.raises(TypeError, match=r"np\.cbrt has no op"):
        record(lambda: train(Cubic(make_params()), [0]))
