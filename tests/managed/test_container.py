"""The front of the serving container: what it brings here, and what it says where it cannot."""

from __future__ import annotations

import secrets
from pathlib import Path

import fsspec
import pytest

from ninetyfive.managed.container import fetched

FILES = {"config.json": b"{}", "release/manifest.json": b"1", "table/data.mdb": b"\0" * 5000}


def written(folder: Path) -> Path:
    for name, data in FILES.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(data)
    return folder


def brought(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_a_folder_is_brought_whole_from_wherever_it_is(tmp_path: Path, bucket: str) -> None:
    here = written(tmp_path / "here")
    there = f"{bucket}/{secrets.token_hex(8)}/service"
    fsspec.filesystem("gs", use_listings_cache=False).put(f"{here}/", f"{there}/", recursive=True)
    for number, url in enumerate((str(here), f"{here}/", f"file://{here}", there)):
        assert brought(fetched({"AIP_STORAGE_URI": url}, tmp_path / str(number))) == FILES


def test_what_is_wrong_is_said(tmp_path: Path) -> None:
    with pytest.raises(SystemExit, match="got none"):
        fetched({}, tmp_path)
    with pytest.raises(SystemExit, match="a folder that can be read"):
        fetched({"AIP_STORAGE_URI": str(tmp_path / "nothing")}, tmp_path)
    (tmp_path / "empty").mkdir()
    (tmp_path / "empty" / "other").write_bytes(b"")
    with pytest.raises(SystemExit, match=r"a folder with config\.json"):
        fetched({"AIP_STORAGE_URI": str(tmp_path / "empty")}, tmp_path)
