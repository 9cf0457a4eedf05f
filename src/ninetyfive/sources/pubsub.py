"""A Pub/Sub subscription lands: pulled until it is empty, a batch a file, and only then acknowledged.

    pull ─ lease ─ pull ─ lease … ─▶ batch ─▶ <root>/<sha256>.jsonl ─ durable ─▶ acknowledge
                                       └─ no JSON object ─▶ <root>/dead/<sha256>.jsonl ─┘

The rule: a message is in a file before it is acknowledged, so that a process that is killed loses none: what it did not
acknowledge is delivered again, as the same row. Files are named by their content and stay: they are the history.
What does not belong here: which rows repeat (`relations`), where files land (`landing`).
"""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import msgspec

from ninetyfive.calling import CALL_SECONDS, Caller
from ninetyfive.errors import SourceError, needs_extra
from ninetyfive.hashing import bytes_hash
from ninetyfive.schema import reserved
from ninetyfive.sources.discovery import spans_of
from ninetyfive.sources.files import MESSAGE_COLUMNS, PUBSUB, Source
from ninetyfive.sources.landing import Landed, Landing, listed, put, sweep

PULL_MESSAGES = 1000
"""The most messages of one pull: the service gives no more."""
PULL_SECONDS = 5.0
"""How long a pull waits for messages."""
EMPTY_PULLS = 3
"""After so many pulls in a row that gave none, the subscription is empty: one alone says little."""
LEASE_SECONDS = 600
"""How long the service keeps a message for us, from when it came, and anew when its batch is written: its limit."""
BATCH_SECONDS = 120.0
BATCH_MESSAGES = 131_072
BATCH_BYTES = 64 << 20
"""What a batch, and so a file, holds at most."""
RUN_MESSAGES = 2_000_000
RUN_SECONDS = 1800.0
"""When a run ends pulling: the next one goes on."""
ACK_IDS = 1000
"""How many messages one request acknowledges: it may have 512 KiB."""
DEAD = "dead"
"""The folder of messages that are no JSON objects."""
_SPAN = re.compile(r"[0-9a-f]{64}\.jsonl")
_object = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode
_DO = {
    400: "let the subscription be one that is pulled, with what the service asks for",
    404: "see whether the subscription is there; make one of the topic: gcloud pubsub subscriptions create",
}


@dataclass
class _Batch:
    """Messages that were pulled and are in no file yet, by their ids; `acks`, one of each time one was delivered."""

    began: float
    messages: dict[str, Any] = field(default_factory=dict)
    acks: list[str] = field(default_factory=list)
    size: int = 0

    def add(self, received: Any) -> None:
        if received.message.message_id not in self.messages:
            self.size += type(received).pb(received).ByteSize()  # attributes too: they may be a hundred KiB
        self.messages[received.message.message_id] = received.message
        self.acks.append(received.ack_id)

    @property
    def full(self) -> bool:
        late = time.monotonic() - self.began >= BATCH_SECONDS
        return late or len(self.messages) >= BATCH_MESSAGES or self.size >= BATCH_BYTES


def land_pubsub(source: Source, landing: Landing) -> Landed:
    """Drain the subscription, and the files of all that it ever gave.

    `ServiceError` for what the service refuses, `SourceError` where nothing can be written or no message ever came.
    """
    root = landing.root(source)
    with needs_extra("managed", "nf.pubsub"):
        subscription = _Subscription(source.urls[0], landing)
    sweep(root)
    notices = drain(subscription, root)
    files = {name: place for name, place in listed(root).items() if _SPAN.fullmatch(name)}
    if not files:
        do = "publish to its topic and run again; a subscription gets what is published after it was made"
        raise SourceError(str(source), expected="messages that are JSON objects", got="none so far", do=do)
    known = {place.mark: name.removesuffix(".jsonl") for name, place in files.items() if place.mark}
    return Landed(spans_of(files.values(), known), notices)


def drain(subscription: _Subscription, root: str) -> tuple[str, ...]:
    """Write batch after batch beneath `root`, each acknowledged once it is there; what is to be told."""
    begun, total, dead = time.monotonic(), 0, 0
    for batch in subscription.batches(begun):
        subscription.lease(batch.acks)
        dead += write(root, batch.messages)
        subscription.acknowledge(batch.acks)
        total += len(batch.messages)
        if total >= RUN_MESSAGES:
            break
    told = []
    if dead:
        told.append(f"{dead:,} messages of {subscription.name} are no rows, and stand in {root}/{DEAD} with why")
    if total >= RUN_MESSAGES or time.monotonic() - begun >= RUN_SECONDS:
        told.append(f"{subscription.name} may have more than the {total:,} messages of this run: run again")
    return tuple(told)


def write(root: str, messages: dict[str, Any]) -> int:
    """Write messages {id: PubsubMessage} as one file, and those that are no rows as another; how many are none."""
    rows, dead = [], []
    for message_id in sorted(messages):
        row, why = row_of(messages[message_id])
        if why:
            dead.append(msgspec.json.encode({**told_of(messages[message_id]), "why": why}))
        else:
            rows.append(row)
    for folder, lines in ((root, rows), (f"{root}/{DEAD}", dead)):
        if lines:
            data = b"\n".join([*lines, b""])
            put(folder, f"{bytes_hash(data)}.jsonl", data)
    return len(dead)


def row_of(message: Any) -> tuple[bytes, str]:
    """A message as a line of JSON and "", or b"" and why it is no row.

    Its own fields stay as they are, on one line; those that Pub/Sub adds have names that begin with `pubsub_`.
    """
    try:
        message.data.decode()
        fields: dict[str, Any] = dict(_object(msgspec.json.format(message.data, indent=-1)))
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        return b"", f"no JSON object ({error})"
    about = told_of(message)
    own = dict(zip(MESSAGE_COLUMNS, (about["message_id"], about["publish_time"]), strict=True))
    own |= {f"{PUBSUB}attribute_{name}": value for name, value in about["attributes"].items()}
    for name in fields:
        why = "empty" if not name else "Pub/Sub adds it" if name in own else reserved(name)
        if why:
            return b"", f"a field named {name!r} ({why})"
    return msgspec.json.encode({**own, **fields}), ""


def told_of(message: Any) -> dict[str, Any]:
    """All that a message has, as JSON takes it; `data` in base64."""
    moment = message.publish_time
    return {
        "message_id": message.message_id,
        "publish_time": moment.isoformat() if moment else None,
        "attributes": dict(sorted(message.attributes.items())),
        "data": message.data,
    }


def requests(source: Source) -> list[dict[str, Any]]:
    """What a run asks of the service, as JSON of its messages: offline."""
    (name,) = source.urls
    service = "google.pubsub.v1.Subscriber"
    later = {"place": "ackIds.0", "source": "the message that Pull gave"}
    acks: dict[str, Any] = {"subscription": name, "ackIds": ["<ack id>"]}
    return [
        {"method": f"{service}/Pull", "body": {"subscription": name, "maxMessages": PULL_MESSAGES}, "later": []},
        {
            "method": f"{service}/ModifyAckDeadline",
            "body": {**acks, "ackDeadlineSeconds": LEASE_SECONDS},
            "later": [later],
        },
        {"method": f"{service}/Acknowledge", "body": acks, "later": [later]},
    ]


class _Subscription:
    """One subscription, by the client of Google; PUBSUB_EMULATOR_HOST leads it to an emulator."""

    def __init__(self, name: str, landing: Landing) -> None:
        from google.cloud.pubsub_v1 import SubscriberClient

        self.name = name
        self._made = SubscriberClient
        self._client: Any = None
        self._call = Caller("pubsub", landing.patience, landing.sleep, _DO)

    def batches(self, begun: float) -> Iterator[_Batch]:
        """Batches until the subscription is empty or the run pulled long enough; messages are leased as they come."""
        empty = 0
        while empty < EMPTY_PULLS and time.monotonic() - begun < RUN_SECONDS:
            batch = _Batch(time.monotonic())
            while empty < EMPTY_PULLS and not batch.full:
                pulled = self._call(self._pull, f"pull of {self.name}")
                empty = 0 if pulled else empty + 1
                for received in pulled:
                    batch.add(received)
                self.lease([received.ack_id for received in pulled])
            if batch.messages:
                yield batch

    def lease(self, acks: list[str]) -> None:
        """Let the service keep messages for us, from now on."""
        for some in _some(acks):
            given = {"subscription": self.name, "ack_ids": some, "ack_deadline_seconds": LEASE_SECONDS}
            self._ask("modify_ack_deadline", given, f"lease of messages of {self.name}")

    def acknowledge(self, acks: list[str]) -> None:
        """Let the service forget messages."""
        for some in _some(acks):
            given = {"subscription": self.name, "ack_ids": some}
            self._ask("acknowledge", given, f"acknowledging messages of {self.name}, which are in a file")

    def _ask(self, method: str, given: dict[str, Any], what: str) -> None:
        self._call(lambda: getattr(self._connected(), method)(request=given, retry=None, timeout=CALL_SECONDS), what)

    def _pull(self) -> list[Any]:
        from google.api_core.exceptions import DeadlineExceeded

        given = {"subscription": self.name, "max_messages": PULL_MESSAGES}
        try:
            answer = self._connected().pull(request=given, retry=None, timeout=PULL_SECONDS)
        except DeadlineExceeded:
            return []
        return list(answer.received_messages)

    def _connected(self) -> Any:
        """The client, made when it is first asked: without credentials that is an error of the call."""
        if self._client is None:
            self._client = self._made()
        return self._client


def _some(acks: list[str]) -> Iterator[list[str]]:
    return (acks[start : start + ACK_IDS] for start in range(0, len(acks), ACK_IDS))
