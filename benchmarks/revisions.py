"""Other revisions of needle as contenders: an earlier state of the code beside today's."""

import io
import subprocess
import tarfile
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from .workload import BenchmarkError

__all__ = ["SLOWER", "Revision", "check_out", "compare"]

ROOT = Path(__file__).parents[1]
SLOWER = 0.03  # how much more time than the other revision is still called the same


@dataclass(frozen=True)
class Revision:
    """The package `needle` as it was at a commit.

    Attributes:
        name: what reports call it.
        commit: the commit's hash.
        folder: contains the package; a worker imports it from there.
    """

    name: str
    commit: str
    folder: Path


@contextmanager
def check_out(names: Sequence[str], repository: Path = ROOT) -> Iterator[list[Revision]]:
    """The revisions with these names (branches, tags, hashes), in temporary folders.

    The working tree, the index and the list of worktrees stay as they are.

    Raises:
        BenchmarkError: there is no such commit, or no repository.
    """
    with tempfile.TemporaryDirectory(prefix="needle-revisions-") as parent:
        revisions = []
        for name in dict.fromkeys(names):
            reference = ["--verify", "--quiet", "--end-of-options", f"{name}^{{commit}}"]
            commit = _git(repository, f"no commit {name!r}", "rev-parse", *reference)
            commit = commit.decode().strip()
            archive = _git(repository, f"no needle/ in {name}", "archive", commit, "needle")
            folder = Path(parent, commit)
            with tarfile.open(fileobj=io.BytesIO(archive)) as files:
                files.extractall(folder, filter="data")
            revisions.append(Revision(f"needle at {name}", commit, folder))
        yield revisions


def _git(repository: Path, problem: str, *arguments: str) -> bytes:
    command = ["git", "-C", str(repository), *arguments]
    try:
        return subprocess.run(command, capture_output=True, check=True).stdout
    except FileNotFoundError:
        raise BenchmarkError("another revision needs git, which is not installed") from None
    except subprocess.CalledProcessError as error:
        details = error.stderr.decode(errors="replace").strip()
        message = f"{problem} in the repository {repository}"
        raise BenchmarkError(f"{message}: {details}" if details else message) from None


def compare(new: Sequence[float], old: Sequence[float]) -> dict[str, Any]:
    """Times of today's code relative to another revision's, sample by sample of one round each.

    Both samples of a round were taken within a second, so that a change in the machine's load
    between rounds cancels. The verdict is that of the median ratio; it is open where the median
    says slower but more than a quarter of the rounds do not.
    """
    low, median, high = np.quantile(np.divide(new, old), [0.25, 0.5, 0.75])
    if median <= 1 + SLOWER:
        verdict = f"within {SLOWER:.0%}"
    elif low > 1 + SLOWER:
        verdict = f"slower by more than {SLOWER:.0%}"
    else:
        verdict = "not clear: measure more rounds on a quiet machine"
    return {
        "ratio_of_medians": float(np.median(new) / np.median(old)),
        "ratio_by_round": float(median),
        "quartiles_by_round": [float(low), float(high)],
        "verdict": verdict,
    }
