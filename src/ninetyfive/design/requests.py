"""Who was asked about, and when: the requests of a log, or rows that are taken for requests, as three arrays.

    spans of a log, newest first ─┐
    rows of history ──────────────┼─▶ Requests: time · entity · fingerprint, in time order ─▶ occurrences
    arrays ───────────────────────┘

The rule: nothing depends on how rows stood in a chunk, nor on what an entity is called: a hash says that two requests
are about one entity, and no more. What does not belong here: what is counted of them (`occurrences`, `workload`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from ninetyfive.design.occurrences import Occurrences, occurrences
from ninetyfive.features.frames import column
from ninetyfive.hashing import row_hash
from ninetyfive.plan import Part
from ninetyfive.schema import LOGGED
from ninetyfive.serve.segments import CLOSED, OPEN
from ninetyfive.sources import parquet_files
from ninetyfive.sources.log_spans import SpanAbout
from ninetyfive.supervise.rotation import spans

NEWEST = 8_000_000
"""How many requests of a log are read at most: the newest ones, in about 100 bytes of memory each."""
TIME, ENTITY, FINGERPRINT, RELEASE = "request_time", "request_entity", "request_fingerprint", "request_release"
Words = np.ndarray[Any, np.dtype[np.uint64]]
Moments = np.ndarray[Any, np.dtype[np.int64]]


@dataclass(frozen=True)
class Requests:
    """Requests in time order: `time` (µs UTC, int64), `entity` and `fingerprint` (uint64), all of one length.

    `release` (uint16) says which fingerprints may be compared: those of one number; None: all. `nameless` are the times
    of requests without an entity, which no table can answer, in order. `assumed`: rows of history taken for requests.
    `noticed` says what is odd about them, `left_out` what was not read. May be empty.
    """

    time: Moments
    entity: Words
    fingerprint: Words
    release: np.ndarray[Any, np.dtype[np.uint16]] | None = None
    nameless: Moments = field(default_factory=lambda: np.empty(0, np.int64))
    assumed: bool = False
    noticed: tuple[str, ...] = ()
    left_out: tuple[str, ...] = ()

    def __len__(self) -> int:
        return len(self.time)

    @cached_property
    def occurrences(self) -> Occurrences:
        """Which requests are about one entity; found out once."""
        return occurrences(self.time, self.entity, self.fingerprint, self.release)


def requests_of_arrays(
    time: np.ndarray, entity: np.ndarray, fingerprint: np.ndarray, release: np.ndarray | None = None
) -> Requests:
    """Requests of arrays in any order: µs, and what tells entities and features apart as whole numbers of 64 bits.

    >>> import numpy as np
    >>> requests_of_arrays(np.array([20, 10]), np.array([7, 8]), np.array([1, 1])).entity.tolist()
    [8, 7]
    """
    moments = np.asarray(time, dtype=np.int64)
    entities, prints = (np.asarray(one).astype(np.uint64, copy=False) for one in (entity, fingerprint))
    releases = None if release is None else np.asarray(release).astype(np.uint16, copy=False)
    order = _time_order(moments, entities, prints)
    if order is None:
        return Requests(moments, entities, prints, releases)
    return Requests(moments[order], entities[order], prints[order], None if releases is None else releases[order])


def requests_of_frame(frame: pl.DataFrame, entity: Sequence[str], inputs: Sequence[str], time: str | None) -> Requests:
    """Rows of history taken for requests: who they are about, what the features read, when.

    `frame` has the columns `entity`, `inputs` and `time` (a Date or a Datetime; naive times count as UTC). A row with
    a null in its entity is nameless, one without a time is left out; without `time` or `entity` there is no request.
    """
    noticed = ["no request log: rows of the history are taken for requests"]
    if time is None:
        noticed += ["the system declares no time: nothing is known of the order of requests"]
        return replace(_empty(), assumed=True, noticed=tuple(noticed))
    moments = frame.select(column(time).cast(pl.Datetime("us")).to_physical().alias("at"))["at"]
    known = moments.is_not_null()
    lost = int((~known).sum())
    left_out = (f"{lost:,} rows without a time",) * bool(lost)
    rows, times = frame.filter(known), moments.filter(known).to_numpy()
    named = np.full(rows.height, bool(entity))
    for name in entity:
        named &= rows[name].is_not_null().to_numpy()
    if not entity:
        noticed += ["the system declares no entity: no request can be looked up"]
    made = requests_of_arrays(times[named], row_hash(rows, entity)[named], row_hash(rows, inputs)[named])
    nameless = np.sort(times[~named])
    return replace(made, nameless=nameless, assumed=True, noticed=(*noticed, *_told(nameless)), left_out=left_out)


def requests_of_log(folder: Path, newest: int = NEWEST, columns: Sequence[str] = ()) -> Requests:
    """The `newest` requests of the spans in a folder; old spans are not opened but for their footers.

    `columns` are those that a request of this system has; a span that lacks one is another system's and is left out, as
    is one whose entities are hidden in another way than the newest span's. A folder without spans gives no requests. A
    span that is broken raises `SourceError`. At most about twice `newest` requests are held at once.
    """
    found = sorted(spans(folder).items(), key=lambda one: (one[1].last, one[1].first, one[0]), reverse=True)
    waiting = sum(path.suffix in (OPEN, CLOSED) for path in folder.glob("*"))
    noticed = [f"{waiting} segments of the log are no spans yet: their requests are not read"] * bool(waiting)
    log = _Log(newest, tuple(columns))
    for name, about in found:
        log.add(folder / name, about)
    return log.requests(noticed)


class _Log:
    """The newest requests of the spans that were added so far, from the newest span to the oldest."""

    def __init__(self, newest: int, columns: tuple[str, ...]) -> None:
        self._newest, self._wanted = newest, columns
        self._parts: list[tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray, np.ndarray]] = []
        self._held, self._least = 0, -(2**63)
        self._releases: dict[str, int] = {}
        self._style: tuple[frozenset[str], bool] | None = None
        self._unread = self._older = self._foreign = self._hidden = self._rowless = self._lost = 0

    def add(self, path: Path, about: SpanAbout) -> None:
        """Read a span, unless each of its requests is older than so many that are known."""
        if about.last < self._least:
            self._unread += about.records
            return
        part = Part("", str(path))
        with parquet_files.opened(part) as file:
            names = frozenset(file.schema_arrow.names) - LOGGED.keys()
        if self._is_foreign(names, about):
            return
        self._rowless += about.rowless
        self._lost += about.lost
        for frame in parquet_files.read(part, 0, None, (TIME, ENTITY, FINGERPRINT, RELEASE)):
            self._take(frame)
        if self._held > 1.5 * self._newest:
            self._trim()

    def _is_foreign(self, names: frozenset[str], about: SpanAbout) -> bool:
        hidden = any(how != "keep" for how in about.policy.values())
        if self._style is None and names >= set(self._wanted):
            self._style = names, hidden
        foreign = not names >= set(self._wanted) or (self._style is not None and not _alike(names, self._style[0]))
        if foreign:
            self._foreign += about.records
        elif self._style is not None and hidden != self._style[1]:
            self._hidden += about.records
        else:
            return False
        return True

    def _take(self, frame: pl.DataFrame) -> None:
        times = frame[TIME].to_physical().to_numpy()
        named = (frame[ENTITY].is_not_null() & frame[FINGERPRINT].is_not_null()).to_numpy()
        # Polars' hash is not the same in each version; here it only tells entities apart while this process lives.
        entities = frame[ENTITY].hash(0).to_numpy()
        prints = frame[FINGERPRINT].fill_null(0).to_numpy()
        words = frame[RELEASE].fill_null("")
        numbers = {word: self._releases.setdefault(word, len(self._releases)) for word in words.unique().to_list()}
        releases = words.replace_strict(numbers, return_dtype=pl.UInt16).to_numpy()
        self._parts.append((times, entities, prints, releases, named))
        self._held += len(times)

    def _trim(self) -> None:
        """Forget what is older than the newest ones; requests of one moment stay or go together."""
        whole = [np.concatenate(one) for one in zip(*self._parts, strict=True)]
        self._parts = [(whole[0], whole[1], whole[2], whole[3], whole[4])]
        if len(whole[0]) <= self._newest:
            return
        at = len(whole[0]) - self._newest - 1
        cut = int(np.partition(whole[0], at)[at])
        keep = whole[0] > cut
        if not keep.any():
            keep = np.arange(len(keep)) < self._newest
        self._parts = [(whole[0][keep], whole[1][keep], whole[2][keep], whole[3][keep], whole[4][keep])]
        self._older += int((~keep).sum())
        self._held, self._least = int(keep.sum()), cut

    def requests(self, noticed: list[str]) -> Requests:
        """What was read, in time order."""
        if not self._parts:
            return replace(_empty(), noticed=(*noticed, "the log holds no request"), left_out=self._left_out())
        self._trim()
        times, entities, prints, releases, named = self._parts.pop()
        several = len(self._releases) > 1
        nameless = np.sort(times[~named])
        if not named.all():
            times, entities, prints, releases = times[named], entities[named], prints[named], releases[named]
        made = requests_of_arrays(times, entities, prints, releases if several else None)
        noticed += [f"{self._lost:,} records of the log could not be read"] * bool(self._lost)
        noticed += [f"{self._rowless:,} records hold no row: asked for by key alone, or outside of the schema"] * bool(
            self._rowless
        )
        made = replace(made, nameless=nameless, noticed=(*noticed, *_told(nameless)), left_out=self._left_out())
        return _compared(made, self._releases) if several else made

    def _left_out(self) -> tuple[str, ...]:
        left_out = {
            "older requests were not read": self._unread + self._older,
            "records hold the columns of another system": self._foreign,
            "records hide entities in another way than the newest ones": self._hidden,
        }
        return tuple(f"{number:,} {words}" for words, number in left_out.items() if number)


def _alike(names: frozenset[str], newest: frozenset[str]) -> bool:
    """Whether columns can be of one system: most of each are the other's too."""
    return 2 * len(names & newest) > max(len(names), len(newest)) or names == newest


def _compared(requests: Requests, releases: Mapping[str, int]) -> Requests:
    """The requests, with their releases told apart only where these seem to read other columns.

    A fingerprint is of the columns that the features of a release read. Where most entities that were asked about
    before and after a release came have another fingerprint, though few have within one release, features changed.
    """
    within, between, pairs = requests.occurrences.changed_between()
    told = f"the log is of {len(releases)} releases"
    if pairs < _PAIRS or between - within < 0.5:
        alike = "seem to read the same columns" if pairs >= _PAIRS else "have too few entities in common to tell"
        return replace(requests, release=None, noticed=(*requests.noticed, f"{told}, whose features {alike}"))
    words = (
        f"{told}: {between:.0%} of entities have another fingerprint after a release came, {within:.0%} within one; "
        "their features read other columns, so only fingerprints of one release are compared"
    )
    return replace(requests, noticed=(*requests.noticed, words))


_PAIRS = 30


def _told(nameless: np.ndarray) -> tuple[str, ...]:
    return (f"{len(nameless):,} requests have no entity: no table can answer them",) * bool(len(nameless))


def _empty() -> Requests:
    return Requests(np.empty(0, np.int64), np.empty(0, np.uint64), np.empty(0, np.uint64))


def _time_order(time: np.ndarray, entity: np.ndarray, fingerprint: np.ndarray) -> np.ndarray | None:
    """The order by time, of equal times by entity and fingerprint; None: it is that of the arrays.

    Only requests of equal times are sorted by more than time: they are few, and three sorts of all are dear.
    """
    rising = bool((time[1:] >= time[:-1]).all())
    order = np.arange(len(time)) if rising else np.argsort(time, kind="stable")
    ordered = time if rising else time[order]
    equal = np.zeros(len(time), dtype=bool)
    equal[1:] = ordered[1:] == ordered[:-1]
    equal[:-1] |= equal[1:]
    if not equal.any():
        return None if rising else order
    tied = order[equal]
    order[equal] = tied[np.lexsort((fingerprint[tied], entity[tied], time[tied]))]
    return order
