"""A Device creates arrays and draws random numbers; all else goes by NumPy's protocols."""

from __future__ import annotations

import importlib
import importlib.util
import sys
from collections import Counter
from collections.abc import Callable
from contextvars import ContextVar
from functools import cache, cached_property
from threading import get_ident
from typing import Any

import numpy as np

__all__ = [
    "Device", "Generator", "as_device", "cpu", "cuda", "default_device", "device_of", "manual_seed",
    "to_numpy",
]  # fmt: skip


draw_instead: ContextVar[Callable[[Any, str, Any], Any] | None]
draw_instead = ContextVar("draw_instead", default=None)
"""Set by what notes or repeats draws: (stream, method, size) -> a tuple; numbers first."""

note_array: ContextVar[Callable[[Any], None] | None]
note_array = ContextVar("note_array", default=None)
"""Set by what must know which arrays are created: called with each."""

global_draws: Counter[int] = Counter()
"""By thread: how often it began or ended to draw from NumPy's global random state."""


def drawn(stream: Any, method: str, size: Any) -> Any:
    """`stream.method(size)`, of one of NumPy's streams: all that needle draws comes from here."""
    instead = draw_instead.get()
    return draw(stream, method, size) if instead is None else instead(stream, method, size)[0]


def draw(stream: Any, method: str, size: Any) -> Any:
    """`stream.method(size)`, counted if it draws from NumPy's global random state."""
    if stream is not global_stream():
        return getattr(stream, method)(size)
    thread = get_ident()
    global_draws[thread] += 1
    try:
        return getattr(stream, method)(size)
    finally:
        global_draws[thread] += 1


class Generator:
    """A random number generator apart from NumPy's global state; equal seeds give equal numbers.

    Example:
        >>> import needle as ndl
        >>> ndl.Generator(seed=0).permutation(4)
        array([2, 0, 1, 3])
    """

    def __init__(self, seed: int | None = None) -> None:
        if seed is not None and not (isinstance(seed, int | np.integer) and seed >= 0):
            raise ValueError(f"Generator: seed must be an integer from 0, or None, got {seed!r}")
        self.seed = seed
        self._numpy = np.random.default_rng(seed)

    def rand(self, *shape: int) -> np.ndarray:
        """float64 draws from U(0, 1)."""
        return drawn(self._numpy, "random", shape)

    def randn(self, *shape: int) -> np.ndarray:
        """float64 draws from N(0, 1)."""
        return drawn(self._numpy, "standard_normal", shape)

    def permutation(self, n: int) -> np.ndarray:
        """0 ... n - 1 in random order."""
        return drawn(self._numpy, "permutation", n)

    def state_dict(self) -> dict[str, Any]:
        """The state as JSON values; its 128-bit integers are strings of decimal digits."""
        state: Any = self._numpy.bit_generator.state
        return {**state, "state": {name: str(number) for name, number in state["state"].items()}}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continue from what `state_dict()` gave; anything else is a ValueError."""
        try:
            numbers = {name: int(number) for name, number in state["state"].items()}
            self._numpy.bit_generator.state = {**state, "state": numbers}
        except (KeyError, TypeError, ValueError, AttributeError, OverflowError):
            raise ValueError(f"not the state of a Generator: {state!r}") from None

    def __repr__(self) -> str:
        return f"needle.Generator({'' if self.seed is None else f'seed={self.seed}'})"


@cache  # not at import, because NumPy loads numpy.random on first use
def global_stream() -> Any:
    """NumPy's global random state."""
    rand: Any = np.random.rand
    return rand.__self__


@cache
def _global() -> Generator:
    generator = Generator(0)
    generator._numpy = global_stream()
    return generator


def _source(generator: Generator | None) -> Generator:
    """What draws: the generator, or the one of NumPy's global random state."""
    if generator is None:
        return _global()
    if not isinstance(generator, Generator):
        raise TypeError(f"generator expected a needle.Generator or None, got {generator!r}")
    return generator


class Device:
    """Where arrays of one library live. Its name serves in its place: `Tensor(x, device="cpu")`.

    NumPy draws the random numbers, so that a seed gives the same numbers on every device.

    Args:
        name: the kind, such as `"cpu"`, known from here on. Devices of a kind are equal.
        module: has `ndarray`, the type of the arrays, and NumPy's `array`, `asarray`, `full` and
            `arange`. Arrays speak NumPy's protocols and copy themselves to NumPy by `get()`.

    Example:
        >>> import needle as ndl
        >>> x = ndl.Tensor([1.0, 2.0], device="cpu")
        >>> x.device == ndl.cpu()
        True
    """

    module: Any
    array_type: Any  # that of the arrays that live here

    def __init__(self, name: str, module: Any) -> None:
        self.name, self.module, self.array_type = name, module, module.ndarray
        _devices[name] = self

    def enabled(self) -> bool:
        """Whether arrays can be created on this device."""
        return True

    def array(self, data: Any, dtype: Any = None) -> Any:
        """A new array with a copy of `data`, which may live on another device."""
        if device_of(data, self) is not self:
            data = to_numpy(data)
        arrays = np.ndarray, self.array_type
        if hasattr(data, "__array_function__") and not isinstance(data, arrays):
            array = np.array(data, dtype=dtype, like=data)  # of what stands for an array
        else:
            array = self.module.array(data, dtype=dtype)
        if (note := note_array.get()) is not None:
            note(array)
        return array

    def full(self, shape: tuple[int, ...], value: Any, dtype: Any) -> Any:
        """An array of `shape` filled with `value`."""
        array = self.module.full(shape, value, dtype=dtype)
        if (note := note_array.get()) is not None:
            note(array)
        return array

    def _placed(self, numbers: Any) -> Any:
        """What NumPy has drawn, as an array of this device."""
        is_array = self.module is np and hasattr(numbers, "__array_function__")
        return numbers if is_array else self.module.asarray(numbers)

    # draws come from `generator`, or from NumPy's global random state

    def rand(self, *shape: int, generator: Generator | None = None) -> Any:
        """float64 draws from U(0, 1)."""
        return self._placed(_source(generator).rand(*shape))

    def randn(self, *shape: int, generator: Generator | None = None) -> Any:
        """float64 draws from N(0, 1)."""
        return self._placed(_source(generator).randn(*shape))

    def seeded_rand(self, seed: Any, part: int, *shape: int) -> Any:
        """float32 draws from U(0, 1) by `seed`, an array of integers, and the number of a part."""
        words = to_numpy(seed).ravel().tolist()
        sequence = np.random.SeedSequence(words, spawn_key=(part,))
        return self._placed(np.random.default_rng(sequence).random(shape, np.float32))

    def permutation(self, n: int, generator: Generator | None = None) -> Any:
        """0 ... n - 1 in random order."""
        return self._placed(_source(generator).permutation(n))

    def one_hot(self, n: int, classes: Any, dtype: Any) -> Any:
        """1 at each class number, 0 elsewhere: shape classes.shape + (n,)."""
        return (self.array(classes)[..., None] == self.module.arange(n)).astype(dtype)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Device) and self.name == other.name

    def __hash__(self) -> int:
        return hash(self.name)

    def __reduce__(self) -> tuple[Any, ...]:  # copied and pickled by name: a module cannot be
        return as_device, (self.name,)

    def __str__(self) -> str:
        return f"{self.name}()"

    def __repr__(self) -> str:
        return f"needle.{self}"


class _CUDA(Device):
    # NVIDIA's GPUs through CuPy, which is imported on first use
    def __init__(self) -> None:
        self.name = "cuda"
        _devices[self.name] = self

    def enabled(self) -> bool:
        try:
            return bool(self.module)
        except RuntimeError:
            return False

    @cached_property
    def module(self) -> Any:
        missing = "CuPy is not installed (pip install cupy-cuda12x, the package for CUDA 12)"
        if importlib.util.find_spec("cupy"):
            cupy = importlib.import_module("cupy")
            if cupy.cuda.is_available():
                return cupy
            missing = "CuPy finds no GPU (nvidia-smi shows the driver and its GPUs)"
        raise RuntimeError(f"needle.cuda() cannot be used: {missing}")

    @property
    def array_type(self) -> Any:
        return getattr(sys.modules.get("cupy"), "ndarray", ())  # no array exists before the import


_devices: dict[str, Device] = {}
_cpu = Device("cpu", np)
_cpu.array_type = np.ndarray, np.generic  # which NumPy gives for a result without axes
_cuda = _CUDA()


def cpu() -> Device:
    """The CPU, with NumPy's arrays.

    Example:
        >>> import needle as ndl
        >>> ndl.cpu()
        needle.cpu()
    """
    return _cpu


def cuda() -> Device:
    """An NVIDIA GPU, with CuPy's arrays; `enabled()` tells whether both are available.

    Example:
        >>> import needle as ndl
        >>> ndl.Tensor([1.0], device=ndl.cuda() if ndl.cuda().enabled() else ndl.cpu()).shape
        (1,)
    """
    return _cuda


def default_device() -> Device:
    """The device of tensors created without `device`: the CPU.

    Example:
        >>> import needle as ndl
        >>> ndl.default_device() == ndl.cpu()
        True
    """
    return _cpu


def as_device(device: Device | str | None) -> Device:
    """A device or its name as a Device; None is the default. An unknown one is a ValueError."""
    if device is None:
        return _cpu
    if isinstance(device, Device):
        return device
    if isinstance(device, str) and device in _devices:
        return _devices[device]
    raise ValueError(f"no device {device!r}: known are {', '.join(map(repr, _devices))}")


def device_of(array: Any, default: Device | None = None) -> Device:
    """The device whose arrays are of the array's type, else `default`, else a TypeError."""
    for device in _devices.values():
        if isinstance(array, device.array_type):
            return device
    if isinstance(found := getattr(array, "device", None), Device):  # of what stands for an array
        return found
    if default is None:
        raise TypeError(f"no device has arrays of the type {type(array)}")
    return default


def to_numpy(array: Any) -> np.ndarray:
    """An array of any device as a NumPy array: itself if it is one, else a copy on the host."""
    return np.asarray(array) if isinstance(array, np.ndarray | np.generic) else array.get()


def manual_seed(seed: int) -> None:
    """Seed NumPy's global random state, which needle draws from unless given a Generator.

    Example:
        >>> import needle as ndl
        >>> ndl.manual_seed(0)
        >>> first = ndl.init.rand(3)
        >>> ndl.manual_seed(0)
        >>> bool((first == ndl.init.rand(3)).numpy().all())
        True
    """
    np.random.seed(seed)


# glibc gives memory back to the system as soon as 128 KiB are free, and every step of training then
# gets new pages for its arrays, filled with zeros. It raises that limit to twice the size of the
# largest block that was freed, up to 64 MiB: this one is never touched, and costs nothing.
np.empty(31 << 20, np.uint8)
