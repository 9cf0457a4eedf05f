"""The declaration against the schema: what could not be known without data fails here, before any row is read."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager

from ninetyfive.errors import DeclarationError, FeatureError, near_names
from ninetyfive.features.fitting import Fitting
from ninetyfive.features.program import program
from ninetyfive.features.tree import BOOLEAN, DATE, INTEGER, LISTS, NUMBER, OPAQUE, STRING, TIMES
from ninetyfive.metrics import DEFAULT_METRICS, Task
from ninetyfive.paradigms import check_fixed_answers
from ninetyfive.schema import Schema
from ninetyfive.steps.release import paradigms
from ninetyfive.system import Declaration, check_metrics_of_task

_TASK_OF: dict[str, Task] = {BOOLEAN: "binary", STRING: "multiclass", INTEGER: "regression", NUMBER: "regression"}
_LABEL_TYPES: dict[Task, tuple[str, ...]] = {
    "binary": (BOOLEAN, INTEGER),
    "multiclass": (STRING, INTEGER, BOOLEAN),
    "regression": (INTEGER, NUMBER),
}


def check_declared(system: Declaration, schema: Schema) -> None:
    """Raise `DeclarationError` where `system` names columns or needs types that `schema` has not."""
    where = f"system {system.name!r}"
    for what, names in (
        ("source, id=", system.source.id),
        ("source, time=", (system.source.time,) if system.source.time else ()),
        ("entity=", system.entity),
        ("later=", system.later),
        ("label_time=", (system.label_time,) if system.label_time else ()),
        ("label=", sorted(system.label_columns)),
        ("slices=", system.slices),
    ):
        _check_columns(f"{where}, {what}", names, schema)
    for what, names in (("source, id=", system.source.id), ("entity=", system.entity), ("slices=", system.slices)):
        for name in names:
            if schema.types[name] in (*LISTS, OPAQUE):
                raise DeclarationError(
                    f"{where}, {what}",
                    expected="columns of booleans, numbers, strings or times",
                    got=f"{name!r} of type {schema.types[name]}",
                    do="name another column",
                )
    for what, column in (("source, time=", system.source.time), ("label_time=", system.label_time)):
        if column is not None and schema.types[column] not in (*TIMES, DATE):
            raise DeclarationError(
                f"{where}, {what}",
                expected="a column of type timestamp, timestamp[UTC] or date",
                got=f"{column!r} of type {schema.types[column]}",
                do=f'give its type with types={{"{column}": "timestamp"}} in the source, or name another column',
            )
    task = task_of(system, schema)
    with _declared(where):
        Fitting(system.features, schema.types, task)
    for name in system.source.id or [name for name in schema.names if name not in system.hindsight]:
        if name == "prediction" or name.startswith("prediction:"):
            raise DeclarationError(
                f"{where}, column {name!r}",
                expected="a name that no answer has",
                got="the name of the column of answers",
                do="rename the column, or name others in id=",
            )
    check_metrics_of_task(where, metrics_of(system, task), task)
    check_fixed_answers(f"{where}, serving=", system.effective_serving, task)


def check_labels(system: Declaration, labels: Iterable[str], hashed: Iterable[str]) -> None:
    """Raise `DeclarationError` where `system` takes one of `labels` for a request column, or uses a `hashed` one."""
    where = f"system {system.name!r}"
    for name in labels:
        if name not in system.hindsight:
            got, do = (
                f"{name!r} of the labels, which the system does not name",
                f"add it to later=, such as later=[{name!r}]",
            )
            raise DeclarationError(f"{where}, source", expected="columns known only later", got=got, do=do)
    for name in hashed:
        used = next((key for key, feature in system.features.items() if name in feature.columns()), None)
        if used is not None or name in (*system.entity, *system.slices):
            place = f"{where}, feature {used!r}" if used is not None else f"{where}, entity= or slices="
            do = "keep it in the log, by [serve.log] columns, or leave it out of the declaration"
            got = f"{name!r}, of which the log holds hashes"
            raise DeclarationError(place, expected="columns that are logged as they were sent", got=got, do=do)


def task_of(system: Declaration, schema: Schema) -> Task:
    """The task: `task=` where it is declared and fits the label, else by the label's type; else `DeclarationError`."""
    where = f"system {system.name!r}, label="
    with _declared(where):
        made = program({"label": system.label.node}, schema.types)
    kind = made.steps[made.outputs[0][1]].type
    if kind not in _TASK_OF:
        raise DeclarationError(
            where,
            expected="a boolean, a string or a number",
            got=f"{system.label} of type {kind}",
            do="write a comparison, such as col('arr_delay') > 15, or name a column of those types",
        )
    task = system.task or _TASK_OF[kind]
    if kind not in _LABEL_TYPES[task]:
        raise DeclarationError(
            f"system {system.name!r}, task={task!r}",
            expected="a label of type " + " or ".join(_LABEL_TYPES[task]),
            got=f"{system.label} of type {kind}",
            do="correct task=, or leave it out and let the label's type decide",
        )
    return task


def metrics_of(system: Declaration, task: Task) -> tuple[str, ...]:
    """The metrics in force, the primary one first: the declared ones, else the task's own; then those of gates."""
    named = system.metrics or DEFAULT_METRICS[task]
    return tuple(dict.fromkeys((*named, *(gate.metric for gate in system.gates))))


def chosen(system: Declaration, task: Task) -> dict[str, str]:
    """`{what: text}` of everything that the declaration left open and that was chosen for it."""
    split, forms = system.effective_split, paradigms(system)
    held_out = "the newest" if split.by == "time" else "by a hash of their id"
    left_open = {
        "task": None if system.task else f"{task}, by the type of the label",
        "metrics": None if system.metrics else ", ".join(metrics_of(system, task)),
        "split": None if system.split else f"{split.test:.0%} of the rows held out, {held_out}",
        **{kind: None if form["declared"] else form["text"] for kind, form in forms.items()},
    }
    return {what: text for what, text in left_open.items() if text is not None}


@contextmanager
def _declared(where: str) -> Iterator[None]:
    """A feature that does not fit the schema is a fault of the declaration."""
    try:
        yield
    except FeatureError as error:
        at = f"{where}, {error.where}"
        raise DeclarationError(at, expected=error.expected, got=error.got, do=error.do) from None


def _check_columns(where: str, names: Iterable[str], schema: Schema) -> None:
    for name in names:
        if name not in schema.types:
            raise DeclarationError(
                where, expected="a column of the data", got=repr(name), do=near_names(name, schema.names)
            )
