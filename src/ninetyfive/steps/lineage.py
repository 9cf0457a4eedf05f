"""What a release is made by: the project's own modules, the lock file, the commit. Reads the project folder only."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from importlib import metadata
from modulefinder import ModuleFinder
from pathlib import Path
from typing import Any

from ninetyfive.errors import DeclarationError
from ninetyfive.hashing import bytes_hash, content_hash, function_hash

LOCK_FILES = ("requirements.lock", "pylock.toml", "uv.lock", "poetry.lock", "pdm.lock", "requirements.txt")


def code_hashes(origin: str | None, function: Callable[..., Any]) -> dict[str, str]:
    """Sha256 of every project module reached from `origin` (system.py), by path relative to its folder.

    Imports are followed where they stand, in functions too, but not out of the folder. A system that stands in no file
    (a notebook) is named by the source of its model function.
    """
    path = Path(origin) if origin else None
    if path is None or not path.is_file():
        return {"model": function_hash(function)}
    folder = path.resolve().parent
    finder = ModuleFinder(path=[str(folder)])
    try:
        finder.run_script(str(path.resolve()))
    except SyntaxError as error:
        raise DeclarationError(str(path), expected="Python", got=str(error), do="correct the line it names") from None
    found = (vars(module)["__file__"] for module in finder.modules.values())
    files = {Path(file).resolve() for file in found if file}
    return {
        file.relative_to(folder).as_posix(): bytes_hash(file.read_bytes())
        for file in sorted(files)
        if file.is_relative_to(folder)
    }


def lock_file(folder: Path) -> Path | None:
    """The lock file in `folder` or above it in its repository; None where there is none."""
    for place in (folder.resolve(), *folder.resolve().parents):
        for name in LOCK_FILES:
            if (place / name).is_file():
                return place / name
        if (place / ".git").exists():
            break
    return None


def lock_hash(folder: Path) -> dict[str, str]:
    """Name and sha256 of the lock file in `folder` or above it in its repository; else of what is installed."""
    lock = lock_file(folder)
    if lock is not None:
        return {"file": lock.name, "sha256": bytes_hash(lock.read_bytes())}
    known = (found.metadata for found in metadata.distributions())  # read once each: it is parsed anew every time
    installed = sorted({f"{one['Name']}=={one['Version']}" for one in known})
    return {"file": "installed distributions", "sha256": content_hash(installed)}


def git_commit(folder: Path) -> dict[str, str | bool] | None:
    """The commit of the repository around `folder`, and whether files differ from it; None where there is none."""

    def git(*words: str) -> str:
        return subprocess.run(
            ("git", "-C", str(folder), *words), capture_output=True, text=True, check=True
        ).stdout.strip()

    try:
        return {"commit": git("rev-parse", "HEAD"), "dirty": bool(git("status", "--porcelain", "--untracked-files=no"))}
    except (OSError, subprocess.CalledProcessError):
        return None
