"""One worker process: loads, listens, answers, flips when it is told to, and drains.

    config ─ load and prove ─▶ listen ─▶ Ready ─▶ … Load ─▶ Loaded ─ Flip ─▶ Flipped … Drain ─▶ Drained, exit 0

The rule: a worker that cannot answer its golden requests never listens; one that answers keeps on answering, whatever
else goes wrong. What does not belong here: which release it should be (`supervise`).
"""

from __future__ import annotations

import asyncio
import contextlib
import gc
import os
import resource
import secrets
import select
import signal
import socket
import sys
import threading
import time
import traceback
from collections.abc import Callable, Mapping, MutableMapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, NoReturn
from weakref import WeakValueDictionary

import msgspec
import uvicorn
import uvloop

from ninetyfive.errors import ModelError, NinetyfiveError
from ninetyfive.serve import messages
from ninetyfive.serve.answering import Answering
from ninetyfive.serve.app import App
from ninetyfive.serve.connections import SWEEP, Connection, Lane, limited
from ninetyfive.serve.counters import PLACES, Counters
from ninetyfive.serve.loaded import Loaded
from ninetyfive.serve.log import RequestLog
from ninetyfive.serve.messages import Live, Order, Report, WorkerConfig
from ninetyfive.tables.reader import Table

_BACKLOG = 1024
_FILES = 65_536
_PAGE = resource.getpagesize()


class Worker:
    """A worker that is loaded; `run` listens until it is told to drain, or its supervisor is gone."""

    def __init__(self, config: WorkerConfig, loaded: Loaded) -> None:
        self.config = config
        self.counters = Counters(config.counters)
        log = config.log
        self.log = RequestLog(log, config.name, loaded.schema.types) if log is not None and log.mode != "off" else None
        prefix = f"{time.time_ns() // 1_000_000:012x}{secrets.token_hex(5)}"
        self.answering = Answering(loaded, config.limits, self.counters, self.log, prefix)
        self.app = App(config, self.answering)
        self._beside: dict[int, Loaded] = {}
        self._tables: WeakValueDictionary[str, Table] = WeakValueDictionary()
        if loaded.table is not None and loaded.live.table is not None:
            self._tables[loaded.live.table] = loaded.table
        self._control: asyncio.StreamWriter | None = None
        self._drain: asyncio.Event = asyncio.Event()
        self._settle = 0.0
        self._port = config.port
        self._log_bytes = 0
        self._state = messages.State()
        self._tasks: set[asyncio.Task[None]] = set()

    async def run(self, control: socket.socket | None) -> None:
        """Serve until drained."""
        config = self.config
        sock = listening(config)
        self._port = int(sock.getsockname()[1])
        server = server_of(self.app, config, self.app.lane)
        self.app.pressure = lambda: len(server.server_state.tasks)
        await server.startup(sockets=[sock])
        self.app.ready = True
        self._set_states()
        loop = asyncio.get_running_loop()
        loop.add_signal_handler(signal.SIGTERM, self._drain.set)
        if control is None:
            loop.add_signal_handler(signal.SIGINT, self._drain.set)
        else:
            threading.Thread(target=self._outlived, args=(os.dup(control.fileno()),), daemon=True).start()
            self._keep(loop.create_task(self._obey(control)))
        sweeping = loop.create_task(self._sweep(server))
        await self._drain.wait()
        await self._drained(server)
        sweeping.cancel()
        self.answering.batching.close()
        if self.log is not None:
            self._count_log(self.log)
            self.log.close()
        self._say(messages.Drained())
        if self._control is not None:
            with contextlib.suppress(ConnectionError):
                await self._control.drain()

    def _outlived(self, control: int) -> None:
        """End the process where its supervisor is gone and its loop, which should hear that, hangs in a model."""
        gone = select.poll()
        gone.register(control, 0)  # only that the other side is gone
        gone.poll()
        time.sleep(self.config.limits.drain + _QUIET)
        os._exit(1)

    async def _obey(self, control: socket.socket) -> None:
        """Do what the supervisor says, until it says nothing more."""
        reader, self._control = await asyncio.open_connection(sock=control, limit=2**24)
        self._say(messages.Ready(self.answering.live.live.epoch, os.getpid(), self._port))
        while line := await reader.readline():
            self._do(messages.decode_order(line))
        self._drain.set()

    def _do(self, order: Order) -> None:
        match order:
            case messages.Load(live):
                self._keep(asyncio.get_running_loop().create_task(self._load(live)))
            case messages.Flip(epoch):
                loaded = self._beside.pop(epoch, None)
                if loaded is not None:
                    self.answering.flip(loaded)
                    self.counters.add(PLACES["swaps"])
                    self._set_states()
                self._say(messages.Flipped(self.answering.live.live.epoch))
            case messages.Forget(epoch):
                self._beside.pop(epoch, None)
            case messages.Admit(access):
                self.app.admit(access)
            case messages.Rotate():
                if self.log is not None:
                    self.log.rotate()
            case messages.Drain(settle):
                self._settle = settle
                self._drain.set()

    async def _load(self, live: Live) -> None:
        """Load and prove beside what answers; say `Loaded` or `Refused`."""
        start = time.monotonic()
        warm = self.answering.warm()
        call = asyncio.ensure_future(_beside(lambda: load(self.config, live, warm, self._tables)))
        await asyncio.wait({call})
        error = call.exception()
        if error is None and self.log is not None:
            try:
                self.log.learn(live.release, call.result().schema.types)
            except NinetyfiveError as found:
                error = found
        if error is not None:
            self.counters.add(PLACES["swaps.refused"])
            self._say(messages.Refused(live.epoch, _told(live, error)))
            return
        loaded = call.result()
        self._beside[live.epoch] = loaded
        self._say(messages.Loaded(live.epoch, time.monotonic() - start))

    async def _sweep(self, server: uvicorn.Server) -> None:
        """Look at connections, the model's thread and the log, and keep the states of the counters."""
        turn = 0
        while True:
            await asyncio.sleep(SWEEP)
            now = time.monotonic()
            for connection in list(server.server_state.connections):
                if isinstance(connection, Connection):
                    connection.sweep(now)
            counters = self.counters
            if self.log is not None:
                self._count_log(self.log)
            counters.set(PLACES["in_flight"], len(server.server_state.tasks))
            counters.set(PLACES["connections"], len(server.server_state.connections))
            counters.set(PLACES["queue"], self.answering.batching.waiting)
            counters.set(PLACES["cpu_seconds"], time.process_time())
            if turn % 10 == 0:
                counters.set(PLACES["resident_bytes"], _resident())
            turn += 1
            self._judge()

    def _count_log(self, log: RequestLog) -> None:
        """Count the bytes that were logged since the last time."""
        written = log.bytes
        self.counters.add(PLACES["log.bytes"], written - self._log_bytes)
        self._log_bytes = written

    def _judge(self) -> None:
        """Say what is not as it should be, where that has changed."""
        loaded, reasons = self.answering.live, []
        stuck = self.answering.batching.stuck > self.config.limits.hang
        if stuck:
            reasons.append("the model does not come back")
        if loaded.policy.paradigm != "dynamic" and loaded.table is None:
            reasons.append("there is no table")
        if self.answering.too_old(loaded):
            reasons.append("the table is too old")
        if self.answering.log_failed:
            reasons.append("the request log cannot be written")
        state = messages.State(tuple(reasons), stuck)
        if state != self._state:
            self._state = state
            self.app.degraded = state.degraded
            self.counters.set(PLACES["degraded"], float(bool(reasons)))
            self._say(state)
        tableless = loaded.table is None or self.answering.too_old(loaded)
        unable = stuck or (loaded.policy.paradigm == "static" and tableless)
        self.app.ready = not unable and not self._drain.is_set()
        self.counters.set(PLACES["ready"], float(self.app.ready))

    def _set_states(self) -> None:
        loaded, counters = self.answering.live, self.counters
        counters.set(PLACES["epoch"], loaded.live.epoch)
        counters.set(PLACES["release.number"], loaded.live.number)
        counters.set(PLACES["release.created"], loaded.created)
        counters.set(PLACES["table.as_of"], loaded.as_of_seconds)
        counters.set(PLACES["ready"], float(self.app.ready))
        counters.set(PLACES["started"], time.time())
        counters.set(PLACES["resident_bytes"], _resident())

    async def _drained(self, server: uvicorn.Server) -> None:
        """Be unready, then stop accepting, then let every connection end by its next answer, or by having none."""
        self.app.ready = False
        self.counters.set(PLACES["ready"], 0.0)
        self.app.draining = True
        await asyncio.sleep(self._settle)
        for one in server.servers:
            one.close()
        state, end = server.server_state, time.monotonic() + self.config.limits.drain
        quiet = time.monotonic() + _QUIET
        while time.monotonic() < end and (state.connections or state.tasks):
            for connection in list(state.connections):
                if time.monotonic() > quiet and isinstance(connection, Connection) and connection.phase == "idle":
                    connection.transport.close()
            await asyncio.sleep(0.02)
        for connection in list(state.connections):
            connection.transport.abort()

    def _say(self, report: Report) -> None:
        if self._control is not None and not self._control.is_closing():
            self._control.write(messages.encode(report) + b"\n")

    def _keep(self, task: asyncio.Task[None]) -> None:
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)


_COURTESY = 10
"""The niceness of loading beside what answers."""
_QUIET = 2.0
"""Seconds of a drain for which a connection that says nothing is kept: its client may just be sending."""


def server_of(app: Any, config: WorkerConfig, lane: Lane | None = None) -> uvicorn.Server:
    """The HTTP server round an ASGI application, with the limits of `config`; its `startup` takes the socket."""
    server = uvicorn.Server(
        uvicorn.Config(
            app,
            http=limited(config.limits, lane),
            ws="none",
            lifespan="off",
            log_config=None,
            access_log=False,
            date_header=False,
            server_header=False,
            proxy_headers=False,
            backlog=_BACKLOG,
            ssl_certfile=config.tls_cert,
            ssl_keyfile=config.tls_key,
        )
    )
    server.config.load()
    server.lifespan = server.config.lifespan_class(server.config)
    return server


async def _beside(work: Callable[[], Loaded]) -> Loaded:
    """The result of `work`, done in a thread of its own that takes what time of the processors nobody else wants."""

    def courteous() -> Loaded:
        with contextlib.suppress(OSError):
            os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), _COURTESY)
        return work()

    executor = ThreadPoolExecutor(1, thread_name_prefix="load")
    try:
        return await asyncio.get_running_loop().run_in_executor(executor, courteous)
    finally:
        executor.shutdown(wait=False)


def load(
    config: WorkerConfig,
    live: Live,
    warm: Sequence[dict[str, object]] = (),
    opened: MutableMapping[str, Table] | None = None,
) -> Loaded:
    """Open what shall be live, and hold it to its golden requests; what is wrong with it is raised."""
    loaded = Loaded(live, config.policy, config.system, opened, config.limits)
    loaded.prove(warm)
    return loaded


def main(words: Sequence[str] | None = None) -> NoReturn:
    """Run a worker: the words are the file of its config, and `--control` with an inherited socket's descriptor."""
    given = list(sys.argv[1:] if words is None else words)
    control = None
    if "--control" in given:
        place = given.index("--control")
        control = socket.socket(fileno=int(given[place + 1]))
        del given[place : place + 2]
        signal.signal(signal.SIGINT, signal.SIG_IGN)  # the supervisor's to answer
    if len(given) != 1:
        sys.exit("usage: python -m ninetyfive.serve CONFIG.json [--control FD]")
    config = _config(Path(given[0]))
    if control is None:
        config = on_platform(config, os.environ)
    try:
        worker = Worker(config, load(config, config.live))
    except NinetyfiveError as error:
        if control is not None:
            control.sendall(messages.encode(messages.Refused(config.live.epoch, error.as_dict())) + b"\n")
        sys.exit(f"{config.name}: {error}")
    prepare()
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(worker.run(control))
    with contextlib.suppress(OSError):
        sys.stderr.flush()
    os._exit(0)  # a call of the model that never ends must not keep the process


def on_platform(config: WorkerConfig, environment: Mapping[str, str]) -> WorkerConfig:
    """The config as Vertex AI wants it of a container: port and routes are those that `AIP_…` names, if it does."""
    port = environment.get("AIP_HTTP_PORT", "")
    if not port:
        return config
    if not (port.isdecimal() and int(port) < 2**16):
        sys.exit(f"{config.name}: AIP_HTTP_PORT: expected a port, got {port!r}")
    health, predict = environment.get("AIP_HEALTH_ROUTE"), environment.get("AIP_PREDICT_ROUTE")
    return msgspec.structs.replace(config, port=int(port), health_route=health, predict_route=predict)


def _config(path: Path) -> WorkerConfig:
    """The config in a file; says what is missing where it cannot be read, or its folder is not there."""
    try:
        config = msgspec.json.decode(path.read_bytes(), type=WorkerConfig)
    except (OSError, msgspec.MsgspecError) as error:
        sys.exit(f"{path}: {error}. To do: name the config.json that `ninetyfive deploy render` wrote.")
    kept = Path(config.counters or ".").parent
    if not kept.is_dir():
        sys.exit(f"{path}: expected the folder {kept}, got none. To do: make it, or name another in the file.")
    return config


def prepare() -> None:
    """What a server wants of its process: many files, few collections, short turns of the threads."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = _FILES if hard == resource.RLIM_INFINITY else min(_FILES, hard)
    if soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
    sys.setswitchinterval(0.001)
    gc.collect()
    gc.freeze()
    gc.set_threshold(20_000, 20, 20)


def listening(config: WorkerConfig) -> socket.socket:
    """The socket of a worker: the one that it inherits, else one of its own."""
    if config.listen_fd is not None:
        return socket.socket(fileno=config.listen_fd)
    family = socket.AF_INET6 if ":" in config.host else socket.AF_INET
    sock = socket.socket(family, socket.SOCK_STREAM)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    sock.bind((config.host, config.port))
    return sock


def _told(live: Live, error: BaseException) -> dict[str, str]:
    """An error as a supervisor is told it; one that is none of ours is the release's, and is printed whole."""
    if isinstance(error, NinetyfiveError):
        return error.as_dict()
    traceback.print_exception(error)
    words = f"{type(error).__name__}: {error}"
    do = "see stderr of the worker; serve another release"
    return ModelError(live.folder, expected="a release that can be opened and asked", got=words, do=do).as_dict()


def _resident() -> float:
    try:
        return float(int(Path("/proc/self/statm").read_text().split()[1]) * _PAGE)
    except OSError:
        return float(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024)
