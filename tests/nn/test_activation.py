"""Activations as modules, against PyTorch's."""

import copy
import pickle

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import needle as ndl
from needle import nn
from needle.testing import gradcheck

MODULES = [
    ("ReLU", {}),
    ("Sigmoid", {}),
    ("Tanh", {}),
    ("LeakyReLU", {}),
    ("LeakyReLU", {"negative_slope": 0.3}),
    ("LeakyReLU", {"negative_slope": 0.0}),
    ("LeakyReLU", {"negative_slope": 1.5}),
    ("LeakyReLU", {"negative_slope": -0.5}),
    ("ELU", {}),
    ("ELU", {"alpha": 0.5}),
    ("ELU", {"alpha": 2.0}),
    ("GELU", {}),
    ("GELU", {"approximate": "tanh"}),
    ("SiLU", {}),
    ("Softplus", {}),
    ("Softplus", {"beta": 2.0, "threshold": 3.0}),
    ("Hardtanh", {}),
    ("Hardtanh", {"min_val": -2.0, "max_val": 0.5}),
    ("Softmax", {"dim": -1}),
    ("Softmax", {"dim": 0}),
    ("LogSoftmax", {"dim": -1}),
    ("LogSoftmax", {"dim": 0}),
]
IDS = [f"{name} {options}" for name, options in MODULES]


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("shape", [(), (7,), (3, 4), (2, 3, 2)])
@pytest.mark.parametrize(("name", "options"), MODULES, ids=IDS)
def test_activation_is_torchs(same_as_torch, name, options, shape, dtype) -> None:
    torch = pytest.importorskip("torch")
    if not shape and "dim" in options:
        return  # needs an axis
    x = np.asarray(np.random.RandomState(0).randn(*shape) * 3, dtype)
    same_as_torch(getattr(nn, name)(**options), getattr(torch.nn, name)(**options), x)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize(("count", "shape"), [(1, ()), (1, (7,)), (3, (2, 3)), (3, (2, 3, 4, 2))])
def test_prelu_is_torchs(same_as_torch, count, shape, dtype) -> None:
    torch = pytest.importorskip("torch")
    x = np.asarray(np.random.RandomState(0).randn(*shape), dtype)
    theirs = torch.nn.PReLU(count, 0.5, dtype=getattr(torch, dtype))
    same_as_torch(nn.PReLU(count, 0.5, dtype=dtype), theirs, x)


def test_what_prelu_refuses() -> None:
    with pytest.raises(ValueError, match="PReLU: num_parameters must be positive, got 0"):
        nn.PReLU(0)
    with pytest.raises(ValueError, match=r"1 weight or 4, .* channel of x \(2, 4\), got 3"):
        nn.PReLU(3)(ndl.init.ones(2, 4))
    with pytest.raises(TypeError, match="PReLU"):
        nn.PReLU()(ndl.Tensor([1, 2]))


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize(("name", "options"), MODULES, ids=IDS)
def test_extreme_inputs_give_torchs_values(same_as_torch, name, options, dtype) -> None:
    torch = pytest.importorskip("torch")
    x = np.array([[-1e4, -100, -20, 0], [-0.0, 20, 100, 1e4]], dtype)
    if dtype == "float64" and name == "Softplus":
        x[abs(x) == 20] = 15  # at 20 PyTorch takes the threshold for reached
    same_as_torch(getattr(nn, name)(**options), getattr(torch.nn, name)(**options), x)


@pytest.mark.parametrize("name", ["Sigmoid", "Tanh", "LeakyReLU", "ELU", "Softplus", "ReLU"])
def test_infinities_give_torchs_values(name) -> None:
    torch = pytest.importorskip("torch")
    x = np.array([-np.inf, np.inf, np.nan, 1.0])
    expected = getattr(torch.nn, name)()(torch.tensor(x)).numpy()
    np.testing.assert_allclose(getattr(nn, name)()(ndl.Tensor(x)).numpy(), expected)


def test_a_slope_of_zero_leaves_infinity_alone() -> None:
    assert nn.LeakyReLU(0.0)(ndl.Tensor([np.inf])).item() == np.inf


@pytest.mark.parametrize(("name", "options"), MODULES, ids=IDS)
def test_second_derivative(name, options) -> None:
    # away from the kinks at 0, ±0.5 and so on
    x = ndl.Tensor(np.random.RandomState(3).uniform(0.6, 0.9, (2, 3)) * [[1, -1, 1], [-1, 1, -1]])
    assert gradcheck(getattr(nn, name)(**options), x, order=2)


@pytest.mark.parametrize("dim", [0, 1, -1])
@given(rows=st.integers(1, 4), columns=st.integers(1, 5), scale=st.sampled_from([1, 1e4]))
@settings(max_examples=10, derandomize=True, deadline=None)
def test_softmax_is_a_distribution(dim, rows, columns, scale) -> None:
    x = ndl.Tensor(np.random.RandomState(rows).randn(rows, columns) * scale)
    p = nn.Softmax(dim)(x).numpy()
    assert (p >= 0).all()
    np.testing.assert_allclose(p.sum(dim), 1, rtol=1e-12)
    np.testing.assert_allclose(np.exp(nn.LogSoftmax(dim)(x).numpy()), p, atol=1e-12)


@pytest.mark.parametrize(
    ("module", "text"),
    [
        (nn.Hardtanh(1.0, -1.0), r"min_val 1\.0 must be below max_val -1\.0"),
        (nn.Softplus(beta=0), "beta must be positive, got 0"),
        (nn.GELU("erf"), "'none' or 'tanh', got 'erf'"),
    ],
    ids=lambda value: str(value),
)
def test_impossible_settings(module, text) -> None:
    with pytest.raises(ValueError, match=text):
        module(ndl.init.rand(2))


def test_settings_are_shown() -> None:
    shown = [repr(getattr(nn, name)(**options)) for name, options in MODULES]
    assert shown[0] == "ReLU()"
    assert "ELU(alpha=0.5)" in shown
    assert "GELU(approximate='tanh')" in shown
    assert "Softplus(beta=2.0, threshold=3.0)" in shown
    assert "LogSoftmax(dim=0)" in shown
    assert "ELU()" in shown


class Steep(nn.LeakyReLU):
    def __init__(self) -> None:
        super().__init__(0.5)


def test_activations_are_subclassed_copied_and_pickled() -> None:
    x = ndl.Tensor([-2.0, 3.0])
    assert repr(Steep()) == "Steep(negative_slope=0.5)"
    for module in (Steep(), pickle.loads(pickle.dumps(Steep())), copy.deepcopy(Steep())):
        np.testing.assert_array_equal(module(x).numpy(), [-1.0, 3.0])
    assert nn.ReLU() != nn.ReLU()  # modules are compared by identity
    assert len({nn.ELU(), nn.ELU()}) == 2


@pytest.mark.parametrize("name", ["ReLU", "LeakyReLU", "ELU", "SiLU", "Hardtanh", "Dropout"])
def test_inplace_is_accepted_and_changes_no_input(name) -> None:
    kind = getattr(nn, name)
    layer, plain = kind(inplace=True).eval(), kind().eval()
    x = ndl.Tensor([-2.0, -0.5, 0.5, 2.0])
    np.testing.assert_array_equal(layer(x).numpy(), plain(x).numpy())
    np.testing.assert_array_equal(x.numpy(), [-2.0, -0.5, 0.5, 2.0])
    assert "inplace=True" in repr(layer)
    assert "inplace" not in repr(plain)


def test_inplace_by_position() -> None:
    assert nn.ReLU(True).inplace
    assert nn.LeakyReLU(0.2, True)(ndl.Tensor([-1.0])).item() == -0.2
    assert nn.Hardtanh(-3, 2, True)(ndl.Tensor([-5.0])).item() == -3
    with pytest.raises(TypeError, match="inplace must be True or False, got float"):
        nn.Dropout(0.5, 0.1)
