"""Parts and unions of datasets, samplers, and how items become batches."""

from typing import NamedTuple

import numpy as np
import pytest

from needle import Generator, Tensor
from needle.data import (
    Batch,
    BatchSampler,
    ConcatDataset,
    DataLoader,
    Dataset,
    Digits,
    NDArrayDataset,
    RandomSampler,
    Sampler,
    SequentialSampler,
    Subset,
    SubsetRandomSampler,
    TensorDataset,
    WeightedRandomSampler,
    default_collate,
    random_split,
)

TENS = NDArrayDataset(np.arange(0, 100, 10))


class Items(Dataset):
    """Takes one index at a time."""

    def __init__(self, *items):
        super().__init__()
        self.items = items

    def __len__(self):
        return len(self.items)

    def __getitem__(self, index):
        return self.items[index]


def numbers(loader):
    return [batch[0].tolist() for batch in loader]


# --- datasets


def test_tensor_dataset_takes_tensors():
    dataset = TensorDataset(Tensor([[1.0], [2.0]]), Tensor([3, 4]))
    assert (len(dataset), dataset[1][0].tolist(), int(dataset[1][1])) == (2, [2.0], 4)
    assert [part.tolist() for part in next(iter(DataLoader(dataset, 2)))] == [[[1], [2]], [3, 4]]


@pytest.mark.parametrize("dataset", [TENS, Items(*range(0, 100, 10))])
def test_subset(dataset):
    subset = Subset(dataset, [3, 9, 3, -1])
    assert len(subset) == 4
    assert np.ravel(subset[1]).tolist() == [90]
    assert np.ravel(subset[-1]).tolist() == [90]
    assert numbers(DataLoader(subset, 3)) == [[30, 90, 30], [90]]
    nested = Subset(subset, [2, 1])
    assert numbers(DataLoader(nested, 2)) == [[30, 90]]


def test_subset_is_fetched_by_index_arrays():
    assert Subset(TENS, [3, 4, 5])[1:][0].tolist() == [40, 50]
    with pytest.raises(TypeError, match="Items takes one index"):
        Subset(Items(1, 2), [0, 1])[:1]


@pytest.mark.parametrize("index", [10, -11])
def test_subset_refuses_indices_out_of_range(index):
    with pytest.raises(IndexError, match=f"index {index} is out of range for 10 items"):
        Subset(TENS, [0, index])
    with pytest.raises(IndexError, match="Subset of 1 items"):
        Subset(TENS, [0])[1]


@pytest.mark.parametrize("indices", [[1.0], [[1]], [True, False], "ab"])
def test_subset_takes_whole_numbers(indices):
    with pytest.raises(TypeError, match="Subset takes a list of whole numbers"):
        Subset(TENS, indices)


def test_concat():
    both = ConcatDataset([TENS, Items(1, 2), NDArrayDataset(np.array([5]))])
    assert len(both) == 13
    assert [np.ravel(both[i])[0] for i in (0, 9, 10, 11, 12, -1, -13)] == [0, 90, 1, 2, 5, 5, 0]
    assert numbers(DataLoader(both, 13, sampler=[12, 10, 0])) == [[5, 1, 0]]
    for index in (13, -14):
        with pytest.raises(IndexError, match=f"ConcatDataset of 13 items: {index}"):
            both[index]
    with pytest.raises(ValueError, match="at least one dataset"):
        ConcatDataset([])
    with pytest.raises(TypeError, match="takes one index"):
        both[:2]
    assert np.ravel(ConcatDataset([Items(), TENS])[0])[0] == 0


@pytest.mark.parametrize("lengths", [[7, 3], [0.7, 0.3], (0.5, 0.25, 0.25), [10], [1.0], [0, 10]])
def test_random_split_is_a_partition(lengths):
    parts = random_split(TENS, lengths)
    items = [np.ravel(part[i])[0] for part in parts for i in range(len(part))]
    assert sorted(items) == list(range(0, 100, 10))
    assert len(parts) == len(lengths)


def test_sizes_of_random_splits_are_those_of_pytorch():
    torch = pytest.importorskip("torch")
    for count in (10, 11, 13, 97):
        for fractions in ([0.5, 0.5], [0.7, 0.2, 0.1], [1 / 3] * 3):
            ours = random_split(range(count), fractions)
            theirs = torch.utils.data.random_split(range(count), fractions)
            assert list(map(len, ours)) == list(map(len, theirs))


def test_random_split_follows_the_seed():
    np.random.seed(0)
    order = np.random.permutation(10)
    np.random.seed(0)
    first, second = random_split(TENS, [4, 6])
    assert [*first.indices, *second.indices] == order.tolist()
    drawn = [random_split(TENS, [4, 6], Generator(3))[0].indices.tolist() for _ in range(2)]
    assert drawn[0] == drawn[1]


@pytest.mark.parametrize("lengths", [[5, 4], [0.5, 0.4], [11, -1], [2.5, 7.5]])
def test_lengths_that_do_not_add_up(lengths):
    with pytest.raises(ValueError, match="random_split: lengths"):
        random_split(TENS, lengths)


# --- samplers


def test_sequential_and_random_samplers():
    assert list(SequentialSampler(TENS)) == list(range(10))
    np.random.seed(0)
    expected = [np.random.permutation(10).tolist() for _ in range(2)]
    np.random.seed(0)
    sampler = RandomSampler(TENS)
    assert [list(sampler), list(sampler)] == expected
    np.random.seed(0)
    assert [list(RandomSampler(TENS, num_samples=13))] == [expected[0] + expected[1][:3]]
    assert sorted(RandomSampler(TENS, num_samples=4, generator=Generator(0)))[-1] <= 9


def test_random_sampler_with_replacement():
    sampler = RandomSampler(TENS, replacement=True, num_samples=5000, generator=Generator(0))
    counts = np.bincount(list(sampler), minlength=10)
    assert len(sampler) == counts.sum() == 5000
    assert (abs(counts - 500) < 100).all()


def test_weighted_sampler():
    weights = [0, 1, 3, 0, 6, 0]
    sampler = WeightedRandomSampler(weights, 10_000, generator=Generator(0))
    counts = np.bincount(list(sampler), minlength=6)
    np.testing.assert_allclose(counts / 10_000, np.array(weights) / 10, atol=0.02)
    once = WeightedRandomSampler(weights, 3, replacement=False)
    assert sorted(once) == [1, 2, 4]
    first = [WeightedRandomSampler(weights, 1, False).order()[0] for _ in range(2000)]
    np.testing.assert_allclose(
        np.bincount(first, minlength=6) / 2000, np.array(weights) / 10, atol=0.04
    )


def test_other_samplers():
    assert sorted(SubsetRandomSampler([5, 2, 8])) == [2, 5, 8]
    assert list(BatchSampler([5, 2, 8], 2, False)) == [[5, 2], [8]]
    assert list(BatchSampler(SequentialSampler(TENS), 4, True)) == [[0, 1, 2, 3], [4, 5, 6, 7]]
    assert [len(BatchSampler(range(10), 4, drop_last)) for drop_last in (False, True)] == [3, 2]


def test_samplers_in_a_loader():
    loader = DataLoader(TENS, 2, sampler=[3, 1, 2])
    assert (numbers(loader), len(loader)) == ([[30, 10], [20]], 2)
    assert numbers(DataLoader(TENS, 2, sampler=(i for i in (3, 1, 2)), drop_last=True)) == [
        [30, 10]
    ]
    loader = DataLoader(TENS, batch_sampler=[[1], [2, 3]])
    assert (numbers(loader), len(loader)) == ([[10], [20, 30]], 2)
    weighted = WeightedRandomSampler([0] * 9 + [1], 3)
    assert numbers(DataLoader(TENS, 2, sampler=weighted)) == [[90, 90], [90]]
    items = DataLoader(Items(*"abc"), 2, sampler=["0"])
    with pytest.raises(TypeError, match="indices must be"):
        list(items)


@pytest.mark.parametrize("dataset", [TENS, Items(1, 2)])
def test_a_batch_without_items_is_refused(dataset):
    with pytest.raises(ValueError, match="a batch has at least one item"):
        list(DataLoader(dataset, batch_sampler=[[0], []]))


def test_repr_without_a_length():
    loader = DataLoader(Items(1, 2), sampler=iter([1]))
    assert repr(loader) == "DataLoader(Items(2 items), batch_size=1)"
    loader = DataLoader(TENS, 2, num_workers=2)
    assert repr(loader).endswith("batch_size=2, num_workers=2)  # 5 batches")


@pytest.mark.parametrize(
    ("make", "error", "text"),
    [
        (lambda: default_collate([]), ValueError, "at least one item, got none"),
        (lambda: RandomSampler(TENS, num_samples=0), ValueError, "num_samples is 1 or more"),
        (lambda: RandomSampler(TENS, "yes"), TypeError, "replacement is True or False"),
        (lambda: list(RandomSampler([])), ValueError, "no items to draw from"),
        (lambda: WeightedRandomSampler([1, -1], 1), ValueError, "0 or more, got -1.0 at 1"),
        (lambda: WeightedRandomSampler([1, float("nan")], 1), ValueError, "got nan at 1"),
        (lambda: WeightedRandomSampler([0, 0], 1), ValueError, "0 weights are above 0"),
        (lambda: WeightedRandomSampler([1, 0], 2, False), ValueError, "without replacement"),
        (lambda: WeightedRandomSampler([[1]], 1), ValueError, r"one axis, got shape \(1, 1\)"),
        (lambda: BatchSampler([1], 0, False), ValueError, "batch_size is 1 or more"),
        (lambda: list(Sampler()), NotImplementedError, "Sampler does not define order"),
        (lambda: len(Sampler()), NotImplementedError, "Sampler does not define __len__"),
    ],
)
def test_impossible_samplers(make, error, text):
    with pytest.raises(error, match=text):
        make()


# --- batches


def test_dicts_become_dicts_of_tensors():
    items = [{"x": np.full(2, i, np.float32), "at": {"row": i, "half": i / 2}} for i in range(3)]
    first, second = DataLoader(Items(*items), 2)
    assert first["x"].tolist() == [[0, 0], [1, 1]]
    assert type(first["x"]) is Tensor
    assert first["at"]["row"].tolist() == [0, 1]
    assert second["at"]["half"].tolist() == [1.0]
    assert second["at"]["half"].dtype == np.float32
    with_label = next(iter(DataLoader(Items(*[(item, i) for i, item in enumerate(items)]), 3)))
    assert isinstance(with_label, Batch)
    assert (with_label[0]["at"]["row"].tolist(), with_label[1].tolist()) == ([0, 1, 2], [0, 1, 2])


def test_dicts_of_a_dataset_that_takes_index_arrays():
    class Table(Dataset):
        takes_index_arrays = True
        x = np.arange(10.0)

        def __len__(self):
            return 10

        def __getitem__(self, index):
            return {"x": self.x[index], "twice": (2 * self.x[index]).tolist()}

    batch = next(iter(DataLoader(Table(), 3)))
    assert batch["x"].tolist() == [0, 1, 2]
    assert (batch["twice"].dtype, batch["x"].dtype) == (np.float32, np.float64)


def test_collate_fn_makes_the_batch():
    def longest_first(items):
        lengths = [len(item) for item in items]
        padded = np.zeros((len(items), max(lengths)), np.float32)
        for row, item in zip(padded, items, strict=True):
            row[: len(item)] = item
        return Tensor.make_const(padded), lengths

    sequences = Items([1, 2, 3], [4], [5, 6])
    for workers in (0, 2):
        loader = DataLoader(sequences, 2, collate_fn=longest_first, num_workers=workers)
        first, second = loader
        assert first[0].tolist() == [[1, 2, 3], [4, 0, 0]]
        assert first[1] == [3, 1]
        assert second[0].tolist() == [[5, 6]]
    images = next(iter(DataLoader(Digits(), 2, collate_fn=default_collate)))
    np.testing.assert_array_equal(images[0].numpy(), Digits()[:2][0])


def test_default_collate():
    batch = default_collate([(np.zeros(2), 1), (np.ones(2), 2)])
    assert isinstance(batch, Batch)
    assert [part.tolist() for part in batch] == [[[0, 0], [1, 1]], [1, 2]]
    assert default_collate([1.5, 2.5])[0].dtype == np.float32


class Pair(NamedTuple):
    image: np.ndarray
    label: int


@pytest.mark.parametrize("workers", [0, 2])
@pytest.mark.parametrize(
    "make",
    [
        lambda i: Pair(np.full(2, i), i),
        lambda i: (np.full(2, i), (i, [np.full(1, i), f"word {i}"])),
        lambda i: (i, {"name": f"image {i}", "pair": Pair(np.full(2, i), i)}),
        lambda i: (np.full(2, i), f"word {i}".encode()),
        lambda i: (i, (np.full(2, i), np.full(3, i))),
        lambda i: (i, (f"word {i}", "other")),
    ],
)
def test_parts_of_parts_are_collated_as_in_torch(make, workers):
    data = pytest.importorskip("torch.utils.data")

    items = [make(i) for i in range(5)]
    theirs = list(data.DataLoader(items, 2))
    ours = list(DataLoader(Items(*items), 2, num_workers=workers))
    assert [_plain(batch) for batch in ours] == [_plain(batch) for batch in theirs]
    assert [_plain(batch) for batch in DataLoader(items, 2)] == [_plain(each) for each in theirs]


def _plain(batch):
    """Lists of the numbers; tuples of a name stay such."""
    if isinstance(batch, str | bytes):
        return batch
    if isinstance(batch, dict):
        return {name: _plain(part) for name, part in batch.items()}
    if hasattr(batch, "tolist"):
        return batch.tolist()
    parts = [_plain(part) for part in batch]
    return type(batch)._make(parts) if hasattr(batch, "_fields") else parts
