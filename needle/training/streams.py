"""Streams of random numbers that a training draws from: NumPy's global state and generators."""

from collections.abc import Iterator
from typing import Any

import numpy as np

from ..data.streams import streams_of
from ..device import Generator
from ..nn import Module
from .errors import join

__all__ = ["Streams"]


class Streams:
    """NumPy's global state, the generators in a model's modules, and those of the loader."""

    def __init__(self, model: Module, loader: Any = None) -> None:
        self.generators = dict(_found("loader", getattr(loader, "generator", loader)))
        _, _, *drawn = streams_of(getattr(loader, "dataset", None))
        self.generators |= _found("data", drawn)
        for path, module in model.named_modules():
            self.generators |= _found(f"model.{path}".rstrip("."), vars(module))

    def state_dict(self) -> dict[str, Any]:
        """The state of every stream."""
        generators = {name: stream.state_dict() for name, stream in self.generators.items()}
        return {"numpy": np.random.get_state(), "generators": generators}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continue all streams from `state`."""
        for name, stream in self.generators.items():
            stream.load_state_dict(state["generators"][name])
        np.random.set_state(state["numpy"])


def _found(path: str, value: Any) -> Iterator[tuple[str, Generator]]:
    """The generators in a value, which may be nested dicts, lists and tuples, with their paths."""
    if isinstance(value, Generator):
        yield path, value
    elif isinstance(value, dict | list | tuple):
        entries = value.items() if isinstance(value, dict) else enumerate(value)
        for name, entry in entries:
            yield from _found(join(path, name), entry)
