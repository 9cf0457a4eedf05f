"""In which order, and in which worker, the tests of a session run.

    scopes (a module's functions, a class) ─▶ those of LONG first, in that order ─▶ the others, most tests first
    every scope whose module needs Spark   ─▶ one scope: one worker starts one JVM, and keeps it warm

A scope that takes a minute and begins last leaves the other cores with nothing to do. A list that is out of date costs
time, and nothing else; `pytest --durations=50` says what to write here.

What does not belong here: what is shared between tests (fixtures in conftest.py).
"""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any

from xdist.scheduler import LoadScopeScheduling

ROOT = Path(__file__).parents[1]
SPARK = "everything that needs Spark"
LONG: tuple[str, ...] = (
    SPARK,
    "tests/supervise/test_service.py",
    "tests/design/test_training.py",
    "tests/docs/test_blocks.py",
    "tests/store/test_under_fire.py",
    "tests/store/test_crashes.py::TestEnded",
    "tests/store/test_crashes.py::TestKilled",
    "tests/store/test_injection.py::TestSyncs",
    "tests/store/test_injection.py::TestDrawn",
    "tests/store/test_table_crashes.py",
    "tests/store/test_damage.py::TestFiles",
    "tests/steps/test_fit_discipline.py",
    "tests/serve/test_worker.py",
    "tests/contracts/test_beam.py",
    "tests/contracts/test_beam.py::TestBeam",
    "tests/examples/test_cases.py",
    "tests/examples/test_flights.py",
    "tests/examples/test_prepare.py",
    "tests/engines/test_beam.py",
    "tests/bad_input/test_columns.py",
    "tests/bad_input/test_files.py",
    "tests/bad_input/test_labels.py",
    "tests/store/test_postgres.py",
    "tests/serve/test_connections.py",
    "tests/test_run.py",
    "tests/test_pipeline.py",
)
"""Scopes that take more than 15 s, of work or of waiting; about the longest first."""


class Ordered(LoadScopeScheduling):
    """`--dist loadscope`, with Spark in one worker, and what takes long first."""

    def _split_scope(self, nodeid: str) -> str:
        module = nodeid.partition("::")[0]
        return SPARK if needs_spark(module) else super()._split_scope(nodeid)

    def _assign_work_unit(self, node: Any) -> None:
        first = min(self.workqueue, key=rank)
        self.workqueue.move_to_end(first, last=False)
        super()._assign_work_unit(node)


@cache
def needs_spark(module: str) -> bool:
    """Whether a module takes a session of Spark, by its annotations."""
    return "import SparkSession" in (ROOT / module).read_text(encoding="utf-8")


def rank(scope: str) -> int:
    """The place of a scope in LONG, the end of it for what does not take long; `min` keeps the order of equals."""
    return LONG.index(scope) if scope in LONG else len(LONG)
