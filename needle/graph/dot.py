"""Scenes in the DOT language of Graphviz."""

from __future__ import annotations

from collections.abc import Iterator

from .scene import Box, Scene, frame_around

__all__ = ["dot_source"]

_COLOURS = {
    "variable": "#cfe2f3",
    "constant": "#eeeeee",
    "op": "#ffffff",
    "adjoint": "#fce0c8",
}

_HEAD = """\
digraph needle {
  rankdir=TB
  node [shape=box, style="rounded,filled", fillcolor="#ffffff", fontname="Helvetica", fontsize=11]
  edge [color="#666666", arrowsize=0.7]
  graph [fontname="Helvetica", fontsize=11, color="#999999", style="rounded"]"""


def dot_source(scene: Scene) -> str:
    """`scene` as a DOT file."""
    return "\n".join([_HEAD, *_nodes(scene), *_edges(scene), "}"]) + "\n"


def _nodes(scene: Scene) -> Iterator[str]:
    inside: dict[str | None, list[int]] = {}
    for number, box in enumerate(scene.boxes):
        inside.setdefault(box.frame, []).append(number)
    for number in inside.get(None, []):
        yield _node(number, scene.boxes[number], "  ")
    open_frames: list[str] = []  # outer frames come first, so that they close in reverse
    for count, (path, label) in enumerate(scene.frames.items()):
        around = frame_around(path, scene.frames)
        while open_frames and open_frames[-1] != around:
            open_frames.pop()
            yield "  " * (len(open_frames) + 1) + "}"
        indent = "  " * (len(open_frames) + 1)
        yield f"{indent}subgraph cluster_{count} {{"
        yield f"{indent}  label={_quoted(label)}"
        open_frames.append(path)
        for number in inside.get(path, []):
            yield _node(number, scene.boxes[number], indent + "  ")
    while open_frames:
        open_frames.pop()
        yield "  " * (len(open_frames) + 1) + "}"
    if scene.hidden:
        text = f"… {scene.hidden:,} more values, not drawn"
        yield f'  hidden [label={_quoted(text)}, style="dashed,filled", fillcolor="#ffffff"]'


def _node(number: int, box: Box, indent: str) -> str:
    label = _quoted("\n".join(box.lines))
    return f'{indent}n{number} [label={label}, fillcolor="{_COLOURS[box.kind]}"]'


def _edges(scene: Scene) -> Iterator[str]:
    for number, box in enumerate(scene.boxes):
        for operand in box.operands:
            yield f"  n{operand} -> n{number}"
        if box.has_hidden_operands:
            yield f"  hidden -> n{number} [style=dashed]"


def _quoted(text: str) -> str:
    escaped = text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
    return f'"{escaped}"'
