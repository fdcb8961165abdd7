"""Runs the programs in turn until the time is over, and prints what they tried and found."""

import argparse
import sys
import time
import traceback
from collections import Counter, defaultdict

import numpy as np

from . import checked, programs

TURN = 20.0  # seconds that a program has before the next one has its turn


def main() -> int:
    known = programs()
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description=__doc__)
    parser.add_argument("--minutes", type=float, default=1, help="how long (default 1)")
    parser.add_argument("--seed", type=int, help="of all programs (default: drawn)")
    parser.add_argument("--only", choices=known, metavar="NAME", help=", ".join(known))
    parser.add_argument("--case", type=int, metavar="SEED", help="try this case again, with --only")
    options = parser.parse_args()
    if options.case is not None:
        if options.only is None:
            parser.error("--case needs --only")
        print(dict(checked(known[options.only].case, options.case)))
        return 0
    chosen = {name: known[name] for name in known if options.only in (None, name)}
    seed = np.random.SeedSequence().entropy % 2**32 if options.seed is None else options.seed
    print(f"seed {seed}, {options.minutes:g} minutes, programs: {', '.join(chosen)}", flush=True)
    begin = time.monotonic()
    end = begin + 60 * options.minutes
    rngs = dict(zip(chosen, np.random.default_rng(seed).spawn(len(chosen)), strict=True))
    counts: dict[str, Counter[str]] = defaultdict(Counter)
    while time.monotonic() < end:
        for name, program in chosen.items():
            start = time.monotonic()
            turn = min(start + TURN, start + (end - begin) / len(chosen), end)
            try:
                found = program.run(rngs[name], lambda turn=turn: time.monotonic() >= turn)
            except AssertionError:
                traceback.print_exc()
                counts[name]["FINDINGS"] += 1
            else:
                counts[name].update(found)
            counts[name]["seconds"] += round(time.monotonic() - start)
    for name, found in counts.items():
        print(f"{name}: {', '.join(f'{count:,} {kind}' for kind, count in sorted(found.items()))}")
    findings = sum(found["FINDINGS"] for found in counts.values())
    print(f"{(time.monotonic() - begin) / 60:.1f} minutes, {findings} findings")
    return 1 if findings else 0


if __name__ == "__main__":
    sys.exit(main())
