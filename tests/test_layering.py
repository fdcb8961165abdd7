"""Who may import whom, read from the imports themselves."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

import needle

PACKAGE = Path(needle.__file__).parent
ROOT = Path(__file__).parent.parent

TENSORS = {"device", "autograd", "ops"}
MODELS = {*TENSORS, "init", "nn"}
FLOORS = {
    # every subpackage and module of needle, and what it may import besides itself
    "_lazy": set(),  # for all of them
    "_missing": {"autograd", "ops"},
    "device": set(),
    "autograd": {"device"},
    "ops": {"device", "autograd"},
    "init": TENSORS,
    "nn": {*TENSORS, "init"},
    "optim": TENSORS,  # never modules
    "data": TENSORS,  # never models
    "compiler": {*MODELS, "optim", "differentiation", "io", "graph"},
    "differentiation": TENSORS,  # never modules: what they need of it, they register
    "distributed": {*MODELS, "optim", "data", "differentiation"},
    "linalg": TENSORS,
    "graph": {*MODELS, "differentiation"},
    "io": MODELS,
    "interop": {"io"},
    "testing": {*TENSORS, "differentiation"},
    "training": {*MODELS, "optim", "data", "differentiation", "io", "compiler", "distributed"},
}

MODULES = {
    ".".join(path.relative_to(PACKAGE.parent).with_suffix("").parts): path
    for path in sorted(PACKAGE.rglob("*.py"))
}
SOURCES = {module: path.read_text(encoding="utf-8") for module, path in MODULES.items()}


def imports(module: str, tree: ast.AST) -> Iterator[tuple[str, ast.stmt]]:
    """The absolute name of everything that a module imports, outside of `if TYPE_CHECKING`."""
    package = module.removesuffix(".__init__").split(".")
    if not module.endswith(".__init__"):
        package = package[:-1]
    waiting = [tree]
    while waiting:
        node = waiting.pop()
        if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING":
            waiting += node.orelse
            continue
        waiting += ast.iter_child_nodes(node)
        if isinstance(node, ast.Import):
            yield from ((alias.name, node) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = package[: len(package) - node.level + 1] if node.level else []
            prefix = ".".join([*base, *(node.module or "").split(".")]).strip(".")
            yield from ((f"{prefix}.{alias.name}", node) for alias in node.names)


def violations(module: str, source: str) -> list[str]:
    """The imports of a module of needle that its floor does not allow."""
    tree = ast.parse(source)
    inside_functions = {
        statement
        for function in ast.walk(tree)
        if isinstance(function, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda)
        for statement in ast.walk(function)
    }
    floor = module.split(".")[1]
    found = []
    for name, statement in imports(module, tree):
        first, *rest = name.split(".")
        if first != "needle":
            continue
        target = rest[0] if rest else ""
        if statement in inside_functions:
            found.append(f"{module} imports {name} inside a function")
        elif not target:
            found.append(f"{module} imports the whole package")
        elif target not in (floor, "_lazy") and target not in FLOORS[floor]:
            found.append(f"{module} imports {name}")
    return found


def test_nothing_imports_upward():
    floors = [module for module in MODULES if module != "needle.__init__"]
    assert [each for module in floors for each in violations(module, SOURCES[module])] == []


def test_every_module_has_a_floor():
    present = {name.split(".")[1] for name in MODULES} - {"__init__"}
    assert sorted(present - FLOORS.keys()) == [], "give each of these a line in FLOORS"
    assert sorted(FLOORS.keys() - present) == [], "no such module"


def test_floors_stand_on_lower_floors():
    """The table itself has no circles, whatever is imported today."""
    assert in_circles(FLOORS) == []


@pytest.mark.parametrize(
    ("module", "source"),
    [
        ("needle.device", "from . import autograd"),
        ("needle.autograd.value", "from ..ops import add"),
        ("needle.autograd.value", "from ..ops.arithmetic import add"),
        ("needle.ops.arithmetic", "from ..nn import Module"),
        ("needle.ops.arithmetic", "from .. import init"),
        ("needle.nn.functional.loss", "from ...data import DataLoader"),
        ("needle.optim.sgd", "from ..nn.module import Module"),
        ("needle.data.loader", "from ..optim import SGD"),
        ("needle.data.loader", "import needle.nn"),
        ("needle.differentiation.tree", "from ..nn import Module"),
        ("needle.linalg", "from .nn import Module"),
        ("needle.interop", "from .nn import Module"),
        ("needle.testing.checks", "from ..optim import SGD"),
        ("needle.graph.draw", "from ..io import replacing"),
        ("needle.io.saving", "from ..graph import draw"),
        ("needle.ops.arithmetic", "if not TYPE_CHECKING:\n    from ..nn import Module"),
        ("needle.nn.module", "from ..io import save"),
        ("needle.ops.__init__", "from ..init import rand"),
        ("needle.nn.linear", "def f():\n    from ..ops import matmul"),
        ("needle.nn.linear", "def f():\n    import needle"),
        ("needle.io.saving", "import needle"),
    ],
)
def test_what_is_forbidden_is_found(module, source):
    assert len(violations(module, source)) == 1


@pytest.mark.parametrize(
    ("module", "source"),
    [
        ("needle.autograd.value", "from . import modes\nfrom ..device import Device"),
        ("needle.ops.arithmetic", "from .kinds import View\nimport numpy as np"),
        ("needle.nn.linear", "from .. import init\nfrom . import functional"),
        ("needle.autograd.reverse", "if TYPE_CHECKING:\n    from ..ops import add"),
        ("needle.io.saving", "from ..nn import Module"),
        ("needle.testing.checks", "from ..differentiation import jvp"),
    ],
)
def test_what_is_allowed_is_let_through(module, source):
    assert violations(module, source) == []


def test_modules_do_not_import_in_circles():
    graph = {}
    # a name inside a module stands for the module
    known = {name.removesuffix(".__init__"): name for name in MODULES}
    for module, source in SOURCES.items():
        targets = {name for name, _ in imports(module, ast.parse(source))}
        graph[module] = {
            known.get(target) or known.get(target.rpartition(".")[0]) for target in targets
        } & MODULES.keys()
        if not module.endswith(".__init__"):
            # modules of one package may take it as their common name: `from . import functional`
            graph[module].discard(known[module.rpartition(".")[0]])
    assert in_circles(graph) == []


def in_circles(graph: dict[str, set[str]]) -> list[str]:
    """What is left when modules that import nothing that is left are taken away until none is."""
    graph = dict(graph)
    while free := [module for module, targets in graph.items() if not targets & graph.keys()]:
        for module in free:
            del graph[module]
    return sorted(graph)


def test_circles_are_found():
    assert in_circles({"a": {"b"}, "b": {"c"}, "c": {"a"}, "d": {"a"}, "e": set()}) == list("abcd")
    assert in_circles({"a": {"b", "c"}, "b": {"c"}, "c": set()}) == []


@pytest.mark.parametrize("module", [name for name in MODULES if name.endswith("__init__")])
def test_packages_only_re_export(module):
    docstring, *statements = ast.parse(SOURCES[module]).body
    assert isinstance(docstring, ast.Expr)
    for statement in list(statements):
        if isinstance(statement, ast.If) and "TYPE_CHECKING" in ast.unparse(statement.test):
            statements.remove(statement)
            statements += statement.body + statement.orelse
    assigned = {
        name.id
        for statement in statements
        if not isinstance(statement, ast.Import | ast.ImportFrom)
        for name in ast.walk(statement.targets[0])  # fails if it is no assignment
        if isinstance(name, ast.Name)
    }
    derived = {"__getattr__", "__dir__"}  # from the imports, as __all__ then is
    version = {"__version__"} if module == "needle.__init__" else set()
    assert assigned - version in (derived, {"__all__"})


PROGRAMS = [
    path for folder in ("examples", "benchmarks") for path in sorted((ROOT / folder).rglob("*.py"))
]


@pytest.mark.parametrize("path", PROGRAMS, ids=lambda path: str(path.relative_to(ROOT)))
def test_programs_use_what_needle_exports(path):
    tree = ast.parse(path.read_text())
    aliases = set()
    for name, _ in imports(path.stem, tree):
        first, *rest = name.split(".")
        if first == "needle":
            assert_exported(rest)
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            aliases |= {a.asname or a.name for a in node.names if a.name == "needle"}
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute) and ast.unparse(node.value) in aliases:
            assert_exported([node.attr])


def assert_exported(names: list[str]) -> None:
    owner = needle
    for name in names:
        assert name in owner.__all__, f"{owner.__name__} does not export {name}"
        owner = getattr(owner, name)
        if not hasattr(owner, "__all__"):
            break
