"""Write: entries in any order become one sorted file, in bounded memory.

    entries ─▶ sorted runs on the disk ─ merge ─▶ LMDB, each key after the one before it: full pages, no page twice

The same entries give the same bytes, in whatever order they come. The file is for reading only: nothing is changed in
it afterwards. What does not belong here: what the entries are (`steps`), and where the folder goes (`store`).
"""

from __future__ import annotations

import heapq
from collections.abc import Iterable, Iterator
from operator import itemgetter
from pathlib import Path
from struct import Struct

import lmdb
import msgspec

from ninetyfive.errors import PlanError, StoreError
from ninetyfive.store.failures import disk_errors, full
from ninetyfive.tables.about import TableAbout
from ninetyfive.tables.layout import ABOUT, ENTRIES

RUN_BYTES = 256 << 20
"""How much memory entries take before they go to the disk as a sorted run."""

_OBJECTS = 180
"""Bytes of Python's own for an entry in a list: a tuple, two bytes objects, a place in the list."""
_COMMIT = 1 << 17
_PAGE = 4096
_LARGE = 2000
"""From how many bytes on LMDB may give an entry pages of its own."""
_LENGTHS = Struct("<II")

Entry = tuple[bytes, bytes]


def write_table(
    folder: Path, about: TableAbout, entries: Iterable[Entry], scratch: Path, run_bytes: int = RUN_BYTES
) -> TableAbout:
    """Write table.mdb and table.json into the empty `folder`, of (key, value) each once; returns `about` with `rows`.

    `scratch` is an empty folder for the runs, as large as the table. A key that comes twice raises `PlanError`, a full
    disk `StoreError`.
    """
    with disk_errors(str(folder)):
        runs = _Runs(scratch, run_bytes)
        for entry in entries:
            runs.add(entry)
        rows = _append(folder / ENTRIES, runs.merged(), runs.pages * _PAGE)
        told = msgspec.structs.replace(about, rows=rows)
        (folder / ABOUT).write_bytes(msgspec.json.encode(told, order="deterministic"))
    return told


class _Runs:
    """Entries as sorted runs: the last one in memory, those before it in files."""

    def __init__(self, scratch: Path, run_bytes: int) -> None:
        self._scratch = scratch
        self._most = run_bytes
        self._files: list[Path] = []
        self._entries: list[Entry] = []
        self._held = 0
        self._bytes = 0
        self._own_pages = 0

    @property
    def pages(self) -> int:
        """How many pages the table takes at most: full leaves, their branches, and pages that large values have."""
        return 2 * (self._bytes // _PAGE + self._own_pages) + 256

    def add(self, entry: Entry) -> None:
        size = len(entry[0]) + len(entry[1])
        self._entries.append(entry)
        self._bytes += size + 16
        if size > _LARGE:
            self._own_pages += 2
        self._held += size + _OBJECTS
        if self._held >= self._most:
            self._spill()

    def merged(self) -> Iterator[Entry]:
        """All entries in the order of their keys."""
        self._entries.sort(key=itemgetter(0))
        if not self._files:
            return iter(self._entries)
        return heapq.merge(*map(_read, self._files), self._entries, key=itemgetter(0))

    def _spill(self) -> None:
        self._entries.sort(key=itemgetter(0))
        path = self._scratch / f"run-{len(self._files)}"
        with path.open("wb", buffering=1 << 20) as stream:
            for key, value in self._entries:
                stream.write(_LENGTHS.pack(len(key), len(value)) + key + value)
        self._files.append(path)
        self._entries = []
        self._held = 0


def _read(path: Path) -> Iterator[Entry]:
    """The entries of a run, in their order."""
    with path.open("rb", buffering=1 << 18) as stream:
        read = stream.read
        while lengths := read(_LENGTHS.size):
            key, value = _LENGTHS.unpack(lengths)
            data = read(key + value)
            yield data[:key], data[key:]


def _append(path: Path, entries: Iterator[Entry], size: int) -> int:
    """Write entries that come in order; returns how many there were."""
    try:
        with lmdb.open(str(path), subdir=False, lock=False, map_size=size, sync=False, metasync=False) as environment:
            written = 0
            counted = _ordered(entries)
            while True:
                with environment.begin(write=True) as transaction:
                    batch = transaction.cursor().putmulti(_some(counted, _COMMIT), append=True)
                    added = batch[1]
                written += added
                if added < _COMMIT:
                    environment.sync(True)
                    return written
    except lmdb.DiskError as error:
        raise full(str(path), str(error)) from error
    except lmdb.Error as error:
        raise StoreError(
            str(path),
            expected="a disk that writes, with room",  # a write that was cut short is an input/output error to LMDB
            got=str(error),
            do="free space there and check the disk, then build the table again",
        ) from error


def _ordered(entries: Iterator[Entry]) -> Iterator[Entry]:
    """The entries, where each key is greater than the one before it."""
    last = b""
    for entry in entries:
        if entry[0] <= last:
            raise PlanError(
                "table",
                expected="each entity once, by a key that is not empty",
                got=f"the key {entry[0].hex()} after {last.hex()}",
                do="keep one row of each entity before the table is written",
            )
        last = entry[0]
        yield entry


def _some(entries: Iterator[Entry], most: int) -> Iterator[Entry]:
    for _, entry in zip(range(most), entries, strict=False):
        yield entry
