"""What batches hold: memory of their own, dtypes that stay; what datasets and loaders look like."""

import numpy as np
import pytest

import needle as ndl
from needle import Tensor
from needle.data import (
    MNIST,
    DataLoader,
    Dataset,
    Digits,
    NDArrayDataset,
    RandomCrop,
    RandomFlipHorizontal,
)


class Views(Dataset):
    """Returns views of its arrays for index arrays."""

    takes_index_arrays = True

    def __init__(self):
        self.images, self.labels = np.zeros((6, 2), np.float32), np.zeros(6, np.int32)

    def __len__(self):
        return 6

    def __getitem__(self, index):
        part = slice(index[0], index[-1] + 1)
        return self.images[part], self.labels[part]


class Reused(Views):
    """Fills one array for all batches."""

    def __getitem__(self, index):
        self.images[: len(index)] = index[:, None]
        return self.images[: len(index)]


class Inherited(NDArrayDataset):
    """Returns its whole array where all of it is asked for."""

    def __getitem__(self, index):
        return self.arrays if len(index) == len(self) else super().__getitem__(index)


def test_writing_into_batches_leaves_datasets_of_views_alone():
    dataset = Views()
    for batch in DataLoader(dataset, batch_size=3):
        for part in batch:
            part.realize_cached_data()[...] = 5
            with ndl.no_grad():
                part += 1
    assert not dataset.images.any()
    assert not dataset.labels.any()
    whole = Inherited(np.zeros(4))
    next(iter(DataLoader(whole, batch_size=4)))[0].realize_cached_data()[...] = 5
    assert not whole.arrays[0].any()


def test_batches_of_a_dataset_that_reuses_an_array_differ():
    first, second = (batch[0] for batch in DataLoader(Reused(), batch_size=3))
    assert first.numpy()[:, 0].tolist() == [0, 1, 2]
    assert second.numpy()[:, 0].tolist() == [3, 4, 5]


def test_tensors_that_a_dataset_returns_are_copied():
    tensor = Tensor(np.zeros(3))

    class Tensors(Views):
        def __getitem__(self, index):
            return tensor

    (batch,) = next(iter(DataLoader(Tensors(), batch_size=3)))
    batch.realize_cached_data()[...] = 1
    assert not tensor.numpy().any()


class Items(Dataset):
    def __init__(self, *items):
        super().__init__()
        self.items = items

    def __len__(self):
        return len(self.items)

    def __getitem__(self, index):
        return self.items[index]


def dtypes(dataset, batch_size=2):
    return [[part.dtype.name for part in batch] for batch in DataLoader(dataset, batch_size)]


@pytest.mark.parametrize("kind", [list, lambda items: Items(*items)])
def test_ints_and_floats_of_python_in_a_batch_are_float32(kind):
    dataset = kind([(1, 0.5), (2.5, 1), (3, 4), (4, 5.0), (5, 6)])
    assert dtypes(dataset) == [["float32", "float32"]] * 3
    batch = next(iter(DataLoader(dataset, 5)))
    assert batch[0].numpy().tolist() == [1, 2.5, 3, 4, 5]


def test_lists_of_ints_and_floats_are_float32():
    assert dtypes(Items(([1, 2],), ([1, 2.5],), ([3, 4],))) == [["float32"], ["float32"]]


def test_a_list_whose_floats_come_late_is_float32_from_the_start():
    assert dtypes([1, 2, 3, 4.5]) == [["float32"], ["float32"]]


def test_floats_after_batches_of_ints_are_an_error():
    with pytest.raises(TypeError, match=r"part 0 .* int of Python in former batches and a float"):
        dtypes(Items(1, 2, 3, 4.5))


def test_ints_alone_stay_integers():
    assert dtypes([1, 2, 3]) == [["int64"]] * 2
    assert dtypes(Items((1, True), (2, False))) == [["int64", "bool"]]


def test_numbers_of_numpy_keep_their_dtype():
    assert dtypes(Items(np.float64(1), np.float64(2))) == [["float64"]]
    assert dtypes(Items(np.uint8(1), np.uint8(2), np.uint8(3))) == [["uint8"]] * 2


def test_lists_for_index_arrays_are_float32_too():
    class Lists(Views):
        def __getitem__(self, index):
            return [float(i) for i in index], [int(i) for i in index]

    class Columns(Views):
        def __getitem__(self, index):
            return ([float(i) for i in index],)

    assert dtypes(Columns(), 3) == [["float32"]] * 2
    assert dtypes(Lists(), 3) == [["float32", "int64"]] * 2


# --- flags


@pytest.mark.parametrize("wrong", ["test", "train", None, 2, "False"])
def test_a_part_of_digits_is_named_by_true_or_false(wrong):
    with pytest.raises(TypeError, match="train is True or False, got"):
        Digits(wrong)


def test_digits_takes_booleans_of_numpy_and_0_and_1():
    assert len(Digits(np.bool(False))) == len(Digits(0)) == len(Digits(train=False)) == 360
    assert len(Digits(np.bool(True))) == len(Digits(1)) == 1437


@pytest.mark.parametrize(
    "arguments", [("test",), (False,), (True,), (None, "test"), (None, True, None, "no")]
)
def test_what_would_be_another_part_of_mnist_is_refused(arguments):
    with pytest.raises(TypeError, match=r"True or False|train=True or train=False"):
        MNIST(*arguments)


@pytest.mark.parametrize("options", [{"shuffle": "no"}, {"drop_last": "False"}, {"shuffle": None}])
def test_flags_of_a_loader_are_true_or_false(options):
    with pytest.raises(TypeError, match=f"{next(iter(options))} is True or False"):
        DataLoader([1, 2], **options)


# --- repr


def test_repr_of_datasets():
    assert repr(Digits()) == "Digits(1,437 items of (8, 8, 1) float32 and () uint8)"
    transforms = [RandomCrop(2), RandomFlipHorizontal()]
    dataset = NDArrayDataset(np.zeros((5, 4, 4, 3)), transforms=transforms)
    assert repr(dataset) == (
        "NDArrayDataset(5 items of (4, 4, 3) float64, "
        "transforms=[RandomCrop(padding=2), RandomFlipHorizontal(p=0.5)])"
    )
    assert repr(Items(1, 2)) == "Items(2 items)"
    assert repr(Dataset()) == "Dataset()"
    assert repr(NDArrayDataset.__new__(NDArrayDataset)) == "NDArrayDataset()"


def test_repr_of_loaders():
    loader = DataLoader(Digits(train=False), batch_size=100)
    assert repr(loader) == (
        "DataLoader(Digits(360 items of (8, 8, 1) float32 and () uint8), batch_size=100)"
        "  # 4 batches"
    )
    generator = ndl.Generator(0)
    loader = DataLoader([1, 2, 3], 2, shuffle=True, drop_last=True, generator=generator)
    assert repr(loader) == (
        "DataLoader(list of 3, batch_size=2, shuffle=True, drop_last=True, "
        "generator=needle.Generator(seed=0))  # 1 batch"
    )


def test_repr_of_samplers_and_dictionaries():
    sampler = ndl.data.RandomSampler(range(1000), num_samples=2000)
    assert repr(sampler) == "RandomSampler(2,000 items)"
    assert repr(ndl.data.BatchSampler(sampler, 5, drop_last=True)) == (
        "BatchSampler(RandomSampler(2,000 items), batch_size=5, drop_last=True)"
    )
    assert repr(ndl.data.Sampler()) == "Sampler()"
    dictionary = ndl.data.Dictionary()
    dictionary.add_word("to")
    assert repr(dictionary) == "Dictionary(1 words)"
