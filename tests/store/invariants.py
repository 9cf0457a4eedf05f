"""N3 to N8 of a store, judged from its files alone: sqlite3 and hashlib, and no line of the store's own code.

    faults(store) ─▶ [] or Fault(rule, kind, subject) …

    N3 rows       what was read is accounted for, and stands in the files that say so
    N4 runs       none runs without a lease; each registers at most one release
    N5 champion   epochs 1..n, one release each, that exists, with a table of that release or none
    N6 artifacts  a row means that its files are there, unaltered; a file without a row is whole, or under tmp/
    N7 audit      one chain; replayed, it gives the rows that are there, no more and no less
    N8 halves     the database is whole; what ended has all that an end has

`settled` says that the last process ended by itself: then nothing may be left in tmp/ and no run may be called running.
Just after a kill one run may be, the last one: its lease is free, so everybody calls it interrupted.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import re
import sqlite3
from collections import Counter, defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

SHA256 = re.compile(r"[0-9a-f]{64}")
ALWAYS = {"catalog.sqlite", "catalog.sqlite-journal", "artifacts", "folders", "tmp", "lease", "lease.json"}
ENDED = {"done", "failed", "refused"}
Row = dict[str, Any]


class Fault(NamedTuple):
    """One broken promise: which of N3 to N8, what kind of fault, and where."""

    rule: str
    kind: str
    subject: str


def faults(store: Path, *, settled: bool = True, catalog: Path | None = None) -> list[Fault]:
    """All that is wrong with the store in the folder `store`; nothing is wrong with one that is not there yet.

    `catalog` is its SQLite file where that stands elsewhere.
    """
    path = catalog or store / "catalog.sqlite"
    if not path.exists():
        return []
    try:
        tables = _tables(path)
    except sqlite3.DatabaseError as error:
        return [Fault("N8", "database", str(error))]
    if not tables.get("version"):  # killed while it was made: its tables come in one transaction
        return [Fault("N8", "half a catalog", name) for name in sorted(tables)]
    return [
        *(Fault("N8", "database", str(found)) for found in tables["problems"]),
        *_rows(store, tables),
        *_runs(store, tables, settled),
        *_champion(tables),
        *_artifacts(store, tables),
        *_strangers(store, tables, settled),
        *_chain(tables),
        *_replayed(tables),
        *_ends(tables),
    ]


def lease_is_free(store: Path) -> bool:
    """Whether nobody holds the lease: asked of the kernel."""
    if not (store / "lease").exists():
        return True
    descriptor = os.open(store / "lease", os.O_RDONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    finally:
        os.close(descriptor)
    return True


def sha256(path: Path) -> str:
    """Of a file, in hex."""
    return hashlib.sha256(path.read_bytes()).hexdigest()


def _tables(path: Path) -> dict[str, Any]:
    """Every table as a list of dicts, in one snapshot; `problems` are those that SQLite finds itself."""
    connection = sqlite3.connect(path, isolation_level=None)
    connection.row_factory = sqlite3.Row
    try:
        connection.execute("BEGIN")
        names = [row[0] for row in connection.execute("select name from sqlite_master where type = 'table'")]
        tables: dict[str, Any] = {
            name: [dict(row) for row in connection.execute(f"select * from {name}")] for name in names
        }
        told = [row[0] for row in connection.execute("pragma integrity_check")]
        lost = [f"{row[0]} row {row[1]} names no {row[2]}" for row in connection.execute("pragma foreign_key_check")]
        tables["problems"] = [text for text in told if text != "ok"] + lost
        return tables if names else {}
    finally:
        connection.close()


def _rows(store: Path, tables: dict[str, Any]) -> Iterator[Fault]:
    """N3: per span in its row, in the counts of every recorded ingest, and in the Parquet files themselves."""
    import pyarrow.parquet as pq

    for span in tables["spans"]:
        if span["read"] != span["accepted"] + span["quarantined"]:
            yield Fault("N3", "rows lost", f"span {span['span']}")
        for column, counted in (("artifact", span["accepted"]), ("quarantine", span["quarantined"])):
            path = store / "artifacts" / str(span[column])
            if (span[column] is None) != (counted == 0):
                yield Fault("N3", "rows without a file", f"span {span['span']} {column}")
            elif path.is_file() and sha256(path) == span[column] and pq.ParquetFile(path).metadata.num_rows != counted:
                yield Fault("N3", "another number of rows", f"span {span['span']} {column}")
        if sum(json.loads(span["chunks"])) != span["accepted"]:
            yield Fault("N3", "another number of rows", f"span {span['span']} chunks")
    read = {span["span"]: span["read"] for span in tables["spans"]}
    for step in tables["steps"]:
        if step["name"] == "ingest":
            for span, counts in json.loads(step["output"])["counts"].items():
                parts = ("accepted", "quarantined", "unlabelled", "duplicate")
                if not counts["read"] == sum(counts[part] for part in parts) == read.get(span):
                    yield Fault("N3", "rows not conserved", f"span {span}")


def _runs(store: Path, tables: dict[str, Any], settled: bool) -> Iterator[Fault]:
    """N4."""
    running = [run["number"] for run in tables["runs"] if run["status"] == "running"]
    last = max((run["number"] for run in tables["runs"]), default=0)
    free = lease_is_free(store)
    for number in running:
        if (free and (settled or len(running) > 1)) or (number != last and len(running) > 1):
            yield Fault("N4", "running without a lease", f"run-{number}")
    registered = Counter(
        json.loads(record["details"])["run"]
        for record in tables["audit"]
        if record["action"] in ("release.add", "release.again")
    )
    for run, times in registered.items():
        if times > 1:
            yield Fault("N4", "more than one release", run)


def _champion(tables: dict[str, Any]) -> Iterator[Fault]:
    """N5: the epochs of each pointer are 1..n; a promotion changes the release, a rollback returns to the one below."""
    releases = {release["release"] for release in tables["releases"]}
    of_release = {table["id"]: table["release"] for table in tables["tables"]}
    for name in sorted({pointer["name"] for pointer in tables["pointers"]}):
        line = sorted((one for one in tables["pointers"] if one["name"] == name), key=lambda one: one["epoch"])
        if [one["epoch"] for one in line] != list(range(1, len(line) + 1)):
            yield Fault("N5", "a gap in the epochs", name)
            continue
        for place, one in enumerate(line):
            before = line[place - 1] if place else None
            if one["release"] not in releases:
                yield Fault("N5", "a champion that is no release", f"epoch {one['epoch']}")
            if one["table"] is not None and of_release.get(one["table"]) != one["release"]:
                yield Fault("N5", "a table of another release", f"epoch {one['epoch']}")
            if before is not None and _live(before) == _live(one):
                yield Fault("N5", "a change that changes nothing", f"epoch {one['epoch']}")
            if one["action"] == "promote":
                expected = before["epoch"] if before else None
                wrong = one["below"] != expected
            else:
                target = line[before["below"] - 1] if before and before["below"] else None
                wrong = target is None or (_live(one), one["below"]) != (_live(target), target["below"])
            if wrong:
                yield Fault("N5", "a wrong place below", f"epoch {one['epoch']}")


def _live(pointer: Row) -> tuple[Any, Any]:
    return pointer["release"], pointer["table"]


def _artifacts(store: Path, tables: dict[str, Any]) -> Iterator[Fault]:
    """N6, from the rows: what they name is named as an artifact, and every artifact is there byte for byte."""
    named = {artifact["id"]: artifact for artifact in tables["artifacts"]}
    asked = [
        (f"span {span['span']}", span[column]) for span in tables["spans"] for column in ("artifact", "quarantine")
    ]
    asked += [(f"state {state['key']}", state["artifact"]) for state in tables["states"]]
    asked += [(f"release {release['release']}", release["folder"]) for release in tables["releases"]]
    asked += [(f"table {table['id']}", table["folder"]) for table in tables["tables"]]
    asked += [(f"step {step['name']}", name) for step in tables["steps"] for name in json.loads(step["artifacts"])]
    for who, name in asked:
        if name is not None and name not in named:
            yield Fault("N6", "a name without a row", f"{who}: {name}")
    for state in tables["states"]:
        if (state["blob"] is None) == (state["artifact"] is None):
            yield Fault("N8", "half a state", state["key"])
        elif state["blob"] is not None and hashlib.sha256(state["blob"]).hexdigest() != state["sha256"]:
            yield Fault("N6", "altered state", state["key"])
    for name, row in named.items():
        if row["files"] is None:
            path = store / "artifacts" / name
            if not path.is_file():
                yield Fault("N6", "missing file", name)
            elif not sha256(path) == row["sha256"] == name or path.stat().st_size != row["size"]:
                yield Fault("N6", "altered file", name)
        else:
            yield from _folder(store / "folders" / name, row)


def _folder(folder: Path, row: Row | None) -> Iterator[Fault]:
    """A folder with its manifest, and with its row where it has one."""
    if not (folder / "manifest.json").is_file():
        yield Fault("N6", "missing file", f"{folder.name}/manifest.json")
        return
    try:
        files = json.loads((folder / "manifest.json").read_bytes())["files"]
    except (ValueError, KeyError):
        yield Fault("N6", "altered file", f"{folder.name}/manifest.json")
        return
    if row is not None and (sha256(folder / "manifest.json") != row["sha256"] or files != json.loads(row["files"])):
        yield Fault("N6", "altered file", f"{folder.name}/manifest.json")
    for name, entry in files.items():
        path = folder / name
        if not path.is_file():
            yield Fault("N6", "missing file", f"{folder.name}/{name}")
        elif sha256(path) != entry["sha256"] or path.stat().st_size != entry["size"]:
            yield Fault("N6", "altered file", f"{folder.name}/{name}")
    present = {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}
    for name in sorted(present - set(files) - {"manifest.json"}):
        yield Fault("N6", "foreign file", f"{folder.name}/{name}")
    if row is not None and row["size"] != sum(entry["size"] for entry in files.values()):
        yield Fault("N6", "altered file", f"{folder.name}: another size")


def _strangers(store: Path, tables: dict[str, Any], settled: bool) -> Iterator[Fault]:
    """N6, from the files: one that no row names is a whole orphan, or stands in tmp/ until its process is gone."""
    named = {artifact["id"] for artifact in tables["artifacts"]}
    for path in sorted(store.glob("artifacts/*")):
        if path.name not in named and (not path.is_file() or sha256(path) != path.name):
            yield Fault("N6", "half an orphan", path.name)
    for path in sorted(store.glob("folders/*")):
        if path.name not in named and any(_folder(path, None)):
            yield Fault("N6", "half an orphan", path.name)
    for path in sorted(store.iterdir()):
        if path.name not in ALWAYS | {"filler"} and (settled or path.name != "lease.new"):
            yield Fault("N6", "foreign file", path.name)
    for path in sorted(store.glob("tmp/*")):
        if settled and path.name != "gate":
            yield Fault("N6", "leftover", path.name)


def _chain(tables: dict[str, Any]) -> Iterator[Fault]:
    """N7: each record names the hash of the one before; the head names the last."""
    previous = ""
    records = sorted(tables["audit"], key=lambda record: record["seq"])
    for place, record in enumerate(records, 1):
        told = {name: value for name, value in record.items() if name != "hash"}
        text = json.dumps(told, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
        if record["seq"] != place or record["previous"] != previous:
            yield Fault("N7", "a broken chain", f"record {record['seq']}")
        if hashlib.sha256(text.encode()).hexdigest() != record["hash"]:
            yield Fault("N7", "an altered record", f"record {record['seq']}")
        previous = record["hash"]
    if [(head["seq"], head["hash"]) for head in tables["audit_head"]] != [(len(records), previous)]:
        yield Fault("N7", "another head", f"record {len(records)}")


def _replayed(tables: dict[str, Any]) -> Iterator[Fault]:
    """N7: what the records say was done gives the rows that are there."""
    kinds = ("step", "span", "release", "table", "pointer", "state", "pin")
    told: dict[str, dict[Any, Any]] = {name: {} for name in kinds}
    told["run"] = defaultdict(lambda: ["never begun", 0, None])
    for record in sorted(tables["audit"], key=lambda record: record["seq"]):
        details, subject = json.loads(record["details"]), record["subject"]
        match record["action"]:
            case "run.begin":
                told["run"][subject] = ["running", 0, None]
            case "run.resume":
                told["run"][subject][:2] = ["running", details["resumes"]]
            case "run.interrupt":
                told["run"][subject][0] = "interrupted"
            case "run.finish":
                told["run"][subject][0] = details["status"]
            case "step.record":
                run, _, name = subject.partition(" ")
                told["step"][details["key"]] = (run, name, details["artifacts"])
            case "spans.add":
                told["span"].update({span: (sequence, read) for span, sequence, read in details["spans"]})
            case "states.put":
                told["state"].update(dict.fromkeys(details["keys"]))
            case "release.add":
                told["release"][subject] = (details["run"], details["folder"])
                told["run"][details["run"]][2] = subject
            case "release.again":
                told["run"][details["run"]][2] = subject
            case "promote" | "rollback":
                told["pointer"][details["epoch"]] = (record["action"], subject, details.get("table"))
            case "table.add":
                told["table"][subject] = (details["release"], details["folder"])
            case "table.collect" | "table.restore":
                told["table"][subject] = (told["table"][subject][0], details["folder"])
            case "release.collect" | "release.restore":
                run, _ = told["release"][subject]
                told["release"][subject] = (run, details["folder"])
            case "release.pin":
                told["pin"][subject] = details["reason"]
            case "release.unpin":
                del told["pin"][subject]
            case "gc":
                for key in details["steps"]:
                    del told["step"][key]
                for _, span in details["spans"]:
                    told["span"].pop(span, None)
                for key in details["states"]:
                    told["state"].pop(key, None)
            case "artifact.heal" | "schema.accept" | "catalog.migrate":
                pass
            case other:
                yield Fault("N7", "an unknown act", other)
    there = {
        "run": {f"run-{run['number']}": [run["status"], run["resumes"], run["release"]] for run in tables["runs"]},
        "step": {
            step["key"]: (f"run-{step['run']}", step["name"], json.loads(step["artifacts"])) for step in tables["steps"]
        },
        "span": {span["span"]: (span["sequence"], span["read"]) for span in tables["spans"]},
        "release": {one["release"]: (f"run-{one['run']}", one["folder"]) for one in tables["releases"]},
        "table": {one["id"]: (one["release"], one["folder"]) for one in tables["tables"]},
        "pointer": {one["epoch"]: (one["action"], one["release"], one["table"]) for one in tables["pointers"]},
        "pin": {one["release"]: one["reason"] for one in tables["pins"]},
    }
    for kind, rows in there.items():
        for key in sorted(rows.keys() | told[kind].keys(), key=str):
            if key not in told[kind]:
                yield Fault("N7", "a change without a record", f"{kind} {key}")
            elif key not in rows:
                yield Fault("N7", "a record without a change", f"{kind} {key}")
            elif rows[key] != told[kind][key]:
                yield Fault("N7", "a record that says otherwise", f"{kind} {key}")
    for key in sorted(told["state"].keys() - {state["key"] for state in tables["states"]}):
        yield Fault("N7", "a record without a change", f"state {key}")


def _ends(tables: dict[str, Any]) -> Iterator[Fault]:
    """N8: an ended run has its time and its document, and says of its release what the row says."""
    for run in tables["runs"]:
        document = json.loads(run["document"])
        ended = run["status"] in ENDED
        if ended and (run["ended"] is None or not document):
            yield Fault("N8", "half an end", f"run-{run['number']}")
        if run["status"] == "running" and run["ended"] is not None:
            yield Fault("N8", "half a beginning", f"run-{run['number']}")
        if ended and document.get("release", run["release"]) != run["release"]:
            yield Fault("N8", "half a release", f"run-{run['number']}")
