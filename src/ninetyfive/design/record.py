"""The record of a design: `design/0001.md`, `.toml` and `.html` beside system.py, all of them or none.

    Design ─ write_record() ─▶ design/.writing-…/ ─ fsync ─▶ number under a lock ─ renames, the .toml last ─▶
    design/NNNN.* design/NNNN.toml ─ read_record() ─▶ the same Design

A record is there once its `.toml` is. Numbers count up and none is given twice: `.number` keeps the last one, and its
lock lets one writer at a time through. What does not belong here: what is in force (`accepted`).
"""

from __future__ import annotations

import fcntl
import os
import re
import shutil
import tempfile
import tomllib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import msgspec

from ninetyfive.accepted import FOLDER
from ninetyfive.design.evidence import Design
from ninetyfive.design.markdown import markdown
from ninetyfive.design.page import page
from ninetyfive.durable import sync
from ninetyfive.errors import IntegrityError, StoreError, UsageError
from ninetyfive.toml_text import toml_text

_NAME = re.compile(r"(\d{4,})\.(md|toml|html)")
_LAST = ".number"


class Record(msgspec.Struct, frozen=True, kw_only=True):
    """A design as it was written: with its number; where its files are; and what was left out, and how to get it."""

    design: Design
    markdown: Path
    data: Path
    page: Path | None
    notices: tuple[str, ...] = ()

    def paths(self) -> dict[str, str | None]:
        """The files by kind, for documents."""
        return {
            "md": str(self.markdown),
            "toml": str(self.data),
            "html": str(self.page) if self.page is not None else None,
        }


def write_record(project: Path, design: Design) -> Record:
    """Record `design` beside system.py in `project`, under the next number, whatever its own says; prices that are
    None are left out of it.

    Without the extra `design` there is no page, and a notice says how to get it. `StoreError` where the disk refuses;
    the records of before are then as they were.
    """
    folder = project / FOLDER
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with _alone(folder) as lock:
            last = max((*_numbers(folder), _read_last(lock)), default=0)
            prices = {name: value for name, value in design.prices.items() if value is not None}
            design = msgspec.structs.replace(design, number=last + 1, prices=prices)
            texts, notices = _texts(design)
            os.pwrite(lock, f"{design.number:04d}\n".encode(), 0)
            os.fsync(lock)
            _deliver(folder, design.number, texts)
    except OSError as error:
        do = "make room or give permission, then run the same command again"
        raise StoreError(str(folder), expected="a folder that can be written", got=str(error), do=do) from None
    at = folder / f"{design.number:04d}"
    shown = at.with_suffix(".html") if ".html" in texts else None
    return Record(
        design=design, markdown=at.with_suffix(".md"), data=at.with_suffix(".toml"), page=shown, notices=notices
    )


def read_record(path: Path) -> Design:
    """The design that a `.toml` holds; `UsageError` where there is none, `IntegrityError` where it holds none."""
    try:
        return from_toml(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        do = "`ninetyfive design` writes one"
        raise UsageError(str(path), expected="the record of a design", got="no such file", do=do) from None
    except (OSError, msgspec.ValidationError, tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        do = "take it from version control, or run `ninetyfive design` again"
        raise IntegrityError(str(path), expected="the record of a design", got=str(error), do=do) from None


def numbers(project: Path) -> list[int]:
    """The numbers of the records that are whole, ascending."""
    return sorted(set(_numbers(project / FOLDER, only="toml")))


def record_path(project: Path, number: int | None = None) -> Path:
    """The data of record `number`, or of the newest; `UsageError` where there is none."""
    there = numbers(project)
    if number is None and not there:
        do = "run `ninetyfive design` first"
        raise UsageError(str(project / FOLDER), expected="the record of a design", got="none", do=do)
    if number is not None and number not in there:
        do = f"there are: {', '.join(map(str, there))}" if there else "run `ninetyfive design` first"
        raise UsageError(f"design {number}", expected="the number of a record", got="no such record", do=do)
    return project / FOLDER / f"{there[-1] if number is None else number:04d}.toml"


def to_toml(design: Design) -> str:
    """The design as data; values that are None are left out."""
    head = f"# The design of record {design.number:04d}: what was measured, and what follows. Written by ninetyfive.\n"
    return head + toml_text(msgspec.to_builtins(design))


def from_toml(text: str) -> Design:
    """The design that `to_toml` wrote.

    `tomllib.TOMLDecodeError` or `msgspec.ValidationError` where it is none.
    """
    return msgspec.convert(tomllib.loads(text), Design)


def _texts(design: Design) -> tuple[dict[str, str], tuple[str, ...]]:
    """The files by ending, the one that makes a record of them last; and what could not be made."""
    found = {".md": markdown(design)}
    notices: tuple[str, ...] = ()
    try:
        found[".html"] = page(design)
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] not in ("altair", "jinja2", "vl_convert"):
            raise
        notices = (f"no page was made, as {error.name} is missing: pip install 'ninetyfive[design]' adds it",)
    return {**found, ".toml": to_toml(design)}, notices


def _deliver(folder: Path, number: int, texts: dict[str, str]) -> None:
    """Put the files in place; where it fails half-way none of them stays."""
    for left in (*folder.glob(".writing-*"), *_halves(folder)):  # what a killed writer left: nobody else is here
        shutil.rmtree(left) if left.is_dir() else left.unlink()
    writing, placed = Path(tempfile.mkdtemp(dir=folder, prefix=".writing-")), []
    try:
        for ending, text in texts.items():
            with open(writing / f"{number:04d}{ending}", "xb") as file:
                file.write(text.encode("utf-8"))
                file.flush()
                os.fsync(file.fileno())
        for ending in texts:
            target = folder / f"{number:04d}{ending}"
            os.rename(writing / target.name, target)
            placed.append(target)
        sync(folder)
    except BaseException:
        for target in reversed(placed):
            target.unlink(missing_ok=True)
        raise
    finally:
        shutil.rmtree(writing, ignore_errors=True)


def _halves(folder: Path) -> Iterator[Path]:
    """Files of numbers that never became a record."""
    whole = set(_numbers(folder, only="toml"))
    for path in folder.iterdir():
        found = _NAME.fullmatch(path.name)
        if found and int(found[1]) not in whole:
            yield path


def _numbers(folder: Path, only: str | None = None) -> Iterator[int]:
    for path in folder.iterdir() if folder.is_dir() else ():
        found = _NAME.fullmatch(path.name)
        if found and (only is None or found[2] == only):
            yield int(found[1])


@contextmanager
def _alone(folder: Path) -> Iterator[int]:
    """The open file of the last number, locked: others wait."""
    lock = os.open(folder / _LAST, os.O_RDWR | os.O_CREAT, 0o644)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield lock
    finally:
        os.close(lock)


def _read_last(lock: int) -> int:
    said = os.pread(lock, 32, 0).strip()
    return int(said) if said.isdigit() else 0
