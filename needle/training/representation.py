"""What `repr` shows of the parts of a training."""

import inspect
import os
from typing import Any

__all__ = ["shown"]


def shown(instance: Any, **more: Any) -> str:
    """`Kind(setting=value, ...)`: the arguments that are not the defaults, then `more`.

    Arguments are looked up as attributes of their names.
    """
    parts = {}
    for name, parameter in inspect.signature(type(instance)).parameters.items():
        value = getattr(instance, name, parameter.default)
        if value != parameter.default:
            parts[name] = os.fspath(value) if isinstance(value, os.PathLike) else value
    texts = [f"{name}={value!r}" for name, value in {**parts, **more}.items()]
    return f"{type(instance).__name__}({', '.join(texts)})"
