"""Gates of a table: whether it may answer in place of the one before it, decided from values alone.

    rows       some; not fewer than 80 % of those of the table before it
    answers    spread as before: at most 0.2 apart, by the distance of Kolmogorov and Smirnov
    sample     entries computed again, a row alone: equal, bit for bit

A table is compared with one of the same population that answers the same question; where there is none, rows and
answers are not compared. What does not belong here: measuring (`steps.table`), making a table live (`store`).
"""

from __future__ import annotations

import bisect
import math
from collections.abc import Iterable, Sequence

import msgspec

from ninetyfive.decisions.gates import Verdict, Verdicts
from ninetyfive.tables.about import Answers, TableAbout

MAY_FALL = 0.2
"""Which share of the entities a table may lose against the one before it."""
MAY_MOVE = 0.2
"""How far the distribution of answers may be from that of the table before it."""


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


def distance(left: Answers, right: Answers) -> float:
    """How far two distributions are apart, from 0 to 1: the greatest difference of their cumulative shares.

    Entries without an answer count as less than every answer. It is off by at most one over the number of quantiles and
    the rank error, of both. Source: Smirnov, Table for Estimating the Goodness of Fit of Empirical Distributions, 1948.

    >>> some = Answers(count=4, none=0, quantiles=(1.0, 2.0, 3.0, 4.0))
    >>> distance(some, some), distance(some, Answers(count=3, none=1, quantiles=(2.0, 3.0, 4.0)))
    (0.0, 0.25)
    """
    values = sorted({-math.inf, *left.quantiles, *right.quantiles})
    return max(abs(_share(left, value) - _share(right, value)) for value in values)


def most_apart(left: Iterable[Answers], right: Iterable[Answers]) -> float:
    """The greatest distance of those of all classes."""
    return max((distance(one, other) for one, other in zip(left, right, strict=True)), default=0.0)


def _share(answers: Answers, value: float) -> float:
    """The share of entries whose answer is at most `value`, or that have none."""
    total = answers.count + answers.none
    below = bisect.bisect_right(answers.quantiles, value) / len(answers.quantiles) if answers.quantiles else 0.0
    return (answers.none + below * answers.count) / total if total else 0.0


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
    expected = f"answers at most {MAY_MOVE:g} from those of before"
    if before is None:
        return Verdict("answers", True, True, expected, "no table before", "there is none to compare with")
    apart = most_apart(about.answers, before.answers)
    passed = apart <= MAY_MOVE
    reason = "spread as before, or nearly" if passed else "spread otherwise: look at the features of the population"
    return Verdict("answers", passed, True, expected, f"{apart:.3f}", reason)


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
