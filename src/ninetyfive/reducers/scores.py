"""How good predictions are: counts and sums from which every metric follows, mergeable like any other summary.

    label, prediction ─ BinaryScores · ClassScores · NumberScores ─▶ state ─ result ─▶ {metric: value, …}

A row whose label is null is counted as `unlabelled`, one whose prediction is null, NaN, infinite or (for probabilities)
outside [0, 1] as `unpredicted`; neither is scored. A metric that is not defined (no rows, one class) is None.
What does not belong here: how sure a metric is (`intervals`), which direction is better (`ninetyfive.metrics`).
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import msgspec
import numpy as np
import polars as pl

_CLIP = 1e-15
_SMALLEST = 2.0**-20
_SHIFT = 13
_BASE = int(np.float32(_SMALLEST).view(np.uint32)) >> _SHIFT
_HALF = (int(np.float32(0.5).view(np.uint32)) >> _SHIFT) - _BASE

Result = dict[str, Any]


class Tally(msgspec.Struct, frozen=True):
    """Counts by key: `keys` int64 ascending, `counts` int64 (keys, columns)."""

    keys: np.ndarray
    counts: np.ndarray

    @classmethod
    def of(cls, keys: np.ndarray, column: np.ndarray, columns: int) -> Tally:
        """Count each key, in the column that stands beside it."""
        found, places = np.unique(keys, return_inverse=True)
        counts = np.bincount(places * columns + column, minlength=len(found) * columns)
        return cls(found.astype(np.int64), counts.reshape(len(found), columns).astype(np.int64))

    def merge(self, other: Tally) -> Tally:
        """The counts of both."""
        found, places = np.unique(np.concatenate([self.keys, other.keys]), return_inverse=True)
        counts = np.zeros((len(found), self.counts.shape[1]), dtype=np.int64)
        counts[places[: len(self.keys)]] += self.counts
        counts[places[len(self.keys) :]] += other.counts
        return Tally(found, counts)

    def packed(self) -> tuple[bytes, bytes]:
        """Little-endian bytes of both arrays."""
        return self.keys.astype("<i8").tobytes(), self.counts.astype("<i8").tobytes()

    @classmethod
    def unpacked(cls, data: tuple[bytes, bytes], columns: int) -> Tally:
        """What `packed` gave."""
        keys, counts = (np.frombuffer(part, dtype="<i8").astype(np.int64) for part in data)
        return cls(keys, counts.reshape(-1, columns))


class Scored(msgspec.Struct, frozen=True):
    """The state of every reducer here: counts of rows, sums of numbers, and a tally."""

    rows: int
    unlabelled: int
    unpredicted: int
    sums: tuple[float, ...]
    tally: Tally


def _merge(left: Scored, right: Scored) -> Scored:
    if not right.rows + right.unlabelled + right.unpredicted:
        return left
    if not left.rows + left.unlabelled + left.unpredicted:
        return right
    return Scored(
        left.rows + right.rows,
        left.unlabelled + right.unlabelled,
        left.unpredicted + right.unpredicted,
        tuple(one + two for one, two in zip(left.sums, right.sums, strict=True)),
        left.tally.merge(right.tally),
    )


def _encode(state: Scored) -> bytes:
    return msgspec.msgpack.encode((state.rows, state.unlabelled, state.unpredicted, state.sums, state.tally.packed()))


def _decode(data: bytes, columns: int) -> Scored:
    kind = tuple[int, int, int, tuple[float, ...], tuple[bytes, bytes]]
    rows, unlabelled, unpredicted, sums, tally = msgspec.msgpack.decode(data, type=kind)
    return Scored(rows, unlabelled, unpredicted, sums, Tally.unpacked(tally, columns))


def _zero(sums: int, columns: int) -> Scored:
    empty = Tally(np.zeros(0, dtype=np.int64), np.zeros((0, columns), dtype=np.int64))
    return Scored(0, 0, 0, (0.0,) * sums, empty)


def _sum(values: np.ndarray) -> float:
    return float(values.sum()) + 0.0


def _probability(column: pl.Series) -> tuple[np.ndarray, np.ndarray]:
    """Values as float64, and which of them are probabilities."""
    values = column.to_numpy()
    if column.dtype != pl.Float64() or column.null_count():
        values = column.cast(pl.Float64).fill_null(math.nan).to_numpy()
    return values, (values >= 0.0) & (values <= 1.0)


@dataclass(frozen=True, slots=True)
class BinaryScores:
    """Scores of a probability of true: `label` Boolean, `prediction` Float64 in [0, 1].

    The result has rows, unlabelled, unpredicted, positives, base_rate, mean_prediction, auc, auc_bound, log_loss (nats,
    probabilities clipped to 1e-15), brier, and accuracy, precision, recall, f1 with confusion at the first of
    `thresholds` (true is predicted from the threshold on), all of them under `thresholds`.

    AUC is exact up to ties inside bins that are 2**-10 of a probability wide, relative to p or to 1−p, whichever is
    smaller, down to 2**-20: it lies within `auc` ± `auc_bound`; equal predictions count half, as is usual.

    >>> frame = pl.DataFrame({"label": [True, False, True], "prediction": [0.9, 0.2, 0.4]})
    >>> scores = BinaryScores()
    >>> result = scores.result(scores.add(scores.zero(), frame))
    >>> result["auc"], result["recall"], round(result["brier"], 3)
    (1.0, 0.5, 0.137)
    """

    label: str = "label"
    prediction: str = "prediction"
    thresholds: tuple[float, ...] = (0.5,)

    @staticmethod
    def example() -> tuple[BinaryScores, dict[str, Any]]:
        """An instance and the columns it takes, for the laws."""
        values = pl.Series([0.0, 1.0, 0.5, 0.25, 0.2500001, 1e-9, 0.999, math.nan, -0.5, math.inf])
        return BinaryScores(), {"label": pl.Boolean(), "prediction": values}

    def zero(self) -> Scored:
        """The state of no rows."""
        return _zero(3 + 2 * len(self.thresholds), 2)

    def add(self, state: Scored, frame: pl.DataFrame) -> Scored:
        """The state with the rows of `frame` added."""
        label = frame[self.label]
        labelled = label.is_not_null().to_numpy() if label.null_count() else np.ones(frame.height, dtype=np.bool_)
        values, valid = _probability(frame[self.prediction])
        scored = labelled & valid
        p, truth = values[scored], (label.fill_null(False) if label.null_count() else label).to_numpy()[scored]
        likelihood = np.clip(np.where(truth, p, 1.0 - p), _CLIP, 1.0)
        hits = [float(part.sum()) for cut in self.thresholds for part in ((p >= cut) & truth, (p >= cut) & ~truth)]
        fresh = Scored(
            len(p),
            int((~labelled).sum()),
            int((labelled & ~valid).sum()),
            (-_sum(np.log(likelihood)) + 0.0, _sum((p - truth) ** 2), _sum(p), *hits),
            Tally.of(_bins(p), truth.astype(np.int64), 2),
        )
        return _merge(state, fresh)

    def merge(self, left: Scored, right: Scored) -> Scored:
        """The state of the rows of both."""
        return _merge(left, right)

    def result(self, state: Scored) -> Result:
        """The metrics (see the class); None where one is not defined."""
        negatives, positives = (int(count) for count in state.tally.counts.sum(axis=0))
        rows = state.rows
        log_loss, brier, total, *hits = state.sums
        cuts = {
            repr(cut): _confusion(int(hits[2 * i]), int(hits[2 * i + 1]), positives, negatives)
            for i, cut in enumerate(self.thresholds)
        }
        auc, bound = _auc(state.tally.counts, positives, negatives)
        return {
            "rows": rows,
            "unlabelled": state.unlabelled,
            "unpredicted": state.unpredicted,
            "positives": positives,
            "base_rate": positives / rows if rows else None,
            "mean_prediction": total / rows if rows else None,
            "auc": auc,
            "auc_bound": bound,
            "log_loss": log_loss / rows if rows else None,
            "brier": brier / rows if rows else None,
            **next(iter(cuts.values())),
            "thresholds": cuts,
        }

    def encode(self, state: Scored) -> bytes:
        """The state as bytes."""
        return _encode(state)

    def decode(self, data: bytes) -> Scored:
        """The state that `encode` wrote."""
        return _decode(data, 2)

    def agrees(self, left: Result, right: Result, rows: pl.DataFrame) -> bool:  # noqa: ARG002
        """Whether two results are one answer: counts equal, sums of floats within 1e-9."""
        return _close(left, right, 1e-9)


@dataclass(frozen=True, slots=True)
class ClassScores:
    """Scores of class probabilities: `label` String, one Float64 column of `predictions` for each of `classes`.

    The result has rows, unlabelled, unpredicted, unknown (labels of no class: never right), accuracy, log_loss (nats,
    clipped to 1e-15), macro_f1 (over the classes that are labelled or predicted) and confusion, {label: {predicted:
    rows}} without zeros. The likeliest class is predicted, of equal ones the first.

    >>> scores = ClassScores(("p_a", "p_b"), ("a", "b"))
    >>> frame = pl.DataFrame({"label": ["a", "b"], "p_a": [0.75, 0.5], "p_b": [0.25, 0.5]})
    >>> scores.result(scores.add(scores.zero(), frame))["confusion"]
    {'a': {'a': 1}, 'b': {'a': 1}}
    """

    predictions: tuple[str, ...]
    classes: tuple[str, ...]
    label: str = "label"

    @staticmethod
    def example() -> tuple[ClassScores, dict[str, Any]]:
        """An instance and the columns it takes, for the laws."""
        share = pl.Series([0.0, 1.0, 0.5, 0.25, 1e-20, math.nan, -1.0])
        columns = {"label": pl.Series(["a", "b", "c", "other"]), "p_a": share, "p_b": share, "p_c": share}
        return ClassScores(("p_a", "p_b", "p_c"), ("a", "b", "c")), columns

    def zero(self) -> Scored:
        """The state of no rows."""
        return _zero(1, 1)

    def add(self, state: Scored, frame: pl.DataFrame) -> Scored:
        """The state with the rows of `frame` added."""
        size = len(self.classes)
        labelled = frame[self.label].is_not_null().to_numpy()
        columns = [_probability(frame[name]) for name in self.predictions]
        valid = np.logical_and.reduce([good for _, good in columns])
        scored = labelled & valid
        p = np.stack([values[scored] for values, _ in columns], axis=1)
        numbers = {name: index for index, name in enumerate(self.classes)}
        text = frame[self.label].cast(pl.String)
        truth = text.replace_strict(numbers, default=size, return_dtype=pl.Int64).to_numpy()[scored]
        chance = np.hstack([p, np.zeros((len(p), 1))])[np.arange(len(p)), truth]
        fresh = Scored(
            len(p),
            int((~labelled).sum()),
            int((labelled & ~valid).sum()),
            (-_sum(np.log(np.clip(chance, _CLIP, 1.0))) + 0.0,),
            Tally.of(truth * size + p.argmax(axis=1), np.zeros(len(p), dtype=np.int64), 1),
        )
        return _merge(state, fresh)

    def merge(self, left: Scored, right: Scored) -> Scored:
        """The state of the rows of both."""
        return _merge(left, right)

    def result(self, state: Scored) -> Result:
        """The metrics (see the class); None where one is not defined."""
        size, rows = len(self.classes), state.rows
        matrix = np.zeros((size + 1, size), dtype=np.int64)
        matrix[state.tally.keys // size, state.tally.keys % size] = state.tally.counts[:, 0]
        right, actual, predicted = matrix[:size].diagonal(), matrix[:size].sum(axis=1), matrix.sum(axis=0)
        seen = (actual + predicted) > 0
        names = [*self.classes, "(unknown)"]
        return {
            "rows": rows,
            "unlabelled": state.unlabelled,
            "unpredicted": state.unpredicted,
            "unknown": int(matrix[size].sum()),
            "accuracy": int(right.sum()) / rows if rows else None,
            "log_loss": state.sums[0] / rows if rows else None,
            "macro_f1": float(np.mean(2 * right[seen] / (actual + predicted)[seen])) if seen.any() else None,
            "confusion": {
                names[i]: {self.classes[j]: int(matrix[i, j]) for j in np.flatnonzero(matrix[i])}
                for i in np.flatnonzero(matrix.sum(axis=1))
            },
        }

    def encode(self, state: Scored) -> bytes:
        """The state as bytes."""
        return _encode(state)

    def decode(self, data: bytes) -> Scored:
        """The state that `encode` wrote."""
        return _decode(data, 1)

    def agrees(self, left: Result, right: Result, rows: pl.DataFrame) -> bool:  # noqa: ARG002
        """Whether two results are one answer: counts equal, sums of floats within 1e-9."""
        return _close(left, right, 1e-9)


class NumberState(msgspec.Struct, frozen=True, array_like=True):
    """Rows, sums of the error, its size and its square, and mean and squared deviations of the label."""

    rows: int
    unlabelled: int
    unpredicted: int
    error: float
    size: float
    square: float
    mean: float
    deviations: float


@dataclass(frozen=True, slots=True)
class NumberScores:
    """Scores of a predicted number: `label` and `prediction` Float64, in the label's unit; only finite ones are scored.

    The result has rows, unlabelled (null, NaN or infinite labels), unpredicted, mae, rmse, bias (mean of prediction −
    label), r2 (None where all labels are equal), mean_label and mean_prediction.

    >>> scores = NumberScores()
    >>> result = scores.result(scores.add(scores.zero(), pl.DataFrame({"label": [1.0, 3.0], "prediction": [2.0, 3.0]})))
    >>> result["mae"], result["bias"], result["r2"]
    (0.5, 0.5, 0.5)
    """

    label: str = "label"
    prediction: str = "prediction"

    @staticmethod
    def example() -> tuple[NumberScores, dict[str, Any]]:
        """An instance and the columns it takes, for the laws."""
        return NumberScores(), {"label": pl.Float64(), "prediction": pl.Float64()}

    def zero(self) -> NumberState:
        """The state of no rows."""
        return NumberState(0, 0, 0, 0.0, 0.0, 0.0, 0.0, 0.0)

    def add(self, state: NumberState, frame: pl.DataFrame) -> NumberState:
        """The state with the rows of `frame` added."""
        label, prediction = (
            frame[name].cast(pl.Float64).fill_null(math.nan).to_numpy() for name in (self.label, self.prediction)
        )
        labelled, predicted = np.isfinite(label), np.isfinite(prediction)
        scored = labelled & predicted
        truth = label[scored]
        error = prediction[scored] - truth
        mean = float(truth.mean()) + 0.0 if len(truth) else 0.0
        fresh = NumberState(
            len(truth),
            int((~labelled).sum()),
            int((labelled & ~predicted).sum()),
            _sum(error),
            _sum(np.abs(error)),
            _sum(error**2),
            mean,
            _sum((truth - mean) ** 2),
        )
        return self.merge(state, fresh)

    def merge(self, left: NumberState, right: NumberState) -> NumberState:
        """The state of the rows of both. Source of the pairwise update: Chan, Golub, LeVeque (1979)."""
        rows = left.rows + right.rows
        mean, deviations = left.mean, left.deviations
        if right.rows and not left.rows:
            mean, deviations = right.mean, right.deviations
        elif right.rows:
            apart = right.mean - left.mean
            mean = left.mean + apart * (right.rows / rows)
            deviations = left.deviations + right.deviations + apart * apart * (left.rows * right.rows / rows)
        return NumberState(
            rows,
            left.unlabelled + right.unlabelled,
            left.unpredicted + right.unpredicted,
            left.error + right.error,
            left.size + right.size,
            left.square + right.square,
            mean,
            deviations,
        )

    def result(self, state: NumberState) -> Result:
        """The metrics (see the class); None where one is not defined."""
        rows = state.rows
        varied = rows > 0 and state.deviations > 1e-20 * rows * max(state.mean * state.mean, 1e-280)
        return {
            "rows": rows,
            "unlabelled": state.unlabelled,
            "unpredicted": state.unpredicted,
            "mae": state.size / rows if rows else None,
            "rmse": math.sqrt(state.square / rows) if rows else None,
            "bias": state.error / rows if rows else None,
            "r2": 1.0 - state.square / state.deviations if varied else None,
            "mean_label": state.mean if rows else None,
            "mean_prediction": state.mean + state.error / rows if rows else None,
        }

    def encode(self, state: NumberState) -> bytes:
        """The state as bytes."""
        return msgspec.msgpack.encode(state)

    def decode(self, data: bytes) -> NumberState:
        """The state that `encode` wrote."""
        return msgspec.msgpack.decode(data, type=NumberState)

    def agrees(self, left: Result, right: Result, rows: pl.DataFrame) -> bool:
        """Whether two results are one answer: counts equal; floats within 1e-9 of the largest number.

        r2 is compared only where the label varies by more than 1e-4 of its size: below, rounding decides.
        """
        label = rows[self.label].fill_null(math.nan).to_numpy()
        sizes = np.abs(rows.select(self.label, self.prediction).fill_null(0.0).to_numpy())
        largest = float(np.max(sizes, where=np.isfinite(sizes), initial=1.0))
        varies = float(np.nanstd(label[np.isfinite(label)])) if np.isfinite(label).any() else 0.0
        if varies <= 1e-4 * largest:
            left, right = {**left, "r2": None}, {**right, "r2": None}
        return _close(left, right, 1e-9 * largest)


Scores = BinaryScores | ClassScores | NumberScores


def _bins(p: np.ndarray) -> np.ndarray:
    """The bin of each probability, ascending with it: the leading bits of p as float32 below 0.5, of 1−p above."""
    low = p <= 0.5
    bits = np.maximum(np.where(low, p, 1.0 - p), _SMALLEST).astype(np.float32).view(np.uint32).astype(np.int64)
    steps = (bits >> _SHIFT) - _BASE
    return np.where(low, steps, 2 * _HALF + 1 - steps)


def _auc(counts: np.ndarray, positives: int, negatives: int) -> tuple[float | None, float | None]:
    """The share of (negative, positive) pairs in the right order, ties half, and how far off that can be."""
    if not positives or not negatives:
        return None, None
    below = np.cumsum(counts[:, 0]) - counts[:, 0]
    pairs = float(positives) * float(negatives)
    ties = float((counts[:, 1] * counts[:, 0]).sum()) / 2
    return (float((counts[:, 1] * below).sum()) + ties) / pairs, ties / pairs


def _confusion(true_hits: int, false_hits: int, positives: int, negatives: int) -> Result:
    rows, named = positives + negatives, true_hits + false_hits
    return {
        "accuracy": (true_hits + negatives - false_hits) / rows if rows else None,
        "precision": true_hits / named if named else None,
        "recall": true_hits / positives if positives else None,
        "f1": 2 * true_hits / (named + positives) if named + positives else None,
        "confusion": {
            "true_positive": true_hits,
            "false_positive": false_hits,
            "false_negative": positives - true_hits,
            "true_negative": negatives - false_hits,
        },
    }


def _close(left: Any, right: Any, tolerance: float) -> bool:
    if isinstance(left, Mapping):
        return left.keys() == right.keys() and all(_close(left[key], right[key], tolerance) for key in left)
    if isinstance(left, float) and isinstance(right, float):
        return math.isclose(left, right, rel_tol=1e-9, abs_tol=tolerance)
    return bool(left == right)
