"""Ids, decisions and waits, from values."""

from __future__ import annotations

import re

import pytest

from ninetyfive.calling import waits
from ninetyfive.managed.jobs import ENDED, ID_LETTERS, TRIES, Request, attempt_of, decide, job_id, without_secrets
from ninetyfive.store.records import Job, JobState

EVERY_SERVICE = re.compile(r"[a-z]([a-z0-9-]{2,61})[a-z0-9]")
"""What Dataproc's batches, the narrowest, and all others take."""


def job(state: JobState) -> Job:
    return Job(id="x", service="dataproc", name="projects/p/x", state=state)


@pytest.mark.parametrize("system", ["late", "Late_Flights 2", "9", "---", "ü", "x" * 200, "a" * 23 + "-" + "b" * 9])
@pytest.mark.parametrize("attempt", [1, 12_345])
def test_an_id_is_one_that_every_service_takes(system: str, attempt: int) -> None:
    made = job_id(system, {"plans": [1, 2]}, attempt)
    assert EVERY_SERVICE.fullmatch(made)
    assert len(made) <= ID_LETTERS
    assert "--" not in made
    assert made == job_id(system, {"plans": [1, 2]}, attempt)
    assert made != job_id(system, {"plans": [1, 3]}, attempt)
    assert attempt_of(made, attempt + 1) == job_id(system, {"plans": [1, 2]}, attempt + 1)


def test_what_is_shown_of_a_request_holds_no_secret() -> None:
    body = {
        "key": "open",
        "options": {"s3_secret_access_key": "hunter2", "s3_region": "here", "no_token": None},
        "display_data": [{"key": "s3_secret_access_key", "type": "STRING", "value": "hunter2"}],
        "urls": ["postgresql://ada:hunter2@host/db", "gs://bucket/a"],
    }
    shown = without_secrets(Request(method="", body=body))
    assert "hunter2" not in str(shown)
    assert [one.place for one in shown.later] == ["options.s3_secret_access_key", "display_data.0.value", "urls.0"]
    assert (shown.body["urls"][1], shown.body["options"]["s3_region"], shown.body["key"]) == (
        "gs://bucket/a",
        "here",
        "open",
    )


@pytest.mark.parametrize("state", ["pending", "running"])
@pytest.mark.parametrize("watched", [0, 1])
def test_one_that_goes_on_is_attached_to(state: JobState, watched: int) -> None:
    decided = decide([job("failed"), job(state)], results=False, watched=watched)
    assert (decided.act, decided.attempt) == ("attach", 2)


@pytest.mark.parametrize("state", [*ENDED, "running"])
def test_results_that_are_there_are_read_whatever_became_of_the_job(state: JobState) -> None:
    assert decide([job(state)], results=True).act == "read"
    assert decide([], results=True).act == "read"


@pytest.mark.parametrize("state", ENDED)
def test_what_ended_badly_before_is_tried_again_under_another_number(state: JobState) -> None:
    decided = decide([job(state), job(state)], results=False)
    assert (decided.act, decided.attempt) == ("submit", 3)
    assert "history" in decided.why


@pytest.mark.parametrize("state", ["failed", "cancelled", "done"])
def test_what_ends_badly_under_our_eyes_ends_it(state: JobState) -> None:
    assert decide([job(state)], results=False, watched=1).act == "stop"


def test_what_is_lost_is_tried_again_so_often_and_no_more() -> None:
    acts = [decide([job("lost")] * n, results=False, watched=n).act for n in range(1, TRIES + 1)]
    assert acts == ["submit"] * (TRIES - 1) + ["stop"]


@pytest.mark.parametrize("limit", [0.0, 0.5, 7.0, 300.0, 86_400.0])
def test_waits_grow_to_a_bound_and_never_take_longer_in_sum(limit: float) -> None:
    found = list(waits(limit))
    assert sum(found) == pytest.approx(limit)
    assert all(0 < wait <= 60 for wait in found)
    assert found[:-1] == sorted(found[:-1])
