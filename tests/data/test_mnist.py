from pathlib import Path

import numpy as np
import pytest

from needle.data import DataLoader, Digits, MNISTDataset, NDArrayDataset, parse_mnist


@pytest.mark.parametrize("ending", ["", ".gz"])
def test_parse_mnist(write_pair, small_mnist, ending):
    images, labels = small_mnist
    X, y = parse_mnist(*write_pair(images, labels, ending))
    assert (X.shape, X.dtype, y.dtype) == ((12, 784), np.float32, np.uint8)
    np.testing.assert_array_equal(X, images.reshape(12, 784).astype(np.float32) / np.float32(255))
    np.testing.assert_array_equal(y, labels)


def test_mnist_dataset_items(write_pair, small_mnist):
    images, labels = small_mnist
    dataset = MNISTDataset(*write_pair(images, labels))
    assert len(dataset) == 12
    image, label = dataset[3]
    assert (image.shape, image.dtype) == ((28, 28, 1), np.float32)
    assert label == labels[3]
    assert label.dtype == np.uint8
    expected = images[..., None].astype(np.float32) / 255
    for index in (3, slice(2, 5), np.array([7, 0, 7])):
        np.testing.assert_array_equal(dataset[index][0], expected[index])
        np.testing.assert_array_equal(dataset[index][1], labels[index])
    np.testing.assert_array_equal(dataset.images, expected)
    np.testing.assert_array_equal(dataset.labels, labels)


def test_mnist_dataset_out_of_range(write_pair, small_mnist):
    dataset = MNISTDataset(*write_pair(*small_mnist))
    with pytest.raises(IndexError, match="MNISTDataset of 12 items"):
        dataset[12]


def test_mnist_dataset_transforms(write_pair, small_mnist):
    paths = write_pair(*small_mnist)
    plain, mirrored = MNISTDataset(*paths), MNISTDataset(*paths, [lambda image: image[:, ::-1]])
    np.testing.assert_array_equal(mirrored[0][0], plain[0][0][:, ::-1])
    np.testing.assert_array_equal(mirrored[:][0], plain[:][0][:, :, ::-1])


def test_two_digits_parts_make_the_whole_set():
    train, test = Digits(), Digits(train=False)
    assert (len(train), len(test)) == (1437, 360)
    for part in (train, test):
        assert (part.images.shape[1:], part.images.dtype) == ((8, 8, 1), np.float32)
        assert part.labels.dtype == np.uint8
        assert (part.images.min(), part.images.max()) == (0, 1)
        np.testing.assert_array_equal(part.images * 16, np.round(part.images * 16))
    counts = np.bincount(np.concatenate([train.labels, test.labels]))
    # the class distribution that UCI states for the set
    np.testing.assert_array_equal(counts, [178, 182, 177, 183, 181, 182, 181, 179, 174, 180])


def test_digits_parts_have_no_image_in_common_and_every_class():
    train, test = Digits(), Digits(train=False)
    seen = {image.tobytes() for image in train.images}
    assert len(seen) == len(train)
    assert not seen & {image.tobytes() for image in test.images}
    assert np.bincount(test.labels, minlength=10).min() >= 28


def test_digits_can_be_told_apart_by_their_neighbours():
    """A mix-up of images and labels would leave one neighbour in ten of the right class."""
    train, test = Digits(), Digits(train=False)
    known, asked = train.images.reshape(-1, 64), test.images.reshape(-1, 64)
    distances = (known**2).sum(1) - 2 * asked @ known.T
    accuracy = np.mean(train.labels[distances.argmin(axis=1)] == test.labels)
    assert accuracy > 0.97


def test_digits_load_in_batches_and_take_transforms():
    dataset = Digits(transforms=[lambda image: 1 - image])
    images, labels = next(iter(DataLoader(dataset, batch_size=100, shuffle=True)))
    assert (images.shape, labels.shape) == ((100, 8, 8, 1), (100,))
    np.testing.assert_array_equal(dataset[5][0], 1 - Digits()[5][0])
    assert isinstance(dataset, NDArrayDataset)


def test_digits_come_with_their_attribution():
    from needle.data import mnist

    text = Path(mnist._DIGITS, "ATTRIBUTION.txt").read_text(encoding="utf-8")
    assert "Alpaydin" in text
    assert "CC BY 4.0" in text
