"""Weights to and from PyTorch: outputs agree."""

import numpy as np
import pytest

import needle as ndl
from needle import nn

torch = pytest.importorskip("torch")


def shared(library):
    # square, so that no shape tells that a weight was not transposed
    twice, tied = library.Linear(4, 4), library.Linear(4, 4)
    tied.weight = twice.weight
    return library.Sequential(twice, library.Tanh(), twice, library.Tanh(), tied)


def nested(library):
    class Model(library.Module):
        def __init__(self):
            super().__init__()
            blocks = [library.Sequential(library.Linear(4, 4), library.SiLU()) for _ in range(2)]
            self.blocks = library.ModuleList(blocks)
            self.heads = library.ModuleDict({"a": library.Linear(4, 3), "b": library.Linear(4, 3)})

        def forward(self, x):
            for block in self.blocks:
                x = block(x)
            return self.heads["a"](x) * self.heads["b"](x)

    return Model()


def recurrent(library):
    class Model(library.Module):
        def __init__(self):
            super().__init__()
            self.words = library.Embedding(7, 4)
            self.rnn = library.RNN(4, 4, nonlinearity="relu")
            self.lstm = library.LSTM(4, 4, 2, bidirectional=True)
            self.gru = library.GRU(8, 4, batch_first=True, bias=False)
            self.cell = library.LSTMCell(4, 3)

        def forward(self, x):
            for layer in (self.rnn, self.lstm, self.gru):
                x, _ = layer(self.words(x) if layer is self.rnn else x)
            return self.cell(x[0])[0]

    return Model()


# the same structure in both libraries, and shapes of inputs or the inputs
MODELS = {
    "perceptron": (
        lambda library: library.Sequential(
            library.Linear(1, 6),
            library.BatchNorm1d(6),
            library.GELU(),
            library.LayerNorm(6),
            library.Linear(6, 3, bias=False),
        ),
        [(8, 1)],
    ),
    "images": (
        lambda library: library.Sequential(
            library.BatchNorm2d(4), library.GroupNorm(2, 4), library.LayerNorm((3, 2), bias=False)
        ),
        [(5, 4, 3, 2)],
    ),
    "numbers": (
        lambda library: library.Sequential(library.Embedding(7, 4), library.RMSNorm(4)),
        [np.array([[1, 2, 2], [0, 6, 3]])],
    ),
    "two inputs": (lambda library: library.Bilinear(3, 4, 5), [(2, 3), (2, 4)]),
    "a layer alone": (lambda library: library.Linear(4, 4), [(3, 4)]),
    "normalisation alone": (lambda library: library.BatchNorm1d(4, affine=False), [(5, 4)]),
    "without statistics": (
        lambda library: library.BatchNorm1d(4, track_running_stats=False),
        [(5, 4)],
    ),
    "nested": (nested, [(5, 4)]),
    "shared": (shared, [(5, 4)]),
    "recurrent": (recurrent, [np.array([[1, 2, 2], [0, 6, 3]])]),
}


@pytest.fixture(params=MODELS.values(), ids=MODELS)
def both(request):
    """A model in both libraries, and inputs."""
    build, inputs = request.param
    normal = np.random.default_rng(0).standard_normal
    arrays = [normal(x).astype("float32") if isinstance(x, tuple) else x for x in inputs]
    return build(nn), build(torch.nn), arrays


def perceptrons():
    build, _ = MODELS["perceptron"]
    return build(nn), build(torch.nn)


def assert_same_outputs(ours, theirs, arrays):
    expected = theirs.eval()(*map(torch.tensor, arrays)).detach().numpy()
    actual = ours.eval()(*[ndl.Tensor(array, requires_grad=False) for array in arrays]).numpy()
    np.testing.assert_allclose(actual, expected, rtol=0, atol=1e-5 * np.abs(expected).max())


def test_from_torch(both):
    ours, theirs, arrays = both
    torch.manual_seed(0)
    for parameter in theirs.parameters():
        parameter.data = torch.randn_like(parameter)
    theirs(*map(torch.tensor, arrays))  # moves the running statistics
    ndl.interop.load_torch_state_dict(ours, theirs.state_dict())
    assert_same_outputs(ours, theirs, arrays)


def test_to_torch(both):
    ours, theirs, arrays = both
    ndl.manual_seed(0)
    for parameter in ours.parameters():
        parameter.data = ndl.init.randn(*parameter.shape)
    ours(*[ndl.Tensor(array, requires_grad=False) for array in arrays])
    state = ndl.interop.to_torch_state_dict(ours)
    theirs.load_state_dict(state)
    assert_same_outputs(ours, theirs, arrays)
    expected = theirs.state_dict()
    assert {name: value.dtype for name, value in state.items()} == {
        name: value.dtype for name, value in expected.items()
    }


def test_weights_do_not_share_memory_with_the_model():
    ours, _ = perceptrons()
    state = ndl.interop.to_torch_state_dict(ours)
    before = ours[4].weight.numpy()
    state["4.weight"].zero_()
    state["1.running_var"].zero_()
    np.testing.assert_array_equal(ours[4].weight.numpy(), before)
    assert (ours[1].running_var.numpy() == 1).all()


def test_another_structure_is_refused_with_every_difference():
    ours, _ = perceptrons()
    before = ours[0].weight.numpy()
    other = torch.nn.Sequential(
        torch.nn.Linear(2, 6), torch.nn.Linear(6, 3), torch.nn.BatchNorm1d(3)
    )
    with pytest.raises(ValueError, match=r"0\.weight has shape \(1, 6\)") as refused:
        ndl.interop.load_torch_state_dict(ours, other.state_dict())
    assert "4.weight is missing" in str(refused.value)
    assert "2.num_batches_tracked is unknown" in str(refused.value)
    np.testing.assert_array_equal(ours[0].weight.numpy(), before)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
def test_numbers_of_other_dtypes_take_on_that_of_the_model(dtype):
    ours, theirs = nn.Linear(3, 4), torch.nn.Linear(3, 4).to(dtype)
    ndl.interop.load_torch_state_dict(ours, theirs.state_dict())
    assert ours.weight.dtype == np.float32
    expected = theirs.weight.detach().float().numpy().T
    np.testing.assert_array_equal(ours.weight.numpy(), expected)


def test_a_buffer_of_the_users_own_is_no_counter_and_has_none():
    class Own(nn.Module):
        def __init__(self):
            super().__init__()
            self.register_buffer("num_batches_tracked", ndl.Tensor(1))
            self.register_buffer("my_running_mean", ndl.Tensor([1.0]))

    model = Own()
    state = ndl.interop.to_torch_state_dict(model)
    assert list(state) == ["num_batches_tracked", "my_running_mean"]
    ndl.interop.load_torch_state_dict(model, {**state, "num_batches_tracked": torch.tensor(5)})
    assert model.num_batches_tracked.item() == 5


def test_what_is_no_state_of_pytorch_is_refused():
    layer = nn.Linear(4, 4)
    with pytest.raises(TypeError, match=r"takes the state_dict\(\) of a PyTorch model, got Linear"):
        ndl.interop.load_torch_state_dict(layer, torch.nn.Linear(4, 4))
    with pytest.raises(TypeError, match="weight is a needle Tensor"):
        ndl.interop.load_torch_state_dict(layer, layer.state_dict())
