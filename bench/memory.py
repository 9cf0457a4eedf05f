"""Peak memory of the steps up to apply on a 5 M × 20 Parquet file, and of Polars' streaming engine doing the same.

    python -m bench.memory [--rows N] [--folder F] [--json]

Ours, in a fresh process with 2 threads: a new project over the file, `run` from ingest (schema, statistics, repeated
ids) to apply; the model function then raises, so that no training counts, but loading the training rows does.
Polars: `scan_parquet → with_columns → sink_parquet`, once for ingest and once for apply, with null counts, means,
approximate distinct counts and repeated ids as streaming queries; no checksums, and nothing is verified or kept.
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
from pathlib import Path

import polars as pl
from bench.statistics import ROOT, SEED, make

BOUND = 2 << 30
IDS = ("id", "key")


def made() -> list[pl.Expr]:
    """The columns that are made."""
    return [
        (pl.col("normal") * 2 + pl.col("lognormal").log1p()).alias("sum"),
        pl.col("at").dt.hour().cast(pl.Int64).alias("hour"),
        (pl.col("city") + "-" + pl.col("carrier")).alias("pair"),
        pl.col("gappy").fill_null(0.0).clip(0, 20).alias("filled"),
    ]


class TrainingReached(Exception):
    """Raised by the model function: all that is measured is done."""


def ours(path: Path, folder: Path) -> None:
    """A new project over the file, until it would train."""
    import ninetyfive as nf
    from ninetyfive import col
    from ninetyfive.errors import ModelError

    os.environ["NINETYFIVE_STORE"] = str(folder / "store")
    os.environ["NINETYFIVE_ENGINES_LOCAL_THREADS"] = "2"
    os.chdir(folder)
    system = nf.System(
        "memory",
        source=nf.parquet(str(path), time="at", id=IDS),
        label=col("normal") > 0.5,
        features={
            "sum": col("lognormal").log1p().zscore() + col("gappy").fill_mean(),
            "hour": col("at").hour(),
            "pair": (col("city") + "-" + col("carrier")).vocabulary(top=1000),
            "filled": col("gappy").fill_null(0.0).clip(0.0, 20.0).quantile_bins(10),
        },
    )
    system.origin = None  # schema.toml goes into the working folder, not beside this file

    @system.model
    def model(x: pl.DataFrame, y: object, params: object) -> None:
        raise TrainingReached(f"{x.height} rows, {type(y).__name__}, {params}")

    try:
        system.run()
    except ModelError as error:
        if not isinstance(error.__cause__, TrainingReached):
            raise


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
