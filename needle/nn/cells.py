"""Cells: the parameters of a recurrent layer in one direction, and its step."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial
from typing import Any, ClassVar

from .. import init
from ..autograd import Tensor
from ..device import Device
from ..ops import expand_dims, squeeze
from . import functional
from .checks import check_floats, check_sizes
from .drawn import DrawnModule
from .module import Module
from .parameter import Parameter

__all__ = ["GRUCell", "LSTMCell", "RNNCell"]


class RecurrentCell(DrawnModule):
    """The parameters of one layer in one direction, and its step."""

    _gates: ClassVar[int]
    proj_size = 0

    W_ih: Parameter
    W_hh: Parameter
    bias_ih: Parameter | None
    bias_hh: Parameter | None

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        bias: bool = True,
        device: Device | str | None = None,
        dtype: Any = "float32",
    ) -> None:
        super().__init__()
        check_sizes(type(self).__name__, input_size=input_size)
        check_sizes(type(self).__name__, 1, hidden_size=hidden_size)
        self.input_size = input_size
        self.hidden_size = hidden_size
        absent = () if checked_flag(self, bias=bias) else ("bias_ih", "bias_hh")
        self._draw(device, dtype, absent)

    def _draws(self) -> dict[str, Callable[..., Tensor]]:
        bound = 1 / math.sqrt(self.hidden_size)
        columns = self._gates * self.hidden_size
        shapes = {
            "W_ih": (self.input_size, columns),
            "W_hh": (self.proj_size or self.hidden_size, columns),
            "bias_ih": (columns,),
            "bias_hh": (columns,),
        }
        if self.proj_size:
            shapes["W_hr"] = (self.hidden_size, self.proj_size)
        return {
            name: partial(init.rand, *shape, low=-bound, high=bound)
            for name, shape in shapes.items()
        }

    def __setattr__(self, name: str, value: Any) -> None:
        """Set an attribute; a Tensor in the place of a parameter gives it its values.

        One with a graph takes its place, and one of another dtype becomes the parameter itself.
        """
        former = vars(self).get(name)
        if isinstance(former, Parameter) and type(value) is Tensor and value.shape == former.shape:
            if not value.is_leaf() and value.requires_grad:
                vars(self)[name] = value
                return
            if value.dtype != former.dtype and value.requires_grad:
                value.__class__ = Parameter
        super().__setattr__(name, value)

    @property
    def names(self) -> dict[str, str]:
        """The names of the parameters, by those that `nn.functional` and PyTorch have."""
        names = {"weight_ih": "W_ih", "weight_hh": "W_hh", "bias_ih": "bias_ih"}
        names["bias_hh"] = "bias_hh"
        return {**names, "weight_hr": "W_hr"} if self.proj_size else names

    def weights(self) -> dict[str, Any]:
        """The parameters by the names that `nn.functional` has."""
        return {name: getattr(self, ours) for name, ours in self.names.items()}

    def matrices(self) -> list[Tensor]:
        """Those of the parameters that PyTorch has transposed."""
        return [weight for name, weight in self.weights().items() if name.startswith("weight")]

    def run(self, x: Tensor, state: Any, **options: Any) -> tuple[Tensor, Any]:
        """(outputs, final state) of a sequence (steps, batch, input)."""
        raise NotImplementedError

    def _step(self, x: Tensor, state: Any) -> Any:
        """The state after one step; x is (batch, input) or (input,)."""
        check_floats(type(self).__name__, x)
        if x.ndim not in (1, 2) or x.shape[-1] != self.input_size:
            shapes = f"(batch, {self.input_size}) or ({self.input_size},)"
            raise ValueError(f"{type(self).__name__} expected {shapes}, got {x.shape}")
        if x.ndim == 2:
            return self.run(expand_dims(x, 0), state)[1]
        state = each_state(state, lambda each: expand_dims(each, 0))
        return each_state(self.run(x.reshape((1, 1, -1)), state)[1], lambda each: squeeze(each, 0))

    def extra_repr(self) -> str:
        bias = "" if self.bias_ih is not None else ", bias=False"
        return f"{self.input_size}, {self.hidden_size}{bias}"


class RNNCell(RecurrentCell):
    """h' = tanh(x·W_ih + b_ih + h·W_hh + b_hh): one step of Elman's recurrence.

    Called with x (batch, input_size) and h (batch, hidden_size), or None for zeros; returns h'.

    Attributes:
        W_ih: (input_size, hidden_size).
        W_hh: (hidden_size, hidden_size).
        bias_ih, bias_hh: (hidden_size,); None without bias.

    All are drawn from U(±1/√hidden_size). Assigning a Tensor to one of them sets its values.

    Example:
        >>> import needle as ndl
        >>> cell = ndl.nn.RNNCell(3, 4)
        >>> h = cell(ndl.init.randn(2, 3))
        >>> cell(ndl.init.randn(2, 3), h).shape
        (2, 4)
    """

    _gates = 1

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        bias: bool = True,
        nonlinearity: str = "tanh",
        device: Device | str | None = None,
        dtype: Any = "float32",
    ) -> None:
        if nonlinearity not in ("tanh", "relu"):
            raise ValueError(f"RNN: nonlinearity must be 'tanh' or 'relu', got {nonlinearity!r}")
        super().__init__(input_size, hidden_size, bias, device, dtype)
        self.nonlinearity = nonlinearity

    def run(self, x: Tensor, state: Any, **options: Any) -> tuple[Tensor, Any]:
        return functional.rnn(x, state, **self.weights(), nonlinearity=self.nonlinearity, **options)

    def forward(self, x: Tensor, h: Tensor | None = None) -> Tensor:
        return self._step(x, h)

    def extra_repr(self) -> str:
        nonlinearity = "" if self.nonlinearity == "tanh" else ", nonlinearity='relu'"
        return super().extra_repr() + nonlinearity


class LSTMCell(RecurrentCell):
    """One step of an LSTM: c' = σ(f)⊙c + σ(i)⊙tanh(g), h' = σ(o)⊙tanh(c').

    i, f, g, o are the quarters of x·W_ih + b_ih + h·W_hh + b_hh. Called with x (batch, input_size)
    and (h, c), each (batch, hidden_size), or None for zeros; returns (h', c').

    Attributes:
        W_ih: (input_size, 4·hidden_size).
        W_hh: (hidden_size, 4·hidden_size).
        bias_ih, bias_hh: (4·hidden_size,); None without bias.
        W_hr: (hidden_size, proj_size), only with a projection: h' is multiplied by it, and W_hh is
            (proj_size, 4·hidden_size).

    All are drawn from U(±1/√hidden_size). Assigning a Tensor to one of them sets its values.

    Example:
        >>> import needle as ndl
        >>> cell = ndl.nn.LSTMCell(3, 4)
        >>> h, c = cell(ndl.init.randn(2, 3))
        >>> h.shape, c.shape
        ((2, 4), (2, 4))
    """

    _gates = 4

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        bias: bool = True,
        device: Device | str | None = None,
        dtype: Any = "float32",
        *,
        proj_size: int = 0,
    ) -> None:
        check_sizes("LSTM", proj_size=proj_size)
        if proj_size and proj_size >= hidden_size:
            raise ValueError(
                f"LSTM: proj_size must be smaller than hidden_size, got {proj_size} and "
                f"{hidden_size}"
            )
        if proj_size:
            vars(self)["proj_size"] = proj_size
        super().__init__(input_size, hidden_size, bias, device, dtype)

    def run(self, x: Tensor, state: Any, **options: Any) -> tuple[Tensor, Any]:
        return functional.lstm(x, state, **self.weights(), **options)

    def forward(self, x: Tensor, h: tuple[Tensor, Tensor] | None = None) -> tuple[Tensor, Tensor]:
        return self._step(x, h)

    def extra_repr(self) -> str:
        return super().extra_repr() + (f", proj_size={self.proj_size}" if self.proj_size else "")


class GRUCell(RecurrentCell):
    """One step of a GRU: h' = (1 - z)⊙n + z⊙h, with n = tanh(a_n + r⊙b_n).

    r = σ(a_r + b_r) and z = σ(a_z + b_z); a_r, a_z, a_n are the thirds of x·W_ih + b_ih, and b_r,
    b_z, b_n those of h·W_hh + b_hh. Called with x (batch, input_size) and h (batch, hidden_size),
    or None for zeros; returns h'.

    Attributes:
        W_ih: (input_size, 3·hidden_size).
        W_hh: (hidden_size, 3·hidden_size).
        bias_ih, bias_hh: (3·hidden_size,); None without bias.

    All are drawn from U(±1/√hidden_size). Assigning a Tensor to one of them sets its values.

    Example:
        >>> import needle as ndl
        >>> cell = ndl.nn.GRUCell(3, 4)
        >>> cell(ndl.init.randn(2, 3)).shape
        (2, 4)
    """

    _gates = 3

    def run(self, x: Tensor, state: Any, **options: Any) -> tuple[Tensor, Any]:
        return functional.gru(x, state, **self.weights(), **options)

    def forward(self, x: Tensor, hx: Tensor | None = None) -> Tensor:
        return self._step(x, hx)


def checked_flag(module: Module, **flags: Any) -> Any:
    """The last of the flags; each must be True or False."""
    for name, flag in flags.items():
        if not isinstance(flag, bool):
            raise TypeError(
                f"{type(module).__name__}: {name} must be True or False, got {flag!r}: arguments "
                "that PyTorch has in another order are given by name"
            )
    return flag


def each_state(state: Any, function: Callable[[Tensor], Any]) -> Any:
    """function(state), of each part of a pair, None of None."""
    if state is None:
        return None
    return tuple(map(function, state)) if isinstance(state, tuple | list) else function(state)
