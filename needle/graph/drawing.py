"""Drawing, the result of `needle.graph.draw`: its DOT text, its picture, files and notebooks."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from .layout import svg
from .picture import Picture

__all__ = ["Drawing"]


@dataclass(frozen=True)
class Drawing:
    """A drawn graph; `source` is its DOT text. Notebooks show it as a picture.

    Graphviz makes the picture if its program `dot` and the graphviz package
    (`pip install 'needle-dl[viz]'`) are installed. Otherwise needle lays out SVG itself.

    Example:
        >>> import needle as ndl
        >>> drawing = ndl.graph.draw(ndl.Tensor([1.0, 2.0]) * 3)
        >>> drawing.source.startswith("digraph")
        True
        >>> drawing.save("graph.svg")
    """

    picture: Picture = field(repr=False)
    values: int

    @property
    def source(self) -> str:
        """The DOT text."""
        return self.picture.dot()

    def __str__(self) -> str:
        return self.source

    def render(self, format: str = "svg") -> bytes:
        """The picture as a file's content: "svg", or with Graphviz also "png", "pdf" and others.

        Raises:
            ImportError: the graphviz package is missing, and the format is not SVG.
            RuntimeError: the program `dot` is missing, and the format is not SVG.
        """
        needs = f"drawing a graph as {format} needs"
        otherwise = "(SVG and DOT text need nothing: paths that end in .svg or .dot)"
        try:
            import graphviz

            return graphviz.pipe("dot", format, self.source.encode())
        except ImportError:
            if format != "svg":
                raise ImportError(
                    f"{needs} the graphviz package, needle's extra viz: "
                    f"pip install 'needle-dl[viz]' {otherwise}"
                ) from None
        except graphviz.ExecutableNotFound:
            if format != "svg":
                raise RuntimeError(
                    f"{needs} the program dot of Graphviz, which is not on PATH: install it with "
                    "the system's packages (apt install graphviz, brew install graphviz) or from "
                    f"https://graphviz.org/download {otherwise}"
                ) from None
        return svg(self.picture).encode()

    def save(self, path: str | Path) -> None:
        """Write the drawing to `path`: .dot or .gv for text, .svg, .png or .pdf for pictures."""
        path = Path(path)
        suffix = path.suffix.lower()
        is_text = suffix in (".dot", ".gv")
        if not is_text and suffix not in (".svg", ".png", ".pdf"):
            raise ValueError(
                f"draw: {str(path)!r} should end in one of .dot, .gv, .svg, .png, .pdf"
            )
        path.write_bytes(self.source.encode() if is_text else self.render(suffix[1:]))

    def _repr_svg_(self) -> str:
        return self.render("svg").decode()

    def _repr_mimebundle_(self, include: Any = None, exclude: Any = None) -> dict[str, str]:
        return {"text/plain": repr(self), "image/svg+xml": self._repr_svg_()}
