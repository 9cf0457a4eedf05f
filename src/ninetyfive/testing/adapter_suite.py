"""The contract of an adapter, as tests: what every framework must keep before a release may hold one of its models.

    class TestMine(AdapterSuite):              pytest collects the subclass; each test says which rule it checks
        adapter = my_adapter
        frameworks = ("my_framework",)         the modules that may be imported only where they are used
        cases = {"forest": Case("binary", fit_forest), ...}     at least one case for each task
        refused = {"lambda": fit_lambda, ...}                   models that may not be saved, if any

`find_adapters` walks a package, so that a new adapter cannot escape. What does not belong here: what a framework's
models should answer (the adapter's own tests know that).
"""

from __future__ import annotations

import importlib
import inspect
import json
import pickle
import pkgutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import Any, ClassVar, cast

import numpy as np
import polars as pl

from ninetyfive.errors import ModelError, NinetyfiveError
from ninetyfive.metrics import TASKS, Task
from ninetyfive.models.adapters import Adapter
from ninetyfive.models.forms import FORM_FILES, Form, predictor_of
from ninetyfive.models.predictor import Inputs, Predictor
from ninetyfive.models.proof import prove
from ninetyfive.models.training import Fitted, fit_model, labels

FUNCTIONS = ("recognises", "save", "load", "export", "predict")
"""What every adapter has, in this order."""

_LOADED = """
import importlib, json, sys
import numpy as np
for name in json.loads(sys.argv[1]):
    importlib.import_module(name)
if len(sys.argv) > 3:
    from ninetyfive.models.onnx import OnnxPredictor
    OnnxPredictor(sys.argv[3]).predict(np.zeros((1, 3), dtype=np.float32))
print(json.dumps([name for name in json.loads(sys.argv[2]) if name in sys.modules]))
"""


@dataclass(frozen=True)
class Case:
    """A model function for a task; `forms` are those that can serve it (None: all that the adapter names).

    `missing`: what serves its models takes NaN; else a row with one is refused, though perhaps not by the native form.
    """

    task: Task
    function: Callable[[pl.DataFrame, Any, dict[str, Any]], Any]
    missing: bool = False
    forms: tuple[Form, ...] | None = None


def find_adapters(package: ModuleType) -> list[Adapter]:
    """Every adapter in a package: the modules that have any of the five functions' names together with `NAME`.

    >>> import ninetyfive.models
    >>> [adapter.NAME for adapter in find_adapters(ninetyfive.models)]
    ['imported', 'keras', 'lightgbm', 'sklearn', 'xgboost']
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
    """Subclass it, set `adapter`, `frameworks` and `cases`, and let pytest collect it."""

    adapter: ClassVar[Adapter]
    frameworks: ClassVar[tuple[str, ...]]
    cases: ClassVar[Mapping[str, Case]]
    refused: ClassVar[Mapping[str, Callable[[pl.DataFrame, pl.Series], Any]]] = {}
    """Functions of `rows()` and their binary `target`: each gives a model that the adapter must not save."""

    @classmethod
    def fitted(cls, case: Case, seed: int = 7) -> Fitted:
        """The case's model, fitted on the suite's rows."""
        x = rows()
        return fit_model(case.function, x, labels(target(x, case.task)), {}, seed)

    @classmethod
    @cache
    def model(cls, name: str) -> Fitted:
        """The model of a case, fitted once for all tests."""
        return cls.fitted(cls.cases[name])

    def exported(self, fitted: Fitted, form: Form) -> bytes:
        """The file of an exported form; a framework that writes several of them says here how."""
        assert form == "onnx"
        return self.adapter.export(fitted.model, fitted.columns, fitted.task, fitted.classes)

    def forms(self, case: Case) -> tuple[Form, ...]:
        """Every form that may serve the case: those that it names, and the native one."""
        named = cast("tuple[Form, ...]", self.adapter.FORMS) if case.forms is None else case.forms
        return tuple(dict.fromkeys((*named, "native")))

    def files(self, fitted: Fitted, form: Form, folder: Path) -> dict[str, bytes]:
        """What a release holds of a form, by name."""
        if form != "native":
            return {FORM_FILES[form]: self.exported(fitted, form)}
        folder.mkdir(parents=True, exist_ok=True)
        self.adapter.save(fitted.model, folder)
        return {name: (folder / name).read_bytes() for name in self.adapter.FILES}

    @classmethod
    @cache
    def kept(cls, name: str, form: Form) -> dict[str, bytes]:
        """What a release holds of a form of the case's model, made once for all tests."""
        with tempfile.TemporaryDirectory() as folder:
            return cls().files(cls.model(name), form, Path(folder))

    def predictors(self, name: str) -> dict[Form, Predictor]:
        """Everything that may serve the model of a case."""
        fitted = self.model(name)
        found: dict[Form, Predictor] = {}
        for form in self.forms(self.cases[name]):
            read = self.kept(name, form).__getitem__
            found[form] = predictor_of(
                form, self.adapter.NAME, read, fitted.task, fitted.classes, refuses_missing=False
            )
        return found

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
        """There is a case for every task, and for every form that the adapter names."""
        assert {case.task for case in self.cases.values()} == set(TASKS)
        assert {form for case in self.cases.values() for form in self.forms(case)} == {*self.adapter.FORMS, "native"}

    def test_recognises(self) -> None:
        """The framework's models are recognised, and nothing else is."""
        assert all(self.adapter.recognises(self.model(name).model) for name in self.cases)
        assert all(self.model(name).adapter is self.adapter for name in self.cases)
        assert not any(self.adapter.recognises(other) for other in (None, 3, "model", object(), print, [1]))

    def test_save_and_load(self, tmp_path: Path) -> None:
        """A loaded model answers the same bits, and saving it again gives the same bytes in the declared files."""
        x = rows(seed=1).to_numpy()
        for name in self.cases:
            fitted = self.model(name)
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
        """What is saved is no pickle; a pickle, nothing, and half of a file in its place are refused."""
        fitted = self.model(next(iter(self.cases)))
        self.adapter.save(fitted.model, tmp_path)
        saved = {file: (tmp_path / file).read_bytes() for file in self.adapter.FILES}
        assert not any(data.startswith(b"\x80") for data in saved.values())
        bad: Mapping[str, Callable[[bytes], bytes]] = {
            "a pickle": lambda _: pickle.dumps([fitted.columns]),
            "nothing": lambda _: b"",
            "a half": lambda data: data[: len(data) // 2],
        }
        for what, made in bad.items():
            for file, data in saved.items():
                (tmp_path / file).write_bytes(made(data))
            try:
                self.adapter.load(tmp_path)
            except NinetyfiveError:
                continue
            raise AssertionError(f"{what} was loaded")

    def test_refused(self, tmp_path: Path) -> None:
        """A model that runs code of its own, or that a file would not tell whole, is refused before it is written."""
        x = rows()
        for name, make in self.refused.items():
            model, told = make(x, target(x, "binary")), ""
            try:
                self.adapter.save(model, tmp_path)
            except ModelError as error:
                told = error.do
            assert told, f"{name} was saved"
            assert not list(tmp_path.iterdir()), name

    def test_seed(self, tmp_path: Path) -> None:
        """The same rows and seed give the same saved bytes and the same exported bytes, twice."""
        for name, case in self.cases.items():
            again = self.fitted(case)
            for form in self.forms(case):
                assert self.kept(name, form) == self.files(again, form, tmp_path / name), (name, form)

    def test_shapes(self) -> None:
        """Answers are float64 in the shape of the task, for many rows and for one, whatever float dtype and order."""
        for name, case in self.cases.items():
            fitted = self.model(name)
            for form, predictor in self.predictors(name).items():
                assert (predictor.task, predictor.classes) == (fitted.task, fitted.classes)
                for count in (5, 1):
                    x = rows(count).to_numpy()
                    answer = predictor.predict(x)
                    shape = (count, len(fitted.classes)) if case.task == "multiclass" else (count,)
                    assert answer.dtype == np.float64
                    assert answer.shape == shape, (name, form)
                    for other in (x.astype(np.float64), np.asfortranarray(x)):
                        assert np.array_equal(predictor.predict(cast(Inputs, other)), answer), (name, form)

    def test_same_as_trained(self) -> None:
        """Every form answers as the model does: parity, a row alone as in a batch, shuffled, missing; at a cost."""
        for name, case in self.cases.items():
            fitted = self.model(name)
            for form, predictor in self.predictors(name).items():
                size = sum(map(len, self.kept(name, form).values()))
                proof = prove(fitted.predict, predictor.predict, self._holes(case), fitted.columns, size)
                assert case.missing == (proof.missing == "answered") or form == "native", (name, form)
                assert proof.size > 0
                assert min(proof.timing.one, proof.timing.row) > 0

    def _holes(self, case: Case) -> Inputs:
        x = rows(seed=2).to_numpy().copy()
        if case.missing:
            x[::7, 0] = np.nan
        return x

    def test_threads(self) -> None:
        """A form that is asked by several threads at once, for the first time too, gives the bits that one gets."""
        x = rows(16, seed=3).to_numpy()
        for name in self.cases:
            serial, shared = self.predictors(name), self.predictors(name)
            for form in serial:
                expected = [serial[form].predict(x[row : row + 1]) for row in range(len(x))]
                with ThreadPoolExecutor(4) as pool:
                    given = list(pool.map(shared[form].predict, np.split(x, len(x))))
                assert np.array_equal(np.stack(expected), np.stack(given)), (name, form)

    def test_predictors_travel(self) -> None:
        """Predictors compare by content and survive a process border."""
        for name in self.cases:
            for predictor in self.predictors(name).values():
                copy = pickle.loads(pickle.dumps(predictor))
                assert copy == predictor
                assert hash(copy) == hash(predictor)
                assert np.array_equal(copy.predict(rows(3).to_numpy()), predictor.predict(rows(3).to_numpy())), name

    def test_imports(self, tmp_path: Path) -> None:
        """Importing the package and its adapters loads no framework, nor does answering by an exported model."""
        module = cast(ModuleType, self.adapter).__name__
        served = next((name for name, case in self.cases.items() if "onnx" in self.forms(case)), None)
        more = []
        if served is not None:
            (tmp_path / "model.onnx").write_bytes(self.kept(served, "onnx")["model.onnx"])
            more = [str(tmp_path / "model.onnx")]
        names = json.dumps(["ninetyfive", "ninetyfive.models.adapters", module])
        command = [sys.executable, "-c", _LOADED, names, json.dumps(self.frameworks), *more]
        done = subprocess.run(command, capture_output=True, text=True, check=True)
        assert json.loads(done.stdout) == []
