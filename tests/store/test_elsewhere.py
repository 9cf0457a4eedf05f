"""Workers that share nothing with the driver but a bucket: what they are sent holds no path of this machine."""

from __future__ import annotations

import json
import secrets
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import fsspec
import polars as pl
import pytest

from ninetyfive.engines.beam import BeamEngine
from ninetyfive.engines.shipping import dumps
from ninetyfive.engines.submission import Submission
from ninetyfive.plan import Plan, Read, Write

if TYPE_CHECKING:
    from tests.conftest import Project


class Recorded(BeamEngine):
    """Keeps the urls of all plans, and the bytes that a worker is sent for them."""

    def __init__(self, **words: Any) -> None:
        super().__init__(**words)
        self.urls: list[str] = []
        self.sent: list[bytes] = []

    def run(self, plans: Mapping[str, Plan]) -> dict[str, Any]:
        for plan in plans.values():
            self.urls += urls_of(plan)
        submission = Submission(plans, self._room)
        self.sent += dumps(submission.job, *submission.tasks)
        return super().run(plans)


def urls_of(plan: Plan) -> Iterator[str]:
    """The urls that a plan reads and writes."""
    if isinstance(plan, Read):
        yield from (part.url for part in plan.parts)
        return
    if isinstance(plan, Write):
        yield plan.url
    for below in plan.inputs if hasattr(plan, "inputs") else (plan.input,):
        yield from urls_of(below)


@pytest.mark.slow
def test_with_everything_in_a_bucket_workers_are_sent_no_path_of_this_machine(
    project: Project, bucket: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A run, a table and the answers to a file on Beam; the release is that of a local store."""
    place, files = f"{bucket}/{secrets.token_hex(8)}", fsspec.filesystem("gs", use_listings_cache=False)
    rows = pl.read_parquet(project.folder / "data" / "a.parquet")
    for name, some in (("a", rows[:600]), ("b", rows[600:])):
        files.put(str(project.add(name, some)), f"{place}/data/{name}.parquet")
    project.edit(("data/*.parquet", f"{place}/data/*.parquet"), ("later=[", 'entity="zone", later=['))
    local = project.run()
    with project.store() as store:
        kept = store.artifacts.manifest(store.release(local["release"]).folder).files

    work = tmp_path / "work"
    work.mkdir()
    (project.folder / "ninetyfive.toml").write_text(
        f"""store = "{place}/store"
catalog = "sqlite:///{work}/catalog.sqlite"
engine = "beam"
[engines.beam]
temporary = "{place}/beam"
""",
        encoding="utf-8",
    )
    engine = Recorded(temporary=f"{place}/beam")
    monkeypatch.setattr("ninetyfive.engines.beam.BeamEngine", lambda *_, **__: engine)
    there, system = project.run(), project.load()
    assert (there["release"], there["rows"]) == (local["release"], local["rows"])
    assert system.predict_file(f"{place}/data/b.parquet", tmp_path / "answers.parquet")["rows"]["answered"] == 600
    assert system.build_table(population=f"{place}/data/b.parquet")["entities"] == 3
    with system._store(system.settings) as store:
        again = store.artifacts.manifest(store.release(there["release"]).folder).files
        assert {name for name in kept if kept[name] != again[name]} <= {"evidence.json"}
        spans = {span.artifact for span in store.spans(store.inventory(()).spans[0].ingest_key)}
    live = json.loads(files.cat(f"{place}/store/live.json"))
    assert (live["system"], live["release"], live["epoch"]) == ("trips", there["release"], 2)
    assert live["table"]
    assert engine.urls
    assert all(url.startswith(f"{place}/") for url in engine.urls)
    assert any(place.encode() in one for one in engine.sent)
    assert not [one for one in engine.sent if str(tmp_path / "work").encode() in one]
    assert spans.isdisjoint(path.name for path in (work / "catalog.sqlite.work" / "cache").iterdir())
    assert not [path for path in files.find(place) if "/tmp/" in path or "/beam/" in path]
