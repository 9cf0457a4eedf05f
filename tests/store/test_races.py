"""Many at once: promotions, rollbacks, pins, runs, gc and readers, from processes and threads, drawn by a seed.

What each was told is held against the history that came of it: no two won the same epoch, each loser was told who did.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import msgspec
import pytest

from ninetyfive.errors import BusyError
from ninetyfive.store.opening import Store, open_store
from ninetyfive.store.records import AuditRecord, Pointer

Fill = Callable[[Store, int, Path], list[str]]
Told = dict[str, Any]
KEPT_SEEDS: tuple[int, ...] = ()
"""Seeds of sessions that failed once."""
PROCESSES, THREADS, TURNS = 4, 2, 7
NOBODY = ("a champion with one before it", "a release with its files", "a release that is pinned")
"""What an operation may be refused for that lost no race: there was nothing to return to, gc took it, it had no pin."""

WORK = """
import json, os, random, sys, threading, time
from pathlib import Path
from ninetyfive.errors import BusyError, NinetyfiveError
from ninetyfive.progress import Silent
from ninetyfive.settings import KeepSettings
from ninetyfive.steps.collect import collect
from ninetyfive.store.opening import open_store

def act(store, chance, releases):
    top, release = store.champion(), chance.choice(releases)
    epoch = top.epoch if top else 0
    word = chance.choice(["promote"] * 4 + ["rollback"] * 3 + ["pin", "unpin", "gc", "read", "run"])
    told = {"word": word, "release": release, "expected": epoch, "actor": store.actor}
    try:
        if word == "promote":
            told["epoch"] = store.promote(release, epoch, "race").epoch
        elif word == "rollback":
            told["epoch"] = store.rollback(epoch, "race").epoch
        elif word == "pin":
            store.pin(release, f"by {store.actor}")
        elif word == "unpin":
            store.unpin(release, "race")
        elif word == "gc":
            collect(store, KeepSettings(releases=1, age=1, rollbacks=2, runs=1), remove=True, reporter=Silent())
        elif word == "read":
            with store.open_folder(store.release(release)) as folder:
                told["read"] = {path.name: path.read_text() for path in folder.iterdir()}["model"]
        else:
            with store.lease("ninetyfive run", wait=0.2):
                run = store.begin_run("run", store.actor)
                blob = store.put_bytes(store.actor.encode())
                time.sleep(0.02)
                store.record(run.id, "train", f"{store.actor} {run.id}", {}, artifacts=[blob], seconds=0.0)
                store.finish_run(run.id, "done", {"steps": [{"key": f"{store.actor} {run.id}"}]})
    except NinetyfiveError as error:
        told |= {"refused": type(error).__name__, "says": error.expected, "got": error.got}
    sys.stdout.write(json.dumps(told) + "\\n")  # one call: threads write at once

def work(number):
    chance = random.Random(f"{sys.argv[3]} {sys.argv[2]} {number}")
    with open_store(sys.argv[1], actor=f"p{sys.argv[2]}t{number}", create=False) as store:
        for _ in range(int(sys.argv[5])):
            act(store, chance, sys.argv[6:])

print("ready", flush=True)
sys.stdin.readline()
threads = [threading.Thread(target=work, args=(number,)) for number in range(int(sys.argv[4]))]
for thread in threads:
    thread.start()
for thread in threads:
    thread.join()
"""


def race(store: Path, seed: int, releases: Sequence[str], monkeypatch: pytest.MonkeyPatch) -> list[Told]:
    """What each operation was told, a year after the store was filled; all processes begin at once."""
    monkeypatch.setenv("NINETYFIVE_CLOCK", "2027-01-01")
    words = [str(seed), str(THREADS), str(TURNS), *releases]
    workers = [
        subprocess.Popen(
            [sys.executable, "-c", WORK, str(store), str(number), *words],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        for number in range(PROCESSES)
    ]
    try:
        for worker in workers:
            assert worker.stdout is not None
            assert worker.stdout.readline() == "ready\n"
        for worker in workers:
            assert worker.stdin is not None
            worker.stdin.write("\n")
            worker.stdin.flush()
        said = [worker.communicate(timeout=100)[0] for worker in workers]
    finally:
        for worker in workers:
            worker.kill()
            worker.wait()
    assert [worker.returncode for worker in workers] == [0] * PROCESSES
    return [json.loads(line) for words in said for line in words.splitlines()]


def history_faults(history: Sequence[Pointer]) -> list[str]:
    """What is not linear in a history, oldest first: epochs 1, 2, 3 …, each made from the one before."""
    found = [
        f"epoch {pointer.epoch} at place {place}" for place, pointer in enumerate(history, 1) if pointer.epoch != place
    ]
    for before, pointer in zip([None, *history], history, strict=False):
        if pointer.action == "promote":
            if pointer.below != (before.epoch if before else None):
                found.append(f"epoch {pointer.epoch} lies on {pointer.below}")
            if before and before.release == pointer.release:
                found.append(f"epoch {pointer.epoch} promotes the champion")
        else:
            target = history[before.below - 1] if before and before.below else None
            if target is None or (pointer.release, pointer.below) != (target.release, target.below):
                found.append(f"epoch {pointer.epoch} returns to what was not below")
    return found


def told_faults(told: Sequence[Told], history: Sequence[Pointer], start: int) -> list[str]:
    """Where what was told contradicts the history."""
    by_epoch = {pointer.epoch: pointer for pointer in history}
    found, won = [], []
    for one in told:
        if "epoch" in one:
            pointer = by_epoch.get(one["epoch"])
            mine = pointer is not None and pointer.actor == one["actor"]
            if pointer is None or (one["word"] == "promote" and pointer.release != one["release"]):
                found.append(f"{one} is not in the history")
            elif mine and one["epoch"] == one["expected"] + 1:
                won.append(one["epoch"])
            elif not (one["word"] == "promote" and one["epoch"] >= one["expected"]):  # it was champion already
                found.append(f"{one} did not win it")
        elif one["word"] in ("promote", "rollback") and one["says"] not in NOBODY:
            winner = re.match(r"epoch (\d+): (\w+) to (\w+) by (\S+) at", one["got"])
            pointer = by_epoch.get(int(winner[1])) if winner else None
            if pointer is None or winner is None or pointer.epoch <= one["expected"]:
                found.append(f"{one} was not told who won")
            elif (pointer.action, pointer.release[:12], pointer.actor) != winner.groups()[1:]:
                found.append(f"{one} was told something else")
    if sorted(won) != list(range(start + 1, len(history) + 1)):
        found.append(f"won {sorted(won)}, of {start + 1} to {len(history)}")
    return found


def live_faults(records: Sequence[AuditRecord], rollbacks: int) -> list[str]:
    """Where gc took what was champion, pinned, or what `rollbacks` in a row return to, by the audit alone."""
    found: list[str] = []
    stack: list[str] = []
    pinned: set[str] = set()
    gone: set[str] = set()
    for record in records:
        match record.action:
            case "promote":
                stack.append(record.subject)
            case "rollback":
                stack.pop()
            case "release.pin":
                pinned.add(record.subject)
                found += [f"record {record.seq} pins what is gone"] * (record.subject in gone)
            case "release.unpin":
                pinned.discard(record.subject)
            case "release.collect":
                gone.add(record.subject)
                if record.subject in {*stack[-1 - rollbacks :], *pinned}:
                    found.append(f"record {record.seq} takes {record.subject[:12]}")
        if record.action in ("promote", "rollback") and stack[-1:] != [record.subject]:
            found.append(f"record {record.seq} is not what was below")
        if record.action in ("promote", "rollback") and record.subject in gone:
            found.append(f"record {record.seq} makes champion what is gone")
    return found


@pytest.mark.slow
@pytest.mark.parametrize("kept", [None, *KEPT_SEEDS])
def test_fifty_at_once_make_one_history(
    kept: int | None, seed: int, tmp_path: Path, fill: Fill, monkeypatch: pytest.MonkeyPatch
) -> None:
    drawn = seed if kept is None else kept
    print(f"NINETYFIVE_TEST_SEED={drawn}")
    with open_store(tmp_path / "store", actor="ada") as store:
        releases = fill(store, 6, tmp_path / "made")
    told = race(tmp_path / "store", drawn, releases, monkeypatch)
    assert len(told) == PROCESSES * THREADS * TURNS
    with open_store(tmp_path / "store", create=False) as store:
        history = store.history()[::-1]
        assert history_faults(history) == []
        assert told_faults(told, history, 6) == []
        assert live_faults(store.audit_records(), 2) == []
        for one in told:
            if "refused" in one and one["word"] not in ("promote", "rollback"):
                assert (
                    one["says"] in NOBODY
                    or re.match(r"process \d+ on \S+ \(p\dt\d\)", one["got"])
                    or ("an unknown host" in one["got"])
                ), one
            if "read" in one:
                assert one["read"] == f"model {releases.index(one['release']) + 1}"
        assert store.audit_verify() == []
        assert [finding for finding in store.doctor() if finding.kind not in ("disk space", "orphan file")] == []
        assert store.unnamed() == ([], [])
        assert not [run for run in store.runs() if run.status != "done"]
    print(Counter(f"{one['word']} {one.get('says', 'done')}" for one in told))


def test_a_promotion_during_a_rollback_wins_and_the_rollback_is_told(
    local: Store, tmp_path: Path, fill: Fill, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = fill(local, 3, tmp_path / "made")
    verify = local.verify

    def slow(artifact: str) -> None:
        verify(artifact)
        with open_store(local.url, actor="bob") as other:
            other.promote(made[0], 3, "while the other reads")

    monkeypatch.setattr(local, "verify", slow)
    with pytest.raises(BusyError, match=f"epoch 4: promote to {made[0][:12]} by bob"):
        local.rollback(3, "worse")
    monkeypatch.undo()
    assert history_faults(local.history()[::-1]) == []
    assert local.rollback(4, "worse").release == made[2]
    assert history_faults(local.history()[::-1]) == []


def pointer(epoch: int, release: str, below: int | None, action: Any = "promote") -> Pointer:
    return Pointer(release=release, epoch=epoch, below=below, action=action, reason="", actor=f"a{epoch}", since="")


GOOD = (pointer(1, "a", None), pointer(2, "b", 1), pointer(3, "a", None, "rollback"), pointer(4, "c", 3))


@pytest.mark.parametrize(
    "bad",
    [
        GOOD[1:],
        (*GOOD[:2], GOOD[3]),
        (GOOD[0], GOOD[2]),
        (*GOOD[:3], msgspec.structs.replace(GOOD[3], below=2)),
        (*GOOD[:2], msgspec.structs.replace(GOOD[2], release="b"), GOOD[3]),
        (*GOOD[:2], msgspec.structs.replace(GOOD[2], below=1), GOOD[3]),
        (GOOD[0], msgspec.structs.replace(GOOD[1], release="a"), *GOOD[2:]),
        (GOOD[0], GOOD[1], GOOD[1], *GOOD[2:]),
    ],
)
def test_the_checker_of_histories_finds_what_is_not_linear(bad: Sequence[Pointer]) -> None:
    assert history_faults(GOOD) == []
    assert history_faults(bad)


def test_the_checker_of_what_was_told_finds_lies() -> None:
    lost = {"refused": "BusyError", "says": "epoch 1, as seen before", "got": "epoch 2: promote to b by a2 at x"}
    told: list[Told] = [
        {"word": "promote", "release": "b", "expected": 1, "epoch": 2, "actor": "a2"},
        {"word": "rollback", "release": "c", "expected": 1, "actor": "a9", **lost},
        {"word": "rollback", "release": "c", "expected": 2, "epoch": 3, "actor": "a3"},
        {"word": "promote", "release": "c", "expected": 3, "epoch": 4, "actor": "a4"},
        {"word": "promote", "release": "c", "expected": 3, "epoch": 4, "actor": "a7"},  # it is champion already
    ]
    assert told_faults(told, GOOD, 1) == []
    lies = [
        told[1:],
        [*told, {**told[0], "actor": "a9", "word": "rollback"}],
        [*told, {**told[0], "epoch": 9}],
        [*told, {**told[1], "got": "somebody"}],
        [*told, {**told[1], "got": "epoch 2: promote to b by a3 at x"}],
        [*told, {**told[1], "expected": 2}],
        [*told, told[0]],
    ]
    for lie in lies:
        assert told_faults(lie, GOOD, 1), lie


def record(seq: int, action: str, subject: str) -> AuditRecord:
    return AuditRecord(seq=seq, time="", actor="", action=action, subject=subject, details={}, previous="", hash="")


def test_the_checker_of_what_gc_took_finds_what_it_must_not_take() -> None:
    acts = [("promote", "a"), ("promote", "b"), ("promote", "c"), ("release.pin", "z"), ("release.collect", "y")]
    fine = [record(seq, *words) for seq, words in enumerate(acts, 1)]
    assert live_faults(fine, 1) == []
    for taken in "bcz":
        assert live_faults([*fine, record(6, "release.collect", taken)], 1)
    assert live_faults([*fine, record(6, "release.collect", "a")], 1) == []
    assert live_faults([*fine, record(6, "rollback", "a")], 1)
    assert live_faults([*fine, record(6, "promote", "y")], 1)
    assert live_faults([*fine, record(6, "release.pin", "y")], 1)
