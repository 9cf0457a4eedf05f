"""What a transform costs on this machine, by rows and by frames, and from how many rows on frames are quicker.

    seconds of rows    n · row                   ╲
    seconds of frames  frame + n · frame_row     ╳ crossover

What does not belong here: whether a cost matters.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import msgspec

from ninetyfive.features.frames import frame_of
from ninetyfive.features.rows import Row
from ninetyfive.features.transform import Transform
from ninetyfive.timing import call_seconds

CROSSOVER = 256
"""From how many rows on frames are taken where nobody measured."""
_BATCH = 1000
_MOST = 1_000_000
_CALLS, _AT_MOST = 100, 0.03


class Costs(msgspec.Struct, frozen=True, kw_only=True):
    """Seconds: a row by the row function; a frame of one row, and each further row of it.

    `crossover` is the number of rows from which on frames are quicker, at most a million.
    """

    row: float
    frame: float
    frame_row: float
    crossover: int


def measure(transform: Transform, rows: Sequence[Row]) -> Costs:
    """The costs of `transform` on `rows` of row scalars, at least one; medians, about 0.1 s in all."""
    by_frame = transform.frames()
    one = frame_of(rows[:1], transform.inputs)
    many = frame_of([rows[at % len(rows)] for at in range(_BATCH)], transform.inputs)
    row = row_seconds(transform, rows)
    frame = call_seconds(lambda: by_frame(one), _CALLS, _AT_MOST)
    frame_row = max(0.0, call_seconds(lambda: by_frame(many), _CALLS, _AT_MOST) - frame) / (_BATCH - 1)
    gain = row - frame_row
    crossover = math.ceil(min(frame / gain, _MOST)) if gain > 0 else _MOST
    return Costs(row=row, frame=frame, frame_row=frame_row, crossover=crossover)


def row_seconds(transform: Transform, rows: Sequence[Row]) -> float:
    """Seconds of one of `rows` by the row function, on average over them."""
    function = transform.rows()

    def call() -> None:
        for row in rows:
            function(row)

    return call_seconds(call, _CALLS, _AT_MOST) / len(rows)
