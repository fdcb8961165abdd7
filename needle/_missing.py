"""Names of PyTorch that needle does not have: the error says what to use, as docs/pytorch.md does.

The page is the only list of these names. An installed package has a copy of it beside this file.
"""

import os
import re
from contextlib import suppress
from functools import cache
from types import ModuleType
from typing import Any

from . import data, nn, optim

__all__: list[str] = []

_FOLDER = os.path.dirname(__file__)
_PLACES = (
    os.path.join(_FOLDER, "pytorch.md"),
    os.path.join(_FOLDER, os.pardir, "docs", "pytorch.md"),
)


def _say_instead(module: ModuleType) -> None:
    """Give `module` a `__getattr__` that says what to use instead of a name of PyTorch."""

    def __getattr__(name: str) -> Any:
        text = f"module {module.__name__!r} has no attribute {name!r}"
        if not name.startswith("_"):
            other = name[:-1] if name.endswith("_") else f"{name}_"  # in place, or not
            found = f"use {other}" if other in vars(module) else _instead().get(name)
            if not found and name.islower():  # a function: that of its layer
                plain = _plain(name)
                found = _instead().get(plain) or _instead().get(f"{plain}loss")
            text += f": {found} (see docs/pytorch.md)" if found else ""
        raise AttributeError(text, name=name, obj=module)

    vars(module)["__getattr__"] = __getattr__


for _module in (nn, nn.functional, nn.init, nn.utils, optim, optim.lr_scheduler, data):
    _say_instead(_module)


@cache
def _instead() -> dict[str, str]:
    """What the page says of each name, and of its plain form."""
    page = ""
    for place in _PLACES:
        with suppress(FileNotFoundError), open(place, encoding="utf-8") as file:
            page = page or file.read()
    page, _, rest = page.partition("\n## Arguments\n")
    tables = [part.partition("\n\n")[0] for part in page.split("| PyTorch | instead |")[1:]]
    entries = [
        (names, f"instead of {names}: {text}")
        for names, text in re.findall(r"^\| (.*?) \| (.*) \|$", "\n".join(tables), re.MULTILINE)
    ]
    for topic, names in re.findall(r"^- (.*?): (`(?:.|\n(?!\n|-))*)", rest, re.MULTILINE):
        text = f"needle is for feed-forward models, and leaves out: {topic.lower()}"
        entries.append((names, text))
    found: dict[str, str] = {}
    for names, text in entries:
        for prefix, name in re.findall(r"`(?:(utils|swa_utils|torch)\.|F\.|init\.)?(\w+)", names):
            for key in filter(None, (name, _plain(name), prefix)):
                found.setdefault(key, text)
    return found


def _plain(name: str) -> str:
    """`MaxPool2d` and `max_pool1d_with_indices` alike."""
    name = name.lower().removesuffix("_").removesuffix("_with_indices").replace("_", "")
    return re.sub(r"\dd$", "", name)
