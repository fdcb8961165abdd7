"""Classify sequences of different lengths: which of two marks comes first?

    python examples/sequence_classifier.py

Each sequence is random letters with one A and one B among them. The answer is known from the first
mark on, so the network has to remember it to the end, and where the end is differs in each batch:
`collate` pads the sequences, and the recurrent layer is told their lengths.
"""

import argparse

import numpy as np

import needle as ndl
from needle import Tensor, data, nn
from needle.nn.utils.rnn import pad_sequence
from needle.training import Trainer, accuracy

A, B, LETTERS = 1, 2, 10  # 0 is the padding
SHORTEST, LONGEST = 5, 60


class Marks(data.Dataset):
    """Pairs of letters (length,) and 1 if the mark A comes before B, otherwise 0."""

    def __init__(self, count: int, seed: int) -> None:
        super().__init__()
        rng = np.random.default_rng(seed)
        self.sequences, self.labels = [], rng.integers(2, size=count)
        for label in self.labels:
            letters = rng.integers(B + 1, LETTERS, size=rng.integers(SHORTEST, LONGEST + 1))
            places = np.sort(rng.choice(len(letters), size=2, replace=False))
            letters[places] = (A, B) if label else (B, A)
            self.sequences.append(letters)

    def __len__(self) -> int:
        return len(self.sequences)

    def __getitem__(self, index: int) -> tuple[np.ndarray, int]:
        return self.sequences[index], self.labels[index]


def collate(items: list[tuple[np.ndarray, int]]) -> tuple[Tensor, np.ndarray, Tensor]:
    """Padded letters (batch, longest), the lengths, and the labels (batch,)."""
    sequences, labels = zip(*items, strict=True)
    padded = pad_sequence([Tensor(each) for each in sequences], batch_first=True)
    return padded, np.array([len(each) for each in sequences]), Tensor(np.array(labels))


class Classifier(nn.Module):
    """Logits of the two classes from the last state of a recurrent layer."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.embedding = nn.Embedding(LETTERS, width, padding_idx=0)
        self.recurrent = nn.GRU(width, width, batch_first=True)
        self.output = nn.Linear(width, 2)

    def forward(self, letters: Tensor, lengths: np.ndarray) -> Tensor:
        _, state = self.recurrent(self.embedding(letters), lengths=lengths)
        return self.output(state[0])


def show(trainer: Trainer, epoch: dict[str, float]) -> None:
    """A callback, called after every epoch."""
    print(f"epoch {epoch['epoch']}: {epoch['validation_accuracy']:.1f} % of the test sequences")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--epochs", type=int, default=5)
    parser.add_argument("--count", type=int, default=500, help="sequences to train on")
    options = parser.parse_args()

    ndl.manual_seed(0)
    batches = data.DataLoader(
        Marks(options.count, seed=1), batch_size=32, shuffle=True, collate_fn=collate
    )
    test_batches = data.DataLoader(Marks(1000, seed=2), batch_size=100, collate_fn=collate)
    model = Classifier(width=32)
    trainer = Trainer(
        model,
        nn.CrossEntropyLoss(),
        ndl.optim.Adam(model.parameters(), lr=0.01),
        metrics={"accuracy": accuracy},
        callbacks=[show],
        clip_norm=1.0,
        verbose=False,
    )
    trainer.fit(batches, test_batches, options.epochs)


if __name__ == "__main__":
    main()
