"""Gates of a table: whether it may answer in place of the one before it, decided from values alone.

    rows       some; not fewer than 80 % of those of the table before it
    answers    as before: moved by at most 0.3 of their spread on average, and no 5 % more entries without one
    sample     entries computed again, a row alone: equal, bit for bit

A table is compared with one of the same population that answers the same question; where there is none, rows and
answers are not compared. What does not belong here: measuring (`steps.table`), making a table live (`store`).
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from statistics import fmean, pstdev

import msgspec

from ninetyfive.decisions.gates import Verdict, Verdicts
from ninetyfive.tables.about import Answers, TableAbout

MAY_FALL = 0.2
"""Which share of the entities a table may lose against the one before it."""
MAY_MOVE = 0.3
"""How far the answers may move on average, in standard deviations of those of the table before it."""
MAY_LACK = 0.05
"""How much the share of entries without an answer may grow."""
_LEAST_SPREAD = 0.01
"""The spread of answers that hardly differ: this share of the greatest of them."""


class TableEvidence(msgspec.Struct, frozen=True, kw_only=True):
    """What was measured on a new table: what it says of itself, the table `before` it, and the sample.

    Of `sampled` entries that were computed again `differing` gave other bits.
    """

    about: TableAbout
    before: TableAbout | None
    sampled: int
    differing: int


def decide_table(evidence: TableEvidence) -> Verdicts:
    """The verdict of each gate; all of them block."""
    about, before = evidence.about, evidence.before
    if before is not None and before.population.named != about.population.named:
        before = None
    verdicts = (
        _rows(about, before),
        _answers(about, before if before is not None and before.question == about.question else None),
        _sample(evidence),
    )
    return Verdicts(all(verdict.passed for verdict in verdicts), verdicts)


def moved(now: Answers, before: Answers) -> float:
    """How far answers moved on average, in standard deviations of those before: the Wasserstein distance over these.

    Values that moved a little count a little, also where many entries share one, as those of a tree do. Of no answers
    on one side only it is infinite. It is off by at most the rank error of the quantiles, in the values next to them.
    Source: Vaserstein, Markov Processes over Denumerable Products of Spaces, 1969; in one dimension the mean difference
    of the quantiles.

    >>> some = Answers(count=4, none=0, quantiles=(1.0, 2.0, 3.0, 4.0))
    >>> moved(some, some), round(moved(Answers(count=2, none=0, quantiles=(2.5, 3.5)), some), 3)
    (0.0, 0.671)
    """
    if not now.quantiles or not before.quantiles:
        return 0.0 if now.quantiles == before.quantiles else math.inf
    points = max(len(now.quantiles), len(before.quantiles))
    apart = fmean(abs(one - other) for one, other in zip(_at(now, points), _at(before, points), strict=True))
    least = _LEAST_SPREAD * max(map(abs, before.quantiles))
    spread = max(pstdev(before.quantiles), least)
    return apart / spread if apart else 0.0


def _at(answers: Answers, points: int) -> Iterator[float]:
    """So many quantiles, each of the same share."""
    kept = answers.quantiles
    return (kept[point * len(kept) // points] for point in range(points))


def _lacking(answers: Answers) -> float:
    """The share of entries without an answer."""
    total = answers.count + answers.none
    return answers.none / total if total else 0.0


def _rows(about: TableAbout, before: TableAbout | None) -> Verdict:
    least = 1 if before is None else max(1, math.ceil((1 - MAY_FALL) * before.rows))
    passed = about.rows >= least
    expected = "at least 1 entity" if before is None else f"at least {least:,} entities, {1 - MAY_FALL:.0%} of before"
    if passed:
        reason = "enough, and no table of this population before" if before is None else "as many as before, or nearly"
    else:
        reason = "no row of the population is left" if not about.rows else "many are missing: look at the population"
    return Verdict("rows", passed, True, expected, f"{about.rows:,} entities", reason)


def _answers(about: TableAbout, before: TableAbout | None) -> Verdict:
    expected = f"moved by at most {MAY_MOVE:g} of their spread, at most {MAY_LACK:.0%} more without one"
    if before is None:
        return Verdict("answers", True, True, expected, "no table before", "there is none to compare with")
    pairs = list(zip(about.answers, before.answers, strict=True))
    apart = max((moved(*pair) for pair in pairs), default=0.0)
    lacking = max((_lacking(now) - _lacking(old) for now, old in pairs), default=0.0)
    passed = apart <= MAY_MOVE and lacking <= MAY_LACK
    reason = "as before, or nearly" if passed else "not as before: look at the features of the population"
    return Verdict("answers", passed, True, expected, f"moved by {apart:.3f}, {lacking:+.1%} without one", reason)


def _sample(evidence: TableEvidence) -> Verdict:
    passed = not evidence.differing
    reason = "a row alone gives what the table says" if passed else "a row alone gives another answer than the table"
    got = f"{evidence.differing} of {evidence.sampled} differ"
    return Verdict("sample", passed, True, "no entry that differs when it is computed again", got, reason)


def shown(verdicts: Sequence[Verdict]) -> str:
    """The gates that said no, in words.

    >>> shown([Verdict("rows", False, True, "at least 1 entity", "0 entities", "no row of the population is left")])
    'rows: expected at least 1 entity, got 0 entities (no row of the population is left)'
    """
    failed = (one for one in verdicts if not one.passed)
    return "; ".join(f"{one.name}: expected {one.expected}, got {one.got} ({one.reason})" for one in failed)
