"""The errors for names that PyTorch has and needle does not."""

import inspect
import pickle
import re
import tomllib
from pathlib import Path

import numpy as np
import pytest

import needle as ndl
from needle import Tensor, _missing, data, nn, optim

ROOT = Path(__file__).parents[1]
MODULES = [ndl, data, nn, nn.functional, nn.init, nn.utils, optim, optim.lr_scheduler]


@pytest.mark.parametrize(
    ("module", "name", "text"),
    [
        (nn, "SELU", r"'needle.nn' has no attribute 'SELU': instead of `SELU`: `F\.elu\(a, 1\.67"),
        (nn, "FractionalMaxPool2d", r"regions of random size: `MaxPool2d`"),
        (nn, "RNNBase", "instead of `RNNBase`.*the base classes"),
        (nn.utils, "clip_grad_norm_", r"clip_grad_norm_.*in `needle\.optim`"),
        (nn.functional, "mish", r"instead of `Mish`: `a \* ndl\.tanh"),
        (nn.functional, "grid_sample", r"at the points of a regular grid alone: `F\.interpolate`"),
        (nn.functional, "normalize", r"ndl\.maximum\(ndl\.norm"),
        (nn.functional, "elu_", "use elu "),
        (nn.init, "normal", "use normal_ "),
        (nn.init, "sparse_", r"parameter\.data = "),
        (optim, "NAdam", "with the formula as its method `update`"),
        (optim, "swa_utils", "update_average"),
        (optim.lr_scheduler, "CyclicLR", "LambdaLR"),
        (data, "IterableDataset", "endless `sampler`"),
        (
            ndl,
            "mul",
            r"'needle' has no attribute 'mul': instead of .*the operators `a - b`, `a \* b`",
        ),
        (ndl, "Linear", r"use needle\.nn\.Linear "),
        (ndl, "DataLoader", r"use needle\.data\.DataLoader "),
        (ndl, "NAdam", "as its method `update`"),
        (ndl, "one_hot", r"`ndl\.init\.one_hot\("),
        (ndl, "repeat_interleave", r"use the method x\.repeat_interleave\(\.\.\.\)"),
        (ndl, "LongTensor", r"ndl\.tensor\(\[1, 2\], dtype=\"int64\"\)"),
        (Tensor([1.0]), "mul", r"'Tensor' object has no attribute 'mul': instead of .*`a \* b`"),
        (Tensor([1.0]), "logical_and", r"use needle\.logical_and\(x, \.\.\.\)"),
        (Tensor([1.0]), "relu_", r"use x\.copy_\(x\.relu\(\.\.\.\)\) under needle\.no_grad\(\)"),
        (Tensor([1.0]), "uniform_", r"use needle\.nn\.init\.uniform_ "),
        (nn.Parameter(Tensor([1.0])), "new_zeros", r"'Parameter' object .*ndl\.zeros\("),
    ],
)
def test_error_says_what_to_use(module, name, text) -> None:
    with pytest.raises(AttributeError, match=text):
        getattr(module, name)
    assert not hasattr(module, name)


@pytest.mark.parametrize("module", MODULES, ids=lambda module: module.__name__)
def test_other_names(module) -> None:
    for name in ("Foo", "foo", "_foo", "__foo__"):
        with pytest.raises(AttributeError, match=f"has no attribute '{name}'$") as caught:
            getattr(module, name)
        assert (caught.value.name, caught.value.obj) == (name, module)


def test_other_attributes_of_tensors() -> None:
    x = Tensor([[3.0, 1.0]])
    for name in ("foo", "_foo", "__foo__", "indices"):
        with pytest.raises(AttributeError, match=f"'Tensor' object has no attribute '{name}'$"):
            getattr(x, name)
    values = pickle.loads(pickle.dumps(x.max(1)))
    with pytest.raises(AttributeError, match="a pickled result of max, min or sort has no indices"):
        _ = values.indices


def test_what_the_page_calls_missing_is_missing_as_function_or_method() -> None:
    page = (ROOT / "docs" / "pytorch.md").read_text(encoding="utf-8")
    table = page.split("| PyTorch | instead |")[1].partition("\n\n")[0]
    names = re.findall(r"`(\w+)`", " ".join(re.findall(r"^\| (.*?) \|", table, re.MULTILINE)))
    assert len(names) > 150
    assert [each for each in names if hasattr(ndl, each) and hasattr(Tensor, each)] == []
    unknown = [each for each in names if not hasattr(ndl, each) and not _missing._hint(each, {})]
    assert unknown == []


@pytest.mark.parametrize(
    "name",
    [
        "square", "rsqrt", "reciprocal", "acos", "atan2", "acosh", "asinh", "atanh",
        "trunc", "frac", "absolute", "hypot", "logit", "erfc", "xlogy", "lerp", "addcmul",
        "addcdiv", "clamp_min", "clamp_max", "cdist", "count_nonzero", "ravel",
    ],
)  # fmt: skip
def test_what_the_page_says_gives_pytorchs_numbers(name) -> None:
    torch = pytest.importorskip("torch")
    page = (ROOT / "docs" / "pytorch.md").read_text(encoding="utf-8")
    ((names, text),) = re.findall(rf"^\| (.*?`{name}`.*?) \| (.*) \|$", page, re.MULTILINE)
    place = re.findall(r"`(\w+)`", names).index(name)
    code = re.findall(r"`([^`]*)`", text)[place]
    arrays = np.random.default_rng(0).uniform(0.1, 0.9, size=(3, 4, 4))
    theirs = [torch.tensor(each) for each in arrays]
    ours = dict(zip("abc", map(Tensor, arrays), strict=True))
    function = getattr(torch, name, None) or getattr(torch.Tensor, name)
    options = {"clamp_min": (0,), "clamp_max": (1,)}.get(name)
    with np.errstate(invalid="ignore"):
        result = eval(code, {"ndl": ndl, "np": np, **ours})
        count = len(set(re.findall(r"\b[abc]\b", code))) or 1 + (name == "atan2")
        if callable(result):
            result = result(*list(ours.values())[:count])
    expected = function(*theirs[: count if options is None else 1], *(options or ()))
    np.testing.assert_allclose(result.numpy(), np.asarray(expected), rtol=1e-10)


@pytest.mark.parametrize("module", MODULES[2:], ids=lambda module: module.__name__)
def test_everything_public_of_pytorch(module) -> None:
    torch = pytest.importorskip("torch")
    theirs = torch
    for part in module.__name__.split(".")[1:]:
        theirs = getattr(theirs, part)
    unexplained = []
    for name, value in vars(theirs).items():
        is_public = inspect.isclass(value) or inspect.isfunction(value)
        home = getattr(value, "__module__", "") or ""
        if name.startswith("_") or not is_public or not home.startswith("torch.nn.modules"):
            is_public = home == theirs.__name__ and not name.startswith("_")
        if is_public and not hasattr(module, name):
            with pytest.raises(AttributeError) as caught:
                getattr(module, name)
            if "(see docs/pytorch.md)" not in str(caught.value):
                unexplained.append(name)
    internal = {"boolean_dispatch", "assert_int_or_pair", "factory_kwargs"}
    assert set(unexplained) - internal - {"ScalingType", "SwizzleType"} == set()


def test_a_package_has_a_copy_of_the_page(monkeypatch, tmp_path) -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    copied = project["tool"]["hatch"]["build"]["targets"]["wheel"]["force-include"]
    assert copied == {"docs/pytorch.md": "needle/pytorch.md"}
    beside, _ = _missing._PLACES
    assert Path(beside) == Path(ndl.__file__).parent / "pytorch.md"
    (tmp_path / "pytorch.md").write_bytes((ROOT / "docs" / "pytorch.md").read_bytes())
    for places, text in [((tmp_path / "pytorch.md",), "F.elu"), ((tmp_path / "none",), "'SELU'$")]:
        monkeypatch.setattr(_missing, "_PLACES", places)
        _missing._instead.cache_clear()
        with pytest.raises(AttributeError, match=text):
            _ = nn.SELU
    _missing._instead.cache_clear()


def test_tensors_have_no_getattr() -> None:
    """With one Python looks up every attribute in a slower way: a step takes 8 % longer."""
    assert not hasattr(Tensor, "__getattr__")
    assert not {"logical_and", "relu_"} & set(dir(Tensor([1.0])))
