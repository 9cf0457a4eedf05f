"""Gates: whether a new release may be promoted, decided from numbers alone.

    declared gates + evidence ─ decide ─▶ Verdicts: passed, and for each gate what was expected and got, and why

Always judged: at least 500 test rows; better than the constant baseline beyond the interval of the gain; not worse than
the champion, re-scored on the same rows, beyond that interval. The time of a prediction is advice and never blocks.
What does not belong here: measuring (`steps.evaluate`), moving the champion (`store`).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import msgspec

from ninetyfive.errors import DeclarationError, near_names
from ninetyfive.metrics import METRICS
from ninetyfive.reducers.intervals import Estimate
from ninetyfive.system import Gate

TEST_ROWS = 500
"""The fewest test rows that a release is judged on."""
SLOW_SECONDS = 0.005
"""From how many seconds for one prediction the advice is to look at it."""

_SHOWN_SLICES = 5
_ALONE = "there is no champion to compare with"


class SliceEvidence(msgspec.Struct, frozen=True):
    """What was measured on one value of a slice; gains over the champion are above 0 where the release is better."""

    rows: int
    metrics: Mapping[str, Estimate]
    over_champion: Mapping[str, Estimate] | None = None


class Evidence(msgspec.Struct, frozen=True, kw_only=True):
    """What was measured on the test rows with the artifact that will be served.

    `metric` is the one that the standing gates judge. `over_constant` and `over_champion` are gains, above 0 where the
    release is better; `over_champion` is None where there is no champion. `slices` is {column: {value: evidence}}.
    `seconds` is the median time of one prediction, where it was measured.
    """

    metric: str
    rows: int
    metrics: Mapping[str, Estimate]
    over_constant: Mapping[str, Estimate]
    over_champion: Mapping[str, Estimate] | None = None
    slices: Mapping[str, Mapping[str, SliceEvidence]] = {}
    seconds: float | None = None


class Verdict(msgspec.Struct, frozen=True):
    """What one gate says, in words that a person can act on."""

    name: str
    passed: bool
    blocking: bool
    expected: str
    got: str
    reason: str


class Verdicts(msgspec.Struct, frozen=True):
    """What all gates say: `passed` where every blocking one does."""

    passed: bool
    verdicts: tuple[Verdict, ...]

    @property
    def failed(self) -> tuple[Verdict, ...]:
        """The blocking verdicts that say no."""
        return tuple(verdict for verdict in self.verdicts if verdict.blocking and not verdict.passed)


def decide(gates: Sequence[Gate], evidence: Evidence) -> Verdicts:
    """The verdict of the standing gates, then of the declared ones in their order, then advice.

    A gate on a metric or slice that was not measured raises `DeclarationError`.
    """
    verdicts = (
        _size(evidence),
        _baseline(evidence),
        _champion(evidence),
        *(_declared(gate, evidence) for gate in gates),
        *_advice(evidence),
    )
    return Verdicts(all(verdict.passed for verdict in verdicts if verdict.blocking), verdicts)


def _size(evidence: Evidence) -> Verdict:
    passed = evidence.rows >= TEST_ROWS
    reason = "enough rows to judge" if passed else "too few to judge: widen the window, or hold more rows out (split=)"
    return Verdict("size", passed, True, f"at least {TEST_ROWS} test rows", f"{evidence.rows} rows", reason)


def _baseline(evidence: Evidence) -> Verdict:
    metric = evidence.metric
    gain = _estimate(evidence.over_constant, metric, "gate 'baseline'")
    passed = gain.low is not None and gain.low > 0
    if not gain.judged:
        reason = f"{metric} could not be judged on {gain.rows} rows: too few, or one class only"
    elif passed:
        reason = "better than always giving the same answer, beyond chance"
    else:
        reason = "no better than always giving the same answer, beyond chance: look at the features and the label"
    return Verdict(
        f"baseline {metric}", passed, True, f"a gain in {metric} over the constant, above 0", _shown(gain), reason
    )


def _champion(evidence: Evidence) -> Verdict:
    metric = evidence.metric
    name, expected = f"champion {metric}", f"{metric} not worse than the champion's beyond chance"
    if evidence.over_champion is None:
        return Verdict(name, True, True, expected, "no champion", _ALONE)
    gain = _estimate(evidence.over_champion, metric, "gate 'champion'")
    passed = gain.high is not None and gain.high >= 0
    if not gain.judged:
        reason = f"{metric} could not be compared on {gain.rows} rows"
    elif passed:
        better = gain.low is not None and gain.low > 0
        reason = "better than the champion" if better else "as good as the champion, within chance"
    else:
        reason = "worse than the champion on the same rows, beyond chance"
    return Verdict(name, passed, True, expected, _shown(gain), reason)


def _advice(evidence: Evidence) -> Iterator[Verdict]:
    if evidence.seconds is not None:
        passed = evidence.seconds < SLOW_SECONDS
        reason = "quick enough to compute when asked" if passed else "slow: consider a smaller model, or a table"
        yield Verdict(
            "time",
            passed,
            False,
            f"under {SLOW_SECONDS * 1e3:g} ms a prediction",
            f"{evidence.seconds * 1e3:.3g} ms",
            reason,
        )


def _declared(gate: Gate, evidence: Evidence) -> Verdict:
    where = f"Gate({gate.metric!r}" + (f", slice={gate.slice!r})" if gate.slice else ")")
    name = gate.metric + (f" by {gate.slice}" if gate.slice else "")
    judged_by = _judged_by(gate, evidence)
    if judged_by is None:
        return Verdict(name, True, True, _expected(gate), "no champion", _ALONE)
    if gate.slice is None:
        estimate = _estimate(judged_by, gate.metric, where)
        passed = _keeps(gate, estimate)
        return Verdict(name, passed, True, _expected(gate), _shown(estimate), _reason(gate, passed, estimate))
    if gate.slice not in evidence.slices:
        raise DeclarationError(
            where,
            expected="a slice that was measured",
            got=repr(gate.slice),
            do=near_names(gate.slice, evidence.slices),
        )
    return _sliced(gate, evidence.slices[gate.slice], name, where)


def _sliced(gate: Gate, slices: Mapping[str, SliceEvidence], name: str, where: str) -> Verdict:
    small = [value for value, found in slices.items() if found.rows < gate.rows]
    judged = {value: found for value, found in slices.items() if found.rows >= gate.rows}
    broken: dict[str, Estimate] = {}
    for value, found in judged.items():
        judged_by = _judged_by(gate, found)
        if judged_by is not None and not _keeps(gate, estimate := _estimate(judged_by, gate.metric, where)):
            broken[value] = estimate
    worst = [f"{value}: {_shown(estimate)}" for value, estimate in list(broken.items())[:_SHOWN_SLICES]]
    left_out = f"{len(small)} not judged (under {gate.rows} rows)"
    got = "; ".join(worst) if broken else f"all {len(judged)} judged values keep it"
    reason = f"{len(broken)} of {len(judged)} values break it, {left_out}" if broken else f"kept, {left_out}"
    return Verdict(name, not broken, True, _expected(gate) + f" for every {gate.slice}", got, reason)


def _judged_by(gate: Gate, evidence: Evidence | SliceEvidence) -> Mapping[str, Estimate] | None:
    return evidence.over_champion if gate.may_lose is not None else evidence.metrics


def _estimate(estimates: Mapping[str, Estimate], metric: str, where: str) -> Estimate:
    if metric not in estimates:
        raise DeclarationError(
            where,
            expected="a metric that was measured for this task",
            got=repr(metric),
            do=near_names(metric, [name for name in estimates if name in METRICS]),
        )
    return estimates[metric]


def _keeps(gate: Gate, estimate: Estimate) -> bool:
    if estimate.value is None:
        return False
    if gate.may_lose is not None:
        return estimate.value >= -gate.may_lose
    if gate.at_least is not None:
        return estimate.value >= gate.at_least
    return gate.at_most is not None and estimate.value <= gate.at_most


def _expected(gate: Gate) -> str:
    if gate.may_lose is not None:
        return f"{gate.metric} at most {gate.may_lose:g} worse than the champion's"
    if gate.at_least is not None:
        return f"{gate.metric} at least {gate.at_least:g}"
    return f"{gate.metric} at most {gate.at_most:g}"


def _reason(gate: Gate, passed: bool, estimate: Estimate) -> str:
    if estimate.value is None:
        return f"{gate.metric} is not defined on these rows (one class only?)"
    return "kept" if passed else "declared in gates= of system.py, and not kept"


def _shown(estimate: Estimate) -> str:
    if estimate.value is None:
        return "not defined"
    if estimate.low is None or estimate.high is None:
        return f"{estimate.value:.4g} on {estimate.rows} rows"
    return f"{estimate.value:.4g} ({estimate.low:.4g} to {estimate.high:.4g}) on {estimate.rows} rows"
