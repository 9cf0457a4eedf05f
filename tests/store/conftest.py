"""A store in a new folder, opened and closed; the same with its files in a bucket; and a store with a past."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from ninetyfive.hashing import bytes_hash
from ninetyfive.steps.window import statistics_key
from ninetyfive.store.opening import Store, open_store
from ninetyfive.store.records import SpanRecord


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with open_store(tmp_path / "store", actor="ada") as opened:
        yield opened


@pytest.fixture(params=["folder", "bucket"])
def any_store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Store]:
    if request.param == "folder":
        url, catalog = str(tmp_path / "store"), None
    else:
        url, catalog = f"memory://{tmp_path.name}/store", f"sqlite:///{tmp_path}/catalog.sqlite"
    with open_store(url, catalog, actor="ada") as opened:
        yield opened


@pytest.fixture(name="fill", scope="session")
def fill() -> Callable[[Store, int, Path], list[str]]:
    """The function that fills a store."""
    return _fill


def _fill(store: Store, count: int, root: Path) -> list[str]:
    """Runs, one a day in 2026, that read a new span, keep states of it, train, and make a release that is promoted."""
    made = []
    for number in range(1, count + 1):
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("NINETYFIVE_CLOCK", f"2026-01-0{number}")
            made.append(_fill_one(store, number, root / f"made-{number}"))
    return made


def _fill_one(store: Store, number: int, folder: Path) -> str:
    with store.lease("test"):
        run = store.begin_run("run", f"key {number}")
        rows, big = store.put_bytes(b"rows %d" % number), b"%d" % number * 70_000
        span = SpanRecord(
            span=bytes_hash(b"%d" % number),
            ingest_key="k",
            url=f"data/{number}.csv",
            read=1,
            accepted=1,
            quarantined=0,
            artifact=rows,
            chunks=(1,),
        )
        store.add_spans([span], {(span.span, statistics_key("k")): big, (span.span, "p:1"): b"small"})
        put_out = {"ingest_key": "k", "spans": [{"span": span.span}]}
        store.record(run.id, "ingest", f"ingest {number}", put_out, artifacts=[rows], seconds=0.0)
        store.record(run.id, "fit", f"fit {number}", {"phases": ["p"]}, artifacts=[], seconds=0.0)
        shared = store.put_bytes(b"shared by all")
        model = store.put_bytes(b"model %d" % number)
        store.record(run.id, "train", f"train {number}", {}, artifacts=[model, shared], seconds=0.0)
        folder.mkdir(parents=True)
        (folder / "model").write_bytes(b"model %d" % number)  # in a bucket the same object as the file of the step
        (folder / "evidence.json").write_text(f'{{"by": {number}}}')
        release = bytes_hash(b"release %d" % number)
        store.add_release(
            release, store.put_folder(folder, f"release-{release}"), {"ingest": f"ingest {number}"}, run.id
        )
        keys = [{"name": one, "key": f"{one} {number}"} for one in ("ingest", "fit", "train")]
        store.finish_run(run.id, "done", {"steps": keys})
    store.promote(release, number - 1, "better")
    return release
