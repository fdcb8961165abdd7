"""Loaders of several ranks: what each gets of a pass. No MPI: a loader for each rank, here."""

from itertools import chain

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from needle import Generator, Tensor
from needle.data import (
    BatchSampler,
    DataLoader,
    Dataset,
    Digits,
    NDArrayDataset,
    RandomCrop,
    RandomSampler,
    SubsetRandomSampler,
    WeightedRandomSampler,
    shards,
)


def loaders(count, batch_size, size, seed=3, **options):
    """Those of all ranks."""
    data = NDArrayDataset(np.arange(count))
    if options.get("shuffle"):
        return [
            DataLoader(data, batch_size, **options, generator=Generator(seed), shard=(rank, size))
            for rank in range(size)
        ]
    return [DataLoader(data, batch_size, **options, shard=(rank, size)) for rank in range(size)]


def numbers(loader):
    return [batch[0].numpy().tolist() for batch in loader]


def together(each):
    """The k-th batches of all ranks, one after another."""
    return [list(chain(*parts)) for parts in zip(*map(numbers, each), strict=True)]


@settings(derandomize=True, deadline=None, max_examples=80)
@given(st.integers(1, 60), st.integers(1, 9), st.integers(1, 5), st.booleans(), st.booleans())
def test_batches_of_all_ranks_are_those_of_one_process(count, batch, size, shuffle, drop_last):
    options = {"shuffle": shuffle, "drop_last": drop_last}
    each = loaders(count, batch, size, **options)
    generator = Generator(3) if shuffle else None
    whole = DataLoader(each[0].dataset, batch * size, **options, generator=generator)
    for _ in range(2):
        parts = [numbers(loader) for loader in each]
        assert [list(chain(*ranks)) for ranks in zip(*parts, strict=True)] == numbers(whole)
        for ranks in zip(*parts, strict=True):
            lengths = list(map(len, ranks))
            assert lengths == sorted(lengths, reverse=True)
            assert max(lengths) - min(lengths) <= 1
            assert max(lengths) <= batch
    assert {len(loader) for loader in each} == {len(whole)}
    assert {loader.num_samples for loader in each} == {whole.num_samples}
    assert sum(map(len, numbers(whole))) == whole.num_samples


def test_fifty_on_two_ranks_are_a_hundred_on_one():
    first, second = loaders(1000, 50, 2, shuffle=True)
    whole = DataLoader(first.dataset, 100, shuffle=True, generator=Generator(3))
    for one, other, both in zip(first, second, whole, strict=True):
        np.testing.assert_array_equal(
            np.concatenate([one[0].numpy(), other[0].numpy()]), both[0].numpy()
        )


def test_an_uneven_last_batch_is_split_evenly():
    parts = list(map(numbers, loaders(11, 3, 2)))
    assert parts == [[[0, 1, 2], [6, 7, 8]], [[3, 4, 5], [9, 10]]]


def test_fewer_samples_than_ranks_leave_the_last_ones_empty_batches():
    parts = list(map(numbers, loaders(7, 2, 3)))
    assert parts == [[[0, 1], [6]], [[2, 3], []], [[4, 5], []]]
    assert together(loaders(7, 2, 3, drop_last=True)) == [[0, 1, 2, 3, 4, 5]]


class Rows(Dataset):
    """Dicts, one item at a time."""

    def __len__(self):
        return 5

    def __getitem__(self, index):
        return {"x": np.full((2, 3), index, np.float32), "y": index, "name": str(index)}


@pytest.mark.parametrize("workers", [0, 2])
def test_an_empty_batch_has_the_shapes_and_dtypes_of_others(workers):
    loader = DataLoader(Digits(), 20, shard=(2, 3), num_workers=workers, drop_last=False)
    assert len(Digits()) % 60 == 57
    few = NDArrayDataset(*(part[:61] for part in Digits()[:]), transforms=[RandomCrop(1)])
    loader = DataLoader(few, 20, shard=(2, 3), num_workers=workers)
    *_, (images, labels) = loader
    assert (images.shape, labels.shape) == ((0, 8, 8, 1), (0,))
    assert (images.dtype, labels.dtype) == (np.float32, np.uint8)
    *_, batch = DataLoader(Rows(), 2, shard=(1, 2), num_workers=workers, worker="thread")
    assert (batch["x"].shape, batch["y"].shape, batch["name"]) == ((0, 2, 3), (0,), [])


def test_an_empty_batch_of_a_collate_function():
    def collate(items):
        return Tensor(np.stack(items), requires_grad=False), ["text", len(items)]

    *_, (tensor, rest) = DataLoader(np.ones((3, 4)), 1, shard=(1, 2), collate_fn=collate)
    assert tensor.shape == (0, 4)
    assert rest == ["text", 1]


@pytest.mark.parametrize("workers", [0, 2])
@pytest.mark.parametrize(
    "make",
    [
        lambda data, generator: RandomSampler(data, num_samples=25, generator=generator),
        lambda data, generator: RandomSampler(data, True, 7, generator=generator),
        lambda data, generator: SubsetRandomSampler([3, 1, 4, 15, 9], generator),
        lambda data, generator: WeightedRandomSampler(np.arange(20), 9, generator=generator),
        lambda data, generator: [5, 6, 7, 8, 9],
    ],
)
def test_samplers(make, workers):
    data = NDArrayDataset(np.arange(20))
    each = [
        DataLoader(data, 2, sampler=make(data, Generator(1)), shard=(r, 2), num_workers=workers)
        for r in range(2)
    ]
    whole = DataLoader(data, 4, sampler=make(data, Generator(1)))
    assert together(each) == numbers(whole)
    assert each[0].num_samples == len(whole.sampler)


def test_batches_of_a_batch_sampler_are_split():
    data = NDArrayDataset(np.arange(20))
    batches = [[1, 2, 3, 4, 5], [0], [7, 7]]
    first, second = (DataLoader(data, batch_sampler=batches, shard=(r, 2)) for r in range(2))
    assert numbers(first) == [[1, 2, 3], [0], [7]]
    assert numbers(second) == [[4, 5], [], [7]]
    assert first.num_samples == 8

    def drawn():
        return BatchSampler(RandomSampler(data, generator=Generator(2)), 7, False)

    each = [DataLoader(data, batch_sampler=drawn(), shard=(rank, 3)) for rank in range(3)]
    assert together(each) == list(drawn())


def test_rank_0_draws_for_all_where_ranks_are_connected(monkeypatch):
    asked = []

    def of_rank_0(order, what):
        asked.append((what, order.copy()))
        return np.arange(len(order))[::-1] if len(order) == 6 else order

    monkeypatch.setattr(shards, "order_of_rank_0", of_rank_0)
    loader = DataLoader(NDArrayDataset(np.arange(6)), 2, shuffle=True, shard=(1, 2))
    np.random.seed(1)
    assert numbers(loader) == [[3, 2], [0]]
    np.random.seed(1)
    np.testing.assert_array_equal(
        dict(asked)["samples"], np.random.permutation(6)
    )  # its own stream goes on
    asked.clear()
    assert numbers(DataLoader(loader.dataset, 2, shuffle=True, shard=(0, 1)))
    assert not asked


def test_iterators_of_a_pass_are_independent_and_restart():
    loader, _ = loaders(10, 2, 2)
    first, second = iter(loader), iter(loader)
    next(first)
    assert next(second)[0].tolist() == [0, 1]
    assert numbers(loader) == [[0, 1], [4, 5], [8]]


@pytest.mark.parametrize(
    ("shard", "error", "text"),
    [
        ((2, 2), ValueError, r"rank < size, got \(2, 2\)"),
        ((-1, 2), ValueError, "shard: rank is 0 or more, got -1"),
        ((0, 0), ValueError, "shard: size is 1 or more, got 0"),
        ((0.0, 2), TypeError, "shard: rank is a whole number"),
        (2, TypeError, r"pair \(rank, size\), got 2"),
        ((0, 1, 2), TypeError, r"pair \(rank, size\)"),
    ],
)
def test_wrong_shards(shard, error, text):
    with pytest.raises(error, match=text):
        DataLoader(Digits(), 10, shard=shard)


def test_what_cannot_be_split():
    class Endless:
        def __iter__(self):
            yield from iter(int, 1)

    with pytest.raises(TypeError, match="Endless has no length"):
        DataLoader(Digits(), 10, sampler=Endless(), shard=(0, 2))
    with pytest.raises(TypeError, match=r"whole numbers, got indices \['a', 'b'\]"):
        iter(DataLoader({"a": 1, "b": 2}, sampler=["a", "b"], shard=(0, 2)))


def test_number_of_samples():
    digits = Digits()
    assert DataLoader(digits, 100).num_samples == 1437
    assert DataLoader(digits, 100, drop_last=True).num_samples == 1400
    assert DataLoader(digits, sampler=[1, 2]).num_samples == 2
    with pytest.raises(TypeError, match="list_iterator does not say how many samples"):
        _ = DataLoader(digits, batch_sampler=iter([[1]])).num_samples


def test_repr_tells_the_shard():
    assert "shard=(1, 2))  # 15 batches" in repr(DataLoader(Digits(), 50, shard=[1, 2]))
