"""The errors for names that PyTorch has and needle does not."""

import inspect
import tomllib
from pathlib import Path

import pytest

import needle as ndl
from needle import _missing, data, nn, optim

ROOT = Path(__file__).parents[1]
MODULES = [nn, nn.functional, nn.init, nn.utils, optim, optim.lr_scheduler]


@pytest.mark.parametrize(
    ("module", "name", "text"),
    [
        (nn, "SELU", r"'needle.nn' has no attribute 'SELU': instead of `SELU`: `F\.elu\(a, 1\.67"),
        (nn, "FractionalMaxPool2d", r"regions of random size: `MaxPool2d`"),
        (nn, "RNNBase", "leaves out: base classes of recurrent layers"),
        (nn.utils, "clip_grad_norm_", r"clip_grad_norm_.*in `needle\.optim`"),
        (nn.functional, "mish", r"instead of `Mish`: `a \* ndl\.tanh"),
        (nn.functional, "grid_sample", r"at the points of a regular grid alone: `F\.interpolate`"),
        (nn.functional, "normalize", r"ndl\.maximum\(ndl\.norm"),
        (nn.functional, "elu_", "use elu "),
        (nn.init, "normal", "use normal_ "),
        (nn.init, "sparse_", r"parameter\.data = "),
        (optim, "Adadelta", "with the formula as its method `update`"),
        (optim, "swa_utils", "update_average"),
        (optim.lr_scheduler, "CyclicLR", "LambdaLR"),
        (data, "IterableDataset", "endless `sampler`"),
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


@pytest.mark.parametrize("module", MODULES, ids=lambda module: module.__name__)
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
