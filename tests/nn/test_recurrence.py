"""Recurrent layers and cells against PyTorch's and the course's formulas; lengths; bad input."""

import copy
import itertools

import numpy as np
import pytest

import needle as ndl
from needle import Tensor, nn
from needle.nn.utils.rnn import pack_padded_sequence
from needle.testing import gradcheck
from tests.nn.recurrent import (
    KINDS,
    as_state,
    as_tuple,
    gradients_of,
    objective,
    pair,
    same,
    states_of,
)

OPTIONS = [
    {"num_layers": layers, "bidirectional": both, "bias": bias, "batch_first": first}
    for layers, both, bias, first in itertools.product(
        (1, 2), (False, True), (True, False), (True,)
    )
]
LAYERS = [(kind, options) for kind in KINDS for options in OPTIONS] + [
    ("RNN", {"nonlinearity": "relu", "bidirectional": True}),
    ("LSTM", {"proj_size": 2}),
    ("LSTM", {"proj_size": 2, "num_layers": 2, "bidirectional": True}),
    ("GRU", {"num_layers": 3}),
]


# --- PyTorch


@pytest.mark.parametrize(("kind", "options"), LAYERS)
def test_layer_is_torchs(kind, options) -> None:
    torch = pytest.importorskip("torch")
    ours, theirs = pair(kind, **options)
    shape = (2, 5, 3) if options.get("batch_first") else (5, 2, 3)
    arrays = [np.random.randn(*shape), *states_of(ours)]
    mine = [Tensor(array) for array in arrays]
    other = [torch.tensor(array, requires_grad=True) for array in arrays]
    y, state = ours(mine[0], as_state(mine[1:]))
    expected, expected_state = theirs(other[0], as_state(other[1:]))
    results, wanted = (y, *as_tuple(state)), (expected, *as_tuple(expected_state))
    for result, each in zip(results, wanted, strict=True):
        assert result.shape == each.shape
        same(result, each)
    objective(results).backward(create_graph=False)
    objective(wanted).backward()
    for tensor, each in zip(mine, other, strict=True):
        same(tensor.grad, each.grad)
    pairs = zip(ours.parameters(), gradients_of(theirs, ours), strict=True)
    for parameter, gradient in pairs:
        np.testing.assert_allclose(parameter.grad.numpy(), gradient, 1e-10, 1e-10)


@pytest.mark.parametrize("kind", KINDS)
def test_weights_of_pytorch_give_the_same_outputs_in_float32(kind) -> None:
    torch = pytest.importorskip("torch")
    ours, theirs = pair(kind, "float32", num_layers=2, bidirectional=True)
    x = np.random.randn(7, 2, 3).astype("float32")
    y, _ = ours(Tensor(x))
    assert y.dtype == np.float32
    same(y, theirs(torch.tensor(x))[0], 1e-5)


@pytest.mark.parametrize("kind", KINDS)
def test_second_order_is_torchs(kind) -> None:
    torch = pytest.importorskip("torch")
    ours, theirs = pair(kind)
    array = np.random.randn(4, 2, 3)
    x, other = Tensor(array), torch.tensor(array, requires_grad=True)
    (ours(x)[0] ** 3).sum().backward()
    first = [x.grad, ours.cells[0].W_hh.grad]
    sum((g * g).sum() for g in first).backward()
    wanted = other, theirs.weight_hh_l0
    first = torch.autograd.grad((theirs(other)[0] ** 3).sum(), wanted, create_graph=True)
    sum((g * g).sum() for g in first).backward()
    same(x.grad, other.grad, 1e-8)
    same(ours.cells[0].W_hh.grad, theirs.weight_hh_l0.grad.T, 1e-8)


@pytest.mark.parametrize(("kind", "states"), [("RNNCell", 1), ("LSTMCell", 2), ("GRUCell", 1)])
@pytest.mark.parametrize("shape", [(2, 3), (3,)])
def test_cell_is_torchs(kind, states, shape) -> None:
    torch = pytest.importorskip("torch")
    for bias in (True, False):
        ours = getattr(nn, kind)(3, 4, bias, dtype="float64")
        theirs = getattr(torch.nn, kind)(3, 4, bias, dtype=torch.float64)
        theirs.load_state_dict(ndl.interop.to_torch_state_dict(ours))
        arrays = [np.random.randn(*shape)]
        arrays += [np.random.randn(*shape[:-1], 4) for _ in range(states)]
        x, *state = [Tensor(array) for array in arrays]
        other, *expected = [torch.tensor(array) for array in arrays]
        for mine, given in ((None, None), (as_state(state), as_state(expected))):
            results, wanted = as_tuple(ours(x, mine)), as_tuple(theirs(other, given))
            for result, each in zip(results, wanted, strict=True):
                assert result.shape == each.shape
                same(result, each)


def test_one_sequence_without_a_batch() -> None:
    torch = pytest.importorskip("torch")
    for kind in KINDS:
        ours, theirs = pair(kind, num_layers=2, batch_first=True)
        x, states = np.random.randn(5, 3), [each[:, 0] for each in states_of(ours)]
        y, state = ours(Tensor(x), as_state([Tensor(each) for each in states]))
        given = as_state([torch.tensor(each) for each in states])
        expected, expected_state = theirs(torch.tensor(x), given)
        pairs = zip((y, *as_tuple(state)), (expected, *as_tuple(expected_state)), strict=True)
        for result, each in pairs:
            assert result.shape == each.shape
            same(result, each)


def test_dropout_is_between_layers_and_in_training_only() -> None:
    x = ndl.init.randn(5, 2, 3)
    layer = nn.GRU(3, 4, 2, dropout=1.0)
    y, h = layer(x)
    alone, _ = nn.functional.gru(ndl.init.zeros(5, 2, 4), None, **layer.cells[1].weights())
    same_numbers = np.testing.assert_array_equal
    same_numbers(y.numpy(), alone.numpy())  # the first layer's outputs are dropped
    assert abs(h[0].numpy()).max() > 0
    assert abs(layer.eval()(x)[0].numpy() - y.numpy()).max() > 0
    with pytest.warns(UserWarning, match="GRU: dropout=0.5 has no effect with one layer"):
        nn.GRU(3, 4, dropout=0.5)


# --- how it is built


@pytest.mark.parametrize("kind", KINDS)
def test_one_op_per_layer_and_direction(kind) -> None:
    ours = getattr(nn, kind)(3, 4, 2, bidirectional=True)
    seen = []
    observers = (lambda value, op, inputs: seen.append(type(op).__name__),)
    modes = ndl.autograd.modes
    with modes.override(modes.observers, observers):
        ours(ndl.init.randn(50, 2, 3))[0].sum().backward()
    assert sum(name.endswith("Recurrence") for name in seen) == 4
    assert seen.count("RecurrenceAdjoint") == 4
    assert len(seen) < 100  # whatever the number of steps


@pytest.mark.parametrize("kind", KINDS)
def test_lazy_mode_and_no_grad(kind) -> None:
    layer, x = getattr(nn, kind)(3, 4, dtype="float64"), np.random.randn(4, 2, 3)
    (layer(Tensor(x))[0] ** 2).sum().backward()
    expected = [parameter.grad.numpy() for parameter in layer.parameters()]
    layer.zero_grad()
    with ndl.lazy_mode():
        y = layer(Tensor(x))[0]
        assert y.shape == (4, 2, 4)
        assert y.cached_data is None
        (y**2).sum().backward()
        found = [parameter.grad.numpy() for parameter in layer.parameters()]
    for mine, other in zip(found, expected, strict=True):
        np.testing.assert_allclose(mine, other, rtol=1e-12)
    with ndl.no_grad():
        assert not layer(Tensor(x))[0].requires_grad


def test_frozen_weights_get_no_gradient() -> None:
    layer = nn.LSTM(3, 4)
    layer.cells[0].W_ih.requires_grad = False
    layer(ndl.init.randn(4, 2, 3))[1][1].sum().backward()
    assert layer.cells[0].W_ih.grad is None
    assert abs(layer.cells[0].W_hh.grad.numpy()).max() > 0


def test_tied_weights_add_up() -> None:
    weight = Tensor(np.random.randn(3, 3))
    x = Tensor(np.random.randn(4, 2, 3))
    assert gradcheck(
        lambda w: nn.functional.rnn(x, None, w, w)[0] ** 2, weight, order=2, mode="random"
    )


def test_vmap_and_forward_mode() -> None:
    layer = nn.GRU(3, 4, dtype="float64")
    x = np.random.randn(2, 4, 3)
    outputs = ndl.vmap(lambda each: layer(each)[0])(Tensor(x))
    expected = layer(Tensor(x.swapaxes(0, 1)))[0].numpy().swapaxes(0, 1)
    np.testing.assert_allclose(outputs.numpy(), expected, rtol=1e-12)
    direction = Tensor(np.random.randn(4, 3))
    _, tangent = ndl.jvp(lambda each: layer(each)[0], (Tensor(x[0]),), (direction,))
    step = Tensor(1e-6 * direction.numpy())
    difference = layer(Tensor(x[0]) + step)[0] - layer(Tensor(x[0]) - step)[0]
    np.testing.assert_allclose(tangent.numpy(), difference.numpy() / 2e-6, atol=1e-8)


@pytest.mark.parametrize("kind", KINDS)
def test_saved_and_copied(kind, tmp_path) -> None:
    layer, x = getattr(nn, kind)(3, 4, 2), ndl.init.randn(4, 2, 3)
    expected = layer(x)[0].numpy()
    ndl.save(layer.state_dict(), tmp_path / "layer.npz")
    other = getattr(nn, kind)(3, 4, 2)
    other.load_state_dict(ndl.load(tmp_path / "layer.npz"))
    for each in (other, copy.deepcopy(layer)):
        np.testing.assert_array_equal(each(x)[0].numpy(), expected)


def test_repr() -> None:
    layer = nn.LSTM(3, 4, 2, batch_first=True, proj_size=2)
    assert "LSTM(3, 4, num_layers=2, batch_first=True, proj_size=2" in repr(layer)
    assert "RNNCell(3, 4, bias=False, nonlinearity='relu')" in repr(nn.RNNCell(3, 4, False, "relu"))


# --- bad input


@pytest.mark.parametrize(
    ("lengths", "kind", "text"),
    [
        ([3, 0], ValueError, "sequence 1 has length 0: .* of 5 steps are from 1 to 5"),
        ([-2, 3], ValueError, "sequence 0 has length -2"),
        ([5, 6], ValueError, "sequence 1 has length 6"),
        ([5], ValueError, r"expected 2 lengths, one per sequence, got \(1,\)"),
        ([5, 2.5], TypeError, "lengths of sequences are whole numbers, got 2.5"),
    ],
)
def test_lengths_that_do_not_fit(lengths, kind, text) -> None:
    for layer in (nn.LSTM(3, 4), nn.GRU(3, 4)):
        with pytest.raises(kind, match=text):
            layer(ndl.init.randn(5, 2, 3), lengths=lengths)


X = ndl.init.randn(5, 2, 3)


@pytest.mark.parametrize(
    ("call", "kind", "text"),
    [
        (lambda: nn.LSTM(3, 4)(ndl.init.zeros(0, 2, 3)), ValueError, "at least one step"),
        (lambda: nn.GRU(3, 4)(ndl.init.zeros(5, 2, 4)), ValueError, r"\(steps, batch, 3\)"),
        (lambda: nn.GRU(3, 4, batch_first=True)(X[0, 0]), ValueError, r"\(batch, steps, 3\)"),
        (lambda: nn.RNN(3, 4)(np.zeros((5, 2, 3))), TypeError, "RNN expected a Tensor"),
        (lambda: nn.RNN(3, 4)(Tensor(np.ones((5, 2, 3), int))), TypeError, "floating-point"),
        (lambda: nn.RNN(3, 4)(X, X[:1, :, :3]), ValueError, r"h of shape \(1, 2, 4\)"),
        (lambda: nn.GRU(3, 4, 2)(X, X[:1, :, :3]), ValueError, r"h of shape \(2, 2, 4\)"),
        (lambda: nn.LSTM(3, 4)(X, X), TypeError, r"the state is a pair \(h, c\), got Tensor"),
        (
            lambda: nn.LSTM(3, 4)(X, (ndl.init.zeros(1, 2, 4), ndl.init.zeros(1, 3, 4))),
            ValueError,
            r"c of shape \(1, 2, 4\), \(layers, batch, size\), got \(1, 3, 4\)",
        ),
        (lambda: nn.RNN(3, 4, 2, "relu"), TypeError, "bias must be True or False, got 'relu'"),
        (
            lambda: nn.LSTM(3, 4, 2, True, True),
            TypeError,
            r"True as device: .* as in LSTM",
        ),
        (lambda: nn.LSTM(3, 4, 2, True, "cpu", 0.5), TypeError, r"LSTM: got 0\.5 as dtype"),
        (lambda: nn.RNN(3, 4, 2, True, True), TypeError, r"True as nonlinearity: .* by name"),
        (lambda: nn.RNN(3, 4, nonlinearity="sin"), ValueError, "'tanh' or 'relu', got 'sin'"),
        (lambda: nn.GRU(3, 0), ValueError, "hidden_size must be positive"),
        (lambda: nn.GRU(3, 4, 0), ValueError, "num_layers must be positive"),
        (lambda: nn.GRU(3, 4, 2, dropout=2), ValueError, "dropout must be from 0 to 1"),
        (lambda: nn.LSTM(3, 4, proj_size=4), ValueError, "proj_size must be smaller than hidden"),
        (lambda: nn.LSTMCell(3, 4)(X), ValueError, r"\(batch, 3\) or \(3,\), got \(5, 2, 3\)"),
        (lambda: nn.GRU(3, 4)(pack_padded_sequence(X, [5, 5]), lengths=[5, 5]), ValueError, "own"),
        (
            lambda: nn.functional.lstm(X, None, ndl.init.ones(3, 6), ndl.init.ones(4, 16)),
            ValueError,
            r"weight_ih \(input, 4·hidden\), got \(3, 6\)",
        ),
        (
            lambda: nn.functional.gru(X, None, ndl.init.ones(3, 6), ndl.init.ones(4, 12)),
            ValueError,
            r"weight_hh of shape \(2, 6\), got \(4, 12\)",
        ),
    ],
)
def test_errors(call, kind, text) -> None:
    with pytest.raises(kind, match=text):
        call()


@pytest.mark.parametrize("kind", KINDS)
def test_a_cell_without_features_has_its_state_alone(kind) -> None:
    torch = pytest.importorskip("torch")
    theirs = getattr(torch.nn, f"{kind}Cell")(0, 3)
    ours = getattr(nn, f"{kind}Cell")(0, 3)
    ndl.interop.load_torch_state_dict(ours, theirs.state_dict())
    state, expected = ours(ndl.zeros(2, 0)), theirs(torch.zeros(2, 0))
    if kind == "LSTM":
        state, expected = state[0], expected[0]
    np.testing.assert_allclose(state.numpy(), expected.detach().numpy(), 1e-6, 1e-7)
