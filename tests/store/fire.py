"""Fire: the small system is injured at one point, judged, run again, and judged again.

    new project ─ injured command ─▶ N3–N8, lease free ─ run, promote ─▶ N3–N8, one release, the hash of a whole run

What does not belong here: where the points are (`points`), and how a process is started (`nursery`).
"""

from __future__ import annotations

import shutil
import sqlite3
import textwrap
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.store.invariants import faults, lease_is_free
from tests.store.nursery import Ended, Nursery
from tests.store.small import ROWS, small_system

REFUSED = 3
"""The exit code of a whole run: a model that always says the same passes no gate, so it is promoted by hand."""
ENDS = {"kill": -9, "term": 143, "raise": 1}


@dataclass
class Small:
    """One project with the small system, and what it says; its commands are children of the nursery."""

    folder: Path
    nursery: Nursery
    release: str = ""

    @classmethod
    def new(cls, folder: Path, nursery: Nursery) -> Small:
        """A project that never ran, in a new folder."""
        small_system(folder)
        return cls(folder, nursery)

    @property
    def store(self) -> Path:
        """The folder of its store."""
        return self.folder / ".ninetyfive"

    def copy(self, folder: Path) -> Small:
        """The same in another folder."""
        shutil.copytree(self.folder, folder)
        return Small(folder, self.nursery, self.release)

    def run(self, *words: str, env: dict[str, str] | None = None, **traced: Any) -> Ended:
        """A command (default: `run`), with `--json`; `traced` as in `Nursery.run`."""
        return self.nursery.run(self.folder, [*(words or ("run",)), "--json"], env=env, **traced)

    def meanwhile(self, code: str) -> None:
        """Let every later run do `code` inside the model function, in its middle."""
        path = self.folder / "system.py"
        head, line, tail = path.read_text().partition("    from sklearn")
        path.write_text(head + textwrap.indent(code.strip() + "\n", "    ") + line + tail)

    def finish(self, promote: bool = True) -> Ended:
        """Run and promote, nothing in the way; what `run` said."""
        ended = self.run()
        assert ended.code == REFUSED, ended.err
        self.release = ended.json["release"]
        promoted = self.run("promote", self.release) if promote else None
        assert promoted is None or promoted.code == 0, promoted
        return ended

    def recorded(self) -> list[str]:
        """The names of the steps that are recorded."""
        return [row[0] for row in self.query("select name from steps")]

    def query(self, sql: str) -> list[tuple[object, ...]]:
        """Rows of the catalog; [] where there is none yet."""
        path = self.store / "catalog.sqlite"
        if not path.exists():
            return []
        with closing(sqlite3.connect(path)) as connection:
            if not connection.execute("select 1 from sqlite_master where name = 'steps'").fetchone():
                return []
            return connection.execute(sql).fetchall()


def problems(small: Small, injured: Ended, whole: Small, ends: set[int], promote: bool = False) -> list[str]:
    """What is wrong with a system after a command that was to end with one of `ends`, and after what comes then.

    That is a run, and where `promote` says so a promotion, for which no more than the one epoch may stand there.
    """
    found = [] if injured.code in ends else [f"ended with {injured.code}, not {sorted(ends)}: {injured.err[-500:]}"]
    if injured.code == 1 and "a fault of ninetyfive itself" in injured.err and "crash point" not in injured.err:
        found.append(f"told as a fault of ninetyfive itself: {injured.err[-500:]}")
    if not lease_is_free(small.store):
        found.append("the lease is held by nobody that lives")
    found += [f"at once: {fault}" for fault in faults(small.store, settled=injured.code in (143, REFUSED, 0))]
    before = small.recorded()
    open_runs = small.query("select number from runs where status in ('running', 'interrupted')")
    try:
        ended = small.finish(promote)
    except AssertionError as error:
        return [*found, f"the next run: {str(error)[-500:]}"]
    document = ended.json
    redone = [step["name"] for step in document["steps"] if step["name"] in before and not step["skipped"]]
    if redone:
        found.append(f"done again though recorded: {redone}")
    if open_runs and document["run"] != f"run-{open_runs[0][0]}":
        found.append(f"{document['run']} did not resume run-{open_runs[0][0]}")
    if small.release != whole.release:
        found.append("the release is another than that of a whole run")
    counts = small.query("select count(*), (select count(*) from spans), (select count(*) from pointers) from releases")
    if counts != [(1, 1, int(promote))]:
        found.append(f"releases, spans, epochs: {counts}")
    read = small.query("select sum(read) from spans")
    if read != [(ROWS,)]:
        found.append(f"{read} rows were read, not {ROWS}")
    found += [f"in the end: {fault}" for fault in faults(small.store)]
    left = sorted(path.name for path in small.folder.iterdir() if path.name.startswith(".schema"))
    return found + [f"left behind: {name}" for name in left]
