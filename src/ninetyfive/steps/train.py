"""Train: the model function and the two baselines on the training rows; export, and the proof of parity."""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import msgspec
import numpy as np
import polars as pl

from ninetyfive.arguments import check_finite
from ninetyfive.errors import ModelError
from ninetyfive.hashing import content_hash
from ninetyfive.metrics import METRICS
from ninetyfive.models.baselines import Constant, OneHotLinear, baseline_json
from ninetyfive.models.forms import FORM_FILES, Form, Tried, choose_form, predictor_of
from ninetyfive.models.predictor import Inputs
from ninetyfive.models.proof import Proof, prove
from ninetyfive.models.signatures import params_alone, takes_champion
from ninetyfive.models.training import (
    Fitted,
    Labels,
    Offered,
    fit_model,
    fit_streamed,
    labels,
    with_columns,
)
from ninetyfive.models.training_places import Places, below
from ninetyfive.steps.apply import read_transform, training_parts, training_rows
from ninetyfive.steps.context import Prepared
from ninetyfive.steps.continuing import Continued, champion_to_continue
from ninetyfive.steps.lineage import code_hashes
from ninetyfive.steps.streaming import open_stream
from ninetyfive.steps.window import ingested
from ninetyfive.store.manifests import hash_file
from ninetyfive.store.opening import Store, work_folder

LEAK = 0.995
"""The AUC of one column alone, from which it is told as a possible leak of the label."""
LEAK_ROWS = 20_000
"""About how many training rows, spread evenly, that is looked at on."""


def train_depends(context: Prepared) -> Any:
    """What decides the model beside the rows: the project's code, parameters, seed, form, the champion it continues."""
    model = context.model
    decided = [code_hashes(context.declaration.origin, model.function), dict(model.params), model.seed, model.native]
    return [*decided, context.champion] if takes_champion(model.function) else decided


def train(
    context: Prepared,
    spans: dict[str, Any],
    fitted: dict[str, Any],
    applied: dict[str, Any],
    tuned: dict[str, Any] | None = None,
) -> dict[str, Any]:
    """Returns task, classes, params, adapter, the served form, its proof, notices; artifacts: model files, baselines.

    The params are those of `tuned`, what tune put out, where the model is tuned. `model`: a hash of the model's own
    files. `continued`: the release whose model was given to the model function, if any. `seconds`: of `fitting`, and of
    making and proving the form that is `serving`.
    """
    given, model = ingested(spans), context.model
    params = dict(tuned["params"] if tuned else model.params)
    check_finite("params of the model", params)  # a list in them may have changed since they were declared
    transform = read_transform(context.store, fitted)
    where, places = f"label {context.declaration.label}", _places(context, applied, params)
    before = Continued()
    if params_alone(model.function):
        stream, x, known = open_stream(training_parts(context.store, applied), given.task, where)
        began = time.perf_counter()
        seen = with_columns(params, x.columns, transform.kinds)
        made = fit_streamed(model.function, stream, (x, known), seen, model.seed, places)
        constant = stream.summary.constant()
    else:
        x, y = training_rows(context.store, applied)
        known = labels(y, given.task, where)
        before, began = champion_to_continue(context, transform, known), time.perf_counter()
        made = fit_model(model.function, x, known, params, model.seed, Offered(before.model, transform.kinds))
        constant = Constant.fit(known)
    seconds = {"fitting": time.perf_counter() - began}
    matrix = np.ascontiguousarray(x.to_numpy(), dtype=np.float32)
    linear = OneHotLinear.fit(matrix, known, transform.kinds)
    artifacts = {
        "constant": context.store.put_bytes(baseline_json(constant)),
        "linear": context.store.put_bytes(baseline_json(linear)),
    }
    with context.store.attempt() as folder:
        began = time.perf_counter()
        saved = _saved(made, folder, native=model.native)
        served = _served(made, folder, matrix, native=model.native, earlier=form_before(context.store, saved))
        seconds["serving"] = time.perf_counter() - began
        names = sorted(path.name for path in folder.iterdir())
        artifacts |= {name: context.store.put_file(folder / name, take=True) for name in names}
    if params_alone(model.function):
        places.clear()  # to fit again is to start again
    return {
        "task": made.task,
        "classes": list(made.classes),
        "columns": list(made.columns),
        "params": params,
        "adapter": made.adapter.NAME,
        "model": saved,
        "form": served.form,
        "forms": msgspec.to_builtins(served.tried),
        "continued": before.release,
        "files": names,
        "proof": msgspec.to_builtins(served.proof),
        "seconds": seconds,
        "train_key": content_hash([names, artifacts, fitted["artifacts"]]),
        "notices": [*before.notices, *made.warnings, *served.notices, *_leaks(x, known)],
        "artifacts": artifacts,
    }


def _places(context: Prepared, applied: dict[str, Any], params: dict[str, Any]) -> Places:
    """Where a streamed fit of these rows leaves its checkpoint and its log; removes those of other fits here."""
    key = content_hash([applied["files"], train_depends(context), params])
    training = work_folder(context.settings.store_url, context.settings.catalog) / "training"
    for other in training.iterdir() if training.is_dir() else ():
        if other.name != f"{key}.npz":
            other.unlink(missing_ok=True)
    logs = context.platform.logs or str(context.settings.folder / "build" / "tensorboard")
    return Places(below(context.platform.checkpoints or str(training), f"{key}.npz"), below(logs, key[:12]))


@dataclass(frozen=True, slots=True)
class _Served:
    """What serves: the form, its proof, all that were tried, and what is to be said of that."""

    form: Form
    proof: Proof
    tried: tuple[Tried, ...]
    notices: tuple[str, ...]


def _saved(made: Fitted, folder: Path, *, native: bool) -> str:
    """Write the native form into `folder`; a hash of it, and of whether no other was asked for."""
    made.adapter.save(made.model, folder)
    return content_hash([made.adapter.NAME, native, [hash_file(folder / name).sha256 for name in made.adapter.FILES]])


def form_before(store: Store, saved: str) -> Form | None:
    """The form of the newest release whose model has the same bytes: to measure again must make no other release."""
    found = [release.document.get("served") for release in store.releases()]
    return next((one["form"] for one in found if one and one["model"] == saved), None)


def _served(made: Fitted, folder: Path, rows: Inputs, *, native: bool, earlier: Form | None) -> _Served:
    """Write the form that is chosen to serve into `folder`, beside the native one that is there.

    What stands in the way of the only form, or of all, raises `ModelError`.
    """
    forms: tuple[Form, ...] = ("native",) if native else cast("tuple[Form, ...]", made.adapter.FORMS)
    proofs: dict[Form, Proof] = {}
    tried: list[Tried] = []
    failed: list[ModelError] = []
    for form in forms:
        try:
            proof = _proved(made, folder, form, rows)
        except ModelError as error:
            failed.append(error)
            tried.append(Tried(form=form, why_not=f"{error.where}: {error.got}"))
            continue
        proofs[form] = proof
        tried.append(Tried(form=form, one=proof.timing.one, row=proof.timing.row, size=proof.size))
    chosen = choose_form(tried, earlier)
    if chosen is None:
        raise failed[0]
    form, why = chosen
    for other, name in FORM_FILES.items():
        if other != form:
            (folder / name).unlink(missing_ok=True)
    told = (f"served as {why}",) if form != forms[0] else ()
    return _Served(form, proofs[form], tuple(tried), told)


def _proved(made: Fitted, folder: Path, form: Form, rows: Inputs) -> Proof:
    """Write a form into `folder` and hold it against the model in memory."""
    if form != "native":
        more = () if form == "onnx" else (form,)
        exported = made.adapter.export(made.model, made.columns, made.task, made.classes, *more)
        (folder / FORM_FILES[form]).write_bytes(exported)
    names = made.adapter.FILES if form == "native" else (FORM_FILES[form],)
    size = sum((folder / name).stat().st_size for name in names)
    served = predictor_of(
        form,
        made.adapter.NAME,
        lambda name: (folder / name).read_bytes(),
        made.task,
        made.classes,
        refuses_missing=False,
    )
    return prove(made.predict, served.predict, rows, made.columns, size)


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
