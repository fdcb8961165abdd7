"""python -m benchmarks.scaling: its model, and its report of given measurements."""

import json

import pytest

from benchmarks import scaling
from benchmarks.scaling_model import Network, Step, fitted, ring, stops_at, tree

NETWORK = Network(latency=1e-5, bandwidth=1e9)


def test_formulas():
    assert ring(1e6, 2, NETWORK) == pytest.approx(2e-5 + 1e-3)
    assert ring(1e6, 4, NETWORK) == pytest.approx(6e-5 + 1.5e-3)
    assert tree(1e6, 2, NETWORK) == pytest.approx(1e-5 + 1e-3)
    assert tree(1e6, 3, NETWORK) == pytest.approx(2e-5 + 2e-3)
    assert ring(1e8, 64, NETWORK) < tree(1e8, 64, NETWORK)
    assert ring(8, 64, NETWORK) > tree(8, 64, NETWORK)


@pytest.mark.parametrize("algorithm", ["ring", "tree"])
def test_fit(algorithm):
    function = {"ring": ring, "tree": tree}[algorithm]
    network = fitted({n: function(n, 2, NETWORK) for n in (64, 1024, 10**6)}, algorithm)
    assert network.latency == pytest.approx(1e-5)
    assert network.bandwidth == pytest.approx(1e9)


def test_step():
    step = Step(forward=1e-3, backward=2e-3, nbytes=2_000_000, last=1_000_000, overlap=1.0)
    assert step.seconds(1, NETWORK) == pytest.approx(3e-3)
    mean = tree(1e6, 2, NETWORK)  # of each half
    assert step.seconds(2, NETWORK) == pytest.approx(3e-3 + mean)  # one is hidden
    assert step.seconds(2, NETWORK, share=0.1) == pytest.approx(0.3e-3 + 2 * mean - 0.2e-3)
    exposed = Step(1e-3, 2e-3, 2_000_000, 1_000_000, overlap=0.0)
    assert exposed.seconds(2, NETWORK) == pytest.approx(3e-3 + 2 * mean)
    numbers = [1, 2, 4, 8, 16, 32]
    assert stops_at(step, NETWORK, numbers, batch=1.0) == 1
    assert stops_at(step, Network(1e-9, 1e15), numbers, batch=1.0) == 32
    assert 1 < stops_at(step, NETWORK, numbers, batch=16.0) < 32


MEASURED = {
    1: {"steps": {"alone": 30e-3, "wrapped": 30e-3, "forward": 10e-3}},
    2: {
        "steps": {"alone": 16e-3, "wrapped": 17e-3, "forward": 5e-3},
        "means": {n: ring(n, 2, NETWORK) for n in scaling.SIZES},
        "overlap": 0.5,
        "losses": {name: [1 / n for n in range(1, 21)] for name in ("none", "float16", "bfloat16")},
    },
    3: {
        "steps": {"alone": 16e-3, "wrapped": 18e-3, "forward": 5e-3},
        "means": {n: ring(n, 3, NETWORK) for n in scaling.SIZES},
        "overlap": 0.5,
    },
}


def test_report():
    text = scaling.report(MEASURED, scaling.NETWORKS, cores=4)
    assert "α = 10 µs, β = 1 GB/s (ring); 50% of a mean" in text
    (row,) = [line for line in text.splitlines() if line.startswith("| 4194304 |")]
    _, _, measured, by_ring, _ = map(float, row.strip("| ").split(" | ")[1:])
    assert measured == pytest.approx(by_ring, rel=1e-3)
    assert "| 2 | 16.00 ms | 17.00 ms | 6.2% | 1.76 × | 1.88 × |" in text
    assert '| compress="float16" | 1.00000 | 0.50000 | 0.20000 | 0.10000 |' in text
    assert "| 1024 |" in text
    assert "their predictions" not in text
    crowded = scaling.report(MEASURED, scaling.NETWORKS, cores=2)
    assert "all wait for the core that has 2 of them" in crowded
    # two thirds of 30 ms, and 4/3 of the ms that means cost two ranks, twice
    assert "| 3 | 16.00 ms | 18.00 ms | 12.5% | 1.67 × | 1.32 × |" in crowded
    assert "| 3 | 16.00 ms | 18.00 ms | 12.5% | 1.67 × | 2.65 × |" in text


def test_command_line(monkeypatch, tmp_path, capsys):
    monkeypatch.setattr(scaling, "run", lambda ranks, rounds: MEASURED[ranks])
    pytest.importorskip("matplotlib")
    scaling.main(["--out", str(tmp_path)])
    assert (tmp_path / "scaling.md").read_text(encoding="utf-8") == capsys.readouterr().out
    assert "InfiniBand" in (tmp_path / "scaling.svg").read_text(encoding="utf-8")
    scaling.main(["--latency", "1e-3", "--bandwidth", "1e6"])
    assert "Your network (α = 1e+03 µs, β = 0.001 GB/s):" in capsys.readouterr().out


def test_one_rank_measures_its_steps(monkeypatch, capsys):
    monkeypatch.setattr(scaling, "HIDDEN", 10)
    monkeypatch.setattr(scaling, "BATCH", 10)
    scaling.main(["--work", "--rounds", "1"])
    steps = json.loads(capsys.readouterr().out)["steps"]
    assert 0 < steps["forward"] < 1
