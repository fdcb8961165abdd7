"""Gradients that compiled functions leave, read and return."""

import numpy as np
import pytest

import needle as ndl
from needle import nn

A = np.arange(6.0).reshape(2, 3) + 1


def tensor(array=A, requires_grad=False):
    return ndl.Tensor(array, requires_grad=requires_grad)


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


def test_gradients_that_are_replaced_unused_are_a_warning(executor):
    weight, other = ndl.Tensor(A), ndl.Tensor(A)
    optimizer = ndl.optim.SGD([weight], lr=0.1)

    @ndl.compile(executor=executor)
    def gradients(x):
        (weight * other * x).sum().backward()

    @ndl.compile(executor=executor)
    def read(x):
        gradients(x)
        return weight.grad

    @ndl.compile(executor=executor)
    def accumulate(x):
        (weight * x).sum().backward(accumulate=True)

    @ndl.compile(executor=executor)
    def reset(x):
        weight.grad = None
        (weight * x).sum().backward()

    for _ in range(2):
        reset(tensor())
    optimizer.reset_grad()
    for use in (optimizer.step, optimizer.reset_grad, lambda: other.grad):
        gradients(tensor())
        use()
    for step in (read, read, accumulate, accumulate):  # warns of nothing
        step(tensor())
    gradients_before = weight.grad.numpy()
    gradients(tensor())
    with pytest.warns(ndl.GradientReplacedWarning, match="accumulate") as caught:
        gradients(tensor())
    assert len(caught) == 1
    assert caught[0].filename == __file__
    assert not np.array_equal(weight.grad.numpy(), gradients_before)


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
