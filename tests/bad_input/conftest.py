"""A project that is given bad input as its user would: what it says, that nothing is lost, that mending is enough."""

from __future__ import annotations

import json
import shutil
import sqlite3
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import polars as pl
import pytest

from ninetyfive.errors import NinetyfiveError

if TYPE_CHECKING:
    from tests.conftest import Project

COUNTED = ("accepted", "quarantined", "unlabelled", "duplicate")


@dataclass(frozen=True)
class Victim:
    """A project and what must hold of it whatever it is given."""

    project: Project

    @property
    def data(self) -> Path:
        """The folder of its files."""
        return self.project.folder / "data"

    def use(self, kind: str, **arguments: str) -> None:
        """Read data/*.KIND instead of Parquet; `arguments` are further ones of the source, as text."""
        for path in self.data.iterdir():
            path.unlink()
        more = "".join(f", {name}={text}" for name, text in arguments.items())
        new = f'nf.{kind}("data/*.{kind}", time="at", id="trip"{more})'
        self.project.edit(('nf.parquet("data/*.parquet", time="at", id="trip")', new))

    @contextmanager
    def edited(self, *changes: tuple[str, str]) -> Iterator[None]:
        """The project with texts of system.py replaced, put back afterwards."""
        path = self.project.folder / "system.py"
        whole = path.read_text(encoding="utf-8")
        try:
            self.project.edit(*changes)
            yield
        finally:
            path.write_text(whole, encoding="utf-8")

    def write(self, name: str, content: bytes | str | pl.DataFrame) -> Path:
        """Write data/NAME: bytes, text, or a frame in the form that the name ends in."""
        path = self.data / name
        if isinstance(content, pl.DataFrame):
            if path.suffix == ".parquet":
                content.write_parquet(path)
                return path
            content = text_of(content, path.suffix)
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return path

    def refuses(self, kind: type[NinetyfiveError], *words: str, **asked: Any) -> NinetyfiveError:
        """The error of a run: of this kind, says all `words`, and store and champion are as before."""
        before, releases = self.live, self.releases
        with pytest.raises(kind) as caught:
            self.project.run(**asked)
        error = caught.value
        assert type(error) is kind
        for word in words:
            assert word in str(error), f"{word!r} is not in: {error}"
        assert all(part.strip() for part in (error.where, error.expected, error.got, error.do))
        assert not error.do.endswith(".")
        self.check_store()
        assert (self.live, self.releases) == (before, releases)
        return error

    def refuses_to_load(self, kind: type[NinetyfiveError], *words: str) -> NinetyfiveError:
        """The error of loading system.py: of this kind, says all `words`; every command ends with exit code 2."""
        with pytest.raises(kind) as caught:
            self.project.load()
        said = self.project.command("status")
        assert said.code == 2
        for word in words:
            assert word in str(caught.value)
            assert word in said.err
        return caught.value

    def runs(self, **asked: Any) -> dict[str, Any]:
        """The document of a run that ends well, every row of it counted."""
        document = self.project.run(**asked)
        assert document["rows"]["read"] == sum(document["rows"][name] for name in COUNTED)
        counts = self.counts
        for count in counts.values():
            assert count["read"] == sum(count[name] for name in COUNTED)
        if not asked.get("as_of") and "ingest" in self.project.done(document):
            used = sum(count["accepted"] + count["unlabelled"] for count in counts.values())
            assert document["window"]["rows"] == used
        self.check_store()
        return document

    @property
    def counts(self) -> Mapping[str, Mapping[str, int]]:
        """{span: its rows by outcome}, as the last ingest counted them."""
        with sqlite3.connect(self.project.folder / ".ninetyfive" / "catalog.sqlite") as catalog:
            query = "select output from steps where name = 'ingest' order by rowid desc limit 1"
            (output,) = catalog.execute(query).fetchone()
        catalog.close()
        counts: Mapping[str, Mapping[str, int]] = json.loads(output)["counts"]
        return counts

    def check_store(self) -> None:
        """Doctor and audit find nothing wrong, where there is a store."""
        if (self.project.folder / ".ninetyfive" / "catalog.sqlite").exists():
            system = self.project.load()
            doctor, audit = system.doctor(), system.audit_verify()
            assert doctor["healthy"], doctor["findings"]
            assert audit["whole"], audit["findings"]

    @property
    def live(self) -> Any:
        """The champion: release and epoch, None where there is none."""
        champion = self.project.load().status()["champion"]
        return champion and (champion["release"], champion["epoch"])

    @property
    def releases(self) -> int:
        """How many releases there are."""
        return len(self.project.load().releases())


def text_of(rows: pl.DataFrame, suffix: str) -> str:
    """Rows as CSV or JSON Lines, times in ISO 8601."""
    rows = rows.with_columns(pl.col(pl.Datetime).dt.strftime("%Y-%m-%dT%H:%M:%S"))
    return rows.write_csv() if suffix == ".csv" else rows.write_ndjson()


@pytest.fixture
def fresh(project: Project) -> Victim:
    """A project with 1,200 trips that never ran."""
    return Victim(project)


@pytest.fixture
def live(copied: Project) -> Victim:
    """A project with a champion, made of 1,200 trips in data/a.parquet."""
    return Victim(copied)


@pytest.fixture
def more(trips: Callable[..., pl.DataFrame]) -> pl.DataFrame:
    """The 400 trips after those."""
    return trips(400, first=1_200)


@pytest.fixture
def rows(trips: Callable[..., pl.DataFrame]) -> pl.DataFrame:
    """Those 1,200 trips."""
    return trips()


@pytest.fixture(scope="session")
def unmoved(finished: Project, tmp_path_factory: pytest.TempPathFactory) -> Victim:
    """A project with a champion, for tests of one module that leave it as it is: what they change, they put back."""
    folder = tmp_path_factory.mktemp("unmoved") / "project"
    shutil.copytree(finished.folder, folder)
    return Victim(type(finished)(folder))
