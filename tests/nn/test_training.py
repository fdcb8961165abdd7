"""Whole training runs: reproducible to the bit, in float32 throughout, without leaks."""

import gc

import numpy as np
import pytest

import needle as ndl
from needle import nn


def residual_network(features: int = 8, hidden: int = 6, classes: int = 3) -> nn.Sequential:
    block = nn.Sequential(
        nn.Linear(hidden, 4),
        nn.BatchNorm1d(4),
        nn.ReLU(),
        nn.Dropout(0.2),
        nn.Linear(4, hidden),
        nn.BatchNorm1d(hidden),
    )
    return nn.Sequential(
        nn.Linear(features, hidden),
        nn.GELU(),
        nn.Sequential(nn.Residual(block), nn.ReLU()),
        nn.LayerNorm(hidden),
        nn.Linear(hidden, classes),
    )


def data(count: int = 60) -> tuple[np.ndarray, np.ndarray]:
    draw = np.random.RandomState(0)
    x = draw.randn(count, 8).astype("float32")
    return x, (x[:, 0] > 0).astype("int64") + (x[:, 1] > 0)


def train(seed: int, steps: int = 30) -> tuple[list[float], dict[str, np.ndarray]]:
    ndl.manual_seed(seed)
    model, loss_function = residual_network(), nn.CrossEntropyLoss(label_smoothing=0.05)
    optimizer = ndl.optim.SGD(model.parameters(), lr=0.1, momentum=0.9)
    x, y = data()
    losses = []
    for step in range(steps):
        rows = slice(step % 3 * 20, step % 3 * 20 + 20)
        optimizer.zero_grad()
        loss = loss_function(model(ndl.Tensor(x[rows])), ndl.Tensor(y[rows]))
        loss.backward(create_graph=False)
        optimizer.step()
        losses.append(loss.item())
    return losses, {name: tensor.numpy() for name, tensor in model.state_dict().items()}


def test_a_seeded_run_reproduces_to_the_bit() -> None:
    (first, first_state), (second, second_state) = train(1), train(1)
    assert first == second
    for name, array in first_state.items():
        np.testing.assert_array_equal(array, second_state[name])
    assert train(2)[0] != first


def test_it_learns() -> None:
    losses, _ = train(0, steps=90)
    assert np.mean(losses[-3:]) < 0.6 * np.mean(losses[:3])


def test_a_step_stays_float32() -> None:
    model = residual_network()
    x, y = data()
    with ndl.lazy_mode():  # in which a graph keeps every step, to be looked at
        loss = nn.SoftmaxLoss()(model(ndl.Tensor(x)), ndl.Tensor(y))
        loss.backward()
        ends = [loss, *[parameter.grad for parameter in model.parameters()]]
        nodes = [node for node in ndl.autograd.find_topo_sort(ends) if isinstance(node, ndl.Tensor)]
        widened = {type(node.op).__name__ for node in nodes if node.dtype == np.float64}
    assert len(nodes) > 50
    assert widened == set()
    loss = nn.SoftmaxLoss()(model(ndl.Tensor(x)), ndl.Tensor(y))
    loss.backward(create_graph=False)
    assert {parameter.grad.dtype for parameter in model.parameters()} == {np.dtype("float32")}
    assert {tensor.dtype for tensor in model.state_dict().values()} == {np.dtype("float32")}


def test_live_tensors_do_not_grow() -> None:
    model = residual_network()
    optimizer = ndl.optim.SGD(model.parameters(), lr=0.01, momentum=0.9)
    x, y = (ndl.Tensor(array, requires_grad=False) for array in data())
    counts = []
    for step in range(200):
        optimizer.zero_grad()
        nn.SoftmaxLoss()(model(x), y).backward(create_graph=False)
        optimizer.step()
        if step % 66 == 2:
            gc.collect()
            counts.append(ndl.autograd.TENSOR_COUNTER)
    assert len(counts) == 3
    assert len(set(counts)) == 1


def test_lazy_and_eager_training_agree() -> None:
    x, y = data(20)
    results = []
    for lazy in (False, True):
        ndl.manual_seed(0)
        model = residual_network()
        ndl.manual_seed(1)  # for the dropout
        if lazy:
            with ndl.lazy_mode():
                loss = nn.SoftmaxLoss()(model(ndl.Tensor(x)), ndl.Tensor(y))
        else:
            loss = nn.SoftmaxLoss()(model(ndl.Tensor(x)), ndl.Tensor(y))
        loss.backward()
        state = {name: tensor.numpy() for name, tensor in model.named_buffers()}
        grads = {name: tensor.grad.numpy() for name, tensor in model.named_parameters()}
        results.append({"loss": loss.numpy(), **state, **grads})
    for name, array in results[0].items():
        np.testing.assert_array_equal(array, results[1][name], err_msg=name)


def test_the_residual_network_is_torchs(same_module) -> None:
    torch = pytest.importorskip("torch")

    class Residual(torch.nn.Module):
        def __init__(self, fn) -> None:
            super().__init__()
            self.fn = fn

        def forward(self, x):
            return self.fn(x) + x

    def network(library, residual):
        where = {"dtype": torch.float64 if library is torch.nn else "float64"}
        block = library.Sequential(
            library.Linear(6, 4, **where),
            library.BatchNorm1d(4, **where),
            library.ReLU(),
            library.Linear(4, 6, **where),
            library.BatchNorm1d(6, **where),
        )
        return library.Sequential(
            library.Linear(8, 6, **where),
            library.ReLU(),
            residual(block),
            library.ReLU(),
            library.Linear(6, 3, **where),
        )

    x = np.random.RandomState(0).randn(12, 8)
    same_module(network(nn, nn.Residual), network(torch.nn, Residual), x)
