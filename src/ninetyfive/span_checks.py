"""What is wrong with a whole span: columns before it is read, shares of nulls and quarantine afterwards.

    names and types ── check_columns ──▶ findings      a finding that blocks stops the run (exit 3);
    counts          ── check_span    ──▶ findings      one that does not is shown

Pure: values in, findings out. What does not belong here: single values (`conform`), what is done about a finding.
"""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from ninetyfive.errors import SchemaError, near_names
from ninetyfive.schema import Schema

_TAKES: dict[str, frozenset[str]] = {
    "integer": frozenset({"integer", "number"}),
    "number": frozenset({"integer", "number"}),
    "timestamp": frozenset({"timestamp", "date", "string"}),
    "timestamp[UTC]": frozenset({"timestamp[UTC]", "string"}),
    "date": frozenset({"date", "string"}),
    "list[integer]": frozenset({"list[integer]", "list[number]"}),
    "list[number]": frozenset({"list[integer]", "list[number]"}),
}
_CAUSES = 3

FEW_ROWS = 20
"""A share of nulls among fewer rows than this is shown, and does not block."""


class Finding(msgspec.Struct, frozen=True):
    """One thing that is wrong with a span: the rule, the column ("" for the span), and the four parts of an error.

    Rules: missing, new, type, empty, all_null, null_fraction, quarantined.
    """

    rule: str
    where: str
    column: str
    expected: str
    got: str
    do: str
    blocking: bool = True

    def error(self) -> SchemaError:
        """The finding as the error that it is where it blocks."""
        where = f"{self.where}, column {self.column!r}" if self.column else self.where
        return SchemaError(where, expected=self.expected, got=self.got, do=self.do)


class SpanCounts(msgspec.Struct, frozen=True):
    """Rows of a span by outcome of `Conform`; `causes` {(rule, column): rows} of those in quarantine."""

    read: int
    accepted: int
    quarantined: int
    causes: Mapping[tuple[str, str], int] = {}


def check_columns(schema: Schema, columns: Mapping[str, str | None], where: str) -> list[Finding]:
    """Hold the columns of a file ({name: logical type, None: unknown}) against the schema, before reading it.

    Missing (not optional) columns and types that cannot become the schema's block; new columns are a notice.

    >>> from ninetyfive.schema import ColumnSchema
    >>> schema = Schema((ColumnSchema("hour", "integer"), ColumnSchema("origin", "string")))
    >>> [(f.rule, f.column, f.blocking) for f in check_columns(schema, {"hour": "string", "extra": None}, "b.parquet")]
    [('type', 'hour', True), ('missing', 'origin', True), ('new', 'extra', False)]
    """
    findings, known = [], schema.types
    for column in schema.columns:
        name = column.name
        if name not in columns:
            if not column.optional:
                hint = near_names(name, [given for given in columns if given not in known] or columns)
                do = f"add it, rename it ({hint}), or set optional = true on it in schema.toml"
                findings.append(Finding("missing", where, name, "this column of schema.toml", "no such column", do))
            continue
        found = columns[name]
        if found is None or column.type == "opaque" or found in _TAKES.get(column.type, {column.type}):
            continue
        findings.append(Finding("type", where, name, f"{column.type}", found, _remedy(column.type, found)))
    for name in columns:
        if name not in known:
            do = f"add it to schema.toml if it is to be used ({near_names(name, known)})"
            findings.append(Finding("new", where, name, "the columns of schema.toml", "a new one", do, blocking=False))
    return findings


def _remedy(type: str, found: str) -> str:
    if (type, found) == ("timestamp[UTC]", "timestamp"):
        return 'write the times with their zone, or set type = "timestamp" in schema.toml if they are to have none'
    if (type, found) == ("timestamp", "timestamp[UTC]"):
        return 'write the times without a zone, or set type = "timestamp[UTC]" in schema.toml'
    return f"write the file again with {type}, or if all files are to hold {found}, set that type in schema.toml"


def causes_text(causes: Mapping[tuple[str, str], int]) -> str:
    """Why rows are in quarantine, the most frequent causes first.

    >>> causes_text({("null", "at"): 2, ("range", "hour"): 10})
    "10 by range of 'hour', 2 by null of 'at'"
    """
    most = sorted(causes.items(), key=lambda item: (-item[1], item[0]))[:_CAUSES]
    return ", ".join(f"{rows:,} by {rule} of {column!r}" for (rule, column), rows in most)


def check_span(schema: Schema, nulls: Mapping[str, int], counts: SpanCounts, where: str) -> list[Finding]:
    """Hold a span's counts against the schema, after it was read; `nulls` {column: nulls} of the accepted rows.

    A span without rows and a share of quarantined rows above `max_quarantined` block; so do a share of nulls above
    `max_null_fraction` and a column of nulls only that has such a limit, from `FEW_ROWS` accepted rows on (of fewer
    rows a share says little: a notice). A column of nulls only that has no limit, or may be missing, is a notice.

    >>> from ninetyfive.schema import ColumnSchema
    >>> schema = Schema((ColumnSchema("hour", "integer", max_null_fraction=0.2),))
    >>> counts = SpanCounts(read=100, accepted=90, quarantined=10, causes={("range", "hour"): 10})
    >>> for finding in check_span(schema, {"hour": 45}, counts, "a.csv"):
    ...     print(finding.rule, "|", finding.got)
    quarantined | 10 of 100 rows in quarantine (10 by range of 'hour')
    null_fraction | 45 of 90 null
    """
    if not counts.read:
        return [Finding("empty", where, "", "rows", "none", "remove the file from the source")]
    findings = []
    if counts.quarantined > schema.max_quarantined * counts.read:
        shown = causes_text(counts.causes)
        got = f"{counts.quarantined:,} of {counts.read:,} rows in quarantine" + (f" ({shown})" if shown else "")
        expected = f"at most {schema.max_quarantined:.2%} of rows in quarantine"
        do = "look at the quarantine, then correct the file, the rules in schema.toml, or max_quarantined"
        findings.append(Finding("quarantined", where, "", expected, got, do))
    enough = counts.accepted >= FEW_ROWS
    for column in schema.columns:
        missing = nulls.get(column.name, 0)
        limit = 1.0 if column.max_null_fraction is None else column.max_null_fraction
        got = f"{missing:,} of {counts.accepted:,} null"
        if missing and missing == counts.accepted:
            blocking = enough and limit < 1.0 and not column.optional
            do = "correct the file; if the column has no values any more, remove max_null_fraction in schema.toml"
            findings.append(Finding("all_null", where, column.name, "values that are not null", got, do, blocking))
        elif missing > limit * counts.accepted:
            do = "correct the file, or raise max_null_fraction in schema.toml"
            findings.append(Finding("null_fraction", where, column.name, f"at most {limit:.2%} null", got, do, enough))
    return findings
