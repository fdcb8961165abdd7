"""compile: a function of tensors that is recorded once and then run as a program."""

from __future__ import annotations

import copy
import functools
import importlib.util
import inspect
import threading
import types
import warnings
from collections.abc import Callable
from dataclasses import fields
from typing import Any, overload

import numpy as np

from ..autograd import Tensor, TensorTuple, modes
from ..differentiation.tree import is_record
from ..nn import Module
from ..optim.effects import Restart
from .picture import ProgramGraph
from .recorded_step import RecordedStep, record
from .tracer import OF_A_GRAPH

__all__ = ["CompiledFunction", "compile"]

# looked up once: every call asks them
_observers, _is_lazy = modes.observers.get, modes.is_lazy.get
_grad_enabled, _accumulates = modes.grad_enabled.get, modes.accumulate.get
_is_recomputing = modes.is_recomputing.get

_MANY = 16
"""Recordings of one function beyond which a warning says what kept changing."""


class CompiledFunction:
    """A function that `needle.compile` made; see there."""

    def __init__(self, function: Callable[..., Any], executor: str = "auto") -> None:
        if not callable(function):
            raise TypeError(f"compile takes a function or a Module, got {type(function).__name__}")
        self.executor = _chosen(executor)
        self._steps: dict[Any, list[RecordedStep]] = {}
        self._last: RecordedStep | None = None
        self._lock = threading.RLock()
        self.recordings = 0
        if not isinstance(function, Module):
            functools.update_wrapper(self, function)
        self.__wrapped__ = function

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        if _observers() or _is_lazy():
            return self.__wrapped__(*args, **kwargs)  # inside another transformation
        with self._lock:
            tensors: list[Tensor] = []
            key: tuple[Any, ...] = (
                _key(args, tensors), _key(kwargs, tensors) if kwargs else None,
                _grad_enabled(), _accumulates(), _is_recomputing(),
            )  # fmt: skip
            if len(tensors) > 1 and len({*map(id, tensors)}) < len(tensors):  # one comes twice
                ids = [*map(id, tensors)]
                key = (*key, tuple(map(ids.index, ids)))
            while True:
                for step in self._steps.get(key, ()):
                    if step.fits(tensors):
                        break
                else:
                    step = self._record(key, args, kwargs, tensors)
                self._last = step
                try:
                    return step.run(tensors)
                except Restart:
                    continue

    def _record(
        self, key: Any, args: tuple[Any, ...], kwargs: dict[str, Any], tensors: list[Tensor]
    ) -> RecordedStep:
        step = record(self.__wrapped__, args, kwargs, tensors, self.executor)
        known = self._steps.setdefault(key, [])
        # those whose tensors are gone will never fit again
        known[:] = [step, *known[: _MANY - 1]]
        self.recordings += 1
        if self.recordings == _MANY + 1:
            warnings.warn(self._changes(key), RuntimeWarning, stacklevel=3)
        return step

    def _changes(self, key: Any) -> str:
        name = getattr(self.__wrapped__, "__name__", type(self.__wrapped__).__name__)
        if len(self._steps) > len(self._steps[key]):
            former, now = [_by_name(self.__wrapped__, key) for key in list(self._steps)[-2:]]
            parts = [
                f"{name} ({_change(former.get(name), now.get(name))})"
                for name in {**former, **now}
                if former.get(name) != now.get(name)
            ]
            what = f"the arguments: {', '.join(parts)}" if parts else "the modes, as no_grad()"
            if any(_is_number(now.get(name)) for name in now if former.get(name) != now[name]):
                what += ": pass numbers that change as Tensors"
        else:
            changed = self._steps[key][-1].reached.changed()
            what = f"what it reaches: {', '.join(sorted(set(changed))) or 'tensors'}"
        return (
            f"the compiled function {name} was recorded {self.recordings} times, each of which "
            f"costs much more than a call; what kept changing is {what}"
        )

    # --- looking at it

    def _recorded(self) -> RecordedStep:
        if self._last is None:
            raise RuntimeError("nothing was recorded yet: call the compiled function first")
        return self._last

    def report(self) -> str:
        """A table of what was recorded by the last call, and what became of it."""
        return self._recorded().report()

    def source(self) -> str:
        """The generated code of the last call."""
        return self._recorded().source()

    def graph(self) -> ProgramGraph:
        """The program of the last call, for `needle.graph.draw`."""
        return self._recorded().graph()

    # --- standing for the function

    def __get__(self, instance: Any, owner: type) -> Any:
        return self if instance is None else types.MethodType(self, instance)

    def __getattr__(self, name: str) -> Any:
        if name == "__wrapped__":
            raise AttributeError(name)
        value = getattr(self.__wrapped__, name)
        if isinstance(value, types.MethodType) and value.__self__ is self.__wrapped__:
            return functools.partial(self._method, value)
        return value

    def _method(self, method: Any, *args: Any, **kwargs: Any) -> Any:
        """Call a method of the model; where it returns the model, as `eval()`, this function."""
        result = method(*args, **kwargs)
        return self if result is self.__wrapped__ else result

    def __repr__(self) -> str:
        return f"needle.compile({self.__wrapped__!r}, executor={self.executor!r})"

    def __deepcopy__(self, memo: Any) -> Any:
        return CompiledFunction(copy.deepcopy(self.__wrapped__, memo), self.executor)

    def __reduce__(self) -> Any:
        return CompiledFunction, (self.__wrapped__, self.executor)


def _chosen(executor: str) -> str:
    """The executor that is meant."""
    if executor not in ("auto", "numpy", "numba"):
        raise ValueError(f"executor is 'auto', 'numba' or 'numpy', got {executor!r}")
    has_numba = importlib.util.find_spec("numba") is not None
    if executor == "auto":
        return "numba" if has_numba else "numpy"
    if executor == "numba" and not has_numba:
        raise ImportError(
            "executor='numba' needs Numba: pip install 'needle-dl[compile]', or use "
            "executor='numpy'"
        )
    return executor


def _key(tree: Any, tensors: list[Tensor]) -> Any:
    """The structure of arguments, with shapes and dtypes for tensors; collects the tensors."""
    kind = tree.__class__
    if kind is Tensor or isinstance(tree, Tensor):
        if tree._is_parameter or tree._grad is not None:  # to which another may be added
            return kind, id(tree)
        if tree.op is not None and tree.requires_grad:
            raise ValueError(f"in the arguments of a compiled function, {OF_A_GRAPH}")
        tensors.append(tree)
        array = tree.cached_data
        if array is None:
            array = tree.realize_cached_data()
        return array.shape, array.dtype, tree.requires_grad
    if kind is tuple or kind is list:
        return kind, *[_key(each, tensors) for each in tree]
    if isinstance(tree, dict):
        return kind, *[(name, _key(each, tensors)) for name, each in tree.items()]
    if isinstance(tree, TensorTuple | tuple | list):
        return kind, *[_key(each, tensors) for each in tree]
    if isinstance(tree, np.ndarray):
        raise TypeError(
            f"a compiled function got a NumPy array of shape {tree.shape}, whose values would be "
            "fixed by the first call: pass a Tensor"
        )
    if is_record(tree):
        return kind, *[_key(getattr(tree, each.name), tensors) for each in fields(tree)]
    is_value = isinstance(tree, bool | int | float | str | bytes | np.generic | type(None))
    return (kind, repr(tree) if isinstance(tree, float) else tree) if is_value else (kind, id(tree))


def _by_name(function: Any, key: Any) -> dict[str, Any]:
    """The keys of arguments by their names."""
    (_, *args), kwargs = key[:2]
    try:
        names = list(inspect.signature(getattr(function, "forward", function)).parameters)
    except (TypeError, ValueError):  # a function of C
        names = []
    names += [f"argument {i}" for i in range(len(names), len(args))]
    return dict([*zip(names, args, strict=False), *(kwargs or ())[1:]])


def _change(former: Any, now: Any) -> str:
    """The first difference of two keys, in words."""
    is_alike = isinstance(former, tuple) and isinstance(now, tuple) and len(former) == len(now)
    if is_alike and not _is_leaf(former) and not _is_leaf(now):
        return next(_change(a, b) for a, b in zip(former, now, strict=True) if a != b)
    return f"{_shown(former)} became {_shown(now)}"


def _is_number(key: Any) -> bool:
    return _is_leaf(key) and len(key) == 2 and key[0] in (int, float)


def _is_leaf(key: Any) -> bool:
    """Whether a key is that of a tensor, or of a value."""
    is_tensor = isinstance(key, tuple) and len(key) == 3 and isinstance(key[1], np.dtype)
    return is_tensor or (
        isinstance(key, tuple) and len(key) == 2 and isinstance(key[0], type)
        and not isinstance(key[1], tuple)
    )  # fmt: skip


def _shown(key: Any) -> str:
    if not _is_leaf(key):
        return "another structure" if isinstance(key, tuple) else repr(key)
    if len(key) == 3:
        return f"{key[1]}{list(key[0])}{', requires_grad' if key[2] else ''}"
    return str(key[1]) if key[0] in (bool, int, float, str, type(None)) else key[0].__name__


@overload
def compile(
    function: None = None, *, executor: str = "auto"
) -> Callable[[Any], CompiledFunction]: ...
@overload
def compile(function: Callable[..., Any], *, executor: str = "auto") -> CompiledFunction: ...
def compile(function: Any = None, *, executor: str = "auto") -> Any:
    """A function that runs as one program: a training step, or a model for inference.

    The first call records what `function` does, by running it once on arrays without numbers:
    forward pass, loss, `backward`, clipping, `optimizer.step()`. The program is optimised,
    compiled, and run by this and by later calls, with the same results as without `compile`, and
    with the same random draws. Arguments of other shapes or dtypes, `train()` and `eval()`, frozen
    or replaced parameters, and Python numbers that change are recorded anew; `recordings` counts.
    Learning rates and other settings of optimizers may change at any time.

    Python runs while recording only: what else the function does (printing, appending to lists,
    counting) happens once per recording, so it should return what is needed. NumPy arrays, and what
    NumPy draws by itself, stay what they were then. Reading values (`item()`, `float()`,
    `if loss > 1`) raises an error; `clip_grad_norm_` returns the norm as a tensor. A tensor that
    is made inside and kept outside has no numbers: using it raises an error.

    `.grad` of parameters is None after a step whose gradients `optimizer.step()` has used, unless
    the function reads or returns them: nothing is stored that nobody asked for. Gradients that a
    later call replaces unused are a `GradientReplacedWarning`, as without `compile`. Results have
    no graph. An exception leaves all parameters as they were before the call, or as they are after
    it.

    Args:
        function: a function of tensors and containers of them, or a Module. None: returns a
            decorator.
        executor: "numba" generates machine code (`pip install 'needle-dl[compile]'`), "numpy"
            runs NumPy's functions without allocating memory, "auto" is "numba" where it is
            installed.

    Raises:
        ImportError: `executor="numba"` without Numba.
        NeedsNumbers: (a TypeError) when recording, where values of tensors are read; it names the
            line.
        TypeError: an argument is a NumPy array.
        ValueError: an argument has a graph.

    Example:
        >>> import needle as ndl
        >>> weight = ndl.Tensor([1.0, 2.0])
        >>> optimizer = ndl.optim.SGD([weight], lr=0.1)
        >>> @ndl.compile(executor="numpy")
        ... def step(x):
        ...     loss = (weight * x).sum()
        ...     optimizer.reset_grad()
        ...     loss.backward(create_graph=False)
        ...     optimizer.step()
        ...     return loss
        >>> x = ndl.Tensor([1.0, 1.0], requires_grad=False)
        >>> step(x).item(), round(step(x).item(), 6), step.recordings
        (3.0, 2.8, 1)
        >>> calls = []
        >>> @ndl.compile(executor="numpy")
        ... def double(x):
        ...     calls.append("recorded")
        ...     return x * 2
        >>> _ = [double(x) for _ in range(3)]
        >>> calls
        ['recorded']
    """
    if function is None:
        return functools.partial(compile, executor=executor)
    return CompiledFunction(function, executor)
