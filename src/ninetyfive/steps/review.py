"""Review of the schema: show it, accept it, compare it with the champion's. schema.toml is the user's to edit."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Any

import msgspec

from ninetyfive.errors import SchemaError
from ninetyfive.schema import Schema, diff
from ninetyfive.schema_toml import UNREVIEWED, from_toml, to_toml
from ninetyfive.store.failures import disk_errors
from ninetyfive.store.opening import Store

FILE = "schema.toml"


def shown(folder: Path) -> dict[str, Any]:
    """The schema of schema.toml as plain data, with `review` in words; `SchemaError` where there is none yet."""
    return _document(_read(folder))


def accept(folder: Path, store: Store, live: Schema | None) -> dict[str, Any]:
    """Mark schema.toml as reviewed, and give it the version after the champion's where it differs from that one."""
    schema = _read(folder)
    version = schema.version
    if live is not None and diff(live, schema):
        version = max(version, live.version + 1)
    accepted = msgspec.structs.replace(schema, version=version, reviewed=True)
    if accepted != schema:
        path = folder / FILE
        attempt = path.with_name(f".{FILE}.{os.getpid()}")
        with disk_errors(str(path)):
            attempt.write_text(_marked(path.read_text(encoding="utf-8"), accepted), encoding="utf-8")
            attempt.replace(path)
        store.tell("schema.accept", f"version {version}", {"columns": len(accepted.columns)})
    return _document(accepted)


def _marked(text: str, accepted: Schema) -> str:
    """The text with its version and review as accepted, and every comment kept; written anew where that cannot be."""
    edited = text.replace(UNREVIEWED + "\n", "")
    for key, value in (("version", str(accepted.version)), ("reviewed", "true")):
        edited = re.sub(rf"(?m)^{key}[ \t]*=[ \t]*\w+", f"{key} = {value}", edited, count=1)
    try:
        return edited if from_toml(edited) == accepted else to_toml(accepted)
    except SchemaError:
        return to_toml(accepted)


def compare(folder: Path, live: Schema | None) -> dict[str, Any]:
    """`changes` from the champion's schema to schema.toml, as text; none where there is no champion."""
    changes = [] if live is None else diff(live, _read(folder))
    return {"changes": [str(change) for change in changes], "champion": live is not None}


def _read(folder: Path) -> Schema:
    path = folder / FILE
    if not path.exists():
        raise SchemaError(
            str(path), expected="a schema", got="no file", do="run once: `ninetyfive run` infers it from the data"
        )
    with disk_errors(str(path)):
        return from_toml(path.read_bytes(), str(path))


def _document(schema: Schema) -> dict[str, Any]:
    built: dict[str, Any] = msgspec.to_builtins(schema)
    return {**built, "review": "reviewed" if schema.reviewed else "inferred, not reviewed"}
