"""Names of `needle` that are imported on first use: a training program waits for none of them."""

import sys
from importlib import import_module
from typing import Any

__all__ = ["attribute"]

_MODULES = {
    "differentiation": [
        "checkpoint",
        "detect_anomaly",
        "grad",
        "hessian",
        "hvp",
        "jacobian",
        "jvp",
        "value_and_grad",
        "vjp",
    ],
    "graph": ["graph", "summary"],
    "io": ["io", "load", "save"],
    "io.files": ["files"],
    "interop": ["interop"],
    "linalg": ["linalg"],
    "testing": ["testing"],
}
_HOMES = {name: module for module, names in _MODULES.items() for name in names}


def attribute(name: str) -> Any:
    """`needle.name`, for Python's module `__getattr__`: imported, and kept there."""
    package = __name__.rpartition(".")[0]
    if name not in _HOMES:
        raise AttributeError(f"module {package!r} has no attribute {name!r}")
    module = import_module(f"{package}.{_HOMES[name]}")
    value = module if name == _HOMES[name].rpartition(".")[2] else getattr(module, name)
    setattr(sys.modules[package], name, value)
    return value
