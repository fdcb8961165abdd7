"""Module, the base of layers and models, and Parameter, a tensor that is trained."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import MISSING
from typing import Any, Self

from ..autograd import Hook, Tensor, clear_gradients
from ..device import Device
from ..ops.transfer import device_and_dtype
from .hooks import Hooks, call_with_hooks
from .state import MismatchedKeys, load_state

__all__ = ["Module", "Parameter"]


class Parameter(Tensor):
    """A Tensor that `Module.parameters()` finds and an optimizer trains."""

    __slots__ = ()


class Module:
    """A part of a model: parameters, submodules, and `forward`, which uses them.

    Parameters and submodules are found in the attributes, also inside lists, tuples and dicts,
    in the order in which they were set.

    Example:
        >>> import needle as ndl
        >>> from needle import nn
        >>> class Scale(nn.Module):
        ...     def __init__(self, size):
        ...         super().__init__()
        ...         self.factor = nn.Parameter(ndl.init.ones(size))
        ...
        ...     def forward(self, x):
        ...         return x * self.factor
        >>> [name for name, _ in Scale(3).named_parameters()]
        ['factor']
    """

    training = True

    # on the class, so that a module works whose __init__ does not call this one
    _hooks: Hooks | None = None
    _buffers: Mapping[str, bool] = {}  # names of buffers: whether state_dict() holds them
    _contents = (
        ""  # the attribute whose entries go by their own names: 0.weight, not layers.0.weight
    )

    def __init__(self) -> None:
        self.training = True

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        try:
            if self._hooks is None:
                return self.forward(*args, **kwargs)
            return call_with_hooks(self, self._hooks, args, kwargs)
        except Exception as error:
            _note_layer(self, error)
            raise

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        """The output of the module; each module defines it."""
        raise NotImplementedError(f"{type(self).__name__} defines no forward()")

    # --- what is in it

    def parameters(self) -> list[Parameter]:
        """Every parameter of this module and those below it, once each."""
        return [parameter for _, parameter in self.named_parameters()]

    def named_parameters(self, prefix: str = "") -> Iterator[tuple[str, Parameter]]:
        """Pairs of dotted path and parameter; one that several layers share comes once."""
        return _once(self._walk(prefix), Parameter)

    def named_modules(self, prefix: str = "") -> Iterator[tuple[str, Module]]:
        """Pairs of dotted path and module: this one and all below it, once each, parents first."""
        return _once(self._walk(prefix), Module)

    def named_children(self) -> Iterator[tuple[str, Module]]:
        """Pairs of name and module directly below this one, once each."""
        return _once(self._entries(), Module)

    def children(self) -> Iterator[Module]:
        """The modules directly below this one."""
        return (module for _, module in self.named_children())

    def _children(self) -> list[Module]:
        """All modules below this one."""
        return [module for _, module in self.named_modules()][1:]

    def register_buffer(self, name: str, tensor: Tensor | None, persistent: bool = True) -> None:
        """Make `tensor` the attribute `name`: state that is kept but not trained.

        Args:
            name: a new attribute.
            tensor: a Tensor, or None for a place that is filled later.
            persistent: whether `state_dict()` holds it.

        Raises:
            TypeError: `tensor` is neither.
            ValueError: `name` is taken, empty or has a dot.
        """
        if tensor is not None and not isinstance(tensor, Tensor):
            raise TypeError(f"register_buffer takes a Tensor or None, got {type(tensor).__name__}")
        if not name or "." in name or (hasattr(self, name) and name not in self._buffers):
            raise ValueError(f"register_buffer: {name!r} is taken, or no name for an attribute")
        self._buffers = {**self._buffers, name: persistent}
        setattr(
            self, name, tensor.detach() if tensor is not None and tensor.requires_grad else tensor
        )

    def buffers(self) -> Iterator[Tensor]:
        """Every buffer of this module and those below it, once each."""
        return (tensor for _, tensor in self.named_buffers())

    def named_buffers(self, prefix: str = "") -> Iterator[tuple[str, Tensor]]:
        """Pairs of dotted path and buffer."""
        for path, tensor in _once(self._walk(prefix), Tensor):
            if not isinstance(tensor, Parameter):
                yield path, tensor

    def _entries(self) -> Iterator[tuple[str, Any]]:
        """Names and values of the attributes, with those of lists, tuples and dicts unpacked."""
        attributes = vars(self)
        if self._contents in attributes:
            yield from _unpack(attributes[self._contents], "")
            attributes = {name: attributes[name] for name in attributes if name != self._contents}
        yield from _unpack(attributes, "")

    def _walk(self, path: str, above: tuple[Module, ...] = ()) -> Iterator[tuple[str, Any]]:
        """Paths of this module and of all modules, parameters and buffers below it, parents first.

        What stands in several places comes at each, but no module inside itself.
        """
        yield path, self
        above = (*above, self)
        for name, value in self._entries():
            if isinstance(value, Parameter) or (name in self._buffers and value is not None):
                yield _join(path, name), value
            elif isinstance(value, Module) and not any(value is module for module in above):
                yield from value._walk(_join(path, name), above)

    # --- what is done to all of it

    def train(self, mode: bool = True) -> Self:
        """Switch this module and all below it to training mode (Dropout drops, and so on).

        Of a module that defines `train` itself, to freeze a part of it, that is called.
        """
        for _, module in reversed(list(self.named_modules())):  # those inside first
            if module is self or type(module).train is Module.train:
                module.training = mode
            else:
                module.train(mode)
        return self

    def eval(self) -> Self:
        """Switch this module and all below it to evaluation mode."""
        return self.train(False)

    def zero_grad(self, set_to_none: bool = True) -> None:
        """Forget the gradients of all parameters, or put zeros in their place."""
        clear_gradients(self.parameters(), set_to_none)

    def requires_grad_(self, requires_grad: bool = True) -> Self:
        """Set whether the parameters require gradients: False freezes this part of a model."""
        for parameter in self.parameters():
            parameter.requires_grad = requires_grad
        return self

    def apply(self, function: Callable[[Module], Any]) -> Self:
        """Call `function` on every module below this one, then on this one."""
        for child in self.children():
            child.apply(function)
        function(self)
        return self

    def to(self, *where: Any, dtype: Any = None, device: Device | str | None = None) -> Self:
        """Move and convert parameters and buffers, which stay the same tensors.

        Args:
            where: a device, a dtype, or both, as in PyTorch: `model.to("cpu", "float64")`.
            dtype: a floating-point dtype; tensors of integers keep theirs.
            device: where the arrays shall live.

        Raises:
            TypeError: an argument is no device and no floating-point dtype.
            RuntimeError: the device cannot be used.
        """
        named = [entry for entry in (device, dtype) if entry is not None]
        device, dtype = device_and_dtype(*where, *named)
        if dtype is not None and dtype.kind != "f":
            raise TypeError(f"a model is made of floating-point numbers, got dtype {dtype}")
        for tensor in (*self.parameters(), *self.buffers()):
            for part in (tensor, tensor.grad):
                if part is not None:
                    _convert(part, dtype, device or tensor.device)
        return self

    def cpu(self) -> Self:
        """Move parameters and buffers to the CPU."""
        return self.to("cpu")

    def cuda(self) -> Self:
        """Move parameters and buffers to the GPU."""
        return self.to("cuda")

    def float(self) -> Self:
        """Convert parameters and buffers to float32."""
        return self.to("float32")

    def double(self) -> Self:
        """Convert parameters and buffers to float64."""
        return self.to("float64")

    # --- state

    def state_dict(self) -> dict[str, Tensor]:
        """Parameters and persistent buffers by their paths, as Tensors that share their memory.

        Raises:
            TypeError: a buffer was replaced by something that is no Tensor.
        """
        state = {}
        passing: set[str] = set()
        for path, value in self._walk(""):
            if isinstance(value, Module):
                kept = value._buffers
                passing.update(_join(path, name) for name in kept if not kept[name])
            elif not isinstance(value, Tensor):
                raise TypeError(f"buffer {path}: expected a Tensor, got {type(value).__name__}")
            elif path not in passing:
                state[path] = value.detach()
        return state

    def load_state_dict(self, state: Mapping[str, Any], strict: bool = True) -> MismatchedKeys:
        """Copy the values of `state` into the parameters and buffers.

        Args:
            state: what `state_dict()` gave; Tensors or arrays, converted to the model's dtypes.
            strict: whether the names must be the same; the shapes always must.

        Returns:
            The names that only the model has, and those that only the state has.

        Raises:
            TypeError: `state` is no dict, or a value in it no array of real numbers.
            ValueError: names or shapes differ. All differences are listed; nothing was loaded.
        """
        return load_state(self, state, strict)

    # --- hooks

    def register_forward_pre_hook(self, hook: Callable[..., Any]) -> Hook:
        """Call `hook(module, args)` before each forward; what it returns replaces the arguments."""
        return Hook(self._own_hooks().before, hook)

    def register_forward_hook(self, hook: Callable[..., Any]) -> Hook:
        """Call `hook(module, args, output)` after each forward; a result replaces the output."""
        return Hook(self._own_hooks().after, hook)

    def register_full_backward_hook(self, hook: Callable[..., Any]) -> Hook:
        """Call `hook(module, input_grads, output_grads)` whenever backward has come through.

        Both are tuples with one adjoint a Tensor among the arguments and the outputs, None where
        there is none. What the hook returns replaces the adjoints of the inputs.
        """
        return Hook(self._own_hooks().backward, hook)

    def _own_hooks(self) -> Hooks:
        if self._hooks is None:
            self._hooks = Hooks()
        return self._hooks

    # --- how it is shown

    def extra_repr(self) -> str:
        """What `repr` shows between the parentheses.

        By default nothing, or of a dataclass the fields that differ from their defaults.
        """
        fields = [*getattr(self, "__dataclass_fields__", {}).values()]
        values = [(field, getattr(self, field.name)) for field in fields]
        return ", ".join(
            repr(value) if field.default is MISSING else f"{field.name}={value!r}"
            for field, value in values
            if isinstance(value, int | float | str | tuple | None) and value != field.default
        )

    def __repr__(self) -> str:
        count = sum(parameter.size for parameter in self.parameters())
        head = f"{type(self).__name__}({self.extra_repr()})"
        size = f"  # {count:,} parameters" if count else ""
        lines = [
            f"  ({name}): " + repr(child).replace("\n", "\n  ")
            for name, child in self._entries()
            if isinstance(child, Module)
        ]
        if not lines:
            return head + size
        return "\n".join([head[:-1] + size, *lines, ")"])


def _unpack(container: Any, prefix: str) -> Iterator[tuple[str, Any]]:
    pairs = container.items() if isinstance(container, dict) else enumerate(container)
    for key, value in pairs:
        name = _join(prefix, str(key))
        if isinstance(value, list | tuple | dict):
            yield from _unpack(value, name)
        else:
            yield name, value


def _join(prefix: str, name: str) -> str:
    return f"{prefix}.{name}" if prefix else name


def _once(pairs: Iterator[tuple[str, Any]], kind: type) -> Iterator[tuple[str, Any]]:
    """The pairs whose value is a `kind`, each value where it stands first."""
    seen: set[int] = set()
    for path, value in pairs:
        if isinstance(value, kind) and id(value) not in seen:
            seen.add(id(value))
            yield path, value


def _convert(tensor: Tensor, dtype: Any, device: Device) -> None:
    array = tensor.realize_cached_data()
    dtype = dtype if dtype is not None and array.dtype.kind == "f" else array.dtype
    if dtype != array.dtype or device != tensor.device:
        tensor.cached_data = device.array(array, dtype)


def _note_layer(module: Module, error: Exception) -> None:
    """Note on `error` the path, below `module`, of the layer that raised it.

    Called by each module that the error passes through; the note of the outermost one remains.
    """
    details = vars(error)
    layer, notes = details.setdefault("_layer", module), details.setdefault("__notes__", [])
    path = next((path for path, other in module.named_modules() if other is layer), "")
    if path:
        if (previous := details.get("_layer_note")) in notes:
            notes.remove(previous)
        note = f"in layer {path} ({type(layer).__name__}) of {type(module).__name__}"
        error.add_note(note)
        details["_layer_note"] = note
