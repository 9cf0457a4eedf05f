"""Predict: a file or frame of rows in, answers out, by a plan: on any engine, in bounded memory.

rows ─ Conform(request schema) ─┬─▶ transform ─▶ predictor ─▶ id columns + prediction
                                └─▶ rejected, each with rule, column and value
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pyarrow.parquet as pq

from ninetyfive.conform import Conform
from ninetyfive.errors import UsageError
from ninetyfive.features.frames import scalars
from ninetyfive.models.predictor import Answers
from ninetyfive.models.release import OpenRelease
from ninetyfive.models.scoring import Output, Score, answer_columns
from ninetyfive.parsing import parse
from ninetyfive.plan import Engine, Map, Plan, Read, Write, WrittenFile
from ninetyfive.schema import Schema
from ninetyfive.sources.discovery import discover
from ninetyfive.sources.files import FORMATS, Source
from ninetyfive.sources.readers import reader_of
from ninetyfive.sources.spans import SpanReader, part_of
from ninetyfive.span_checks import check_columns
from ninetyfive.store.failures import disk_errors
from ninetyfive.values import plain

PREDICTION = "prediction"


@dataclass(frozen=True, slots=True)
class Rows:
    """Rows in files, in canonical order: the files, their columns with dtypes, how many rows there are."""

    files: tuple[WrittenFile, ...]
    columns: Output

    @property
    def count(self) -> int:
        """How many rows there are."""
        return sum(sum(file.rows) for file in self.files)

    def frames(self) -> Iterator[pl.DataFrame]:
        """An empty frame, which has the columns where there are no rows, then the rows chunk by chunk."""
        yield pl.DataFrame(schema=dict(self.columns))
        for file in self.files:
            yield from SpanReader().read(part_of(file))


@dataclass(frozen=True, slots=True)
class Answered:
    """What a batch gave: answers, rows that break the schema, and what else is to be told."""

    answers: Rows
    rejected: Rows
    notices: tuple[str, ...]


def predict(release: OpenRelease, source: Source, engine: Engine, draft: str) -> Answered:
    """Answer every row of `source` into files under `draft`; rows that break the request's schema are written beside.

    A column that the request needs and the source lacks raises `SchemaError`; columns it does not know are left out.
    """
    answers, rejected, notices = _plans(release, source)
    plans: dict[str, Plan] = {
        "answers": Write(answers, f"{draft}/answers"),
        "rejected": Write(rejected, f"{draft}/rejected"),
    }
    found = engine.run(plans)
    return Answered(Rows(found["answers"], answers.output), Rows(found["rejected"], rejected.output), notices)


def sift(release: OpenRelease, source: Source, engine: Engine, draft: str) -> tuple[Rows, Rows, tuple[str, ...]]:
    """The rows of `source` that keep the request's schema, those that do not, and what is to be told; none answered.

    Files and errors as those of `predict`.
    """
    rows, rejected, notices = _sifted(release, source)
    found = engine.run({"rows": Write(rows, f"{draft}/rows"), "rejected": Write(rejected, f"{draft}/rejected")})
    return Rows(found["rows"], rows.output), Rows(found["rejected"], rejected.output), notices


@dataclass(frozen=True, slots=True)
class Joined(Rows):
    """Rows that were answered elsewhere: `known` is what the files hold, `columns` what comes out.

    `values` are the answers as a predictor gives them, row by row in the order of the files.
    """

    known: Output
    score: Score
    values: Answers

    def frames(self) -> Iterator[pl.DataFrame]:
        """As of `Rows`, with the answers beside what is passed through."""
        yield pl.DataFrame(schema=dict(self.columns))
        start = 0
        for frame in Rows(self.files, self.known).frames():
            part = self.values[start : start + frame.height]
            start += frame.height
            answers = answer_columns(part, PREDICTION, self.score.task, self.score.classes)
            yield frame.select(*self.score.keep, *answers)


def joined(release: OpenRelease, rows: Rows, values: Answers) -> Joined:
    """What `predict` would have answered to rows whose answers are `values`."""
    score = _score(release)
    return Joined(rows.files, score.output(rows.columns), rows.columns, score, values)


def predict_frame(release: OpenRelease, source: Source, engine: Engine) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Answers and rejected rows of a frame in memory, by the engine; no file. Errors as those of `predict`."""
    answers, rejected, _ = _plans(release, source)
    found = engine.run({"answers": answers, "rejected": rejected})
    return found["answers"], found["rejected"]


def _plans(release: OpenRelease, source: Source) -> tuple[Map, Map, tuple[str, ...]]:
    """The plans of answers and of rejected rows, and what is to be told."""
    rows, rejected, notices = _sifted(release, source)
    score = _score(release)
    return Map(rows, score, score.output(rows.output)), rejected, notices


def _score(release: OpenRelease) -> Score:
    keep = passed_through(release, release.request)
    return Score((release.scorer(PREDICTION),), keep, release.about.task, release.about.classes)


def _sifted(release: OpenRelease, source: Source) -> tuple[Map, Map, tuple[str, ...]]:
    """The plans of rows that keep the schema and of those that do not, and what is to be told."""
    reader, request = reader_of(source), release.request
    parts = tuple(file.part for file in discover(source))
    notices: dict[str, None] = {}
    for part in parts:
        notices |= dict.fromkeys(left_out(release, reader.names(part), part.url))
    conform = Conform(request, reader.text)
    raw = Read(parts, reader, position=True)
    rows = Map(raw, conform, conform.accepted)
    rejected = Map(raw, conform, conform.rejected(position=True), side="rejected")
    return rows, rejected, tuple(notices)


def predict_few(release: OpenRelease, source: Source) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Answers and rejected rows of a frame in memory, by the row function: no engine, no file; bits as `predict` has.

    Quicker than an engine for as many rows as `release.crossover`. A column that is missing raises `SchemaError`.
    """
    reader, request, about = reader_of(source), release.request, release.about
    keep = passed_through(release, request)
    accepted: list[pl.DataFrame] = []
    rejected: list[pl.DataFrame] = []
    for file in discover(source):
        left_out(release, reader.names(file.part), file.part.url)
        for raw in reader.read(file.part):
            good, bad = Conform(request, reader.text)(raw)
            accepted.append(good)
            rejected.append(bad)
    rows = pl.concat(accepted)
    function = release.transform.rows()
    inputs = np.array([function(row) for row in scalars(rows, release.transform.inputs)], dtype=np.float32)
    answers = release.predictor.predict(inputs.reshape(rows.height, len(release.transform.columns)))
    return rows.select(*keep, *answer_columns(answers, PREDICTION, about.task, about.classes)), pl.concat(rejected)


def left_out(release: OpenRelease, names: Mapping[str, str | None] | None, url: str) -> list[str]:
    """What is to be told of columns that no request holds; `SchemaError` where one that it needs is missing."""
    told = []
    for finding in check_columns(release.request, names, url) if names is not None else ():
        if finding.blocking:
            raise finding.error()
        known = finding.column in release.about.hindsight
        why = "which a request does not have" if known else "which the schema does not know"
        told.append(f"column {finding.column!r} is left out, {why}")
    return told


def passed_through(release: OpenRelease, request: Schema) -> tuple[str, ...]:
    """The columns that stand beside an answer: the id, or every request column where the system has none."""
    return release.about.id or request.names


def check_output(output: Path, read: Sequence[str]) -> None:
    """`UsageError` where `output` ends in no known format, has no folder, or is (by path or glob) what is `read`."""
    place = str(output.resolve())
    for url in read:
        if "://" not in url and fnmatch(place, str(Path(url).resolve())):
            raise UsageError(
                str(output),
                expected="a file that nothing is read from",
                got=f"one of {url}, which would be lost",
                do="name another file, outside of what the system reads",
            )
    if output.suffix not in FORMATS:
        raise UsageError(
            str(output),
            expected="a name that ends in " + ", ".join(FORMATS),
            got=output.suffix or "no ending",
            do="rename it",
        )
    if not output.absolute().parent.is_dir():
        folder = str(output.parent)
        raise UsageError(folder, expected="a folder to write into", got="none", do="make it, or name another")


def deliver(rows: Rows, output: Path) -> int:
    """Put rows into the file `output`, which `check_output` passed: whole or not at all; how many have no answer."""
    attempt = output.with_name(f".{output.name}.attempt")
    try:
        with disk_errors(str(output)):
            unanswered = _stream(rows, attempt, output.suffix)
            attempt.replace(output)
            return unanswered
    finally:
        attempt.unlink(missing_ok=True)


def delivered(release: OpenRelease, answered: Answered, output: Path) -> dict[str, Any]:
    """Put answers into `output` and rejected rows into `OUTPUT.rejected.ENDING` beside it; the document of it."""
    unanswered = deliver(answered.answers, output)
    beside = output.with_name(f"{output.stem}.rejected{output.suffix}")
    beside.unlink(missing_ok=True)  # of an earlier answer to the same file
    rejected = beside if answered.rejected.count else None
    if rejected is not None:
        deliver(answered.rejected, rejected)
    return {
        "release": release.hash,
        "rows": {
            "answered": answered.answers.count - unanswered,
            "unanswered": unanswered,
            "rejected": answered.rejected.count,
        },
        "output": str(output),
        "rejected": None if rejected is None else str(rejected),
        "notices": [*answered.notices, *no_answer(unanswered)],
    }


def _stream(rows: Rows, path: Path, suffix: str) -> int:
    unanswered = 0
    if suffix == ".parquet":
        schema = pl.DataFrame(schema=dict(rows.columns)).to_arrow(compat_level=pl.CompatLevel.oldest()).schema
        with pq.ParquetWriter(path, schema, compression="zstd", write_page_checksum=True) as writer:
            for frame in rows.frames():
                writer.write_table(frame.to_arrow(compat_level=pl.CompatLevel.oldest()))
                unanswered += _unanswered(frame)
        return unanswered
    with path.open("wb") as stream:
        for number, frame in enumerate(rows.frames()):
            if suffix == ".csv":
                _flat(frame).write_csv(stream, include_header=number == 0)
            else:
                frame.write_ndjson(stream)
            unanswered += _unanswered(frame)
    return unanswered


def no_answer(rows: int) -> list[str]:
    """What is told of rows without an answer; nothing of none."""
    return [f"{rows:,} rows have no answer: an input is missing, and the model takes no such rows"] if rows else []


def _unanswered(frame: pl.DataFrame) -> int:
    """Rows with a NaN for an answer: the model refuses a missing input."""
    columns = [name for name in frame.columns if name == PREDICTION or name.startswith(f"{PREDICTION}:")]
    return int(frame.select(pl.any_horizontal(pl.col(columns).is_nan())).to_series().sum()) if columns else 0


def _flat(frame: pl.DataFrame) -> pl.DataFrame:
    """The rows with what CSV cannot hold as text: lists as their JSON, bytes as their text or base64."""
    columns = []
    for series in frame.iter_columns():
        if series.dtype == pl.Binary:
            columns.append(pl.Series(series.name, [plain(value, "opaque") for value in series], dtype=pl.String))
        elif series.dtype == pl.List:
            columns.append(parse(series, "opaque", "typed")[0].cast(pl.String))
        else:
            columns.append(series)
    return pl.DataFrame(columns)
