"""The command `ninetyfive`: words in, a short table or one JSON object out.

Exit codes: 0 done, 1 the work failed, 2 the words were wrong, 3 a gate or a check said no.
"""

from __future__ import annotations

import os
import sys


def main() -> None:
    """Run the command line; the process edge, where every error becomes text and an exit code."""
    # Threads of OpenMP spin while they wait. Beside any other work on the machine that made a training of 6 s take
    # 78 s; waiting passively cost nothing that was measured. It must be said before a library that uses OpenMP loads.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    from ninetyfive.cli.commands import app
    from ninetyfive.cli.edge import run_app

    sys.exit(run_app(app, sys.argv[1:]))
