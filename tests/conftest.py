"""What holds for every test: reproducible Hypothesis, in CI no test that skips itself; a small project to run.

A test tells what it counted, `record_property("counted", ["random trees", 150])`, or a line, `("told", "a line")`; the
end of a session has the sums and the lines.
"""

from __future__ import annotations

import contextlib
import io
import json
import os
import secrets
import shutil
import signal
import socket
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import settings

if TYPE_CHECKING:
    import polars as pl
    from pyspark.sql import SparkSession

    from ninetyfive import System
    from ninetyfive.store.opening import Store

IN_CI = os.environ.get("CI") == "true"

settings.register_profile("ci", deadline=None, derandomize=True, print_blob=True)
settings.register_profile("desk", deadline=None)
settings.register_profile("soak", deadline=None, max_examples=20_000)
settings.load_profile("ci" if IN_CI else "desk")

SEED = int(os.environ.setdefault("NINETYFIVE_TEST_SEED", "0" if IN_CI else str(secrets.randbelow(2**32))))
"""What random tests are drawn by; the workers of one session have the same."""


def pytest_report_header() -> str:
    """Which seed repeats this session."""
    return f"random tests: NINETYFIVE_TEST_SEED={SEED} repeats them"


def pytest_terminal_summary(terminalreporter: Any) -> None:
    """What tests told and counted, summed over the session and its workers."""
    counted: dict[str, int] = {}
    for report in terminalreporter.stats.get("passed", []):
        for kind, value in report.user_properties:
            if kind == "told":
                terminalreporter.write_line(value)
            elif kind == "counted":
                counted[value[0]] = counted.get(value[0], 0) + value[1]
    if counted:
        told = ", ".join(f"{number:,} {name}" for name, number in sorted(counted.items()))
        terminalreporter.write_line(f"counted: {told} (seed {SEED})")


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_auto_num_workers(config: pytest.Config) -> int | None:
    """One worker more than there are cores: tests of servers and of killed processes wait as much as they work."""
    asked = "PYTEST_XDIST_AUTO_NUM_WORKERS" in os.environ or not hasattr(os, "sched_getaffinity")
    return None if asked else len(os.sched_getaffinity(0)) + 1


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    """With `--dist loadscope`, what takes long begins first, and one worker has Spark."""
    if config.getvalue("dist") != "loadscope":
        return None
    from tests.order import Ordered

    return Ordered(config, log)


def pytest_sessionstart() -> None:
    """Hear Ctrl-C, also where the tests run in the background of a shell, which lets its jobs ignore it."""
    signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(scope="session")
def seed() -> int:
    """The seed of what this session draws; a test that fails shows it."""
    print(f"NINETYFIVE_TEST_SEED={SEED}")
    return SEED


@pytest.hookimpl(trylast=True)
def pytest_sessionfinish(session: pytest.Session, exitstatus: int) -> None:
    """With CI=true a session that skipped a test has failed: what is not run is not known to work."""
    reporter = session.config.pluginmanager.get_plugin("terminalreporter")
    skipped = reporter.stats.get("skipped", []) if reporter else []
    if IN_CI and skipped and exitstatus == pytest.ExitCode.OK:
        reporter.write_line(f"failed: {len(skipped)} skipped where CI=true lets none be skipped", red=True)
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


SYSTEM = """\
import ninetyfive as nf
from ninetyfive import col

trips = nf.System(
    "trips",
    source=nf.parquet("data/*.parquet", time="at", id="trip"),
    label=col("tip") > 3.0,
    later=["fare"],
    features={
        "hour": col("at").hour(),
        "distance": col("distance").fill_mean().log1p().zscore(),
        "zone": col("zone").vocabulary(),
    },
    split=nf.Split("time", 0.5),
)


@trips.model(params={"max_depth": 4})
def model(x, y, params):
    from sklearn.tree import DecisionTreeClassifier

    return DecisionTreeClassifier(**params, random_state=0).fit(x, y)
"""


@dataclass(frozen=True)
class Said:
    """What a command said: its exit code, stdout and stderr."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> dict[str, Any]:
        """The one JSON object on stdout."""
        (line,) = self.out.splitlines()
        document = json.loads(line)
        assert isinstance(document, dict)
        return document


@dataclass(frozen=True)
class Project:
    """A project in a folder of its own: system.py (`SYSTEM` until it is edited), data, commands run in this process."""

    folder: Path

    def edit(self, *changes: tuple[str, str]) -> None:
        """Replace texts in system.py, each of which stands there once."""
        path = self.folder / "system.py"
        text = path.read_text(encoding="utf-8")
        for old, new in changes:
            assert text.count(old) == 1, old
            text = text.replace(old, new)
        path.write_text(text, encoding="utf-8")

    def add(self, name: str, rows: pl.DataFrame) -> Path:
        """Write rows as data/NAME.parquet."""
        path = self.folder / "data" / f"{name}.parquet"
        path.parent.mkdir(exist_ok=True)
        rows.write_parquet(path)
        return path

    def load(self) -> System:
        """The system as system.py declares it now."""
        from ninetyfive.cli.project import load_system

        return load_system(self.folder / "system.py")

    def run(self, **words: Any) -> dict[str, Any]:
        """`System.run` of the system as it is now."""
        return self.load().run(**words)

    def command(self, *words: str | Path) -> Said:
        """Run a command of the command line here."""
        from ninetyfive.cli.commands import app
        from ninetyfive.cli.edge import run_app

        out, err, here = io.StringIO(), io.StringIO(), Path.cwd()
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            os.chdir(self.folder)
            try:
                code = run_app(app, [str(word) for word in words])
            finally:
                os.chdir(here)
        return Said(code, out.getvalue(), err.getvalue())

    def watched(self, jobs: list[set[str]]) -> dict[str, Any]:
        """A run whose engine is watched: `jobs` gets the spans that each job reads."""
        from ninetyfive.engines.local import LocalEngine
        from ninetyfive.progress import Silent
        from ninetyfive.run import Asked, run
        from ninetyfive.steps.context import Context

        class Watched(LocalEngine):
            def run(self, plans: Mapping[str, Any]) -> dict[str, Any]:
                jobs.append({span for plan in plans.values() for span in spans_of(plan)})
                return super().run(plans)

        system = self.load()
        with system._store(system.settings, create=True) as store:
            return run(Context(system, system.settings, store, Watched(2), Silent()), Asked())

    @staticmethod
    def done(document: Mapping[str, Any]) -> list[str]:
        """The names of the steps of a run that were not skipped."""
        return [step["name"] for step in document["steps"] if not step["skipped"]]

    def champion(self) -> str:
        """The hash of the live release."""
        with self.store() as store:
            pointer = store.champion()
            assert pointer is not None
            return pointer.release

    def release(self, release: str) -> Path:
        """The folder of a release."""
        with self.store() as store:
            return Path(store.path(store.release(release).folder))

    def store(self) -> Store:
        """The store, opened for reading; close it or use it in a `with`."""
        from ninetyfive.store.opening import open_store

        return open_store(self.folder / ".ninetyfive", create=False)


def trips(rows: int = 1_200, first: int = 0, seed: int = 1) -> pl.DataFrame:
    """Made-up trips, one in ten minutes from number `first` on, whose tips depend on zone, distance and hour."""
    import numpy as np
    import polars as pl

    chance = np.random.default_rng([seed, first])
    start = datetime(2026, 1, 1) + timedelta(minutes=10 * first)
    zone, distance = chance.choice(["airport", "harbour", "suburb"], rows), chance.exponential(4.0, rows).round(2)
    at = [start + timedelta(minutes=10 * trip) for trip in range(rows)]
    evening = np.array([moment.hour >= 18 for moment in at])
    tip = 0.4 * distance + 2.0 * (zone == "airport") + evening + chance.normal(0.0, 1.0, rows)
    return pl.DataFrame(
        {
            "trip": range(first, first + rows),
            "at": at,
            "zone": zone,
            "distance": [None if trip % 50 == 7 else value for trip, value in enumerate(distance.tolist())],
            "fare": (3.0 + 2.0 * distance).round(2),
            "tip": tip.clip(0.0).round(2),
        },
        schema_overrides={"at": pl.Datetime("us")},
    )


def spans_of(plan: Any) -> set[str]:
    """The spans that a plan reads."""
    if hasattr(plan, "parts"):
        return {part.span for part in plan.parts}
    inputs = plan.inputs if hasattr(plan, "inputs") else (plan.input,)
    return {span for one in inputs for span in spans_of(one)}


@pytest.fixture
def project(tmp_path: Path) -> Iterator[Project]:
    """A project with 1,200 trips in data/a.parquet, not run yet; a lock file keeps its releases comparable."""
    with _project(tmp_path / "project") as made:
        yield made


@pytest.fixture(scope="session")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Project]:
    """A project like `project` that ran once, for tests that change nothing in it."""
    with _project(tmp_path_factory.mktemp("finished")) as made:
        made.run()
        yield made


@pytest.fixture
def copied(finished: Project, tmp_path: Path) -> Iterator[Project]:
    """A copy of `finished`, for tests that go on from there."""
    with _project(tmp_path / "copied", finished.folder) as made:
        yield made


@contextlib.contextmanager
def _project(folder: Path, like: Path | None = None) -> Iterator[Project]:
    path, module = sys.path.copy(), sys.modules.get("system")
    project = Project(folder)
    if like is not None:
        shutil.copytree(like, folder)
    else:
        folder.mkdir(exist_ok=True)
        (folder / "system.py").write_text(SYSTEM, encoding="utf-8")
        (folder / "requirements.lock").write_text("scikit-learn\n", encoding="utf-8")
        project.add("a", trips())
    yield project
    sys.path[:] = path
    sys.modules.pop("system", None)
    if module is not None:
        sys.modules["system"] = module


@pytest.fixture(name="trips", scope="session")
def _trips() -> Callable[..., pl.DataFrame]:
    """The function that makes trips."""
    return trips


@pytest.fixture(scope="session")
def spark() -> Iterator[SparkSession]:
    """One warm classic session for all tests of a process; it is a Spark Connect server too."""
    from ninetyfive.engines.spark import SparkEngine

    with socket.socket() as free:
        free.bind(("localhost", 0))
        port = free.getsockname()[1]
    plugin = {"spark.plugins": "org.apache.spark.sql.connect.SparkConnectPlugin"}
    session = SparkEngine(
        master="local[2]", options={**plugin, "spark.connect.grpc.binding.port": port, PORT: port}
    ).session
    yield session
    session.stop()


@pytest.fixture(scope="session")
def connect(spark: SparkSession) -> Iterator[SparkSession]:
    """A Spark Connect client of the session `spark`."""
    from pyspark.sql.connect.session import SparkSession as ConnectSession

    session: Any = ConnectSession.builder.remote(f"sc://localhost:{spark.conf.get(PORT)}").getOrCreate()
    yield session
    session.stop()


PORT = "spark.ninetyfive.tests.port"
