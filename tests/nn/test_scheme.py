"""How layers are initialised: schemes, drawing anew, and settings that cannot be."""

import threading

import numpy as np
import pytest

import needle as ndl
from needle import init, nn


def reach(tensor) -> float:
    return np.abs(tensor.numpy()).max()


def model() -> nn.Sequential:
    return nn.Sequential(nn.Linear(400, 300), nn.Tanh(), nn.Residual(nn.Linear(300, 300)))


def is_pytorchs(layer: nn.Linear) -> bool:
    bound = layer.in_features**-0.5
    return all(0.98 * bound < reach(part) <= bound for part in layer.parameters())


@pytest.mark.parametrize("make", [
    lambda: nn.init.scheme("pytorch")(model)(),
    lambda: nn.init.reset_(model(), "pytorch"),
])  # fmt: skip
def test_pytorchs_initialisation(make) -> None:
    np.random.seed(0)
    built = make()
    assert is_pytorchs(built[0])
    assert is_pytorchs(built[2].fn)
    assert not is_pytorchs(nn.Linear(400, 300))


def test_scheme_of_a_block() -> None:
    np.random.seed(0)
    with nn.init.scheme("pytorch"):
        inside = nn.Linear(400, 300)
        with nn.init.scheme("needle"):
            inner = nn.Linear(400, 300)
        again = nn.Linear(32, 1)
    assert is_pytorchs(inside)
    assert not is_pytorchs(inner)
    assert reach(again.bias) <= 32**-0.5
    assert reach(nn.Linear(400, 300).weight) > 400**-0.5


def test_the_distributions_are_torchs() -> None:
    torch = pytest.importorskip("torch")
    np.random.seed(0)
    with nn.init.scheme("pytorch"):
        ours = nn.Linear(300, 400)
    theirs = torch.nn.Linear(300, 400)
    for name, parameter in ours.named_parameters():
        expected = getattr(theirs, name).detach().numpy()
        found = parameter.numpy()
        assert found.std() == pytest.approx(expected.std(), rel=0.1)
        assert np.abs(found).max() == pytest.approx(np.abs(expected).max(), rel=0.02)


def test_scheme_of_this_thread_alone() -> None:
    layers = []
    with nn.init.scheme("pytorch"):
        thread = threading.Thread(target=lambda: layers.append(nn.Linear(400, 300)))
        thread.start()
        thread.join()
    assert not is_pytorchs(layers[0])


def test_default_draws_are_as_published() -> None:
    np.random.seed(3)
    layer = nn.Linear(3, 2)
    np.random.seed(3)
    np.testing.assert_array_equal(layer.weight.numpy(), init.kaiming_uniform(3, 2).numpy())
    expected = init.kaiming_uniform(2, 1, (1, 2)).numpy()
    np.testing.assert_array_equal(layer.bias.numpy(), expected)


def test_unknown_schemes() -> None:
    with pytest.raises(ValueError, match="scheme 'torch': expected one of needle, pytorch"):
        nn.init.scheme("torch")
    with pytest.raises(ValueError, match="scheme 'torch'"):
        nn.init.reset_(nn.Linear(1, 1), "torch")


LAYERS = {
    "Linear": (3, 2), "Bilinear": (3, 4, 2), "Embedding": (3, 2), "BatchNorm1d": (3,),
    "BatchNorm2d": (3,), "LayerNorm": (3,), "LayerNorm1d": (3,), "GroupNorm": (1, 3),
    "RMSNorm": (3,), "RNNCell": (3, 4), "LSTMCell": (3, 4), "GRUCell": (3, 4),
}  # fmt: skip


@pytest.mark.parametrize("name", LAYERS)
def test_parameters_are_drawn_anew(name) -> None:
    np.random.seed(0)
    layer = getattr(nn, name)(*LAYERS[name], dtype="float64")
    tensors = layer.state_dict()
    expected = {key: tensor.numpy() for key, tensor in tensors.items()}
    for parameter in layer.parameters():
        parameter.data = parameter.data * 2 + 1
    np.random.seed(0)
    before = layer.parameters()
    layer.reset_parameters()
    assert layer.parameters() == before
    for key, tensor in layer.state_dict().items():
        np.testing.assert_array_equal(tensor.numpy(), expected[key])


def test_running_statistics_are_reset() -> None:
    layer = nn.BatchNorm1d(3)
    layer(ndl.init.randn(5, 3, mean=4.0))
    nn.init.reset_(layer)
    np.testing.assert_array_equal(layer.running_mean.numpy(), 0)
    np.testing.assert_array_equal(layer.running_var.numpy(), 1)
    nn.BatchNorm1d(3, track_running_stats=False).reset_parameters()


# --- what cannot be


@pytest.mark.parametrize("name", LAYERS)
@pytest.mark.parametrize("dtype", ["int64", "bool", "complex64", np.uint8])
def test_layers_of_other_dtypes(name, dtype) -> None:
    with pytest.raises(TypeError, match=f"{name}: parameters are floating-point numbers, got"):
        getattr(nn, name)(*LAYERS[name], dtype=dtype)


@pytest.mark.parametrize(("make", "text"), [
    (lambda: nn.Linear(-1, 2), "Linear: in_features must be at least 0, got -1"),
    (lambda: nn.Linear(2, -1), "Linear: out_features must be at least 0, got -1"),
    (lambda: nn.Bilinear(2, -1, 1), "Bilinear: in2_features must be at least 0, got -1"),
    (lambda: nn.Embedding(-3, 1), "Embedding: num_embeddings must be at least 0, got -3"),
    (lambda: nn.BatchNorm1d(-3), "BatchNorm1d: dim must be at least 0, got -3"),
    (lambda: nn.GroupNorm(2, -4), "GroupNorm: num_channels must be at least 0, got -4"),
    (lambda: nn.LayerNorm1d(-4), "normalized_shape of positive lengths, got -4"),
    (lambda: init.rand(2, -1), "init.rand: lengths of axes are at least 0, got -1"),
    (lambda: nn.LayerNorm(3, eps=-1), "LayerNorm: eps must be at least 0, got -1"),
    (lambda: nn.BatchNorm1d(3, float("nan")), "BatchNorm1d: eps must be at least 0, got nan"),
    (lambda: nn.Dropout("a"), "Dropout: p must be from 0 to 1, got a"),
    (lambda: init.zeros(-1), "init.zeros: lengths of axes are at least 0, got -1"),
])  # fmt: skip
def test_settings_out_of_range(make, text) -> None:
    with pytest.raises(ValueError, match=text):
        make()


@pytest.mark.parametrize(("make", "text"), [
    (lambda: nn.Linear(2.0, 2), r"Linear: in_features must be a whole number, got 2\.0"),
    (lambda: nn.Linear(2, "2"), "Linear: out_features must be a whole number, got '2'"),
    (lambda: nn.Linear(2, None), "Linear: out_features must be a whole number, got None"),
    (lambda: nn.Linear(2, True), "Linear: out_features must be a whole number, got True"),
    (lambda: nn.Embedding(2, 2.5), "Embedding: embedding_dim must be a whole number"),
    (lambda: nn.BatchNorm2d(2.5), "BatchNorm2d: dim must be a whole number"),
    (lambda: nn.GroupNorm(1.0, 3), "GroupNorm: num_groups must be a whole number"),
    (lambda: init.rand(2, 1.5), r"init.rand: lengths of axes are whole numbers, got 1\.5"),
    (lambda: init.randb("a"), "init.randb: lengths of axes are whole numbers, got 'a'"),
])  # fmt: skip
def test_sizes_that_are_no_whole_numbers(make, text) -> None:
    with pytest.raises(TypeError, match=text):
        make()


@pytest.mark.parametrize("name", ["rand", "randn", "orthogonal", "trunc_normal"])
@pytest.mark.parametrize("dtype", ["int64", "uint8", "bool"])
def test_random_integers(name, dtype) -> None:
    with pytest.raises(TypeError, match=f"init.{name} draws floating-point .* dtype {dtype} .*"):
        getattr(init, name)(3, 2, dtype=dtype)


@pytest.mark.parametrize("name", ["kaiming_uniform", "xavier_normal"])
def test_random_integers_of_fans(name) -> None:
    with pytest.raises(TypeError, match="draws floating-point numbers"):
        getattr(init, name)(3, 2, dtype="int64")


def test_shapes_as_a_tuple_and_sizes_of_numpy() -> None:
    assert init.rand((3, 4)).shape == init.zeros([3, 4]).shape == (3, 4)
    assert nn.Linear(np.int64(3), np.int32(2))(init.rand(np.int64(4), 3)).shape == (4, 2)
