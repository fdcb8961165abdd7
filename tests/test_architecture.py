"""docs/architecture.md agrees with the code: files, line counts, floors, the protocol of ops."""

import ast
import importlib.util
import re
from pathlib import Path

import numpy as np
import pytest

import needle

ROOT = Path(__file__).parents[1]
PAGE = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
TOLERANCE = 0.1
PATH = re.findall(r"^\| (\d+) \| \[([\w/.]+)\]\(\.\./([\w/.]+)\) \| (\d+) \|", PAGE, re.MULTILINE)


def section(title: str) -> str:
    return PAGE.split(f"\n## {title}\n")[1].split("\n## ")[0]


def count_lines(path: Path) -> int:
    return len(path.read_text(encoding="utf-8").splitlines())


def is_rounded(stated: int, lines: int) -> bool:
    return abs(stated - lines) <= max(10, TOLERANCE * lines)


@pytest.mark.parametrize(("name", "stated"), [(name, int(count)) for _, name, _, count in PATH])
def test_files_have_the_lines_that_the_path_states(name, stated):
    lines = count_lines(ROOT / name)
    assert is_rounded(stated, lines), (
        f"docs/architecture.md: {name} has {lines} lines, not {stated}"
    )


def test_the_path_has_fifteen_files_in_order():
    assert [int(number) for number, *_ in PATH] == list(range(1, 16))
    assert all(shown == linked for _, shown, linked, _ in PATH)
    assert len({name for _, name, *_ in PATH}) == 15


def test_the_sum_is_stated():
    stated = int(re.search(r"some ([\d,]+) lines in all", PAGE).group(1).replace(",", ""))
    lines = sum(count_lines(ROOT / name) for _, name, *_ in PATH)
    assert is_rounded(stated, lines), f"docs/architecture.md: {lines} lines in all, not {stated}"


def test_rounding():
    assert is_rounded(20, 30)
    assert not is_rounded(20, 31)
    assert is_rounded(200, 182)
    assert is_rounded(200, 222)
    assert not is_rounded(200, 181)
    assert not is_rounded(200, 223)


def test_named_files_exist():
    links = re.findall(r"\]\(\.\./([^)]+)\)", PAGE)
    named = re.findall(r"`((?:needle|tests|benchmarks|examples)/[\w/.]*)`", PAGE)
    assert len(named) > 30
    assert [name for name in links + named if not (ROOT / name).exists()] == []


def layering():
    specification = importlib.util.spec_from_file_location(
        "layering", ROOT / "tests" / "test_layering.py"
    )
    module = importlib.util.module_from_spec(specification)
    specification.loader.exec_module(module)
    return module


def test_the_picture_shows_the_floors():
    picture = re.search(r"```mermaid\n(.*?)```", PAGE, re.DOTALL).group(1)
    floors = {name: allowed for name, allowed in layering().FLOORS.items() if name[0] != "_"}
    drawn = set(re.findall(r"^ +(\w+)\[", picture, re.MULTILINE)) - {"examples"}
    assert drawn == set(floors)
    arrows = re.findall(r"^ +(\w+)(?:\[.*\])? --> (\w+)$", picture, re.MULTILINE)
    reached = {name: {to for start, to in arrows if start == name} for name in floors}
    for _ in floors:  # what is imported through another floor may be imported directly, too
        for targets in reached.values():
            targets.update(*(reached[target] for target in list(targets)))
    for name, allowed in floors.items():
        assert {*allowed} - reached[name] == set(), f"{name}: not drawn"
        assert all(target in allowed for start, target in arrows if start == name), name


def test_the_step_runs(monkeypatch):
    np.random.seed(0)
    (code,) = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)
    setup, step = code.split("\n\nimages", 1)
    names = {}
    exec(setup, names)
    before = [parameter.numpy() for parameter in names["model"].parameters()]
    exec("images" + step, names)
    after = [parameter.numpy() for parameter in names["model"].parameters()]
    assert all((old != new).any() for old, new in zip(before, after, strict=True))
    comments = {
        number
        for line in step.splitlines()
        for number in re.findall(r"\d+", line.partition("#")[2])
    }
    explained = re.findall(
        r"^(\d+)\. \*\*", section("The journey of a training step"), re.MULTILINE
    )
    assert comments == set(explained)


def test_the_protocol_names_what_an_op_may_define():
    """All that Op has or that an op of needle overrides is in the table, and nothing else."""
    named = set(re.findall(r"^\| `(\w+)", section("What an op may define"), re.MULTILINE))
    assert {name for name in named if name not in attributes_of(needle.Op)} == set()
    framework = {"value_type", "gradient_as_tuple", "_run"}
    public = {name for name in attributes_of(needle.Op) if name[0] != "_"}
    assert public - framework - named == set()
    overridden = {name for op in subclasses(needle.Op) for name in vars(op)}
    overridden &= {name for name in attributes_of(needle.Op) if not name.endswith("__")}
    assert overridden - framework - named == set()


def subclasses(owner):
    own = [each for each in owner.__subclasses__() if each.__module__.startswith("needle.")]
    return own + [below for each in own for below in subclasses(each)]


def attributes_of(owner):
    source = Path(importlib.import_module(owner.__module__).__file__).read_text(encoding="utf-8")
    (body,) = [
        node.body
        for node in ast.parse(source).body
        if isinstance(node, ast.ClassDef) and node.name == owner.__name__
    ]
    names = {node.name for node in body if isinstance(node, ast.FunctionDef)}
    for node in body:
        if isinstance(node, ast.AnnAssign):
            names.add(node.target.id)
        elif isinstance(node, ast.Assign):
            names |= {target.id for target in node.targets}
    return names
