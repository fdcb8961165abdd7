"""Type checkers see the names of needle and the operands and parameters of its functions."""

import ast
import inspect
import json
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

import needle
from needle.ops.names import SYNONYMS, AnyName

ROOT = Path(__file__).parents[1]
SNIPPET = ROOT / "tests" / "checked_types.py"  # in which each line that is wrong says so


def run(*command: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", *command], cwd=ROOT, capture_output=True, text=True, check=False
    )


def test_mypy(tmp_path: Path) -> None:
    pytest.importorskip("mypy")
    program = tmp_path / "program.py"
    program.write_text("import needle as ndl\nndl.expp(ndl.Tensor([1.0]))\n")
    # a cache of its own: the one of the project may be written to at the same time
    options = ["--no-error-summary", f"--cache-dir={tmp_path / 'cache'}"]
    found = run("mypy", *options, str(SNIPPET), str(program)).stdout.splitlines()
    assert [line for line in found if not line.startswith(str(program))] == []
    (error,) = found
    assert 'Module has no attribute "expp"' in error


def test_pyright(tmp_path: Path) -> None:
    """It sees the signature of every function, and no error where there is none."""
    pytest.importorskip("pyright")
    modules = [needle, needle.nn.functional, needle.nn.init, needle.linalg]
    names = [
        f"{module.__name__}.{name}"
        for module in modules
        for name in module.__all__
        if inspect.isroutine(getattr(module, name))
    ]
    imports = [f"import {module.__name__}" for module in modules]
    (tmp_path / "program.py").write_text(
        "\n".join([*imports, *(f"reveal_type({name})" for name in names)])
    )
    settings = {
        "include": ["program.py", str(SNIPPET)],
        "extraPaths": [str(ROOT)],
        "reportUnnecessaryTypeIgnoreComment": "error",
    }
    (tmp_path / "pyrightconfig.json").write_text(json.dumps(settings))
    result = run("pyright", "--outputjson", "--project", str(tmp_path))
    notes = json.loads(result.stdout)["generalDiagnostics"]
    types = [note["message"] for note in notes if Path(note["file"]).name == "program.py"]
    errors = [note for note in notes if Path(note["file"]).name != "program.py"]
    assert [(each["range"]["start"]["line"] + 1, each["message"]) for each in errors] == []
    assert len(types) == len(names) > 150
    # a function of a function may return one with any arguments, but not a Tensor
    assert [
        each for each in types if not each.startswith("Type of") or "(...) -> Tensor" in each
    ] == []


def test_type_checkers_know_all_synonyms_of_parameters() -> None:
    calls = [
        node
        for node in ast.walk(ast.parse(textwrap.dedent(inspect.getsource(AnyName))))
        if isinstance(node, ast.FunctionDef)
    ]
    keywords = {argument.arg for argument in calls[-1].args.kwonlyargs}
    assert keywords == {name for group in SYNONYMS for name in group}
