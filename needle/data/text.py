"""Texts as numbers: vocabularies, the course's word corpus, and windows of a text."""

import os
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from ..autograd import Tensor
from ..device import Device, as_device
from .dataset import Dataset
from .download import Remote, cached_file, places
from .idx import FilePath
from .samplers import check_count

__all__ = ["Corpus", "Dictionary", "TextDataset", "batchify", "get_batch", "tiny_shakespeare"]

SHAKESPEARE_MIRRORS = [
    "https://raw.githubusercontent.com/karpathy/char-rnn/master/data/tinyshakespeare/"
]
"""URLs of folders with the file `input.txt`."""

_SHAKESPEARE = "86c4e6aa9db7c042ec79f339dcb96d42b0075e16b8fc2e86bf0ca57e2dc565ed"


class Dictionary:
    """Numbers for words, in the order in which they are added.

    `word2idx` is a dict from words to numbers, `idx2word` the list of words.

    Example:
        >>> import needle as ndl
        >>> dictionary = ndl.data.Dictionary()
        >>> [dictionary.add_word(word) for word in "to be or not to be".split()]
        [0, 1, 2, 3, 0, 1]
        >>> len(dictionary), dictionary.idx2word[2]
        (4, 'or')
    """

    def __init__(self) -> None:
        self.word2idx: dict[str, int] = {}
        self.idx2word: list[str] = []

    def add_word(self, word: str) -> int:
        """The number of a word, which is new if the word is."""
        number = self.word2idx.setdefault(word, len(self.idx2word))
        if number == len(self.idx2word):
            self.idx2word.append(word)
        return number

    def __len__(self) -> int:
        return len(self.idx2word)

    def __repr__(self) -> str:
        return f"Dictionary({len(self):,} words)"


class Corpus:
    """The words of `train.txt` and `test.txt` in a folder, as lists of numbers.

    Each line is split into words and ends with `<eos>`. `dictionary` has the words in the order in
    which they come, those of `train.txt` first; `train` and `test` are lists of numbers.

    Args:
        base_dir: the folder, such as one with the Penn Treebank.
        max_lines: how many lines of each file to read; None reads all.

    Example:
        >>> import needle as ndl
        >>> from pathlib import Path
        >>> for name in ("train", "test"):
        ...     _ = Path(f"{name}.txt").write_text("to be or\\nnot to be\\n")
        >>> corpus = ndl.data.Corpus(".")
        >>> corpus.train
        [0, 1, 2, 3, 4, 0, 1, 3]
        >>> corpus.dictionary.idx2word[3]
        '<eos>'
    """

    def __init__(self, base_dir: FilePath, max_lines: int | None = None) -> None:
        if max_lines is not None:
            max_lines = check_count("max_lines", max_lines, 0)
        missing = [
            name
            for name in ("train.txt", "test.txt")
            if not os.path.isfile(os.path.join(base_dir, name))
        ]
        if missing:
            raise FileNotFoundError(
                f"Corpus: no {' and no '.join(missing)} in {os.fspath(base_dir)!r}: base_dir is "
                "the folder with the text files train.txt and test.txt"
            )
        self.dictionary = Dictionary()
        self.train = self.tokenize(os.path.join(base_dir, "train.txt"), max_lines)
        self.test = self.tokenize(os.path.join(base_dir, "test.txt"), max_lines)

    def tokenize(self, path: FilePath, max_lines: int | None = None) -> list[int]:
        """The numbers of the words of a file, which are added to the dictionary."""
        numbers = []
        with open(path, encoding="utf-8") as file:
            for count, line in enumerate(file):
                if count == max_lines:
                    break
                numbers += [self.dictionary.add_word(word) for word in (*line.split(), "<eos>")]
        return numbers


def batchify(
    data: Sequence[int], batch_size: int, device: Device | str | None = None, dtype: Any = None
) -> Any:
    """Numbers of words as an array (len(data) // batch_size, batch_size).

    Each column is a run of the text; what does not fill a row is left out.

    Raises:
        ValueError: there are fewer numbers than columns.

    Example:
        >>> import needle as ndl
        >>> ndl.data.batchify(range(7), 3, ndl.cpu(), "float32")
        array([[0., 2., 4.],
               [1., 3., 5.]], dtype=float32)
    """
    batch_size = check_count("batch_size", batch_size)
    rows = len(data) // batch_size
    if rows == 0:
        raise ValueError(f"batchify: {len(data)} words do not fill {batch_size} columns")
    columns = np.array(data[: rows * batch_size], dtype=dtype).reshape(batch_size, rows)
    return as_device(device).array(np.ascontiguousarray(columns.T))


def get_batch(
    batches: Any, i: int, bptt: int, device: Device | str | None = None, dtype: Any = None
) -> tuple[Tensor, Tensor]:
    """Rows of `batchify`'s array from row `i`, and the words that follow each of theirs.

    n = min(bptt, rows - 1 - i)

    Returns:
        data of shape (n, batch_size), and target of shape (n · batch_size,).

    Raises:
        ValueError: no row follows row `i`.

    Example:
        >>> import needle as ndl
        >>> batches = ndl.data.batchify(range(8), 2)
        >>> data, target = ndl.data.get_batch(batches, 1, bptt=5)
        >>> data.tolist(), target.tolist()
        ([[1, 5], [2, 6]], [2, 6, 3, 7])
    """
    bptt = check_count("bptt", bptt)
    rows = len(batches)
    if not 0 <= i < rows - 1:
        raise ValueError(f"get_batch: i is from 0 to {rows - 2} for {rows} rows, got {i}")
    count = min(bptt, rows - 1 - i)
    options = {"device": device, "dtype": dtype, "requires_grad": False}
    data, target = batches[i : i + count], batches[i + 1 : i + 1 + count]
    return Tensor(data, **options), Tensor(target.reshape(-1), **options)


class TextDataset(Dataset):
    """Windows of a text, to learn to tell the next character or word.

    Item i is the pair of tokens i ... i + context - 1 and tokens i + 1 ... i + context, int64.
    `tokens` is the whole text as numbers, `vocabulary` the list of characters or words.

    Args:
        text: the text.
        context: the length of a window.
        level: "characters", or "words", which are what white space separates.
        vocabulary: characters or words in the order of their numbers; by default those of the text
            in order. Give that of the training text for other texts.
        stride: how far apart windows begin.

    Raises:
        ValueError: the text has characters or words that are not in the vocabulary, or too few for
            one window.

    Example:
        >>> import needle as ndl
        >>> dataset = ndl.data.TextDataset("hello world", context=4)
        >>> window, following = dataset[0]
        >>> dataset.decode(window), dataset.decode(following)
        ('hell', 'ello')
        >>> dataset.encode("low").tolist()
        [4, 5, 7]
    """

    takes_index_arrays = True

    def __init__(
        self,
        text: str,
        context: int,
        *,
        level: str = "characters",
        vocabulary: Iterable[str] | None = None,
        stride: int = 1,
    ) -> None:
        super().__init__()
        if level not in ("characters", "words"):
            raise ValueError(f'level is "characters" or "words", got {level!r}')
        if not isinstance(text, str):
            raise TypeError(f"text is a string, got {type(text).__name__}; read files by read_text")
        self.context, self.stride = check_count("context", context), check_count("stride", stride)
        self.level = level
        parts = self._split(text)
        self.vocabulary = sorted(set(parts)) if vocabulary is None else list(vocabulary)
        self._numbers = {token: number for number, token in enumerate(self.vocabulary)}
        if len(self._numbers) < len(self.vocabulary):
            twice = next(t for i, t in enumerate(self.vocabulary) if self._numbers[t] != i)
            raise ValueError(f"vocabulary has {twice!r} more than once")
        self.tokens = self._encoded(parts)
        if len(self.tokens) <= self.context:
            raise ValueError(
                f"a text of {len(self.tokens)} {level} has no window of context={context} and the "
                f"{level[:-1]} that follows it"
            )

    def _split(self, text: str) -> Sequence[str]:
        return text if self.level == "characters" else text.split()

    def _encoded(self, parts: Sequence[str]) -> np.ndarray:
        try:
            return np.fromiter(map(self._numbers.__getitem__, parts), np.int64, len(parts))
        except KeyError:
            unknown = {part: None for part in parts if part not in self._numbers}
            shown = ", ".join(map(repr, list(unknown)[:10])) + (
                ", ..." if len(unknown) > 10 else ""
            )
            where = next(place for place, part in enumerate(parts) if part in unknown)
            raise ValueError(
                f"{self.level} that are not in the vocabulary of {len(self.vocabulary)}: {shown}; "
                f"the first is number {where} of the text"
            ) from None

    def encode(self, text: str) -> np.ndarray:
        """The numbers of the characters or words of a text, int64.

        Raises:
            ValueError: some are not in the vocabulary; the error names them.
        """
        return self._encoded(self._split(text))

    def decode(self, tokens: Any) -> str:
        """The text of an array, Tensor or list of numbers; words are separated by spaces.

        Raises:
            ValueError: a number is not in the vocabulary.
        """
        numbers = np.asarray(tokens.numpy() if isinstance(tokens, Tensor) else tokens)
        if numbers.size == 0:
            return ""
        if numbers.ndim > 1:
            raise ValueError(f"decode takes the tokens of one text, got shape {numbers.shape}")
        count = len(self.vocabulary)
        flat = numbers.reshape(-1)
        whole = flat.astype(np.int64)
        wrong = np.flatnonzero((whole != flat) | (whole < 0) | (whole >= count))
        if len(wrong):
            raise ValueError(
                f"token {flat[wrong[0]]} at {wrong[0]} is not in the vocabulary of {count}"
            )
        separator = "" if self.level == "characters" else " "
        return separator.join([self.vocabulary[number] for number in whole.tolist()])

    def __len__(self) -> int:
        return (len(self.tokens) - self.context - 1) // self.stride + 1

    def __getitem__(self, index: Any) -> tuple[np.ndarray, np.ndarray]:
        try:
            starts = np.arange(len(self))[index] * self.stride
        except IndexError as error:
            raise IndexError(f"{type(self).__name__} of {len(self)} items: {error}") from None
        return self._windows(starts)

    def _windows(self, starts: Any) -> tuple[np.ndarray, np.ndarray]:
        window = self.tokens[starts[..., np.newaxis] + np.arange(self.context + 1)]
        return window[..., :-1].copy(), window[..., 1:].copy()

    def extra_repr(self) -> str:
        return (
            f"{len(self):,} windows of {self.context} {self.level}, "
            f"vocabulary of {len(self.vocabulary):,}"
        )

    def _streams(self) -> set[Any] | None:
        return set() if type(self).__getitem__ is TextDataset.__getitem__ else None


def tiny_shakespeare(root: FilePath | None = None, download: bool = True) -> str:
    """1,115,394 characters of plays by Shakespeare, found on this machine or downloaded.

    The file `tinyshakespeare.txt` or `input.txt` is searched for in `root`, then in the folder
    `$NEEDLE_DATA`, then in the user's cache; if it is in none, it is downloaded and verified.

    Source: A. Karpathy, https://github.com/karpathy/char-rnn.

    Raises:
        DatasetNotFoundError: the file is nowhere and cannot be downloaded.

    Example:
        >>> import needle as ndl
        >>> text = ndl.data.tiny_shakespeare()  # doctest: +SKIP
        >>> len(text)  # doctest: +SKIP
        1115394
    """
    looked = []
    for place, folder, _ in places(root):
        for name in ("tinyshakespeare.txt", "input.txt") if folder else ():
            path = os.path.join(folder, name)
            if os.path.isfile(path):
                break
        else:
            looked.append(f"{place} {folder}: no such file" if folder else f"{place}: not given")
            continue
        break
    else:
        ways_out = "give root= a folder with tinyshakespeare.txt, or set $NEEDLE_DATA to it."
        remote = Remote("Tiny Shakespeare", "tinyshakespeare", SHAKESPEARE_MIRRORS, ways_out)
        path = cached_file(remote, "input.txt", _SHAKESPEARE, download, looked)
    with open(path, encoding="utf-8", newline="") as file:
        return file.read()
