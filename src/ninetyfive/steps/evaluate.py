"""Evaluate: one job scores the exported model, both baselines and the champion on the same test rows, by slice.

test rows ─ each one's transform and predictor ─▶ answers ─▶ scores by fold, by slice and fold ─▶ metrics, gains
          └─▶ 32 golden requests, chosen by the hash of their id
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import msgspec

from ninetyfive.errors import DataError, FeatureError, StoreError
from ninetyfive.features.encoding import FOLD, LABEL
from ninetyfive.features.transform import Transform
from ninetyfive.metrics import Task
from ninetyfive.models.baselines import baseline_from
from ninetyfive.models.forms import predictor_of
from ninetyfive.models.predictor import Predictor
from ninetyfive.models.release import Golden, OpenRelease, answer_of, open_release
from ninetyfive.models.scoring import Score, Scorer, prediction_columns
from ninetyfive.plan import Map, Plan, Reduce, merge_keyed, result_of
from ninetyfive.reducers.intervals import Estimate, Replicates, replicates
from ninetyfive.reducers.reducer import Reducer
from ninetyfive.reducers.sample import Sample
from ninetyfive.reducers.scores import BinaryScores, ClassScores, NumberScores
from ninetyfive.steps.apply import read_transform
from ninetyfive.steps.context import Prepared
from ninetyfive.steps.declared import metrics_of
from ninetyfive.steps.window import Cut, Ingested, ingested, labelled, labelled_depends
from ninetyfive.system import Declaration

GOLDEN = 32
SLICE_ROWS = 100
"""The fewest rows of a slice that get metrics with intervals."""
SLICES = 1_000
"""The most values of a slice column that are shown; the largest are."""

MODEL, CONSTANT, LINEAR, CHAMPION = "__model", "__constant", "__linear", "__champion"
Folds = Mapping[int, Any]


def evaluate_depends(context: Prepared) -> Any:
    """What decides the evaluation beside model and spans: metrics, slices, the champion, which rows judge."""
    system = context.declaration
    named = [system.metrics, [gate.metric for gate in system.gates], system.slices, sorted(system.hindsight)]
    return [*named, context.champion, labelled_depends(context)]


def evaluate(
    context: Prepared,
    spans: dict[str, Any],
    cut: dict[str, Any],
    fitted: dict[str, Any],
    trained: dict[str, Any],
) -> dict[str, Any]:
    """Returns `rows`, `metrics`, `baselines`, `gains`, `slices`, `champion` and the artifact `golden`."""
    given, borders = ingested(spans), msgspec.convert(cut, Cut)
    judge = _judge(context, given, fitted, trained)
    system = context.declaration
    request = tuple(name for name in given.schema.names if name not in system.hindsight)
    champion_inputs = judge.champion.transform.inputs if judge.champion else {}
    columns = (*request, *system.source.id, *champion_inputs, *system.slices)
    test = labelled(context, given, borders, columns, "test", fold=True)
    keep = tuple(dict.fromkeys((*system.slices, LABEL, FOLD)))
    score = Score(judge.scorers, keep, judge.task, judge.classes)
    scored = Map(test, score, score.output(test.output))
    sample = Sample(GOLDEN, system.source.id or request, request)
    plans: dict[str, Plan] = {"golden": Reduce(test, sample)}
    for scorer in judge.scorers:
        reducer = judge.reducer(scorer.name)
        plans[scorer.name] = Reduce(scored, reducer, by=(FOLD,))
        if scorer.name != LINEAR:
            plans |= {f"{scorer.name} by {name}": Reduce(scored, reducer, by=(name, FOLD)) for name in system.slices}
    found = context.engine.run(plans)
    document = _document(context, judge, found)
    rows = result_of(sample, found["golden"])
    golden = context.store.put_bytes(msgspec.json.encode(_golden(judge, rows)))
    return {**document, "artifacts": {"golden": golden}}


@dataclass(frozen=True, slots=True)
class _Judge:
    """Who is scored, and how."""

    task: Task
    classes: tuple[str, ...]
    transform: Transform
    predictor: Predictor
    scorers: tuple[Scorer, ...]
    champion: OpenRelease | None
    notices: tuple[str, ...] = ()

    def reducer(self, name: str) -> Reducer[Any, Any]:
        return scores_of(name, self.task, self.classes)

    def replicates(self, name: str, folds: Folds, minimum: int = 0) -> Replicates:
        return replicates(self.reducer(name), folds, minimum)


def scores_of(name: str, task: Task, classes: tuple[str, ...]) -> Reducer[Any, Any]:
    """The reducer that scores the answers of the scorer `name` by `__label`."""
    columns = prediction_columns(name, task, classes)
    if task == "multiclass":
        return ClassScores(columns, classes, LABEL)
    return (BinaryScores if task == "binary" else NumberScores)(LABEL, columns[0])


def incomparable(release: OpenRelease, system: Declaration, given: Ingested) -> str | None:
    """Why a release cannot answer rows of the data as they are declared now; None where it can."""
    about = release.about
    if (about.task, about.label) != (given.task, str(system.label)):
        return "its task, classes or label are others"
    missing = sorted(set(release.transform.inputs.items()) - set(given.schema.types.items()))
    if missing:
        return f"its column {missing[0][0]!r} of type {missing[0][1]} is not in the data"
    return None


def _judge(context: Prepared, given: Ingested, fitted: dict[str, Any], trained: dict[str, Any]) -> _Judge:
    store, files = context.store, trained["artifacts"]
    task, classes = given.task, tuple(trained["classes"])
    transform = read_transform(store, fitted)
    refuses = trained["proof"]["missing"] == "refused"
    predictor = predictor_of(
        trained["form"],
        trained["adapter"],
        lambda name: store.read(files[name]),
        task,
        classes,
        refuses_missing=refuses,
    )
    frames = transform.frames()
    champion, notices = _champion(context, classes, given)
    scorers = [
        Scorer(MODEL, frames, predictor),
        Scorer(CONSTANT, frames, baseline_from(store.read(files["constant"]))),
        Scorer(LINEAR, frames, baseline_from(store.read(files["linear"]))),
        *([champion.scorer(CHAMPION)] if champion else ()),
    ]
    return _Judge(task, classes, transform, predictor, tuple(scorers), champion, notices)


def _champion(
    context: Prepared, classes: tuple[str, ...], given: Ingested
) -> tuple[OpenRelease | None, tuple[str, ...]]:
    """The champion, where it is whole and answers the same question from columns that there are; else None and why."""
    if context.champion is None:
        return None, ()
    name = f"champion {context.champion[:12]} is not compared:"
    try:
        with context.store.open_folder(context.store.release(context.champion)) as folder:
            release = open_release(folder, context.champion)
    except (StoreError, FeatureError) as error:
        return None, (f"{name} {error}",)
    if release.about.classes != classes:
        return None, (f"{name} its task, classes or label are others",)
    why = incomparable(release, context.declaration, given)
    return (release, ()) if why is None else (None, (f"{name} {why}",))


def _document(context: Prepared, judge: _Judge, found: Mapping[str, Any]) -> dict[str, Any]:
    names = metrics_of(context.declaration, judge.task)
    whole = {
        scorer.name: judge.replicates(scorer.name, _folds(judge, scorer.name, found[scorer.name]))
        for scorer in judge.scorers
    }
    rows = whole[MODEL].rows
    if not rows:
        raise DataError(
            "test rows",
            expected="rows with labels after the cut",
            got="none",
            do="widen the window, bring labels, or hold out more",
        )
    gains = {
        name.removeprefix("__"): {metric: _plain(whole[MODEL].gain(whole[name], metric)) for metric in names}
        for name in whole
        if name != MODEL
    }
    metrics = {name.removeprefix("__"): {m: _plain(one.estimate(m)) for m in names} for name, one in whole.items()}
    release = judge.champion
    return {
        "rows": rows,
        "notices": list(judge.notices),
        "unpredicted": int(whole[MODEL].whole["unpredicted"]),
        "primary": names[0],
        "metrics": metrics["model"],
        "baselines": {name: metrics[name] for name in ("constant", "linear")},
        "gains": {name: gains[name] for name in ("constant", "linear")},
        "slices": {column: _slices(judge, column, names, found) for column in context.declaration.slices},
        "champion": None
        if release is None
        else {"release": release.hash, "metrics": metrics["champion"], "gains": gains["champion"]},
    }


def _slices(judge: _Judge, column: str, names: tuple[str, ...], found: Mapping[str, Any]) -> list[dict[str, Any]]:
    """One entry a value of the slice, the largest first; metrics are None below `SLICE_ROWS` rows."""
    scorers = [scorer.name for scorer in judge.scorers if scorer.name != LINEAR]
    by_value: dict[str, dict[Any, dict[int, Any]]] = {}
    for name in scorers:
        merged = merge_keyed(judge.reducer(name), found[f"{name} by {column}"])
        values: dict[Any, dict[int, Any]] = {}
        for (value, fold), state in merged.items():
            values.setdefault(value, {})[fold] = state
        by_value[name] = values
    groups: list[dict[str, Any]] = []
    for value, folds in by_value[MODEL].items():
        ours = judge.replicates(MODEL, folds, SLICE_ROWS)
        judged = ours.rows >= SLICE_ROWS
        theirs = (
            {name: judge.replicates(name, by_value[name][value], SLICE_ROWS) for name in scorers[1:]} if judged else {}
        )
        groups.append(
            {
                "value": None if value is None else str(value),
                "rows": ours.rows,
                "metrics": {metric: _plain(ours.estimate(metric)) for metric in names} if judged else None,
                "gain": _plain(ours.gain(theirs[CONSTANT], names[0])) if judged else None,
                "over_champion": {metric: _plain(ours.gain(theirs[CHAMPION], metric)) for metric in names}
                if judged and CHAMPION in theirs
                else None,
            }
        )
    groups.sort(key=lambda group: (-group["rows"], str(group["value"])))
    return groups[:SLICES]


def _folds(judge: _Judge, name: str, spans: Mapping[str, Any]) -> dict[int, Any]:
    return {fold: state for (fold,), state in merge_keyed(judge.reducer(name), spans).items()}


def _golden(judge: _Judge, rows: list[dict[str, Any]]) -> list[Golden]:
    """Each row with the answer to it alone, by the row function; as it will be read again: NaN is null in JSON."""
    function, rows = judge.transform.rows(), msgspec.json.decode(msgspec.json.encode(rows))
    return [Golden(row, answer_of(judge.predictor, function(row))) for row in rows]


def _plain(estimate: Estimate) -> dict[str, Any]:
    built: dict[str, Any] = msgspec.to_builtins(estimate)
    return built
