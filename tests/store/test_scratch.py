from __future__ import annotations

from pathlib import Path

import pytest

from ninetyfive.store.opening import Store, open_store


def test_an_attempt_is_gone_when_its_block_ends(store: Store) -> None:
    with store.attempt() as one, store.attempt() as two:
        assert one != two
        (one / "half").write_bytes(b"x")
    assert not one.exists()
    with pytest.raises(ZeroDivisionError), store.attempt() as three:
        1 / 0  # noqa: B018
    assert not three.exists()


def test_a_lease_sweeps_what_the_dead_left_and_nothing_else(tmp_path: Path) -> None:
    dead = tmp_path / "tmp" / "1-dead"
    (dead / "attempt-x").mkdir(parents=True)
    (dead / "lock").write_bytes(b"")
    (tmp_path / "tmp" / "2-unlocked").mkdir()
    with open_store(tmp_path) as one, open_store(tmp_path) as two, one.attempt() as mine, two.attempt() as other:
        assert {finding.kind for finding in one.doctor()} >= {"leftover"}
        with one.lease("sweep"):
            assert mine.exists()
            assert other.exists()
            assert not dead.exists()
            assert not (tmp_path / "tmp" / "2-unlocked").exists()


def test_closing_leaves_nothing(tmp_path: Path) -> None:
    store = open_store(tmp_path)
    store.put_bytes(b"x")
    store.close()
    store.close()
    assert [path.name for path in (tmp_path / "tmp").iterdir()] == ["gate"]
