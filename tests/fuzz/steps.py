"""Random training steps, compiled against eager: results, parameters, states and random draws.

A case is a model of random layers, a loss, an optimizer with settings, a schedule, clipping and
accumulation, or two models against each other; batches of several shapes; and what a user does
between the calls. Kernels of the numba executor are compiled, or run in plain Python.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np

import needle as ndl
from needle import Tensor, nn
from tests.compiler.comparison import agree
from tests.compiler.interpreter import interpreted_kernels

from . import repeated

TOLERANCES = {"float32": 3e-3, "float64": 1e-7}  # of several steps, which amplify rounding
ACTIVATIONS = [nn.ReLU, nn.Tanh, nn.Sigmoid, nn.GELU, nn.SiLU, nn.Softplus, nn.LeakyReLU, nn.ELU]
Shape = tuple[int, ...]  # of one example
Layer = tuple[Callable[[], nn.Module], Shape]


class Last(nn.Module):
    """The last outputs of a recurrent layer, or its outputs at all times, or attention's."""

    def __init__(self, layer: nn.Module, takes: str) -> None:
        super().__init__()
        self.layer, self.takes = layer, takes

    def forward(self, x: Any) -> Any:
        if self.takes == "attention":
            return self.layer(x, x, x, need_weights=False)[0]
        outputs, _ = self.layer(x)
        return outputs[:, -1] if self.takes == "last" else outputs


def _of_features(rng: np.random.Generator, shape: Shape) -> Layer:
    """A layer for (features,)."""
    (n,) = shape
    m, p = int(rng.integers(1, 7)), float(rng.choice([0.2, 0.5]))
    bias = bool(rng.integers(2))
    inner = rng.choice(ACTIVATIONS)
    choices: list[Layer] = [
        (lambda: nn.Linear(n, m, bias=bias), (m,)),
        (lambda: nn.Linear(n, m), (m,)),
        (lambda: nn.Dropout(p), shape),
        (lambda: nn.BatchNorm1d(n), shape),
        (lambda: nn.LayerNorm(n), shape),
        (lambda: nn.RMSNorm(n), shape),
        (lambda: nn.Residual(nn.Sequential(nn.Linear(n, m), inner(), nn.Linear(m, n))), shape),
        (lambda: nn.PReLU(), shape),
        (lambda: nn.Unflatten(1, (1, n)), (1, n)),
    ]
    return choices[rng.integers(len(choices))]


def _of_sequences(rng: np.random.Generator, shape: Shape) -> Layer:
    """A layer for (length, features)."""
    length, n = shape
    m = int(rng.integers(1, 5))
    kind = rng.choice([nn.LSTM, nn.GRU, nn.RNN])
    ways = int(rng.integers(1, 3))
    layers = int(rng.integers(1, 3))

    def recurrent() -> nn.Module:
        return kind(n, m, layers, batch_first=True, bidirectional=ways == 2)

    choices: list[Layer] = [
        (lambda: Last(recurrent(), "last"), (m * ways,)),
        (lambda: Last(recurrent(), "all"), (length, m * ways)),
        (lambda: Last(nn.MultiheadAttention(n, 1, batch_first=True), "attention"), shape),
        (lambda: nn.TransformerEncoderLayer(n, 1, m, 0.1, batch_first=True), shape),
        (lambda: nn.LayerNorm(n), shape),
        (lambda: nn.Conv1d(length, m, 1), (m, n)),
        (lambda: nn.Flatten(), (length * n,)),
    ]
    return choices[rng.integers(len(choices))]


def _of_images(rng: np.random.Generator, shape: Shape) -> Layer:
    """A layer for (channels, height, width)."""
    channels, height, width = shape
    m, k = int(rng.integers(1, 4)), int(rng.integers(1, min(height, width, 3) + 1))
    pooled = (channels, height // k, width // k)
    groups = int(rng.choice([g for g in range(1, channels + 1) if channels % g == 0]))
    choices: list[Layer] = [
        (lambda: nn.Conv2d(channels, m, k), (m, height - k + 1, width - k + 1)),
        (lambda: nn.Conv2d(channels, m, 3, padding=1), (m, height, width)),
        (lambda: nn.ConvTranspose2d(channels, m, k), (m, height + k - 1, width + k - 1)),
        (lambda: nn.MaxPool2d(k), pooled),
        (lambda: nn.AvgPool2d(k), pooled),
        (lambda: nn.BatchNorm2d(channels), shape),
        (lambda: nn.GroupNorm(groups, channels), shape),
        (lambda: nn.Dropout2d(0.3), shape),
        (lambda: nn.AdaptiveAvgPool2d(1), (channels, 1, 1)),
        (lambda: nn.Upsample(scale_factor=2), (channels, 2 * height, 2 * width)),
        (lambda: nn.Flatten(), (channels * height * width,)),
    ]
    return choices[rng.integers(len(choices))]


def _model(rng: np.random.Generator, shape: Shape, outputs: int) -> Callable[[], nn.Module]:
    """Makes a model of random layers for batches of such examples; gives `outputs` numbers."""
    makes: list[Callable[[], nn.Module]] = []
    for _ in range(rng.integers(0, 6)):
        if rng.integers(3) == 0:
            makes.append(rng.choice(ACTIVATIONS))
        else:
            kinds = {1: _of_features, 2: _of_sequences, 3: _of_images}
            make, new = kinds[len(shape)](rng, shape)
            if np.prod(new) <= 200:
                makes.append(make)
                shape = new
    size = int(np.prod(shape))
    return lambda: nn.Sequential(
        *[make() for make in makes], nn.Flatten(), nn.Linear(size, outputs)
    )


def _optimizer(rng: np.random.Generator) -> Callable[[Any], ndl.optim.Optimizer]:
    """Makes an optimizer for a model, in one group or two."""
    lr, decay = float(rng.choice([0.01, 0.001])), float(rng.choice([0, 0.1]))
    choices = [
        ("SGD", {}), ("SGD", {"momentum": 0.9}), ("SGD", {"momentum": 0.5, "nesterov": True}),
        ("Adam", {"eps": 1e-2}), ("AdamW", {"eps": 1e-2}), ("RMSprop", {"eps": 1e-2}),
        ("Adam", {"eps": 1e-2, "amsgrad": True}), ("Adagrad", {"eps": 1e-2}),
    ]  # fmt: skip
    name, settings = choices[rng.integers(len(choices))]
    is_parted = rng.integers(3) == 0
    maximize = bool(rng.integers(8) == 0)

    def make(model: nn.Module) -> ndl.optim.Optimizer:
        params: Any = list(model.parameters())
        if is_parted:
            params = [{"params": params[:1]}, {"params": params[1:], "lr": lr / 2}]
            params = params if params[1]["params"] else params[:1]
        kind = getattr(ndl.optim, name)
        return kind(params, lr=lr, weight_decay=decay, maximize=maximize, **settings)

    return make


SCHEDULES: list[Callable[..., Any]] = [
    lambda optimizer: ndl.optim.StepLR(optimizer, 2, gamma=0.5),
    lambda optimizer: ndl.optim.CosineAnnealingLR(optimizer, 5),
    lambda optimizer: ndl.optim.LinearLR(optimizer, 0.5, total_iters=3),
]


def _loss(rng: np.random.Generator, outputs: int) -> tuple[Any, Callable[[int], np.ndarray]]:
    """A loss, and targets for so many examples."""
    reduction = str(rng.choice(["mean", "sum"]))
    if outputs > 1 and rng.integers(2):
        kind: Any = nn.CrossEntropyLoss(reduction=reduction, label_smoothing=0.1)
        kind = kind if rng.integers(2) else nn.SoftmaxLoss()
        return kind, lambda count: rng.integers(outputs, size=count)
    kinds = [nn.MSELoss, nn.SmoothL1Loss, nn.HuberLoss]
    return kinds[rng.integers(3)](reduction=reduction), lambda n: rng.normal(size=(n, outputs))


def _training(rng: np.random.Generator, shape: Shape, dtype: str) -> tuple[Any, Any]:
    """A function that builds a step, and one that makes what a batch of some size holds."""
    outputs = int(rng.integers(1, 4))
    make_model, make_optimizer = _model(rng, shape, outputs), _optimizer(rng)
    loss_function, targets = _loss(rng, outputs)
    clip, accumulates, reads = (int(rng.integers(4)) for _ in range(3))
    schedule = SCHEDULES[rng.integers(3)] if rng.integers(3) == 0 else None

    def build() -> Any:
        model = make_model()
        if dtype == "float64":
            model.double()
        optimizer = make_optimizer(model)
        planned = schedule(optimizer) if schedule is not None else None

        def step(x: Tensor, y: Tensor) -> Any:
            optimizer.reset_grad()
            loss = loss_function(model(x), y)
            loss.backward(create_graph=False)
            if accumulates == 0:
                with ndl.accumulate_gradients():
                    (loss_function(model(x * 0.5), y) * 0.5).backward(create_graph=False)
            if clip == 0:
                ndl.optim.clip_grad_norm_(model.parameters(), 0.1)
            optimizer.step()
            if planned is not None:
                planned.step()
            gradients = [param.grad for param in model.parameters()] if reads == 0 else []
            return {"loss": loss, "gradients": gradients}

        return step, (model, optimizer)

    def batch(count: int) -> Any:
        target = targets(count)
        target = target if target.dtype.kind == "i" else target.astype(dtype)
        return rng.normal(size=(count, *shape)).astype(dtype), target

    return build, batch


def _adversaries(rng: np.random.Generator, shape: Shape, dtype: str) -> tuple[Any, Any]:
    """Two models, each with an optimizer, as in a GAN; see `_training`."""
    shape = (int(rng.integers(1, 5)),)
    makes = _model(rng, (3,), shape[0]), _model(rng, shape, 1)
    optimizers = _optimizer(rng), _optimizer(rng)
    loss_function = nn.BCEWithLogitsLoss()

    def build() -> Any:
        generator, critic = (make() for make in makes)
        if dtype == "float64":
            generator.double()
            critic.double()
        first, second = optimizers[0](generator), optimizers[1](critic)

        def step(real: Tensor, noise: Tensor) -> Any:
            false = generator(noise)
            second.reset_grad()
            scores = critic(real), critic(false.detach())
            loss = loss_function(scores[0], ndl.ones_like(scores[0]))
            loss = loss + loss_function(scores[1], ndl.zeros_like(scores[1]))
            loss.backward(create_graph=False)
            second.step()
            first.reset_grad()
            score = critic(false)
            deceit = loss_function(score, ndl.ones_like(score))
            deceit.backward(create_graph=False)
            first.step()
            return loss, [deceit]

        return step, (generator, critic, first, second)

    def batch(count: int) -> Any:
        return tuple(rng.normal(size=(count, n)).astype(dtype) for n in (shape[0], 3))

    return build, batch


def _between(rng: np.random.Generator, steps: int) -> tuple[Callable[..., None], list[str]]:
    """What a user does before some of the steps, the same in all runs."""
    plans = [
        (str(rng.choice(list(_DEEDS))), int(rng.integers(2**31))) if rng.integers(2) else ("", 0)
        for _ in range(steps)
    ]

    def between(number: int, *owners: Any) -> None:
        name, seed = plans[number]
        if name:
            _DEEDS[name](np.random.default_rng(seed), *owners)

    return between, [name for name, _ in plans if name]


def _changed(rng: np.random.Generator, model: nn.Module, *others: Any) -> None:
    params = [param for param in model.parameters() if param.size]
    param = params[rng.integers(len(params))]
    with ndl.no_grad():
        param *= 0.9


def _replaced(rng: np.random.Generator, model: nn.Module, *others: Any) -> None:
    params = list(model.parameters())
    param = params[rng.integers(len(params))]
    array = param.numpy() * 1.1
    param.data = Tensor(np.asfortranarray(array) if rng.integers(2) else array)


def _frozen(rng: np.random.Generator, model: nn.Module, *others: Any) -> None:
    params = list(model.parameters())[:-1]
    if params:
        param = params[rng.integers(len(params))]
        param.requires_grad = not param.requires_grad


def _rate(rng: np.random.Generator, *owners: Any) -> None:
    owners[-1].param_groups[0]["lr"] *= 0.5


def _reloaded(rng: np.random.Generator, *owners: Any) -> None:
    for owner in owners:
        owner.load_state_dict(owner.state_dict())


def _evaluated(rng: np.random.Generator, model: nn.Module, *others: Any) -> None:
    model.train(not model.training)


def _cleared(rng: np.random.Generator, *owners: Any) -> None:
    for owner in owners:
        if isinstance(owner, ndl.optim.Optimizer):
            owner.zero_grad(set_to_none=bool(rng.integers(2)))


_DEEDS: dict[str, Callable[..., None]] = {
    "changed in place": _changed, "replaced": _replaced, "frozen": _frozen, "rate": _rate,
    "loaded": _reloaded, "evaluation": _evaluated, "cleared": _cleared,
}  # fmt: skip


@contextmanager
def _kernels(kind: str) -> Iterator[str]:
    """The executor, whose kernels are interpreted if that is the kind."""
    if kind != "interpreted":
        yield kind
        return
    with interpreted_kernels():
        yield "numba"


def case(rng: np.random.Generator) -> dict[str, int]:
    """Some steps of one model, or of two."""
    kind = str(rng.choice(["numpy", "numpy", "interpreted", "interpreted", "interpreted", "numba"]))
    dtype = str(rng.choice(["float32", "float64", "float64"]))
    shape = tuple(int(n) for n in rng.integers(1, 6, size=rng.integers(1, 4)))
    make = _adversaries if rng.integers(5) == 0 else _training
    build, batch = make(rng, shape, dtype)
    sizes = rng.choice(rng.integers(2, 7, size=2), size=int(rng.integers(2, 6)))
    between, deeds = _between(rng, len(sizes))
    batches = [batch(int(size)) for size in sizes]
    eager = int(rng.choice([0, 0, 2, 3]))
    with _kernels(kind) as executor, np.errstate(all="ignore"):
        agree(build, batches, executor, between, eager, TOLERANCES)
    return {"steps": len(sizes), kind: 1, make.__name__.strip("_"): 1, "deeds": len(deeds)}


run = repeated(case)
