"""Random models and losses: outputs, gradients and running statistics are those of PyTorch."""

from typing import Any

import numpy as np

import needle as ndl
from needle import Tensor, nn
from needle.io import to_torch_state_dict

from . import repeated

try:
    import torch
except ImportError:
    torch = None  # type: ignore[assignment]

Pair = tuple[Any, Any]  # a layer, and PyTorch's

DTYPE = "float64"  # norms of norms lose most digits of float32
EPS = 1e-2  # of normalisations: each one of a constant enlarges rounding errors by 1/√eps

ACTIVATIONS: list[tuple[str, dict[str, Any]]] = [
    ("ELU", {"alpha": 0.7}), ("GELU", {}), ("GELU", {"approximate": "tanh"}), ("Hardtanh", {}),
    ("LeakyReLU", {"negative_slope": 0.1}), ("ReLU", {}), ("Sigmoid", {}), ("SiLU", {}),
    ("Softplus", {"beta": 2.0}), ("Tanh", {}), ("Softmax", {"dim": -1}),
    ("LogSoftmax", {"dim": -1}), ("Identity", {}),
]  # fmt: skip


def _layer(rng: np.random.Generator, shape: tuple[int, ...]) -> tuple[Pair, tuple[int, ...]]:
    """A layer for inputs of this shape, and the shape of its output."""
    features, theirs = shape[-1], torch.nn
    kind = rng.integers(9)
    if kind < 3:
        name, settings = ACTIVATIONS[rng.integers(len(ACTIVATIONS))]
        return (getattr(nn, name)(**settings), getattr(theirs, name)(**settings)), shape
    if kind < 5:
        out, bias = int(rng.integers(1, 6)), bool(rng.integers(2))
        pair = nn.Linear(features, out, bias, dtype=DTYPE), theirs.Linear(features, out, bias)
        return pair, (*shape[:-1], out)
    if kind == 5 and len(shape) == 2 and shape[0] > 1:
        settings = {"momentum": 0.3, "affine": bool(rng.integers(2)), "eps": EPS}
        settings["track_running_stats"] = bool(rng.integers(4))
        return (
            nn.BatchNorm1d(features, dtype=DTYPE, **settings),
            _biased(features, settings),
        ), shape
    if kind == 6:
        last = shape[-int(rng.integers(1, len(shape))) :]
        affine = bool(rng.integers(2))
        ours = nn.LayerNorm(last, EPS, elementwise_affine=affine, dtype=DTYPE)
        return (ours, theirs.LayerNorm(last, EPS, elementwise_affine=affine)), shape
    if kind == 7 and features % 2 == 0 and len(shape) == 2:
        ours = nn.GroupNorm(2, features, EPS, dtype=DTYPE)
        return (ours, theirs.GroupNorm(2, features, EPS)), shape
    if kind == 7:
        return (nn.RMSNorm(features, EPS, dtype=DTYPE), theirs.RMSNorm(features, EPS)), shape
    if kind == 8 and rng.integers(2):
        inner, pairs = shape, []
        for _ in range(rng.integers(1, 3)):
            pair, after = _layer(rng, inner)
            if after == shape:
                pairs.append(pair)
        ours, twins = ([each[i] for each in pairs] for i in (0, 1))
        return (nn.Residual(nn.Sequential(*ours)), _Residual(theirs.Sequential(*twins))), shape
    if len(shape) == 3:
        return (nn.Flatten(), theirs.Flatten()), (shape[0], shape[1] * shape[2])
    return (nn.Dropout(0.0), theirs.Dropout(0.0)), shape


if torch is not None:

    class _Residual(torch.nn.Module):
        def __init__(self, fn: Any) -> None:
            super().__init__()
            self.fn = fn

        def forward(self, x: Any) -> Any:
            return self.fn(x) + x

    class _BatchNorm(torch.nn.BatchNorm1d):
        """The running variance is that of the batch as observed, as in needle."""

        def forward(self, x: Any) -> Any:
            if not (self.training and self.track_running_stats):
                return super().forward(x)
            former = self.running_var.clone()
            result = super().forward(x)
            observed = x.detach().var(0, correction=0)
            self.running_var = (1 - self.momentum) * former + self.momentum * observed
            return result


def _biased(features: int, settings: dict[str, Any]) -> Any:
    return _BatchNorm(features, **settings)


def _loss(rng: np.random.Generator, shape: tuple[int, ...]) -> tuple[str, Pair, tuple[Any, Any]]:
    """A loss for outputs of this shape, and a target for each library."""
    reduction = str(rng.choice(["mean", "sum"]))
    name = str(rng.choice(["MSELoss", "L1Loss", "SmoothL1Loss", "HuberLoss", "BCEWithLogitsLoss"]))
    target = rng.normal(size=shape).astype(DTYPE)
    settings: dict[str, Any] = {"reduction": reduction}
    if name == "BCEWithLogitsLoss":
        target = rng.random(shape).astype(DTYPE)
    if len(shape) == 2 and rng.integers(2):
        name = "CrossEntropyLoss"
        settings["label_smoothing"] = float(rng.choice([0, 0.2]))
        target = rng.integers(shape[1], size=shape[0])
        if shape[1] > 1 and rng.integers(3) == 0:
            target[0] = settings["ignore_index"] = shape[1] - 1
            target[-1] = 0  # the mean of no losses is an error, in PyTorch NaN
    pair = getattr(nn, name)(**settings), getattr(torch.nn, name)(**settings)
    return name, pair, (Tensor(target, requires_grad=False), torch.from_numpy(target))


def _close(found: Any, expected: Any, what: str) -> None:
    found, expected = np.asarray(found), np.asarray(expected)
    found = found.reshape(expected.shape)
    assert np.array_equal(np.isnan(found), np.isnan(expected)), f"{what}: NaN in one of both"
    scale = 1 + np.nanmax(np.abs(expected), initial=0)
    error = np.nanmax(np.abs(found - expected), initial=0)
    assert error <= 1e-7 * scale, f"{what}: off by {error:.3g} of {scale:.3g}"


def case(rng: np.random.Generator) -> dict[str, int]:
    """One model, in training and in evaluation."""
    shape = tuple(int(n) for n in rng.integers(2, 6, size=rng.integers(2, 4)))
    data, pairs = rng.normal(size=shape).astype(DTYPE), []
    for _ in range(rng.integers(1, 8)):
        pair, shape = _layer(rng, shape)
        pairs.append(pair)
    ours, theirs = ([pair[i] for pair in pairs] for i in (0, 1))
    model, twin = nn.Sequential(*ours), torch.nn.Sequential(*theirs).double()
    with ndl.no_grad():
        for param in model.parameters():
            param.data = Tensor(rng.normal(size=param.shape).astype(DTYPE) * 0.7)
    twin.load_state_dict(to_torch_state_dict(model))
    name, (loss, twin_loss), (target, twin_target) = _loss(rng, shape)
    for training in (True, False):
        (model.train if training else model.eval)()
        twin.train(training)
        x, z = Tensor(data), torch.tensor(data, requires_grad=True)
        y, expected = model(x), twin(z)
        _close(y.numpy(), expected.detach(), f"output of {model}")
        if not training:
            break
        value, twin_value = loss(y, target), twin_loss(expected, twin_target)
        _close(value.numpy(), twin_value.detach(), f"{name} after {model}")
        value.backward(create_graph=bool(rng.integers(2)))
        twin_value.backward()
        _close(x.grad.numpy(), z.grad, f"gradient of the input of {model}, {name}")
        gradients, owners = dict(twin.named_parameters()), dict(model.named_modules())
        for path, param in model.named_parameters():
            if param.grad is None:
                continue
            expected = gradients[path].grad
            owner, _, kind = path.rpartition(".")
            if kind == "weight" and isinstance(owners[owner], nn.Linear):
                expected = expected.T
            _close(param.grad.numpy(), expected, f"gradient of {path} of {model}, {name}")
    for path, expected in twin.state_dict().items():
        if "running" in path:
            _close(model.state_dict()[path].numpy(), expected, f"{path} of {model}")
    return {"layers": len(pairs), name: 1}


run = repeated(case)
