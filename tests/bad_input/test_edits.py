"""Edits of system.py between two runs: whatever depends on what was edited is done again, nothing stale is used."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.bad_input.conftest import Victim

LATER = "    split="


def test_another_label_makes_other_training_rows(live: Victim) -> None:
    """Though the same rows have one: what was written for training holds the labels."""
    before = live.project.run()
    live.project.edit(("> 3.0", "> 1.0"))
    document = live.runs()
    assert set(live.project.done(document)) >= {"apply", "train", "evaluate"}
    assert document["metrics"]["auc"]["value"] != before["metrics"]["auc"]["value"]
    live.project.edit(("> 1.0", "> 3.0"))
    assert live.runs()["metrics"] == before["metrics"]


def test_a_label_that_comes_later_puts_rows_under_embargo(live: Victim) -> None:
    """The borders are the same; which rows train is not."""
    live.project.edit((LATER, '    label_delay="2h",\n    split='))
    window = live.runs()["window"]
    assert window["embargo"] in (11, 12)
    assert window["unlabelled"] == 12
    live.project.edit(('    label_delay="2h",\n', ""))
    window = live.project.run()["window"]
    assert (window["embargo"], window["unlabelled"]) == (0, 0)


def test_a_column_that_is_known_only_later_leaves_the_request(live: Victim) -> None:
    live.project.edit(('later=["fare"]', "later=[]"))
    document = live.runs()
    release = live.project.release(document["release"])
    golden = json.loads((release / "golden.json").read_bytes())
    assert "fare" in golden[0]["row"]
    live.project.edit(("later=[]", 'later=["fare"]'))
    document = live.runs()
    golden = json.loads((live.project.release(document["release"]) / "golden.json").read_bytes())
    assert "fare" not in golden[0]["row"]


@pytest.mark.parametrize(
    "edit",
    [
        (LATER, '    entity=["zone"],\n    split='),
        ("def model(", "# The same model.\ndef model("),
        ("    return Dec", "    import sys  # noqa\n\n    return Dec"),
    ],
)
def test_what_a_release_says_of_itself_is_what_is_declared_now(live: Victim, edit: tuple[str, str]) -> None:
    before = live.project.champion()
    live.project.edit(edit)
    document = live.runs()
    assert document["release"] != before
    about = json.loads((live.project.release(document["release"]) / "release.json").read_bytes())
    assert about["system"] == live.project.load().name
    assert tuple(about["entity"]) == live.project.load().entity


def test_an_edit_in_the_same_second_is_seen(live: Victim) -> None:
    """Python keeps compiled files by second and size: one of an edit before must not run in its place."""
    for threshold in ("4.0", "1.0", "2.0"):
        live.project.edit(("3.0", threshold))
        assert str(live.project.load().label) == f'col("tip") > {threshold}'
        live.project.edit((threshold, "3.0"))
