"""Tune: the parameters of the model, searched for on the training rows alone, trial by trial. No test row is read.

    training rows ─ by time ─▶ │ first half          │ part 1 │ part 2 │ part 3 │
                                 fit on all before a part whose label was known by its start, score on the part
                   ─ by id ──▶  three groups of the folds by a hash of the id: fit on the others, score on one
    trial ─ fit, score part 1 ─ fit, score part 2 ─ … ─▶ mean of the scores      stopped where others are better

A trial is recorded in the catalog as it ends, under a key of its own: one that was killed goes on with the trials that
are missing, and ends with the same parameters. Trial 0 has the declared ones and is never stopped.

The scores are optimistic: features were fitted on all training rows, those of the parts too, and the best of many
scores is partly luck. The test rows, which no trial saw, judge the model as they judge any other.
What does not belong here: what is tried next (`search`), what may be tried (`ninetyfive.tuning`).
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import msgspec
import numpy as np
import polars as pl

from ninetyfive.errors import DataError, IntegrityError, ModelError
from ninetyfive.features.encoding import FOLD, LABEL
from ninetyfive.hashing import content_hash
from ninetyfive.metrics import METRICS, Task
from ninetyfive.models.release import open_release
from ninetyfive.models.scoring import answer_columns, matrix
from ninetyfive.models.training import Kinds, Offered, fit_model, labels
from ninetyfive.steps.apply import AT, KNOWN, placed_rows, read_transform
from ninetyfive.steps.context import Prepared
from ninetyfive.steps.declared import metrics_of
from ninetyfive.steps.evaluate import scores_of
from ninetyfive.steps.labelling import microseconds
from ninetyfive.steps.lineage import code_hashes
from ninetyfive.steps.search import WARM, Search, State, Trial
from ninetyfive.steps.window import ingested, known_delay
from ninetyfive.store.crashing import crash_point
from ninetyfive.system import Model
from ninetyfive.tuning import Range, Tuning
from ninetyfive.values import plain
from ninetyfive.version import __version__

NEWEST = 0.5
"""The share of the training rows, the newest, that parts by time are cut from."""
_NAME = "trial"


@dataclass(frozen=True, slots=True)
class InnerPart:
    """Training rows on which trials are fitted, and others on which they are scored, as masks; `start` in µs."""

    fitted: np.ndarray
    scored: np.ndarray
    start: int | None = None


@dataclass(frozen=True, slots=True)
class Rows:
    """The training rows, their parts, and how an answer is scored."""

    x: pl.DataFrame
    y: pl.Series
    parts: tuple[InnerPart, ...]
    task: Task
    metric: str
    kinds: Kinds


def tune_depends(context: Prepared) -> Any:
    """What decides the search beside the rows: code, params, seed, space, budget, metric, when labels are known."""
    tuning = _tuning(context)
    return [*_decides(context), tuning.trials, tuning.time]


def tune(context: Prepared, spans: dict[str, Any], fitted: dict[str, Any], applied: dict[str, Any]) -> dict[str, Any]:
    """Returns `params`, the effective ones; `study`, `best`, `metric`, `space`, `trials`, and what they say.

    `DataError` where no part has rows to fit and to score on, `ModelError` where every trial but the declared params'
    failed.
    """
    task, tuning = ingested(spans).task, _tuning(context)
    rows = _rows(context, fitted, applied, task)
    search = Search(tuning.space, context.model.seed, METRICS[rows.metric].higher_is_better)
    study = content_hash(["study", __version__, _decides(context), task, applied["files"]])
    trials: list[Trial] = []
    while not _ended(tuning, trials):
        key = content_hash([_NAME, study, len(trials), context.run if context.retry else ""])
        trial = _recorded(context, key)
        if trial is None:
            trial = _next(context, search, rows, trials)
            record = msgspec.to_builtins(trial)
            context.store.record(context.run, _NAME, key, record, artifacts=(), seconds=trial.seconds)
            crash_point(f"after trial {trial.number}")
        trials.append(trial)
        _tell(context, search, rows.metric, trials)
    return _document(context, search, rows, trials, study)


def tuned_params(context: Prepared) -> dict[str, Any]:
    """The parameters in force: the declared ones, and where the model is tuned those that were found for the champion.

    A value of the champion that may not be tried any more does not count. `StoreError` where it cannot be read.
    """
    model, pointer = context.model, context.store.champion()
    if model.tuning is None or pointer is None:
        return dict(model.params)
    with context.store.open_folder(context.store.release(pointer.release)) as folder:
        about = open_release(folder, pointer.release).about
    return {**model.params, **model.tuning.within(about.params)}


def parts_by_time(at: np.ndarray, known: np.ndarray, count: int) -> list[InnerPart]:
    """`count` parts of as many rows each from the newest half, by times in µs; fewer where times repeat.

    A row is fitted on for a part where it was before its start, and its label was known by then.
    """
    order, rows = np.sort(at), len(at)
    places = [int(rows * (1.0 - NEWEST + NEWEST * number / count)) for number in range(count)]
    starts = sorted({int(order[place]) for place in places if place < rows})
    ends = [*starts[1:], None]
    parts = []
    for start, end in zip(starts, ends, strict=True):
        scored = (at >= start) if end is None else (at >= start) & (at < end)
        parts.append(InnerPart((at < start) & (known <= start), scored, start))
    return parts


def parts_by_fold(fold: np.ndarray, count: int) -> list[InnerPart]:
    """`count` groups of the folds that rows are dealt into; a part is scored on one, and fitted on the others.

    One part alone is a fifth of the folds.
    """
    groups = fold % (count if count > 1 else 5)
    return [InnerPart(groups != number, groups == number) for number in range(count)]


def edges(tuning: Tuning, params: dict[str, Any]) -> list[dict[str, Any]]:
    """Which tuned parameters are at an end of their range: `name`, `value`, `end`, `range`."""
    found = []
    for name, allowed in tuning.space.items():
        end = allowed.edge(params[name]) if isinstance(allowed, Range) and name in params else None
        if end is not None:
            found.append({"name": name, "value": params[name], "end": end, "range": str(allowed)})
    return found


def _decides(context: Prepared) -> list[Any]:
    system, model, tuning = context.declaration, context.model, _tuning(context)
    code = code_hashes(system.origin, model.function)
    judged = [system.metrics[:1], system.effective_split.by, system.label_delay, system.label_time]
    return [code, dict(model.params), model.seed, list(tuning.space.items()), tuning.folds, *judged]


def _tuning(context: Prepared) -> Tuning:
    tuning = context.model.tuning
    assert tuning is not None
    return tuning


def _rows(context: Prepared, fitted: dict[str, Any], applied: dict[str, Any], task: Task) -> Rows:
    """The training rows in the parts that can be fitted and scored on."""
    system, tuning = context.declaration, _tuning(context)
    x, own = placed_rows(context.store, applied)
    if FOLD in own.columns:
        parts = parts_by_fold(own[FOLD].to_numpy(), tuning.folds)
    else:
        at = own.select(microseconds(AT))[AT].to_numpy()
        delay = known_delay(system)
        known = own.select(microseconds(KNOWN))[KNOWN].to_numpy() if delay is None else at + delay
        parts = parts_by_time(at, known, tuning.folds)
    usable = tuple(part for part in parts if _usable(own[LABEL], part, task))
    if not usable:
        raise DataError(
            "training rows",
            expected="rows to try parameters on: older ones to fit and newer ones to score, each with two classes"
            if task != "regression"
            else "rows to try parameters on: older ones to fit and newer ones to score",
            got=f"{x.height:,} rows in which no part has both",
            do="widen the window, bring more labels, or take tune= out of @model",
        )
    kinds = read_transform(context.store, fitted).kinds
    return Rows(x, own[LABEL], usable, task, metrics_of(system, task)[0], kinds)


def _usable(y: pl.Series, part: InnerPart, task: Task) -> bool:
    least = 1 if task == "regression" else 2
    return all(y.filter(pl.Series(mask)).n_unique() >= least for mask in (part.fitted, part.scored) if len(y)) and all(
        mask.any() for mask in (part.fitted, part.scored)
    )


def _ended(tuning: Tuning, trials: Sequence[Trial]) -> bool:
    """Whether the budget is used up, all there is was tried, or nothing works."""
    if tuning.trials is not None and len(trials) >= tuning.trials:
        return True
    if len(trials) > WARM and _broken(trials):
        return True
    tried = {content_hash(one.params) for one in trials if set(one.params) == set(tuning.space)}
    return len(tried) >= tuning.size or sum(one.seconds for one in trials) >= tuning.seconds


def _broken(trials: Sequence[Trial]) -> bool:
    """Whether every trial failed, or all but that of the declared params: what is tried does not work."""
    return all(one.state == "failed" for one in trials[1:] or trials)


def _recorded(context: Prepared, key: str) -> Trial | None:
    found = context.store.recorded(key)
    try:
        return None if found is None else msgspec.convert(found, Trial)
    except msgspec.ValidationError as error:
        raise IntegrityError(
            f"store {context.store.url}, trial {key[:12]}",
            expected="a trial",
            got=str(error),
            do="run again with `--from tune`: it tries everything anew",
        ) from None


def _next(context: Prepared, search: Search, rows: Rows, trials: Sequence[Trial]) -> Trial:
    """The next trial, done: scored part by part, until it is stopped or fails."""
    number, model, began = len(trials), context.model, time.perf_counter()
    params = search.next_params(trials) if number else _tuning(context).within(model.params)
    for one in trials:
        if content_hash(one.params) == content_hash(params):
            reason = one.reason or f"the same as trial {one.number}"
            seconds = time.perf_counter() - began
            return msgspec.structs.replace(one, number=number, reason=reason, seconds=seconds)
    scores: list[float] = []
    state: State = "complete"
    reason = ""
    try:
        for part in rows.parts:
            scores.append(_score(model, {**model.params, **params}, rows, part))
            if number and len(scores) < len(rows.parts) and search.hopeless(trials, scores):
                state = "pruned"
                break
    except ModelError as error:
        state, reason = "failed", f"expected {error.expected}, got {error.got}"
    except ValueError as error:  # the model's own, of rows that it was not fitted on
        state, reason = "failed", f"{type(error).__name__}: {error}"
    value = sum(scores) / len(scores) if state == "complete" else None
    seconds = time.perf_counter() - began
    return Trial(number, params, state, tuple(scores), value, reason or None, seconds)


def _score(model: Model, params: dict[str, Any], rows: Rows, part: InnerPart) -> float:
    """The primary metric of a model that is fitted on one part of the rows, on another; by the model in memory."""
    fitted, scored = pl.Series(part.fitted), pl.Series(part.scored)
    known = labels(rows.y.filter(fitted), rows.task)
    made = fit_model(model.function, rows.x.filter(fitted), known, params, model.seed, Offered(kinds=rows.kinds))
    answers = made.predict(matrix(rows.x.filter(scored)))
    reducer = scores_of("answer", made.task, made.classes)
    frame = pl.DataFrame([rows.y.filter(scored), *answer_columns(answers, "answer", made.task, made.classes)])
    result = reducer.result(reducer.add(reducer.zero(), frame))
    if result["unpredicted"] or result[rows.metric] is None:
        unanswered = f"no answer for {result['unpredicted']:,} of {frame.height:,}"
        raise ModelError(
            "trial",
            expected=f"answers by which {rows.metric} is defined",
            got=unanswered if result["unpredicted"] else "answers by which it is not",
            do="see what the model does with rows that it was not fitted on",
        )
    return float(result[rows.metric])


def _best(trials: Sequence[Trial], search: Search) -> Trial | None:
    """The best whole trial, of equal ones the first."""
    whole = [one for one in trials if one.state == "complete" and one.value is not None]
    sign = -1.0 if search.higher_is_better else 1.0
    return min(whole, key=lambda one: (sign * (one.value or 0.0), one.number), default=None)


def _tell(context: Prepared, search: Search, metric: str, trials: Sequence[Trial]) -> None:
    """How far the search is, and a line where a trial is the best so far."""
    budget = _tuning(context).trials
    context.reporter.rows(len(trials), budget)
    best = _best(trials, search)
    if best is not None and best.number == trials[-1].number:
        of = "" if budget is None else f" of {budget}"
        context.reporter.notice(f"trial {best.number}: {metric} {best.value:.6g}, the best of {len(trials)}{of}")


def _document(context: Prepared, search: Search, rows: Rows, trials: Sequence[Trial], study: str) -> dict[str, Any]:
    tuning, best = _tuning(context), _best(trials, search)
    reasons = Counter(str(one.reason) for one in trials if one.state == "failed")
    commonest = reasons.most_common(1)[0] if reasons else ("", 0)
    if best is None or _broken(trials):
        raise ModelError(
            f"tuning of model function {getattr(context.model.function, '__name__', 'model')!r}",
            expected="trials that can be fitted and scored",
            got=f"{sum(reasons.values())} of {len(trials)} that failed, {commonest[1]} of them: {commonest[0]}",
            do="correct the model function, or names and ranges in tune=",
        )
    params = {**context.model.params, **best.params}
    at_edges = edges(tuning, best.params) if best.number else []
    return {
        "params": params,
        "study": study,
        "best": best.number,
        "metric": rows.metric,
        "higher_is_better": search.higher_is_better,
        "value": best.value,
        "untuned": trials[0].value,
        "space": {name: {**msgspec.to_builtins(one), "text": str(one)} for name, one in tuning.space.items()},
        "budget": tuning.budget,
        "counts": {state: sum(one.state == state for one in trials) for state in ("complete", "pruned", "failed")},
        "importance": search.importance(trials),
        "edges": at_edges,
        "parts": [
            {
                "start": plain(part.start, "timestamp"),
                "fitted": int(part.fitted.sum()),
                "scored": int(part.scored.sum()),
            }
            for part in rows.parts
        ],
        "trials": [_shown(one) for one in trials],
        "notices": _notices(trials, best, at_edges, reasons),
    }


def _shown(trial: Trial) -> dict[str, Any]:
    """A trial without how long it took, which another machine would measure otherwise."""
    return {name: value for name, value in msgspec.to_builtins(trial).items() if name != "seconds"}


def _notices(
    trials: Sequence[Trial], best: Trial, at_edges: Sequence[dict[str, Any]], reasons: Counter[str]
) -> list[str]:
    found = [
        f"tuning: {one['name']} = {one['value']:.6g} is at the {one['end']} end of its range {one['range']}: widen it, "
        "unless nothing lies beyond"
        for one in at_edges
    ]
    if trials[0].state == "failed":
        found.append(f"tuning: the declared params failed, so nothing says what was gained: {trials[0].reason}")
    if best.number == 0:
        found.append("tuning: no trial was better than the declared params, which stay")
    if reasons:
        text, times = reasons.most_common(1)[0]
        found.append(f"tuning: {sum(reasons.values())} of {len(trials)} trials failed, {times} of them: {text}")
    return found
