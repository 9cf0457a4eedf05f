"""Tables that nobody keeps: made as `table build` makes them, in a folder of one's own, and registered nowhere.

    population ─ latest_rows ─▶ Latest ─ make ─▶ a table of the `top` entities ─▶ Live, for a worker
                                  └─ multiplied ─▶ as many entities as one wants ─▶ what a row of a table costs

What does not belong here: whose they are (`traffic`), who answers from them (`worker`, `inside`).
"""

from __future__ import annotations

import shutil
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

import msgspec
import polars as pl

from ninetyfive.decisions.tables import decide_table
from ninetyfive.errors import ModelError
from ninetyfive.models.release import OpenRelease
from ninetyfive.plan import Engine, Part, Read, Write
from ninetyfive.progress import Silent
from ninetyfive.relations import rows_of
from ninetyfive.serve.messages import Limits, Live, Log, WorkerConfig
from ninetyfive.sources.discovery import frame_hash
from ninetyfive.sources.files import Source
from ninetyfive.sources.readers import FrameReader
from ninetyfive.sources.spans import SpanReader, part_of
from ninetyfive.steps.population import KEY, KEY_TEXT, Latest, Named, latest_rows
from ninetyfive.steps.table import Asked, Made, Place, make
from ninetyfive.store.manifests import MANIFEST

_LIMITS, _LOG = Limits(), Log(folder="")
_COUNTED = 3
"""How many signs of a key number the copies of a row."""


@dataclass(frozen=True, slots=True)
class Ground:
    """What is measured, and where: a release whose folder is there, an engine, and a `folder` that may be filled.

    The engine is one whose CPU is that of this process. `limits` and `log` are those of the service: a key file is
    named by an absolute path, and where the log is kept does not matter.
    """

    release: OpenRelease
    engine: Engine
    folder: Path
    limits: Limits = _LIMITS
    log: Log | None = _LOG

    @property
    def live(self) -> Live:
        """The release without a table."""
        return Live(epoch=1, release=self.release.hash, number=1, folder=str(self.release.folder))

    @property
    def config(self) -> WorkerConfig:
        """What every worker of it is told."""
        system = self.release.about.system
        return WorkerConfig(name="design", system=system, live=self.live, limits=self.limits, log=self.log)


def latest(ground: Ground, source: Source, as_of: int | None) -> Latest:
    """The latest row of each entity: of a log's requests up to `as_of` (µs UTC), or of all rows of a source (None)."""
    folder = new(ground, "latest")
    named = Named(source, top=None if as_of is None else 1)
    return latest_rows(named, ground.release, ground.engine, str(folder), 0 if as_of is None else as_of)


def made(ground: Ground, found: Latest, top: int | None, as_of: int) -> Made:
    """A table of latest rows, of the `top` entities where that is given."""
    population = msgspec.structs.replace(found.population, top=top)
    moment = datetime.fromtimestamp(as_of / 1e6, UTC)
    asked = Asked(Named(Source("frame", ()), top=top), moment, "design")
    folder = new(ground, "table")
    return make(
        replace(found, population=population),
        ground.release,
        ground.engine,
        Place(folder, str(folder)),
        asked,
        Silent(),
    )


def live(ground: Ground, table: Made) -> Live:
    """The release with a table, for a worker; `ModelError` where a gate of the table says no."""
    verdicts = decide_table(table.evidence(None))
    refused = [f"{one.name}: expected {one.expected}, got {one.got}" for one in verdicts.verdicts if not one.passed]
    if refused:
        where, do = f"a table of release {ground.release.hash[:12]}", "look at the rows of the log"
        raise ModelError(where, expected="a table whose gates pass", got="; ".join(refused), do=do)
    folder = new(ground, "live")  # LMDB opens no file twice in a process
    shutil.copytree(table.folder, folder, dirs_exist_ok=True)
    (folder / MANIFEST).write_bytes(table.manifest.data)
    return msgspec.structs.replace(ground.live, table=folder.name, table_folder=str(folder))


def new(ground: Ground, name: str) -> Path:
    """A new folder on the ground."""
    number = sum(1 for _ in ground.folder.glob(f"{name}-*"))
    folder = ground.folder / f"{name}-{number}"
    folder.mkdir(parents=True)
    return folder


def multiplied(ground: Ground, found: Latest, entities: int) -> Latest:
    """As many entities as that, with the rows of `found` in turn and keys that are as long, and are of no request."""
    reader = SpanReader()
    held = pl.concat([rows for file in found.files for rows in reader.read(part_of(file))])
    many = held[[place % held.height for place in range(entities)]]
    keys = [_numbered(key, number) for number, key in enumerate(many[KEY])]
    many = many.with_columns(pl.Series(KEY, keys, dtype=pl.String))
    name = frame_hash(many)
    rows = rows_of(Read((Part(name, "frame"),), FrameReader(name, many)), dict(found.columns))
    done = ground.engine.run({"rows": Write(rows, str(new(ground, "multiplied") / "rows"))})
    return replace(found, files=done["rows"])


def _numbered(key: str, number: int) -> str:
    """A key of the same length whose last bytes are a number; it begins as no key of an entity does."""
    ending = number.to_bytes(_COUNTED, "big").decode(KEY_TEXT)
    return "\xff" + key[1 : max(1, len(key) - _COUNTED)] + ending
