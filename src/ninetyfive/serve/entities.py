"""Look-ups by entity alone: a key in the path, the table's answer, and headers by which HTTP caches may keep it.

    GET /v1/models/flights/entities/UA,EWR,BOS  ─▶  the row of the table, ETag, Cache-Control

The rule: the values of the entity stand in declared order, split by commas; each is percent-encoded, a comma in a value
as %2C. What does not belong here: entities that the table does not hold, of which nothing is known here.
"""

from __future__ import annotations

import base64
import binascii
import time
from http import HTTPStatus
from typing import Any
from urllib.parse import unquote

import msgspec
import xxhash

from ninetyfive import values
from ninetyfive.errors import DataError
from ninetyfive.serve.loaded import Loaded
from ninetyfive.serve.rows import Fault

FRESH = 60
"""Seconds for which a cache may keep an answer without asking; a swap is seen by its clients that much later."""


def row_of(loaded: Loaded, raw: bytes) -> dict[str, Any]:
    """The entity that the last part of a raw path names, as row scalars; `Fault` 400 where it names none."""
    entity = loaded.release.about.entity
    try:
        parts = [unquote(part, errors="strict") for part in raw.decode("ascii").split(",")] if raw else []
    except UnicodeDecodeError:
        raise Fault(HTTPStatus.BAD_REQUEST, "path", "expected UTF-8, percent-encoded") from None
    if len(parts) != len(entity):
        shown = ",".join("{" + name + "}" for name in entity) or "nothing: the system declares no entity"
        raise Fault(HTTPStatus.BAD_REQUEST, "path", f"expected {shown}")
    row = {}
    for name, text in zip(entity, parts, strict=True):
        column = loaded.schema.column(name)
        try:
            row[name] = values.scalar(_parsed(text, column.type), column.type, f"path, {name}")
        except DataError as error:
            raise Fault(HTTPStatus.BAD_REQUEST, error.where, f"expected {error.expected}, got {error.got}") from None
    return row


def headers(loaded: Loaded, key: bytes, private: bool) -> tuple[tuple[bytes, bytes], ...]:
    """ETag and Cache-Control; the tag names table and entity, and is weak, as each answer has an id of its own."""
    tag = f'W/"{(loaded.live.table or "")[-16:]}-{xxhash.xxh3_64_hexdigest(key)}"'
    left = float(FRESH)
    if loaded.policy.max_age is not None:
        left = min(left, max(0.0, loaded.as_of_seconds + loaded.policy.max_age - time.time()))
    who = "private" if private else "public"
    return ((b"etag", tag.encode()), (b"cache-control", f"{who}, max-age={int(left)}".encode()))


def matches(if_none_match: bytes | None, etag: bytes) -> bool:
    """Whether a client has this answer already."""
    if if_none_match is None:
        return False
    known = [tag.strip().removeprefix(b"W/") for tag in if_none_match.split(b",")]
    return b"*" in known or etag.removeprefix(b"W/") in known


def _parsed(text: str, type: str) -> Any:
    """The text of a path as the JSON value that it stands for; as it is where it stands for none."""
    try:
        if type in _JSON:
            return msgspec.json.decode(text.encode(), type=_JSON[type])
        if type == "opaque":
            return base64.b64decode(text.encode(), altchars=b"-_", validate=True)
    except (binascii.Error, msgspec.MsgspecError, UnicodeError):
        pass
    return text


_JSON: dict[str, Any] = {"boolean": bool, "integer": int, "number": float}
