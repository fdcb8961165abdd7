import numpy as np
import pytest

from needle import Tensor
from needle.data import Dataset, NDArrayDataset, RandomFlipHorizontal


def test_item_is_a_tuple_of_one_entry_an_array():
    features, labels = np.arange(12.0).reshape(4, 3), np.arange(4, dtype=np.uint8)
    dataset = NDArrayDataset(features, labels)
    row, label = dataset[2]
    np.testing.assert_array_equal(row, [6.0, 7.0, 8.0])
    assert label == 2
    assert label.dtype == np.uint8
    assert len(dataset) == 4
    assert [int(label) for _, label in dataset] == [0, 1, 2, 3]


@pytest.mark.parametrize(
    "index",
    [
        slice(1, 3),
        slice(None, None, -2),
        [3, 0, 0],
        np.array([3, 0, 0]),
        np.array([True, False, True, False]),
        -1,
        np.int64(2),
    ],
    ids=str,
)
def test_every_kind_of_index_follows_numpy(index):
    features, labels = np.random.rand(4, 3), np.arange(4)
    rows, classes = NDArrayDataset(features, labels)[index]
    np.testing.assert_array_equal(rows, features[index])
    np.testing.assert_array_equal(classes, labels[index])


@pytest.mark.parametrize("index", [1, slice(0, 2), [0, 1], np.array([0, 1])], ids=str)
def test_writing_into_an_item_leaves_the_dataset_alone(index):
    features = np.ones((4, 3))
    NDArrayDataset(features)[index][0][...] = 7
    np.testing.assert_array_equal(features, np.ones((4, 3)))


def test_arrays_may_be_tensors_or_lists_and_are_not_copied():
    features = np.ones((2, 3), np.float32)
    dataset = NDArrayDataset(features, Tensor([4, 5]), [0.5, 1.5])
    assert dataset.arrays[0] is features
    assert [float(part) for part in dataset[1][1:]] == [5.0, 1.5]


def test_arrays_of_different_lengths_are_refused_with_their_lengths():
    with pytest.raises(ValueError, match=r"equal length, got lengths \[3, 3, 2\]"):
        NDArrayDataset(np.zeros(3), np.zeros((3, 2)), np.zeros(2))


def test_no_arrays_and_single_numbers_are_refused():
    with pytest.raises(ValueError, match="at least one array"):
        NDArrayDataset()
    with pytest.raises(ValueError, match="single number"):
        NDArrayDataset(np.zeros(3), 5)


@pytest.mark.parametrize("index", [4, -5, [0, 9], np.array([7])], ids=str)
def test_index_out_of_range_names_the_size(index):
    with pytest.raises(IndexError, match=r"NDArrayDataset of 4 items: .*out of bounds"):
        NDArrayDataset(np.zeros((4, 2)))[index]


def test_transforms_apply_to_each_image_on_its_own():
    images = np.arange(24.0).reshape(3, 2, 2, 2)
    dataset = NDArrayDataset(images, np.arange(3), transforms=[lambda image: image - image.mean()])
    expected = images - images.mean(axis=(1, 2, 3), keepdims=True)
    np.testing.assert_array_equal(dataset[1][0], expected[1])
    np.testing.assert_array_equal(dataset[[2, 0]][0], expected[[2, 0]])
    np.testing.assert_array_equal(dataset[:2][0], expected[:2])
    assert dataset[1:1][0].shape == (0, 2, 2, 2)
    assert dataset[2][1] == 2


def test_transforms_run_in_order():
    dataset = Dataset(transforms=[lambda x: x + 1, lambda x: x * 10])
    assert dataset.apply_transforms(np.float32(1)) == 20
    assert Dataset().apply_transforms("as it is") == "as it is"


def test_a_single_transform_without_its_list_is_refused():
    with pytest.raises(TypeError, match="list of functions"):
        Dataset(transforms=RandomFlipHorizontal())


def test_subclass_that_defines_nothing_says_what_is_missing():
    class Empty(Dataset):
        pass

    with pytest.raises(NotImplementedError, match="Empty does not define __len__"):
        len(Empty())
    with pytest.raises(NotImplementedError, match="Empty does not define __getitem__"):
        Empty()[0]


def test_apply_transforms_without_calling_the_base_constructor():
    class Minimal(Dataset):
        def __init__(self):
            self.size = 1

    assert Minimal().apply_transforms(3) == 3
