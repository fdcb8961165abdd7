"""What it costs to have a library: the time of its import and the size of its installation."""

import importlib.metadata
import importlib.util
import re
import statistics
import subprocess
import sys
import tomllib
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from .contenders import CONTENDERS

__all__ = ["import_seconds", "installed_bytes", "measure"]

IMPORTS = 7


def measure(contenders: Iterable[str]) -> dict[str, Any]:
    """Import time, own size and size with all dependencies of the contenders' libraries."""
    installed = [CONTENDERS[name] for name in contenders if CONTENDERS[name].is_installed()]
    libraries = {each.module: each.distribution for each in installed}
    seconds: dict[str, list[float]] = {module: [] for module in libraries}
    for _ in range(1 + IMPORTS):  # in turns, so that a busy moment of the machine hits all alike
        for module, samples in seconds.items():
            samples.append(import_seconds(module))
    return {
        module: {
            # the first import reads the files from the disk
            "import_seconds": statistics.median(seconds[module][1:]),
            "own_bytes": installed_bytes(distribution, with_dependencies=False),
            "total_bytes": installed_bytes(distribution, with_dependencies=True),
        }
        for module, distribution in libraries.items()
    }


def import_seconds(module: str) -> float:
    """Seconds that `import module` takes in a fresh Python."""
    code = f"from time import perf_counter as t; s = t(); import {module}; print(t() - s)"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, check=True)
    return float(run.stdout)


def installed_bytes(distribution: str, with_dependencies: bool) -> int:
    """The size of a distribution's files; compiled bytecode, which Python makes itself, aside."""
    pending, seen, total = [distribution], set(), 0
    while pending:
        name = re.sub(r"[-_.]+", "-", pending.pop()).lower()
        if name not in seen:
            seen.add(name)
            files, requirements = _contents(name)
            total += sum(path.stat().st_size for path in files)
            pending += requirements if with_dependencies else []
    return total


def _contents(distribution: str) -> tuple[set[Path], list[str]]:
    """The files of a distribution and the names of those it needs; nothing if not installed."""
    if distribution == "needle-dl":
        return _needle_contents()
    try:
        found = importlib.metadata.distribution(distribution)
    except importlib.metadata.PackageNotFoundError:  # for another system, or of an extra
        return set(), []
    paths = {Path(str(found.locate_file(file))).resolve() for file in found.files or ()}
    files = {path for path in paths if path.is_file() and path.suffix != ".pyc"}
    return files, _names(found.requires or ())


def _needle_contents() -> tuple[set[Path], list[str]]:
    """The package that is imported, which in a checkout is not what pip installed."""
    spec = importlib.util.find_spec("needle")
    assert spec is not None
    assert spec.origin is not None
    package = Path(spec.origin).parent
    files = {path for path in package.rglob("*") if path.is_file() and path.suffix != ".pyc"}
    project = package.parent / "pyproject.toml"
    if project.exists():
        return files, _names(tomllib.loads(project.read_text())["project"]["dependencies"])
    return files, _names(importlib.metadata.requires("needle-dl") or ())


def _names(requirements: Iterable[str]) -> list[str]:
    """The names in requirements, without those that only an extra needs."""
    required = (requirement for requirement in requirements if "extra ==" not in requirement)
    return [re.split(r"[^\w.-]", requirement, maxsplit=1)[0] for requirement in required]
