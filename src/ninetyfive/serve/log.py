"""The request log of a worker: a record for each answered row, in the system's hands before the reply is sent.

    records ── policy: keep, hash, drop ──▶ frames ── one write ──▶ w1-5be1c0de-000001.open ── ended ──▶ ….closed
                                                          └── settle: one fdatasync for all who wait (durable)

The rule: `append` (and `confirm`, for all that was held) returns once the kernel holds the records, so that they
outlive kill -9 of any process; what it could not write whole it cuts off again, and the answer is not given. After an
error a new segment is begun, so that the log goes on by itself once there is room. An fsync that failed is not asked
again: its requests are not answered.
What does not belong here: reading segments (`segments`) and what is made of them (`supervise.rotation`).
"""

from __future__ import annotations

import asyncio
import errno
import fcntl
import hashlib
import hmac
import os
import random
import re
import secrets
import time
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import Any

import msgspec
import xxhash

from ninetyfive.errors import SettingsError, StoreError, near_names
from ninetyfive.schema import LOGGED
from ninetyfive.serve.messages import Log
from ninetyfive.serve.segments import CLOSED, OPEN, Header, Kept, frame, opening
from ninetyfive.values import Scalar, plain

Answer = float | tuple[float, ...] | None

_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
_SALT = 95
_WORKER = re.compile(r"[A-Za-z0-9_-]{1,64}")
_KEY_BYTES = 32


class Record(msgspec.Struct, array_like=True, gc=False):
    """What is kept of one answered row.

    `id`: made by the server. `at`: when the request came, µs UTC. `client_id`: the id that the client gave. `entity`:
    the entity's key (None: it has none). `row`: the row scalars of all request columns, in order. `fingerprint`: of the
    columns that the features are made of. `answer`: a probability or number, or one for each class; None: none. Then
    the `release` and `table` that answered, the `source` of the answer (table, cache, model or default), and the
    `cpu` seconds that it cost.
    """

    id: str
    at: int
    client_id: str | None
    entity: bytes | None
    row: tuple[Any, ...]
    fingerprint: int
    answer: Answer
    release: str
    table: str | None
    source: str
    cpu: float


_encode = msgspec.msgpack.Encoder().encode
decode = msgspec.msgpack.Decoder(Record).decode
"""The record that a frame of a segment holds; a list of a row comes back as a list."""


class RequestLog:
    """The log of one worker, whose requests have `columns` (name → logical type, in order).

    The folder is made (0700) where it is absent, and the key of hashes (0600) too. A folder that cannot be made raises
    `StoreError`; a policy for columns that do not exist, or without a key, and request columns called as those of
    the log, raise `SettingsError`. One event loop uses it.
    """

    def __init__(self, config: Log, worker: str, columns: Mapping[str, str]) -> None:
        self.bytes = 0
        self._off = config.mode == "off"
        self.durable = config.mode == "durable"
        self._config = config
        self._limit = int(min(max(config.sample, 0.0), 1.0) * 2.0**64)
        self._folder = Path(config.folder)
        self._segment: _Segment | None = None
        self._held: list[bytes] = []
        self._lost: StoreError | None = None
        self._retired: list[_Segment] = []
        self._number = 0
        self._appended = self._synced = 0
        self._waiting: asyncio.Future[None] | None = None
        self._syncing: asyncio.Task[None] | None = None
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="request-log")
        if not _WORKER.fullmatch(worker):
            do = "name it like w1"
            raise SettingsError("worker", expected="letters, digits, - and _", got=repr(worker), do=do)
        _check(columns, config)
        self._worker = f"{worker}-{secrets.token_hex(4)}"
        self._key = b""
        if not self._off:
            try:
                self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            except OSError as error:
                raise _failed(self._folder, error) from error
            if any(kept != "keep" for kept in config.columns.values()):
                self._key = _key(Path(str(config.key_file)))
        self._layout = _Layout(columns, config.columns, self._key)
        self._layouts: dict[str, _Layout] = {}

    def keeps(self, entity: bytes | None) -> bool:
        """Whether requests of this entity are logged: always the same for one; drawn where there is no entity."""
        if self._limit >> 64:
            return not self._off
        if self._off:
            return False
        drawn = random.getrandbits(64) if entity is None else xxhash.xxh3_64_intdigest(entity, _SALT)
        return drawn < self._limit

    def learn(self, release: str, columns: Mapping[str, str]) -> None:
        """Say which columns the rows of a release have, where they may be others than those of the first one.

        To be called before the release answers. A column called as one of the log raises `SettingsError`.
        """
        _check_free(columns)
        layout = _Layout(columns, self._config.columns, self._key)
        known = next((one for one in (self._layout, *self._layouts.values()) if one.columns == layout.columns), layout)
        self._layouts[release] = known

    def append(self, records: list[Record]) -> None:
        """Write the records of one request, all or none; `StoreError` where that cannot be: then it is not answered."""
        alone = not self._held
        self.hold(records)
        self._write()
        lost = self._lost
        if lost is not None:
            self._lost = None if alone else lost  # those that were held before are told by `confirm`
            raise lost

    def hold(self, records: list[Record]) -> None:
        """Take the records of one request that is answered after `confirm`: what comes in one turn is one write."""
        if self._off or not records:
            return
        layout = self._layouts.get(records[0].release, self._layout)
        segment = self._segment
        if segment is None or segment.layout is not layout or segment.ended(self._config):
            self.rotate()
            segment = self._segment = self._begin(layout)
        policy, salt = layout if layout.hides else None, segment.salt
        for record in records:
            segment.number += 1
            payload = _encode(record if policy is None else policy.applied(record))
            self._held += (frame(payload, segment.number, salt), payload)

    def confirm(self) -> bool:
        """Write what is held, if anything; `StoreError` where any cannot be: then nothing that was held is answered."""
        held = bool(self._held)
        self._write()
        lost, self._lost = self._lost, None
        if lost is not None:
            raise lost
        return held

    def _write(self) -> None:
        segment = self._segment
        if not self._held or segment is None:
            return
        data, self._held = b"".join(self._held), []
        try:
            segment.write(data)
        except OSError as error:
            self._segment = None
            self._end(segment)
            self._lost = _failed(segment.path, error)
            return
        self._appended += 1
        self.bytes += len(data)

    async def settle(self) -> None:
        """Return once all that was appended outlives what the mode promises; `StoreError` where it may not.

        To be awaited right after `append`, with nothing else awaited between them. One fdatasync, in a thread, serves
        all who wait for it. Fast: returns at once.
        """
        if not self.durable or self._synced == self._appended:
            return
        loop = asyncio.get_running_loop()
        if self._waiting is None:
            self._waiting = loop.create_future()
            if self._syncing is None or self._syncing.done():
                self._syncing = loop.create_task(self._sync())
        await asyncio.shield(self._waiting)

    def rotate(self) -> None:
        """End the open segment, if there is one; the next record begins another."""
        self._write()
        segment, self._segment = self._segment, None
        if segment is not None:
            self._end(segment)

    def close(self) -> None:
        """End the log: all that was appended is on the disk (durable), and no segment is open."""
        self._thread.shutdown(wait=True)
        self._off = True
        self.rotate()
        for segment in self._retired:
            if self.durable:
                try:
                    segment.sync(segment.size)
                except OSError:
                    segment.cut(segment.synced)
            segment.finish()
        self._retired = []

    def _begin(self, layout: _Layout) -> _Segment:
        """A new segment: locked, so that its name says whether its worker lives, and with its header."""
        while True:
            self._number += 1
            path = self._folder / f"{self._worker}-{self._number:06}{OPEN}"
            header = Header(
                columns=layout.types,
                policy={name: kept for name, kept in self._config.columns.items() if kept != "keep"},
                worker=self._worker,
                number=self._number,
                began=time.time_ns() // 1000,
                salt=secrets.randbits(64),
            )
            try:
                segment = _Segment.make(path, header, layout)
            except OSError as error:
                raise _failed(path, error) from error
            if segment is not None:
                return segment

    def _end(self, segment: _Segment) -> None:
        """Finish a segment; a durable one only once nobody waits for it to be synced."""
        busy = self._syncing is not None and not self._syncing.done()
        if self.durable and (busy or segment.synced < segment.size):
            self._retired.append(segment)
        else:
            segment.finish()

    async def _sync(self) -> None:
        """Sync for those who wait, then for those who came meanwhile, until nobody does."""
        loop = asyncio.get_running_loop()
        while (waiting := self._waiting) is not None:
            self._waiting = None
            upto = self._appended
            segments = [*self._retired, *((self._segment,) if self._segment else ())]
            sizes = [(segment, segment.size) for segment in segments]
            failure = await loop.run_in_executor(self._thread, _synced, sizes)
            if failure is None:
                self._synced = max(self._synced, upto)
                waiting.set_result(None)
            else:
                self._give_up(failure, waiting)
            for segment in [segment for segment in self._retired if segment.synced >= segment.size]:
                self._retired.remove(segment)
                segment.finish()

    def _give_up(self, failure: StoreError, waiting: asyncio.Future[None]) -> None:
        """After an fsync that failed nothing since the last good one is trusted: it is cut off, and nobody answers."""
        refused = [waiting, *((self._waiting,) if self._waiting else ())]
        self._waiting = None
        self._synced = self._appended
        if self._segment is not None:
            self._retired.append(self._segment)
            self._segment = None
        for segment in self._retired:
            segment.cut(segment.synced)
            segment.finish()
        self._retired = []
        for future in refused:
            future.set_exception(failure)
            future.exception()  # seen, even where every request was cancelled


class _Segment:
    """An open segment: `size` bytes of whole frames, of which `synced` are known to be on the disk."""

    def __init__(self, path: Path, descriptor: int, layout: _Layout, salt: int, size: int) -> None:
        self.path = path
        self.layout = layout
        self.salt = salt
        self.size = self.begins = size
        self.synced = 0
        self.number = 0
        self._named = False
        self._since = time.monotonic()
        self._descriptor = descriptor

    @staticmethod
    def make(path: Path, header: Header, layout: _Layout) -> _Segment | None:
        """A new segment, or None where somebody who looks for abandoned ones took it first."""
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_APPEND | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if os.fstat(descriptor).st_nlink:
                begin = opening(header)
                _write(descriptor, begin)
                return _Segment(path, descriptor, layout, header.salt, len(begin))
        except BlockingIOError:
            pass
        except OSError:
            with suppress(OSError):
                path.unlink()
            os.close(descriptor)
            raise
        os.close(descriptor)
        return None

    def ended(self, config: Log) -> bool:
        """Whether it is as large or as old as a segment may be."""
        return self.size >= config.segment_bytes or time.monotonic() - self._since >= config.segment_seconds

    def write(self, data: bytes) -> None:
        """Append bytes whole; else cut off what there is of them, and raise."""
        try:
            _write(self._descriptor, data)
        except OSError:
            self.cut(self.size)
            raise
        self.size += len(data)

    def cut(self, size: int) -> None:
        """Leave the first `size` bytes; the header stays."""
        self.size = max(size, self.begins)
        with suppress(OSError):
            os.ftruncate(self._descriptor, self.size)

    def sync(self, size: int) -> None:
        """Bring what was written to the disk, of which `size` bytes are then known to be there."""
        os.fdatasync(self._descriptor) if hasattr(os, "fdatasync") else os.fsync(self._descriptor)
        if not self._named:
            folder = os.open(self.path.parent, os.O_RDONLY)
            try:
                os.fsync(folder)
            finally:
                os.close(folder)
            self._named = True
        self.synced = size

    def finish(self) -> None:
        """Name it as closed; one without a record is removed. Where that fails it is found as abandoned."""
        with suppress(OSError):
            if self.size > self.begins:
                self.path.rename(self.path.with_suffix(CLOSED))
            else:
                self.path.unlink()
        os.close(self._descriptor)


class _Layout:
    """The columns of rows, and what of a record is kept of them.

    Where some are hashed or dropped (`hides`), neither entity nor fingerprint tells them. `types` are those of what is
    kept.
    """

    def __init__(self, columns: Mapping[str, str], policy: Mapping[str, Kept], key: bytes) -> None:
        self.columns = list(columns.items())
        self.hides = any(how != "keep" for how in policy.values())
        kept = [(place, name, type, policy.get(name, "keep")) for place, (name, type) in enumerate(columns.items())]
        self._places = [(place, type, how == "hash") for place, _, type, how in kept if how != "drop"]
        self._key = key
        self.types = {name: "string" if how == "hash" else type for _, name, type, how in kept if how != "drop"}

    def applied(self, record: Record) -> Record:
        """The record as it is kept."""
        row = record.row
        return Record(
            record.id,
            record.at,
            record.client_id,
            None if record.entity is None else self._hash(record.entity).encode(),
            tuple(self._hidden(row[place], type) if hashed else row[place] for place, type, hashed in self._places),
            record.fingerprint and int(self._hash(record.fingerprint.to_bytes(8, "little"))[:16], 16),
            record.answer,
            record.release,
            record.table,
            record.source,
            record.cpu,
        )

    def _hidden(self, value: Scalar, type: str) -> str | None:
        """HMAC-SHA256 of a value: of its text, or of its JSON where it is none; null stays null."""
        if value is None:
            return None
        told = plain(value, type)
        return self._hash(told.encode() if isinstance(told, str) else msgspec.json.encode(told))

    def _hash(self, data: bytes) -> str:
        return hmac.digest(self._key, data, hashlib.sha256).hex()


def _check(columns: Mapping[str, str], config: Log) -> None:
    where = "[serve.log] columns"
    _check_free(columns)
    for name in config.columns:
        if name not in columns:
            do = f"correct the name ({near_names(name, columns)})"
            raise SettingsError(where, expected="columns of a request", got=repr(name), do=do)
    if config.key_file is None and any(kept != "keep" for kept in config.columns.values()):
        do = "name a file that the service may read, or make"
        raise SettingsError(where, expected="a key_file to hash with", got="none", do=do)


def _check_free(columns: Mapping[str, str]) -> None:
    for name in columns:
        if name in LOGGED:
            got, do = f"a request column {name!r}", "rename the column: the log has one of that name"
            raise SettingsError("request log", expected="request columns that it has not", got=got, do=do)


def _key(path: Path) -> bytes:
    """The key of hashes; made where there is none, by whoever is first."""
    try:
        if not path.exists():
            attempt = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
            descriptor = os.open(attempt, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
            try:
                _write(descriptor, secrets.token_hex(_KEY_BYTES).encode())
                os.fsync(descriptor)
                with suppress(FileExistsError):
                    os.link(attempt, path)
            finally:
                os.close(descriptor)
                attempt.unlink()
        key = path.read_bytes().strip()
    except OSError as error:
        raise _failed(path, error) from error
    if len(key) < _KEY_BYTES:
        do = f"remove the file, and one is made; or write {_KEY_BYTES} bytes or more into it"
        raise SettingsError(str(path), expected="a key", got=f"{len(key)} bytes", do=do)
    return key


def _write(descriptor: int, data: bytes) -> None:
    written = os.write(descriptor, data)
    while written < len(data):
        written += os.write(descriptor, data[written:])


def _synced(sizes: list[tuple[_Segment, int]]) -> StoreError | None:
    """Sync segments, in a thread; what went wrong, if anything did."""
    for segment, size in sizes:
        try:
            segment.sync(size)
        except OSError as error:
            return _failed(segment.path, error)
    return None


def _failed(path: Path, error: OSError) -> StoreError:
    said = error.strerror or str(error)
    if error.errno in _FULL:
        got, do = f"a full disk ({said})", "free space there: the log goes on by itself"
    else:
        got, do = said, "check the disk and its permissions: the log goes on by itself once they are right"
    return StoreError(str(path), expected="a request log that can be written", got=got, do=do)
