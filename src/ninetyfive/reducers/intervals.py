"""How sure a metric is: intervals by leaving out one fold at a time.

    {fold: state} ─ merge all ───────────▶ value
                  ─ merge all but one ───▶ 20 values ─▶ their spread ─▶ low, high

Rows fall into folds by a stable hash of their id, so two models scored on the same rows are compared on the same
folds: `gain` is the difference with the interval of the difference, much narrower than the two intervals are.

Source: the delete-a-group jackknife, P. S. Kott, "The Delete-a-Group Jackknife", Journal of Official Statistics 17(4),
2001: variance = (G−1)/G · Σ (θ₋g − mean θ₋)², Student's t with G−1 degrees of freedom, here at 95 %.
What does not belong here: what a metric is (`scores`), what follows from it (`decisions.gates`).
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from ninetyfive.errors import PlanError, near_names
from ninetyfive.metrics import METRICS
from ninetyfive.reducers.reducer import Reducer

Scorer = Reducer[Any, Mapping[str, Any]]
"""A reducer that answers {metric: value}, with "rows" among them."""

FOLDS = 20
"""Into how many folds rows are hashed."""

_T_975 = (
    *(12.706205, 4.302653, 3.182446, 2.776445, 2.570582, 2.446912, 2.364624, 2.306004, 2.262157, 2.228139),
    *(2.200985, 2.178813, 2.160369, 2.144787, 2.131450, 2.119905, 2.109816, 2.100922, 2.093024, 2.085963),
)
"""The 0.975 quantile of Student's t for 1, 2, … 20 degrees of freedom."""


class Estimate(msgspec.Struct, frozen=True):
    """A value with its 95 % interval, over `rows` rows.

    `value` is None where it is not defined (AUC of one class); `low` and `high` are None where it was not judged: too
    few rows, fewer than two folds, or not defined without some fold.
    """

    value: float | None
    low: float | None
    high: float | None
    rows: int

    @property
    def judged(self) -> bool:
        """Whether there is an interval."""
        return self.low is not None


class Replicates(msgspec.Struct, frozen=True):
    """The metrics over all folds, and without each fold in turn ({metric: value}): what intervals are made of.

    `judged` is False below the minimum of rows: values then have no interval. `folds` are the folds that hold rows.
    """

    folds: tuple[int, ...]
    whole: Mapping[str, Any]
    without: tuple[Mapping[str, Any], ...]
    judged: bool

    @property
    def rows(self) -> int:
        """How many rows were scored."""
        return int(self.whole["rows"])

    @property
    def metrics(self) -> tuple[str, ...]:
        """The metrics that the reducer answers."""
        return tuple(name for name in METRICS if name in self.whole)

    def estimate(self, metric: str) -> Estimate:
        """A metric with its interval; `PlanError` for one that the reducer does not answer."""
        _check_metric(metric, self.metrics)
        return jackknife(self.whole[metric], [one[metric] for one in self.without if self.judged], self.rows)

    def gain(self, other: Replicates, metric: str) -> Estimate:
        """How much better this is than `other` on the same rows, above 0 when better, whatever the metric's direction.

        Both must come of the same folds; other folds raise `PlanError`.
        """
        _check_metric(metric, self.metrics)
        if self.folds != other.folds:
            raise PlanError(
                f"gain in {metric}",
                expected="both models scored on the same folds",
                got=f"folds {list(self.folds)} and {list(other.folds)}",
                do="score both models in one job, on the same rows",
            )
        sign = 1.0 if METRICS[metric].higher_is_better else -1.0
        pairs = zip(self.without, other.without, strict=True) if self.judged and other.judged else ()
        return jackknife(
            _difference(self.whole[metric], other.whole[metric], sign),
            [_difference(ours[metric], theirs[metric], sign) for ours, theirs in pairs],
            min(self.rows, other.rows),
        )


def replicates(reducer: Scorer, folds: Mapping[int, Any], minimum: int = 0) -> Replicates:
    """The replicates of `{fold: state}` of a reducer; below `minimum` rows they are not judged. No folds: no rows."""
    numbers = sorted(folds)
    before, after = [reducer.zero()], [reducer.zero()]
    for fold in numbers:
        before.append(reducer.merge(before[-1], folds[fold]))
    for fold in reversed(numbers):
        after.append(reducer.merge(folds[fold], after[-1]))
    after.reverse()
    whole = reducer.result(before[-1])
    judged = int(whole["rows"]) >= minimum
    parts = range(len(numbers)) if judged else ()
    without = tuple(reducer.result(reducer.merge(before[i], after[i + 1])) for i in parts)
    return Replicates(tuple(numbers), whole, without, judged)


def _check_metric(metric: str, known: Sequence[str]) -> None:
    if metric not in known:
        raise PlanError("gain", expected="a metric", got=repr(metric), do=near_names(metric, known).rstrip("?"))


def _difference(left: float | None, right: float | None, sign: float) -> float | None:
    return None if left is None or right is None else sign * (left - right)


def jackknife(value: float | None, without: Sequence[float | None], rows: int) -> Estimate:
    """A value with the interval that follows from the values `without` each fold (None: not defined there)."""
    known = [other for other in without if other is not None]
    if value is None or len(known) < 2 or len(known) < len(without):
        return Estimate(value, None, None, rows)
    groups = len(known)
    mean = math.fsum(known) / groups
    variance = (groups - 1) / groups * math.fsum((other - mean) ** 2 for other in known)
    reach = _T_975[min(groups - 1, len(_T_975)) - 1] * math.sqrt(variance)
    return Estimate(value, value - reach, value + reach, rows)
