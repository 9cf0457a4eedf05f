"""A look at the champion: what it gains over the constant baseline on the rows that were labelled since.

    rows labelled since the champion, or the last look that judged ─ its transform ─┬─ its predictor ─┐
                                                                                   └─ its constant ──┴─▶ gain

One job, by the plan that `evaluate` scores with: the exported artifact answers, and none of these rows was trained on.
What a look found stands in the document of its run, for the next one.
What does not belong here: what follows from it (`decisions.triggers`), when to look (`run`).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any, Literal

import msgspec

from ninetyfive.decisions.triggers import LOOK_ROWS, Watched, decide_drop
from ninetyfive.errors import FeatureError, StoreError
from ninetyfive.features.encoding import FOLD, LABEL
from ninetyfive.models.baselines import baseline_from
from ninetyfive.models.release import OpenRelease, open_release
from ninetyfive.models.scoring import Score, Scorer
from ninetyfive.paradigms import StaticTraining
from ninetyfive.plan import Map, Plan, Reduce, merge_keyed, result_of
from ninetyfive.reducers.intervals import Estimate, replicates
from ninetyfive.reducers.quantiles import Quantiles
from ninetyfive.steps.context import Prepared
from ninetyfive.steps.declared import metrics_of
from ninetyfive.steps.evaluate import incomparable, scores_of
from ninetyfive.steps.window import Cut, Ingested, ingested, known_delay, labelled
from ninetyfive.store.opening import Store
from ninetyfive.store.records import Run
from ninetyfive.values import micros_of

CHAMPION, CONSTANT = "__champion", "__constant"
_EARLIEST = -(2**62)
_MOST_OF = 0.9
"""Of the rows that a look judged, the share that has to be older than what trains after a drop."""


class Look(msgspec.Struct, frozen=True, kw_only=True):
    """One look: the champion, the metric, as of when (µs), up to when rows have been judged, and what it found."""

    champion: str
    metric: str
    as_of: int
    upto: int
    gain: Estimate
    watched: Watched

    def plain(self) -> dict[str, Any]:
        """As JSON takes it."""
        built: dict[str, Any] = msgspec.to_builtins(self)
        return built

    def told(self) -> dict[str, Any]:
        """What the document of a run says of it."""
        promised = self.watched.promised
        return {
            "champion": self.champion,
            "metric": self.metric,
            "rows": self.gain.rows,
            "gain": msgspec.to_builtins(self.gain),
            "promised": None if promised is None else msgspec.to_builtins(promised),
            "judged": self.watched.judged,
            "held": self.watched.held,
            "trainings": self.watched.trainings,
            "reason": self.watched.reason,
        }


def newest(runs: Sequence[Run], of: Literal["look", "release"]) -> Run | None:
    """The newest run that came to its end and has that in its document: a look, or a training and its release."""
    ended = (run for run in runs if run.status in ("done", "refused"))
    return next((run for run in ended if run.document.get(of)), None)


def look_of(run: Run | None) -> Look | None:
    """The look that a run made; None where there is no run."""
    return None if run is None else msgspec.convert(run.document["look"], Look)


def look(context: Prepared, spans: dict[str, Any], before: Look | None) -> Look:
    """Score the champion of `context` on what was labelled since `before`, and decide."""
    training = context.declaration.effective_training
    assert context.champion is not None
    assert isinstance(training, StaticTraining)
    given, name = ingested(spans), context.champion
    made = _made(context.store, name)
    metric = metrics_of(context.declaration, given.task)[0]
    if before is not None and before.metric != metric:
        before = None
    state = before.watched if before else Watched(promised=None, since=made)
    since = max(made, before.upto) if before else made
    as_of = max((entry.time_max for entry in given.spans if entry.time_max is not None), default=since)
    as_of = as_of if context.as_of is None else context.as_of
    seen = _Seen(Estimate(None, None, None, 0), None, as_of)
    if as_of > since:
        opened = _opened(context, given)
        if isinstance(opened, str):
            watched = msgspec.structs.replace(state, due=False, judged=False, reason=opened)
            return Look(champion=name, metric=metric, as_of=as_of, upto=since, gain=seen.gain, watched=watched)
        seen = _seen(context, given, opened, (since, as_of, metric))
    watched = decide_drop(training.drop, seen.gain, seen.promised, state, seen.newest)
    upto = as_of if watched.judged else since
    return Look(champion=name, metric=metric, as_of=as_of, upto=upto, gain=seen.gain, watched=watched)


class _Seen(msgspec.Struct, frozen=True):
    """The gain on the new rows, the gain that was promised, and a moment (µs) before which most of these rows are."""

    gain: Estimate
    promised: Estimate | None
    newest: int


class _Opened(msgspec.Struct, frozen=True):
    release: OpenRelease
    constant: bytes
    metrics: dict[str, Any]


def _made(store: Store, champion: str) -> int:
    """As of when a release was made, in µs: later labels neither trained nor judged it."""
    return micros_of(datetime.fromisoformat(store.release(champion).document["window"]["to"]))


def _opened(context: Prepared, given: Ingested) -> _Opened | str:
    """The champion, or why it cannot be looked at."""
    name = str(context.champion)
    try:
        with context.store.open_folder(context.store.release(name)) as folder:
            release = open_release(folder, name)
            constant = (folder / "baseline-constant.json").read_bytes()
            metrics = msgspec.json.decode((folder / "metrics.json").read_bytes())
    except (StoreError, FeatureError) as error:
        return f"champion {name[:12]} cannot be looked at: {error}"
    why = incomparable(release, context.declaration, given)
    return _Opened(release, constant, metrics) if why is None else f"champion {name[:12]} cannot be looked at: {why}"


def _seen(context: Prepared, given: Ingested, opened: _Opened, which: tuple[int, int, str]) -> _Seen:
    since, as_of, metric = which
    system, release = context.declaration, opened.release
    task, classes, time = given.task, release.about.classes, str(system.source.time)
    delay = known_delay(system)
    first = _EARLIEST if delay is None else since - delay
    cut = Cut(start=None, cut=first, as_of=as_of, test=0.0, known_after=since)
    columns = (*release.transform.inputs, time)
    rows = labelled(context, given, cut, columns, "test", fold=True)
    scorers = (
        release.scorer(CHAMPION),
        Scorer(CONSTANT, release.transform.frames(), baseline_from(opened.constant)),
    )
    score = Score(scorers, (LABEL, FOLD), task, classes)
    scored = Map(rows, score, score.output(rows.output))
    times = Quantiles(time)
    reducers = {one.name: scores_of(one.name, task, classes) for one in scorers}
    plans: dict[str, Plan] = {name: Reduce(scored, reducer, by=(FOLD,)) for name, reducer in reducers.items()}
    found = context.engine.run({**plans, "times": Reduce(rows, times)})
    ours, theirs = (
        replicates(reducer, dict(_folds(reducer, found[name])), LOOK_ROWS) for name, reducer in reducers.items()
    )
    moment = result_of(times, found["times"]).quantile(_MOST_OF)
    unit = 86_400_000_000 if given.schema.types[time] == "date" else 1
    told = opened.metrics["gains"]["constant"].get(metric)
    promised = None if told is None else msgspec.convert(told, Estimate)
    gain = ours.gain(theirs, metric) if ours.rows else Estimate(None, None, None, 0)
    return _Seen(gain, promised, since if moment is None else int(moment) * unit)


def _folds(reducer: Any, spans: Mapping[str, Any]) -> Iterator[tuple[int, Any]]:
    yield from ((fold, state) for (fold,), state in merge_keyed(reducer, spans).items())
