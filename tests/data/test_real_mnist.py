"""The real 70,000 images; collected only where $NEEDLE_DATA says where they are."""

from time import perf_counter

import numpy as np
import pytest

from needle.data import MNIST, DataLoader


@pytest.fixture(scope="module")
def train():
    return MNIST(download=False)


@pytest.fixture(scope="module")
def test():
    return MNIST(train=False, download=False)


def test_sizes_and_ranges(train, test):
    assert (len(train), len(test)) == (60000, 10000)
    for part in (train, test):
        assert (part.images.shape[1:], part.images.dtype) == ((28, 28, 1), np.float32)
        assert (part.images.min(), part.images.max()) == (0, 1)
        assert set(part.labels.tolist()) == set(range(10))


def test_known_items(train):
    """The first labels of the published file, and norms that the course's tests state."""
    assert train.labels[:10].tolist() == [5, 0, 4, 1, 9, 2, 1, 3, 1, 4]
    places = [1, 42, 1000, 2000, 3000, 4000, 5000, 5005]
    norms = [10.188792, 6.261355, 8.966858, 9.4346485, 9.086626, 9.214664, 10.208544, 10.649756]
    np.testing.assert_allclose([np.linalg.norm(train[i][0]) for i in places], norms, rtol=1e-6)
    assert [int(train[i][1]) for i in places] == [0, 7, 0, 5, 9, 7, 7, 8]


def test_batches_hold_what_slices_hold(test):
    for number, (images, labels) in enumerate(DataLoader(test, batch_size=500)):
        expected = test[number * 500 : (number + 1) * 500]
        np.testing.assert_array_equal(images.numpy(), expected[0])
        np.testing.assert_array_equal(labels.numpy(), expected[1])


def test_shuffled_and_ordered_batches_differ(test):
    ordered, shuffled = DataLoader(test, 10), DataLoader(test, 10, shuffle=True)
    assert next(iter(ordered)) != next(iter(shuffled))


def test_a_shuffled_pass_costs_milliseconds(train):
    loader = DataLoader(train, batch_size=100, shuffle=True)
    times = []
    for _ in range(3):
        start = perf_counter()
        total = sum(int(labels.numpy().sum()) for _, labels in loader)
        times.append(perf_counter() - start)
    assert total == int(train.labels.sum())
    assert min(times) < 0.25  # about 0.02 s on a free machine
