"""What `report` and `source` of the numba executor show."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from .calls import Call
from .native.groups import Group
from .program import Node

__all__ = ["report", "source"]

_Steps = Sequence[tuple[Group, str | None]]  # groups in order, with the sources of their kernels


def report(table: Iterable[tuple[str, int, int]], steps: _Steps, nbytes: int) -> str:
    """Nodes and bytes after each pass, what became one kernel, and what could not.

    Args:
        table: the name of each pass, and the nodes and the bytes of their results after it.
        steps: the groups of the program in order, with the source of a kernel.
        nbytes: memory for everything that a step computes.
    """
    lines = [f"{'pass':<28}{'nodes':>8}{'bytes':>12}"]
    lines += [f"{name:<28}{count:>8}{_bytes(size):>12}" for name, count, size in table]
    names = _names(steps)
    lines += ["", f"{'step':<16}{'computes':<60}results"]
    for group, text in steps:
        name = names[text] if text is not None else group.kind
        lines.append(f"{name:<16}{_functions(group):<60}{_results(group)}")
    kernels = sum(group.kind == "kernel" for group, _ in steps)
    lines += ["", f"{kernels} kernels, {len(names)} of them different; memory {_bytes(nbytes)}"]
    calls = [group.nodes[0] for group, _ in steps if group.kind == "call"]
    lines += [f"not compiled: {_name(node)}: {_reason(node)}" for node in calls]
    return "\n".join(lines)


def source(steps: _Steps) -> str:
    """The source of each kernel, and the step as a function that calls them."""
    names = _names(steps)
    texts = [text.replace("def kernel(", f"def {name}(") for text, name in names.items()]
    lines = ["def step():"]
    for group, text in steps:
        name = names[text] if text is not None else group.kind
        lines.append(f"    {name}()  # {_results(group)} = {_functions(group)}")
    return "\n\n".join([*texts, "\n".join(lines) + "\n"])


def _names(steps: _Steps) -> dict[str, str]:
    """A name for each different kernel."""
    texts = dict.fromkeys(text for _, text in steps if text is not None)
    return {text: f"kernel_{i}" for i, text in enumerate(texts, 1)}


def _name(node: Node) -> str:
    return str(getattr(node.function, "__name__", type(node.function).__name__))


def _functions(group: Group) -> str:
    counts: dict[str, int] = {}
    for node in group.nodes:
        counts[_name(node)] = counts.get(_name(node), 0) + 1
    text = ", ".join(name if n == 1 else f"{name} ×{n}" for name, n in counts.items())
    return text if len(text) <= 58 else f"{text[:55]}..."


def _results(group: Group) -> str:
    """The nodes of a group that others use, as dtypes and shapes: its last one stands for all."""
    node = group.nodes[-1]
    if node.shape is None:
        return f"%{node.order[1]}"
    return f"%{node.order[1]} {node.dtype}{list(node.shape)}"


def _reason(node: Any) -> str:
    if isinstance(node.function, Call):
        return node.function.reason
    if hasattr(node.function, "stream"):
        return "random numbers are NumPy's"
    return f"kernels have no {_name(node)} of {node.dtype}{list(node.shape or ())}"


def _bytes(count: float) -> str:
    for unit in ("B", "KiB", "MiB"):
        if count < 1024:
            return f"{count:.0f} {unit}" if unit == "B" else f"{count:.1f} {unit}"
        count /= 1024
    return f"{count:.1f} GiB"
