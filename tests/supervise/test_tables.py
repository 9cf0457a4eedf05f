"""A service whose answers come from a table: release and table flip as one, and a damaged table is refused."""

from __future__ import annotations

import json
import shutil
import signal
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import pytest
from tests.supervise.conftest import KEY_FILE, Service, Start, until

if TYPE_CHECKING:
    import polars as pl
    from tests.conftest import Project

pytestmark = pytest.mark.slow

SPLIT = '    split=nf.Split("time", 0.5),\n'


def declare(project: Project, serving: str, trips: Callable[..., pl.DataFrame]) -> None:
    """Answer from a table of the zones of population.parquet."""
    trips(60).write_parquet(project.folder / "population.parquet")
    project.edit((SPLIT, f'{SPLIT}    entity=["zone"],\n    serving={serving},\n'))
    (project.folder / KEY_FILE).write_text(json.dumps({"admin": project.load().new_token("admin")["token"]}))


def metadata(service: Service) -> dict[str, Any]:
    answered = service.predict()
    assert answered.status == 200, answered.body
    found = answered.json["metadata"]
    assert isinstance(found, dict)
    return found


def table(project: Project) -> str:
    with project.store() as store:
        champion = store.champion()
        assert champion is not None
        assert champion.table is not None
        return champion.table


def test_a_new_table_is_answered_from_and_a_damaged_one_is_refused(
    project: Project, start: Start, trips: Callable[..., pl.DataFrame]
) -> None:
    declare(project, 'nf.StaticServing(population="population.parquet")', trips)
    project.run()
    first = table(project)
    service = start(project)
    assert service.opening["paradigm"] == "static"
    assert service.opening["table"] == first
    assert (metadata(service)["table"], metadata(service)["sources"]) == (first, ["table"])
    project.command("table", "build", "--as-of", "2026-11-01T00:00:00")
    second = table(project)
    assert second != first
    until(lambda: metadata(service)["table"] == second)
    assert service.status()["table"] == second
    said = project.command("rollback", "--wait", "--json")
    assert said.json["services"][0]["outcome"] == "flipped", said
    assert metadata(service)["table"] == first

    with project.store() as store:
        folder = store.path(str(store.table(second).folder))
        release = store.table(second).release
    service.process.send_signal(signal.SIGSTOP)
    assert project.command("promote", release, "--table", second).code == 0
    path = folder / "table.mdb"
    path.chmod(0o600)
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.unlink()  # a hard link may be served from
    path.write_bytes(data)
    service.process.send_signal(signal.SIGCONT)
    error = until(lambda: service.status()["refused"].get("4"))
    assert error["kind"] == "IntegrityError"
    assert metadata(service)["table"] == first


def test_static_serving_without_a_table_does_not_start(
    project: Project, start: Start, trips: Callable[..., pl.DataFrame]
) -> None:
    project.run()
    declare(project, 'nf.StaticServing(population="population.parquet")', trips)
    said = project.command("serve", "--port", "0", "--admin-port", "0", "--json")
    assert said.code == 1
    assert "ninetyfive table build" in said.json["error"]["do"]


def test_hybrid_serving_computes_what_its_table_does_not_hold(
    project: Project, start: Start, trips: Callable[..., pl.DataFrame]
) -> None:
    declare(project, 'nf.HybridServing(population="population.parquet", cache=10, on_outside=0.5)', trips)
    project.run()
    service = start(project, "--workers", "1")
    assert service.opening["paradigm"] == "hybrid"
    assert metadata(service)["sources"] in (["table"], ["model"])
    assert metadata(service)["sources"] in (["table"], ["cache"])
    rendered = project.folder / "rendered"
    assert project.command("deploy", "render", "--to", rendered, "--insecure").code == 0
    config = json.loads((rendered / "service/config.json").read_text(encoding="utf-8"))
    assert config["policy"]["on_outside"] == 0.5
    assert (rendered / "service" / config["live"]["table_folder"] / "table.mdb").is_file()
    shutil.rmtree(rendered)
