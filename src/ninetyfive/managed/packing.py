"""The folder of a job: what goes to the service, and what comes back.

    <temporary>/jobs/<id without attempt>/   plans        what is to be run, as the engines send plans to workers
                                             driver.py    the main file
                                             <id>/files   what the attempt wrote
                                             <id>/graphs  instead of the first two, for graphs of Beam
                                             <id>/error   what it raised
                                             results      written last, by the attempt that ended well

Results are data: states as their reducers encode them, frames as Arrow, names of files. Nothing that is read back here
runs code. Whoever may write to the folder says what workers run: give it to nobody else.
What does not belong here: what a service is told (`dataproc` …).
"""

from __future__ import annotations

import pickle
import secrets
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from datetime import date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import fsspec
import msgspec

from ninetyfive.engines.shipping import dumps
from ninetyfive.engines.tasks import pack_rows, unpack_rows
from ninetyfive.errors import IntegrityError, ServiceError
from ninetyfive.managed.identity import placed
from ninetyfive.plan import Plan, Reduce, Write, WrittenFile

RESULTS, PLANS, ERROR, FILES = "results", "plans", "error", "files"
MAIN = """from ninetyfive.managed.driver import main

main()
"""


class Packed(msgspec.Struct, frozen=True):
    """What the driver is told: how many bytes a partition may take, and the plans as `dumps` sends them."""

    partition_memory: int
    plans: bytes


class Result(msgspec.Struct, frozen=True, omit_defaults=True):
    """One result: of its four kinds one is there. `keyed` is [span, [[key, state]]]."""

    rows: bytes | None = None
    files: tuple[WrittenFile, ...] | None = None
    states: dict[str, bytes] | None = None
    keyed: dict[str, list[tuple[list[tuple[str, str]], bytes]]] | None = None


class Place:
    """The folder `url` of a job, wherever fsspec reaches; `ServiceError` where it cannot be read or written."""

    def __init__(self, url: str) -> None:
        self.url = url.rstrip("/")
        with self.told():
            self._files, path = fsspec.core.url_to_fs(self.url, use_listings_cache=False)
        self._path = str(path)

    def read(self, name: str) -> bytes | None:
        """A file; None where it is not there."""
        with self.told():
            try:
                return bytes(self._files.cat_file(f"{self._path}/{name}"))
            except FileNotFoundError:
                return None

    def write(self, name: str, data: bytes) -> None:
        """A file, whole or not at all on a bucket."""
        with self.told():
            path = f"{self._path}/{name}"
            self._files.makedirs(path.rpartition("/")[0], exist_ok=True)
            if "file" in self._files.protocol:  # a bucket does so itself
                part = f"{path}.{secrets.token_hex(8)}.part"  # another may write the same at once
                self._files.pipe_file(part, data)
                self._files.mv(part, path)
            else:
                self._files.pipe_file(path, data)

    def bring(self, folder: Path, name: str = "", last: str = "") -> None:
        """All files of a folder of this machine, under `name`; the file `last` comes when all others are there."""
        target = f"{self._path}/{name}".rstrip("/")
        with self.told():
            for path in sorted(one for one in folder.rglob("*") if one.is_file() and one != folder / last):
                place = f"{target}/{path.relative_to(folder).as_posix()}"
                self._files.makedirs(place.rpartition("/")[0], exist_ok=True)
                self._files.put_file(str(path), place)
        if last:
            self.write(f"{name}/{last}".lstrip("/"), (folder / last).read_bytes())

    def names(self, below: str) -> list[str]:
        """The names of all files below `below`, by which `read` reads them; none where there is no such folder."""
        with self.told():
            found = self._files.find(f"{self._path}/{below}")
            start = len(str(self._files._strip_protocol(self.url))) + 1
            return sorted(str(path)[start:] for path in found)

    def there(self, urls: Iterable[str]) -> bool:
        """Whether all these files below the folder are there, by one look at it."""
        with self.told():
            asked = {str(self._files._strip_protocol(url)) for url in urls}
            return not asked or asked <= set(self._files.find(self._path))

    def remove(self, name: str = "") -> None:
        """Remove a folder below, or all of it; nothing where it is not there."""
        path = f"{self._path}/{name}".rstrip("/")
        with self.told():
            try:
                self._files.rm(path, recursive=True)
            except FileNotFoundError:
                return

    def below(self, name: str) -> list[str]:
        """The names of what is in a folder below; none where it is not there."""
        with self.told():
            try:
                found = self._files.ls(f"{self._path}/{name}", detail=False)
            except FileNotFoundError:
                return []
            return sorted(str(path).rstrip("/").rpartition("/")[2] for path in found)

    @contextmanager
    def told(self) -> Iterator[None]:
        """What a disk or bucket says, as a `ServiceError` that names the folder."""
        try:
            yield
        except (OSError, ImportError, ValueError) as error:
            raise ServiceError(
                f"folder {self.url}",
                expected="a folder that can be read and written",
                got=f"{type(error).__name__}: {error}",
                do="correct [managed] temporary, or the rights to its bucket; docs/managed.md lists them",
            ) from error


def pack(plans: Mapping[str, Plan], partition_memory: int) -> bytes:
    """The plans for a driver elsewhere; where files go is told by it."""
    (data,) = dumps(placed(plans, str))
    return msgspec.msgpack.encode(Packed(partition_memory, data))


def unpack(data: bytes, files: str) -> tuple[dict[str, Plan], int]:
    """In the driver: the plans, their files under the folder `files`, and the bytes a partition may take."""
    packed = msgspec.msgpack.decode(data, type=Packed)
    return placed(pickle.loads(packed.plans), lambda number: f"{files}/{number}"), packed.partition_memory


def pack_results(plans: Mapping[str, Plan], results: Mapping[str, Any]) -> bytes:
    """Results of plans as bytes."""
    return msgspec.msgpack.encode({name: _packed(plan, results[name]) for name, plan in plans.items()})


def unpack_results(plans: Mapping[str, Plan], data: bytes, where: str) -> dict[str, Any]:
    """What `pack_results` packed, for the same plans; `IntegrityError` where it is something else."""
    try:
        found = msgspec.msgpack.decode(data, type=dict[str, Result])
        return {name: _unpacked(plan, found[name]) for name, plan in plans.items()}
    except (msgspec.MsgspecError, KeyError, TypeError, ValueError) as error:
        raise IntegrityError(
            where,
            expected="the results of this job",
            got=f"{type(error).__name__}: {error}",
            do="remove the folder and submit again",
        ) from error


def files_of(results: Mapping[str, Any]) -> Iterator[str]:
    """The urls of all files that results name."""
    for result in results.values():
        if isinstance(result, tuple):
            yield from (one.url for one in result)


def _packed(plan: Plan, result: Any) -> Result:
    if isinstance(plan, Write):
        return Result(files=tuple(result))
    if not isinstance(plan, Reduce):
        return Result(rows=pack_rows(result))
    encode = plan.reducer.encode
    if not plan.by:
        return Result(states={span: encode(state) for span, state in result.items()})
    keyed = {
        span: [([_tagged(value) for value in key], encode(state)) for key, state in states.items()]
        for span, states in result.items()
    }
    return Result(keyed=keyed)


def _unpacked(plan: Plan, result: Result) -> Any:
    if isinstance(plan, Write):
        return tuple(_there(result.files))
    if not isinstance(plan, Reduce):
        return unpack_rows(_there(result.rows))
    decode = plan.reducer.decode
    if not plan.by:
        return {span: decode(state) for span, state in _there(result.states).items()}
    return {
        span: {tuple(_untagged(*value) for value in key): decode(state) for key, state in states}
        for span, states in _there(result.keyed).items()
    }


def _there(value: Any) -> Any:
    if value is None:
        raise TypeError("a result of another kind")
    return value


def _tagged(value: Any) -> tuple[str, str]:
    """A value of a key with its type: what key columns may hold, and null."""
    match value:
        case None:
            return "null", ""
        case bool() | int() | float() | Decimal():
            return type(value).__name__, repr(value) if isinstance(value, float) else str(value)
        case datetime():
            zone = getattr(value.tzinfo, "key", "") if value.tzinfo else ""
            return f"datetime {zone}", value.replace(tzinfo=None).isoformat()
        case date():
            return "date", value.isoformat()
    return "str", str(value)


def _untagged(kind: str, text: str) -> Any:
    if kind.startswith("datetime "):
        zone = kind.removeprefix("datetime ")
        return datetime.fromisoformat(text).replace(tzinfo=ZoneInfo(zone) if zone else None)
    read: dict[str, Any] = {"null": lambda _: None, "bool": "True".__eq__, "date": date.fromisoformat}
    return (read | {"int": int, "float": float, "Decimal": Decimal, "str": str})[kind](text)
