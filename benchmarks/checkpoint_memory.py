"""What checkpointing saves: the peak memory and the time of a training step of a deep stack.

    python -m benchmarks.checkpoint_memory [--layers 64] [--every 8] [--width 128] [--batch 1024]

A stack of Linear + ReLU goes forward and backward twice: plainly, and with every few layers in a
`needle.checkpoint`. The peak is that of the arrays allocated meanwhile (tracemalloc); the time is
of steps of its own, because tracing costs some. The gradients must be equal to the bit.
"""

import argparse
import time
import tracemalloc
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

import needle as ndl
from needle import nn

Forward = Callable[[ndl.Tensor], ndl.Tensor]


@dataclass(frozen=True)
class Step:
    """What a training step cost, and the gradients it gave."""

    peak_bytes: int
    seconds: float
    gradients: list[np.ndarray]


def measure(layers: int = 64, every: int = 8, width: int = 128, batch: int = 1024) -> list[Step]:
    """The costs of the plain step and of the checkpointed one."""
    ndl.manual_seed(0)
    stack = [nn.Sequential(nn.Linear(width, width), nn.ReLU()) for _ in range(layers)]
    pieces = [nn.Sequential(*stack[start : start + every]) for start in range(0, layers, every)]
    x = ndl.init.randn(batch, width)

    def checkpointed(x: ndl.Tensor) -> ndl.Tensor:
        for piece in pieces:
            x = ndl.checkpoint(piece, x)
        return x

    model = nn.Sequential(*stack)
    return [_step(forward, model, x) for forward in (model, checkpointed)]


def _step(forward: Forward, model: nn.Module, x: ndl.Tensor) -> Step:
    def run() -> None:
        model.zero_grad()
        (forward(x) ** 2).mean().backward(create_graph=False)

    seconds = []
    for _ in range(3):
        start = time.perf_counter()
        run()
        seconds.append(time.perf_counter() - start)
    model.zero_grad()
    tracemalloc.start()
    run()
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    return Step(peak, min(seconds), [parameter.grad.numpy() for parameter in model.parameters()])


def main() -> None:
    """Measure and print a table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    for name, value in {"layers": 64, "every": 8, "width": 128, "batch": 1024}.items():
        parser.add_argument(f"--{name}", type=int, default=value, help=f"{value} by default")
    options = vars(parser.parse_args())
    plain, checkpointed = measure(**options)

    print("{layers} × (Linear({width}, {width}), ReLU), batch {batch}, float32".format(**options))
    print(f"{'':24}{'peak memory':>14}{'time':>12}")
    for name, step in {
        "plain": plain,
        f"checkpoint every {options['every']}": checkpointed,
    }.items():
        print(f"{name:24}{step.peak_bytes / 1e6:11.1f} MB{step.seconds * 1e3:9.1f} ms")
    memory, seconds = (
        checkpointed.peak_bytes / plain.peak_bytes,
        checkpointed.seconds / plain.seconds,
    )
    print(f"{'ratio':24}{memory:14.2f}{seconds:12.2f}")
    equal = all(map(np.array_equal, plain.gradients, checkpointed.gradients))
    print(f"gradients equal to the bit: {'yes' if equal else 'NO'}")


if __name__ == "__main__":
    main()
