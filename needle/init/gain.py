"""How much a nonlinearity shrinks what passes through it, and initialisation has to make up for."""

import math

__all__ = ["calculate_gain"]

_LINEAR = ["linear", *(f"conv{how}{n}d" for how in ("", "_transpose") for n in (1, 2, 3))]
_GAINS = {
    **dict.fromkeys(_LINEAR, 1.0),
    "sigmoid": 1.0,
    "tanh": 5 / 3,
    "relu": math.sqrt(2.0),
    "selu": 3 / 4,
}


def calculate_gain(nonlinearity: str, param: float | None = None) -> float:
    """The factor by which weights before a nonlinearity are larger than without one.

    1 for linear, convolutions (conv1d ... conv_transpose3d) and sigmoid, 5/3 for tanh, √2 for relu,
    √(2/(1 + slope²)) for leaky_relu, 3/4 for selu (as in PyTorch).

    Args:
        nonlinearity: its name.
        param: the slope of leaky_relu, 0.01 by default.

    Raises:
        ValueError: the name is unknown.

    Example:
        >>> from needle import init
        >>> round(init.calculate_gain("leaky_relu", 0.2), 4)
        1.3868
    """
    if nonlinearity == "leaky_relu":
        return math.sqrt(2 / (1 + (0.01 if param is None else param) ** 2))
    if nonlinearity not in _GAINS:
        known = ", ".join([*_GAINS, "leaky_relu"])
        raise ValueError(f"nonlinearity {nonlinearity!r}: known are {known}")
    return _GAINS[nonlinearity]
