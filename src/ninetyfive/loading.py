"""Executes the file that declares a system, and tells which modules are the project's own.

What does not belong here: who declares what in the file.
"""

from __future__ import annotations

import importlib.util
import os
import re
import sys
import sysconfig
import traceback
from contextlib import redirect_stdout
from pathlib import Path
from types import ModuleType

from ninetyfive.errors import DeclarationError, NinetyfiveError, UsageError

_PACKAGES = re.compile(r"[/\\](site|dist)-packages[/\\]")


def executed(path: Path) -> dict[str, object]:
    """The names of the file `path`, executed as the module `system`; its folder is importable from then on.

    What it prints goes to stderr. No Python file: `UsageError`. A fault in it: `DeclarationError` with its line.
    """
    if not path.is_file():
        raise UsageError(
            str(path),
            expected="a file that declares a system",
            got="no such file",
            do="go to the project's folder, name it with --system, or start one with `ninetyfive init`",
        )
    spec = importlib.util.spec_from_file_location("system", path)
    if spec is None or spec.loader is None:
        raise UsageError(str(path), expected="a Python file", got=path.suffix or "no suffix", do="name it system.py")
    module = importlib.util.module_from_spec(spec)
    sys.modules["system"] = module
    sys.path.insert(0, str(path.resolve().parent))
    try:
        # Not by the loader: it knows compiled files by second and size, and may run an edit before this one.
        with redirect_stdout(sys.stderr):  # stdout is for what the command says
            exec(compile(path.read_bytes(), str(path), "exec"), module.__dict__)
    except NinetyfiveError:
        raise
    except (Exception, SystemExit) as error:  # the file is the user's: whatever it raises is told with its place
        frames = [
            one for one in traceback.extract_tb(error.__traceback__) if Path(one.filename).resolve() == path.resolve()
        ]
        line = frames[-1].lineno if frames else getattr(error, "lineno", None)
        raise DeclarationError(
            f"{path}, line {line}" if line else str(path),
            expected="a file that Python can execute",
            got=f"{type(error).__name__}: {error}",
            do="correct that line",
        ) from error
    return module.__dict__


def own_modules() -> list[ModuleType]:
    """The modules of the project: in files that are neither ours, nor in a folder of packages, nor of Python itself."""
    python = tuple({sysconfig.get_path(kind) + os.sep for kind in ("stdlib", "platstdlib")})
    return [
        module
        for name, module in list(sys.modules.items())
        if (path := getattr(module, "__file__", None))
        and path.endswith(".py")
        and not path.startswith(python)
        and not _PACKAGES.search(path)
        and module.__name__ == name != "__main__"
        and name.partition(".")[0] not in ("ninetyfive", "pyspark", "py4j")
    ]
