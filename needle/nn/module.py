"""Module, the base of layers and models."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Mapping
from dataclasses import MISSING
from types import SimpleNamespace
from typing import Any, NamedTuple, Self

import numpy as np

from ..autograd import Hook, Tensor, assign, clear_gradients
from ..device import Device
from ..ops.functions import device_and_dtype
from .hooks import call_with_hooks
from .html import module_html
from .parameter import Parameter, assigned, check_buffer, check_listed, check_uncompiled
from .paths import distinct, join, once, unpack

__all__ = ["Module"]


_tick = itertools.count(1).__next__
last_attribute = [0]
"""The number of the last time that an attribute of any module was set or deleted."""


class MismatchedKeys(NamedTuple):
    """Names missing in the state, and names in it that the model lacks."""

    missing_keys: list[str]
    unexpected_keys: list[str]


class Module:
    """Base class of layers and models: parameters, submodules and `forward`.

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

    # defaults on the class, so that a subclass works whose __init__ does not call this one
    _hooks: SimpleNamespace | None = None
    _buffers: Mapping[str, bool] = {}  # name: whether state_dict() holds it
    _absent: frozenset[str] = frozenset()  # names of parameters that are or were None
    _listed: frozenset[str] = frozenset()  # names of parameters in lists and dicts, when last seen
    _contents = ""  # attribute whose name is left out of paths: 0.weight, not modules.0.weight

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
        """The output of the module; subclasses define it."""
        raise NotImplementedError(f"{type(self).__name__} defines no forward()")

    def __setattr__(self, name: str, value: Any) -> None:
        """Set an attribute; one that holds a parameter keeps it, see `assigned`."""
        former = vars(self).get(name)
        if isinstance(former, Parameter) or name in self._absent:
            if value is None:
                vars(self)["_absent"] = self._absent | {name}
            value = assigned(self, name, former, value)
        elif name in self._buffers and not isinstance(value, Tensor | None):
            kind = type(value).__name__
            raise TypeError(f"cannot assign {kind} as the buffer {name!r}: expected a Tensor")
        elif isinstance(value, list | tuple | dict):
            listed = check_listed(self, unpack({name: value}, ""), self._listed)
            if listed:
                vars(self)["_listed"] = self._listed | listed
        check_uncompiled(value)
        if isinstance(value, Parameter):
            vars(value).setdefault("_name", f"{type(self).__name__}.{name}")  # for errors
        super().__setattr__(name, value)
        last_attribute[0] = _tick()

    def __delattr__(self, name: str) -> None:
        """Delete an attribute; its name is free for any other."""
        super().__delattr__(name)
        last_attribute[0] = _tick()
        vars(self)["_absent"] = self._absent - {name}
        vars(self)["_buffers"] = {key: kept for key, kept in self._buffers.items() if key != name}

    # --- contents

    def register_parameter(self, name: str, param: Parameter | None) -> None:
        """Set the attribute `name` to a parameter, or to None where the module has none.

        A name that is taken, empty or contains a dot is a ValueError.
        """
        if param is not None and not isinstance(param, Parameter):
            raise TypeError(
                f"register_parameter takes a Parameter or None, got {type(param).__name__}"
            )
        self._check_name("register_parameter", name)
        vars(self)["_absent"] = self._absent | {name}
        setattr(self, name, param)

    def _check_name(self, function: str, name: str) -> None:
        if not name or "." in name or (hasattr(self, name) and name not in self._buffers):
            raise ValueError(f"{function}: {name!r} is taken, or no name for an attribute")

    def parameters(self) -> list[Parameter]:
        """All parameters of this module and its submodules, without duplicates."""
        return [parameter for _, parameter in self.named_parameters()]

    def named_parameters(self, prefix: str = "") -> Iterator[tuple[str, Parameter]]:
        """Pairs of dotted path and parameter, without duplicates."""
        return distinct(once(self._walk(prefix), Parameter))

    def named_modules(self, prefix: str = "") -> Iterator[tuple[str, Module]]:
        """Pairs of dotted path and module, this one and all below it, parents first."""
        return once(self._walk(prefix), Module)

    def modules(self) -> Iterator[Module]:
        """This module and all below it, without duplicates, parents first."""
        return (module for _, module in self.named_modules())

    def named_children(self) -> Iterator[tuple[str, Module]]:
        """Pairs of name and module directly below this one."""
        return once(self._entries(), Module)

    def children(self) -> Iterator[Module]:
        """The modules directly below this one."""
        return (module for _, module in self.named_children())

    def _children(self) -> list[Module]:
        """All modules below this one."""
        return [module for _, module in self.named_modules()][1:]

    def register_buffer(self, name: str, tensor: Tensor | None, persistent: bool = True) -> None:
        """Set the attribute `name` to a tensor that is part of the state but not trained.

        None stands for a buffer that is set later. `persistent`: `state_dict()` contains it. A name
        that is taken, empty or contains a dot is a ValueError.
        """
        check_buffer(name, tensor)
        self._check_name("register_buffer", name)
        self._buffers = {**self._buffers, name: persistent}
        if tensor is not None and tensor.requires_grad:
            tensor = tensor.detach()
        setattr(self, name, tensor)

    def buffers(self) -> Iterator[Tensor]:
        """All buffers of this module and its submodules, without duplicates."""
        return (tensor for _, tensor in self.named_buffers())

    def named_buffers(self, prefix: str = "") -> Iterator[tuple[str, Tensor]]:
        """Pairs of dotted path and buffer, without duplicates."""
        pairs = once(self._walk(prefix), Tensor)
        return (pair for pair in pairs if not isinstance(pair[1], Parameter))

    def _entries(self) -> Iterator[tuple[str, Any]]:
        """Names and values of the attributes; entries of lists, tuples and dicts as `name.key`."""
        attributes = dict(vars(self))
        yield from unpack(attributes.pop(self._contents, ()), "")
        yield from unpack(attributes, "")

    def _walk(self, path: str, above: tuple[Module, ...] = ()) -> Iterator[tuple[str, Any]]:
        """Paths and values: this module, and all modules, parameters and buffers below it.

        A value is listed under each of its paths; a module is not searched inside itself.
        """
        yield path, self
        above = (*above, self)
        entries = list(self._entries())
        listed = check_listed(self, entries, self._listed)
        if listed != self._listed:
            vars(self)["_listed"] = listed
        for name, value in entries:
            if isinstance(value, Parameter) or (name in self._buffers and value is not None):
                yield join(path, name), value
            elif isinstance(value, Module) and not any(value is module for module in above):
                yield from value._walk(join(path, name), above)

    # --- changes

    def train(self, mode: bool = True) -> Self:
        """Set this module and all below it to training mode, or to evaluation mode.

        Submodules that override `train`, for instance to keep a part frozen, have it called.
        """
        for _, module in reversed(list(self.named_modules())):  # children first
            if module is self or type(module).train is Module.train:
                module.training = mode
            else:
                module.train(mode)
        return self

    def eval(self) -> Self:
        """Set this module and all below it to evaluation mode."""
        return self.train(False)

    def zero_grad(self, set_to_none: bool = True) -> None:
        """Set the gradients of all parameters to None, or to zeros."""
        clear_gradients(self.parameters(), set_to_none)

    def requires_grad_(self, requires_grad: bool = True) -> Self:
        """Set `requires_grad` of all parameters; False freezes this part of a model."""
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

        Takes a device, a floating-point dtype, or both: `model.to("cpu", "float64")`. Another dtype
        is a TypeError, an unusable device a RuntimeError. Tensors of integers keep their dtype.
        """
        named = [entry for entry in (device, dtype) if entry is not None]
        device, dtype = device_and_dtype(*where, *named)
        if dtype is not None and dtype.kind != "f":
            raise TypeError(f"a model is made of floating-point numbers, got dtype {dtype}")
        for tensor in (*self.parameters(), *self.buffers()):
            for part in (tensor, tensor.grad):
                if part is not None:
                    kind = dtype if part.dtype.kind == "f" else None
                    assign(part, part.detach().to(device=device, dtype=kind), in_place=False)
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
        """Parameters and persistent buffers by their paths, as Tensors that share their memory."""
        return {path: tensor.detach() for path, tensor in distinct(self._state())}

    def _state(self) -> Iterator[tuple[str, Tensor]]:
        left_out: set[str] = set()
        for path, value in self._walk(""):
            if isinstance(value, Module):
                left_out |= {join(path, name) for name, kept in value._buffers.items() if not kept}
            elif path not in left_out:
                yield path, value

    def load_state_dict(self, state: Mapping[str, Any], strict: bool = True) -> MismatchedKeys:
        """Copy Tensors or arrays by name, as in `state_dict()`, into the parameters and buffers.

        They are converted to the model's dtypes. Shapes that differ and, if `strict`, names that
        differ are a ValueError, which lists all of them; then nothing is loaded. Returns
        `missing_keys`, in the model only, and `unexpected_keys`, in the state only.
        """
        if not isinstance(state, Mapping):
            raise TypeError(
                f"load_state_dict takes a dict of names and Tensors, got {type(state).__name__}: "
                "needle.load(path) gives the one in a file"
            )
        own = dict(distinct(self._state()))
        arrays = {name: _array(name, state[name]) for name in own if name in state}
        missing = [name for name in own if name not in state]
        unexpected = [name for name in state if name not in own]
        differences = [
            f"{name} has shape {own[name].shape} in the model, {array.shape} in the state"
            for name, array in arrays.items()
            if array.shape != own[name].shape
        ]
        if strict:
            differences += [f"{name} is missing from the state" for name in missing]
            differences += [f"{name} is unknown to the model" for name in unexpected]
        if differences:
            raise ValueError(
                f"the state does not fit this {type(self).__name__}, nothing was loaded:\n  "
                + "\n  ".join(differences)
            )
        for name, array in arrays.items():
            target = own[name]
            assign(target, Tensor(array, device=target.device, dtype=target.dtype))
        return MismatchedKeys(missing, unexpected)

    # --- hooks

    def register_forward_pre_hook(self, hook: Callable[..., Any]) -> Hook:
        """Call `hook(module, args)` before each forward; a result replaces the arguments."""
        return self._register("before", hook)

    def register_forward_hook(self, hook: Callable[..., Any]) -> Hook:
        """Call `hook(module, args, output)` after each forward; a result replaces the output."""
        return self._register("after", hook)

    def register_full_backward_hook(self, hook: Callable[..., Any]) -> Hook:
        """Call `hook(module, input_grads, output_grads)` after each backward through the module.

        Both are tuples with an adjoint or None for each Tensor among the arguments and the outputs.
        A result replaces the adjoints of the inputs.
        """
        return self._register("backward", hook)

    def _register(self, kind: str, hook: Callable[..., Any]) -> Hook:
        if self._hooks is None:
            self._hooks = SimpleNamespace(before={}, after={}, backward={})
        return Hook(getattr(self._hooks, kind), hook)

    # --- representation

    def extra_repr(self) -> str:
        """The settings that `repr` shows between the parentheses.

        By default those fields of a dataclass that differ from their defaults.
        """
        fields = getattr(self, "__dataclass_fields__", {}).values()
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

    _repr_html_ = module_html


def _note_layer(module: Module, error: Exception) -> None:
    """Note on `error` the path, below `module`, of the layer that raised it.

    Called by each module that the error passes through; the note of the outermost one remains.
    """
    layer, note = vars(error).setdefault("_layer", (module, None))
    path = next((path for path, other in module.named_modules() if other is layer), "")
    if path:
        if note is not None and note in error.__notes__:
            error.__notes__.remove(note)
        note = f"in layer {path} ({type(layer).__name__}) of {type(module).__name__}"
        error.add_note(note)
        vars(error)["_layer"] = layer, note


def _array(name: str, value: Any) -> Any:
    if type(value).__module__.partition(".")[0] == "torch":
        raise TypeError(
            f"state of {name}: got a tensor of PyTorch, which has the weights of Linear layers "
            "transposed: use needle.interop.load_torch_state_dict(model, state)"
        )
    array = value.realize_cached_data() if isinstance(value, Tensor) else np.asarray(value)
    if array.dtype.kind not in "biuf":
        kind = getattr(value, "dtype", type(value).__name__)
        raise TypeError(
            f"state of {name}: expected a Tensor or an array of real numbers, got {kind}"
        )
    return array
