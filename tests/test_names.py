"""The names at the top level of `needle`: at run time, in `dir` and in completion."""

import importlib.metadata
import inspect
import subprocess
import sys
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


@pytest.mark.parametrize("name", LAZY)
def test_lazy_names_are_listed_before_they_are_used(name):
    code = f"import needle; print('{name}' in vars(needle), '{name}' in dir(needle))"
    assert python(code) == "False True"


def test_names_are_completed():
    code = (
        "import needle, rlcompleter\n"
        "print(rlcompleter.Completer({'needle': needle}).complete('needle.chec', 0))"
    )
    assert python(code).startswith("needle.checkpoint")


def test_what_training_does_not_need_is_not_imported():
    code = "import needle, sys; print(*(name for name in sys.modules if 'needle.' in name))"
    floors = {name.split(".")[1] for name in python(code).split()}
    assert floors == {
        "_lazy",
        "_missing",
        "autograd",
        "data",
        "device",
        "init",
        "nn",
        "ops",
        "optim",
    }


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
