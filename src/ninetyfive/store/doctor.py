"""The doctor: everything that can be wrong with a store, found by looking, each with what to do. It changes nothing.

What does not belong here: repair. What is missing is computed anew by the next run; what was lost comes from a backup.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

from ninetyfive.errors import IntegrityError, StoreError
from ninetyfive.store import audit
from ninetyfive.store.artifacts import is_folder
from ninetyfive.store.records import Finding
from ninetyfive.store.runs import Runs
from ninetyfive.store.scratch import Scratch
from ninetyfive.store.shelf import all_artifacts

_LEAST_FREE = 1 << 30
_AGAIN = "restore it from a backup, or delete it and run again: what can be computed anew is"


def examine(store: Runs, scratch: Scratch) -> list[Finding]:
    """All that is wrong with a store, errors first; every file that the catalog names is read whole."""
    found = [
        *_catalog(store),
        *_artifacts(store),
        *_orphans(store),
        *_runs(store),
        *_leftovers(scratch),
        *_space(scratch.root.parent),
    ]
    return sorted(found, key=lambda finding: finding.level)


def _catalog(store: Runs) -> Iterator[Finding]:
    do = "keep the file, and restore the catalog from a backup"
    try:
        for fault in store.catalog.faults():
            yield Finding("catalog", store.catalog.where, fault, do)
        with store.catalog.read() as connection:
            yield from audit.verify(connection)
    except IntegrityError as error:
        yield Finding("catalog", error.where, error.got, error.do)


def _artifacts(store: Runs) -> Iterator[Finding]:
    with store.catalog.read() as connection:
        named = all_artifacts(connection)
    for artifact in named:
        try:
            store.artifacts.verify(artifact.id, artifact.sha256)
        except IntegrityError as error:
            kind = "missing file" if error.got == "no file" else "altered file"
            do = _AGAIN
            if is_folder(artifact.id):
                do = "restore it from a backup; until then promote another release: ninetyfive promote RELEASE"
            yield Finding(kind, error.where, f"expected {error.expected}, got {error.got}", do)
        except StoreError as error:
            yield Finding("unreadable file", error.where, error.got, error.do)


def _orphans(store: Runs) -> Iterator[Finding]:
    """Files that the catalog does not name; those of a run that is at work are not yet named, and no orphans."""
    if store.holder() is not None:
        return
    with store.catalog.read() as connection:
        named = {artifact.id for artifact in all_artifacts(connection)}
    for name in store.artifacts.listed():
        if name not in named:
            try:
                where = store.artifacts.where(name)
            except StoreError:
                where = name
            yield Finding("orphan file", where, "the catalog does not name it", "nothing, or delete it", "warning")


def _runs(store: Runs) -> Iterator[Finding]:
    for run in store.runs():
        if run.status == "interrupted":
            yield Finding(
                "unfinished run",
                run.id,
                f"begun {run.started}, never ended, and its process is gone",
                "run again: it resumes where it stopped",
                "warning",
            )


def _leftovers(scratch: Scratch) -> Iterator[Finding]:
    for folder in scratch.leftovers():
        yield Finding(
            "leftover", str(folder), "a killed process left it", "nothing: the next run removes it", "warning"
        )


def _space(home: Path) -> Iterator[Finding]:
    there = next(folder for folder in (home, *home.parents) if folder.is_dir())
    free = shutil.disk_usage(there).free
    if free < _LEAST_FREE:
        problem = f"{free >> 20} MiB are free, less than {_LEAST_FREE >> 20}"
        yield Finding("disk space", str(home), problem, "free space there before the next run", "warning")
