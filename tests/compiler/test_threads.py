"""Exceptions, Ctrl-C and threads in compiled functions."""

import sys
import threading

import numpy as np
import pytest

import needle as ndl
from needle import nn
from tests.interruption import interrupted

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
