"""What a worker is told, and what it says: the whole of what passes between it and whoever started it.

    supervisor ── WorkerConfig, then Load, Flip, Drain … ──▶ worker
               ◀── Ready, Loaded, Refused, Flipped, Drained … ──

Each is one line of JSON on a socket pair; the end of the stream means that the other side is gone, and then a worker
drains and ends. A worker without a supervisor (a container) is given the `WorkerConfig` as a file.
What does not belong here: where any of it comes from (`supervise`), and what is done about it (`worker`).
"""

from __future__ import annotations

from typing import Literal

import msgspec

Paradigm = Literal["static", "dynamic", "hybrid"]
Scope = Literal["predict", "read", "operate", "admin"]
SCOPES: tuple[Scope, ...] = ("predict", "read", "operate", "admin")


class Policy(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How requests are answered: from the table, by the model, or both.

    `on_missing`: what an entity gets that the table of a static service does not hold: 404, or this answer.
    `on_change`: what a request of a static service gets whose fingerprint is another than the table's: its "stale"
    answer, or "refuse". `on_outside`: what a row gets that breaks a rule of the schema: 422, or this answer. `cache`:
    answers of the model kept in memory (0: none). `max_age`: seconds from which on a table is too old to answer (None:
    never): a hybrid service computes then, a static one refuses.
    """

    paradigm: Paradigm = "dynamic"
    on_missing: float | str = 404
    on_change: Literal["stale", "refuse"] = "stale"
    on_outside: float | str = 422
    cache: int = 0
    max_age: int | None = None


class Limits(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a worker takes at most; sizes in bytes, times in seconds.

    `body` holds before and after inflation. `queue`: requests that wait for the model or are in it; one more is refused
    at once. `receive_headers`, `receive_body`: how long a client may take to send them. `idle`: how long a kept-alive
    connection may say nothing. `deadline`: when nobody waits for an answer any more; work that has not begun by then
    is dropped. `drain`: how long what is in flight may take when the worker ends. `hang`: how long one call of the
    model may take before the worker says that it is stuck.
    """

    body: int = 2**20
    rows: int = 1000
    depth: int = 32
    headers: int = 100
    header_bytes: int = 16 * 2**10
    connections: int = 4096
    queue: int = 64
    receive_headers: float = 10.0
    receive_body: float = 30.0
    idle: float = 75.0
    deadline: float = 1.0
    drain: float = 30.0
    hang: float = 10.0


class Log(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The request log: its `folder`, and how much is promised and kept.

    `mode`: "fast" (written before the reply: outlives kill -9 of any process), "durable" (on the disk before the
    reply: outlives power loss), "off". `sample`: the share of entities whose requests are kept. `columns`: what is kept
    of a request column: "keep" (the default), "hash" (HMAC-SHA256 with the key in `key_file`), "drop". A segment ends
    at `segment_bytes` or `segment_seconds`. `keep_days`: after how many days a span is removed (None: never).
    """

    folder: str
    mode: Literal["fast", "durable", "off"] = "fast"
    sample: float = 1.0
    columns: dict[str, Literal["keep", "hash", "drop"]] = {}
    key_file: str | None = None
    segment_bytes: int = 64 * 2**20
    segment_seconds: float = 600.0
    keep_days: float | None = None


class Token(msgspec.Struct, frozen=True, kw_only=True):
    """Who may call: a name, the scope, and the sha256 (64 hex digits) of the token, which is kept nowhere."""

    name: str
    scope: Scope
    sha256: str
    created: str = ""


class Access(msgspec.Struct, frozen=True, kw_only=True):
    """Who is let in: `tokens`; whether one is `required` to predict; the `hosts` that requests may name ("*": any)."""

    tokens: tuple[Token, ...] = ()
    required: bool = False
    hosts: tuple[str, ...] = ("localhost", "127.0.0.1", "[::1]")


class Live(msgspec.Struct, frozen=True, kw_only=True):
    """What shall answer: release (hash, number, folder) and table (id, folder; None: none), since which epoch.

    `table_checked`: whoever gives the folder has just held every byte of the table against its manifest.
    """

    epoch: int
    release: str
    number: int
    folder: str
    table: str | None = None
    table_folder: str | None = None
    table_checked: bool = False


class WorkerConfig(msgspec.Struct, frozen=True, kw_only=True):
    """All that a worker needs to start. `name` is its own, such as "w3"; `system` names the model in URLs.

    It listens on the inherited socket `listen_fd`, else on `host` and `port`. `counters` is the file of its counters,
    beside those of the other workers. `health_route` and `predict_route` are further routes that a platform asks for.
    `access_log`: which requests are told on stderr, a line of JSON each.
    """

    name: str
    system: str
    live: Live
    policy: Policy = Policy()
    limits: Limits = Limits()
    access: Access = Access()
    log: Log | None = None
    counters: str | None = None
    metrics: bool = False
    host: str = "127.0.0.1"
    port: int = 8080
    listen_fd: int | None = None
    tls_cert: str | None = None
    tls_key: str | None = None
    health_route: str | None = None
    predict_route: str | None = None
    access_log: Literal["none", "errors", "all"] = "errors"


class Load(msgspec.Struct, frozen=True, tag="load"):
    """Load and warm this beside what is live; answer `Loaded` or `Refused`."""

    live: Live


class Flip(msgspec.Struct, frozen=True, tag="flip"):
    """Answer requests by what was loaded for this epoch; answer `Flipped`."""

    epoch: int


class Forget(msgspec.Struct, frozen=True, tag="forget"):
    """Let go of what was loaded for this epoch and is not live."""

    epoch: int


class Admit(msgspec.Struct, frozen=True, tag="admit"):
    """The tokens and hosts from now on."""

    access: Access


class Rotate(msgspec.Struct, frozen=True, tag="rotate"):
    """End the open segment of the request log, if it holds anything."""


class Drain(msgspec.Struct, frozen=True, tag="drain"):
    """Be unready; after `settle` seconds stop accepting; finish what is in flight; then answer `Drained` and end."""

    settle: float = 0.0


Order = Load | Flip | Forget | Admit | Rotate | Drain


class Ready(msgspec.Struct, frozen=True, tag="ready"):
    """It answers requests, and has answered its golden ones. Sent once, first; a worker that cannot says `Refused`."""

    epoch: int
    pid: int
    port: int


class Loaded(msgspec.Struct, frozen=True, tag="loaded"):
    """What `Load` asked for is loaded and warm: in so many seconds."""

    epoch: int
    seconds: float


class Refused(msgspec.Struct, frozen=True, tag="refused"):
    """What `Load` asked for cannot be served, and why: the fields of an error."""

    epoch: int
    error: dict[str, str]


class Flipped(msgspec.Struct, frozen=True, tag="flipped"):
    """From now on every answer is of this epoch."""

    epoch: int


class State(msgspec.Struct, frozen=True, tag="state"):
    """Why the worker is not as good as it could be; sent whenever that changes. `stuck`: it has to be replaced."""

    degraded: tuple[str, ...] = ()
    stuck: bool = False


class Drained(msgspec.Struct, frozen=True, tag="drained"):
    """Nothing is in flight any more; the worker ends now."""


Report = Ready | Loaded | Refused | Flipped | State | Drained

encode = msgspec.json.Encoder().encode
decode_order = msgspec.json.Decoder(Order).decode
decode_report = msgspec.json.Decoder(Report).decode
