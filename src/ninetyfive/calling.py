"""A call to a service: asked again while it is too much or away, and what it says as an error of ours.

    call ─▶ answer
      ├─ 429, 503, no answer in time ─ wait, twice as long each time, as long as there is patience ─▶ call
      └─ anything else ─▶ ServiceError: where, the service's own words, the job's page, what to do

What does not belong here: what is asked (a file a service), and what an answer means.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from typing import Any, TypeVar
from urllib.parse import urlsplit

from ninetyfive.errors import ServiceError, SettingsError

T = TypeVar("T")
Refusals = type[Exception] | tuple[type[Exception], ...]
CALL_SECONDS = 60.0
"""How long one call may take."""
AGAIN = (429, 502, 503, 504)
"""What is asked again: too much, and away."""
_TOO_MUCH = {"rateLimitExceeded", "jobRateLimitExceeded"}
_HERE = ("127.0.0.1", "::1", "localhost")
_DO = {
    400: "correct the setting that it names; ninetyfive submit … --dry-run shows what is sent",
    401: "log in: gcloud auth application-default login, or name a key in GOOGLE_APPLICATION_CREDENTIALS",
    403: "give the account the permissions of this service that docs/managed.md lists, and see that its API is enabled",
    404: "see whether project, region and what else is named under [managed] are there",
    409: "see what it is in the console; another job or cluster has this name",
    429: "ask for more quota, or wait; the same command then goes on where it was",
    503: "wait, and give the same command again: it goes on where it was",
}


class Caller:
    """Calls a service named `service`; `patience` in seconds bounds the waiting of one call, `sleep` does it.

    `do` {code: what to do} says it better than the words for any service.
    """

    def __init__(
        self,
        service: str,
        patience: float,
        sleep: Callable[[float], None] = time.sleep,
        do: Mapping[int, str] | None = None,
    ) -> None:
        self._service = service
        self._patience = patience
        self._sleep = sleep
        self._do = do or {}

    def __call__(self, call: Callable[[], T], what: str, link: str = "") -> T:
        """What `call` gives; `what` is done, and to what, for people. `ServiceError` where it stays refused."""
        from google.api_core.exceptions import GoogleAPICallError
        from google.auth.exceptions import GoogleAuthError
        from requests.exceptions import RequestException

        left = waits(self._patience)
        while True:
            try:
                return call()
            except (GoogleAPICallError, GoogleAuthError, RequestException) as error:
                code = status_of(error)
                wait = next(left, None) if code in AGAIN else None
                if wait is None:
                    raise refused(self._service, code, str(error), what, link, self._do) from error
                self._sleep(wait)

    def unless(self, refusals: Refusals, call: Callable[[], T], *told: str) -> T | None:
        """What `call` gives; None where it is refused as one of `refusals`. `told`: as `what` and `link` above."""

        def ask() -> T | None:
            try:
                return call()
            except refusals:
                return None

        return self(ask, *told)


def status_of(error: Exception) -> int:
    """The HTTP status of what a client of Google raised, whatever carried the call; 401 where nobody is logged in.

    A server that is not there at all, or does not answer in time, is 503. BigQuery says "too much" with a 403, and why.
    """
    from google.auth.exceptions import GoogleAuthError

    if isinstance(error, GoogleAuthError):
        return 503 if getattr(error, "retryable", False) else 401
    reasons = {one.get("reason") for one in getattr(error, "errors", ()) if isinstance(one, dict)}
    if reasons & _TOO_MUCH:
        return 429
    return int(getattr(error, "code", None) or 503)


def refused(
    service: str, code: int, said: str, what: str, link: str = "", do: Mapping[int, str] | None = None
) -> ServiceError:
    """The error of a call that a service refused: its words, the job's page, what to do."""
    words = {**_DO, **(do or {})}
    page = f"; the job's page: {link}" if link else ""
    return ServiceError(
        f"{service}, {what}",
        expected="that the service does it",
        got=f"{code}, {in_a_line(said).rstrip('.')}",
        do=f"{words.get(code, words[503] if code >= 500 else words[400])}{page}",
    )


def in_a_line(said: str) -> str:
    """The words of a service on one line, without what a terminal would act on.

    >>> in_a_line("failed:\\n\\tno \\x1b[31mquota")
    'failed: no [31mquota'
    """
    return " ".join("".join(one if one.isprintable() else " " for one in said).split())


def connect(client: Any, endpoint: str, default: str) -> Any:
    """A client of Google at an endpoint ("": the `default`); http:// is for one on this machine, without credentials.

    >>> connect(None, "http://elsewhere:80", "")
    Traceback (most recent call last):
    ...
    ninetyfive.errors.SettingsError: endpoint 'http://elsewhere:80': expected https, or a server on this machine, ...
    """
    place = urlsplit(endpoint)
    if place.scheme != "http":
        from google.api_core.client_options import ClientOptions

        return client(client_options=ClientOptions(api_endpoint=place.netloc or endpoint or default))
    if place.hostname not in _HERE:
        raise SettingsError(
            f"endpoint {endpoint!r}",
            expected="https, or a server on this machine",
            got="a name of another one, where everybody in between would read along",
            do="write https://, or leave it out",
        )
    import grpc

    transport = client.get_transport_class("grpc")
    return client(transport=transport(channel=grpc.insecure_channel(place.netloc)))


def waits(limit: float, first: float = 1.0, most: float = 60.0) -> Iterator[float]:
    """Seconds to wait before each next try of a call: twice as long each time, in sum never more than `limit`.

    >>> list(waits(10.0)), list(waits(0.0))
    ([1.0, 2.0, 4.0, 3.0], [])
    """
    waited, wait = 0.0, first
    while waited < limit:
        wait = min(wait, most, limit - waited)
        yield wait
        waited += wait
        wait *= 2
