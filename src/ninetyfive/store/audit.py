"""The audit: one record per state change, chained by hashes, written in the transaction of the change.

    record 1 ◀─ previous ─ record 2 ◀─ previous ─ record 3 ◀─ head

Altering, removing, adding or moving a record breaks the chain at that record; removing the last ones contradicts the
head. Who can write the whole database can rewrite the whole chain: keep a copy of the head's hash elsewhere.
What does not belong here: which changes there are.
"""

from __future__ import annotations

from typing import Any

from sqlalchemy import Connection, insert, select, update

from ninetyfive import clock
from ninetyfive.hashing import content_hash
from ninetyfive.store import accounts
from ninetyfive.store.catalog import audit, audit_head, from_json, to_json
from ninetyfive.store.records import AuditRecord, Finding


def append(connection: Connection, actor: str, action: str, subject: str, details: dict[str, Any]) -> None:
    """Append one record inside the transaction of `connection`."""
    seq, previous = connection.execute(select(audit_head.c.seq, audit_head.c.hash)).one()
    values = {
        "seq": seq + 1,
        "time": clock.now().isoformat(),
        "actor": actor,
        "action": action,
        "subject": subject,
        "details": to_json(details),
        "previous": previous,
    }
    digest = content_hash(values)
    connection.execute(insert(audit).values(**values, hash=digest))
    connection.execute(update(audit_head).values(seq=seq + 1, hash=digest))


def read(connection: Connection, last: int | None = None) -> list[AuditRecord]:
    """The `last` records (None: all), oldest first."""
    query = select(audit).order_by(audit.c.seq.desc()).limit(last)
    rows = connection.execute(query).mappings().all()
    return [AuditRecord(**{**row, "details": from_json(row["details"])}) for row in reversed(rows)]


def verify(connection: Connection) -> list[Finding]:
    """What is wrong with the chain, record by record, and with what it should account for; [] if nothing is."""
    found: list[Finding] = []
    rows = [dict(row) for row in connection.execute(select(audit).order_by(audit.c.seq)).mappings()]
    moved = {row["hash"] for row in rows}
    expected, previous = 1, ""
    for row in rows:
        seq, digest = int(row["seq"]), str(row.pop("hash"))
        if seq != expected:
            names = str(expected) if seq == expected + 1 else f"{expected} to {seq - 1}"
            found.append(_finding(names, "missing"))
        if content_hash(row) != digest:
            found.append(_finding(str(seq), "altered, or moved from another place"))
        elif seq == expected and row["previous"] != previous:
            kind = "out of order" if row["previous"] in moved else "not chained to the record before it"
            found.append(_finding(str(seq), kind))
        expected, previous = seq + 1, digest
    head = connection.execute(select(audit_head.c.seq, audit_head.c.hash)).one_or_none()
    if head is None or head.seq >= expected:
        last = "the head" if head is None else str(head.seq)
        found.append(_finding(f"{expected} to {last}" if last != str(expected) else last, "missing at the end"))
    elif (head.seq, head.hash) != (expected - 1, previous):
        found.append(_finding(f"{head.seq + 1} and later", "not accounted for by the head"))
    return [*found, *accounts.unaccounted(connection)]


def _finding(records: str, kind: str) -> Finding:
    return Finding("audit", f"record {records}", f"{kind}: the chain of hashes does not hold", accounts.DO)
