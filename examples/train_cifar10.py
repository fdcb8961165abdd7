"""Train the ResNet9 of the 10-714 course on CIFAR-10.

    python examples/train_cifar10.py --epochs 10
    python examples/train_cifar10.py --data-dir FOLDER --compile --resume

CIFAR-10 is downloaded once (163 MiB), or read from --data-dir or $NEEDLE_DATA. Another model is
another function in the place of `resnet9`; the rest may stay.
"""

import argparse
import sys

import needle as ndl
from needle import data, nn
from needle.training import Checkpoints, Trainer, accuracy, run_program

MEAN, STD = [0.4914, 0.4822, 0.4465], [0.2470, 0.2435, 0.2616]  # of CIFAR-10's channels


def conv_bn(in_channels: int, out_channels: int, kernel_size: int, stride: int) -> nn.Module:
    """A convolution with "same" padding, batch normalisation, ReLU."""
    conv = nn.Conv(in_channels, out_channels, kernel_size, stride)
    return nn.Sequential(conv, nn.BatchNorm2d(out_channels), nn.ReLU())


def residual(channels: int) -> nn.Module:
    """x + two convolutions of x."""
    return nn.Residual(
        nn.Sequential(conv_bn(channels, channels, 3, 1), conv_bn(channels, channels, 3, 1))
    )


def resnet9(classes: int = 10) -> nn.Module:
    """For images (N, 3, 32, 32)."""
    return nn.Sequential(
        conv_bn(3, 16, 7, 4),
        conv_bn(16, 32, 3, 2),
        residual(32),
        conv_bn(32, 64, 3, 2),
        conv_bn(64, 128, 3, 2),
        residual(128),
        nn.Flatten(),
        nn.Linear(128, 128),
        nn.ReLU(),
        nn.Linear(128, classes),
    )


def main() -> None:
    """Run the program."""
    parser = argparse.ArgumentParser(description="Train ResNet9 on CIFAR-10.")
    add = parser.add_argument
    add("--data-dir", metavar="FOLDER", help="where CIFAR-10 is, as archive or unpacked")
    add("--epochs", type=int, default=10)
    add("--batch-size", type=int, default=128)
    add("--lr", type=float, default=0.001)
    add("--workers", type=int, default=1, help="threads that prepare batches")
    add("--seed", type=int, default=0)
    add("--compile", action="store_true", help="run a step as one program")
    add("--results", metavar="FOLDER", default="runs/cifar10")
    add("--resume", action="store_true", help="continue from the newest checkpoint")
    options = parser.parse_args()

    ndl.manual_seed(options.seed)
    normalize = data.Normalize(MEAN, STD)
    drawn = ndl.Generator(options.seed)
    augment = [data.RandomCrop(4, drawn), data.RandomFlipHorizontal(generator=drawn), normalize]
    train = data.CIFAR10(options.data_dir, train=True, transforms=augment)
    test = data.CIFAR10(options.data_dir, train=False, transforms=[normalize])
    size, workers = options.batch_size, options.workers
    train_loader = data.DataLoader(train, size, shuffle=True, num_workers=workers)
    test_loader = data.DataLoader(test, 500, num_workers=workers)

    model = resnet9()
    optimizer = ndl.optim.AdamW(model.parameters(), lr=options.lr, weight_decay=0.001)
    trainer = Trainer(
        model,
        nn.CrossEntropyLoss(),
        optimizer,
        metrics={"accuracy": accuracy},
        scheduler=ndl.optim.CosineAnnealingLR(optimizer, T_max=options.epochs),
        compile=options.compile,
        checkpoints=Checkpoints(f"{options.results}/checkpoints", keep=1),
        settings={"seed": options.seed, "batch_size": size, "lr": options.lr},
        name="CIFAR10",
    )
    epochs = trainer.fit(train_loader, test_loader, options.epochs, resume=options.resume)
    seconds = sum(epoch["seconds"] for epoch in epochs)
    print(f"test accuracy {epochs[-1]['validation_accuracy']:.2f} % in {seconds:.1f} s")


if __name__ == "__main__":
    sys.exit(run_program("train_cifar10", main))
