"""Feeding Keras from the files of a run, and asking what came of it: beside tensors in memory, and the bare runtime.

    python -m bench.keras_feeding [--rows N] [--rounds N] [--quick] [--json]

- feeding: rows a second of the same model, fitted from checked Parquet row groups, shuffled, beside `fit(x, y)` of the
  same rows as arrays in memory, which Keras shuffles: at least 0.8 ×; and beside batches made before, unshuffled
- memory: how much more a fit of four times the rows needs: the rows of the window are not in it
- one row: transform and prediction in process beside the runtime's own call on prepared arrays: at most 3 ×
Each round times both in turn; a ratio is the median of the rounds' ratios. The first epoch, in which TensorFlow traces,
is left out.
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import polars as pl
from bench.features import TYPES, data, fitted, twenty

from ninetyfive.engines.local import LocalEngine
from ninetyfive.features.encoding import LABEL
from ninetyfive.features.frames import scalars
from ninetyfive.features.recording import col
from ninetyfive.features.transform import Transform
from ninetyfive.models import keras as adapter
from ninetyfive.models.keras_inputs import matrix_model
from ninetyfive.models.keras_training import Epochs, Fit, dataset
from ninetyfive.models.onnx import OnnxPredictor
from ninetyfive.models.seeding import import_keras, import_tensorflow, seeded
from ninetyfive.models.training import fit_streamed, with_columns
from ninetyfive.plan import Part, Read, Write
from ninetyfive.sources.spans import part_of
from ninetyfive.steps.streaming import open_stream
from ninetyfive.timing import call_seconds

BOUNDS = {"feeding": 0.8, "one row": 3.0}
BATCH = 512
COLUMNS = 16
GROUP = 131_072
"""Rows of a file, one row group each."""


@dataclass(frozen=True)
class Drawn:
    """A reader that draws its rows: numbers, an index, and a label that depends on them."""

    def count(self, part: Part) -> int:  # noqa: ARG002
        """One chunk a part."""
        return 1

    def read(
        self,
        part: Part,
        first: int = 0,  # noqa: ARG002
        last: int | None = None,  # noqa: ARG002
        columns: tuple[str, ...] | None = None,  # noqa: ARG002
    ) -> Iterator[pl.DataFrame]:
        """The rows of the part's number."""
        draw = np.random.default_rng(int(part.url))
        x = draw.normal(size=(GROUP, COLUMNS)).astype(np.float32)
        x[:, 0] = draw.integers(0, 300, GROUP)
        frame = pl.DataFrame(x, schema=[f"c{number}" for number in range(COLUMNS)])
        yield frame.with_columns((pl.col("c1") + pl.col("c2") > pl.col("c0") / 150 - 1).alias(LABEL))


def files(rows: int, folder: Path) -> list[Part]:
    """Rows written by a `Write` node, as those of training are."""
    parts = tuple(Part(f"{number:064x}", str(number)) for number in range(-(-rows // GROUP)))
    made = LocalEngine(2).run({"rows": Write(Read(parts, Drawn()), str(folder / "rows"))})
    return [part_of(written) for written in made["rows"]]


def model(params: dict[str, Any]) -> Any:  # noqa: ARG001
    """A small wide and deep model."""
    keras = import_keras()
    index, numbers = keras.Input((1,), name="c0", dtype="int32"), keras.Input((COLUMNS - 1,), name="numbers")
    embedded = keras.layers.Flatten()(keras.layers.Embedding(300, 8)(index))
    hidden = keras.layers.Dense(64, activation="relu")(keras.layers.Concatenate()([embedded, numbers]))
    output = keras.layers.Dense(1, activation="sigmoid")(keras.layers.Dense(32, activation="relu")(hidden))
    made = keras.Model([index, numbers], output)
    made.compile("adam", loss="binary_crossentropy")
    return made


def matrix(names: tuple[str, ...]) -> Any:
    """The model of one matrix, compiled."""
    made = matrix_model(model({}), names, "bench")
    made.compile("adam", loss="binary_crossentropy")
    return made


def feeding(rows: int, rounds: int) -> dict[str, Any]:
    """Rows a second from files and from tensors, in turn."""
    tensorflow = import_tensorflow()
    with tempfile.TemporaryDirectory() as place, seeded(95):
        stream, _, _ = open_stream(files(rows, Path(place)), "binary", "bench")
        epochs = Epochs(stream, Fit(batch_size=BATCH, validation_split=0.0), 95, None)
        read = [stream.read(block) for block in range(len(stream.blocks))]
        x, y = np.concatenate([one for one, _ in read]), np.concatenate([one for _, one in read]).astype(np.float32)
        whole = [x[start : start + BATCH] for start in range(0, len(x), BATCH)]
        ready = tensorflow.data.Dataset.from_tensor_slices(
            (np.stack(whole[:-1]), y[: (len(whole) - 1) * BATCH].reshape(-1, BATCH))
        )
        feeds = {"files": (dataset(tensorflow, epochs),), "arrays": (x, y), "batches made before": (ready,)}
        fits = {name: matrix(stream.columns) for name in feeds}
        seconds: dict[str, list[float]] = {name: [] for name in feeds}
        for turn in range(rounds + 1):
            epochs.epoch = turn
            for name, feed in feeds.items():
                start = time.perf_counter()
                fits[name].fit(*feed, batch_size=BATCH if len(feed) > 1 else None, verbose=0, shuffle=len(feed) > 1)
                if turn:
                    seconds[name].append(time.perf_counter() - start)
    rates = {name: len(x) / median(took) for name, took in seconds.items()}
    ratios = {
        name: median(b / a for a, b in zip(seconds["files"], seconds[name], strict=True))
        for name in ("arrays", "batches made before")
    }
    return {"rows": len(x), "rows a second": rates, "ratio": ratios["arrays"], "ratio to made before": ratios}


def peak(rows: int) -> int:
    """The most memory that a process needs to fit so many rows from files, in bytes."""
    words = [sys.executable, "-m", "bench.keras_feeding", "--only-fit", str(rows)]
    return int(subprocess.run(words, capture_output=True, text=True, check=True).stdout.splitlines()[-1])


def only_fit(rows: int) -> None:
    """Fit once, and print the most memory that it took."""
    with tempfile.TemporaryDirectory() as place:
        parts = files(GROUP, Path(place)) * (rows // GROUP)  # the same file again: writing is not what is measured
        stream, x, y = open_stream(parts, "binary", "bench")
        fit_streamed(model, stream, (x, y), with_columns({"epochs": 1, "batch_size": BATCH}, x.columns, None), 95)
    print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024))


def one_row() -> dict[str, Any]:
    """Transform and prediction of a row, beside the runtime's own call on an array that is there."""
    features = {name: one for name, one in twenty().items() if name not in ("age", "room", "pressure", "temp")}
    features |= {"age": (2013 - col("built")).fill_mean(), "pressure": col("pressure").fill_mean().zscore()}
    frame = data(2_000)
    transform: Transform = fitted(features, frame)
    width = len(transform.columns)
    with seeded(95):
        keras = import_keras()
        dense = [keras.layers.Dense(32, activation="relu"), keras.layers.Dense(1, activation="sigmoid")]
        made = matrix_model(keras.Sequential([keras.Input((width,)), *dense]), transform.columns, "bench")
    exported = adapter.export(made, transform.columns, "binary", ())
    predictor = OnnxPredictor(exported)
    session = predictor._open().session
    row = scalars(frame[7:8], TYPES)[0]
    made_of, alone = transform.rows(), predictor.alone()
    array = np.array([made_of(row)], dtype=np.float32)
    ours = call_seconds(lambda: alone(made_of(row)), 2_000, 1.0)
    bare = call_seconds(lambda: session.run(["prediction"], {"x": array}), 2_000, 1.0)
    return {"ours": ours, "bare": bare, "ratio": ours / bare}


def main() -> int:
    """Measure, print, and 1 where a bound is broken."""
    words = argparse.ArgumentParser(description="Feeding Keras from files, and asking what came of it.")
    words.add_argument("--rows", type=int, default=8 * GROUP)
    words.add_argument("--rounds", type=int, default=5)
    words.add_argument("--quick", action="store_true", help="few rows, two rounds, no memory")
    words.add_argument("--only-fit", type=int, help=argparse.SUPPRESS)
    words.add_argument("--json", action="store_true")
    asked = words.parse_args()
    if asked.only_fit:
        only_fit(asked.only_fit)
        return 0
    found: dict[str, Any] = {
        "feeding": feeding(2 * GROUP if asked.quick else asked.rows, 2 if asked.quick else asked.rounds),
        "one row": one_row(),
    }
    if not asked.quick:
        small, large = peak(4 * GROUP), peak(16 * GROUP)
        found["memory"] = {"small": small, "large": large, "grew": large - small}
    broken = [
        name
        for name, holds in (
            ("feeding", found["feeding"]["ratio"] >= BOUNDS["feeding"]),
            ("one row", found["one row"]["ratio"] <= BOUNDS["one row"]),
        )
        if not holds
    ]
    if asked.json:
        print(json.dumps({**found, "broken": broken}))
        return 1 if broken else 0
    for name, rate in found["feeding"]["rows a second"].items():
        print(f"feeding   from {name}: {rate:,.0f} rows/s")
    print(f"          ratio {found['feeding']['ratio']:.2f} (at least {BOUNDS['feeding']})")
    one = found["one row"]
    print(f"one row   {one['ours'] * 1e6:.1f} µs, bare {one['bare'] * 1e6:.1f}: {one['ratio']:.2f} × (at most 3)")
    if "memory" in found:
        memory = found["memory"]
        print(
            f"memory    {4 * GROUP:,} rows {memory['small'] / 1e6:,.0f} MB, {16 * GROUP:,} rows "
            f"{memory['large'] / 1e6:,.0f} MB"
        )
    for name in broken:
        print(f"broken: {name}")
    return 1 if broken else 0


if __name__ == "__main__":
    sys.exit(main())
