"""Train a network on MNIST from a config, and write the results.

    python examples/train_mnist.py --config mlp
    python examples/train_mnist.py --config mlp --set optimizer.lr=0.1 --epochs 3 --force
    python examples/train_mnist.py --config mlp --set 'checkpoint={every: 1}' --resume
    python examples/train_mnist.py --config mlp --evaluate runs/mlp/weights-mnist.npz

The config names layers, optimizer, schedule and data; `needle.training` reads it and has the loop.
Write a model of your own in the place of `build_model`; custom_loop.py shows a loop by hand.
"""

import sys
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from nn_epoch import TwoLayerTrainer, check_loop

import needle as ndl
from needle import data, nn, training
from needle.training import config

CONFIGS = Path(__file__).resolve().parent / "configs"
EVALUATION_BATCH = 1000  # large, because no graph is kept
LOOPS = {"train_epoch": training.Trainer, "nn_epoch": TwoLayerTrainer}
SCHEMA = {**config.SCHEMA, "loop": config.Entry((config.choice(*LOOPS),), default="train_epoch")}

read = partial(config.read_training, schema=SCHEMA, folder=CONFIGS, check=check_loop)
"""read(file, overrides): the settings of a config."""


def build(settings: SimpleNamespace, source: config.Source, train_set: Any) -> training.Trainer:
    """Model, loss, optimizer and trainer of a config; draws the weights."""
    with nn.init.scheme(settings.init):
        model = config.build_model(settings.model, config.words_of(settings, source, train_set))
    optimizer = config.build_optimizer(settings.optimizer, model.parameters())
    trainer = LOOPS[settings.loop](
        model,
        partial(training.cross_entropy, label_smoothing=settings.label_smoothing),
        optimizer,
        metrics={"accuracy": training.accuracy},
        **config.trainer_options(settings, source, train_set, optimizer),
    )
    trainer.unit, trainer.validation = source.unit, "test"
    return trainer


def train(settings: SimpleNamespace, results: training.Results) -> int:
    """Train and write the results; returns the exit code."""
    source, (train_set, test_set) = config.load_data(settings, True, False)
    config.check_last_batch(settings, source, train_set)
    ndl.manual_seed(settings.seed)
    trainer = build(settings, source, train_set)
    loader = config.build_loader(settings, train_set)
    test_loader = data.DataLoader(test_set, EVALUATION_BATCH)
    return results.fit(
        trainer, loader, test_loader, settings.epochs, title=settings.name, settings=settings.stated
    )


def evaluate(settings: SimpleNamespace, weights: str) -> int:
    """Evaluate the weights of a file on the test set; returns the exit code."""
    arrays = training.read_weights(weights)
    source, (test_set,) = config.load_data(settings, False)
    trainer = build(settings, source, test_set)
    training.apply_weights(weights, trainer.model, arrays)
    found = trainer.evaluate(data.DataLoader(test_set, EVALUATION_BATCH))
    texts = ", ".join(trainer.texts({f"test_{name}": value for name, value in found.items()}))
    count = f"{len(test_set):,} {source.unit}"
    print(f"{source.name}: {texts} on {count}, with the weights of {weights}")
    return 0


def run(arguments: list[str] | None) -> int:
    """Train or evaluate, as the command line says."""
    description = "Train a network on MNIST from a config."
    settings, options = config.command_line(description, read, arguments)
    if options.evaluate is not None:
        return evaluate(settings, options.evaluate)
    ways = {"resume": options.resume, "force": options.force}
    with training.Results(settings.results, checkpoint=settings.checkpoint, **ways) as results:
        return train(settings, results)


def main(arguments: list[str] | None = None) -> int:
    """Run the program; returns its exit code."""
    return training.run_program("train_mnist", partial(run, arguments))


if __name__ == "__main__":
    sys.exit(main())
