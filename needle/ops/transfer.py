"""Moving tensors between devices, as a part of the graph."""

from typing import Any

import numpy as np

from ..autograd import Array, Tensor, TensorOp
from ..device import Device, as_device, device_of
from .functions import astype
from .kinds import linear_tangent

__all__ = ["ToDevice", "cpu", "cuda", "device_and_dtype", "to"]


class ToDevice(TensorOp):
    """a on another device. Adjoint: g on the device of a."""

    tangent = linear_tangent

    def __init__(self, device: Device) -> None:
        self.device = device

    def compute(self, a: Array) -> Array:
        return a if device_of(a) == self.device else self.device.array(a)

    def infer(self, a: Array) -> Array:
        return a

    def gradient(self, out_grad: Tensor, node: Tensor) -> Tensor:
        return ToDevice(node.inputs[0].device)(out_grad)


def device_and_dtype(*where: Any) -> tuple[Device | None, np.dtype | None]:
    """The device and the dtype among the arguments of `to`, each None where it is not given."""
    device, dtype = None, None
    for entry in where:
        try:
            device = as_device(entry)
        except ValueError as unknown:
            try:
                dtype = np.dtype(entry)
            except TypeError:
                raise TypeError(
                    f"to() takes a device or a dtype such as 'float32', got {entry!r}: {unknown}"
                ) from None
    return device, dtype


def to(a: Tensor, *where: Any, device: Device | str | None = None, dtype: Any = None) -> Tensor:
    """a on a device, in a dtype, or both, in the graph: `x.to("cuda")`, `x.to("cpu", "float64")`.

    a itself, if it already is.
    """
    named = [entry for entry in (device, dtype) if entry is not None]
    place, kind = device_and_dtype(*where, *named)
    if kind is not None and kind != a.dtype:
        a = astype(a, kind)
    return a if place is None or place == a.device else ToDevice(place)(a)


def cpu(a: Tensor) -> Tensor:
    """a on the CPU."""
    return to(a, "cpu")


def cuda(a: Tensor) -> Tensor:
    """a on the GPU."""
    return to(a, "cuda")
