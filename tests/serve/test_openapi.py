"""The service keeps its own OpenAPI document: whatever that allows, and what it does not, is answered as it says."""

from __future__ import annotations

from typing import Any

import pytest
import schemathesis
from hypothesis import HealthCheck, given, settings
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    negative_data_rejection,
    response_schema_conformance,
    status_code_conformance,
)
from tests.serve.conftest import Made, listening

from ninetyfive.serve import messages
from ninetyfive.serve.messages import WorkerConfig

pytestmark = pytest.mark.slow
EXAMPLES = 60
CHECKS = [not_a_server_error, status_code_conformance, response_schema_conformance]
FORMS = ("/v1/models/trips:predict", "/v2/models/trips/infer")


@pytest.fixture(scope="module")
def document(made: Made, tmp_path_factory: pytest.TempPathFactory) -> Any:
    """The document of a running service, and the service."""
    config = WorkerConfig(name="w1", system="trips", live=made.live(), access_log="none")
    with listening(config, tmp_path_factory.mktemp("openapi")) as service:
        service.hear(messages.Ready)
        loaded = schemathesis.openapi.from_url(f"http://127.0.0.1:{service.port}/openapi.json")
        loaded.config.update(base_url=f"http://127.0.0.1:{service.port}")
        negative = loaded.config.checks.negative_data_rejection
        negative.expected_statuses = [*negative.expected_statuses, "413"]  # more rows than are taken
        yield loaded, service


@pytest.mark.parametrize("mode", ["positive", "negative"])
def test_every_operation_keeps_the_document(document: Any, mode: str, record_property: Any) -> None:
    loaded, service = document
    mode_of = schemathesis.GenerationMode(mode)
    sent = 0
    for found in loaded.get_all_operations():
        operation = found.ok()
        if mode == "negative" and operation.path not in FORMS:
            continue

        @settings(max_examples=EXAMPLES, deadline=None, suppress_health_check=list(HealthCheck), database=None)
        @given(case=operation.as_strategy(generation_mode=mode_of))
        def keep(case: Any) -> None:
            nonlocal sent
            sent += 1
            checks = CHECKS if mode == "positive" else [*CHECKS, negative_data_rejection]
            case.call_and_validate(checks=checks)

        keep()
    record_property("counted", [f"requests drawn from the OpenAPI document ({mode})", sent])
    assert service.ask("GET", "/v2/health/ready").status == 200


def test_the_document_names_every_route(document: Any) -> None:
    loaded, _ = document
    paths = set(loaded.raw_schema["paths"])
    assert {"/v1/models/trips:predict", "/v2/models/trips/infer", "/v1/models/trips/entities/{key}"} <= paths
    row = loaded.raw_schema["components"]["schemas"]["Row"]
    assert row["properties"]["trip"]["maximum"] == 1_000_000
    assert row["additionalProperties"] is False
