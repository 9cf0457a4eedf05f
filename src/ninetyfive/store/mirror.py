"""live.json: what is live, for readers of a bucket that do not reach the catalog. It never goes back.

    catalog ─ promote, rollback ─▶ epoch n ─▶ live.json, if its generation is still the one that was seen
                                              and it says no later epoch; else looked at again

The catalog is the truth and this follows it: a writer that was slow finds another generation, reads again and leaves
what is newer. Killed in between, the next command that writes brings it up to date.
What does not belong here: which release is live (`releases`).
"""

from __future__ import annotations

from typing import Any
from urllib.parse import quote

import msgspec

NAME = "live.json"
ABSENT = "0"
"""The generation of a file that is not there."""
_BORDER = b"==live=="


class Live(msgspec.Struct, frozen=True):
    """What live.json says: the `system`, its live `release` and `table` (None: none), the `epoch`, since `when`."""

    system: str
    release: str
    table: str | None
    epoch: int
    when: str


class Mirror:
    """live.json at `path` of a bucket of Google Cloud Storage, which counts the generations of each file."""

    def __init__(self, system: Any, path: str) -> None:
        self._system = system
        self._bucket, _, self._key = path.partition("/")
        self.url = str(system.unstrip_protocol(path))

    def read(self) -> tuple[Live | None, str]:
        """What it says (None: nothing readable), and a generation that is not younger than that."""
        path = f"{self._bucket}/{self._key}"
        try:
            generation, data = str(self._system.info(path)["generation"]), self._system.cat_file(path)
        except FileNotFoundError:
            return None, ABSENT
        try:
            return msgspec.json.decode(data, type=Live), generation
        except (msgspec.MsgspecError, UnicodeDecodeError):
            return None, generation

    def write(self, live: Live, generation: str) -> bool:
        """Write it in one request, if its generation is still this one; False where it is another, or gone."""
        about = msgspec.json.encode({"name": self._key, "cacheControl": "no-store"})
        parts = (about, msgspec.json.format(msgspec.json.encode(live)))
        data = b"".join(b"--%b\nContent-Type: application/json\n\n%b\n" % (_BORDER, part) for part in parts)
        try:
            self._system.call(
                "POST",
                f"{self._system.base.replace('/storage/', '/upload/storage/')}b/{quote(self._bucket)}/o",
                uploadType="multipart",
                ifGenerationMatch=generation,
                headers={"Content-Type": f'multipart/related; boundary="{_BORDER.decode()}"'},
                data=data + b"--%b--" % _BORDER,
                json_out=True,
            )
        except FileExistsError:  # what gcsfs makes of 412, a precondition that failed
            return False
        return True
