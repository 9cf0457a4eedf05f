"""What the engines cost: ten features and all statistics on each, beside the same engine's own plain pass.

    python -m bench.engines [--engines local,spark,beam] [--rows N,N,…] [--rounds N] [--folder F] [--quick] [--json]

Spans of a million rows × 12 columns, written by a `Write`. One fresh process per engine and row count, warmed up by a
small job; CPU is user and system time of its whole process tree (driver, JVM, Python workers), the least of the rounds.
- map: `Read` → `Map` of ten fitted features, which read ten columns → `Write`; all files are hashed, all reads checked
- statistics: `Read` → `Reduce` by `Statistics` of all columns
- identity: the ten columns read from Parquet, each batch through a function that returns it, ten columns written (zstd
  1), as the engine itself does it: Polars' streaming; Spark's `mapInArrow`; Beam's batched Parquet source and sink
- driver: peak resident memory of the driver process after its first map and statistics; the workers of the local
  engine and of Beam's own runner are threads of the driver, so theirs is in it
The engines' files and states are checked equal, byte for byte, before anything is printed. The bounds:
- spark, beam: map at most 1.3 × identity; statistics at most 1.5 × those of the local engine + identity; driver at the
  most rows at most 1.1 × that at the fewest + 50 MiB
- local: driver at most 2 GiB
- every engine, map and statistics: the least-squares line a + b × rows is at most 15 % off (three row counts or more)
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq

from ninetyfive.features.fitting import Fitting
from ninetyfive.features.recording import Expr, col
from ninetyfive.features.transform import Transform
from ninetyfive.plan import CHUNK_ROWS, Engine, Map, Part, Read, Reduce, Write, WrittenFile, merge_states
from ninetyfive.reducers.statistics import Statistics
from ninetyfive.sources.spans import SpanReader, part_of

ROOT = Path(__file__).parents[1]
ENGINES = ("local", "spark", "beam")
ROWS, QUICK = (2_000_000, 5_000_000, 10_000_000), (300_000, 600_000)
SEED = 95
SPAN_ROWS = 1_000_000
WARM_ROWS = 100_000
MAP, STATISTICS, RESIDUAL = 1.3, 1.5, 0.15
DRIVER, DRIVER_MORE, LOCAL_PEAK = 1.1, 50 << 20, 2 << 30
PASSES = ("identity", "map", "statistics")
TYPES = {
    "at": "timestamp[UTC]",
    **dict.fromkeys(("carrier", "tailnum", "origin", "dest"), "string"),
    **dict.fromkeys(("id", "seats"), "integer"),
    **dict.fromkeys(("distance", "temp", "wind", "gust", "delay"), "number"),
}
ALL = Statistics(tuple(TYPES.items()))
Plain = Callable[[Path, list[str], Path], object]


def features() -> dict[str, Expr]:
    """Ten features; together they read all columns but `id` and `tailnum`."""
    return {
        "hour": col("at").hour(),
        "carrier": col("carrier").vocabulary(),
        "origin": col("origin").vocabulary(),
        "route": (col("origin") + "-" + col("dest")).vocabulary(top=300),
        "distance": col("distance").log1p(),
        "temp": col("temp").fill_mean().zscore(),
        "wind": col("wind").fill_mean().quantile_bins(10),
        "gust": col("gust").fill_null(0.0).clip(low=0.0, high=60.0),
        "room": col("seats") / (col("distance") + 1.0),
        "late": col("delay") > 15.0,
    }


@dataclass(frozen=True, slots=True)
class Drawn:
    """A `Reader` of rows as flights look, drawn anew for each chunk from a seed of its own."""

    def count(self, part: Part) -> int:
        """How many chunks the part has."""
        return len(part.rows or ())

    def read(self, part: Part, first: int = 0, last: int | None = None, _: object = None) -> Iterator[pl.DataFrame]:
        """The chunks `first` to `last`, all columns."""
        for chunk in range(self.count(part))[first:last]:
            yield drawn(int(part.span), chunk, (part.rows or ())[chunk])


def drawn(span: int, chunk: int, rows: int) -> pl.DataFrame:
    """One chunk of a span."""
    rng = np.random.default_rng([SEED, span, chunk])
    start = span * SPAN_ROWS + chunk * CHUNK_ROWS

    def holes(values: Any, share: float) -> pl.Series:
        return pl.Series(values).set(pl.Series(rng.random(rows) < share), None)

    def words(names: list[str], share: float = 0.02) -> pl.Series:
        return holes(pl.Series(names).gather(rng.integers(0, len(names), rows)), share)

    airports = [f"{a}{b}{c}" for a in "ABCDE" for b in "KLMNO" for c in "XYZW"]
    at = (np.arange(start, start + rows) * 2 + rng.integers(0, 600, rows)) * 1_000_000
    return pl.DataFrame(
        {
            "id": np.arange(start, start + rows),
            "at": pl.Series(1_356_998_400_000_000 + at).cast(pl.Datetime("us", "UTC")),
            "carrier": words(["UA", "B6", "EV", "DL", "AA", "MQ", "US", "9E", "WN", "VX", "FL", "AS", "F9", "YV"]),
            "tailnum": words([f"N{number}UA" for number in range(4000)]),
            "origin": words(["EWR", "JFK", "LGA"]),
            "dest": words(airports),
            "distance": holes(rng.integers(80, 4900, rows).astype(np.float64), 0.03),
            "temp": holes(np.where(rng.random(rows) < 0.01, np.nan, np.round(rng.normal(55, 18, rows), 1)), 0.03),
            "wind": holes(np.round(rng.gamma(4, 2.5, rows), 2), 0.05),
            "gust": holes(np.round(rng.gamma(16, 1.6, rows), 2), 0.7),
            "seats": holes(rng.integers(2, 450, rows), 0.05),
            "delay": holes(np.round(rng.exponential(30, rows) - 20), 0.02),
        }
    )


class Data(msgspec.Struct, frozen=True):
    """The spans of one row count, and the transform fitted on them, as JSON."""

    files: tuple[WrittenFile, ...]
    transform: str


def place_of(folder: Path, rows: int) -> Path:
    """Where the data of a row count lie."""
    return folder / f"engines-{rows}-{SEED}"


def data_of(folder: Path, rows: int) -> Data:
    """The data of a row count, made where they are not there yet."""
    kept = place_of(folder, rows) / "data.json"
    if not kept.exists():
        make(kept.parent, rows)
    return msgspec.json.decode(kept.read_bytes(), type=Data)


def make(place: Path, rows: int) -> None:
    """Draw and write the spans, two at least, and fit the features on them."""
    from ninetyfive.engines.local import LocalEngine

    shutil.rmtree(place, ignore_errors=True)
    engine, parts, size = LocalEngine(threads=2), [], min(SPAN_ROWS, -(-rows // 2))
    for span in range(-(-rows // size)):
        height = min(size, rows - span * size)
        chunks = tuple(min(CHUNK_ROWS, height - start) for start in range(0, height, CHUNK_ROWS))
        parts.append(Part(f"{span:04}", "drawn", rows=chunks))
    files = engine.run({"files": Write(Read(tuple(parts), Drawn()), str(place / "spans"))})["files"]
    fitting = Fitting(features(), TYPES)
    read = Read(tuple(map(part_of, files)), SpanReader())
    while (phase := fitting.phase()) is not None:
        columns = Map(read, phase.function, phase.output)
        found = engine.run({name: Reduce(columns, reducer) for name, reducer in phase.reducers.items()})
        fitting.advance({name: merge_states(reducer, found[name]) for name, reducer in phase.reducers.items()})
    attempt = place / "data.attempt"
    attempt.write_bytes(msgspec.json.encode(Data(files, fitting.transform().to_json())))
    attempt.rename(place / "data.json")


class Tree:
    """CPU seconds of this process and all below it, those that have ended among them.

    A process that ends is in its parent's times, unless its parent ignores SIGCHLD, as the one that starts Spark's
    workers does: of such a process what was last seen of it counts, and a thread looks every second.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._seen: dict[tuple[int, int], tuple[float, bool]] = {}
        self._lost = 0.0
        self._tick = 1 / os.sysconf("SC_CLK_TCK")
        threading.Thread(target=self._watch, daemon=True).start()

    def spent(self) -> float:
        """CPU seconds since the beginning."""
        with self._lock:
            found = self._found()
            self._lost += sum(spent for key, (spent, lost) in self._seen.items() if lost and key not in found)
            self._seen = found
            return self._lost + sum(spent for spent, _ in found.values())

    def _watch(self) -> None:
        while True:
            time.sleep(1.0)
            self.spent()

    def _found(self) -> dict[tuple[int, int], tuple[float, bool]]:
        """(process, its start) → its CPU seconds, whether they are lost when it ends."""
        texts = {int(name): text_of(name, "stat") for name in os.listdir("/proc") if name.isdigit()}
        stats = {process: text.rpartition(")")[2].split() for process, text in texts.items() if text}
        below: dict[int, list[int]] = {}
        for process, fields in stats.items():
            below.setdefault(int(fields[1]), []).append(process)
        found, waiting = {}, [os.getpid()]
        while waiting:
            process = waiting.pop()
            fields = stats[process]  # from the state on: 1 is the parent, 11 to 14 the times, 19 the start
            ignored = int(status_of(fields[1], "SigIgn"), 16) >> (signal.SIGCHLD - 1)
            lost = process != os.getpid() and ignored % 2 == 1
            found[process, int(fields[19])] = sum(map(int, fields[11:15])) * self._tick, lost
            waiting += below.get(process, [])
        return found


def text_of(process: str, file: str) -> str:
    """A file of /proc/<process>; empty where the process is gone."""
    try:
        return Path(f"/proc/{process}/{file}").read_text()
    except OSError:
        return ""


def status_of(process: str, name: str) -> str:
    """A field of /proc/<process>/status; "0" where the process is gone."""
    found = (line.split()[1] for line in text_of(process, "status").splitlines() if line.startswith(f"{name}:"))
    return next(found, "0")


def same(batch: Any) -> Any:
    """What the plain passes do to a batch."""
    return batch


def local() -> tuple[Engine, Plain]:
    """The local engine and its plain pass: Polars' own streaming, which takes less than pyarrow on threads."""
    from ninetyfive.engines.local import LocalEngine

    def plain(source: Path, names: list[str], target: Path) -> None:
        frame = pl.scan_parquet(source / "*.parquet").select(names).map_batches(same, streamable=True)
        frame.sink_parquet(target / "plain.parquet", compression="zstd", compression_level=1, statistics=False)

    return LocalEngine(threads=2), plain


def spark() -> tuple[Engine, Plain]:
    """Spark and its plain pass, in one session."""
    from ninetyfive.engines.spark import SparkEngine

    engine = SparkEngine(master="local[2]")

    def plain(source: Path, names: list[str], target: Path) -> None:
        frame = engine.session.read.parquet(str(source)).select(*names)
        writer = frame.mapInArrow(same, frame.schema).write.mode("append")
        writer.option("parquet.compression.codec.zstd.level", 1).parquet(str(target), compression="zstd")

    return engine, plain


def beam() -> tuple[Engine, Plain]:
    """Beam and its plain pass, on one runner; pyarrow's zstd has level 1 where none is said."""
    import apache_beam as beam
    from apache_beam.options.pipeline_options import PipelineOptions

    from ninetyfive.engines.beam import RUNNER, BeamEngine

    def plain(source: Path, names: list[str], target: Path) -> None:
        schema = pa.schema(map(pq.read_schema(next(source.glob("*.parquet"))).field, names))
        with beam.Pipeline(options=PipelineOptions.from_dictionary({"runner": RUNNER})) as pipeline:
            read = beam.io.ReadFromParquetBatched(str(source / "*.parquet"), columns=names)
            write = beam.io.WriteToParquetBatched(f"{target}/plain", schema, "zstd", file_name_suffix=".parquet")
            _ = pipeline | read | beam.Map(same) | write

    return BeamEngine(), plain


def passes(engine: Engine, plain: Plain, folder: Path, rows: int) -> dict[str, Any]:
    """Each pass over the data of a row count: a function of an empty folder. Ours come first, for the driver's peak."""
    data = data_of(folder, rows)
    transform = Transform.from_json(data.transform)
    names, parts = tuple(transform.inputs), tuple(map(part_of, data.files))
    mapped = Map(Read(parts, SpanReader(), names), transform.frames(), transform.output)
    reduced = Reduce(Read(parts, SpanReader(), tuple(TYPES)), ALL)
    return {
        "map": lambda target: engine.run({"map": Write(mapped, str(target))})["map"],
        "statistics": lambda _: engine.run({"statistics": reduced})["statistics"],
        "identity": lambda target: plain(place_of(folder, rows) / "spans", list(names), target),
    }


def result_of(kind: str, found: Any, target: Path) -> dict[str, str]:
    """What has to be equal on every engine: the hash of each file or state by span; rows written by a plain pass."""
    if kind == "map":
        return {file.span: file.sha256 for file in found}
    if kind == "statistics":
        return {span: hashlib.sha256(ALL.encode(state)).hexdigest() for span, state in found.items()}
    return {"rows": str(sum(pq.read_metadata(path).num_rows for path in target.rglob("*.parquet")))}


def child(name: str, rows: int, rounds: int, folder: Path) -> dict[str, Any]:
    """Seconds and results of each round of each pass on one engine, warmed up; peaks of this process."""
    engine, plain = {"local": local, "spark": spark, "beam": beam}[name]()
    tree, driver = Tree(), "0"
    seconds: dict[str, list[tuple[float, float]]] = {kind: [] for kind in PASSES}
    results: list[dict[str, dict[str, str]]] = []
    for number in range(rounds + 1):
        results.append({})
        for kind, run in passes(engine, plain, folder, rows if number else WARM_ROWS).items():
            if number == 1 and kind == "identity":
                driver = status_of("self", "VmHWM")
            with tempfile.TemporaryDirectory(dir=folder) as target:
                spent, started = tree.spent(), time.perf_counter()
                found = run(Path(target))
                seconds[kind].append((tree.spent() - spent, time.perf_counter() - started))
                results[-1][kind] = result_of(kind, found, Path(target))
    peaks = {"driver": int(driver) << 10, "process": int(status_of("self", "VmHWM")) << 10}
    return {"seconds": {kind: taken[1:] for kind, taken in seconds.items()}, "results": results[1:], **peaks}


def measured(name: str, rows: int, rounds: int, folder: Path) -> dict[str, Any]:
    """What a fresh process says of one engine and row count."""
    command = [sys.executable, "-m", "bench.engines", "--child", name, "--rows", str(rows), "--rounds", str(rounds)]
    environment = os.environ | ({"POLARS_MAX_THREADS": "2"} if name == "local" else {})
    command += ["--folder", str(folder)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, env=environment, check=False)
    if done.returncode:
        raise SystemExit(f"{name}, {rows:,} rows: exit code {done.returncode}\n{done.stderr[-4000:]}")
    answer: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return answer


def differences(found: Mapping[str, dict[str, Any]], rows: int) -> Iterator[str]:
    """Where an engine's results are not those of the first engine's first round, for one row count."""
    first, *_ = found
    truth = found[first]["results"][0] | {"identity": {"rows": str(rows)}}
    for name, answer in found.items():
        for number, results in enumerate(answer["results"], 1):
            for kind in PASSES:
                odd = [key for key in truth[kind] | results[kind] if truth[kind].get(key) != results[kind].get(key)]
                if odd:
                    yield f"{name}, {rows:,} rows, round {number}, {kind}: {', '.join(odd[:3])} differ from {first}"


class Bound(msgspec.Struct, frozen=True):
    """A figure beside its bound; `of` is a pass, "driver", or "line of" a pass."""

    engine: str
    rows: int
    of: str
    value: float
    limit: float
    text: str

    @property
    def held(self) -> bool:
        """Whether the figure is within."""
        return self.value <= self.limit


def judged(figures: Mapping[str, dict[int, dict[str, Any]]]) -> Iterator[Bound]:
    """Every bound that these engines and row counts have."""
    for name, counts in figures.items():
        fewest, most = min(counts), max(counts)
        for rows, figure in counts.items() if name != "local" else ():
            floor, mapped, reduced = (figure[kind]["cpu"] for kind in PASSES)
            ratio = mapped / floor
            yield Bound(name, rows, "map", ratio, MAP, f"{ratio:.2f} × identity, at most {MAP}")
            if "local" in figures:
                limit = STATISTICS * figures["local"][rows]["statistics"]["cpu"] + floor
                yield Bound(name, rows, "statistics", reduced, limit, f"at most {limit:.2f} s")
        limit = LOCAL_PEAK if name == "local" else DRIVER * counts[fewest]["driver"] + DRIVER_MORE
        if name == "local" or most > fewest:
            yield Bound(name, most, "driver", counts[most]["driver"], limit, f"at most {limit / (1 << 20):,.0f} MiB")
        for kind in PASSES[1:] if len(counts) > 2 else ():
            x, y = np.array(list(counts)) / 1e6, np.array([figure[kind]["cpu"] for figure in counts.values()])
            b, a = np.polyfit(x, y, 1)
            off = float(max(abs(a + b * x - y) / y))
            text = f"{a:.2f} s + {b:.3f} s per million rows, {off:.0%} off at most, bound {RESIDUAL:.0%}"
            yield Bound(name, most, f"line of {kind}", off, RESIDUAL, text)


def show(figures: Mapping[str, dict[int, dict[str, Any]]], bounds: list[Bound]) -> None:
    """Print every figure, its bound beside it."""
    beside = {(one.engine, one.rows, one.of): f"{one.text}: {'ok' if one.held else 'BROKEN'}" for one in bounds}
    print(f"{'engine':7}{'rows':>11}  {'':11}{'CPU s':>7}{'wall s':>8}{'rows/CPU s':>12}{'rows/s':>12}")
    for name, counts in figures.items():
        for rows, figure in counts.items():
            for kind in PASSES:
                cpu, wall = figure[kind]["cpu"], figure[kind]["wall"]
                line = f"{name:7}{rows:11,}  {kind:11}{cpu:7.2f}{wall:8.2f}{rows / cpu:12,.0f}{rows / wall:12,.0f}"
                print(f"{line}  {beside.get((name, rows, kind), '')}".rstrip())
            driver, process = (f"{figure[of] / (1 << 20):,.0f} MiB" for of in ("driver", "process"))
            line = f"{name:7}{rows:11,}  {'driver':11}{driver:>15}   after identity {process:>9}"
            print(f"{line}  {beside.get((name, rows, 'driver'), '')}".rstrip())
        for kind in PASSES:
            if text := beside.get((name, max(counts), f"line of {kind}")):
                print(f"{name:7}{'':11}  {kind:11}{text}")


def engines(text: str) -> list[str]:
    """The engines of a list with commas."""
    return [ENGINES[ENGINES.index(name)] for name in text.split(",")]


def main() -> int:
    """Measure, check, print; 1 where a bound does not hold or results differ, 2 where there is no /proc."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--engines", type=engines, default=list(ENGINES), help="of local,spark,beam; default: all")
    parser.add_argument("--rows", help="row counts, with commas; default: 2, 5 and 10 million")
    parser.add_argument("--rounds", type=int, default=1)
    parser.add_argument("--folder", type=Path, default=Path(tempfile.gettempdir(), "ninetyfive-bench"))
    parser.add_argument("--quick", action="store_true", help="300,000 and 600,000 rows")
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--child", choices=ENGINES, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if not Path("/proc/self/stat").exists():
        print("bench.engines reads CPU times and peaks from /proc, which this system does not have", file=sys.stderr)
        return 2
    default, folder = QUICK if options.quick else ROWS, options.folder.resolve()
    counts = sorted({int(word) for word in options.rows.split(",")}) if options.rows else default
    if options.child:
        print(json.dumps(child(options.child, counts[0], options.rounds, folder)))
        return 0
    figures: dict[str, dict[int, dict[str, Any]]] = {name: {} for name in options.engines}
    data_of(folder, WARM_ROWS)
    for rows in counts:
        data_of(folder, rows)
        found = {name: measured(name, rows, options.rounds, folder) for name in options.engines}
        if mistakes := list(differences(found, rows)):
            print("\n".join(mistakes), file=sys.stderr)
            return 1
        for name, answer in found.items():
            best = {kind: [min(times) for times in zip(*answer["seconds"][kind], strict=True)] for kind in PASSES}
            figures[name][rows] = {kind: {"cpu": cpu, "wall": wall} for kind, (cpu, wall) in best.items()}
            figures[name][rows] |= {"driver": answer["driver"], "process": answer["process"]}
    bounds = list(judged(figures))
    held = all(one.held for one in bounds)
    if options.json:
        shown = [{**msgspec.to_builtins(one), "held": one.held} for one in bounds]
        print(json.dumps({"rounds": options.rounds, "figures": figures, "bounds": shown, "held": held}))
    else:
        show(figures, bounds)
    return 0 if held else 1


if __name__ == "__main__":
    sys.exit(main())
