"""Where a service may listen, decided from values: on this machine freely, beyond it with a token and TLS.

    host, tokens, TLS, --insecure, a platform ─▶ who is let in, or the words that refuse to start

What does not belong here: sockets (`service`), and the decision for each request (`serve.access`).
"""

from __future__ import annotations

import errno
import ipaddress
import socket
import ssl
import time
from collections.abc import Sequence

import msgspec

from ninetyfive.errors import SettingsError, UsageError
from ninetyfive.serve.messages import Access, Token

LOCAL = ("localhost", "127.0.0.1", "[::1]")
_BACKLOG = 1024
_BIND_SECONDS = 3.0
_WAYS = {
    errno.EADDRINUSE: "stop what listens there, or choose another: {}",
    errno.EACCES: "choose one from 1024 up: {}",
}
_OTHER_WAY = "name an address of this machine, by --host or in [serve]"


class Asked(msgspec.Struct, frozen=True, kw_only=True):
    """Where a service shall listen and for whom: the settings with what the command says over them.

    `insecure`: without a token or TLS beyond this machine, said explicitly. `platform`: one stands in front of it that
    lets in whom it knows, such as Vertex AI, whose requests name any host.
    """

    host: str
    port: int
    admin_host: str
    admin_port: int
    hosts: tuple[str, ...] = ()
    tls_cert: str | None = None
    tls_key: str | None = None
    insecure: bool = False
    platform: bool = False

    @property
    def tls(self) -> bool:
        """Whether it speaks TLS."""
        return self.tls_cert is not None

    @property
    def admin_tls(self) -> bool:
        """Whether the admin port does; where this machine alone reaches it, it does not."""
        return self.tls and not is_loopback(self.admin_host)


def decide_access(asked: Asked, tokens: Sequence[Token]) -> Access:
    """Who may predict; `UsageError` where the service would answer anybody beyond this machine, and nobody said so.

    A token is required to predict wherever one for that exists, and beyond this machine unless `insecure` is said.
    """
    predictors = any(one.scope == "predict" for one in tokens)
    reachable = not is_loopback(asked.host) and not asked.platform
    if reachable and not asked.insecure:
        lacks = [word for word, there in (("a token to predict", predictors), ("TLS", asked.tls)) if not there]
        if lacks:
            raise _open_to_all("host", asked.host, lacks)
    if not is_loopback(asked.admin_host) and not asked.tls and not asked.insecure:
        raise _open_to_all("admin_host", asked.admin_host, ["TLS"])
    required = not asked.platform and (predictors or (reachable and not asked.insecure))
    return Access(tokens=tuple(tokens), required=required, hosts=_hosts(asked, asked.host))


def admin_access(asked: Asked, tokens: Sequence[Token]) -> Access:
    """Who may operate: nobody without a token, wherever from."""
    return Access(tokens=tuple(tokens), required=True, hosts=_hosts(asked, asked.admin_host))


def is_loopback(host: str) -> bool:
    """Whether an address is reached from its own machine alone."""
    if host.lower() == "localhost":
        return True
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False


def check_tls(asked: Asked) -> None:
    """`SettingsError` where certificate and key are not both there, or do not belong together."""
    if (asked.tls_cert is None) != (asked.tls_key is None):
        lacks = "tls_key" if asked.tls_key is None else "tls_cert"
        raise SettingsError(
            "[serve]", expected="tls_cert and tls_key", got=f"no {lacks}", do=f'add {lacks} = "file.pem"'
        )
    if asked.tls_cert is not None:
        try:
            ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(asked.tls_cert, asked.tls_key)
        except (OSError, ssl.SSLError) as error:
            raise SettingsError(
                "[serve] tls_cert, tls_key",
                expected="a certificate in PEM and the key that belongs to it",
                got=str(error),
                do="name files that are there, and that the service may read",
            ) from None


def listen(host: str, port: int, flag: str) -> socket.socket:
    """A socket that listens; a port that the workers of a killed service still hold is waited for, for a moment.

    `UsageError` where the address cannot be listened on.
    """
    until = time.monotonic() + _BIND_SECONDS
    while True:
        try:
            family, kind, number, _, address = socket.getaddrinfo(
                host.strip("[]"), port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
            )[0]
            listening = socket.socket(family, kind, number)
            try:
                listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                listening.bind(address)
                listening.listen(_BACKLOG)
            except BaseException:
                listening.close()
                raise
            return listening
        except OSError as error:
            if time.monotonic() >= until:
                raise UsageError(
                    f"{host}:{port}",
                    expected="an address to listen on",
                    got=error.strerror or str(error),
                    do=_WAYS.get(error.errno or 0, _OTHER_WAY).format(flag),
                ) from None
            time.sleep(0.1)


def url(listening: socket.socket, host: str, tls: bool) -> str:
    """Where a socket is reached, for people."""
    name = f"[{host.strip('[]')}]" if ":" in host else host
    return f"{'https' if tls else 'http'}://{name}:{listening.getsockname()[1]}"


def _hosts(asked: Asked, host: str) -> tuple[str, ...]:
    if asked.platform or "*" in asked.hosts:
        return ("*",)
    own = () if host in ("0.0.0.0", "::", "") else (f"[{host.strip('[]')}]" if ":" in host else host,)
    return tuple(dict.fromkeys(name.lower() for name in (*LOCAL, *own, *asked.hosts)))


def _open_to_all(setting: str, host: str, lacks: Sequence[str]) -> UsageError:
    wants = [
        "a token (ninetyfive token new --scope predict)" if "token" in lack else "tls_cert and tls_key in [serve]"
        for lack in lacks
    ]
    return UsageError(
        f"serve, {setting} {host}",
        expected=f"{' and '.join(lacks)}, as others than this machine may call there",
        got="neither" if len(lacks) == 2 else "none",
        do=f"add {' and '.join(wants)}, or say --insecure where something in front of it sees to that",
    )
