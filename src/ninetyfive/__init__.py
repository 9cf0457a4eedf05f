"""The other 95 % of a production machine-learning system, around a model you bring."""

from ninetyfive.api import System
from ninetyfive.errors import NinetyfiveError
from ninetyfive.features.recording import Expr, coalesce, col, concat, cross, feature, greatest, least, pca, when
from ninetyfive.paradigms import DynamicServing, DynamicTraining, HybridServing, StaticServing, StaticTraining
from ninetyfive.sources.files import Source, csv, frame, jsonl, parquet, request_log
from ninetyfive.system import Gate, Split
from ninetyfive.version import __version__

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
    "__version__",
    "coalesce",
    "col",
    "concat",
    "cross",
    "csv",
    "feature",
    "frame",
    "greatest",
    "jsonl",
    "least",
    "parquet",
    "pca",
    "request_log",
    "when",
]
