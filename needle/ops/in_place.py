"""Changes in place: `p -= lr * p.grad` under no_grad(), and methods such as `p.add_(x)`.

Each computes a value by the op of the same name and assigns it to the tensor, so that observers
see it, and so that `backward` notices if it needs the former value.
"""

from collections.abc import Callable
from typing import Any

import numpy as np

from ..autograd import Tensor, assign, no_grad
from ..autograd.modes import grad_enabled, observers
from ..autograd.watch import is_followed

__all__: list[str] = []


def augmented(symbol: str, operator: Callable[[Tensor, Any], Any]) -> Callable[..., Any]:
    """`a += b` and the like: in place, except where that would leave out a derivative.

    The result is a new value, as of `a = a + b`, if a graph is recorded from an operand or a
    derivative taken through it; and, unless gradients are off, if observers watch or if the
    result has another shape or dtype.
    """

    def method(self: Tensor, other: Any) -> Any:
        has_gradients = grad_enabled.get()
        if self._is_parameter and has_gradients:
            raise RuntimeError(
                f"`parameter {symbol}= ...` while a graph is recorded would put another tensor "
                f"in the place of this Parameter of shape {self.shape}: use it in a block of "
                "needle.no_grad(), where it changes the Parameter in place"
            )
        result = operator(self, other)
        if result is NotImplemented:
            return result
        if is_followed(self) or (isinstance(other, Tensor) and is_followed(other)):
            return result
        is_alike = result.shape == self.shape and result.dtype == self.dtype
        if has_gradients and (observers.get() or not is_alike):
            return result
        return _assigned(self, result, f"{symbol}=")

    return method


def in_place(
    name: str, function: Callable[..., Any], constants: tuple[Any, ...] = ()
) -> Callable[..., Tensor]:
    """The method `name`, which gives a tensor the value of `function` of it.

    `constants` are the places and names of arguments, such as indices, that have no derivative.
    """

    def method(self: Tensor, *args: Any, **options: Any) -> Tensor:
        for place, tensor in (("self", self), *enumerate(args), *options.items()):
            if place not in constants and isinstance(tensor, Tensor) and is_followed(tensor):
                raise RuntimeError(
                    f"{name}() would leave out the derivative through a tensor of shape "
                    f"{tensor.shape}: use it in a block of needle.no_grad(), or on "
                    "tensor.detach()"
                )
        with no_grad():
            return _assigned(self, function(self, *args, **options), f"{name}()")

    method.__name__ = method.__qualname__ = name
    method.__doc__ = function.__doc__
    return method


def _assigned(target: Tensor, value: Any, name: str) -> Tensor:
    value = value if isinstance(value, Tensor) else Tensor(value, dtype=target.dtype)
    try:
        does_fit = np.broadcast_shapes(value.shape, target.shape) == target.shape
    except ValueError:
        does_fit = False
    if not does_fit:
        raise ValueError(
            f"{name} cannot change the shape of a tensor: {target.shape} would become {value.shape}"
        )
    if not np.can_cast(value.dtype, target.dtype, "same_kind"):
        raise TypeError(
            f"{name} cannot change the dtype of a tensor: {target.dtype} would become "
            f"{value.dtype}: convert with astype first"
        )
    assign(target, value)
    return target


def add_(self: Tensor, other: Any, *, alpha: float = 1) -> Any:
    """Add alpha·other in place, under no_grad() or without gradients."""
    return self + (other if alpha == 1 else other * alpha)


def sub_(self: Tensor, other: Any, *, alpha: float = 1) -> Any:
    """Subtract alpha·other in place, under no_grad() or without gradients."""
    return self - (other if alpha == 1 else other * alpha)


def mul_(self: Tensor, other: Any) -> Any:
    """Multiply by `other` in place, under no_grad() or without gradients."""
    return self * other


def div_(self: Tensor, other: Any) -> Any:
    """Divide by `other` in place, under no_grad() or without gradients."""
    return self / other


def copy_(self: Tensor, source: Any) -> Any:
    """Take over the values of a tensor or an array that broadcasts, converted to the own dtype."""
    source = source if isinstance(source, Tensor) else Tensor(source, device=self.device)
    return source.astype(self.dtype)


def fill_(self: Tensor, value: float) -> Any:
    """Set all elements to a number."""
    number = value.item() if isinstance(value, Tensor) else np.asarray(value).item()
    return Tensor.make_const(self.device.full(self.shape, number, self.dtype))


def zero_(self: Tensor) -> Any:
    """Set all elements to 0."""
    return fill_(self, 0)


def clamp_(self: Tensor, min: Any = None, max: Any = None) -> Any:
    """Limit all elements to [min, max] in place."""
    return self.clamp(min, max)


METHODS = {
    each.__name__: in_place(each.__name__, each)
    for each in (add_, sub_, mul_, div_, copy_, fill_, zero_, clamp_)
}
