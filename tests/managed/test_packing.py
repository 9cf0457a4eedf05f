"""What goes to a service and comes back: by value, under any hash seed, with no code in what is read back."""

from __future__ import annotations

import pickle
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path
from zoneinfo import ZoneInfo

import polars as pl
import pytest

from ninetyfive.engines.shipping import pack_error, unpack_error
from ninetyfive.errors import DataError, IntegrityError, ServiceError
from ninetyfive.managed.identity import content_of, described, placed
from ninetyfive.managed.packing import (
    Place,
    Result,
    pack,
    pack_results,
    unpack,
    unpack_results,
)
from ninetyfive.plan import Part, Plan, Read, Reduce, Write, WrittenFile
from ninetyfive.reducers.counts import Counts
from ninetyfive.sources.spans import SpanReader

ROWS = Read((Part("a" * 64, "gs://bucket/a.parquet", rows=(3,)),), SpanReader())


def plans(where: str) -> dict[str, Plan]:
    counts = Counts(("day",))
    return {
        "good": Write(ROWS, f"{where}/good"),
        "bad": Write(ROWS, f"{where}/bad"),
        "rows": ROWS,
        "all": Reduce(ROWS, counts),
        "keyed": Reduce(ROWS, counts, by=("day",)),
    }


def test_a_job_is_the_same_wherever_its_files_go() -> None:
    one, other = plans("/tmp/attempt-1"), plans("gs://bucket/tmp/2")
    assert content_of(one, 1) == content_of(other, 1)
    assert content_of(one, 1) != content_of(one, 2)
    assert content_of(one, 1) != content_of({**one, "rows": Reduce(ROWS, Counts(("hour",)))}, 1)
    assert [plan.url for plan in placed(one, "x{}".format).values() if isinstance(plan, Write)] == ["x0", "x1"]


def test_values_are_told_apart_by_content_and_by_type() -> None:
    values = [None, True, 1, 1.0, "1", b"1", (1,), [1], {1: 2}, {1}, 0.0, -0.0, float("nan"), pl.Int64(), pl.Int32()]
    told = [repr(described(value)) for value in values]
    assert len(set(told)) == len(values)
    loop: list[object] = [1]
    loop.append(loop)
    assert described(loop) == described(pickle.loads(pickle.dumps(loop)))


def test_what_is_unpacked_writes_where_it_is_told_to() -> None:
    back, memory = unpack(pack(plans("/elsewhere"), 77), "gs://bucket/jobs/x/files")
    assert memory == 77
    assert [plan.url for plan in back.values() if isinstance(plan, Write)] == [
        "gs://bucket/jobs/x/files/0",
        "gs://bucket/jobs/x/files/1",
    ]
    assert content_of(back, 1) == content_of(plans("x"), 1)


def test_results_come_back_as_they_were() -> None:
    keys = [
        (None, True, 1, 2**70),
        ("a", date(2026, 1, 2), Decimal("1.50"), -0.0),
        (datetime(2026, 1, 2, 3, 4, 5, 6), datetime(2026, 1, 2, tzinfo=ZoneInfo("Europe/Berlin")), "", float("inf")),
        (datetime(2026, 1, 2, tzinfo=ZoneInfo("UTC")), "null", "1", 1.5),
    ]
    counts = Counts(("day",))
    state = counts.add(counts.zero(), pl.DataFrame({"day": [1, 1, None]}))
    found = {
        "good": (WrittenFile("a" * 64, "gs://b/0/a.parquet", "f" * 64, (3,), "c"),),
        "bad": (),
        "rows": pl.DataFrame({"x": [1.5, float("nan"), None], "t": [datetime(2026, 1, 1, tzinfo=UTC)] * 3}),
        "all": {"a" * 64: state},
        "keyed": {"a" * 64: dict.fromkeys(keys, state)},
    }
    back = unpack_results(plans("x"), pack_results(plans("x"), found), "here")
    assert back.pop("rows").equals(found.pop("rows"))
    assert back == found
    (kept,) = back["keyed"].values()
    assert [[type(value) for value in key] for key in kept] == [[type(value) for value in key] for key in keys]


@pytest.mark.parametrize("data", [b"", b"\x80", b"\x81\xa4rows\x80", pickle.dumps(Result())])
def test_results_that_are_none_are_refused(data: bytes) -> None:
    with pytest.raises(IntegrityError, match="submit again"):
        unpack_results(plans("x"), data, "here")


def test_an_error_comes_back_as_it_was() -> None:
    error = DataError("a.csv", expected="ids", got="none", do="name them")
    back = unpack_error(pack_error(error))
    assert type(back) is DataError
    assert back.as_dict() == error.as_dict()


@pytest.mark.parametrize("kind", ["folder", "memory"])
def test_a_place_holds_files_and_removes_them(kind: str, tmp_path: Path) -> None:
    place = Place(str(tmp_path / "jobs" / "x") if kind == "folder" else "memory://jobs-of-test/x")
    assert place.read("results") is None
    place.remove()
    place.write("results", b"1")
    place.write("results", b"2")
    place.write("x-1/error", b"3")
    assert (place.read("results"), place.read("x-1/error")) == (b"2", b"3")
    assert place.there([f"{place.url}/x-1/error"])
    assert place.there([])
    place.remove("x-1")
    assert not place.there([f"{place.url}/x-1/error", f"{place.url}/results"])
    place.remove("results")
    assert place.read("results") is None


def test_what_says_that_all_is_there_comes_last(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "from" / "release").mkdir(parents=True)
    for name in ("config.json", "release/model.onnx"):
        (tmp_path / "from" / name).write_text(name)
    place = Place(str(tmp_path / "to"))
    with monkeypatch.context() as patched:
        patched.setattr("fsspec.implementations.local.LocalFileSystem.put_file", stopped)
        with pytest.raises(KeyboardInterrupt):
            place.bring(tmp_path / "from", "service", last="config.json")
    assert place.read("service/config.json") is None
    place.bring(tmp_path / "from", "service", last="config.json")
    assert place.names("service") == ["service/config.json", "service/release/model.onnx"]


def stopped(*_: object) -> None:
    raise KeyboardInterrupt


def test_a_place_that_cannot_be_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(ServiceError, match=r"docs/managed\.md"):
        Place(str(tmp_path / "file" / "below")).write("x", b"")
    with pytest.raises(ServiceError, match="temporary"):
        Place("nothing-known://x")
