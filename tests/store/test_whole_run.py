"""Two machines, one store: the catalog on a server, the files in a bucket, through the command line."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from tests.conftest import Project


@dataclass(frozen=True)
class Machine:
    """A copy of the project with a cache of its own, and the password in its environment."""

    folder: Path
    cache: Path
    password: str

    def command(self, *words: str, code: int = 0) -> dict[str, Any]:
        environment = os.environ | {"XDG_CACHE_HOME": str(self.cache), "CATALOG_PASSWORD": self.password}
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
        (line,) = done.stdout.splitlines()
        document = json.loads(line)
        assert isinstance(document, dict)
        return document


@pytest.fixture
def catalog(postgres: Any) -> Any:
    """A catalog of a user with a password, which stands in the settings as the name of a variable."""
    postgres.execute("CREATE ROLE ada LOGIN PASSWORD 'open sesame'")
    schema = postgres.new_schema()
    postgres.execute(f"GRANT ALL ON SCHEMA {schema} TO ada")
    yield postgres.url(schema, "ada:${CATALOG_PASSWORD}")
    postgres.execute("DROP OWNED BY ada")
    postgres.execute("DROP ROLE ada")


@pytest.mark.slow
def test_two_machines_share_one_store(project: Project, bucket: str, catalog: str, tmp_path: Path) -> None:
    settings = f'store = "{bucket}/{tmp_path.name}"\ncatalog = "{catalog}"\n'
    (project.folder / "ninetyfive.toml").write_text(settings, encoding="utf-8")
    one = Machine(project.folder, tmp_path / "one", "open sesame")

    first = one.command("run")
    assert (first["promoted"], first["rows"]["read"]) == (True, 1_200)
    shutil.copytree(project.folder, tmp_path / "elsewhere")
    two = Machine(tmp_path / "elsewhere", tmp_path / "two", "open sesame")
    again = two.command("run")
    assert again["release"] == first["release"]
    assert all(step["skipped"] for step in again["steps"])
    predicted = two.command("predict", "data/a.parquet", "answers.parquet")
    assert (predicted["release"], predicted["rows"]["answered"]) == (first["release"], 1_200)

    project.edit(('"max_depth": 4', '"max_depth": 3'))
    second = one.command("run", "--no-promote")
    assert second["release"] != first["release"]
    assert two.command("promote", second["release"][:12])["epoch"] == 2
    assert one.command("rollback")["release"] == first["release"]
    status = two.command("status")
    assert (status["champion"]["release"], status["releases"]) == (first["release"], 2)
    assert {finding["kind"] for finding in two.command("doctor")["findings"]} <= {"disk space"}
    assert not (project.folder / ".ninetyfive").exists()
    stranger = Machine(project.folder, tmp_path / "one", "open sesam")
    assert "password" in stranger.command("status", code=1)["error"]["got"]
