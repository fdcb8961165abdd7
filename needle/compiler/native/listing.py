"""The generated code of a step, as a text that a person can read."""

from __future__ import annotations

from collections.abc import Sequence

from ..program import Node
from .groups import Group

__all__ = ["listing", "names_of_parts"]

_Parts = Sequence[tuple[Group, str | None]]  # groups in order, with the sources of their kernels


def names_of_parts(parts: _Parts) -> list[str]:
    """A name for each part of a step: equal kernels have the same one."""
    texts = list(dict.fromkeys(text for _, text in parts if text is not None))
    return [
        group.kind if text is None else f"kernel_{texts.index(text) + 1}" for group, text in parts
    ]


def listing(parts: _Parts) -> str:
    """The source of each kernel, and the step as a function that calls them."""
    names = names_of_parts(parts)
    sources = {
        text.replace("def kernel(", f"def {name}(")
        for (_, text), name in zip(parts, names, strict=True)
        if text is not None
    }
    lines = ["def step():"]
    for (group, _), name in zip(parts, names, strict=True):
        lines.append(f"    {name}()  # {_result(group.nodes[-1])} = {_functions(group)}")
    ordered = sorted(sources, key=lambda text: int(text.partition("(")[0].rpartition("_")[2]))
    return "\n\n".join([*ordered, "\n".join(lines) + "\n"])


def _functions(group: Group) -> str:
    functions = [node.function for node in group.nodes]
    return ", ".join(getattr(each, "__name__", type(each).__name__) for each in functions)


def _result(node: Node) -> str:
    shape = "" if node.shape is None else f" {node.dtype}{list(node.shape)}"
    return f"%{node.order[1]}{shape}"
