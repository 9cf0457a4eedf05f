"""Who is let in: scopes, tokens and hosts, each decision from values alone."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ninetyfive.serve.access import HOLDS, Allow, Deny, decide, digest
from ninetyfive.serve.messages import SCOPES, Access, Scope, Token

TOKENS = tuple(Token(name=f"a-{scope}", scope=scope, sha256=digest(f"key-{scope}".encode())) for scope in SCOPES)
CLOSED = Access(tokens=TOKENS, required=True)
LOCAL = Access(tokens=TOKENS)
EXPECTED = {
    "predict": {"predict"},
    "read": {"read"},
    "operate": {"read", "operate"},
    "admin": {"read", "operate", "admin"},
}


def status(answer: Allow | Deny) -> int:
    return 200 if isinstance(answer, Allow) else answer.status


@pytest.mark.parametrize(("held", "need"), list(itertools.product(SCOPES, SCOPES)))
def test_a_token_does_what_its_scope_holds_and_no_more(held: Scope, need: Scope) -> None:
    answer = decide(CLOSED, need, f"Bearer key-{held}".encode(), b"localhost")
    assert status(answer) == (200 if need in EXPECTED[held] else 403)
    assert answer == Allow(f"a-{held}") or isinstance(answer, Deny)


def test_every_scope_says_what_it_holds() -> None:
    assert set(HOLDS) == set(SCOPES)


@pytest.mark.parametrize("need", SCOPES)
@pytest.mark.parametrize(
    "header",
    [
        None,
        b"",
        b"Bearer",
        b"Bearer ",
        b"Bearer wrong",
        b"Basic key-admin",
        b"key-admin",
        b"Bearer key-admin key-admin",
        b"Bearer " + TOKENS[3].sha256.encode(),
        b"\xff\xfe",
        b"Bearer \x00",
    ],
)
def test_missing_wrong_and_garbled_tokens_get_one_answer(need: Scope, header: bytes | None) -> None:
    assert decide(CLOSED, need, header, b"localhost") == decide(CLOSED, need, b"Bearer other", b"localhost")
    assert status(decide(CLOSED, need, header, b"localhost")) == 401


@pytest.mark.parametrize("need", SCOPES)
def test_without_any_token_a_closed_server_lets_nobody_in(need: Scope) -> None:
    assert status(decide(Access(required=True), need, b"Bearer x", b"localhost")) == 401


@pytest.mark.parametrize(("need", "expected"), [("predict", 200), ("read", 200), ("operate", 401), ("admin", 401)])
def test_where_none_is_required_one_may_predict_and_read_but_not_operate(need: Scope, expected: int) -> None:
    assert status(decide(LOCAL, need, None, b"localhost")) == expected
    assert status(decide(LOCAL, need, b"Bearer wrong", b"localhost")) == expected


def test_the_word_bearer_is_read_in_any_case_and_blanks_are_no_part_of_a_token() -> None:
    assert decide(CLOSED, "read", b"bearer   key-read ", b"localhost") == Allow("a-read")


@pytest.mark.parametrize(
    ("host", "expected"),
    [
        (b"localhost", 200),
        (b"LocalHost:8080", 200),
        (b"127.0.0.1:1", 200),
        (b"[::1]", 200),
        (b"[::1]:8081", 200),
        (b"localhost:", 200),
        (None, 421),
        (b"", 421),
        (b"evil.example", 421),
        (b"evil.example:8080", 421),
        (b"localhost.evil.example", 421),
        (b"localhost@evil.example", 421),
        (b"localhost:80@evil.example", 421),
        (b"localhost:8080:8080", 421),
        (b"localhost:x", 421),
        (b"::1", 421),
        (b"localhost,evil.example", 421),
        (b"\xff", 421),
        (b":8080", 421),
        (b"*", 421),
    ],
)
@pytest.mark.parametrize("need", [None, "predict"])
def test_only_hosts_that_are_listed_are_answered_for(host: bytes | None, expected: int, need: Scope | None) -> None:
    assert status(decide(LOCAL, need, None, host)) == expected


def test_behind_a_platform_any_host_is_answered_for() -> None:
    assert decide(Access(hosts=("*",)), None, None, b"anything.example") == Allow(None)
    assert decide(Access(hosts=("*",)), None, None, None) == Allow(None)


def test_a_foreign_host_is_told_before_anything_of_the_token() -> None:
    assert status(decide(CLOSED, "admin", b"Bearer key-admin", b"evil.example")) == 421


@given(st.binary(max_size=60), st.binary(max_size=60), st.sampled_from([None, *SCOPES]))
def test_whatever_comes_is_decided_and_never_said_back(header: bytes, host: bytes, need: Scope | None) -> None:
    answer = decide(CLOSED, need, header, host)
    if isinstance(answer, Deny):
        known = b"evil.example" if answer.status == 421 else b"localhost"
        assert answer == decide(CLOSED, need, b"Bearer other", known)
    else:
        assert need is None
