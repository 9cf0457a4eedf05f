"""Peak memory of the steps up to apply on a 5 M × 20 Parquet file, and of Polars' streaming engine doing the same.

    python -m bench.memory [--rows N] [--folder F] [--json]

Ours, in a fresh process with 2 threads: one job that reads the file, maps it, writes it as a span, makes its statistics
and finds repeated ids, then one job that reads the span without the repeated rows, maps it and writes it.
Polars: `scan_parquet → with_columns → sink_parquet`, once for each job, with null counts, means, approximate distinct
counts and repeated ids as streaming queries. It makes no checksums and reads back without verifying any.
The bound: our process never holds more than 2 GiB.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

import polars as pl
from bench.statistics import ROOT, SEED, make

BOUND = 2 << 30
IDS = ("id", "key")


@dataclass(frozen=True, slots=True)
class Features:
    """A map like that of apply: all columns kept, four made."""

    def __call__(self, frame: pl.DataFrame) -> pl.DataFrame:
        return frame.with_columns(made())


def made() -> list[pl.Expr]:
    """The columns that are made."""
    return [
        (pl.col("normal") * 2 + pl.col("lognormal").log1p()).alias("sum"),
        pl.col("at").dt.hour().cast(pl.Int64).alias("hour"),
        (pl.col("city") + "-" + pl.col("carrier")).alias("pair"),
        pl.col("gappy").fill_null(0.0).clip(0, 20).alias("filled"),
    ]


def ours(path: Path, folder: Path) -> None:
    """Both jobs on the local engine."""
    from ninetyfive.engines.local import LocalEngine
    from ninetyfive.plan import POSITION, SPAN, Map, Part, Read, Reduce, Write, result_of
    from ninetyfive.reducers.statistics import Statistics
    from ninetyfive.relations import repeated_ids, rows_of
    from ninetyfive.schema import logical_type
    from ninetyfive.sources.readers import ParquetReader
    from ninetyfive.sources.spans import SpanReader, part_of

    engine = LocalEngine(threads=2)
    types = dict(pl.read_parquet_schema(path))
    features = tuple(pl.DataFrame(schema=types).lazy().with_columns(made()).collect_schema().items())
    part = Part("source", str(path), (("size", path.stat().st_size),))
    read = Read((part,), ParquetReader(), position=True)
    rows = rows_of(read, {**types, SPAN: pl.String(), POSITION: pl.Int64()})
    statistics = Statistics(tuple((name, str(logical_type(dtype))) for name, dtype in types.items()))
    found = engine.run(
        {
            "good": Write(rows_of(rows, types), str(folder / "good")),
            "statistics": Reduce(rows, statistics),
            "repeated": repeated_ids([rows], {name: types[name] for name in IDS}),
        }
    )
    assert found["repeated"].is_empty()
    result_of(statistics, found["statistics"])
    spans = Read(tuple(part_of(file) for file in found["good"]), SpanReader())
    engine.run({"features": Write(Map(spans, Features(), features), str(folder / "features"))})


def polars(path: Path, folder: Path) -> None:
    """The same with Polars' streaming engine."""
    frame = pl.scan_parquet(path)
    names = frame.collect_schema().names()
    frame.sink_parquet(folder / "good.parquet", compression="zstd", compression_level=1)
    every = pl.all()
    frame.select(
        every.null_count().name.suffix(" nulls"),
        every.approx_n_unique().name.suffix(" distinct"),
        every.min().name.suffix(" min"),
        every.max().name.suffix(" max"),
        pl.col(pl.Float64).mean().name.suffix(" mean"),
    ).collect(engine="streaming")
    ids = frame.group_by(IDS).agg(pl.len(), pl.struct(names).hash().first().alias("content")).filter(pl.col("len") > 1)
    assert ids.collect(engine="streaming").is_empty()
    features = pl.scan_parquet(folder / "good.parquet").with_columns(made())
    features.sink_parquet(folder / "features.parquet", compression="zstd", compression_level=1)


def child(who: str, path: Path) -> None:
    """Do the work of `who` and print what it took."""
    started = time.perf_counter()
    with tempfile.TemporaryDirectory(dir=path.parent) as folder:
        {"ours": ours, "polars": polars}[who](path, Path(folder))
    usage = resource.getrusage(resource.RUSAGE_SELF)
    unit = 1 if sys.platform == "darwin" else 1024
    print(
        json.dumps(
            {
                "peak": usage.ru_maxrss * unit,
                "cpu": usage.ru_utime + usage.ru_stime,
                "seconds": time.perf_counter() - started,
            }
        )
    )


def main() -> int:
    """Measure and print; 1 where the bound does not hold."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--rows", type=int, default=5_000_000)
    parser.add_argument("--folder", type=Path, default=Path(tempfile.gettempdir()) / "ninetyfive-bench")
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--child", nargs=2, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.child:
        child(options.child[0], Path(options.child[1]))
        return 0
    path = options.folder / f"statistics-{options.rows}-{SEED}.parquet"
    if not path.exists():
        make(path, options.rows)
    figures = {}
    for who in ("ours", "polars"):
        command = [sys.executable, "-m", "bench.memory", "--child", who, str(path)]
        done = subprocess.run(
            command,
            cwd=ROOT,
            check=True,
            stdout=subprocess.PIPE,
            text=True,
            env={**os.environ, "POLARS_MAX_THREADS": "2"},
        )
        figures[who] = json.loads(done.stdout)
    if options.json:
        print(json.dumps({"rows": options.rows, "bound": BOUND, **figures}))
    else:
        print(f"steps up to apply on {options.rows:,} rows × 20 columns")
        for who, taken in figures.items():
            print(
                f"  {who:<8} peak {taken['peak'] / (1 << 20):7,.0f} MiB"
                f"   CPU {taken['cpu']:6.1f} s   time {taken['seconds']:6.1f} s"
            )
        print(f"  bound    peak {BOUND / (1 << 20):7,.0f} MiB (ours)")
    return 1 if figures["ours"]["peak"] > BOUND else 0


if __name__ == "__main__":
    sys.exit(main())
