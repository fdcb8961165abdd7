"""The layout without Graphviz: SVG in which nothing overlaps and every arrow points down."""

import re
import time
from itertools import combinations, pairwise
from xml.etree import ElementTree

import numpy as np
import pytest

import needle as ndl
from needle import Tensor, nn
from needle.graph import draw, record
from needle.graph.layout import svg
from needle.graph.picture import VALUE, Arrow, Box, Frame, Picture

NAMESPACE = {"": "http://www.w3.org/2000/svg"}


def elements(picture, kind):
    return ElementTree.fromstring(svg(picture)).findall(kind, NAMESPACE)


def texts(picture):
    return [each.text for each in elements(picture, "text")]


def rectangles(picture):
    """(left, top, right, bottom) of the boxes and frames, without the legend."""
    found = []
    for each in elements(picture, "rect"):
        x, y, width, height = (float(each.get(key)) for key in ("x", "y", "width", "height"))
        found.append((x, y, x + width, y + height))
    return found[: len(picture.boxes) + len(picture.frames)]


def ends(picture):
    """Where each arrow starts and ends."""
    paths = [each.get("d") for each in elements(picture, "path")]
    numbers = [[float(number) for number in re.findall(r"-?[\d.]+", path)] for path in paths]
    return [((path[0], path[1]), (path[-2], path[-1])) for path in numbers]


def is_inside(inner, outer):
    return all(a >= b for a, b in zip(inner[:2], outer[:2], strict=True)) and all(
        a <= b for a, b in zip(inner[2:], outer[2:], strict=True)
    )


def is_apart(a, b):
    return a[2] < b[0] or b[2] < a[0] or a[3] < b[1] or b[3] < a[1]


def model_picture():
    layers = nn.Sequential(nn.Linear(3, 3), nn.ReLU(), nn.Linear(3, 3))
    model = nn.Sequential(nn.Linear(2, 3), nn.Residual(layers), nn.BatchNorm1d(3))
    with record(model) as recording:
        loss = (model(ndl.init.rand(4, 2)) ** 2).mean()
    loss.backward()
    return draw([loss, model[0].weight.grad], module=recording).picture


def random_picture(seed):
    rng = np.random.default_rng(seed)
    count = int(rng.integers(1, 40))
    boxes = [Box(f"n{k}", ["x" * int(rng.integers(1, 12))], VALUE) for k in range(count)]
    arrows = [
        Arrow(f"n{start}", f"n{end}")
        for end in range(1, count)
        for start in rng.integers(0, end, size=int(rng.integers(0, 3)))
    ]
    return Picture(boxes, arrows)


@pytest.mark.parametrize("picture", [model_picture(), *map(random_picture, range(20))])
def test_boxes_are_apart_or_inside_and_arrows_point_down(picture):
    found = rectangles(picture)
    for a, b in combinations(found, 2):
        assert is_apart(a, b) or is_inside(a, b) or is_inside(b, a)
    lines = ends(picture)
    assert len(lines) == len(picture.arrows)
    assert all(start[1] < end[1] for start, end in lines)
    shown = texts(picture)
    for box in picture.boxes:
        assert set(box.lines) <= set(shown)
    for frame in picture.frames:
        assert frame.label in shown


def test_frames_hold_their_boxes():
    picture = model_picture()
    found = rectangles(picture)
    assert sum(is_inside(a, b) for a in found for b in found if a is not b) >= len(
        [box for box in picture.boxes if box.frame is not None]
    )


def test_arrows_between_frames_in_both_directions():
    frames = [Frame("a", "a", None), Frame("b", "b", None)]
    boxes = [Box(f"n{k}", [str(k)], VALUE, "aba"[k]) for k in range(3)]
    picture = Picture(boxes, [Arrow("n0", "n1"), Arrow("n1", "n2")], frames)
    assert len(ends(picture)) == 2
    for a, b in combinations(rectangles(picture), 2):
        assert is_apart(a, b) or is_inside(a, b) or is_inside(b, a)


def test_operands_arrive_side_by_side():
    x, y = Tensor(1.0), Tensor(2.0)
    arrows = ends(draw(x / y).picture)
    assert len({end for _, end in arrows}) == 2
    assert {"1", "2"} < set(texts(draw(x / y).picture))


def test_text_is_escaped():
    assert texts(draw(Tensor(1.0) * 2, names={"<&>": Tensor(1.0)}).picture)
    x = Tensor(1.0)
    assert "<&>" in texts(draw(x * 2, names={"<&>": x}).picture)


def test_legend():
    assert texts(draw(Tensor(1.0) * 2).picture)[-2:] == ["variable or parameter", "result of an op"]


def test_long_chains():
    value = Tensor(1.0)
    for _ in range(2000):
        value = value + 1
    start = time.perf_counter()
    found = rectangles(draw(value, max_nodes=None).picture)
    assert time.perf_counter() - start < 10
    assert len(found) == 2001
    assert all(a[3] < b[1] for a, b in pairwise(sorted(found, key=lambda box: box[1])))
