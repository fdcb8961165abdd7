"""Names of a package that are imported on first use: a training program waits for none of them."""

import ast
import sys
from collections.abc import Callable, Iterable
from importlib import import_module
from typing import Any

__all__ = ["attach"]


def attach(
    package: str, more: Iterable[str], missing: Callable[[str], Any]
) -> tuple[Callable[[str], Any], Callable[[], list[str]], list[str]]:
    """A package's `__getattr__`, `__dir__` and `__all__`, from the imports that its file lists.

    Public is what it imports `as` the same name, and `more`. What it imports so for type checkers
    only (`if TYPE_CHECKING`) is imported when it is first used. For other names it calls `missing`.
    """
    module = sys.modules[package]
    with open(str(module.__file__), encoding="utf-8") as file:
        statements = ast.walk(ast.parse(file.read()))
    homes = {
        alias.name: statement.module
        for statement in statements
        if isinstance(statement, ast.ImportFrom)
        for alias in statement.names
        if alias.name == alias.asname
    }
    public = sorted({*homes, *more})

    def __getattr__(name: str) -> Any:
        if name not in homes:
            return missing(name)
        home = homes[name]
        if home is None:  # from . import name
            value = import_module(f"{package}.{name}")
        else:
            value = getattr(import_module(f"{package}.{home}"), name)
        setattr(module, name, value)
        return value

    def __dir__() -> list[str]:
        return [*public, *(name for name in vars(module) if name.startswith("__"))]

    return __getattr__, __dir__, public
