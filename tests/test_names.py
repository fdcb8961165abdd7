"""The names at the top level of `needle`: at run time, in `dir` and in completion."""

import importlib
import importlib.metadata
import inspect
import subprocess
import sys
import textwrap
from pathlib import Path
from types import ModuleType

import pytest

import needle

LAZY = ["checkpoint", "grad", "graph", "interop", "io", "jvp", "linalg", "load", "save", "summary"]


def python(code: str) -> str:
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return run.stdout.strip()


def test_all_names_exist():
    assert len(set(needle.__all__)) == len(needle.__all__) > 150
    for name in needle.__all__:
        assert hasattr(needle, name), name


def test_star_import_gives_every_name():
    names = {}
    exec("from needle import *", names)
    assert set(needle.__all__) == names.keys() - {"__builtins__"}


def test_lazy_names_are_listed_and_completed_before_they_are_used():
    code = f"""
        import needle, rlcompleter
        names = {LAZY}
        listed = dir(needle)
        print([name for name in names if name in vars(needle) or name not in listed])
        print(rlcompleter.Completer({{'needle': needle}}).complete('needle.chec', 0))
    """
    assert python(textwrap.dedent(code)).split("\n") == ["[]", "needle.checkpoint("]


def test_what_training_does_not_need_is_not_imported():
    code = """
        import sys
        import needle as ndl

        model = ndl.nn.Sequential(ndl.nn.Linear(2, 3), ndl.nn.BatchNorm1d(3), ndl.nn.ReLU())
        optimizer = ndl.optim.Adam(model.parameters())
        images, labels = ndl.init.rand(4, 2), ndl.Tensor([0, 1, 2, 0])
        loss = ndl.nn.SoftmaxLoss()(model(images), labels)
        loss.backward()
        optimizer.step()
        print(*(name for name in sys.modules if "needle." in name))
    """
    modules = {name.removeprefix("needle.") for name in python(textwrap.dedent(code)).split()}
    assert {name.partition(".")[0] for name in modules} == {
        "_lazy", "_missing", "autograd", "device", "init", "nn", "ops", "optim",
    }  # fmt: skip
    assert {name for name in modules if name.startswith("nn.")} == {
        "nn.activation", "nn.checks", "nn.container", "nn.drawn", "nn.function", "nn.functional",
        "nn.functional.layer", "nn.functional.loss", "nn.functional.normalization",
        "nn.functional.spatial", "nn.hooks", "nn.html", "nn.init", "nn.layer", "nn.loss",
        "nn.module", "nn.normalization", "nn.parameter", "nn.paths", "nn.utils",
    }  # fmt: skip
    assert modules.isdisjoint({"optim.lbfgs", "optim.lr_scheduler", "ops.ctc", "ops.rnn"})


PACKAGES = ["init", "nn", "nn.functional", "nn.utils", "optim", "data"]


def test_names_of_files_that_are_imported_on_first_use():
    code = f"""
        from importlib import import_module
        for name in {PACKAGES}:
            package = import_module(f"needle.{{name}}")
            listed = package.__all__
            assert len(listed) == len(set(listed)), name
            assert set(listed) < set(dir(package)), name
            assert all(hasattr(package, each) for each in listed), name
    """
    python(textwrap.dedent(code))


@pytest.mark.parametrize("package", PACKAGES)
def test_no_file_that_is_imported_on_first_use_hides_a_name(package):
    """Whoever imports the file makes it an attribute of the package."""
    module = importlib.import_module(f"needle.{package}")
    files = {path.stem for path in Path(str(module.__file__)).parent.glob("*.py")}
    for name in files.intersection(module.__all__):
        assert getattr(module, name) is importlib.import_module(f"needle.{package}.{name}")


def test_an_error_in_a_file_that_is_imported_on_first_use_is_not_hidden(monkeypatch):
    importlib.import_module("needle.nn.pooling")  # which no test may have done before
    monkeypatch.delitem(sys.modules, "needle.nn.pooling")
    monkeypatch.delitem(vars(needle.nn), "MaxPool2d", raising=False)
    monkeypatch.setattr(needle.nn.function.FunctionModule, "__init_subclass__", None)
    with pytest.raises(TypeError, match="NoneType"):
        _ = needle.nn.MaxPool2d


def test_internals_are_not_listed():
    public = {name for name in dir(needle) if not name.startswith("__")}
    assert public == set(needle.__all__)
    assert not [name for name in public if name.startswith("_")]
    modules = {name for name in public if isinstance(getattr(needle, name), ModuleType)}
    assert modules == {
        "autograd", "data", "distributed", "graph", "init", "interop", "io", "linalg",
        "nn", "ops", "optim", "testing", "training",
    }  # fmt: skip
    for name in public - modules:
        item = getattr(needle, name)
        assert inspect.isclass(item) or inspect.isroutine(item), name


def test_unknown_names_are_an_attribute_error():
    with pytest.raises(AttributeError, match="module 'needle' has no attribute 'nonsense'"):
        needle.nonsense  # noqa: B018
    assert not hasattr(needle, "attach")
    with pytest.raises(ImportError, match="cannot import name 'nonsense'"):
        exec("from needle import nonsense")


def test_version():
    assert needle.__version__ == importlib.metadata.version("needle-dl")
