"""L-BFGS: the steps of PyTorch's, and what can go wrong."""

import copy
import pickle

import numpy as np
import pytest

import needle as ndl
from needle import nn
from needle.optim import LBFGS


def rosenbrock(x):
    return 100 * (x[1] - x[0] ** 2) ** 2 + (1 - x[0]) ** 2


def quartic(x):
    return ((x - 1) ** 4).sum() + (x[0] * x[1]) ** 2


def quadratic(x):
    return (x[0] - 3) ** 2 + 20 * (x[1] + x[0]) ** 2


def closure_for(optimizer, loss_of):
    def closure():
        optimizer.zero_grad()
        loss = loss_of()
        loss.backward()
        return loss

    return closure


SETTINGS = {
    "default": {"lr": 1e-3},
    "few": {"lr": 1e-3, "max_iter": 3, "history_size": 2},
    "strong_wolfe": {"line_search_fn": "strong_wolfe"},
    "strong_wolfe few": {"line_search_fn": "strong_wolfe", "max_iter": 4, "history_size": 3},
    "strong_wolfe max_eval": {"line_search_fn": "strong_wolfe", "max_eval": 7},
    "strong_wolfe lr": {"line_search_fn": "strong_wolfe", "lr": 0.01},
    "strong_wolfe one evaluation": {"line_search_fn": "strong_wolfe", "max_eval": 1},
    "tolerances": {"line_search_fn": "strong_wolfe", "tolerance_grad": 1, "tolerance_change": 0.1},
}


@pytest.mark.parametrize("name", SETTINGS)
@pytest.mark.parametrize("function", [rosenbrock, quartic, quadratic])
def test_steps_are_torchs(function, name) -> None:
    torch = pytest.importorskip("torch")
    start = [-1.2, 1.0]
    ours, theirs = ndl.Tensor(start), torch.tensor(start, dtype=torch.float64, requires_grad=True)
    mine, other = LBFGS([ours], **SETTINGS[name]), torch.optim.LBFGS([theirs], **SETTINGS[name])
    for step in range(5):
        loss = mine.step(closure_for(mine, lambda: function(ours)))
        expected = other.step(closure_for(other, lambda: function(theirs)))
        assert loss.item() == pytest.approx(expected.item(), rel=1e-6, abs=1e-12), step
        np.testing.assert_allclose(ours.numpy(), theirs.detach().numpy(), rtol=1e-6, atol=1e-9)
    (state,) = mine.state.values()
    (theirs_state,) = other.state.values()
    for key in ("n_iter", "func_evals"):
        assert state[key] == theirs_state[key]


@pytest.mark.parametrize("line_search", [None, "strong_wolfe"])
def test_a_model_is_trained_as_torchs(line_search) -> None:
    torch = pytest.importorskip("torch")
    np.random.seed(0)
    model = nn.Sequential(
        nn.Linear(3, 8, dtype="float64"), nn.Tanh(), nn.Linear(8, 1, dtype="float64")
    )
    other = torch.nn.Sequential(
        torch.nn.Linear(3, 8), torch.nn.Tanh(), torch.nn.Linear(8, 1)
    ).double()
    for ours, theirs in zip((model[0], model[2]), (other[0], other[2]), strict=True):
        theirs.weight.data = torch.tensor(ours.weight.numpy().T.copy())
        theirs.bias.data = torch.tensor(ours.bias.numpy()[0])
    x = np.random.randn(40, 3)
    t = np.sin(x.sum(1, keepdims=True))
    options = {"lr": 0.1 if line_search is None else 1.0, "line_search_fn": line_search}
    optimizer = LBFGS(model.parameters(), **options, max_iter=5)
    twin = torch.optim.LBFGS(other.parameters(), **options, max_iter=5)
    losses = []
    for _ in range(6):
        closure = closure_for(optimizer, lambda: nn.MSELoss()(model(ndl.Tensor(x)), ndl.Tensor(t)))
        losses.append(optimizer.step(closure).item())
        expected = twin.step(
            closure_for(twin, lambda: torch.nn.MSELoss()(other(torch.tensor(x)), torch.tensor(t)))
        )
        assert losses[-1] == pytest.approx(expected.item(), rel=1e-6)
    assert losses[-1] < 0.5 * losses[0]


def test_float32_stays_float32() -> None:
    x = ndl.Tensor([-1.2, 1.0], dtype="float32")
    optimizer = LBFGS([x], line_search_fn="strong_wolfe")
    for _ in range(5):
        optimizer.step(closure_for(optimizer, lambda: rosenbrock(x)))
    assert x.dtype == np.float32
    np.testing.assert_allclose(x.numpy(), 1, rtol=1e-3)
    (state,) = optimizer.state.values()
    assert state["d"].dtype == np.float32


def test_parameters_without_gradients_stay() -> None:
    x, unused = ndl.Tensor([3.0, 1.0]), ndl.Tensor([[2.0]])
    optimizer = LBFGS([unused, x], line_search_fn="strong_wolfe")
    optimizer.step(closure_for(optimizer, lambda: quadratic(x)))
    np.testing.assert_array_equal(unused.numpy(), [[2.0]])
    np.testing.assert_allclose(x.numpy(), [3, -3], rtol=1e-5)


@pytest.mark.parametrize("line_search", [None, "strong_wolfe"])
@pytest.mark.parametrize("way", ["dict", "file", "copy", "pickle"])
def test_state_goes_on_bitwise(line_search, way, tmp_path) -> None:
    x = ndl.Tensor([-1.2, 1.0])
    options = {"line_search_fn": line_search, "lr": 0.01, "max_iter": 3}
    optimizer = LBFGS([x], **options)
    optimizer.step(closure_for(optimizer, lambda: rosenbrock(x)))
    if way in ("copy", "pickle"):
        again = copy.deepcopy(optimizer) if way == "copy" else pickle.loads(pickle.dumps(optimizer))
        y = again.params[0]
    else:
        state = optimizer.state_dict()
        if way == "file":
            pytest.importorskip("safetensors")
            ndl.save(state, tmp_path / "state.safetensors")
            state = ndl.load(tmp_path / "state.safetensors")
        y = ndl.Tensor(x)
        again = LBFGS([y], lr=1.0)
        again.load_state_dict(state)
    for _ in range(3):
        optimizer.step(closure_for(optimizer, lambda: rosenbrock(x)))
        again.step(closure_for(again, lambda: rosenbrock(y)))
    np.testing.assert_array_equal(x.numpy(), y.numpy())


def test_states_that_do_not_fit() -> None:
    x = ndl.Tensor([-1.2, 1.0])
    optimizer = LBFGS([x])
    optimizer.step(closure_for(optimizer, lambda: rosenbrock(x)))
    state = optimizer.state_dict()
    with pytest.raises(ValueError, match="another model or optimizer"):
        LBFGS([ndl.Tensor([1.0])]).load_state_dict(state)
    with pytest.raises(ValueError, match="another model or optimizer"):
        ndl.optim.Adam([ndl.Tensor(x)]).load_state_dict(state)
    with pytest.raises(ValueError, match="a dict with the keys"):
        optimizer.load_state_dict({"state": {}})
    damaged = copy.deepcopy(state)
    del damaged["state"][0]["steps"]
    with pytest.raises(ValueError, match=r"another optimizer: it has .*'t'.*expected"):
        optimizer.load_state_dict(damaged)
    fresh = LBFGS([ndl.Tensor([1.0, 2.0])])
    fresh.load_state_dict(LBFGS([ndl.Tensor([1.0, 2.0])]).state_dict())
    assert fresh.state == {}


@pytest.mark.parametrize("line_search", [None, "strong_wolfe"])
@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt])
def test_an_error_in_the_function_leaves_the_parameters(line_search, error) -> None:
    x = ndl.Tensor([-1.2, 1.0])
    optimizer = LBFGS([x], lr=1e-3, line_search_fn=line_search)
    calls = []

    def closure():
        calls.append(x.numpy())
        if len(calls) == 2:
            raise error
        return closure_for(optimizer, lambda: rosenbrock(x))()

    with pytest.raises(error):
        optimizer.step(closure)
    assert (calls[1] != calls[0]).any()
    np.testing.assert_array_equal(x.numpy(), [-1.2, 1.0])
    optimizer.step(closure)
    assert rosenbrock(x).item() < rosenbrock(ndl.Tensor([-1.2, 1.0])).item()


def test_what_it_cannot_take() -> None:
    x, y = ndl.Tensor([1.0]), ndl.Tensor([1.0])
    optimizer = LBFGS([x])
    for given in (None, 3):
        with pytest.raises(TypeError, match=r"LBFGS\.step takes a function that resets"):
            optimizer.step(given)
    with pytest.raises(TypeError, match="must return the loss, got NoneType"):
        optimizer.step(lambda: None)
    with pytest.raises(ValueError, match="LBFGS has one parameter group"):
        LBFGS([{"params": [x]}, {"params": [y]}])
    for name, value in [
        ("max_iter", 0), ("max_eval", 0.5), ("history_size", -1), ("tolerance_grad", -1.0),
        ("tolerance_change", float("nan")), ("line_search_fn", "armijo"), ("lr", -1.0),
    ]:  # fmt: skip
        with pytest.raises(ValueError, match=f"{name} must be"):
            LBFGS([x], **{name: value})


def test_losses_that_are_not_finite() -> None:
    x = ndl.Tensor([1.0])
    optimizer = LBFGS([x], line_search_fn="strong_wolfe")
    with np.errstate(all="ignore"):
        loss = optimizer.step(closure_for(optimizer, lambda: ndl.log(x - 2).sum()))
    assert np.isnan(loss.item())
