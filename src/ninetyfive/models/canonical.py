"""A skops file rewritten so that equal models give equal bytes.

skops names what it stores by `id()`, a memory address, and stamps the zip with the time. Here ids become numbers in
the order of their first use, a value that JSON holds carries none, padding between the fields of an array's records is
zero, and every entry has the same fixed time. What the file means, and that skops loads it, stays as it was.
"""

from __future__ import annotations

import io
import json
import zipfile
from typing import Any

import numpy as np

_TIME = (1980, 1, 1, 0, 0, 0)
_SCHEMA = "schema.json"


def canonical_skops(data: bytes) -> bytes:
    """The bytes of a skops file with numbered ids, fixed times and entries in the order of their use."""
    with zipfile.ZipFile(io.BytesIO(data)) as old:
        schema = json.loads(old.read(_SCHEMA))
        files: dict[str, str] = {}
        numbered = _numbered(schema, {}, files)
        contents = {new: _without_padding(old.read(name)) for name, new in files.items()}
    contents[_SCHEMA] = json.dumps(numbered, sort_keys=False, separators=(",", ":")).encode()
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED, compresslevel=6) as new_file:
        for name, content in contents.items():
            entry = zipfile.ZipInfo(name, _TIME)
            entry.compress_type = zipfile.ZIP_DEFLATED
            entry.create_system = 3
            entry.external_attr = 0o644 << 16
            new_file.writestr(entry, content)
    return buffer.getvalue()


def _without_padding(content: bytes) -> bytes:
    """A .npy file of records with the bytes between their fields set to zero; anything else as it is."""
    if not content.startswith(b"\x93NUMPY"):
        return content
    array = np.load(io.BytesIO(content), allow_pickle=False)
    if array.dtype.names is None:
        return content
    clean = np.zeros(array.shape, dtype=array.dtype)
    for name in array.dtype.names:
        clean[name] = array[name]
    buffer = io.BytesIO()
    np.save(buffer, clean, allow_pickle=False)
    return buffer.getvalue()


def _numbered(state: Any, ids: dict[int, int], files: dict[str, str]) -> Any:
    if isinstance(state, list):
        return [_numbered(item, ids, files) for item in state]
    if not isinstance(state, dict):
        return state
    result: dict[str, Any] = {}
    for key, value in state.items():
        if key == "__id__" and isinstance(value, int):
            if state.get("__loader__") != "JsonNode":
                result[key] = ids.setdefault(value, len(ids) + 1)
        elif key == "file" and "__loader__" in state and isinstance(value, str):
            result[key] = files.setdefault(value, f"{len(files) + 1}.{value.rpartition('.')[2]}")
        else:
            result[key] = _numbered(value, ids, files)
    return result
