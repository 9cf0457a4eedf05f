"""Validation: what blocks stops the run with exit 3, naming how much more there is; what does not is told."""

from __future__ import annotations

from typing import TYPE_CHECKING

import polars as pl
import pytest

from ninetyfive.errors import SchemaError

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.conftest import Project

    Trips = Callable[..., pl.DataFrame]


def test_several_findings_are_told_as_one(copied: Project, trips: Trips) -> None:
    rows = trips(200, first=1_200).with_columns(zone=pl.lit(None, pl.String), fare=pl.lit(None, pl.Float64))
    copied.add("b", rows)
    with pytest.raises(SchemaError, match=r"column 'zone'.*\(and 1 more: all_null in .*b\.parquet\)") as caught:
        copied.run()
    assert caught.value.exit_code == 3
    with copied.store() as store:
        assert store.runs(1)[0].status == "refused"
        assert len(store.releases()) == 1


def test_one_finding_is_told_as_it_is(copied: Project, trips: Trips) -> None:
    copied.add("b", trips(200, first=1_200).with_columns(zone=pl.lit(None, pl.String)))
    said = copied.command("run", "--json")
    assert said.code == 3
    assert "more" not in said.json["error"]["got"]
    assert copied.command("run").code == 3, "it is looked at again, not skipped"


def test_what_does_not_block_is_a_notice(copied: Project, trips: Trips) -> None:
    copied.add("b", trips(200, first=1_200).with_columns(extra=pl.lit(1)))
    document = copied.run()
    assert any("column 'extra' is not in schema.toml and is left out" in text for text in document["notices"])
