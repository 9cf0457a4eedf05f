"""The same rows give the same numbers, whatever they come in."""

from __future__ import annotations

import json
import shutil
from typing import TYPE_CHECKING, Any

import polars as pl
import pytest

if TYPE_CHECKING:
    from tests.bad_input.conftest import Victim


def numbers(victim: Victim, document: dict[str, Any]) -> dict[str, Any]:
    """What was learned and measured: the transform, the metrics, the champion's golden requests."""
    release = victim.project.release(document["release"])
    return {
        name: json.loads((release / name).read_bytes()) for name in ("transform.json", "metrics.json", "golden.json")
    }


def anew(victim: Victim) -> None:
    """Without a store, a schema or data."""
    shutil.rmtree(victim.project.folder / ".ninetyfive", ignore_errors=True)
    (victim.project.folder / "schema.toml").unlink(missing_ok=True)
    for path in victim.data.iterdir():
        path.unlink()


def test_csv_jsonl_parquet_and_a_frame_give_the_same_numbers(fresh: Victim, rows: pl.DataFrame) -> None:
    path = fresh.project.folder / "system.py"
    declared = path.read_text(encoding="utf-8")
    found = []
    for kind in ("parquet", "csv", "jsonl", "frame"):
        anew(fresh)
        path.write_text(declared, encoding="utf-8")
        if kind == "frame":
            rows.write_ipc(fresh.project.folder / "rows.arrow")
            source = f"nf.frame(__import__('polars').read_ipc('{fresh.project.folder}/rows.arrow')"
            fresh.project.edit(('nf.parquet("data/*.parquet"', source))
        else:
            fresh.use(kind)
            fresh.write(f"a.{kind}", rows)
        found.append(numbers(fresh, fresh.runs()))
    assert found[0]["metrics.json"]["metrics"]["auc"]["value"] > 0.6
    for other in found[1:]:
        assert other == found[0]


def test_rows_in_another_order_change_the_last_digits_only(fresh: Victim, rows: pl.DataFrame) -> None:
    """Which rows train, which are judged and in which fold does not depend on where they stand in a file."""
    first = numbers(fresh, fresh.runs())
    anew(fresh)
    fresh.write("a.parquet", rows.sample(fraction=1.0, shuffle=True, seed=7))
    second = numbers(fresh, fresh.runs())
    assert [golden["row"] for golden in second["golden.json"]] == [golden["row"] for golden in first["golden.json"]]
    for one, other in zip(_leaves(first), _leaves(second), strict=True):
        assert one == (pytest.approx(other, rel=1e-9) if isinstance(other, float) else other)


def _leaves(value: Any) -> list[Any]:
    if isinstance(value, dict):
        return [leaf for name in sorted(value) for leaf in (name, *_leaves(value[name]))]
    return [leaf for part in value for leaf in _leaves(part)] if isinstance(value, list) else [value]


def test_threads_and_names_of_text_files_change_no_byte(fresh: Victim, rows: pl.DataFrame) -> None:
    """Text is read by one thread a file, and the schema is inferred from all of it."""
    fresh.use("csv")
    made = set()
    for threads, names in ((1, "abc"), (7, "zyx")):
        anew(fresh)
        (fresh.project.folder / "ninetyfive.toml").write_text(f"[engines.local]\nthreads = {threads}\n")
        for number, name in enumerate(names):
            fresh.write(f"{name}.csv", rows[400 * number : 400 * (number + 1)])
        made.add(fresh.runs()["release"])
    assert len(made) == 1


def test_the_same_rows_in_other_files_train_and_judge_the_same_rows(fresh: Victim, rows: pl.DataFrame) -> None:
    first = fresh.runs()
    anew(fresh)
    for number in range(4):
        fresh.write(f"{number}.parquet", rows.gather_every(4, number))
    second = fresh.runs()
    assert second["window"] == first["window"]
    assert second["metrics"]["auc"]["value"] == pytest.approx(first["metrics"]["auc"]["value"])
    assert second["metrics"]["auc"]["low"] == pytest.approx(first["metrics"]["auc"]["low"])
