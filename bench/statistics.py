"""Statistics of a 5 M × 20 Parquet file, ours and DuckDB's `SUMMARIZE`: CPU time of fresh processes, in turns.

    python -m bench.statistics [--rows N] [--rounds N] [--folder F] [--json]

Ours: local engine, 2 threads, `Read` of the file → `Reduce` by `Statistics` (count, nulls, NaN, min, max, mean, std,
quartiles, distinct, top 20). DuckDB: `SUMMARIZE`, 2 threads (count, nulls, min, max, mean, std, quartiles, distinct;
no top values). The bound: at most half of DuckDB's CPU. What ours answers is checked against the truth before
anything is printed.
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from statistics import median
from typing import Any

import msgspec
import numpy as np
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq

ROOT = Path(__file__).parents[1]
BOUND = 0.5
SEED = 95
GROUP = 131_072
DAY = 86_400_000_000


def chunk(rng: np.random.Generator, start: int, rows: int) -> pa.Table:
    """Rows from `start` on: ints, floats, strings, times, a flag; few and many distinct values; nulls and NaN."""

    def holes(values: Any, share: float) -> pa.Array:
        return pa.array(values, mask=rng.random(rows) < share)

    def words(prefix: str, numbers: Any) -> Any:
        return np.char.add(prefix, numbers.astype("U10"))

    moments = 1_356_998_400_000_000 + np.sort(rng.integers(0, DAY, rows)) + start // GROUP * DAY
    return pa.table(
        {
            "id": np.arange(start, start + rows),
            "small": rng.integers(0, 24, rows),
            "medium": rng.integers(0, 50_000, rows),
            "wide": rng.integers(-(2**62), 2**62, rows),
            "skewed": rng.zipf(1.3, rows) % 10**12,
            "sparse": holes(rng.integers(0, 1000, rows), 0.1),
            "normal": rng.normal(0, 1, rows),
            "lognormal": rng.lognormal(3, 1, rows),
            "rounded": np.round(rng.normal(50, 20, rows), 1),
            "gappy": holes(rng.exponential(10, rows), 0.2),
            "broken": np.where(rng.random(rows) < 0.05, np.nan, rng.random(rows)),
            "constant": np.full(rows, 1.5),
            "flag": rng.random(rows) < 0.3,
            "carrier": words("carrier-", rng.integers(0, 16, rows)),
            "city": holes(words("city-", np.minimum(rng.geometric(0.1, rows), 400)), 0.05),
            "route": words("route-", rng.integers(0, 20_000, rows)),
            "user": words("user-", rng.integers(0, 2_000_000, rows)),
            "key": np.char.mod("%016x", rng.integers(0, 2**63, rows)),
            "at": pa.array(moments, pa.timestamp("us")),
            "day": pa.array(rng.integers(15_000, 16_000, rows).astype(np.int32), pa.date32()),
        }
    )


def make(path: Path, rows: int) -> None:
    """Write the file, seeded, in row groups of one chunk each, as pyarrow writes by default."""
    rng = np.random.default_rng(SEED)
    path.parent.mkdir(parents=True, exist_ok=True)
    attempt = path.with_suffix(".attempt")
    with pq.ParquetWriter(attempt, chunk(rng, 0, 1).schema) as writer:
        for start in range(0, rows, GROUP):
            writer.write_table(chunk(rng, start, min(GROUP, rows - start)))
    attempt.rename(path)


def ours(path: Path) -> str:
    """Our statistics of the file, as JSON."""
    from ninetyfive.engines.local import LocalEngine
    from ninetyfive.plan import Part, Read, Reduce, result_of
    from ninetyfive.reducers.statistics import Statistics
    from ninetyfive.schema import logical_type
    from ninetyfive.sources.readers import ParquetReader

    schema = pl.read_parquet_schema(path)
    reducer = Statistics(tuple((name, str(logical_type(dtype))) for name, dtype in schema.items()))
    part = Part("bench", str(path), (("size", path.stat().st_size),))
    states = LocalEngine(threads=2).run({"statistics": Reduce(Read((part,), ParquetReader()), reducer)})
    return msgspec.json.encode(result_of(reducer, states["statistics"])).decode()


def peers(path: Path) -> str:
    """DuckDB's summary of the file, as JSON."""
    import duckdb

    with duckdb.connect(config={"threads": 2}) as connection:
        rows = connection.execute("SUMMARIZE SELECT * FROM read_parquet(?)", [str(path)]).fetchall()
    return json.dumps(rows, default=str)


def measured(who: str, path: Path) -> tuple[float, str]:
    """CPU seconds (user and system) and output of a fresh process."""

    def spent() -> float:
        usage = resource.getrusage(resource.RUSAGE_CHILDREN)
        return usage.ru_utime + usage.ru_stime

    before = spent()
    command = [sys.executable, "-m", "bench.statistics", "--child", who, str(path)]
    done = subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True)
    return spent() - before, done.stdout


def wrong(path: Path, answer: dict[str, Any]) -> Iterator[str]:
    """What is not true of the file in our answer, one column at a time."""
    for name, found in answer["columns"].items():
        series = pl.read_parquet(path, columns=[name])[name]
        if isinstance(series.dtype, pl.Datetime | pl.Date):
            series = series.to_physical()
        values = series.drop_nulls()
        values = values.filter(values.is_not_nan()) if values.dtype.is_float() else values
        distinct = values.n_unique()
        truth = {"nulls": series.null_count(), "nans": series.len() - series.null_count() - values.len()}
        truth |= {"min": values.min(), "max": values.max()}
        for key, value in truth.items():
            if found[key] != value:
                yield f"{name}: {key} is {found[key]}, not {value}"
        if abs(found["distinct"] - distinct) > 0.02 * distinct:
            yield f"{name}: distinct is {found['distinct']}, not within 2 % of {distinct}"
        if found["mean"] is not None:
            numbers = values.cast(pl.Float64)
            spread = numbers.std(ddof=0)
            if not np.allclose([found["mean"], found["std"]], [numbers.mean(), spread], rtol=1e-9, atol=1e-9 * spread):
                yield f"{name}: mean and std are {found['mean']} and {found['std']}, not {numbers.mean()} and {spread}"
        slack = (found["rank_error"] or 0.0) * values.len()
        for key, share in (("q25", 0.25), ("q50", 0.5), ("q75", 0.75)):
            if found[key] is not None:
                below, upto = (values < found[key]).sum(), (values <= found[key]).sum()
                if not below - slack <= share * values.len() <= upto + slack:
                    yield f"{name}: {key} has rank {below} to {upto} of {values.len()}, bound {slack}"
        counts = dict(values.value_counts(name="count").sort("count", descending=True).head(5000).iter_rows())
        for one in found["top"]:
            true = counts.get(one["value"], 0)
            if one["value"] in counts and not one["count"] <= true <= one["count"] + one["error"]:
                yield f"{name}: {one} occurs {true} times"


def main() -> int:
    """Measure, check, print; 1 where the bound or an answer does not hold."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--rows", type=int, default=5_000_000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--folder", type=Path, default=Path(tempfile.gettempdir()) / "ninetyfive-bench")
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--child", nargs=2, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.child:
        print({"ours": ours, "duckdb": peers}[options.child[0]](Path(options.child[1])))
        return 0
    path = options.folder / f"statistics-{options.rows}-{SEED}.parquet"
    if not path.exists():
        make(path, options.rows)
    times: dict[str, list[float]] = {"ours": [], "duckdb": []}
    answer: dict[str, Any] = {}
    for _ in range(options.rounds):
        for who, spent in times.items():
            seconds, output = measured(who, path)
            spent.append(seconds)
            answer = json.loads(output) if who == "ours" else answer
    mistakes = list(wrong(path, answer))
    figures = {who: median(spent) for who, spent in times.items()}
    ratio = figures["ours"] / figures["duckdb"]
    if options.json:
        report = {"rows": options.rows, "cpu_seconds": figures, "rounds": times, "ratio": ratio, "bound": BOUND}
        print(json.dumps({**report, "mistakes": mistakes}))
    else:
        print(f"statistics of {options.rows:,} × {len(answer['columns'])} in CPU seconds, median of {options.rounds}")
        for who, seconds in figures.items():
            print(f"  {who:<8} {seconds:7.2f}   ({', '.join(f'{one:.2f}' for one in times[who])})")
        print(f"  ratio    {ratio:7.2f}   (bound {BOUND})")
        print("\n".join(mistakes) or "  every answer is within its bound of the truth")
    return 1 if mistakes or ratio > BOUND else 0


if __name__ == "__main__":
    sys.exit(main())
