"""What answers and tables cost is measured by the code that does them; what cannot be measured is no number."""

from __future__ import annotations

import math
import time
from collections.abc import Callable

import msgspec
import polars as pl
import pytest

from ninetyfive.design.costs import _measured, _Seen, machine, measure
from ninetyfive.design.evidence import LEVELS, Measured
from ninetyfive.design.ground import Ground
from ninetyfive.design.inside import inside
from ninetyfive.design.traffic import newest
from ninetyfive.design.worker import Answer
from ninetyfive.errors import DataError
from ninetyfive.models.release import OpenRelease

On = Callable[[OpenRelease], Ground]
TABLE = ("cpu_table", "cpu_miss", "p50_table", "p99_table", "cpu_row", "bytes_row", "cpu_read", "cpu_look", "p50_look")


def numbers(found: Measured) -> dict[str, float]:
    return {
        name: value for name, value in msgspec.structs.asdict(found).items() if name not in ("machine", "latencies")
    }


def test_what_is_measured_in_this_process(zones: OpenRelease, on: On, log: str) -> None:
    found = measure(on(zones), newest(log, zones, 5_000), time.monotonic(), inside)
    assert all(math.isfinite(value) and value >= 0.0 for value in numbers(found).values())
    known = ("cpu_model", "cpu_table", "cpu_miss", "p50_model", "p50_table", "bytes_row", "memory")
    assert all(numbers(found)[name] > 0 for name in known)
    assert 24 <= found.bytes_row < 200
    assert {*found.latencies} >= {"model", "table", "miss", "look"}
    assert all(list(one) == sorted(one) and len(one) == len(LEVELS) for one in found.latencies.values())
    assert found.latencies["model"][2::3] == (found.p50_model, found.p99_model)
    assert found.machine == machine()


def test_a_table_is_timed_by_how_long_ago_the_model_answered() -> None:
    """The model takes 1 ms, a table 10 µs, right after the model 40 µs, and 20 µs until it has answered five times."""

    def answers(words: str) -> list[Answer]:
        took = {"m": ("model", 1e-3), "t": ("table", 1e-5), "a": ("table", 4e-5), "s": ("table", 2e-5)}
        said = ((took[word][1], took[word][0]) for word in words)
        return [Answer(took, 200, b'{"metadata":{"sources":["%s"]}}' % source.encode()) for took, source in said]

    seen = {kind: _Seen() for kind in ("model", "table", "half")}
    for slower in (1.0, 2.0, 2.0):
        for kind, words in (("model", "mmmm"), ("table", "tttt"), ("half", "tt" + "massssttt" * 4)):
            told = [one._replace(seconds=one.seconds * slower) for one in answers(words)]
            seen[kind].add(1e-3 * slower, told, mixed=kind == "half")
    found = _measured(seen, 1, (1e-6, 64.0, 1e-6))
    assert found.latencies["after"] == pytest.approx([8e-5] * len(LEVELS)), "as of the speed of most rounds"
    assert found.latencies["soon"] == pytest.approx([4e-5] * len(LEVELS))
    assert found.cpu_after == pytest.approx(6e-5)
    assert "look" not in found.latencies


@pytest.mark.slow
def test_what_is_measured_of_workers(zones: OpenRelease, on: On, log: str) -> None:
    ground = on(zones)
    found = measure(ground, newest(log, zones, 5_000), time.monotonic())
    assert all(math.isfinite(value) and value >= 0.0 for value in numbers(found).values())
    assert 10**6 < found.memory < 10**9
    records = [path for path in ground.folder.glob("answers-*/*/requests/*") if path.stat().st_size]
    assert {path.parent.parent.name for path in records} == {"model", "table", "look", "half"}, "a miss is not logged"


def test_without_an_entity_only_the_model_is_measured(plain: OpenRelease, on: On, log: str) -> None:
    found = measure(on(plain), newest(log, plain, 500), time.monotonic(), inside)
    assert found.cpu_model > 0
    assert all(math.isnan(numbers(found)[name]) for name in TABLE)


def test_where_no_row_has_an_entity_only_the_model_is_measured(zones: OpenRelease, on: On, log: str) -> None:
    rows = newest(log, zones, 500).with_columns(distance=pl.lit(None, pl.Float64))
    found = measure(on(zones), rows, time.monotonic(), inside)
    assert found.cpu_model > 0
    assert all(math.isnan(numbers(found)[name]) for name in TABLE)


def test_without_a_row_nothing_is_measured(zones: OpenRelease, on: On, log: str) -> None:
    rows = newest(log, zones, 5)
    with pytest.raises(DataError, match="rows that keep the schema"):
        measure(on(zones), rows.clear(), time.monotonic(), inside)
    with pytest.raises(DataError, match="rows that keep the schema"):
        measure(on(zones), rows.with_columns(trip=pl.lit(None, pl.Int64)), time.monotonic(), inside)
