"""Vocabularies, the word corpus of the course, and windows of a text."""

import hashlib

import numpy as np
import pytest

import needle as ndl
from needle import Tensor
from needle.data import (
    Corpus,
    DataLoader,
    DatasetNotFoundError,
    Dictionary,
    RandomSampler,
    TextDataset,
    batchify,
    get_batch,
    text,
    tiny_shakespeare,
)


@pytest.fixture
def corpus(tmp_path):
    (tmp_path / "train.txt").write_text("the cat sat\n\n on the  mat\n", encoding="utf-8")
    (tmp_path / "test.txt").write_text("the dög sat", encoding="utf-8")
    return tmp_path


# --- the course's functions


def test_dictionary():
    dictionary = Dictionary()
    assert [dictionary.add_word(word) for word in "abcab"] == [0, 1, 2, 0, 1]
    assert dictionary.word2idx == {"a": 0, "b": 1, "c": 2}
    assert dictionary.idx2word == ["a", "b", "c"]
    assert len(dictionary) == 3


def test_corpus(corpus):
    found = Corpus(str(corpus))
    assert found.dictionary.idx2word == ["the", "cat", "sat", "<eos>", "on", "mat", "dög"]
    assert found.train == [0, 1, 2, 3, 3, 4, 0, 5, 3]
    assert found.test == [0, 6, 2, 3]
    assert all(type(number) is int for number in found.train)


@pytest.mark.parametrize(("lines", "train"), [(0, []), (1, [0, 1, 2, 3]), (2, [0, 1, 2, 3, 3])])
def test_corpus_of_some_lines(corpus, lines, train):
    assert Corpus(corpus, max_lines=lines).train == train


def test_corpus_without_its_files(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"no train\.txt and no test\.txt in .*: base_dir"):
        Corpus(tmp_path)
    with pytest.raises(ValueError, match="max_lines is 0 or more, got -1"):
        Corpus(tmp_path, -1)


def test_batchify():
    batches = batchify(list(range(14)), 4, ndl.cpu(), "float32")
    assert isinstance(batches, np.ndarray)
    assert batches.dtype == np.float32
    assert batches.tolist() == [[0, 3, 6, 9], [1, 4, 7, 10], [2, 5, 8, 11]]
    assert batchify([1, 2, 3], 1, "cpu", None).tolist() == [[1], [2], [3]]
    with pytest.raises(ValueError, match="3 words do not fill 4 columns"):
        batchify([1, 2, 3], 4)
    with pytest.raises(ValueError, match="batch_size is 1 or more, got 0"):
        batchify([1, 2, 3], 0)


def test_get_batch():
    batches = batchify(list(range(20)), 2, ndl.cpu(), "float32")
    for i, bptt in [(0, 3), (3, 4), (7, 4), (8, 4), (0, 100)]:
        data, target = get_batch(batches, i, bptt, device=ndl.cpu(), dtype="float32")
        count = min(bptt, 10 - 1 - i)
        assert (data.shape, target.shape) == ((count, 2), (count * 2,))
        np.testing.assert_array_equal(data.numpy(), batches[i : i + count])
        np.testing.assert_array_equal(target.numpy(), batches[i + 1 : i + 1 + count].ravel())
        assert (type(data), data.dtype, data.requires_grad) == (Tensor, np.float32, False)
    data.realize_cached_data()[...] = -1
    assert batches.min() == 0
    for wrong in (9, -1):
        with pytest.raises(ValueError, match=f"i is from 0 to 8 for 10 rows, got {wrong}"):
            get_batch(batches, wrong, 3)


def test_batches_on_another_device(strict_device):
    batches = batchify(list(range(8)), 2, strict_device, "float32")
    data, target = get_batch(batches, 0, 2, device=strict_device)
    assert data.device == target.device == strict_device
    assert target.numpy().tolist() == [1, 5, 2, 6]


# --- windows


def test_windows_of_characters():
    dataset = TextDataset("hello world", 4)
    assert dataset.vocabulary == sorted(set("hello world"))
    assert len(dataset) == 7
    for index, item in enumerate(dataset[i] for i in range(7)):
        window, following = item
        assert dataset.decode(window) == "hello world"[index : index + 4]
        assert dataset.decode(following) == "hello world"[index + 1 : index + 5]
        assert window.dtype == following.dtype == np.int64
    assert [dataset.decode(row) for row in dataset[-2:][0]] == [" wor", "worl"]
    assert dataset.decode(dataset.tokens) == "hello world"
    assert repr(dataset) == "TextDataset(7 windows of 4 characters, vocabulary of 8)"


def test_windows_of_words():
    dataset = TextDataset("to be or\nnot  to be", 2, level="words")
    assert dataset.vocabulary == ["be", "not", "or", "to"]
    assert dataset.encode("not be").tolist() == [1, 0]
    assert [dataset.decode(part) for part in dataset[3]] == ["not to", "to be"]


@pytest.mark.parametrize(
    ("stride", "starts"), [(1, range(7)), (3, [0, 3, 6]), (4, [0, 4]), (9, [0])]
)
def test_stride(stride, starts):
    dataset = TextDataset("0123456789a", 4, stride=stride)
    assert [dataset.decode(dataset[i][0])[0] for i in range(len(dataset))] == [*map(str, starts)]
    assert len(TextDataset("0123", 3)) == 1


def test_loaders_take_windows_by_index_arrays():
    dataset = TextDataset("abcdefgh" * 10, 5)
    for workers in (0, 2):
        sampler = RandomSampler(dataset, True, 20, ndl.Generator(0))
        loader = DataLoader(dataset, 8, sampler=sampler, num_workers=workers)
        batches = [[part.numpy() for part in batch] for batch in loader]
        assert [window.shape for window, _ in batches] == [(8, 5), (8, 5), (4, 5)]
        for window, following in batches:
            np.testing.assert_array_equal(window[:, 1:], following[:, :-1])
            np.testing.assert_array_equal((window + 1) % 8, following)
    before = dataset.tokens.copy()
    dataset[3][0][...] = 99
    np.testing.assert_array_equal(dataset.tokens, before)


def test_decode_takes_tensors_and_lists():
    dataset = TextDataset("abc", 1)
    assert dataset.decode(Tensor([0, 2])) == dataset.decode([0.0, 2.0]) == "ac"
    assert dataset.decode([]) == ""
    assert dataset.decode(np.int64(1)) == "b"


def test_a_validation_text_takes_the_vocabulary_of_the_training_text():
    train = TextDataset("abcabc", 2)
    validation = TextDataset("cab", 2, vocabulary=train.vocabulary)
    assert validation.tokens.tolist() == [2, 0, 1]


@pytest.mark.parametrize(
    ("make", "text"),
    [
        (lambda: TextDataset("abc", 1).encode("axbyx"), "not in the vocabulary of 3: 'x', 'y'; "
                                                        "the first is number 1 of the text"),
        (lambda: TextDataset("a b", 1, level="words").encode("a c"), "words .* 'c'; .* number 1"),
        (lambda: TextDataset("abc", 1, vocabulary="ab"), "characters .* of 2: 'c'"),
        (lambda: TextDataset("abc", 1).encode("0123456789ABC"), r"'9', \.\.\.; the first"),
        (lambda: TextDataset("abc", 1, vocabulary="abcb"), "'b' more than once"),
        (lambda: TextDataset("abc", 3), "3 characters has no window of context=3 and the char"),
        (lambda: TextDataset("", 1), "a text of 0 characters"),
        (lambda: TextDataset("abc", 0), "context is 1 or more, got 0"),
        (lambda: TextDataset("abc", 1, stride=0), "stride is 1 or more, got 0"),
        (lambda: TextDataset("abc", 1, level="letters"), 'or "words", got \'letters\''),
        (lambda: TextDataset("abc", 1).decode([0, 3]), "token 3 at 1 is not in the vocab"),
        (lambda: TextDataset("abc", 1).decode([-1]), "token -1 at 0"),
        (lambda: TextDataset("abc", 1).decode([0.5]), r"token 0\.5 at 0"),
        (lambda: TextDataset("abc", 1).decode([[0]]), r"one text, got shape \(1, 1\)"),
    ],
)  # fmt: skip
def test_what_no_text_can_be_made_of(make, text):
    with pytest.raises(ValueError, match=text):
        make()


def test_other_mistakes(tmp_path):
    with pytest.raises(TypeError, match=r"text is a string, got (Posix|Windows)Path"):
        TextDataset(tmp_path, 3)
    with pytest.raises(IndexError, match="TextDataset of 2 items"):
        TextDataset("abc", 1)[2]


# --- Shakespeare


def test_tiny_shakespeare_is_found_or_not(tmp_path, monkeypatch):
    import pooch

    monkeypatch.setattr(pooch, "os_cache", lambda project: tmp_path / "cache")
    monkeypatch.delenv("NEEDLE_DATA", raising=False)
    with pytest.raises(DatasetNotFoundError, match=r"Tiny Shakespeare's input\.txt was not found"):
        tiny_shakespeare(download=False)
    (tmp_path / "tinyshakespeare.txt").write_bytes(b"First\r\nCitizen")
    assert tiny_shakespeare(tmp_path) == "First\r\nCitizen"
    monkeypatch.setenv("NEEDLE_DATA", str(tmp_path))
    assert tiny_shakespeare() == "First\r\nCitizen"
    monkeypatch.delenv("NEEDLE_DATA")
    folder = tmp_path / "cache" / "tinyshakespeare"
    folder.mkdir(parents=True)
    (folder / "input.txt").write_bytes(b"Second")
    with pytest.raises(DatasetNotFoundError, match="no whole copy"):
        tiny_shakespeare(download=False)
    monkeypatch.setattr(text, "_SHAKESPEARE", hashlib.sha256(b"Second").hexdigest())
    assert tiny_shakespeare(download=False) == "Second"
