"""Fit: the constants of learned operations, from training rows only; one job a phase. Spans are not read twice.

A state is kept per span where every labelled row of the span trains, and found again by the next run. States are merged
in the order of what they hold: the canonical one is that of the hashes of whole files, which rows that do not train
decide too, and in another order a mean may have another last bit.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import msgspec
import polars as pl

from ninetyfive.errors import FeatureError
from ninetyfive.features.document import versions
from ninetyfive.features.fitting import Fitting, Phase
from ninetyfive.features.frames import frame_of
from ninetyfive.features.functions import code_of
from ninetyfive.features.transform import Transform, needed
from ninetyfive.features.tree import NUMBER, distinct
from ninetyfive.hashing import content_hash
from ninetyfive.metrics import Task
from ninetyfive.plan import Map, Part, Plan, Read, Reduce, merge_states, result_of
from ninetyfive.reducers.counts import Counts
from ninetyfive.reducers.reducer import Reducer
from ninetyfive.reducers.sample import Sample
from ninetyfive.steps.context import Context
from ninetyfive.steps.window import (
    Cut,
    Ingested,
    count_parts,
    ingested,
    known_delay,
    labelled,
    labelled_depends,
    no_rows,
    window_parts,
)

ROWS = "__rows"
TRIED, ODD = 200, 10
"""How many training rows a user's function is tried out on, and how many of them with each odd value in each column."""


def fit_depends(context: Context) -> Any:
    """What decides the transform beside spans and borders: the features, what they depend on, which rows train."""
    features = context.declaration.features
    nodes = [feature.node for feature in features.values()]
    declared = [[name, str(feature)] for name, feature in features.items()]
    return [declared, sorted(code_of(distinct(nodes))), versions(nodes), labelled_depends(context)]


def fit(context: Context, spans: dict[str, Any], cut: dict[str, Any]) -> dict[str, Any]:
    """Returns `transform` (JSON) and where it is another one `training`, source texts, functions, phases.

    `features` is the source text of each feature, `code` the functions of the user's own by their sha256, which are
    artifacts too, `phases` how the keys of the states of each phase begin. `FeatureError` where such a function does
    not look at each row by itself.
    """
    given, borders = ingested(spans), msgspec.convert(cut, Cut)
    fitting = Fitting(context.declaration.features, given.schema.types, given.task)
    phases = []
    while (phase := fitting.phase()) is not None:
        fitting.advance(_states(context, given, borders, phase))
        phases.append(_phase_key(context, given.task, phase))
    transform, training = fitting.transform(), fitting.training_transform()
    if transform.code:
        _try_out(context, given, borders, transform)
    store = context.store
    artifacts = {"transform": store.put_bytes(transform.to_json().encode())}
    if training != transform:
        artifacts["training"] = store.put_bytes(training.to_json().encode())
    code = [store.put_bytes(text.encode()) for text in transform.code.values()]
    artifacts |= {f"code {sha256}": sha256 for sha256 in code}
    return {"phases": phases, "features": transform.features, "code": code, "artifacts": artifacts}


def _try_out(context: Context, given: Ingested, cut: Cut, transform: Transform) -> None:
    """Ask the user's functions for rows together and alone: `FeatureError` where a row depends on its neighbours."""
    trees = tuple((name, root) for name, root in transform.trees if code_of(distinct([root])))
    transform = Transform(trees, needed((root for _, root in trees), transform.inputs))
    columns = tuple(transform.inputs)
    sample = Sample(TRIED, columns, columns)
    rows = labelled(context, given, cut, columns, "train")
    found = result_of(sample, context.engine.run({"sample": Reduce(rows, sample)})["sample"])
    odd = [{**row, name: value} for name, kind in transform.types for value in _odd(kind) for row in found[:ODD]]
    frame = frame_of([*found, *odd], transform.inputs)
    function = transform.frames()
    together = function(frame)
    alone = pl.concat([function(frame.slice(at, 1)) for at in range(frame.height)] or [together])
    for name in together.columns:
        apart = together[name].ne_missing(alone[name])
        if apart.any():
            at = apart.arg_true()[0]
            raise FeatureError(
                f"feature {name!r}",
                expected="a function that looks at each row by itself",
                got=f"{together[name][at]} among {frame.height} rows, {alone[name][at]} for the same row alone",
                do="compute from the values of the row; learn from all rows with .zscore() and the like",
            )


def _odd(kind: str) -> tuple[Any, ...]:
    """What is rare in a column of a type, and may be treated by its neighbours."""
    return (None, math.nan, -1e9, 1e9) if kind == NUMBER else (None,)


def _states(context: Context, given: Ingested, cut: Cut, phase: Phase) -> dict[str, Any]:
    """The merged state of each reducer of a phase; `DataError` where there is no training row."""
    reducers: dict[str, Reducer[Any, Any]] = {**phase.reducers, ROWS: Counts()}
    parts = window_parts(context.store, given, cut, "train")
    of_phase = _phase_key(context, given.task, phase)
    whole = {
        part.span: f"{of_phase}:{content_hash([part.without, dict(part.options)['checks']])}"
        for part in parts
        if _trains_whole(context, given, cut, part)
    }
    known: dict[str, dict[str, Any]] = {name: {} for name in reducers}
    for name, reducer in reducers.items():
        for span, key in whole.items():
            stored = context.store.states(_state_key(key, name), [span])
            if span in stored:
                known[name][span] = reducer.decode(stored[span])
    fresh = [part for part in parts if any(part.span not in states for states in known.values())]
    if fresh:
        found = context.engine.run(_plans(context, given, cut, phase, tuple(fresh)))
        kept = {}
        for name, reducer in reducers.items():
            known[name] |= found[name]
            for span in whole.keys() & found[name].keys():
                kept[span, _state_key(whole[span], name)] = reducer.encode(found[name][span])
        if kept:
            context.store.put_states(kept)
    merged = {name: _merged(reducers[name], states) for name, states in known.items()}
    if not merged.pop(ROWS).rows:
        counting = count_parts(context, given, cut)
        found = context.engine.run({"parts": counting})["parts"]
        raise no_rows(cut, result_of(counting.reducer, found), "train")
    return merged


def _merged(reducer: Reducer[Any, Any], states: Mapping[str, Any]) -> Any:
    """The states of all spans merged, in the order of their bytes."""
    ordered = sorted(states.values(), key=reducer.encode)
    return merge_states(reducer, {f"{place:09}": state for place, state in enumerate(ordered)})


def _plans(context: Context, given: Ingested, cut: Cut, phase: Phase, parts: tuple[Part, ...]) -> dict[str, Plan]:
    rows = labelled(context, given, cut, phase.reads, "train", fold=phase.fold)
    assert isinstance(rows.input, Read)
    some = Map(Read(parts, rows.input.reader, rows.input.columns), rows.function, rows.output)
    keep = tuple(column for column in rows.output if column[0] in phase.keep)
    columns = Map(some, phase.function, (*keep, *phase.output))
    return {name: Reduce(columns, reducer) for name, reducer in {**phase.reducers, ROWS: Counts()}.items()}


def _trains_whole(context: Context, given: Ingested, cut: Cut, part: Part) -> bool:
    """Whether every row of a span that has a label trains, wherever the cut goes from here."""
    entry = next(entry for entry in given.spans if entry.span == part.span)
    delay = known_delay(context.declaration)
    if cut.cut is None or delay is None or entry.time_min is None or entry.time_max is None:
        return False
    return (cut.start is None or entry.time_min >= cut.start) and entry.time_max + delay < cut.cut


def _phase_key(context: Context, task: Task, phase: Phase) -> str:
    """What decides the states of a phase beside the span."""
    system = context.declaration
    key = system.source.id if phase.fold else ()
    program = [[name, repr(node)] for name, node in phase.function.outputs]
    nodes = [system.label.node, *(node for _, node in phase.function.outputs)]
    return content_hash(["fit", str(system.label), task, system.source.time, key, program, versions(nodes)])


def _state_key(key: str, name: str) -> str:
    """The key of a reducer's state of a span, of bounded length however long the feature is."""
    phase, _, part = key.partition(":")
    return f"{phase}:{content_hash([part, name])}"
