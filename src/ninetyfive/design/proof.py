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

import msgspec
import polars as pl

from ninetyfive.design.costs import Asker, Opens, quantile
from ninetyfive.design.evidence import Candidate, Replayed
from ninetyfive.design.scratch import Ground, latest, live, made, new
from ninetyfive.design.traffic import Traffic, bodies, spread
from ninetyfive.design.worker import Answer, worker
from ninetyfive.errors import NinetyfiveError
from ninetyfive.serve.answering import Entry, decide
from ninetyfive.serve.messages import Live, Policy
from ninetyfive.steps.population import FINGERPRINT, KEY, KEY_TEXT, Keyed
from ninetyfive.steps.table import Made
from ninetyfive.tables.reader import Table

CODE, SERVICE = "worker code", "service"
MOST = 1_000_000
"""How many requests are looked up at most."""
_PIECE = 50_000
_ROUND = 2_000
_ROUND_SECONDS = 0.5
_WARM = 100


@dataclass(frozen=True, slots=True)
class Proof:
    """What was replayed, and what was not: `left_out` for want of time, `cannot` for want of anything else."""

    replayed: tuple[Replayed, ...] = ()
    noticed: tuple[str, ...] = ()
    left_out: tuple[str, ...] = ()
    cannot: tuple[str, ...] = ()


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
    cpu: float = 0.0
    latencies: list[float] = field(default_factory=list)
    others: Counter[int] = field(default_factory=Counter)

    def count(self, answer: Answer) -> None:
        """Count one answer of a worker."""
        self.requests += 1
        self.latencies.append(answer.seconds)
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
    ground: Ground, traffic: Traffic, candidates: Sequence[Candidate], until: float, opens: Opens = worker
) -> Proof:
    """Replay the requests of `traffic` for each candidate, until the clock of `time.monotonic` says `until`.

    First all are looked up as a worker does (`by` "worker code", no CPU and latency), then as many as time allows are
    asked of those who `opens` opens: workers (`by` "service"), or their code (`inside`; then one record holds both).
    What fails is told in `cannot`; what is known by then is kept.
    """
    notes = _Notes()
    rows = spread(traffic.rows, MOST)
    _look(traffic, rows, notes)
    if rows.is_empty():
        notes.cannot.append("no request of the window that judges can be asked again: none of them has a row")
        return Proof((), tuple(notes.noticed), (), tuple(notes.cannot))
    lives = _lives(ground, traffic, candidates, notes)
    counted = _looked_up(ground, rows, lives, until, notes)
    asked = _asked(ground, rows, lives, until, opens, notes)
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
        (traffic.refused, "of its rows break the schema of the release, and are not asked again"),
    ):
        if number:
            notes.noticed.append(f"{number:,} {words}")
    if rows.height < traffic.rows.height:
        notes.left_out.append(f"{rows.height:,} of {traffic.rows.height:,} requests were replayed, evenly spread")


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


def _asked(
    ground: Ground,
    rows: pl.DataFrame,
    lives: Sequence[tuple[Candidate, Live]],
    until: float,
    opens: Opens,
    notes: _Notes,
) -> dict[str, _Tally]:
    """Ask what time allows of each candidate in turn; each round is spread evenly over the window."""
    tallies: dict[str, _Tally] = {}
    with contextlib.ExitStack() as stack:
        askers: dict[str, Asker] = {}
        for candidate, what in lives:
            one = _name(candidate)
            if time.monotonic() > until:
                notes.left_out.append(f"the replay of {one} through the service: the time was over")
                continue
            folder = new(ground, "replay") / candidate.paradigm
            try:
                askers[one] = stack.enter_context(opens(what, policy_of(candidate), ground.config, folder))
            except NinetyfiveError as error:
                notes.cannot.append(f"{one} was not replayed through the service: {error}")
        size = _warm(askers, bodies(spread(rows, _WARM), ground.release), notes)
        turns, ended = max(1, -(-rows.height // size)), 0
        for turn in range(turns):
            begun = time.monotonic()
            asked = bodies(rows.gather_every(turns, turn), ground.release)
            for one in _turned(list(askers), turn):
                tally = tallies.setdefault(one, _Tally())
                if not _round(askers[one], asked, tally, one, notes):
                    del askers[one]
            ended = turn + 1
            if not askers or time.monotonic() + (time.monotonic() - begun) > until:
                break
    if tallies and ended < turns:
        sent = max(tally.requests for tally in tallies.values())
        notes.left_out.append(f"{sent:,} of {rows.height:,} requests were sent to each worker, evenly spread")
    return {one: tally for one, tally in tallies.items() if tally.requests}


def _warm(askers: dict[str, Asker], asked: Sequence[bytes], notes: _Notes) -> int:
    """Ask a little that is not counted; how many requests make a round. Who does not answer is taken out."""
    slowest = 0.0
    for one, asker in list(askers.items()):
        begun, sent = time.perf_counter(), 0
        try:
            for body in asked:
                asker.ask(asker.request(body))
                sent += 1
                if time.perf_counter() - begun > _ROUND_SECONDS:
                    break
        except NinetyfiveError as error:
            notes.cannot.append(f"{one} was not replayed through the service: {error}")
            del askers[one]
            continue
        slowest = max(slowest, (time.perf_counter() - begun) / max(1, sent))
    return int(min(_ROUND, max(20, _ROUND_SECONDS / slowest))) if slowest else _ROUND


def _round(asker: Asker, asked: Sequence[bytes], tally: _Tally, name: str, notes: _Notes) -> bool:
    """Ask once; False where the worker is gone, and then the round does not count."""
    requests = [asker.request(body) for body in asked]
    try:
        before = asker.cpu()
        answers = [asker.ask(request) for request in requests]
        tally.cpu += asker.cpu() - before
    except NinetyfiveError as error:
        notes.cannot.append(f"the replay of {name} ended after {tally.requests:,} requests: {error}")
        return False
    for answer in answers:
        tally.count(answer)
    return True


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


def _replayed(one: Candidate, by: str, shares: _Tally, timed: _Tally | None) -> Replayed:
    return Replayed(
        paradigm=one.paradigm,
        k=one.k,
        by=by,
        requests=shares.requests,
        forecast_hit=one.hit,
        hit=shares.hit / shares.requests,
        miss=shares.miss / shares.requests,
        stale=shares.stale / shares.requests,
        forecast_cpu=one.cpu,
        cpu=timed.cpu / timed.requests if timed else None,
        forecast_p50=one.p50,
        p50=quantile(timed.latencies, 0.5) if timed else None,
        p99=quantile(timed.latencies, 0.99) if timed else None,
    )


def _name(one: Candidate) -> str:
    return one.paradigm if one.k is None else f"{one.paradigm} with {one.k:,} entities"
