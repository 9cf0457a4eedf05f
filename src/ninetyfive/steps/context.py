"""What every step is given: the declaration, where things are, and what was asked. Nothing here does anything."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from ninetyfive.plan import Engine
from ninetyfive.progress import Reporter
from ninetyfive.schema import Schema
from ninetyfive.settings import Settings
from ninetyfive.sources.discovery import FileFound
from ninetyfive.sources.labels import LabelCounts
from ninetyfive.sources.readers import SourceReader
from ninetyfive.steps.platform import NONE, Platform
from ninetyfive.store.opening import Store
from ninetyfive.system import Declaration, Model


@dataclass(frozen=True, slots=True)
class Context:
    """One run: where it runs, who is told, `as_of` in µs (None: the newest time in the data).

    `since` in µs: after a drop in quality, what came before trains no more. `platform`: where one that started the run
    wants what is learned.
    """

    declaration: Declaration
    settings: Settings
    store: Store
    engine: Engine
    reporter: Reporter
    as_of: int | None = None
    since: int | None = None
    platform: Platform = NONE

    @property
    def schema_file(self) -> Path:
        """schema.toml beside system.py."""
        return self.settings.folder / "schema.toml"


@dataclass(frozen=True, slots=True, kw_only=True)
class Prepared(Context):
    """A run whose source was looked at: the files found, how they are read, the schema in force, the model.

    `landed`: what is to be told of rows that landed. Of a request log: what became of its labels, and how many of its
    records have no row. `run` is the id of the run once it has begun; `retry`: trials that were recorded
    before do not count.
    """

    files: tuple[FileFound, ...]
    reader: SourceReader
    schema: Schema
    model: Model
    champion: str | None = None
    landed: tuple[str, ...] = ()
    labels: LabelCounts | None = None
    rowless: int = 0
    run: str = ""
    retry: bool = False
