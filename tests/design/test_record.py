"""record.py: three files or none, numbers that count up, and data that is read back as it was."""

from __future__ import annotations

import builtins
import contextlib
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from tests.design.designs import bare, design, generated

from ninetyfive.design.evidence import Design
from ninetyfive.design.record import from_toml, numbers, read_record, record_path, to_toml, write_record
from ninetyfive.errors import IntegrityError, StoreError, UsageError

ENDINGS = ("html", "md", "toml")


def held(folder: Path) -> dict[str, bytes]:
    """Every file below the folder of records, by name."""
    there = folder / "design"
    return {path.name: path.read_bytes() for path in sorted(there.rglob("*")) if path.is_file()}


def test_a_record_is_three_files_with_the_next_number(tmp_path: Path) -> None:
    first, second = write_record(tmp_path, design()), write_record(tmp_path, bare())
    assert (first.design.number, second.design.number) == (1, 2)
    assert {name for name in held(tmp_path) if name[0].isdigit()} == {f"000{n}.{e}" for n in (1, 2) for e in ENDINGS}
    assert read_record(first.data) == first.design
    assert read_record(second.data) == second.design
    assert first.markdown.read_text(encoding="utf-8").startswith("# Design 0001 of trips\n")
    assert first.page is not None
    assert "Design 0001 of trips" in first.page.read_text(encoding="utf-8")
    assert first.notices == ()
    assert numbers(tmp_path) == [1, 2]
    assert record_path(tmp_path) == second.data
    assert record_path(tmp_path, 1) == first.data


def test_a_number_is_never_given_twice(tmp_path: Path) -> None:
    for _ in range(2):
        record = write_record(tmp_path, bare())
    for path in (record.markdown, record.data, record.page):
        assert path is not None
        path.unlink()
    assert write_record(tmp_path, bare()).design.number == 3
    (tmp_path / "design" / ".number").unlink()  # as where somebody put only the records under version control
    assert write_record(tmp_path, bare()).design.number == 4


@given(generated())
@settings(max_examples=30, deadline=None, suppress_health_check=list(HealthCheck), phases=[Phase.reuse, Phase.generate])
def test_the_data_of_any_design_is_read_back(made: Design) -> None:
    assert from_toml(to_toml(made)) == made


def test_none_is_left_out_of_the_data(tmp_path: Path) -> None:
    made = design(prices={"currency": "EUR", "point_day": None, "cpu_hour": 0.03})
    back = read_record(write_record(tmp_path, made).data)
    assert back.prices == {"currency": "EUR", "cpu_hour": 0.03}
    assert "point_day" not in to_toml(made)


USES = {"mkdtemp": 1, "open": 3, "fsync": 5, "rename": 3}
"""How often a record that is written uses each call that changes the disk."""


@pytest.mark.parametrize("call", USES)
def test_a_failure_half_way_leaves_the_records_of_before(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, call: str
) -> None:
    """Each call that changes the disk fails once: at its first use, its second …, until the record is written."""
    write_record(tmp_path, bare())
    before = held(tmp_path)
    for nth in range(1, USES[call] + 2):
        with monkeypatch.context() as patch:
            failed = fail_at(patch, call, nth)
            refused = pytest.raises(StoreError, match="no room") if nth <= USES[call] else contextlib.nullcontext()
            with refused:
                write_record(tmp_path, bare())
            assert len(failed) == (nth <= USES[call])
            if not failed:
                break
        now = held(tmp_path)
        assert {name: now[name] for name in before if name[0].isdigit()} == {
            n: before[n] for n in before if n[0] != "."
        }
        assert {name[:4] for name in now if name[0].isdigit()} == {"0001"}
    assert len(numbers(tmp_path)) == 2


def fail_at(patch: pytest.MonkeyPatch, call: str, nth: int) -> list[int]:
    """Let the `nth` use of a call fail as a full disk does; the list is filled when it did."""
    import tempfile

    owner: Any = {"mkdtemp": tempfile, "open": builtins, "fsync": os, "rename": os}[call]
    real, uses, failed = getattr(owner, call), [0], []

    def once(*args: Any, **words: Any) -> Any:
        mine = call != "open" or ".writing-" in str(args[0])
        uses[0] += mine
        if mine and uses[0] == nth:
            failed.append(nth)
            raise OSError(28, "no room")
        return real(*args, **words)

    patch.setattr(owner, call, once)
    return failed


KILLED = """
import os, sys
from pathlib import Path
from ninetyfive.design.record import write_record
from tests.design.designs import bare
left, real = int(sys.argv[2]), os.rename
def rename(a, b):
    global left
    left -= 1
    if left < 0:
        os._exit(9)
    real(a, b)
os.rename = rename
write_record(Path(sys.argv[1]), bare())
"""


@pytest.mark.slow
@pytest.mark.parametrize("renames", [0, 1, 2])
def test_what_a_killed_writer_left_is_no_record_and_goes(tmp_path: Path, renames: int) -> None:
    done = python(KILLED, str(tmp_path), str(renames))
    assert done.wait() == 9
    assert numbers(tmp_path) == []
    assert write_record(tmp_path, bare()).design.number == 2
    assert {name for name in held(tmp_path) if name != ".number"} == {f"0002.{ending}" for ending in ENDINGS}


@pytest.mark.slow
def test_writers_at_once_get_a_number_each(tmp_path: Path) -> None:
    code = KILLED.replace("os.rename = rename", "")
    writers = [python(code, str(tmp_path), "0") for _ in range(4)]
    assert [one.wait() for one in writers] == [0, 0, 0, 0]
    assert numbers(tmp_path) == [1, 2, 3, 4]
    assert [read_record(record_path(tmp_path, number)).number for number in (1, 2, 3, 4)] == [1, 2, 3, 4]


def python(code: str, *words: str) -> subprocess.Popen[bytes]:
    root = Path(__file__).parents[2]
    return subprocess.Popen([sys.executable, "-c", code, *words], cwd=root)


def test_without_the_extra_there_is_no_page_and_a_notice_says_how(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "altair", None)
    record = write_record(tmp_path, design())
    assert record.page is None
    assert record.paths()["html"] is None
    assert "pip install 'ninetyfive[design]'" in record.notices[0]
    assert {name for name in held(tmp_path) if name[0].isdigit()} == {"0001.md", "0001.toml"}
    assert read_record(record.data) == record.design


def test_what_is_no_record_says_so(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="run `ninetyfive design` first"):
        record_path(tmp_path)
    write_record(tmp_path, bare())
    with pytest.raises(UsageError, match="there are: 1"):
        record_path(tmp_path, 7)
    with pytest.raises(UsageError, match="no such file"):
        read_record(tmp_path / "design" / "0007.toml")
    for damage in (b"number = ", b"\xff", b"number = 1\n"):
        (tmp_path / "design" / "0001.toml").write_bytes(damage)
        with pytest.raises(IntegrityError, match=r"0001\.toml"):
            read_record(tmp_path / "design" / "0001.toml")
    (tmp_path / "design" / "0001.toml").unlink()
    (tmp_path / "design" / "0001.toml").mkdir()
    with pytest.raises(IntegrityError, match=r"0001\.toml"):
        read_record(tmp_path / "design" / "0001.toml")
