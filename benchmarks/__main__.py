"""python -m benchmarks: see README.md beside this file."""

import argparse
import datetime
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from . import footprint, report
from .contenders import CONTENDERS, thread_settings
from .harness import BenchmarkError, profile_workload, run_workload
from .workload import find_workloads


def main(arguments: Sequence[str] | None = None) -> int:
    workloads = find_workloads()
    options = _parser(list(workloads)).parse_args(arguments)
    os.environ.update(thread_settings(options.threads))
    if options.profile:
        print(profile_workload(options.profile, workloads[options.profile], options.threads))
        return 0
    contenders = [name for name in CONTENDERS if name in (options.contender or CONTENDERS)]
    results: dict[str, Any] = {
        "command": " ".join(["python -m benchmarks", *(arguments or sys.argv[1:])]),
        "date": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        "machine": report.machine(),
        "versions": report.versions(),
        "threads": options.threads,
        "rounds": options.rounds,
        "workloads": {},
    }
    try:
        for name in options.workload or workloads:
            print(f"{name} ...", file=sys.stderr, flush=True)
            results["workloads"][name] = run_workload(
                name, workloads[name], contenders, options.rounds, options.threads
            )
        results["footprint"] = footprint.measure(contenders)
    except BenchmarkError as error:
        print(f"No report: {error}", file=sys.stderr)
        return 1
    print(report.markdown(results))
    if options.out:
        report.write(results, options.out)
        print(f"Written to {options.out}", file=sys.stderr)
    return 0


def _parser(workloads: list[str]) -> argparse.ArgumentParser:
    usable = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    parser = argparse.ArgumentParser("python -m benchmarks", description="Measure needle.")
    add = parser.add_argument
    add("--workload", action="append", choices=workloads, help="may be repeated; default: all")
    add("--contender", action="append", choices=CONTENDERS, help="may be repeated; default: all")
    add("--rounds", type=int, default=20, help="turns of each contender (default: %(default)s)")
    add("--threads", type=int, default=usable, help="for all alike (default: %(default)s)")
    add("--out", type=Path, help="folder for report.md, results.json and chart.svg")
    add("--profile", choices=workloads, help="instead: where needle's time goes in this workload")
    return parser


if __name__ == "__main__":
    sys.exit(main())
