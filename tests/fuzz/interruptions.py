"""Ctrl-C at a random bytecode: modes are left, files are whole, optimizers and models go on.

The KeyboardInterrupt is raised by a trace function, at any bytecode of needle's code.
"""

import os
import tempfile
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np

import needle as ndl
from needle import Tensor, nn
from needle.autograd import modes
from needle.io import replacing
from tests.interruption import interrupted, is_needles

from . import repeated


def _interrupted(function: Callable[[], Any], at: int) -> bool:
    """Whether `function()` was interrupted at the `at`-th bytecode of needle; else it has run."""
    return interrupted(function, at, is_inside=is_needles)


def _modes() -> tuple[Any, ...]:
    variables = (modes.grad_enabled, modes.is_lazy, modes.observers, modes.is_recomputing)
    return tuple(variable.get() for variable in (*variables, modes.differentiate))


def _model(rng: np.random.Generator) -> nn.Module:
    width = int(rng.integers(1, 4))
    return nn.Sequential(nn.Linear(2, width), nn.ReLU(), nn.Dropout(0.5), nn.Linear(width, 1))


def _derivatives(rng: np.random.Generator) -> Callable[[], None]:
    model, x = _model(rng), Tensor(rng.normal(size=(3, 2)).astype("float32"))

    def function(x: Tensor) -> Tensor:
        return (model(x) ** 2).sum()

    uses: list[Callable[[], Any]] = [
        lambda: function(x).backward(create_graph=False),
        lambda: ndl.checkpoint(function, x).backward(create_graph=False),
        lambda: ndl.grad(lambda x: ndl.grad(function)(x).sum())(x),
        lambda: ndl.jvp(function, (x,), (x,)),
        lambda: ndl.no_grad()(function)(x),
        lambda: ndl.lazy_mode()(function)(x).item(),
        lambda: ndl.hvp(function, x, x),
    ]
    return uses[rng.integers(len(uses))]


def _derivative(rng: np.random.Generator, at: int) -> str:
    use = _derivatives(rng)
    before = _modes()
    was = _interrupted(use, at)
    assert _modes() == before, f"modes {_modes()} after an interruption, before it {before}"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # gradients that nobody has read are replaced
        use()
    return "derivatives" if was else "complete"


def _file(rng: np.random.Generator, at: int) -> str:
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "file")
        ndl.save({"n": 1, "w": np.ones(3)}, path)

        def write() -> None:
            with replacing(path) as temporary:
                temporary.write_bytes(b"new")

        save = lambda: ndl.save({"n": 2, "w": np.ones(3)}, path)  # noqa: E731
        plain = rng.integers(2)
        was = _interrupted(write if plain else save, at)
        assert os.listdir(folder) == ["file"] or was, f"left behind: {os.listdir(folder)}"
        with open(path, "rb") as file:
            is_new = file.read() == b"new"
        if not is_new:
            assert ndl.load(path)["n"] in (1, 2)
        ndl.save({"n": 3}, path)  # which removes what an interruption has left
        assert os.listdir(folder) == ["file"], f"left behind: {os.listdir(folder)}"
        assert ndl.load(path) == {"n": 3}
    return "files" if was else "complete"


def _step(rng: np.random.Generator, at: int) -> str:
    """A step is repeated after an interruption: the state of no parameter is lost."""
    name = str(rng.choice(["SGD", "Adam", "AdamW", "RMSprop", "Adagrad", "Lion"]))
    settings = {"momentum": 0.9} if name in ("SGD", "RMSprop") else {}
    params = [
        nn.Parameter(rng.normal(size=shape).astype("float32"))
        for shape in [(), (3,), (2, 3)][: rng.integers(1, 4)]
    ]
    optimizer = getattr(ndl.optim, name)(params, lr=0.1, **settings)

    def give(missing: int = -1) -> None:
        for number, param in enumerate(params):
            gradient = Tensor(rng.normal(size=param.shape).astype("float32"), requires_grad=False)
            param.grad = None if number == missing else gradient

    for _ in range(rng.integers(1, 4)):
        give()
        optimizer.step()
    before = optimizer.state_dict()
    give(missing=int(rng.integers(-1, len(params))))  # so that the parameters are grouped anew
    was = _interrupted(optimizer.step, at)
    after = optimizer.state_dict()
    assert after["state"].keys() == before["state"].keys(), f"{name}: state is lost"
    for number, state in before["state"].items():
        assert after["state"][number].keys() == state.keys(), f"{name}: state of {number} is lost"
    for _ in range(2):
        give()
        optimizer.step()
    assert all(np.isfinite(param.numpy()).all() for param in params)
    return "steps" if was else "complete"


def _training(rng: np.random.Generator, at: int) -> str:
    """A training step is interrupted, then training goes on."""
    model = _model(rng)
    names = list(model.state_dict())
    optimizer = ndl.optim.Adam(model.parameters())
    loader = ndl.data.DataLoader(
        ndl.data.NDArrayDataset(rng.normal(size=(6, 2)).astype("float32")), 3, shuffle=True
    )

    def train() -> None:
        for (x,) in loader:
            optimizer.zero_grad()
            (model(x) ** 2).mean().backward(create_graph=False)
            optimizer.step()

    before = _modes()
    was = _interrupted(train, at)
    assert _modes() == before
    train()
    assert list(model.state_dict()) == names
    return "training" if was else "complete"


def _compiled(rng: np.random.Generator, at: int) -> str:
    """A compiled step is interrupted while it is recorded, compiled or run; it is made or not."""
    name = str(rng.choice(["SGD", "Adam", "RMSprop"]))
    x = Tensor(rng.normal(size=(5, 3)), requires_grad=False)
    seed, recorded = int(rng.integers(2**31)), bool(rng.integers(2))

    def build() -> tuple[Callable[[Tensor], Tensor], nn.Module]:
        ndl.manual_seed(seed)
        model = nn.Sequential(nn.Linear(3, 4), nn.Tanh(), nn.Linear(4, 1)).double()
        optimizer = getattr(ndl.optim, name)(model.parameters(), lr=0.1)

        def step(x: Tensor) -> Tensor:
            loss = (model(x) ** 2).mean()
            optimizer.reset_grad()
            loss.backward(create_graph=False)
            optimizer.step()
            return loss

        return step, model

    def weights(model: nn.Module) -> np.ndarray:
        return np.concatenate([param.numpy().ravel() for param in model.parameters()])

    eager, model = build()
    known = [weights(model)]
    for _ in range(4):
        eager(x)
        known.append(weights(model))
    function, model = build()
    step = ndl.compile(function, executor=str(rng.choice(["numpy", "numba"])))
    done = int(recorded)
    if recorded:
        step(x)
    was = _interrupted(lambda: step(x), int(at ** (1.0 if recorded else 1.4)))
    now = weights(model)
    found = [np.allclose(now, each, 1e-9, 1e-9) for each in known[done : done + 2]]
    assert any(found), f"{name}: parameters between those before and after the step"
    done += int(found[1])
    for number in (done + 1, done + 2):
        step(x)
        assert np.allclose(weights(model), known[number], 1e-9, 1e-9), f"{name}: wrong steps"
    return "compiled steps" if was else "complete"


def case(rng: np.random.Generator) -> dict[str, int]:
    """One interruption."""
    kinds = [_derivative, _file, _step, _training, _compiled]
    at = int(np.exp(rng.uniform(0, np.log(4000))))
    return {kinds[rng.integers(len(kinds))](rng, at): 1}


run = repeated(case)
