"""Two machines, one store: the catalog on a server, the files in a bucket, through the command line."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from ninetyfive.run import STEPS as ALL

if TYPE_CHECKING:
    from tests.conftest import Project


STEPS = [step.name for step in ALL]


@dataclass(frozen=True)
class Machine:
    """A copy of the project with a cache of its own, and the password in its environment."""

    folder: Path
    cache: Path
    password: str

    def command(self, *words: str, code: int = 0, **variables: str) -> dict[str, Any]:
        environment = os.environ | {"XDG_CACHE_HOME": str(self.cache), "CATALOG_PASSWORD": self.password} | variables
        environment["NINETYFIVE_ACTOR"] = self.cache.name
        done = subprocess.run(
            [sys.executable, "-m", "ninetyfive.cli", *words, "--json"],
            cwd=self.folder,
            env=environment,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == code, done.stderr
        assert self.password not in done.stdout + done.stderr
        if code < 0:
            return {}
        (line,) = done.stdout.splitlines()
        document = json.loads(line)
        assert isinstance(document, dict)
        return document


@pytest.fixture
def schema(postgres: Any) -> Iterator[str]:
    """A schema of a user with a password."""
    postgres.execute("CREATE ROLE ada LOGIN PASSWORD 'open sesame'")
    made = postgres.new_schema()
    postgres.execute(f"GRANT ALL ON SCHEMA {made} TO ada")
    yield made
    postgres.execute("DROP OWNED BY ada")
    postgres.execute("DROP ROLE ada")


@pytest.mark.slow
def test_two_machines_share_one_store(
    project: Project, bucket: str, postgres: Any, schema: str, tmp_path: Path
) -> None:
    catalog = postgres.url(schema, "ada:${CATALOG_PASSWORD}")
    settings = f'store = "{bucket}/{tmp_path.name}"\ncatalog = "{catalog}"\n'
    (project.folder / "ninetyfive.toml").write_text(settings, encoding="utf-8")
    one = Machine(project.folder, tmp_path / "one", "open sesame")

    one.command("run", code=-signal.SIGKILL, NINETYFIVE_CRASH="kill computed train")
    shutil.copytree(project.folder, tmp_path / "elsewhere")
    two = Machine(tmp_path / "elsewhere", tmp_path / "two", "open sesame")
    assert "run-1" in two.command("run", code=1)["error"]["got"]
    postgres.execute(f"UPDATE {schema}.leases SET expires = 0")  # as 30 s later
    first = two.command("run")
    assert (first["run"], first["promoted"], first["rows"]["read"]) == ("run-1", True, 1_200)
    assert [step["name"] for step in first["steps"] if step["skipped"]] == STEPS[: STEPS.index("train")]
    predicted = two.command("predict", "data/a.parquet", "answers.parquet")
    assert (predicted["release"], predicted["rows"]["answered"]) == (first["release"], 1_200)

    project.edit(('"max_depth": 4', '"max_depth": 3'))
    second = one.command("run", "--no-promote")
    assert second["release"] != first["release"]
    assert [step["name"] for step in second["steps"] if step["skipped"]] == STEPS[: STEPS.index("train")]
    assert two.command("promote", second["release"][:12])["epoch"] == 2
    assert one.command("rollback")["release"] == first["release"]
    status = two.command("status")
    assert (status["champion"]["release"], status["releases"]) == (first["release"], 2)
    assert status["last_run"]["id"] == "run-2"
    assert {finding["kind"] for finding in two.command("doctor")["findings"]} <= {"disk space"}
    assert not (project.folder / ".ninetyfive").exists()


@pytest.mark.slow
def test_a_search_goes_on_where_another_machine_was_killed(
    project: Project, bucket: str, postgres: Any, schema: str, tmp_path: Path
) -> None:
    catalog = postgres.url(schema, "ada:${CATALOG_PASSWORD}")
    settings = f'store = "{bucket}/{tmp_path.name}"\ncatalog = "{catalog}"\n'
    (project.folder / "ninetyfive.toml").write_text(settings, encoding="utf-8")
    tune = "tune=nf.Tuning({'max_depth': nf.int_range(1, 9)}, trials=5, folds=1)"
    project.edit(('params={"max_depth": 4}', f'params={{"max_depth": 4}}, {tune}'))
    one, two = (Machine(project.folder, tmp_path / name, "open sesame") for name in ("one", "two"))
    one.command("run", code=-signal.SIGKILL, NINETYFIVE_CRASH="kill after trial 2")
    postgres.execute(f"UPDATE {schema}.leases SET expires = 0")  # as 30 s later
    found = two.command("run")
    assert (found["run"], sum(found["tuning"]["counts"].values())) == ("run-1", 5)
    made = postgres.execute(f"SELECT actor FROM {schema}.audit WHERE subject = 'run-1 trial' ORDER BY seq")
    assert [actor for (actor,) in made] == ["one"] * 3 + ["two"] * 2
    assert {finding["kind"] for finding in two.command("doctor")["findings"]} <= {"disk space"}
