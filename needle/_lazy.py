"""Names of modules: what is imported on first use, and the error for a name that is not there."""

import ast
import sys
from collections.abc import Callable
from importlib import import_module
from types import ModuleType
from typing import Any

__all__ = ["attach", "explanations", "unknown"]

explanations: list[Callable[[str, ModuleType], str]] = []
"""Called with a name and the module that lacks it: what the error says of it, or nothing."""


def unknown(module: str) -> Callable[[str], Any]:
    """The `__getattr__` of a module for names that it lacks: an error that says what to use."""

    def __getattr__(name: str) -> Any:
        asked = sys.modules[module]
        text = "".join(explain(name, asked) for explain in explanations)
        error = f"module {module!r} has no attribute {name!r}{text}"
        raise AttributeError(error, name=name, obj=asked)

    return __getattr__


def attach(package: str) -> tuple[Callable[[str], Any], Callable[[], list[str]]]:
    """A package's `__getattr__` and `__dir__`, from the imports that its file lists.

    What it imports for type checkers only (`if TYPE_CHECKING`) is imported on first use: a name
    when it is used, the files of which it imports everything in their order, until one of them has
    the name that is used. Its `__all__` is what it imports `as` the same name, and the `__all__` of
    the files of which it imports everything.
    """
    module, missing = sys.modules[package], unknown(package)
    with open(str(module.__file__), encoding="utf-8") as source:
        statements = ast.parse(source.read()).body
    names: dict[str, str | None] = {}  # and where each comes from
    files: list[str] = []
    later: list[str] = []  # those that are imported on first use
    for block in statements:
        is_later = isinstance(block, ast.If)
        for each in block.body if isinstance(block, ast.If) else [block]:
            if not isinstance(each, ast.ImportFrom):
                continue
            if each.names[0].name == "*":
                (later if is_later else files).append(str(each.module))
            else:
                public = [alias.name for alias in each.names if alias.name == alias.asname]
                names.update(dict.fromkeys(public, each.module))

    def listed() -> list[str]:
        imported = [import_module(f"{package}.{file}") for file in (*files, *later)]
        return [*names, *(name for file in imported for name in file.__all__)]

    def found(name: str) -> Any:
        if name in names and names[name] is not None:
            return getattr(import_module(f"{package}.{names[name]}"), name)
        if name in names or name in later:  # a module
            return import_module(f"{package}.{name}")
        if name == "__all__":
            return listed()
        for file in () if name.startswith("_") else later:
            imported = import_module(f"{package}.{file}")
            for each in imported.__all__:
                vars(module).setdefault(each, getattr(imported, each))
            if name in imported.__all__:
                return vars(module)[name]
        return missing(name)

    def __getattr__(name: str) -> Any:
        value = found(name)
        setattr(module, name, value)
        return value

    def __dir__() -> list[str]:
        return [*listed(), *(name for name in vars(module) if name.startswith("__"))]

    return __getattr__, __dir__
