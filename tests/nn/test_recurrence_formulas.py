"""Recurrent layers and cells by the course's formulas, and their attributes."""

import numpy as np
import pytest

import needle as ndl
from needle import Tensor, nn
from tests.nn.recurrent import KINDS


def sigmoid(a):
    return 1 / (1 + np.exp(-a))


def arrays_of(cell):
    return [each.numpy() for each in (cell.W_ih, cell.W_hh, cell.bias_ih, cell.bias_hh)]


@pytest.mark.parametrize("nonlinearity", ["tanh", "relu"])
def test_rnn_of_the_course(nonlinearity) -> None:
    model = nn.RNN(3, 4, 2, True, nonlinearity, dtype="float64")
    function = np.tanh if nonlinearity == "tanh" else lambda a: np.maximum(a, 0)
    x, h0 = np.random.randn(5, 2, 3), np.random.randn(2, 2, 4)
    outputs, h = model(Tensor(x), Tensor(h0))
    rows = x
    for layer, cell in enumerate(model.rnn_cells):
        assert isinstance(cell, nn.RNNCell)
        w_ih, w_hh, b_ih, b_hh = arrays_of(cell)
        state, found = h0[layer], []
        for row in rows:
            state = function(row @ w_ih + b_ih + state @ w_hh + b_hh)
            found.append(state)
        rows = np.stack(found)
        np.testing.assert_allclose(h.numpy()[layer], state, rtol=1e-12)
    np.testing.assert_allclose(outputs.numpy(), rows, rtol=1e-12)


def test_lstm_of_the_course() -> None:
    model = nn.LSTM(3, 4, 2, dtype="float64")
    x, h0, c0 = np.random.randn(5, 2, 3), np.random.randn(2, 2, 4), np.random.randn(2, 2, 4)
    outputs, (h, c) = model(Tensor(x), (Tensor(h0), Tensor(c0)))
    rows = x
    for layer, cell in enumerate(model.lstm_cells):
        assert isinstance(cell, nn.LSTMCell)
        w_ih, w_hh, b_ih, b_hh = arrays_of(cell)
        state, memory, found = h0[layer], c0[layer], []
        for row in rows:
            i, f, g, o = np.split(row @ w_ih + b_ih + state @ w_hh + b_hh, 4, axis=1)
            memory = sigmoid(f) * memory + sigmoid(i) * np.tanh(g)
            state = sigmoid(o) * np.tanh(memory)
            found.append(state)
        rows = np.stack(found)
        np.testing.assert_allclose(h.numpy()[layer], state, rtol=1e-12)
        np.testing.assert_allclose(c.numpy()[layer], memory, rtol=1e-12)
    np.testing.assert_allclose(outputs.numpy(), rows, rtol=1e-12)


@pytest.mark.parametrize(("kind", "gates"), [("RNNCell", 1), ("LSTMCell", 4), ("GRUCell", 3)])
def test_parameters_are_drawn_in_order(kind, gates) -> None:
    np.random.seed(3)
    cell = getattr(nn, kind)(3, 4)
    np.random.seed(3)
    shapes = [(3, 4 * gates), (4, 4 * gates), (4 * gates,), (4 * gates,)]
    names = ["W_ih", "W_hh", "bias_ih", "bias_hh"]
    assert [name for name, _ in cell.named_parameters()] == names
    for parameter, shape in zip(cell.parameters(), shapes, strict=True):
        expected = ndl.init.rand(*shape, low=-0.5, high=0.5).numpy()
        np.testing.assert_array_equal(parameter.numpy(), expected)


@pytest.mark.parametrize("kind", KINDS)
def test_a_tensor_takes_the_place_of_a_weight(kind) -> None:
    model = getattr(nn, kind)(3, 4)
    x = Tensor(np.random.randn(5, 2, 3), requires_grad=False)
    expected = getattr(nn, kind)(3, 4, dtype="float64")
    for name in ("W_ih", "W_hh", "bias_ih", "bias_hh"):  # float64 where it was float32
        given = Tensor(np.random.randn(*getattr(model.cells[0], name).shape))
        setattr(model.cells[0], name, given)
        assert getattr(model.cells[0], name) is given
        setattr(expected.cells[0], name, nn.Parameter(given.detach()))
    for each in (model, expected):
        (each(x)[0] ** 2).sum().backward()
    assert len(model.parameters()) == 4  # which optimizers train
    for mine, other in zip(model.parameters(), expected.parameters(), strict=True):
        np.testing.assert_allclose(mine.grad.numpy(), other.grad.numpy(), rtol=1e-10)


@pytest.mark.parametrize("requires_grad", [True, False])
@pytest.mark.parametrize("kind", KINDS)
def test_a_tensor_that_fits_gives_a_weight_its_values(kind, requires_grad) -> None:
    model = getattr(nn, kind)(3, 4)
    optimizer, cell = ndl.optim.SGD(model.parameters(), lr=0.1), model.cells[0]
    former = cell.W_ih
    cell.W_ih = Tensor(np.ones(former.shape, "float32"), requires_grad=requires_grad)
    assert cell.W_ih is former
    (model(ndl.init.ones(5, 2, 3))[0] ** 2).sum().backward()
    assert cell.W_ih.grad is not None
    optimizer.step()
    assert (cell.W_ih.numpy() != 1).any()
    with pytest.raises(TypeError, match=r"cannot assign a Tensor as the parameter 'W_hh'.*shape"):
        cell.W_hh = ndl.init.ones(7, 7)
    assert len(model.parameters()) == 4


def test_a_tensor_with_a_graph_takes_the_place_of_a_weight() -> None:
    cell, factor = nn.RNNCell(3, 4), Tensor([2.0], dtype="float32")
    cell.W_ih = ndl.init.ones(3, 4) * factor
    cell(ndl.init.ones(2, 3)).sum().backward()
    assert factor.grad is not None
    assert [name for name, _ in cell.named_parameters()] == ["W_hh", "bias_ih", "bias_hh"]
    cell.W_ih = nn.Parameter(ndl.init.zeros(3, 4))
    assert len(cell.parameters()) == 4
