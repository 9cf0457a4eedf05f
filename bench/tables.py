"""A table of synthetic entities: build, size, look-ups cold and warm, pages that two processes share. No model.

    python -m bench.tables [--rows N] [--folder F] [--json]

Entities are (text, integer), such as ("user-0001234", 1234), with one answer, and come in random order. The build is
sorting, merging and writing; making the entries is timed apart. Cold: a new process, whose table the kernel was told to
forget. Warm: the same keys again. Two processes then look up the same keys and are measured together: `Rss` counts a
shared page in each, `Pss` its share. Bounds: at most 1.5 × the bytes of keys and values; what two processes map of the
table costs together at most 1.1 × what one maps.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import re
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from itertools import count
from math import gcd
from pathlib import Path
from typing import Any

from ninetyfive.store.manifests import MANIFEST, describe_folder
from ninetyfive.tables.about import Population, TableAbout
from ninetyfive.tables.keys import entity_key, fingerprint
from ninetyfive.tables.layout import ENTRIES, packer
from ninetyfive.tables.reader import Table
from ninetyfive.tables.writer import write_table

RELEASE = "r" * 64
LOOKED_UP = 200_000
SIZE_BOUND, SHARED_BOUND = 1.5, 1.1


def key_of(number: int) -> bytes:
    """The key of an entity."""
    key = entity_key((f"user-{number:07d}", number))
    assert key is not None
    return key


def entries(rows: int) -> Iterator[tuple[bytes, bytes]]:
    """Every entity once, in an order that is none: a full cycle of a linear congruence."""
    pack, step = packer(0), next(step for step in count(7_368_787) if gcd(step, rows) == 1)
    for place in range(rows):
        number = place * step % rows
        yield key_of(number), pack(fingerprint((number, "JFK", number / 7)), number / rows)


def build(rows: int, folder: Path) -> dict[str, Any]:
    """Write the table; seconds, bytes, and the most memory that this process ever had."""
    start = time.perf_counter()
    payload = sum(len(key) + len(value) for key, value in entries(rows))
    made = time.perf_counter() - start
    about = TableAbout(
        release=RELEASE,
        system="bench",
        task="binary",
        label="late",
        entity=("user", "number"),
        classes=(),
        rows=0,
        as_of="2026-01-31T00:00:00+00:00",
        population=Population(kind="file", urls=("synthetic",), sha256="", read=rows),
        answers=(),
        made="2026-01-31T00:00:00+00:00",
    )
    for name in ("table", "runs"):
        (folder / name).mkdir()
    start = time.perf_counter()
    write_table(folder / "table", about, entries(rows), folder / "runs")
    written = time.perf_counter() - start
    start = time.perf_counter()
    (folder / "table" / MANIFEST).write_bytes(describe_folder(folder / "table").data)
    hashed = time.perf_counter() - start
    size = (folder / "table" / ENTRIES).stat().st_size
    return {
        "rows": rows,
        "make_seconds": made,
        "build_seconds": written - made,
        "hash_seconds": hashed,
        "bytes": size,
        "bytes_a_row": size / rows,
        "over_payload": size / payload,
        "peak_mib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
    }


def forget(path: Path) -> None:
    """Tell the kernel that nobody needs the pages of a file."""
    with path.open("rb") as stream:
        os.fsync(stream.fileno())
        os.posix_fadvise(stream.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)


def mapped(path: Path) -> dict[str, int]:
    """KiB that this process maps of a file, whole and as its share."""
    text = Path("/proc/self/smaps").read_text(encoding="utf-8")
    found = {"Rss": 0, "Pss": 0}
    for block in re.split(r"^(?=[0-9a-f]+-[0-9a-f]+ )", text, flags=re.MULTILINE):
        if str(path) in block.partition("\n")[0]:
            for name in found:
                found[name] += int(re.search(rf"^{name}:\s+(\d+)", block, re.MULTILINE)[1])  # type: ignore[index]
    return found


def rolled_up() -> dict[str, int]:
    """KiB of this process altogether."""
    text = Path("/proc/self/smaps_rollup").read_text(encoding="utf-8")
    return {name: int(re.search(rf"^{name}:\s+(\d+)", text, re.MULTILINE)[1]) for name in ("Rss", "Pss")}  # type: ignore[index]


def look(folder: Path, rows: int) -> None:
    """A worker: look up, cold and warm, say how quickly; when told to, how much memory."""
    start = time.perf_counter()
    table = Table(folder / "table", release=RELEASE, checked=True)
    opened = time.perf_counter() - start
    chance = random.Random(95)
    keys = [key_of(chance.randrange(rows)) for _ in range(LOOKED_UP)]
    seconds = []
    for _ in range(2):
        start = time.perf_counter()
        for key in keys:
            assert table.get(key) is not None
        seconds.append(time.perf_counter() - start)
    told = {"open_seconds": opened, "cold": LOOKED_UP / seconds[0], "warm": LOOKED_UP / seconds[1]}
    print(json.dumps(told), flush=True)
    sys.stdin.readline()
    print(json.dumps({"table": mapped(folder / "table" / ENTRIES), "process": rolled_up()}), flush=True)
    sys.stdin.readline()


class Worker:
    """A process of its own that looks up; `rates` are what it said of that."""

    def __init__(self, rows: int, folder: Path) -> None:
        words = [sys.executable, "-m", "bench.tables", "--look", str(folder), "--rows", str(rows)]
        self._process = subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self.rates = self._said()

    def memory(self) -> dict[str, Any]:
        """What it maps now."""
        assert self._process.stdin is not None
        self._process.stdin.write("\n")
        self._process.stdin.flush()
        return self._said()

    def end(self) -> None:
        """Let it end."""
        self._process.communicate("\n")

    def _said(self) -> dict[str, Any]:
        assert self._process.stdout is not None
        said: dict[str, Any] = json.loads(self._process.stdout.readline())
        return said


def measure(rows: int, folder: Path) -> dict[str, Any]:
    """Build, then one worker alone and two together."""
    document: dict[str, Any] = {"build": build(rows, folder)}
    forget(folder / "table" / ENTRIES)
    alone = Worker(rows, folder)
    document |= {"look_ups": alone.rates, "one": alone.memory()}
    alone.end()
    together = [Worker(rows, folder) for _ in range(2)]
    document["two"] = [worker.memory() for worker in together]
    for worker in together:
        worker.end()
    both = sum(one["table"]["Pss"] for one in document["two"])
    return {**document, "shared": both / document["one"]["table"]["Rss"]}


def main() -> int:
    """Measure, print, and say whether the bounds held."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--folder", type=Path)
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--look", type=Path, help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.look is not None:
        look(asked.look, asked.rows)
        return 0
    with tempfile.TemporaryDirectory(dir=asked.folder) as folder:
        found = measure(asked.rows, Path(folder))
    build, looked = found["build"], found["look_ups"]
    if asked.json:
        print(json.dumps(found))
    else:
        print(f"entities      {build['rows']:,}")
        print(f"build         {build['build_seconds']:.1f} s, and {build['hash_seconds']:.1f} s to hash it")
        print(f"size          {build['bytes'] / 2**20:,.0f} MiB, {build['bytes_a_row']:.1f} bytes an entity")
        print(f"over payload  {build['over_payload']:.2f} (at most {SIZE_BOUND})")
        print(f"peak memory   {build['peak_mib']:,.0f} MiB")
        print(f"look-ups      {looked['cold']:,.0f}/s cold, {looked['warm']:,.0f}/s warm")
        one, two = found["one"], found["two"]
        print(f"one process   table {one['table']['Rss']:,} KiB, process {one['process']['Rss']:,} KiB")
        for each in two:
            shared = f"table Rss {each['table']['Rss']:,} Pss {each['table']['Pss']:,} KiB"
            print(f"of two        {shared}, process Rss {each['process']['Rss']:,} Pss {each['process']['Pss']:,} KiB")
        print(f"two over one  {found['shared']:.2f} (at most {SHARED_BOUND})")
    held = build["over_payload"] <= SIZE_BOUND and found["shared"] <= SHARED_BOUND
    return 0 if held else 1


if __name__ == "__main__":
    sys.exit(main())
