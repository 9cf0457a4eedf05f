"""errors.py: the tree at its head is the tree in its code, and every error speaks and crosses a process border."""

from __future__ import annotations

import ast
import inspect
import pickle
import re
from pathlib import Path

import pytest

from ninetyfive import errors
from ninetyfive.errors import NinetyfiveError

CLASSES = [kind for _, kind in inspect.getmembers(errors, inspect.isclass) if issubclass(kind, NinetyfiveError)]
SOURCE = Path(errors.__file__).parent
DRAWN = re.compile(r"^(?P<stem>[ │├└─]*)(?P<name>[A-Z]\w+Error)\b(?: +exit (?P<code>\d))?", re.MULTILINE)


def drawn() -> dict[str, tuple[str | None, int]]:
    """The tree drawn in the docstring: {name: (parent, exit code)}; an exit code holds for what hangs below."""
    tree: dict[str, tuple[str | None, int]] = {}
    above: list[tuple[int, str]] = []
    for found in DRAWN.finditer(errors.__doc__ or ""):
        column, name = len(found["stem"]), found["name"]
        above = [entry for entry in above if entry[0] < column]
        parent = above[-1][1] if above else None
        tree[name] = (parent, int(found["code"]) if found["code"] else tree[str(parent)][1])
        above.append((column, name))
    return tree


def test_the_drawing_is_the_code() -> None:
    code = {
        kind.__name__: (kind.__base__.__name__ if kind is not NinetyfiveError else None, kind.exit_code)
        for kind in CLASSES
    }
    assert drawn() == code


def test_errors_are_few() -> None:
    assert len(CLASSES) <= 16


def test_errors_are_defined_in_one_file() -> None:
    def below(kind: type[NinetyfiveError]) -> set[type[NinetyfiveError]]:
        return {kind}.union(*(below(child) for child in kind.__subclasses__()))

    assert below(NinetyfiveError) == set(CLASSES)


@pytest.mark.parametrize("kind", CLASSES)
def test_an_error_has_four_fields_and_pickles(kind: type[NinetyfiveError]) -> None:
    error = kind("data/a.csv", expected="a header", got="nothing", do="write a header")
    assert str(error) == "data/a.csv: expected a header, got nothing. To do: write a header."
    back = pickle.loads(pickle.dumps(error))
    assert type(back) is kind
    assert back.as_dict() == error.as_dict()
    assert error.as_dict() == {
        "kind": kind.__name__,
        "where": "data/a.csv",
        "expected": "a header",
        "got": "nothing",
        "do": "write a header",
    }
    assert kind.__doc__


def raised() -> list[tuple[str, ast.Call]]:
    """Each call of an error class in the package, with the place it stands at."""
    names = {kind.__name__ for kind in CLASSES}
    return [
        (f"{path.relative_to(SOURCE)}:{node.lineno}", node)
        for path in sorted(SOURCE.rglob("*.py"))
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in names
    ]


def test_the_fields_read_as_one_sentence() -> None:
    """No field is empty or ends the sentence itself: `str(error)` puts the full stops."""
    wrong = [
        f"{place} {keyword.arg}={keyword.value.value!r}"
        for place, call in raised()
        for keyword in call.keywords
        if isinstance(keyword.value, ast.Constant)
        and (not str(keyword.value.value).strip() or str(keyword.value.value).endswith("."))
    ]
    assert not wrong
