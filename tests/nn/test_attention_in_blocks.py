"""Dropout of attention in blocks: each draws its part of the mask from a seed, and draws it again.

Seeds are checked with every op's table, too; here several blocks, and what draws the seeds.
"""

import tracemalloc

import numpy as np
import pytest

import needle as ndl
from needle import Tensor
from needle.nn import functional as F
from needle.nn.functional.attention import attend
from needle.ops.random import Seeds


def draws(*shapes, dtype="float64"):
    rng = np.random.RandomState(0)
    return [Tensor(rng.randn(*shape).astype(dtype)) for shape in shapes]


@pytest.fixture
def in_blocks(monkeypatch):
    """Attention goes in blocks of 7 rows of 50 scores, however few there are."""
    names = ndl.attention.__globals__
    for name, value in {"_MOST_SCORES": 0, "_LEAST_SCORES": 0, "_BLOCK": 7 * 50}.items():
        monkeypatch.setitem(names, name, value)


def small():
    return draws((2, 3, 40, 4), (2, 3, 50, 4), (2, 3, 50, 5))


@pytest.mark.parametrize("options", [{}, {"diagonal": 10}, {"diagonal": -30}, {"mask": True}])
def test_blocks_drop_what_the_whole_mask_drops(in_blocks, options):
    options = dict(options)
    (mask,) = draws((3, 1, 50))
    if options.pop("mask", False):
        options["mask"] = mask
    seeds = Tensor(np.arange(6).reshape(2, 3, 1, 1) * 2**40)
    results = []
    for by_blocks in (False, True):
        operands = [*small(), *[each for each in (options.get("mask"),) if each is not None]]
        y = ndl.attention(*operands[:3], **options, kept=seeds, dropout=0.3, in_blocks=by_blocks)
        first = ndl.grad((y**3).sum(), operands, create_graph=True)
        second = ndl.grad(sum((g**2).sum() for g in first), operands)
        results.append([y, *first, *second])
    for one, other in zip(*results, strict=True):
        np.testing.assert_allclose(one.numpy(), other.numpy(), 1e-8, 1e-9)


def test_matrices_and_blocks_drop_different_weights(in_blocks):
    """Equal weights and values of one: results count what is left in a row."""
    np.random.seed(0)
    q, v = ndl.init.zeros(2, 3, 50, 4), ndl.init.ones(2, 3, 50, 1)
    y = F.scaled_dot_product_attention(q, q, v, dropout_p=0.2).numpy()
    counts = (y * 40).reshape(6, 50)  # weights of 1/(50·0.8)
    np.testing.assert_allclose(counts, counts.round(), atol=1e-3)
    assert abs(y.mean() - 1) < 0.01
    blocks = counts[:, :49].reshape(42, 7)
    assert len(np.unique(blocks.round(), axis=0)) == 42
    assert not F.scaled_dot_product_attention(q, q, v, dropout_p=1.0).numpy().any()


def test_seeds_live_on_the_device_of_their_operand(strict_array, strict_device):
    zeros = Tensor(np.zeros((4, 1, 1)), device=strict_device)
    np.random.seed(0)
    seeds = Seeds()(zeros)
    assert type(seeds.realize_cached_data()) is strict_array
    np.random.seed(0)
    np.testing.assert_array_equal(seeds.numpy() / 2**53, np.random.rand(4, 1, 1))
    assert len({Seeds().key, Seeds().key}) == 2


@pytest.mark.parametrize("generated", [False, True])
def test_seeds_are_drawn_anew_and_can_be_repeated(in_blocks, generated):
    operands = small()

    def run():
        ndl.manual_seed(0)
        generator = ndl.Generator(seed=0) if generated else None
        return [attend(*operands, dropout=0.5, generator=generator)[0].numpy() for _ in range(2)]

    first, again = run(), run()
    np.testing.assert_array_equal(first, again)
    assert (first[0] != first[1]).mean() > 0.9


def test_the_weights_come_from_the_whole_mask(in_blocks):
    operands = small()
    np.random.seed(0)
    y, weights = attend(*operands, dropout=0.5, need_weights=True)
    np.random.seed(0)
    kept = np.random.rand(2, 3, 40, 50) <= 0.5
    np.testing.assert_array_equal(weights.numpy() > 0, kept)
    np.testing.assert_allclose(y.numpy(), (weights @ operands[2]).numpy(), 1e-10)


@pytest.mark.parametrize("dtype", ["float16", "float32"])
def test_grouped_heads_drop_by_the_same_seeds_as_others(in_blocks, dtype):
    q, k, v = draws((2, 6, 40, 4), (2, 2, 50, 4), (2, 2, 50, 5), dtype=dtype)
    whole = [each.reshape((2, 2, 1, 50, -1)).broadcast_to((2, 2, 3, 50, n)).reshape((2, 6, 50, n))
             for each, n in ((k, 4), (v, 5))]  # fmt: skip
    results = []
    for operands, is_grouped in (((q, k, v), True), ((q, *whole), False)):
        np.random.seed(0)
        results.append(F.scaled_dot_product_attention(
            *operands, dropout_p=0.5, enable_gqa=is_grouped
        ))  # fmt: skip
    assert results[0].dtype == dtype
    np.testing.assert_allclose(results[0].numpy(), results[1].numpy(), 1e-5, 1e-6)


def test_checkpoint_repeats_the_seeds(in_blocks):
    operands = small()

    def f(*x):
        return (F.scaled_dot_product_attention(*x, dropout_p=0.4, is_causal=True) ** 2).sum()

    results = []
    for run in (f, lambda *x: ndl.checkpoint(f, *x)):
        np.random.seed(0)
        results.append(ndl.grad(run(*operands), operands))
    for one, other in zip(*results, strict=True):
        np.testing.assert_array_equal(one.numpy(), other.numpy())


def test_vmap_draws_for_each_example_what_a_batch_draws(in_blocks):
    operands = small()

    def loss(x):
        return (F.scaled_dot_product_attention(*x, dropout_p=0.4) ** 2).sum()

    results = []
    for gradients in (ndl.vmap(ndl.grad(loss)), ndl.grad(loss)):
        np.random.seed(0)
        results.append(gradients(operands))
    for one, other in zip(*results, strict=True):
        np.testing.assert_allclose(one.numpy(), other.numpy(), 1e-9, 1e-11)


@pytest.mark.parametrize("executor", ["numpy", "numba"])
def test_compiled_draws_are_the_eager_ones(in_blocks, executor):
    if executor == "numba":
        pytest.importorskip("numba")

    def step(q, k, v):
        y = F.scaled_dot_product_attention(q, k, v, dropout_p=0.4, is_causal=True)
        return y, *ndl.grad((y**2).sum(), [q, k, v])

    compiled, operands = ndl.compile(step, executor=executor), small()
    results = []
    for run in (step, compiled):
        np.random.seed(0)
        results.append([each for _ in range(3) for each in run(*operands)])
    for one, other in zip(*results, strict=True):
        np.testing.assert_allclose(one.numpy(), other.numpy(), 1e-10, 1e-12)
    assert (results[1][0].numpy() != results[1][4].numpy()).any()


def test_lazy_tensors_draw_when_they_are_read(in_blocks):
    operands = small()
    results = []
    for is_lazy in (False, True):
        np.random.seed(0)
        with ndl.autograd.modes.override(ndl.autograd.modes.is_lazy, is_lazy):
            y = F.scaled_dot_product_attention(*operands, dropout_p=0.4)
            gradients = ndl.grad((y**2).sum(), operands)
            results.append([each.numpy() for each in (y, *gradients)])
    for one, other in zip(*results, strict=True):
        np.testing.assert_array_equal(one, other)


def test_memory_with_dropout_grows_with_the_length_not_its_square(monkeypatch):
    monkeypatch.setitem(ndl.attention.__globals__, "_MOST_SCORES", 2**20)
    peaks = []
    for length in (2048, 4096):
        q, k, v = draws(*[(1, length, 8)] * 3, dtype="float32")
        tracemalloc.start()
        y = F.scaled_dot_product_attention(q, k, v, dropout_p=0.2, is_causal=True)
        y.backward(ndl.init.ones_like(y))
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    # the mask would take 4 and 16 MiB, and 32 and 128 MiB while it is drawn
    assert peaks[1] < 12 * 2**20
    assert peaks[1] < 2.5 * peaks[0]
