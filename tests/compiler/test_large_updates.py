"""Updates of large parameters, which the numpy executor makes in pieces."""

import numpy as np
import pytest

import needle as ndl
from needle import nn


@pytest.mark.parametrize("name", ["SGD", "Adam", "AdamW", "RMSprop", "Lion", "Adagrad"])
def test_pieces_of_several_large_parameters_do_not_share_memory(name):
    """Buffers of which one ends before another begins share memory in the plan, but not in
    pieces, which mix the calls."""

    def trained(transform):
        ndl.manual_seed(0)
        model = nn.LSTM(128, 128)
        optimizer = getattr(ndl.optim, name)(model.parameters(), lr=1e-2)
        x = ndl.init.randn(65, 2, 128)  # one op, which rounds as the eager one does

        @transform
        def step():
            loss = ((model(x)[0] - x) ** 2).mean()
            optimizer.reset_grad()
            loss.backward(create_graph=False)
            optimizer.step()
            return loss

        for _ in range(3):
            step()
        return [parameter.numpy() for parameter in model.parameters()]

    compiled = trained(ndl.compile(executor="numpy"))
    for expected, found in zip(trained(lambda step: step), compiled, strict=True):
        np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-6)


def test_pieces_are_cut_once():
    weight = ndl.Tensor(np.ones((400, 100), np.float32))
    optimizer = ndl.optim.SGD([weight], lr=0.5, momentum=0.5)

    @ndl.compile(executor="numpy")
    def step(x):
        optimizer.reset_grad()
        loss = (x @ weight).sum()
        loss.backward(create_graph=False)
        optimizer.step()
        return loss

    for _ in range(2):
        step(ndl.Tensor(np.ones((3, 400), np.float32), requires_grad=False))
    np.testing.assert_allclose(weight.numpy(), 1 - 0.5 * 1.5 - 0.5 * (0.5 * 1.5 + 1.5))
    before, _, during = step.source().partition("def step")
    assert "in_pieces" in before
    assert "in_pieces" not in during


@pytest.mark.parametrize("momentum", [0.0, 0.5])
def test_products_are_added_to_parameters_of_any_memory_order(momentum, agree):
    def build():
        weight = ndl.Tensor(0.0)
        weight.cached_data = np.asfortranarray(np.arange(12.0).reshape(4, 3))
        optimizer = ndl.optim.SGD([weight], lr=0.25, momentum=momentum, weight_decay=0.5)

        def step(x):
            optimizer.reset_grad()
            loss = ((x @ weight) ** 2).sum()
            loss.backward(create_graph=False)
            optimizer.step()
            return loss

        return step, [weight]

    agree(build, [(np.eye(2, 4) + number,) for number in range(3)])
