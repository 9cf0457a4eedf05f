"""How the package is cut: names that say what is in a file, one level of folders, files and functions one can read."""

from __future__ import annotations

import ast
import re
import typing
from collections.abc import Iterator
from pathlib import Path

import pytest

from ninetyfive import plan

ROOT = Path(plan.__file__).parent
FILES = {path.relative_to(ROOT).as_posix(): path for path in sorted(ROOT.rglob("*.py"))}
DRAWERS = {"utils", "util", "helpers", "helper", "common", "base", "manager", "misc", "core", "tools"}
START_UP = {"__init__.py", "api.py", "upkeep.py"}  # and cli/: these may import the package inside functions
WAIVERS: dict[tuple[str, str], str] = {
    ("system.py", "PLR0913"): "the declaration: keyword arguments that a user writes",
    ("cli/commands.py", "PLR0913"): "the arguments of a command are its flags",
    ("cli/designing.py", "PLR0913"): "the arguments of a command are its flags",
    ("cli/managing.py", "PLR0913"): "the arguments of a command are its flags",
    ("cli/serving.py", "PLR0913"): "the arguments of a command are its flags",
    ("cli/edge.py", "BLE001"): "the process edge: every error becomes text and an exit code",
    ("managed/worker.py", "BLE001"): "the edge of a process elsewhere: what it raises is told to who submitted it",
}


def tree(name: str) -> ast.Module:
    return ast.parse(FILES[name].read_text(encoding="utf-8"))


def functions(name: str) -> Iterator[ast.FunctionDef | ast.AsyncFunctionDef]:
    return (node for node in ast.walk(tree(name)) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef))


def body_lines(function: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    """Lines of a function without its docstring."""
    total = (function.end_lineno or function.lineno) - function.lineno + 1
    first = function.body[0]
    if ast.get_docstring(function, clean=False) is not None:
        total -= (first.end_lineno or first.lineno) - first.lineno + 1
    return total


def test_no_file_is_a_drawer() -> None:
    assert not [name for name in FILES if Path(name).stem.strip("_") in DRAWERS]


def test_folders_are_one_level_deep() -> None:
    assert not [name for name in FILES if name.count("/") > 1]


def test_every_module_opens_with_what_it_is() -> None:
    assert not [name for name in FILES if FILES[name].stat().st_size and not ast.get_docstring(tree(name))]


@pytest.mark.parametrize("name", FILES)
def test_a_file_is_at_most_500_lines(name: str) -> None:
    assert len(FILES[name].read_text(encoding="utf-8").splitlines()) <= 500


@pytest.mark.parametrize("name", FILES)
def test_a_function_is_at_most_60_lines(name: str) -> None:
    assert not {f"{f.name}:{f.lineno}": body_lines(f) for f in functions(name) if body_lines(f) > 60}


def test_ruff_is_waived_only_where_listed() -> None:
    """Broad excepts and more than six arguments are errors of ruff; a waiver stands in WAIVERS with its reason."""
    waived = {
        (name, code)
        for name, path in FILES.items()
        for found in re.finditer(r"#\s*noqa(?::\s*(?P<codes>[A-Z0-9, ]+))?", path.read_text(encoding="utf-8"))
        for code in (found["codes"] or "all").replace(",", " ").split()
        if code in {"BLE001", "E722", "PLR0913", "all"}
    }
    assert waived <= set(WAIVERS)


def test_own_imports_inside_functions_stand_only_at_start_up() -> None:
    hidden = {
        f"{name}:{node.lineno}"
        for name in FILES
        if name not in START_UP and not name.startswith("cli/")
        for function in functions(name)
        for node in ast.walk(function)
        if (isinstance(node, ast.ImportFrom) and (node.level or (node.module or "").split(".")[0] == "ninetyfive"))
        or (isinstance(node, ast.Import) and any(alias.name.split(".")[0] == "ninetyfive" for alias in node.names))
    }
    assert not hidden


def test_imports_are_absolute() -> None:
    assert not [
        f"{name}:{node.lineno}"
        for name in FILES
        for node in ast.walk(tree(name))
        if isinstance(node, ast.ImportFrom) and node.level
    ]


def test_a_plan_has_five_kinds_of_node_and_an_engine_one_method() -> None:
    assert {kind.__name__ for kind in typing.get_args(plan.Plan)} == {"Read", "Map", "Reduce", "Shuffle", "Write"}
    methods = [name for name, value in vars(plan.Engine).items() if callable(value) and not name.startswith("_")]
    assert methods == ["run"]
