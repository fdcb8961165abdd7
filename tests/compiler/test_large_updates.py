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
        x = ndl.init.randn(32, 4, 128)

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
