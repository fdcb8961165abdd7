"""A layered layout, which draws pictures as SVG where Graphviz is not installed.

After Sugiyama, Tagawa and Toda, "Methods for visual understanding of hierarchical system
structures" (1981): layers by the longest path to a result, dummy nodes where an arrow crosses a
layer, an order within the layers by barycenters, then positions. A frame is laid out first, and is
a node of the layout around it.
"""

import html
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import pairwise

from .picture import Arrow, Box, Frame, Picture

__all__ = ["svg"]

_LINE, _LETTER, _PADDING = 14.0, 6.4, 8.0  # in pixels, for letters of 11 pixels
_GAP, _DISTANCE = 18.0, 34.0  # between the nodes of a layer, and between layers
_SWEEPS = 6

Point = tuple[float, float]
# in each frame, the number of an arrow and what it joins; None is the outside of the frame
Links = dict[str | None, list[tuple[int, str | None, str | None]]]


@dataclass(eq=False)
class _Node:
    """A box, a frame, or a dummy of an arrow. Positions are relative to the frame around it."""

    width: float = 0.0
    height: float = 0.0
    item: Box | Frame | None = None
    content: "_Block | None" = None  # of a frame
    layer: int = 0
    x: float = 0.0  # of the centre
    y: float = 0.0  # of the upper side


@dataclass
class _Block:
    """The layout of a frame, or of the whole picture."""

    nodes: list[_Node]
    ways: dict[int, list[_Node]]  # by the number of an arrow, the dummies in its way
    width: float
    height: float


def svg(picture: Picture) -> str:
    """The picture as SVG text."""
    homes = {frame.key: frame.around for frame in picture.frames}
    frames_of = {box.name: box.frame for box in picture.boxes}
    links: Links = defaultdict(list)
    for number, arrow in enumerate(picture.arrows):
        starts, ends = (_around(name, frames_of, homes) for name in (arrow.start, arrow.end))
        shared = next(d for d, (a, b) in enumerate(zip(starts, ends, strict=False)) if a != b)
        links[starts[shared - 1] if shared else None].append((number, starts[shared], ends[shared]))
        for frame, item in pairwise(starts[shared:]):  # which the arrow leaves
            links[frame].append((number, item, None))
        for frame, item in pairwise(ends[shared:]):  # which the arrow enters
            links[frame].append((number, None, item))
    block = _layout(None, picture, links)
    painter = _Painter()
    painter.block(block, 0.0, 0.0)
    painter.arrows(picture.arrows)
    legend = painter.legend(picture.legend, block.height + _GAP)
    width, height = max(block.width, legend[0]) + 2 * _GAP, legend[1] + 2 * _GAP
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width:.0f}" height="{height:.0f}" '
        f'viewBox="{-_GAP:.0f} {-_GAP:.0f} {width:.0f} {height:.0f}" '
        'font-family="Helvetica, Arial, sans-serif" font-size="11">\n'
        '<defs><marker id="head" markerWidth="7" markerHeight="6" refX="7" refY="3" orient="auto">'
        '<path d="M0,0 L7,3 L0,6 z" fill="#666666"/></marker></defs>\n'
        + "\n".join(painter.lines)
        + "\n</svg>\n"
    )


def _around(name: str, frames_of: dict[str, str | None], homes: dict[str, str | None]) -> list[str]:
    """The keys of the frames around a box, outermost first, then its name."""
    keys, key = [name + " "], frames_of[name]  # no frame has such a key
    while key is not None:
        keys.append(key)
        key = homes[key]
    return keys[::-1]


def _layout(key: str | None, picture: Picture, links: Links) -> _Block:
    boxes, frames = picture.inside[key]
    nodes: dict[str, _Node] = {}
    for box in boxes:
        width = max(map(len, box.lines)) * _LETTER + 2 * _PADDING
        nodes[box.name + " "] = _Node(width, len(box.lines) * _LINE + _PADDING, box)
    for frame in frames:
        content = _layout(frame.key, picture, links)
        width = max(content.width, len(frame.label) * _LETTER) + 2 * _PADDING
        nodes[frame.key] = _Node(width, content.height + _LINE + 2 * _PADDING, frame, content)
    _assign_layers(nodes, links[key])
    first, last = min((node.layer for node in nodes.values()), default=0), 0
    layers: dict[int, list[_Node]] = defaultdict(list)
    for node in nodes.values():
        layers[node.layer].append(node)
    neighbours: dict[_Node, list[_Node]] = defaultdict(list)
    ways: dict[int, list[_Node]] = {}
    for number, start, end in links[key]:
        above = first if start is None else nodes[start].layer + 1
        below = last + 1 if end is None else nodes[end].layer
        # nothing is between the ends of an arrow that closes a circle
        ways[number] = [_Node(4.0, layer=layer) for layer in range(above, below)]
        for node in ways[number]:
            layers[node.layer].append(node)
        ends = [[] if name is None else [nodes[name]] for name in (start, end)]
        for a, b in pairwise([*ends[0], *ways[number], *ends[1]]):
            neighbours[a].append(b)
            neighbours[b].append(a)
    rows = [layers[number] for number in sorted(layers)]
    _assign_positions(rows, neighbours)
    everything = [node for row in rows for node in row]
    left = min((node.x - node.width / 2 for node in everything), default=0.0)
    for node in everything:
        node.x -= left
    width = max((node.x + node.width / 2 for node in everything), default=0.0)
    height = 0.0
    for row in rows:
        tallest = max(node.height for node in row)
        for node in row:
            node.y = height + (tallest - node.height) / 2
            if node.item is None:  # its arrow passes the whole layer
                node.y, node.height = height, tallest
        height += tallest + _DISTANCE
    return _Block(list(nodes.values()), ways, width, max(height - _DISTANCE, 0.0))


def _assign_layers(
    nodes: dict[str, _Node], links: Sequence[tuple[int, str | None, str | None]]
) -> None:
    """As low as possible: just above the first of the nodes that a node points to; the last is 0.

    An arrow that closes a circle does not count.
    """
    below: dict[_Node, set[_Node]] = defaultdict(set)
    for _, start, end in links:
        if start is not None and end is not None:
            below[nodes[start]].add(nodes[end])
    state: dict[_Node, bool] = {}  # whether it is done
    for root in nodes.values():
        stack = [root]
        while stack:
            node = stack[-1]
            if node not in state:
                state[node] = False
                stack += [each for each in below[node] if each not in state]
                continue
            stack.pop()
            if not state[node]:
                state[node] = True
                done = [each.layer for each in below[node] if state.get(each)]
                node.layer = min(done, default=1) - 1


def _assign_positions(rows: list[list[_Node]], neighbours: dict[_Node, list[_Node]]) -> None:
    for row in rows:
        _spread(row, [0.0] * len(row))
    for sweep in range(_SWEEPS):
        is_down = sweep % 2 == 0
        for row in rows if is_down else reversed(rows):
            wanted = {}
            for node in row:
                near = neighbours[node]
                ahead = [each.x for each in near if (each.layer < node.layer) == is_down] or [
                    each.x for each in near
                ]
                wanted[node] = sum(ahead) / len(ahead) if ahead else node.x
            if sweep < _SWEEPS - 2:  # the last two move, and keep the order
                row.sort(key=wanted.__getitem__)
            _spread(row, [wanted[node] for node in row])


def _spread(row: list[_Node], wanted: list[float]) -> None:
    """Move the nodes of a layer as near to `wanted` as they can be side by side.

    Least squares, by isotonic regression: neighbours that would overlap move as one.
    """
    offsets = [0.0]
    for a, b in pairwise(row):
        offsets.append(offsets[-1] + (a.width + b.width) / 2 + _GAP)
    groups: list[tuple[float, int]] = []  # mean position of the first, and count
    for position, offset in zip(wanted, offsets, strict=True):
        groups.append((position - offset, 1))
        while len(groups) > 1 and groups[-2][0] > groups[-1][0]:
            (left, m), (right, n) = groups[-2:]
            groups[-2:] = [((left * m + right * n) / (m + n), m + n)]
    starts = [start for start, count in groups for _ in range(count)]
    for node, start, offset in zip(row, starts, offsets, strict=True):
        node.x = start + offset


@dataclass
class _Painter:
    """Collects SVG elements, and where arrows may begin and end."""

    lines: list[str] = field(default_factory=list)
    places: dict[str, tuple[Point, _Node]] = field(default_factory=dict)  # corners of boxes
    ways: dict[int, list[tuple[Point, Point]]] = field(default_factory=lambda: defaultdict(list))

    def block(self, block: _Block, left: float, top: float) -> None:
        """Boxes and frames of a layout whose corner is at (left, top)."""
        for number, dummies in block.ways.items():
            self.ways[number] += [
                ((left + each.x, top + each.y), (left + each.x, top + each.y + each.height))
                for each in dummies
            ]
        for node in block.nodes:
            x, y = left + node.x - node.width / 2, top + node.y
            if isinstance(node.item, Box):
                self.rectangle(x, y, node.width, node.height, node.item.colour, node.item.is_dashed)
                for number, line in enumerate(node.item.lines, start=1):
                    self.text(left + node.x, y + number * _LINE - 1, line, "middle")
                self.places[node.item.name] = (x, y), node
            elif isinstance(node.item, Frame) and node.content is not None:
                self.rectangle(x, y, node.width, node.height, "none", False)
                self.text(x + _PADDING, y + _LINE, node.item.label)
                inset = (node.width - node.content.width) / 2
                self.block(node.content, x + inset, y + _LINE + _PADDING)

    def rectangle(
        self, x: float, y: float, width: float, height: float, colour: str, is_dashed: bool
    ) -> None:
        dashed = ' stroke-dasharray="4"' if is_dashed else ""
        self.lines.append(
            f'<rect x="{x:.1f}" y="{y:.1f}" width="{width:.1f}" height="{height:.1f}" rx="5" '
            f'fill="{colour}" stroke="#999999"{dashed}/>'
        )

    def text(self, x: float, y: float, text: str, anchor: str = "start", size: int = 11) -> None:
        self.lines.append(
            f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}" font-size="{size}">'
            f"{html.escape(text)}</text>"
        )

    def arrows(self, arrows: Sequence[Arrow]) -> None:
        """Curves from the bottom of boxes, through the gaps in layers, to the top of others."""
        arriving: dict[str, list[tuple[Arrow, list[Point]]]] = defaultdict(list)
        for number, arrow in enumerate(arrows):
            (x, y), node = self.places[arrow.start]
            gaps = sorted(self.ways[number], key=lambda gap: gap[0][1])
            stops = [(x + node.width / 2, y + node.height), *(end for gap in gaps for end in gap)]
            arriving[arrow.end].append((arrow, stops))
        for name, group in arriving.items():
            (x, y), node = self.places[name]
            group.sort(key=lambda pair: pair[1][-1])  # from left to right
            for place, (arrow, stops) in enumerate(group, start=1):
                self.arrow(arrow, [*stops, (x + node.width * place / (len(group) + 1), y)])

    def arrow(self, arrow: Arrow, stops: Sequence[Point]) -> None:
        """A curve through points."""
        end = stops[-1]
        curve = [f"M{stops[0][0]:.1f},{stops[0][1]:.1f}"]
        for (x1, y1), (x2, y2) in pairwise(stops):
            middle = (y1 + y2) / 2
            curve.append(f"C{x1:.1f},{middle:.1f} {x2:.1f},{middle:.1f} {x2:.1f},{y2:.1f}")
        dashed = ' stroke-dasharray="4"' if arrow.is_dashed else ""
        self.lines.append(
            f'<path d="{" ".join(curve)}" fill="none" stroke="#666666"{dashed} '
            'marker-end="url(#head)"/>'
        )
        if arrow.label:
            side = -8 if stops[-2][0] < end[0] else 5
            self.text(end[0] + side, end[1] - 8, arrow.label, size=9)

    def legend(self, colours: dict[str, str], top: float) -> Point:
        """Draw the legend below the picture; gives its right and its lower side."""
        left = 0.0
        for colour, text in colours.items():
            self.rectangle(left, top, 14, 12, colour, False)
            self.text(left + 20, top + 10, text)
            left += 20 + len(text) * _LETTER + _GAP
        return left, top + 12
