"""What is published and may not last is thrown away; what was left damaged, and is not named yet, is made anew."""

from __future__ import annotations

import errno
from collections.abc import Callable
from pathlib import Path

import pytest

from ninetyfive.durable import sync
from ninetyfive.errors import StoreError
from ninetyfive.store import artifacts, sqlite
from ninetyfive.store.opening import Store, open_store


def failing(at: Callable[[Path], bool]) -> Callable[[Path], None]:
    """A sync that fails on some paths."""

    def fail(path: Path) -> None:
        if at(path):
            raise OSError(errno.EIO, "Input/output error")
        sync(path)

    return fail


def folder(tmp_path: Path) -> Path:
    made = tmp_path / "made"
    made.mkdir()
    (made / "model").write_bytes(b"model")
    return made


@pytest.mark.parametrize("name", ["artifacts", "folders"])
def test_a_name_that_may_not_last_is_taken_back(
    name: str, local: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = folder(tmp_path)

    def put() -> str:
        return local.put_bytes(b"x") if name == "artifacts" else local.put_folder(made, "release-1")

    with monkeypatch.context() as broken:
        broken.setattr(artifacts, "sync", failing(lambda path: path.name == name))
        with pytest.raises(StoreError, match="Input/output error"):
            put()
    assert list(local.artifacts.listed()) == []
    assert [*(tmp_path / "store" / "tmp").glob("*/attempt-*")] == []
    assert [put()] == list(local.artifacts.listed())


def test_a_folder_that_was_altered_before_it_was_named_is_made_anew(local: Store, tmp_path: Path) -> None:
    made = folder(tmp_path)
    name = local.put_folder(made, "release-1")
    (local.path(name) / "model").write_bytes(b"m0del")
    local.put_folder(made, "release-1")
    assert (local.path(name) / "model").read_bytes() == b"model"
    (local.path(name) / "manifest.json").write_bytes(b"{")
    local.put_folder(made, "release-1")
    assert artifacts.check_folder(local.path(name)).size == 5


@pytest.mark.parametrize("place", ["store", ""])
def test_a_catalog_whose_name_may_not_last_is_taken_back(
    place: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as broken:
        broken.setattr(sqlite, "sync", failing(lambda path: path == tmp_path / place))
        with pytest.raises(StoreError, match="Input/output error"):
            open_store(tmp_path / "store")
    assert not list((tmp_path / "store").glob("catalog*"))
    open_store(tmp_path / "store").close()
