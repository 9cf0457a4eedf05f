"""The code blocks of README.md and docs/ do what they say.

A ```python or ```console block of README.md carries a comment in the line above it; in docs/ it may:

    <!-- file: system.py -->   the block is written to this file, in a folder that the blocks of one page share
    <!-- runs -->              it is run there: a console block's commands must print what stands below them
    <!-- shown: reason -->     it is only shown, for this reason

The folder holds a copy of examples/. In expected output `...` stands for anything, and white space counts as one
blank; a command that fails ends its output with a line `exit N`. A python block may be a script or a `>>>` session.
"""

from __future__ import annotations

import doctest
import os
import re
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
BLOCK = re.compile(
    r"^(?:<!-- (?P<verb>file|runs|shown)(?:: (?P<value>.+?))? -->\n)?```(?P<language>\w+)[^\n]*\n(?P<text>.*?)^```$",
    re.MULTILINE | re.DOTALL,
)
COMMAND = re.compile(r"^\$ (?P<command>(?:.*\\\n)*.*)\n?(?P<output>(?:(?!\$ ).*\n?)*)", re.MULTILINE)


@dataclass(frozen=True)
class Block:
    page: str
    line: int
    language: str
    verb: str | None
    value: str | None
    text: str


def blocks(page: str) -> list[Block]:
    """The python, console and toml blocks of a page, in order."""
    content = (ROOT / page).read_text(encoding="utf-8")
    return [
        Block(page, content.count("\n", 0, found.start()) + 1, *found.group("language", "verb", "value", "text"))
        for found in BLOCK.finditer(content)
    ]


PAGES = {
    page: blocks(page)
    for page in ["README.md", *(path.relative_to(ROOT).as_posix() for path in sorted((ROOT / "docs").rglob("*.md")))]
}
RUNNING = [page for page, found in PAGES.items() if any(block.verb == "runs" for block in found)]


def run(command: list[str], folder: Path) -> tuple[int, str]:
    """The exit code of a command and what it prints on both streams."""
    keep = {name: value for name, value in os.environ.items() if not name.startswith("NINETYFIVE_")}
    path = os.pathsep.join([str(Path(sys.executable).parent), keep.get("PATH", "")])
    environment = {**keep, "PATH": path, "COLUMNS": "120", "NO_COLOR": "1", "TERM": "dumb"}
    done = subprocess.run(
        command, cwd=folder, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False
    )
    return done.returncode, done.stdout


def agree(expected: str, got: str) -> bool:
    return doctest.OutputChecker().check_output(
        expected.rstrip() + "\n", got.rstrip() + "\n", doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE
    )


def check_console(block: Block, folder: Path) -> None:
    for found in COMMAND.finditer(block.text):
        code, output = run(["bash", "-c", found["command"]], folder)
        output += f"exit {code}\n" if code else ""
        assert agree(found["output"], output), f"{block.page}:{block.line}: $ {found['command']}\n{output}"


def check_python(block: Block, folder: Path) -> None:
    is_session = block.text.lstrip().startswith(">>>")
    script = folder / f"block-{block.line}.{'txt' if is_session else 'py'}"
    script.write_text(block.text, encoding="utf-8")
    how = ["-m", "doctest", "-o", "ELLIPSIS"] if is_session else ["-W", "error"]
    code, output = run([sys.executable, *how, script.name], folder)
    assert code == 0, f"{block.page}:{block.line}:\n{output}"


@pytest.mark.slow
@pytest.mark.parametrize("page", RUNNING)
def test_the_blocks_of_a_page_do_what_they_say(page: str, tmp_path: Path) -> None:
    made = shutil.ignore_patterns(".ninetyfive", "build", "__pycache__")
    shutil.copytree(ROOT / "examples", tmp_path / "examples", ignore=made)
    for block in PAGES[page]:
        if block.verb == "file":
            (tmp_path / str(block.value)).write_text(block.text, encoding="utf-8")
        elif block.verb == "runs":
            (check_console if block.language == "console" else check_python)(block, tmp_path)


def test_every_block_of_the_readme_is_run_or_says_why_not() -> None:
    silent = [
        f"README.md:{block.line}"
        for block in PAGES["README.md"]
        if block.language in ("python", "console")
        and (block.verb is None or (block.verb == "shown" and not block.value))
    ]
    assert not silent


def test_the_readme_shows_code_and_output_in_its_first_40_lines() -> None:
    assert any(block.line <= 40 and block.language == "console" for block in PAGES["README.md"])
