"""What the store answers with: frozen records, times as ISO 8601 text in UTC, hashes as 64 hex digits.

What does not belong here: tables (`catalog`) and what changes them.
"""

from __future__ import annotations

from typing import Any, Literal

import msgspec

RunStatus = Literal["running", "interrupted", "done", "failed", "refused"]
JobState = Literal["pending", "running", "done", "failed", "cancelled", "lost"]


class FileEntry(msgspec.Struct, frozen=True):
    """One file of a folder artifact: sha256 (64 hex digits) and size in bytes."""

    sha256: str
    size: int


class Artifact(msgspec.Struct, frozen=True):
    """What the catalog names: `id` is the sha256 of a file, or the name of a folder.

    `sha256` is that of the file, or of the folder's manifest; `size` in bytes, of all files together;
    `files` is `{path in the folder: FileEntry}`, None for a file.
    """

    id: str
    sha256: str
    size: int
    files: dict[str, FileEntry] | None = None


class SpanRecord(msgspec.Struct, frozen=True, kw_only=True):
    """One ingested span: `span` is the content hash of its source, `ingest_key` of how it was read.

    `artifact` and `quarantine` are ids of the Parquet files of good and bad rows (None: no such rows);
    `read = accepted + quarantined` rows; `chunks` the rows of each chunk; `time_min`, `time_max` in µs (None: no time);
    `url` is where it came from; `sequence` is given by the store (0 before); `details` is whatever the step keeps.
    """

    span: str
    ingest_key: str
    url: str
    read: int
    accepted: int
    quarantined: int
    artifact: str | None = None
    quarantine: str | None = None
    chunks: tuple[int, ...] = ()
    time_min: int | None = None
    time_max: int | None = None
    schema_version: int = 1
    sequence: int = 0
    details: dict[str, Any] = {}


class Run(msgspec.Struct, frozen=True, kw_only=True):
    """One run: `words` is what was asked, `key` what it works on; `resumes` counts the kills it outlived.

    `status` is running, interrupted (killed, or stopped by hand: the next run with the key resumes it), done, failed,
    or refused (a gate or a check said no).
    """

    id: str
    words: str
    key: str
    status: RunStatus
    actor: str
    started: str
    ended: str | None
    resumes: int
    release: str | None
    document: dict[str, Any]


class Release(msgspec.Struct, frozen=True, kw_only=True):
    """One release: its hash, its folder artifact, what the step wrote about it, and the run that first made it."""

    release: str
    number: int
    folder: str
    run: str
    actor: str
    created: str
    document: dict[str, Any]

    @property
    def collected(self) -> bool:
        """Whether gc removed what answers: its `folder` then holds only what says what it was, and why."""
        return self.folder == collected_folder(self.release)


def collected_folder(release: str) -> str:
    """The id of the folder that a release keeps once it was collected."""
    return f"collected-{release}"


class TableRecord(msgspec.Struct, frozen=True, kw_only=True):
    """One prediction table: its id, the release it is of, its folder artifact (None: gc has removed it), as of when.

    `rows` is how many entities it holds, `words` what was asked, `document` what the step wrote about it: under
    `passed` whether its gates were. `number`, `created` and `actor` are given by the store.
    """

    id: str
    release: str
    folder: str | None
    as_of: str
    rows: int
    words: str
    document: dict[str, Any]
    number: int = 0
    created: str = ""
    actor: str = ""

    @property
    def collected(self) -> bool:
        """Whether gc removed its files."""
        return self.folder is None

    @property
    def good(self) -> bool:
        """Whether it is there, and its gates passed."""
        return not self.collected and bool(self.document.get("passed"))


class Job(msgspec.Struct, frozen=True, kw_only=True):
    """One job of a managed service: our `id`, the `service`, and the full `name` that the job has there.

    `state` is pending (also: written down, and not answered yet), running, done, failed, cancelled, or lost (the
    service knows it no more, or took its machines away). `link` is its page of the console, `message` the service's own
    words, `folder` the url of what it reads and writes, `purpose` what it is for. Times are ISO 8601 in UTC.
    """

    id: str
    service: str
    name: str
    state: JobState = "pending"
    link: str = ""
    message: str = ""
    folder: str = ""
    purpose: str = ""
    actor: str = ""
    created: str = ""
    updated: str = ""

    @property
    def ended(self) -> bool:
        """Whether the service does no more about it."""
        return self.state not in ("pending", "running")


class Pin(msgspec.Struct, frozen=True, kw_only=True):
    """A release that gc must keep, until it is unpinned: why, who said so, since when."""

    release: str
    reason: str
    actor: str
    since: str


class Pointer(msgspec.Struct, frozen=True, kw_only=True):
    """Which release, and which table of it, is live since when; `epoch` grows by one with each change, from 1.

    `table` is the id of a table, None where none is live. `below` is the epoch that a rollback returns to, None where
    there is nothing to return to.
    """

    release: str
    epoch: int
    below: int | None
    action: Literal["promote", "rollback"]
    reason: str
    actor: str
    since: str
    table: str | None = None


class AuditRecord(msgspec.Struct, frozen=True, kw_only=True):
    """One state change: `hash` covers all other fields, `previous` is the hash of the record before ("": none)."""

    seq: int
    time: str
    actor: str
    action: str
    subject: str
    details: dict[str, Any]
    previous: str
    hash: str


class Finding(msgspec.Struct, frozen=True):
    """One thing that is wrong: a kind (one or two words), its subject, what was found, and what to do."""

    kind: str
    subject: str
    problem: str
    do: str
    level: Literal["error", "warning"] = "error"
