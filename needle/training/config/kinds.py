"""Kinds of values in a config, and the one function that checks a mapping of them."""

import difflib
import math
import re
import sys
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from ..errors import TrainingError, join, refused, short

__all__ = [
    "FLAG", "NOTHING", "NUMBER", "TEXT", "WHOLE", "Entry", "Kind", "choice", "list_of", "number",
    "read_mapping", "whole",
]  # fmt: skip

REQUIRED = object()
_SHOWN = 60  # names in an error


@dataclass(frozen=True)
class Kind:
    """A kind of value: its description in errors, a test for its values, how they are read."""

    allowed: str
    accepts: Callable[[Any], bool]
    read: Callable[[str, Any], Any] = lambda key, value: value


@dataclass(frozen=True)
class Entry:
    """The allowed kinds of value of a key, and the default of an optional key."""

    kinds: tuple[Kind, ...]
    default: Any = REQUIRED


def read_mapping(key: str, mapping: Mapping[Any, Any], entries: Mapping[str, Entry]) -> dict:
    """The values of `mapping`, checked and read by `entries`, with defaults filled in.

    Raises:
        TrainingError: a key is unknown or missing, or a value is of no kind allowed there.
    """
    for name in mapping:
        pick(key, name, entries, "key")
    values = {}
    for name, entry in entries.items():
        if name in mapping:
            values[name] = read_value(join(key, name), mapping[name], entry.kinds)
        elif entry.default is REQUIRED:
            raise TrainingError(f"{join(key, name)}: missing, allowed: {_either(entry.kinds)}")
        else:
            values[name] = entry.default
    return values


def read_value(key: str, value: Any, kinds: tuple[Kind, ...]) -> Any:
    """`value`, read by the first of `kinds` that accepts it."""
    for kind in kinds:
        if kind.accepts(value):
            return kind.read(key, value)
    raise refused(key, value, _either(kinds))


def pick(key: str, name: Any, table: Mapping[str, Any], what: str) -> Any:
    """The entry of `table` under `name`; errors call it a `what` at `key`."""
    if isinstance(name, str) and name in table:
        return table[name]
    lowercase = {known.lower(): known for known in table}
    close = difflib.get_close_matches(short(name).strip("'").lower(), lowercase, n=1)
    hint = f" (did you mean {lowercase[close[0]]}?)" if close else ""
    place = f"{key}: " if key else ""
    names = sorted(table) if len(table) > _SHOWN else list(table)
    more = f", and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
    allowed = (", ".join(names[:_SHOWN]) or "none") + more
    raise TrainingError(f"{place}unknown {what} {short(name)}{hint}, allowed: {allowed}")


def _either(kinds: Iterable[Kind]) -> str:
    return " or ".join(kind.allowed for kind in kinds)


# YAML 1.1 reads 1e-3, without a dot, as text
_EXPONENT_WITHOUT_DOT = re.compile(r"[-+]?\d+[eE][-+]?\d+")


def _is_number(value: Any) -> bool:
    if isinstance(value, str):
        return bool(_EXPONENT_WITHOUT_DOT.fullmatch(value)) and math.isfinite(float(value))
    # a comparison: false for NaN, and no overflow for integers too large for a float
    return _is(value, int | float) and abs(value) <= sys.float_info.max


def _is(value: Any, kind: Any) -> bool:
    """isinstance, except that booleans are not numbers."""
    return isinstance(value, kind) and not isinstance(value, bool)


def whole(low: int, high: int | None = None) -> Kind:
    """Whole numbers from `low` to `high`."""
    span = f"of at least {low}" if high is None else f"from {low} to {high}"
    return Kind(
        f"a whole number {span}",
        lambda value: _is(value, int) and low <= value and (high is None or value <= high),
    )


def number(allowed: str, holds: Callable[[float], bool]) -> Kind:
    """Finite numbers for which `holds` is true; `allowed` describes them."""
    return Kind(
        allowed,
        lambda value: _is_number(value) and holds(float(value)),
        lambda key, value: float(value),
    )


def list_of(kind: Kind) -> Kind:
    """Lists with entries of one kind."""
    return Kind(
        f"a list, each entry {kind.allowed}",
        lambda value: isinstance(value, list),
        lambda key, value: [
            read_value(join(key, position), entry, (kind,)) for position, entry in enumerate(value)
        ],
    )


def choice(*values: str) -> Kind:
    """One of a few words."""
    return Kind(" or ".join(values), lambda value: isinstance(value, str) and value in values)


FLAG = Kind("true or false", lambda value: isinstance(value, bool))
NOTHING = Kind("null", lambda value: value is None)
NUMBER = number("a finite number", lambda value: True)
TEXT = Kind(
    "text",
    lambda value: isinstance(value, str) and value.isprintable() and value != "",
)
WHOLE = Kind("a whole number", lambda value: _is(value, int))
