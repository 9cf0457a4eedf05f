"""Gates of a table, from values alone."""

from __future__ import annotations

import math
import statistics
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import wasserstein_distance
from tests.tables.test_reader import ABOUT_IT

from ninetyfive.decisions.tables import MAY_MOVE, TableEvidence, decide_table, moved, shown
from ninetyfive.tables.about import Answers, Population, TableAbout

NUMBERS = st.lists(st.floats(-9, 9).map(lambda value: round(value, 1)), min_size=1, max_size=40)


def answers(values: list[float], none: int = 0) -> Answers:
    """The answers of so few entries, kept one by one."""
    return Answers(count=len(values), none=none, quantiles=tuple(sorted(values)))


def about(rows: int = 100, values: list[float] | None = None, none: int = 0, **words: Any) -> TableAbout:
    spread = answers([number / 100 for number in range(100)] if values is None else values, none)
    return msgspec.structs.replace(ABOUT_IT, rows=rows, answers=(spread,), **words)


def failed(new: TableAbout, before: TableAbout | None, differing: int = 0) -> list[str]:
    verdicts = decide_table(TableEvidence(about=new, before=before, sampled=10, differing=differing))
    assert [verdict.name for verdict in verdicts.verdicts] == ["rows", "answers", "sample"]
    assert verdicts.passed == (not verdicts.failed)
    return [verdict.name for verdict in verdicts.failed]


@pytest.mark.parametrize(("rows", "no"), [(0, ["rows"]), (1, []), (10**7, [])])
def test_a_first_table_needs_an_entity(rows: int, no: list[str]) -> None:
    assert failed(about(rows), None) == no


@pytest.mark.parametrize(("rows", "no"), [(79, ["rows"]), (80, []), (100, []), (100_000, [])])
def test_a_table_may_lose_a_fifth_of_its_entities(rows: int, no: list[str]) -> None:
    assert failed(about(rows), about(100)) == no


def test_a_table_of_nobody_is_not_followed_by_another() -> None:
    assert failed(about(0, []), about(0, [])) == ["rows"]
    assert failed(about(0, []), about(1)) == ["rows", "answers"]


def test_answers_may_move_a_little() -> None:
    values = [number / 100 for number in range(100)]  # their standard deviation is 0.289
    assert failed(about(values=[value + 0.08 for value in values]), about()) == []
    assert failed(about(values=[value + 0.09 for value in values]), about()) == ["answers"]
    assert failed(about(values=[0.5] * 100), about()) == ["answers"]
    assert failed(about(values=[0.5 + (value - 0.5) / 3 for value in values]), about()) == ["answers"]
    assert failed(about(values=values[::2]), about()) == []


def test_leaves_that_move_a_little_move_a_little() -> None:
    """A tree says one of few values; a new one of nearly the same data says nearly the same, and none of them again."""
    leaves = [0.1] * 60 + [0.4] * 25 + [0.9] * 15
    assert failed(about(values=[value + 0.01 for value in leaves]), about(values=leaves)) == []
    assert failed(about(values=[1 - value for value in leaves]), about(values=leaves)) == ["answers"]


def test_answers_that_were_all_the_same_may_move_by_a_little_of_themselves() -> None:
    assert failed(about(values=[0.501]), about(values=[0.5])) == []
    assert failed(about(values=[0.51]), about(values=[0.5])) == ["answers"]
    assert failed(about(values=[0.0]), about(values=[0.0])) == []


def test_a_few_more_entries_may_lack_an_answer() -> None:
    values = [number / 100 for number in range(95)]
    assert failed(about(values=values, none=5), about(values=values)) == []
    assert failed(about(values=values, none=6), about(values=values)) == ["answers"]
    assert failed(about(values=values), about(values=values, none=50)) == []
    assert failed(about(values=[], none=9), about(values=values)) == ["answers"]


def test_only_the_same_population_and_question_are_compared() -> None:
    other = Population(kind="file", urls=("b.parquet",), sha256="", read=0)
    assert failed(about(1, [9.0]), about(population=other)) == []
    assert failed(about(values=[9.0]), about(label="another")) == []
    assert failed(about(1, [9.0]), about(label="another")) == ["rows"]
    newer = msgspec.structs.replace(ABOUT_IT.population, sha256="f" * 64, read=7)
    assert failed(about(1, [9.0], population=newer), about()) == ["rows", "answers"]


def test_one_entry_that_differs_is_one_too_many() -> None:
    assert failed(about(), None, differing=1) == ["sample"]
    verdicts = decide_table(TableEvidence(about=about(0), before=None, sampled=10, differing=1))
    assert shown(verdicts.verdicts).count("expected") == 2


@given(NUMBERS, st.floats(-3, 3))
def test_a_shift_moves_by_the_shift(values: list[float], shift: float) -> None:
    spread = max(statistics.pstdev(values), 0.01 * max(map(abs, values)))
    shifted = answers([value + shift for value in values])
    assert moved(answers(values), answers(values)) == 0.0
    if spread > 1e-6:
        assert moved(shifted, answers(values)) == pytest.approx(abs(shift) / spread, abs=1e-6)


@given(NUMBERS, NUMBERS)
def test_the_distance_is_that_of_wasserstein(left: list[float], right: list[float]) -> None:
    """Against SciPy, for as many values on both sides."""
    left, right = left[: len(right)], right[: len(left)]
    spread = max(statistics.pstdev(right), 0.01 * max(map(abs, right)))
    if spread > 1e-6:
        expected = wasserstein_distance(left, right) / spread
        assert moved(answers(left), answers(right)) == pytest.approx(expected, abs=1e-9)


def test_of_several_classes_the_one_that_moved_most_counts() -> None:
    still, gone = answers([0.1, 0.2]), answers([0.8, 0.9])
    both = msgspec.structs.replace(about(), answers=(still, still))
    assert failed(both, both) == []
    assert failed(msgspec.structs.replace(both, answers=(still, gone)), both) == ["answers"]
    assert moved(answers([]), answers([])) == 0.0
    assert moved(answers([]), still) == math.inf
    assert 0.0 < MAY_MOVE < 1.0
