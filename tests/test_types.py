"""Type checkers see the names of needle and the operands and parameters of its functions."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
SNIPPET = ROOT / "tests" / "checked_types.py"  # in which each line that is wrong says so


def run(*command: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", *command], cwd=ROOT, capture_output=True, text=True, check=False
    )


def test_mypy() -> None:
    pytest.importorskip("mypy")
    result = run("mypy", "--no-error-summary", str(SNIPPET))
    assert (result.stdout, result.returncode) == ("", 0)


def test_mypy_names_what_needle_lacks(tmp_path: Path) -> None:
    pytest.importorskip("mypy")
    file = tmp_path / "program.py"
    file.write_text("import needle as ndl\nndl.expp(ndl.Tensor([1.0]))\n")
    result = run("mypy", "--no-error-summary", str(file))
    assert 'Module has no attribute "expp"' in result.stdout


def test_pyright(tmp_path: Path) -> None:
    pytest.importorskip("pyright")
    settings = {
        "include": [str(SNIPPET)],
        "extraPaths": [str(ROOT)],
        "reportUnnecessaryTypeIgnoreComment": "error",
    }
    (tmp_path / "pyrightconfig.json").write_text(json.dumps(settings))
    result = run("pyright", "--outputjson", "--project", str(tmp_path))
    found = json.loads(result.stdout)["generalDiagnostics"]
    assert [(each["range"]["start"]["line"] + 1, each["message"]) for each in found] == []
