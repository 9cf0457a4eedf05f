"""Crash points, for tests: places at which a process dies where `NINETYFIVE_CRASH` says so.

    NINETYFIVE_CRASH="DEATH POINT"
      DEATH   kill (SIGKILL) · term (SIGTERM) · raise (an exception that nobody expects)
      POINT   before STEP · computed STEP · after STEP           its function has not begun, has returned, is recorded
              after trial N                                      of a tuning, from 0, is recorded
              before commit N · after commit N                   the N-th transaction of the opened store, from 1
              after epoch N                              a streamed fit has written the checkpoint of its N-th epoch
              before publish N · after publish N                 the N-th file or folder that gets its name, from 1

Unset, a point costs a look into the environment. What does not belong here: faults of the disk, which `strace` injects.
"""

from __future__ import annotations

import os
import signal

from ninetyfive.errors import UsageError, near_names

_DEATHS = ("kill", "term", "raise")


def crash_point(point: str) -> None:
    """Die here if `NINETYFIVE_CRASH` names this point; `UsageError` where it names a death that is none.

    After SIGTERM the function may return: Python hears a signal a moment later.
    """
    asked = os.environ.get("NINETYFIVE_CRASH")
    if not asked:
        return
    death, _, where = asked.partition(" ")
    if death not in _DEATHS:
        raise UsageError(
            "NINETYFIVE_CRASH",
            expected="a death and a point, like 'kill before commit 3'",
            got=repr(asked),
            do=near_names(death, _DEATHS),
        )
    if where != point:
        return
    if death == "raise":
        raise RuntimeError(f"crash point: {point}")
    os.kill(os.getpid(), signal.SIGKILL if death == "kill" else signal.SIGTERM)
