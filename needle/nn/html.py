"""What notebooks show of a model: its layers as a tree that unfolds."""

from typing import Any

__all__ = ["module_html"]


def module_html(module: Any, name: str = "") -> str:
    """A module as HTML: a line, under which its children unfold."""
    from html import escape  # only where a notebook asks for it

    count = sum(parameter.size for parameter in module.parameters())
    line = f"<b>{type(module).__name__}</b>({escape(module.extra_repr())})"
    if name:
        line = f"{escape(name)}: {line}"
    if count:
        line += f" <small>{count:,} parameters</small>"
    children = [module_html(child, name) for name, child in module.named_children()]
    if not children:
        return f'<div style="margin-left: 1.2em">{line}</div>'
    return (
        f'<details open="open" style="margin-left: 1.2em"><summary>{line}</summary>'
        f"{''.join(children)}</details>"
    )
