"""The order of a session (tests/order.py) names scopes that there are, and knows which modules need Spark."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from tests.order import LONG, ROOT, SPARK, Ordered, needs_spark, rank


@pytest.mark.parametrize("scope", [scope for scope in LONG if scope != SPARK])
def test_a_scope_that_takes_long_is_there(scope: str) -> None:
    module, _, name = scope.partition("::")
    text = (ROOT / module).read_text(encoding="utf-8")
    assert f"\nclass {name}" in text if name else re.search(r"^def test_", text, re.MULTILINE)
    assert not needs_spark(module)


def test_one_worker_has_all_that_takes_a_session_of_spark() -> None:
    asks = re.compile(r"\b(spark|connect)\b[\w, :]*: \"?SparkSession")
    modules = [path for path in (ROOT / "tests").rglob("test_*.py") if asks.search(path.read_text(encoding="utf-8"))]
    names = {path.relative_to(ROOT).as_posix() for path in modules}
    assert len(names) >= 5
    ordered = object.__new__(Ordered)
    for name in names:
        assert {ordered._split_scope(f"{name}::test_it"), ordered._split_scope(f"{name}::TestOne::test_it")} == {SPARK}
    other = Path("tests/store/test_crashes.py").as_posix()
    assert ordered._split_scope(f"{other}::TestKilled::test_it") == f"{other}::TestKilled"


def test_what_takes_long_comes_first_and_the_rest_stays_as_it_is() -> None:
    scopes = ["tests/a.py", LONG[2], "tests/b.py", SPARK]
    assert sorted(scopes, key=rank) == [SPARK, LONG[2], "tests/a.py", "tests/b.py"]
