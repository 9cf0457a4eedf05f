"""Golden values: what operations gave on Python 3.11, asked again of the Python that runs this.

    python tests/features/golden_replay.py        any Python of 3.11 to 3.13; prints a verdict, exit 1 where one differs
    … --whole                                     exit 1 also where a case, or frames, cannot be asked

Rows need nothing but Python and tzdata (an operation that needs more is told as not asked); frames are asked too where
Polars and the package are installed. An operation that depends on the machine, and finds another version of that, is
refused by the package, with the reason. `golden.py` writes the file. What does not belong here: pytest, Hypothesis.
"""

from __future__ import annotations

import hashlib
import importlib.util
import json
import math
import platform
import sys
import types
from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
FILE = HERE / "golden.json"
LONG, COLUMNS_SHOWN = 64, 4
REFUSED = "refused"


class Struct:
    """Stands where a class that rows never make has msgspec's as its base."""

    def __init_subclass__(cls, **words: Any) -> None:
        """Take what msgspec takes."""


class Absent(types.ModuleType):
    """Stands for a package that is not there, in imports; whoever calls it hears that it is not."""

    def __getattr__(self, name: str) -> Any:
        if name == "Struct":
            return Struct

        def missing(*_: Any, **__: Any) -> Any:
            raise ModuleNotFoundError(f"No module named {self.__name__!r}")

        return missing


def use_package() -> bool:
    """Make `ninetyfive.features` importable: the installed package, else its source as it lies here. Whether whole."""
    if all(importlib.util.find_spec(name) for name in ("msgspec", "polars")):
        if importlib.util.find_spec("ninetyfive") is None:
            sys.path.insert(0, str(HERE.parents[1] / "src"))
        return True
    for name in ("msgspec", "xxhash"):
        if importlib.util.find_spec(name) is None:
            sys.modules[name] = Absent(name)
    package = types.ModuleType("ninetyfive")  # without its __init__, which loads what is not installed
    package.__path__ = [str(HERE.parents[1] / "src" / "ninetyfive")]
    sys.modules["ninetyfive"] = package
    return False


def written(value: Any) -> Any:
    """A value as JSON that tells every bit: floats in hexadecimal, long strings by their SHA-256."""
    if isinstance(value, float):
        return "f " + ("nan" if math.isnan(value) else value.hex())
    if isinstance(value, str):
        digest = hashlib.sha256(value.encode()).hexdigest()[:16]
        return f"s {value}" if len(value) <= LONG else f"sha256 {digest} of {len(value)}"
    return [written(item) for item in value] if isinstance(value, tuple | list) else value


def output(value: Any) -> Any:
    """What came out, as `written`; many columns by the SHA-256 of that."""
    made = written(value)
    if isinstance(made, list) and len(made) > COLUMNS_SHOWN:
        return f"sha256 {hashlib.sha256(json.dumps(made).encode()).hexdigest()[:16]} of {len(made)} columns"
    return made


def read(value: Any) -> Any:
    """A value of an input that `written` wrote; {"repeat": [text, n]} stands for a long string."""
    if isinstance(value, dict):
        text, times = value["repeat"]
        return text * times
    if isinstance(value, list):
        return tuple(read(item) for item in value)
    if isinstance(value, str):
        kind, rest = value[0], value[2:]
        return float.fromhex(rest) if kind == "f" else rest
    return value


def rows_of(document: Mapping[str, Any], names: list[str]) -> list[dict[str, Any]]:
    """The distinct rows of some input columns, in order."""
    columns = [document["inputs"][name] for name in names]
    distinct = {json.dumps(row): row for row in zip(*columns, strict=True)}
    return [dict(zip(names, map(read, row), strict=True)) for row in distinct.values()]


def node_of(case: Mapping[str, Any]) -> Any:
    """The tree of a case: its operation on columns (null: None), with its arguments and what it learned."""
    from ninetyfive.features import tree
    from ninetyfive.features.operations import OPERATIONS
    from ninetyfive.features.recording import Expr, record

    inputs = [None if name is None else Expr(tree.Column(name)) for name in case["columns"]]
    arguments = {name: read(value) for name, value in case["arguments"].items()}
    node = record(case["operation"], inputs, arguments).node
    if "learned" not in case:
        return node
    learned = {name: read(value) for name, value in case["learned"].items()}
    checked = OPERATIONS[case["operation"]].checked_constants(learned, "golden")
    return tree.Call(case["operation"], node.inputs, node.arguments, checked)


def row_values(node: Any, types: Mapping[str, str], rows: list[dict[str, Any]]) -> list[Any]:
    """What the row execution gives for each row, as `written`."""
    from ninetyfive.errors import FeatureError
    from ninetyfive.features.operation import COLUMNS
    from ninetyfive.features.program import program
    from ninetyfive.features.rows import every_value, model_inputs

    made = program({"golden": node}, types)
    values, inputs = every_value(made), None
    if made.steps[-1].type == COLUMNS:
        inputs = model_inputs(made)
    found = []
    for row in rows:
        try:
            found.append(output(values(row)[-1] if inputs is None else inputs(row)))
        except FeatureError:
            found.append(REFUSED)
    return found


def frame_values(node: Any, types: Mapping[str, str], rows: list[dict[str, Any]], refused: list[bool]) -> list[Any]:
    """What the frame execution gives for each row, as `written`; rows that were refused are asked one by one."""
    from ninetyfive.errors import FeatureError
    from ninetyfive.features.frames import FrameFunction, frame_of, scalars
    from ninetyfive.features.operation import COLUMNS
    from ninetyfive.features.program import program

    kind = program({"golden": node}, types).steps[-1].type
    function = FrameFunction((("golden", node),), tuple(types.items()), model=kind == COLUMNS)

    def asked(some: list[dict[str, Any]]) -> list[Any]:
        made = function(frame_of(some, types))
        if kind == COLUMNS:
            return [output(row) for row in made.rows()]
        return [output(row["golden"]) for row in scalars(made, {"golden": kind})]

    found = iter(asked([row for row, no in zip(rows, refused, strict=True) if not no]))
    answers = []
    for row, no in zip(rows, refused, strict=True):
        try:
            answers.append(asked([row])[0] if no else next(found))
        except FeatureError:
            answers.append(REFUSED)
    return answers


def asked(document: Mapping[str, Any], case: Mapping[str, Any], whole: bool) -> list[Any]:
    """What a case gives here: by rows, and where that is as it was written and the package is `whole`, by frames."""
    from ninetyfive.features import machine, tree

    node = node_of(case)
    types = {name: name.rsplit(" ", 1)[0] for name in sorted(tree.columns_of(node))}
    machine.check({name: document["depends"][name] for name in machine.stated([node])}, [node])
    rows = rows_of(document, list(types))
    found = row_values(node, types, rows)
    if whole and found == case["outputs"]:
        return frame_values(node, types, rows, [value == REFUSED for value in found])
    return found


def verdicts(document: Mapping[str, Any], whole: bool) -> Iterator[tuple[str, str, int]]:
    """Of each case: "reproduced", "differs", "refused" or "not asked"; why; how many values."""
    from ninetyfive.errors import FeatureError

    for case in document["cases"]:
        count = len(case["outputs"])
        try:
            found = asked(document, case, whole)
        except ModuleNotFoundError as error:
            yield "not asked", str(error), count
        except FeatureError as error:
            yield "refused", f"{error.where}: expected {error.expected}, got {error.got}", count
        else:
            pairs = zip(found, case["outputs"], strict=True)
            wrong = [f"{case['text']}: {want} there, {got} here" for got, want in pairs if got != want]
            yield ("differs", wrong[0], len(wrong)) if wrong else ("reproduced", "", count)


def main() -> int:
    """Print the verdict of this Python; 1 where a value differs, with --whole also where one is not asked."""
    whole = use_package()
    sys.path.insert(0, str(HERE))
    counts: Counter[tuple[str, str]] = Counter()
    for verdict, why, count in verdicts(json.loads(FILE.read_text(encoding="utf-8")), whole):
        counts[verdict, why] += count
    total = Counter(dict.fromkeys(("reproduced", "differs", "refused", "not asked"), 0))
    for (verdict, _), count in counts.items():
        total[verdict] += count
    forms = "rows and frames" if whole else "rows"
    told = ", ".join(f"{count:,} {verdict}" for verdict, count in total.items() if count)
    print(f"Python {platform.python_version()}, {forms}: golden values: {told}")
    for (verdict, why), count in counts.items():
        if why:
            print(f"  {verdict}: {count:,}: {why}")
    lacking = "--whole" in sys.argv and (total["not asked"] or not whole)
    return 1 if total["differs"] or not total["reproduced"] or lacking else 0


if __name__ == "__main__":
    sys.exit(main())
