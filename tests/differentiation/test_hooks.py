"""Hooks, retained gradients and stopped ones, where functions are differentiated."""

import numpy as np
import pytest

import needle as ndl
from needle import Tensor


def test_hook_on_an_inner_value_sees_and_replaces_the_adjoint(mode):
    seen = []

    def function(x):
        middle = x * x
        middle.register_hook(lambda adjoint: seen.append(adjoint.numpy()))
        middle.register_hook(lambda adjoint: ndl.clip(adjoint, -1, 1))
        middle.register_hook(lambda adjoint: seen.append(adjoint.numpy()))
        return (middle * np.array([5.0, 0.5])).sum()

    x = Tensor([2.0, 3.0])
    np.testing.assert_array_equal(ndl.grad(function)(x).numpy(), [4, 3])
    np.testing.assert_array_equal(seen, [[5, 0.5], [1, 0.5]])
    assert x.grad is None


def test_hooks_of_arguments_are_for_backward():
    x, seen = Tensor(3.0), []
    x.register_hook(lambda adjoint: seen.append(adjoint.item()))
    assert ndl.grad(lambda x: x * x)(x).item() == 6
    assert seen == []
    (x * x).backward()
    assert seen == [6]


def test_handle_removes_its_hook_alone(mode):
    x = Tensor(2.0)
    handles = [x.register_hook(lambda adjoint, k=k: adjoint * k) for k in (2, 3, 5)]
    results = []
    for handle in [None, *handles]:
        if handle is not None:
            handle.remove()
        (x * 1).backward()
        results.append(x.grad.item())
    assert results == [30, 15, 5, 1]


def test_hook_lasts_as_long_as_its_block(mode):
    x = Tensor(2.0)
    with x.register_hook(lambda adjoint: adjoint * 10):
        (x * 3).backward()
        assert x.grad.item() == 30
    (x * 3).backward()
    assert x.grad.item() == 3


def test_hook_may_remove_itself_and_add_others():
    x, seen = Tensor(2.0), []

    def once(adjoint):
        seen.append(adjoint.item())
        handle.remove()
        x.register_hook(lambda adjoint: adjoint * 2)

    handle = x.register_hook(once)
    (x * 3).backward()
    assert x.grad.item() == 3  # a hook that is added meanwhile waits for the next time
    (x * 3).backward()
    assert (seen, x.grad.item()) == ([3], 6)


def test_replaced_adjoint_is_part_of_the_graph(mode):
    """d/dx of 2x·w, with the adjoint of x² multiplied by w on its way."""
    x, w = Tensor(3.0), Tensor(5.0)
    middle = x * x
    middle.register_hook(lambda adjoint: adjoint * w)
    middle.backward()
    assert x.grad.item() == 30
    x.grad.backward()
    assert w.grad.item() == 6


def test_hook_runs_in_a_recomputed_checkpoint():
    seen = []

    def function(x):
        middle = ndl.exp(x)
        middle.register_hook(lambda adjoint: seen.append(adjoint.item()))
        return middle * 7

    ndl.checkpoint(function, Tensor(0.0)).backward()
    assert seen == [7]


def test_retained_gradient_of_an_inner_value(mode):
    kept = []

    def function(x):
        middle = x * 3
        middle.retain_grad()
        kept.append(middle)
        return middle * middle

    assert ndl.grad(function)(Tensor(2.0)).item() == 36
    assert kept[0].grad.item() == 12


@pytest.mark.parametrize(
    ("replacement", "message"),
    [
        (lambda adjoint: adjoint.sum(), r"Tensor of shape \(\) for an adjoint of shape \(2,\)"),
        (lambda adjoint: adjoint.numpy(), r"ndarray of shape \(2,\)"),
        (lambda adjoint: 3.0, r"float of shape \(\) .*return a tensor of that shape, or None"),
    ],
)
def test_what_a_hook_returns_is_checked(replacement, message, mode):
    x = Tensor([1.0, 2.0])
    x.register_hook(replacement)
    with pytest.raises(ValueError, match=message):
        (x * x).sum().backward()


def test_stop_gradient_in_a_loss(mode):
    """The target of a bootstrapped loss stays where it is."""
    w = Tensor(3.0)

    def loss(w):
        return (w * 2 - ndl.stop_gradient(w * 5)) ** 2

    assert ndl.grad(loss)(w).item() == 2 * (6 - 15) * 2
    loss(w).backward()
    assert w.grad.item() == -36
    assert ndl.hessian(loss)(w).item() == 8
    assert not ndl.stop_gradient(w).requires_grad
