"""Libraries loaded ahead: while data is read, a thread imports what training will need.

Importing a trainer takes a second or more of one core, and reading data waits for the disk and runs outside the
interpreter's lock, so the two pass side by side. Nothing depends on it: whoever needs a module imports it as always.
"""

from __future__ import annotations

import dis
import importlib
import threading
from collections.abc import Callable
from contextlib import suppress
from typing import Any

LIBRARIES = ("skops.io", "skl2onnx", "sklearn.linear_model", "onnxruntime")
"""What every run needs that trains: the baselines, and the adapter that saves and exports."""


def imports_of(function: Callable[..., Any]) -> tuple[str, ...]:
    """The modules that a function imports in its own body, in order.

    >>> def model(x, y, params):
    ...     from sklearn.tree import DecisionTreeClassifier
    ...     return DecisionTreeClassifier().fit(x, y)
    >>> imports_of(model)
    ('sklearn.tree',)
    """
    code = getattr(function, "__code__", None)
    found = [] if code is None else [one.argval for one in dis.get_instructions(code) if one.opname == "IMPORT_NAME"]
    return tuple(dict.fromkeys(found))


def load_ahead(function: Callable[..., Any]) -> threading.Thread:
    """Start to import what the model function and the adapters need; a module that is not there is left to its user."""

    def load() -> None:
        for name in (*imports_of(function), *LIBRARIES):
            with suppress(ImportError):
                importlib.import_module(name)

    thread = threading.Thread(target=load, name="ninetyfive-load-ahead", daemon=True)
    thread.start()
    return thread
