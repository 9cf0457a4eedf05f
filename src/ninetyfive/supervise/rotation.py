"""Ended segments of a request log become spans: one Parquet file each, and then the segment goes.

    w1-5be1c0de-000001.closed ─ whole frames ─▶ attempt ─ fsync ─ rename ─▶ w1-5be1c0de-000001.parquet ─▶ unlink
    python -m ninetyfive.supervise.rotation FOLDER [--keep-days N]

The rule: a segment that nobody has locked is nobody's: its worker has closed it, or is dead. A span says of which bytes
it was made, so a segment whose span is there already is only removed: what is killed anywhere in between leaves each
record in exactly one span. Pages have checksums. What does not belong here: when it is run, and what reads the spans.
"""

from __future__ import annotations

import argparse
import fcntl
import os
import sys
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

import msgspec
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import xxhash

from ninetyfive import clock
from ninetyfive.durable import sync
from ninetyfive.errors import NinetyfiveError, StoreError
from ninetyfive.schema import LOGGED, dtype
from ninetyfive.serve.log import Record, decode
from ninetyfive.serve.segments import CLOSED, OPEN, Damage, Segment
from ninetyfive.sources.log_spans import ABOUT, SpanAbout
from ninetyfive.store.failures import disk_errors
from ninetyfive.values import micros_of

SPAN, DAMAGED = ".parquet", ".damaged"
_ROWS = 16_384
_DAY = 86_400_000_000


class Rotated(msgspec.Struct, frozen=True):
    """What became of a segment: its `name`, and the span it is now.

    Without one it held no record; or none that can be read (`damaged`), and then it is kept under another name.
    """

    name: str
    span: SpanAbout | None = None
    damaged: bool = False


def rotate(folder: Path) -> tuple[list[Rotated], list[NinetyfiveError]]:
    """Turn every segment of the folder that nobody writes into a span; what could not be turned, and why.

    A segment with an error stays as it is, for the next time.
    """
    done, errors = [], []
    for path in sorted(path for path in folder.glob("*") if path.suffix in (OPEN, CLOSED)):
        try:
            rotated = turn(path)
        except NinetyfiveError as error:
            errors.append(error)
        else:
            done += [rotated] if rotated else []
    return done, errors


def turn(path: Path) -> Rotated | None:
    """Turn one segment into its span; None where a worker writes it, or another process was quicker."""
    with disk_errors(str(path)):
        try:
            descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        except FileNotFoundError:
            return None
        with os.fdopen(descriptor, "rb") as stream:
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                if not os.path.samestat(os.fstat(descriptor), path.stat()):
                    return None
            except (BlockingIOError, FileNotFoundError):
                return None
            data = stream.read()
            return _turned(path, data)


def about(span: Path) -> SpanAbout | None:
    """What a span says of itself; None where it is no span of a log, or not a whole one."""
    try:
        metadata = pq.read_metadata(span).metadata or {}
        return msgspec.json.decode(metadata[ABOUT], type=SpanAbout)
    except (OSError, pa.ArrowException, KeyError, msgspec.MsgspecError):
        return None


def spans(folder: Path) -> dict[str, SpanAbout]:
    """The spans of a log by their file names."""
    found = {path.name: about(path) for path in sorted(folder.glob(f"*{SPAN}"))}
    return {name: known for name, known in found.items() if known is not None}


def expired(known: Mapping[str, SpanAbout], keep_days: float | None, now: datetime) -> tuple[str, ...]:
    """The spans of which no request is younger than so many days; none where all are kept (None).

    >>> from datetime import UTC
    >>> old = SpanAbout("…", records=1, first=0, last=0)
    >>> expired({"a": old}, 30, datetime(1970, 2, 1, tzinfo=UTC)), expired({"a": old}, None, datetime.now(UTC))
    (('a',), ())
    """
    if keep_days is None:
        return ()
    oldest = micros_of(now) - keep_days * _DAY
    return tuple(name for name, one in known.items() if one.last < oldest)


def remove_expired(folder: Path, keep_days: float | None) -> tuple[str, ...]:
    """Remove the spans that are `expired` now; their names."""
    names = () if keep_days is None else expired(spans(folder), keep_days, clock.now())
    for name in names:
        with disk_errors(str(folder / name)):
            (folder / name).unlink(missing_ok=True)
    return names


def _turned(path: Path, data: bytes) -> Rotated:
    segment = Segment(data)
    target = path.with_suffix(SPAN)
    digest = xxhash.xxh3_128_hexdigest(data)
    known = about(target) if target.exists() else None
    if known is None or known.segment != digest:
        known = _write(segment, digest, target)
    if known is None and data.strip(b"\0") and (segment.header is None or segment.damage.bytes):
        path.rename(path.with_suffix(DAMAGED))
        return Rotated(path.stem, damaged=True)
    path.unlink()
    return Rotated(path.stem, span=known)


def _write(segment: Segment, digest: str, target: Path) -> SpanAbout | None:
    """The span of a segment, on the disk under its name; None, and no file, where it has no record."""
    attempt = target.with_name(f".{target.name}.attempt")
    descriptor = os.open(attempt, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
    try:
        with os.fdopen(descriptor, "wb") as stream:
            known = _stream(segment, digest, stream, str(target))
            stream.flush()
            os.fsync(descriptor)
        if known is not None:
            attempt.rename(target)
            sync(target.parent)
    finally:
        attempt.unlink(missing_ok=True)
    return known


def _stream(segment: Segment, digest: str, stream: Any, where: str) -> SpanAbout | None:
    """Write the records of a segment as Parquet, a row group for so many of them."""
    if segment.header is None:
        return None
    columns, policy = segment.header.columns, segment.header.policy
    dtypes = {name: dtype(type) for name, type in (LOGGED | columns).items()} | {"request_fingerprint": pl.UInt64()}
    schema = pl.DataFrame(schema=dtypes).to_arrow(compat_level=pl.CompatLevel.oldest()).schema
    unread, first, last, count, rowless = 0, 0, 0, 0, 0
    with pq.ParquetWriter(stream, schema, compression="zstd", write_page_checksum=True) as writer:
        for records, strange in _batches(segment, len(columns)):
            unread += strange
            if records:
                times = [record.at for record in records]
                first = min([*times, *([first] if count else [])])
                last = max([*times, last])
                count += len(records)
                rowless += sum(record.row.count(None) == len(columns) for record in records)
                writer.write_table(_table(records, schema, where))
        damage: Damage = segment.damage
        known = SpanAbout(digest, count, first, last, damage.records + unread, damage.bytes, policy, rowless)
        writer.add_key_value_metadata({ABOUT: msgspec.json.encode(known)})
    return known if count else None


def _batches(segment: Segment, width: int) -> Iterator[tuple[list[Record], int]]:
    """The records by so many at a time, each time with how many frames held something else."""
    records: list[Record] = []
    strange = 0
    for payload in segment.payloads():
        try:
            record = decode(payload)
        except msgspec.MsgspecError:
            strange += 1
            continue
        if len(record.row) != width:
            strange += 1
            continue
        records.append(record)
        if len(records) == _ROWS:
            yield records, strange
            records, strange = [], 0
    yield records, strange


def _table(records: Sequence[Record], schema: pa.Schema, where: str) -> pa.Table:
    """Records as rows: first what the log adds, then the columns of the request."""
    values: list[Sequence[Any]] = [
        [record.id for record in records],
        [record.at for record in records],
        [record.client_id for record in records],
        [record.entity for record in records],
        [record.fingerprint for record in records],
        [_answer(record.answer) for record in records],
        [record.release for record in records],
        [record.table for record in records],
        [record.source for record in records],
        [record.cpu for record in records],
        *zip(*(record.row for record in records), strict=True),
    ]
    try:
        columns = [_array(column, field.type) for field, column in zip(schema, values, strict=True)]
    except (TypeError, ValueError, OverflowError, pa.ArrowException) as error:
        do = "report it: a worker wrote what its columns cannot hold; the segment is kept"
        raise StoreError(where, expected="values of the columns' types", got=str(error), do=do) from None
    return pa.Table.from_arrays(columns, schema=schema)


def _array(values: Sequence[Any], type: pa.DataType) -> pa.Array:
    """Row scalars as a column: times and days come as numbers."""
    number = pa.int64() if pa.types.is_timestamp(type) else pa.int32() if pa.types.is_date(type) else None
    return pa.array(values, type) if number is None else pa.array(values, number).cast(type)


def _answer(answer: Any) -> list[float] | None:
    return None if answer is None else list(answer) if isinstance(answer, (tuple, list)) else [answer]


def _told(rotated: Rotated) -> str | None:
    """What there is to tell of a segment, if anything was lost."""
    if rotated.damaged:
        return f"{rotated.name}: damaged, no record can be read; it is kept as {rotated.name}{DAMAGED}"
    span = rotated.span
    if span is None or not (span.lost or span.lost_bytes):
        return None
    return f"{rotated.name}: {span.records:,} records kept, {span.lost:,} lost, {span.lost_bytes:,} bytes unreadable"


def main(words: Sequence[str] | None = None) -> int:
    """Rotate once and remove what has expired: a line of JSON of each segment and removed span, faults on stderr."""
    parser = argparse.ArgumentParser(prog="python -m ninetyfive.supervise.rotation", description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--keep-days", type=float, default=None)
    given = parser.parse_args(words)
    done, errors = rotate(given.folder)
    for one in done:
        sys.stdout.write(msgspec.json.encode(one).decode() + "\n")
        if told := _told(one):
            sys.stderr.write(told + "\n")
    for name in remove_expired(given.folder, given.keep_days):
        sys.stdout.write(msgspec.json.encode({"removed": name}).decode() + "\n")
    for error in errors:
        sys.stderr.write(f"{error}\n")
    return errors[0].exit_code if errors else 0


if __name__ == "__main__":
    sys.exit(main())
