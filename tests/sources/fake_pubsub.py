"""Pub/Sub's subscriber as it behaves: a message is leased when it is pulled, and comes again when its lease ends."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import grpc
from google.protobuf import empty_pb2
from google.pubsub_v1 import types as api
from google.pubsub_v1.services.subscriber.transports import SubscriberGrpcTransport
from tests.managed.services import Definition, GrpcServer, Refusal

SERVICE = "google.pubsub.v1.Subscriber"
NAME = "projects/p/subscriptions/trips"


class SubscriberDefinition(Definition):
    """The methods of a subscriber; the one that streams is none of ours."""

    def stream_stream(self, path: str, **_: Any) -> None:
        """Not noted."""


@dataclass
class Waiting:
    """A message that is not acknowledged: until when it is leased, and by which ids."""

    message: api.PubsubMessage
    until: float = 0.0
    acks: list[str] = field(default_factory=list)


@dataclass
class FakePubSub:
    """One subscription; `now` is its clock in seconds, `most` what one pull gives, `deadline` its own lease."""

    most: int = 3
    deadline: float = 10.0
    now: float = 0.0
    waiting: dict[str, Waiting] = field(default_factory=dict)
    acknowledging: Callable[[], None] = lambda: None
    _count: int = 0

    def publish(self, data: bytes, **attributes: str) -> str:
        """Publish a message; its id."""
        self._count += 1
        moment = datetime(2026, 1, 1, tzinfo=UTC) + timedelta(seconds=self._count)
        id = str(10_000 + self._count)
        message = api.PubsubMessage(data=data, attributes=attributes, message_id=id, publish_time=moment)
        self.waiting[id] = Waiting(message)
        return id

    def server(self) -> GrpcServer:
        """A server that answers by this fake."""
        answers = {
            f"{SERVICE}/Pull": self.pull,
            f"{SERVICE}/ModifyAckDeadline": self.lease,
            f"{SERVICE}/Acknowledge": self.acknowledge,
        }
        return GrpcServer(SubscriberDefinition(SubscriberGrpcTransport), answers)

    def pull(self, asked: Any) -> Any:
        self._known(asked)
        free = [one for one in self.waiting.values() if one.until <= self.now][: min(self.most, asked.max_messages)]
        for one in free:
            one.until = self.now + self.deadline
            one.acks.append(f"{one.message.message_id}-{len(one.acks)}")
        received = [
            api.ReceivedMessage(ack_id=one.acks[-1], message=one.message, delivery_attempt=len(one.acks))
            for one in free
        ]
        return api.PullResponse(received_messages=received)

    def lease(self, asked: Any) -> Any:
        self._known(asked)
        assert 0 <= asked.ack_deadline_seconds <= 600
        for one in self._of(asked):
            one.until = self.now + asked.ack_deadline_seconds
        return empty_pb2.Empty()

    def acknowledge(self, asked: Any) -> Any:
        self._known(asked)
        self.acknowledging()
        for one in self._of(asked):
            del self.waiting[one.message.message_id]
        return empty_pb2.Empty()

    def _of(self, asked: Any) -> list[Waiting]:
        assert 0 < len(asked.ack_ids) <= 2500
        given = set(asked.ack_ids)
        return [one for one in self.waiting.values() if given & set(one.acks)]

    def _known(self, asked: Any) -> None:
        if asked.subscription != NAME:
            raise Refusal(grpc.StatusCode.NOT_FOUND, f"Resource not found (resource={asked.subscription}).")
