"""Train a network on MNIST from a config, and write the results.

    python examples/train_mnist.py --config mlp
    python examples/train_mnist.py --config mlp --set optimizer.lr=0.1 --epochs 3 --force
    python examples/train_mnist.py --config mlp --set 'checkpoint={every: 1}' --resume
    python examples/train_mnist.py --config mlp --evaluate runs/mlp/weights-mnist.npz

`needle.training` has the loop and what configs, command lines and files of results need;
custom_loop.py shows a loop by hand. For a model of your own, replace `build_model`.
"""

import sys
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from nn_epoch import TwoLayerTrainer, check_loop, nn_epoch

import needle as ndl
from needle import data, nn
from needle.training import (
    Results,
    Trainer,
    accuracy,
    apply_weights,
    config,
    cross_entropy,
    read_weights,
    run_program,
)

__all__ = ["CONFIGS", "SCHEMA", "build", "main", "nn_epoch", "read"]

CONFIGS = Path(__file__).resolve().parent / "configs"
EVALUATION_BATCH = 1000  # large, because no graph is kept

TRAINERS = {"train_epoch": Trainer, "nn_epoch": TwoLayerTrainer}
SCHEMA = {
    **config.SCHEMA,
    "loop": config.Entry((config.choice(*TRAINERS),), default="train_epoch"),
}


def build(
    settings: SimpleNamespace, source: config.Source, train_set: Any, checkpoints: Any = None
) -> tuple[Trainer, data.DataLoader]:
    """The trainer of a config, and the loader of its training data; draws the weights."""
    with nn.init.scheme(settings.init):
        model = config.build_model(settings.model, config.words_of(settings, source, train_set))
    optimizer = config.build_optimizer(settings.optimizer, model.parameters())
    trainer = TRAINERS[settings.loop](
        model,
        partial(cross_entropy, label_smoothing=settings.label_smoothing),
        optimizer,
        metrics={"accuracy": accuracy},
        checkpoints=checkpoints,
        **config.trainer_options(settings, source, train_set, optimizer),
    )
    trainer.unit, trainer.validation = source.unit, "test"
    loader = data.DataLoader(
        train_set,
        settings.batch_size,
        settings.shuffle,
        generator=config.build_generator(settings.generator),
        num_workers=settings.workers,
    )
    return trainer, loader


def train(settings: SimpleNamespace, results: Results) -> int:
    """Train and write the results; returns the exit code."""
    source, (train_set, test_set) = config.load_data(settings, True, False)
    config.check_last_batch(settings, source, train_set)
    ndl.manual_seed(settings.seed)
    trainer, loader = build(settings, source, train_set, results.checkpoints)
    print(
        f"{settings.name}: {source.name}, {len(train_set):,} {source.unit} to train on, "
        f"{len(test_set):,} to test with; "
        f"{sum(parameter.size for parameter in trainer.model.parameters()):,} weights",
        flush=True,
    )
    test_loader = data.DataLoader(test_set, EVALUATION_BATCH)
    return results.fit(
        trainer, loader, test_loader, settings.epochs, title=settings.name, settings=settings.stated
    )


def evaluate(settings: SimpleNamespace, weights: str) -> int:
    """Evaluate the weights of a file on the test images; returns the exit code."""
    arrays = read_weights(weights)
    source, (test_set,) = config.load_data(settings, False)
    trainer, _ = build(settings, source, test_set)
    apply_weights(weights, trainer.model, arrays)
    found = trainer.evaluate(data.DataLoader(test_set, EVALUATION_BATCH))
    texts = trainer.texts({f"test_{name}": value for name, value in found.items()})
    print(
        f"{source.name}: {', '.join(texts)} on {len(test_set):,} {source.unit}, with the weights "
        f"of {weights}"
    )
    return 0


read = partial(config.read_training, schema=SCHEMA, folder=CONFIGS, check=check_loop)
"""read(file, overrides): the settings of a config."""


def run(arguments: list[str] | None) -> int:
    """Train or evaluate, as the command line says."""
    description = "Train a network on MNIST from a config."
    settings, options = config.command_line(description, read, arguments)
    if options.evaluate is not None:
        return evaluate(settings, options.evaluate)
    with Results(
        settings.results,
        resume=options.resume,
        force=options.force,
        checkpoint=settings.checkpoint,
    ) as results:
        return train(settings, results)


def main(arguments: list[str] | None = None) -> int:
    """Run the program; returns its exit code."""
    return run_program("train_mnist", partial(run, arguments))


if __name__ == "__main__":
    sys.exit(main())
