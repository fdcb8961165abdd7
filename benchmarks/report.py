"""What a run says: a Markdown table a workload, and `results.json`."""

import importlib.util
import json
import platform
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from . import chart
from .contenders import CONTENDERS, title, usable_cores

__all__ = [
    "footprint_table",
    "machine",
    "markdown",
    "revision_table",
    "versions",
    "workload_table",
    "write",
]

STEADY = 0.2  # quartiles further apart, relative to the median, come from other processes


def machine() -> dict[str, Any]:
    """The computer and the Python that measure."""
    blas = np.show_config(mode="dicts")["Build Dependencies"].get("blas", {})
    return {
        "cpu": _cpu_name(),
        "cores": len(usable_cores()),
        "system": platform.platform(),
        "python": platform.python_version(),
        "numpy_blas": f"{blas.get('name', 'BLAS')} {blas.get('version', 'unknown')}",
    }


def _cpu_name() -> str:
    information = Path("/proc/cpuinfo")
    if information.exists():
        for line in information.read_text().splitlines():
            if line.startswith("model name"):
                return line.split(":", 1)[1].strip()
    return platform.processor() or platform.machine()


def versions() -> dict[str, str]:
    """The version of every library that is installed."""
    installed = [contender for contender in CONTENDERS.values() if contender.is_installed()]
    return {contender.distribution: contender.version() for contender in installed}


def markdown(results: Mapping[str, Any]) -> str:
    """The whole report."""
    computer, packages = results["machine"], results["versions"]
    names = ", ".join(f"{name} {version}" for name, version in packages.items())
    parts = [
        f"`{results['command']}`: {computer['cpu']}, {computer['cores']} cores, "
        f"{results['threads']} threads, Python {computer['python']}, {computer['numpy_blas']}; "
        f"{names}. "
        f"Median of {results['rounds']} rounds, quartiles in brackets."
    ]
    parts += _about_kernels(results["kernel_settings"])
    parts += [workload_table(name, result) for name, result in results["workloads"].items()]
    parts += [revision_table(name, results) for name in results["revisions"]]
    if results["footprint"]:
        parts.append(footprint_table(results["footprint"]))
    return "\n\n".join(parts) + "\n"


def _about_kernels(settings: Mapping[str, Any]) -> list[str]:
    """What became of settings that would have one library compute as for another processor."""
    found = ", ".join(f"`{name}={value}`" for name, value in settings["found"].items())
    if not found:
        return []
    if settings["kept"]:
        return [f"The environment set {found}, which slow down the libraries that read them."]
    return [f"Taken out of the environment, because they slow down one library only: {found}."]


def workload_table(name: str, result: Mapping[str, Any]) -> str:
    """One workload: time, ratio to needle and memory of every contender."""
    lines = [
        f"**{name}**: {result['title']}",
        "",
        "| | time of a step | ÷ needle | peak memory | of it for steps |",
        "|---|---|---|---|---|",
    ]
    for contender, row in result["contenders"].items():
        median = row["median_seconds"]
        low, high = row["quartiles_seconds"]
        ratio = row.get("ratio_to_needle")
        cells = [
            title(contender),
            f"{_time(median)} ({_time(low, median)}–{_time(high, median)})",
            "" if ratio is None else f"{ratio:.2f}",
            f"{row['peak_memory_bytes'] / 2**20:.0f} MiB",
            f"{row['step_memory_bytes'] / 2**20:.1f} MiB",
        ]
        lines.append(f"| {' | '.join(cells)} |")
    lines += _needle_sentence(result["contenders"])
    unsteady = [title(key) for key, row in result["contenders"].items() if _spread(row) > STEADY]
    if unsteady:
        lines += [
            "",
            f"Unsteady: the quartiles of {', '.join(unsteady)} are more than {STEADY:.0%} of the "
            "median apart. The machine was busy; run this again when it is not.",
        ]
    skipped = result["skipped"].items()
    lines += ["", *(f"Skipped {title(key)}: {reason}." for key, reason in skipped)]
    return "\n".join(lines).rstrip()


def _spread(row: Mapping[str, Any]) -> float:
    low, high = row["quartiles_seconds"]
    return (high - low) / row["median_seconds"]


def _needle_sentence(rows: Mapping[str, Any]) -> list[str]:
    ratios = [
        f"{1 / row['ratio_to_needle']:.2f} × {title(key)}"
        for key, row in rows.items()
        if key != "needle" and row.get("ratio_to_needle")
    ]
    return ["", f"needle takes {', '.join(ratios)}."] if ratios else []


def _time(seconds: float, like: float | None = None) -> str:
    """Three digits in the unit of `like`; that unit is written only where `like` is not given."""
    scale = seconds if like is None else like
    factor, unit = (1, "s") if scale >= 1 else (1e3, "ms") if scale >= 1e-3 else (1e6, "µs")
    number = seconds * factor
    digits = 2 if number < 10 else 1 if number < 100 else 0
    return f"{number:.{digits}f}" + (f" {unit}" if like is None else "")


def revision_table(revision: str, results: Mapping[str, Any]) -> str:
    """Today's needle against another revision, a row a workload."""
    lines = [
        f"**needle against {revision}** ({results['revisions'][revision][:12]}), time of a step:",
        "",
        "| | then | now | now ÷ then | by round (quartiles) | |",
        "|---|---|---|---|---|---|",
    ]
    for name, workload in results["workloads"].items():
        now = workload["contenders"]["needle"]["median_seconds"]
        if revision in workload["skipped"]:
            absent = revision.removeprefix("needle ")
            lines.append(f"| {name} | | {_time(now)} | | | not {absent} |")
            continue
        then = workload["contenders"][revision]["median_seconds"]
        comparison = workload["revisions"][revision]
        low, high = comparison["quartiles_by_round"]
        cells = [
            name,
            _time(then),
            _time(now),
            f"{comparison['ratio_of_medians']:.3f}",
            f"{comparison['ratio_by_round']:.3f} ({low:.3f}–{high:.3f})",
            comparison["verdict"],
        ]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def footprint_table(footprint: Mapping[str, Any]) -> str:
    """Import time and installed size of every library."""
    lines = [
        "| | import time | installed size | with dependencies |",
        "|---|---|---|---|",
    ]
    for name, row in footprint.items():
        own, total = (row[key] / 1e6 for key in ("own_bytes", "total_bytes"))
        lines.append(
            f"| {name} | {row['import_seconds'] * 1e3:.0f} ms | {own:.1f} MB | {total:.0f} MB |"
        )
    return "\n".join(lines)


def write(results: Mapping[str, Any], folder: Path) -> None:
    """Write `report.md`, `results.json` and, where matplotlib is installed, `chart.svg`."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "report.md").write_text(markdown(results))
    (folder / "results.json").write_text(json.dumps(results, indent=2) + "\n")
    if importlib.util.find_spec("matplotlib"):
        chart.draw(results, folder / "chart.svg")
    else:
        print("No chart: pip install matplotlib", file=sys.stderr)
