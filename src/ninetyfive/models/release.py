"""A release: one immutable folder that answers, and that says what it is made of.

    release.json    what it is: system, task, columns, paradigms        ┐
    transform.json, schema.json, model.onnx, model.skops, baselines.json │ the release hash covers these
    metrics.json, lineage.json, golden.json                              │
    code/<sha256>.py                  functions of the user's own, if any ┘
    evidence.json   who, when, where, how long, the gates: in the manifest, outside the hash

`open_release` is all that a reader of such a folder needs. What does not belong here: how one is made (`steps`).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, TypeVar

import msgspec
import numpy as np

from ninetyfive.errors import IntegrityError
from ninetyfive.features.costs import CROSSOVER, Costs
from ninetyfive.features.transform import Transform
from ninetyfive.hashing import content_hash
from ninetyfive.metrics import Task
from ninetyfive.models.forms import Form, predictor_of
from ninetyfive.models.predictor import Predictor
from ninetyfive.models.scoring import Scorer
from ninetyfive.schema import Schema
from ninetyfive.store.manifests import MANIFEST, Manifest, check_folder, describe_folder

T = TypeVar("T")

VERSION = 2
EVIDENCE = "evidence.json"
SAYS_WHY = ("release.json", "metrics.json", "lineage.json", EVIDENCE)
"""The files that are kept of a release that is collected: what it was, how good, made of what, by whom."""


Answer = float | dict[str, float] | None
"""What one row is answered: a number, {class: probability}, or None where the model refuses a missing input."""


class About(msgspec.Struct, frozen=True, kw_only=True):
    """release.json: what a release is. `hindsight` are the columns that no request holds; `form` is
    the one that answers: "onnx", or "native" by the `adapter`.

    `training` and `serving` are the paradigms in force, as declared; `tolerance` is how far the answer of one row may
    be from that of the same row in a batch (0.0: not at all). `missing`: whether a row with a missing input is
    answered. With `code` the release holds functions of the user's own, which run where it is opened.
    """

    system: str
    task: Task
    classes: tuple[str, ...]
    columns: tuple[str, ...]
    features: dict[str, str]
    label: str
    id: tuple[str, ...]
    entity: tuple[str, ...]
    time: str | None
    hindsight: tuple[str, ...]
    adapter: str
    form: Form
    params: dict[str, Any]
    seed: int
    training: dict[str, Any]
    serving: dict[str, Any]
    tolerance: float
    missing: Literal["answered", "refused"]
    code: bool = False
    version: int = VERSION


class Golden(msgspec.Struct, frozen=True):
    """One golden request: a row of the evaluation as row scalars, and what the release answered."""

    row: dict[str, Any]
    answer: Answer


class _Evidence(msgspec.Struct):
    """What is read of evidence.json to answer."""

    features: Costs | None = None


class Lineage(msgspec.Struct, frozen=True):
    """What is read of lineage.json: the key of how the spans were read, and the spans by content hash."""

    ingest: str
    spans: dict[str, Any]


@dataclass(frozen=True, slots=True)
class OpenRelease:
    """A release that was read: `hash`, what it is, its schema with all columns, its transform and its predictor.

    `crossover`: from how many rows on the transform is quicker by frames than by rows, as measured when it was
    released. All of it is in memory: nothing is read of `folder` any more, which gc may remove.
    """

    hash: str
    about: About
    schema: Schema
    transform: Transform
    predictor: Predictor
    crossover: int
    lineage: Lineage
    golden: tuple[Golden, ...]
    folder: Path

    @property
    def request(self) -> Schema:
        """The schema of a request: without label and later columns."""
        return self.schema.request([name for name in self.schema.names if name in self.about.hindsight])

    def scorer(self, name: str) -> Scorer:
        """The release as a scorer whose columns are called `name`."""
        return Scorer(name, self.transform.frames(), self.predictor)

    def answer(self, row: Mapping[str, Any]) -> Answer:
        """The answer for one row of row scalars, by the row function."""
        return self.answer_inputs(self.transform.rows()(row))

    def answer_inputs(self, inputs: list[float]) -> Answer:
        """The answer for one row of model inputs."""
        return answer_of(self.predictor, inputs)


def answer_of(predictor: Predictor, inputs: list[float]) -> Answer:
    """The answer of a predictor for one row of model inputs."""
    answer = predictor.predict(np.array([inputs], dtype=np.float32))[0]
    if np.isnan(answer).any():
        return None
    if predictor.task == "multiclass":
        return dict(zip(predictor.classes, answer.tolist(), strict=True))
    return float(answer)


def open_release(folder: Path, expected: str | None = None) -> OpenRelease:
    """Read a release folder; every byte is checked against its manifest first, then the hash against `expected`.

    `IntegrityError` where a byte differs, the release is another one than `expected`, or a file says nothing readable.
    Whether the manifest is the one that was stored, only the catalog knows: `store.open_folder`.
    """
    found = _hash(check_folder(folder))
    if expected is not None and found != expected:
        raise IntegrityError(
            str(folder),
            expected=f"release {expected}",
            got=f"release {found}",
            do="run ninetyfive doctor; restore folder and catalog from one backup",
        )
    about = _decode(folder / "release.json", About)
    if about.version != VERSION:
        raise _unreadable(folder / "release.json", f"version {about.version}")
    costs = _decode(folder / EVIDENCE, _Evidence).features
    refuses = about.missing == "refused"
    code = (
        {path.stem: path.read_text(encoding="utf-8") for path in (folder / "code").glob("*.py")} if about.code else {}
    )
    predictor = predictor_of(
        about.form,
        about.adapter,
        lambda name: (folder / name).read_bytes(),
        about.task,
        about.classes,
        refuses_missing=refuses,
    )
    return OpenRelease(
        hash=found,
        about=about,
        schema=Schema.from_json((folder / "schema.json").read_bytes()),
        transform=Transform.from_json((folder / "transform.json").read_bytes(), code),
        predictor=predictor,
        crossover=costs.crossover if costs else CROSSOVER,
        lineage=_decode(folder / "lineage.json", Lineage),
        golden=_decode(folder / "golden.json", tuple[Golden, ...]),
        folder=folder,
    )


def release_hash(folder: Path) -> str:
    """The hash of a release: over name and sha256 of each file of the folder but evidence.json and the manifest."""
    return _hash(check_folder(folder) if (folder / MANIFEST).exists() else describe_folder(folder))


def _hash(manifest: Manifest) -> str:
    return content_hash({name: entry.sha256 for name, entry in manifest.files.items() if name != EVIDENCE})


def _decode(path: Path, kind: type[T]) -> T:
    if not path.is_file():
        raise _unreadable(path, "no such file in its manifest")
    try:
        return msgspec.json.decode(path.read_bytes(), type=kind)
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise _unreadable(path, str(error)) from None


def _unreadable(path: Path, got: str) -> IntegrityError:
    return IntegrityError(
        str(path),
        expected=f"a release of version {VERSION}",
        got=got,
        do="read it with the ninetyfive that wrote it, or run again to make a new one",
    )
