"""Golden values: this Python gives what stands in golden.json, and every other Python found gives it too, or refuses.

The verdict of each is printed at the end of a session. `.ci/run` asks again, with the wheel installed in each.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import unicodedata
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import tzdata
from tests.features import golden, golden_replay
from tests.features.value_classes import TYPES, values_of

import ninetyfive
from ninetyfive.features.operations import OPERATIONS

DOCUMENT = json.loads(golden_replay.FILE.read_text(encoding="utf-8"))
ASK = "import platform, sys; print(platform.python_version(), *sys.version_info[:2], sys.executable)"
SUPPORTED = [(3, 11), (3, 12), (3, 13)]


def pythons() -> Iterator[Path]:
    """What is called python3… on PATH, and what pyenv has."""
    root = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv"))
    for folder in [*map(Path, os.environ["PATH"].split(os.pathsep)), *sorted(root.glob("versions/*/bin"))]:
        for name in ("python3", *(f"python{major}.{minor}" for major, minor in SUPPORTED)):
            if (folder / name).exists():
                yield folder / name


def found() -> dict[str, str]:
    """Version → executable, each once, of the Pythons that run."""
    versions: dict[str, str] = {}
    for python in pythons():
        done = subprocess.run([python, "-I", "-c", ASK], capture_output=True, text=True, check=False)
        if done.returncode == 0:
            version, major, minor, executable = done.stdout.strip().split(" ", 3)
            if (int(major), int(minor)) in SUPPORTED:
                versions.setdefault(version, executable)
    return versions


def test_each_operation_has_golden_values() -> None:
    write = f"run `{golden.COMMAND}` with Python 3.11"
    meanings = {name: operation.meaning for name, operation in OPERATIONS.items()}
    assert DOCUMENT["meanings"] == meanings, write
    assert {case["operation"] for case in DOCUMENT["cases"]} == set(golden.golden_operations()), write
    for name, kind in TYPES.items():
        inputs = {repr(golden_replay.read(value)) for value in DOCUMENT["inputs"][name]}
        assert inputs == {repr(value) for value in values_of(kind)}, write


def test_this_python_gives_the_golden_values(record_property: Any) -> None:
    """By rows and by frames; those that depend on other tables than those of 3.11 are refused."""
    same = DOCUMENT["depends"]["unicode"] == unicodedata.unidata_version
    verdicts = list(golden_replay.verdicts(DOCUMENT, whole=True))
    assert not [why for verdict, why, _ in verdicts if verdict == "differs"]
    assert {verdict for verdict, _, _ in verdicts} <= ({"reproduced"} if same else {"reproduced", "refused"})
    reproduced = sum(count for verdict, _, count in verdicts if verdict == "reproduced")
    record_property("counted", ["golden values reproduced", reproduced])


@pytest.mark.slow
def test_every_python_found_gives_them_or_refuses(tmp_path: Path, record_property: Any) -> None:
    """By rows, which need Python and tzdata, which is data; the other packages of this one are not there."""
    zones, versions = Path(tzdata.__file__).parent, found()
    for path in (zones, *zones.parent.glob("tzdata-*.dist-info")):
        (tmp_path / path.name).symlink_to(path)
    assert versions
    script = Path(golden_replay.__file__)
    for executable in versions.values():
        clean = os.environ | {"PYTHONPATH": f"{Path(ninetyfive.__file__).parents[1]}{os.pathsep}{tmp_path}"}
        done = subprocess.run([executable, script], env=clean, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout + done.stderr
        for line in done.stdout.splitlines():
            record_property("told", line)


def test_a_value_that_differs_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any) -> None:
    case = next(case for case in DOCUMENT["cases"] if case["operation"] == "log1p")
    altered = DOCUMENT | {"cases": [case | {"outputs": ["f 0x1.0p+0", *case["outputs"][1:]]}]}
    (tmp_path / "golden.json").write_text(json.dumps(altered), encoding="utf-8")
    monkeypatch.setattr(golden_replay, "FILE", tmp_path / "golden.json")
    monkeypatch.setattr(sys, "path", sys.path.copy())
    assert golden_replay.main() == 1
    assert 'differs: 1: col("' in capsys.readouterr().out


def test_a_value_may_change_with_its_meaning_only() -> None:
    (case,) = (case for case in DOCUMENT["cases"] if case["text"] == 'col("number 1").log1p()')
    altered = case | {"outputs": ["f 0x1.0p+0", *case["outputs"][1:]]}
    old, new = DOCUMENT | {"cases": [case]}, DOCUMENT | {"cases": [altered]}
    assert golden.changed(old, old) == []
    assert golden.changed(old, new) == ['col("number 1").log1p()']
    assert golden.changed(old, new | {"meanings": DOCUMENT["meanings"] | {"log1p": 2}}) == []
