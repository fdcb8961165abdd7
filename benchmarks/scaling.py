"""How training scales over ranks: measured on this machine, and computed for more nodes.

    python -m benchmarks.scaling [--out docs] [--latency 2e-6 --bandwidth 12.5e9] [--rounds 5]

Ranks of one thread are started by mpiexec. Measured are

- `all_reduce` over 2 and 3 ranks of arrays of many sizes, to which latency and bandwidth are
  fitted (see scaling_model.py): to 2 ranks, with a prediction for 3;
- how much of such a mean passes while a matrix product is computed meanwhile;
- training steps of 784→1000→10, with a batch of 1000 in all, by one process and by 2 and 3 ranks
  with `needle.distributed.wrap`, on what the ranks of one machine use: shared memory.

- the losses of a training on 2 ranks, with gradients in 32 and in 16 bits.

Then a table and a plot show what 2 to 1024 nodes with the given network would give, for a batch
that grows with the nodes and for one that does not.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

import needle as ndl
from needle import distributed, nn

from .scaling_model import ALGORITHMS, Network, Step, fitted, stops_at

SIZES = [4 << (2 * i) for i in range(2, 12)]  # bytes: 64 to 16 MiB
HIDDEN, BATCH = 1000, 1000
NODES = [2**i for i in range(11)]
NETWORKS = {
    "10 Gb/s Ethernet": Network(30e-6, 1.25e9),
    "100 Gb/s InfiniBand": Network(2e-6, 12.5e9),
}
STRONG = 32_000  # the batch that does not grow


# --- on every rank


def best_of(function: Callable[[], Any], rounds: int, least: float = 0.02) -> float:
    """The least time of a call among rounds of several calls, all ranks at once."""
    function()
    times, count = [], 1
    for _ in range(rounds):
        distributed.barrier()
        start = time.perf_counter()
        for _ in range(count):
            function()
        seconds = (time.perf_counter() - start) / count
        slowest = distributed.all_reduce(ndl.Tensor(seconds, dtype="float64"), op="max").item()
        times.append(slowest)
        count = max(1, min(1000, int(least / slowest)))  # the same on all ranks
    return min(times)


def measure_means(rounds: int) -> dict[int, float]:
    """Seconds of `all_reduce`, by number of bytes."""
    found = {}
    for nbytes in SIZES:
        x = ndl.zeros(nbytes // 4, requires_grad=False)
        found[nbytes] = best_of(lambda x=x: distributed.all_reduce(x), rounds)
    return found


def measure_overlap(rounds: int, nbytes: int = 4 << 20) -> float:
    """The part of a mean by MPI that passes during matrix products that take as long."""
    from mpi4py import MPI

    array = np.zeros(nbytes // 4, np.float32)
    matrix = np.ones((128, 128), np.float32)

    def finish(request: Any) -> None:
        while not request.Test():
            time.sleep(0)  # there may be more ranks than cores

    alone = best_of(lambda: finish(MPI.COMM_WORLD.Iallreduce(MPI.IN_PLACE, array)), rounds)
    product = best_of(lambda: matrix @ matrix, rounds)
    count = max(1, round(alone / product))

    def both(with_mean: bool) -> None:
        request = MPI.COMM_WORLD.Iallreduce(MPI.IN_PLACE, array) if with_mean else None
        for index in range(count):
            _ = matrix @ matrix
            if request is not None and index % max(1, count // 8) == 0:
                request.Test()  # as each gradient that `backward` finds
        if request is not None:
            finish(request)

    computing = best_of(lambda: both(False), rounds)
    together = best_of(lambda: both(True), rounds)
    return float(np.clip((alone + computing - together) / alone, 0, 1))


def measure_steps(rounds: int, batch: int) -> dict[str, float]:
    """Seconds of steps of this rank alone and of all ranks together, and of a forward pass."""
    rng = np.random.default_rng(0)
    x = ndl.Tensor(rng.normal(size=(batch, 784)).astype("float32"), requires_grad=False)
    y = ndl.Tensor(rng.integers(0, 10, batch), requires_grad=False)

    def functions_of(is_wrapped: bool) -> tuple[Callable[[], Any], Callable[[], Any]]:
        """A forward pass, and a step."""
        ndl.manual_seed(0)
        model = nn.Sequential(nn.Linear(784, HIDDEN), nn.ReLU(), nn.Linear(HIDDEN, 10))
        optimizer = ndl.optim.SGD(model.parameters(), lr=1e-6)
        if is_wrapped:
            optimizer = distributed.wrap(optimizer)

        def forward() -> ndl.Tensor:
            return nn.functional.softmax_loss(model(x), y)

        def step() -> None:
            optimizer.reset_grad()
            forward().backward(create_graph=False)
            optimizer.step()

        return forward, step

    forward, alone = functions_of(False)
    functions = {"alone": alone, "wrapped": functions_of(True)[1], "forward": forward}
    times: dict[str, list[float]] = {name: [] for name in functions}
    for _ in range(rounds):  # interleaved
        for name, function in functions.items():
            times[name].append(best_of(function, 3, least=0.04))
    return {name: min(values) for name, values in times.items()}


def measure_losses(compress: str | None, epochs: int = 20) -> list[float]:
    """The mean loss of each epoch of a training on digits, the same on all ranks."""
    ndl.manual_seed(0)
    model = nn.Sequential(nn.Flatten(), nn.Linear(64, 32), nn.ReLU(), nn.Linear(32, 10))
    optimizer = ndl.optim.SGD(model.parameters(), lr=0.1, momentum=0.9)
    distributed.wrap(optimizer, compress=compress)
    shard = distributed.rank(), distributed.size()
    loader = ndl.data.DataLoader(ndl.data.Digits(), 50, shuffle=True, shard=shard)
    losses = []
    for _ in range(epochs):
        total = ndl.zeros(1, requires_grad=False)
        for images, labels in loader:
            optimizer.reset_grad()
            loss = nn.functional.cross_entropy(model(images), labels)
            loss.backward(create_graph=False)
            optimizer.step()
            total = total + loss.detach()
        losses.append(distributed.all_reduce(total, op="mean").item() / len(loader))
    return losses


def work(rounds: int) -> None:
    """What each rank does; rank 0 prints the results."""
    ranks = distributed.size()
    results: dict[str, Any] = {"steps": measure_steps(rounds, BATCH // ranks)}
    if ranks > 1:
        results["means"] = measure_means(rounds)
        results["overlap"] = measure_overlap(rounds)
        results["losses"] = {
            compress or "none": measure_losses(compress)
            for compress in (None, "float16", "bfloat16")
        }
    if distributed.rank() == 0:
        print(json.dumps(results))


# --- the report


def run(ranks: int, rounds: int) -> dict[str, Any]:
    """What the ranks measure."""
    beside = Path(sys.executable).with_name("mpiexec")  # of the mpich wheel
    mpiexec = str(beside) if beside.exists() else shutil.which("mpiexec")
    if mpiexec is None:
        raise SystemExit('mpiexec is missing: pip install "needle-dl[mpi]"')
    start = [] if ranks == 1 else [mpiexec, "-n", str(ranks)]
    done = subprocess.run(
        [*start, sys.executable, "-m", "benchmarks.scaling", "--work", "--rounds", str(rounds)],
        env={**os.environ, **dict.fromkeys(["OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS"], "1")},
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        raise SystemExit(f"{ranks} ranks failed:\n{done.stderr}")
    results: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    if "means" in results:
        results["means"] = {int(n): seconds for n, seconds in results["means"].items()}
    return results


def report(measured: Mapping[int, Any], networks: Mapping[str, Network], cores: int) -> str:
    """The tables, as Markdown."""
    return "\n\n".join([
        _table_of_means(measured, cores),
        _table_of_steps(measured, cores),
        _table_of_losses(measured[2]["losses"]),
        *(_table_of_nodes(name, network, step_of(measured)) for name, network in networks.items()),
    ])  # fmt: skip


def step_of(measured: Mapping[int, Any]) -> Step:
    """The step of one process as the model needs it."""
    times = measured[1]["steps"]
    first, second = 4 * (784 * HIDDEN + HIDDEN), 4 * (HIDDEN * 10 + 10)
    return Step(
        forward=times["forward"],
        backward=times["alone"] - times["forward"],
        nbytes=first + second,
        last=first,  # the gradients of the first layer are found last
        overlap=measured[2]["overlap"],
    )


def _crowd(ranks: int, cores: int) -> int:
    """How many ranks the core has that has most: in every exchange, all wait for it."""
    return -(-ranks // cores)


def _note(ranks: int, cores: int) -> str:
    crowd = _crowd(ranks, cores)
    if crowd == 1:
        return ""
    return (
        f" {ranks} ranks share {cores} cores, and all wait for the core that has {crowd} of them: "
        f"their predictions, also those of steps, are times {crowd}."
    )


def _table_of_means(measured: Mapping[int, Any], cores: int) -> str:
    of_two, of_three = measured[2]["means"], measured[3]["means"]
    networks = {name: fitted(of_two, name) for name in ALGORITHMS}
    lines = [
        "`all_reduce` by MPI, in microseconds; the model is fitted to 2 ranks:",
        "",
        "| bytes | 2 measured | 2 fitted | 3 measured | 3 by ring | 3 by tree |",
        "| ---: | ---: | ---: | ---: | ---: | ---: |",
    ]
    crowd = _crowd(3, cores)
    for nbytes, seconds in of_two.items():
        row = [
            seconds,
            ALGORITHMS["ring"](nbytes, 2, networks["ring"]),
            of_three[nbytes],
            *(crowd * f(nbytes, 3, networks[name]) for name, f in ALGORITHMS.items()),
        ]
        lines.append(f"| {nbytes} | " + " | ".join(f"{each * 1e6:.4g}" for each in row) + " |")
    ring = networks["ring"]
    lines += [
        "",
        f"α = {ring.latency * 1e6:.2g} µs, β = {ring.bandwidth / 1e9:.2g} GB/s (ring); "
        f"{measured[2]['overlap']:.0%} of a mean passes during matrix products." + _note(3, cores),
    ]
    return "\n".join(lines)


def _table_of_steps(measured: Mapping[int, Any], cores: int) -> str:
    one = measured[1]["steps"]["alone"]
    lines = [
        f"Steps of 784→{HIDDEN}→10 with a batch of {BATCH} in all, ranks of one thread:",
        "",
        "| ranks | without means | with means | cost of means | throughput | predicted |",
        "| ---: | ---: | ---: | ---: | ---: | ---: |",
        f"| 1 | {one * 1e3:.2f} ms | | | 1 × | |",
    ]
    cost = max(0.0, measured[2]["steps"]["wrapped"] - measured[2]["steps"]["alone"])
    for ranks in (2, 3):
        steps = measured[ranks]["steps"]
        alone, wrapped = steps["alone"], steps["wrapped"]
        crowd = _crowd(ranks, cores)
        # in shared memory each rank writes its gradients and reads those of all
        predicted = (one / ranks + cost * (1 + ranks) / 3) * crowd
        lines.append(
            f"| {ranks} | {alone * 1e3:.2f} ms | {wrapped * 1e3:.2f} ms | {wrapped / alone - 1:.1%}"
            f" | {one / wrapped:.2f} × | {one / predicted:.2f} × |"
        )
    return "\n".join(lines)


def _table_of_losses(losses: Mapping[str, Sequence[float]]) -> str:
    epochs = [0, 1, 4, 9, 14, 19]
    lines = [
        "Mean loss of epochs of 64→32→10 on digits, 2 ranks, by how gradients travel:",
        "",
        f"| epoch | {' | '.join(str(epoch + 1) for epoch in epochs)} |",
        f"| --- | {' | '.join('---:' for _ in epochs)} |",
    ]
    for name, values in losses.items():
        title = {"none": "float32"}.get(name, f'compress="{name}"')
        lines.append(f"| {title} | {' | '.join(f'{values[epoch]:.5f}' for epoch in epochs)} |")
    return "\n".join(lines)


def _table_of_nodes(name: str, network: Network, step: Step) -> str:
    whole = step.forward + step.backward
    strong_share = STRONG / BATCH
    rows = []
    for nodes in NODES:
        weak = step.seconds(nodes, network)
        strong = step.seconds(nodes, network, strong_share / nodes)
        rows.append(
            f"| {nodes} | {weak * 1e3:.2f} ms | {nodes * whole / weak:.4g} × "
            f"| {strong * 1e3:.2f} ms | {strong_share * whole / strong:.4g} × |"
        )
    last = stops_at(step, network, NODES, strong_share)
    return "\n".join([
        f"{name} (α = {network.latency * 1e6:.3g} µs, β = {network.bandwidth / 1e9:.3g} GB/s):",
        "",
        f"| nodes | {BATCH} per node | throughput | {STRONG} in all | throughput |",
        "| ---: | ---: | ---: | ---: | ---: |",
        *rows,
        "",
        f"With {STRONG} in all, twice as many nodes as {last} give less than 1.5 × the throughput. "
        + _why(step, network, last, strong_share),
    ])  # fmt: skip


def _why(step: Step, network: Network, nodes: int, strong_share: float) -> str:
    """What twice as many nodes wait for."""
    nodes *= 2
    compute = (step.forward + step.backward) * strong_share / nodes
    exchange = step.seconds(nodes, network, strong_share / nodes) - compute
    best = min(ALGORITHMS.values(), key=lambda mean: mean(step.nbytes, nodes, network))
    is_latency = best(0, nodes, network) > best(step.nbytes, nodes, network) / 2
    return (
        f"On {nodes} a step computes for {compute * 1e3:.2f} ms and waits for {exchange * 1e3:.2f} "
        f"ms for the means of {step.nbytes / 1e6:.1f} MB of gradients, most of it because of the "
        f"{'latency' if is_latency else 'bandwidth'} of the network."
    )


def draw(measured: Mapping[int, Any], networks: Mapping[str, Network], path: Path) -> None:
    """The throughput by the number of nodes."""
    import matplotlib as mpl
    from matplotlib.figure import Figure

    step = step_of(measured)
    whole = step.forward + step.backward
    share = STRONG / BATCH
    with mpl.rc_context({"svg.fonttype": "none", "svg.hashsalt": "needle", "font.size": 9}):
        figure = Figure(figsize=(10, 3.4), layout="constrained")
        weak, strong, training = figure.subplots(1, 3)
        colors = ["#d1495b", "#00798c", "#edae49"]
        for panel, title in ((weak, f"{BATCH} per node"), (strong, f"{STRONG} in all")):
            panel.loglog(NODES, NODES, "--", color="#8d99ae", base=2, label="ideal")
            panel.set_title(f"784→{HIDDEN}→10, batch of {title}", loc="left", fontsize=9)
            panel.set_xlabel("nodes")
            panel.spines[["top", "right"]].set_visible(False)
        for (name, network), color in zip(networks.items(), colors, strict=False):
            grows = [n * whole / step.seconds(n, network) for n in NODES]
            fixed = [share * whole / step.seconds(n, network, share / n) for n in NODES]
            weak.loglog(NODES, grows, color=color, base=2, label=name)
            strong.loglog(NODES, fixed, color=color, base=2, label=name)
        for (name, losses), color in zip(measured[2]["losses"].items(), colors, strict=True):
            title = {"none": "float32"}.get(name, name)
            line = "-" if name == "none" else "--"
            training.semilogy(range(1, len(losses) + 1), losses, line, color=color, label=title)
        training.set_title("loss by how gradients travel", loc="left", fontsize=9)
        training.set_xlabel("epoch")
        training.spines[["top", "right"]].set_visible(False)
        training.legend(frameon=False)
        weak.set_ylabel("throughput beside one node")
        weak.legend(frameon=False)
        figure.savefig(path, format="svg", metadata={"Date": None})


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure, print the tables, and write the plot if there is a folder for it."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--out", type=Path, help="folder for scaling.md and scaling.svg")
    parser.add_argument("--latency", type=float, help="of your network, in seconds")
    parser.add_argument("--bandwidth", type=float, help="of your network, in bytes per second")
    parser.add_argument("--rounds", type=int, default=5, help="of each measurement; 5 by default")
    parser.add_argument("--work", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args(arguments)
    if options.work:
        work(options.rounds)
        return
    networks = dict(NETWORKS)
    if options.latency is not None and options.bandwidth is not None:
        networks = {"Your network": Network(options.latency, options.bandwidth)}
    cores = (
        len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    )
    measured = {ranks: run(ranks, options.rounds) for ranks in (1, 2, 3)}
    text = report(measured, networks, cores)
    print(text)
    if options.out is not None:
        options.out.mkdir(parents=True, exist_ok=True)
        (options.out / "scaling.md").write_text(text + "\n", encoding="utf-8")
        draw(measured, networks, options.out / "scaling.svg")


if __name__ == "__main__":
    main()
