"""The other 95 % of a production machine-learning system, around a model you bring."""

from typing import TYPE_CHECKING, Any

from ninetyfive.version import __version__

if TYPE_CHECKING:
    from ninetyfive.api import System
    from ninetyfive.errors import NinetyfiveError
    from ninetyfive.features.recording import Expr, coalesce, col, concat, cross, feature, greatest, least, pca, when
    from ninetyfive.paradigms import DynamicServing, DynamicTraining, HybridServing, StaticServing, StaticTraining
    from ninetyfive.sources.files import Source, bigquery, csv, frame, jsonl, parquet, pubsub, request_log
    from ninetyfive.system import Gate, Split
    from ninetyfive.tuning import Tuning, float_range, int_range

__all__ = [
    "DynamicServing",
    "DynamicTraining",
    "Expr",
    "Gate",
    "HybridServing",
    "NinetyfiveError",
    "Source",
    "Split",
    "StaticServing",
    "StaticTraining",
    "System",
    "Tuning",
    "__version__",
    "bigquery",
    "coalesce",
    "col",
    "concat",
    "cross",
    "csv",
    "feature",
    "float_range",
    "frame",
    "greatest",
    "int_range",
    "jsonl",
    "least",
    "parquet",
    "pca",
    "pubsub",
    "request_log",
    "when",
]

_HOMES = {
    "api": ("System",),
    "errors": ("NinetyfiveError",),
    "features.recording": ("Expr", "coalesce", "col", "concat", "cross", "feature", "greatest", "least", "pca", "when"),
    "paradigms": ("DynamicServing", "DynamicTraining", "HybridServing", "StaticServing", "StaticTraining"),
    "sources.files": ("Source", "bigquery", "csv", "frame", "jsonl", "parquet", "pubsub", "request_log"),
    "system": ("Gate", "Split"),
    "tuning": ("Tuning", "float_range", "int_range"),
}
"""Where each public name is at home: it is imported when it is asked for, so that a worker, which asks for none, pays
for none."""


def __getattr__(name: str) -> Any:
    from importlib import import_module

    for home, names in _HOMES.items():
        if name in names:
            value = globals()[name] = getattr(import_module(f"ninetyfive.{home}"), name)
            return value
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
