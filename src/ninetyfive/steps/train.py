"""Train: the model function and the two baselines on the training rows; export, and the proof of parity."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import polars as pl

from ninetyfive.hashing import content_hash
from ninetyfive.metrics import METRICS
from ninetyfive.models.baselines import Constant, OneHotLinear, baseline_json
from ninetyfive.models.native import NativePredictor
from ninetyfive.models.onnx import OnnxPredictor
from ninetyfive.models.predictor import Predictor
from ninetyfive.models.proof import prove
from ninetyfive.models.training import Fitted, Labels, fit_model, labels
from ninetyfive.steps.apply import read_transform, training_rows
from ninetyfive.steps.context import Prepared
from ninetyfive.steps.lineage import code_hashes
from ninetyfive.steps.window import ingested

LEAK = 0.995
"""The AUC of one column alone, from which it is told as a possible leak of the label."""
LEAK_ROWS = 20_000
"""About how many training rows, spread evenly, that is looked at on."""


def train_depends(context: Prepared) -> Any:
    """What decides the model beside the rows: the project's code, parameters, seed, form."""
    model = context.model
    return [code_hashes(context.declaration.origin, model.function), dict(model.params), model.seed, model.native]


def train(context: Prepared, spans: dict[str, Any], fitted: dict[str, Any], applied: dict[str, Any]) -> dict[str, Any]:
    """Returns task, classes, adapter, proof, notices; artifacts: the model's files and the baselines."""
    given, model = ingested(spans), context.model
    transform = read_transform(context.store, fitted)
    x, y = training_rows(context.store, applied)
    known = labels(y, given.task, f"label {context.declaration.label}")
    made = fit_model(model.function, x, known, model.params, model.seed)
    matrix = np.ascontiguousarray(x.to_numpy(), dtype=np.float32)
    constant, linear = Constant.fit(known), OneHotLinear.fit(matrix, known, transform.kinds)
    artifacts = {
        "constant": context.store.put_bytes(baseline_json(constant)),
        "linear": context.store.put_bytes(baseline_json(linear)),
    }
    with context.store.attempt() as folder:
        served = _export(made, folder, model.native)
        names = sorted(path.name for path in folder.iterdir())
        artifacts |= {name: context.store.put_file(folder / name, take=True) for name in names}
    size = sum(context.store.path(artifacts[name]).stat().st_size for name in names)
    proof = prove(made.predict, served.predict, matrix, x.columns, size)
    return {
        "task": made.task,
        "classes": list(made.classes),
        "columns": list(made.columns),
        "adapter": made.adapter.NAME,
        "native": model.native,
        "files": names,
        "proof": msgspec.to_builtins(proof),
        "train_key": content_hash([names, artifacts, fitted["artifacts"]]),
        "notices": [*made.warnings, *_leaks(x, known)],
        "artifacts": artifacts,
    }


def _export(made: Fitted, folder: Path, native: bool) -> Predictor:
    """Write the native form, and unless only that is served the ONNX form, into `folder`; the predictor that serves."""
    made.adapter.save(made.model, folder)
    if native:
        return NativePredictor.of(made.adapter.NAME, folder, made.task, made.classes)
    data = made.adapter.export(made.model, made.columns, made.task, made.classes)
    (folder / "model.onnx").write_bytes(data)
    return OnnxPredictor(data)


def _leaks(x: pl.DataFrame, known: Labels) -> list[str]:
    """Columns that alone tell a binary label almost perfectly: likely known only afterwards."""
    if known.task != "binary":
        return []
    step = max(1, x.height // LEAK_ROWS)
    some, truth = x.gather_every(step), known.values[::step].astype(bool)
    positive, negative = int(truth.sum()), int((~truth).sum())
    # The area under the ROC curve from the sum of ranks: Mann and Whitney, On a Test of Whether One of Two Random
    # Variables is Stochastically Larger than the Other (1947). What is missing stands in the middle.
    ranks = some.select(pl.all().fill_nan(None).rank("average").fill_null((some.height + 1) / 2)).to_numpy()
    areas = (ranks[truth].sum(axis=0) - positive * (positive + 1) / 2) / max(1, positive * negative)
    return [
        f"input {name!r} alone tells the label (AUC {told:.3f}, {METRICS['auc'].text}): "
        "is it known when the request is made? If not, name its column in later=[...]"
        for name, told in zip(x.columns, np.maximum(areas, 1 - areas).tolist(), strict=True)
        if told >= LEAK and positive and negative
    ]
