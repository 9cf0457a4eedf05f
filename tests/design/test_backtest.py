"""The backtest sees no label too early, and gives the same losses in whatever order trainings are made."""

from __future__ import annotations

from itertools import chain, repeat
from typing import Any

import numpy as np
import polars as pl
import pytest
from tests.design.histories import logistic, made, recipe, rows

from ninetyfive import col
from ninetyfive.design.backtest import Backtest, backtest, halves_of
from ninetyfive.design.blocks import blocks_of
from ninetyfive.design.history import KNOWN, TIME, History
from ninetyfive.design.trainer import Trainer
from ninetyfive.durations import duration_word

DAY_US = 86_400_000_000


def trained(history: History, left: Any = lambda: 1e9, **changes: Any) -> Backtest:
    return backtest(Trainer(history, recipe(**changes), blocks_of(history)), left)


class Watch:
    """A model function that keeps the newest moment of each training, told by a feature, and its rows."""

    def __init__(self) -> None:
        self.newest: list[float] = []
        self.rows: list[int] = []

    def __call__(self, x: Any, y: Any, params: dict[str, Any]) -> Any:
        self.newest.append(float(x["t"].max()))
        self.rows.append(len(y))
        return logistic(x, y, params)


@pytest.mark.parametrize("delay", [None, "10d"])
def test_a_training_sees_only_labels_that_were_known(delay: str | None) -> None:
    frame = rows(size=2_000)
    day = frame["at"].to_physical().cast(pl.Float64) / DAY_US
    history = made(frame.with_columns(t=day), delay)
    watch, blocks = Watch(), blocks_of(history)
    trainer = Trainer(history, recipe(features={"t": col("t"), "x0": col("x0")}, function=watch), blocks)
    test = backtest(trainer, lambda: 1e9)
    wait = 0.0 if delay is None else 10.0
    edges = blocks.edges[blocks.warm : blocks.count] / DAY_US
    asked = np.sort(np.array(watch.newest).reshape(len(test.grids), -1), axis=1)
    assert asked.shape[1] == len(edges)
    assert (asked + wait <= edges[None, :] + 1e-3).all()  # t is a float32 there
    assert (asked + wait > edges[None, :] - 2.0).all()


def test_windows_of_one_length_have_as_many_rows() -> None:
    frame = rows(size=4_000)
    keep = np.random.default_rng(1).random(4_000) < np.linspace(0.3, 1.0, 4_000)
    history = made(frame.filter(pl.Series(keep)).with_columns(t=pl.lit(0.0)))
    watch = Watch()
    test = trained(history, features={"t": col("t"), "x0": col("x0")}, function=watch)
    per_window = np.array(watch.rows).reshape(len(test.grids), -1)
    main = list(test.grids).index(test.main)
    assert len(set(per_window[main].tolist())) == 1


def test_what_a_run_holds_out_is_not_trained_on() -> None:
    history = made(rows(size=2_000).with_columns(t=pl.lit(0.0)))
    features = {"t": col("t"), "x0": col("x0")}
    all_of_it, some = Watch(), Watch()
    trained(history, features=features, function=all_of_it)
    trained(history, features=features, function=some, held_out=0.2)
    assert max(some.rows) == pytest.approx(0.8 * max(all_of_it.rows), rel=0.02)


def test_a_cut_grid_holds_the_losses_of_the_whole_one() -> None:
    history = made(rows("gradual", size=2_000))
    whole = trained(history)
    left = chain([1e9] * 5, repeat(0.0))
    cut = trained(history, lambda: next(left))
    assert cut.trainings == 5
    loss, other = (test.grids[test.main].losses["log_loss"] for test in (whole, cut))
    same = np.isfinite(other)
    assert (loss[same] == other[same]).all()
    made_at = np.flatnonzero(np.isfinite(other[:, :, 0]).any(axis=1))
    assert made_at[0] == cut.blocks.warm  # never
    assert made_at[-1] == cut.blocks.count - 1  # the newest
    assert any("cut" in text for text in cut.left_out)


def test_half_windows_are_cut_across_time() -> None:
    history = made(rows("gradual", size=3_000).with_columns(t=pl.lit(0.0)))
    blocks = blocks_of(history)
    watch = Watch()
    pairs = halves_of(
        Trainer(history, recipe(features={"t": col("t"), "x0": col("x0")}, function=watch), blocks),
        blocks.warm,
        lambda: 1e9,
    )
    assert len(pairs) == 6
    assert max(watch.rows) - min(watch.rows) <= 20
    assert all(np.isfinite(pair.left["log_loss"][pair.origin, 0]) for pair in pairs)


def test_learned_features_are_learned_from_the_window_alone() -> None:
    """A column whose scale changes late: an early training that knew of it would have another loss."""
    frame = rows(size=2_000)
    late = frame.with_columns(
        x0=pl.when(pl.arange(0, pl.len()) > 1_900).then(pl.col("x0") * 1e6).otherwise(pl.col("x0"))
    )
    one, other = (trained(made(some)).grids for some in (frame, late))
    main = next(iter(one))
    loss, changed = (grids[main].losses["log_loss"][:, :, 0] for grids in (one, other))
    before = blocks_of(made(frame)).count - 3
    assert np.array_equal(loss[:, :before], changed[:, :before], equal_nan=True)


def test_target_encoding_is_trained_by_fold() -> None:
    frame = rows(size=2_000).with_columns(word=(pl.col("id") % 300).cast(pl.String))
    test = trained(made(frame), features={"word": col("word").target_encode(), "x0": col("x0")})
    assert np.isfinite(test.grids[test.main].losses["log_loss"][test.blocks.warm, -1, 0])


def test_several_classes_and_numbers() -> None:
    frame = rows(size=2_000)
    words = frame.with_columns(y=pl.when(pl.col("y")).then(pl.lit("a")).otherwise(pl.lit("b")))
    several = trained(made(words), metrics=("log_loss", "macro_f1"))
    binary = trained(made(frame))
    loss, same = (test.grids[test.main].losses["log_loss"] for test in (several, binary))
    assert np.allclose(loss, same, atol=1e-6, equal_nan=True)

    def ridge(x: Any, y: Any, params: dict[str, Any]) -> Any:
        from sklearn.linear_model import Ridge

        return Ridge(**params).fit(x, y)

    numbers = trained(made(frame.with_columns(y=pl.col("x0") * 2.0)), metrics=("rmse", "r2"), function=ridge)
    loss = numbers.grids[numbers.main].losses["rmse"][:, :, 0]
    assert np.nanmax(loss) < 0.05


def test_blocks_end_with_the_last_row_and_have_lengths_that_can_be_said() -> None:
    history = made(rows(size=3_000))
    blocks = blocks_of(history)
    time = history.frame[TIME].to_numpy()
    assert blocks.edges[-1] == time[-1] + 1
    assert blocks.text == "5d"
    assert blocks.starts[-1] == len(time)
    assert blocks.rows.sum() == len(time)
    assert (blocks.known == np.arange(blocks.count)).all()
    late = blocks_of(made(rows(size=3_000), "12d"))
    assert late.warm == blocks.warm + 3
    assert (late.known[3:] <= np.arange(late.count)[3:] - 2).all()


@pytest.mark.parametrize(("days", "size"), [(0.01, 3_000), (1, 1_000), (33, 500), (365, 3_000), (4_000, 3_000)])
def test_any_span_has_blocks(days: float, size: int) -> None:
    blocks = blocks_of(made(rows(size=size, days=days)))
    assert 8 <= blocks.count <= 24
    assert not blocks.cannot
    assert duration_word(blocks.length) == blocks.text


def test_a_block_is_known_when_its_last_label_is() -> None:
    history = made(rows(size=2_000))
    frame = history.frame.with_columns(
        pl.when(pl.arange(0, pl.len()) == 5).then(pl.col(TIME) + 60 * DAY_US).otherwise(pl.col(KNOWN)).alias(KNOWN)
    )
    known = blocks_of(History(frame, history.types, history.task)).known
    assert known[6] == 0
    assert known[-1] == len(known) - 1
