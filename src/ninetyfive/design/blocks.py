"""The steps in which a backtest goes through time: equal blocks, from 8 to 24 of them, of a length that people say.

    first row ─┬──── warm: only trained on ────┬── b ── b ── b ── … ──┤ last row
               └ blocks 0 … warm − 1           └ a training may stand at the start of each, and each is scored

Blocks end with the last row; the first may be partly empty. What does not belong here: any training.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from ninetyfive.design.history import KNOWN, TIME, History
from ninetyfive.durations import duration_text, duration_word

MOST, FEWEST = 24, 8
"""How many blocks there are."""
ROWS = 40
"""The fewest rows of a block that is scored, and on average of each block."""
LATER = 4
"""The fewest blocks that have to follow those that are only trained on."""
SECOND = 1_000_000

_MINUTE, _HOUR, _DAY = 60, 3_600, 86_400
_LENGTHS = (
    *(1, 2, 3, 5, 10, 15, 20, 30),
    *(_MINUTE * n for n in (1, 2, 3, 5, 10, 15, 20, 30)),
    *(_HOUR * n for n in (1, 2, 3, 4, 6, 8, 12)),
    *(_DAY * n for n in (1, 2, 3, 5, 7, 10, 14, 21, 28, 42, 56, 84, 112, 168, 252, 364, 546, 728)),
)
"""Lengths of a block, in seconds."""


@dataclass(frozen=True, slots=True)
class Blocks:
    """Equal steps of time. `edges` are count + 1 moments (µs), `starts` the first row of each block and the end.

    `known[b]`: how many blocks, from the first on, had all their labels known when block b began. `scored`: blocks
    with enough rows. `delay` of labels and `length` are in seconds. `cannot` says why there are too few.
    """

    length: int
    edges: npt.NDArray[np.int64]
    starts: npt.NDArray[np.int64]
    known: npt.NDArray[np.int64]
    warm: int
    delay: float
    noticed: tuple[str, ...] = ()
    cannot: tuple[str, ...] = ()

    @property
    def count(self) -> int:
        """How many blocks there are."""
        return len(self.edges) - 1

    @property
    def rows(self) -> npt.NDArray[np.int64]:
        """The rows of each block."""
        return np.diff(self.starts)

    @property
    def scored(self) -> npt.NDArray[np.bool_]:
        """The blocks whose rows are enough to be scored."""
        return self.rows >= ROWS

    @property
    def text(self) -> str:
        """The length of a block as a duration."""
        return duration_word(self.length)


def blocks_of(history: History) -> Blocks:
    """The blocks of a history; `cannot` says where it is too short, of one moment, or its labels come too late."""
    time, known_at = (history.frame[name].to_numpy().astype(np.int64) for name in (TIME, KNOWN))
    delay = float(np.quantile(known_at - time, 0.9)) / SECOND if len(time) else 0.0
    if len(time) < ROWS * FEWEST:
        return _none(delay, f"{len(time):,} labelled rows are too few: a backtest needs {ROWS * FEWEST}")
    first, last, noticed = _span(time)
    if last - first < FEWEST * SECOND:
        return _none(delay, "all rows are of one moment: there is no time over which a model could age")
    length = _length((last - first + 1) / SECOND, len(time))
    count = -(-(last - first + 1) // (length * SECOND))
    edges = last + 1 - (count - np.arange(count + 1, dtype=np.int64)) * length * SECOND
    starts = np.searchsorted(time, edges, side="left").astype(np.int64)
    latest = _latest_known(known_at, starts)
    late = int(np.ceil(delay / length)) if delay > 0 else 0
    warm = max(2, round(count / 3)) + late
    known = np.searchsorted(latest, edges[:-1], side="right").astype(np.int64)
    return _judged(Blocks(length, edges, starts, known, warm, delay, tuple(noticed)))


def _span(time: npt.NDArray[np.int64]) -> tuple[int, int, list[str]]:
    """First and last moment; a few rows that stand far from all others are left out of it."""
    first, last = int(time[0]), int(time[-1])
    low, high = (int(value) for value in np.quantile(time, [0.005, 0.995], method="nearest"))
    reach = (high - low) // 20
    if high > low and last - first > 2 * (high - low):
        near = time[(time >= low - reach) & (time <= high + reach)]
        apart = len(time) - len(near)
        return int(near[0]), int(near[-1]), [f"{apart:,} rows stand far from all others in time, and are left out"]
    return first, last, []


def _length(seconds: float, rows: int) -> int:
    """The length with which there are as many blocks as rows allow, up to `MOST`."""
    wanted = min(MOST, max(FEWEST, rows // (3 * ROWS)))
    counts = {length: int(np.ceil(seconds / length)) for length in _LENGTHS}
    fitting = {length: count for length, count in counts.items() if FEWEST <= count <= MOST}
    if not fitting:
        return max(1, int(np.ceil(seconds / wanted)))
    return min(fitting, key=lambda length: (abs(fitting[length] - wanted), length))


def _latest_known(known: npt.NDArray[np.int64], starts: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """Of each block the moment at which all labels of it and of those before are known."""
    never = np.iinfo(np.int64).min
    pairs = zip(starts[:-1].tolist(), starts[1:].tolist(), strict=True)
    latest = [int(known[low:high].max()) if high > low else never for low, high in pairs]
    return np.maximum.accumulate(np.array(latest, dtype=np.int64))


def _judged(blocks: Blocks) -> Blocks:
    noticed, cannot = list(blocks.noticed), []
    empty = int((blocks.rows == 0).sum())
    thin = int((~blocks.scored).sum()) - empty
    noticed += [f"{empty} of {blocks.count} blocks of {blocks.text} have no rows: there are gaps in time"] * bool(empty)
    noticed += [f"{thin} of {blocks.count} blocks have fewer than {ROWS} rows, and are not scored"] * bool(thin)
    later = int(blocks.scored[blocks.warm :].sum())
    if later < LATER:
        why = (
            f"labels are known {duration_text(blocks.delay)} after their rows, and the history is "
            f"{duration_text(blocks.length * blocks.count)} long"
            if blocks.delay > blocks.length
            else f"the rows of {blocks.count} blocks of {blocks.text} stand in few of them"
        )
        cannot.append(f"{why}: {later} blocks are left to score, of {LATER} that are needed")
    return Blocks(
        blocks.length,
        blocks.edges,
        blocks.starts,
        blocks.known,
        blocks.warm,
        blocks.delay,
        tuple(noticed),
        tuple(cannot),
    )


def _none(delay: float, why: str) -> Blocks:
    nothing = np.zeros(1, dtype=np.int64)
    return Blocks(0, nothing, nothing, nothing[:0], 0, delay, (), (why,))
