"""The usual model of what ranks exchange: α + n/β, in rings and in trees.

A message of n bytes takes α + n/β seconds: the latency and the bandwidth of a network. A mean over
p ranks takes

    ring: 2(p - 1)α + 2(p - 1)/p · n/β     each rank sends parts of size n/p around, twice
    tree: ⌈log₂ p⌉ (α + n/β)               ranks exchange everything, at distances 1, 2, 4, ...

so that rings are best for large arrays and trees for small ones. MPI chooses by size.

Thakur, Rabenseifner, Gropp 2005, "Optimization of collective communication operations in MPICH".
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

__all__ = ["ALGORITHMS", "Network", "Step", "fitted", "ring", "stops_at", "tree"]


@dataclass(frozen=True)
class Network:
    """Latency in seconds, bandwidth in bytes per second."""

    latency: float
    bandwidth: float


def ring(nbytes: float, ranks: int, network: Network) -> float:
    """Seconds of a mean over ranks by a ring."""
    steps = 2 * (ranks - 1)
    return steps * (network.latency + nbytes / ranks / network.bandwidth)


def tree(nbytes: float, ranks: int, network: Network) -> float:
    """Seconds of a mean over ranks by a tree."""
    return int(np.ceil(np.log2(ranks))) * (network.latency + nbytes / network.bandwidth)


ALGORITHMS = {"ring": ring, "tree": tree}


def fitted(seconds: Mapping[int, float], algorithm: str) -> Network:
    """Latency and bandwidth from the times of means over two ranks, by numbers of bytes.

    Least squares of relative errors: all sizes count alike.
    """
    sizes, times = np.array([*seconds.items()], dtype=np.float64).T
    messages = {"ring": 2.0, "tree": 1.0}[algorithm]
    terms = np.stack([np.full_like(sizes, messages), sizes], axis=1) / times[:, None]
    latency, per_byte = np.linalg.lstsq(terms, np.ones_like(times))[0]
    return Network(max(float(latency), 1e-9), 1 / max(float(per_byte), 1e-15))


@dataclass(frozen=True)
class Step:
    """A training step of one rank alone."""

    forward: float
    backward: float
    nbytes: int
    """Of all gradients."""
    last: int
    """Of the last bucket, whose mean begins when `backward` has ended."""
    overlap: float
    """The part of the time of a mean that `backward` can hide, from 0 to 1."""

    def seconds(self, ranks: int, network: Network, share: float = 1.0) -> float:
        """The time of the step on some ranks, each with `share` of the batch.

        What `backward` does not hide of the means is added; that of the last bucket always is.
        """
        compute = (self.forward + self.backward) * share
        if ranks == 1:
            return compute
        best = [min(f(n, ranks, network) for f in ALGORITHMS.values()) for n in self._parts()]
        hidden = min(self.overlap * best[0], self.backward * share)
        return compute + best[1] + best[0] - hidden

    def _parts(self) -> tuple[int, int]:
        return self.nbytes - self.last, self.last


def stops_at(step: Step, network: Network, numbers: list[int], batch: float) -> int:
    """The number of ranks from which on twice as many give less than 1.5 times the throughput.

    `batch` is that of all ranks together, in batches of one step.
    """
    for ranks in numbers:
        now, then = (step.seconds(each, network, batch / each) for each in (ranks, 2 * ranks))
        if now < 1.5 * then:
            return ranks
    return numbers[-1]
