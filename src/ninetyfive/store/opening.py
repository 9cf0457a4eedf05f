"""Open a store: where its parts are, and who opens it.

    /path or file:///path            /path/catalog.sqlite, /path/artifacts, /path/folders, /path/tmp, /path/lease
    memory://x, gs://…, s3://…       artifacts in the bucket; catalog and local work beside the catalog's own url

What does not belong here: the verbs themselves (`shelf`, `spans`, `runs`, `releases`).
"""

from __future__ import annotations

import getpass
import os
from pathlib import Path
from types import TracebackType
from urllib.parse import unquote, urlsplit

from ninetyfive.errors import SettingsError
from ninetyfive.progress import RowProgress
from ninetyfive.store import audit
from ninetyfive.store.artifacts import LocalArtifacts
from ninetyfive.store.buckets import BucketArtifacts
from ninetyfive.store.catalog import Catalog
from ninetyfive.store.collecting import Collecting
from ninetyfive.store.doctor import examine
from ninetyfive.store.failures import disk_errors
from ninetyfive.store.leases import Lease
from ninetyfive.store.records import AuditRecord, Finding
from ninetyfive.store.scratch import Scratch
from ninetyfive.store.spans import Spans

_CATALOG = "catalog.sqlite"


class Store(Spans, Collecting):
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
        return examine(self, self._scratch, self._scratch.root.parent, progress)

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


def open_store(url: str | Path, catalog: str | None = None, *, actor: str | None = None, create: bool = True) -> Store:
    """Open the store at a path or an fsspec url; `create` makes it on first use, a command that only reads says False.

    `catalog` is an SQLAlchemy url (default: SQLite inside a local store); `actor` stands in the audit (default:
    NINETYFIVE_ACTOR, else user@host). Raises `StoreError` where there is no store, or it cannot be read or written, and
    `SettingsError` where the urls cannot be.
    """
    root = _local_path(str(url))
    path = _catalog_path(str(url), root, catalog)
    home = root if root is not None else path.with_name(path.name + ".work")
    opened = Catalog(path, create)
    if create:
        with disk_errors(str(home)):
            home.mkdir(parents=True, exist_ok=True, mode=0o700)
    scratch = Scratch(home / "tmp")
    artifacts = LocalArtifacts(root, scratch) if root is not None else _bucket(str(url), home, scratch)
    store = Store(str(url), opened, artifacts, scratch, Lease(home))
    store.actor = actor or actor_name()
    return store


def store_exists(url: str, catalog: str | None = None) -> bool:
    """Whether `open_store` of these urls finds a store that was made before; `SettingsError` where they cannot be."""
    return _catalog_path(url, _local_path(url), catalog).exists()


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


def _catalog_path(url: str, root: Path | None, catalog: str | None) -> Path:
    if catalog is None and root is not None:
        return root / _CATALOG
    if catalog is None or not catalog.startswith("sqlite:///") or len(catalog) == len("sqlite:///"):
        raise SettingsError(
            f"store {url}",
            expected="a catalog in a SQLite file" + ("" if root else ", since a bucket holds no database"),
            got=f"a catalog at {catalog.split(':')[0]}:…" if catalog else "no catalog",
            do='set catalog = "sqlite:////folder/catalog.sqlite" beside the store in ninetyfive.toml',
        )
    return Path(catalog.removeprefix("sqlite:///")).absolute()


def _bucket(url: str, home: Path, scratch: Scratch) -> BucketArtifacts:
    import fsspec  # only a bucket needs it

    try:
        system, root = fsspec.core.url_to_fs(url)
    except (ImportError, ValueError) as error:
        raise SettingsError(
            f"store {url}",
            expected="a path, or an url that fsspec knows",
            got=str(error),
            do="install what the message names, or correct the url in ninetyfive.toml",
        ) from None
    return BucketArtifacts(system, str(root), home / "cache", scratch)
