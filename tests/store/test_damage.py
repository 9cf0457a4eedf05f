"""Files of a store are deleted, cut short, or have one bit turned, when it is finished and in the middle of a run."""

from __future__ import annotations

import json
import random
from pathlib import Path

import pytest
from tests.store.fire import REFUSED, Small
from tests.store.invariants import faults

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]


def kinds(small: Small) -> dict[str, Path]:
    """One file of each kind that a store holds, by what it is."""
    store = small.store
    ((rows, refused),) = small.query("select artifact, quarantine from spans")
    found = {"the rows of a span": rows, "its quarantine": refused}
    for step in ("analyze", "fit", "apply", "train", "evaluate"):
        ((listed,),) = small.query(f"select artifacts from steps where name = '{step}'")
        found[f"what {step} made"] = json.loads(str(listed))[-1]
    (folder,) = (store / "folders").iterdir()
    paths = {
        **{kind: store / "artifacts" / str(name) for kind, name in found.items()},
        **{f"{name} of the release": folder / name for name in ("manifest.json", "model.onnx", "evidence.json")},
        **{name: store / name for name in ("catalog.sqlite-journal", "lease", "lease.json", "tmp/gate")},
    }
    return {kind: path for kind, path in paths.items() if path.exists()}


DAMAGES = {
    "delete": "import os\nos.unlink({path!r})",
    "cut": "import os\nos.truncate({path!r}, os.path.getsize({path!r}) // 2)",
    "flip": """\
with open({path!r}, "r+b") as stream:
    data = bytearray(stream.read() or b"x")
    data[len(data) // 2] ^= 1
    stream.seek(0)
    stream.write(data)
""",
}
"""What is done to a file, as Python: for `exec`, and for the middle of a run."""


class TestFiles:
    """A file of each kind is damaged in a way that the seed draws: it is healed, or refused and named by doctor."""

    def test_of_a_finished_store(self, whole: Small, tmp_path: Path, seed: int) -> None:
        chance, wrong = random.Random(seed), []
        for place, kind in enumerate(kinds(whole)):
            small, damage = whole.copy(tmp_path / f"small-{place}"), chance.choice(list(DAMAGES))
            path = kinds(small)[kind]
            exec(DAMAGES[damage].format(path=str(path)), {})
            if any(fault.rule == "N6" for fault in faults(small.store)):
                found = small.run("doctor")
                if found.code != 3 or path.name not in found.out:
                    wrong.append(f"{damage} {kind}: doctor says {found}")
            wrong += [f"{damage} {kind}: {text}" for text in healed(small, path, whole)]
        assert not wrong

    def test_of_a_store_at_work(self, whole: Small, tmp_path: Path, seed: int) -> None:
        """In the middle of a run that does every step again: it ends or refuses, and no damaged release is live."""
        chance, wrong = random.Random(seed), []
        for place, kind in enumerate(kinds(whole)):
            small, damage = whole.copy(tmp_path / f"small-{place}"), chance.choice(list(DAMAGES))
            path, before = kinds(small)[kind], (small.folder / "system.py").read_text()
            small.meanwhile(DAMAGES[damage].format(path=str(path)))
            ended = small.run("run", "--no-cache")
            if ended.code not in (1, REFUSED) or "a fault of ninetyfive itself" in ended.err:
                wrong.append(f"{damage} {kind}: {ended}")
            if ended.code == REFUSED and small.run("promote", ended.json["release"]).code == 0:
                wrong += [f"{damage} {kind}: a damaged release is live"] if champion_is_damaged(small) else []
            (small.folder / "system.py").write_text(before)
            wrong += [f"{damage} {kind}, afterwards: {text}" for text in healed(small, path, whole)]
        assert not wrong


def healed(small: Small, path: Path, whole: Small) -> list[str]:
    """What is wrong after a run that does every step again, or that and what it says is to be done."""
    ended = small.run("run", "--no-cache")
    doctor = small.run("doctor")
    if path.exists() and path.name in ended.err + doctor.out and "delete it and run again" in ended.err + doctor.out:
        path.unlink()
        ended = small.run("run", "--no-cache")
    if ended.code != REFUSED:
        return [f"exit {ended.code}: {ended.err[-400:]}"]
    found = [] if ended.json["release"] == whole.release else ["another release"]
    return found + [str(fault) for fault in faults(small.store)]


def champion_is_damaged(small: Small) -> bool:
    """Whether a file of the live release is not what its row says."""
    ((folder,),) = small.query("select folder from releases join pointers using (release) order by epoch desc limit 1")
    return any(fault.subject.startswith(str(folder)) for fault in faults(small.store) if fault.rule == "N6")


def test_a_catalog_that_is_deleted_is_not_made_up_again(whole: Small, tmp_path: Path) -> None:
    """Files without their catalog are a new store: what they held is known no more, and the run reads all."""
    small = whole.copy(tmp_path / "small")
    for path in small.store.glob("catalog.sqlite*"):
        path.unlink()
    assert small.run("status").json["champion"] is None
    document = small.run().json
    assert (document["run"], document["rows"]["read"], document["release"]) == ("run-1", 200, whole.release)
    assert faults(small.store) == []


def test_a_catalog_that_is_cut_short_is_found(whole: Small, tmp_path: Path) -> None:
    small = whole.copy(tmp_path / "small")
    path = small.store / "catalog.sqlite"
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    ended = small.run("doctor")
    assert ended.code in (1, 3), "it is found, or it cannot be opened"
    assert "a fault of ninetyfive itself" not in ended.err
