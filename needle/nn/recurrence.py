"""Recurrent layers, which run their cells over sequences.

Errors for inputs are those of the functions that the cells call.
"""

from __future__ import annotations

import operator
import warnings
from collections.abc import Callable
from functools import partial
from typing import Any, ClassVar

from ..autograd import Tensor
from ..device import Device
from ..ops import concatenate, expand_dims, squeeze, stack, swapaxes
from . import functional
from .cells import GRUCell, LSTMCell, RecurrentCell, RNNCell, checked_flag, each_state
from .checks import check_fraction, check_sizes, check_tensor
from .module import Module
from .utils.rnn import PackedSequence, pad_packed_sequence

__all__ = ["GRU", "LSTM", "RNN"]


class RecurrentLayers(Module):
    """Layers of cells, in one or both directions."""

    cells_name: ClassVar[str]  # the attribute that holds them

    def __init__(
        self,
        make: Callable[..., RecurrentCell],
        input_size: int,
        hidden_size: int,
        num_layers: int,
        bias: bool,
        batch_first: bool,
        dropout: float,
        bidirectional: bool,
        proj_size: int = 0,
    ) -> None:
        super().__init__()
        layer = type(self).__name__
        check_sizes(layer, 1, num_layers=num_layers)
        check_fraction(f"{layer}: dropout", dropout)
        checked_flag(self, bias=bias, batch_first=batch_first, bidirectional=bidirectional)
        if dropout and num_layers == 1:
            warnings.warn(
                f"{layer}: dropout={dropout} has no effect with one layer: it is applied between "
                "layers",
                stacklevel=3,
            )
        self.input_size = input_size
        self.hidden_size = hidden_size
        self.num_layers = num_layers
        self.bias = bias
        self.batch_first = batch_first
        self.dropout = dropout
        self.bidirectional = bidirectional
        self.proj_size = proj_size
        directions = self.directions
        sizes = [input_size] + [directions * (proj_size or hidden_size)] * (num_layers - 1)
        cells = [make(size, hidden_size, bias) for size in sizes for _ in range(directions)]
        setattr(self, self.cells_name, cells)

    @property
    def cells(self) -> list[RecurrentCell]:
        """One for each layer and direction."""
        return getattr(self, self.cells_name)

    @property
    def directions(self) -> int:
        return 2 if self.bidirectional else 1

    def reset_parameters(self) -> None:
        """Draw the parameters anew."""
        for cell in self.cells:
            cell.reset_parameters()

    def flatten_parameters(self) -> None:
        """Does nothing; PyTorch's makes parameters contiguous on a GPU."""

    def _run(self, x: Any, state: Any, lengths: Any) -> tuple[Any, Any]:
        packed = x if isinstance(x, PackedSequence) else None
        layer = type(self).__name__
        if packed is not None:
            if lengths is not None:
                raise ValueError(f"{layer}: a PackedSequence has its own lengths")
            x, lengths = pad_packed_sequence(packed)
        check_tensor(layer, x)
        if x.ndim not in (2, 3) or x.shape[-1] != self.input_size:
            axes = "batch, steps" if self.batch_first else "steps, batch"
            raise ValueError(
                f"{layer} expected ({axes}, {self.input_size}) or, of one sequence, "
                f"(steps, {self.input_size}), got {x.shape}"
            )
        is_single = x.ndim == 2
        if is_single:
            x = expand_dims(x, 1)
            state = each_state(state, lambda each: expand_dims(each, 1))
        elif self.batch_first and packed is None:
            x = swapaxes(x, 0, 1)
        y, state = self._layers(x, state, lengths)
        if is_single:
            return squeeze(y, 1), each_state(state, lambda each: squeeze(each, 1))
        if packed is not None:
            return packed.with_data(y[packed.places()]), state
        return swapaxes(y, 0, 1) if self.batch_first else y, state

    def _layers(self, x: Tensor, state: Any, lengths: Any) -> tuple[Tensor, Any]:
        """The outputs of the last layer, and the final state of every cell."""
        cells = self.cells
        self._check_state(state, x.shape[1])
        states = [each_state(state, operator.itemgetter(k)) for k in range(len(cells))]
        directions = self.directions
        finals = []
        for first in range(0, len(cells), directions):
            if first and self.dropout and self.training:
                x = functional.dropout(x, self.dropout)
            outputs = []
            for reverse in range(directions):
                cell, initial = cells[first + reverse], states[first + reverse]
                found, final = cell.run(x, initial, lengths=lengths, reverse=bool(reverse))
                outputs.append(found)
                finals.append(final)
            x = outputs[0] if directions == 1 else concatenate(outputs, 2)
        if isinstance(finals[0], tuple):
            return x, tuple([_stacked(each) for each in zip(*finals, strict=True)])
        return x, _stacked(finals)

    def _check_state(self, state: Any, batch: int) -> None:
        cells = len(self.cells)
        sizes = (self.proj_size or self.hidden_size, self.hidden_size)
        given = state if isinstance(state, tuple | list) else () if state is None else (state,)
        for name, each, size in zip("hc", given, sizes, strict=False):
            check_tensor(f"{type(self).__name__}: {name}", each)
            if each.shape != (cells, batch, size):
                raise ValueError(
                    f"{type(self).__name__} expected {name} of shape {(cells, batch, size)}, "
                    f"(layers, batch, size), got {each.shape}"
                )

    def extra_repr(self) -> str:
        defaults = {
            "num_layers": 1, "bias": True, "batch_first": False, "dropout": 0.0,
            "bidirectional": False, "proj_size": 0,
        }  # fmt: skip
        values = {name: getattr(self, name) for name in defaults}
        others = [f", {name}={values[name]}" for name in defaults if values[name] != defaults[name]]
        return f"{self.input_size}, {self.hidden_size}{''.join(others)}"


class RNN(RecurrentLayers):
    """Elman's recurrence, h' = tanh(x·W_ih + b_ih + h·W_hh + b_hh), in one or more layers.

    Args:
        input_size, hidden_size: the lengths of x and h.
        num_layers: how many layers; each reads the outputs of the one before.
        bias: whether the cells have biases.
        nonlinearity: "tanh" or "relu".
        batch_first: whether inputs and outputs are (batch, steps, ...).
        dropout: the probability of `Dropout` between layers, in training.
        bidirectional: whether a second cell of each layer runs from the end to the start; outputs
            are then joined, (steps, batch, 2·hidden_size).

    Called with x (steps, batch, input_size), or (steps, input_size) for one sequence, and h0
    (layers, batch, hidden_size), None for zeros; layers count both directions. Returns the outputs
    of the last layer and the final h of every layer. With `lengths` (batch,), outputs beyond the
    length of a sequence are 0, the final h is that of its last step, and the second direction
    starts there; x may be a `PackedSequence` instead (see `nn.utils.rnn`), as are the outputs then.

    `rnn_cells` has a `RNNCell` for each layer and direction: layer 0, its second direction, layer
    1, and so on.

    Example:
        >>> import needle as ndl
        >>> layer = ndl.nn.RNN(3, 4, num_layers=2)
        >>> outputs, h = layer(ndl.init.randn(5, 2, 3))
        >>> outputs.shape, h.shape
        ((5, 2, 4), (2, 2, 4))
    """

    cells_name = "rnn_cells"
    rnn_cells: list[RNNCell]

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        num_layers: int = 1,
        bias: bool = True,
        nonlinearity: str = "tanh",
        device: Device | str | None = None,
        dtype: Any = "float32",
        *,
        batch_first: bool = False,
        dropout: float = 0.0,
        bidirectional: bool = False,
    ) -> None:
        _check_order("RNN", nonlinearity=nonlinearity, device=device, dtype=dtype)
        make = partial(RNNCell, nonlinearity=nonlinearity, device=device, dtype=dtype)
        self.nonlinearity = nonlinearity
        super().__init__(
            make, input_size, hidden_size, num_layers, bias, batch_first, dropout, bidirectional
        )

    def forward(self, x: Any, h0: Tensor | None = None, lengths: Any = None) -> tuple[Any, Tensor]:
        return self._run(x, h0, lengths)

    def extra_repr(self) -> str:
        nonlinearity = "" if self.nonlinearity == "tanh" else ", nonlinearity='relu'"
        return super().extra_repr() + nonlinearity


class LSTM(RecurrentLayers):
    """A long short-term memory (Hochreiter and Schmidhuber 1997), in one or more layers.

    Args:
        input_size, hidden_size: the lengths of x and of the state.
        num_layers, bias, batch_first, dropout, bidirectional: as in `RNN`.
        proj_size: if not 0, the length of h, which is projected to it in every step (Sak et al.
            2014).

    Called with x (steps, batch, input_size) and (h, c), None for zeros, of (layers, batch,
    hidden_size), h of (layers, batch, proj_size) with a projection. Returns the outputs of the last
    layer and the final (h, c) of every layer; the formulas are those of `LSTMCell`. `lengths`,
    single and packed sequences are as in `RNN`.

    `lstm_cells` has a `LSTMCell` for each layer and direction.

    Example:
        >>> import needle as ndl
        >>> layer = ndl.nn.LSTM(3, 4, bidirectional=True)
        >>> outputs, (h, c) = layer(ndl.init.randn(5, 2, 3), lengths=[5, 3])
        >>> outputs.shape, h.shape, c.shape
        ((5, 2, 8), (2, 2, 4), (2, 2, 4))
    """

    cells_name = "lstm_cells"
    lstm_cells: list[LSTMCell]

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        num_layers: int = 1,
        bias: bool = True,
        device: Device | str | None = None,
        dtype: Any = "float32",
        *,
        batch_first: bool = False,
        dropout: float = 0.0,
        bidirectional: bool = False,
        proj_size: int = 0,
    ) -> None:
        _check_order("LSTM", device=device, dtype=dtype)
        make = partial(LSTMCell, proj_size=proj_size, device=device, dtype=dtype)
        super().__init__(
            make, input_size, hidden_size, num_layers, bias, batch_first, dropout, bidirectional,
            proj_size,
        )  # fmt: skip

    def forward(
        self, x: Any, h: tuple[Tensor, Tensor] | None = None, lengths: Any = None
    ) -> tuple[Any, tuple[Tensor, Tensor]]:
        if h is not None and not (isinstance(h, tuple | list) and len(h) == 2):
            raise TypeError(f"LSTM: the state is a pair (h, c), got {type(h).__name__}")
        return self._run(x, h, lengths)


class GRU(RecurrentLayers):
    """A gated recurrent unit (Cho et al. 2014), in one or more layers.

    The arguments, inputs and outputs are those of `RNN`, the formulas those of `GRUCell`;
    `gru_cells` has a `GRUCell` for each layer and direction.

    Example:
        >>> import needle as ndl
        >>> layer = ndl.nn.GRU(3, 4, batch_first=True)
        >>> outputs, h = layer(ndl.init.randn(2, 5, 3))
        >>> outputs.shape, h.shape
        ((2, 5, 4), (1, 2, 4))
    """

    cells_name = "gru_cells"
    gru_cells: list[GRUCell]

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        num_layers: int = 1,
        bias: bool = True,
        batch_first: bool = False,
        dropout: float = 0.0,
        bidirectional: bool = False,
        device: Device | str | None = None,
        dtype: Any = "float32",
    ) -> None:
        make = partial(GRUCell, device=device, dtype=dtype)
        super().__init__(
            make, input_size, hidden_size, num_layers, bias, batch_first, dropout, bidirectional
        )

    def forward(self, x: Any, hx: Tensor | None = None, lengths: Any = None) -> tuple[Any, Tensor]:
        return self._run(x, hx, lengths)


def _check_order(layer: str, **settings: Any) -> None:
    """Raise where PyTorch has `batch_first`, `dropout` or `bidirectional` in a setting's place."""
    for name, value in settings.items():
        if isinstance(value, bool | int | float):
            raise TypeError(
                f"{layer}: got {value!r} as {name}: unlike PyTorch's, batch_first, dropout and "
                f"bidirectional are given by name, as in {layer}(3, 4, 2, batch_first=True)"
            )


def _stacked(states: Any) -> Tensor:
    return expand_dims(states[0], 0) if len(states) == 1 else stack(states)
