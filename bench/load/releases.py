"""What is served: a release of a project under build/, its rows as requests, and a table of them.

A project is run once and found again: `ninetyfive run` does nothing where nothing changed.
What does not belong here: processes that serve it (`workers`).
"""

from __future__ import annotations

import json
import random
import shutil
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import polars as pl
from bench.load.processes import ROOT, environment

from ninetyfive.models.release import OpenRelease, open_release
from ninetyfive.serve.messages import Live
from ninetyfive.store.manifests import MANIFEST, describe_folder
from ninetyfive.store.opening import open_store
from ninetyfive.tables.about import Population, TableAbout
from ninetyfive.tables.keys import entity_key, fingerprint
from ninetyfive.tables.layout import packer
from ninetyfive.tables.writer import write_table

BUILD = ROOT / "build" / "bench"


@dataclass(frozen=True)
class Served:
    """A release, opened here too: what is `live`, the name of its system, rows of JSON that may be asked."""

    live: Live
    system: str
    release: OpenRelease
    rows: Sequence[dict[str, Any]]

    @property
    def path(self) -> str:
        """Where it is asked."""
        return f"/v1/models/{self.system}:predict"

    def scalars(self, row: dict[str, Any]) -> dict[str, Any]:
        """A row of JSON as row scalars."""
        return self.release.request.row(row)

    def answers(self, rows: Sequence[dict[str, Any]]) -> list[Any]:
        """What the release answers in process, each row alone."""
        return [self.release.answer(self.scalars(row)) for row in rows]

    def compute(self, rows: Sequence[dict[str, Any]]) -> Any:
        """Transform and model of rows of scalars, all at once and nothing else: what no service can do without."""
        features = self.release.transform.rows()
        return self.release.predictor.predict(np.array([features(row) for row in rows], dtype=np.float32))


def flights(count: int) -> Served:
    """The release of examples/flights, and `count` flights, of as many entities."""
    project = BUILD / "flights"
    project.mkdir(parents=True, exist_ok=True)
    for name in ("prepare.py", "system.py"):
        shutil.copy(ROOT / "examples" / "flights" / name, project / name)
    subprocess.run([sys.executable, "prepare.py"], cwd=project, check=True, stdout=subprocess.DEVNULL)
    live = released(project)
    release = open_release(Path(live.folder), live.release)
    names = release.request.names
    frame = pl.read_parquet(project / "data" / "flights-2013-12.parquet", columns=list(names))
    some = frame.drop_nulls("distance").unique(["carrier", "origin", "dest"], keep="first", maintain_order=True)
    if some.height < count:
        sys.exit(f"expected {count} entities in the flights of December, got {some.height}")
    rows = [{name: plain(value) for name, value in row.items()} for row in some.head(count).to_dicts()]
    return Served(live, "flight-delays", release, rows)


def dear(count: int) -> tuple[Served, Served]:
    """Two releases of a model that takes about 5 ms a row, and `count` rows; made once, which takes two minutes."""
    project = BUILD / "dear"
    (project / "data").mkdir(parents=True, exist_ok=True)
    chance = random.Random(95)
    rows = [{"row": row} | {name: chance.gauss(0.0, 1.0) for name in "abcdefgh"} for row in range(max(400, count))]
    labelled = [row | {"y": sum(list(row.values())[1:]) + chance.gauss(0.0, 1.0)} for row in rows]
    file = project / "data" / "rows.parquet"
    if not file.exists():
        pl.DataFrame(labelled).write_parquet(file)
    text = (ROOT / "bench" / "load" / "dear" / "system.py").read_text()
    made = []
    for seed in (1, 2):
        (project / "system.py").write_text(text.replace('"seed": 1', f'"seed": {seed}'))
        live = released(project)
        made.append(Served(live, "dear", open_release(Path(live.folder), live.release), rows[:count]))
    return made[0], made[1]


def released(project: Path) -> Live:
    """Run the project; the release that came of it, whatever the gates said."""
    command = [str(Path(sys.executable).parent / "ninetyfive"), "run", "--json"]
    ran = subprocess.run(command, cwd=project, env=environment(), capture_output=True, text=True, check=False)
    said = json.loads(ran.stdout or "{}")
    name = said.get("release")
    if name is None:
        sys.exit(f"{project}: ninetyfive run: {ran.stderr or said}")
    store = project / ".ninetyfive"
    with open_store(str(store)) as opened:
        release = opened.release(name)
    folder = store / "folders" / f"release-{name}"
    return Live(epoch=1, release=name, number=release.number, folder=str(folder))


def plain(value: Any) -> Any:
    """A value of a frame as JSON says it."""
    return value.isoformat() if isinstance(value, date | datetime) else value


def body(rows: Sequence[dict[str, Any]]) -> bytes:
    """The body of a request for these rows."""
    return json.dumps({"instances": list(rows)}, separators=(",", ":")).encode()


def table(served: Served, rows: Sequence[dict[str, Any]], folder: Path) -> Live:
    """What is live with a table of the answers for `rows`, written into the new `folder`."""
    release, about = served.release, served.release.about
    pack = packer(len(about.classes))
    entries = []
    for row in rows:
        scalars = served.scalars(row)
        key = entity_key([scalars[name] for name in about.entity])
        answer = release.answer(scalars)
        assert key is not None
        assert isinstance(answer, float)
        entries.append((key, pack(fingerprint(tuple(scalars[name] for name in release.transform.inputs)), answer)))
    now = datetime.now(UTC).isoformat()
    told = TableAbout(
        release=served.live.release,
        system=served.system,
        task=about.task,
        label=about.label,
        entity=about.entity,
        classes=about.classes,
        rows=0,
        as_of=now,
        population=Population(kind="file", urls=("bench",), sha256="0" * 64, read=len(entries)),
        answers=(),
        made=now,
    )
    (folder / "runs").mkdir(parents=True)
    (folder / "table").mkdir()
    write_table(folder / "table", told, entries, folder / "runs")
    (folder / "table" / MANIFEST).write_bytes(describe_folder(folder / "table").data)
    return msgspec.structs.replace(served.live, table="table-of-the-bench", table_folder=str(folder / "table"))
