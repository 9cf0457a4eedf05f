"""What the audit says was done, held against the rows that there are: both ways, and word by word.

    record: promote A as epoch 2, by ada, because …   ◀─▶   pointers: epoch 2, A, ada, because …
    record: step.record, its output has hash 5f…      ───▶  steps: the output that is there has that hash

A record names the text of a row by its hash (`row_hash`); records of before that do not, and their rows are only looked
at for whether they can be read.
What does not belong here: whether the records themselves hold (`audit`), and files (`doctor`).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from sqlalchemy import Connection, Table, select

from ninetyfive.errors import IntegrityError
from ninetyfive.hashing import bytes_hash, content_hash
from ninetyfive.store import catalog
from ninetyfive.store.catalog import from_json
from ninetyfive.store.records import Finding

DO = "find out who changed the catalog by hand; restore it from a backup you trust"
_PIN = "find out who changed the catalog by hand; pin or unpin it again: ninetyfive pin RELEASE"


def row_hash(row: Mapping[str, Any], table: Table) -> str:
    """The hash of all columns of a row, texts as they are stored."""
    return content_hash({column.name: row[column.name] for column in table.c})


def unaccounted(connection: Connection) -> Iterator[Finding]:
    """Releases, tables, jobs, pointers, pins that no record tells of; records whose row is gone or another."""
    releases: dict[str, str] = {}
    tables: dict[str, tuple[str, str | None]] = {}
    set_: dict[int, tuple[str, str, str, str, str | None]] = {}
    pinned: dict[str, tuple[str, str]] = {}
    asked: dict[str, tuple[str, str, str]] = {}
    for row, details in _records(connection):
        match row["action"]:
            case "release.add" | "release.collect" | "release.restore":
                releases[row["subject"]] = details.get("folder", "")
            case "promote" | "rollback":
                said = row["action"], row["subject"], row["actor"], details.get("reason", ""), details.get("table")
                set_[details.get("epoch", 0)] = said
            case "table.add":
                tables[row["subject"]] = details.get("release", ""), details.get("folder")
            case "table.collect" | "table.restore" if row["subject"] in tables:
                tables[row["subject"]] = tables[row["subject"]][0], details.get("folder")
            case "job.add":
                asked[row["subject"]] = details.get("service", ""), details.get("name", ""), details.get("state", "")
            case "job.move" if row["subject"] in asked:
                asked[row["subject"]] = *asked[row["subject"]][:2], details.get("state", "")
            case "release.pin":
                pinned[row["subject"]] = row["actor"], details.get("reason", "")
            case "release.unpin":
                pinned.pop(row["subject"], None)
    folders = {row.release: row.folder for row in connection.execute(select(catalog.releases))}
    yield from _added("release", folders, releases, "its folder is")
    built = {row.id: (row.release, row.folder) for row in connection.execute(select(catalog.tables))}
    yield from _added("table", built, tables, "release and folder are")
    jobs = {row.id: (row.service, row.name, row.state) for row in connection.execute(select(catalog.jobs))}
    yield from _added("job", jobs, asked, "service, name and state are")
    yield from _pointers(connection, set_)
    table = catalog.pins
    there = {row.release: (row.actor, row.reason) for row in connection.execute(select(table))}
    for release in sorted(there.keys() | pinned.keys()):
        if there.get(release) != pinned.get(release):
            problem = f"the audit says {_pin(pinned.get(release))}, and the catalog {_pin(there.get(release))}"
            yield Finding("audit", f"pin of release {release}", problem, _PIN)


def altered(connection: Connection) -> Iterator[Finding]:
    """Rows that are not what was recorded, or that nobody can read."""
    told = _told(connection)
    for table, key, column in (
        (catalog.steps, "key", "output"),
        (catalog.releases, "release", "document"),
        (catalog.tables, "id", "document"),
        (catalog.runs, "number", "document"),
        (catalog.spans, "sequence", "details"),
    ):
        for row in map(dict, connection.execute(select(table)).mappings()):
            found = row_hash(row, table) if table is catalog.spans else bytes_hash(str(row[column]).encode())
            known = told.get((table.name, str(row[key])))
            subject, do = _subject(table.name, row)
            if known not in (None, found):
                yield Finding("altered row", subject, f"its {column} or what stands beside it is not as recorded", do)
            elif not _readable(row[column]):
                yield Finding("altered row", subject, f"its {column} cannot be read", do)


def _told(connection: Connection) -> dict[tuple[str, str], str]:
    """`{(table, key): hash}` of the rows that records name by a hash; the last one counts."""
    told: dict[tuple[str, str], str] = {}
    for row, details in _records(connection):
        match row["action"]:
            case "step.record" if "output" in details:
                told["steps", details["key"]] = details["output"]
            case "release.add" if "document" in details:
                told["releases", row["subject"]] = details["document"]
            case "table.add" if "document" in details:
                told["tables", row["subject"]] = details["document"]
            case "run.finish" if "document" in details:
                told["runs", row["subject"].removeprefix("run-")] = details["document"]
            case "spans.add" if "rows" in details:
                for (_, sequence, _), known in zip(details["spans"], details["rows"], strict=True):
                    told["spans", str(sequence)] = known
    return told


def _records(connection: Connection) -> Iterator[tuple[Mapping[str, Any], dict[str, Any]]]:
    """The records in order, with their details; those that cannot be read are left to `audit`."""
    for row in map(dict, connection.execute(select(catalog.audit).order_by(catalog.audit.c.seq)).mappings()):
        if _readable(row["details"]):
            yield row, from_json(row["details"])


def _readable(text: str) -> bool:
    try:
        return isinstance(from_json(text), dict)
    except IntegrityError:
        return False


def _subject(table: str, row: Mapping[str, Any]) -> tuple[str, str]:
    """What a row is called, and what to do where it is altered."""
    if table == "steps":
        return f"step {row['name']} of run-{row['run']}", f"ninetyfive run --from {row['name']}: it is done again"
    if table == "spans":
        return f"span {row['span'][:12]} of {row['url']}", DO
    if table == "tables":
        return f"table {row['id']}", f"build another one: ninetyfive table build --release {row['release'][:12]}"
    return (f"release {row['release']}" if table == "releases" else f"run-{row['number']}"), DO


def _added(kind: str, there: Mapping[str, Any], told: Mapping[str, Any], what: str) -> Iterator[Finding]:
    """What the catalog holds of a kind, by name, against what the audit says was added; `what` is compared."""
    for name in sorted(there.keys() | told.keys()):
        if name not in told:
            problem = "the catalog holds it, but no audit record says it was added"
        elif name not in there:
            problem = "an audit record says it was added, but the catalog does not hold it"
        elif there[name] != told[name]:
            problem = f"{what} {there[name]}, but the audit says {told[name]}"
        else:
            continue
        yield Finding("audit", f"{kind} {name}", problem, DO)


def _pointers(connection: Connection, told: Mapping[int, tuple[str, str, str, str, str | None]]) -> Iterator[Finding]:
    table = catalog.pointers
    rows = {row.epoch: row for row in connection.execute(select(table).order_by(table.c.epoch))}
    for epoch in sorted(rows.keys() | told.keys()):
        row, subject = rows.get(epoch), f"champion epoch {epoch}"
        if row is None:
            action, release, actor, _, _ = told[epoch]
            yield Finding("audit", subject, f"the audit says {actor} did {action} {release}, but it is gone", DO)
            continue
        if (row.action, row.release, row.actor, row.reason, row.table) != told.get(epoch):
            live = f"{row.release}, table {row.table}" if row.table else row.release
            problem = f"no audit record says it was set to {live}, by {row.actor}, because: {row.reason}"
            yield Finding("audit", subject, problem, DO)
        elif row.below != _below(rows, epoch):
            problem = f"a rollback from it returns to epoch {row.below}, where it should be {_below(rows, epoch)}"
            yield Finding("audit", subject, problem, DO)


def _below(rows: Mapping[int, Any], epoch: int) -> int | None:
    """Where a rollback from an epoch returns to: before it, or of a rollback, below the place that it returned to."""
    before = rows.get(epoch - 1)
    if before is None or rows[epoch].action == "promote":
        return None if before is None else epoch - 1
    place = rows.get(before.below)
    below: int | None = None if place is None else place.below
    return below


def _pin(said: tuple[str, str] | None) -> str:
    return "it is not pinned" if said is None else f"{said[0]} pinned it, because: {said[1]}"
