"""A step that an observer watches: ops and assignments that can be run again."""

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


def replay(seen):
    """Run recorded ops in order on the arrays of their operands."""
    for value, op, inputs in seen:
        array = op.compute(*[operand.cached_data for operand in inputs])
        if value.cached_data is not array:
            value.cached_data[...] = array


def twins(params):
    return [ndl.Tensor(param.numpy()) for param in params]


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_a_recorded_step_runs_again_with_another_learning_rate(
    any_optimizer, make_params, give_gradients, record, dtype
):
    params = make_params(dtype=dtype)
    others = twins(params)
    optimizer, eager = any_optimizer(params), any_optimizer(others)
    gradients = give_gradients(params)
    give_gradients(others)
    seen = record(optimizer.step)
    eager.step()
    for step in range(1, 4):
        optimizer.lr = eager.lr = 0.05 * step
        give_gradients(others, seed=step)
        for array, other in zip(gradients, others, strict=True):
            array[...] = other.grad.numpy()
        optimizer.advance()
        replay(seen)
        eager.step()
    for param, other in zip(params, others, strict=True):
        np.testing.assert_array_equal(param.numpy(), other.numpy())
        assert param.dtype == dtype
        assert param.requires_grad
        assert param.is_leaf()
    for entry, other in zip(optimizer.state.values(), eager.state.values(), strict=True):
        assert entry["step"] == other["step"]
        for name in entry:
            np.testing.assert_array_equal(entry[name], other[name])


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


def test_a_recording_that_does_not_fit_any_more(make_params, train, record):
    optimizer = Adam(make_params())
    with pytest.raises(RuntimeError, match="Adam has no recorded step that fits"):
        optimizer.advance()

    def record_step():
        record(lambda: train(optimizer, [0]))
        optimizer.advance()

    def refused():
        with pytest.raises(RuntimeError, match="no recorded step"):
            optimizer.advance()

    record_step()
    optimizer.weight_decay = 0.1
    refused()
    record_step()
    optimizer.load_state_dict(optimizer.state_dict())
    refused()
    record_step()
    optimizer.params[0].grad = None
    optimizer.step()
    refused()


def test_a_function_without_an_op_says_so(make_params, train, record):
    class Cubic(Optimizer):
        def update(self, theta, g, state, settings, step):
            return theta - np.cbrt(g), state

    with pytest.raises(TypeError, match=r"np\.cbrt has no op"):
        record(lambda: train(Cubic(make_params()), [0]))


def test_a_recording_from_before_another_structure_does_not_fit(make_params, train, record):
    optimizer = Adam(make_params())
    record(lambda: train(optimizer, [0]))
    for weight_decay in (0.1, 0.0):
        optimizer.weight_decay = weight_decay
        train(optimizer, [1])
    with pytest.raises(RuntimeError, match="no recorded step"):
        optimizer.advance()
