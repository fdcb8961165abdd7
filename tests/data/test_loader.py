from time import perf_counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from needle import Generator, Tensor
from needle.data import DataLoader, Dataset, NDArrayDataset, RandomCrop, RandomFlipHorizontal


class Counted(NDArrayDataset):
    """Remembers every index that it is asked for."""

    def __init__(self, *arrays):
        super().__init__(*arrays)
        self.asked = []

    def __getitem__(self, index):
        self.asked.append(index)
        return super().__getitem__(index)


class Items(Dataset):
    """A dataset that takes whole numbers only, and gives what `make` makes of them."""

    def __init__(self, size, make):
        super().__init__()
        self.size, self.make = size, make

    def __len__(self):
        return self.size

    def __getitem__(self, index):
        if type(index) is not int:
            raise TypeError(f"takes an int, got {index!r}")
        return self.make(index)


def numbers(loader):
    """The items of each batch of a dataset of one array of numbers."""
    return [batch[0].numpy().tolist() for batch in loader]


def test_batches_in_order_with_a_smaller_last_one():
    loader = DataLoader(NDArrayDataset(np.arange(7)), batch_size=3)
    assert numbers(loader) == [[0, 1, 2], [3, 4, 5], [6]]
    assert len(loader) == 3


def test_drop_last_leaves_the_smaller_batch_out():
    loader = DataLoader(NDArrayDataset(np.arange(7)), batch_size=3, drop_last=True)
    assert numbers(loader) == [[0, 1, 2], [3, 4, 5]]
    assert len(loader) == 2
    assert len(DataLoader(NDArrayDataset(np.arange(6)), batch_size=3, drop_last=True)) == 2


def test_default_is_one_item_a_batch_in_order():
    assert numbers(DataLoader(NDArrayDataset(np.arange(3)))) == [[0], [1], [2]]


@settings(derandomize=True, deadline=None, max_examples=50)
@given(st.integers(1, 40), st.integers(1, 50), st.booleans(), st.booleans())
def test_every_item_comes_once(size, batch_size, shuffle, drop_last):
    loader = DataLoader(NDArrayDataset(np.arange(size)), batch_size, shuffle, drop_last)
    batches = numbers(loader)
    assert len(batches) == len(loader)
    seen = [item for batch in batches for item in batch]
    assert len(seen) == (size // batch_size * batch_size if drop_last else size)
    assert len(set(seen)) == len(seen)
    assert shuffle or seen == list(range(len(seen)))


def test_batch_is_a_tuple_of_tensors_without_gradient_in_the_stored_dtypes():
    features = np.random.rand(4, 3).astype(np.float32)
    labels = np.arange(4, dtype=np.uint8)
    batch = next(iter(DataLoader(NDArrayDataset(features, labels), batch_size=2)))
    x, y = batch
    assert isinstance(batch, tuple)
    assert all(type(part) is Tensor and not part.requires_grad for part in batch)
    assert (x.shape, x.dtype, y.shape, y.dtype) == ((2, 3), np.float32, (2,), np.uint8)
    np.testing.assert_array_equal(x.numpy(), features[:2])


def test_batches_compare_by_identity():
    loader = DataLoader(NDArrayDataset(np.zeros((4, 2)), np.zeros(4)), batch_size=2)
    first, second = loader
    same_values = tuple(first)
    assert (first == first, first != first) == (True, False)
    assert (first == second, first != second) == (False, True)
    assert (first == same_values, same_values == first) == (False, False)
    assert (first != same_values, same_values != first) == (True, True)
    assert len({first, second}) == 2


def test_shuffle_draws_one_permutation_a_pass():
    loader = DataLoader(NDArrayDataset(np.arange(20)), batch_size=6, shuffle=True)
    np.random.seed(5)
    passes = [numbers(loader), numbers(loader)]
    np.random.seed(5)
    for batches in passes:
        order = np.random.permutation(20).tolist()
        assert batches == [order[:6], order[6:12], order[12:18], order[18:]]
    assert passes[0] != passes[1]
    np.random.seed(5)
    assert numbers(loader) == passes[0]


def test_a_generator_draws_the_order_and_leaves_the_global_state_alone():
    options = {"batch_size": 6, "shuffle": True}
    first = DataLoader(NDArrayDataset(np.arange(20)), **options, generator=Generator(3))
    second = DataLoader(NDArrayDataset(np.arange(20)), **options, generator=Generator(3))
    np.random.seed(5)
    passes = [numbers(first), numbers(first)]
    drawn = np.random.rand()
    np.random.seed(5)
    assert drawn == np.random.rand()
    assert passes[0] != passes[1]
    assert [numbers(second), numbers(second)] == passes
    state = first.generator.state_dict()
    third = numbers(first)
    first.generator.load_state_dict(state)
    assert numbers(first) == third


def test_without_shuffle_nothing_is_drawn():
    np.random.seed(2)
    numbers(DataLoader(NDArrayDataset(np.arange(20))))
    drawn = np.random.rand()
    np.random.seed(2)
    assert drawn == np.random.rand()


@pytest.mark.parametrize("shuffle", [False, True])
def test_two_iterators_at_once_do_not_disturb_each_other(shuffle):
    loader = DataLoader(NDArrayDataset(np.arange(12)), batch_size=5, shuffle=shuffle)
    first, second = iter(loader), iter(loader)
    mixed = ([], [])
    for pair in zip(first, second, strict=True):
        for items, batch in zip(mixed, pair, strict=True):
            items += batch[0].numpy().tolist()
    assert sorted(mixed[0]) == sorted(mixed[1]) == list(range(12))


def test_iterating_again_after_stopping_in_the_middle_starts_anew():
    loader = DataLoader(NDArrayDataset(np.arange(6)), batch_size=2)
    for batch in loader:
        assert batch[0].numpy().tolist() == [0, 1]
        break
    assert numbers(loader) == numbers(loader) == [[0, 1], [2, 3], [4, 5]]
    iterator = iter(loader)
    assert next(iterator)[0].numpy().tolist() == [0, 1]
    assert next(iter(loader))[0].numpy().tolist() == [0, 1]
    assert next(iterator)[0].numpy().tolist() == [2, 3]


@pytest.mark.parametrize("shuffle", [False, True])
def test_a_batch_is_one_call_with_an_index_array(shuffle):
    dataset = Counted(np.arange(10))
    batches = numbers(DataLoader(dataset, batch_size=4, shuffle=shuffle))
    assert [index.tolist() for index in dataset.asked] == batches
    assert len(batches) == 3


@pytest.mark.parametrize("shuffle", [False, True])
def test_writing_into_a_batch_leaves_the_dataset_alone(shuffle):
    features = np.ones((6, 2))
    for batch in DataLoader(NDArrayDataset(features), batch_size=3, shuffle=shuffle):
        batch[0].realize_cached_data()[...] = 0
    np.testing.assert_array_equal(features, np.ones((6, 2)))


def test_items_of_int_only_datasets_are_stacked():
    dataset = Items(5, lambda i: (np.full((2, 3), i, np.float32), i))
    x, y = list(DataLoader(dataset, batch_size=2))[1]
    assert (x.shape, x.dtype) == ((2, 2, 3), np.float32)
    np.testing.assert_array_equal(x.numpy()[:, 0, 0], [2, 3])
    assert y.numpy().tolist() == [2, 3]
    assert y.dtype.kind == "i"


@pytest.mark.parametrize(
    ("make", "dtype", "shape"),
    [
        (lambda i: np.full(3, i, np.uint8), np.uint8, (4, 3)),
        (lambda i: i, np.int64, (4,)),
        (lambda i: float(i), np.float32, (4,)),
        (lambda i: (np.float64(i),), np.float64, (4,)),
        (lambda i: [Tensor([i, i], dtype="float32")], np.float32, (4, 2)),
        (lambda i: i > 0, np.bool_, (4,)),
    ],
    ids=["bare array", "bare int", "Python float", "NumPy float", "Tensor", "bool"],
)
def test_what_an_item_may_be(make, dtype, shape):
    (part,) = next(iter(DataLoader(Items(4, make), batch_size=4)))
    assert (part.dtype, part.shape) == (dtype, shape)
    firsts = part.numpy().reshape(4, -1)[:, 0]
    np.testing.assert_array_equal(firsts, np.arange(4).astype(dtype))


def test_any_sequence_is_a_dataset():
    assert numbers(DataLoader([3, 1, 4, 1, 5], batch_size=2)) == [[3, 1], [4, 1], [5]]
    assert numbers(DataLoader(np.arange(3), batch_size=2)) == [[0, 1], [2]]


def test_per_item_arithmetic_is_never_done_on_a_whole_batch():
    """This `__getitem__` runs on an index array too, but would centre the batch as one."""
    images = np.random.rand(6, 4)

    class Centred(Dataset):
        def __len__(self):
            return 6

        def __getitem__(self, index):
            return images[index] - images[index].mean()

    (batch,) = next(iter(DataLoader(Centred(), batch_size=6)))
    np.testing.assert_allclose(batch.numpy().mean(axis=1), np.zeros(6), atol=1e-12)


def test_transforms_of_user_datasets_see_single_images():
    images = np.random.rand(5, 6, 6, 1).astype(np.float32)

    class Pictures(Dataset):
        def __len__(self):
            return 5

        def __getitem__(self, index):
            return self.apply_transforms(images[index]), index

    loader = DataLoader(Pictures([RandomFlipHorizontal(p=1)]), batch_size=3)
    np.testing.assert_array_equal(next(iter(loader))[0].numpy(), images[:3, :, ::-1])


def test_transforms_draw_per_image_and_follow_the_seed():
    images = np.random.rand(8, 6, 6, 1).astype(np.float32)
    transforms = [RandomCrop(2), RandomFlipHorizontal()]
    loader = DataLoader(NDArrayDataset(images, transforms=transforms), batch_size=3)
    np.random.seed(4)
    batches = np.concatenate([batch[0].numpy() for batch in loader])
    np.random.seed(4)
    crop, flip = transforms
    np.testing.assert_array_equal(batches, [flip(crop(image)) for image in images])
    assert batches.dtype == np.float32


def test_a_pass_over_60000_images_costs_milliseconds():
    images, labels = np.zeros((60000, 28, 28, 1), np.float32), np.zeros(60000, np.uint8)
    loader = DataLoader(NDArrayDataset(images, labels), batch_size=100, shuffle=True)
    times = []
    for _ in range(3):
        start = perf_counter()
        count = sum(len(y) for _, y in loader)
        times.append(perf_counter() - start)
    assert count == 60000
    assert min(times) < 0.25  # about 0.02 s on a free machine; item by item takes ten times that


def test_empty_dataset_is_refused():
    with pytest.raises(ValueError, match="empty dataset: NDArrayDataset"):
        DataLoader(NDArrayDataset(np.zeros((0, 3))))


@pytest.mark.parametrize("batch_size", [0, -1])
def test_batch_size_below_one_is_refused(batch_size):
    with pytest.raises(ValueError, match=f"batch_size is 1 or more, got {batch_size}"):
        DataLoader(NDArrayDataset(np.zeros(3)), batch_size=batch_size)


@pytest.mark.parametrize("batch_size", [2.0, "2", None, True, np.zeros(2)], ids=repr)
def test_batch_size_that_is_no_whole_number_is_refused(batch_size):
    with pytest.raises(TypeError, match="batch_size"):
        DataLoader(NDArrayDataset(np.zeros(3)), batch_size=batch_size)


def test_batch_size_may_be_a_numpy_integer():
    assert numbers(DataLoader(NDArrayDataset(np.arange(3)), np.int64(2))) == [[0, 1], [2]]


@pytest.mark.parametrize(
    ("make", "error", "text"),
    [
        (lambda i: np.zeros(i + 1), ValueError, r"equal shapes, got \[\(1,\), \(2,\)"),
        (lambda i: (1,) * (i + 1), ValueError, r"equally many parts, got \[1, 2"),
        (lambda i: np.zeros(i + 1), ValueError, "or give the loader a collate_fn"),
        (lambda i: str(i) if i else 1, TypeError, "real numbers, got items of dtype"),
        (lambda i: {"image": None}, TypeError, "real numbers, got items of dtype"),
        (lambda i: {i: 1}, ValueError, r"the same names, got \[0\] and \[1\]"),
        (lambda i: {} if i else 1, TypeError, "all dicts, or none is; got 1, too"),
    ],
    ids=["shapes", "parts", "remedy", "text", "dict of None", "names", "dict and number"],
)
def test_items_that_make_no_batch_are_refused(make, error, text):
    with pytest.raises(error, match=text):
        next(iter(DataLoader(Items(3, make), batch_size=3)))


def test_an_error_inside_a_dataset_comes_out_as_it_is():
    def broken(index):
        raise KeyError(f"image {index} is missing")

    with pytest.raises(KeyError, match="image 0 is missing"):
        next(iter(DataLoader(Items(3, broken))))


def test_index_array_answer_of_the_wrong_length_is_refused():
    class Wrong(NDArrayDataset):
        def __getitem__(self, index):
            return super().__getitem__(index)[0][:1]

    with pytest.raises(ValueError, match=r"2 indices gave an array of shape \(1,\)"):
        next(iter(DataLoader(Wrong(np.zeros(4)), batch_size=2)))
