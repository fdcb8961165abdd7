"""python -m benchmarks: see README.md beside this file."""

import argparse
import datetime
import os
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from . import footprint, report
from .contenders import CONTENDERS, KERNEL_SETTINGS, thread_settings, usable_cores
from .harness import profile_workload, run_workload
from .revisions import Revision, check_out
from .workload import BenchmarkError, Workload, find_workloads


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; 0 if there is a report, 1 if the run refuses to give one."""
    arguments = sys.argv[1:] if arguments is None else list(arguments)
    workloads = find_workloads()
    options = _parser(list(workloads)).parse_args(arguments)
    os.environ.update(thread_settings(options.threads))
    kernel_settings = _kernel_settings(remove=not options.keep_kernel_settings)
    try:
        with check_out(options.against) as revisions:
            if options.profile:
                _profile(options, workloads[options.profile], revisions)
                return 0
            results = _measure(arguments, options, workloads, revisions, kernel_settings)
    except BenchmarkError as error:
        print(f"No report: {error}", file=sys.stderr)
        return 1
    print(report.markdown(results))
    if options.out:
        report.write(results, options.out)
        print(f"Written to {options.out}", file=sys.stderr)
    return 0


def _kernel_settings(remove: bool) -> dict[str, str]:
    """Those of `KERNEL_SETTINGS` that are set in this process and those it starts."""
    found = {name: os.environ[name] for name in KERNEL_SETTINGS if name in os.environ}
    for name in found if remove else ():
        del os.environ[name]
    return found


def _profile(
    options: argparse.Namespace, workload: Workload, revisions: Sequence[Revision]
) -> None:
    """Print the profile of today's needle, then those of the other revisions."""
    print(profile_workload(options.profile, workload, options.threads))
    for revision in revisions:
        print(f"\n{revision.name}:")
        print(profile_workload(options.profile, workload, options.threads, revision))


def _measure(
    arguments: Sequence[str],
    options: argparse.Namespace,
    workloads: Mapping[str, Workload],
    revisions: Sequence[Revision],
    kernel_settings: Mapping[str, str],
) -> dict[str, Any]:
    """What `results.json` holds."""
    chosen = {*(options.contender or CONTENDERS), *(["needle"] if revisions else [])}
    contenders = [name for name in CONTENDERS if name in chosen]
    results: dict[str, Any] = {
        "command": " ".join(["python -m benchmarks", *arguments]),
        "date": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        "machine": report.machine(),
        "versions": report.versions(),
        "threads": options.threads,
        "kernel_settings": {"kept": options.keep_kernel_settings, "found": kernel_settings},
        "rounds": options.rounds,
        "revisions": {revision.name: revision.commit for revision in revisions},
        "workloads": {},
    }
    for name in options.workload or workloads:
        print(f"{name} ...", file=sys.stderr, flush=True)
        results["workloads"][name] = run_workload(
            name, workloads[name], contenders, options.rounds, options.threads, revisions
        )
    results["footprint"] = footprint.measure(contenders)
    return results


def _parser(workloads: list[str]) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser("python -m benchmarks", description="Measure needle.")
    add = parser.add_argument
    add("--workload", action="append", choices=workloads, help="may be repeated; default: all")
    add("--contender", action="append", choices=CONTENDERS, help="may be repeated; default: all")
    add(
        "--against",
        action="append",
        default=[],
        metavar="REV",
        help="needle at this git revision as one more contender; may be repeated",
    )
    add("--rounds", type=_positive, default=20, help="turns of each contender (%(default)s)")
    cores = len(usable_cores())
    add("--threads", type=_positive, default=cores, help="for all alike (%(default)s)")
    add(
        "--keep-kernel-settings",
        action="store_true",
        help="leave variables like OPENBLAS_CORETYPE, which slow one library down, as they are",
    )
    add("--out", type=Path, help="folder for report.md, results.json and chart.svg")
    add("--profile", choices=workloads, help="instead: where needle's time goes in this workload")
    return parser


def _positive(text: str) -> int:
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError(f"must be 1 or more, got {number}")
    return number


if __name__ == "__main__":
    sys.exit(main())
