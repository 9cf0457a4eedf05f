"""Status: what is live, how it is trained and served, what ran last. Reads the catalog; changes nothing."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from typing import Any

from ninetyfive import clock
from ninetyfive.decisions.retention import rollbacks
from ninetyfive.paradigms import StaticTraining
from ninetyfive.schema_toml import from_toml
from ninetyfive.steps.release import paradigms
from ninetyfive.steps.review import FILE
from ninetyfive.steps.watch import look_of, newest
from ninetyfive.store.opening import Store
from ninetyfive.system import Declaration


def status(system: Declaration, store: Store | None, url: str, folder: Path) -> dict[str, Any]:
    """The document of `status`; a store that is not there yet counts as empty."""
    path = folder / FILE
    schema = from_toml(path.read_bytes(), str(path)) if path.exists() else None
    made = releases(store) if store else []
    runs = store.runs(1) if store else []
    return {
        "system": system.name,
        "champion": _champion(store, made),
        **paradigms(system),
        "watch": _watch(system, store),
        "schema": None
        if schema is None
        else {"version": schema.version, "reviewed": schema.reviewed, "columns": len(schema.columns)},
        "store": url,
        "spans": store.span_count() if store else 0,
        "releases": len(made),
        "last_run": {"id": runs[0].id, "status": runs[0].status, "started": runs[0].started} if runs else None,
    }


def releases(store: Store) -> list[dict[str, Any]]:
    """Every release, newest first: its metrics, and its place.

    It is the champion, with its live table if it has one, or how many rollbacks in a row return to it, or collected;
    `pinned` is the reason, else null.
    """
    history, pins = store.history(), store.pins()
    live = next((table for table in tables(store) if table["live"]), None)
    chain = [pointer.release for pointer in rollbacks(history)]
    return [
        {
            "release": one.release,
            "number": one.number,
            "created": one.created,
            "by": one.actor,
            "run": one.run,
            "champion": bool(history) and history[0].release == one.release,
            "table": live if history and history[0].release == one.release else None,
            "rollback": chain.index(one.release) + 1 if one.release in chain else None,
            "pinned": pins[one.release].reason if one.release in pins else None,
            "collected": one.collected,
            "passed": one.document["passed"],
            "metrics": one.document["metrics"],
            "training": one.document["training"],
            "serving": one.document["serving"],
        }
        for one in store.releases()
    ]


def tables(store: Store) -> list[dict[str, Any]]:
    """Every table, newest first, with its age in seconds: how long ago it was as of."""
    pointer, now = store.champion(), clock.now()
    return [
        {
            "table": one.id,
            "number": one.number,
            "release": one.release,
            "as_of": one.as_of,
            "age": (now - datetime.fromisoformat(one.as_of)).total_seconds(),
            "entities": one.rows,
            "created": one.created,
            "by": one.actor,
            "live": pointer is not None and pointer.table == one.id,
            "passed": one.document["passed"],
            "collected": one.collected,
            "size": one.document["size"],
            "population": one.document["about"]["population"],
        }
        for one in store.tables()
    ]


def _watch(system: Declaration, store: Store | None) -> dict[str, Any] | None:
    """What the last look at the champion found, and when it was; None where the training is not watched."""
    training = system.effective_training
    if not isinstance(training, StaticTraining) or training.watch is None:
        return None
    run = newest(store.runs(), "look") if store else None
    found = look_of(run)
    told = {} if run is None or found is None else {"last": run.started, "run": run.id, **found.told()}
    return {"every": training.watch, "drop": training.drop, "last": None, **told}


def _champion(store: Store | None, made: list[dict[str, Any]]) -> dict[str, Any] | None:
    pointer = store.champion() if store else None
    if pointer is None:
        return None
    release = next(one for one in made if one["champion"])
    return {
        "release": pointer.release,
        "epoch": pointer.epoch,
        "since": pointer.since,
        "reason": pointer.reason,
        "table": release["table"],
        "metrics": release["metrics"],
        "training": release["training"],
        "serving": release["serving"],
    }
