"""Gates: each rule from values alone, with reasons that a person can act on."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from ninetyfive.decisions.gates import Evidence, SliceEvidence, Verdict, Verdicts, decide
from ninetyfive.errors import DeclarationError
from ninetyfive.reducers.intervals import Estimate
from ninetyfive.system import Gate


def estimate(value: float | None, reach: float | None = 0.01, rows: int = 5000) -> Estimate:
    if value is None or reach is None:
        return Estimate(value, None, None, rows)
    return Estimate(value, value - reach, value + reach, rows)


def evidence(**changes: Any) -> Evidence:
    given: dict[str, Any] = {
        "metric": "auc",
        "rows": 5000,
        "metrics": {"auc": estimate(0.7), "log_loss": estimate(0.5)},
        "over_constant": {"auc": estimate(0.2), "log_loss": estimate(0.1)},
    }
    return Evidence(**{**given, **changes})


def verdict(verdicts: Verdicts, name: str) -> Verdict:
    return next(found for found in verdicts.verdicts if found.name == name)


def test_a_good_release_without_a_champion_passes() -> None:
    verdicts = decide([], evidence())
    assert verdicts.passed
    assert [found.name for found in verdicts.verdicts] == ["size", "baseline auc", "champion auc"]
    assert verdict(verdicts, "champion auc").got == "no champion"


@pytest.mark.parametrize(("rows", "passed"), [(499, False), (500, True)])
def test_fewer_than_500_test_rows_do_not_pass(rows: int, passed: bool) -> None:
    assert decide([], evidence(rows=rows)).passed is passed


@pytest.mark.parametrize(
    ("gain", "passed"),
    [(estimate(0.02), True), (estimate(0.01), False), (estimate(-0.1), False), (estimate(0.3, None), False)],
    ids=["beyond the interval", "on the interval", "worse", "not judged"],
)
def test_the_constant_baseline_must_be_beaten_beyond_the_interval(gain: Estimate, passed: bool) -> None:
    verdicts = decide([], evidence(over_constant={"auc": gain}))
    assert verdicts.passed is passed
    assert bool(verdicts.failed) is not passed


@pytest.mark.parametrize(
    ("gain", "passed", "words"),
    [
        (estimate(0.02), True, "better than the champion"),
        (estimate(-0.005), True, "within chance"),
        (estimate(-0.02), False, "worse than the champion"),
        (estimate(None), False, "could not be compared"),
    ],
    ids=["better", "as good", "worse", "not judged"],
)
def test_the_champion_must_not_be_lost_to_beyond_the_interval(gain: Estimate, passed: bool, words: str) -> None:
    verdicts = decide([], evidence(over_champion={"auc": gain}))
    assert verdict(verdicts, "champion auc").passed is passed
    assert words in verdict(verdicts, "champion auc").reason


@pytest.mark.parametrize(
    ("gate", "passed"),
    [
        (Gate("auc", at_least=0.7), True),
        (Gate("auc", at_least=0.71), False),
        (Gate("log_loss", at_most=0.5), True),
        (Gate("log_loss", at_most=0.49), False),
    ],
)
def test_a_value_gate_judges_the_value(gate: Gate, passed: bool) -> None:
    assert decide([gate], evidence()).passed is passed


def test_a_value_that_is_not_defined_does_not_pass() -> None:
    verdicts = decide([Gate("auc", at_least=0.1)], evidence(metrics={"auc": estimate(None)}))
    assert "not defined" in verdict(verdicts, "auc").got
    assert not verdict(verdicts, "auc").passed


@pytest.mark.parametrize(("gain", "passed"), [(-0.01, True), (-0.011, False)])
def test_a_change_gate_allows_a_stated_loss(gain: float, passed: bool) -> None:
    found = decide([Gate("auc", may_lose=0.01)], evidence(over_champion={"auc": estimate(gain, 0.1)}))
    assert found.passed is passed
    assert decide([Gate("auc", may_lose=0.01)], evidence()).passed


def slices(*values: tuple[str, int, float]) -> dict[str, dict[str, SliceEvidence]]:
    return {
        "carrier": {
            name: SliceEvidence(rows, {"auc": estimate(value, rows=rows)}, {"auc": estimate(value - 0.7)})
            for name, rows, value in values
        }
    }


def test_a_slice_gate_judges_every_value_that_is_large_enough() -> None:
    gate = Gate("auc", at_least=0.6, slice="carrier", rows=100)
    good = decide([gate], evidence(slices=slices(("AA", 100, 0.6), ("B6", 99, 0.1))))
    assert good.passed
    assert "1 not judged (under 100 rows)" in verdict(good, "auc by carrier").reason
    bad = decide([gate], evidence(slices=slices(("AA", 100, 0.6), ("B6", 100, 0.1))))
    assert not bad.passed
    assert verdict(bad, "auc by carrier").got.startswith("B6: 0.1")


def test_a_slice_gate_on_change_compares_with_the_champion() -> None:
    gate = Gate("auc", may_lose=0.05, slice="carrier", rows=100)
    champion = {"auc": estimate(0.0)}
    assert decide([gate], evidence(over_champion=champion, slices=slices(("AA", 500, 0.66)))).passed
    assert not decide([gate], evidence(over_champion=champion, slices=slices(("AA", 500, 0.6)))).passed
    alone = decide([gate], evidence(slices={"carrier": {"AA": SliceEvidence(500, {"auc": estimate(0.1)})}}))
    assert alone.passed
    assert verdict(alone, "auc by carrier").got == "no champion"


def test_the_time_of_a_prediction_is_advice() -> None:
    slow = decide([], evidence(seconds=0.5))
    assert slow.passed
    assert not verdict(slow, "time").passed
    assert not verdict(slow, "time").blocking
    assert verdict(decide([], evidence(seconds=0.0001)), "time").passed


def test_a_gate_on_what_was_not_measured_says_so() -> None:
    with pytest.raises(DeclarationError, match=r"Gate\('rmse'\)"):
        decide([Gate("rmse", at_most=3.0)], evidence())
    with pytest.raises(DeclarationError, match=r"slice='origin'"):
        decide([Gate("auc", at_least=0.1, slice="origin")], evidence(slices=slices(("AA", 500, 0.6))))


def test_verdicts_are_json() -> None:
    verdicts = decide([Gate("auc", at_least=0.7)], evidence(seconds=0.001))
    assert msgspec.json.decode(msgspec.json.encode(verdicts), type=Verdicts) == verdicts
