"""Predict: a file or frame of rows in, answers out, by a plan: on any engine, in bounded memory.

rows ─ Conform(request schema) ─┬─▶ transform ─▶ predictor ─▶ id columns + prediction
                                └─▶ rejected, each with rule, column and value
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import polars as pl
import pyarrow.parquet as pq

from ninetyfive.conform import Conform
from ninetyfive.errors import UsageError
from ninetyfive.models.release import OpenRelease
from ninetyfive.models.scoring import Score
from ninetyfive.plan import Engine, Map, Plan, Read, Write, WrittenFile
from ninetyfive.schema import Schema
from ninetyfive.sources.discovery import discover
from ninetyfive.sources.files import Source, csv, jsonl, parquet
from ninetyfive.sources.readers import reader_of
from ninetyfive.sources.spans import SpanReader, part_of
from ninetyfive.span_checks import check_columns
from ninetyfive.store.failures import disk_errors

PREDICTION = "prediction"
FORMATS = (".parquet", ".csv", ".jsonl")


@dataclass(frozen=True, slots=True)
class Answered:
    """What a batch gave: files of answers and of rejected rows, in canonical order, and their numbers of rows."""

    answers: tuple[WrittenFile, ...]
    rejected: tuple[WrittenFile, ...]
    rows: int
    rejected_rows: int
    notices: tuple[str, ...]


def source_of(url: str) -> Source:
    """The source that a path, glob or URL means, by its ending (.parquet, .csv, .jsonl, or packed); `UsageError`."""
    name = url.lower().removesuffix(".gz").removesuffix(".bz2").removesuffix(".xz").removesuffix(".zip")
    for endings, make in (
        ((".parquet", ".pq"), parquet),
        ((".csv", ".txt"), csv),
        ((".jsonl", ".ndjson", ".json"), jsonl),
    ):
        if name.endswith(endings):
            return make(url)
    if name.endswith(".tsv"):
        return csv(url, separator="\t")
    raise UsageError(
        url, expected="a name that ends in " + ", ".join(FORMATS), got=url, do="rename or convert the file"
    )


def predict(release: OpenRelease, source: Source, engine: Engine, folder: Path) -> Answered:
    """Answer every row of `source` into files under `folder`; rows that break the request's schema are written beside.

    A column that the request needs and the source lacks raises `SchemaError`; columns it does not know are left out.
    """
    reader, request = reader_of(source), release.request
    parts = tuple(file.part for file in discover(source))
    notices: dict[str, None] = {}
    for part in parts:
        names = reader.names(part)
        for finding in check_columns(request, names, part.url) if names is not None else ():
            if finding.blocking:
                raise finding.error()
            known = finding.column in release.about.hindsight
            why = "which a request does not have" if known else "which the schema does not know"
            notices[f"column {finding.column!r} is left out, {why}"] = None
    conform = Conform(request, reader.text)
    raw = Read(parts, reader, position=True)
    rows = Map(raw, conform, conform.accepted)
    rejected = Map(raw, conform, conform.rejected(position=True), side="rejected")
    keep = passed_through(release, request)
    score = Score((release.scorer(PREDICTION),), keep, release.about.task, release.about.classes)
    plans: dict[str, Plan] = {
        "answers": Write(Map(rows, score, score.output(rows.output)), str(folder / "answers")),
        "rejected": Write(rejected, str(folder / "rejected")),
    }
    found = engine.run(plans)
    answers, refused = found["answers"], found["rejected"]
    counts = [sum(sum(file.rows) for file in files) for files in (answers, refused)]
    return Answered(answers, refused, counts[0], counts[1], tuple(notices))


def passed_through(release: OpenRelease, request: Schema) -> tuple[str, ...]:
    """The columns that stand beside an answer: the id, or every request column where the system has none."""
    return release.about.id or request.names


def written(files: Sequence[WrittenFile]) -> list[pl.DataFrame]:
    """The rows of written files, chunk by chunk."""
    return [frame for file in files for frame in SpanReader().read(part_of(file))]


def check_output(output: Path) -> None:
    """`UsageError` where `output` ends in no known format, or where its folder is not there."""
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


def deliver(files: Sequence[WrittenFile], output: Path) -> None:
    """Put the rows of written files into the file `output`, which `check_output` passed: whole or not at all."""
    attempt = output.with_name(f".{output.name}.attempt")
    try:
        with disk_errors(str(output)):
            _stream(files, attempt, output.suffix)
            attempt.replace(output)
    finally:
        attempt.unlink(missing_ok=True)


def _stream(files: Sequence[WrittenFile], path: Path, suffix: str) -> None:
    frames = (frame for file in files for frame in SpanReader().read(part_of(file)))
    if suffix == ".parquet":
        writer: Any = None
        for frame in frames:
            table = frame.to_arrow(compat_level=pl.CompatLevel.oldest())
            if writer is None:
                writer = pq.ParquetWriter(path, table.schema, compression="zstd", write_page_checksum=True)
            writer.write_table(table)
        if writer is None:
            pl.DataFrame().write_parquet(path)
        else:
            writer.close()
        return
    with path.open("wb") as stream:
        for number, frame in enumerate(frames):
            if suffix == ".csv":
                frame.write_csv(stream, include_header=number == 0)
            else:
                frame.write_ndjson(stream)
