"""Of what kind the values of raw columns are: what the first schema of text files is inferred from.

    text ── integer? number? boolean? date? timestamp? … ──▶ {column: {kind: count, smallest examples}}

What does not belong here: which type that makes (`inference`), and parsing (`conform`).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import msgspec
import polars as pl

from ninetyfive import values
from ninetyfive.inference import EMPTY_LIST, Guess, guess
from ninetyfive.schema import RESERVED, logical_type
from ninetyfive.values import BLANKS, FALSE_WORDS, INTEGER_TEXT, MISSING_WORDS, NUMBER_TEXT, TRUE_WORDS, Text

EXAMPLES = 3
EXAMPLE_LENGTH = 40

INTEGER_SHAPE = r"^[+-]?(?:0|[1-9][0-9]{0,17})$"
"""Text that is surely an integer: it fits 64 bits, and a leading zero makes it a code (a zip, a flight number)."""


class ColumnKinds(msgspec.Struct, frozen=True):
    """One column: its place in the file, {kind: count} and {kind: smallest distinct examples}."""

    place: int
    counts: dict[str, int]
    examples: dict[str, tuple[str, ...]]


class Kinds(msgspec.Struct, frozen=True):
    """Rows seen, and what each column held; a column that a chunk lacks was null there."""

    rows: int = 0
    columns: dict[str, ColumnKinds] = {}


@dataclass(frozen=True, slots=True)
class TypeGuess:
    """Reducer: raw frames → a `Guess` for each column; exact, `EXAMPLES` examples a kind kept.

    `text` says what the raw columns are (as in `Conform`). Columns of the system (`__…`) are left out. Nulls, and in
    CSV the words that mean missing, count for no kind. Size: columns × kinds × examples of 40 characters.

    >>> reducer = TypeGuess("csv")
    >>> state = reducer.add(reducer.zero(), pl.DataFrame({"hour": ["7", "8.5", "NA"], "zip": ["01234", "99", None]}))
    >>> [(guess.name, guess.type, guess.nulls) for guess in reducer.result(state)]
    [('hour', 'number', 1), ('zip', 'string', 1)]
    """

    text: Text = "csv"

    def zero(self) -> Kinds:
        """Nothing seen."""
        return Kinds()

    def add(self, state: Kinds, frame: pl.DataFrame) -> Kinds:
        """The state with the values of `frame` counted."""
        if not frame.height:
            return state
        columns = {}
        for place, column in enumerate(frame.iter_columns()):
            if not column.name.startswith(RESERVED):
                counts, examples = _kinds(column, self.text)
                columns[column.name] = ColumnKinds(place, counts, examples)
        return self.merge(state, Kinds(frame.height, columns))

    def merge(self, left: Kinds, right: Kinds) -> Kinds:
        """The counts of both."""
        columns = dict(left.columns)
        for name, column in right.columns.items():
            columns[name] = _merged(columns[name], column) if name in columns else column
        return Kinds(left.rows + right.rows, columns)

    def result(self, state: Kinds) -> tuple[Guess, ...]:
        """A guess for each column, in the order of the file."""
        ordered = sorted(state.columns.items(), key=lambda item: (item[1].place, item[0]))
        return tuple(guess(name, state.rows, kinds.counts, self.text, kinds.examples) for name, kinds in ordered)

    def encode(self, state: Kinds) -> bytes:
        """The state as canonical JSON."""
        return msgspec.json.encode(state, order="deterministic")

    def decode(self, data: bytes) -> Kinds:
        """The state that `encode` wrote."""
        return msgspec.json.decode(data, type=Kinds)

    @staticmethod
    def example() -> tuple[TypeGuess, dict[str, Any]]:
        """For the laws of reducers: CSV text of every kind."""
        words = [
            "7",
            "-1",
            "007",
            "2.5",
            "1e3",
            "true",
            "2013-01-01",
            "2013-01-01T00:00",
            "2013-01-01T00:00Z",
            "x",
            "NA",
        ]
        return TypeGuess("csv"), {"a": pl.Series([*words, None], dtype=pl.String), "b": pl.String()}


def _merged(left: ColumnKinds, right: ColumnKinds) -> ColumnKinds:
    counts = dict(left.counts)
    examples = dict(left.examples)
    for kind, count in right.counts.items():
        counts[kind] = counts.get(kind, 0) + count
        examples[kind] = tuple(sorted({*examples.get(kind, ()), *right.examples[kind]})[:EXAMPLES])
    return ColumnKinds(min(left.place, right.place), counts, examples)


def _kinds(column: pl.Series, text: Text) -> tuple[dict[str, int], dict[str, tuple[str, ...]]]:
    """{kind: count} and {kind: examples} of one column's values that are not null."""
    if text == "typed" or column.dtype != pl.String:
        kind, count = logical_type(column.dtype), len(column) - column.null_count()
        return ({kind: count}, {kind: ()}) if kind and count else ({}, {})
    left = column.drop_nulls()
    if text == "csv":
        left = left.str.strip_chars(BLANKS)
        left = left.filter(~left.is_in(MISSING_WORDS))
    counts: dict[str, int] = {}
    examples: dict[str, tuple[str, ...]] = {}
    for kind, test in _TESTS[text]:
        if left.is_empty():
            break
        hit = left.to_frame("t").select(test).to_series()
        count = int(hit.sum())
        if count:
            counts[kind] = counts.get(kind, 0) + count
            found = left.filter(hit).str.slice(0, EXAMPLE_LENGTH).unique().sort().head(EXAMPLES).to_list()
            examples[kind] = tuple(sorted({*examples.get(kind, ()), *found})[:EXAMPLES])
            left = left.filter(~hit)
    return counts, examples


def _array(element: str) -> pl.Expr:
    """Whether a JSON text is an array of elements of this form, one or more."""
    return _TEXT.str.contains(rf"^\[\s*(?:{element})\s*(?:,\s*(?:{element})\s*)*\]$")


_TEXT = pl.col("t")
_CODES = _TEXT.str.contains(f"^{INTEGER_TEXT}$") & ~_TEXT.str.contains(INTEGER_SHAPE)
_CSV_TESTS: tuple[tuple[str, pl.Expr], ...] = (
    ("integer", _TEXT.str.contains(INTEGER_SHAPE)),
    ("string", _CODES),
    ("number", _TEXT.str.contains(f"^{NUMBER_TEXT}$")),
    ("boolean", _TEXT.is_in(TRUE_WORDS + FALSE_WORDS)),
    ("date", _TEXT.str.contains(f"^{values.DATE_TEXT}$")),
    ("timestamp", _TEXT.str.contains(f"^{values.NAIVE_TEXT}$")),
    ("timestamp[UTC]", _TEXT.str.contains(f"^{values.ZONED_TEXT}$")),
    ("string", _TEXT.is_not_null()),
)
_JSON_TESTS: tuple[tuple[str, pl.Expr], ...] = (
    # Ids of 19 digits fit 64 bits; as floats they would run together. Longer ones are refused, not rounded.
    ("integer", _TEXT.str.contains(f"^{INTEGER_TEXT}$")),
    ("number", _TEXT.str.contains(f"^{NUMBER_TEXT}$")),
    ("boolean", _TEXT.is_in(("true", "false"))),
    ("date", _TEXT.str.contains(f'^"{values.DATE_TEXT}"$')),
    ("timestamp", _TEXT.str.contains(f'^"{values.NAIVE_TEXT}"$')),
    ("timestamp[UTC]", _TEXT.str.contains(f'^"{values.ZONED_TEXT}"$')),
    ("string", _TEXT.str.starts_with('"')),
    (EMPTY_LIST, _array("null") | _TEXT.str.contains(r"^\[\s*\]$")),
    ("list[boolean]", _array("null|true|false")),
    ("list[integer]", _array(f"null|{INTEGER_TEXT}")),
    ("list[number]", _array(f"null|{NUMBER_TEXT}")),
    ("list[string]", _array(r'null|"(?:[^"\\]|\\.)*"')),
    ("opaque", _TEXT.is_not_null()),
)
_TESTS = {"csv": _CSV_TESTS, "json": _JSON_TESTS}
