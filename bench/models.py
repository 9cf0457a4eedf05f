"""What serving a model costs beside the bare runtime, and what proving it costs beside training it, on flights.

    python -m bench.models [--rounds N] [--json]

- one: one row of row scalars through the compiled transform and the release's predictor, in process, beside the bare
  runtime's call on prepared arrays: `session.run` of ONNX Runtime, the framework's own predict where that serves
- proof: exporting, parity, batches, missing values and measuring, beside the fit; CPU seconds, imports apart
Each framework fits the rows and features of examples/flights/system.py. Rounds take turns; ratios are their medians.
The bounds: one at most 3 ×, proof at most 0.5 ×.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import polars as pl
from bench.flights import EXAMPLE

from ninetyfive.cli.project import load_system
from ninetyfive.features.fitting import Fitting
from ninetyfive.features.frames import scalars
from ninetyfive.features.transform import Transform
from ninetyfive.models.adapters import adapter_named
from ninetyfive.models.forms import FORM_FILES, predictor_of
from ninetyfive.models.onnx import OnnxPredictor, session_of
from ninetyfive.models.training import Fitted, fit_model, labels
from ninetyfive.schema import logical_type
from ninetyfive.steps.train import _served

BOUNDS = {"one": 3.0, "proof": 0.5}
CALLS = 2_000
Call = Callable[[], object]


def sklearn(x: Any, y: Any, _: Any) -> Any:
    """The model of examples/flights/system.py."""
    from sklearn.ensemble import HistGradientBoostingClassifier

    words = {"max_iter": 150, "max_leaf_nodes": 8, "min_samples_leaf": 300, "early_stopping": False, "random_state": 0}
    return HistGradientBoostingClassifier(**words).fit(x, y)


def lightgbm(x: Any, y: Any, _: Any) -> Any:
    """As many trees, as large."""
    import lightgbm

    words = {"objective": "binary", "num_leaves": 8, "min_data_in_leaf": 300, "num_threads": 1, "verbose": -1}
    return lightgbm.train(words, lightgbm.Dataset(x, y), 150)


def lightgbm_categories(x: Any, y: Any, _: Any) -> Any:
    """With categorical splits, so that LightGBM itself serves."""
    import lightgbm

    words = {"objective": "binary", "num_leaves": 8, "min_data_in_leaf": 300, "num_threads": 1, "verbose": -1}
    return lightgbm.train(words, lightgbm.Dataset(x, y, categorical_feature=["carrier", "dest", "route"]), 150)


def xgboost(x: Any, y: Any, _: Any) -> Any:
    """As many trees, as large."""
    import xgboost

    words = {"objective": "binary:logistic", "max_leaves": 8, "grow_policy": "lossguide", "max_depth": 0, "nthread": 1}
    return xgboost.train(words, xgboost.DMatrix(x, y, nthread=1), 150)


MODELS = {one.__name__: one for one in (sklearn, lightgbm, lightgbm_categories, xgboost)}


def prepared() -> tuple[Transform, pl.DataFrame, pl.Series, tuple[Any, ...]]:
    """The transform of the flights, fitted; training rows and labels; a request as the row function takes it."""
    rows = pl.read_parquet(EXAMPLE / "data" / "flights-2013-*.parquet").filter(pl.col("arr_delay").is_not_null())
    types: Mapping[str, str] = {name: logical_type(dtype) or "opaque" for name, dtype in rows.schema.items()}
    fitting = Fitting(load_system(EXAMPLE / "system.py").features, types)
    while (phase := fitting.phase()) is not None:
        columns = phase.function(rows)
        fitting.advance({name: one.add(one.zero(), columns) for name, one in phase.reducers.items()})
    transform = fitting.transform()
    (row,) = scalars(rows.slice(1_000, 1), types)
    return transform, transform.frames()(rows), rows["arr_delay"] > 15, tuple(row[name] for name in transform.inputs)


def trained(function: Any, x: pl.DataFrame, y: pl.Series, folder: Path) -> tuple[Fitted, str, float, float]:
    """The model, the form that serves, and the CPU seconds of fitting and of what `train` does to serve it."""
    known = labels(y)
    matrix = np.ascontiguousarray(x.to_numpy(), dtype=np.float32)
    start = time.process_time()
    made = fit_model(function, x, known, {}, 95)
    between = time.process_time()
    served = _served(made, folder, matrix, native=False)
    return made, served.form, between - start, time.process_time() - between


def calls(made: Fitted, form: Any, folder: Path, transform: Transform, cells: tuple[Any, ...]) -> tuple[Call, Call]:
    """One row as a worker answers it, and the bare runtime's call on prepared arrays."""
    read = {path.name: path.read_bytes() for path in folder.iterdir()}
    predictor = predictor_of(form, made.adapter.NAME, read.__getitem__, made.task, made.classes, refuses_missing=False)
    inputs = transform.tuples()
    given = np.array([inputs(cells)], dtype=np.float32)
    if isinstance(predictor, OnnxPredictor):
        session, alone = session_of(read[FORM_FILES["onnx"]], "model.onnx"), predictor.alone()
        names, feed = [session.get_outputs()[0].name], {session.get_inputs()[0].name: given}
        return lambda: alone(inputs(cells)), lambda: session.run(names, feed)
    booster = adapter_named(made.adapter.NAME).load(folder)
    bare = {
        "lightgbm": lambda: booster.predict(given, num_threads=1),
        "xgboost": lambda: booster.inplace_predict(given),
    }
    return lambda: predictor.predict(np.array([inputs(cells)], dtype=np.float32)).tolist(), bare[made.adapter.NAME]


def microseconds(call: Call) -> float:
    """The median of many calls."""
    times = []
    for _ in range(CALLS):
        start = time.perf_counter()
        call()
        times.append(time.perf_counter() - start)
    return median(times) * 1e6


def main() -> int:
    """Measure, print, and exit 1 where a bound is broken."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--json", action="store_true")
    asked = parser.parse_args()
    transform, x, y, cells = prepared()
    found: dict[str, list[dict[str, Any]]] = {name: [] for name in MODELS}
    for turn in range(asked.rounds + 1):
        for name, function in MODELS.items():
            with tempfile.TemporaryDirectory() as scratch:
                folder = Path(scratch)
                if not turn:  # what a framework imports is paid here
                    trained(function, x.head(5_000), y.head(5_000), folder)
                    continue
                made, form, fitting, proving = trained(function, x, y, folder)
                ours, bare = (microseconds(call) for call in calls(made, form, folder, transform, cells))
                found[name].append({"form": form, "fit": fitting, "prove": proving, "ours": ours, "bare": bare})
    figures = {}
    for name, rounds in found.items():
        figures[name] = {
            "form": rounds[-1]["form"],
            "one": median(one["ours"] / one["bare"] for one in rounds),
            "proof": median(one["prove"] / one["fit"] for one in rounds),
            **{kind: median(one[kind] for one in rounds) for kind in ("ours", "bare", "fit", "prove")},
        }
    held = all(figure[kind] <= bound for figure in figures.values() for kind, bound in BOUNDS.items())
    if asked.json:
        print(json.dumps({"models": figures, "bounds": BOUNDS, "held": held}))
    else:
        for name, one in figures.items():
            print(
                f"{name:<20} by {one['form']:<7} one row {one['ours']:6.1f} µs, bare {one['bare']:6.1f} µs: "
                f"{one['one']:.2f} ×; fit {one['fit']:6.2f} s, proof {one['prove']:5.2f} s CPU: {one['proof']:.2f} ×"
            )
        print(f"at most {BOUNDS['one']} × and {BOUNDS['proof']} ×: {'held' if held else 'BROKEN'}")
    return 0 if held else 1


if __name__ == "__main__":
    sys.exit(main())
