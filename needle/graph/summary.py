"""summary: a model's layers with the shapes of their outputs, their parameters and memory."""

import html
import operator
from collections import Counter
from collections.abc import Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from typing import Any

from .. import init
from ..autograd import Tensor, no_grad
from ..differentiation.tree import flatten
from ..nn import Module
from .table import aligned

__all__ = ["LayerSummary", "Summary", "summary"]


@dataclass(frozen=True)
class LayerSummary:
    """One layer: a row of the table.

    Example:
        >>> import needle as ndl
        >>> ndl.summary(ndl.nn.Linear(3, 2), (5, 3)).layers[0].kind
        'Linear'
    """

    path: str  # "" for the model itself
    kind: str
    output_shape: Any  # a shape, a tuple of shapes, or None if the layer was not called
    parameters: int  # its own, without those of layers inside it or listed before
    output_bytes: int  # memory of its output, 0 if it is a view or made by a layer inside


@dataclass(frozen=True)
class Summary:
    """The result of `summary`; `str()` gives it as a table.

    Example:
        >>> import needle as ndl
        >>> summary = ndl.summary(ndl.nn.Linear(3, 2), (5, 3))
        >>> summary.parameters, summary.layers[0].output_shape
        (8, (5, 2))
    """

    layers: list[LayerSummary]
    parameters: int
    trainable: int
    parameter_bytes: int  # with buffers
    output_bytes: int  # of all layers: the least that a forward pass keeps for backward

    def __str__(self) -> str:
        titles = ("Layer", "Output shape", "Parameters", "Output memory")
        header, *lines = aligned([titles, *map(_cells, self.layers)])
        rule = "-" * len(header)
        frozen = self.parameters - self.trainable
        totals = [
            f"Parameters: {self.parameters:,}" + (f" ({frozen:,} frozen)" if frozen else ""),
            f"Memory: parameters and buffers {_size(self.parameter_bytes)}, "
            f"outputs {_size(self.output_bytes)}",
        ]
        return "\n".join([header, rule, *lines, rule, *totals])

    __repr__ = __str__

    def _repr_html_(self) -> str:
        return f"<pre>{html.escape(str(self))}</pre>"


def summary(model: Module, input_shape: Sequence[Any], dtype: Any = None) -> Summary:
    """Run a model once on zeros and list its layers.

    The run is in eval mode and without gradients, and does not change the model.

    Args:
        model: any Module.
        input_shape: the shape of the input with its batch axis, or a list of shapes, one per input.
        dtype: of the inputs; by default that of the model's first parameter.

    Raises:
        TypeError: `model` is not a Module, or `input_shape` not a shape or a list of shapes.
        ValueError: a layer does not take an input of this shape; the text names the layer.

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
    device = parameters[0].device if parameters else None
    shapes = _input_shapes(input_shape)
    layers = _layers(model, [init.zeros(*shape, dtype=dtype, device=device) for shape in shapes])
    return Summary(
        layers,
        sum(parameter.size for parameter in parameters),
        sum(parameter.size for parameter in parameters if parameter.requires_grad),
        sum(tensor.realize_cached_data().nbytes for tensor in (*parameters, *model.buffers())),
        sum(layer.output_bytes for layer in layers),
    )


def _input_shapes(given: Any) -> list[tuple[int, ...]]:
    """One shape, or several, as a list of shapes."""
    for shapes in ([given], given):
        with suppress(TypeError):
            return [tuple(map(operator.index, shape)) for shape in shapes]
    raise TypeError(
        "input_shape is a shape with the batch axis, such as (32, 784), or a list of shapes, "
        f"got {given!r}"
    )


def _layers(model: Module, inputs: list[Tensor]) -> list[LayerSummary]:
    """The rows, from a run in eval mode and without gradients."""
    modules = list(model.named_modules())
    shapes: dict[Module, Any] = {}
    sizes: Counter[Module] = Counter()
    # memory is counted once, at the innermost module that made it: its hook runs first
    arrays = {id(array): array for array in map(_owner, inputs)}

    def note(module: Module, args: Any, output: Any) -> None:
        tensors = flatten(output)[0]
        several = tuple(tensor.shape for tensor in tensors)
        shapes[module] = several[0] if isinstance(output, Tensor) else several or None
        for tensor in tensors:
            array = _owner(tensor)
            if id(array) not in arrays:
                sizes[module] += tensor.realize_cached_data().nbytes
            arrays[id(array)] = array

    with ExitStack() as stack:
        stack.enter_context(no_grad())
        for _, module in modules:
            stack.enter_context(module.register_forward_hook(note))
            stack.callback(setattr, module, "training", module.training)
        model.eval()
        model(*inputs)

    listed: set[int] = set()  # parameters that are in a row
    rows = []
    for path, module in modules:
        inner = {id(value) for child in module.children() for value in child.parameters()}
        own = [value for value in module.parameters() if id(value) not in inner | listed]
        listed.update(map(id, own))
        kind, count = type(module).__name__, sum(parameter.size for parameter in own)
        rows.append(LayerSummary(path, kind, shapes.get(module), count, sizes[module]))
    return rows


def _owner(tensor: Tensor) -> Any:
    """The array that holds the memory of `tensor`."""
    array = tensor.realize_cached_data()
    while getattr(array, "base", None) is not None:
        array = array.base
    return array


def _cells(layer: LayerSummary) -> tuple[str, str, str, str]:
    """A row of the table; the name is indented by its depth."""
    depth = layer.path.count(".") + 1 if layer.path else 0
    name = f"{layer.path.rpartition('.')[2]}: {layer.kind}" if layer.path else layer.kind
    return (
        "  " * depth + name,
        "not called" if layer.output_shape is None else str(layer.output_shape),
        f"{layer.parameters:,}" if layer.parameters else "",
        _size(layer.output_bytes) if layer.output_bytes else "",
    )


def _size(count: float) -> str:
    """A number of bytes with a decimal unit."""
    for unit in ("B", "KB", "MB"):
        if count < 1000:
            return f"{count:.4g} {unit}"
        count /= 1000
    return f"{count:.4g} GB"
