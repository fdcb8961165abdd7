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


def test_pyright_sees_the_signature_of_every_function(tmp_path: Path) -> None:
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
    settings = {"include": ["program.py"], "extraPaths": [str(ROOT)]}
    (tmp_path / "pyrightconfig.json").write_text(json.dumps(settings))
    result = run("pyright", "--outputjson", "--project", str(tmp_path))
    found = [each["message"] for each in json.loads(result.stdout)["generalDiagnostics"]]
    assert len(found) == len(names) > 150
    # a function of a function may return one with any arguments, but not a Tensor
    assert [
        each for each in found if not each.startswith("Type of") or "(...) -> Tensor" in each
    ] == []


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


def test_type_checkers_know_all_synonyms_of_parameters() -> None:
    calls = [
        node
        for node in ast.walk(ast.parse(textwrap.dedent(inspect.getsource(AnyName))))
        if isinstance(node, ast.FunctionDef)
    ]
    keywords = {argument.arg for argument in calls[-1].args.kwonlyargs}
    assert keywords == {name for group in SYNONYMS for name in group}
