"""The metrics: sums over workers, as a Prometheus client reads them."""

from __future__ import annotations

from pathlib import Path

from prometheus_client.parser import text_string_to_metric_families

from ninetyfive.serve.counters import CODES, HISTOGRAMS, NAMES, PLACES, ROUTES, SOURCES, STATES, Counters
from ninetyfive.serve.exposition import METRICS, exposition

OWN = dict.fromkeys(("ninetyfive_workers_wanted", "ninetyfive_worker_restarts", "ninetyfive_service_degraded"), 1.0)
OWN["ninetyfive_service_refused"] = 1.0


def read(folder: Path, now: float = 1_000.0) -> dict[str, float]:
    """The samples by name and labels."""
    text = exposition(folder, now, OWN).decode()
    return {
        sample.name + "".join(f" {key}={value}" for key, value in sorted(sample.labels.items())): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def worker(folder: Path, number: int, **values: float) -> Counters:
    counters = Counters(folder / f"{number}.counters")
    for name, value in values.items():
        counters.set(PLACES[name.replace("__", ".")], value)
    return counters


def test_counters_and_states_are_summed(tmp_path: Path) -> None:
    for number in (1, 2):
        counters = worker(tmp_path, number, rows__model=3.0, requests__predict__2xx=2.0, in_flight=1.0, ready=1.0)
        for seconds in (0.0001, 0.0002, 0.03, 9.0):
            counters.observe("request_seconds", seconds)
    found = read(tmp_path)
    assert found["ninetyfive_rows_total source=model"] == 6.0
    assert found["ninetyfive_requests_total code=2xx route=predict"] == 4.0
    assert found["ninetyfive_requests_in_flight"] == 2.0
    assert found["ninetyfive_workers_ready"] == 2.0
    buckets = {key: value for key, value in found.items() if key.startswith("ninetyfive_request_seconds_bucket")}
    assert buckets["ninetyfive_request_seconds_bucket le=0.0001"] == 2.0
    assert buckets["ninetyfive_request_seconds_bucket le=0.00025"] == 4.0
    assert buckets["ninetyfive_request_seconds_bucket le=0.05"] == 6.0
    assert buckets["ninetyfive_request_seconds_bucket le=5.0"] == 6.0
    assert buckets["ninetyfive_request_seconds_bucket le=+Inf"] == 8.0
    assert list(buckets.values()) == sorted(buckets.values())
    assert found["ninetyfive_request_seconds_count"] == 8.0
    assert abs(found["ninetyfive_request_seconds_sum"] - 18.0606) < 1e-9


def test_what_is_no_sum_is_the_lowest_of_those_that_answer(tmp_path: Path) -> None:
    worker(tmp_path, 1, ready=1.0, epoch=4.0, release__number=2.0, release__created=900.0)
    worker(tmp_path, 2, ready=1.0, epoch=5.0, release__number=3.0, release__created=950.0)
    worker(tmp_path, 3, epoch=1.0, release__created=100.0)  # not ready yet, or gone
    found = read(tmp_path)
    assert found["ninetyfive_epoch"] == 4.0
    assert found["ninetyfive_release_number"] == 2.0
    assert found["ninetyfive_release_age_seconds"] == 100.0
    assert "ninetyfive_table_age_seconds" not in found
    worker(tmp_path, 1, table__as_of=700.0)
    assert read(tmp_path)["ninetyfive_table_age_seconds"] == 300.0


def test_files_that_are_none_are_left_out(tmp_path: Path) -> None:
    worker(tmp_path, 1, rows__table=1.0)
    (tmp_path / "2.counters").write_bytes(b"")
    (tmp_path / "3.counters").write_bytes(b"x" * 8)
    assert read(tmp_path)["ninetyfive_rows_total source=table"] == 1.0
    assert read(tmp_path / "nothing")["ninetyfive_rows_total source=table"] == 0.0


def test_every_counter_is_exposed_and_every_metric_has_its_words(tmp_path: Path) -> None:
    """Each number of a worker changes some sample; each metric of the list is in the text."""
    names = {metric.source for metric in METRICS.values() if metric.source} | set(HISTOGRAMS)
    names |= {f"requests.{route}.{code}" for route in ROUTES for code in CODES} | {f"rows.{one}" for one in SOURCES}
    names |= {"epoch", "release.number", "release.created", "table.as_of"}
    assert names - set(HISTOGRAMS) == set(NAMES) - {"started"}
    worker(tmp_path, 1, ready=1.0, epoch=1.0, release__number=1.0, release__created=1.0, table__as_of=1.0)
    text = exposition(tmp_path, 2.0, OWN).decode()
    for name, metric in METRICS.items():
        shown = f"{name}_total" if metric.kind == "counter" else name
        assert f"# HELP {shown} {metric.help}\n# TYPE {shown} {metric.kind}\n" in text
        assert metric.help.endswith(".")
    assert set(STATES) <= set(NAMES)
