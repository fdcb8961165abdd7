"""Drawings as files and in notebooks, with and without Graphviz."""

import re
import sys

import numpy as np
import pytest

from needle import Tensor
from needle.graph import draw

FAKE_DOT = """#!/bin/sh
cat > /dev/null
printf '<svg>%s</svg>' "$*"
"""


@pytest.fixture
def dot(tmp_path, monkeypatch):
    """A program `dot` on PATH, which draws its arguments."""
    program = tmp_path / "bin" / "dot"
    program.parent.mkdir()
    program.write_text(FAKE_DOT)
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(program.parent), prepend=":")


@pytest.fixture
def no_dot(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))


@pytest.fixture
def no_package(monkeypatch):
    monkeypatch.setitem(sys.modules, "graphviz", None)


@pytest.mark.parametrize("suffix", [".dot", ".gv", ".DOT"])
@pytest.mark.usefixtures("no_package", "no_dot")
def test_text_needs_nothing(tmp_path, suffix):
    path = tmp_path / f"graph{suffix}"
    drawing = draw(Tensor(1.0) * 2, path)
    assert path.read_text(encoding="utf-8") == drawing.source


@pytest.mark.usefixtures("dot")
@pytest.mark.parametrize("suffix", ["svg", "png", "pdf"])
def test_pictures_come_from_graphviz(tmp_path, suffix):
    path = tmp_path / f"graph.{suffix}"
    draw(Tensor(1.0) * 2, str(path))
    assert path.read_text() == f"<svg>-Kdot -T{suffix}</svg>"


@pytest.mark.usefixtures("no_package")
def test_missing_package_is_explained(tmp_path):
    with pytest.raises(ImportError, match=re.escape("pip install 'needle-dl[viz]'")):
        draw(Tensor(1.0) * 2, tmp_path / "graph.png")
    assert not (tmp_path / "graph.png").exists()


@pytest.mark.usefixtures("no_dot")
def test_missing_program_is_explained(tmp_path):
    with pytest.raises(RuntimeError, match="program dot of Graphviz, which is not on PATH"):
        draw(Tensor(1.0) * 2, tmp_path / "graph.png")


@pytest.mark.usefixtures("dot")
def test_notebook_shows_the_picture():
    drawing = draw(Tensor(1.0) * 2)
    bundle = drawing._repr_mimebundle_()
    assert bundle["image/svg+xml"].startswith("<svg>")
    assert drawing._repr_svg_() == bundle["image/svg+xml"]


@pytest.mark.parametrize("missing", ["no_package", "no_dot"])
def test_notebook_shows_the_picture_without_graphviz(missing, request, tmp_path):
    request.getfixturevalue(missing)
    drawing = draw(Tensor(1.0) * 2)
    bundle = drawing._repr_mimebundle_()
    assert bundle["text/plain"] == "Drawing(values=2)"
    assert bundle["image/svg+xml"].startswith("<svg")
    drawing.save(tmp_path / "graph.svg")
    assert (tmp_path / "graph.svg").read_text(encoding="utf-8") == bundle["image/svg+xml"]


# --- bad input


def test_bad_arguments(tmp_path):
    y = Tensor(1.0) * 2
    with pytest.raises(ValueError, match=r"'graph.jpg' should end in one of .dot, .gv, .svg"):
        draw(y, "graph.jpg")
    with pytest.raises(ValueError, match="max_nodes must be positive or None, got 0"):
        draw(y, max_nodes=0)
    with pytest.raises(TypeError, match="draw takes Tensors, got float"):
        draw([y, 1.0])
    with pytest.raises(TypeError, match="draw takes Tensors, got ndarray"):
        draw(y, gradients=[np.ones(1)])
