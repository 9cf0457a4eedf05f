"""A request log of requests that nobody made, written as a service writes it: for examples, tests and figures.

    frame of requests ─ row scalars ─▶ records ─ serve.log ─▶ segments ─ rotation ─▶ spans: what `nf.request_log` reads

The rule: a record goes through the code that a worker logs with, so keys, fingerprints and spans are what a service
would have written. Nothing was answered, and the records say so: no answer, no CPU, a release of zeros. What does not
belong here: who asks for what, which is the caller's to say.
"""

from __future__ import annotations

from pathlib import Path

import polars as pl

from ninetyfive.errors import SchemaError, near_names
from ninetyfive.features.frames import scalars
from ninetyfive.schema import LOGGED, dtype, logical_type
from ninetyfive.serve.log import Record, RequestLog
from ninetyfive.serve.messages import Log
from ninetyfive.supervise.rotation import rotate
from ninetyfive.system import Declaration
from ninetyfive.tables.keys import entity_key, fingerprint

NOBODY = "0" * 64
"""The release of requests that no release answered."""
ASKED_AT = "request_time"
_BATCH = 16_384


def write_request_log(
    folder: str | Path, system: Declaration, requests: pl.DataFrame, *, release: str = NOBODY
) -> tuple[Path, ...]:
    """Log `requests` of `system` in `folder`, in their order; the spans that are new.

    `request_time` says when each was made (a time of UTC, with or without a zone, no nulls); the other columns are
    those of a request, in the order of the schema: the columns of the data without those that are known later.
    `release` is the hash that the records name. A column that features or entity need and that is absent, or of a
    type that no request holds, raises `SchemaError`; no requests, no spans.
    """
    rows = requests.drop(ASKED_AT, strict=False)
    inputs = sorted({name for feature in system.features.values() for name in feature.columns()})
    for name in (ASKED_AT, *system.entity, *inputs):
        if name not in requests.columns:
            do = f"add it ({near_names(name, requests.columns)})"
            raise SchemaError("requests", expected=f"a column {name!r}", got="no such column", do=do)
    types = {name: _type(name, kind) for name, kind in rows.schema.items()}
    rows = rows.cast({name: dtype(kind) for name, kind in types.items()})
    home = Path(folder)
    before = set(home.glob("*.parquet"))
    log = RequestLog(Log(folder=str(home)), "simulated", types)
    times = requests[ASKED_AT].dt.cast_time_unit("us").to_physical()
    for first in range(0, requests.height, _BATCH):
        made = scalars(rows.slice(first, _BATCH), types)
        log.append(
            [
                Record(
                    f"{first + number:032x}",
                    at,
                    None,
                    entity_key([row[name] for name in system.entity]) if system.entity else None,
                    tuple(row.values()),
                    fingerprint(tuple(row[name] for name in inputs)),
                    None,
                    release,
                    None,
                    "model",
                    0.0,
                )
                for number, (at, row) in enumerate(zip(times.slice(first, _BATCH), made, strict=True))
            ]
        )
    log.close()
    _, errors = rotate(home)
    if errors:
        raise errors[0]
    return tuple(sorted(set(home.glob("*.parquet")) - before))


def _type(name: str, kind: pl.DataType) -> str:
    found = logical_type(kind)
    if found is None or name in LOGGED:
        where = f"requests, column {name!r}"
        raise SchemaError(where, expected="a column of a request", got=str(kind), do="rename, cast or drop it")
    return found
