"""Two baselines that are always trained: what no features tell, and what a simple model tells.

    Constant      the mean label, or the share of each class
    OneHotLinear  linear or logistic regression on one-hot codes of the transformed columns:
                  numbers → 10 quantile bins, indexes → the 50 most frequent values; each with "missing"

Both are plain data (JSON, no pickle), compared by value, and answer each row by itself. scikit-learn is imported only
to fit. What does not belong here: how much better a model is (`reducers/scores`, `decisions/gates`).
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import Any, Literal

import msgspec
import numpy as np

from ninetyfive.metrics import Task
from ninetyfive.models.predictor import Answers, Inputs, inputs
from ninetyfive.models.training import Labels

Kind = Literal["number"] | tuple[Literal["index"], int]

_BINS = 10
_CATEGORIES = 50
_ROWS = 100_000
_CELLS = 3_000_000


class Constant(msgspec.Struct, frozen=True, tag="constant"):
    """The same answer for every row: `values` is one number, or one share for each class.

    >>> import polars as pl
    >>> from ninetyfive.models.training import labels
    >>> Constant.fit(labels(pl.Series([True, False, False, False]))).predict(np.zeros((2, 3)))
    array([0.25, 0.25])
    """

    task: Task
    classes: tuple[str, ...]
    values: tuple[float, ...]

    @classmethod
    def fit(cls, y: Labels) -> Constant:
        """The mean of the labels (the share of true), or the share of each class."""
        if y.task == "multiclass":
            return cls(y.task, y.classes, tuple(float(np.mean(y.values == name)) for name in y.classes))
        return cls(y.task, (), (float(np.mean(y.values)),))

    def predict(self, x: Inputs) -> Answers:
        """The same answer for each row of `x`, in the shape of the task."""
        if self.task == "multiclass":
            return np.tile(np.array(self.values), (len(x), 1))
        return np.full(len(x), self.values[0])


class Code(msgspec.Struct, frozen=True):
    """How one column becomes one of `size` codes; the last two are "none of these" and "missing".

    Of a "number", `points` are the upper edges of the bins: code i is the first point not below the value.
    Of an "index", `points` are the values that have a code of their own, ascending.
    """

    column: str
    kind: Literal["number", "index"]
    points: tuple[float, ...]

    @property
    def size(self) -> int:
        return len(self.points) + 2

    def of(self, values: np.ndarray) -> np.ndarray:
        """The code of each value (float32 or float64), as int32."""
        points = np.array(self.points, dtype=np.float64)
        wide = values.astype(np.float64)
        codes = np.searchsorted(points, wide, side="left")
        if self.kind == "index":
            padded = np.append(points, np.nan)
            codes = np.where(padded[codes] == wide, codes, len(points))
        return np.where(np.isnan(wide), len(points) + 1, codes).astype(np.int32)


class OneHotLinear(msgspec.Struct, frozen=True, tag="one_hot_linear", dict=True):
    """A linear model on one-hot codes: a table of weights for each column, added up.

    `weights[c][k]` are the weights of code k of column c, one for each output: one for binary and regression, one for
    each class of multiclass. A code that training rows did not have weighs 0.
    """

    task: Task
    classes: tuple[str, ...]
    codes: tuple[Code, ...]
    intercept: tuple[float, ...]
    weights: tuple[tuple[tuple[float, ...], ...], ...]
    rows: int

    @classmethod
    def fit(cls, x: Inputs, y: Labels, kinds: Mapping[str, Kind]) -> OneHotLinear:
        """Fit on float32 (rows, columns); `kinds` names the columns in order and says what each is.

        At most 100,000 rows (fewer where there are more than 30 columns: 3 million cells) are fitted on, spread evenly.
        The L2 penalty is scikit-learn's default (1). Same rows, same weights.
        """
        chosen = fitted_rows(len(x), len(kinds))
        rows, x, values = len(chosen), x[chosen], y.values[chosen]
        codes = tuple(_code(name, kind, x[:, i]) for i, (name, kind) in enumerate(kinds.items()))
        intercept, flat = _solve(_one_hot(codes, x), values, y.task)
        weights, start = [], 0
        for code in codes:
            block = flat[start : start + code.size]
            weights.append(tuple(tuple(float(weight) for weight in row) for row in block))
            start += code.size
        if y.task == "multiclass":
            intercept, weights = _all_classes(y, values, intercept, weights)
        return cls(y.task, y.classes, codes, tuple(float(value) for value in intercept), tuple(weights), rows)

    def predict(self, x: Inputs) -> Answers:
        """Answers for float32 (rows, columns) in the order of `codes`; a row has the same bits in any batch."""
        x = inputs(x, len(self.codes), "linear baseline")
        total = np.tile(np.array(self.intercept), (len(x), 1))
        for index, (code, table) in enumerate(zip(self.codes, self._tables, strict=True)):
            total += table[code.of(x[:, index])]
        if self.task == "regression":
            return total[:, 0]
        if self.task == "binary":
            return np.asarray(1.0 / (1.0 + np.exp(-np.clip(total[:, 0], -700.0, 700.0))))
        powers = np.exp(total - total.max(axis=1, keepdims=True))
        return np.asarray(powers / powers.sum(axis=1, keepdims=True))

    @cached_property
    def _tables(self) -> list[np.ndarray]:
        return [np.array(table, dtype=np.float64) for table in self.weights]


Baseline = Constant | OneHotLinear


def fitted_rows(rows: int, columns: int) -> np.ndarray:
    """The places of the rows that the linear baseline is fitted on, spread evenly, ascending.

    >>> fitted_rows(5, 3).tolist()
    [0, 1, 2, 3, 4]
    """
    most = min(rows, _ROWS, max(1000, _CELLS // max(1, columns)))
    chosen: np.ndarray = np.linspace(0, rows - 1, most).round().astype(np.int64)
    return chosen


def baseline_json(baseline: Baseline) -> bytes:
    """The baseline as JSON; equal baselines, equal bytes.

    >>> baseline_json(Constant("regression", (), (1.5,)))
    b'{"type":"constant","task":"regression","classes":[],"values":[1.5]}'
    """
    return msgspec.json.encode(baseline)


def baseline_from(data: bytes) -> Baseline:
    """The baseline that `baseline_json` wrote."""
    return msgspec.json.decode(data, type=Constant | OneHotLinear)


def _code(column: str, kind: Kind, values: np.ndarray) -> Code:
    known = values[np.isfinite(values)].astype(np.float64)  # JSON holds no infinity: it falls into the last bin
    if kind == "number":
        edges = np.quantile(known, np.arange(1, _BINS) / _BINS, method="lower") if len(known) else np.zeros(0)
        return Code(column, "number", tuple(float(edge) for edge in np.unique(edges)))
    found, counts = np.unique(known, return_counts=True)
    kept = found[np.argsort(-counts, kind="stable")[:_CATEGORIES]]
    return Code(column, "index", tuple(float(value) for value in np.sort(kept)))


def _one_hot(codes: Sequence[Code], x: np.ndarray) -> Any:
    from scipy.sparse import csr_matrix

    offsets = np.cumsum([0, *(code.size for code in codes)])
    places = np.empty(x.shape, dtype=np.int32)
    for index, code in enumerate(codes):
        places[:, index] = code.of(x[:, index]) + offsets[index]
    starts = np.arange(0, x.size + 1, max(1, x.shape[1]), dtype=np.int32)
    return csr_matrix((np.ones(x.size), places.ravel(), starts), shape=(len(x), int(offsets[-1])))


def _solve(one_hot: Any, values: np.ndarray, task: Task) -> tuple[np.ndarray, np.ndarray]:
    """Intercept (outputs,) and weights (codes, outputs)."""
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.linear_model import LogisticRegression, Ridge

    if task == "regression":
        ridge = Ridge(alpha=1.0, solver="sparse_cg", tol=1e-6).fit(one_hot, values)
        return np.atleast_1d(ridge.intercept_), ridge.coef_.reshape(1, -1).T
    classes = np.unique(values)
    if len(classes) == 1:
        sign = 1.0 if task == "multiclass" or classes[0] else -1.0
        return np.array([sign * 10.0]), np.zeros((one_hot.shape[1], 1))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        model = LogisticRegression(tol=1e-4, max_iter=100).fit(one_hot, values)
    intercept, weights = model.intercept_, model.coef_.T
    if task == "multiclass" and len(classes) == 2:
        intercept, weights = np.array([0.0, intercept[0]]), np.hstack([np.zeros_like(weights), weights])
    return intercept, weights


def _all_classes(
    y: Labels, values: np.ndarray, intercept: np.ndarray, weights: list[Any]
) -> tuple[np.ndarray, list[Any]]:
    """Outputs for every class, in order; one that the chosen rows do not have is as good as impossible."""
    found = {str(name): index for index, name in enumerate(np.unique(values))}
    if len(found) == len(y.classes):
        return intercept, weights
    places = [found.get(name) for name in y.classes]
    every = np.array([-30.0 if place is None else float(intercept[place]) for place in places])
    return every, [
        tuple(tuple(0.0 if place is None else row[place] for place in places) for row in table) for table in weights
    ]
