"""Names of PyTorch that needle does not have: the error says what to use, as docs/pytorch.md does.

The page is the only list of these names. An installed package has a copy of it beside this file.
"""

import os
import re
from collections.abc import Mapping
from contextlib import suppress
from functools import cache
from importlib import import_module
from types import ModuleType
from typing import Any

from . import ops
from ._lazy import explanations
from .autograd import Tensor

__all__: list[str] = []

_FOLDER = os.path.dirname(__file__)
_PLACES = (
    os.path.join(_FOLDER, "pytorch.md"),
    os.path.join(_FOLDER, os.pardir, "docs", "pytorch.md"),
)


def _explanation(name: str, module: ModuleType) -> str:
    return _hint(name, vars(module))


def _hint(name: str, known: Mapping[str, Any]) -> str:
    """What to use in the place of a name that `known` lacks, or nothing."""
    if name.startswith("_"):
        return ""
    other = name[:-1] if name.endswith("_") else f"{name}_"  # in place, or not
    if other in known:
        found = f"use {other}"
    elif "Tensor" in known and hasattr(Tensor, name):
        found = f"use the method x.{name}(...)"
    else:
        found = _instead().get(name) or _elsewhere(name)
    if not found and name.islower():  # a function: that of its layer
        plain = _plain(name)
        found = _instead().get(plain) or _instead().get(f"{plain}loss") or ""
    return f": {found} (see docs/pytorch.md)" if found else ""


def _elsewhere(name: str) -> str:
    """Where needle has a name, if it is in another place than PyTorch's."""
    if name in vars(ops)["__all__"]:
        return f"use needle.{name}"
    for place in ("nn", "nn.functional", "nn.init", "nn.utils", "optim", "data", "init"):
        if name in import_module(f"needle.{place}").__all__:
            return f"use needle.{place}.{name}"
    return ""


_OF_TENSORS = """
    abs absolute acos acosh add addbmm addcdiv addcmul addmm addmv addr aminmax angle arccos
    arcsin arctan arctan2 argwhere asin asinh atan atan2 atanh baddbmm bernoulli bfloat16
    bitwise_and bitwise_not bitwise_or bitwise_xor byte ceil char cholesky cholesky_solve
    clamp_max clamp_min clip conj corrcoef cos cosh count_nonzero cov cummax cummin cumprod cumsum
    data_ptr det detach diag diag_embed diagflat diagonal diagonal_scatter digamma div divide
    element_size eq erf erfc erfinv exp exp2 expm1 fix fliplr flipud floor floor_divide fmod frac
    ge get_device grad_fn greater greater_equal gt hardshrink histc histogram hsplit hypot imag
    index index_copy index_put index_reduce inverse ipu is_complex is_cuda is_sparse itemsize kron
    kthvalue le lerp less less_equal lgamma log log10 log1p log2 logaddexp logdet logical_and
    logical_not logical_or logical_xor logit lstsq lt masked_scatter masked_select matrix_exp
    matrix_power maximum minimum mode mtia mul multinomial multiply nan_to_num nanmean nansum
    narrow nbytes ne neg new_empty new_full new_ones new_tensor new_zeros nonzero normal not_equal
    pin_memory pow prelu qr random ravel real reciprocal record_stream relu remainder reshape_as
    resize rot90 round rsqrt scatter_reduce select select_scatter share_memory short sigmoid sign
    sin sinc sinh slice_scatter slogdet solve split split_with_sizes sqrt square squeeze stft
    storage stride sub svd swapaxes swapdims t take tan tanh tensor_split to_dense to_sparse trace
    transpose tril triu true_divide trunc type type_as unflatten unfold uniform unique_consecutive
    unsqueeze view_as vsplit where xlogy xpu
"""
"""Methods of PyTorch's tensors, and with an underscore, that Tensor does not have."""


class _Missing:
    """A method that Tensor does not have: to look it up is an error that says what to use.

    A method `__getattr__` of Tensor would slow down every attribute.
    """

    def __init__(self, name: str) -> None:
        self.name = name

    def __get__(self, tensor: Any, kind: type) -> Any:
        name = self.name
        plain = name.removesuffix("_")
        if name != plain and (hasattr(kind, plain) or hasattr(ops, plain)):
            changed = f"x.{plain}(...)" if hasattr(kind, plain) else f"needle.{plain}(x, ...)"
            hint = f": use x.copy_({changed}) under needle.no_grad(), or x = {changed}"
        elif hasattr(ops, name):
            hint = f": use needle.{name}(x, ...)"
        else:
            hint = _hint(name, {})
        text = f"{kind.__name__!r} object has no attribute {name!r}{hint}"
        raise AttributeError(text, name=name, obj=tensor)


def _dir_of_tensor(tensor: Tensor) -> list[str]:
    missing = [name for name, value in vars(Tensor).items() if isinstance(value, _Missing)]
    return sorted(set(object.__dir__(tensor)) - set(missing))


_members: dict[str, Any] = {
    name: _Missing(name)
    for plain in _OF_TENSORS.split()
    for name in (plain, f"{plain}_")
    if not hasattr(Tensor, name)
}
_members["__dir__"] = _dir_of_tensor
for _name, _member in _members.items():  # not in the class: type checkers must not see them
    setattr(Tensor, _name, _member)


@cache
def _instead() -> dict[str, str]:
    """What the page says of each name, and of its plain form."""
    page = ""
    for place in _PLACES:
        with suppress(FileNotFoundError), open(place, encoding="utf-8") as file:
            page = page or file.read()
    page = page.partition("\n## Arguments\n")[0]
    tables = [part.partition("\n\n")[0] for part in page.split("| PyTorch | instead |")[1:]]
    entries = [
        (names, f"instead of {names}: {text}")
        for names, text in re.findall(r"^\| (.*?) \| (.*) \|$", "\n".join(tables), re.MULTILINE)
    ]
    found: dict[str, str] = {}
    for names, text in entries:
        for prefix, name in re.findall(r"`(?:(utils|swa_utils|torch)\.|F\.|init\.)?(\w+)", names):
            for key in filter(None, (name, _plain(name), prefix)):
                found.setdefault(key, text)
    return found


def _plain(name: str) -> str:
    """`MaxPool2d` and `max_pool1d_with_indices` alike."""
    name = name.lower().removesuffix("_").removesuffix("_with_indices").replace("_", "")
    return re.sub(r"\dd$", "", name)


explanations.append(_explanation)
