"""Recurrent layers in compiled steps, and sums of products as one product."""

import numpy as np
import pytest

import needle as ndl
from needle import nn
from needle.compiler.passes import optimised
from tests.compiler.comparison import close


def calls_of(compiled):
    """The functions of a compiled function's program."""
    program = optimised(compiled._last.recorded_program)[0]
    return [getattr(node.function, "__name__", "") for node in program.nodes]


LAYERS = {
    "RNN": lambda: nn.RNN(3, 4),
    "RNN of relu": lambda: nn.RNN(3, 4, nonlinearity="relu", bias=False),
    "LSTM": lambda: nn.LSTM(3, 4),
    "LSTM in two directions": lambda: nn.LSTM(3, 4, 2, bidirectional=True),
    "LSTM with a projection": lambda: nn.LSTM(3, 4, proj_size=2),
    "GRU": lambda: nn.GRU(3, 4),
    "GRU without biases": lambda: nn.GRU(3, 4, bias=False, bidirectional=True),
}


@pytest.mark.parametrize("name", LAYERS)
def test_recurrent_layers_are_opened_and_learn_as_eager_ones(name, executor):
    x = ndl.Tensor(np.random.RandomState(1).randn(6, 2, 3).astype("float32"), requires_grad=False)
    models = []
    for compiles in (False, True):
        np.random.seed(0)
        model = LAYERS[name]()
        optimizer = ndl.optim.SGD(model.parameters(), lr=0.1)

        def step(x, model=model, optimizer=optimizer):
            optimizer.reset_grad()
            loss = (model(x)[0] ** 2).sum()
            loss.backward(create_graph=False)
            optimizer.step()
            return loss

        run = ndl.compile(step, executor=executor) if compiles else step
        losses = [run(x).item() for _ in range(3)]
        models.append((losses, [each.numpy() for each in model.parameters()]))
    close(models[1][1], models[0][1])
    np.testing.assert_allclose(models[1][0], models[0][0], 1e-5)
    assert not any(name.endswith("Recurrence") for name in calls_of(run))


@pytest.mark.parametrize(("steps", "lengths"), [(65, None), (40, [40, 2])])
def test_long_sequences_and_lengths_stay_calls(steps, lengths):
    layer, x = nn.LSTM(3, 4), ndl.init.randn(steps, 2, 3)
    compiled = ndl.compile(lambda x: layer(x, lengths=lengths)[0], executor="numpy")
    with ndl.no_grad():
        close(compiled(x), layer(x, lengths=lengths)[0])
    assert "LSTMRecurrence" in calls_of(compiled)


def joined(count, transposed):
    """How many products a sum of `count` products has when it is compiled, and its error."""
    rng = np.random.RandomState(0)
    pairs = [(rng.randn(40, 3).astype("float32"), rng.randn(3, 50).astype("float32"))] * count
    pairs = [(a + i, b - i) for i, (a, b) in enumerate(pairs)]
    if transposed:
        pairs = [(a.T.copy(), b) for a, b in pairs]
    extra = ndl.Tensor(rng.randn(40, 50).astype("float32"))

    def total(pairs, extra):
        total = extra
        for a, b in pairs:
            total = total + (a.T if transposed else a) @ b
        return total

    operands = [tuple(map(ndl.Tensor, pair)) for pair in pairs], extra
    compiled = ndl.compile(total, executor="numpy")
    with ndl.no_grad():
        close(compiled(*operands), total(*operands))
    return calls_of(compiled).count("matmul")


@pytest.mark.parametrize("transposed", [False, True])
def test_sums_of_products_are_one_product(transposed):
    assert joined(8, transposed) == 1
    assert joined(3, transposed) == 3


def test_products_that_serve_something_else_are_made_alone():
    x = [ndl.Tensor(np.random.RandomState(i).randn(40, 3).astype("float32")) for i in range(6)]

    def total(*x):
        products = [each @ (each + 1).T for each in x]
        return sum(products[1:], products[0]), products[2]

    compiled = ndl.compile(total, executor="numpy")
    with ndl.no_grad():
        close(compiled(*x), total(*x))
    assert calls_of(compiled).count("matmul") == 2
