"""Trace: one row, step by step, by the code that serves: what came in, each operation, what the model saw and said."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import msgspec

from ninetyfive.conform import Conform
from ninetyfive.errors import DataError, UsageError
from ninetyfive.features.transform import TraceStep
from ninetyfive.features.tree import DATE, TIMES
from ninetyfive.models.release import OpenRelease
from ninetyfive.schema import Schema
from ninetyfive.sources.discovery import discover
from ninetyfive.sources.files import source_of
from ninetyfive.sources.readers import reader_of
from ninetyfive.values import plain


def trace(release: OpenRelease, given: Mapping[str, Any]) -> dict[str, Any]:
    """`{release, row, steps, inputs, answer}` of one row of JSON or Python values, checked by the schema."""
    request = release.request
    row = request.row({name: value for name, value in given.items() if name not in release.about.hindsight})
    values = release.transform.rows()(row)
    return {
        "release": release.hash,
        "row": {name: plain(value, request.types[name]) for name, value in row.items()},
        "steps": [
            {"feature": step.feature, "operation": step.operation, "value": _shown(step)}
            for step in release.transform.trace(row)
        ],
        "inputs": {
            name: None if math.isnan(value) else value
            for name, value in zip(release.transform.columns, values, strict=True)
        },
        "answer": release.answer_inputs(values),
    }


def _shown(step: TraceStep) -> Any:
    """The value of a step; a time as text, as it came in."""
    return plain(step.value, step.type) if step.type in (*TIMES, DATE) else step.value


def row_of(request: Schema, text: str | None, file: str | None, number: int) -> dict[str, Any]:
    """The row that `--row` holds as JSON, or that stands in a file at `number` (from 0).

    Neither or both, or no such row: `UsageError`. A row of a file that breaks the request's schema: `DataError`.
    """
    if (text is None) == (file is None):
        raise UsageError(
            "trace", expected="one of --row and --file", got="both" if text else "neither", do="give one of them"
        )
    if file is not None:
        return _from_file(request, file, number)
    try:
        return msgspec.json.decode(text or "", type=dict[str, Any])
    except msgspec.MsgspecError as error:
        raise UsageError(
            "--row", expected="a JSON object", got=str(error), do="write it like '{\"hour\": 7}'"
        ) from None


def _from_file(request: Schema, file: str, number: int) -> dict[str, Any]:
    named = source_of(file)
    reader, left = reader_of(named), number
    conform = Conform(request, reader.text)
    for found in discover(named):
        for frame in reader.read(found.part):
            if left < frame.height:
                accepted, rejected = conform(frame.slice(left, 1))
                if accepted.height:
                    return accepted.row(0, named=True)
                raise DataError(
                    f"{file}, row {number}, column {rejected['column'][0]!r}",
                    expected="a row that keeps the schema",
                    got=f"{rejected['value'][0]!r}, against rule {rejected['rule'][0]!r}",
                    do="correct the row, or trace another one",
                )
            left -= frame.height
    raise UsageError(
        "--number", expected=f"a row of {file}", got=str(number), do=f"give a number below {number - left}"
    )
