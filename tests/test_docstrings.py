"""Every public name has a docstring; the examples there and in the README are run."""

import doctest
import importlib
import inspect
import pkgutil
import re
from pathlib import Path

import numpy as np
import pytest

import needle

README = Path(__file__).parents[1] / "README.md"
MODULES = sorted(module.name for module in pkgutil.walk_packages(needle.__path__, prefix="needle."))
PUBLIC = [
    "needle", "needle.autograd", "needle.data", "needle.distributed", "needle.io",
    "needle.graph", "needle.init", "needle.interop", "needle.linalg", "needle.nn",
    "needle.nn.functional", "needle.nn.init", "needle.ops", "needle.optim",
    "needle.optim.lr_scheduler", "needle.testing", "needle.training",
]  # fmt: skip


@pytest.mark.parametrize("name", ["needle", *MODULES])
def test_examples_of_docstrings(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    np.random.seed(0)
    module = importlib.import_module(name)
    result = doctest.testmod(module, optionflags=doctest.ELLIPSIS)
    assert result.failed == 0, f"see the report of {name} above"


@pytest.mark.parametrize("name", PUBLIC)
def test_public_names_have_docstrings(name: str) -> None:
    module = importlib.import_module(name)
    assert [each for each in module.__all__ if not getattr(module, each).__doc__] == []


@pytest.mark.parametrize("name", PUBLIC)
def test_public_names_have_examples(name: str) -> None:
    module = importlib.import_module(name)
    own = [each for each in module.__all__ if is_needles(getattr(module, each))]
    assert [each for each in own if ">>>" not in getattr(module, each).__doc__] == [], (
        "write a short example into the docstring, or for an op into needle/ops/examples.py"
    )


def is_needles(item: object) -> bool:
    """Whether needle defines an item; modules, and names for NumPy's types, are not meant."""
    return not inspect.ismodule(item) and getattr(item, "__module__", "").startswith("needle")


@pytest.mark.parametrize("name", ["needle.ops", "needle.nn.init"])
def test_examples_of_functions_made_by_functions(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    module = importlib.import_module(name)
    parser, runner = doctest.DocTestParser(), doctest.DocTestRunner(optionflags=doctest.ELLIPSIS)
    for text in {getattr(module, each).__doc__ for each in module.__all__}:
        np.random.seed(0)
        runner.run(parser.get_doctest(text, {}, name, None, None))
    assert runner.tries > 20
    assert runner.failures == 0, "see the report above"


def test_reference_of_the_readme() -> None:
    readme = README.read_text(encoding="utf-8")
    reference = readme[readme.index("## Reference") : readme.index("## Speed")]
    rows = re.findall(r"^\| `([\w.]+)` \| (.*) \|$", reference, re.MULTILINE)
    assert len(rows) >= 10
    named: set[str] = set()
    for module, text in rows:
        names = set(re.findall(r"`(\w+)`", text))
        assert [name for name in names if not hasattr(importlib.import_module(module), name)] == []
        named |= names | {module.removeprefix("needle.")}
    assert set(needle.__all__) - set(needle.ops.__all__) - named == {"autograd"}


def test_code_of_the_readme(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    np.random.seed(0)
    blocks = re.findall(r"```python\n(.*?)```", README.read_text(encoding="utf-8"), re.DOTALL)
    assert len(blocks) >= 5
    names: dict[str, object] = {}
    for block in blocks:  # each goes on where the one before it ended
        exec(compile(block, str(README), "exec"), names)
