"""Loaders whose batches are prepared ahead: numbers, order, errors, and what is left behind."""

import multiprocessing
import os
import random
import threading
import time

import numpy as np
import pytest

from needle import Generator, no_grad, randn
from needle.data import (
    Compose,
    DataLoader,
    Dataset,
    NDArrayDataset,
    Normalize,
    RandomAffine,
    RandomCrop,
    RandomErasing,
    RandomFlipHorizontal,
    RandomSampler,
    Subset,
)
from tests.data.workers import KINDS, Each

pytestmark = pytest.mark.usefixtures("nothing_left_behind")

IMAGES = np.random.default_rng(0).random((23, 6, 6, 2), np.float32)
AUGMENTATION = [RandomCrop(2), Compose([RandomFlipHorizontal(), RandomErasing()]), RandomAffine(20)]


class Drawing(Dataset):
    """Draws from NumPy's and Python's global states, and uses transforms item by item."""

    def __init__(self, draws=True):
        super().__init__([RandomCrop(1), RandomFlipHorizontal(generator=Generator(3))])
        self.draws = draws

    def __len__(self):
        return len(IMAGES)

    def __getitem__(self, index):
        if not self.draws:
            return IMAGES[index], index
        noise = np.float32(np.random.rand() + random.random())
        return self.apply_transforms(IMAGES[index]) + noise, index


def arrays(loader):
    return [[part.numpy() for part in batch] for batch in loader]


def assert_same(found, expected):
    assert len(found) == len(expected)
    for batch, other in zip(found, expected, strict=True):
        for part, of_other in zip(batch, other, strict=True):
            np.testing.assert_array_equal(part, of_other)
            assert part.dtype == of_other.dtype


# --- the numbers of num_workers=0


def two_passes(dataset, **options):
    """Two passes from one seed, and what the streams give afterwards."""
    np.random.seed(1)
    random.seed(1)
    loader = DataLoader(dataset(), batch_size=4, **options)
    return [*arrays(loader), *arrays(loader), [np.random.rand(3), np.array(random.random())]]


@pytest.mark.parametrize("workers", [1, 3])
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("shuffle", [False, True])
def test_augmented_batches_are_those_without_workers(kind, workers, shuffle):
    def dataset():
        return NDArrayDataset(IMAGES, np.arange(23), transforms=AUGMENTATION)

    found = two_passes(dataset, num_workers=workers, worker=kind, shuffle=shuffle)
    assert_same(found, two_passes(dataset, shuffle=shuffle))


@pytest.mark.parametrize("draws", [False, True])
def test_datasets_that_draw_by_themselves_give_what_they_give_without_workers(draws):
    found = two_passes(lambda: Drawing(draws), num_workers=3, shuffle=True)
    assert_same(found, two_passes(lambda: Drawing(draws), shuffle=True))


def test_subsets_draw_as_without_workers():
    def dataset():
        return Subset(NDArrayDataset(IMAGES, transforms=AUGMENTATION), [5, 3, 20, 3, 9, 10])

    assert DataLoader(dataset(), num_workers=2).dataset._streams() == {None}
    assert_same(two_passes(dataset, num_workers=2), two_passes(dataset))


def test_a_generator_of_the_transforms_makes_draws_of_a_model_not_matter():
    def passes(**options):
        np.random.seed(1)
        transforms = [RandomCrop(2, Generator(4)), RandomFlipHorizontal(generator=Generator(5))]
        loader = DataLoader(NDArrayDataset(IMAGES, transforms=transforms), 4, **options)
        return [[batch[0].numpy(), np.random.rand(2)] for _ in range(2) for batch in loader]

    assert_same(passes(num_workers=2), passes())


def test_draws_of_a_model_are_never_undone():
    loader = DataLoader(NDArrayDataset(IMAGES, transforms=[RandomCrop(1)]), 4, num_workers=2)
    np.random.seed(1)
    drawn = [np.random.rand() for _ in loader]
    assert len(set(drawn)) == len(drawn)
    after = [np.random.rand() for _ in range(3)]
    assert not set(after) & set(drawn)


def test_a_pass_that_ends_early_leaves_the_streams_as_without_workers():
    def after(**options):
        np.random.seed(1)
        transforms = [RandomCrop(1, Generator(0)), RandomFlipHorizontal()]
        dataset = NDArrayDataset(IMAGES, transforms=transforms)
        for number, _ in enumerate(DataLoader(dataset, 2, **options)):
            if number == 3:
                break
        return [[np.random.rand(2), transforms[0].generator.rand(2)]]

    assert_same(after(num_workers=2), after())


@pytest.mark.parametrize("kind", KINDS)
def test_a_pass_is_resumed_by_repeating_it_from_its_first_state(kind):
    """As a training run does that begins a pass, and continues it after a checkpoint."""

    def batches(state):
        np.random.set_state(state)
        loader = DataLoader(NDArrayDataset(IMAGES, transforms=AUGMENTATION), 4, shuffle=True,
                            num_workers=2, worker=kind)  # fmt: skip
        return iter(loader)

    np.random.seed(2)
    first = np.random.get_state()
    whole, masks, states = [], [], []
    for batch in batches(first):
        whole.append(batch[0].numpy())
        masks.append(np.random.rand(2))  # as dropout draws
        states.append(np.random.get_state())
    resumed = batches(first)
    for _ in range(3):
        next(resumed)
    np.random.set_state(states[2])
    for number, batch in enumerate(resumed, 3):
        np.testing.assert_array_equal(batch[0].numpy(), whole[number])
        np.testing.assert_array_equal(np.random.rand(2), masks[number])


def test_numbers_of_python_are_of_one_dtype_across_workers():
    mixed = Each(lambda index: (1.5 if index < 4 else index, index))
    dtypes = [[part.dtype.name for part in batch] for batch in DataLoader(mixed, 3, num_workers=2)]
    assert dtypes == [["float32", "int64"]] * 4
    late = DataLoader(Each(lambda index: index if index < 8 else 0.5), 3, num_workers=2)
    with pytest.raises(TypeError, match=r"part 0 .* int of Python in former batches and a float"):
        list(late)


@pytest.mark.parametrize("kind", KINDS)
def test_batches_come_in_order_however_long_each_takes(kind):
    def slow(index):
        time.sleep(0.02 if index % 4 == 0 else 0)
        return index

    loader = DataLoader(Each(slow), 2, num_workers=3, worker=kind)
    assert [batch[0].tolist() for batch in loader] == [[i, i + 1] for i in range(0, 12, 2)]


def test_arrays_are_prepared_in_threads_and_other_datasets_in_processes():
    threads = threading.active_count()
    batches = iter(DataLoader(NDArrayDataset(IMAGES, transforms=[Normalize(0, 1)]), num_workers=2))
    assert (threading.active_count() - threads, multiprocessing.active_children()) == (2, [])
    del batches
    loader = DataLoader(Each(lambda _: os.getpid()), 6, num_workers=2)
    assert os.getpid() not in {pid for batch in loader for pid in batch[0].tolist()}


def test_batches_are_prepared_ahead_and_not_too_far():
    asked = []
    dataset = Each(lambda index: asked.append(index) or index)
    batches = iter(DataLoader(dataset, num_workers=2, worker="thread", prefetch_factor=3))
    deadline = time.monotonic() + 5
    while len(asked) < 6 and time.monotonic() < deadline:
        time.sleep(0.001)
    time.sleep(0.02)
    assert sorted(asked) == list(range(6))
    next(batches)
    while len(asked) < 7 and time.monotonic() < deadline:
        time.sleep(0.001)
    assert sorted(asked) == list(range(7))


def test_modes_hold_in_threads():
    def collate(items):
        return randn(2, requires_grad=True) * 2

    with no_grad():
        (first, *_) = DataLoader([1, 2], 1, num_workers=1, worker="thread", collate_fn=collate)
    assert not first.requires_grad


# --- samplers and workers


@pytest.mark.parametrize("kind", KINDS)
def test_errors_of_a_sampler_come_after_the_batches_before(kind):
    def sampler():
        yield from range(5)
        raise KeyError("no more")

    batches = iter(DataLoader(Each(lambda i: i), 2, sampler=sampler(), num_workers=3, worker=kind))
    assert [next(batches)[0].tolist() for _ in range(2)] == [[0, 1], [2, 3]]
    with pytest.raises(KeyError, match="no more"):
        next(batches)
    assert next(batches, None) is None


def test_dicts_come_from_workers():
    items = Each(lambda i: {"x": np.full(2, i, np.float32), "at": {"i": i}})
    batches = list(DataLoader(items, 6, num_workers=2))
    assert [batch["at"]["i"].tolist() for batch in batches] == [[*range(6)], [*range(6, 12)]]
    assert batches[0]["x"].shape == (6, 2)


@pytest.mark.parametrize("kind", KINDS)
def test_samplers_are_read_here(kind):
    here = []

    def endless():
        while True:
            here.append(threading.current_thread() is threading.main_thread())
            yield len(here) % 12

    batches = iter(DataLoader(Each(lambda i: i), 2, sampler=endless(), num_workers=2, worker=kind))
    assert [next(batches)[0].tolist() for _ in range(3)] == [[1, 2], [3, 4], [5, 6]]
    assert all(here)
    loader = DataLoader(Each(lambda i: i), batch_sampler=[[3, 1], [2]], num_workers=2, worker=kind)
    assert [batch[0].tolist() for batch in loader] == [[3, 1], [2]]
    sampler = RandomSampler(range(12), replacement=True, num_samples=4, generator=Generator(0))
    assert (
        len(list(DataLoader(Each(lambda i: i), sampler=sampler, num_workers=1, worker=kind))) == 4
    )
