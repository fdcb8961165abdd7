"""Hooks on values: called with the whole adjoint, and able to replace it."""

import numpy as np

from needle import Tensor


def test_hook_gets_the_sum_of_all_contributions(mode):
    x, seen = Tensor([2.0]), []
    x.register_hook(lambda adjoint: seen.append(adjoint.item()))
    (x * x + x * 3).backward()
    assert seen == [7]
    assert x.grad.item() == 7


def test_hook_of_a_result_replaces_what_flows_on():
    x = Tensor([1.0, 2.0])
    middle = x * 2
    middle.register_hook(lambda adjoint: adjoint * 10)
    middle.sum().backward()
    np.testing.assert_array_equal(x.grad.numpy(), [20, 20])


def test_hooks_are_called_in_order_until_they_are_removed():
    x, seen = Tensor([1.0]), []
    first = x.register_hook(lambda adjoint: adjoint + 1)
    second = x.register_hook(lambda adjoint: seen.append(adjoint.item()))
    (x * 1).backward()
    assert (seen, x.grad.item()) == ([2], 2)
    first.remove()
    (x * 1).backward()
    assert (seen, x.grad.item()) == ([2, 1], 1)
    second.remove()
    second.remove()
    (x * 1).backward()
    assert seen == [2, 1]


def test_retained_gradient_is_what_the_hooks_made_of_it():
    x = Tensor([3.0])
    middle = x * x
    middle.register_hook(lambda adjoint: adjoint * 2)
    middle.retain_grad()
    middle.backward()
    assert (middle.grad.item(), x.grad.item()) == (2, 12)


def test_hook_sees_a_gradient_that_can_be_differentiated():
    x = Tensor([3.0])
    x.register_hook(lambda adjoint: adjoint * x)
    (x * x).backward()  # hooked: 2x·x
    assert x.grad.item() == 18
    x.grad.sum().backward()  # 4x, and hooked again: ·x
    assert x.grad.item() == 36
