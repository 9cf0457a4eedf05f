"""Table: the answers of a release for a population, computed beforehand by any engine, judged, and kept in the store.

    latest rows (`population`) ─ top? ─▶ transform ─▶ predictor ─▶ key, fingerprint, answers ─▶ table.mdb   `make`
                                   └─▶ a sample, answered again one by one ─▶ gates ─▶ registered, good or not

An entry holds the bits that a worker gives for the row alone: where the release says that a batch gives others, rows
are scored one at a time. Killed anywhere, no table is registered and the live one stays. What does not belong here:
what is good enough (`decisions.tables`), what is live (`store`).
"""

from __future__ import annotations

import shutil
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec
import numpy as np

from ninetyfive import clock
from ninetyfive.decisions.tables import TableEvidence, decide_table
from ninetyfive.errors import UsageError
from ninetyfive.metrics import Task
from ninetyfive.models.predictor import Answers as Predicted
from ninetyfive.models.predictor import Inputs, Predictor
from ninetyfive.models.release import OpenRelease
from ninetyfive.models.scoring import Score, Scorer, prediction_columns
from ninetyfive.paradigms import Serving, StaticServing
from ninetyfive.plan import Engine, Map, Plan, Read, Reduce, Write, result_of
from ninetyfive.progress import Reporter, telling
from ninetyfive.reducers.counts import Counts
from ninetyfive.reducers.quantiles import Quantile, Quantiles
from ninetyfive.reducers.sample import Sample
from ninetyfive.relations import rows_of
from ninetyfive.sources.spans import SpanReader, part_of
from ninetyfive.steps.population import (
    FINGERPRINT,
    KEY,
    KEY_TEXT,
    WHOLE,
    Latest,
    Named,
    head_of,
    latest_rows,
)
from ninetyfive.steps.predict import Rows, no_answer
from ninetyfive.store.manifests import MANIFEST, Manifest, describe_folder
from ninetyfive.store.opening import Store
from ninetyfive.store.records import Pointer, TableRecord
from ninetyfive.tables.about import Answers, TableAbout, table_id
from ninetyfive.tables.keys import fingerprint
from ninetyfive.tables.layout import ENTRIES, packer
from ninetyfive.tables.reader import Table
from ninetyfive.tables.writer import Entry, write_table
from ninetyfive.values import ELEMENTS, micros_of

SAMPLED = 100
"""How many entries are computed again."""
QUANTILES = 200
"""By how many quantiles a distribution of answers is kept."""
ANSWER = "__answer"
LEASE_SECONDS = 2.0
"""How long a build waits for a run before it says who holds the store."""


@dataclass(frozen=True, slots=True)
class Asked:
    """What was asked for: whose answers, as of when (a time with a zone), and in which words."""

    population: Named
    as_of: datetime
    words: str


@dataclass(frozen=True, slots=True)
class OneByOne:
    """A predictor that is asked for one row at a time, as a worker asks it for a single request."""

    predictor: Predictor

    @property
    def task(self) -> Task:
        return self.predictor.task

    @property
    def classes(self) -> tuple[str, ...]:
        return self.predictor.classes

    def predict(self, x: Inputs) -> Predicted:
        """The answers, each as if the row came alone."""
        if len(x) < 2:
            return self.predictor.predict(x)
        return np.concatenate([self.predictor.predict(x[row : row + 1]) for row in range(len(x))])


def as_of_moment(text: str | None) -> datetime:
    """`--as-of`: an ISO 8601 time that is past, UTC where it names no zone; None: now. Else `UsageError`."""
    now = clock.now()
    if text is None:
        return now
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise UsageError(
            "--as-of", expected="an ISO 8601 time", got=repr(text), do="write it like 2026-01-31T12:00"
        ) from None
    moment = moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)
    if moment > now:
        raise UsageError("--as-of", expected="a time that is past", got=text, do="leave it out: it means now")
    return moment


def build_table(store: Store, engine: Engine, release: OpenRelease, asked: Asked, reporter: Reporter) -> dict[str, Any]:
    """Build, judge and register a table; its document (docs/tables.md), of which `passed` says whether it is good.

    Nothing is made live. The lease of the store is to be held: an unnamed folder is safe from `gc` then.
    """
    if not release.about.entity:
        raise UsageError(
            f"release {release.hash[:12]}",
            expected="entity=, the columns whose values a table is looked up by",
            got="none",
            do="declare entity=[...] in system.py, then `ninetyfive run`: a release keeps the entity it was made with",
        )
    jobs, begun = engine.jobs, time.perf_counter()
    with store.attempt() as scratch, store.draft() as draft:
        with telling(reporter, "latest"):
            latest = latest_rows(asked.population, release, engine, draft, micros_of(asked.as_of))
        made = make(latest, release, engine, Place(scratch, draft), asked, reporter)
        about = made.about
        document = _document(made, latest, _before(store, about))
        id = table_id(about, made.manifest.files[ENTRIES])
        put = store.put_folder(made.folder, f"table-{id}")
        kept = store.add_table(
            TableRecord(
                id=id,
                release=release.hash,
                folder=put,
                as_of=about.as_of,
                rows=about.rows,
                words=asked.words,
                document=document,
            )
        )
    shown = {name: value for name, value in kept.document.items() if name != "about"}
    return {
        "table": kept.id,
        "release": kept.release,
        "as_of": kept.as_of,
        "entities": kept.rows,
        **shown,
        "jobs": engine.jobs - jobs,
        "seconds": time.perf_counter() - begun,
    }


@dataclass(frozen=True, slots=True)
class Made:
    """A table in a folder, without its manifest's file: nobody has judged or registered it.

    `differing` of `sampled` entries are not what their rows give alone; `unanswered` have no answer.
    """

    folder: Path
    about: TableAbout
    manifest: Manifest
    unanswered: int
    sampled: int
    differing: int

    def evidence(self, before: TableAbout | None) -> TableEvidence:
        """What its gates judge it by."""
        return TableEvidence(about=self.about, before=before, sampled=self.sampled, differing=self.differing)


@dataclass(frozen=True, slots=True)
class Place:
    """Where a table is made: a `folder` of this machine, and what the workers of the engine fill (a path or url)."""

    folder: Path
    draft: str


def make(latest: Latest, release: OpenRelease, engine: Engine, place: Place, asked: Asked, reporter: Reporter) -> Made:
    """Answer the latest rows, or those of the `top` entities where that is asked for, into the new folder `table`."""
    folder = place.folder
    with telling(reporter, "answers"):
        scored = _score(latest, release, engine, place.draft, asked.population.top)
    with telling(reporter, "table"):
        about = _write(_about(latest, release, asked, scored), scored, folder)
        manifest = describe_folder(folder / "table")
        differing = _differing(folder / "table", manifest.data, release, scored.sample)
    return Made(folder / "table", about, manifest, scored.unanswered, len(scored.sample), differing)


def refresh(
    store: Store, engine: Engine, release: OpenRelease, asked: Asked, reporter: Reporter, promote: bool
) -> dict[str, Any]:
    """Build a table and make it live, where its gates pass, its release is live and `promote` says so; its document.

    `BusyError` where somebody changed the champion meanwhile: the table is kept, for the next promotion.
    """
    pointer = store.champion()
    document = build_table(store, engine, release, asked, reporter)
    promoted = False
    if not document["passed"]:
        reason = refusal(document)
    elif not promote:
        reason = "gates passed; --no-promote"
    elif pointer is None or pointer.release != release.hash:
        reason = f"gates passed; `ninetyfive promote {release.hash[:12]}` makes its release and it live"
    else:
        as_of = asked.as_of.isoformat(timespec="seconds")
        store.promote(release.hash, pointer.epoch, f"table as of {as_of}: all gates passed", document["table"])
        reason, promoted = "all gates passed", True
    return {**document, "promoted": promoted, "reason": reason}


def refusal(document: Mapping[str, Any]) -> str:
    """Which gates of a table said no."""
    return "a gate of the table said no: " + ", ".join(gate["name"] for gate in document["gates"] if not gate["passed"])


def promote(store: Store, serving: Serving, release: str, table: str | None, reason: str) -> Pointer:
    """Make a release live, with the table of these words, else its newest good one; `UsageError` of static without."""
    found, champion = store.release(release).release, store.champion()
    chosen = store.newest_table(found) if table is None else store.table(table)
    kept = champion.table if champion is not None and champion.release == found else None
    check_servable(serving, found, kept if chosen is None else chosen.id)
    return store.promote(found, champion.epoch if champion else 0, reason, chosen.id if table and chosen else None)


def rollback(store: Store, serving: Serving, reason: str) -> Pointer:
    """Make live what was before; `UsageError` where that is a release without a table, and serving is static."""
    champion, history = store.champion(), {pointer.epoch: pointer for pointer in store.history()}
    target = history.get(champion.below) if champion is not None and champion.below is not None else None
    if target is not None:
        check_servable(serving, target.release, target.table)
    return store.rollback(champion.epoch if champion else 0, reason)


def lacking(store: Store, serving: Serving, release: str) -> str | None:
    """Why a release without a population is not live though it passed its gates: static serving has no table of it."""
    if not isinstance(serving, StaticServing) or store.newest_table(release) is not None:
        return None
    short = release[:12]
    return (
        "gates passed, but static serving answers from a table, and there is none of it yet: "
        f"`ninetyfive table build --release {short}` (--population FILE while there is no request log), "
        f"then `ninetyfive promote {short}`"
    )


def check_servable(serving: Serving, release: str, table: str | None) -> None:
    """`UsageError` where static serving would have no table to answer from."""
    if isinstance(serving, StaticServing) and table is None:
        raise UsageError(
            f"release {release[:12]}",
            expected="a table of it, from which static serving answers",
            got="none that is good",
            do=f"make one: ninetyfive table build --release {release[:12]}",
        )


@dataclass(frozen=True, slots=True)
class _Scored:
    """Answers in files, how they are spread, how many entities have none, and a sample of the rows they are of."""

    rows: Rows
    answers: tuple[Answers, ...]
    unanswered: int
    sample: list[dict[str, Any]]


def _score(latest: Latest, release: OpenRelease, engine: Engine, draft: str, top: int | None) -> _Scored:
    """One job: the answers of the latest rows, of the `top` entities where that is given."""
    about = release.about
    parts = tuple(part_of(file) for file in latest.files)
    rows: Map = rows_of(Read(parts, SpanReader()), dict(latest.columns))
    if top is not None:
        rows = Map(rows, head_of(latest, top), latest.columns)
    predictor = OneByOne(release.predictor) if about.tolerance > 0 else release.predictor
    names = prediction_columns(ANSWER, about.task, about.classes)
    scorer = Scorer(ANSWER, release.transform.frames(), predictor)
    score = Score((scorer,), (KEY, WHOLE, FINGERPRINT), about.task, about.classes)
    answers = Map(rows, score, score.output(rows.output))
    sample = Sample(SAMPLED, (KEY,), (KEY, FINGERPRINT, *release.transform.inputs))
    counts = Counts(names)
    plans: dict[str, Plan] = {
        "answers": Write(answers, f"{draft}/answers"),
        "counts": Reduce(answers, counts),
        "sample": Reduce(rows, sample),
        **{name: Reduce(answers, Quantiles(name)) for name in names},
    }
    done = engine.run(plans)
    counted = result_of(counts, done["counts"])
    none = [counted["nans"][name] for name in names]
    spread = [
        _spread(result_of(Quantiles(name), done[name]), missing) for name, missing in zip(names, none, strict=True)
    ]
    return _Scored(Rows(done["answers"], answers.output), tuple(spread), max(none), result_of(sample, done["sample"]))


def _spread(found: Quantile, none: int) -> Answers:
    """A distribution as a table keeps it; infinities, which JSON does not know, as the greatest number there is."""
    shares = [(place + 0.5) / QUANTILES for place in range(QUANTILES)] if found.count else []
    most = sys.float_info.max
    values = [min(max(float(value), -most), most) for value in found.quantiles(shares) if value is not None]
    return Answers(count=found.count, none=none, quantiles=tuple(values), error=found.rank_error)


def _about(latest: Latest, release: OpenRelease, asked: Asked, scored: _Scored) -> TableAbout:
    about = release.about
    return TableAbout(
        release=release.hash,
        system=about.system,
        task=about.task,
        label=about.label,
        entity=about.entity,
        classes=about.classes,
        rows=scored.rows.count,
        as_of=asked.as_of.isoformat(),
        population=latest.population,
        answers=scored.answers,
        made=clock.now().isoformat(),
    )


def _write(about: TableAbout, scored: _Scored, scratch: Path) -> TableAbout:
    for name in ("table", "runs"):
        (scratch / name).mkdir()
    told = write_table(scratch / "table", about, _entries(scored.rows, len(about.classes)), scratch / "runs")
    shutil.rmtree(scratch / "runs")
    return told


def _entries(rows: Rows, classes: int) -> Iterator[Entry]:
    pack = packer(classes)
    for frame in rows.frames():
        for key, whole, print, *answers in frame.iter_rows():
            value = pack(print, *answers)
            yield key.encode(KEY_TEXT), value if whole is None else value + whole


def _differing(folder: Path, manifest: bytes, release: OpenRelease, sample: Sequence[Mapping[str, Any]]) -> int:
    """How many entries of the written table are not what their rows give alone, bit for bit."""
    function, types = release.transform.rows(), release.transform.inputs
    (folder / MANIFEST).write_bytes(manifest)
    table = Table(folder, release=release.hash, checked=True, entity=release.about.entity)
    differing = 0
    for row in sample:
        values = {name: _scalar(row[name], type) for name, type in types.items()}
        answer = release.predictor.predict(np.array([function(values)], dtype=np.float32))
        expected = fingerprint(tuple(values.values())), np.asarray(answer, dtype=np.float64).tobytes()
        found = table.get(row[KEY].encode(KEY_TEXT))
        differing += found is None or (found[0], np.array(found[1], dtype=np.float64).tobytes()) != expected
    table.close()
    (folder / MANIFEST).unlink()  # the store writes its own
    return differing


def _scalar(value: Any, type: str) -> Any:
    return tuple(value) if type in ELEMENTS and value is not None else value


def _before(store: Store, about: TableAbout) -> TableAbout | None:
    """The table of the same population that is live, else the newest good one."""
    pointer = store.champion()
    live = pointer.table if pointer else None
    for table in sorted(store.tables(), key=lambda table: table.id != live):
        if table.id == live or table.document.get("passed"):
            before = msgspec.convert(table.document["about"], TableAbout)
            if before.population.named == about.population.named:
                return before
    return None


def _document(made: Made, latest: Latest, before: TableAbout | None) -> dict[str, Any]:
    verdicts, about = decide_table(made.evidence(before)), made.about
    beyond = latest.counts["entities"] - about.rows
    document = {
        "passed": verdicts.passed,
        "gates": msgspec.to_builtins(verdicts.verdicts),
        "rows": {**latest.counts, "beyond": beyond, "unanswered": made.unanswered},
        "size": made.manifest.size,
        "notices": [*latest.notices, *no_answer(made.unanswered)],
        "about": msgspec.to_builtins(about),
    }
    plain: dict[str, Any] = msgspec.json.decode(msgspec.json.encode(document))
    return plain
