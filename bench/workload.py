"""What a request log says: rows a second of all that the design measures of it, with reading its spans.

    python -m bench.workload [--rows N] [--json]

One process, one core. The log is synthetic (Zipf 1.1 over a million entities, 5 % of requests about new ones, features
that change twice a day). Floor: the same columns read and nothing done with them. Peer: Polars, which counts requests,
changes and the latest features by entity in a group_by, with threads held to one. Bounds: 1 M rows a second altogether;
memory of at most 120 bytes a request beyond what the process had before.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

os.environ.setdefault("POLARS_MAX_THREADS", "1")

import msgspec
import numpy as np
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
from bench._request_logs import Log

from ninetyfive.design.hits import table_hits
from ninetyfive.design.requests import ENTITY, FINGERPRINT, RELEASE, TIME, requests_of_log
from ninetyfive.design.workload import workload
from ninetyfive.sources.log_spans import ABOUT, SpanAbout

COLUMNS = (TIME, ENTITY, FINGERPRINT, RELEASE)
LEAST_ROWS, MOST_BYTES = 1e6, 120


def write(folder: Path, rows: int) -> int:
    """A log of so many requests in spans of half a million; its bytes."""
    made = Log(requests=rows, zipf=1.1, cardinality=1_000_000, new=0.05, once=False, changing=2.0, days=9).requests_of()
    keys = np.char.add("user-", (made.entity % np.uint64(10**9)).astype("U9")).astype("S")
    for first in range(0, rows, 500_000):
        part = slice(first, first + 500_000)
        table = pa.table(
            {
                TIME: pa.array(made.time[part], pa.int64()).cast(pa.timestamp("us", "UTC")),
                ENTITY: pa.array(keys[part].tolist(), pa.binary()),
                FINGERPRINT: pa.array(made.fingerprint[part] * np.uint64(0x9E3779B97F4A7C15)),
                RELEASE: pa.array(["a" * 64] * len(made.time[part])),
                "x": pa.array(np.arange(len(made.time[part]), dtype=np.float64)),
            }
        )
        about = SpanAbout("", table.num_rows, int(made.time[part][0]), int(made.time[part][-1]))
        with pq.ParquetWriter(folder / f"{first:09d}.parquet", table.schema, compression="zstd") as writer:
            writer.write_table(table, row_group_size=16_384)
            writer.add_key_value_metadata({ABOUT: msgspec.json.encode(about)})
    return sum(path.stat().st_size for path in folder.glob("*.parquet"))


def resident(name: str) -> int:
    """Bytes of this process as the kernel counts them: VmRSS now, VmHWM at most."""
    text = Path("/proc/self/status").read_text(encoding="utf-8")
    return 1024 * int(next(line.split()[1] for line in text.splitlines() if line.startswith(name)))


def peer(folder: Path) -> None:
    """Counts, first and last request and latest features by entity, and changes, in Polars."""
    frame = pl.read_parquet(folder / "*.parquet", columns=list(COLUMNS)).sort(TIME)
    changed = pl.col(FINGERPRINT).ne(pl.col(FINGERPRINT).shift()).sum()
    frame.group_by(ENTITY).agg(pl.len(), pl.col(TIME).min(), pl.col(TIME).max().alias("last"), changed)


def measure(rows: int) -> dict[str, Any]:
    """Seconds of each part, as medians of three turns, and the greatest memory of the first."""
    seconds: dict[str, list[float]] = {}

    def timed(name: str, begun: float) -> None:
        seconds.setdefault(name, []).append(time.process_time() - begun)

    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        size = write(folder, rows)
        Path("/proc/self/clear_refs").write_text("5", encoding="utf-8")
        before, most = resident("VmRSS"), 0
        for turn in range(3):
            begun = time.process_time()
            requests = requests_of_log(folder)
            timed("read", begun)
            middle = time.process_time()
            _ = requests.occurrences
            timed("occurrences", middle)
            middle = time.process_time()
            found = workload(requests)
            timed("workload", middle)
            middle = time.process_time()
            table_hits(requests, 86_400.0)
            timed("hits", middle)
            timed("all", begun)
            most = most if turn else resident("VmHWM") - before
            begun = time.process_time()
            for path in sorted(folder.glob("*.parquet")):
                pq.read_table(path, columns=list(COLUMNS), use_threads=False)
            timed("floor", begun)
            begun = time.process_time()
            peer(folder)
            timed("peer", begun)
    middle_of = {name: sorted(each)[len(each) // 2] for name, each in seconds.items()}
    return {
        "rows": rows,
        "entities": found.entities,
        "bytes_a_row": size / rows,
        "rows_a_second": rows / middle_of["all"],
        "ns_a_row": {name: one / rows * 1e9 for name, one in middle_of.items()},
        "over_floor": middle_of["all"] / middle_of["floor"],
        "over_peer": middle_of["all"] / middle_of["peer"],
        "memory_a_row": most / rows,
    }


def main() -> int:
    """Measure, print, and exit 1 where a bound is broken."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=3_000_000)
    parser.add_argument("--json", action="store_true")
    given = parser.parse_args()
    found = measure(given.rows)
    if given.json:
        print(json.dumps(found))
    else:
        for name, value in found.items():
            print(f"{name:>16}  {value}")
    return int(found["rows_a_second"] < LEAST_ROWS or found["memory_a_row"] > MOST_BYTES)


if __name__ == "__main__":
    sys.exit(main())
