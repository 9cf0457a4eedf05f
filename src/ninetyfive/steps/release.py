"""Release: everything that answers, and everything that says why, as one immutable folder."""

from __future__ import annotations

import platform
import shutil
from dataclasses import fields
from pathlib import Path
from typing import Any

import msgspec

from ninetyfive import clock
from ninetyfive.features.costs import Costs, measure
from ninetyfive.models.release import EVIDENCE, About, Golden, release_hash
from ninetyfive.paradigms import check_fixed_answers
from ninetyfive.steps.apply import read_transform
from ninetyfive.steps.context import Prepared
from ninetyfive.steps.lineage import code_hashes, git_commit, lock_hash
from ninetyfive.steps.window import ingested
from ninetyfive.system import Declaration
from ninetyfive.version import __version__

Outputs = dict[str, Any]


def release_depends(context: Prepared) -> Any:
    """What a release says beside the outputs of the steps: what is declared, code, lock, review of the schema."""
    system, schema, model = context.declaration, context.schema, context.model
    declared = [paradigms(system), system.name, system.entity, sorted(system.hindsight), str(system.label)]
    made_by = [code_hashes(system.origin, model.function), lock_hash(context.settings.folder)]
    return [*declared, *made_by, schema.version, schema.reviewed]


def release(context: Prepared, *needed: Outputs) -> Outputs:
    """Returns `release` (its hash) and `folder` (its artifact); nothing is registered or promoted here.

    `needed` are the outputs of ingest, analyze, fit, train, evaluate and gate, and of tune where the model is tuned.
    """
    spans, analyzed, fitted, trained, evaluated, gated, *tuned = needed
    given, store, model = ingested(spans), context.store, context.model
    system = context.declaration
    classes = tuple(trained["classes"])
    check_fixed_answers(f"system {system.name!r}, serving=", system.effective_serving, trained["task"], classes)
    outputs = {"trained": trained, "evaluated": evaluated, "gated": gated}
    if tuned:
        outputs["tuned"] = tuned[0]
    with store.attempt() as attempt:
        folder = attempt / "release"
        folder.mkdir()
        copies = {
            "transform.json": fitted["artifacts"]["transform"],
            "statistics.json": analyzed["artifacts"]["statistics"],
            "golden.json": evaluated["artifacts"]["golden"],
            **{f"baseline-{name}.json": trained["artifacts"][name] for name in ("constant", "linear")},
            **{name: trained["artifacts"][name] for name in trained["files"]},
        }
        copies |= {f"code/{sha256}.py": sha256 for sha256 in fitted["code"]}
        for name, artifact in copies.items():
            (folder / name).parent.mkdir(exist_ok=True)
            shutil.copyfile(store.path(artifact), folder / name)
        (folder / "schema.json").write_bytes(context.schema.to_json())
        _write(folder / "release.json", _about(context, fitted, trained))
        _write(folder / "metrics.json", _own_metrics(evaluated))
        lineage = {
            "spans": {entry.span: {"rows": sum(entry.rows)} for entry in given.spans},
            "ingest": given.ingest_key,
            "left_out": given.without,
            "continued": trained["continued"],
            "code": code_hashes(context.declaration.origin, model.function),
            "lock": lock_hash(context.settings.folder),
            "ninetyfive": __version__,
        }
        if tuned:
            lineage["tuned"] = {name: tuned[0][name] for name in ("study", "best")}
        _write(folder / "lineage.json", lineage)
        name = release_hash(folder)
        costs = _costs(context, fitted, evaluated)
        _write(folder / EVIDENCE, _evidence(context, outputs, {entry.span: entry.url for entry in given.spans}, costs))
        artifact = store.put_folder(folder, f"release-{name}")
    return {"release": name, "folder": artifact, "artifacts": [artifact]}


def paradigms(system: Declaration) -> dict[str, dict[str, Any]]:
    """How it is trained and served: the word, whether it was declared or awaits measuring, arguments, a text.

    The text leaves out what is as usual.
    """
    found = {}
    for kind, declared, force in (
        ("training", system.training, system.effective_training),
        ("serving", system.serving, system.effective_serving),
    ):
        arguments = {key: value for key, value in msgspec.to_builtins(force).items() if value is not None}
        usual = {field.name: field.default for field in fields(force)}
        shown = ", ".join(f"{key}={value!r}" for key, value in arguments.items() if value != usual[key])
        measured = isinstance(declared, str)
        design = system.accepted if measured else None
        text = f"{type(force).__name__}({shown})"
        text += f", by design {design.record}" if design else ", not yet measured" if measured else ""
        found[kind] = {
            "paradigm": type(force).__name__,
            "arguments": arguments,
            "declared": not measured,
            "text": text,
        }
    return found


def _own_metrics(evaluated: Outputs) -> Outputs:
    """The metrics without any comparison with a champion: the same data gives the same release, whoever was live."""
    slices = {
        column: [{name: value for name, value in group.items() if name != "over_champion"} for group in groups]
        for column, groups in evaluated["slices"].items()
    }
    return {**{name: evaluated[name] for name in ("rows", "metrics", "baselines", "gains")}, "slices": slices}


def _about(context: Prepared, fitted: Outputs, trained: Outputs) -> About:
    system, model = context.declaration, context.model
    forms = paradigms(system)
    return About(
        system=system.name,
        task=trained["task"],
        classes=tuple(trained["classes"]),
        columns=tuple(trained["columns"]),
        features=fitted["features"],
        code=bool(fitted["code"]),
        label=str(system.label),
        id=tuple(name for name in system.source.id if name not in system.source.own),
        entity=system.entity,
        time=system.source.time,
        hindsight=tuple(sorted(system.hindsight)),
        adapter=trained["adapter"],
        form=trained["form"],
        params=trained["params"],
        seed=model.seed,
        training=forms["training"],
        serving=forms["serving"],
        tolerance=trained["proof"]["batch_difference"],
        missing=trained["proof"]["missing"],
    )


def _costs(context: Prepared, fitted: Outputs, evaluated: Outputs) -> Costs:
    """What the transform costs on this machine, on the golden requests."""
    golden = msgspec.json.decode(context.store.read(evaluated["artifacts"]["golden"]), type=list[Golden])
    return measure(read_transform(context.store, fitted), [one.row for one in golden])


def _evidence(context: Prepared, outputs: dict[str, Outputs], urls: dict[str, str], costs: Costs) -> Outputs:
    """Who, when, where, from which files, and what was measured that another machine would measure otherwise."""
    return {
        "made": clock.now().isoformat(),
        "by": context.store.actor,
        "host": platform.node(),
        "platform": platform.platform(),
        "python": platform.python_version(),
        "engine": context.settings.engine,
        "git": git_commit(context.settings.folder),
        "files": urls,
        "champion": outputs["evaluated"]["champion"],
        "gates": outputs["gated"]["gates"],
        "proof": outputs["trained"]["proof"],
        "seconds": outputs["trained"]["seconds"],
        "forms": outputs["trained"]["forms"],
        "features": costs,
        "notices": outputs["trained"]["notices"],
        "tuning": outputs.get("tuned"),
    }


def _write(path: Path, value: Any) -> None:
    path.write_bytes(msgspec.json.format(msgspec.json.encode(value, order="sorted"), indent=1) + b"\n")
