"""Local servers that speak the public definition of a service: what a client of Google may call is what they answer.

    Definition: the methods and messages of a client library, read from its own gRPC transports
    GrpcServer: a real server on a free port; answers by the functions of a fake, records and checks every request

A request is recorded as the JSON of its message. `check` puts the JSON into the message of the definition, so that a
field that does not exist fails, and so do unknown bytes. `fail` makes the next calls of a method fail with a status.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import grpc
from google.longrunning import operations_pb2
from google.protobuf import empty_pb2, json_format
from google.protobuf.unknown_fields import UnknownFieldSet

OPERATIONS = "google.longrunning.Operations"


@dataclass(frozen=True)
class Method:
    """One method: the classes of protobuf messages that it takes and gives."""

    takes: Any
    gives: Any


class Definition:
    """The methods of a service by their full names, read from gRPC transports of its client library."""

    def __init__(self, *transports: Any) -> None:
        self.methods: dict[str, Method] = {}
        for transport in transports:
            made = transport(channel=grpc.insecure_channel("localhost:1"))
            made._logged_channel, made._stubs = self, {}
            for name in dir(type(made)):
                if isinstance(getattr(type(made), name), property) and name not in ("operations_client", "kind"):
                    getattr(made, name)
            made.close()
        for name, takes, gives in (
            ("GetOperation", operations_pb2.GetOperationRequest, operations_pb2.Operation),
            ("ListOperations", operations_pb2.ListOperationsRequest, operations_pb2.ListOperationsResponse),
            ("CancelOperation", operations_pb2.CancelOperationRequest, empty_pb2.Empty),
            ("DeleteOperation", operations_pb2.DeleteOperationRequest, empty_pb2.Empty),
        ):
            self.methods[f"{OPERATIONS}/{name}"] = Method(takes, gives)

    def unary_unary(self, path: str, *, request_serializer: Any, response_deserializer: Any, **_: Any) -> Any:
        """Note a method that a transport asks its channel for; those that all services share name no class."""
        if not hasattr(request_serializer, "__self__"):
            return
        takes, gives = (message_of(one.__self__) for one in (request_serializer, response_deserializer))
        self.methods[path.lstrip("/")] = Method(takes, gives)

    def close(self) -> None:
        """As a channel."""

    def check(self, method: str, body: Mapping[str, Any]) -> Any:
        """The message of a body in JSON; fails where the method, or a field of the body, does not exist."""
        return json_format.ParseDict(dict(body), self.methods[method].takes(), ignore_unknown_fields=False)


def message_of(kind: Any) -> Any:
    """The protobuf class behind a class of proto-plus, or the class itself."""
    return kind.pb() if hasattr(kind, "pb") else kind


@dataclass
class Recorded:
    """One request as it came: the method, its message, the same as JSON."""

    method: str
    message: Any

    @property
    def body(self) -> dict[str, Any]:
        return dict(json_format.MessageToDict(self.message))


class Refusal(Exception):
    """What a fake raises to answer with a status."""

    def __init__(self, code: grpc.StatusCode, message: str) -> None:
        super().__init__(code, message)
        self.code = code
        self.message = message


Answer = Callable[[Any], Any]
"""From the message of a request to that of an answer; protobuf or proto-plus."""


@dataclass
class GrpcServer:
    """A server of a definition; `answers` are the functions of a fake by full method name, one call at a time."""

    definition: Definition
    answers: Mapping[str, Answer]
    requests: list[Recorded] = field(default_factory=list)
    url: str = ""
    faults: list[str] = field(default_factory=list)
    _failures: dict[str, deque[Refusal | None]] = field(default_factory=dict)
    _lock: threading.RLock = field(default_factory=threading.RLock)

    def fail(self, method: str, *failures: Refusal | None) -> None:
        """Let the next calls of a method (its last word is enough) fail in this order; None: answer, then fail."""
        self._failures.setdefault(self.full(method), deque()).extend(failures)

    @staticmethod
    def refusal(status: str, message: str) -> Refusal:
        """What an answer raises to refuse with a status, by its name."""
        return Refusal(grpc.StatusCode[status], message)

    def heal(self) -> None:
        """Let no call fail any more."""
        self._failures.clear()

    def calls(self, method: str) -> list[Recorded]:
        """The requests of a method, by its last word, in order."""
        return [one for one in self.requests if one.method.endswith(f"/{method}")]

    def full(self, method: str) -> str:
        """The full name of a method by its last word."""
        (full,) = (name for name in self.definition.methods if name in (method,) or name.endswith(f"/{method}"))
        return full

    def _answer(self, name: str, message: Any, context: grpc.ServicerContext) -> Any:
        with self._lock:
            recorded = Recorded(name, message)
            self.requests.append(recorded)
            if len(UnknownFieldSet(message)) or self.definition.check(name, recorded.body) != message:
                self.faults.append(f"{name}: {recorded.body}")
            failures = self._failures.get(name)
            failure = failures.popleft() if failures else None
            try:
                if failure is not None:
                    raise failure
                if name not in self.answers:
                    raise Refusal(grpc.StatusCode.UNIMPLEMENTED, f"the fake has no {name}")
                answer = self.answers[name](message)
            except Refusal as refusal:
                context.abort(refusal.code, refusal.message)
            return type(answer).pb(answer) if hasattr(type(answer), "pb") else answer

    @contextmanager
    def running(self) -> Iterator[GrpcServer]:
        """The server, started; `url` is where."""
        server = grpc.server(ThreadPoolExecutor(4))
        answer = self._answer

        class Handler(grpc.GenericRpcHandler):  # type: ignore[misc]
            def __init__(self, definition: Definition) -> None:
                self._methods = definition.methods

            def service(self, details: grpc.HandlerCallDetails) -> Any:
                name = details.method.lstrip("/")
                method = self._methods.get(name)
                if method is None:
                    return None
                return grpc.unary_unary_rpc_method_handler(
                    lambda message, context: answer(name, message, context),
                    request_deserializer=method.takes.FromString,
                    response_serializer=method.gives.SerializeToString,
                )

        server.add_generic_rpc_handlers((Handler(self.definition),))
        port = server.add_insecure_port("127.0.0.1:0")
        server.start()
        self.url = f"http://127.0.0.1:{port}"
        try:
            yield self
        finally:
            server.stop(None).wait()
        assert not self.faults, self.faults
