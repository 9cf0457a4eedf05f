"""The contract of an adapter, as tests: what every framework must keep before a release may hold one of its models.

    class TestMine(AdapterSuite):              pytest collects the subclass; each test says which rule it checks
        adapter = my_adapter
        cases = {"forest": Case("binary", fit_forest), ...}     at least one case for each task

`find_adapters` walks a package, so that a new adapter cannot escape. What does not belong here: what a framework's
models should answer (the adapter's own tests know that).
"""

from __future__ import annotations

import importlib
import inspect
import pickle
import pkgutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any, ClassVar, cast

import numpy as np
import polars as pl

from ninetyfive.errors import NinetyfiveError
from ninetyfive.metrics import TASKS, Task
from ninetyfive.models.adapters import Adapter
from ninetyfive.models.native import NativePredictor
from ninetyfive.models.onnx import OnnxPredictor
from ninetyfive.models.predictor import Inputs, Predictor
from ninetyfive.models.proof import prove
from ninetyfive.models.training import Fitted, fit_model, labels

FUNCTIONS = ("recognises", "save", "load", "export", "predict")
"""What every adapter has, in this order."""


@dataclass(frozen=True)
class Case:
    """A model function for a task; `missing` where its models take NaN; `exports` False where only native serves it."""

    task: Task
    function: Callable[[pl.DataFrame, Any, dict[str, Any]], Any]
    missing: bool = False
    exports: bool = True


def find_adapters(package: ModuleType) -> list[Adapter]:
    """Every adapter in a package: the modules that have any of the five functions' names together with `NAME`.

    >>> import ninetyfive.models
    >>> [adapter.NAME for adapter in find_adapters(ninetyfive.models)]
    ['keras', 'sklearn']
    """
    found = []
    for info in pkgutil.iter_modules(package.__path__, package.__name__ + "."):
        module = importlib.import_module(info.name)
        if hasattr(module, "NAME") and hasattr(module, "recognises"):
            found.append(cast(Adapter, module))
    return found


def rows(count: int = 240, seed: int = 0) -> pl.DataFrame:
    """Three Float32 columns, `a`, `b` and `c`, of normal, skewed and few values."""
    random = np.random.default_rng(seed)
    values = np.stack([random.normal(size=count), random.exponential(size=count), random.integers(0, 4, count)], axis=1)
    return pl.DataFrame(values.astype(np.float32), schema=["a", "b", "c"])


def target(x: pl.DataFrame, task: Task) -> pl.Series:
    """A label that depends on the rows, of the type that makes the task."""
    score = x["a"] + 0.5 * x["b"] - (x["c"] == 2).cast(pl.Float32)
    if task == "binary":
        return (score > 0.3).alias("label")
    if task == "regression":
        return score.cast(pl.Float64).alias("label")
    names = pl.when(score > 0.8).then(pl.lit("high")).when(score > 0).then(pl.lit("mid")).otherwise(pl.lit("low"))
    return pl.select(names.alias("label"))["label"]


class AdapterSuite:
    """Subclass it, set `adapter` and `cases`, and let pytest collect it."""

    adapter: ClassVar[Adapter]
    cases: ClassVar[Mapping[str, Case]]

    def fitted(self, case: Case, seed: int = 7) -> Fitted:
        """The case's model, fitted on the suite's rows."""
        x = rows()
        return fit_model(case.function, x, labels(target(x, case.task)), {}, seed)

    def predictors(self, fitted: Fitted, case: Case, folder: Path) -> list[Predictor]:
        """Everything that may serve the model: the native form, and the exported one."""
        self.adapter.save(fitted.model, folder)
        native: list[Predictor] = [NativePredictor.of(self.adapter.NAME, folder, fitted.task, fitted.classes)]
        return [*native, OnnxPredictor(self._exported(fitted))] if case.exports else native

    def _exported(self, fitted: Fitted) -> bytes:
        return self.adapter.export(fitted.model, fitted.columns, fitted.task, fitted.classes)

    def test_functions(self) -> None:
        """The five functions stand in the file in the order of every adapter, each with a docstring."""
        module = cast(ModuleType, self.adapter)
        public = [
            name
            for name, value in vars(module).items()
            if inspect.isfunction(value) and value.__module__ == module.__name__ and not name.startswith("_")
        ]
        assert public == list(FUNCTIONS)
        assert all(getattr(module, name).__doc__ for name in FUNCTIONS)

    def test_tasks(self) -> None:
        """There is a case for every task."""
        assert {case.task for case in self.cases.values()} == set(TASKS)

    def test_recognises(self) -> None:
        """The framework's models are recognised, and nothing else is."""
        assert all(self.adapter.recognises(self.fitted(case).model) for case in self.cases.values())
        assert not any(self.adapter.recognises(other) for other in (None, 3, "model", object(), print, [1]))

    def test_save_and_load(self, tmp_path: Path) -> None:
        """A loaded model answers the same bits, and saving it again gives the same bytes in the declared files."""
        x = rows(seed=1).to_numpy()
        for name, case in self.cases.items():
            fitted = self.fitted(case)
            once, twice = tmp_path / name / "once", tmp_path / name / "twice"
            once.mkdir(parents=True)
            twice.mkdir()
            self.adapter.save(fitted.model, once)
            loaded = self.adapter.load(once)
            self.adapter.save(loaded, twice)
            assert {path.name for path in once.iterdir()} == set(self.adapter.FILES)
            assert all((once / file).read_bytes() == (twice / file).read_bytes() for file in self.adapter.FILES), name
            answer = self.adapter.predict(loaded, x, fitted.task, fitted.classes)
            assert np.array_equal(answer, fitted.predict(x)), name

    def test_no_pickle(self, tmp_path: Path) -> None:
        """What is saved is no pickle, and a pickle in its place is refused."""
        fitted = self.fitted(next(iter(self.cases.values())))
        self.adapter.save(fitted.model, tmp_path)
        for file in self.adapter.FILES:
            assert not (tmp_path / file).read_bytes().startswith(b"\x80"), file
            (tmp_path / file).write_bytes(pickle.dumps(fitted.model))
        try:
            self.adapter.load(tmp_path)
        except NinetyfiveError:
            return
        raise AssertionError("a pickle was loaded")

    def test_seed(self, tmp_path: Path) -> None:
        """The same rows and seed give the same saved bytes and the same exported bytes, twice."""
        for name, case in self.cases.items():
            saved = []
            for turn in ("one", "two"):
                folder = tmp_path / name / turn
                folder.mkdir(parents=True)
                fitted = self.fitted(case)
                self.adapter.save(fitted.model, folder)
                exported = self._exported(fitted) if case.exports else b""
                saved.append(([(folder / file).read_bytes() for file in self.adapter.FILES], exported))
            assert saved[0] == saved[1], name

    def test_shapes(self, tmp_path: Path) -> None:
        """Answers are float64 in the shape of the task, for many rows and for one."""
        for name, case in self.cases.items():
            fitted = self.fitted(case)
            folder = tmp_path / name
            folder.mkdir()
            for predictor in self.predictors(fitted, case, folder):
                assert (predictor.task, predictor.classes) == (fitted.task, fitted.classes)
                for count in (5, 1):
                    answer = predictor.predict(rows(count).to_numpy())
                    assert answer.dtype == np.float64
                    assert answer.shape == ((count, len(fitted.classes)) if case.task == "multiclass" else (count,)), (
                        name
                    )

    def test_same_as_native(self) -> None:
        """The exported form answers as the native one: parity, one row as in a batch, shuffled, and missing values."""
        for name, case in self.cases.items():
            if case.exports:
                fitted = self.fitted(case)
                served = OnnxPredictor(self._exported(fitted))
                proof = prove(fitted.predict, served.predict, self._holes(case), fitted.columns, served.size)
                assert proof.missing == ("answered" if case.missing else "refused"), name

    def _holes(self, case: Case) -> Inputs:
        x = rows(seed=2).to_numpy().copy()
        if case.missing:
            x[::7, 0] = np.nan
        return x

    def test_predictors_travel(self, tmp_path: Path) -> None:
        """Predictors compare by content and survive a process border."""
        for name, case in self.cases.items():
            folder = tmp_path / name
            folder.mkdir()
            for predictor in self.predictors(self.fitted(case), case, folder):
                copy = pickle.loads(pickle.dumps(predictor))
                assert copy == predictor
                assert hash(copy) == hash(predictor)
                assert np.array_equal(copy.predict(rows(3).to_numpy()), predictor.predict(rows(3).to_numpy())), name
