"""Served forms: in which form a model answers, and which of those that were proved is taken.

    fitted model ─ each form of its adapter ─ prove ─▶ Tried ─ choose_form ─▶ the form that is served, and why

The rule: forms are tried in the adapter's order, the first that is proved is taken, and a later one only where it
answers one row in less than half of the time and saves 50 µs of it, so that noise of a measurement changes no release.
A choice is made once for a model: where an equal one was released before, in the same catalog, its form is kept.
What does not belong here: how a form is made (the adapters), how it is proved (`proof`).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType
from typing import Literal

import msgspec

from ninetyfive.metrics import Task
from ninetyfive.models.adapters import adapter_named
from ninetyfive.models.litert import LiteRtPredictor
from ninetyfive.models.native import NativePredictor
from ninetyfive.models.onnx import OnnxPredictor
from ninetyfive.models.predictor import Predictor

Form = Literal["onnx", "litert", "native"]
"""ONNX Runtime, LiteRT, or the framework itself."""

FORM_FILES: Mapping[Form, str] = MappingProxyType({"onnx": "model.onnx", "litert": "model.tflite"})
"""The file of each exported form; the native form is what the adapter saves."""

FASTER = 0.5
"""A form takes the place of an earlier one where it needs less than this share of its time for one row …"""
SAVED = 5e-5
"""… and saves at least so many seconds."""


class Tried(msgspec.Struct, frozen=True, kw_only=True):
    """A form that was tried: the seconds of one row alone and of a row in a batch, bytes; or why it is none."""

    form: Form
    one: float | None = None
    row: float | None = None
    size: int | None = None
    why_not: str | None = None


def choose_form(tried: Sequence[Tried], earlier: Form | None = None) -> tuple[Form, str] | None:
    """The form to serve, and why; None where none was proved. `earlier`: that of a release of an equal model.

    >>> choose_form([Tried(form="onnx", one=5e-5), Tried(form="native", one=4e-5)])
    ('onnx', 'onnx: proved, and no other form answers one row in less than half of its 50 µs and saves 50 µs')
    """
    proved = [one for one in tried if one.one is not None]
    if not proved:
        return None
    if earlier in [one.form for one in proved]:
        return earlier, f"{earlier}: proved, and chosen when an equal model was released before"
    first, least = proved[0], min(proved, key=lambda one: one.one or 0.0)
    before, now = first.one or 0.0, least.one or 0.0
    if least is not first and now < FASTER * before and before - now >= SAVED:
        return least.form, f"{least.form}: proved, one row in {now * 1e6:.3g} µs; {first.form} takes {before * 1e6:.3g}"
    refused = [f"{one.form} is not ({one.why_not})" for one in tried[: tried.index(first)]]
    if refused:
        return first.form, f"{first.form}: proved, and {'; '.join(refused)}"
    return (
        first.form,
        f"{first.form}: proved, and no other form answers one row in less than half of its {before * 1e6:.3g} µs "
        "and saves 50 µs",
    )


def predictor_of(
    form: Form, adapter: str, read: Callable[[str], bytes], task: Task, classes: Sequence[str], *, refuses_missing: bool
) -> Predictor:
    """The predictor of a form, of the files that `read` gives by name."""
    if form == "onnx":
        return OnnxPredictor(read(FORM_FILES[form]), refuses_missing=refuses_missing)
    if form == "litert":
        return LiteRtPredictor(read(FORM_FILES[form]), task, classes, refuses_missing=refuses_missing)
    files = {name: read(name) for name in adapter_named(adapter).FILES}
    return NativePredictor(adapter, files, task, classes, refuses_missing=refuses_missing)


def needed(form: Form, adapter: str) -> tuple[str, ...]:
    """The distributions that a worker has to have beside those of the package, to answer in a form.

    >>> needed("onnx", "sklearn"), needed("litert", "keras")
    ((), ('ai-edge-litert',))
    """
    if form == "onnx":
        return ()
    return adapter_named(adapter).NEEDS if form == "native" else ("ai-edge-litert",)
