"""Measuring and choosing a training: drift that is there, drift that is not, and histories that say nothing."""

from __future__ import annotations

from datetime import timedelta
from functools import cache
from itertools import chain, count, repeat
from typing import Any

import msgspec
import numpy as np
import polars as pl
import pytest
from tests.design.histories import START, Drift, logistic, made, recipe, rows

from ninetyfive.design.blocks import blocks_of
from ninetyfive.design.evidence import Interval, TrainingEvidence
from ninetyfive.design.training import Money, choose_training, measure_training
from ninetyfive.durations import duration_word
from ninetyfive.paradigms import DynamicTraining, StaticTraining
from ninetyfive.settings import DesignSettings, PriceSettings

MONEY = Money(0.0316, None, 0.05)


def measured(frame: pl.DataFrame, delay: str | None = None, **changes: Any) -> TrainingEvidence:
    """What is found out about such rows."""
    return measure_training(made(frame, delay), recipe(**changes), MONEY)


@cache
def known(drift: Drift) -> TrainingEvidence:
    """The evidence of a history that several tests look at."""
    return measured(rows(drift, seed=3, size=3_000))


def refused(evidence: TrainingEvidence, words: str) -> None:
    """Nothing was concluded, for a reason that holds `words`, and what is in force stays."""
    assert any(words in why for why in evidence.cannot), evidence.cannot
    for in_force in (None, StaticTraining("30d"), DynamicTraining("7d", "30d")):
        choice = choose_training(evidence, in_force)
        assert choice.confidence == "none"
        assert any(words in reason for reason in choice.reasons)
        assert choice.every == getattr(in_force, "every", None)


@pytest.mark.parametrize("drift", ["gradual", "sudden", "seasonal"])
def test_drift_is_found_and_most_of_its_cost_recovered(drift: Drift) -> None:
    evidence = known(drift)
    assert evidence.decay[0].decays
    choice = choose_training(evidence, None)
    assert (choice.paradigm, choice.policy, choice.confidence) == ("dynamic", "periodic", "measured")
    told = choice.policy, choice.every, choice.watch, choice.drop
    chosen = next(one for one in evidence.policies if (one.name, one.every, one.watch, one.drop) == told)
    assert chosen.recovered is not None
    assert chosen.recovered > 0.8
    assert choice.saves is not None
    assert choice.saves > 0
    assert evidence.decay[0].half_life is not None


def test_no_retraining_where_nothing_drifts_but_an_insurance() -> None:
    choice = choose_training(known("stationary"), None)
    assert (choice.paradigm, choice.policy, choice.every) == ("static", "on quality drop", None)
    assert (choice.watch, choice.drop, choice.confidence) == (duration_word(known("stationary").block), 0.1, "measured")
    assert any("made no training" in reason and "insurance" in reason for reason in choice.reasons)
    assert any("chance" in reason for reason in choice.reasons)
    assert any("periodic" in one.what or "every" in one.what for one in choice.alternatives)
    assert choice.would_change


def test_a_training_in_force_stays_unless_another_is_clearly_cheaper() -> None:
    evidence = known("gradual")
    free = choose_training(evidence, None)
    assert free.every is not None
    assert choose_training(evidence, DynamicTraining(free.every, "11d"), 0.1).window == "11d"
    assert choose_training(evidence, StaticTraining(), 0.1).every == free.every
    assert choose_training(evidence, StaticTraining(), 1.0).paradigm == "static"
    still = known("stationary")
    assert choose_training(still, StaticTraining("11d"), 0.1).window == "11d"
    assert choose_training(still, DynamicTraining("5d"), 0.1).paradigm == "static"


def test_what_is_in_force_decides_whether_a_champion_is_watched() -> None:
    evidence = known("stationary")
    stays = choose_training(evidence, StaticTraining())
    assert (stays.policy, stays.watch) == ("never", None)
    assert any("would have cost no more, and is an insurance" in reason for reason in stays.reasons)
    watched = choose_training(evidence, StaticTraining("30d", "11d", 0.2))
    assert (watched.policy, watched.window, watched.watch, watched.drop) == ("on quality drop", "30d", "11d", 0.2)
    nothing = msgspec.structs.replace(evidence, cannot=("no luck",))
    kept = choose_training(nothing, StaticTraining(watch="11d"))
    assert (kept.policy, kept.watch, kept.drop) == ("on quality drop", "11d", 0.1)


def test_a_champion_is_not_watched_where_that_would_have_cost_more_or_old_models_are_better() -> None:
    evidence = known("stationary")
    dear = tuple(msgspec.structs.replace(one, cost=one.cost + 1.0) if one.watch else one for one in evidence.policies)
    assert choose_training(msgspec.structs.replace(evidence, policies=dear), None).policy == "never"
    season = msgspec.structs.replace(evidence.decay[0], p_value=0.99)
    assert choose_training(msgspec.structs.replace(evidence, decay=(season,)), None).policy == "never"


def test_where_models_decay_watching_competes_by_its_cost() -> None:
    evidence = known("sudden")
    cheap = tuple(
        msgspec.structs.replace(one, typical=-1.0, saves=Interval(1.0, 0.5, 1.5)) if one.watch else one
        for one in evidence.policies
    )
    choice = choose_training(msgspec.structs.replace(evidence, policies=cheap), None)
    assert (choice.paradigm, choice.policy, choice.every) == ("static", "on quality drop", None)
    assert choice.saves is not None
    assert choice.saves > 0
    real = [one for one in evidence.policies if one.watch]
    assert all(0 < one.trainings < 5 for one in real), "one jump"
    assert all(one.recovered is not None and one.recovered > 0.5 for one in real)


def test_what_costs_least_wherever_a_system_begins_is_chosen() -> None:
    """A model made just after the jump is as good as a fresh one; one made just before it is not."""
    evidence = known("sudden")
    policies = {(one.name, one.every, one.watch, one.drop): one for one in evidence.policies}
    never, often = policies["never", None, None, None], policies["periodic", duration_word(evidence.block), None, None]
    assert often.typical < never.typical < never.cost
    watch = min((one for one in evidence.policies if one.watch), key=lambda one: one.cost)
    assert watch.cost < often.cost
    assert often.typical < watch.typical
    assert choose_training(evidence, None).every == often.every


def test_decay_beyond_doubt_needs_no_sure_saving() -> None:
    evidence = known("gradual")
    unsure = tuple(
        one if one.saves is None else msgspec.structs.replace(one, saves=Interval(one.saves.value, -1.0, 1.0))
        for one in evidence.policies
    )

    def chosen(p_value: float) -> str:
        decay = msgspec.structs.replace(evidence.decay[0], p_value=p_value)
        return choose_training(msgspec.structs.replace(evidence, policies=unsure, decay=(decay,)), None).paradigm

    assert (chosen(0.001), chosen(0.03)) == ("dynamic", "static")


def test_a_training_that_is_dear_is_not_advised() -> None:
    evidence = known("gradual")
    cheap = measure_training(made(rows("gradual", seed=3, size=3_000)), recipe(), Money(0.0316, 1e-9, 0.05))
    assert evidence.decay == cheap.decay
    assert choose_training(cheap, None).paradigm == "static"
    assert cheap.worth_from == "[prices] point_day"


def test_same_answer_for_shuffled_rows_and_other_names() -> None:
    frame = rows("gradual", seed=3, size=3_000)
    shuffled = frame.sample(fraction=1.0, shuffle=True, seed=1)
    assert made(shuffled).frame.equals(made(frame).frame)
    renamed = frame.with_columns(pl.col("id") * 7 + 1_000_003)
    one, other = choose_training(known("gradual"), None), choose_training(measured(renamed), None)
    assert (one.policy, one.every, one.window) == (other.policy, other.every, other.window)


@pytest.mark.parametrize("drift", ["stationary", "gradual"])
def test_twice_the_rows_same_answer(drift: Drift) -> None:
    frame = rows(drift, seed=3, size=3_000)
    twice = pl.concat([frame, frame.with_columns(pl.col("id") + 1_000_000)])
    one, other = (choose_training(evidence, None) for evidence in (known(drift), measured(twice)))
    assert (one.policy, one.every, one.window) == (other.policy, other.every, other.window)


def test_more_rows_later_are_not_drift() -> None:
    """The rate grows tenfold; windows of equal length have as many rows, so that nothing seems to age."""
    frame = rows("stationary", seed=6, size=9_000)
    keep = np.random.default_rng(1).random(9_000) < np.linspace(0.1, 1.0, 9_000)
    evidence = measured(frame.filter(pl.Series(keep)))
    assert not evidence.decay[0].decays


def test_three_hundred_rows_are_too_few() -> None:
    refused(measured(rows(size=300)), "300 labelled rows are too few")


def test_rows_of_one_moment_have_no_age() -> None:
    refused(measured(rows(size=2_000).with_columns(at=pl.lit(START))), "one moment")


def test_labels_that_come_after_the_history_teach_nothing() -> None:
    refused(measured(rows(size=2_000), delay="200d"), "labels are known 200d after their rows")


def test_one_class_everywhere_cannot_be_trained_on() -> None:
    evidence = measured(rows(size=2_000).with_columns(y=pl.lit(True)))
    refused(evidence, "trainings failed")
    assert any("two classes" in text for text in evidence.noticed)


def test_one_class_in_some_windows_is_told_and_the_rest_is_used() -> None:
    frame = rows("gradual", seed=7, size=3_000)
    early = pl.col("at") < START + timedelta(days=45)
    evidence = measured(frame.with_columns(y=pl.when(early).then(pl.lit(True)).otherwise(pl.col("y"))))
    assert any("trainings failed" in text and "two classes" in text for text in evidence.noticed)
    assert evidence.policies


def test_one_class_in_a_block_is_not_judged_by_auc() -> None:
    frame = rows(seed=8, size=3_000)
    block = (pl.col("at") > START + timedelta(days=100)) & (pl.col("at") < START + timedelta(days=106))
    only = frame.with_columns(y=pl.when(block).then(pl.lit(False)).otherwise(pl.col("y")))
    evidence = measured(only, metrics=("auc",))
    assert not evidence.cannot
    assert evidence.decay[0].points


def test_gaps_in_time_are_told() -> None:
    frame = rows("gradual", seed=9, size=3_000)
    gap = (pl.col("at") > START + timedelta(days=60)) & (pl.col("at") < START + timedelta(days=90))
    evidence = measured(frame.filter(~gap))
    assert any("have no rows" in text for text in evidence.noticed)
    assert evidence.decay[0].decays


def test_a_row_far_from_all_others_does_not_stretch_the_blocks() -> None:
    frame = rows("gradual", seed=9, size=3_000)
    odd = frame.head(1).with_columns(at=pl.lit(START - timedelta(days=20_000)), id=pl.lit(-1, pl.Int64))
    blocks = blocks_of(made(pl.concat([frame, odd])))
    assert blocks.length == blocks_of(made(frame)).length
    assert any("stand far" in text for text in blocks.noticed)


def test_a_model_that_raises_on_one_window_is_told_and_left_out() -> None:
    calls = count()

    def fails_once(x: Any, y: Any, params: dict[str, Any]) -> Any:
        if next(calls) == 3:
            raise ValueError("no luck")
        return logistic(x, y, params)

    evidence = measured(rows("gradual", seed=3, size=3_000), function=fails_once)
    assert any("no luck" in text for text in evidence.noticed)
    assert choose_training(evidence, None).paradigm == "dynamic"


def test_a_model_that_learns_nothing_gives_no_answer() -> None:
    draws = np.random.default_rng(1)
    frame = rows(size=3_000).with_columns(y=pl.Series(draws.random(3_000) < 0.5))
    evidence = measured(frame)
    if evidence.gain is not None and evidence.gain <= 0:
        refused(evidence, "gains nothing")
    else:
        assert choose_training(evidence, None).paradigm == "static"


def test_a_deadline_cuts_the_grid_and_says_so() -> None:
    left = iter([1e9] * 6 + [0.0] * 1_000)
    evidence = measure_training(made(rows("gradual", seed=3, size=3_000)), recipe(), MONEY, lambda: next(left))
    assert any("budget of time cut" in text for text in evidence.left_out)
    assert evidence.trainings == 6
    assert choose_training(evidence, None).confidence == "none"


def test_a_cut_grid_still_answers() -> None:
    """A quarter of the trainings: all of the main window, few of the others, and then the pairs of halves."""
    left = chain([1e9] * 20, [0.0], repeat(1e9))
    evidence = measure_training(made(rows("gradual", seed=3, size=3_000)), recipe(), MONEY, lambda: next(left))
    assert any("budget of time cut" in text for text in evidence.left_out)
    assert choose_training(evidence, None).paradigm == "dynamic"


def test_a_window_that_was_compared_with_no_other_is_not_advised() -> None:
    left = chain([1e9] * 17, [0.0], repeat(1e9))
    evidence = measure_training(made(rows("stationary", seed=3, size=3_000)), recipe(), MONEY, lambda: next(left))
    assert [one.window for one in evidence.windows] == [evidence.policies[0].window]
    choice = choose_training(evidence, None)
    assert (choice.paradigm, choice.window, choice.confidence) == ("static", None, "measured")
    assert choose_training(evidence, StaticTraining(window="30d")).window == "30d"


def test_costs_are_said_in_the_currency_of_the_prices() -> None:
    evidence = msgspec.structs.replace(known("gradual"), currency="EUR")
    choice = choose_training(evidence, None)
    assert "EUR over 80 days" in choice.reasons[-1]
    assert any("EUR is less" in one.why_not for one in choice.alternatives)


def test_labels_are_waited_for() -> None:
    evidence = measured(rows("gradual", seed=3, size=3_000), delay="10d")
    assert evidence.label_delay == pytest.approx(10 * 86_400)
    assert choose_training(evidence, None).paradigm == "dynamic"
    fresh = known("gradual")
    assert fresh.gain is not None
    assert evidence.gain is not None
    assert evidence.gain < fresh.gain


def test_evidence_is_data() -> None:
    evidence = measured(rows("gradual", seed=3, size=2_000), metrics=("log_loss", "auc"))
    assert msgspec.json.decode(msgspec.json.encode(evidence), type=TrainingEvidence) == evidence
    assert [decay.metric for decay in evidence.decay] == ["log_loss", "auc"]


def test_money_is_what_the_settings_say() -> None:
    money = Money.of(PriceSettings(cpu_hour=0.036), DesignSettings(tolerance=0.1))
    assert money.price(1.0) == pytest.approx(0.0006)  # at least a minute
    assert money.price(3_600.0) == pytest.approx(0.036)
    worth, told = money.worth(0.07, 0.5)
    assert worth * 0.1 * 0.5 * 7 == pytest.approx(0.07)
    assert "tolerance" in told
    assert money.worth(0.07, -0.1)[0] == money.worth(0.07, None)[0] == 0.0
    worth, told = Money.of(PriceSettings(point_day=2.0), DesignSettings()).worth(0.07, -0.1)
    assert (worth, told) == (200.0, "[prices] point_day")
