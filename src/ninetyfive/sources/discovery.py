"""Which files a source means now, each named by the hash of its content.

    globs, folders, URLs ── discover ──▶ files in order of content hash, each content once

The rule: a span is its content. A file under two names, or renamed, is one span; a changed file is another one.
What does not belong here: what is in the files (`readers`), and how a service's rows become files (`landing`).
"""

from __future__ import annotations

import hashlib
import posixpath
from collections.abc import Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Any, BinaryIO, NamedTuple, cast

import numpy as np
import polars as pl

from ninetyfive.errors import SourceError
from ninetyfive.hashing import content_hash, file_hash
from ninetyfive.plan import Part
from ninetyfive.sources.files import LANDS, Source
from ninetyfive.sources.opening import check_names, failures, file_system, is_local, mark_of, no_span, nothing_there

_MAGIC = "*?["
_PACKED = ("", ".gz", ".bz2", ".xz", ".zip")
_ENDINGS = {
    "parquet": (".parquet", ".pq"),
    "request_log": (".parquet",),
    "csv": tuple(end + pack for end in (".csv", ".tsv", ".txt") for pack in _PACKED),
    "jsonl": tuple(end + pack for end in (".jsonl", ".ndjson", ".json") for pack in _PACKED),
}
_HASHED_ROWS = 65_536
_THREADS = 8


class Place(NamedTuple):
    """A file that is there: its url, size in bytes, and its mark."""

    url: str
    size: int
    mark: str


@dataclass(frozen=True, slots=True)
class FileFound:
    """One span as found: `url`, `size` in bytes, `sha256` of its content (the span's name).

    `mark` changes when the file does (path, size, and time or etag of the last write). `same` are the urls of other
    files with the same content, which are not read again. `labels`: the hash of what is joined to the rows, or empty.
    """

    url: str
    size: int
    sha256: str
    mark: str = ""
    same: tuple[str, ...] = ()
    labels: str = ""

    @property
    def part(self) -> Part:
        """The span as a plan reads it; the reader refuses a file that has changed since."""
        labels = (("labels", self.labels),) if self.labels else ()
        return Part(self.sha256, self.url, (("size", self.size), ("mark", self.mark), *labels))


def discover(source: Source, folder: str = "", known: Mapping[str, str] | None = None) -> tuple[FileFound, ...]:
    """The files of a source now, in order of content hash; relative paths start at `folder`.

    A glob or folder leaves out names that start with `_` or `.` (at any depth below it); a folder gives the files with
    the endings of its kind, at any depth. `known` {mark: sha256} saves hashing files that have not changed.
    No match raises `SourceError` that names what is near. An in-memory frame is one file with the url "frame".
    """
    if source.kind == "frame":
        rows = as_frame(source.frame)
        return (FileFound("frame", int(rows.estimated_size()), frame_hash(rows)),)
    if source.kind in LANDS:
        do = "read it as the source of a system, by ninetyfive run"
        raise SourceError(str(source), expected="files", got="rows of a service that did not land yet", do=do)
    found: dict[str, Place] = {}
    for url in source.urls:
        for system, path in _matches(url, folder, source.kind):
            place = cast(str, path if is_local(system) else system.unstrip_protocol(path))
            with failures(place):
                info = system.info(path)
            found[place] = Place(place, int(info["size"]), mark_of(info))
    return spans_of(found.values(), known or {})


def spans_of(places: Iterable[Place], known: Mapping[str, str]) -> tuple[FileFound, ...]:
    """Files in order of content hash, each content once; those whose mark is in `known` {mark: sha256} are not read."""
    found = {place.url: place for place in places}
    hashes = _hashes(list(found.values()), known)
    spans: dict[str, list[Place]] = {}
    for url in sorted(found):
        spans.setdefault(hashes[url], []).append(found[url])
    return tuple(
        FileFound(first.url, first.size, sha256, first.mark, tuple(other.url for other in others))
        for sha256, (first, *others) in sorted(spans.items())
    )


def _matches(url: str, folder: str, kind: str) -> list[tuple[Any, str]]:
    """(file system, path) of each file that `url` means."""
    base = url if "://" in url or "::" in url or url.startswith("/") or not folder else f"{folder.rstrip('/')}/{url}"
    system, path = file_system(base)
    path = posixpath.normpath(path) if is_local(system) else path
    with failures(url):
        system.invalidate_cache()  # a process that runs for weeks shall see the files of now
        if any(mark in path for mark in _MAGIC):
            prefix = path[: min(path.find(mark) for mark in _MAGIC if mark in path)].rpartition("/")[0]
            everything = system.glob(path, detail=True)
            paths = [name for name, info in everything.items() if info["type"] == "file" and _visible(name, prefix)]
        elif system.isdir(path):
            prefix = path
            paths = [name for name in system.find(path) if _visible(name, path) and name.endswith(_ENDINGS[kind])]
        else:
            prefix = path.rpartition("/")[0]
            paths = [path] if system.isfile(path) else []
        if not paths:
            if not system.isdir(prefix):
                do = "correct the path: a relative one starts beside system.py"
                raise SourceError(url, expected="a file", got=f"no folder {prefix}", do=do)
            if kind == "request_log":
                raise no_span(url)
            raise nothing_there(url, [PurePosixPath(name).name for name in system.ls(prefix, detail=False)])
    return [(system, name) for name in paths]


def _visible(path: str, prefix: str) -> bool:
    below = path[len(prefix) :] if path.startswith(prefix) else path
    return not any(name.startswith(("_", ".")) for name in below.split("/") if name)


def _hashes(places: list[Place], known: Mapping[str, str]) -> dict[str, str]:
    """{url: sha256}, several files at a time."""

    def hashed(place: Place) -> str:
        if place.mark and place.mark in known:
            return known[place.mark]
        system, path = file_system(place.url)
        with failures(place.url), system.open(path, "rb") as stream:
            return file_hash(cast(BinaryIO, stream))

    with ThreadPoolExecutor(_THREADS) as pool:
        return dict(zip((place.url for place in places), pool.map(hashed, places), strict=True))


def as_frame(rows: Any) -> pl.DataFrame:
    """The Polars frame of an in-memory source, its column names checked; objects of Python raise `SourceError`."""
    try:
        frame = rows if isinstance(rows, pl.DataFrame) else pl.DataFrame(rows)
    except (pl.exceptions.PolarsError, TypeError, ValueError) as error:
        raise SourceError(
            "frame(...)", expected="a frame that Arrow can hold", got=str(error), do="give a Polars frame"
        ) from None
    check_names(frame.columns, "frame(...)")
    for name, dtype in frame.schema.items():
        if dtype == pl.Object():
            got = f"Python objects in {name!r}"
            raise SourceError("frame(...)", expected="columns of values", got=got, do="turn them into text or numbers")
    return frame


def frame_hash(frame: pl.DataFrame) -> str:
    """Sha256 (64 hex digits) over names, dtypes and values of a frame; independent of how it lies in memory.

    >>> a, b = pl.DataFrame({"x": [1, None]}), pl.DataFrame({"x": [9, 1, None]})[1:]
    >>> frame_hash(a) == frame_hash(b), frame_hash(a) == frame_hash(pl.DataFrame({"x": [1, 0]}))
    (True, False)
    """
    digest = hashlib.sha256(content_hash([[name, str(kind)] for name, kind in frame.schema.items()]).encode())
    digest.update(str(frame.height).encode())
    for start in range(0, frame.height, _HASHED_ROWS):
        for column in frame.slice(start, _HASHED_ROWS).iter_columns():
            _update(digest, column)
    return digest.hexdigest()


def _update(digest: Any, column: pl.Series) -> None:
    """Add the values of a column: which are null, then the values, each with its length where that varies."""
    kind = column.dtype
    digest.update(np.packbits(column.is_null().to_numpy()).tobytes())
    if isinstance(kind, (pl.Categorical, pl.Enum)):
        column, kind = column.cast(pl.String), pl.String()
    if kind == pl.String():
        column, kind = column.cast(pl.Binary), pl.Binary()
    if kind == pl.Null():
        return
    if kind == pl.Binary():
        column = column.fill_null(b"")
        digest.update(column.bin.size().cast(pl.UInt64).to_numpy().tobytes())
        digest.update(b"".join(column))
    elif isinstance(kind, pl.Struct):
        for field in column.struct.fields:
            _update(digest, column.struct.field(field))
    elif isinstance(kind, (pl.List, pl.Array)):
        lists = column.cast(pl.List(kind.inner)) if isinstance(kind, pl.Array) else column
        digest.update(lists.list.len().fill_null(0).cast(pl.UInt64).to_numpy().tobytes())
        _update(digest, lists.filter(lists.list.len() > 0).explode())
    elif isinstance(kind, pl.Decimal):
        _update(digest, column.cast(pl.String))
    else:
        digest.update(column.to_physical().fill_null(0).to_numpy().tobytes())
