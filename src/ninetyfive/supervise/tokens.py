"""Tokens: who may call the service, in a file that holds the sha256 of each and nothing else of it.

    <store's local folder>/tokens.json   0600   [{"name": "ops", "scope": "operate", "sha256": "…", "created": "…"}]

The rule: a token is 256 random bits, printed once by whoever made it and kept nowhere. The file is replaced as a whole,
by one process at a time, and is on the disk before the token is told.
What does not belong here: what a scope may do (`serve.access`).
"""

from __future__ import annotations

import fcntl
import os
import re
import secrets
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import msgspec

from ninetyfive import clock
from ninetyfive.durable import sync
from ninetyfive.errors import IntegrityError, StoreError, UsageError, near_names
from ninetyfive.serve.access import digest
from ninetyfive.serve.messages import SCOPES, Scope, Token
from ninetyfive.store.failures import disk_errors

FILE = "tokens.json"
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,63}")
_READ = msgspec.json.Decoder(tuple[Token, ...])


def new_token(home: Path, scope: str, name: str | None = None) -> tuple[str, Token]:
    """Make a token of a scope and keep its sha256 in `home`; the token itself is in the answer alone.

    `name` says later which one it is (default: the scope, and a number where there is one). `UsageError` for a scope
    that there is not, and a name that is taken or is none.
    """
    if scope not in SCOPES:
        raise UsageError("token new --scope", expected="a scope", got=repr(scope), do=near_names(scope, SCOPES))
    if name is not None and not _NAME.fullmatch(name):
        raise UsageError(
            "token new --name",
            expected="up to 64 letters, digits, '.', '_' and '-'",
            got=repr(name),
            do="choose a name like 'grafana'",
        )
    with _changing(home):
        known = read_tokens(home)
        taken = {one.name for one in known}
        if name in taken:
            raise UsageError(
                "token new --name", expected="a new name", got=repr(name), do=f"ninetyfive token revoke {name} first"
            )
        named = name or next(free for free in _numbered(scope) if free not in taken)
        token = f"n95_{secrets.token_urlsafe(32)}"
        kept = Token(
            name=named,
            scope=_scope(scope),
            sha256=digest(token.encode()),
            created=clock.now().isoformat("T", "seconds"),
        )
        _write(home, (*known, kept))
    return token, kept


def revoke_token(home: Path, name: str) -> Token:
    """Forget the token of this name; a running service lets it in no more within a second."""
    with _changing(home):
        known = read_tokens(home)
        found = [one for one in known if one.name == name]
        if not found:
            raise UsageError(
                f"token {name!r}", expected="a token", got="none", do=near_names(name, [one.name for one in known])
            )
        _write(home, tuple(one for one in known if one.name != name))
    return found[0]


def read_tokens(home: Path) -> tuple[Token, ...]:
    """The tokens in `home`, oldest first; () where no file is.

    `StoreError` where others may write to the file, `IntegrityError` where it holds something else.
    """
    path = home / FILE
    try:
        with disk_errors(str(path)), path.open("rb") as stream:
            mode = stat.S_IMODE(os.fstat(stream.fileno()).st_mode)
            data = stream.read()
    except StoreError:
        if not path.exists():
            return ()
        raise
    if mode & 0o077:
        raise StoreError(
            str(path),
            expected="a file for its owner alone (0600)",
            got=f"mode {mode:04o}",
            do=f"find out who else used it, then chmod 600 {path}",
        )
    try:
        return _READ.decode(data)
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise IntegrityError(
            str(path),
            expected="tokens as they were written",
            got=str(error),
            do="delete the file and make new tokens: ninetyfive token new",
        ) from None


def changed(home: Path) -> tuple[int, int, int]:
    """What differs whenever the tokens do: inode, size and time of their file; zeros where there is none."""
    try:
        found = os.stat(home / FILE)
    except OSError:
        return 0, 0, 0
    return found.st_ino, found.st_size, found.st_mtime_ns


def _scope(text: str) -> Scope:
    return next(scope for scope in SCOPES if scope == text)


def _numbered(scope: str) -> Iterator[str]:
    yield scope
    number = 2
    while True:
        yield f"{scope}-{number}"
        number += 1


@contextmanager
def _changing(home: Path) -> Iterator[None]:
    """One process at a time changes the tokens."""
    with disk_errors(str(home / FILE)):
        home.mkdir(parents=True, exist_ok=True, mode=0o700)
        descriptor = os.open(home / f"{FILE}.lock", os.O_RDWR | os.O_CREAT, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            yield
        finally:
            os.close(descriptor)


def _write(home: Path, tokens: tuple[Token, ...]) -> None:
    """Replace the file by one that holds these, and is on the disk."""
    path = home / FILE
    draft = path.with_suffix(".new")
    with disk_errors(str(path)):
        draft.unlink(missing_ok=True)
        descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "wb") as stream:
            stream.write(msgspec.json.format(msgspec.json.encode(tokens), indent=2) + b"\n")
            stream.flush()
            os.fsync(stream.fileno())
        draft.replace(path)
        sync(home)
