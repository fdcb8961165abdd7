"""Tables, from results that are made up."""

import pytest

from benchmarks import chart, footprint, report

ROW = {
    "median_seconds": 2e-4,
    "quartiles_seconds": [1.9e-4, 2.11e-4],
    "samples_seconds": [2e-4],
    "peak_memory_bytes": 30 * 2**20,
    "import_memory_bytes": 20 * 2**20,
    "step_memory_bytes": 2**20,
}
RESULT = {
    "title": "a title",
    "contenders": {
        "needle": ROW | {"ratio_to_needle": 1.0},
        "torch": ROW
        | {
            "median_seconds": 2.5e-3,
            "quartiles_seconds": [2.4e-3, 2.75e-3],
            "ratio_to_needle": 12.5,
        },
    },
    "skipped": {"mygrad": "not installed"},
}


def test_a_table():
    lines = report.workload_table("mlp", RESULT).splitlines()
    assert lines[0] == "**mlp**: a title"
    assert lines[4] == "| needle | 200 µs (190–211) | 1.00 | 30 MiB | 1.0 MiB |"
    assert lines[5].startswith("| PyTorch eager | 2.50 ms (2.40–2.75) | 12.50 |")
    assert lines[7] == "needle takes 0.08 × PyTorch eager."
    assert lines[-1] == "Skipped MyGrad: not installed."


def test_a_busy_machine_is_reported():
    busy = ROW | {"quartiles_seconds": [1.8e-4, 2.3e-4]}
    table = report.workload_table("mlp", RESULT | {"contenders": {"needle": ROW, "numpy": busy}})
    assert "Unsteady: the quartiles of NumPy by hand are more than 20% of the median" in table
    assert "Unsteady" not in report.workload_table("mlp", RESULT)


def test_a_table_without_needle_has_no_ratios():
    lines = report.workload_table("mlp", RESULT | {"contenders": {"numpy": ROW}}).splitlines()
    assert "| NumPy by hand | 200 µs (190–211) |  | 30 MiB | 1.0 MiB |" in lines
    assert not any("needle takes" in line for line in lines)


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(2.5e-5, "25.0 µs"), (4e-7, "0.40 µs"), (0.0123, "12.3 ms"), (0.5, "500 ms"), (3, "3.00 s")],
)
def test_units_of_time(seconds, text):
    rows = {"numpy": ROW | {"median_seconds": seconds}}
    assert f"| {text} (" in report.workload_table("mlp", RESULT | {"contenders": rows})


def test_the_same_results_draw_the_same_chart(tmp_path):
    pytest.importorskip("matplotlib")
    for name in ("one.svg", "two.svg"):
        chart.draw({"workloads": {"mlp": RESULT, "again": RESULT}}, tmp_path / name)
    drawing = (tmp_path / "one.svg").read_text()
    assert drawing == (tmp_path / "two.svg").read_text()
    assert drawing.count("PyTorch eager") == 2


def test_sizes_and_imports():
    own = footprint.installed_bytes("needle-dl", with_dependencies=False)
    numpy_bytes = footprint.installed_bytes("numpy", with_dependencies=True)
    assert 10_000 < own <= 2_000_000
    assert footprint.installed_bytes("needle-dl", with_dependencies=True) > own + numpy_bytes
    assert footprint.installed_bytes("no-such-library", with_dependencies=True) == 0
    assert 0 < footprint.import_seconds("json") < 5
