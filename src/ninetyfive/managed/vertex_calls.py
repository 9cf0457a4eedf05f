"""Calls of Vertex AI: a rendered request is sent to the client that knows its method, and operations are waited for.

    Request ─ method's last word ─▶ ModelService | EndpointService | JobService ─▶ answer | operation ─ wait ─▶ its end

`google.cloud.aiplatform_v1` is the client that is generated from the service's definition; `google.cloud.aiplatform`,
which wraps it, takes 16 s to import, and is not used.
What does not belong here: what is asked (`vertex_serving`, `vertex_batch`).
"""

from __future__ import annotations

import json
import re
import time
from collections.abc import Callable
from functools import cached_property
from typing import Any

from ninetyfive.calling import CALL_SECONDS, Caller
from ninetyfive.errors import ServiceError
from ninetyfive.managed.jobs import Request
from ninetyfive.managed.vertex import NAME, client_of, parent
from ninetyfive.managed_settings import ManagedSettings
from ninetyfive.store.crashing import crash_point

API = "google.cloud.aiplatform.v1"


class Calls:
    """The clients of one project and region; `sleep` waits between two looks at an operation."""

    def __init__(
        self, settings: ManagedSettings, caller: Caller | None = None, sleep: Callable[[float], None] = time.sleep
    ) -> None:
        self.settings = settings
        self.sleep = sleep
        self.call = caller or Caller(NAME, settings.patience)

    @property
    def parent(self) -> str:
        """The full name of project and region."""
        return parent(self.settings)

    @cached_property
    def models(self) -> Any:
        """The client of models."""
        from google.cloud.aiplatform_v1 import ModelServiceClient
        from google.cloud.aiplatform_v1.services.model_service.transports.grpc import ModelServiceGrpcTransport

        return self.call(lambda: client_of(ModelServiceClient, ModelServiceGrpcTransport, self.settings), "log in")

    @cached_property
    def endpoints(self) -> Any:
        """The client of endpoints."""
        from google.cloud.aiplatform_v1 import EndpointServiceClient
        from google.cloud.aiplatform_v1.services.endpoint_service.transports.grpc import EndpointServiceGrpcTransport

        return self.call(
            lambda: client_of(EndpointServiceClient, EndpointServiceGrpcTransport, self.settings), "log in"
        )

    @cached_property
    def jobs(self) -> Any:
        """The client of jobs."""
        from google.cloud.aiplatform_v1 import JobServiceClient
        from google.cloud.aiplatform_v1.services.job_service.transports.grpc import JobServiceGrpcTransport

        return self.call(lambda: client_of(JobServiceClient, JobServiceGrpcTransport, self.settings), "log in")

    def send(self, request: Request, what: str, link: str = "", but: tuple[type[Exception], ...] = ()) -> Any:
        """The answer to a rendered request; None where the service refuses it as one of `but`."""
        from google.cloud import aiplatform_v1

        service, _, method = request.method.rpartition("/")
        client = {"Model": self.models, "Endpoint": self.endpoints, "Job": self.jobs}[
            service.rpartition(".")[2].removesuffix("Service")
        ]
        sent = getattr(aiplatform_v1, f"{method}Request").from_json(json.dumps(request.body))
        function = getattr(client, re.sub(r"(?<!^)(?=[A-Z])", "_", method).lower())

        def ask() -> Any:
            try:
                return function(sent, retry=None, timeout=CALL_SECONDS)
            except but:
                return None

        return self.call(ask, what, link)

    def find(self, get: Callable[..., Any], name: str, what: str, link: str = "") -> Any:
        """What a client gets by its name; None where it is not there."""
        from google.api_core.exceptions import NotFound

        def ask() -> Any:
            try:
                return get(name=name, retry=None, timeout=CALL_SECONDS)
            except NotFound:
                return None

        return self.call(ask, what, link)

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
                got=f"{' '.join(found.error.message.split()).rstrip('.')}",
                do=f"correct what it names, then the same command again{f'; the page: {link}' if link else ''}",
            )

    def under_way(self, name: str, what: str) -> list[str]:
        """The operations at `name` (a model, an endpoint) that are not done."""
        operations = self.endpoints.transport.operations_client

        def ask() -> list[str]:
            listed = operations.list_operations(name, "", retry=None, timeout=CALL_SECONDS)
            return [one.name for one in listed if not one.done]

        return list(self.call(ask, what))
