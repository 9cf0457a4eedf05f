"""Jobs in the catalog: written down once, moved as they are seen, each change with its record."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from sqlalchemy import update

from ninetyfive.errors import UsageError
from ninetyfive.store import catalog
from ninetyfive.store.records import Job

ASKED = Job(id="n95-late-0a-1", service="dataproc", name="projects/p/batches/n95-late-0a-1", purpose="fit")


def test_a_job_is_written_down_once_and_moved_as_it_is_seen(store: Any) -> None:
    added = store.add_job(ASKED)
    assert (added.state, added.actor, added.created) == ("pending", store.actor, added.updated)
    assert store.add_job(msgspec.structs.replace(ASKED, purpose="another")) == added
    running = store.move_job(msgspec.structs.replace(ASKED, state="running", link="https://page", message="up"))
    assert (running.state, running.link, running.message, running.purpose) == ("running", "https://page", "up", "fit")
    store.move_job(msgspec.structs.replace(ASKED, state="running", message="up and well"))
    done = store.move_job(msgspec.structs.replace(ASKED, state="done"))
    assert (done.state, done.link, done.ended) == ("done", "https://page", True)
    assert store.move_job(msgspec.structs.replace(ASKED, state="running")) == done
    assert [(record.action, record.details["state"]) for record in store.audit_records()] == [
        ("job.add", "pending"),
        ("job.move", "running"),
        ("job.move", "done"),
    ]
    assert store.audit_verify() == []


def test_jobs_are_found_by_their_beginning_newest_first(local: Any) -> None:
    for number in (1, 2, 11):
        local.add_job(msgspec.structs.replace(ASKED, id=f"n95-late-0a-{number}"))
    assert [job.id.rpartition("-")[2] for job in local.jobs()] == ["11", "2", "1"]
    assert len(local.jobs(last=1)) == 1
    assert local.job("n95-late-0a-2").id == "n95-late-0a-2"
    assert local.job("n95-late-0a-1").id == "n95-late-0a-1"
    for words in ("n95-late", "other", ""):
        with pytest.raises(UsageError, match=f"job '{words}'"):
            local.job(words)
    with pytest.raises(UsageError, match="jobs list"):
        local.move_job(msgspec.structs.replace(ASKED, id="none"))


def test_a_state_that_no_record_tells_of_is_found(local: Any) -> None:
    local.add_job(ASKED)
    with local.catalog.write() as connection:
        connection.execute(update(catalog.jobs).values(state="done"))
    (finding,) = local.audit_verify()
    assert finding.subject == f"job {ASKED.id}"
    assert "done" in finding.problem
