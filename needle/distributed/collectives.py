"""What ranks exchange, as ops: tensors in, tensors out, with adjoints.

What is differentiated is the sum over ranks of what each calls `backward` on. In the formulas g is
the adjoint of the result on this rank, and Σ is the sum over ranks.
"""

from __future__ import annotations

import pickle
from collections.abc import Callable, Sequence
from itertools import compress
from typing import Any

import numpy as np

from .. import ops
from ..autograd import AbstractArray, Array, Tensor, TensorOp, TensorTuple, TensorTupleOp, modes
from ..differentiation.tree import flatten
from .communicator import DistributedError, communicator, mean_dtype

__all__ = ["all_gather", "all_reduce", "broadcast", "recv", "reduce_scatter", "send"]

_OPS = ("sum", "mean", "max", "min")


def in_memory(array: Any) -> Any:
    """Refuse recording and abstract arrays before anything is sent: a recorder keeps the call."""
    if not hasattr(array, "__array_interface__"):
        raise TypeError(f"ranks exchange arrays in memory, not {type(array).__name__}")
    return array


def _abstract(shape: tuple[int, ...], dtype: Any) -> AbstractArray:
    return AbstractArray(shape, dtype.newbyteorder("="))  # in which arrays travel


def _linear(op: Any, tangents: Sequence[Any], node: Any) -> Any:
    """Exchanges are linear. All ranks take part, also those whose tangent is zero."""
    (tangent,) = tangents
    return op(Tensor.make_const(np.zeros_like(node.inputs[0])) if tangent is None else tangent)


class Exchanged(TensorOp):
    """Base of the ops that exchange something with other ranks."""

    is_random = True  # as those that draw: never merged, left out or moved past another


class AllReduce(Exchanged):
    """Σ a, or the mean, maximum or minimum over ranks.

    Adjoints: Σ g, its mean, or Σ g where a is the extremum; ranks that share it share Σ g.
    """

    def __init__(self, op: str) -> None:
        self.op = op

    def compute(self, a: Array) -> Array:
        return communicator().all_reduce(in_memory(a), self.op)

    def infer(self, a: AbstractArray) -> AbstractArray:
        return _abstract(a.shape, mean_dtype(a.dtype) if self.op == "mean" else a.dtype)

    def gradient(self, out_grad: Tensor, node: Tensor) -> Tensor:
        if self.op in ("sum", "mean"):
            return self(out_grad)
        is_extremum = ops.equal(node.inputs[0], node)
        ranks = _SUM(ops.astype(is_extremum, out_grad.dtype))
        shared = _SUM(out_grad) / ranks
        return ops.where(is_extremum, shared, 0)


class Broadcast(Exchanged):
    """The a of rank `root`. Adjoint: Σ g there, zeros elsewhere."""

    tangent = _linear

    def __init__(self, root: int) -> None:
        self.root = root

    def compute(self, a: Array) -> Array:
        return communicator().broadcast(in_memory(a), self.root)

    def infer(self, a: AbstractArray) -> AbstractArray:
        return _abstract(a.shape, a.dtype)

    def gradient(self, out_grad: Tensor, node: Tensor) -> Tensor:
        return Reduce(self.root)(out_grad)


class Reduce(Broadcast):
    """Σ a on rank `root`, zeros elsewhere. Adjoint: the g of that rank."""

    def compute(self, a: Array) -> Array:
        return communicator().reduce(in_memory(a), self.root)

    def gradient(self, out_grad: Tensor, node: Tensor) -> Tensor:
        return Broadcast(self.root)(out_grad)


class AllGather(Exchanged):
    """The a of all ranks along a new first axis. Adjoint: Σ g at the place of this rank."""

    tangent = _linear

    def compute(self, a: Array) -> Array:
        return communicator().all_gather(in_memory(a))

    def infer(self, a: AbstractArray) -> AbstractArray:
        return _abstract((communicator().size, *a.shape), a.dtype)

    def gradient(self, out_grad: Tensor, node: Tensor) -> Tensor:
        return ReduceScatter()(out_grad)


class ReduceScatter(Exchanged):
    """Σ a at the place of this rank along the first axis, without it. Adjoint: g of all ranks."""

    tangent = _linear

    def compute(self, a: Array) -> Array:
        return communicator().reduce_scatter(in_memory(a))

    def infer(self, a: AbstractArray) -> AbstractArray:
        return _abstract(a.shape[1:], a.dtype)

    def gradient(self, out_grad: Tensor, node: Tensor) -> Tensor:
        return AllGather()(out_grad)


class Send(Exchanged):
    """Sends its operands to rank `to`; the result is a 0. Adjoint: what that rank sends back.

    `tag` counts the derivatives: adjoints travel under the next one.
    """

    def __init__(self, to: int, tag: int = 0, header: bytes = b"") -> None:
        self.to, self.tag, self.header = to, tag, header

    def compute(self, *arrays: Array) -> Array:
        communicator().send([*map(in_memory, arrays)], self.to, self.tag, self.header)
        return np.zeros((), np.float32)

    def infer(self, *arrays: AbstractArray) -> AbstractArray:
        return AbstractArray((), np.float32)

    def gradient(self, out_grad: Tensor, node: Tensor) -> tuple[Tensor | None, ...]:
        floats = [x.dtype.kind == "f" for x in node.inputs]
        shapes = [(x.shape, x.dtype.newbyteorder("=")) for x in compress(node.inputs, floats)]
        # what comes back depends on what was sent, so second derivatives go through `node` again
        entries = iter(Receive(self.to, self.tag + 1, tuple(shapes))(node, out_grad))
        return tuple([next(entries) if is_float else None for is_float in floats])


class Receive(TensorTupleOp):
    """What rank `from_` sends. Adjoint: sends g there, and passes a 0 on to the operands.

    Nothing is read of the operands: they tie the result to a graph.
    """

    is_random = True

    def __init__(self, from_: int, tag: int, shapes: tuple[Any, ...], header: bytes = b"") -> None:
        self.from_, self.tag, self.shapes, self.header = from_, tag, shapes, header

    def compute(self, *anchors: Array) -> tuple[Array, ...]:
        in_memory(anchors[0])
        if self.header:
            found = communicator().receive_header(self.from_, 0)
            if found != self.header:
                communicator().receive(pickle.loads(found)[1], self.from_, self.tag)
                raise DistributedError(
                    f"recv(from_={self.from_}): expected {_described(self.header)} as in `like`, "
                    f"rank {self.from_} sends {_described(found)}"
                )
        return communicator().receive(self.shapes, self.from_, self.tag)

    def infer(self, *anchors: AbstractArray) -> tuple[AbstractArray, ...]:
        return tuple([AbstractArray(shape, dtype) for shape, dtype in self.shapes])

    def gradient(self, out_grad: TensorTuple, node: TensorTuple) -> tuple[Tensor, ...]:
        entries = zip(out_grad, self.shapes, strict=True)
        sent = Send(self.from_, self.tag + 1)(*[g for g, (_, t) in entries if t.kind == "f"])
        return tuple([ops.broadcast_to(sent, each.shape) for each in node.inputs])


_SUM = AllReduce("sum")


def _anchor() -> Tensor:
    return Tensor.make_const(np.zeros((), np.float32), requires_grad=True)


def _described(header: bytes) -> str:
    _, shapes, is_differentiated = pickle.loads(header)
    tensors = ", ".join(f"{dtype} {shape}" for shape, dtype in shapes)
    return f"{tensors}, which {'require' if is_differentiated else 'require no'} gradients"


def _header(value: Any, name: str) -> tuple[list[Tensor], bytes]:
    """The tensors of a container, and what else the rank that receives it must know."""
    tensors, rebuild = _tensors_of(value, name)
    structure = rebuild([Tensor.make_const(np.zeros(0))] * len(tensors))
    shapes = tuple([(x.shape, x.dtype.newbyteorder("=")) for x in tensors])
    is_differentiated = modes.grad_enabled.get() and any(x.requires_grad for x in tensors)
    return tensors, pickle.dumps((structure, shapes, is_differentiated))


def _tensors_of(value: Any, name: str) -> tuple[list[Tensor], Callable[[Sequence[Any]], Any]]:
    tensors, rebuild = flatten(value)
    if not tensors:
        raise TypeError(
            f"{name} takes a tensor or a container of tensors, got {type(value).__name__} without "
            "any: wrap numbers and arrays as needle.Tensor(x, requires_grad=False)"
        )
    return tensors, rebuild


def _each(op: TensorOp, value: Any, name: str) -> Any:
    """The op on each tensor of a container."""
    if isinstance(value, Tensor):
        return op(value)
    tensors, rebuild = _tensors_of(value, name)
    return rebuild([op(tensor) for tensor in tensors])


def _checked_rank(rank: Any, name: str) -> int:
    size = communicator().size
    if isinstance(rank, bool) or not isinstance(rank, int | np.integer) or not 0 <= rank < size:
        raise ValueError(
            f"{name} must be a rank, a whole number from 0 to {size - 1}, got {rank!r}"
        )
    return int(rank)


def broadcast(value: Any, root: int = 0) -> Any:
    """The tensors of rank `root`, on all ranks.

    Args:
        value: a tensor, or a container of tensors: a tuple, list, dict or dataclass. All ranks give
            the same shapes and dtypes; what the others give is not read.
        root: the rank that sends.

    Raises:
        DistributedError: ranks give different shapes or dtypes, or call different collectives.

    Adjoint: the sum over ranks at `root`, zeros elsewhere.

    Example:
        >>> import needle as ndl
        >>> print(ndl.distributed.broadcast(ndl.Tensor([1.0, 2.0])))
        [1. 2.]
    """
    return _each(Broadcast(_checked_rank(root, "root")), value, "broadcast")


def all_reduce(value: Any, op: str = "sum") -> Any:
    """The elementwise sum, mean, maximum or minimum over ranks, the same on all of them.

    Args:
        value: a tensor, or a container of tensors; all ranks give the same shapes and dtypes.
        op: "sum", "mean", "max" or "min". Sums of float16 are taken in float32. A mean of
            integers is float64.

    Raises:
        DistributedError: ranks give different shapes or dtypes, or call different collectives.

    Adjoint of a sum: the sum over ranks of the adjoints. What is differentiated is the sum of what
    the ranks call `backward` on.

    Example:
        >>> import needle as ndl
        >>> ndl.distributed.all_reduce({"loss": ndl.Tensor(2.0)}, op="mean")["loss"].item()
        2.0
    """
    if op not in _OPS:
        raise ValueError(f"op must be one of {_OPS}, got {op!r}")
    return _each(AllReduce(op), value, "all_reduce")


def all_gather(value: Any) -> Any:
    """The tensors of all ranks along a new first axis: `all_gather(x)[r]` is that of rank r.

    Args:
        value: a tensor, or a container of tensors; all ranks give the same shapes and dtypes.

    Raises:
        DistributedError: ranks give different shapes or dtypes, or call different collectives.

    Adjoint: `reduce_scatter`.

    Example:
        >>> import needle as ndl
        >>> ndl.distributed.all_gather(ndl.Tensor([1.0, 2.0])).shape == (ndl.distributed.size(), 2)
        True
    """
    return _each(AllGather(), value, "all_gather")


def reduce_scatter(value: Any) -> Any:
    """Of the sum over ranks the part of this rank: the sum of all `x[rank]`.

    Args:
        value: a tensor whose first axis has one entry for each rank, or a container of them.

    Returns:
        Tensors without that axis.

    Raises:
        ValueError: the first axis has another length than there are ranks.
        DistributedError: ranks give different shapes or dtypes, or call different collectives.

    Adjoint: `all_gather`.

    Example:
        >>> import needle as ndl
        >>> x = ndl.ones(ndl.distributed.size(), 2)
        >>> ndl.distributed.reduce_scatter(x).shape
        (2,)
    """
    size = communicator().size
    for tensor in _tensors_of(value, "reduce_scatter")[0]:
        if tensor.shape[:1] != (size,):
            raise ValueError(
                f"reduce_scatter takes tensors with one entry for each of {size} ranks along the "
                f"first axis, got shape {tensor.shape}"
            )
    return _each(ReduceScatter(), value, "reduce_scatter")


def send(value: Any, to: int) -> Tensor:
    """Send tensors to another rank, which receives them by `recv`. Does not wait for it.

    Args:
        value: a tensor, or a container of tensors.
        to: the rank that receives.

    Returns:
        A scalar 0 that stands for what was sent. `backward` from it receives the adjoint that
        `backward` on the other rank sends: call `.backward()` on it, add it to the loss, or pass it
        to `recv(after=)`. A compiled function must use or return it.

    Example:
        Two ranks share a model; the first has the first layer:

            if rank == 0:
                send(first(x), to=1).backward()
            else:
                loss(second(recv(from_=0)), y).backward()

        >>> import needle as ndl
        >>> token = ndl.distributed.send({"x": ndl.Tensor([1.0, 2.0])}, to=0)
        >>> print(ndl.distributed.recv(from_=0)["x"])
        [1. 2.]
    """
    tensors, header = _header(value, "send")
    return Send(_checked_rank(to, "to"), 0, header)(*tensors)


def recv(from_: int, *, after: Tensor | None = None, like: Any = None) -> Any:
    """What another rank has sent by `send`: a tensor or a container, as it was sent.

    Args:
        from_: the rank that sends.
        after: a tensor, such as the result of a former `send`, that `backward` goes on to once it
            has sent the adjoint of what is received.
        like: tensors of the shapes and dtypes that are expected, needed in compiled functions.

    Raises:
        DistributedError: something else than `like` was sent.

    Example:
        >>> import needle as ndl
        >>> token = ndl.distributed.send(ndl.Tensor([1.0, 2.0]), to=0)
        >>> print(ndl.distributed.recv(from_=0))
        [1. 2.]
    """
    from_ = _checked_rank(from_, "from_")
    if like is not None:
        _, expected = _header(like, "recv(like=)")
        header = expected
    elif modes.effects.get() is not None:
        raise TypeError("recv in a compiled function needs like=, tensors of the expected shapes")
    else:
        header, expected = communicator().receive_header(from_, 0), b""
    structure, shapes, is_differentiated = pickle.loads(header)
    anchor = _anchor() if after is None else after
    received = Receive(from_, 0, shapes, expected)(anchor if is_differentiated else anchor.detach())
    return flatten(structure)[1]([x if x.dtype.kind == "f" else x.detach() for x in received])
