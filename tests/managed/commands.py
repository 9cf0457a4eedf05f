"""Commands of tests that meet a server of a managed service: what the environment says to them."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

SAID = {
    "PROJECT": "my-project",
    "REGION": "europe-west1",
    "IMAGE": "europe-docker.pkg.dev/my-project/ninetyfive/run:1",
    "SERVICE_ACCOUNT": "ninetyfive@my-project.iam.gserviceaccount.com",
    "POLL": "0.01",
    "PATIENCE": "1",
}


def meet(monkeypatch: pytest.MonkeyPatch, temporary: Path | str, **said: str) -> None:
    """Commands of a test, and of processes that it starts, say `SAID` of services, and `said` over it."""
    for name, value in {**SAID, "TEMPORARY": str(temporary), **said}.items():
        monkeypatch.setenv(f"NINETYFIVE_MANAGED_{name}", value)


def elsewhere(monkeypatch: pytest.MonkeyPatch, catalog: str) -> None:
    """The settings of a service that is not on this machine."""
    meet(monkeypatch, "gs://bucket/temporary")
    monkeypatch.setenv("NINETYFIVE_STORE", "gs://bucket/store")
    monkeypatch.setenv("NINETYFIVE_CATALOG", catalog)


def killed(words: list[str], folder: Path, **environment: str) -> int:
    """The exit code of a command in a process of its own."""
    command = [sys.executable, "-m", "ninetyfive.cli", *words]
    return subprocess.run(command, cwd=folder, env={**os.environ, **environment}, check=False).returncode
