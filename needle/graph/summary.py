"""A table of a model's layers, what they put out, their parameters and their memory."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from typing import Any

import numpy as np

from .. import init
from ..autograd import Tensor, no_grad
from ..differentiation.tree import flatten
from ..nn import Module

__all__ = ["LayerSummary", "Summary", "summary"]


@dataclass(frozen=True)
class LayerSummary:
    """One layer: a row of the table."""

    path: str  # "" for the model itself
    kind: str
    output_shape: Any  # a shape, a tuple of shapes, or None where the layer was not called
    parameters: int  # its own, without those of layers inside it or listed before
    output_bytes: (
        int  # memory that its output takes, 0 where it is a view or made by a layer inside
    )


@dataclass(frozen=True)
class Summary:
    """What `summary` found; `str()` gives it as a table."""

    layers: list[LayerSummary]
    parameters: int
    trainable: int
    parameter_bytes: int  # with buffers
    output_bytes: int  # of all layers together: what a forward pass keeps for backward, at least

    def __str__(self) -> str:
        header = ("Layer", "Output shape", "Parameters", "Output memory")
        table = [header, *map(_cells, self.layers)]
        widths = [max(len(row[column]) for row in table) for column in range(len(header))]
        lines = [
            f"{name:<{widths[0]}}  {shape:<{widths[1]}}  {count:>{widths[2]}}  {size:>{widths[3]}}"
            for name, shape, count, size in table
        ]
        rule = "-" * len(lines[0])
        frozen = self.parameters - self.trainable
        return "\n".join(
            [
                lines[0],
                rule,
                *[line.rstrip() for line in lines[1:]],
                rule,
                f"Parameters: {self.parameters:,}" + (f" ({frozen:,} frozen)" if frozen else ""),
                f"Memory: parameters and buffers {_size(self.parameter_bytes)}, "
                f"outputs {_size(self.output_bytes)}",
            ]
        )

    __repr__ = __str__


def summary(model: Module, input_shape: Sequence[Any], dtype: Any = None) -> Summary:
    """Run a model once on zeros and list its layers.

    The run is in eval mode and without gradients, and leaves the model as it was.

    Args:
        model: any Module.
        input_shape: the shape of the input, batch axis included; or a list of shapes, one an
            input.
        dtype: of the inputs; by default that of the model's first parameter.

    Returns:
        A Summary: print it, or read its fields.

    Raises:
        TypeError: `model` is no Module, or `input_shape` neither a shape nor several.
        ValueError: the model does not take an input of this shape; the text names the layer.

    Example:
        >>> import needle as ndl
        >>> print(ndl.summary(ndl.nn.Sequential(ndl.nn.Linear(3, 2), ndl.nn.ReLU()), (5, 3)))
        Layer        Output shape  Parameters  Output memory
        ----------------------------------------------------
        Sequential   (5, 2)
          0: Linear  (5, 2)                 8           40 B
          1: ReLU    (5, 2)                             40 B
        ----------------------------------------------------
        Parameters: 8
        Memory: parameters and buffers 32 B, outputs 80 B
    """
    if not isinstance(model, Module):
        raise TypeError(f"summary takes a Module, got {type(model).__name__}")
    parameters = model.parameters()
    dtype = dtype or (parameters[0].dtype if parameters else "float32")
    shapes = _input_shapes(input_shape)
    outputs: dict[Module, Any] = {}
    inputs = [init.zeros(*shape, dtype=dtype) for shape in shapes]
    with _watched(model, outputs):
        model(*inputs)
    layers = _layers(model, inputs, outputs)
    return Summary(
        layers,
        sum(parameter.size for parameter in parameters),
        sum(parameter.size for parameter in parameters if parameter.requires_grad),
        sum(_bytes(tensor) for tensor in (*parameters, *model.buffers())),
        sum(layer.output_bytes for layer in layers),
    )


def _input_shapes(given: Any) -> list[tuple[int, ...]]:
    """One shape, or several, as a list of shapes."""
    with suppress(TypeError):
        is_one = all(isinstance(length, int | np.integer) for length in given)
        shapes = [tuple(shape) for shape in ([given] if is_one else given)]
        if all(isinstance(length, int | np.integer) for shape in shapes for length in shape):
            return shapes
    raise TypeError(
        "input_shape is a shape with the batch axis, such as (32, 784), or a list of shapes, "
        f"got {given!r}"
    )


@contextmanager
def _watched(model: Module, outputs: dict[Module, Any]) -> Iterator[None]:
    """In eval mode and without gradients, each module's output is put into `outputs`."""
    modules = [module for _, module in model.named_modules()]
    modes = [module.training for module in modules]
    with ExitStack() as stack:
        stack.enter_context(no_grad())
        for module in modules:
            hook = module.register_forward_hook(
                lambda module, args, output: outputs.update({module: output})
            )
            stack.enter_context(hook)
        try:
            model.eval()
            yield
        finally:
            for module, mode in zip(modules, modes, strict=True):
                module.training = mode


def _layers(model: Module, inputs: list[Tensor], outputs: dict[Module, Any]) -> list[LayerSummary]:
    sizes = _output_bytes(model, inputs, outputs)
    listed: set[int] = set()  # parameters that stand in a row
    rows = []
    for path, module in model.named_modules():
        inner = {id(value) for child in module.children() for value in child.parameters()}
        own = [value for value in module.parameters() if id(value) not in inner | listed]
        listed.update(id(value) for value in own)
        count = sum(parameter.size for parameter in own)
        shape = _shape(outputs.get(module))
        rows.append(LayerSummary(path, type(module).__name__, shape, count, sizes[module]))
    return rows


def _output_bytes(
    model: Module, inputs: list[Tensor], outputs: dict[Module, Any]
) -> dict[Module, int]:
    """The memory of each module's output, counted once: at the innermost module that made it."""
    known = {id(_owner(tensor)) for tensor in inputs}
    sizes = {}
    modules = sorted(model.named_modules(), key=lambda pair: -_depth(pair[0]))
    for _, module in modules:
        sizes[module] = 0
        for tensor in flatten(outputs.get(module))[0]:
            owner = id(_owner(tensor))
            sizes[module] += 0 if owner in known else _bytes(tensor)
            known.add(owner)
    return sizes


def _depth(path: str) -> int:
    return path.count(".") + 1 if path else 0


def _shape(output: Any) -> Any:
    shapes = tuple(tensor.shape for tensor in flatten(output)[0])
    return (shapes[0] if isinstance(output, Tensor) else shapes) if shapes else None


def _owner(tensor: Tensor) -> Any:
    """The array that holds the memory of `tensor`."""
    array = tensor.realize_cached_data()
    while getattr(array, "base", None) is not None:
        array = array.base
    return array


def _bytes(tensor: Tensor) -> int:
    return tensor.size * tensor.dtype.itemsize


def _cells(layer: LayerSummary) -> tuple[str, str, str, str]:
    """A row of the table as text, indented by depth."""
    name = f"{layer.path.rpartition('.')[2]}: {layer.kind}" if layer.path else layer.kind
    return (
        "  " * _depth(layer.path) + name,
        "not called" if layer.output_shape is None else str(layer.output_shape),
        f"{layer.parameters:,}" if layer.parameters else "",
        _size(layer.output_bytes) if layer.output_bytes else "",
    )


def _size(count: float) -> str:
    """A number of bytes, readable."""
    for unit in ("B", "KB", "MB"):
        if count < 1000:
            return f"{count:.4g} {unit}"
        count /= 1000
    return f"{count:.4g} GB"
