"""Proof: the requests of a window that nobody looked at before are asked again, of each candidate, beside its forecast.

    log up to as-of ─▶ latest rows ─▶ a table of the top K ─▶ Live ─┐
    log after it ──── keys, fingerprints ─▶ look-ups, all of them ──┼─▶ hit, miss, stale      "worker code"
                 └─── bodies, evenly spread ─▶ each candidate in turn ─▶ the same, CPU, p50    "service"

The rule: what a candidate gives is what the code of a worker gave, nothing of it is computed from the forecast. Where
time ends before all were asked, those that were are spread evenly over the window: the table gets no younger by it.
What does not belong here: what is forecast (`forecast`), and what follows where they differ (`serving`).
"""

from __future__ import annotations

import contextlib
import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from typing import NamedTuple

import msgspec
import numpy as np
import polars as pl

from ninetyfive.design.costs import Asker, Opens, asked_for, noise_of, taken, timed
from ninetyfive.design.evidence import Candidate, Measured, Replayed
from ninetyfive.design.ground import Ground, latest, live, made, new
from ninetyfive.design.traffic import Traffic, bodies, spread
from ninetyfive.design.worker import Answer, worker
from ninetyfive.errors import NinetyfiveError
from ninetyfive.serve.answering import Entry, decide
from ninetyfive.serve.messages import Live, Policy
from ninetyfive.steps.population import FINGERPRINT, KEY, KEY_TEXT, Keyed
from ninetyfive.steps.table import Made
from ninetyfive.tables.reader import Table
from ninetyfive.timing import slower

CODE, SERVICE = "worker code", "service"
MOST = 1_000_000
"""How many requests are looked up at most."""
SAMPLE = 20_000
"""How many of them are asked of a worker's code in this process, which has counted them all by then."""
_PIECE = 50_000
_ROUND = 2_000
_ROUND_SECONDS = 0.2
_WARM = 100
_REFERENCE = "what was measured"


@dataclass(frozen=True, slots=True)
class Proof:
    """What was replayed, and what was not: `left_out` for want of time, `cannot` for want of anything else."""

    replayed: tuple[Replayed, ...] = ()
    noticed: tuple[str, ...] = ()
    left_out: tuple[str, ...] = ()
    cannot: tuple[str, ...] = ()


class Reference(NamedTuple):
    """What the costs were measured on, to be asked again: by how much the machine is slower now."""

    measured: Measured
    rows: pl.DataFrame


class _Metadata(msgspec.Struct):
    sources: list[str]
    stale: int = 0


class _Answered(msgspec.Struct):
    """What is read of an answer."""

    metadata: _Metadata


_read = msgspec.json.Decoder(_Answered).decode


@dataclass(slots=True)
class _Tally:
    """What became of the requests of one candidate."""

    requests: int = 0
    hit: int = 0
    miss: int = 0
    stale: int = 0
    cpu: list[float] = field(default_factory=list)
    latencies: list[float] = field(default_factory=list)
    others: Counter[int] = field(default_factory=Counter)

    def count(self, answer: Answer, slower: float) -> None:
        """Count one answer of a worker, on a machine that is `slower` than it was."""
        self.requests += 1
        self.latencies.append(answer.seconds / slower)
        if answer.status == 200:
            told = _read(answer.body).metadata
            self.hit += told.sources == ["table"]
            self.stale += told.stale
        elif answer.status == 404:
            self.miss += 1
        else:
            self.others[answer.status] += 1


@dataclass(slots=True)
class _Notes:
    """What there is to say beside the figures."""

    noticed: list[str] = field(default_factory=list)
    left_out: list[str] = field(default_factory=list)
    cannot: list[str] = field(default_factory=list)


def prove(
    ground: Ground,
    traffic: Traffic,
    candidates: Sequence[Candidate],
    until: float,
    opens: Opens = worker,
    reference: Reference | None = None,
) -> Proof:
    """Replay the requests of `traffic` for each candidate, until the clock of `time.monotonic` says `until`.

    First all are looked up as a worker does (`by` "worker code", no CPU and latency), then as many as time allows are
    asked of those who `opens` opens: workers (`by` "service"), or their code (`inside`; then one record holds both).
    With a `reference` what was measured is measured again in each round, and CPU and latencies are told as of the speed
    that the machine had then. What fails is told in `cannot`; what is known by then is kept.
    """
    notes = _Notes()
    rows = spread(traffic.rows, MOST)
    _look(traffic, rows, notes)
    if rows.is_empty():
        notes.cannot.append("no request of the window that judges can be asked again: none of them has a row")
        return Proof((), tuple(notes.noticed), (), tuple(notes.cannot))
    lives = _lives(ground, traffic, _in_time(traffic, candidates, until, reference, notes), notes)
    counted = _looked_up(ground, rows, lives, until, notes)
    sample = rows if opens is worker else spread(rows, SAMPLE)
    asked = _Replay(ground, opens, reference, notes).run(sample, lives, until)
    return Proof(
        tuple(_together([one for one, _ in lives], counted, asked, by_service=opens is worker)),
        tuple(notes.noticed),
        tuple(notes.left_out),
        tuple(notes.cannot),
    )


def policy_of(candidate: Candidate) -> Policy:
    """How a candidate answers: what no table holds is 404, what has changed is answered as it was."""
    return Policy(paradigm=candidate.paradigm)


def _look(traffic: Traffic, rows: pl.DataFrame, notes: _Notes) -> None:
    for number, words in (
        (traffic.rowless, "records of the window that judges have no row, and are not asked again"),
        (traffic.foreign, "of them lack a column of a request of this release, and are not asked again"),
        (traffic.refused, "of its rows break the schema of the release, and are not asked again"),
    ):
        if number:
            notes.noticed.append(f"{number:,} {words}")
    if rows.height < traffic.rows.height:
        notes.left_out.append(f"{rows.height:,} of {traffic.rows.height:,} requests were replayed, evenly spread")


def _in_time(
    traffic: Traffic, candidates: Sequence[Candidate], until: float, reference: Reference | None, notes: _Notes
) -> Sequence[Candidate]:
    """The candidates whose tables can be made by then, as far as it is known what reading the log costs."""
    if reference is None or all(one.paradigm == "dynamic" for one in candidates):
        return candidates
    sizes = {one.k for one in candidates if one.k is not None}
    seconds = traffic.records * reference.measured.cpu_read + sum(sizes) * reference.measured.cpu_row
    if not seconds * slower() > until - time.monotonic():
        return candidates
    notes.left_out.append(
        f"the replay of tables: making one of {traffic.records:,} records takes about {seconds:.0f} s"
    )
    return [one for one in candidates if one.paradigm == "dynamic"]


def _lives(
    ground: Ground, traffic: Traffic, candidates: Sequence[Candidate], notes: _Notes
) -> list[tuple[Candidate, Live]]:
    """What each candidate answers from; those without a good table are left out, and said."""
    found: list[tuple[Candidate, Live]] = []
    tables: dict[int | None, Made] = {}
    rows = None
    for one in candidates:
        if one.paradigm == "dynamic":
            found.append((one, ground.live))
            continue
        try:
            if one.k not in tables:
                rows = rows or latest(ground, traffic.source, traffic.as_of)
                tables[one.k] = made(ground, rows, one.k, traffic.as_of)
            found.append((one, live(ground, tables[one.k])))
        except NinetyfiveError as error:
            notes.cannot.append(f"{_name(one)} was not replayed: {error}")
    return found


def _looked_up(
    ground: Ground, rows: pl.DataFrame, lives: Sequence[tuple[Candidate, Live]], until: float, notes: _Notes
) -> dict[str, _Tally]:
    """Look all requests up as a worker does; nothing of a candidate for which time ended on the way."""
    tallies = {_name(one): _Tally() for one, _ in lives}
    with contextlib.ExitStack() as stack:
        tables = {what.table: stack.enter_context(_opened(ground, what)) for _, what in lives if what.table}
        for first in range(0, rows.height, _PIECE):
            if time.monotonic() > until:
                notes.left_out.append("the look-ups of the window that judges: the time was over")
                return {}
            each = [(tallies[_name(one)], tables.get(what.table or ""), policy_of(one)) for one, what in lives]
            _look_up(ground, rows.slice(first, _PIECE), each)
    return tallies


def _look_up(ground: Ground, rows: pl.DataFrame, candidates: Sequence[tuple[_Tally, Table | None, Policy]]) -> None:
    release = ground.release
    entity = tuple((name, release.request.types[name]) for name in release.about.entity)
    keyed = Keyed(entity, tuple(release.transform.inputs.items()), None)
    named, nameless = keyed(rows) if entity else (None, rows)
    keys = [] if named is None else [key.encode(KEY_TEXT) for key in named[KEY]]
    prints = [] if named is None else named[FINGERPRINT].to_list()
    for tally, table, policy in candidates:
        tally.requests += rows.height
        if policy.paradigm == "dynamic":
            continue
        tally.miss += nameless.height * (policy.paradigm == "static")
        if table is None:
            continue
        for key, told in zip(keys, prints, strict=True):
            found = table.get(key)
            entry = None if found is None else Entry(found[0], None)
            act, stale = decide(policy, entry, told, old=False)
            tally.hit += act == "table"
            tally.miss += act == "missing"
            tally.stale += stale


@contextlib.contextmanager
def _opened(ground: Ground, what: Live) -> Iterator[Table]:
    table = Table(Path(str(what.table_folder)), release=ground.release.hash, checked=True)
    try:
        yield table
    finally:
        table.close()


@dataclass(slots=True)
class _Replay:
    """The asking of candidates in turn, each by an asker of its own."""

    ground: Ground
    opens: Opens
    reference: Reference | None
    notes: _Notes
    askers: dict[str, Asker] = field(default_factory=dict)
    tallies: dict[str, _Tally] = field(default_factory=dict)
    slower: list[float] = field(default_factory=list)
    again: list[bytes] = field(default_factory=list)

    def run(self, rows: pl.DataFrame, lives: Sequence[tuple[Candidate, Live]], until: float) -> dict[str, _Tally]:
        """Ask what time allows; each round is spread evenly over the window."""
        with contextlib.ExitStack() as stack:
            for one, what in lives:
                if time.monotonic() > until:
                    self.notes.left_out.append(f"the replay of {_name(one)} through {self._whom}: the time was over")
                else:
                    self._open(stack, _name(one), what, policy_of(one))
            if self.askers and self.reference is not None:
                self._open(stack, _REFERENCE, self.ground.live, Policy())
                self.again = bodies(asked_for(self.ground, self.reference.rows), self.ground.release)
            self._ready()
            size = self._warm(bodies(spread(rows, _WARM), self.ground.release))
            turns, ended = max(1, -(-rows.height // size)), 0
            while ended < turns and self.askers.keys() - {_REFERENCE}:
                begun = time.monotonic()
                self._round(bodies(rows.gather_every(turns, ended), self.ground.release), ended)
                ended += 1
                if time.monotonic() + (time.monotonic() - begun) > until:
                    break
        self._told(rows.height, whole=ended == turns)
        return {one: tally for one, tally in self.tallies.items() if tally.requests}

    @property
    def _whom(self) -> str:
        return "the service" if self.opens is worker else "the code of a worker"

    def _open(self, stack: contextlib.ExitStack, name: str, what: Live, policy: Policy) -> None:
        folder = new(self.ground, "replay") / policy.paradigm
        try:
            self.askers[name] = stack.enter_context(self.opens(what, policy, self.ground.config, folder))
        except NinetyfiveError as error:
            self._failed(name, error)

    def _ready(self) -> None:
        for name, one in list(self.askers.items()):
            try:
                one.ready()
            except NinetyfiveError as error:
                self._failed(name, error)

    def _failed(self, name: str, error: NinetyfiveError) -> None:
        self.notes.cannot.append(f"{name} was not replayed through {self._whom}: {error}")
        self.askers.pop(name, None)

    def _warm(self, asked: Sequence[bytes]) -> int:
        """Ask a little that is not counted; how many requests make a round."""
        slowest = 0.0
        for name, one in list(self.askers.items()):
            begun, sent = time.perf_counter(), 0
            while sent < len(asked) and time.perf_counter() - begun < _ROUND_SECONDS:
                if self._asked(name, one, asked[sent : sent + 5]) is None:
                    break
                sent += 5
            slowest = max(slowest, (time.perf_counter() - begun) / max(1, sent))
        return int(min(_ROUND, max(20, _ROUND_SECONDS / slowest))) if slowest else _ROUND

    def _round(self, asked: Sequence[bytes], turn: int) -> None:
        """Ask each once, and first what was measured."""
        cpu_slower = slower = 1.0
        if self.reference is not None and _REFERENCE in self.askers:
            again = taken(self.again, turn, len(asked))
            answered = self._asked(_REFERENCE, self.askers[_REFERENCE], again)
            if answered is not None:
                cpu, answers = answered
                cpu_slower = cpu / len(answers) / self.reference.measured.cpu_model
                slower = median(one.seconds for one in answers) / self.reference.measured.p50_model
                self.slower.append(slower)
        for name in _turned([one for one in self.askers if one != _REFERENCE], turn):
            answered = self._asked(name, self.askers[name], asked)
            if answered is not None:
                tally = self.tallies.setdefault(name, _Tally())
                cpu, answers = answered
                tally.cpu.append(cpu / len(answers) / cpu_slower)
                for one in answers:
                    tally.count(one, slower)

    def _asked(self, name: str, one: Asker, asked: Sequence[bytes]) -> tuple[float, list[Answer]] | None:
        """CPU and answers; None where the worker is gone, which is then asked no more."""
        try:
            return timed(one, [one.request(body) for body in asked])
        except NinetyfiveError as error:
            sent = self.tallies[name].requests if name in self.tallies else 0
            self.notes.cannot.append(f"the replay of {name} ended after {sent:,} requests: {error}")
            del self.askers[name]
            return None

    def _told(self, rows: int, *, whole: bool) -> None:
        sent = max((tally.requests for tally in self.tallies.values()), default=0)
        if sent and not whole:
            self.notes.left_out.append(f"{sent:,} of {rows:,} requests were sent to {self._whom}, evenly spread")
        for name, tally in self.tallies.items():
            for status, number in sorted(tally.others.items()):
                self.notes.noticed.append(f"{number:,} requests to {name} were answered with status {status}")
        if self.slower and not 0.8 < median(self.slower) < 1.25:
            self.notes.noticed.append(
                f"the machine took {median(self.slower):.2f} times as long as when costs were measured: what the "
                "replay took is told as of then"
            )


def _turned(some: list[str], turn: int) -> list[str]:
    """The same in another order each time."""
    place = turn % len(some) if some else 0
    return some[place:] + some[:place]


def _together(
    candidates: Sequence[Candidate], counted: Mapping[str, _Tally], asked: Mapping[str, _Tally], *, by_service: bool
) -> Iterator[Replayed]:
    """A record for each way in which a candidate was replayed."""
    for one in candidates:
        every, some = counted.get(_name(one)), asked.get(_name(one))
        if by_service:
            if every is not None:
                yield _replayed(one, CODE, every, None)
            if some is not None:
                yield _replayed(one, SERVICE, some, some)
        elif every is not None or some is not None:
            shares = every or some
            assert shares is not None
            yield _replayed(one, CODE, shares, some)


def _replayed(one: Candidate, by: str, shares: _Tally, seen: _Tally | None) -> Replayed:
    return Replayed(
        paradigm=one.paradigm,
        k=one.k,
        by=by,
        requests=shares.requests,
        forecast_hit=one.hit,
        forecast_stale=one.stale,
        hit=shares.hit / shares.requests,
        miss=shares.miss / shares.requests,
        stale=shares.stale / shares.requests,
        forecast_cpu=one.cpu,
        cpu=median(seen.cpu) if seen else None,
        forecast_p50=one.p50,
        p50=median(seen.latencies) if seen else None,
        p99=float(np.quantile(seen.latencies, 0.99)) if seen else None,
        forecast_p99=one.p99,
        forecast_hit_range=one.hit_range,
        forecast_cpu_range=one.cpu_range,
        forecast_p50_range=one.p50_range,
        noise=noise_of(seen.cpu) if seen else None,
    )


def _name(one: Candidate) -> str:
    return one.paradigm if one.k is None else f"{one.paradigm} with {one.k:,} entities"
