"""A release folder is read as it was written, or not at all."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from ninetyfive.errors import IntegrityError, ModelError
from ninetyfive.features.costs import CROSSOVER
from ninetyfive.models.release import EVIDENCE, open_release, release_hash
from ninetyfive.store.manifests import MANIFEST, describe_folder

if TYPE_CHECKING:
    from tests.conftest import Project


@pytest.fixture
def folder(finished: Project, tmp_path: Path) -> Path:
    """A copy of a release folder, to be altered."""
    return Path(shutil.copytree(finished.release(finished.champion()), tmp_path / "release"))


def signed(folder: Path) -> Path:
    """The folder with a manifest of what it holds now."""
    (folder / MANIFEST).unlink()
    (folder / MANIFEST).write_bytes(describe_folder(folder).data)
    return folder


def edited(folder: Path, **changes: Any) -> Path:
    path = folder / "release.json"
    path.write_text(json.dumps(json.loads(path.read_text(encoding="utf-8")) | changes), encoding="utf-8")
    return signed(folder)


def test_a_release_answers_from_its_folder_alone(folder: Path, finished: Project) -> None:
    opened = open_release(folder)
    assert opened.hash == finished.champion() == release_hash(folder)
    assert opened.request.names == ("trip", "at", "zone", "distance")
    assert opened.schema.names == ("trip", "at", "zone", "distance", "fare", "tip")
    golden = opened.golden
    assert len({one.row["trip"] for one in golden}) == 32
    assert [opened.answer(one.row) for one in golden] == [one.answer for one in golden]


@pytest.mark.parametrize("name", ["model.onnx", "transform.json", "golden.json", EVIDENCE])
def test_a_flipped_bit_is_found_in_every_file(folder: Path, name: str) -> None:
    data = bytearray((folder / name).read_bytes())
    data[len(data) // 2] ^= 1
    (folder / name).write_bytes(data)
    with pytest.raises(IntegrityError, match=name):
        open_release(folder)


def test_the_hash_leaves_out_the_evidence_and_nothing_else(folder: Path) -> None:
    before = release_hash(folder)
    (folder / EVIDENCE).write_text("{}", encoding="utf-8")
    assert release_hash(signed(folder)) == before
    for name in ("metrics.json", "lineage.json", "golden.json", "schema.json", "model.skops", "statistics.json"):
        (folder / name).write_bytes((folder / name).read_bytes() + b" ")
        after = release_hash(signed(folder))
        assert after != before, name
        before = after


def test_a_release_of_another_version_is_told(folder: Path) -> None:
    with pytest.raises(IntegrityError, match="expected a release of version 2, got version 1"):
        open_release(edited(folder, version=1))
    with pytest.raises(IntegrityError, match=r"expected a release of version 2, got .*task"):
        open_release(edited(folder, task="ranking"))


def test_the_native_form_is_opened_where_it_is_the_served_one(folder: Path) -> None:
    answers = [open_release(folder).answer(one.row) for one in open_release(folder).golden]
    native = open_release(edited(folder, form="native"))
    assert [native.answer(one.row) for one in native.golden] == pytest.approx(answers, abs=1e-6)
    with pytest.raises(ModelError, match="other"):
        open_release(edited(folder, adapter="other"))


@pytest.mark.parametrize("name", [EVIDENCE, "lineage.json", "golden.json", "release.json"])
@pytest.mark.parametrize("words", ["", "{", '{"features": 1, "spans": 2}', "\xff"])
def test_a_file_that_says_nothing_readable_is_named(folder: Path, name: str, words: str) -> None:
    (folder / name).write_bytes(words.encode("latin-1"))
    with pytest.raises(IntegrityError, match=name):
        open_release(signed(folder))


def test_evidence_without_costs_has_the_usual_crossover(folder: Path) -> None:
    assert open_release(folder).crossover != CROSSOVER
    (folder / EVIDENCE).write_text("{}", encoding="utf-8")
    assert open_release(signed(folder)).crossover == CROSSOVER


def test_a_release_that_was_read_needs_its_folder_no_more(folder: Path) -> None:
    opened = open_release(folder)
    shutil.rmtree(folder)
    assert opened.crossover > 0
    assert opened.lineage.spans
    assert [opened.answer(one.row) for one in opened.golden] == [one.answer for one in opened.golden]


def test_another_release_than_the_one_asked_for_is_refused(folder: Path, finished: Project) -> None:
    assert open_release(folder, finished.champion()).hash == finished.champion()
    (folder / "metrics.json").write_text("{}", encoding="utf-8")
    with pytest.raises(IntegrityError, match=f"expected release {finished.champion()}, got release"):
        open_release(signed(folder), finished.champion())
    assert release_hash(folder) != finished.champion()
