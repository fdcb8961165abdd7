"""Loaders whose batches are prepared ahead: numbers, order, errors, and what is left behind."""

import gc
import multiprocessing
import os
import random
import signal
import subprocess
import sys
import textwrap
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

KINDS = ["thread", "process"]
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


class Each(Dataset):
    """Calls a function for each of 12 items."""

    def __init__(self, function):
        super().__init__()
        self.function = function

    def __len__(self):
        return 12

    def __getitem__(self, index):
        return self.function(index)


def left_behind(before):
    """Threads and processes that were not there before."""
    deadline = time.monotonic() + 5
    while time.monotonic() < deadline:
        left = {*threading.enumerate(), *multiprocessing.active_children()} - before
        if not left:
            break
        time.sleep(0.01)
    return left


@pytest.fixture(autouse=True)
def nothing_left_behind():
    before = {*threading.enumerate(), *multiprocessing.active_children()}
    yield
    if {*threading.enumerate(), *multiprocessing.active_children()} - before:
        gc.collect()
    assert left_behind(before) == set()


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


# --- errors


def fails(index):
    if index == 7:
        raise KeyError(f"image {index} is missing")
    return index


@pytest.mark.parametrize("kind", KINDS)
def test_errors_come_in_order_as_they_are_with_the_traceback_of_the_worker(kind):
    batches = iter(DataLoader(Each(fails), 3, num_workers=2, worker=kind))
    assert [next(batches)[0].tolist() for _ in range(2)] == [[0, 1, 2], [3, 4, 5]]
    with pytest.raises(KeyError, match="image 7 is missing") as caught:
        next(batches)
    notes = "\n".join(caught.value.__notes__)
    assert f"in worker {notes.split()[2]} of a DataLoader" in notes
    if kind == "process":
        assert "in fails\n" in notes
    else:
        assert caught.traceback[-1].name == "fails"
    assert next(batches, None) is None


class Unpicklable(Exception):
    def __init__(self, first, second):
        super().__init__(f"{first} and {second}")


def odd_error(index):
    raise Unpicklable("this", "that")


def stops(index):
    raise StopIteration


def leaves(index):
    os._exit(3)


@pytest.mark.parametrize(
    ("function", "error", "text"),
    [
        (odd_error, RuntimeError, "Unpicklable: this and that"),
        (stops, RuntimeError, "raised StopIteration"),
        (leaves, RuntimeError, r"DataLoader worker 0 \(process \d+\) exited with code 3"),
        (lambda index: lambda: 1, Exception, "real numbers|pickle"),
    ],
)
def test_odd_ends_of_a_worker_process(function, error, text):
    with pytest.raises(error, match=text):
        list(DataLoader(Each(function), 3, num_workers=1))


def test_a_killed_worker_is_an_error_that_says_so():
    def dies(index):
        if index == 5:
            os.kill(os.getpid(), signal.SIGKILL)
        return index

    loader = DataLoader(Each(dies), 2, num_workers=2)
    text = r"DataLoader worker \d \(process \d+\) was killed by signal SIGKILL .* batch 2"
    with pytest.raises(RuntimeError, match=text):
        list(loader)


def test_a_worker_that_is_killed_from_outside():
    batches = iter(DataLoader(Each(lambda index: time.sleep(0.05) or index), num_workers=1))
    next(batches)
    (worker,) = multiprocessing.active_children()
    os.kill(worker.pid, signal.SIGTERM)
    with pytest.raises(RuntimeError, match=r"was killed by signal SIGTERM"):
        list(batches)


@pytest.mark.parametrize("kind", KINDS)
def test_a_batch_that_takes_too_long(kind):
    loader = DataLoader(
        Each(lambda _: time.sleep(0.3)), num_workers=1, worker=kind, timeout=0.05, prefetch_factor=1
    )
    with pytest.raises(RuntimeError, match=r"batch 0 was not ready within timeout=0.05 seconds"):
        next(iter(loader))


@pytest.mark.parametrize(
    ("options", "error", "text"),
    [
        ({"num_workers": -1}, ValueError, "num_workers is 0 or more, got -1"),
        ({"num_workers": 1.5}, TypeError, "num_workers is a whole number"),
        ({"prefetch_factor": 2}, ValueError, "need num_workers above 0"),
        ({"persistent_workers": True}, ValueError, "need num_workers above 0"),
        ({"num_workers": 1, "prefetch_factor": 0}, ValueError, "prefetch_factor is 1 or more"),
        ({"num_workers": 1, "worker": "fibre"}, ValueError, '"thread", "process" or None'),
        ({"num_workers": 1, "timeout": -1}, ValueError, "timeout is 0 or more seconds, got -1"),
        ({"sampler": [0], "shuffle": True}, ValueError, "sampler excludes shuffle"),
        ({"batch_sampler": [[0]], "batch_size": 2}, ValueError, "batch_sampler excludes"),
        ({"batch_sampler": [[0]], "drop_last": True}, ValueError, "batch_sampler excludes"),
    ],
)
def test_settings_that_are_refused(options, error, text):
    with pytest.raises(error, match=text):
        DataLoader([1, 2], **options)


# --- nothing is left behind


@pytest.mark.parametrize("persistent", [False, True])
@pytest.mark.parametrize("kind", KINDS)
def test_workers_end_with_the_loop(kind, persistent):
    before = {*threading.enumerate(), *multiprocessing.active_children()}
    loader = DataLoader(Each(fails), num_workers=2, worker=kind, persistent_workers=persistent)
    for _ in loader:
        break
    if not persistent:
        assert left_behind(before) == set()
    with pytest.raises(KeyError):
        list(loader)
    if not persistent:
        assert left_behind(before) == set()
    iter(loader)  # never advanced
    del loader, _
    assert left_behind(before) == set()


def test_persistent_workers_stay_and_are_asked_once_to_begin():
    begun = []
    loader = DataLoader(
        Each(lambda _: os.getpid()), 3, num_workers=2, persistent_workers=True,
        worker_init_fn=begun.append,
    )  # fmt: skip
    pids = [{int(batch[0][0].item()) for batch in loader} for _ in range(2)]
    assert len(pids[0] | pids[1]) <= 2
    assert begun == []  # there, not here
    threads = DataLoader(
        [1, 2, 3], num_workers=1, worker="thread", persistent_workers=True,
        worker_init_fn=begun.append,
    )  # fmt: skip
    assert [len(list(threads)) for _ in range(2)] == [3, 3]
    assert begun == [0]


def test_two_passes_at_once_over_persistent_workers():
    loader = DataLoader(Each(lambda i: i), 2, num_workers=1, persistent_workers=True)
    first, second = iter(loader), iter(loader)
    pairs = [[a[0].tolist(), b[0].tolist()] for a, b in zip(first, second, strict=True)]
    assert pairs == [[[i, i + 1]] * 2 for i in range(0, 12, 2)]


@pytest.mark.parametrize("kind", KINDS)
def test_ctrl_c_ends_the_workers(kind):
    code = f"""
        import os, signal, sys, threading, time
        from needle.data import DataLoader, Dataset

        class Slow(Dataset):
            def __len__(self): return 100
            def __getitem__(self, index): time.sleep(0.05); return index

        batches = iter(DataLoader(Slow(), 2, num_workers=2, worker={kind!r}))
        try:
            for batch in batches:
                os.kill(os.getpid(), signal.SIGINT)
        except KeyboardInterrupt:
            pass
        del batches
        import multiprocessing
        print(threading.active_count(), multiprocessing.active_children())
    """
    run = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(code)], capture_output=True, text=True
    )
    assert (run.stdout, run.stderr) == ("1 []\n", "")


def test_a_program_that_ends_in_the_middle_of_a_pass():
    code = """
        from needle.data import DataLoader
        batches = iter(DataLoader(list(range(100)), num_workers=2))
        print(next(batches)[0].item())
    """
    run = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(code)], capture_output=True, text=True, timeout=20
    )
    assert (run.stdout, run.stderr) == ("0\n", "")


def test_workers_of_a_killed_program_end():
    code = """
        import multiprocessing, os, signal
        from needle.data import DataLoader
        batches = iter(DataLoader(list(range(100)), num_workers=2))
        print(*[child.pid for child in multiprocessing.active_children()], flush=True)
        os.kill(os.getpid(), signal.SIGKILL)
    """
    run = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(code)], capture_output=True, text=True
    )
    pids = run.stdout.split()
    assert len(pids) == 2
    deadline = time.monotonic() + 5
    while any(map(is_running, pids)) and time.monotonic() < deadline:
        time.sleep(0.01)
    assert not any(map(is_running, pids))


def is_running(pid):
    try:
        with open(f"/proc/{pid}/stat") as stat:
            return stat.read().rpartition(")")[2].split()[0] not in "ZX"
    except OSError:
        return False


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
