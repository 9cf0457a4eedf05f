"""Workers to measure: a config, a socket, a process; and the floor, which takes the same config.

What does not belong here: whoever else may answer (`bench/peers`).
"""

from __future__ import annotations

import socket
from pathlib import Path

import msgspec
from bench.load.processes import Contestant, listen, start
from bench.load.releases import Served

from ninetyfive.serve.messages import Limits, Live, Log, Policy, WorkerConfig


def config(
    name: str, served: Served, live: Live, policy: Policy, folder: Path, limits: Limits | None = None
) -> WorkerConfig:
    """The config of a worker that logs in `fast` mode and counts, in files under `folder`."""
    (folder / name / "log").mkdir(parents=True, exist_ok=True)
    return WorkerConfig(
        name=name,
        system=served.system,
        live=live,
        policy=policy,
        limits=limits or Limits(),
        log=Log(folder=str(folder / name / "log"), mode="fast"),
        counters=str(folder / name / "counters"),
    )


def begin(module: str, given: WorkerConfig, folder: Path, sock: socket.socket | None = None) -> Contestant:
    """Start `python -m module` with the config, on `sock` or on one of its own."""
    own = sock or listen()
    file = folder / given.name / "config.json"
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(msgspec.json.encode(msgspec.structs.replace(given, listen_fd=own.fileno())))
    noise = folder / given.name / "noise"
    process = start(["-m", module, str(file)], noise, (own.fileno(),))
    who = Contestant(given.name, own.getsockname()[1], f"/v1/models/{given.system}:predict", process, noise)
    if sock is None:
        own.close()
    return who
