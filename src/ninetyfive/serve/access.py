"""Who is let in: a pure decision of what is allowed, what a route needs, and two headers.

    Host named? ─no─▶ 421      open route ─▶ in      token known? ─no─▶ 401      scope enough? ─no─▶ 403

The rule: unknown, wrong and missing tokens get one answer, after one comparison with each that is known; nothing that a
client sent is said back. `admin` may do what `operate` may, and that what `read` may; `predict` alone predicts, so that
the token that clients hold operates nothing, and the one that operates is of no use to them.
What does not belong here: which route needs what (the worker's and the supervisor's), and where tokens are kept.
"""

from __future__ import annotations

from hashlib import sha256
from hmac import compare_digest
from typing import NamedTuple

from ninetyfive.serve.messages import Access, Scope

HOLDS: dict[Scope, frozenset[Scope]] = {
    "predict": frozenset({"predict"}),
    "read": frozenset({"read"}),
    "operate": frozenset({"read", "operate"}),
    "admin": frozenset({"read", "operate", "admin"}),
}
"""What a token of a scope may do."""
WAIVED: frozenset[Scope] = frozenset({"predict", "read"})
"""What needs no token where `Access.required` is false: a server that its own machine alone reaches."""


class Allow(NamedTuple):
    """Let in, by the token of this name; None where none was needed."""

    who: str | None


class Deny(NamedTuple):
    """Not let in: the status, and words for the client."""

    status: int
    reason: str


_OPEN = Allow(None)
_NO_HOST = Deny(421, "this server does not answer for that host: its operator lists its names in serve.hosts")
_NO_TOKEN = Deny(401, "a token that is known is needed: Authorization: Bearer TOKEN")


def decide(access: Access, need: Scope | None, authorization: bytes | None, host: bytes | None) -> Allow | Deny:
    """Whether a request may do what `need` names (None: anybody may), from its Authorization and Host headers.

    A request without a Host is of no host that is listed. 421: a foreign host; 401: no token that is known; 403: one of
    another scope.

    >>> from ninetyfive.serve.messages import Token
    >>> access = Access(tokens=(Token(name="ops", scope="operate", sha256=digest(b"secret")),), required=True)
    >>> decide(access, "read", b"Bearer secret", b"localhost:8081")
    Allow(who='ops')
    >>> decide(access, "admin", b"Bearer secret", b"localhost:8081").status
    403
    >>> decide(access, "read", b"Bearer guess", b"localhost").status, decide(access, None, None, b"evil.example").status
    (401, 421)
    """
    if "*" not in access.hosts and _name(host) not in access.hosts:
        return _NO_HOST
    if need is None or (need in WAIVED and not access.required):
        return _OPEN
    kind, _, token = (authorization or b"").strip().partition(b" ")
    given, found = digest(token.strip()).encode(), None
    for known in access.tokens:  # all of them, whichever it is
        if compare_digest(given, known.sha256.encode()):
            found = known
    if found is None or kind.lower() != b"bearer":
        return _NO_TOKEN
    if need not in HOLDS[found.scope]:
        return Deny(403, f"the token has the scope {found.scope!r}, and this needs {need!r}")
    return Allow(found.name)


def digest(token: bytes) -> str:
    """What is kept of a token: its sha256. A token is 256 random bits, so no slow hash is needed."""
    return sha256(token).hexdigest()


def _name(host: bytes | None) -> str:
    """The host of a Host header, without its port, in lower case."""
    text = (host or b"").decode("latin-1").strip().lower()
    name, colon, port = text.rpartition(":")
    if colon and (port.isdecimal() or not port) and not name.endswith(":") and (":" not in name or name.endswith("]")):
        return name
    return text
