"""`ninetyfive init`: a new project, from a template that runs at once or proposed from a file of the user's own."""

from __future__ import annotations

import csv
import random
import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from ninetyfive.errors import UsageError, near_names
from ninetyfive.features.source import literal
from ninetyfive.features.tree import BOOLEAN, DATE, INTEGER, LISTS, NUMBER, OPAQUE, STRING, TIMES
from ninetyfive.sources.files import Source

_ROWS = 5_000

_HEAD = '''"""What this system predicts, from what. Everything else has a default, which `ninetyfive run` prints."""

import ninetyfive as nf
from ninetyfive import col

'''

_EXAMPLE = """{head}system = nf.System(
    "taxi-tips",
    source=nf.csv("data/trips.csv", time="picked_up_at", id="trip"),
    label=col("tip") > 3.0,
    # Known only after the trip: never a feature.
    later=["fare"],
    features={{
        "hour": col("picked_up_at").hour(),
        "weekday": col("picked_up_at").weekday(),
        "distance": col("distance").fill_mean().log1p().zscore(),
        "zone": col("zone").vocabulary(),
        "passengers": col("passengers"),
    }},
    slices=["zone"],
)


@system.model(params={{"max_iter": 50}})
def model(x, y, params):
    from sklearn.ensemble import HistGradientBoostingClassifier

    return HistGradientBoostingClassifier(**params).fit(x, y)
"""

_PROPOSED = """{head}system = nf.System(
    "{name}",
    source=nf.{kind}({arguments}),
    label={label},
    # Name here every column that is known only after the request was made: none of them may be a feature.
    later=[],
    features={{
{features}
    }},
)


@system.model(params={{"max_iter": 100}})
def model(x, y, params):
    from sklearn.ensemble import {estimator}

    return {estimator}(**params).fit(x, y)
"""

_TOML = """# Where the system runs. system.py says what it does. Every setting has a default: docs/settings.md.
# store = ".ninetyfive"
# engine = "local"   # or "spark", "beam": docs/engines.md
#
# [engines.local]
# threads = 2
# memory = "512MiB"
"""

_IGNORE = ".ninetyfive/\n"


def new_project(
    folder: Path, data: str | None, label: str | None, time: str | None, ids: Sequence[str]
) -> dict[str, Any]:
    """Write system.py, ninetyfive.toml and .gitignore into `folder`; with `data` schema.toml, else an example's data.

    The store's first token is made too, and is in the answer alone. A file that is there is never overwritten:
    `UsageError`. With `data` the types are inferred from it, and each column but label, id and time is proposed as a
    feature.
    """
    files: dict[str, str] = {"ninetyfive.toml": _TOML, ".gitignore": _IGNORE}
    if data is None:
        if label or time or ids:
            raise UsageError(
                "init", expected="--data with --label, --time and --id", got="no --data", do="add --data FILE"
            )
        files["system.py"] = _EXAMPLE.format(head=_HEAD)
        files["data/trips.csv"] = _trips()
    else:
        files |= _proposal(folder, data, label, time, ids)
    there = [name for name in files if (folder / name).exists() and name != ".gitignore"]
    if there:
        raise UsageError(
            str(folder / there[0]), expected="no such file yet", got="one", do="choose another folder, or move it away"
        )
    written = []
    for name, text in files.items():
        path = folder / name
        if not path.exists():
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8")
            written.append(str(path))
    go = "" if folder == Path() else f"cd {folder} && "
    first = "read system.py, then " if data else ""
    return {
        "folder": str(folder),
        "files": written,
        "token": _admin_token(folder),
        "next": f"{first}{go}ninetyfive run",
    }


def _admin_token(folder: Path) -> str | None:
    """A token for whoever operates the service; None where the store has one already."""
    from ninetyfive.settings import load_settings
    from ninetyfive.store.opening import work_folder
    from ninetyfive.supervise.tokens import new_token, read_tokens

    settings = load_settings(folder)
    home = work_folder(settings.store_url, settings.catalog)
    if any(one.scope == "admin" for one in read_tokens(home)):
        return None
    return new_token(home, "admin")[0]


def _proposal(folder: Path, data: str, label: str | None, time: str | None, ids: Sequence[str]) -> dict[str, str]:
    """The texts of system.py and schema.toml."""
    from ninetyfive.engines.local import LocalEngine
    from ninetyfive.inference import Guess, agree, infer
    from ninetyfive.plan import Part, Read, Reduce, result_of
    from ninetyfive.reducers.type_guess import TypeGuess
    from ninetyfive.schema_toml import to_toml
    from ninetyfive.sources.discovery import discover
    from ninetyfive.sources.files import source_of
    from ninetyfive.sources.readers import reader_of

    source = source_of(data)
    reader = reader_of(source)
    part: Part = discover(source)[0].part
    guesses: Sequence[Guess] | None = reader.inspect(part)
    if guesses is None:
        reducer = TypeGuess(reader.text)
        guesses = result_of(reducer, LocalEngine().run({"types": Reduce(Read((part,), reader), reducer)})["types"])
    guesses = agree({data: guesses}, text=reader.text)
    types = {guess.name: guess.type or OPAQUE for guess in guesses}
    if label is None:
        raise UsageError(
            "--label", expected="the column to predict", got="none", do=f"add --label COLUMN; {near_names('', types)}"
        )
    for option, name in (("--label", label), *((("--time"), time),) * bool(time), *(("--id", each) for each in ids)):
        if name not in types:
            raise UsageError(option, expected=f"a column of {data}", got=repr(name), do=near_names(str(name), types))
    if types[label] not in (BOOLEAN, INTEGER, NUMBER, STRING):
        raise UsageError(
            "--label",
            expected="a column of booleans, strings or numbers",
            got=f"{label!r} of type {types[label]}",
            do="name another column, or write label= in system.py yourself",
        )
    time = time or next((name for name, type in types.items() if type in (*TIMES, DATE)), None)
    source = replace(source, urls=(_relative(folder, data),), time=time, id=tuple(ids))
    schema = infer(guesses, required=[*ids, *((time,) if time else ())])
    notes = {guess.name: guess.note for guess in guesses}
    return {"system.py": _written(source, label, types), "schema.toml": to_toml(schema, notes)}


def _written(source: Source, label: str, types: Mapping[str, str]) -> str:
    """The text of system.py; `UsageError` where nothing says which rows are to be held out."""
    if source.time is None and not source.id:
        raise UsageError(
            "--id",
            expected="the columns that name a row, or with --time when it was asked: rows are held out by one of them",
            got="neither, and no column holds times",
            do="add --id COLUMN,COLUMN or --time COLUMN",
        )
    given = {
        "time": source.time,
        "id": source.id or None,
        "separator": source.separator if source.separator != "," else None,
    }
    named = [f"{name}={literal(value)}" for name, value in given.items() if value is not None]
    regression = types[label] in (INTEGER, NUMBER)
    return _PROPOSED.format(
        head=_HEAD,
        name=re.sub("[^a-z0-9]+", "-", Path(source.urls[0]).name.lower().partition(".")[0]).strip("-") or "system",
        kind=source.kind,
        arguments=", ".join([literal(source.urls[0]), *named]),
        label=f"col({literal(label)})",
        features="\n".join(_feature(name, type) for name, type in types.items() if name not in (label, *source.id)),
        estimator="HistGradientBoostingRegressor" if regression else "HistGradientBoostingClassifier",
    )


def _feature(name: str, type: str) -> str:
    endings = {
        **dict.fromkeys((BOOLEAN, INTEGER, NUMBER), ""),
        STRING: ".vocabulary(top=1000)",
        **dict.fromkeys(TIMES, ".hour()"),
        DATE: ".weekday()",
        **dict.fromkeys(LISTS, ".list_length()"),
    }
    if type not in endings:
        return f"        # {literal(name)} is {type}: no operation takes it"
    return f"        {literal(name)}: col({literal(name)}){endings[type]},"


def _relative(folder: Path, data: str) -> str:
    """The file as system.py names it: relative to the project's folder where it can be."""
    if "://" in data:
        return data
    path = Path(data).absolute()
    base = folder.absolute()
    return path.relative_to(base).as_posix() if path.is_relative_to(base) else str(path)


def _trips() -> str:
    """Made-up trips: tips depend on distance, hour and zone, with chance; the same on every machine."""
    import io

    chance = random.Random(95)
    zones = {"airport": 2.2, "harbour": 0.6, "old town": 1.0, "suburb": 0.2, "university": -0.5}
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(["trip", "picked_up_at", "zone", "distance", "passengers", "fare", "tip"])
    for trip in range(_ROWS):
        at = datetime(2026, 1, 1) + timedelta(minutes=trip * 17 + chance.randrange(15))
        zone, distance = chance.choice(list(zones)), round(chance.expovariate(0.25), 2)
        fare = round(3 + 2.1 * distance + chance.random(), 2)
        evening = 1.0 if at.hour >= 18 else 0.0
        tip = max(0.0, round(0.35 * distance + zones[zone] + evening + chance.gauss(0, 1.2), 2))
        shown = "" if chance.random() < 0.02 else distance
        writer.writerow([trip, at.isoformat(), zone, shown, chance.choice([1, 1, 1, 2, 3]), fare, tip])
    return out.getvalue()
