"""Status: what is live, how it is trained and served, what ran last. Reads the catalog; changes nothing."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ninetyfive.decisions.retention import rollbacks
from ninetyfive.schema_toml import from_toml
from ninetyfive.steps.release import paradigms
from ninetyfive.steps.review import FILE
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

    It is the champion, or how many rollbacks in a row return to it, or collected; `pinned` is the reason, else null.
    """
    history, pins = store.history(), store.pins()
    chain = [pointer.release for pointer in rollbacks(history)]
    return [
        {
            "release": one.release,
            "number": one.number,
            "created": one.created,
            "by": one.actor,
            "run": one.run,
            "champion": bool(history) and history[0].release == one.release,
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
        "metrics": release["metrics"],
        "training": release["training"],
        "serving": release["serving"],
    }
