"""draw: a graph as a picture."""

from __future__ import annotations

import html
from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ..autograd import Value
from ..nn import Module
from .dot import dot_source
from .names import Names
from .record import Recording

__all__ = ["Drawing", "draw"]

_TEXT_SUFFIXES = (".dot", ".gv")
_IMAGE_SUFFIXES = (".svg", ".png", ".pdf")


@dataclass(frozen=True)
class Drawing:
    """A drawn graph; `source` is its DOT text. Notebooks show it as a picture.

    Pictures need the graphviz package (`pip install 'needle-dl[viz]'`) and Graphviz's program
    `dot`; without them a notebook shows the DOT text.
    """

    source: str = field(repr=False)
    values: int

    def __str__(self) -> str:
        return self.source

    def render(self, format: str = "svg") -> bytes:
        """The picture as a file's content: "svg", "png", "pdf", or another format of Graphviz.

        Raises:
            ImportError: the graphviz package is missing.
            RuntimeError: the program `dot` is missing.
        """
        needs = f"drawing a graph as {format} needs"
        otherwise = "(DOT text needs nothing: str(drawing), or a path that ends in .dot)"
        try:
            import graphviz
        except ImportError:
            raise ImportError(
                f"{needs} the graphviz package, needle's extra viz: pip install 'needle-dl[viz]' "
                + otherwise
            ) from None
        try:
            return graphviz.pipe("dot", format, self.source.encode())
        except graphviz.ExecutableNotFound:
            raise RuntimeError(
                f"{needs} the program dot of Graphviz, which is not on PATH: install it with the "
                "system's packages (apt install graphviz, brew install graphviz) or from "
                f"https://graphviz.org/download {otherwise}"
            ) from None

    def save(self, path: str | Path) -> None:
        """Write the drawing to `path`: .dot or .gv for text, .svg, .png or .pdf for pictures."""
        path = Path(path)
        suffix = path.suffix.lower()
        known = (*_TEXT_SUFFIXES, *_IMAGE_SUFFIXES)
        if suffix not in known:
            raise ValueError(f"draw: {str(path)!r} should end in one of {', '.join(known)}")
        is_text = suffix in _TEXT_SUFFIXES
        path.write_bytes(self.source.encode() if is_text else self.render(suffix[1:]))

    def _repr_svg_(self) -> str | None:
        with suppress(ImportError, RuntimeError):
            return self.render("svg").decode()
        return None

    def _repr_mimebundle_(self, include: Any = None, exclude: Any = None) -> dict[str, str]:
        # what a notebook shows
        picture = self._repr_svg_()
        if picture is None:
            text = f"<pre>{html.escape(self.source)}</pre>"
            return {"text/plain": self.source, "text/html": text}
        return {"text/plain": repr(self), "image/svg+xml": picture}


def draw(
    values: Value | Sequence[Value],
    path: str | Path | None = None,
    *,
    module: Module | Recording | None = None,
    names: Names = None,
    gradients: Iterable[Value] = (),
    max_nodes: int | None = 500,
) -> Drawing:
    """Draw the graph of one or several values.

    Each value is a box: its op with the op's parameters, or the name of a leaf, then shape and
    dtype. Values that require no gradient keep no op, and are constants. Lazy values are drawn
    without being computed. Adjoints, which only gradients depend on, have another colour.

    Args:
        values: Tensors or TensorTuples. The `.grad` of a leaf is drawn as a gradient.
        path: where to write the drawing: .dot or .gv for text, .svg, .png or .pdf for pictures.
        module: the model. Its parameters and buffers get their names, and values a frame for the
            module that made them: with a Module, the values made directly from its parameters;
            with the recording of `needle.graph.record`, all.
        names: further names, as for `expression`.
        gradients: further gradients to draw, for example of `needle.grad`.
        max_nodes: draw the values nearest to `values`, at most so many; None draws all.

    Raises:
        ImportError, RuntimeError: as in `Drawing.render`, for pictures.

    Example:
        >>> import needle as ndl
        >>> x = ndl.Tensor([1.0, 2.0])
        >>> y = (x * 3).sum()
        >>> drawing = ndl.graph.draw(y, names={"x": x})
        >>> drawing
        Drawing(values=3)
        >>> "MulScalar(scalar=3)" in drawing.source
        True
    """
    if max_nodes is not None and max_nodes < 1:
        raise ValueError(f"draw: max_nodes must be positive or None, got {max_nodes}")
    source, count = dot_source(_as_values(values), _as_values(gradients), module, names, max_nodes)
    drawing = Drawing(source, count)
    if path is not None:
        drawing.save(path)
    return drawing


def _as_values(values: Any) -> list[Value]:
    listed = [values] if isinstance(values, Value) else list(values)
    for value in listed:
        if not isinstance(value, Value):
            raise TypeError(f"draw takes Tensors, got {type(value).__name__}")
    return listed
