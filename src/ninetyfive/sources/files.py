"""Declarations of sources: which files hold the rows, and what their columns mean. Nothing is opened here.

    nf.parquet("data/*.parquet", time="at", id=["a", "b"]) ──▶ Source ── discover ──▶ files ── reader_of ──▶ frames
    nf.bigquery("project.dataset.table") ────────────────────▶ Source ──── land ────▶ files ─┘

What does not belong here: finding files (`discovery`), making them of a service's rows (`landing`), reading them
(`readers`).
"""

from __future__ import annotations

import codecs
import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal

from ninetyfive.errors import DeclarationError, UsageError, near_names
from ninetyfive.schema import reserved
from ninetyfive.values import ELEMENTS, TYPES

Kind = Literal["parquet", "csv", "jsonl", "frame", "request_log", "bigquery", "pubsub"]
FORMATS = (".parquet", ".csv", ".jsonl")
LOG_COLUMNS = ("request_id", "request_time")
"""The columns of a request log that are not of the request, and that its rows have as a source."""
LANDS = ("bigquery", "pubsub")
"""The kinds whose rows a service has: they land as files before anything is read."""
PUBSUB = "pubsub_"
"""How the columns begin that Pub/Sub adds to a message; they are read where `time`, `id` or `types` name them."""
MESSAGE_COLUMNS = (f"{PUBSUB}message_id", f"{PUBSUB}publish_time")
"""Those of them that no request holds; the others are the message's attributes, `pubsub_attribute_NAME`."""
TABLE_NAME = re.compile(r"(?P<project>[a-z][a-z0-9.:-]*)\.(?P<dataset>\w+)\.(?P<table>[\w -]+)")
_SUBSCRIPTION = re.compile(r"projects/[a-z][a-z0-9.:-]*/subscriptions/[A-Za-z][\w.~+%-]{2,254}")
Urls = str | os.PathLike[str] | Sequence[str | os.PathLike[str]]
Names = str | Sequence[str] | None


@dataclass(frozen=True, slots=True)
class Source:
    """Where rows come from, as declared: pure data.

    `urls`: paths, globs, folders or fsspec URLs; the name of the table or subscription that lands. `time`: the column
    that says when the request would have been made. `id`: the columns that name a row. `types`: (column, logical type)
    pairs that are given and not inferred. `optional`: columns that a file may lack. `separator`, `encoding` and
    `null_values` are those of CSV. `frame`: the rows of an in-memory source. `labels`: of a request log, what is known
    later of its rows, by their ids.
    """

    kind: Kind
    urls: tuple[str, ...] = ()
    time: str | None = None
    id: tuple[str, ...] = ()
    types: tuple[tuple[str, str], ...] = ()
    optional: tuple[str, ...] = ()
    separator: str = ","
    encoding: str = "utf-8"
    null_values: tuple[str, ...] = ()
    frame: Any = field(default=None, compare=False, repr=False)
    labels: Source | None = None

    @property
    def own(self) -> tuple[str, ...]:
        """The columns that the source itself adds to those of a request: no request holds them."""
        if self.kind == "pubsub":
            return tuple(name for name in MESSAGE_COLUMNS if name in self.named)
        return LOG_COLUMNS if self.kind == "request_log" else ()

    @property
    def named(self) -> tuple[str, ...]:
        """The columns that `time`, `id` and `types` name."""
        return (*((self.time,) if self.time else ()), *self.id, *dict(self.types))

    def __str__(self) -> str:
        return f"{self.kind}({', '.join(map(repr, self.urls)) or 'in memory'})"


def parquet(
    url: Urls,
    *,
    time: str | None = None,
    id: Names = None,
    types: Mapping[str, str] | None = None,
    optional: Names = None,
) -> Source:
    """Rows of Parquet files: a path, glob, folder, any fsspec URL, or a list of them.

    `time` and `id` name columns; `types` gives the logical types of columns that are not what the file says (text that
    holds times, say); `optional` names columns that some files lack. Wrong arguments raise `DeclarationError`.

    >>> parquet("data/*.parquet", time="at", id="key").id
    ('key',)
    """
    return Source("parquet", _urls("parquet", url), *_columns("parquet", time, id, types, optional))


def csv(
    url: Urls,
    *,
    time: str | None = None,
    id: Names = None,
    types: Mapping[str, str] | None = None,
    optional: Names = None,
    **options: Any,
) -> Source:
    """Rows of CSV files with a header line; `.gz`, `.bz2`, `.xz` and `.zip` are unpacked.

    Options: `separator` (one character, ","), `encoding` ("utf-8"), `null_values` (texts that mean missing in every
    column, besides the empty field; none). Otherwise like `parquet`.

    >>> csv("data/*.csv", separator=";", encoding="latin-1").separator
    ';'
    """
    for name in options:
        if name not in ("separator", "encoding", "null_values"):
            raise _wrong(f"csv({name}=)", "an option of csv", name, near_names(name, _CSV_OPTIONS))
    separator, encoding = options.get("separator", ","), options.get("encoding", "utf-8")
    if not isinstance(separator, str) or len(separator.encode()) != 1 or separator in '"\r\n':
        raise _wrong("csv(separator=)", "one ASCII character", separator, "write it like ';' or '\\t'")
    try:
        codecs.lookup(encoding)
    except (LookupError, TypeError):
        raise _wrong("csv(encoding=)", "a text encoding", encoding, "write it like 'utf-8' or 'latin-1'") from None
    null_values = _names("csv(null_values=)", options.get("null_values"))
    columns = _columns("csv", time, id, types, optional)
    return Source("csv", _urls("csv", url), *columns, separator, encoding, null_values)


def jsonl(
    url: Urls,
    *,
    time: str | None = None,
    id: Names = None,
    types: Mapping[str, str] | None = None,
    optional: Names = None,
) -> Source:
    """Rows of JSON Lines files, one object a line, UTF-8; `.gz`, `.bz2`, `.xz` and `.zip` are unpacked.

    A key left out means null. Otherwise like `parquet`.

    >>> jsonl(["a.jsonl", "b.jsonl"]).urls
    ('a.jsonl', 'b.jsonl')
    """
    return Source("jsonl", _urls("jsonl", url), *_columns("jsonl", time, id, types, optional))


def frame(
    rows: Any,
    *,
    time: str | None = None,
    id: Names = None,
    types: Mapping[str, str] | None = None,
    optional: Names = None,
) -> Source:
    """Rows of a frame in memory: Polars, pandas, PyArrow or anything else with `__arrow_c_stream__`; one span.

    >>> import polars as pl
    >>> str(frame(pl.DataFrame({"x": [1]})))
    'frame(in memory)'
    """
    if not hasattr(rows, "__arrow_c_stream__") or hasattr(rows, "collect"):
        do = "call .collect() on a lazy frame, or write pl.DataFrame(...)"
        raise _wrong("frame(...)", "a frame in memory", type(rows).__name__, do)
    return Source("frame", (), *_columns("frame", time, id, types, optional), frame=rows)


def request_log(
    url: Urls, *, labels: str | os.PathLike[str] | Source | None = None, types: Mapping[str, str] | None = None
) -> Source:
    """Rows of the requests that a service answered: the folder of its log, once `rotation` made spans of it.

    A row has `request_id`, `request_time` and the columns of the request that the log keeps as they were. `labels`: a
    file of `request_id` and what was known later (its ending says what it is), or a source of that; a row without a
    label stays, unlabelled. `types` gives the logical types of label columns. Wrong arguments raise `DeclarationError`.

    >>> request_log("serving/log", labels="labels.csv", types={"arr_delay": "number"}).id
    ('request_id',)
    """
    if isinstance(labels, (str, os.PathLike)):
        found = source_of(os.fspath(labels))
        labels = replace(found, types=_columns(found.kind, None, None, types, None)[2])
    if labels is not None and (not isinstance(labels, Source) or labels.kind in ("request_log", *LANDS)):
        do = "write it like 'labels.parquet' or nf.csv('labels.csv', separator=';')"
        raise _wrong("request_log(labels=)", "a file of ids and labels", labels, do)
    columns = _columns("request_log", LOG_COLUMNS[1], LOG_COLUMNS[0], types, None)
    return Source("request_log", _urls("request_log", url), *columns, labels=labels)


def bigquery(
    table: str,
    *,
    time: str | None = None,
    id: Names = None,
    types: Mapping[str, str] | None = None,
    optional: Names = None,
) -> Source:
    """Rows of a table of BigQuery, "project.dataset.table", which land as Parquet in a bucket by extract jobs.

    Of a partitioned table each partition lands by itself, and again when it has changed; of any other one the whole
    table. Views and external tables cannot be extracted. docs/sources.md says where files land. Otherwise like
    `parquet`.

    >>> bigquery("my-project.late.flights", time="at", id="key").urls
    ('my-project.late.flights',)
    """
    if not isinstance(table, str) or TABLE_NAME.fullmatch(table) is None:
        do = "write it like 'project.dataset.table', without `$partition`; of sharded tables make a partitioned one"
        raise _wrong("bigquery(...)", "the full name of one table", table, do)
    return Source("bigquery", (table,), *_columns("bigquery", time, id, types, optional))


def pubsub(
    subscription: str,
    *,
    time: str | None = None,
    id: Names = None,
    types: Mapping[str, str] | None = None,
    optional: Names = None,
) -> Source:
    """Rows of the messages of a Pub/Sub subscription, "projects/p/subscriptions/s": a JSON object each.

    A run drains it: messages are in a file beneath the store before they are acknowledged, so none is lost, and one
    that is delivered twice is one row where `id` names it. `pubsub_message_id`, `pubsub_publish_time` and
    `pubsub_attribute_NAME` are columns where `time`, `id` or `types` name them. What is no JSON object is put aside.
    Otherwise like `jsonl`.

    >>> pubsub("projects/p/subscriptions/trips", time="pubsub_publish_time", id="trip").own
    ('pubsub_publish_time',)
    """
    if not isinstance(subscription, str) or _SUBSCRIPTION.fullmatch(subscription) is None:
        do = "write it like 'projects/my-project/subscriptions/trips': a topic is read through a subscription of it"
        raise _wrong("pubsub(...)", "the full name of a subscription", subscription, do)
    return Source("pubsub", (subscription,), *_columns("pubsub", time, id, types, optional))


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
    known = ", ".join(FORMATS)
    raise UsageError(url, expected=f"a name that ends in {known}", got=url, do="rename or convert the file")


_CSV_OPTIONS = ("time", "id", "types", "optional", "separator", "encoding", "null_values")
_Columns = tuple[str | None, tuple[str, ...], tuple[tuple[str, str], ...], tuple[str, ...]]


def _columns(kind: str, time: Any, id: Any, types: Any, optional: Any) -> _Columns:
    if time is not None:
        _name(f"{kind}(time=)", time)
    ids = _names(f"{kind}(id=)", id)
    if types is not None and not isinstance(types, Mapping):
        raise _wrong(f"{kind}(types=)", "a mapping from column to type", types, "write it like {'zip': 'string'}")
    for name, type in (types or {}).items():
        _name(f"{kind}(types=)", name)
        if type not in TYPES:
            hint = near_names(str(type), TYPES)
            raise _wrong(f"{kind}(types=), column {name!r}", "a column type", type, f"use one of them ({hint})")
        if kind == "csv" and type in ELEMENTS:
            do = "write the rows as Parquet or JSON Lines: a CSV field holds no list"
            raise _wrong(f"{kind}(types=), column {name!r}", "a type of one value", type, do)
    absent = _names(f"{kind}(optional=)", optional)
    for name in absent:
        if name == time or name in ids:
            raise _wrong(f"{kind}(optional=)", "columns that are neither time nor id", name, "leave it out")
    return time, ids, tuple((types or {}).items()), absent


def _urls(kind: str, url: Any) -> tuple[str, ...]:
    given = (url,) if isinstance(url, (str, os.PathLike)) else url
    where, do = (
        f"{kind}(...)",
        "write it like 'data/*.parquet'" if kind == "parquet" else f"write it like 'data/*.{kind}'",
    )
    if not isinstance(given, Sequence) or not given:
        raise _wrong(where, "a path, a glob, a URL or a list of them", given, do)
    urls = tuple(os.fspath(part) if isinstance(part, os.PathLike) else part for part in given)
    for part in urls:
        if not isinstance(part, str) or not part.strip():
            raise _wrong(where, "a path, a glob, a URL or a list of them", part, do)
    return urls


def _names(where: str, given: Any) -> tuple[str, ...]:
    if given is None:
        return ()
    names = (given,) if isinstance(given, str) else given
    if not isinstance(names, Sequence):
        raise _wrong(where, "a name or a list of names", given, "write it like ['carrier', 'flight']")
    for name in names:
        _name(where, name)
    if len(set(names)) != len(names):
        raise _wrong(where, "each name once", list(names), "remove the repeated one")
    return tuple(names)


def _name(where: str, name: Any) -> None:
    if isinstance(name, str) and "null_values" in where:
        return
    if not isinstance(name, str) or not name:
        raise _wrong(where, "a column name", name, "write it like 'scheduled_at'")
    why = reserved(name)
    if why:
        raise _wrong(where, "a column name that is free", f"{name!r} ({why})", "rename the column")


def _wrong(where: str, expected: str, got: Any, do: str) -> DeclarationError:
    return DeclarationError(where, expected=expected, got=got if isinstance(got, str) and got else repr(got), do=do)
