"""One request's rows, answered: from the table, from the cache, by the model, or as declared; and logged.

    row ─ check ─▶ key, fingerprint ─ decide ─┬─ table    same fingerprint, or a static service that may be stale
                                              ├─ default  outside the schema, or missing, where an answer is declared
                                              └─ model    here if it is cheap, in a thread if it is dear (`batching`)

The rule: a request is answered whole, by one release and one table, or not at all; what is answered is logged first.
What does not belong here: HTTP (`app`), forms of requests (`tensorflow`, `inference`).
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from http import HTTPStatus
from itertools import repeat
from typing import Any, NamedTuple

import msgspec
import xxhash

from ninetyfive.errors import FeatureError, NinetyfiveError, StoreError
from ninetyfive.serve.batching import Batching
from ninetyfive.serve.counters import PLACES, Counters
from ninetyfive.serve.loaded import Answer, Cells, Loaded
from ninetyfive.serve.log import Record, RequestLog
from ninetyfive.serve.messages import Limits, Policy
from ninetyfive.serve.rows import Fault, Outside

_RECENT = 64
"""How many rows are remembered, to warm up what is loaded next."""
_INLINE_SECONDS = 0.005
"""How long cheap rows of one request may take where they are asked; more of them go to the thread."""
_STALE, _MISSING, _OUTSIDE, _UNANSWERED = (
    PLACES[f"rows.{word}"] for word in ("stale", "missing", "outside", "unanswered")
)
_SOURCES = {word: PLACES[f"rows.{word}"] for word in ("table", "cache", "model", "default")}
_LOGGED, _LOG_FAILED = PLACES["log.records"], PLACES["log.failures"]
Root = Callable[[int], str]
"""The path of a row in its request, by its place."""
_pack = msgspec.msgpack.Encoder().encode
_hash = xxhash.xxh3_64_intdigest


class Entry(NamedTuple):
    """What the table holds of an entity: the fingerprint of what its answer was computed from, and the answer."""

    fingerprint: int
    answer: Answer


class Decision(NamedTuple):
    """What becomes of a row: `act` is "table", "compute", "missing", "changed" or "old", and whether it is stale."""

    act: str
    stale: bool = False


def decide(policy: Policy, entry: Entry | None, fingerprint: int, *, old: bool) -> Decision:
    """Where a row's answer comes from; `old`: the table is older than it may be.

    >>> decide(Policy(paradigm="hybrid"), Entry(7, 0.5), 7, old=False)
    Decision(act='table', stale=False)
    >>> decide(Policy(paradigm="hybrid"), Entry(7, 0.5), 8, old=False)
    Decision(act='compute', stale=False)
    >>> decide(Policy(paradigm="static"), Entry(7, 0.5), 8, old=False)
    Decision(act='table', stale=True)
    >>> decide(Policy(paradigm="static", on_change="refuse"), Entry(7, 0.5), 8, old=False)
    Decision(act='changed', stale=False)
    >>> decide(Policy(paradigm="static"), None, 8, old=False)
    Decision(act='missing', stale=False)
    >>> decide(Policy(paradigm="static"), Entry(7, 0.5), 7, old=True)
    Decision(act='old', stale=False)
    """
    if policy.paradigm == "dynamic":
        return _COMPUTE
    if policy.paradigm == "hybrid":
        return _TABLE if entry is not None and entry.fingerprint == fingerprint and not old else _COMPUTE
    if old:
        return _OLD
    if entry is None:
        return _MISSED
    if entry.fingerprint == fingerprint:
        return _TABLE
    return _CHANGED if policy.on_change == "refuse" else _STALE_TABLE


_COMPUTE, _TABLE, _OLD = Decision("compute"), Decision("table"), Decision("old")
_MISSED, _CHANGED, _STALE_TABLE = Decision("missing"), Decision("changed"), Decision("table", stale=True)


class Answered(NamedTuple):
    """A request that is answered and logged: its id, what answered, the answers, the source of each, how many stale."""

    id: str
    loaded: Loaded
    answers: list[Answer]
    sources: list[str]
    stale: int


class _Look(NamedTuple):
    """A row as far as it is known without the model: a struct of row scalars, and what is made of it."""

    row: Any
    key: bytes | None
    cells: tuple[Any, ...]
    packed: bytes
    fingerprint: int
    answer: Answer
    source: str
    stale: bool = False


class Answering:
    """Answers requests by what is `live`, which may be replaced at any time between two of them."""

    def __init__(self, live: Loaded, limits: Limits, counters: Counters, log: RequestLog | None, prefix: str) -> None:
        self.live = live
        self.limits = limits
        self.counters = counters
        self.log = log
        self.log_failed = False
        self.durable = log is not None and log.durable
        self.batching = Batching(limits, counters)
        self.recent: deque[tuple[tuple[str, ...], Cells]] = deque(maxlen=_RECENT)
        self._prefix = prefix
        self._number = 0
        self._held = 0

    def flip(self, loaded: Loaded) -> None:
        """Answer by `loaded` from now on; what is under way is finished by what it began with."""
        self.live = loaded

    def warm(self) -> list[dict[str, Any]]:
        """What was asked last, as rows (column → row scalar): to warm up what is loaded next."""
        return [dict(zip(names, cells, strict=True)) for names, cells in self.recent]

    def too_old(self, loaded: Loaded) -> bool:
        """Whether the table is older than the policy lets it be."""
        age = loaded.policy.max_age
        return age is not None and loaded.table is not None and time.time() - loaded.as_of_seconds > age

    def at_once(self, loaded: Loaded, rows: int) -> bool:
        """Whether so many rows may be answered by `answer_now`: nothing is waited for, and nobody held up."""
        return loaded.light and not self.durable and rows * loaded.seconds <= _INLINE_SECONDS

    def answer_now(
        self, loaded: Loaded, given: Sequence[Any], root: Root, client_id: str | None = None, *, hold: bool
    ) -> Answered:
        """Answer the structs `given`, whose paths `root` gives; `Fault` says why not, and then nothing is logged.

        With `hold` the answer must not be sent before the log's `confirm`.
        """
        if len(given) == 1:
            return self._answer_one(loaded, given[0], root, client_id, hold)
        start = time.perf_counter()
        looks = self._looks(loaded, given, root)
        wanted = [place for place, look in enumerate(looks) if not look.source]
        computed: dict[int, Answer] = {}
        if wanted:
            try:
                answers = loaded.compute([looks[place].cells for place in wanted])
                computed = dict(zip(wanted, answers, strict=True))
            except NinetyfiveError as error:
                raise self._not_computed(loaded, error, looks, root) from error
            self._remember(loaded, looks, computed)
        return self._finish(loaded, looks, computed, (client_id, time.perf_counter() - start), hold)

    async def answer(
        self, loaded: Loaded, given: Sequence[Any], root: Root, deadline: float, client_id: str | None = None
    ) -> Answered:
        """The same for any number of rows: the model runs in its thread, and a durable log is waited for."""
        if self.at_once(loaded, len(given)):
            return self.answer_now(loaded, given, root, client_id, hold=False)
        start = time.perf_counter()
        looks = self._looks(loaded, given, root)
        wanted = [place for place, look in enumerate(looks) if not look.source]
        spent = time.perf_counter() - start
        computed: dict[int, Answer] = {}
        if wanted:
            try:
                answers = await self.batching.submit(loaded, [looks[place].cells for place in wanted], deadline)
            except NinetyfiveError as error:
                raise self._not_computed(loaded, error, looks, root) from error
            spent += self.batching.row_seconds * len(wanted)
            computed = dict(zip(wanted, answers, strict=True))
            self._remember(loaded, looks, computed)
        answered = self._finish(loaded, looks, computed, (client_id, spent))
        await self._settle()
        return answered

    async def entity(self, loaded: Loaded, key: bytes, client_id: str | None) -> Answered | None:
        """What the table says of an entity alone; None where it holds nothing of it, or is too old."""
        start = time.perf_counter()
        entry = None if loaded.table is None or self.too_old(loaded) else self._entry(loaded, key)
        if entry is None:
            return None
        look = _Look(None, key, (), b"", entry.fingerprint, entry.answer, "table")
        answered = self._finish(loaded, [look], {}, (client_id, time.perf_counter() - start))
        await self._settle()
        return answered

    def _answer_one(self, loaded: Loaded, struct: Any, root: Root, client_id: str | None, hold: bool) -> Answered:
        """What `_looks`, the model and `_finish` do with many rows, for one: most requests are of one."""
        start = time.perf_counter()
        row = struct if loaded.rows.take(struct) else loaded.rows.judge(struct, root(0))
        look = self._look(loaded, row, root, 0)
        answer, source = look.answer, look.source
        if not source:
            try:
                answer, source = loaded.one(look.cells), "model"
            except NinetyfiveError as error:
                raise self._not_computed(loaded, error, [look], root) from error
            if loaded.policy.cache:
                self._remember(loaded, [look], {0: answer})
        self._number += 1
        name = f"{self._prefix}{self._number:010x}"
        self.counters.add(_SOURCES[source])
        if answer is None:
            self.counters.add(_UNANSWERED)
        log, key = self.log, look.key
        if log is not None and log.keeps(key):
            live, cells = loaded.live, loaded.cells(row) if look.row is not None else loaded.nothing
            told = (name, time.time_ns() // 1000, client_id, key, cells, look.fingerprint, answer)
            spent = time.perf_counter() - start
            self._log(log, [Record(*told, live.release, live.table, source, spent)], hold)
        return Answered(name, loaded, [answer], [source], int(look.stale))

    def _log(self, log: RequestLog, records: list[Record], hold: bool) -> None:
        """Write the records, or hold them; `Fault` where that cannot be."""
        try:
            (log.hold if hold else log.append)(records)
        except StoreError as error:
            raise self._not_logged() from error
        self.log_failed &= hold
        self._held += len(records) * hold
        self.counters.add(_LOGGED, len(records))

    def _looks(self, loaded: Loaded, given: Sequence[Any], root: Root) -> list[_Look]:
        take, rows = loaded.rows.take, []
        for place, struct in enumerate(given):
            rows.append(struct if take(struct) else loaded.rows.judge(struct, root(place)))
        if len(rows) > 1 and loaded.policy.paradigm == "dynamic" and Outside not in map(type, rows):
            cells = list(map(loaded.inputs, rows))
            packed = list(map(_pack, cells))
            self.recent.append((loaded.names, cells[0]))
            keys = map(loaded.key, rows)
            return list(map(_Look, rows, keys, cells, packed, map(_hash, packed), repeat(None), repeat("")))
        return [self._look(loaded, row, root, place) for place, row in enumerate(rows)]

    def _look(self, loaded: Loaded, row: Any, root: Root, place: int) -> _Look:
        policy = loaded.policy
        if type(row) is Outside:
            self.counters.add(_OUTSIDE)
            if policy.on_outside == 422:
                raise row.fault
            return _Look(None, None, (), b"", 0, loaded.default(policy.on_outside), "default")
        cells = loaded.inputs(row)
        self.recent.append((loaded.names, cells))
        packed = _pack(cells)
        fingerprint, key = _hash(packed), loaded.key(row)
        if policy.paradigm == "dynamic":
            return _Look(row, key, cells, packed, fingerprint, None, "")
        entry = None if loaded.table is None or key is None else self._entry(loaded, key)
        act, stale = decide(policy, entry, fingerprint, old=self.too_old(loaded))
        if act == "table":
            if stale:
                self.counters.add(_STALE)
            assert entry is not None
            return _Look(row, key, cells, packed, fingerprint, entry.answer, "table", stale)
        if act == "compute":
            if entry is None:
                self.counters.add(_MISSING)
            if packed in loaded.cache:
                loaded.cache.move_to_end(packed)
                return _Look(row, key, cells, packed, fingerprint, loaded.cache[packed], "cache")
            return _Look(row, key, cells, packed, fingerprint, None, "")
        return self._without(loaded, act, root(place), _Look(row, key, cells, packed, fingerprint, None, ""))

    def _without(self, loaded: Loaded, act: str, root: str, look: _Look) -> _Look:
        """What a static service does where its table does not answer."""
        if act == "old" or loaded.table is None:
            words = "the table is too old to answer" if act == "old" else "there is no table to answer from"
            raise Fault(HTTPStatus.SERVICE_UNAVAILABLE, "", words, retry=60)
        if act == "changed":
            words = "the table was computed from other values of this entity's features"
            raise Fault(HTTPStatus.CONFLICT, root, words)
        self.counters.add(_MISSING)
        if loaded.policy.on_missing == 404:
            raise Fault(HTTPStatus.NOT_FOUND, root, "the table does not hold this entity")
        return look._replace(answer=loaded.default(loaded.policy.on_missing), source="default")

    def _entry(self, loaded: Loaded, key: bytes) -> Entry | None:
        assert loaded.table is not None
        found = loaded.table.get(key)
        if found is None:
            return None
        fingerprint, values = found
        if values[0] != values[0]:
            return Entry(fingerprint, None)
        return Entry(fingerprint, values if loaded.classes else values[0])

    def _remember(self, loaded: Loaded, looks: Sequence[_Look], computed: Mapping[int, Answer]) -> None:
        """Keep what the model said, as far as the policy does."""
        if loaded.policy.cache:
            for place, answer in computed.items():
                loaded.cache[looks[place].packed] = answer
            while len(loaded.cache) > loaded.policy.cache:
                loaded.cache.popitem(last=False)

    def _finish(
        self,
        loaded: Loaded,
        looks: Sequence[_Look],
        computed: Mapping[int, Answer],
        told: tuple[str | None, float],
        hold: bool = False,
    ) -> Answered:
        """Put together what is known and what was `computed`, by place; name it, log it and count it.

        `told` is the client's id, and the seconds that it took.
        """
        if len(computed) == len(looks):
            answers, sources = list(computed.values()), ["model"] * len(looks)
        else:
            answers = [computed.get(place, look.answer) for place, look in enumerate(looks)]
            sources = [look.source or "model" for look in looks]
        stale = sum(look.stale for look in looks) if loaded.policy.paradigm == "static" else 0
        self._number += 1
        answered = Answered(f"{self._prefix}{self._number:010x}", loaded, answers, sources, stale)
        for source in set(sources):
            self.counters.add(_SOURCES[source], sources.count(source))
        if None in answers:
            self.counters.add(_UNANSWERED, answers.count(None))
        if self.log is not None:
            records = self._records(answered, looks, told)
            if records:
                self._log(self.log, records, hold)
        return answered

    def _records(self, answered: Answered, looks: Sequence[_Look], told: tuple[str | None, float]) -> list[Record]:
        loaded, now, single = answered.loaded, time.time_ns() // 1000, len(looks) == 1
        assert self.log is not None
        release, table, client_id, name = loaded.live.release, loaded.live.table, told[0], answered.id
        each, keeps, cells, records = told[1] / len(looks), self.log.keeps, loaded.cells, []
        for place, (look, answer, source) in enumerate(zip(looks, answered.answers, answered.sources, strict=True)):
            row, key, _, _, fingerprint, *_ = look
            if keeps(key):
                kept = cells(row) if row is not None else loaded.nothing
                named = name if single else f"{name}-{place}"
                records.append(
                    Record(named, now, client_id, key, kept, fingerprint, answer, release, table, source, each)
                )
        return records

    def confirm(self) -> Fault | None:
        """Write what the log holds; the fault of all requests whose records it held, where it cannot."""
        if self.log is None:
            return None
        held, self._held = self._held, 0
        try:
            self.log_failed &= not self.log.confirm()
        except StoreError:
            self.counters.add(_LOGGED, -held)
            return self._not_logged()
        return None

    async def _settle(self) -> None:
        if self.durable and self.log is not None:
            try:
                await self.log.settle()
            except StoreError as error:
                raise self._not_logged() from error

    def _not_logged(self) -> Fault:
        self.counters.add(_LOG_FAILED)
        self.log_failed = True
        words = "the request log cannot be written: come again later"
        return Fault(HTTPStatus.SERVICE_UNAVAILABLE, "", words, retry=5)

    def _not_computed(self, loaded: Loaded, error: NinetyfiveError, looks: Sequence[_Look], root: Root) -> Fault:
        """The fault for rows that could not be computed: 422 names the row whose integer left 64 bits, else 500."""
        if isinstance(error, FeatureError):
            for place, look in enumerate(looks):
                try:
                    if not look.source:
                        loaded.model_inputs(look.cells)
                except FeatureError as found:
                    words = f"{found.where}: expected {found.expected}, got {found.got}"
                    return Fault(HTTPStatus.UNPROCESSABLE_ENTITY, root(place), words)
        return Fault(HTTPStatus.INTERNAL_SERVER_ERROR, "", "the model gave no answer")
