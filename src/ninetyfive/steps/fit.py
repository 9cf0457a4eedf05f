"""Fit: the constants of learned operations, from training rows only; one job a phase. Spans are not read twice.

A state is kept per span where every labelled row of the span trains, and found again by the next run.
"""

from __future__ import annotations

from typing import Any

import msgspec

from ninetyfive.features.fitting import Fitting, Phase
from ninetyfive.hashing import content_hash
from ninetyfive.plan import Map, Part, Plan, Read, Reduce, merge_states, result_of
from ninetyfive.reducers.counts import Counts
from ninetyfive.reducers.reducer import Reducer
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


def fit_depends(context: Context) -> Any:
    """What decides the transform beside spans and borders: the features, and which rows train."""
    features = [[name, str(feature)] for name, feature in context.declaration.features.items()]
    return [features, labelled_depends(context)]


def fit(context: Context, spans: dict[str, Any], cut: dict[str, Any]) -> dict[str, Any]:
    """Returns the artifact `transform` (JSON), its source by feature, and by phase how the keys of its states begin."""
    given, borders = ingested(spans), msgspec.convert(cut, Cut)
    fitting = Fitting(context.declaration.features, given.schema.types)
    phases = []
    while (phase := fitting.phase()) is not None:
        fitting.advance(_states(context, given, borders, phase))
        phases.append(_phase_key(context, phase))
    transform = fitting.transform()
    artifact = context.store.put_bytes(transform.to_json().encode())
    return {"phases": phases, "features": transform.features, "artifacts": {"transform": artifact}}


def _states(context: Context, given: Ingested, cut: Cut, phase: Phase) -> dict[str, Any]:
    """The merged state of each reducer of a phase; `DataError` where there is no training row."""
    reducers: dict[str, Reducer[Any, Any]] = {**phase.reducers, ROWS: Counts()}
    parts = window_parts(context.store, given, cut, "train")
    of_phase = _phase_key(context, phase)
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
    merged = {name: merge_states(reducers[name], states) for name, states in known.items()}
    if not merged.pop(ROWS).rows:
        counting = count_parts(context, given, cut)
        found = context.engine.run({"parts": counting})["parts"]
        raise no_rows(cut, result_of(counting.reducer, found), "train")
    return merged


def _plans(context: Context, given: Ingested, cut: Cut, phase: Phase, parts: tuple[Part, ...]) -> dict[str, Plan]:
    needed = [name for name, _ in phase.function.types]
    rows = labelled(context, given, cut, needed, "train")
    assert isinstance(rows.input, Read)
    some = Map(Read(parts, rows.input.reader, rows.input.columns), rows.function, rows.output)
    columns = Map(some, phase.function, phase.output)
    return {name: Reduce(columns, reducer) for name, reducer in {**phase.reducers, ROWS: Counts()}.items()}


def _trains_whole(context: Context, given: Ingested, cut: Cut, part: Part) -> bool:
    """Whether every row of a span that has a label trains, wherever the cut goes from here."""
    entry = next(entry for entry in given.spans if entry.span == part.span)
    delay = known_delay(context.declaration)
    if cut.cut is None or delay is None or entry.time_min is None or entry.time_max is None:
        return False
    return (cut.start is None or entry.time_min >= cut.start) and entry.time_max + delay < cut.cut


def _phase_key(context: Context, phase: Phase) -> str:
    """What decides the states of a phase beside the span."""
    system = context.declaration
    program = [[name, repr(node)] for name, node in phase.function.outputs]
    return content_hash(["fit", str(system.label), system.source.time, program])


def _state_key(key: str, name: str) -> str:
    """The key of a reducer's state of a span, of bounded length however long the feature is."""
    phase, _, part = key.partition(":")
    return f"{phase}:{content_hash([part, name])}"
