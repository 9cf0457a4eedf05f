"""Points at which the small system is injured: each call by which the store changes the disk, and its crash points.

    a whole run under strace ─▶ calls: (rename, 1, lease.json) (fsync, 1, …) … ─▶ those on the store's own paths
    "fsync:error=EIO:when=7" ─▶ the seventh fsync of the main thread, which does all that the store does on the disk

What does not belong here: what is wrong afterwards (`fire`, `invariants`).
"""

from __future__ import annotations

import random
import re
import shutil
import subprocess
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.store.fire import ENDS, REFUSED, Small, problems
from tests.store.nursery import Ended

KINDS = {"SIGKILL": "signal=SIGKILL", "EIO": "error=EIO", "ENOSPC": "error=ENOSPC"}
RENAMES = ("rename", "renameat", "renameat2")
SYNCS = ("fsync", "fdatasync")
WRITES = ("write", "pwrite64")
WELL = {"run": REFUSED, "promote": 0}
"""How each command ends that nothing injures."""
CALL = re.compile(r"^(\w+)\((?P<arguments>.*)\) += ")
PATH = re.compile(r"<([^>]*)>|\"([^\"]*)\"")


@dataclass(frozen=True)
class Call:
    """The `number`-th call of a kind in a command, and the path that it is on."""

    name: str
    number: int
    path: str


@dataclass(frozen=True)
class Point:
    """One injury: of what kind, at which call, of which command.

    `after` is a crash point at which a run was killed before, so that in the one that goes on the call is one of a
    thread of the engine: strace counts the calls of each thread by itself.
    """

    command: str
    kind: str
    call: str
    number: int
    after: str = ""

    @property
    def inject(self) -> str:
        """In the words of strace."""
        return f"{self.call}:{KINDS[self.kind]}:when={self.number}"


def may_trace() -> bool:
    """Whether there is a strace here that may trace a child."""
    if shutil.which("strace") is None:
        return False
    words = ["strace", "-o", "/dev/null", "-e", "trace=fsync", "-e", "inject=fsync:error=EIO:when=1", "true"]
    return subprocess.run(words, check=False, capture_output=True).returncode == 0


def calls(folder: Path) -> list[Call]:
    """What a traced command did to the project's own files, in order; numbers count all calls, as strace does."""
    seen: Counter[str] = Counter()
    found = []
    for line in _lines(folder):
        call = CALL.match(line)
        if call is None:
            continue
        seen[call[1]] += 1
        path = _path(call["arguments"])
        if _own(folder, path):
            found.append(Call(call[1], seen[call[1]], path))
    return found


def all_calls(whole: Small, folder: Path) -> dict[str, list[Call]]:
    """{command: its calls} of a whole run and promotion of a new system in `folder`."""
    small = Small.new(folder, whole.nursery)
    found = {}
    for command in WELL:
        ended = small.run(*_words(command, whole), inject="")
        assert ended.code == WELL[command], ended.err
        found[command] = calls(folder)
    return found


def drawn(calls: dict[str, list[Call]], names: tuple[str, ...], number: int, seed: int) -> list[Point]:
    """So many different points on calls of these names, each of a kind that is drawn too."""
    chance = random.Random(seed)
    every = [(command, call) for command, some in calls.items() for call in some if call.name in names]
    some = chance.sample(every, min(number, len(every)))
    return [Point(command, chance.choice(list(KINDS)), call.name, call.number) for command, call in some]


def every(calls: dict[str, list[Call]], names: tuple[str, ...], kinds: tuple[str, ...]) -> Iterator[Point]:
    """Every call of these names with every kind."""
    for command, some in calls.items():
        for call in some:
            if call.name in names:
                yield from (Point(command, kind, call.name, call.number) for kind in kinds)


def some_of_each(
    calls: dict[str, list[Call]], names: tuple[str, ...], kinds: tuple[str, ...], seed: int
) -> list[Point]:
    """Of the calls that are alike (one command, name and place) the first and one that a seed draws; a drawn kind each.

    A place is a path without what is another one in each run: eleven artifacts are renamed by one line of code.
    """
    chance = random.Random(seed)
    alike: dict[tuple[str, str, str], list[Call]] = {}
    for command, some in calls.items():
        for call in some:
            if call.name in names:
                alike.setdefault((command, call.name, _place(call.path)), []).append(call)
    return [
        Point(command, chance.choice(kinds), call.name, call.number)
        for (command, _, _), some in alike.items()
        for call in (some[0], *chance.sample(some[1:], min(1, len(some) - 1)))
    ]


def of_threads() -> list[Point]:
    """The syncs of the Parquet files that threads of the engine write: good rows, quarantine; training rows."""
    made, applied = "after commit 1", "before apply"
    places = ((made, 1), (made, 2), (applied, 1))
    return [Point("run", kind, "fsync", number, after) for kind in KINDS for after, number in places]


def struck(folder: Path, call: str) -> str | None:
    """The path of the call that was injured in the last traced command, None where none was reached."""
    lines = [line for line in _lines(folder) if line.startswith(f"{call}(")]
    for line in lines:
        if line.endswith("(INJECTED)"):
            return _path(line)
    cut = [line for line in lines if line.endswith(("= ?", "<unfinished ...>"))]
    return _path(cut[-1]) if cut else None


@dataclass(frozen=True)
class Judged:
    """What came of an injury: `reached` it, and what was wrong."""

    point: Point
    reached: bool
    verdict: str
    problems: tuple[str, ...]


def injure(point: Point, whole: Small, folder: Path, before: Sequence[Point] = ()) -> Judged:
    """A new system in `folder`, injured at one point, judged, finished, judged; the folder goes if all is well.

    `before` are injuries of runs before that one, which then finds what they left.
    """
    small = _ready(point.command, whole, folder)
    for earlier in before:
        small.run(inject=earlier.inject)
    if point.after:
        small.run(env={"NINETYFIVE_CRASH": f"kill {point.after}"})
    ended = small.run(*_words(point.command, whole), inject=point.inject, threads=bool(point.after))
    path = struck(folder, point.call)
    wrong = [] if path is None or _own(folder, path) else [f"it struck another path: {path}"]
    wrong += trusted(folder)
    wrong += problems(small, ended, whole, _ends(point, path), promote=point.command == "promote")
    if not wrong:
        shutil.rmtree(folder)
    return Judged(point, path is not None, _verdict(ended), tuple(wrong))


def crash(point: Point, whole: Small, folder: Path) -> Judged:
    """The same at a crash point; not reached where the command has not so many of them."""
    small = _ready(point.command, whole, folder)
    told = {"NINETYFIVE_CRASH": f"{point.kind} {point.call} {point.number}"}
    ended = small.run(*_words(point.command, whole), env=told)
    reached = ended.code != WELL[point.command]
    ends = {ENDS[point.kind]} if reached else {WELL[point.command]}
    wrong = problems(small, ended, whole, ends, promote=point.command == "promote")
    if not wrong:
        shutil.rmtree(folder)
    return Judged(point, reached, _verdict(ended), tuple(wrong))


def trusted(folder: Path) -> list[str]:
    """What was trusted though its fsync had failed: synced again, or left where the next run finds it in memory."""
    lines = _lines(folder)
    failed = next((place for place, line in enumerate(lines) if line.endswith("(INJECTED)")), None)
    if failed is None or not lines[failed].startswith("fsync("):
        return []
    path = _path(lines[failed])
    again = [line for line in lines[failed + 1 :] if line.startswith("fsync(") and _path(line) == path]
    names = [_path(line) for line in lines[:failed] if line.startswith("rename")]
    kept = [name for name in names[-1:] if str(Path(name).parent) == path and Path(name).exists()]
    return [f"synced again: {line}" for line in again] + [f"kept though its name may not last: {name}" for name in kept]


def _ready(command: str, whole: Small, folder: Path) -> Small:
    small = Small.new(folder, whole.nursery)
    if command == "promote":
        small.run()
    return small


def _words(command: str, whole: Small) -> tuple[str, ...]:
    return (command,) if command == "run" else (command, whole.release)


def _verdict(ended: Ended) -> str:
    names = {-9: "killed", 143: "stopped", 1: "refused clearly", REFUSED: "went on", 0: "went on"}
    return names.get(ended.code, f"exit {ended.code}")


def _ends(point: Point, path: str | None) -> set[int]:
    """How a command may end. What SQLite does not look at, or does without, may be injured and the command go on."""
    well = WELL[point.command]
    if path is None:
        return {well}
    if point.kind == "SIGKILL":
        return {-9}
    unheard = point.call == "fdatasync" and path.endswith("/.ninetyfive")
    return {1, well} if unheard else {1}


def _lines(folder: Path) -> list[str]:
    """What strace saw, without the numbers of threads."""
    return [re.sub(r"^\d+ +", "", line) for line in (folder / "trace").read_text().splitlines()]


def _path(arguments: str) -> str:
    """The path in the arguments of a call: that of its descriptor; of a rename, what it becomes."""
    found = [one or other for one, other in PATH.findall(arguments) if one or other]
    return found[-1] if found else ""


def _place(path: str) -> str:
    """A path without hashes, names of attempts, and what the files of a release are called."""
    blank = re.sub(r"/tmp/[^/]+/[^/]+", "/tmp/attempt", re.sub(r"[0-9a-f]{16,}", "#", path))
    return re.sub(r"(/release(?:-#)?)/(?!manifest)[^/]+$", r"\1/file", blank)


def _own(folder: Path, path: str) -> bool:
    """A path of the project, but not what our own tests write there."""
    inside = Path(path).is_relative_to(folder)
    return inside and path not in {str(folder / name) for name in ("out", "err", "trace")}
