"""Copies of what is live, on the local disk: a worker that is started anew needs neither catalog nor store.

    store ── every byte held against the catalog ──▶ releases/<hash>, tables/<id> ──▶ the workers

The rule: a release is copied, so that what happens to the store later does not reach it; a table, which may be large,
is a hard link where the disk allows. A copy has its name only once it is whole and was read again.
What does not belong here: when something is copied (`service`), and what a worker checks itself.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Collection
from pathlib import Path

import msgspec

from ninetyfive.errors import IntegrityError
from ninetyfive.serve.messages import Live
from ninetyfive.store.failures import disk_errors
from ninetyfive.store.manifests import check_folder
from ninetyfive.store.opening import Store
from ninetyfive.store.records import Pointer


class Copies:
    """The copies under `root`."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def take(self, store: Store, pointer: Pointer) -> Live:
        """What a pointer names, as copies that workers can read.

        `IntegrityError` where its bytes are not what was stored, `StoreError` where gc removed them or the store cannot
        be read.
        """
        release = store.release(pointer.release)
        with store.open_folder(release) as source:
            folder = self._copy(source, self.root / "releases" / release.release)
        live = Live(epoch=pointer.epoch, release=release.release, number=release.number, folder=str(folder))
        if pointer.table is None:
            return live
        table = store.table(pointer.table)
        with store.open_table(table) as source:
            folder = self._copy(source, self.root / "tables" / table.id, link=True)
        return msgspec.structs.replace(live, table=table.id, table_folder=str(folder), table_checked=True)

    def keep(self, lives: Collection[Live]) -> None:
        """Remove the copies of all but these."""
        kept = {place for live in lives for place in (live.folder, live.table_folder)}
        for path in (*(self.root / "releases").glob("*"), *(self.root / "tables").glob("*")):
            if str(path) not in kept:
                shutil.rmtree(path, ignore_errors=True)

    def _copy(self, source: Path, target: Path, *, link: bool = False) -> Path:
        """A folder as its manifest says it is, under the name `target`."""
        if target.is_dir():
            try:
                check_folder(target)
            except IntegrityError:
                shutil.rmtree(target)
            else:
                return target
        draft = target.with_name(f".{target.name}.new")
        with disk_errors(str(target)):
            shutil.rmtree(draft, ignore_errors=True)
            draft.parent.mkdir(parents=True, exist_ok=True)
            shutil.copytree(source, draft, copy_function=_link if link else shutil.copyfile)
            if not link:
                check_folder(draft)
            draft.rename(target)
        return target


def _link(source: str, target: str) -> str:
    try:
        os.link(source, target)
    except OSError:  # another disk
        shutil.copyfile(source, target)
    return target
