"""Analyze: the statistics of all spans, merged from the states that ingest kept. Nothing is read again."""

from __future__ import annotations

from typing import Any

import msgspec

from ninetyfive.plan import merge_states
from ninetyfive.reducers.statistics import Statistics, StatisticsState
from ninetyfive.steps.context import Context
from ninetyfive.steps.window import Ingested, ingested, kept_states, statistics_key


def analyze(context: Context, spans: dict[str, Any]) -> dict[str, Any]:
    """Returns `rows` and the artifact `statistics`, a JSON document of `RowStatistics`."""
    given = ingested(spans)
    result = reducer_of(given).result(statistics_of(context, given))
    statistics = context.store.put_bytes(msgspec.json.encode(result))
    return {"rows": result.rows, "artifacts": {"statistics": statistics}}


def reducer_of(given: Ingested) -> Statistics:
    """The reducer whose states ingest kept."""
    return Statistics(tuple(given.schema.types.items()))


def statistics_of(context: Context, given: Ingested) -> StatisticsState:
    """The merged state over all spans."""
    reducer = reducer_of(given)
    states = kept_states(context.store, reducer, statistics_key(given.ingest_key), given.spans)
    merged: StatisticsState = merge_states(reducer, states)
    return merged
