"""How a job is cut into tasks, and what the driver refuses to take for a result."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import polars as pl
import pytest

from ninetyfive.engines.local import LocalEngine
from ninetyfive.engines.shipping import dumps
from ninetyfive.engines.submission import Submission
from ninetyfive.engines.tasks import Message, open_job, run_round, run_task
from ninetyfive.errors import EngineError, SourceError, StoreError
from ninetyfive.plan import CHUNK_ROWS, Part, Plan, Read, Reduce, Write
from ninetyfive.reducers.keyed_counts import KeyedCounts
from ninetyfive.relations import rows_of
from ninetyfive.sources.discovery import discover
from ninetyfive.sources.files import csv, frame, parquet
from ninetyfive.sources.readers import reader_of
from ninetyfive.testing.engine_plans import NUMBERS, FrameReader, SumCount, doubled, numbers, three

ROOM = 1 << 30


def done(submission: Submission) -> list[Message]:
    """All messages of a job, done here."""
    messages = [message for task in submission.tasks for message in run_task(submission.job, task)]
    for number in range(1, len(submission.groups) + 1):
        messages = list(run_round(submission.job, number, messages))
    return messages


def test_a_parquet_file_is_read_by_several_workers(tmp_path: Path) -> None:
    path = tmp_path / "a.parquet"
    rows = pl.select(k=pl.int_range(20 * CHUNK_ROWS - 5), x=pl.lit(0.1)).with_columns(x=pl.col("k") * 0.1)
    rows.write_parquet(path, row_group_size=3 * CHUNK_ROWS // 2)
    source = parquet(str(path), id="k")
    (found,) = discover(source)
    without = (7, CHUNK_ROWS, 8 * CHUNK_ROWS, 19 * CHUNK_ROWS + 1)
    plan = Reduce(Read((replace(found.part, without=without),), reader_of(source)), SumCount("x"))
    submission = Submission({"sum": plan}, ROOM)
    assert [(task.first, task.last, task.whole) for task in submission.tasks] == [
        (0, 8, False),
        (8, 16, False),
        (16, 20, False),
    ]
    left_out = [[int(one) for _, rows in task.reads.reads.values() for one in rows] for task in submission.tasks]
    assert left_out == [[7, CHUNK_ROWS], [8 * CHUNK_ROWS], [19 * CHUNK_ROWS + 1]]
    with submission:
        assert submission.results(done(submission)) == LocalEngine().run({"sum": plan})


def test_a_text_file_is_read_by_one(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    numbers(9).write_csv(path)
    source = csv(str(path), id="k")
    plan = Reduce(Read(tuple(found.part for found in discover(source)), reader_of(source)), KeyedCounts("k"))
    submission = Submission({"rows": plan}, ROOM)
    assert [(task.first, task.last, task.whole) for task in submission.tasks] == [(0, None, True)]


def test_rows_in_memory_are_sent_once(tmp_path: Path) -> None:
    rows = pl.select(k=pl.int_range(30 * CHUNK_ROWS), x=pl.lit(1.0))
    source = frame(rows, id="k")
    plan = Reduce(Read(tuple(found.part for found in discover(source)), reader_of(source)), SumCount("x"))
    submission = Submission({"sum": plan}, ROOM)
    job, *tasks = dumps(submission.job, *submission.tasks)
    assert len(tasks) == 4
    assert len(job) > rows.estimated_size()
    assert all(len(task) < 2_000 for task in tasks)


def test_a_result_that_was_lost_is_no_result(tmp_path: Path) -> None:
    for plan in (Reduce(three(), SumCount("x")), Write(three(), str(tmp_path / "out"))):
        submission = Submission({"it": plan}, ROOM)
        with pytest.raises(EngineError, match=r"span \w{12}: expected a result from the workers, got none"), submission:
            submission.results(done(submission)[1:])
        assert not (tmp_path / "out").exists()


def test_a_worker_with_other_versions_is_refused() -> None:
    submission = Submission({"rows": three()}, ROOM)
    old = replace(submission.job, versions={**submission.job.versions, "polars": "0.20.0"})
    with pytest.raises(EngineError, match=r"worker, polars: expected version 0\.20\.0, as where the run was started"):
        open_job(*dumps(old))
    assert open_job(*dumps(submission.job)).ends == submission.job.ends


def test_a_file_that_cannot_be_read_is_told_before_anything_runs(tmp_path: Path) -> None:
    path = tmp_path / "a.parquet"
    numbers(9).write_parquet(path)
    source = parquet(str(path), id="k")
    plan = Reduce(Read(tuple(found.part for found in discover(source)), reader_of(source)), SumCount("x"))
    path.write_bytes(path.read_bytes()[:-20])
    with pytest.raises(SourceError, match=r"a\.parquet"):
        Submission({"sum": plan}, ROOM)


def test_files_that_are_there_are_seen_before_anything_runs(tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    span = three().parts[1].span
    (tmp_path / "out" / f"{span}.parquet").write_text("mine")
    plans: dict[str, Plan] = {"files": Write(doubled(three()), str(tmp_path / "out"))}
    with pytest.raises(StoreError, match="the file is there already"), Submission(plans, ROOM):
        raise AssertionError("entered")
    assert [path.name for path in (tmp_path / "out").iterdir()] == [f"{span}.parquet"]


def test_no_rows_need_no_worker(tmp_path: Path) -> None:
    empty = Part("a", "x", (("rows", b""), ("chunk", 3)), rows=())
    rows = rows_of(Read((empty,), FrameReader()), NUMBERS)
    submission = Submission({"sum": Reduce(rows, SumCount("x")), "files": Write(rows, str(tmp_path))}, ROOM)
    assert submission.tasks == []
    with submission:
        results = submission.results([])
    assert results["sum"] == {"a": (0, 0, 0.0)}
    assert pl.read_parquet(results["files"][0].url).schema == NUMBERS
