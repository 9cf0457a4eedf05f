"""What a table is: table.json.

What does not belong here: what is made of it (`reader`), and what is a good one (`decisions`).
"""

from __future__ import annotations

from typing import Literal

import msgspec

from ninetyfive.hashing import content_hash
from ninetyfive.metrics import Task
from ninetyfive.store.records import FileEntry

VERSION = 1


class Population(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Who is in a table: every row of files, or the `top` entities of a request log.

    `urls` are as declared; `sha256` covers the content of the files that were read, `read` is how many rows they held.
    """

    kind: Literal["file", "log"]
    urls: tuple[str, ...]
    sha256: str
    read: int
    top: int | None = None

    @property
    def named(self) -> tuple[str, tuple[str, ...], int | None]:
        """What makes two populations the same one, at two times."""
        return self.kind, self.urls, self.top


class Answers(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How the answers of a table are spread, of one class: `count` of them, beside `none` entries without an answer.

    `quantiles` are so many values that each stands for the same share of the answers, from the least to the greatest;
    () where there is none. `error` bounds how far the rank of one may be off, as a share.
    """

    count: int
    none: int
    quantiles: tuple[float, ...]
    error: float = 0.0


class TableAbout(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """table.json: of which release a table is, by which columns it is looked up, as of when, of whom.

    `as_of` and `made` are ISO 8601 times in UTC; `rows` is how many entities it holds; `classes` are () but for a
    multiclass model; `label` says what is predicted; `answers` has one summary, or one a class.
    """

    release: str
    system: str
    task: Task
    label: str
    entity: tuple[str, ...]
    classes: tuple[str, ...]
    rows: int
    as_of: str
    population: Population
    answers: tuple[Answers, ...]
    made: str
    version: int = VERSION

    @property
    def question(self) -> tuple[str, str, tuple[str, ...]]:
        """What a model is asked: answers to the same question can be compared."""
        return self.task, self.label, self.classes


def table_id(about: TableAbout, entries: FileEntry) -> str:
    """The name of a table: a hash of all that it says and holds, whenever it was made."""
    return content_hash([msgspec.structs.replace(about, made=""), entries])
