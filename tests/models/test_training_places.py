"""Places of a fit beyond this disk: what is written there is read there; what refuses is told."""

from __future__ import annotations

from pathlib import Path

import pytest

from ninetyfive.errors import SettingsError, StoreError
from ninetyfive.models.training_places import Places, bucket


def test_a_place_in_a_bucket_keeps_the_checkpoint_and_the_log(tmp_path: Path) -> None:
    places = Places(f"memory://{tmp_path}/fit.npz", f"memory://{tmp_path}/log")
    assert places.read() is None
    for data in (b"one", b"two"):
        places.write(data)
        assert places.read() == data
    places.clear()
    places.clear()
    assert places.read() is None
    for name in ("a", "b"):
        with places.logged() as folder:
            (Path(folder) / name).write_text(name, encoding="utf-8")
    system, key = bucket(places.log)
    assert [system.cat_file(f"{key}/{name}") for name in ("a", "b")] == [b"a", b"b"]


def test_a_place_that_refuses_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(StoreError, match="file"):
        Places(str(tmp_path / "file" / "fit.npz"), "").write(b"data")
    with pytest.raises(SettingsError, match="an url that fsspec knows"):
        Places("nowhere://fit.npz", "").read()
