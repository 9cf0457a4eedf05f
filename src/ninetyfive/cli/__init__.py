"""The command `ninetyfive`: words in, a short table or one JSON object out.

Exit codes: 0 done, 1 the work failed, 2 the words were wrong, 3 a gate or a check said no, 130 or 143 stopped by Ctrl-C
or SIGTERM.
"""

from __future__ import annotations

import os
import signal
import sys


def main() -> None:
    """Run the command line; the process edge, where every error becomes text and an exit code."""
    # Threads of OpenMP (here: libgomp, which trains scikit-learn's trees) spin while they wait for each other. Beside
    # other work on the machine that made a training of 1.6 s take 22 s; spinning briefly makes it 5 s, and 1.9 s on an
    # idle machine. It must be said before a library that uses OpenMP loads; who sets it, or OMP_WAIT_POLICY, decides.
    os.environ.setdefault("GOMP_SPINCOUNT", "1000")
    from ninetyfive.cli.commands import app
    from ninetyfive.cli.edge import INTERRUPTED, run_app

    stopped: list[int] = []

    def stop(number: int, _: object) -> None:
        stopped.append(number)
        raise KeyboardInterrupt

    signal.signal(signal.SIGTERM, stop)  # what is stopped ends as Ctrl-C ends it
    code = run_app(app, sys.argv[1:], logs=os.environ.get("NINETYFIVE_LOG", ""))
    sys.exit(128 + stopped[0] if stopped and code == INTERRUPTED else code)
