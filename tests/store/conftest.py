"""A store in a new folder, opened and closed; the same with its files in a bucket; the small system to set fire to."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.store.fire import Small
from tests.store.nursery import Nursery

from ninetyfive.store.opening import Store, open_store


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with open_store(tmp_path / "store", actor="ada") as opened:
        yield opened


@pytest.fixture(params=["folder", "bucket"])
def any_store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Store]:
    if request.param == "folder":
        url, catalog = str(tmp_path / "store"), None
    else:
        url, catalog = f"memory://{tmp_path.name}/store", f"sqlite:///{tmp_path}/catalog.sqlite"
    with open_store(url, catalog, actor="ada") as opened:
        yield opened


@pytest.fixture(scope="session")
def nursery() -> Iterator[Nursery]:
    with Nursery() as opened:
        yield opened


@pytest.fixture(scope="session")
def whole(nursery: Nursery, tmp_path_factory: pytest.TempPathFactory) -> Small:
    """The small system, run and promoted with nothing in the way: what every injured one must come to."""
    small = Small.new(tmp_path_factory.mktemp("whole") / "small", nursery)
    small.finish()
    return small
