"""Forecast a time series with a recurrent network, and compare with naive forecasts.

    python examples/forecast.py

The series looks like the numbers of sunspots: cycles of about 11 years whose length and height
vary, with noise. The network is given 60 values and tells the next 12.
"""

import argparse

import numpy as np

import needle as ndl
from needle import Tensor, data, nn
from needle.training import Trainer

PERIOD, CONTEXT, AHEAD = 11, 60, 12


def sunspots(count: int, seed: int) -> np.ndarray:
    """Cycles (1 - cos φ)/2 · height, with a phase and a height that drift, and noise."""
    rng = np.random.default_rng(seed)
    time = np.arange(count)
    phase = 2 * np.pi * time / PERIOD + 0.8 * np.sin(2 * np.pi * time / 95)
    height = 100 + 45 * np.sin(2 * np.pi * time / 87) + 15 * np.sin(2 * np.pi * time / 31)
    return height * (1 - np.cos(phase)) / 2 + 6 * rng.standard_normal(count)


class Forecaster(nn.Module):
    """The next AHEAD values, from the last state of a recurrent layer.

    What it learns is the difference to the values one period before.
    """

    def __init__(self, width: int) -> None:
        super().__init__()
        self.recurrent = nn.LSTM(1, width, batch_first=True)
        self.output = nn.Linear(width, AHEAD)

    def forward(self, x: Tensor) -> Tensor:
        _, (state, _) = self.recurrent(x.expand_dims(2))
        return self.output(state[0]) + repeated(x)


def repeated(x: Tensor) -> Tensor:
    """The naive forecast of a series with seasons: the last period once more."""
    return x[:, np.arange(AHEAD) % PERIOD - PERIOD]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--epochs", type=int, default=20)
    options = parser.parse_args()

    ndl.manual_seed(0)
    series = sunspots(2000, seed=1)
    split = 1500
    mean, scale = series[:split].mean(), series[:split].std()
    windows = np.lib.stride_tricks.sliding_window_view((series - mean) / scale, CONTEXT + AHEAD)
    windows = windows.astype("float32")
    # windows of the test begin after all values of the training
    train_set = data.TensorDataset(*np.split(windows[: split - CONTEXT - AHEAD], [CONTEXT], 1))
    test_x, test_y = (Tensor(each) for each in np.split(windows[split:], [CONTEXT], 1))
    batches = data.DataLoader(train_set, batch_size=32, shuffle=True)

    def error(forecast: Tensor) -> float:
        """The root of the mean squared error on the test, in units of the series."""
        return scale * ((forecast - test_y) ** 2).mean().item() ** 0.5

    model = Forecaster(width=32)
    optimizer = ndl.optim.Adam(model.parameters(), lr=0.005)
    schedule = ndl.optim.CosineAnnealingLR(optimizer, T_max=options.epochs)
    trainer = Trainer(model, nn.MSELoss(), optimizer, scheduler=schedule, verbose=False)
    trainer.fit(batches, epochs=options.epochs)

    with ndl.no_grad():
        print(f"the last value:  error {error(test_x[:, -1:]):.1f}")
        print(f"the last period: error {error(repeated(test_x)):.1f}")
        print(f"the network:     error {error(model(test_x)):.1f}")


if __name__ == "__main__":
    main()
