"""Lineage: which files a release was made by, and what the hash of a function without a file is."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from ninetyfive.errors import DeclarationError
from ninetyfive.hashing import bytes_hash
from ninetyfive.steps.lineage import code_hashes, git_commit, lock_hash


def model(x: Any, y: Any, params: Any) -> Any:
    """Never called."""


def write(folder: Path, **files: str) -> None:
    for name, text in files.items():
        path = folder / (name.replace("__", "/") + ".py")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")


def test_modules_are_followed_where_they_are_imported(tmp_path: Path) -> None:
    write(
        tmp_path / "project",
        system="import top\nfrom package import one\nimport json, numpy\n\ndef model():\n    import inside\n",
        top="import deeper\n",
        deeper="",
        inside="from package.two import x\n",
        package____init__="",
        package__one="",
        package__two="x = 1\n",
        unused="",
    )
    (tmp_path / "project" / "package" / "__init__.py").write_text("")
    write(tmp_path, outside="")
    found = code_hashes(str(tmp_path / "project" / "system.py"), model)
    assert set(found) == {
        *("system.py", "top.py", "deeper.py", "inside.py"),
        *("package/__init__.py", "package/one.py", "package/two.py"),
    }
    assert found["package/two.py"] == bytes_hash(b"x = 1\n")


def test_a_file_that_was_broken_since_it_was_loaded_is_told(tmp_path: Path) -> None:
    write(tmp_path, system="def model():\n    import broken\n", broken="x = (\n")
    assert set(code_hashes(str(tmp_path / "system.py"), model)) == {"system.py"}, "who imports it is told"
    write(tmp_path, system="x = (\n")
    with pytest.raises(DeclarationError, match=r"expected Python, got .*line 1"):
        code_hashes(str(tmp_path / "system.py"), model)


@pytest.mark.parametrize("origin", [None, "/nowhere/notebook.ipynb"])
def test_without_a_file_the_model_function_counts(origin: str | None) -> None:
    assert set(code_hashes(origin, model)) == {"model"}
    assert code_hashes(origin, model) != code_hashes(origin, write)


SCRIPT = """
from ninetyfive.steps.lineage import code_hashes
words = {}
exec("def model(x, y, params):\\n    return sorted(x, key=lambda one: (one, %s))", words)
print(code_hashes(None, words["model"])["model"])
"""


def test_a_function_without_a_source_has_the_same_hash_in_every_process() -> None:
    def run(value: int) -> str:
        return subprocess.run([sys.executable, "-c", SCRIPT % value], capture_output=True, text=True, check=True).stdout

    assert run(1) == run(1) != run(2)


def test_the_lock_file_is_looked_for_up_to_the_repository(tmp_path: Path) -> None:
    folder = tmp_path / "repository" / "projects" / "one"
    folder.mkdir(parents=True)
    (tmp_path / "requirements.lock").write_text("not ours")
    (tmp_path / "repository" / ".git").mkdir()
    installed = lock_hash(folder)
    assert installed["file"] == "installed distributions"
    assert lock_hash(folder) == installed
    (tmp_path / "repository" / "uv.lock").write_text("a")
    assert lock_hash(folder) == {"file": "uv.lock", "sha256": bytes_hash(b"a")}
    (folder / "requirements.txt").write_text("b")
    assert lock_hash(folder) == {"file": "requirements.txt", "sha256": bytes_hash(b"b")}


def test_the_commit_and_whether_files_differ_from_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path.parent))
    assert git_commit(tmp_path) is None
    who = ("-c", "user.name=Ada", "-c", "user.email=ada@example.org", "-c", "commit.gpgsign=false")

    def git(*words: str) -> None:
        subprocess.run(("git", *who, *words), cwd=tmp_path, check=True, capture_output=True)

    git("init")
    (tmp_path / "system.py").write_text("x = 1\n")
    git("add", "system.py")
    git("commit", "-m", "First")
    found = git_commit(tmp_path)
    assert found is not None
    assert (len(str(found["commit"])), found["dirty"]) == (40, False)
    (tmp_path / "new.txt").write_text("not tracked")
    assert git_commit(tmp_path) == found
    (tmp_path / "system.py").write_text("x = 2\n")
    assert git_commit(tmp_path) == {**found, "dirty": True}
    monkeypatch.setenv("PATH", str(tmp_path))
    assert git_commit(tmp_path) is None
