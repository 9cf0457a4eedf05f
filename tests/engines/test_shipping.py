"""What travels to workers, as code or by name, and how errors come back."""

from __future__ import annotations

import importlib.util
import pickle
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from ninetyfive import errors
from ninetyfive.engines.shipping import CarriedError, Told, carried, dumps
from ninetyfive.errors import DataError, EngineError, NinetyfiveError
from ninetyfive.testing.engine_plans import SumCount

MODULE = """
from dataclasses import dataclass

HALF = 0.5

@dataclass(frozen=True)
class Halves:
    names: tuple[str, ...]

    def __call__(self, value):
        return halved(value), self.names

def halved(value):
    return value * HALF
"""


def test_what_is_not_installed_travels_as_code(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "project_of_a_user.py"
    path.write_text(MODULE, encoding="utf-8")
    spec = importlib.util.spec_from_file_location("project_of_a_user", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    monkeypatch.setitem(sys.modules, "project_of_a_user", module)
    spec.loader.exec_module(module)
    shipped = tmp_path / "shipped"
    shipped.write_bytes(*dumps((module.Halves(("a",)), SumCount("x"))))
    path.unlink()
    code = (
        "import pickle, sys; half, sums = pickle.load(open(sys.argv[1], 'rb')); print(half(3), type(sums).__module__)"
    )
    said = subprocess.run([sys.executable, "-c", code, shipped], capture_output=True, text=True, check=True, cwd="/")
    assert said.stdout.strip() == "(1.5, ('a',)) ninetyfive.testing.engine_plans"


def test_what_cannot_travel_is_told() -> None:
    with pytest.raises(EngineError, match=r"functions, reducers and readers that can be pickled, got .*lock"):
        dumps(threading.Lock())


@pytest.mark.parametrize(
    "error",
    [
        DataError("row 5, column 'ä\n\"b'", expected="a", got="b:c", do="d?"),
        EngineError("function f", expected="no exception", got="ValueError: " + "x" * 500, do="fix f"),
    ],
)
def test_errors_of_ours_come_back_whole(error: NinetyfiveError) -> None:
    with pytest.raises(CarriedError) as caught, carried():
        raise error
    wrapped = f"Job aborted: Traceback (most recent call last):\n  {caught.value}\n[while running 'x']"
    with pytest.raises(type(error)) as back, Told("spark"):
        raise RuntimeError(wrapped)
    assert back.value.as_dict() == error.as_dict()


def test_every_kind_of_error_comes_back() -> None:
    kinds = [kind for kind in vars(errors).values() if isinstance(kind, type) and issubclass(kind, NinetyfiveError)]
    for kind in kinds:
        with pytest.raises(CarriedError) as caught, carried():
            raise kind("where", expected="a", got="b", do="c")
        with pytest.raises(kind), Told("beam"):
            raise RuntimeError(str(caught.value))
    assert len(kinds) > 10


def test_what_an_engine_says_is_shown_without_its_stack() -> None:
    said = "Job aborted due to stage failure:\n\tat org.apache.spark.X\nExecutorLostFailure (killed)\n"
    with (
        pytest.raises(EngineError, match=r"engine spark: expected a job that ends well, got RuntimeError: Job") as told,
        Told("spark"),
    ):
        raise RuntimeError(said)
    assert "ExecutorLostFailure" in told.value.got
    assert "org.apache" not in told.value.got
    with pytest.raises(EngineError) as told, Told("beam"):
        raise RuntimeError("ModuleNotFoundError: No module named 'mine' " + "x" * 9_000)
    assert told.value.do == "install the same packages on the workers as here"
    assert len(told.value.got) < 2_100


def test_what_is_no_error_passes() -> None:
    with pytest.raises(KeyboardInterrupt), Told("spark"):
        raise KeyboardInterrupt
    with pytest.raises(DataError), Told("spark"):
        raise DataError("a", expected="b", got="c", do="d")
    with carried():
        assert [pickle.loads(data) for data in dumps({"a": 1}, 2)] == [{"a": 1}, 2]
