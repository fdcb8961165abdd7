"""Fit a curve through noisy points: schedules, gradient clipping, early stopping, a plot.

    python examples/regression.py
    python examples/regression.py --epochs 300 --results somewhere

The learning rate warms up, and then is reduced whenever the validation loss stops improving.
Gradient clipping limits the influence of outliers. Training ends after PATIENCE epochs without an
improvement, and the best weights are kept.
"""

import argparse
from pathlib import Path

import numpy as np

import needle as ndl
from needle import data, nn, optim
from needle.training import EarlyStopping, Trainer

POINTS = 300
NOISE = 0.1
PATIENCE = 100  # epochs without an improvement after which training ends


def curve(x: np.ndarray) -> np.ndarray:
    """The function without noise."""
    return np.sin(3 * x) + 0.5 * x


def make_points() -> tuple[np.ndarray, np.ndarray]:
    """x and y, each (POINTS, 1), float32; one point in twenty is an outlier."""
    x = np.random.uniform(-2, 2, (POINTS, 1))
    y = curve(x) + NOISE * np.random.randn(POINTS, 1)
    y[::20] += 4 * np.random.randn(len(y[::20]), 1)
    return x.astype("float32"), y.astype("float32")


def fit(
    model: nn.Module, train_set: data.Dataset, validation_set: data.Dataset, epochs: int
) -> list[dict[str, float]]:
    """Train until the validation loss stops improving; the model ends with the best weights.

    Returns:
        Losses and learning rate of every epoch.
    """
    optimizer = optim.Adam(model.parameters(), lr=0.02)
    # schedules of one optimizer are multiplied
    warm_up = optim.LinearLR(optimizer, start_factor=0.1, total_iters=10)

    def end_epoch(trainer: Trainer, epoch: dict[str, float]) -> None:
        warm_up.step()
        epoch["lr"] = optimizer.lr

    trainer = Trainer(
        model,
        nn.SmoothL1Loss(),  # linear, not quadratic, in the distance of an outlier
        optimizer,
        callbacks=[EarlyStopping(PATIENCE, restore_best=True), end_epoch],
        scheduler=optim.ReduceLROnPlateau(optimizer, factor=0.5, patience=PATIENCE // 4),
        scheduler_metric="validation_loss",
        clip_norm=1.0,
        verbose=False,
    )
    loader = data.DataLoader(train_set, batch_size=25, shuffle=True)
    history = trainer.fit(loader, data.DataLoader(validation_set, batch_size=POINTS), epochs)
    best = min(history, key=lambda epoch: epoch["validation_loss"])
    loss = best["validation_loss"]
    print(f"{len(history)} epochs, the best was {best['epoch']}: validation loss {loss:.4f}")
    return history


def plot(
    path: Path, points: tuple[np.ndarray, np.ndarray], model: nn.Module, history: list
) -> bool:
    """Plot the fit, the losses and the learning rate; False if matplotlib is not installed."""
    try:
        from matplotlib.figure import Figure
    except ImportError:
        return False
    figure = Figure(figsize=(12, 4), layout="constrained")
    left, middle, right = figure.subplots(1, 3)
    x = np.linspace(-2, 2, 200, dtype="float32")[:, np.newaxis]
    with ndl.no_grad():
        fitted = model(ndl.Tensor(x)).numpy()
    left.scatter(*points, s=6, alpha=0.4, label="points")
    left.plot(x, curve(x), "k--", label="curve")
    left.plot(x, fitted, "C3", label="fit")
    left.set(xlabel="x", ylabel="y", ylim=(-3, 3))
    for panel, names in ((middle, ("train_loss", "validation_loss")), (right, ("lr",))):
        for name in names:
            panel.plot([epoch[name] for epoch in history], label=name.replace("_", " "))
        panel.set(xlabel="epoch", yscale="log")
    for panel in (left, middle, right):
        panel.legend()
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path)
    return True


def main() -> None:
    """Make points, fit a model, and print its distance from the curve without noise."""
    parser = argparse.ArgumentParser(description="Fit a curve through noisy points.")
    parser.add_argument("--epochs", type=int, default=2000, help="maximum number of epochs")
    parser.add_argument("--results", type=Path, default="runs/regression", help="a folder")
    options = parser.parse_args()
    if options.epochs < 1:
        parser.error(f"--epochs is 1 or more, got {options.epochs}")

    ndl.manual_seed(0)
    x, y = make_points()
    parts = slice(POINTS * 3 // 4), slice(POINTS * 3 // 4, None)
    train_set, validation_set = (data.NDArrayDataset(x[part], y[part]) for part in parts)
    model = nn.Sequential(nn.Linear(1, 32), nn.Tanh(), nn.Linear(32, 32), nn.Tanh())
    model.append(nn.Linear(32, 1))
    history = fit(model, train_set, validation_set, options.epochs)

    with ndl.no_grad():
        error = np.sqrt(np.mean((model(ndl.Tensor(x)).numpy() - curve(x)) ** 2))
    print(f"root mean square distance from the curve: {error:.4f}, noise of the points: {NOISE}")
    path = options.results / "regression.png"
    if plot(path, (x, y), model, history):
        print(f"plot: {path}")
    else:
        print("plot: not drawn, matplotlib is missing: pip install '.[plot]'")


if __name__ == "__main__":
    main()
