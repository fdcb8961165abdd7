"""Random optimizers, schedules, clipping, groups and resumed states, step by step as in PyTorch."""

from collections.abc import Callable
from typing import Any

import numpy as np

import needle as ndl
from needle.optim import lr_scheduler

from . import repeated

try:
    import torch
except ImportError:
    torch = None  # type: ignore[assignment]


def _number(rng: np.random.Generator, low: float, high: float) -> float:
    """0, one of the ends, or between them on a logarithmic scale."""
    choice = rng.integers(4)
    if choice == 0 and low == 0:
        return 0.0
    return float(np.exp(rng.uniform(np.log(max(low, 1e-4)), np.log(high))))


def _settings(rng: np.random.Generator, name: str) -> tuple[dict[str, Any], dict[str, Any]]:
    """Settings for needle and for PyTorch."""
    common = {"lr": _number(rng, 1e-4, 0.5), "weight_decay": _number(rng, 0, 0.1)}
    common["maximize"] = bool(rng.integers(4) == 0)
    flag = bool(rng.integers(2))
    if name == "SGD":
        momentum = float(rng.choice([0, 0.5, 0.9]))
        nesterov = flag and momentum > 0
        dampening = 0.0 if nesterov else float(rng.choice([0, 0.3, 1]))
        common |= {"momentum": momentum, "nesterov": nesterov, "dampening": dampening}
        return common, common
    if name in ("Adam", "AdamW"):
        common |= {"betas": (float(rng.choice([0, 0.9])), 0.99), "amsgrad": flag}
        common["eps"] = float(rng.choice([1e-8, 1e-3]))
        return common, common
    if name == "RMSprop":
        common |= {"alpha": 0.9, "centered": flag, "momentum": float(rng.choice([0, 0.9]))}
        common["eps"] = 1e-3  # PyTorch's centred variance may be negative by rounding
        return common, common
    if name == "Adadelta":
        common |= {"rho": float(rng.choice([0, 0.9])), "eps": float(rng.choice([1e-6, 1e-3]))}
        return common, common
    common |= {"lr_decay": _number(rng, 0, 0.1), "initial_accumulator_value": float(flag)}
    return common, common


def _schedule(rng: np.random.Generator) -> tuple[str, dict[str, Any]]:
    schedules: list[tuple[str, dict[str, Any]]] = [
        ("StepLR", {"step_size": int(rng.integers(1, 5)), "gamma": 0.3}),
        ("MultiStepLR", {"milestones": sorted(rng.integers(1, 12, size=3).tolist()), "gamma": 0.5}),
        ("ExponentialLR", {"gamma": float(rng.choice([0.5, 0.99, 1.1]))}),
        ("CosineAnnealingLR", {"T_max": int(rng.integers(1, 12)), "eta_min": 1e-3}),
        ("LinearLR", {"start_factor": 0.1, "total_iters": int(rng.integers(1, 9))}),
        ("ConstantLR", {"factor": 0.2, "total_iters": int(rng.integers(1, 9))}),
        ("PolynomialLR", {"total_iters": int(rng.integers(1, 12)), "power": 2.0}),
        ("LambdaLR", {"lr_lambda": lambda step: 1 / (1 + step)}),
        ("OneCycleLR", {"max_lr": 0.1, "total_steps": 40, "cycle_momentum": False}),
        ("ReduceLROnPlateau", {"patience": int(rng.integers(3)), "factor": 0.5}),
    ]
    return schedules[rng.integers(len(schedules))]


class _Pair:
    """needle's and PyTorch's optimizer on the same parameters, in groups."""

    def __init__(self, rng: np.random.Generator) -> None:
        self.rng = rng
        self.dtype = str(rng.choice(["float32", "float64"]))
        self.name = str(rng.choice(["SGD", "Adam", "AdamW", "RMSprop", "Adagrad", "Adadelta"]))
        groups, twins = [], []
        for _ in range(rng.integers(1, 4)):
            shapes = [
                tuple(rng.integers(1, 5, size=rng.integers(3))) for _ in range(rng.integers(1, 4))
            ]
            arrays = [np.asarray(rng.normal(size=shape), self.dtype) for shape in shapes]
            own = {"lr": _number(rng, 1e-3, 0.3)} if rng.integers(2) else {}
            groups.append({"params": [ndl.nn.Parameter(array) for array in arrays], **own})
            twins.append({"params": [torch.nn.Parameter(torch.tensor(a)) for a in arrays], **own})
        ours, theirs = _settings(rng, self.name)
        self.ours, self.theirs = ours, theirs
        self.optimizer = getattr(ndl.optim, self.name)(groups, **ours)
        self.twin = getattr(torch.optim, self.name)(twins, **theirs)

    def params(self) -> list[tuple[Any, Any]]:
        pairs = zip(self.optimizer.param_groups, self.twin.param_groups, strict=True)
        return [
            each
            for group, twin in pairs
            for each in zip(group["params"], twin["params"], strict=True)
        ]

    def give_gradients(self) -> None:
        size = float(self.rng.choice([1e-3, 1, 30]))
        missing = self.rng.integers(5) == 0
        for param, twin in self.params():
            if missing and self.rng.integers(2):
                param.grad = twin.grad = None
                continue
            gradient = np.asarray(self.rng.normal(size=param.shape) * size, self.dtype)
            param.grad = ndl.Tensor(gradient, requires_grad=False)
            twin.grad = torch.tensor(gradient)

    def clip(self) -> None:
        pairs = [pair for pair in self.params() if pair[0].grad is not None]
        if not pairs:
            return  # PyTorch raises
        ours, theirs = (list(each) for each in zip(*pairs, strict=True))
        if self.rng.integers(2):
            ndl.optim.clip_grad_value_(ours, 0.5)
            torch.nn.utils.clip_grad_value_(theirs, 0.5)
            return
        kind = float(self.rng.choice([1, 2, 3, np.inf]))
        limit = _number(self.rng, 0.1, 10)
        norm = ndl.optim.clip_grad_norm_(ours, limit, kind)
        expected = torch.nn.utils.clip_grad_norm_(theirs, limit, kind).item()
        assert abs(norm - expected) <= 1e-5 * (1 + expected), f"norm {norm}, expected {expected}"

    def resume(self) -> None:
        """Go on with new optimizers that load the states of these."""
        ours, theirs = self.optimizer.state_dict(), self.twin.state_dict()
        groups = [{"params": list(g["params"])} for g in self.optimizer.param_groups]
        twins = [{"params": list(g["params"])} for g in self.twin.param_groups]
        self.optimizer = getattr(ndl.optim, self.name)(groups, **self.ours)
        self.twin = getattr(torch.optim, self.name)(twins, **self.theirs)
        self.optimizer.load_state_dict(ours)
        self.twin.load_state_dict(theirs)

    def compare(self, step: int) -> None:
        tolerance = 2e-4 if self.dtype == "float32" else 1e-9
        for number, (param, twin) in enumerate(self.params()):
            found, expected = param.numpy(), twin.detach().numpy()
            assert found.dtype == expected.dtype
            error = np.abs(found - expected).max(initial=0)
            assert error <= tolerance * (1 + np.abs(expected).max(initial=0)), (
                f"{self.name}({self.ours}), {self.dtype}: parameter {number} of shape "
                f"{param.shape} is off by {error:.3g} after step {step}"
            )


def case(rng: np.random.Generator) -> dict[str, int]:
    """Some steps with one optimizer."""
    pair = _Pair(rng)
    name, settings = _schedule(rng)
    has_schedule = bool(rng.integers(2))
    step_schedule: Callable[..., None] = lambda *args: None  # noqa: E731
    if has_schedule:
        ours = getattr(lr_scheduler, name)(pair.optimizer, **settings)
        theirs = getattr(torch.optim.lr_scheduler, name)(pair.twin, **settings)

        def step_schedule(*args: float) -> None:
            ours.step(*args)
            theirs.step(*args)

    steps = int(rng.integers(1, 15))
    resumes = -1 if has_schedule else int(rng.integers(-5, steps))
    for step in range(steps):
        pair.give_gradients()
        if rng.integers(4) == 0:
            pair.clip()
        pair.optimizer.step()
        pair.twin.step()
        pair.compare(step)
        step_schedule(*((float(rng.normal()),) if name == "ReduceLROnPlateau" else ()))
        rates = [[g["lr"] for g in each.param_groups] for each in (pair.optimizer, pair.twin)]
        assert np.allclose(*rates, rtol=1e-9), f"{name}({settings}): rates {rates} at step {step}"
        if step == resumes:
            pair.resume()
    return {"steps": steps, pair.name: 1, "schedules": int(has_schedule)}


run = repeated(case)
