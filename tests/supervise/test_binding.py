"""Where a service may listen: the matrix of addresses, tokens, TLS and what was said of them."""

from __future__ import annotations

import itertools
import socket
from pathlib import Path

import pytest
import trustme

from ninetyfive.errors import SettingsError, UsageError
from ninetyfive.serve.messages import Token
from ninetyfive.supervise.binding import LOCAL, Asked, admin_access, check_tls, decide_access, is_loopback, listen, url

PREDICT = Token(name="p", scope="predict", sha256="0" * 64)
ADMIN = Token(name="a", scope="admin", sha256="1" * 64)


def asked(host: str = "127.0.0.1", tls: bool = False, **words: object) -> Asked:
    files = {"tls_cert": "cert.pem", "tls_key": "key.pem"} if tls else {}
    return Asked(**{"host": host, "port": 0, "admin_host": "127.0.0.1", "admin_port": 0, **files, **words})  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("host", "tokens", "tls", "insecure"),
    list(
        itertools.product(
            ["127.0.0.1", "::1", "localhost", "0.0.0.0", "::", "10.0.0.1", "model.example", ""],
            [(), (ADMIN,), (PREDICT,), (ADMIN, PREDICT)],
            [False, True],
            [False, True],
        )
    ),
)
def test_beyond_this_machine_a_token_and_tls_are_needed(
    host: str, tokens: tuple[Token, ...], tls: bool, insecure: bool
) -> None:
    local, predictor = host in ("127.0.0.1", "::1", "localhost"), PREDICT in tokens
    said = asked(host, tls, insecure=insecure)
    if local or insecure or (predictor and tls):
        access = decide_access(said, tokens)
        assert access.required == predictor
        assert access.tokens == tokens
    else:
        with pytest.raises(UsageError, match="--insecure") as refused:
            decide_access(said, tokens)
        assert ("token new --scope predict" in refused.value.do) == (not predictor)
        assert ("tls_cert" in refused.value.do) == (not tls)


@pytest.mark.parametrize("tls", [False, True])
def test_the_admin_port_is_held_to_the_same(tls: bool) -> None:
    said = asked(tls=tls, admin_host="0.0.0.0")
    if tls:
        decide_access(said, ())
    else:
        with pytest.raises(UsageError, match="admin_host"):
            decide_access(said, ())
    assert said.admin_tls == tls
    assert not asked(tls=True).admin_tls


@pytest.mark.parametrize("tokens", [(), (ADMIN,), (PREDICT,)])
def test_operating_always_needs_a_token(tokens: tuple[Token, ...]) -> None:
    assert admin_access(asked(), tokens).required
    assert admin_access(asked(platform=True, insecure=True), tokens).required


def test_behind_a_platform_it_is_the_platform_that_lets_in() -> None:
    access = decide_access(asked("0.0.0.0", platform=True), (PREDICT,))
    assert (access.required, access.hosts) == (False, ("*",))


@pytest.mark.parametrize(
    ("host", "hosts", "expected"),
    [
        ("127.0.0.1", (), LOCAL),
        ("0.0.0.0", (), LOCAL),
        ("::", (), LOCAL),
        ("::1", (), LOCAL),
        ("10.0.0.1", (), (*LOCAL, "10.0.0.1")),
        ("fe80::1", (), (*LOCAL, "[fe80::1]")),
        ("0.0.0.0", ("Model.Example",), (*LOCAL, "model.example")),
        ("127.0.0.1", ("*",), ("*",)),
    ],
)
def test_which_hosts_requests_may_name(host: str, hosts: tuple[str, ...], expected: tuple[str, ...]) -> None:
    assert decide_access(asked(host, hosts=hosts, insecure=True), ()).hosts == expected


@pytest.mark.parametrize(
    ("host", "expected"),
    [
        ("127.0.0.1", True),
        ("127.8.8.8", True),
        ("::1", True),
        ("[::1]", True),
        ("LOCALHOST", True),
        ("0.0.0.0", False),
        ("::", False),
        ("localhost.example", False),
        ("2130706433", False),
        ("127.1", False),
    ],
)
def test_what_is_this_machine_alone(host: str, expected: bool) -> None:
    assert is_loopback(host) == expected


def test_certificate_and_key_belong_together(tmp_path: Path) -> None:
    authority = trustme.CA()
    names = []
    for number in (1, 2):
        made = authority.issue_cert("localhost")
        names += [str(tmp_path / f"{number}.crt"), str(tmp_path / f"{number}.key")]
        made.cert_chain_pems[0].write_to_path(names[-2])
        made.private_key_pem.write_to_path(names[-1])
    check_tls(asked())
    check_tls(asked(tls_cert=names[0], tls_key=names[1]))
    for cert, key in (
        (names[0], names[3]),
        (names[1], names[0]),
        (names[0], "missing"),
        (names[0], None),
        (None, names[1]),
    ):
        with pytest.raises(SettingsError):
            check_tls(asked(tls_cert=cert, tls_key=key))


def test_a_port_that_is_taken_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ninetyfive.supervise.binding._BIND_SECONDS", 0.0)
    with listen("127.0.0.1", 0, "--port") as held:
        port = held.getsockname()[1]
        assert url(held, "127.0.0.1", False) == f"http://127.0.0.1:{port}"
        assert held.getsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR)
        with pytest.raises(UsageError, match="choose another: --port"):
            listen("127.0.0.1", port, "--port")
    for host in ("not-a-host.invalid", "192.0.2.1"):
        with pytest.raises(UsageError, match="name an address of this machine, by --host"):
            listen(host, 0, "--port")
