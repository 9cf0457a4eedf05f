"""Rows of a service land as files, and then are files: where they land, and how a file is put there.

    nf.bigquery ─ bigquery.py ─┐
                               ├─▶ <folder>/landed/<system>/<name>-<hash>/… ─▶ spans, as those of any other file
    nf.pubsub ─── pubsub.py ───┘

The rule: a file is there whole or not at all, and counts by its content. A folder is of one system, so nobody else
removes what it reads. What does not belong here: what a service is asked (`bigquery`, `pubsub`), when (`steps.land`).
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple, cast

from ninetyfive.clients import client_errors
from ninetyfive.durable import DRAFT, write_whole
from ninetyfive.errors import SourceError
from ninetyfive.hashing import content_hash
from ninetyfive.progress import Silent
from ninetyfive.sources.discovery import FileFound, Place
from ninetyfive.sources.files import Source
from ninetyfive.sources.opening import failures, file_system, is_local, mark_of

FOLDER = "landed"
"""The folder of all that landed, beneath the store or `[managed] temporary`."""


@dataclass(frozen=True, slots=True)
class Landing:
    """Where rows land, and how a service is asked.

    `folder`: the url beneath which they land, for the system of this name. `project` pays for jobs ("": the table's
    own). `poll`: seconds between two looks at a job; `patience`: for so many a service that is away is asked again.
    `tell` is told what takes long.
    """

    folder: str
    system: str
    project: str = ""
    poll: float = 10.0
    patience: float = 300.0
    sleep: Callable[[float], None] = time.sleep
    tell: Callable[[str], None] = Silent().notice

    def root(self, source: Source) -> str:
        """The folder of a source.

        >>> from ninetyfive.sources.files import bigquery
        >>> Landing("gs://bucket/store/", "late").root(bigquery("p.d.flights"))
        'gs://bucket/store/landed/late/p.d.flights-5885b0d3'
        """
        (name,) = source.urls
        word = re.sub(r"[^A-Za-z0-9_.-]+", "-", name.removeprefix("projects/"))
        return f"{self.folder.rstrip('/')}/{FOLDER}/{self.system}/{word}-{content_hash([source.kind, name])[:8]}"


class Landed(NamedTuple):
    """The files that a source means now, and what is to be told."""

    files: tuple[FileFound, ...]
    notices: tuple[str, ...] = ()


def put(root: str, name: str, data: bytes) -> None:
    """Write a file beneath the folder `root`, durably, whole or not at all; `SourceError` where that cannot be."""
    url = f"{root}/{name}"
    system, path = file_system(url)
    try:
        if is_local(system):
            Path(path).parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            write_whole(Path(path), data)
        else:
            system.pipe_file(path, data)
    except client_errors() as error:
        do = "let this account write there, or free space; what did not land stays where it was"
        raise SourceError(url, expected="a folder where rows can land", got=str(error), do=do) from error


def listed(root: str) -> dict[str, Place]:
    """{path below the folder: file} of all that is there, at any depth; {} where nothing is."""
    system, top = file_system(root)
    with failures(root):
        system.invalidate_cache()
        found: Mapping[str, Mapping[str, Any]] = system.find(top, detail=True)
        return {
            path[len(top) :].lstrip("/"): Place(_url(system, path), int(info["size"]), mark_of(info))
            for path, info in found.items()
        }


def contents(places: Mapping[str, Place]) -> dict[str, bytes]:
    """The bytes of small files, by the same names; of a bucket many at a time."""
    if not places:
        return {}
    system, _ = file_system(next(iter(places.values())).url)
    with failures(next(iter(places.values())).url):
        read = system.cat([system._strip_protocol(place.url) for place in places.values()])
    return {name: read[system._strip_protocol(place.url)] for name, place in places.items()}


def remove(places: list[Place]) -> str:
    """Remove files that nothing means any more; what the folder said where it let none be removed, else ""."""
    try:
        for place in places:
            system, path = file_system(place.url)
            system.rm_file(path)
    except client_errors() as error:
        return str(error)
    return ""


def sweep(root: str) -> None:
    """Remove what a process that was killed had begun to write; of a bucket there is nothing."""
    system, path = file_system(root)
    if is_local(system):
        for draft in Path(path).rglob(f"{DRAFT}*"):
            draft.unlink(missing_ok=True)


def _url(system: Any, path: str) -> str:
    return path if is_local(system) else cast(str, system.unstrip_protocol(path))
