"""States of the random streams that a dataset draws from."""

import copy
import pickle
from collections.abc import Iterator
from typing import Any

from ..device import Generator, global_stream
from .dataset import Dataset
from .transforms import Transform

__all__ = ["fork", "read", "streams_of", "write"]


def fork(generator: Generator | None) -> Any:
    """A copy that draws the same numbers; None is NumPy's global random state."""
    return copy.deepcopy(global_stream() if generator is None else generator)


def read(stream: Any) -> Any:
    """The state of a stream, comparable by `==`: a Generator, a RandomState or `random`."""
    if isinstance(stream, Generator):
        return stream.state_dict()
    if hasattr(stream, "getstate"):
        return stream.getstate()
    return pickle.dumps(stream.get_state(legacy=False))


def write(stream: Any, state: Any) -> None:
    """Give a stream the state that `read` returned."""
    if isinstance(stream, Generator):
        stream.load_state_dict(state)
    elif hasattr(stream, "setstate"):
        stream.setstate(state)
    else:
        stream.set_state(pickle.loads(state))


def streams_of(dataset: Any) -> list[Any]:
    """What a dataset may draw from: NumPy's and Python's global states, and its Generators."""
    import random

    return [global_stream(), random, *_generators(dataset, set())]


def _generators(owner: Any, seen: set[int]) -> Iterator[Generator]:
    """The Generators in the attributes of a dataset, its parts and its transforms."""
    for value in getattr(owner, "__dict__", {}).values():
        several = isinstance(value, list | tuple) and value and _is_part(value[0])
        for part in value if several else (value,):
            if _is_part(part) and id(part) not in seen:
                seen.add(id(part))
                if isinstance(part, Generator):
                    yield part
                else:
                    yield from _generators(part, seen)


def _is_part(value: Any) -> bool:
    return isinstance(value, Generator | Dataset | Transform)
