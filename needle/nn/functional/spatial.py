"""What the functions of images share: one body for one, two and three spatial axes."""

import inspect
from collections.abc import Callable
from typing import Any, Concatenate, ParamSpec

from ...autograd import Tensor
from ..checks import check_floats, check_tensor

__all__ = ["LAYOUTS", "for_axes", "on_batch"]

P = ParamSpec("P")
Function = Callable[P, Any]

LAYOUTS = {1: "(N, C, L)", 2: "(N, C, H, W)", 3: "(N, C, D, H, W)"}


def for_axes(
    body: Callable[Concatenate[int, P], Any], name: str, text: str
) -> tuple[Function[P], Function[P], Function[P]]:
    """`body` for one, two and three spatial axes, the number of which is its first argument.

    `name` and `text`, the docstring, have {n} for that number; the text also {layout}, and {a}, {b}
    and so on for that many lengths of 8, 4, 3, 2 and 1.
    """
    signature = inspect.signature(body)
    parameters = list(signature.parameters.values())[1:]

    def for_number(n: int) -> Function[P]:
        def function(*args: P.args, **options: P.kwargs) -> Any:
            return body(n, *args, **options)

        lengths = {
            letter: ", ".join([str(length)] * n)
            for letter, length in zip("abcde", (8, 4, 3, 2, 1), strict=True)
        }
        function.__name__ = function.__qualname__ = name.format(n=n)
        function.__module__ = body.__module__
        function.__doc__ = text.format(n=n, layout=LAYOUTS[n], **lengths)
        function.__signature__ = signature.replace(parameters=parameters)  # type: ignore[attr-defined]
        return function

    return for_number(1), for_number(2), for_number(3)


def on_batch(
    layer: str, n: int, x: Tensor, function: Callable[[Tensor], Any], floats: bool = True
) -> Any:
    """`function` of images (N, C, ...) with n spatial axes; of one image without the axis N."""
    (check_floats if floats else check_tensor)(layer, x)
    if x.ndim == n + 2:
        return function(x)
    if x.ndim != n + 1:
        raise ValueError(f"{layer} expected {LAYOUTS[n]}, or one image without N, got {x.shape}")
    found = function(x.expand_dims(0))
    if isinstance(found, tuple):
        return tuple([each.squeeze(0) for each in found])
    return found.squeeze(0)
