from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import pytest

from ninetyfive.errors import BusyError, StoreError
from ninetyfive.store.opening import Store, open_store

HOLD = """
import sys, time
from ninetyfive.store.opening import open_store
with open_store(*sys.argv[1:3], actor="bob") as store, store.lease("ninetyfive run"), store.attempt() as attempt:
    (attempt / "half").write_bytes(b"half")
    run = store.begin_run("run", "key")
    print(run.id, run.resumes, flush=True)
    time.sleep(60)
"""


def hold(backend: Any) -> subprocess.Popen[str]:
    holder = subprocess.Popen([sys.executable, "-c", HOLD, *backend.words], stdout=subprocess.PIPE, text=True)
    assert holder.stdout is not None
    assert holder.stdout.readline().startswith("run-")
    return holder


def end(holder: subprocess.Popen[str]) -> None:
    holder.send_signal(signal.SIGKILL)
    holder.wait()
    assert holder.stdout is not None
    holder.stdout.close()


def test_a_second_one_is_told_who_holds_it(backend: Any) -> None:
    with backend.open() as one, backend.open() as two:
        with one.lease("the first command"):
            with pytest.raises(BusyError) as caught, two.lease("another"):
                pass
            assert "the first command" in caught.value.got
            assert str(os.getpid()) in caught.value.got
            assert two.holder() == one.holder()
        assert two.holder() is None
        with two.lease("another"):
            holder = one.holder()
            assert holder is not None
            assert holder.command == "another"


def test_waiting_gets_it_once_it_is_free(backend: Any) -> None:
    with backend.open() as one, backend.open() as two:
        held = threading.Event()

        def first() -> None:
            with one.lease("first"):
                held.set()
                time.sleep(0.2)

        thread = threading.Thread(target=first)
        thread.start()
        held.wait()
        with two.lease("second", wait=30):
            pass
        thread.join()


def test_a_lost_card_hides_the_holder_and_frees_nothing(tmp_path: Path) -> None:
    with open_store(tmp_path) as one, open_store(tmp_path) as two, one.lease("first"):
        (tmp_path / "lease.json").write_bytes(b"")
        with pytest.raises(BusyError, match="unknown"), two.lease("second"):
            pass


def test_the_wall_clock_ends_no_lease(store: Store, backend: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NINETYFIVE_CLOCK", "2020-01-01")
    with store.lease("long"):
        monkeypatch.setenv("NINETYFIVE_CLOCK", "2099-01-01")
        with backend.open() as other, pytest.raises(BusyError, match="2020-01-01"), other.lease("late"):
            pass


@pytest.mark.slow
@pytest.mark.parametrize("backend", ["sqlite-folder", "sqlite-bucket"], indirect=True)
def test_kill_9_frees_the_lease_and_the_run_is_resumed(backend: Any) -> None:
    holder = hold(backend)
    with backend.open() as store:
        with pytest.raises(BusyError, match=f"process {holder.pid} on .* ninetyfive run, run-1"), store.lease("mine"):
            pass
        assert [run.status for run in store.runs()] == ["running"]
        assert store.doctor() == [] or {finding.kind for finding in store.doctor()} == {"disk space"}
        end(holder)
        assert store.holder() is None
        assert [run.status for run in store.runs()] == ["interrupted"]
        assert {finding.kind for finding in store.doctor()} >= {"unfinished run", "leftover"}
        with store.lease("mine"):
            run = store.begin_run("run", "key")
            assert (run.id, run.resumes, run.status) == ("run-1", 1, "running")
            store.finish_run(run.id, "done")
        assert not [finding for finding in store.doctor() if finding.kind != "disk space"]


@pytest.mark.slow
@pytest.mark.parametrize("backend", ["sqlite-folder", "sqlite-bucket"], indirect=True)
def test_a_stopped_holder_keeps_it(backend: Any) -> None:
    holder = hold(backend)
    holder.send_signal(signal.SIGSTOP)
    with backend.open() as store, pytest.raises(BusyError), store.lease("mine"):
        pass
    end(holder)


def test_whose_lease_file_was_deleted_writes_nothing_more(local: Store, tmp_path: Path) -> None:
    with local.lease("run"):
        local.put_states({("s", "k"): b"before"})
        (tmp_path / "store" / "lease").unlink()
        with pytest.raises(StoreError, match=r"the lease file that this run holds, got none.*it resumes"):
            local.put_states({("s", "k"): b"after"})
        with open_store(tmp_path / "store", actor="bob") as other, other.lease("run"):
            other.put_states({("s", "k"): b"bob's"})
            with pytest.raises(StoreError, match="another one in its place"):
                local.put_states({("s", "k"): b"after"})
    assert local.states("k", ["s"]) == {"s": b"bob's"}
    local.put_states({("s", "k"): b"freed"})
