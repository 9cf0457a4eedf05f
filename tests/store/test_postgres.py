"""What only a server does: refuse, go away, come back; and the lease of a store that several machines share."""

from __future__ import annotations

import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from typing import Any

import pytest
from sqlalchemy import select, text

from ninetyfive.errors import BusyError, SettingsError, StoreError
from ninetyfive.settings import load_settings
from ninetyfive.store import catalog, row_leases
from ninetyfive.store.opening import Store, open_store, store_exists

pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("error")]


@pytest.fixture
def folder(tmp_path: Any) -> str:
    return str(tmp_path / "store")


@pytest.fixture(scope="module")
def ada(postgres: Any) -> Iterator[str]:
    """A user whose password is asked for."""
    postgres.execute("CREATE ROLE ada LOGIN PASSWORD 'hunter2'")
    yield postgres.url(user="ada:hunter2")
    postgres.execute("DROP OWNED BY ada")
    postgres.execute("DROP ROLE ada")


@pytest.mark.parametrize(
    ("old", "new", "do"),
    [
        ("hunter2", "hunter3", "correct the user and password"),
        (":hunter2", "", "name a password"),
        ("/postgres", "/nowhere", "make the database"),
        ("127.0.0.1:", "127.0.0.1:1", "check that the server runs"),
        ("127.0.0.1", "no.such.host.invalid", "check that the server runs"),
    ],
)
def test_a_server_that_cannot_be_entered_says_why_and_no_password(
    ada: str, folder: str, old: str, new: str, do: str
) -> None:
    url = ada.replace(old, new)
    if old == "127.0.0.1:":
        url = ada.replace(ada.rpartition(":")[2].partition("/")[0], "1")
    for act in (lambda: open_store(folder, url), lambda: store_exists(folder, url)):
        with pytest.raises(StoreError, match=do) as caught:
            act()
        assert caught.value.where.startswith("postgresql://")
        assert "hunter" not in str(caught.value)
        assert "ada:" not in str(caught.value)


def test_a_password_in_what_the_server_says_is_hidden(ada: str, folder: str) -> None:
    with pytest.raises(StoreError) as caught:
        open_store(folder, ada.replace("/postgres", "/hunter2"))
    assert "hunter2" not in caught.value.got


def test_a_user_may_be_let_read_only(ada: str, postgres: Any, folder: str) -> None:
    schema = postgres.new_schema()
    with open_store(folder, postgres.url(schema)) as store:
        store.put_states({("s", "k"): b"kept"})
    postgres.execute(f"GRANT USAGE ON SCHEMA {schema} TO ada")
    postgres.execute(f"GRANT SELECT ON ALL TABLES IN SCHEMA {schema} TO ada")
    with open_store(folder, postgres.url(schema, "ada:hunter2"), create=False) as store:
        assert store.states("k", ["s"]) == {"s": b"kept"}
        assert store.champion() is None
        with pytest.raises(StoreError, match="make it writable for this user"):
            store.put_states({("s", "k"): b"other"})


def test_a_store_has_a_schema_of_its_own(postgres: Any, folder: str) -> None:
    one, two = postgres.url(postgres.new_schema()), postgres.url(postgres.new_schema())
    with open_store(folder, one) as store:
        store.put_states({("s", "k"): b"one"})
    assert (store_exists(folder, one), store_exists(folder, two)) == (True, False)
    with pytest.raises(StoreError, match="run ninetyfive run"):
        open_store(folder, two, create=False)
    with open_store(folder, two) as store:
        assert store.states("k", ["s"]) == {}
    with pytest.raises(StoreError, match="a schema for the tables"):
        open_store(folder, postgres.url("nowhere"))


def test_the_driver_is_an_extra(folder: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "psycopg", None)
    with pytest.raises(SettingsError, match=r"ninetyfive\[postgres\]"):
        open_store(folder, "postgresql://host/database")


@pytest.mark.parametrize(
    "url",
    [
        "postgresql://ada:hunt@er2@host/db",
        "postgresql://ada:hunt@er2/x@host/db",
        "postgresql://ada:hunt@er2?x@host/db",
        "postgresql://ada/hunt:er2@host/db",
        "postgresql://ada:hunter2@host/db?port=er2",
        "postgresql://ada:hunter2@host:er2/db",
    ],
)
def test_an_url_that_cannot_be_is_refused_without_printing_it(folder: str, url: str) -> None:
    for act in (lambda: open_store(folder, url), lambda: store_exists(folder, url)):
        with pytest.raises(SettingsError) as caught:
            act()
        assert "hunt" not in str(caught.value)
        assert "er2" not in str(caught.value)


def test_a_password_of_any_signs_comes_through(ada: str, postgres: Any, folder: str, tmp_path: Any) -> None:
    password = "p@ss/w?r#d%40 :"
    text = ada.replace("hunter2", "${PASSWORD}")
    (tmp_path / "ninetyfive.toml").write_text(f'catalog = "{text}"', encoding="utf-8")
    url = str(load_settings(tmp_path, {"PASSWORD": password}).catalog)
    postgres.execute(f"ALTER ROLE ada PASSWORD '{password}'")
    try:
        assert not store_exists(folder, url)
        with pytest.raises(StoreError, match="correct the user and password") as caught:
            store_exists(folder, url.replace("%40ss", "%40zz"))
        assert "zz" not in str(caught.value)
    finally:
        postgres.execute("ALTER ROLE ada PASSWORD 'hunter2'")


def test_a_writer_waits_for_the_one_before_and_a_reader_for_nobody(
    shared: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    with shared.open() as one, shared.open() as two:
        one.put_states({("s", "k"): b"old"})
        with one.catalog.write() as connection:
            connection.execute(catalog.states.update().values(blob=b"new", sha256="0" * 64))
            monkeypatch.setattr(catalog, "BUSY_SECONDS", 0.1)
            with pytest.raises(BusyError, match="still writing") as caught:
                two.put_states({("s", "k"): b"other"})
            assert "lock timeout" not in str(caught.value)
            assert two.states("k", ["s"]) == {"s": b"old"}
            connection.rollback()
        two.put_states({("s", "k"): b"other"})


def test_a_reader_sees_one_snapshot(shared: Any) -> None:
    with shared.open() as one, shared.open() as two:
        one.put_states({("s", "k"): b"old"})
        with two.catalog.read() as connection:
            before = connection.execute(catalog.states.select()).all()
            one.put_states({("s", "k"): b"new", ("t", "k"): b"new"})
            assert connection.execute(catalog.states.select()).all() == before


def test_what_is_acknowledged_is_on_the_disk_of_the_server(shared: Any, postgres: Any) -> None:
    postgres.execute("ALTER ROLE postgres SET synchronous_commit = off")
    try:
        with shared.open() as store, store.catalog.write() as connection:
            assert connection.scalar(text("SHOW synchronous_commit")) == "on"
            assert connection.scalar(text("SHOW transaction_isolation")) == "read committed"
    finally:
        postgres.execute("ALTER ROLE postgres RESET synchronous_commit")


@pytest.mark.slow
def test_a_server_that_crashes_in_a_transaction_and_comes_back_lost_nothing(shared: Any, postgres: Any) -> None:
    with shared.open() as store:
        store.put_states({("s", "k"): b"kept"})

        def write() -> None:
            with store.catalog.write() as connection:
                connection.execute(catalog.states.delete())
                postgres.crash()
                connection.execute(catalog.states.select())

        with pytest.raises(StoreError, match="check that the server runs"):
            write()
        with pytest.raises(StoreError, match="a connection to the server"):
            store.champion()
        postgres.start()
        assert store.states("k", ["s"]) == {"s": b"kept"}
        store.put_states({("t", "k"): b"again"})
        assert store.audit_verify() == []


def expiry(store: Store) -> float:
    """When the lease expires, on the clock of the server."""
    with store.catalog.read() as connection:
        return connection.scalar(select(catalog.leases.c.expires)) or 0.0


def forward(store: Store) -> None:
    """Let the clock of the server be past the end of the lease."""
    with store.catalog.beside() as connection:
        connection.execute(catalog.leases.update().values(expires=0.0))


def until_renewed(store: Store) -> None:
    before, deadline = expiry(store), time.monotonic() + 60
    while expiry(store) <= before:
        assert time.monotonic() < deadline
        time.sleep(0.05)


@pytest.mark.slow
def test_a_lease_outlives_a_restart_of_the_server(shared: Any, postgres: Any, monkeypatch: Any) -> None:
    monkeypatch.setattr(row_leases, "SECONDS", 3.0)
    with shared.open() as store, store.lease("run"):
        run = store.begin_run("run", "key")
        postgres.crash()
        time.sleep(1.2)  # a renewal fails meanwhile
        postgres.start()
        until_renewed(store)
        assert store.holder() is not None
        store.finish_run(run.id, "done")
        assert store.audit_verify() == []


IN_A_TRANSACTION = """
import sys
from ninetyfive.store import catalog, postgres
from ninetyfive.store.opening import open_store
postgres.IDLE_SECONDS = 1.0
with open_store(*sys.argv[1:3]) as store:
    try:
        with store.catalog.write() as connection:
            connection.execute(catalog.states.delete())
            print("in", flush=True)
            sys.stdin.readline()
    except Exception as error:
        print(type(error).__name__, error)
    store.put_states({("after", "k"): b"went on"})
"""

HOLD = """
import sys
from ninetyfive.errors import StoreError
from ninetyfive.store import row_leases
from ninetyfive.store.opening import open_store
row_leases.SECONDS = float(sys.argv[3])
with open_store(*sys.argv[1:3], actor="bob") as store:
    with store.lease("ninetyfive run"):
        run = store.begin_run("run", "key")
        print(run.id, run.resumes, flush=True)
        sys.stdin.readline()
        for act in (
            lambda: store.put_states({("s", "k"): b"late"}),
            lambda: store.finish_run(run.id, "done"),
            lambda: store.tell("schema.accept", "schema", {}),
        ):
            try:
                act()
                print("written", flush=True)
            except StoreError as error:
                print(type(error).__name__, error, flush=True)
"""


def begin(code: str, shared: Any, seconds: float = 30.0) -> subprocess.Popen[str]:
    """A process that has said its first line and waits for one of ours."""
    process = subprocess.Popen(
        [sys.executable, "-c", code, *shared.words, str(seconds)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    assert process.stdout.readline()
    return process


@pytest.mark.slow
def test_a_writer_that_is_killed_or_stopped_holds_nobody_up(shared: Any) -> None:
    with shared.open() as store:
        store.put_states({("s", "k"): b"kept"})
        killed, stopped = begin(IN_A_TRANSACTION, shared), None
        killed.kill()
        killed.communicate()
        store.put_states({("t", "k"): b"after a kill"})
        stopped = begin(IN_A_TRANSACTION, shared)
        stopped.send_signal(signal.SIGSTOP)
        store.put_states({("u", "k"): b"while one sleeps"})
        stopped.send_signal(signal.SIGCONT)
        said, _ = stopped.communicate("\n", timeout=60)
        assert said.startswith("StoreError postgresql://")
        assert len(store.states("k", ["s", "t", "u", "after"])) == 4
        assert store.audit_verify() == []


@pytest.mark.slow
def test_a_holder_that_slept_through_its_lease_writes_nothing_more(shared: Any) -> None:
    with shared.open(actor="ada") as store:
        holder = begin(HOLD, shared, 2.0)
        holder.send_signal(signal.SIGSTOP)
        with store.lease("mine", wait=60):
            run = store.begin_run("run", "key")
            assert (run.id, run.resumes) == ("run-1", 1)
            records = len(store.audit_records())
            holder.send_signal(signal.SIGCONT)
            said, _ = holder.communicate("\n", timeout=60)
            lines = said.splitlines()
            assert len(lines) == 3
            for words in lines:
                assert words.startswith("StoreError postgresql://")
                assert "(token 1), got it taken over (token 2) by process" in words
                assert "(ada)" in words
                assert "mine, run-1" in words
            assert len(store.audit_records()) == records
            assert store.states("k", ["s"]) == {}
            mine = store.holder()  # the other gave back a lease that was no longer its own
            assert mine is not None
            assert mine.actor == "ada"
            store.finish_run(run.id, "done")
        assert store.audit_verify() == []


@pytest.mark.slow
def test_a_holder_that_slept_while_nobody_came_goes_on(shared: Any) -> None:
    with shared.open() as store:
        holder = begin(HOLD, shared)
        with pytest.raises(BusyError, match=f"process {holder.pid} on .*bob.* ninetyfive run, run-1"), store.lease("x"):
            pass
        assert [run.status for run in store.runs()] == ["running"]
        holder.send_signal(signal.SIGSTOP)
        forward(store)
        assert store.holder() is None
        assert [run.status for run in store.runs()] == ["interrupted"]
        holder.send_signal(signal.SIGCONT)
        said, _ = holder.communicate("\n", timeout=60)
        assert said.splitlines() == ["written"] * 3
        assert [run.status for run in store.runs()] == ["done"]


@pytest.mark.slow
def test_the_lease_of_a_killed_holder_is_taken_once_it_expires(shared: Any) -> None:
    with shared.open() as store:
        holder = begin(HOLD, shared)
        holder.kill()
        holder.communicate()
        with pytest.raises(BusyError, match="free 30 s after its last sign"), store.lease("at once"):
            pass
        forward(store)
        with store.lease("later"):
            run = store.begin_run("run", "key")
            assert (run.id, run.resumes) == ("run-1", 1)
            store.finish_run(run.id, "done")


def test_a_lease_is_renewed_as_long_as_it_is_held_also_while_another_writes(shared: Any, monkeypatch: Any) -> None:
    monkeypatch.setattr(row_leases, "SECONDS", 0.6)
    with shared.open() as store, shared.open() as other:
        with store.lease("long"):
            until_renewed(store)
            with other.catalog.write():
                until_renewed(store)
        assert store.holder() is None
        with other.lease("mine"):
            assert store.holder() == other.holder()
    assert not [thread for thread in threading.enumerate() if thread.name == "ninetyfive lease"]


def test_readers_see_old_or_new_while_another_writes(shared: Any) -> None:
    with shared.open() as store:
        over = threading.Event()

        def write() -> None:
            for number in range(30):
                store.put_states({(span, "k"): str(number).encode() for span in ("a", "b", "c")})
            over.set()

        writer = threading.Thread(target=write)
        writer.start()
        seen = set()
        while not over.is_set():
            values = set(store.states("k", ["a", "b", "c"]).values())
            assert len(values) <= 1
            seen |= values
        writer.join()
        assert len(seen) > 1
        assert store.audit_verify() == []
