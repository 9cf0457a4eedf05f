"""Releases and the champion: which there are, which one is live with which table, and every change of it.

    epoch 1 promote A ◀─ below ─ epoch 2 promote B ◀─ below ─ epoch 3 promote C
                       ◀─────────────── below ───────────────  epoch 4 rollback to B's place; again: to A's

The champion is the pointer of the highest epoch: a release and, where it has one, a table of it; they change together.
To change it is to append a row with the next epoch, and only if the epoch seen is still the last one: of two at once
one wins, and the other is told who did. Nothing is overwritten, so the history is the table.
What does not belong here: whether a release is good enough (`decisions`).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, Literal

import msgspec
from sqlalchemy import Connection, delete, func, insert, select, update
from sqlalchemy.engine import RowMapping

from ninetyfive import clock
from ninetyfive.errors import BottomError, BusyError, IntegrityError, StoreError, UsageError, near_names
from ninetyfive.hashing import bytes_hash
from ninetyfive.store import catalog
from ninetyfive.store.buckets import bucket_errors
from ninetyfive.store.catalog import from_json, to_json
from ninetyfive.store.failures import disk_errors
from ninetyfive.store.mirror import Live
from ninetyfive.store.records import Pin, Pointer, Release, TableRecord
from ninetyfive.store.runs import run_number, unknown_run
from ninetyfive.store.tables import Tables, table_gone

_CHAMPION = "champion"
_TRIES = 20


class Releases(Tables):
    """The verbs on releases and the champion."""

    def add_release(self, release: str, folder: str, document: Mapping[str, Any], run: str) -> Release:
        """Register a release (its hash, the id of its folder) for a run; again with the same words it changes nothing.

        A run registers at most one release: `StoreError` for a second one. A release that an earlier run made is kept
        as that run made it, and this run is told to have made it too; one that was collected is whole again.
        """
        with self.catalog.write() as connection:
            mine = connection.execute(
                select(catalog.runs.c.release).where(catalog.runs.c.number == run_number(run))
            ).one_or_none()
            if mine is None:
                raise unknown_run(run)
            if mine.release not in (None, release):
                raise StoreError(
                    run,
                    expected=f"the one release that the run registered, {mine.release[:12]}",
                    got=f"another one, {release[:12]}",
                    do="begin a new run: the inputs changed while this one was interrupted",
                )
            known = self._find(connection, release)
            if known is None:
                known = self._insert(
                    connection,
                    Release(
                        release=release,
                        number=(connection.scalar(select(func.max(catalog.releases.c.number))) or 0) + 1,
                        folder=folder,
                        run=run,
                        actor=self.actor,
                        created=clock.now().isoformat(),
                        document=dict(document),
                    ),
                )
            elif known.collected and folder != known.folder:
                known = self._restore(connection, known, folder)
            if mine.release is None:
                connection.execute(
                    update(catalog.runs).where(catalog.runs.c.number == run_number(run)).values(release=release)
                )
                new = known.run == run
                details = {"run": run, "folder": folder}
                if new:
                    details["document"] = bytes_hash(to_json(document).encode())
                self._audit(connection, "release.add" if new else "release.again", release, details)
        return known

    def pin(self, release: str, reason: str) -> Pin:
        """Keep a release from gc; pinned before, it gets the new reason. `StoreError` where it is collected already."""
        table = catalog.pins
        pin = Pin(release=release, reason=reason, actor=self.actor, since=clock.now().isoformat())
        with self.catalog.write() as connection:
            _check_whole(self._find(connection, release), release)
            old = connection.execute(select(table.c.reason).where(table.c.release == release)).one_or_none()
            if old is None or old.reason != reason:
                connection.execute(delete(table).where(table.c.release == release))
                connection.execute(insert(table).values(**{name: getattr(pin, name) for name in Pin.__struct_fields__}))
                self._audit(connection, "release.pin", release, {"reason": reason})
            return _pin(connection.execute(select(table).where(table.c.release == release)).mappings().one())

    def unpin(self, release: str, reason: str) -> None:
        """Let gc judge a release by the rule again; `UsageError` where it is not pinned."""
        table = catalog.pins
        with self.catalog.write() as connection:
            if not connection.execute(delete(table).where(table.c.release == release)).rowcount:
                raise UsageError(
                    f"release {release[:12]}",
                    expected="a release that is pinned",
                    got="one that is not",
                    do="see ninetyfive releases for those that are",
                )
            self._audit(connection, "release.unpin", release, {"reason": reason})

    def pins(self) -> dict[str, Pin]:
        """What is pinned, by release."""
        with self.catalog.read() as connection:
            return self._pins(connection)

    def releases(self) -> list[Release]:
        """All releases, newest first."""
        with self.catalog.read() as connection:
            return self._releases(connection)

    def release(self, words: str) -> Release:
        """The release with this hash or unique beginning of it; `UsageError` names what there is."""
        known = {each.release: each for each in self.releases()}
        found = [each for name, each in known.items() if words and name.startswith(words)]
        if len(found) == 1:
            return found[0]
        short = [name[:12] for name in known]
        raise UsageError(
            f"release {words!r}",
            expected="the hash of one release, or its beginning",
            got=f"{len(found)} that begin so" if found else "no such release",
            do="give more of its hash" if found else near_names(words, short) + "; see ninetyfive releases",
        )

    def check_system(self, name: str) -> None:
        """`UsageError` where a release is of another system than `name`: a store has one champion, so it holds one."""
        held = {release.document.get("system", name) for release in self.releases()} - {name}
        if held:
            raise UsageError(
                f"store {self.url}",
                expected=f"the store of system {name!r}",
                got=f"that of {min(held)!r}",
                do="give each system a folder of its own, or a store= of its own in ninetyfive.toml",
            )

    @contextmanager
    def open_folder(self, release: Release) -> Iterator[Path]:
        """The folder of a release, to be read whole inside the block; the same bytes for as long as it is there.

        Every byte of it is what the catalog says was stored, else `IntegrityError`. `StoreError` where gc has removed
        it, also where it does so meanwhile.
        """
        _check_whole(release, release.release)
        try:
            with disk_errors(self.artifacts.where(release.folder)):
                yield self._checked(release.folder)
        except StoreError:
            _check_whole(self.release(release.release), release.release)
            raise

    def champion(self) -> Pointer | None:
        """The live release; None before the first promotion."""
        with self.catalog.read() as connection:
            return _top(connection)

    def history(self) -> list[Pointer]:
        """Every change of the champion, newest first."""
        with self.catalog.read() as connection:
            return self._history(connection)

    def promote(self, release: str, expected_epoch: int, reason: str, table: str | None = None) -> Pointer:
        """Make a release champion, if the epoch is still `expected_epoch` (0: there is none yet); its files are read.

        With it goes live the `table` of it that is named by its id, else its newest good one, else none. `BusyError`
        where somebody else changed the champion since; nothing happens where both are live already. The champion keeps
        the table that it has where there is no better one.
        """
        self._verify_release(release)
        chosen = self.newest_table(release) if table is None else self._table_of(table, release)
        if chosen is not None:
            self.verify_table(chosen)
        with self.catalog.write() as connection:
            top = _top(connection)
            live = (release, None if chosen is None else chosen.id)
            if top is not None and top.release == release and live[1] in (None, top.table):
                return top
            _check_epoch(top, expected_epoch)
            self._check_live(connection, live)
            pointer = self._append(connection, live, "promote", top, (reason, top.epoch if top else None))
        self.follow()
        return pointer

    def rollback(self, expected_epoch: int, reason: str) -> Pointer:
        """Return to the release and table before these, if the epoch is still `expected_epoch`; their files are read.

        Again it returns to the one before that. `BusyError` where somebody else changed the champion since,
        `BottomError` where there is nothing to return to.
        """
        target = self._below(self.champion(), expected_epoch)
        self._verify_release(target.release)
        if target.table is not None:
            self.verify_table(self._table_of(target.table, target.release))
        with self.catalog.write() as connection:
            top = _top(connection)
            _check_epoch(top, expected_epoch)
            live = (target.release, target.table)
            self._check_live(connection, live)
            pointer = self._append(connection, live, "rollback", top, (reason, target.below))
        self.follow()
        return pointer

    def live(self) -> Live | None:
        """The champion as live.json of a bucket says it; None before the first promotion."""
        with self.catalog.read() as connection:
            pointer = _top(connection)
            release = None if pointer is None else self._find(connection, pointer.release)
        if pointer is None:
            return None
        system = "" if release is None else str(release.document.get("system", ""))
        return Live(system, pointer.release, pointer.table, pointer.epoch, pointer.since)

    def follow(self) -> None:
        """Bring live.json of a bucket up to the champion; one that is of a later epoch is left as it is.

        A bucket that refuses it changes nothing of what is live: the next command that writes tries again, and the
        doctor tells of it.
        """
        mirror = self.artifacts.mirror
        if mirror is None:
            return
        with suppress(StoreError), bucket_errors(mirror.url):
            for _ in range(_TRIES):  # who fails has seen another succeed
                live = self.live()
                if live is None:
                    return
                said, generation = mirror.read()
                if said is not None and (said == live or said.epoch > live.epoch):
                    return
                if mirror.write(live, generation):
                    return

    def _pins(self, connection: Connection) -> dict[str, Pin]:
        return {row["release"]: _pin(row) for row in connection.execute(select(catalog.pins)).mappings()}

    def _releases(self, connection: Connection) -> list[Release]:
        query = select(catalog.releases).order_by(catalog.releases.c.number.desc())
        return [_release(row) for row in connection.execute(query).mappings()]

    def _history(self, connection: Connection) -> list[Pointer]:
        table = catalog.pointers
        query = select(table).where(table.c.name == _CHAMPION).order_by(table.c.epoch.desc())
        return [_pointer(row) for row in connection.execute(query).mappings()]

    def _below(self, top: Pointer | None, expected_epoch: int) -> Pointer:
        _check_epoch(top, expected_epoch)
        table = catalog.pointers
        if top is not None and top.below is not None:
            with self.catalog.read() as connection:
                query = select(table).where(table.c.name == _CHAMPION, table.c.epoch == top.below)
                row = connection.execute(query).mappings().one_or_none()
            if row is not None and top.below < top.epoch:
                return _pointer(row)
            raise IntegrityError(
                "rollback",
                expected="the change of the champion that a rollback returns to",
                got=f"no epoch {top.below} before epoch {top.epoch}",
                do="run ninetyfive doctor; promote another release: ninetyfive promote RELEASE",
            )
        raise BottomError(
            "rollback",
            expected="a champion with one before it",
            got="no champion" if top is None else f"{top.release[:12]}, the first one",
            do="promote another release: ninetyfive promote RELEASE",
        )

    def _append(
        self,
        connection: Connection,
        live: tuple[str, str | None],
        action: Literal["promote", "rollback"],
        top: Pointer | None,
        why: tuple[str, int | None],
    ) -> Pointer:
        reason, below = why
        release, table = live
        pointer = Pointer(
            release=release,
            table=table,
            epoch=top.epoch + 1 if top else 1,
            below=below,
            action=action,
            reason=reason,
            actor=self.actor,
            since=clock.now().isoformat(),
        )
        values = {name: getattr(pointer, name) for name in Pointer.__struct_fields__}
        connection.execute(insert(catalog.pointers).values(name=_CHAMPION, **values))
        details = {"epoch": pointer.epoch, "was": top.release if top else None, "table": table, "reason": reason}
        self._audit(connection, action, release, details)
        return pointer

    def _table_of(self, table: str, release: str) -> TableRecord:
        """The table with this id; `UsageError` where it is of another release than `release`."""
        found = self.table(table)
        if found.release != release:
            raise UsageError(
                f"table {table[:12]}",
                expected=f"a table of release {release[:12]}",
                got=f"one of release {found.release[:12]}",
                do=f"ninetyfive promote {found.release[:12]} --table {table[:12]}, or name another table",
            )
        return found

    def _check_live(self, connection: Connection, live: tuple[str, str | None]) -> None:
        """Release and table are still there, inside the transaction that makes them live."""
        release, table = live
        _check_whole(self._find(connection, release), release)
        found = None if table is None else self._find_table(connection, table)
        if found is not None and found.collected:
            raise table_gone(found)

    def _verify_release(self, release: str) -> None:
        """Every byte of a release is what was stored, before anybody serves it."""
        with self.open_folder(self.release(release)):
            self.verify(self.release(release).folder)  # of a bucket, which held a copy before: its own bytes

    def _find(self, connection: Connection, release: str) -> Release | None:
        query = select(catalog.releases).where(catalog.releases.c.release == release)
        row = connection.execute(query).mappings().one_or_none()
        return None if row is None else _release(row)

    def _restore(self, connection: Connection, release: Release, folder: str) -> Release:
        """Give a release that was collected, and made again, its files back."""
        self._name(connection, [folder])
        here = catalog.releases.c.release == release.release
        connection.execute(update(catalog.releases).where(here).values(folder=folder))
        self._audit(connection, "release.restore", release.release, {"folder": folder})
        return msgspec.structs.replace(release, folder=folder)

    def _insert(self, connection: Connection, release: Release) -> Release:
        self._name(connection, [release.folder])
        values = {name: getattr(release, name) for name in Release.__struct_fields__}
        values.update(document=to_json(release.document), run=run_number(release.run))
        connection.execute(insert(catalog.releases).values(**values))
        return release


def _top(connection: Connection) -> Pointer | None:
    table = catalog.pointers
    query = select(table).where(table.c.name == _CHAMPION).order_by(table.c.epoch.desc()).limit(1)
    row = connection.execute(query).mappings().one_or_none()
    return None if row is None else _pointer(row)


def _check_epoch(top: Pointer | None, expected: int) -> None:
    if (top.epoch if top else 0) == expected:
        return
    got = "no champion"
    if top is not None:
        got = f"epoch {top.epoch}: {top.action} to {top.release[:12]} by {top.actor} at {top.since}"
    raise BusyError(
        "champion",
        expected=f"epoch {expected}, as seen before",
        got=got,
        do="look at ninetyfive releases, then decide again",
    )


def _check_whole(release: Release | None, words: str) -> None:
    """A release that gc left nothing of but its evidence answers no more; nor does one that there is not."""
    if release is None or release.collected:
        raise StoreError(
            f"release {words[:12]}",
            expected="a release with its files",
            got="one whose files gc has removed" if release else "no such release",
            do="choose another (ninetyfive releases), or run again with its data, code and lock: it is made anew",
        )


def _pin(row: RowMapping) -> Pin:
    return Pin(**{name: row[name] for name in Pin.__struct_fields__})


def _pointer(row: RowMapping) -> Pointer:
    return Pointer(**{name: row[name] for name in Pointer.__struct_fields__})


def _release(row: RowMapping) -> Release:
    values = dict(row)
    values.update(run=f"run-{values['run']}", document=from_json(values["document"]))
    return Release(**values)
