"""A program as a picture, for `needle.graph.draw`."""

from __future__ import annotations

from typing import Any

from ..graph.picture import CONSTANT, VALUE, VARIABLE, Arrow, Box, Picture
from .program import Constant, Node, Program, title

__all__ = ["ProgramGraph"]


class ProgramGraph:
    """The calls of a compiled step, which `needle.graph.draw` draws."""

    def __init__(self, program: Program) -> None:
        self.program = program

    def to_picture(self, max_nodes: int | None = None) -> Picture:
        """Boxes for arguments, captured tensors, constants, calls and assignments.

        Of more than `max_nodes` nodes, the last are drawn.
        """
        nodes = self.program.nodes
        hidden = 0 if max_nodes is None else max(len(nodes) - max_nodes, 0)
        shown = {node: f"n{i}" for i, node in enumerate(nodes[hidden:])}
        boxes, arrows = [], []
        if hidden:
            boxes.append(Box("hidden", [f"… {hidden:,} more calls, not drawn"], VALUE))
        for node, name in shown.items():
            boxes.append(Box(name, _lines(node), _colour(node)))
            operands = node.nodes
            for position, operand in enumerate(operands, start=1):
                if operand in shown:
                    label = str(position) if len(operands) > 1 else ""
                    arrows.append(Arrow(shown[operand], name, label))
        for i, (leaf, value) in enumerate(self.program.assignments):
            if value in shown:
                boxes.append(Box(f"assigned{i}", ["assign", title(leaf)], VARIABLE))
                arrows.append(Arrow(shown[value], f"assigned{i}"))
        return Picture(boxes, arrows)

    def __repr__(self) -> str:
        calls = [node for node in self.program.nodes if node.function is not None]
        return f"ProgramGraph(calls={len(calls)})"


def _lines(node: Node) -> list[str]:
    settings: Any = [f"{name}={value}" for name, value in node.options.items()]
    sizes = [(node.shape, node.dtype)] if node.shape is not None else node.entries
    return [title(node), *settings, *[f"{dtype} {shape}" for shape, dtype in sizes]]


def _colour(node: Node) -> str:
    if isinstance(node, Constant):
        return CONSTANT
    return VARIABLE if node.function is None else VALUE
