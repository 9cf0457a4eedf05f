"""`import ninetyfive` costs nothing: no engine, trainer, server or store is loaded by it."""

from __future__ import annotations

import json
import subprocess
import sys

HEAVY = {
    *["polars", "numpy", "pyarrow", "pandas", "scipy"],
    *["sklearn", "skops", "onnx", "skl2onnx", "onnxruntime", "optuna"],
    *["sqlalchemy", "uvicorn", "typer", "rich", "pyspark", "apache_beam", "tensorflow"],
}


def loaded_by(code: str) -> set[str]:
    """The top-level modules that are loaded in a fresh interpreter after `code`."""
    script = f"{code}\nimport json, sys; print(json.dumps(sorted({{name.partition('.')[0] for name in sys.modules}})))"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    return set(json.loads(done.stdout.splitlines()[-1]))


def test_import_loads_nothing_heavy() -> None:
    assert not loaded_by("import ninetyfive") & HEAVY


def test_public_names_load_nothing_heavy() -> None:
    code = "import ninetyfive\nfor name in getattr(ninetyfive, '__all__', ()): getattr(ninetyfive, name)"
    assert not loaded_by(code) & HEAVY


HOMES = """
import ninetyfive
from ninetyfive import *
assert set(ninetyfive.__all__) == {"__version__", *sum(ninetyfive._HOMES.values(), ())}
assert col and System and not hasattr(ninetyfive, "nothing")
"""


def test_every_public_name_has_a_home() -> None:
    assert "ninetyfive" in loaded_by(HOMES)
