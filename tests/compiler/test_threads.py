"""Exceptions, Ctrl-C and threads in compiled functions."""

import sys
import threading

import numpy as np
import pytest

import needle as ndl
from needle import nn
from tests.interruption import interrupted, is_needles

A = np.arange(6.0).reshape(2, 3) + 1


def tensor(array=A, requires_grad=False):
    return ndl.Tensor(array, requires_grad=requires_grad)


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


@pytest.mark.parametrize("scheduled", ["first", "last"])
def test_ctrl_c_leaves_everything_before_or_after_the_step(executor, scheduled):
    def make():
        np.random.seed(0)
        model = nn.Linear(3, 2).double()
        optimizer = ndl.optim.Adam(model.parameters(), lr=0.1)
        schedule = ndl.optim.ExponentialLR(optimizer, gamma=0.9)

        def step(x):
            loss = (model(x) ** 2).sum()
            if scheduled == "first":
                schedule.step()
            optimizer.reset_grad()
            loss.backward(create_graph=False)
            optimizer.step()
            if scheduled == "last":
                schedule.step()
            return loss

        def state():
            steps = [each["step"] for each in optimizer.state.values()]
            return [model.weight.numpy(), *steps, optimizer.lr, schedule.last_epoch]

        return step, state

    x = tensor(A)
    eager, state_of_eager = make()
    eager(x)
    states = [state_of_eager()]
    function, state_of_compiled = make()
    step = ndl.compile(function, executor=executor)
    step(x)
    at, number = 0, 0
    while True:
        at += 3
        was = interrupted(lambda: step(x), at, is_inside=is_needles)
        while len(states) < number + 2:
            eager(x)
            states.append(state_of_eager())
        fitting = [
            all(np.allclose(*pair, 1e-9, 1e-12) for pair in zip(now, state, strict=True))
            for now in [state_of_compiled()]
            for state in states[number:]
        ]
        assert any(fitting), f"at bytecode {at}"
        number += fitting[-1]
        if not was:
            break
    assert step.recordings == 1
    assert 9 < number < at // 3  # both were found


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
