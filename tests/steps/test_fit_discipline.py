"""Fit reads training rows only: whatever stands in the others, no constant and no byte of the model is another."""

from __future__ import annotations

import hashlib
import random
import shutil
from datetime import datetime, timedelta
from io import BytesIO
from itertools import count
from typing import TYPE_CHECKING, Any

import polars as pl
import pytest
from tests.conftest import _project
from tests.features.strategies import call, columns, combinations, samples
from tests.features.value_classes import CLASSES, LISTS, TYPES, values_of

from ninetyfive.errors import FeatureError
from ninetyfive.features import machine, tree
from ninetyfive.features.frames import frame_of
from ninetyfive.features.operations import OPERATIONS
from ninetyfive.features.program import program
from ninetyfive.features.source import source
from ninetyfive.features.transform import Transform

if TYPE_CHECKING:
    from tests.conftest import Project

pytestmark = pytest.mark.slow

ROWS, FILE_ROWS = 1_200, 250
TAME = ("null", "zero", "one", "plain", "float32 halfway", "small", "false", "true")
"""Classes of numbers that have a finite mean and spread, and no NaN, which not every model takes."""
FILLED = {tree.BOOLEAN: False, tree.INTEGER: 0, tree.NUMBER: 0.0, tree.STRING: ""}
ENDINGS = {
    tree.BOOLEAN: ".fill_null(False)",
    tree.INTEGER: ".fill_null(0)",
    tree.NUMBER: ".fill_null(0)",
    tree.STRING: ".vocabulary()",
}
"""What makes an input of the model, without NaN, of what an operation gives."""
SYSTEM = """\
import ninetyfive as nf
from ninetyfive.features.recording import *

tried = nf.System(
    "tried",
    source=nf.parquet("data/*.parquet", time="at", id="row"),
    label=col("tip") > 3.0,
    features={{
        "size": col("size"),
{features}
    }},
    split=nf.Split("time", 0.5),
)


@tried.model(params={{"max_depth": 3}})
def model(x, y, params):
    from sklearn.tree import DecisionTreeClassifier

    return DecisionTreeClassifier(**params, random_state=0).fit(x, y)
"""


def declared() -> dict[str, str]:
    """The text of each learned operation, on columns of each type that it takes."""
    texts = {}
    for name, operation in OPERATIONS.items():
        if operation.learned:
            (arguments, *_) = samples(name, 1)
            for kinds in combinations(operation, arguments):
                if name == "target_encode" and len(kinds) > 1:
                    continue  # the fold, which no user writes
                inputs = [one.fill_null(FILLED[kind]) for one, kind in zip(columns(kinds), kinds, strict=True)]
                node = call(operation, inputs if operation.many else columns(kinds), arguments, None).node
                ending = "" if operation.many else ENDINGS.get(program({"x": node}, TYPES).steps[-1].type, ".is_null()")
                texts[f"{name} of {' and '.join(kinds)}"] = f"({source(node)}){ending}"
    return texts


def table(first: int = 0, rows: int = ROWS, seed: int = 95) -> pl.DataFrame:
    """Rows of every type, one in ten minutes from number `first` on, whose label depends on their size."""
    chance = random.Random(seed * 1_000 + first)
    tame = {
        kind: [value for name, values in classes.items() if name in TAME for value in values]
        if kind in tree.NUMERIC or kind in LISTS
        else values_of(kind, large=False)
        for kind, classes in CLASSES.items()
    }
    drawn = [{name: chance.choice(tame[kind]) for name, kind in TYPES.items()} for _ in range(rows)]
    size = [chance.uniform(0.0, 6.0) for _ in range(rows)]
    start = datetime(2026, 1, 1) + timedelta(minutes=10 * first)
    return frame_of(drawn, TYPES).with_columns(
        row=pl.Series(range(first, first + rows)),
        at=pl.Series([start + timedelta(minutes=10 * row) for row in range(rows)], dtype=pl.Datetime("us")),
        size=pl.Series(size),
        tip=pl.Series([value + chance.gauss(0.0, 1.0) for value in size]),
    )


def permuted(frame: pl.DataFrame, names: list[str], first: int) -> pl.DataFrame:
    """The rows, with each of the columns `names` permuted by itself among the rows from number `first` on.

    The files of such rows have another canonical order, which is that of their hashes.
    """
    late = frame[first:]
    for seed in count():
        chance = random.Random(seed)
        mixed = late.with_columns(late[name][chance.sample(range(late.height), late.height)] for name in names)
        made = pl.concat([frame[:first], mixed])
        if canonical(made) != canonical(frame):
            return made
    raise AssertionError


def canonical(rows: pl.DataFrame) -> list[int]:
    """The numbers of the files that training rows are in, in the order of their hashes."""
    hashes = []
    for part in rows.iter_slices(FILE_ROWS):
        part.write_parquet(stream := BytesIO())
        hashes.append(hashlib.sha256(stream.getvalue()).hexdigest())
    return sorted(range(1 + ROWS // 2 // FILE_ROWS), key=hashes.__getitem__)


def declare(project: Project) -> Project:
    lines = "\n".join(f'        "{name}": {text},' for name, text in declared().items())
    (project.folder / "system.py").write_text(SYSTEM.format(features=lines), encoding="utf-8")
    return project


@pytest.fixture
def tried(project: Project) -> Project:
    """A project with all learned operations as features; the third of its five files trains and tests."""
    return declare(project)


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> tuple[dict[str, Any], tuple[str, bytes]]:
    """What a run of it on `table()` says, and what it fitted."""
    with _project(tmp_path_factory.mktemp("base")) as project:
        document = run(declare(project), table())
        return document, fitted(project, document)


def write(project: Project, rows: pl.DataFrame) -> None:
    """Rows in files of FILE_ROWS, and an empty store."""
    for name in ("data", ".ninetyfive"):
        shutil.rmtree(project.folder / name, ignore_errors=True)
    (project.folder / "schema.toml").unlink(missing_ok=True)
    for number, part in enumerate(rows.iter_slices(FILE_ROWS)):
        project.add(f"{number:03}", part)


def run(project: Project, rows: pl.DataFrame) -> dict[str, Any]:
    """A run in an empty store."""
    write(project, rows)
    return project.run()


def fitted(project: Project, document: dict[str, Any]) -> tuple[str, bytes]:
    """The transform and the model of the release of a run."""
    folder = project.release(document["release"])
    return (folder / "transform.json").read_text(encoding="utf-8"), (folder / "model.onnx").read_bytes()


def test_no_row_but_those_that_train_changes_what_is_fitted(
    tried: Project, base: tuple[dict[str, Any], tuple[str, bytes]], record_property: Any
) -> None:
    rows, (said, (transform, model)) = table(), base
    first = said["window"]["train"]
    assert (first, said["promoted"]) == (599, True)
    learned = [node for _, root in Transform.from_json(transform).trees for node in tree.distinct([root])]
    names = {node.operation for node in learned if isinstance(node, tree.Call) and node.constants is not None}
    assert names == {name for name, operation in OPERATIONS.items() if operation.learned}
    everything = [name for name in rows.columns if name != "tip"]
    for changed in (permuted(rows, everything, first), permuted(rows, ["tip"], first)):
        assert not changed.equals(rows)
        document = run(tried, changed)
        assert document["metrics"] != said["metrics"]
        assert fitted(tried, document) == (transform, model)
    record_property("counted", ["learned expressions that test rows cannot change", len(declared())])


def test_rows_that_come_after_the_cut_change_nothing_that_is_fitted(
    tried: Project, base: tuple[dict[str, Any], tuple[str, bytes]]
) -> None:
    """As many rows again, and a share of them held out that leaves the cut where it was."""
    said, made = base
    tried.edit(('nf.Split("time", 0.5)', 'nf.Split("time", 0.75)'))
    grown = run(tried, pl.concat([table(), table(ROWS, ROWS)]))
    assert (said["window"]["cut"], said["window"]["train"]) == (grown["window"]["cut"], grown["window"]["train"])
    assert grown["window"]["test"] == said["window"]["test"] + ROWS
    assert fitted(tried, grown) == made


def test_labels_that_say_nothing_make_the_gates_say_no(tried: Project) -> None:
    write(tried, permuted(table(), ["tip"], 0))
    said = tried.command("run", "--json")
    assert said.code == 3
    (verdict,) = [gate for gate in said.json["gates"] if gate["name"].startswith("baseline")]
    assert (verdict["passed"], verdict["blocking"]) == (False, True)
    assert "no better than always giving the same answer" in verdict["reason"]
    assert (said.json["passed"], said.json["promoted"]) == (False, False)
    with tried.store() as store:
        assert store.champion() is None


def test_another_version_of_what_features_depend_on_fits_again(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A run there neither takes what was fitted nor compares with what it cannot compute."""
    project.edit(('"zone": col("zone").vocabulary()', '"zone": col("zone").lower().vocabulary()'))
    first = project.run()
    assert first["promoted"]
    folder = project.release(first["release"])
    monkeypatch.setitem(vars(machine), "_HERE", {**vars(machine)["_HERE"], "unicode": lambda: "99.0.0"})
    with pytest.raises(FeatureError, match=r"operation lower: expected the Unicode tables of 1.*, got 99\.0\.0\."):
        Transform.from_json((folder / "transform.json").read_bytes())
    again = project.run()
    assert "fit" in project.done(again)
    assert again["release"] != first["release"]
    assert [notice for notice in again["notices"] if "is not compared" in notice and "99.0.0" in notice]
