"""leaves_early: leaves are visited as soon as their adjoints are complete, for functions that
exchange gradients while `backward` goes on."""

from functools import partial

import numpy as np
import pytest

import needle as ndl
from needle import Tensor
from needle.autograd import reverse


@pytest.fixture
def visited(monkeypatch):
    """What `backward` visits: leaves with their adjoints, and ops by name, in order."""
    events = []

    def note(name, adjoint):
        events.append(name)

    def watch(order, leaves):
        reverse.leaves_early(order)
        for node in order:
            if node.op is not None:
                node.register_hook(partial(note, type(node.op).__name__))
        for leaf, adjoint in leaves:
            events.append(leaf)
            yield leaf, adjoint

    monkeypatch.setattr(reverse, "transforms", [watch])
    return events


def test_leaves_come_after_their_last_adjoint(visited):
    first, second, x = Tensor([1.0, 2.0]), Tensor([3.0, 4.0]), Tensor([5.0, 6.0])
    hidden = ndl.exp(first * x)
    (hidden * second + ndl.sin(second)).sum().backward()
    names = [event if isinstance(event, str) else "leaf" for event in visited]
    leaves = [event for event in visited if not isinstance(event, str)]
    assert leaves[0] is second
    assert {id(leaf) for leaf in leaves[1:]} == {id(first), id(x)}
    assert names.index("leaf") < names.index("Exp")
    expected = np.exp([5.0, 12.0]) + np.cos([3.0, 4.0])
    np.testing.assert_allclose(second.grad.numpy(), expected, rtol=1e-6)


@pytest.mark.parametrize("seed", range(5))
def test_gradients_are_the_same(seed, monkeypatch):
    """Of random graphs, in which leaves are used any number of times."""
    rng = np.random.default_rng(seed)
    leaves = [Tensor(rng.normal(size=3)) for _ in range(5)]

    def gradients():
        draw = np.random.default_rng(seed)
        values = list(leaves)
        for _ in range(20):
            a, b = (values[i] for i in draw.integers(0, len(values), 2))
            values.append(ndl.tanh(a * b + a))
        for leaf in leaves:
            leaf.grad = None
        sum(value.sum() for value in values[-4:]).backward()
        return [None if leaf.grad is None else leaf.grad.numpy() for leaf in leaves]

    def early(order, walk):
        reverse.leaves_early(order)
        return walk

    expected = gradients()
    monkeypatch.setattr(reverse, "transforms", [early])
    for one, other in zip(gradients(), expected, strict=True):
        assert (one is None) == (other is None)
        if one is not None:
            np.testing.assert_allclose(one, other, rtol=1e-12)


def test_a_leaf_is_its_own_output(visited):
    x = Tensor([1.0, 2.0])
    x.backward(ndl.ones(2))
    assert len(visited) == 1
    assert visited[0] is x
    assert x.grad.numpy().tolist() == [1.0, 1.0]
