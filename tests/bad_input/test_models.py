"""Model functions that raise, or return what is no fitted model, or one that answers nonsense."""

from __future__ import annotations

from typing import TYPE_CHECKING

import polars as pl
import pytest

from ninetyfive.errors import DataError, DeclarationError, ModelError

if TYPE_CHECKING:
    from tests.bad_input.conftest import Victim

FIT = "return DecisionTreeClassifier(**params, random_state=0).fit(x, y)"
ODD = """\
class Odd(DecisionTreeClassifier):
        def predict_proba(self, x):
            import numpy as np
            p = super().predict_proba(x)
            return {}

    return Odd(**params, random_state=0).fit(x, y)"""


@pytest.mark.parametrize(
    ("body", "expected", "got", "do"),
    [
        ("raise ValueError('boom')", "a fitted model", "ValueError: boom", "correct the model function"),
        ("return x['nope']", "a fitted model", 'ColumnNotFoundError: "nope" not found', "correct the model function"),
        ("import no_such_module", "a fitted model", "ModuleNotFoundError: No module named 'no_such_module'", "correct"),
        ("import sys; sys.exit(0)", "a fitted model", "SystemExit: 0", "correct the model function"),
        ("DecisionTreeClassifier().fit(x, y)", "a fitted object with predict_proba", "NoneType", "end the function"),
        ("return DecisionTreeClassifier", "a fitted object with", "the class DecisionTreeClassifier", "end the"),
        ("return 'model'", "a fitted object with predict_proba or predict", "str", "end the function"),
        ("return DecisionTreeClassifier().fit(x, y), 1", "a fitted object with", "tuple", "end the function"),
        ("yield 1", "a fitted object with", "generator", "end the function"),
        ("return DecisionTreeClassifier()", "a fitted model that predicts", "NotFittedError", "call .fit(x, y)"),
        (
            "return DecisionTreeClassifier().fit(x[:, :2], y)",
            "a model fitted on the 3 columns of x, in their order",
            "one of 2: hour, distance",
            "fit on x as it is passed",
        ),
        (
            "return DecisionTreeClassifier().fit(x.select(reversed(x.columns)), y)",
            "a model fitted on the 3 columns of x, in their order",
            "one of 3: zone, distance, hour",
            "fit on x as it is passed",
        ),
        (ODD.format("p[:-1]"), "predictions of shape (599,) for 599 rows", "shape (598,)", "return one prediction"),
        (ODD.format("p * np.nan"), "finite predictions", "nan for row 0 (599 such values)", "keep missing values out"),
        (ODD.format("p * 3"), "probabilities between 0 and 1", "for row", "return a model with predict_proba"),
        (ODD.format("np.full(p.shape, 'a')"), "predictions that are numbers", "['a', 'a', 'a']", "floats"),
        (ODD.format("np.ones((len(p), 3)) / 3"), "predictions of shape (599,)", "shape (599, 3)", "return one"),
        (ODD.format("p"), "only types of scikit-learn and numpy", "system.Odd", "scikit-learn's own classes"),
        (
            "from sklearn.linear_model import LinearRegression as R; return R().fit(x, y)",
            "probabilities between 0 and 1",
            "for row",
            "return a model with predict_proba",
        ),
    ],
)
def test_a_model_function_that_is_wrong(unmoved: Victim, body: str, expected: str, got: str, do: str) -> None:
    with unmoved.edited((FIT, body)):
        error = unmoved.refuses(ModelError)
        assert expected in error.expected
        assert got in error.got
        assert "\n" not in error.got
        assert do in error.do
    assert unmoved.project.load().predict(_asked(unmoved)).height == 2


def _asked(victim: Victim) -> pl.DataFrame:
    return pl.read_parquet(victim.data / "a.parquet").head(2).drop("fare", "tip")


def test_what_is_shown_of_a_model_function_that_raises(unmoved: Victim) -> None:
    """On the command line the traceback, then one line that names the line of system.py; exit code 1."""
    with unmoved.edited((FIT, "return 1 / len(x[:0])")):
        said = unmoved.project.command("run")
        assert said.code == 1
        assert "ZeroDivisionError" in said.err
        assert "model function 'model' (system.py, line 22)" in said.err.splitlines()[-1]
        document = unmoved.project.command("run", "--json").json
        assert document["error"]["kind"] == "ModelError"
        with unmoved.project.store() as store:
            assert store.runs(1)[0].document["step"] == "train"
    unmoved.check_store()


def test_a_model_that_refuses_what_is_missing(live: Victim, rows: pl.DataFrame) -> None:
    """It names the columns, and what fills them."""
    live.project.edit(
        ('col("distance").fill_mean().log1p().zscore()', 'col("distance")'),
        ("sklearn.tree import DecisionTreeClassifier", "sklearn.linear_model import LogisticRegression"),
        (FIT, "return LogisticRegression().fit(x, y)"),
    )
    live.refuses(ModelError, "ValueError: Input X contains NaN", "fill what is missing in 'distance'", ".fill_mean()")
    live.project.edit(('col("distance"),', 'col("distance").fill_mean(),'))
    assert live.runs()["metrics"]["auc"]["value"] > 0.5


def test_a_model_function_that_changes_what_it_is_given(unmoved: Victim) -> None:
    """Labels and parameters are its own copies: the next one sees them as they were."""
    with unmoved.edited((FIT, f"params.clear(); y[: len(y) // 2] = True; {FIT}")):
        assert unmoved.runs(promote=False)["metrics"]["auc"]["value"] > 0.5


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        ("def model(x, y, params)", "def model(x, y)", "of (x, y, params, champion), or of (params) alone, got (x, y)"),
        (
            "def model(",
            "def other(x, y, params): ...\n\n\n@trips.model\ndef model(",
            "expected one model, got a second one",
        ),
    ],
)
def test_a_model_that_is_declared_wrongly(unmoved: Victim, old: str, new: str, says: str) -> None:
    with unmoved.edited((old, new)):
        unmoved.refuses_to_load(DeclarationError, says)


def test_a_model_function_that_is_not_declared(unmoved: Victim) -> None:
    with unmoved.edited(("@trips.model", "trips.model")):
        unmoved.refuses(DeclarationError, "expected a model, got none")


def test_a_label_that_has_one_class_now(unmoved: Victim) -> None:
    with unmoved.edited(("> 3.0", "> 1e9")):
        unmoved.refuses(DataError, "got only False")
