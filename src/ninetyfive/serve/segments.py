"""The file that a worker logs to: frames one behind the other, each of which proves itself.

    MAGIC │ frame 0: Header │ frame 0: Header again │ frame 1: record │ frame 2 │ …      w1-5be1c0de-000001.open
            mark, number, length, check │ payload

The rule: a frame counts where its check fits, wherever it stands. A torn tail is recognised; behind damage reading goes
on at the next frame that fits, and the numbers tell how many are missing. The check is seeded with a number that only
the header says, so that no value of a request can pass for a frame.
What does not belong here: what a record holds and when it is written (`log`), and what is made of it
(`supervise.rotation`).
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

import msgspec
import xxhash

MAGIC = b"95log\r\n\x01"
OPEN, CLOSED = ".open", ".closed"
"""How the name of a segment ends: while a worker writes it, and from then on."""

_MARK = b"\x95\xec\x0d\xf7"
_HEAD = struct.Struct("<4sIIQ")
_WORD = (1 << 64) - 1

Kept = Literal["keep", "hash", "drop"]


class Header(msgspec.Struct, frozen=True):
    """What a segment holds: its request `columns` with their logical types, and what the log's policy made of them.

    `policy` names the columns that were not kept as they were; those that are dropped are not in `columns`. `worker`
    and `number` say whose segment it is, `began` (µs UTC) since when; `salt` seeds the checks of its records.
    """

    columns: dict[str, str]
    policy: dict[str, Kept]
    worker: str
    number: int
    began: int
    salt: int


@dataclass(frozen=True, slots=True)
class Damage:
    """What could not be read: `records` that are known to be missing, `bytes` that are part of no whole frame."""

    records: int = 0
    bytes: int = 0


def frame(payload: bytes, number: int, salt: int) -> bytes:
    """The head of a frame, to be followed by its payload."""
    return _HEAD.pack(_MARK, number, len(payload), xxhash.xxh3_64_intdigest(payload, (salt + number) & _WORD))


def opening(header: Header) -> bytes:
    """The bytes that a segment begins with."""
    payload = msgspec.msgpack.encode(header)
    return MAGIC + 2 * (frame(payload, 0, 0) + payload)


class Segment:
    """The whole frames in the bytes of a segment: its `header` (None: there is none to be read) and its `payloads`.

    After `payloads` is exhausted, `damage` says what is missing. A tail that a crash has torn counts in its bytes.
    """

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._at = 0
        self.damage = Damage()
        self.header: Header | None = None
        place = 0
        while self.header is None and (place := data.find(_MARK, place)) >= 0:
            payload = self._whole(place, 0)
            if payload is not None and payload[0] == 0:
                self.header = msgspec.msgpack.decode(payload[1], type=Header)
                self._at = place + _HEAD.size + len(payload[1])
            place += 1

    def payloads(self) -> Iterator[bytes]:
        """The payload of each whole record, in the order they were written."""
        if self.header is None:
            self.damage = Damage(bytes=len(self._data))
            return
        data, salt, at = self._data, self.header.salt, self._at
        again = self._whole(at, 0)
        skipped = 0
        if again is not None and again[0] == 0:
            at += _HEAD.size + len(again[1])
        last = missing = 0
        while at < len(data):
            found = self._whole(at, salt)
            if found is None or found[0] <= last:
                place = data.find(_MARK, at + 1)
                skipped += (place if place >= 0 else len(data)) - at
                at = place if place >= 0 else len(data)
                continue
            number, payload = found
            missing += number - last - 1
            last = number
            at += _HEAD.size + len(payload)
            yield payload
        self.damage = Damage(missing, skipped)

    def _whole(self, at: int, salt: int) -> tuple[int, bytes] | None:
        """Number and payload of the frame at a place; None where there is no whole one."""
        if len(self._data) - at < _HEAD.size:
            return None
        mark, number, length, check = _HEAD.unpack_from(self._data, at)
        payload = self._data[at + _HEAD.size : at + _HEAD.size + length]
        if mark != _MARK or len(payload) != length:
            return None
        fits = xxhash.xxh3_64_intdigest(payload, (salt + number) & _WORD) == check
        return (number, payload) if fits else None
