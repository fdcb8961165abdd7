"""Every collective over dtypes and layouts, its adjoints, and its errors."""

import dataclasses
from typing import Any, NamedTuple

import numpy as np
import pytest

import needle as ndl
from needle import Tensor, distributed

RANK, SIZE = distributed.rank(), distributed.size()
DTYPES = ["float16", "float32", "float64", "int8", "int16", "int32", "int64", "uint8", "bool"]
SHAPES = [(), (0,), (3, 0, 2), (5,), (4, 3), (2, 3, 4), (70_001,)]


def draw(shape, dtype, rank):
    """The array of one rank; every rank can draw that of each other."""
    rng = np.random.default_rng([rank, len(shape)])
    if dtype == "bool":
        return np.asarray(rng.random(shape) < 0.5)
    return np.asarray(rng.integers(0, 20, shape)).astype(dtype)


def layouts(array):
    """The same values in other memory layouts."""
    yield array
    yield np.asarray(array, order="F")
    wide = np.repeat(array[..., None], 2, -1)
    yield wide[..., 0]
    yield array[::-1].copy()[::-1] if array.ndim else array
    yield array.astype(array.dtype.newbyteorder()) if array.dtype.itemsize > 1 else array
    read_only = array.copy()
    read_only.flags.writeable = False
    yield read_only


def cases():
    for dtype in DTYPES:
        for shape in SHAPES:
            arrays = [draw(shape, dtype, rank) for rank in range(SIZE)]
            variants = layouts(arrays[RANK]) if len(shape) > 1 or not shape else [arrays[RANK]]
            for mine in variants:
                yield Tensor(mine, requires_grad=False), np.stack(arrays)


def same(result, expected, exact=True):
    assert result.shape == expected.shape, (result.shape, expected.shape)
    assert result.dtype == expected.dtype, (result.dtype, expected.dtype)
    np.testing.assert_array_equal(result.numpy(), expected)


def check_ranks():
    assert distributed.is_available()
    assert 0 <= RANK < SIZE
    assert distributed.local_rank() == RANK
    same(distributed.all_gather(Tensor(RANK, dtype="int64")), np.arange(SIZE))


def check_all_reduce():
    for x, all_x in cases():
        kind = all_x.dtype
        total = all_x.any(0) if kind == np.bool else all_x.sum(0).astype(kind)
        same(distributed.all_reduce(x), total)
        same(distributed.all_reduce(x, op="max"), all_x.max(0))
        same(distributed.all_reduce(x, op="min"), all_x.min(0))
        wide = all_x.astype(np.result_type(kind, np.float32 if kind.kind == "f" else 0.0))
        mean = (wide.sum(0) / wide.dtype.type(SIZE)).astype(np.result_type(kind, 0.0))
        same(distributed.all_reduce(x, op="mean"), mean)


def check_broadcast():
    for x, all_x in cases():
        for root in range(SIZE):
            same(distributed.broadcast(x, root), all_x[root])


def check_all_gather():
    for x, all_x in cases():
        same(distributed.all_gather(x), all_x)


def check_reduce_scatter():
    for dtype in DTYPES:
        for shape in SHAPES:
            shape = (SIZE, *shape)
            all_x = np.stack([draw(shape, dtype, rank) for rank in range(SIZE)])
            total = all_x.any(0) if dtype == "bool" else all_x.sum(0).astype(dtype)
            x = Tensor(np.asarray(all_x[RANK], order="F"), requires_grad=False)
            same(distributed.reduce_scatter(x), total[RANK])


def check_messages():
    for x, all_x in cases():
        distributed.send(x, to=(RANK + 1) % SIZE)
        same(distributed.recv(from_=(RANK - 1) % SIZE), all_x[RANK - 1])


def check_large_arrays():
    x = ndl.ones(3_000_000, requires_grad=False) * (RANK + 1)
    total = SIZE * (SIZE + 1) / 2
    assert (distributed.all_reduce(x).numpy() == total).all()
    assert (distributed.broadcast(x, SIZE - 1).numpy() == SIZE).all()
    assert (distributed.all_gather(x).numpy()[:, -1] == np.arange(1, SIZE + 1)).all()
    distributed.send(x, to=(RANK + 1) % SIZE)  # all ranks send before any receives
    assert (distributed.recv(from_=(RANK - 1) % SIZE).numpy() == (RANK - 1) % SIZE + 1).all()


def check_special_values():
    special = np.array([np.inf, -np.inf, np.nan, -np.nan, 0.0, -0.0, 1e-300, -1e-300, 65_000])
    for dtype in ("float16", "float32", "float64"):
        with np.errstate(over="ignore"):
            all_x = np.stack([np.roll(special, rank) for rank in range(SIZE)]).astype(dtype)
        x = Tensor(all_x[RANK], requires_grad=False)
        with np.errstate(invalid="ignore"):
            same(distributed.all_reduce(x, op="max"), np.max(all_x, 0))
            same(distributed.all_reduce(x, op="min"), np.min(all_x, 0))
            wide = all_x.astype(np.result_type(dtype, np.float32)).sum(0)
            with np.errstate(over="ignore"):
                same(distributed.all_reduce(x), wide.astype(dtype))
    halves = distributed.all_reduce(Tensor(np.float16(40_000), requires_grad=False), op="mean")
    assert halves.item() == 40_000  # the sum is beyond float16


class Pair(NamedTuple):
    a: Any
    b: Any


@dataclasses.dataclass
class Record:
    x: Any
    name: str


def check_containers():
    x = Tensor([1.0, 2.0]) * (RANK + 1)
    value = {"pair": Pair(x, [x, "text"]), "record": Record(x * 2, "name"), "tuple": (x, 3)}
    total = SIZE * (SIZE + 1) / 2
    for sent in (distributed.all_reduce(value), sent_around(value)):
        assert isinstance(sent["pair"], Pair)
        assert isinstance(sent["record"], Record)
        assert (sent["record"].name, sent["tuple"][1], sent["pair"].b[1]) == ("name", 3, "text")
    reduced = distributed.all_reduce(value)
    assert reduced["record"].x.numpy().tolist() == [2 * total, 4 * total]
    pair = distributed.all_gather(ndl.make_tuple(x, x))
    assert pair[1].shape == (SIZE, 2)


def sent_around(value):
    distributed.send(value, to=(RANK + 1) % SIZE)
    return distributed.recv(from_=(RANK - 1) % SIZE)


def check_results_are_new_memory():
    x = Tensor([1.0, 2.0], requires_grad=False)
    for function in (distributed.all_reduce, distributed.broadcast, distributed.all_gather):
        assert not np.shares_memory(function(x).numpy(), x.numpy())
    message = Tensor([1.0, 2.0], requires_grad=False)
    distributed.send(message, to=(RANK + 1) % SIZE)
    message.data = Tensor([5.0, 6.0])
    assert distributed.recv(from_=(RANK - 1) % SIZE).numpy().tolist() == [1.0, 2.0]


FUNCTIONS = {
    "sum": distributed.all_reduce,
    "mean": lambda x: distributed.all_reduce(x, op="mean"),
    "max": lambda x: distributed.all_reduce(x, op="max"),
    "min": lambda x: distributed.all_reduce(x, op="min"),
    "broadcast": lambda x: distributed.broadcast(x, SIZE - 1),
    "all_gather": distributed.all_gather,
    "reduce_scatter": distributed.reduce_scatter,
    "around": lambda x: distributed.recv(
        from_=(RANK - 1) % SIZE, after=distributed.send(x, to=(RANK + 1) % SIZE)
    ),
}


def total_of(function, x, weights):
    """What this rank adds to the sum that is differentiated; not linear."""
    y = function(x)
    return (y * y * weights[: y.size].reshape(y.shape)).sum() + (x * x).sum()


def check_gradients():
    """Against central differences of the sum over ranks."""
    weights = Tensor(np.random.default_rng(RANK).normal(size=100), requires_grad=False)
    for name, function in FUNCTIONS.items():
        shape = (SIZE, 2)
        start = np.random.default_rng(10 + RANK).normal(size=shape)
        x = Tensor(start)
        total_of(function, x, weights).backward()
        assert_differences(
            lambda array, f=function: total_of(f, Tensor(array), weights), start, x.grad, name
        )


def check_second_gradients():
    weights = Tensor(np.random.default_rng(RANK).normal(size=100), requires_grad=False)

    def squared_gradient(function, x):
        total_of(function, x, weights).backward()
        return (x.grad * x.grad).sum()

    for name, function in FUNCTIONS.items():
        if name == "around":  # see check_second_gradient_of_messages
            continue
        start = np.random.default_rng(20 + RANK).normal(size=(SIZE, 2))
        x = Tensor(start)
        outer = squared_gradient(function, x)
        x.grad = None
        outer.backward()
        assert_differences(
            lambda array, f=function: squared_gradient(f, Tensor(array)), start, x.grad, name
        )


def assert_differences(function, start, gradient, name, step=1e-5):
    """Every rank in turn moves one of its numbers; all evaluate the function and add it up."""
    for rank in range(SIZE):
        for index in np.ndindex(start.shape):
            values = []
            for sign in (1, -1):
                array = start.copy()
                if rank == RANK:
                    array[index] += sign * step
                value = function(array).detach()
                values.append(distributed.all_reduce(value).item())
            if rank == RANK:
                found, expected = gradient.numpy()[index], (values[0] - values[1]) / (2 * step)
                assert abs(found - expected) < 1e-5 * max(1, abs(expected)), (name, index)


def check_ties_share_the_gradient():
    x = Tensor([1.0, float(RANK)])
    distributed.all_reduce(x, op="max").sum().backward()
    assert x.grad.numpy().tolist() == [1.0, SIZE if RANK == SIZE - 1 else 0.0]


def check_second_gradient_of_messages():
    """Rank 1 computes y³ of what rank 0 sends."""
    if RANK == 0:
        x = Tensor(np.array([1.0, 2.0]))
        distributed.send(x * x, to=1).backward()
        assert x.grad.numpy().tolist() == [6.0, 6 * 32.0]  # d x⁶
        gradient, x.grad = x.grad, None
        gradient.sum().backward()
        np.testing.assert_allclose(x.grad.numpy(), [30.0, 30 * 16.0])
    elif RANK == 1:
        start = Tensor(0.0)
        y = distributed.recv(from_=0, after=start)
        (y * y * y).sum().backward()
        token, start.grad = start.grad, None
        token.backward()


def check_a_model_in_two_parts():
    """The same gradients as in one process, with containers and tensors that need none."""
    first, second, x = (Tensor(np.random.default_rng(i).normal(size=(3, 3))) for i in range(3))
    labels = Tensor(np.array([0, 1, 2]))
    if RANK == 0:
        hidden = ndl.tanh(x @ first)
        distributed.send({"hidden": hidden, "labels": labels}, to=1).backward()
        found = first.grad
        ndl.tanh(ndl.tanh(x @ first) @ second)[ndl.arange(3), labels].sum().backward()
        np.testing.assert_allclose(found.numpy(), first.grad.numpy(), rtol=1e-12)
    elif RANK == 1:
        received = distributed.recv(from_=0)
        assert not received["labels"].requires_grad
        ndl.tanh(received["hidden"] @ second)[ndl.arange(3), received["labels"]].sum().backward()


def check_no_grad_sends_no_adjoints():
    with ndl.no_grad():
        distributed.send(Tensor([1.0]) * 2, to=(RANK + 1) % SIZE)
    received = distributed.recv(from_=(RANK - 1) % SIZE)
    assert not received.requires_grad
    x = Tensor([2.0])
    (received * x).backward()
    assert x.grad.numpy() == 2


def check_forward_mode():
    x, tangent = Tensor(np.array([1.0, 2.0])), Tensor(np.array([1.0, RANK]))
    for op in ("sum", "mean"):
        _, moved = ndl.jvp(lambda x, op=op: distributed.all_reduce(x, op=op) ** 2, (x,), (tangent,))
        scale = 1 if op == "mean" else SIZE
        expected = 2 * x.numpy() * scale * np.array([1, (SIZE - 1) / 2]) * scale
        np.testing.assert_allclose(moved.numpy(), expected)


def check_lazy_mode():
    with ndl.lazy_mode():
        x = Tensor([1.0, 2.0])
        y = distributed.all_reduce(x * x)
        z = distributed.all_gather(y)
        assert z.shape == (SIZE, 2)
        z.sum().backward()
        assert x.grad.numpy().tolist() == [2.0 * SIZE**2, 4.0 * SIZE**2]


def check_disagreements_are_errors_on_all_ranks():
    one_or_two = ndl.ones(1 + RANK % 2)
    cases = {
        lambda: distributed.all_reduce(one_or_two): [
            r"rank(s 0 and 2)?( 0)?: all_reduce\('sum'\) of float32 \(1,\)",
            r"rank 1: all_reduce\('sum'\) of float32 \(2,\)",
        ],
        lambda: distributed.all_gather(one_or_two.astype("float64" if RANK else "float32")): [
            r"all_gather\(\) of float32 \(1,\)",
            r"all_gather\(\) of float64 \(2,\)",
        ],
        lambda: distributed.all_reduce(one_or_two, op="max" if RANK else "min"): ["'max'", "'min'"],
        lambda: distributed.broadcast(one_or_two, root=min(RANK, 1)): [r"root=0", r"root=1"],
        lambda: distributed.barrier() if RANK else distributed.all_gather(one_or_two): [
            r"rank 0: all_gather\(\) of float32 \(1,\)",
            r"barrier\(\)",
        ],
    }
    for wrong, texts in cases.items():
        with pytest.raises(distributed.DistributedError, match="do not do the same") as error:
            wrong()
        for text in texts:
            error.match(text)
    distributed.barrier()  # and the ranks can go on


def check_wrong_arguments():
    x = ndl.ones(SIZE + 1, 2)
    for wrong, text in {
        lambda: distributed.all_reduce(x, op="product"): "op must be one of",
        lambda: distributed.all_reduce(3.0): "takes a tensor or a container of tensors, got float",
        lambda: distributed.broadcast([]): "got list without any",
        lambda: distributed.broadcast(x, root=SIZE): f"a whole number from 0 to {SIZE - 1}, got",
        lambda: distributed.send(x, to=True): "to must be a rank",
        lambda: distributed.recv(-1): "from_ must be a rank",
        lambda: distributed.reduce_scatter(x): f"each of {SIZE} ranks along the first axis, got",
    }.items():
        with pytest.raises((TypeError, ValueError), match=text):
            wrong()


def check_like():
    x = ndl.ones(2, 3)
    around = (RANK + 1) % SIZE, (RANK - 1) % SIZE
    distributed.send(x, to=around[0])
    assert distributed.recv(from_=around[1], like=ndl.zeros(2, 3)).shape == (2, 3)
    distributed.send(x, to=around[0])
    with pytest.raises(distributed.DistributedError, match=r"expected float32 \(3,\), .* \(2, 3\)"):
        distributed.recv(from_=around[1], like=ndl.zeros(3))
    distributed.send(x, to=around[0])
    assert distributed.recv(from_=around[1], like=x).shape == (2, 3)  # and the ranks can go on


def check_compiled():
    def step(x):
        y = distributed.all_reduce(x * x)
        z = distributed.all_gather(ndl.tanh(y) + distributed.all_reduce(x, op="max"))
        loss = (z * distributed.broadcast(x, SIZE - 1)).sum()
        loss.backward(create_graph=False)
        return loss, x.grad

    compiled = ndl.compile(step)
    for seed in range(3):
        x = Tensor(np.random.default_rng([seed, RANK]).normal(size=5))
        found = compiled(x)
        for one, other in zip(found, step(x), strict=True):
            np.testing.assert_allclose(one.numpy(), other.numpy(), rtol=1e-12, atol=1e-12)


def check_compiled_messages():
    def step(x):
        token = distributed.send(ndl.sin(x), to=(RANK + 1) % SIZE)
        received = distributed.recv(from_=(RANK - 1) % SIZE, after=token, like=x)
        loss = (ndl.exp(received) * x).sum()
        loss.backward(create_graph=False)
        return loss, x.grad

    compiled = ndl.compile(step)
    for seed in range(3):
        x = Tensor(np.random.default_rng([seed, RANK]).normal(size=5))
        found = compiled(x)
        for one, other in zip(found, step(x), strict=True):
            np.testing.assert_allclose(one.numpy(), other.numpy(), rtol=1e-12, atol=1e-12)


def check_recv_in_a_compiled_function_needs_shapes():
    with pytest.raises(TypeError, match="needs like="):
        ndl.compile(lambda x: distributed.recv(from_=0) + x)(ndl.ones(1))
