"""draw: a graph as a picture."""

from __future__ import annotations

import html
from collections.abc import Iterable, Sequence
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
    """A drawn graph: its DOT text is `source`. It shows itself in a notebook.

    As a picture it needs the graphviz package (`pip install 'needle-dl[viz]'`) and the program
    `dot` of Graphviz; without them a notebook shows the DOT text.
    """

    source: str = field(repr=False)
    values: int

    def __str__(self) -> str:
        return self.source

    def render(self, format: str = "svg") -> bytes:
        """The picture as a file's content, by Graphviz.

        Args:
            format: "svg", "png", "pdf", or another that Graphviz knows.

        Raises:
            ImportError: the graphviz package is missing.
            RuntimeError: the program `dot` is missing.
        """
        try:
            import graphviz
        except ImportError:
            raise ImportError(
                f"drawing a graph as {format} needs the graphviz package, needle's extra viz: "
                "pip install 'needle-dl[viz]' (DOT text needs nothing: str(drawing), or a path "
                "that ends in .dot)"
            ) from None
        try:
            return graphviz.pipe("dot", format, self.source.encode())
        except graphviz.ExecutableNotFound:
            raise RuntimeError(
                f"drawing a graph as {format} needs the program dot of Graphviz, which is not on "
                "PATH: install it with the system's packages (apt install graphviz, brew install "
                "graphviz) or from https://graphviz.org/download (DOT text needs nothing: "
                "str(drawing), or a path that ends in .dot)"
            ) from None

    def save(self, path: str | Path) -> None:
        """Write the drawing to `path`: DOT text if it ends in .dot or .gv, else .svg, .png, .pdf.

        Raises:
            ValueError: it ends in something else.
            ImportError: the graphviz package is missing.
            RuntimeError: the program `dot` is missing.
        """
        path = Path(path)
        suffix = _checked_suffix(path)
        if suffix in _TEXT_SUFFIXES:
            path.write_text(self.source, encoding="utf-8")
        else:
            path.write_bytes(self.render(suffix[1:]))

    def _repr_svg_(self) -> str | None:
        try:
            return self.render("svg").decode()
        except (ImportError, RuntimeError):
            return None

    def _repr_mimebundle_(self, include: Any = None, exclude: Any = None) -> dict[str, str]:
        """What a notebook shows: the picture if Graphviz is there, else the DOT text."""
        picture = self._repr_svg_()
        if picture is None:
            return {
                "text/plain": self.source,
                "text/html": f"<pre>{html.escape(self.source)}</pre>",
            }
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

    Each value is a box: the op that made it and the op's parameters, or the name of a leaf, then
    shape and dtype. What requires no gradient keeps no op, and is a constant. Nothing is computed:
    a lazy value says that it waits.

    Values that only gradients depend on (the adjoints) have another colour. A given value is a
    gradient if it is the `.grad` of a leaf of the graph, or if it is among `gradients`. So give the
    value together with its gradients: `draw([y, x.grad])`.

    Args:
        values: Tensors or TensorTuples.
        path: where to write the drawing: .dot or .gv for text, .svg, .png or .pdf for pictures.
        module: the model. Its parameters and buffers get their names, and values stand in a frame
            for the module that made them. A Module by itself only tells where its parameters are
            used; what `needle.graph.record` has noted while the model ran tells all.
        names: further names: Tensors by name, or names for the leaves that require a gradient.
        gradients: values that are gradients, for example of `needle.grad`; drawn as well.
        max_nodes: how many values are drawn, those nearest to `values`; a dashed box says how many
            others there are. None draws all.

    Raises:
        TypeError: `values` holds something that is no Tensor.
        ValueError: `path` has another ending, or `max_nodes` is not positive.
        ImportError: a picture is asked for, and the graphviz package (extra `viz`) is missing.
        RuntimeError: a picture is asked for, and the program `dot` is missing.

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
    if path is not None:
        _checked_suffix(Path(path))
    if max_nodes is not None and max_nodes < 1:
        raise ValueError(f"draw: max_nodes must be positive or None, got {max_nodes}")
    source, count = dot_source(_as_values(values), _as_values(gradients), module, names, max_nodes)
    drawing = Drawing(source, count)
    if path is not None:
        drawing.save(path)
    return drawing


def _checked_suffix(path: Path) -> str:
    suffix = path.suffix.lower()
    if suffix not in (*_TEXT_SUFFIXES, *_IMAGE_SUFFIXES):
        known = ", ".join((*_TEXT_SUFFIXES, *_IMAGE_SUFFIXES))
        raise ValueError(f"draw: {str(path)!r} should end in one of {known}")
    return suffix


def _as_values(values: Any) -> list[Value]:
    listed = [values] if isinstance(values, Value) else list(values)
    for value in listed:
        if not isinstance(value, Value):
            raise TypeError(f"draw takes Tensors, got {type(value).__name__}")
    return listed
