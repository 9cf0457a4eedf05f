"""Status: what is live, how it is trained and served, what ran last. Reads the catalog; changes nothing."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from typing import Any

import msgspec

from ninetyfive import clock
from ninetyfive.decisions.retention import rollbacks
from ninetyfive.errors import IntegrityError
from ninetyfive.models.release import EVIDENCE
from ninetyfive.paradigms import StaticTraining
from ninetyfive.schema_toml import from_toml
from ninetyfive.steps.release import paradigms
from ninetyfive.steps.review import FILE
from ninetyfive.steps.watch import look_of, newest
from ninetyfive.store.opening import Store
from ninetyfive.system import Declaration

_OF_RELEASE = ("passed", "metrics", "training", "serving")
"""What the row of a release says of it that is told."""


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
            **{name: _said(one.document, f"release {one.release[:12]}", name) for name in _OF_RELEASE},
            "tuning": one.document.get("tuning"),
        }
        for one in store.releases()
    ]


def tuning(store: Store, release: str) -> dict[str, Any] | None:
    """What was tuned before a release was trained, with every trial; None where nothing was."""
    with store.open_folder(store.release(release)) as folder:
        found: dict[str, Any] | None = msgspec.json.decode((folder / EVIDENCE).read_bytes()).get("tuning")
    return None if found is None else {"release": release, **found}


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
            "passed": _said(one.document, f"table {one.id}", "passed"),
            "collected": one.collected,
            "size": _said(one.document, f"table {one.id}", "size"),
            "population": _said(one.document, f"table {one.id}", "about", "population"),
        }
        for one in store.tables()
    ]


def _said(document: Any, of: str, *path: str) -> Any:
    """What the row of a release or table says; `IntegrityError` where it no longer does."""
    for name in path:
        if not isinstance(document, dict) or name not in document:
            raise IntegrityError(
                f"catalog, {of}",
                expected=f"a document that says {'.'.join(path)}",
                got="one that was altered",
                do="see what else was: ninetyfive doctor",
            )
        document = document[name]
    return document


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
    release = next((one for one in made if one["champion"]), None)
    if release is None:
        raise IntegrityError(
            f"catalog, champion {pointer.release[:12]}",
            expected="a release of that name",
            got="none",
            do="see what else is missing: ninetyfive doctor",
        )
    return {
        "release": pointer.release,
        "epoch": pointer.epoch,
        "since": pointer.since,
        "reason": pointer.reason,
        "table": release["table"],
        "metrics": release["metrics"],
        "training": release["training"],
        "serving": release["serving"],
        "tuning": release["tuning"],
    }
