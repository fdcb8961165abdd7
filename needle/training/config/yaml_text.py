"""Values from YAML text: plain ones, each key once, and not more of them than a config can need."""

import math
from typing import Any

import yaml

from ..errors import TrainingError, reason

__all__ = ["parse"]

_MOST_ENTRIES = 50_000
_MOST_LEVELS = 100

# what PyYAML lets through: of `!!int ''`, `!!bool maybe`, 2001-99-99, and of deep nesting
_OF_ITS_CONSTRUCTORS = (
    ArithmeticError, AttributeError, LookupError, RecursionError, TypeError, ValueError,
)  # fmt: skip


class _Loader(yaml.SafeLoader):
    """Constructs plain values only, no other Python objects.

    Refuses duplicate keys, and aliases of aliases that stand for millions of entries.
    """

    def compose_document(self) -> yaml.Node:
        root: Any = super().compose_document()
        entries, levels = _extent(root, {})
        if entries > _MOST_ENTRIES or levels > _MOST_LEVELS:
            raise TrainingError(
                f"layers inside layers without end: allowed are {_MOST_ENTRIES:,} entries and "
                f"{_MOST_LEVELS} levels, where an alias counts as what it repeats"
            )
        return root

    def compose_mapping_node(self, anchor: Any) -> yaml.MappingNode:
        node = super().compose_mapping_node(anchor)
        found: dict[tuple[str, str], yaml.Node] = {}
        for key, _ in node.value:  # without those that `<<` brings, which may be replaced
            first = found.setdefault((key.tag, str(key.value)), key)
            if first is not key:
                lines = " and ".join(str(one.start_mark.line + 1) for one in (first, key))
                raise TrainingError(f"duplicate key {key.value!r} in lines {lines}")
        return node


def _extent(node: yaml.Node, known: dict[yaml.Node, tuple[float, float]]) -> tuple[float, float]:
    """The entries and levels of a node when every alias is replaced by what it repeats."""
    if node not in known:
        known[node] = (math.inf, math.inf)  # of an alias inside its own anchor
        parts = node.value if isinstance(node, yaml.CollectionNode) else []
        if isinstance(node, yaml.MappingNode):
            parts = [part for pair in parts for part in pair]
        entries, levels = zip((0, 0), *(_extent(part, known) for part in parts), strict=True)
        known[node] = (1 + sum(entries), 1 + max(levels))
    return known[node]


def parse(text: str | bytes) -> Any:
    """The value of a YAML text.

    Raises:
        TrainingError: the text is no YAML, has a duplicate key, or too many entries.
    """
    try:
        return yaml.load(text, _Loader)
    except (yaml.YAMLError, *_OF_ITS_CONSTRUCTORS) as error:
        raise TrainingError(f"malformed YAML: {reason(error)}") from None


def expand_aliases(value: Any) -> Any:
    """A copy in which every alias is a value of its own, which can be changed alone."""
    if isinstance(value, dict):
        return {key: expand_aliases(entry) for key, entry in value.items()}
    return [expand_aliases(entry) for entry in value] if isinstance(value, list) else value
