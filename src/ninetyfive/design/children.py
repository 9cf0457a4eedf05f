"""Trainings in processes of their own: several at once, and one that has begun can be ended.

    system.py ─▶ a child, from the start ── its first trainings tell what one takes ─ decide ─▶ more children
    jobs ─▶ whoever is idle ─▶ losses          time is over, Ctrl-C ─▶ all are killed     this process gone ─▶ they end

The rule: what a child gives is what a training in this process would give; what happens to it happens to one training.
Children are started, never forked: Polars has threads by then. A child that ended by itself is replaced only where no
other is left, so that what was too much for the memory is not tried again and again.
What does not belong here: how many children (`room`), what one does (`child`, `trainer`), which trainings (`backtest`).
"""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
from pathlib import Path
from statistics import median

from ninetyfive.design.blocks import Blocks
from ninetyfive.design.child import Data, Said, System, look_of
from ninetyfive.design.history import History
from ninetyfive.design.room import PRESUMED, Known, cores, decide, free_memory, most
from ninetyfive.design.trainer import Job, Left, Outcome, Recipe, Trainer, Trains
from ninetyfive.system import Declaration

_START_SECONDS = 60.0
"""How long a child may take until it has loaded what it was given."""
_TURN = 1.0
"""Seconds after which it is looked again whether the time is over, and who is still there."""
_LOADING = 3.0
"""Seconds that the first training of a child is taken to spend on loading libraries."""
_THREADS = (
    *(f"{name}_NUM_THREADS" for name in ("OMP", "OPENBLAS", "MKL", "BLIS", "NUMEXPR")),
    *(f"{name}_MAX_THREADS" for name in ("VECLIB", "POLARS")),
)
"""By what libraries are told how many threads to use."""
_LOSSES = 3
"""After how many that were lost in a row, with no training made, no other is started."""
_WORDS = 300
_PROGRAM = "from ninetyfive.design.child import main; main()"


@dataclass(slots=True)
class Child:
    """One process: how many answers it `owes`, the job that it has, how many trainings it has made."""

    process: subprocess.Popen[bytes]
    link: Connection
    threads: int
    told: Path
    owes: int = 0
    job: Job | None = None
    begun: float = 0.0
    made: int = 0

    def give(self, order: System | Data | Job) -> None:
        """Send an order. That it is gone is heard when its answer is taken."""
        self.owes += 1
        if isinstance(order, Job):
            self.job, self.begun = order, time.monotonic()
        with suppress(OSError):
            self.link.send(order)

    def said(self) -> Said | None:
        """The next answer, which is waited for; None where it is gone."""
        try:
            found: Said = self.link.recv()
        except (EOFError, OSError):
            return None
        self.owes -= 1
        return found

    def end(self) -> None:
        """Kill it and what it started, and wait until it is gone."""
        self.link.close()
        self._kill()
        self.process.wait()

    def look(self) -> None:
        """Where it ended by itself, end what it started too, which may hold the stream open: its end is heard then."""
        if self.process.poll() is not None:
            self._kill()

    def died(self) -> str:
        """How it ended by itself, and the last words that it said."""
        self.link.close()
        with suppress(subprocess.TimeoutExpired):
            self.process.wait(_TURN)
        self._kill()
        code = self.process.wait()
        how = f"exit code {code}" if code >= 0 else f"signal {signal.Signals(-code).name}"
        if code == -signal.SIGKILL:
            how += ", as the system ends a process when memory is short"
        lines = self.told.read_text(encoding="utf-8", errors="replace").splitlines()
        last = next((line.strip() for line in reversed(lines) if line.strip()), "")
        return f"its process ended with {how}" + (f"; it said last: {last[-_WORDS:]}" if last else "")

    def _kill(self) -> None:
        """Kill all of its session, which it leads."""
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(self.process.pid, signal.SIGKILL)


class Children:
    """See `Trains`. `why_not` says why this process has to train, `reason` how many children there are, and why."""

    def __init__(self, declaration: Declaration, folder: Path) -> None:
        self.why_not: str | None = None
        self.reason: str | None = None
        self._folder, self._free, self._cores = folder, free_memory(), cores()
        self._threads = most(self._cores, self._free, PRESUMED)[1]
        self._all: list[Child] = []
        self._started = self._bytes = self._peak = 0
        self._first = self._start = 0.0
        self._took: list[float] = []
        self._grown = False
        self._losses = 0
        self._lost: str | None = None
        self._data: Data | None = None
        self._about: tuple[Recipe, Blocks] | None = None
        file, main = declaration.origin, getattr(sys.modules.get("__main__"), "__file__", None)
        if file is None or not Path(file).is_file():
            self.why_not = "the system is declared in no file"
        elif main is not None and Path(main).resolve() == Path(file).resolve():
            self.why_not = f"{file} is the program that runs, which cannot be loaded once more"
        else:
            self._system = System(file, declaration.name, look_of(declaration), tuple(sys.path))
            self._add()

    @property
    def recipe(self) -> Recipe:
        """What is trained."""
        assert self._about is not None
        return self._about[0]

    @property
    def blocks(self) -> Blocks:
        """The steps of the history."""
        assert self._about is not None
        return self._about[1]

    @property
    def processes(self) -> tuple[int, ...]:
        """The children that there are."""
        return tuple(child.process.pid for child in self._all)

    def give(self, history: History, recipe: Recipe) -> None:
        """Have the child load a history, while other things are done."""
        if self.why_not is not None or history.cannot:
            return
        file, frame = str(self._folder / "history.arrow"), history.frame.rechunk()
        frame.write_ipc(file)
        self._bytes = int(frame.estimated_size())
        said = (recipe.metrics, dict(recipe.params), recipe.seed, recipe.window, recipe.held_out)
        self._data = Data(file, history.types, history.task, *said)
        for child in self._all:
            child.give(self._data)

    def settle(self, seconds: float = _START_SECONDS) -> None:
        """Wait until the child has loaded what it was given: then it disturbs no measurement that follows."""
        until = time.monotonic() + min(seconds, _START_SECONDS)
        for child in list(self._all):
            while child.owes and self.why_not is None:
                if not child.link.poll(max(0.0, until - time.monotonic())):
                    self.why_not = "a process was not ready in time"
                    break
                said = child.said()
                self.why_not = child.died() if said is None else said.why_not
                self._start = self._start if said is None else said.seconds
        if self.why_not is not None:
            self.close()

    def trains(self, history: History, recipe: Recipe, blocks: Blocks) -> Trains:
        """Who makes the trainings: the children, or this process where there can be none."""
        self.settle()
        if self.why_not is not None:
            return Trainer(history, recipe, blocks)
        self._about = recipe, blocks
        return self

    def run(self, jobs: Sequence[Job], left: Left, kept: int = 0) -> tuple[dict[Job, Outcome], dict[Job, str]]:
        """See `Trains`. Once `left()` is 0, children that train are killed."""
        waiting, done, failed = deque(jobs), dict[Job, Outcome](), dict[Job, str]()
        while True:
            more = self._hand_out(waiting, left, kept)
            owing = [child for child in self._all if child.job is not None or (more and child.owes)]
            if not owing:
                break
            links = {child.link: child for child in owing}
            for link in wait(list(links), max(0.0, min(left(), _TURN))):
                self._hear(links[link], done, failed)  # type: ignore[index]
            for child in self._all:
                child.look()
            if left() <= 0.0:
                for child in [child for child in self._all if child.owes]:
                    self._end(child)
                break
            self._grow(len(waiting), left())
        if self._lost is not None and not self._all and left() > 0.0:
            failed |= dict.fromkeys(waiting, self._lost)
        return done, failed

    def close(self) -> None:
        """End all children."""
        while self._all:
            self._end(self._all[0])

    def _hand_out(self, waiting: deque[Job], left: Left, kept: int) -> bool:
        """Give jobs to who is idle, while there is time; whether there is one that nobody has yet."""
        for child in list(self._all):
            if not child.owes and child.threads != self._threads:
                self._end(child)
        usual = self._usual()
        needed = usual + kept * usual / max(1, len(self._all))
        for child in self._all:
            if waiting and not child.owes and left() > needed:
                child.give(waiting.popleft())
        return bool(waiting) and left() > needed

    def _hear(self, child: Child, done: dict[Job, Outcome], failed: dict[Job, str]) -> None:
        """Take an answer; a child that is gone is replaced if it was the last."""
        job, said = child.job, child.said()
        if said is None or (job is None and said.why_not is not None):
            self._lost = child.died() if said is None else str(said.why_not)
            self._end(child)
            if job is not None:
                failed[job] = self._lost
            self._losses += 1
            if not self._all and self._losses < _LOSSES:
                self._add()
        elif job is not None:
            seconds = time.monotonic() - child.begun
            if child.made:
                self._took.append(seconds)
            self._first = self._first or seconds
            child.job, child.made, self._losses = None, child.made + 1, 0
            self._peak = max(self._peak, said.peak)
            if said.outcome is not None:
                done[job] = said.outcome
            else:
                failed[job] = str(said.why_not)

    def _grow(self, waiting: int, left: float) -> None:
        """Start more children where they are worth it."""
        if self._grown or len(self._all) != 1 or not self._first:
            return
        each = self._peak + self._bytes
        known = Known(waiting, self._usual(), left, self._start, self._cores, self._free, each, self._threads)
        decision = decide(known)
        self.reason, self._threads = decision.reason, decision.threads
        self._grown = decision.children > 1
        alike = [child for child in self._all if child.threads == decision.threads]
        for _ in range(decision.children - len(alike)):
            self._add()

    def _usual(self) -> float:
        """Seconds of a training; of the first one what goes beyond loading the libraries."""
        return median(self._took) if self._took else max(0.0, self._first - _LOADING)

    def _add(self) -> None:
        self._started += 1
        told = self._folder / f"child-{self._started}"
        ours, theirs = socket.socketpair()
        with theirs:
            child = Child(
                _process(theirs.fileno(), self._threads, told), Connection(ours.detach()), self._threads, told
            )
        self._all.append(child)
        child.give(self._system)
        if self._data is not None:
            child.give(self._data)

    def _end(self, child: Child) -> None:
        child.end()
        self._all.remove(child)


@contextmanager
def children(declaration: Declaration, folder: Path) -> Iterator[Children]:
    """Children that make the trainings of a system, with files in `folder`; none of them outlives the block."""
    made = Children(declaration, folder)
    try:
        yield made
    finally:
        made.close()


def _process(descriptor: int, threads: int, told: Path) -> subprocess.Popen[bytes]:
    with told.open("wb") as stream:
        return subprocess.Popen(
            [sys.executable, "-P", "-c", _PROGRAM, str(descriptor)],
            stdin=subprocess.DEVNULL,
            stdout=stream,
            stderr=stream,
            pass_fds=(descriptor,),
            env={**os.environ, **_bounds(threads)},
            start_new_session=True,  # Ctrl-C is this process's: it ends them, with all that they start
        )


def _bounds(threads: int) -> dict[str, str]:
    """The threads that libraries may use; fewer stay as they are said."""
    said = {name: os.environ.get(name, "") for name in _THREADS}
    return {
        name: str(min(threads, int(text)) if text.isdigit() and int(text) else threads) for name, text in said.items()
    }
