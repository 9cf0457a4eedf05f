"""The project on its way to a service that does a command whole: one file, equal for an equal project.

    system.py, its modules, the lock file, schema.toml, design/accepted.toml … ─┐
    the command, its words, the settings that the environment says ─────────────┴─ pack ─▶ bytes ─ unpack ─▶ a folder

The rule: no secret travels. Store and catalog go as urls without a password, and what ninetyfive.toml takes from the
environment is refused. What does not belong here: what is done with it there (`worker`).
"""

from __future__ import annotations

import os
import re
import tomllib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import msgspec

from ninetyfive.accepted import FILE as DESIGN
from ninetyfive.accepted import FOLDER as DESIGNS
from ninetyfive.engines.tasks import versions
from ninetyfive.errors import IntegrityError, SettingsError, UsageError
from ninetyfive.hashing import bytes_hash, content_hash, package_hash
from ninetyfive.loading import own_modules
from ninetyfive.managed.asked import Asked, What
from ninetyfive.settings import FILE, holds_secret, variables
from ninetyfive.sources.files import LANDS
from ninetyfive.steps.lineage import lock_file

PARCEL, ACTOR, SCHEMA = "parcel", "actor", "schema.toml"
MODULES = ".modules"
"""Where modules stand that were imported from elsewhere: not among those that decide a release."""
_KEPT = (SCHEMA, FILE, f"{DESIGNS}/{DESIGN}")
_OTHERS = re.compile(r"(^\.|^__pycache__$|^node_modules$|(^|-)packages$)")
"""Folders whose files are not the project's own."""
_REFERENCE = re.compile(r"\$\{[A-Za-z_][A-Za-z0-9_]*\}")


class Parcel(msgspec.Struct, frozen=True, kw_only=True):
    """A command and its project: `files` by their paths in it, of which `system` declares it, in order.

    `environment`: the settings in force there. `home`: the project's folder on this machine, where the workers share
    its disk; what does not travel is found there. After so many `hours` (0: never) it is ended.
    """

    what: What
    words: dict[str, Any]
    system: str
    environment: dict[str, str]
    files: list[tuple[str, bytes]]
    home: str = ""
    hours: float = 0.0


class Done(msgspec.Struct, frozen=True):
    """What comes back: the document of the command, and the schema that is in force there (None: none)."""

    document: dict[str, Any]
    schema: str | None = None


def parcel_of(asked: Asked, shared_disk: bool = False) -> Parcel:
    """What is asked, as a parcel; `UsageError` or `SettingsError` where it cannot be done elsewhere."""
    folder, origin = asked.system.folder, asked.system.origin
    if not origin:
        raise UsageError(
            f"system {asked.system.name!r}",
            expected="one that a file declares, which can travel",
            got="one that was declared without a file",
            do="write it into system.py",
        )
    if not shared_disk:
        check_reachable(asked)
    return Parcel(
        what=asked.what,
        words=_words(asked),
        system=Path(origin).name,
        environment=_environment(asked, shared_disk),
        files=[(name, path.read_bytes()) for name, path in sorted(_files(folder, Path(origin)).items())],
        home=str(folder) if shared_disk else "",
        hours=asked.said.hours,
    )


def pack(parcel: Parcel) -> bytes:
    """A parcel as bytes."""
    return msgspec.msgpack.encode(parcel)


def unpack(data: bytes, where: str) -> Parcel:
    """What `pack` packed; `IntegrityError` where it is something else."""
    try:
        return msgspec.msgpack.decode(data, type=Parcel)
    except msgspec.MsgspecError as error:
        raise IntegrityError(where, expected="a project", got=str(error), do="submit it again") from error


def content_of(parcel: Parcel) -> str:
    """The hash (64 hex digits) of all that decides what is done, but for the data."""
    return content_hash([bytes_hash(pack(parcel)), versions(), package_hash()])


def laid_out(parcel: Parcel, folder: Path) -> Path:
    """Lay a project out in an empty folder; the file that declares the system.

    Of a project of this machine the rest is there too, as links.
    """
    for name, data in parcel.files:
        path = folder / name
        if not path.resolve().is_relative_to(folder.resolve()):
            raise IntegrityError(name, expected="a file of the project", got="one outside", do="submit it again")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
    if parcel.home:
        _link(Path(parcel.home), folder)
    return folder / parcel.system


def _link(home: Path, folder: Path) -> None:
    """Links to what is in one folder and not in the other; where both have a folder, to what is in it."""
    for one in home.iterdir():
        here = folder / one.name
        if one.name.startswith("."):
            continue
        if here.is_dir() and one.is_dir():
            _link(one, here)
        elif not here.exists():
            here.symlink_to(one)


def _files(folder: Path, origin: Path) -> dict[str, Path]:
    """The files that travel, by their paths: Python, declarations, and modules that were imported from elsewhere."""
    found = {path.relative_to(folder).as_posix(): path for path in _python(folder)}
    found |= {name: folder / name for name in _KEPT if (folder / name).is_file()}
    found[origin.name] = origin
    for module in own_modules():
        path = Path(str(module.__file__)).resolve()
        if not path.is_relative_to(folder) and path.is_file():
            name = module.__name__.replace(".", "/")
            found[f"{MODULES}/{name}/__init__.py" if path.name == "__init__.py" else f"{MODULES}/{name}.py"] = path
    if (lock := lock_file(folder)) is not None:
        if any(holds_secret("", line) for line in lock.read_text("utf-8", "replace").splitlines()):
            raise _secret(lock.name)
        found[lock.name] = lock  # it decides a release, wherever above the project it stands
    return found


def _python(folder: Path) -> Iterator[Path]:
    """The Python files of the project's folder, without those of environments and packages in it, and hidden ones."""
    for root, folders, names in os.walk(folder):
        here = Path(root)
        folders[:] = [
            name for name in folders if not _OTHERS.search(name) and not (here / name / "pyvenv.cfg").is_file()
        ]
        found = (here / name for name in names if name.endswith(".py") and not name.startswith("."))
        yield from (path for path in found if path.is_file())


def _environment(asked: Asked, shared_disk: bool) -> dict[str, str]:
    """The settings in force, as variables: those that are said here, and where store and catalog are."""
    settings = asked.settings
    said = {name: value for name, value in variables(os.environ).items() if "_MANAGED_" not in name}
    said["NINETYFIVE_STORE"] = settings.store_url
    if settings.catalog is not None:
        said["NINETYFIVE_CATALOG"] = settings.catalog
    if asked.system.source.kind in LANDS:  # who pays for what lands, and where
        landing = {"PROJECT": asked.said.project, "TEMPORARY": asked.said.temporary}
        said |= {f"NINETYFIVE_MANAGED_{name}": value for name, value in landing.items() if value}
    _check_catalog(settings.catalog, shared_disk)
    for name, value in said.items():
        if holds_secret(name, value) or _REFERENCE.search(value):
            raise _secret(name)
    path = asked.system.folder / FILE
    document = tomllib.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}
    for name in _references({key: value for key, value in document.items() if key not in ("store", "catalog")}):
        raise _secret(f"{FILE}, {name!r}")
    return said


def _check_catalog(catalog: str | None, shared_disk: bool) -> None:
    """A catalog that a container reaches, and logs in to without a password that would have to travel."""
    if not shared_disk and not (catalog or "").startswith("postgres"):
        raise SettingsError(
            f"{FILE}, 'catalog'",
            expected="a catalog on a PostgreSQL server, as the whole command runs elsewhere and reaches no file here",
            got="a SQLite file",
            do='write catalog = "postgresql://user@host/database"; see docs/store.md',
        )
    if catalog and (urlsplit(catalog).password or holds_secret("catalog", catalog)):
        raise SettingsError(
            f"{FILE}, 'catalog'",
            expected="a login without a password, as none travels to a service",
            got="a url with one",
            do="let the server know the service account of the workers (IAM), as docs/managed.md says",
        )


def _secret(where: str) -> SettingsError:
    return SettingsError(
        where,
        expected="a value that may be read by whoever sees the job",
        got="one from the environment, or a secret",
        do="leave it out for this command; what a container needs it has from its image or its service account",
    )


def _references(value: Any, name: str = "") -> Iterator[str]:
    """The names of the settings that take something from the environment."""
    if isinstance(value, Mapping):
        for key, one in value.items():
            yield from _references(one, f"{name}.{key}" if name else key)
    elif isinstance(value, list):
        for one in value:
            yield from _references(one, name)
    elif isinstance(value, str) and _REFERENCE.search(value):
        yield name


def _words(asked: Asked) -> dict[str, Any]:
    """The words of the command, as they are understood elsewhere: a path is that of this machine."""
    return {**asked.words, **{name: path if "://" in path else os.path.abspath(path) for name, path in _paths(asked)}}


def _paths(asked: Asked) -> list[tuple[str, str]]:
    """The words of the command that name files."""
    return [(name, asked.words[name]) for name in ("population", "log") if asked.words.get(name) is not None]


def check_reachable(asked: Asked) -> None:
    """`UsageError` where the source, or a file that the command names, is a path of this machine.

    Rows of a source that lands are files of the store, or of another bucket.
    """
    source = asked.system.source
    files = () if source.kind in LANDS else source.urls  # what lands is asked of its service there too
    labels = source.labels.urls if source.labels else ()
    named = [asked.words["input"]] if asked.words.get("input") else []
    read = () if asked.what == "predict" else (*files, *labels)
    for url in (*read, *named, *(path for _, path in _paths(asked))):
        if "://" not in url or url.startswith("file:"):
            raise UsageError(
                f"file {url}",
                expected="a url that workers elsewhere reach, like gs://bucket/file",
                got="a path of this machine",
                do="keep the files in a bucket; those of the source are named in system.py",
            )
