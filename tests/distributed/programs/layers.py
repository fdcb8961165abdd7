"""Layers over several ranks against those of one process, and the passes of sharded loaders."""

import numpy as np
import pytest

import needle as ndl
from needle import Tensor, data, distributed, nn
from needle.distributed import (
    ColumnParallelLinear,
    DistributedError,
    RowParallelLinear,
    SyncBatchNorm,
    convert_sync_batchnorm,
)
from needle.distributed.tensor_parallel import Copy, Gather, Split, Sum
from needle.testing import gradcheck

RANK, SIZE = distributed.rank(), distributed.size()


def near(result, expected, tolerance=1e-6):
    result, expected = (x.numpy() if isinstance(x, Tensor) else x for x in (result, expected))
    assert result.shape == expected.shape
    np.testing.assert_allclose(result, expected, tolerance, tolerance)


def part_of(array, lengths):
    """The rows of this rank, of which each has its number of `lengths`."""
    ends = np.cumsum(lengths)
    return array[ends[RANK] - lengths[RANK] : ends[RANK]]


# --- batch normalisation

CASES = {
    (12, 3): nn.BatchNorm1d,
    (12, 3, 5): nn.BatchNorm1d,
    (12, 3, 4, 2): nn.BatchNorm2d,
    (12, 3, 2, 2, 2): nn.BatchNorm3d,
}
UNEVEN = {1: [12], 2: [7, 5], 3: [10, 2, 0]}[SIZE]


def both(shape, kind, lengths, dtype, create_graph=False):
    """(x, layer, y) of the whole batch in one layer, and of this rank's part in another."""
    np.random.seed(1)
    x, weight, bias = np.random.randn(*shape) * 3 + 50, np.random.rand(3) + 0.5, np.random.randn(3)
    cotangent = np.random.randn(*shape)
    results = []
    for layer, own in ((kind(3, dtype=dtype), slice(None)), (None, None)):
        if layer is None:
            layer = convert_sync_batchnorm(kind(3, dtype=dtype))
            assert type(layer) is SyncBatchNorm
        layer.weight.data = Tensor(weight, dtype=dtype)
        layer.bias.data = Tensor(bias, dtype=dtype)
        rows, g = x, cotangent
        if own is None:
            rows, g = part_of(x, lengths), part_of(cotangent, lengths)
        rows = Tensor(rows, dtype=dtype)
        y = layer(rows)
        loss = (y * Tensor(g, dtype=dtype, requires_grad=False)).sum()
        if create_graph:
            loss.backward()
            gradient, rows.grad = rows.grad, None
            loss = (gradient**2).sum()
        loss.backward(create_graph=False)
        results.append((rows, layer, y))
    return results


def check_sync_batch_norm():
    for dtype in ("float64", "float32"):
        tolerance = 1e-10 if dtype == "float64" else 1e-4
        for shape, kind in CASES.items():
            for lengths in ([12 // SIZE] * SIZE, UNEVEN):
                (x, norm, y), (own_x, own, own_y) = both(shape, kind, lengths, dtype)
                near(own_y, part_of(y.numpy(), lengths), tolerance)
                near(own_x.grad, part_of(x.grad.numpy(), lengths), tolerance)
                near(own.running_mean, norm.running_mean, tolerance)
                near(own.running_var, norm.running_var, tolerance)
                for name in ("weight", "bias"):
                    whole = distributed.all_reduce(getattr(own, name).grad)
                    near(whole, getattr(norm, name).grad, 10 * tolerance)
                assert own_y.dtype == dtype


def check_second_derivatives_of_sync_batch_norm():
    (x, norm, _), (own_x, own, _) = both((12, 3, 5), nn.BatchNorm1d, UNEVEN, "float64", True)
    near(own_x.grad, part_of(x.grad.numpy(), UNEVEN), 1e-9)
    near(distributed.all_reduce(own.weight.grad), norm.weight.grad, 1e-9)


def check_sync_batch_norm_elsewhere():
    layer = SyncBatchNorm(3, affine=False, track_running_stats=False)
    x = Tensor(np.random.rand(4, 3, 2))
    near(
        layer(x), nn.functional.batch_norm(ndl.cat([x] * SIZE), None, None, training=True)[:4], 1e-5
    )
    layer = SyncBatchNorm(3)
    if RANK == 0:  # in eval mode ranks exchange nothing
        near(layer.eval()(x), x / np.sqrt(1 + 1e-5), 1e-5)
    half = Tensor(np.random.rand(4, 3) * 300, dtype="float16")
    assert SyncBatchNorm(3, dtype="float16")(half).dtype == np.float16
    with ndl.no_grad():
        near(SyncBatchNorm(3)(x).mean((0, 2)), np.zeros(3, np.float32), 1e-5)
    with pytest.raises(ValueError, match=r"SyncBatchNorm expected \(N, C, ...\) with C = 3, got"):
        SyncBatchNorm(3)(ndl.rand(4, 5))


def check_compiled_sync_batch_norm():
    x, layers = Tensor(np.random.randn(6, 3, 4)), [SyncBatchNorm(3), SyncBatchNorm(3)]
    step = ndl.compile(layers[1], executor="numpy")
    with ndl.no_grad():
        for _ in range(3):
            near(step(x), layers[0](x), 1e-6)
    near(layers[1].running_var, layers[0].running_var)


# --- layers whose weights are split


def _models(bias=True, hidden=12):
    np.random.seed(5)
    whole = nn.Sequential(nn.Linear(6, hidden, bias), nn.Tanh(), nn.Linear(hidden, 5, bias))
    np.random.seed(5 + RANK)  # rank 0's draws count
    split = nn.Sequential(
        ColumnParallelLinear(6, hidden, bias, gather_output=False),
        nn.Tanh(),
        RowParallelLinear(hidden, 5, bias, input_is_parallel=True),
    )
    return whole, split


def check_tensor_parallel():
    x = np.random.randn(7, 2, 6).astype("f")
    for bias in (True, False):
        outputs, models = [], _models(bias)
        for model in models:
            rows = Tensor(x)
            y = model(rows)
            (y**2).mean().backward(create_graph=False)
            outputs.append((y, rows.grad))
        for one, other in zip(*outputs, strict=True):
            near(one, other)
        whole, split = models
        for layer, part in ((whole[0], split[0]), (whole[2], split[2])):
            state = part.whole_state_dict()
            near(state["weight"], layer.weight, 0)
            assert part.weight.size * SIZE == layer.weight.size
            axis = part.axes["weight"]
            near(part.weight.grad, np.split(layer.weight.grad.numpy(), SIZE, axis)[RANK], 1e-5)
            copy = nn.Linear(layer.in_features, layer.out_features, bias)
            copy.load_state_dict(state)
        if bias:
            near(split[2].bias.grad, whole[2].bias.grad)


def check_tensor_parallel_trains():
    whole, split = _models()
    optimizers = [ndl.optim.Adam(model.parameters(), lr=0.01) for model in (whole, split)]
    losses = []
    for step in range(20):
        x = np.random.default_rng(step).standard_normal((8, 6)).astype("f")
        for model, optimizer in zip((whole, split), optimizers, strict=True):
            optimizer.reset_grad()
            loss = ((model(Tensor(x)) - Tensor(x[:, :5])) ** 2).mean()
            loss.backward(create_graph=False)
            optimizer.step()
            losses.append(loss.item())
    np.testing.assert_allclose(losses[0::2], losses[1::2], 1e-4)


def check_gathered_and_split():
    np.random.seed(2)
    linear = nn.Linear(6, 12)
    np.random.seed(2)
    column = ColumnParallelLinear(6, 12)
    np.random.seed(2)
    row = RowParallelLinear(6, 12)
    x = Tensor(np.random.rand(3, 6))
    (linear(x) ** 2).sum().backward()
    expected, x.grad = x.grad, None
    for layer in (column, row):
        near(layer(x), linear(x))
        (layer(x) ** 2).sum().backward()
        near(x.grad, expected, 1e-5)
        layer.reset_parameters()
        assert layer.weight.shape == (6, 12 // SIZE) if layer is column else (6 // SIZE, 12)


def check_derivatives_of_exchanges():
    """All ranks have the same loss, so that perturbing an input perturbs it on all of them."""
    np.random.seed(3)
    x = Tensor(np.random.randn(2, 2 * SIZE))
    gradcheck(lambda a: Gather()(Split()(a) ** 2), [x], order=2)
    gradcheck(lambda a: Sum()(Copy()(a) ** 2 * (RANK + 1)), [x], order=2)
    with ndl.lazy_mode():
        assert Gather()(Split()(x)).shape == x.shape
        near(Sum()(x), x.numpy() * SIZE)
    _, tangent = ndl.jvp(lambda a: Gather()(Split()(a) * 2), (x,), (x,))
    near(tangent, x.numpy() * 2)


def check_split_parameters_are_not_averaged():
    _, split = _models()
    with pytest.raises(ValueError, match="parameters that are split over the ranks"):
        distributed.wrap(ndl.optim.SGD(split.parameters()))


def check_split_sizes():
    if SIZE > 1:
        with pytest.raises(ValueError, match=f"out_features=7 cannot be divided by {SIZE} ranks"):
            ColumnParallelLinear(6, 7)
        with pytest.raises(ValueError, match="RowParallelLinear: in_features=7"):
            RowParallelLinear(7, 6)


# --- passes of loaders


def check_a_pass_has_the_order_of_rank_0():
    numbers = data.NDArrayDataset(np.arange(1001))
    np.random.seed(RANK)
    loader = data.DataLoader(numbers, 10, shuffle=True, shard=(RANK, SIZE))
    for epoch in range(2):
        own = np.concatenate([batch[0].numpy() for batch in loader])
        padded = np.full(1001, -1)
        padded[: len(own)] = own
        found = distributed.all_gather(Tensor(padded, requires_grad=False)).numpy()
        np.testing.assert_array_equal(np.sort(found[found >= 0]), np.arange(1001))
        if RANK == 0 and epoch == 0:
            np.random.seed(0)
            np.testing.assert_array_equal(own[:10], np.random.permutation(1001)[:10])


def check_passes_of_different_lengths():
    if SIZE > 1:
        numbers = data.NDArrayDataset(np.arange(100 + (RANK == 1)))
        with pytest.raises(DistributedError, match="rank 1: a pass over 101 samples"):
            iter(data.DataLoader(numbers, 10, shard=(RANK, SIZE)))
