"""Tokens: shown once, kept as a hash, in a file for its owner alone."""

from __future__ import annotations

import hashlib
import os
import stat
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from ninetyfive.errors import IntegrityError, StoreError, UsageError
from ninetyfive.serve.messages import SCOPES
from ninetyfive.supervise.tokens import FILE, changed, new_token, read_tokens, revoke_token

if TYPE_CHECKING:
    from tests.conftest import Project


@pytest.mark.parametrize("scope", SCOPES)
def test_a_token_is_kept_as_its_hash_alone(tmp_path: Path, scope: str) -> None:
    token, kept = new_token(tmp_path, scope)
    assert (kept.name, kept.scope) == (scope, scope)
    assert kept.sha256 == hashlib.sha256(token.encode()).hexdigest()
    assert read_tokens(tmp_path) == (kept,)
    assert token not in (tmp_path / FILE).read_text(encoding="utf-8")
    assert len(token) >= 43  # 256 bits in base64


def test_tokens_differ_and_get_names_of_their_own(tmp_path: Path) -> None:
    made = [new_token(tmp_path, "read") for _ in range(3)]
    assert [kept.name for _, kept in made] == ["read", "read-2", "read-3"]
    assert len({token for token, _ in made}) == 3
    assert new_token(tmp_path, "read", "grafana")[1].name == "grafana"


def test_the_file_and_its_new_folder_are_for_their_owner_alone(tmp_path: Path) -> None:
    old = os.umask(0)
    try:
        new_token(tmp_path / "home", "admin")
    finally:
        os.umask(old)
    assert stat.S_IMODE((tmp_path / "home" / FILE).stat().st_mode) == 0o600
    assert stat.S_IMODE((tmp_path / "home").stat().st_mode) == 0o700
    assert not list((tmp_path / "home").glob("*.new"))


@pytest.mark.parametrize("mode", [0o644, 0o620, 0o604])
def test_a_file_that_others_reach_is_refused(tmp_path: Path, mode: int) -> None:
    new_token(tmp_path, "admin")
    (tmp_path / FILE).chmod(mode)
    with pytest.raises(StoreError, match="for its owner alone"):
        read_tokens(tmp_path)


@pytest.mark.parametrize("data", [b"", b"{", b"[1]", b'[{"name": "x"}]', b'[{"name":"x","scope":"all","sha256":""}]'])
def test_a_file_of_something_else_is_damage_and_no_token(tmp_path: Path, data: bytes) -> None:
    new_token(tmp_path, "admin")
    (tmp_path / FILE).write_bytes(data)
    with pytest.raises(IntegrityError):
        read_tokens(tmp_path)


def test_a_revoked_token_is_gone_and_its_name_free(tmp_path: Path) -> None:
    new_token(tmp_path, "read", "a")
    _, other = new_token(tmp_path, "read", "b")
    seen = changed(tmp_path)
    assert revoke_token(tmp_path, "a").name == "a"
    assert changed(tmp_path) != seen
    assert read_tokens(tmp_path) == (other,)
    new_token(tmp_path, "predict", "a")


@pytest.mark.parametrize("name", ["", "../x", "a b", "a/b", "-a", "x" * 65, "é", "a\n"])
def test_a_name_is_a_word(tmp_path: Path, name: str) -> None:
    with pytest.raises(UsageError, match="letters"):
        new_token(tmp_path, "read", name)
    assert read_tokens(tmp_path) == ()


def test_wrong_words_are_told(tmp_path: Path) -> None:
    new_token(tmp_path, "read", "grafana")
    with pytest.raises(UsageError, match="did you mean 'read'"):
        new_token(tmp_path, "raed")
    with pytest.raises(UsageError, match="a new name"):
        new_token(tmp_path, "read", "grafana")
    with pytest.raises(UsageError, match="did you mean 'grafana'"):
        revoke_token(tmp_path, "grafna")


def test_many_at_once_lose_none(tmp_path: Path) -> None:
    code = (
        "import sys\nfrom pathlib import Path\nfrom ninetyfive.supervise.tokens import new_token\n"
        "for _ in range(10): new_token(Path(sys.argv[1]), 'read')"
    )
    made = [subprocess.Popen([sys.executable, "-c", code, tmp_path]) for _ in range(3)]
    assert [one.wait() for one in made] == [0, 0, 0]
    names = [one.name for one in read_tokens(tmp_path)]
    assert len(set(names)) == 30


def test_commands(copied: Project) -> None:
    made = copied.command("token", "new", "--scope", "operate", "--name", "ops", "--json").json
    assert set(made) == {"token", "name", "scope", "created"}
    said = copied.command("token", "new", "--scope", "read")
    assert said.code == 0
    assert said.out.startswith("n95_")
    assert "shown this once" in said.err
    listed = copied.command("token", "list", "--json").json["tokens"]
    assert [(one["name"], one["scope"]) for one in listed] == [("ops", "operate"), ("read", "read")]
    assert made["token"] not in copied.command("token", "list").out
    assert copied.command("token", "revoke", "ops").code == 0
    assert copied.command("token", "revoke", "ops").code == 2
    assert copied.command("token", "new", "--scope", "all").code == 2
    with copied.store() as store:
        assert [one.action for one in store.audit_records(3)] == ["token.new", "token.new", "token.revoke"]
        assert not store.audit_verify()
    assert not [one for one in copied.load().doctor()["findings"] if "token" in one["subject"]]


def test_init_makes_one_admin_token_and_shows_it_once(project: Project) -> None:
    made = project.command("init", "sub", "--json").json
    home = project.folder / "sub" / ".ninetyfive"
    (kept,) = read_tokens(home)
    assert (kept.scope, kept.sha256) == ("admin", hashlib.sha256(made["token"].encode()).hexdigest())
    for path in (project.folder / "sub").rglob("*"):
        assert not path.is_file() or made["token"].encode() not in path.read_bytes()
    for name in ("system.py", "ninetyfive.toml", "data/trips.csv"):
        (project.folder / "sub" / name).unlink()
    assert project.command("init", "sub", "--json").json["token"] is None
