"""Releases and the champion; the races are checked with a small history checker."""

from __future__ import annotations

import subprocess
import sys
import tempfile
import threading
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ninetyfive.errors import BusyError, IntegrityError, StoreError, UsageError
from ninetyfive.hashing import bytes_hash
from ninetyfive.store.opening import Store, open_store

A, B, C = (bytes_hash(letter) for letter in (b"a", b"b", b"c"))


def register(store: Store, root: Path, *releases: str) -> None:
    """One run and one folder a release."""
    with store.lease("test"):
        for release in releases:
            run = store.begin_run("run", release)
            folder = root / f"made-{release}"
            folder.mkdir()
            (folder / "model").write_text(release)
            name = store.put_folder(folder, f"release-{release}")
            store.add_release(release, name, {"metric": 1}, run.id)
            store.finish_run(run.id, "done")


def check_history(store: Store) -> None:
    """Linear: epochs 1, 2, 3 …, each made from the one before, each with its audit record."""
    history = store.history()[::-1]
    assert [pointer.epoch for pointer in history] == list(range(1, len(history) + 1))
    stack: list[str] = []
    for pointer in history:
        if pointer.action == "promote":
            assert not stack or stack[-1] != pointer.release
            stack.append(pointer.release)
        else:
            stack.pop()
            assert stack[-1] == pointer.release
    assert store.audit_verify() == []


def test_a_release_is_added_and_found(store: Store, tmp_path: Path) -> None:
    register(store, tmp_path, A, B)
    newest, first = store.releases()
    assert (newest.release, newest.number, newest.run) == (B, 2, "run-2")
    assert store.release(A[:8]) == first
    assert first.document == {"metric": 1}
    assert store.runs()[0].release == B
    with pytest.raises(UsageError, match="no such release"):
        store.release("zz")
    with pytest.raises(UsageError):
        store.release("")


def test_a_run_registers_one_release_and_once(store: Store, tmp_path: Path) -> None:
    register(store, tmp_path, A, B)
    with store.lease("test"):
        run = store.begin_run("run", "key")
        records = len(store.audit_records())
        first = store.add_release(A, f"release-{A}", {"other": True}, run.id)
        assert store.add_release(A, f"release-{A}", {}, run.id) == first
        assert len(store.audit_records()) == records + 1
        assert first.run == "run-1"
        with pytest.raises(StoreError, match="the one release"):
            store.add_release(B, f"release-{B}", {}, run.id)
    assert len(store.releases()) == 2
    assert store.audit_verify() == []
    with pytest.raises(StoreError, match="no such run"):
        store.add_release(A, f"release-{A}", {}, "run-99")


def test_promote_and_roll_back(store: Store, tmp_path: Path) -> None:
    register(store, tmp_path, A, B, C)
    assert store.champion() is None
    assert store.promote(A, 0, "gates passed").epoch == 1
    assert store.promote(B, 1, "gates passed").epoch == 2
    assert store.promote(C, 2, "gates passed").epoch == 3
    assert store.promote(C, 2, "again").epoch == 3
    assert store.rollback(3, "worse").release == B
    assert store.rollback(4, "worse").release == A
    champion = store.champion()
    assert champion is not None
    assert (champion.release, champion.epoch, champion.action, champion.actor) == (A, 5, "rollback", "ada")
    with pytest.raises(StoreError, match="the first one"):
        store.rollback(5, "worse")
    check_history(store)


def test_there_is_nothing_to_roll_back_at_first(store: Store) -> None:
    with pytest.raises(StoreError, match="no champion"):
        store.rollback(0, "worse")


def test_an_unknown_or_damaged_release_is_not_promoted(store: Store, tmp_path: Path, damage: Any) -> None:
    register(store, tmp_path, A, B)
    with pytest.raises(UsageError, match="no such release"):
        store.promote("f" * 64, 0, "x")
    store.promote(A, 0, "x")
    store.promote(B, 1, "x")
    for release in (A, B):
        damage.alter(store, f"release-{release}", b"evil", "model")
    with pytest.raises(IntegrityError):
        store.promote(A, 2, "x")
    with pytest.raises(IntegrityError):
        store.rollback(2, "x")
    champion = store.champion()
    assert champion is not None
    assert champion.epoch == 2


def test_the_loser_is_told_who_won(store: Store, tmp_path: Path) -> None:
    register(store, tmp_path, A, B)
    store.promote(A, 0, "mine")
    with pytest.raises(BusyError) as caught:
        store.promote(B, 0, "mine too")
    assert "epoch 1: promote to " + A[:12] + " by ada" in caught.value.got


def test_threads_that_promote_and_roll_back_make_a_linear_history(backend: Any, tmp_path: Path) -> None:
    with backend.open(actor="ada") as store:
        register(store, tmp_path, A, B, C)
        store.promote(A, 0, "start")
        won: list[int] = []
        lost: list[StoreError] = []

        def work(number: int) -> None:
            for turn in range(6):
                top = store.champion()
                assert top is not None
                try:
                    if (number + turn) % 3:
                        pointer = store.promote((A, B, C)[(number + turn) % 3], top.epoch, "race")
                    else:
                        pointer = store.rollback(top.epoch, "race")
                    won.append(pointer.epoch)
                except StoreError as error:
                    lost.append(error)

        threads = [threading.Thread(target=work, args=(number,)) for number in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert len(won) + len(lost) == 24
        assert all(isinstance(error, BusyError) or "the first one" in error.got for error in lost)
        check_history(store)


RACE = """
import sys, time
from ninetyfive.errors import BusyError
from ninetyfive.store.opening import open_store
with open_store(sys.argv[1], sys.argv[2], create=False) as store:
    release = sys.argv[3]
    print("ready", flush=True)
    sys.stdin.readline()
    try:
        print("won", (store.rollback(2, "race") if release == "rollback" else store.promote(release, 2, "race")).epoch)
    except BusyError as error:
        print("lost", error)
"""


@pytest.mark.slow
@pytest.mark.parametrize("backend", ["sqlite-folder", "postgres-bucket"], indirect=True)
def test_of_processes_at_once_one_wins(backend: Any, tmp_path: Path) -> None:
    with backend.open() as store:
        register(store, tmp_path, A, B, C)
        store.promote(A, 0, "start")
        store.promote(B, 1, "start")
        racers = [
            subprocess.Popen(
                [sys.executable, "-c", RACE, *backend.words, words],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                text=True,
            )
            for words in (C, "rollback", C, "rollback")
        ]
        for racer in racers:
            assert racer.stdout is not None
            assert racer.stdout.readline() == "ready\n"
        said = []
        for racer in racers:
            assert racer.stdin is not None
            racer.stdin.write("\n")
            racer.stdin.flush()
        for racer in racers:
            said.append(racer.communicate(timeout=60)[0])
        champion = store.champion()
        assert champion is not None
        assert champion.epoch == 3
        agreed = (
            2 if champion.release == C else 1
        )  # to promote what is champion already changes nothing, and is no loss
        assert sorted(words.split()[0] for words in said)[-1] == "won"
        assert 1 <= sum(words.startswith("won 3") for words in said) <= agreed
        check_history(store)


@pytest.mark.slow
@settings(max_examples=15)
@given(st.lists(st.sampled_from([A, B, C, "rollback"]), max_size=12))
def test_the_champion_follows_a_stack(words: list[str]) -> None:
    """Against the simplest model there is: a list."""
    with tempfile.TemporaryDirectory() as folder, open_store(Path(folder) / "store") as store:
        register(store, Path(folder), A, B, C)
        stack: list[str] = []
        for word in words:
            top = store.champion()
            epoch = top.epoch if top else 0
            if word != "rollback":
                store.promote(word, epoch, "")
                if not stack or stack[-1] != word:
                    stack.append(word)
            elif len(stack) > 1:
                store.rollback(epoch, "")
                stack.pop()
            else:
                with pytest.raises(StoreError):
                    store.rollback(epoch, "")
            now = store.champion()
            assert (now.release if now else None) == (stack[-1] if stack else None)
        check_history(store)
