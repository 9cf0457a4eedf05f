"""The first schema, from what was seen of each column.

    files ── footer, or TypeGuess over the raw rows ──▶ {url: guesses} ── agree ──▶ guesses ── infer ──▶ Schema

The rule: a type is inferred where at most 1 % of a column's values do not have it; those rows go to quarantine. Files
must agree on columns and types (integers may meet numbers, dates timestamps): what changes between files is said, not
guessed. What does not belong here: looking at rows (`reducers.type_guess`), reading files (`sources`).
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

import msgspec

from ninetyfive.errors import SchemaError, near_names
from ninetyfive.schema import ColumnSchema, Schema

MISFITS = 0.01
"""The share of values that may not have the inferred type."""

EMPTY_LIST = "list[]"
"""The kind of JSON arrays without an element that is not null: they fit any list, and tell no type."""

_COVERS: tuple[tuple[str, frozenset[str]], ...] = (
    ("boolean", frozenset({"boolean"})),
    ("integer", frozenset({"integer"})),
    ("number", frozenset({"integer", "number"})),
    ("date", frozenset({"date"})),
    ("timestamp", frozenset({"date", "timestamp"})),
    ("timestamp[UTC]", frozenset({"timestamp[UTC]"})),
    ("list[boolean]", frozenset({EMPTY_LIST, "list[boolean]"})),
    ("list[integer]", frozenset({EMPTY_LIST, "list[integer]"})),
    ("list[number]", frozenset({EMPTY_LIST, "list[integer]", "list[number]"})),
    ("list[string]", frozenset({EMPTY_LIST, "list[string]"})),
)
"""The types that are inferred from values, and the kinds of values each takes, in the order they are tried."""


class Guess(msgspec.Struct, frozen=True):
    """What was seen of one column: its logical type (None: only nulls), rows, nulls (None: unknown).

    `misfits` values (the smallest of them in `examples`) do not have the type; of text, `examples` has one of each
    kind. `kinds`: how many values of each kind text columns hold ((kind, count) pairs; empty for typed columns).
    """

    name: str
    type: str | None
    rows: int
    nulls: int | None = None
    misfits: int = 0
    examples: tuple[str, ...] = ()
    kinds: tuple[tuple[str, int], ...] = ()

    @property
    def note(self) -> str:
        """What was seen, as the comment in schema.toml."""
        seen = "" if self.nulls is None else f"{self.nulls:,} of {self.rows:,} null"
        misfits = f"{self.misfits:,} do not fit ({', '.join(self.examples)})" if self.misfits else ""
        return "; ".join(part for part in (seen, misfits) if part)


def chosen(kinds: Mapping[str, int], text: str) -> tuple[str | None, int]:
    """The logical type for values of these kinds ({kind: count}) and how many do not have it; `text` "csv" or "json".

    All of one type first; else a type that at most 1 % do not have; else string, for mixed JSON values opaque.

    >>> chosen({"integer": 5, "number": 1}, "csv"), chosen({"integer": 999, "string": 1}, "csv"), chosen({}, "csv")
    (('number', 0), ('integer', 1), (None, 0))
    """
    values = sum(kinds.values())
    if not values:
        return None, 0
    if set(kinds) == {EMPTY_LIST}:
        return "opaque", 0
    covers = dict(_COVERS)
    covers["string"] = frozenset(
        {"string", "date", "timestamp", "timestamp[UTC]"} | (set(kinds) if text == "csv" else set())
    )
    left = {type: values - sum(kinds.get(kind, 0) for kind in kinds_of) for type, kinds_of in covers.items()}
    for type, misfits in left.items():
        if not misfits and type != "string":
            return type, 0
    type, misfits = min(((type, left[type]) for type in covers if type != "string"), key=lambda pair: pair[1])
    if misfits <= MISFITS * values:
        return type, misfits
    if left["string"] <= MISFITS * values:
        return "string", left["string"]
    return "opaque", 0


def guess(name: str, rows: int, kinds: Mapping[str, int], text: str, examples: Mapping[str, Sequence[str]]) -> Guess:
    """The guess for a text column with values of these kinds; `examples` {kind: smallest values}."""
    type, misfits = chosen(kinds, text)
    strange = []
    if misfits:
        fits = dict(_COVERS).get(type or "", frozenset({"string", "date", "timestamp", "timestamp[UTC]"}))
        strange = sorted(text for kind, texts in examples.items() if kind not in fits for text in texts)[:3]
    elif type == "string":
        strange = sorted(text for texts in examples.values() for text in texts[:1])[:3]
    nulls = rows - sum(kinds.values())
    return Guess(name, type, rows, nulls, misfits, tuple(strange), tuple(sorted(kinds.items())))


def agree(
    files: Mapping[str, Sequence[Guess]],
    *,
    text: str = "typed",
    types: Mapping[str, str] | None = None,
    optional: Collection[str] = (),
) -> tuple[Guess, ...]:
    """One guess a column over all files ({url: its guesses}), columns in the order they first occur.

    A column that a file lacks (and is not `optional`), or whose type changes between files (and is not in `types`),
    raises `SchemaError` naming both files. Integer and number give number, date and timestamp give timestamp. In text
    files a few values of another kind are misfits, not another type.
    """
    names = list(dict.fromkeys(guess.name for guesses in files.values() for guess in guesses))
    by_file = {url: {guess.name: guess for guess in guesses} for url, guesses in files.items()}
    merged = []
    for name in names:
        having = {url: guesses[name] for url, guesses in by_file.items() if name in guesses}
        lacking = next((url for url in by_file if url not in having), None)
        if lacking is not None and name not in optional:
            raise SchemaError(
                f"column {name!r}",
                expected=f"it in every file (it is in {next(iter(having))})",
                got=f"a file without it ({lacking})",
                do=f"add it ({near_names(name, by_file[lacking])}), or declare optional=[{name!r}] in the source",
            )
        rows = sum(guesses[0].rows for guesses in files.values() if guesses)
        merged.append(_merged(name, having, rows, text, (types or {}).get(name)))
    return tuple(merged)


def _merged(name: str, having: Mapping[str, Guess], rows: int, text: str, given: str | None) -> Guess:
    guesses = list(having.values())
    counted = [guess.nulls for guess in guesses if guess.nulls is not None]
    nulls = sum(counted) + rows - sum(guess.rows for guess in guesses) if len(counted) == len(guesses) else None
    if given is not None:
        return Guess(name, given, rows, nulls)
    kinds: dict[str, int] = {}
    for one in guesses:
        for kind, count in one.kinds:
            kinds[kind] = kinds.get(kind, 0) + count
    whole, misfits = chosen(kinds, text) if kinds else (None, 0)
    examples = tuple(sorted({example for one in guesses for example in one.examples}))[:3]
    if whole in dict(_COVERS):
        return Guess(name, whole, rows, nulls, misfits, examples, tuple(sorted(kinds.items())))
    type, first = None, ""
    for url, one in having.items():
        joined = _joined(type, one.type)
        if joined is None and one.type is not None:
            raise SchemaError(
                f"column {name!r}",
                expected=f"one type in all files ({type} in {first})",
                got=f"{one.type} in {url}",
                do=_alike({type, one.type}, name, text),
            )
        if joined != type:
            type, first = joined, url
    return Guess(name, type, rows, nulls, misfits, examples, tuple(sorted(kinds.items())))


def check_time(guess: Guess) -> None:
    """Refuse text as the time column where it holds no times, or some with a zone and some without: `SchemaError`.

    >>> check_time(Guess("at", "string", 3, 0, 0, ("1 May",), (("string", 2), ("timestamp", 1))))
    Traceback (most recent call last):
    ninetyfive.errors.SchemaError: column 'at', time= of the source: expected ISO 8601 times, got 2 of 3 values that \
are none, such as '1 May'. To do: write them like 2026-01-31T12:00:00Z.
    """
    kinds = dict(guess.kinds)
    if guess.type != "string" or not kinds:
        return
    where, do = f"column {guess.name!r}, time= of the source", "write them like 2026-01-31T12:00:00Z"
    zoned, naive = kinds.get("timestamp[UTC]", 0), kinds.get("timestamp", 0) + kinds.get("date", 0)
    other = sum(kinds.values()) - zoned - naive
    shown = ", ".join(repr(text.strip('"')) for text in guess.examples)
    if other:
        got = f"{other:,} of {sum(kinds.values()):,} values that are none, such as {shown}"
        raise SchemaError(where, expected="ISO 8601 times", got=got, do=do)
    got = f"{zoned:,} with a zone and {naive:,} without, such as {shown}"
    raise SchemaError(where, expected="times that all have a zone, or none that has", got=got, do=f"{do}, all alike")


def _alike(types: Collection[str | None], name: str, text: str) -> str:
    """What to do about a column of two types."""
    if types == {"timestamp", "timestamp[UTC]"}:
        return "write the times of all files with their zone, or all without"
    way = f", or declare types={{{name!r}: 'string'}} in the source" if text == "csv" else ""
    return f"write one of the files again, so that they agree{way}"


def _joined(left: str | None, right: str | None) -> str | None:
    """The type that takes the values of both, None where there is none (or neither has one)."""
    if left is None or right is None or left == right:
        return left or right
    for pair in (("integer", "number"), ("date", "timestamp"), ("list[integer]", "list[number]")):
        if {left, right} == set(pair):
            return pair[1]
    return None


def infer(guesses: Sequence[Guess], *, required: Collection[str] = (), optional: Collection[str] = ()) -> Schema:
    """The first schema, not reviewed: types as guessed, nulls refused only in `required` columns (time and id).

    `max_null_fraction` is twice the share seen plus 0.05, where nulls were counted. Ranges and allowed values are not
    inferred. A column of nulls only, of which no file knows the type, is opaque: it passes, and no operation takes it.

    >>> column = infer([Guess("hour", "integer", 100, 10)]).column("hour")
    >>> column.type, column.nullable, column.max_null_fraction
    ('integer', True, 0.25)
    """
    columns = []
    for one in guesses:
        limit = None if one.nulls is None else round(min(1.0, 2 * one.nulls / max(1, one.rows) + 0.05), 4)
        limit = None if limit == 1.0 else limit
        free = one.name not in required
        columns.append(
            ColumnSchema(
                one.name,
                one.type or "opaque",
                nullable=free,
                optional=one.name in optional,
                max_null_fraction=limit if free else None,
            )
        )
    return Schema(tuple(columns))
