"""The front of a container on Vertex AI: brings the folder of a service here, and becomes its worker.

    AIP_STORAGE_URI ─ copied ─▶ scratch: config.json, release/, table/ ─ exec ─▶ python -m ninetyfive.serve config.json

The rule: one image serves every release; which one, its folder says. A worker reads no bucket, so this process does,
and is gone when the worker begins. The worker holds every byte of the release against its manifest before it listens.
What does not belong here: port and routes (`serve.worker` takes those that AIP_… names), what writes the folder
(`supervise.deploying`).
"""

from __future__ import annotations

import os
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import NoReturn

import fsspec

CONFIG = "config.json"
COMMAND = ("python", "-P", "-m", "ninetyfive.managed.container")
"""What starts a container; `python` is that of the image."""


def main() -> NoReturn:
    """Serve what `AIP_STORAGE_URI` names; exit code 1 says on stderr what is wrong with it."""
    folder = fetched(os.environ, Path(tempfile.mkdtemp(prefix="ninetyfive-")))
    os.chdir(folder)
    os.execv(sys.executable, [sys.executable, "-P", "-m", "ninetyfive.serve", CONFIG])


def fetched(environment: Mapping[str, str], scratch: Path) -> Path:
    """The folder of the service as a copy in `scratch`; `SystemExit` says what was found instead."""
    url = environment.get("AIP_STORAGE_URI", "").rstrip("/")
    if not url:
        sys.exit("AIP_STORAGE_URI: expected the folder of a service, got none. To do: upload a model with artifacts.")
    target = scratch / "service"
    try:
        files, path = fsspec.core.url_to_fs(url)
        files.get(f"{path}/", f"{target}/", recursive=True)
    except (OSError, ImportError, ValueError) as error:
        sys.exit(f"{url}: expected a folder that can be read, got {type(error).__name__}: {error}")
    if not (target / CONFIG).is_file():
        sys.exit(f"{url}: expected a folder with {CONFIG}, got one without. To do: submit the release again.")
    return target


if __name__ == "__main__":
    main()
