"""Calls of Vertex AI: a rendered request is sent to the client that knows its method, and operations are waited for.

    Request ─ its method ─▶ ModelService | EndpointService | JobService | PipelineService ─▶ answer
                                                                            operation ─ wait ─▶ its end

`google.cloud.aiplatform_v1` is the client that is generated from the service's definition; `google.cloud.aiplatform`,
which wraps it, takes 16 s to import, and is not used.
What does not belong here: what is asked (`vertex_serving`, `vertex_batch`).
"""

from __future__ import annotations

import json
import re
import time
from collections.abc import Callable
from functools import partial
from typing import Any

from ninetyfive.calling import CALL_SECONDS, Caller, connect, in_a_line
from ninetyfive.errors import ServiceError
from ninetyfive.managed.cloud import parent
from ninetyfive.managed.jobs import Request
from ninetyfive.managed.vertex import NAME
from ninetyfive.managed_settings import ManagedSettings
from ninetyfive.store.crashing import crash_point

_DO = {409: "see who changes it too; the same command again looks anew, and goes on from what it finds"}


class Calls:
    """The clients of one project and region; `sleep` waits between two looks at an operation."""

    def __init__(
        self, settings: ManagedSettings, caller: Caller | None = None, sleep: Callable[[float], None] = time.sleep
    ) -> None:
        self.settings = settings
        self.sleep = sleep
        self.call = caller or Caller(NAME, settings.patience, do=_DO)
        self._clients: dict[str, Any] = {}

    @property
    def parent(self) -> str:
        """The full name of project and region."""
        return parent(self.settings)

    def client(self, service: str) -> Any:
        """The client of one of its services, like "JobService", in the region of the settings or at their endpoint."""
        if service not in self._clients:
            from google.cloud import aiplatform_v1

            place = self.settings.vertex.endpoint, f"{self.settings.region}-aiplatform.googleapis.com:443"
            kind = getattr(aiplatform_v1, f"{service}Client")
            self._clients[service] = self.call(lambda: connect(kind, *place), "log in")
        return self._clients[service]

    @property
    def models(self) -> Any:
        """The client of models."""
        return self.client("ModelService")

    @property
    def endpoints(self) -> Any:
        """The client of endpoints."""
        return self.client("EndpointService")

    def send(self, request: Request, what: str, link: str = "", but: tuple[type[Exception], ...] = ()) -> Any:
        """The answer to a rendered request; None where the service refuses it as one of `but`."""
        return self.call.unless(but, self.bound(request), what, link)

    def bound(self, request: Request) -> Callable[[], Any]:
        """The call of a rendered request, for whoever asks again and tells of refusals himself."""
        from google.cloud import aiplatform_v1

        service, _, method = request.method.rpartition("/")
        sent = getattr(aiplatform_v1, f"{method}Request").from_json(json.dumps(request.body))
        function = getattr(self.client(service.rpartition(".")[2]), re.sub(r"(?<!^)(?=[A-Z])", "_", method).lower())
        return partial(function, sent, retry=None, timeout=CALL_SECONDS)

    def find(self, get: Callable[..., Any], name: str, what: str, link: str = "") -> Any:
        """What a client gets by its name; None where it is not there."""
        from google.api_core.exceptions import NotFound

        return self.call.unless(NotFound, partial(get, name=name, retry=None, timeout=CALL_SECONDS), what, link)

    def stop(self, cancel: Callable[..., Any], name: str, what: str, link: str = "") -> None:
        """Cancel what has this name; one that has ended meanwhile, or is gone, stays so."""
        from google.api_core.exceptions import FailedPrecondition, NotFound

        stop = partial(cancel, name=name, retry=None, timeout=CALL_SECONDS)
        self.call.unless((FailedPrecondition, NotFound), stop, what, link)

    def wait(self, operation: str, what: str, link: str = "") -> None:
        """Look at an operation until it is done; `ServiceError` in the service's words where it ended in an error."""
        operations = self.endpoints.transport.operations_client
        while True:
            found = self.call(lambda: operations.get_operation(operation, retry=None, timeout=CALL_SECONDS), what, link)
            if found.done:
                break
            crash_point("operation polled")
            self.sleep(self.settings.poll)
        if found.HasField("error"):
            raise ServiceError(
                f"{NAME}, {what}",
                expected="that the service does it",
                got=f"{in_a_line(found.error.message).rstrip('.')}",
                do=f"correct what it names, then the same command again{f'; the page: {link}' if link else ''}",
            )

    def under_way(self, name: str, what: str) -> list[str]:
        """The operations at `name` (a model, an endpoint) that are not done."""
        operations = self.endpoints.transport.operations_client

        def ask() -> list[str]:
            listed = operations.list_operations(name, "", retry=None, timeout=CALL_SECONDS)
            return [one.name for one in listed if not one.done]

        return list(self.call(ask, what))
