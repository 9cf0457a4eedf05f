"""Open a store: where its parts are, and who opens it.

    /path or file:///path        /path/catalog.sqlite, /path/artifacts, /path/folders, /path/tmp, /path/lease
    gs://…, s3://…, memory://…   artifacts in the bucket; the catalog where `catalog` says
    catalog sqlite:////path      that file; of a bucket's store /path.work holds copies and temporary files
    catalog postgresql://…       the server, the lease too; of a bucket's store such work stands in ~/.cache/ninetyfive

What does not belong here: the verbs themselves (`shelf`, `spans`, `runs`, `releases`).
"""

from __future__ import annotations

import getpass
import os
from pathlib import Path
from types import TracebackType
from urllib.parse import unquote, urlsplit

from ninetyfive.errors import SettingsError
from ninetyfive.hashing import bytes_hash
from ninetyfive.progress import RowProgress
from ninetyfive.store import audit, versions
from ninetyfive.store.artifacts import LocalArtifacts
from ninetyfive.store.buckets import BucketArtifacts
from ninetyfive.store.catalog import Catalog
from ninetyfive.store.collecting import Collecting
from ninetyfive.store.doctor import examine
from ninetyfive.store.failures import disk_errors
from ninetyfive.store.jobs import Jobs
from ninetyfive.store.leases import FileLease
from ninetyfive.store.postgres import Postgres
from ninetyfive.store.records import AuditRecord, Finding
from ninetyfive.store.row_leases import RowLease
from ninetyfive.store.scratch import Scratch
from ninetyfive.store.spans import Spans
from ninetyfive.store.sqlite import Sqlite

_CATALOG = "catalog.sqlite"


class Store(Spans, Jobs, Collecting):
    """An opened store: the verbs of its parts, and those that look at the whole. Close it, or use it in a `with`.

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder, open_store(folder, actor="ada") as store:
    ...     with store.lease("example"):
    ...         run = store.begin_run("example", key="k")
    ...         blob = store.put_bytes(b"model")
    ...         store.record(run.id, "train", "key", {"model": blob}, artifacts=[blob], seconds=0.1)
    ...         store.finish_run(run.id, "done")
    ...     [record.action for record in store.audit_records()]
    ['run.begin', 'step.record', 'run.finish']
    """

    def audit_records(self, last: int | None = None) -> list[AuditRecord]:
        """The `last` audit records (None: all), oldest first."""
        with self.catalog.read() as connection:
            return audit.read(connection, last)

    def audit_verify(self) -> list[Finding]:
        """What is wrong with the audit: records altered, missing, out of order, changes without one; [] if nothing."""
        with self.catalog.read() as connection:
            return audit.verify(connection)

    def doctor(self, progress: RowProgress | None = None) -> list[Finding]:
        """All that is wrong with the store, errors first, each with what to do; reads every file that is named.

        `progress` is told the bytes read so far, of how many.
        """
        return examine(self, self._scratch, progress)

    def close(self) -> None:
        """Remove temporary folders and give the lease back."""
        self._scratch.close()
        self._lease.release()

    def __enter__(self) -> Store:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def open_store(
    url: str | Path,
    catalog: str | None = None,
    *,
    actor: str | None = None,
    create: bool = True,
    migrate: bool = False,
    elsewhere: bool = False,
) -> Store:
    """Open the store at a path or an fsspec url; `create` makes it on first use, a command that only reads says False.

    `catalog` is the url of a SQLite file or a PostgreSQL database (default: SQLite inside a local store). `create` or
    `migrate`, for a command that writes, turns a catalog of an older version into one of this. `actor` stands in the
    audit (default: NINETYFIVE_ACTOR, else user@host). `elsewhere`: the engine's workers may be on other machines, so
    what they read and write of a bucket's store is there, and no copy here. Raises `StoreError` where there is none,
    it is of another version, or it cannot be read or written, and `SettingsError` where the urls cannot be.
    """
    root = _local_path(str(url))
    database = _database(str(url), root, catalog)
    home = root if root is not None else _work(str(url), database)
    opened = Catalog(database)
    named = actor or actor_name()
    versions.prepare(opened, named, create=create, migrate=create or migrate)
    if create:
        with disk_errors(str(home)):
            home.mkdir(parents=True, exist_ok=True, mode=0o700)
    scratch = Scratch(home / "tmp")
    artifacts = LocalArtifacts(root, scratch) if root is not None else _bucket(str(url), home, scratch, elsewhere)
    lease = RowLease(opened) if isinstance(database, Postgres) else FileLease(home, opened)
    store = Store(str(url), opened, artifacts, scratch, lease)
    store.actor = named
    if create or migrate:
        store.follow()
    return store


def work_folder(url: str, catalog: str | None = None) -> Path:
    """The local folder of a store, which may not be made yet: the store's own, or that beside one in a bucket."""
    root = _local_path(url)
    return root if root is not None else _work(url, _database(url, root, catalog))


def store_exists(url: str, catalog: str | None = None) -> bool:
    """Whether `open_store` of these urls finds a store that was made before; `SettingsError` where they cannot be."""
    return versions.made(Catalog(_database(url, _local_path(url), catalog)))


def actor_name() -> str:
    """Who acts, for the audit: `NINETYFIVE_ACTOR` if it is set, else user@host."""
    named = os.environ.get("NINETYFIVE_ACTOR")
    if named:
        return named
    try:
        user = getpass.getuser()
    except (KeyError, OSError):  # a container may run as a user without a name
        user = f"uid-{os.getuid()}"
    return f"{user}@{os.uname().nodename}"


def _local_path(url: str) -> Path | None:
    """The folder that an url names, None where it is a bucket's."""
    if "://" not in url:
        return Path(url).expanduser().absolute()
    parts = urlsplit(url)
    return Path(unquote(parts.path)) if parts.scheme == "file" else None


def _database(url: str, root: Path | None, catalog: str | None) -> Sqlite | Postgres:
    if not catalog and root is not None:
        return Sqlite(root / _CATALOG)
    kind, _, rest = (catalog or "").partition("://")
    if catalog and kind.startswith("postgres"):
        return Postgres(catalog)
    if kind != "sqlite" or len(rest) < len("/x"):
        raise SettingsError(
            f"store {url}",
            expected="a catalog in a SQLite file or on a PostgreSQL server"
            + ("" if root else ", since a bucket holds no database"),
            got=f"a catalog at {kind.split(':')[0]}:…" if catalog else "no catalog",
            do='set catalog = "sqlite:////folder/catalog.sqlite" or "postgresql://host/database" in ninetyfive.toml',
        )
    return Sqlite(Path(rest.removeprefix("/")).absolute())


def _work(url: str, database: Sqlite | Postgres) -> Path:
    """The local folder of a store whose files are in a bucket: copies of what is read, temporary files."""
    if isinstance(database, Sqlite):
        return database.path.with_name(database.path.name + ".work")
    cache = Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache").expanduser()
    return cache / "ninetyfive" / bytes_hash(f"{url} {database.where}".encode())[:16]


def _bucket(url: str, home: Path, scratch: Scratch, elsewhere: bool) -> BucketArtifacts:
    import fsspec  # only a bucket needs it

    try:
        system, root = fsspec.core.url_to_fs(url, use_listings_cache=False)
    except (ImportError, ValueError) as error:
        raise SettingsError(
            f"store {url}",
            expected="a path, or an url that fsspec knows",
            got=str(error),
            do="install what the message names (gs:// is in ninetyfive[gcp]), or correct the url in ninetyfive.toml",
        ) from None
    return BucketArtifacts(system, str(root), home / "cache", scratch, elsewhere)
