"""What a drawing shows (boxes, arrows and frames), and its text in the DOT language of Graphviz."""

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property

__all__ = ["ADJOINT", "CONSTANT", "LEGEND", "VALUE", "VARIABLE", "Arrow", "Box", "Frame", "Picture"]

VARIABLE, CONSTANT, VALUE, ADJOINT = "#cfe2f3", "#eeeeee", "#ffffff", "#fce0c8"
LEGEND = {
    VARIABLE: "variable or parameter", CONSTANT: "constant", VALUE: "result of an op",
    ADJOINT: "part of a gradient",
}  # fmt: skip


@dataclass(frozen=True)
class Box:
    """A value: the lines of its text, and the key of the frame around it."""

    name: str
    lines: Sequence[str]
    colour: str
    frame: str | None = None
    is_dashed: bool = False


@dataclass(frozen=True)
class Frame:
    """A module: the frame with the key `around`, if any, holds it."""

    key: str
    label: str
    around: str | None


@dataclass(frozen=True)
class Arrow:
    """From an operand to a value; `label` is the operand's position where the order matters."""

    start: str
    end: str
    label: str = ""
    is_dashed: bool = False


@dataclass(frozen=True)
class Picture:
    """A drawing before its layout; frames stand behind those that hold them, boxes in topological
    order."""

    boxes: Sequence[Box]
    arrows: Sequence[Arrow]
    frames: Sequence[Frame] = ()

    @cached_property
    def inside(self) -> dict[str | None, tuple[list[Box], list[Frame]]]:
        """The boxes and the frames directly inside each frame; None is the key of the picture."""
        found: dict[str | None, tuple[list[Box], list[Frame]]] = defaultdict(lambda: ([], []))
        for box in self.boxes:
            found[box.frame][0].append(box)
        for frame in self.frames:
            found[frame.around][1].append(frame)
        return found

    @property
    def legend(self) -> dict[str, str]:
        """The meaning of the colours that occur."""
        found = {box.colour for box in self.boxes if not box.is_dashed}
        return {colour: text for colour, text in LEGEND.items() if colour in found}

    def dot(self) -> str:
        """The picture in the DOT language."""
        legend = [
            f"    legend{number} [label={_quoted(text)}, fillcolor={_quoted(colour)}]"
            for number, (colour, text) in enumerate(self.legend.items())
        ]
        arrows = [f"  {arrow.start} -> {arrow.end}{_attributes(arrow)}" for arrow in self.arrows]
        return "\n".join(
            [_HEAD, *self._framed(None, "  "), *arrows, _LEGEND_HEAD, *legend, "  }", "}", ""]
        )

    def _framed(self, key: str | None, indent: str) -> Iterator[str]:
        """The boxes and the frames inside a frame."""
        boxes, frames = self.inside[key]
        for box in boxes:
            dashed = 'style="dashed,filled", ' if box.is_dashed else ""
            label = _quoted("\n".join(box.lines))
            yield f'{indent}{box.name} [label={label}, {dashed}fillcolor="{box.colour}"]'
        for frame in frames:
            yield f"{indent}subgraph cluster_{self.frames.index(frame)} {{"
            yield f"{indent}  label={_quoted(frame.label)}"
            yield from self._framed(frame.key, indent + "  ")
            yield f"{indent}}}"


_HEAD = """\
digraph needle {
  rankdir=TB
  node [shape=box, style="rounded,filled", fillcolor="#ffffff", fontname="Helvetica", fontsize=11]
  edge [color="#666666", arrowsize=0.7, fontname="Helvetica", fontsize=9]
  graph [fontname="Helvetica", fontsize=11, color="#999999", style="rounded"]"""


_LEGEND_HEAD = """\
  subgraph cluster_legend {
    label="Legend\""""


def _attributes(arrow: Arrow) -> str:
    if arrow.is_dashed:
        return " [style=dashed]"
    return f" [headlabel={_quoted(arrow.label)}]" if arrow.label else ""


def _quoted(text: str) -> str:
    escaped = text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
    return f'"{escaped}"'
