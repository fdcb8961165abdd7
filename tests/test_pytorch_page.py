"""The page on PyTorch names everything that PyTorch has; what it says to write instead works."""

import copy
import inspect
import re
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from needle import Tensor, data, nn, optim

torch = pytest.importorskip("torch")

PAGE = (Path(__file__).parents[1] / "docs" / "pytorch.md").read_text(encoding="utf-8")
PROSE = re.sub(r"```.*?```", "", PAGE, flags=re.DOTALL)
NAMES = set(re.findall(r"\w+", " ".join(re.findall(r"`([^`]*)`", PROSE))))
ROWS = re.findall(r"^\| (.*?) \| (.*) \|$", PAGE, re.MULTILINE)
PYTHON: dict[str, Any] = {}
for block in re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL):
    exec(compile(block, "docs/pytorch.md", "exec"), PYTHON)


# --- what needle has


def test_what_is_called_the_same_is_there():
    ours = {*dir(nn), *dir(optim), *dir(optim.lr_scheduler), *dir(nn.Module), *dir(data)}
    claimed = {
        name
        for left, right in ROWS
        if right.startswith("the same")
        for name in re.findall(r"`(\w+)`", left)
    }
    assert len(claimed) > 50
    assert claimed - ours == set()


def test_what_is_missing_is_not_there():
    ours = {*dir(nn), *dir(nn.functional), *dir(optim), *dir(optim.lr_scheduler), *dir(nn.Module)}
    ours |= {*dir(data)}
    tables = PAGE[: PAGE.index("## Arguments")].split("| PyTorch | instead |")[1:]
    missing = {
        name
        for table in tables
        for row in re.findall(r"^\| (.*?) \|", table.partition("\n\n")[0], re.MULTILINE)
        for name in re.findall(r"`(?:F\.)?(\w+)`", row)
    }
    assert len(missing) > 80
    assert missing & ours == set()


# --- nothing is left out


@pytest.mark.parametrize("module", [torch.nn, torch.optim, torch.optim.lr_scheduler])
def test_every_public_class_is_named(module):
    public = {
        name
        for name, item in inspect.getmembers(module, inspect.isclass)
        if item.__module__.startswith(("torch.nn", "torch.optim")) and not name.startswith("_")
    }
    assert len(public) > 10
    assert public - NAMES == set()


PAIRS = [
    (torch.nn.Module, nn.Module),
    (torch.nn.Sequential, nn.Sequential),
    (torch.nn.ModuleList, nn.ModuleList),
    (torch.nn.ModuleDict, nn.ModuleDict),
    (torch.nn.ParameterList, nn.ParameterList),
    (torch.optim.Optimizer, optim.Optimizer),
    (torch.optim.lr_scheduler.LRScheduler, optim.lr_scheduler.LRScheduler),
]


@pytest.mark.parametrize(("theirs", "ours"), PAIRS, ids=lambda kind: kind.__name__)
def test_every_method_is_there_or_named(theirs, ours):
    public = {name for name in dir(theirs) if not name.startswith("_")}
    assert public - set(dir(ours)) - NAMES == set()


def test_everything_of_the_data_module_is_named():
    public = {name for name in torch.utils.data.__all__ if not name.startswith("_")}
    assert public - NAMES == set()
    theirs = arguments(torch.utils.data.DataLoader) - arguments(data.DataLoader)
    assert theirs == {"pin_memory_device", "in_order"}
    assert theirs - NAMES == set()


INNER = re.compile(r"torch_function|boolean_dispatch|assert_int_or_pair|native_|Optional|Literal")


def functions(module):
    return {
        name
        for name in dir(module)
        if callable(item := getattr(module, name))
        and not (name.startswith("_") or inspect.isclass(item) or INNER.search(name))
    }


def test_every_function_is_there_or_named():
    def plain(name):
        name = name.removesuffix("_").removesuffix("_with_indices")
        return re.sub(r"\dd$", "", name.replace("_", "").lower())

    named = {plain(name) for name in NAMES | set(nn.functional.__all__)}
    theirs = functions(torch.nn.functional)
    assert len(theirs) > 100
    assert {name for name in theirs if not {plain(name), plain(name) + "loss"} & named} == set()


def test_every_function_of_init_and_utils_is_there_or_named():
    ours = NAMES | set(nn.init.__all__)
    assert {name for name in functions(torch.nn.init) if not {name, name + "_"} & ours} == set()
    utils = functions(torch.nn.utils) | set(torch.optim.swa_utils.__all__)
    assert {name for name in utils if not {name, name + "_"} & NAMES} == set()


SHARED = [
    (getattr(module, name), getattr(own, name))
    for module, own in [
        (torch.nn, nn),
        (torch.nn.functional, nn.functional),
        (torch.optim, optim),
        (torch.optim.lr_scheduler, optim.lr_scheduler),
    ]
    for name in own.__all__
    if callable(getattr(module, name, None)) and name not in ("Module", "Parameter", "Sequential")
]


def arguments(function):
    try:
        names = inspect.signature(function).parameters
    except ValueError:  # written in C
        return set()
    return {name for name in names if not name.startswith("_")}


@pytest.mark.parametrize(("theirs", "ours"), SHARED, ids=lambda function: function.__name__)
def test_every_argument_is_there_or_named(theirs, ours):
    section = PAGE[PAGE.index("## Arguments") :]
    # what is given by position only, since it has no other place
    named = {*re.findall(r"\w+", section), "args", "kwargs", "modules", "values"}
    assert arguments(theirs) - arguments(ours) - named == set()


def defaults(function):
    try:
        named = inspect.signature(function).parameters.items()
    except ValueError:
        return {}
    return {name: each.default for name, each in named if each.default is not each.empty}


OTHER_DEFAULTS = {
    ("SGD", "lr"), ("SGD", "dampening"), ("Adam", "lr"), ("Adam", "betas"), ("AdamW", "betas"),
    ("Softmax", "dim"), ("LogSoftmax", "dim"), ("softmax", "dim"), ("log_softmax", "dim"),
    ("ModuleDict", "modules"), ("Transformer", "dropout"), ("Transformer", "activation"),
    ("TransformerEncoderLayer", "activation"), ("TransformerDecoderLayer", "activation"),
}  # fmt: skip


@pytest.mark.parametrize(("theirs", "ours"), SHARED, ids=lambda function: function.__name__)
def test_defaults_are_the_same(theirs, ours):
    expected, found = defaults(theirs), defaults(ours)
    differing = {name for name in expected.keys() & found if expected[name] != found[name]}
    noted = {name for kind, name in OTHER_DEFAULTS if kind == ours.__name__}
    assert differing - {"dtype"} == noted


# --- what to write instead


def instead(name):
    """The code that the page gives for a name."""
    (row,) = [row for row in ROWS if re.search(rf"`(\w+\.)?{name}[`(]", row[0])]
    return re.match(r"`([^`]*)`", row[1])[1]


def written(name, /, **values):
    return eval(instead(name), {**PYTHON, **values})


def draws(*shape, low=-2.0, high=2.0):
    return np.random.uniform(low, high, size=shape)


ACTIVATIONS = {
    "CELU": {}, "GLU": {}, "Hardshrink": {}, "Hardsigmoid": {}, "Hardswish": {}, "LogSigmoid": {},
    "Mish": {}, "RReLU": {}, "ReLU6": {}, "SELU": {}, "Softmax2d": {},
    "Softmin": {"dim": -1}, "Softshrink": {}, "Softsign": {}, "Tanhshrink": {},
    "Threshold": {"threshold": 0.1, "value": 20},
}  # fmt: skip


@pytest.mark.parametrize("name", ACTIVATIONS)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_activation_in_a_line(name, dtype):
    values = 4 * draws(2, 3, 5, 6).astype(dtype)
    theirs = torch.tensor(values, requires_grad=True)
    module = getattr(torch.nn, name)(**ACTIVATIONS[name]).to(theirs.dtype).eval()
    expected = module(theirs)
    expected.sum().backward()
    a = Tensor(values)
    result = written(name, a=a)
    result.sum().backward()
    assert result.dtype == dtype
    rtol, atol = (1e-5, 1e-6) if dtype == "float32" else (1e-7, 1e-12)  # some of 1/6 in float32
    np.testing.assert_allclose(result.numpy(), expected.detach().numpy(), rtol, atol)
    np.testing.assert_allclose(a.grad.numpy(), theirs.grad.numpy(), rtol, atol)


OPERANDS = {
    "rows": lambda: draws(6, 4),
    "shares": lambda: draws(6, 4, low=0.1, high=0.9),
    "numbers": lambda: draws(6),
    "signs": lambda: np.sign(draws(6)),
    "classes": lambda: np.random.randint(0, 4, size=6),
}
LAYERS_AND_LOSSES = {
    "CosineSimilarity": ("rows", "rows"),
    "PairwiseDistance": ("rows", "rows"),
    "PoissonNLLLoss": ("rows", "shares"),
    "GaussianNLLLoss": ("rows", "rows", "shares"),
    "HingeEmbeddingLoss": ("numbers", "signs"),
    "SoftMarginLoss": ("numbers", "signs"),
    "MarginRankingLoss": ("numbers", "numbers", "signs"),
    "CosineEmbeddingLoss": ("rows", "rows", "signs"),
    "TripletMarginLoss": ("rows", "rows", "rows"),
    "TripletMarginWithDistanceLoss": ("rows", "rows", "rows"),
    "MultiLabelSoftMarginLoss": ("rows", "shares"),
    "MultiMarginLoss": ("rows", "classes"),
}


@pytest.mark.parametrize("name", LAYERS_AND_LOSSES)
def test_layer_or_loss_in_a_line(name):
    arrays = [OPERANDS[kind]() for kind in LAYERS_AND_LOSSES[name]]
    expected = getattr(torch.nn, name)()(*map(torch.tensor, arrays))
    values = {letter: Tensor(array) for letter, array in zip("abc", arrays, strict=False)}
    helpers = {
        "similarity": lambda a, b: written("CosineSimilarity", a=a, b=b),
        "distance": lambda a, b: written("PairwiseDistance", a=a, b=b),
    }
    result = written(name, **values, **helpers)
    np.testing.assert_allclose(result.numpy(), expected.numpy(), rtol=1e-12)


def test_functions_in_a_line():
    functional, array, other = torch.nn.functional, draws(6, 4), draws(6, 4)
    a, theirs = Tensor(array), torch.tensor(array)
    i, j = np.triu_indices(len(a), 1)
    classes, weight = np.random.randint(0, 4, size=6), draws(6, 4, low=0.1)
    b = torch.tensor(other)
    pairs = [
        (written("normalize", a=a), functional.normalize(theirs)),
        (written("pdist", a=a, i=i, j=j), functional.pdist(theirs)),
        (written("one_hot", b=Tensor(classes)), functional.one_hot(torch.tensor(classes), 4)),
        (
            written("mse_loss", a=a, b=Tensor(other), weight=Tensor(weight)),
            functional.mse_loss(theirs, b, weight=torch.tensor(weight)),
        ),
    ]
    for ours, expected in pairs:
        np.testing.assert_allclose(ours.numpy(), expected.numpy(), rtol=1e-12)
    drawn = written("gumbel_softmax", a=Tensor(np.log([0.2, 0.3, 0.5]) + np.zeros((20_000, 3))))
    counts = np.bincount(drawn.numpy().argmax(axis=1)) / 20_000
    np.testing.assert_allclose(counts, [0.2, 0.3, 0.5], atol=0.02)


def test_modules_in_a_line():
    model = nn.Sequential(nn.Linear(3, 4), nn.ReLU(), nn.Linear(4, 2))
    assert written("get_submodule", model=model, path="2") is model[2]
    weight = nn.Parameter(Tensor([1.0]))
    written("add_module", model=model, name="scale", value=weight)
    assert dict(model.named_parameters())["scale"] is weight
    model = nn.Sequential(*model)
    vector = written("parameters_to_vector", model=model)
    expected = torch.nn.utils.parameters_to_vector(
        [torch.tensor(parameter.numpy()) for parameter in model.parameters()]
    )
    np.testing.assert_array_equal(vector.numpy(), expected.numpy())


# --- optimizers and schedules


def test_adamax_of_the_page():
    start = draws(3, 4)
    ours = nn.Parameter(Tensor(start))
    theirs = torch.tensor(start, requires_grad=True)
    mine, other = PYTHON["Adamax"]([ours], lr=0.01), torch.optim.Adamax([theirs], lr=0.01)
    for _ in range(20):
        gradient = draws(3, 4)
        ours.grad, theirs.grad = Tensor(gradient), torch.tensor(gradient)
        mine.step()
        other.step()
    np.testing.assert_allclose(ours.numpy(), theirs.detach().numpy(), rtol=1e-10)


def test_step_of_whole_matrices_of_the_page():
    weight = nn.Parameter(Tensor(draws(4, 3), dtype="float32"))
    before = weight.numpy()
    weight.grad = Tensor(draws(4, 3), dtype="float32")
    PYTHON["Orthogonalized"]([weight], lr=0.5).step()
    lengths = np.linalg.svd(before - weight.numpy(), compute_uv=False)
    np.testing.assert_allclose(lengths, 0.5, rtol=1e-5)
    assert weight.requires_grad


def test_average_of_the_page():
    model = nn.Linear(2, 3)
    theirs = torch.nn.Linear(2, 3)
    theirs.weight.data = torch.tensor(model.weight.numpy().T)
    average = copy.deepcopy(model)
    decay = torch.optim.swa_utils.get_ema_multi_avg_fn(0.9)
    expected = torch.optim.swa_utils.AveragedModel(theirs, multi_avg_fn=decay)
    expected.update_parameters(theirs)
    for _ in range(3):
        change = draws(2, 3).astype("float32")
        model.weight.data += Tensor(change)
        theirs.weight.data += torch.tensor(change.T)
        PYTHON["update_average"](average, model, keep=0.9)
        expected.update_parameters(theirs)
    found = expected.module.weight.detach().numpy().T
    np.testing.assert_allclose(average.weight.numpy(), found, rtol=1e-5)


SETTINGS = SimpleNamespace(f=lambda epoch: 0.9 + 0.01 * epoch, s=3, lr=0.1, max_lr=0.5)
SCHEDULES = {
    "MultiplicativeLR": {"lr_lambda": SETTINGS.f},
    "CyclicLR": {"base_lr": SETTINGS.lr, "max_lr": SETTINGS.max_lr, "step_size_up": SETTINGS.s},
}


@pytest.mark.parametrize("name", SCHEDULES)
def test_schedule_in_a_line(name):
    other = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=SETTINGS.lr, momentum=0.9)
    theirs = getattr(torch.optim.lr_scheduler, name)(other, **SCHEDULES[name])
    optimizer = optim.SGD([Tensor([0.0])], lr=SETTINGS.lr)
    ours = written(name, optimizer=optimizer, **vars(SETTINGS))
    for _ in range(15):
        np.testing.assert_allclose(ours.get_last_lr(), theirs.get_last_lr(), rtol=1e-12)
        other.step()
        theirs.step()
        ours.step()


def test_chained_schedules():
    other = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=0.1)
    kinds = torch.optim.lr_scheduler
    theirs = kinds.ChainedScheduler([kinds.StepLR(other, 3), kinds.LinearLR(other)])
    optimizer = optim.SGD([Tensor([0.0])], lr=0.1)
    ours = [optim.lr_scheduler.StepLR(optimizer, 3), optim.lr_scheduler.LinearLR(optimizer)]
    for _ in range(10):
        np.testing.assert_allclose(optimizer.lr, other.param_groups[0]["lr"], rtol=1e-12)
        other.step()
        theirs.step()
        for schedule in ours:
            schedule.step()
