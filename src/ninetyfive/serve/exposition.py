"""The metrics of a service in Prometheus's text: the counters of all its workers, dead ones too, summed.

    counters/1.counters, 2.counters … ──▶ sums ──▶ ninetyfive_requests_total{route="predict",code="2xx"} 95.0 …

The rule: a counter never falls while the service runs, whichever worker dies: its file counts on. States (in flight,
memory …) are those of the workers that live; a dead one's file says 0. METRICS is the one list of names.
What does not belong here: what is counted when (`worker`).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Literal, NamedTuple

from ninetyfive.serve.counters import CODES, HISTOGRAMS, NAMES, ROUTES, SOURCES, Snapshot

if TYPE_CHECKING:
    from prometheus_client.metrics_core import Metric as Family

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"


class Metric(NamedTuple):
    """One metric: how it is exposed, its labels, and what it means. `source`: the counter, where there is one."""

    kind: Literal["counter", "gauge", "histogram"]
    help: str
    labels: tuple[str, ...] = ()
    source: str = ""


METRICS: dict[str, Metric] = {
    "ninetyfive_requests": Metric("counter", "Requests that were answered, by route and status.", ("route", "code")),
    "ninetyfive_request_seconds": Metric(
        "histogram", "Time from the last byte of a prediction request to its answer.", (), "request_seconds"
    ),
    "ninetyfive_model_seconds": Metric("histogram", "Time of a call of transform and model.", (), "model_seconds"),
    "ninetyfive_batch_rows": Metric("histogram", "Rows of a call of the model.", (), "batch_rows"),
    "ninetyfive_rows": Metric("counter", "Rows that were answered, by source.", ("source",)),
    "ninetyfive_rows_stale": Metric(
        "counter", "Rows answered from a table whose features have changed since.", (), "rows.stale"
    ),
    "ninetyfive_rows_missing": Metric("counter", "Rows whose entity the table does not hold.", (), "rows.missing"),
    "ninetyfive_rows_outside": Metric("counter", "Rows that break a rule of the schema.", (), "rows.outside"),
    "ninetyfive_rows_unanswered": Metric("counter", "Rows that the model gives no answer.", (), "rows.unanswered"),
    "ninetyfive_log_records": Metric("counter", "Records of the request log that were written.", (), "log.records"),
    "ninetyfive_log_bytes": Metric("counter", "Bytes of the request log that were written.", (), "log.bytes"),
    "ninetyfive_log_failures": Metric(
        "counter", "Requests that were not answered because the log could not be written.", (), "log.failures"
    ),
    "ninetyfive_swaps": Metric("counter", "Flips of a worker to another release or table.", (), "swaps"),
    "ninetyfive_swaps_refused": Metric(
        "counter", "Releases or tables that a worker refused to serve.", (), "swaps.refused"
    ),
    "ninetyfive_requests_in_flight": Metric("gauge", "Requests that are being answered.", (), "in_flight"),
    "ninetyfive_queue_rows": Metric("gauge", "Requests that wait for the model.", (), "queue"),
    "ninetyfive_connections": Metric("gauge", "Connections that are open.", (), "connections"),
    "ninetyfive_worker_cpu_seconds": Metric("gauge", "CPU time of the workers that live.", (), "cpu_seconds"),
    "ninetyfive_worker_resident_bytes": Metric(
        "gauge", "Resident memory of the workers that live; pages they share are counted in each.", (), "resident_bytes"
    ),
    "ninetyfive_workers_ready": Metric("gauge", "Workers that answer requests.", (), "ready"),
    "ninetyfive_workers_degraded": Metric("gauge", "Workers that are not as good as they could be.", (), "degraded"),
    "ninetyfive_epoch": Metric("gauge", "Epoch of the champion that is served; the lowest of the workers."),
    "ninetyfive_release_number": Metric("gauge", "Number of the release that is served; the lowest of the workers."),
    "ninetyfive_release_age_seconds": Metric("gauge", "Time since the release that is served was made."),
    "ninetyfive_table_age_seconds": Metric("gauge", "Time since the as-of time of the table; absent without one."),
    "ninetyfive_workers_wanted": Metric("gauge", "Workers that there should be."),
    "ninetyfive_worker_restarts": Metric("counter", "Workers that were started in place of others."),
    "ninetyfive_service_refused": Metric("counter", "Champions that the service refused to serve."),
    "ninetyfive_service_degraded": Metric("gauge", "Reasons why the service is not as good as it could be."),
}
"""Every metric by its name; a counter's samples are called NAME_total."""


def exposition(folder: Path, now: float, also: Mapping[str, float] | None = None) -> bytes:
    """The text for the counters in `folder`; `now` in seconds since 1970, `also` what the supervisor knows.

    A file that is none of this version is left out: a worker is about to make it.
    """
    from prometheus_client.exposition import generate_latest
    from prometheus_client.registry import CollectorRegistry

    snapshots = list(_snapshots(folder))

    class Sums:
        def collect(self) -> Iterable[Family]:
            return _families(snapshots, now, also or {})

    registry = CollectorRegistry(auto_describe=False)
    registry.register(Sums())
    return generate_latest(registry)


def _snapshots(folder: Path) -> Iterable[Snapshot]:
    for path in sorted(folder.glob("*.counters")):
        try:
            yield Snapshot(path)
        except (OSError, ValueError):
            continue


def _families(snapshots: list[Snapshot], now: float, also: Mapping[str, float]) -> Iterable[Family]:
    from prometheus_client.metrics_core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily

    values = [one.values() for one in snapshots]
    sums = {name: sum(each[name] for each in values) for name in NAMES}
    singles = {**_singles([each for each in values if each["ready"]], now), **also}
    for name, metric in METRICS.items():
        if metric.kind == "histogram":
            buckets, total = _histogram(snapshots, metric.source)
            yield HistogramMetricFamily(name, metric.help, buckets=buckets, sum_value=total)
        elif metric.labels:
            family = CounterMetricFamily(name, metric.help, labels=metric.labels)
            for labels, source in _labelled(name):
                family.add_metric(labels, sums[source])
            yield family
        elif metric.source or name in singles:
            value = sums[metric.source] if metric.source else singles[name]
            kind = CounterMetricFamily if metric.kind == "counter" else GaugeMetricFamily
            yield kind(name, metric.help, value=value)


def _singles(ready: list[dict[str, float]], now: float) -> dict[str, float]:
    """What is not a sum: the lowest of the workers that answer, and ages by the oldest."""
    if not ready:
        return {}
    found = {
        "ninetyfive_epoch": min(each["epoch"] for each in ready),
        "ninetyfive_release_number": min(each["release.number"] for each in ready),
    }
    for name, source in (("release", "release.created"), ("table", "table.as_of")):
        times = [each[source] for each in ready if each[source]]
        if times:
            found[f"ninetyfive_{name}_age_seconds"] = max(now - min(times), 0.0)
    return found


def _labelled(name: str) -> Iterable[tuple[list[str], str]]:
    if name == "ninetyfive_rows":
        return [([source], f"rows.{source}") for source in SOURCES]
    return [([route, code], f"requests.{route}.{code}") for route in ROUTES for code in CODES]


def _histogram(snapshots: list[Snapshot], name: str) -> tuple[list[tuple[str, float]], float]:
    """The buckets summed up to each bound, as Prometheus has them, and the sum."""
    counts, total = [0] * (len(HISTOGRAMS[name]) + 1), 0.0
    for snapshot in snapshots:
        found, added = snapshot.histogram(name)
        counts = [one + other for one, other in zip(counts, found, strict=True)]
        total += added
    buckets, reached = [], 0
    for bound, count in zip([*(str(bound) for bound in HISTOGRAMS[name]), "+Inf"], counts, strict=True):
        reached += count
        buckets.append((bound, float(reached)))
    return buckets, total
