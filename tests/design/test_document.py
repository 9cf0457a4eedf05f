"""document.py: the JSON object of a design has what is promised, and can be written as JSON."""

from __future__ import annotations

import json
from pathlib import Path

import msgspec
import pytest
from hypothesis import HealthCheck, Phase, given, settings
from tests.design.designs import KS, bare, design, generated

from ninetyfive.design.document import document
from ninetyfive.design.evidence import Design
from ninetyfive.design.markdown import markdown
from ninetyfive.design.record import write_record
from ninetyfive.design.verbs import design_from_answers
from ninetyfive.settings import Settings


def test_the_promised_object() -> None:
    found = document(design())
    assert {"training", "serving", "sizing", "assumptions", "confidence"} <= set(found)
    training, serving = found["training"], found["serving"]
    assert (training["paradigm"], training["policy"], training["half_life"]) == ("dynamic", "periodic", 42 * 86_400.0)
    assert training["evidence"]["policies"][0]["name"] == "never"
    assert (serving["paradigm"], serving["k"]) == ("hybrid", 1_000)
    evidence = serving["evidence"]
    assert (evidence["cardinality"], evidence["peakedness"], evidence["new_entity_rate"]) == (42_000, 0.26, 0.05)
    assert [one["k"] for one in evidence["coverage"]] == list(KS)
    assert serving["forecast"]["k"] == 1_000
    assert serving["replayed"]["by"] == "service"
    assert serving["replayed"]["error"] == pytest.approx({"hit": 0.008, "cpu": 1 / 1.04 - 1, "p50": 1 / 1.1 - 1})
    assert found["left_out"] == ["window 180d: 40 trainings", "200,000 older requests"]
    assert training["declared"] == 'training=nf.DynamicTraining(every="7d", window="90d")'
    assert serving["declared"] == "serving=nf.HybridServing(top=1000)"
    assert found["record"] is None


def test_a_size_in_force_between_those_of_the_grid_has_the_forecast_of_the_nearest() -> None:
    made = design()
    between = msgspec.structs.replace(made, serving=msgspec.structs.replace(made.serving, k=990))
    found = document(between)["serving"]
    assert (found["k"], found["forecast"]["k"], found["replayed"]) == (990, 1_000, None)


def test_where_nothing_is_known_it_says_so() -> None:
    found = document(bare())
    assert found["training"]["evidence"] is None
    assert found["serving"]["forecast"] is None
    assert found["serving"]["replayed"] is None
    assert found["serving"]["evidence"]["cardinality"] is None
    assert found["cannot"] == ["all"]


@given(generated())
@settings(max_examples=30, deadline=None, suppress_health_check=list(HealthCheck), phases=[Phase.reuse, Phase.generate])
def test_any_design_can_be_said(made: Design) -> None:
    found = document(made)
    assert json.loads(msgspec.json.encode(found)) == found
    assert markdown(made).startswith("# Design ")


def test_a_record_is_told_with_its_paths(tmp_path: Path) -> None:
    record = write_record(tmp_path, bare())
    found = document(record.design, record)
    assert found["number"] == 1
    assert {Path(path).name for path in found["record"].values()} == {"0001.md", "0001.toml", "0001.html"}
    assert found["notices"] == []


def test_from_scratch_needs_no_system(tmp_path: Path) -> None:
    answers = tmp_path / "answers.toml"
    answers.write_text('[system]\nname = "spam"\n', encoding="utf-8")
    found = design_from_answers(answers, Settings(tmp_path))
    assert (found["system"], found["number"]) == ("spam", 1)
    answers.write_text("", encoding="utf-8")
    assert design_from_answers(answers, Settings(tmp_path), "trips")["system"] == "trips"
    assert design_from_answers(answers, Settings(tmp_path))["system"] == "not named yet"
