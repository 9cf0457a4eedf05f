"""The doctor: everything that can be wrong with a store, found by looking, each with what to do. It changes nothing.

    catalog ─ pages, references, audit, counts of spans, states, steps      files ─ every byte, names, links, modes
    others ─ unfinished runs, what killed processes left, room on the disk

One part that cannot be looked at is a finding, and the others are looked at all the same.
What does not belong here: repair. What is missing is computed anew by the next run; what was lost comes from a backup.
"""

from __future__ import annotations

import shutil
import stat
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import msgspec
from sqlalchemy import select

from ninetyfive.errors import IntegrityError, StoreError
from ninetyfive.hashing import bytes_hash
from ninetyfive.progress import RowProgress
from ninetyfive.store import accounts, audit, catalog, manifests
from ninetyfive.store.artifacts import is_folder
from ninetyfive.store.buckets import bucket_errors
from ninetyfive.store.catalog import from_json
from ninetyfive.store.collecting import Collecting
from ninetyfive.store.records import Artifact, Finding
from ninetyfive.store.runs import run_id
from ninetyfive.store.scratch import Scratch
from ninetyfive.store.shelf import all_artifacts
from ninetyfive.store.sqlite import Sqlite

_LEAST_FREE = 1 << 30
_THREADS = 4
_OTHERS = stat.S_IWGRP | stat.S_IWOTH
_OWN = (
    *("artifacts", "folders", "tmp", "cache", "landed", "lost+found", "serving", "requests", "training"),
    *("tokens.json", "tokens.json.lock"),
)
_BACKUP = "keep the file, and restore the catalog from a backup"
_ANEW = "delete it and run again: it is computed anew, or let gc --yes forget it where no run needs it any more"
_RELEASE = (
    "restore it from a backup, or delete its folder and run with the same data, code and lock: that makes the same"
    " release; until then promote another one: ninetyfive promote RELEASE"
)
_TABLE = (
    "delete its folder and build it again: ninetyfive table build --release {}; until then go back to the table before"
    " it: ninetyfive rollback"
)


def examine(store: Collecting, scratch: Scratch, progress: RowProgress | None = None) -> list[Finding]:
    """All that is wrong with a store, errors first; every file that the catalog names is read whole.

    `progress` is told the bytes that were read, of how many.
    """
    home = scratch.root.parent
    parts: tuple[Callable[[], Iterable[Finding]], ...] = (
        lambda: _catalog(store),
        lambda: _audit(store),
        lambda: _rows(store),
        lambda: _spans(store),
        lambda: _states(store),
        lambda: _steps(store),
        lambda: _artifacts(store, progress),
        lambda: _tables(store),
        lambda: _unnamed(store),
        lambda: _places(store, home),
        lambda: _mirror(store),
        lambda: _runs(store),
        lambda: _killed(store, scratch, home),
        lambda: _space(home),
    )
    found = {finding: None for part in parts for finding in _looked_at(part)}
    return sorted(found, key=lambda finding: finding.level)


def unreadable(error: IntegrityError) -> Finding:
    """The finding of a catalog that cannot even be opened, or of a part that cannot be looked at."""
    return Finding("catalog", error.where, f"expected {error.expected}, got {error.got}", error.do)


def _looked_at(part: Callable[[], Iterable[Finding]]) -> Iterator[Finding]:
    try:
        yield from part()
    except IntegrityError as error:
        yield unreadable(error)
    except StoreError as error:
        yield Finding("unreadable", error.where, f"expected {error.expected}, got {error.got}", error.do)


def _catalog(store: Collecting) -> Iterator[Finding]:
    for fault in store.catalog.faults():
        yield Finding("catalog", store.catalog.where, fault, _BACKUP)


def _audit(store: Collecting) -> list[Finding]:
    with store.catalog.read() as connection:
        return audit.verify(connection)


def _rows(store: Collecting) -> list[Finding]:
    with store.catalog.read() as connection:
        return list(accounts.altered(connection))


def _spans(store: Collecting) -> Iterator[Finding]:
    """Rows are conserved: read = accepted + quarantined, and the chunks hold the accepted ones."""
    with store.catalog.read() as connection:
        rows = connection.execute(select(catalog.spans).order_by(catalog.spans.c.sequence)).all()
    for row in rows:
        chunks = sum(from_json(row.chunks))
        if row.read != row.accepted + row.quarantined or chunks != row.accepted:
            counts = f"read {row.read}, accepted {row.accepted} ({chunks} in chunks), quarantined {row.quarantined}"
            yield Finding(
                "span counts",
                f"{store.catalog.where}, span {row.span[:12]} of {row.url}",
                f"its rows do not add up: {counts}",
                "find out who changed the catalog by hand; restore it from a backup you trust",
            )


def _states(store: Collecting) -> Iterator[Finding]:
    table = catalog.states
    with store.catalog.read() as connection:
        for row in connection.execute(select(table)):
            found = row.artifact if row.blob is None else bytes_hash(row.blob)
            if found != row.sha256:
                yield Finding(
                    "altered state",
                    f"{store.catalog.where}, state {row.key[:12]} of span {row.span[:12]}",
                    f"expected sha256 {row.sha256}, got {found or 'neither bytes nor a file'}",
                    "ninetyfive run --from ingest: what is not as it was stored is computed anew",
                )


def _steps(store: Collecting) -> Iterator[Finding]:
    with store.catalog.read() as connection:
        named = {artifact.id for artifact in all_artifacts(connection)}
        rows = connection.execute(select(catalog.steps).order_by(catalog.steps.c.run, catalog.steps.c.key)).all()
    for row in rows:
        for name in sorted(set(from_json(row.artifacts)) - named):
            yield Finding(
                "broken step",
                f"step {row.name} of {run_id(row.run)}",
                f"it made {name}, which the catalog does not name",
                "nothing: the next run does this step again",
                "warning",
            )


def _artifacts(store: Collecting, progress: RowProgress | None) -> Iterator[Finding]:
    """Every byte of what the catalog names."""
    with store.catalog.read() as connection:
        named = all_artifacts(connection)
        releases = set(connection.scalars(select(catalog.releases.c.folder)))
        tables = {row.folder: row.release for row in connection.execute(select(catalog.tables))}
        table = catalog.spans
        urls = {
            name: row.url
            for row in connection.execute(select(table.c.url, table.c.artifact, table.c.quarantine))
            for name in (row.artifact, row.quarantine)
        }
    done, total = 0, sum(artifact.size for artifact in named)

    def faults(artifact: Artifact) -> tuple[Artifact, list[Finding]]:
        do = _RELEASE if artifact.id in releases else _ANEW
        if artifact.id in tables:
            do = _TABLE.format(tables[artifact.id][:12])
        if artifact.id in urls:
            do = f"delete it and run again: it is read anew from {urls[artifact.id]}; is that gone, restore a backup"
        return artifact, list(_faults(store, artifact, do))

    with ThreadPoolExecutor(_THREADS) as pool:
        for artifact, found in pool.map(faults, named):
            done += artifact.size
            if progress is not None:
                progress(done, total)
            yield from found


def _faults(store: Collecting, artifact: Artifact, do: str) -> Iterator[Finding]:
    whole = True
    try:
        for error in store.artifacts.faults(artifact):
            whole = False
            kind = _kind(error)
            if kind == "foreign file":
                do = "move it elsewhere: the folder is whole without it, and refused as long as it is there"
            problem = f"expected {error.expected}, got {error.got}"
            yield Finding(kind, error.where, problem, do.removeprefix("delete it and ") if kind == _MISSING else do)
    except StoreError as error:
        yield Finding("unreadable file", error.where, error.got, error.do)
        return
    if whole and (problem := _miscounted(store, artifact)):
        yield Finding("altered row", f"artifact {artifact.id}", problem, accounts.DO)


def _miscounted(store: Collecting, artifact: Artifact) -> str:
    """What the catalog says wrongly of a file or folder that is whole; "" where it says nothing wrong."""
    size = store.artifacts.size(artifact.id)
    if size != artifact.size:
        return f"the catalog says {artifact.size} bytes, there are {size}"
    listed = store.artifacts.manifest(artifact.id).files if is_folder(artifact.id) else None
    return "" if listed == artifact.files else "the files that the catalog lists of it are not those of its manifest"


class _TableSays(msgspec.Struct, frozen=True):
    """What is read of the table.json of a table."""

    release: str
    rows: int
    as_of: str

    @property
    def told(self) -> str:
        """In words."""
        return f"of release {self.release}, {self.rows} entities as of {self.as_of}"


def _tables(store: Collecting) -> Iterator[Finding]:
    """Tables that are those of another release than the catalog says, and epochs with a table of another release."""
    tables = {table.id: table for table in store.tables()}
    for table in tables.values():
        if table.folder is None or not store.present(table.folder):
            continue  # gc removed it, or `_artifacts` tells
        path = store.path(table.folder) / "table.json"
        try:
            about = msgspec.json.decode(path.read_bytes(), type=_TableSays)
        except (OSError, msgspec.MsgspecError, UnicodeDecodeError):
            continue  # a file that is not whole is told by `_artifacts`
        listed = _TableSays(table.release, table.rows, table.as_of)
        if about != listed:
            problem = f"it says that it is {about.told}, but the catalog says {listed.told}"
            yield Finding("foreign table", f"table {table.id}", problem, _TABLE.format(table.release[:12]))
    for pointer in store.history():
        live = None if pointer.table is None else tables.get(pointer.table)
        if live is not None and live.release != pointer.release:
            problem = f"its table {live.id} is of release {live.release}, not of {pointer.release}"
            yield Finding("foreign table", f"champion epoch {pointer.epoch}", problem, accounts.DO)


_MISSING = "missing file"


def _kind(error: IntegrityError) -> str:
    if error.got in (manifests.NO_FILE, manifests.NO_FOLDER):
        return _MISSING
    if error.got == manifests.NOT_LISTED:
        return "foreign file"
    if error.got.endswith(manifests.CUT):
        return "truncated file"
    return "unreadable manifest" if error.expected == manifests.READABLE else "altered file"


def _unnamed(store: Collecting) -> Iterator[Finding]:
    """Files that the catalog does not name; those of a run that is at work are not yet named, and no orphans."""
    own, foreign = store.unnamed()
    for name in foreign:
        problem = "its name is none that the store gives"
        yield Finding("foreign file", name, problem, "move it elsewhere; gc leaves it alone", "warning")
    for name in own if store.holder() is None else ():
        where, problem = store.artifacts.where(name), "the catalog does not name it"
        yield Finding("orphan file", where, problem, "nothing, or remove it: ninetyfive gc --yes", "warning")


def _places(store: Collecting, home: Path) -> Iterator[Finding]:
    """Links in place of files, what is not the store's own, and modes by which it cannot be read, or others may write.

    What the group may write counts where the group may enter the store at all.
    """
    mode = home.stat().st_mode
    if mode & _OTHERS:
        yield _open_to_others(home, mode)
    others = _OTHERS if mode & stat.S_IXGRP else stat.S_IWOTH
    catalogs = [Path(store.catalog.where)] if isinstance(store.catalog.database, Sqlite) else []
    beginnings = ("lease", *(f"{path.stem}." for path in catalogs))
    for path in sorted(home.iterdir()):
        if path.name not in _OWN and not path.name.startswith(beginnings):
            problem, do = "it is none of the store's own files", "move it elsewhere; the store leaves it alone"
            yield Finding("foreign file", str(path), problem, do, "warning")
    places = [place for name in ("artifacts", "folders") if (place := home / name).is_dir()]
    for path in (*catalogs, *(path for place in places for path in (place, *sorted(place.rglob("*"))))):
        mode = path.lstat().st_mode
        needed = stat.S_IRUSR | (stat.S_IXUSR if stat.S_ISDIR(mode) else 0)
        if stat.S_ISLNK(mode):
            problem = f"a link stands in its place, to {path.readlink()}"
            do = "put a copy there, under the same name: what a link leads to can change or be gone"
            yield Finding("link", str(path), problem, do)
        elif mode & needed != needed:
            problem = f"its owner may not read it: {stat.filemode(mode)}"
            yield Finding("wrong permissions", str(path), problem, f"chmod u+rX '{path}'")
        elif mode & others:
            yield _open_to_others(path, mode)


def _open_to_others(path: Path, mode: int) -> Finding:
    problem = f"others may write to it: {stat.filemode(mode)}"
    return Finding("wrong permissions", str(path), problem, f"chmod go-w '{path}'", "warning")


def _mirror(store: Collecting) -> Iterator[Finding]:
    """live.json of a bucket that is not what the catalog says: behind it, or ahead (of an older catalog)."""
    mirror = store.artifacts.mirror
    if mirror is None:
        return
    with bucket_errors(mirror.url):
        said, _ = mirror.read()
    live = store.live()
    if said == live:
        return
    told = ["nothing" if one is None else f"release {one.release[:12]} of epoch {one.epoch}" for one in (said, live)]
    problem = f"it says {told[0]}, the catalog {told[1]}"
    if said is not None and said.epoch > (0 if live is None else live.epoch):
        do = "find out whether the catalog is an older one: it is the truth; if it is right, delete the file"
        yield Finding("mirror ahead", mirror.url, problem, do)
    else:
        do = "nothing: the next command that writes, such as ninetyfive run, mends it"
        yield Finding("lagging mirror", mirror.url, problem, do, "warning")


def _runs(store: Collecting) -> Iterator[Finding]:
    for run in store.runs():
        if run.status == "interrupted":
            yield Finding(
                "unfinished run",
                run.id,
                f"begun {run.started}, never ended, and its process is gone",
                "run again: it resumes where it stopped",
                "warning",
            )


def _killed(store: Collecting, scratch: Scratch, home: Path) -> Iterator[Finding]:
    """What processes leave that were killed: temporary files, and the card of a lease that nobody holds."""
    drafts = [name for name, _ in store.artifacts.leftovers(free=store.holder() is None)]
    for folder in (*map(str, scratch.leftovers()), *drafts):
        problem, do = "a killed process left it", "nothing: the next run removes it, or ninetyfive gc --yes"
        yield Finding("leftover", folder, problem, do, "warning")
    card = home / "lease.json"
    if card.exists() and store.holder() is None:
        problem = "nobody holds the store, but its card names a holder that was killed"
        yield Finding("stale lease", str(card), problem, "nothing: who comes next takes the lease", "warning")


def _space(home: Path) -> Iterator[Finding]:
    there = next(folder for folder in (home, *home.parents) if folder.is_dir())
    free = shutil.disk_usage(there).free
    if free < _LEAST_FREE:
        problem = f"{free >> 20} MiB are free, less than {_LEAST_FREE >> 20}"
        yield Finding("disk space", str(home), problem, "free space there before the next run", "warning")
