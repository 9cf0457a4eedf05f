"""examples/spam, voice and ads, and the passengers of flights: what their generators document holds, and they run."""

from __future__ import annotations

import importlib
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING

import numpy as np
import polars as pl
import pytest

from ninetyfive.cli.project import load_system

if TYPE_CHECKING:
    from tests.conftest import Project

EXAMPLES = Path(__file__).parents[2] / "examples"
CASES = ("spam", "voice", "ads")
FEW = (("20_000, 200_000", "3_000, 4_000"), ("20_000, 300_000", "3_000, 4_000"), ('"max_iter": 60', '"max_iter": 5'))


@contextmanager
def beside(folder: Path, name: str) -> Iterator[ModuleType]:
    """A script of an example, imported as Python does it in its folder."""
    others = {module: sys.modules.pop(module, None) for module in ("system", "prepare", "passengers")}
    sys.path.insert(0, str(folder))
    try:
        yield importlib.import_module(name)
    finally:
        sys.path.remove(str(folder))
        for module, other in others.items():
            sys.modules.pop(module, None)
            sys.modules.update({module: other} if other else {})


def made(case: str) -> tuple[pl.DataFrame, pl.DataFrame, ModuleType]:
    """History and requests of an example, and its script."""
    with beside(EXAMPLES / case, "prepare") as prepare:
        history, requests = prepare.generate()
    return history, requests, prepare


@pytest.mark.parametrize("case", CASES)
def test_the_declaration_leaves_both_questions_to_be_measured(case: str) -> None:
    system = load_system(EXAMPLES / case / "system.py")
    assert (system.training, system.serving) == ("measured", "measured")
    assert system.entity
    assert len((EXAMPLES / case / "system.py").read_text(encoding="utf-8").splitlines()) < 60


@pytest.mark.slow
def test_spam_uses_words_that_are_soon_given_up_in_messages_that_are_hardly_ever_asked_about_again() -> None:
    history, requests, prepare = made("spam")
    assert (history.height, requests.height) == (prepare.JUDGED, prepare.REQUESTS)
    assert 1 - requests["text"].n_unique() / requests.height == pytest.approx(prepare.AGAIN, abs=0.001)
    assert history["text"].is_unique().all()
    said = history.with_columns(
        day=(pl.col("received_at") - prepare.BEGIN).dt.total_days(), word=pl.col("text").str.split(" ").list.slice(4, 3)
    ).explode("word")
    spam, ham = (said.filter(pl.col("is_spam") == which) for which in (True, False))
    assert lasting(spam) < 0.1
    assert lasting(ham.with_columns(word=pl.col("text").str.split(" ").list.get(8))) > 0.8


def lasting(said: pl.DataFrame) -> float:
    """Of the words of days 40 to 49, weighed by use, the share that was used in days 20 to 29 too."""
    then = said.filter(pl.col("day").is_between(20, 29))["word"].value_counts().filter(pl.col("count") > 3)
    return float(said.filter(pl.col("day").is_between(40, 49))["word"].is_in(then["word"].implode()).mean())


@pytest.mark.slow
def test_phrases_mean_what_they_meant_and_few_are_most_of_what_is_said() -> None:
    history, requests, prepare = made("voice")
    assert (history.height, requests.height) == (prepare.LABELLED, prepare.REQUESTS)
    often = requests["phrase"].value_counts(sort=True)["count"].to_numpy()
    assert often[:100].sum() / often.sum() > 0.5
    ranks = np.arange(10, 300)
    slope = np.polyfit(np.log(ranks + 1), np.log(often[ranks]), 1)[0]
    assert slope == pytest.approx(-prepare.SLOPE, abs=0.05)
    half = requests.height // 2
    new = ~requests["phrase"][half:].is_in(requests["phrase"][:half].implode())
    assert 0.05 < new.mean() < 0.3
    meant = (
        history.group_by("phrase", "intent")
        .len()
        .group_by("phrase")
        .agg(pl.col("len").max() / pl.col("len").sum(), n=pl.col("len").sum())
    )
    wrong = 1 - meant.filter(pl.col("n") >= 100)["len"].mean()
    assert wrong == pytest.approx(prepare.WRONG * 5 / 6, abs=0.01)
    early = history.head(10_000).filter(pl.col("phrase") == history["phrase"].mode()[0])["intent"].mode()[0]
    assert early == history.tail(10_000).filter(pl.col("phrase") == history["phrase"].mode()[0])["intent"].mode()[0]


@pytest.mark.slow
def test_ads_are_few_change_rarely_and_what_sells_moves() -> None:
    history, requests, prepare = made("ads")
    assert (history.height, requests.height) == (prepare.CLICKS, prepare.REQUESTS)
    assert requests["ad"].n_unique() < 1.05 * prepare.ADS
    day = (requests["clicked_at"] - prepare.BEGIN).dt.total_days()
    before, after = requests.filter(day < day.max() - 1), requests.filter(day == day.max())
    facts = ["category", "price", "discount", "rating"]
    latest = before.group_by("ad").agg(pl.col(facts).last())
    met = after.join(latest, on="ad", suffix="_then")
    assert met.height / after.height > 0.99
    changed = met.select(pl.any_horizontal(pl.col(name) != pl.col(f"{name}_then") for name in facts)).to_series()
    assert 0 < changed.mean() < 0.01
    months = history.group_by("category", month=pl.col("clicked_at").dt.month()).agg(pl.col("bought").mean())
    moved = months.group_by("category").agg(pl.col("bought").max() - pl.col("bought").min())["bought"]
    assert moved.mean() > 0.05
    assert load_system(EXAMPLES / "ads" / "system.py").label_delay == "3d"


@pytest.mark.slow
@pytest.mark.parametrize("case", CASES)
def test_one_command_prepares_and_it_runs(case: str, project: Project) -> None:
    """With fewer rows and trees than the example has."""
    for path in (EXAMPLES / case / name for name in ("prepare.py", "system.py", "ninetyfive.toml")):
        text = path.read_text(encoding="utf-8")
        for old, new in FEW if path.suffix == ".py" else ():
            text = text.replace(old, new)
        (project.folder / path.name).write_text(text, encoding="utf-8")
    said = subprocess.run(
        [sys.executable, "prepare.py"], cwd=project.folder, capture_output=True, text=True, check=True
    )
    assert "made up" in said.stdout
    assert pl.read_parquet(project.folder / "requests" / "*.parquet").height == 4_000
    document = project.command("run", "--json").json
    assert document["rows"]["read"] == 3_000
    assert document["metrics"]
    system = project.folder / "system.py"
    top = system.read_text(encoding="utf-8").replace(
        "    features=", "    serving=nf.HybridServing(top=100),\n    features="
    )
    system.write_text(top, encoding="utf-8")
    built = project.command("table", "build", "--release", document["release"], "--json").json
    assert built["entities"] == 100
    assert built["rows"]["rejected"] == 0


@pytest.mark.slow
def test_passengers_ask_in_proportion_to_seats_and_know_no_weather_of_the_future() -> None:
    with beside(EXAMPLES / "flights", "passengers") as passengers:
        hours = pl.datetime_range(passengers.FIRST, passengers.FIRST.replace(day=5), "1h", eager=True, time_unit="us")
        weather = pl.DataFrame({"known_at": hours, "origin": "EWR"}).with_columns(
            **dict.fromkeys(passengers.WEATHER, pl.col("known_at").dt.epoch("s").cast(pl.Float64))
        )
        empty = dict.fromkeys((*passengers.WEATHER, *passengers.LATER), pl.lit(None, pl.Float64))
        departing = pl.DataFrame(
            {"flight": [1, 2], "origin": ["EWR", "EWR"], "seats": [300, 100], "scheduled_at": [hours[60], hours[70]]}
        ).with_columns(**empty)
        asked = passengers.ask(departing, weather, 20_000)
    assert (asked["flight"] == 1).mean() == pytest.approx(0.75, abs=0.01)
    assert asked["request_time"].is_sorted()
    departs = pl.col("scheduled_at") + pl.duration(hours=5)
    told = asked.select(
        before=(departs - pl.col("request_time")).dt.total_seconds(),
        old=pl.col("request_time").dt.epoch("s") - pl.col("temp"),
    )
    assert told["before"].min() >= passengers.LEAST
    assert told["before"].max() <= passengers.MOST
    assert told["before"].median() == pytest.approx(passengers.MEAN * np.log(2), rel=0.1)
    assert told["old"].min() >= 0
    assert told["old"].max() < 3_600
