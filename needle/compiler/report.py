"""The report on a compiled step: what the passes saved, what runs, and in which memory."""

from __future__ import annotations

from collections.abc import Sequence

from .calls import Call
from .executors import Executable
from .program import Node, Program

__all__ = ["report"]


def report(name: str, recorded: Program, executable: Executable) -> str:
    """A table of calls and bytes after each pass, then the kernels, the memory, and the rest."""
    lines = [f"{name}: {type(executable).__name__}", ""]
    lines += _table([
        ("after the pass", "calls", "bytes of their results"),
        *[(title, f"{count:,}", f"{size:,}") for title, count, size in executable.table],
    ])  # fmt: skip
    parts = executable.parts()
    lines += ["", f"{len(parts)} parts run, one after another:"]
    lines += _table([("part", "calls", "result", "what it does"), *map(_part, parts)])
    count, size = executable.memory_used()
    lines += ["", f"memory between them: {count} arrays in {size:,} bytes at most"]
    calls = {
        (each.__name__, each.reason)
        for each in [node.function for node in recorded.nodes]
        if isinstance(each, Call)
    }
    if calls:
        lines += ["", "not opened, and so not fused:"]
        lines += _table([("op", "why"), *sorted(calls)])
    return "\n".join(lines)


def _part(part: tuple[str, Sequence[Node]]) -> tuple[str, str, str, str]:
    kind, nodes = part
    last = nodes[-1]
    result = f"{last.dtype} {last.shape}" if last.shape is not None else "several"
    names = [getattr(node.function, "__name__", type(node.function).__name__) for node in nodes]
    return kind, str(len(nodes)), result, ", ".join(names)


def _table(rows: Sequence[Sequence[str]]) -> list[str]:
    """Rows as lines, numbers aligned to the right."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return [
        "  ".join([
            cell.rjust(width) if cell[:1].isdigit() else cell.ljust(width)
            for cell, width in zip(row, widths, strict=True)
        ]).rstrip()
        for row in rows
    ]  # fmt: skip
