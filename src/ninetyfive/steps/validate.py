"""Validate: each span against the schema, by what ingest counted. What blocks stops the run; what does not is told."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec

from ninetyfive.errors import SchemaError
from ninetyfive.span_checks import Finding
from ninetyfive.steps.context import Prepared
from ninetyfive.steps.ingest import findings


def validate(context: Prepared, spans: dict[str, Any]) -> dict[str, Any]:  # noqa: ARG001  the spans are its key
    """Returns the findings that do not block; `SchemaError` with the first that does, and how many more there are."""
    found = msgspec.convert(findings(context), tuple[Finding, ...])
    _refuse([finding for finding in found if finding.blocking])
    return {"findings": msgspec.to_builtins([finding for finding in found if not finding.blocking])}


def _refuse(blocking: Sequence[Finding]) -> None:
    if not blocking:
        return
    error = blocking[0].error()
    if len(blocking) == 1:
        raise error
    others = ", ".join(sorted({f"{finding.rule} in {finding.where}" for finding in blocking[1:]})[:3])
    raise SchemaError(
        error.where, expected=error.expected, got=f"{error.got} (and {len(blocking) - 1} more: {others})", do=error.do
    )
