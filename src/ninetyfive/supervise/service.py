"""A service from its start to its end: what is live, its workers, its admin port, its state, its request log.

    catalog ─ champion ─▶ copies ─▶ fleet: load, flip ─▶ state file (`status`, `promote --wait`)
    SIGTERM, SIGINT: drain, then end      again: end at once      SIGHUP: a rolling restart

The rule: what cannot be done is told, and tried again, or the old goes on; only what makes answering impossible at the
start ends it. Whatever asks the catalog or a disk runs in a thread, so the admin port always answers.
What does not belong here: the workers (`fleet`), what a request may do (`admin`), where it may listen (`binding`).
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import shutil
import signal
import socket
import sys
import time
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any

import msgspec
import uvicorn

from ninetyfive import clock
from ninetyfive.errors import IntegrityError, StoreError, UsageError
from ninetyfive.paradigms import Serving
from ninetyfive.serve.connections import SWEEP, Connection, limited
from ninetyfive.serve.exposition import exposition
from ninetyfive.serve.messages import Limits, Live, Token, WorkerConfig
from ninetyfive.steps.status import releases
from ninetyfive.steps.table import promote, rollback
from ninetyfive.store.opening import Store
from ninetyfive.store.records import Pointer
from ninetyfive.supervise import tokens
from ninetyfive.supervise.admin import admin_app
from ninetyfive.supervise.binding import Asked, admin_access, url
from ninetyfive.supervise.copies import Copies
from ninetyfive.supervise.events import tell
from ninetyfive.supervise.fleet import Fleet
from ninetyfive.supervise.states import ServiceState, StateFile
from ninetyfive.supervise.watching import Watch, candidates

_ROTATION_SECONDS = 60.0
_AGAIN_SECONDS = 1.0
_WHOLE_SECONDS = 10.0
_MEND_SECONDS = 10.0
_ADMIN = Limits(connections=64, receive_headers=5.0, receive_body=10.0, idle=30.0)


class Start(msgspec.Struct, frozen=True, kw_only=True):
    """What a service starts with: its store's local folder, what each worker is told, and where it listens.

    `serving_as` is the paradigm as it was declared.
    """

    home: Path
    config: WorkerConfig
    serving_as: Serving
    workers: int
    settle: float
    asked: Asked
    serving: socket.socket
    admin: socket.socket


class Service:
    """One service over an opened store. `reopen(actor)` opens the store once more, for who changes the champion."""

    def __init__(self, start: Start, store: Store, reopen: Callable[[str], Store], state: StateFile) -> None:
        self._start = start
        self._store = store
        self._reopen = reopen
        self._state = state
        self._since = clock.now().isoformat(timespec="seconds")
        shutil.rmtree(state.folder, ignore_errors=True)
        state.folder.mkdir(parents=True, mode=0o700)
        self._copies = Copies(state.folder)
        self._watch = Watch(store)
        self.fleet = Fleet(start.config, state.folder, start.workers, self._changed)
        self.admin_access = admin_access(start.asked, start.config.access.tokens)
        self.refused: dict[int, dict[str, str]] = {}
        self._before: Live | None = None
        self._epoch = 0
        self._refusals = 0
        self._troubles: dict[str, str] = {}
        self._restarting: asyncio.Task[None] | None = None
        self._news = asyncio.Event()
        self._stopping = asyncio.Event()
        self._tokens_seen = tokens.changed(start.home)

    async def run(self, told: Callable[[dict[str, Any]], None] | None) -> None:
        """Serve until a signal ends it; `told` is given the opening words once requests are answered.

        Raises what makes serving impossible: `NinetyfiveError`.
        """
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._stop)
        loop.add_signal_handler(signal.SIGHUP, self.restart)
        stopped = asyncio.create_task(self._stopping.wait())
        works, lasting = [asyncio.create_task(self._begin())], [asyncio.create_task(self._admin())]
        try:
            await asyncio.wait({stopped, *works}, return_when=asyncio.FIRST_COMPLETED)
            if works[0].done():
                works.pop().result()
                following = (self._follow(), self.fleet.keep(), self.fleet.feel(), self._follow_tokens())
                works += [asyncio.create_task(one) for one in following]
                if self._logs:
                    works.append(asyncio.create_task(self._rotate()))
                await self._whole()
                await asyncio.to_thread(self._state.write, self.state())
                lasting.append(asyncio.create_task(self._write_states()))  # from here on the only writer
                if told is not None:
                    told(self.opening())
                await asyncio.wait({stopped, *works, *lasting}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            await self._end([stopped, *works], lasting)

    def opening(self) -> dict[str, Any]:
        """Where it listens, and what answers."""
        state = self.state()
        return {
            "url": state.url,
            "admin_url": state.admin_url,
            "system": state.system,
            "paradigm": state.paradigm,
            "release": state.release,
            "table": state.table,
            "epoch": state.epoch,
            "workers": state.wanted,
            "pid": state.pid,
            "degraded": list(state.degraded),
        }

    def state(self) -> ServiceState:
        """How it is now."""
        start, fleet = self._start, self.fleet
        return ServiceState(
            service=self._state.service,
            pid=os.getpid(),
            system=start.config.system,
            paradigm=start.config.policy.paradigm,
            url=url(start.serving, start.asked.host, start.asked.tls) if start.serving.fileno() >= 0 else "",
            admin_url=url(start.admin, start.asked.admin_host, self._admin_tls) if start.admin.fileno() >= 0 else "",
            epoch=self._epoch,
            release=fleet.live.release,
            table=fleet.live.table,
            wanted=fleet.wanted,
            ready=len(fleet.ready),
            restarts=fleet.restarts,
            restarting=self._restarting is not None,
            refused={str(epoch): error for epoch, error in self.refused.items()},
            degraded=tuple(self._degraded()),
            since=self._since,
        )

    # What the admin port asks and does.

    def is_ready(self) -> tuple[bool, list[str]]:
        """Whether a worker answers; not any more once it ends."""
        return bool(self.fleet.ready) and not self._stopping.is_set(), self._degraded()

    def status(self) -> dict[str, Any]:
        """The state, and each worker."""
        workers = [
            {
                "name": one.name,
                "pid": one.pid,
                "phase": one.phase,
                "epoch": one.live.epoch,
                "release": one.live.release,
                "degraded": one.degraded,
            }
            for one in self.fleet.workers
        ]
        return {**msgspec.to_builtins(self.state()), "workers": workers}

    def metrics(self, now: float) -> bytes:
        """The metrics of all workers, and its own."""
        own = {
            "ninetyfive_workers_wanted": float(self.fleet.wanted),
            "ninetyfive_worker_restarts": float(self.fleet.restarts),
            "ninetyfive_service_refused": float(self._refusals),
            "ninetyfive_service_degraded": float(len(self._degraded())),
        }
        return exposition(self.fleet.counters, now, own)

    async def releases(self) -> list[dict[str, Any]]:
        """The releases of its store."""
        return await asyncio.to_thread(releases, self._store)

    async def promote(self, release: str, table: str | None, reason: str, who: str) -> dict[str, Any]:
        """Make a release the champion, with a table of it."""
        return await self._change(lambda store: promote(store, self._start.serving_as, release, table, reason), who)

    async def rollback(self, reason: str, who: str) -> dict[str, Any]:
        """Make the champion before this one the champion."""
        return await self._change(lambda store: rollback(store, self._start.serving_as, reason), who)

    def restart(self) -> bool:
        """Begin to replace the workers, one after the other, and try again what was refused; False: not now."""
        if self._restarting is not None or self.fleet.busy or self._stopping.is_set() or not self._epoch:
            return False
        self._restarting = asyncio.create_task(self._restart())
        return True

    # What runs beside the requests.

    async def _begin(self) -> None:
        """The first worker on the champion; where that is refused, on what a rollback returns to."""
        first: dict[str, str] | None = None
        for pointer in await asyncio.to_thread(candidates, self._store):
            live = await self._copy(pointer)
            if live is not None and await self._taken(live, self.fleet.first):
                return
            first = first or self.refused[pointer.epoch]
        words = first or {"where": "store", "expected": "a champion", "got": "none", "do": "make one: ninetyfive run"}
        raise StoreError(words["where"], expected=words["expected"], got=words["got"], do=words["do"])

    async def _whole(self) -> None:
        """Wait until all workers answer, but not for long: one that cannot start is told as degraded."""
        loop = asyncio.get_running_loop()
        until = loop.time() + _WHOLE_SECONDS
        while len(self.fleet.ready) < self.fleet.wanted and loop.time() < until and not self._stopping.is_set():
            await asyncio.sleep(0.02)

    async def _copy(self, pointer: Pointer) -> Live | None:
        """What a pointer names, where workers can read it; None: it is refused, which is kept and told."""
        try:
            return await asyncio.to_thread(self._copies.take, self._store, pointer)
        except (IntegrityError, UsageError) as error:
            self._refuse(pointer.epoch, pointer.release, error.as_dict())
        return None

    async def _taken(self, live: Live, use: Callable[[Live], Awaitable[dict[str, str] | None]]) -> bool:
        """Whether the workers answer by `live` now; what is said against it is kept, and told."""
        before = self.fleet.live
        refusal = self._tableless(live) or await use(live)
        if refusal is None:
            self._before = before if before.epoch else None
            self.refused = {epoch: error for epoch, error in self.refused.items() if epoch > live.epoch}
            tell("live", epoch=live.epoch, release=live.release, table=live.table)
        else:
            self._refuse(live.epoch, live.release, refusal)
        await asyncio.to_thread(self._copies.keep, [one for one in (self.fleet.live, self._before) if one is not None])
        self._changed()
        return refusal is None

    def _tableless(self, live: Live) -> dict[str, str] | None:
        if self._start.config.policy.paradigm != "static" or live.table is not None:
            return None
        return UsageError(
            f"release {live.release[:12]}",
            expected="a table of it, from which static serving answers",
            got="none",
            do=f"make one: ninetyfive table build --release {live.release[:12]}",
        ).as_dict()

    def _refuse(self, epoch: int, release: str, error: dict[str, str]) -> None:
        self.refused[epoch] = error
        self._refusals += 1
        tell("refused", epoch=epoch, release=release, error=error)
        self._changed()

    async def _follow(self) -> None:
        """Have the workers answer by the champion, whenever it changes."""
        while True:
            champion = await self._watch.champion()
            self._trouble("catalog", self._watch.unreachable)
            if champion is not None and champion.epoch > self.fleet.live.epoch and champion.epoch not in self.refused:
                try:
                    live = await self._copy(champion)
                    self._trouble("store", "")
                except StoreError as error:  # it may be there again in a moment
                    self._trouble("store", f"epoch {champion.epoch} cannot be copied: {error.got}")
                    live = None
                    await asyncio.sleep(_AGAIN_SECONDS)
                if live is not None:
                    await self._taken(live, self.fleet.swap)
            await self._watch.pause()

    async def _follow_tokens(self) -> None:
        """Let in by the tokens as they are now."""
        start = self._start
        while True:
            seen = tokens.changed(start.home)
            if seen != self._tokens_seen:
                try:
                    known = await asyncio.to_thread(tokens.read_tokens, start.home)
                except StoreError as error:
                    self._trouble("tokens", f"the tokens cannot be read, those of before hold: {error.got}")
                else:
                    self._tokens_seen = seen
                    self._trouble("tokens", "")
                    self._admit(known)
            await asyncio.sleep(0.25)

    def _admit(self, known: tuple[Token, ...]) -> None:
        access, asked = self._start.config.access, self._start.asked
        # A token that was required stays required: to revoke the last one lets nobody in, not everybody.
        required = access.required or (any(one.scope == "predict" for one in known) and not asked.platform)
        access = msgspec.structs.replace(access, tokens=known, required=required)
        self._start = msgspec.structs.replace(
            self._start, config=msgspec.structs.replace(self._start.config, access=access)
        )
        self.admin_access = admin_access(asked, known)
        self.fleet.admit(access)
        tell("tokens", names=[one.name for one in known])

    async def _write_states(self) -> None:
        """Write the state whenever it changes."""
        while True:
            await self._news.wait()
            self._news.clear()
            try:
                await asyncio.to_thread(self._state.write, self.state())
                self._troubles.pop("state", None)
            except StoreError as error:
                self._troubles["state"] = f"the state cannot be written: {error.got}"
                await asyncio.sleep(1.0)
                self._news.set()

    @property
    def _logs(self) -> bool:
        log = self._start.config.log
        return log is not None and log.mode != "off"

    async def _rotate(self) -> None:
        """Have ended segments of the request log turned into spans: now, and whenever one is old enough."""
        assert self._start.config.log is not None
        while True:
            await self._spans()
            await asyncio.sleep(self._start.config.log.segment_seconds)
            self.fleet.rotate()
            await asyncio.sleep(1.0)

    async def _spans(self) -> None:
        assert self._start.config.log is not None
        log = self._start.config.log
        kept = () if log.keep_days is None else ("--keep-days", str(log.keep_days))
        words = (sys.executable, "-P", "-m", "ninetyfive.supervise.rotation", log.folder, *kept)
        process = await asyncio.create_subprocess_exec(
            *words, stdin=asyncio.subprocess.DEVNULL, stdout=sys.stderr.fileno()
        )
        try:
            code = await process.wait()
        except asyncio.CancelledError:
            with contextlib.suppress(ProcessLookupError):
                process.kill()
            raise
        self._trouble("log", f"segments of the request log are not turned into spans: exit {code}" if code else "")

    async def _restart(self) -> None:
        self.refused.clear()
        try:
            await self._mend_copies()
            error = await self.fleet.restart()
            self._trouble("restart", f"a worker could not be replaced: {error['got']}" if error else "")
            tell("restart.ended", error=error)
        except StoreError as failed:
            self._trouble("restart", f"a worker could not be started: {failed.got}")
            tell("restart.ended", error=failed.as_dict())
        finally:
            self._restarting = None
            self._changed()
            self._watch.nudge()

    async def _mend_copies(self) -> None:
        """Copy again what is live, where a copy of it is not whole any more and the store has it."""

        def mend(epoch: int) -> None:
            for pointer in candidates(self._store):
                if pointer.epoch == epoch:
                    self._copies.take(self._store, pointer)

        try:
            await asyncio.wait_for(asyncio.to_thread(mend, self.fleet.live.epoch), _MEND_SECONDS)
        except (IntegrityError, UsageError, StoreError, TimeoutError) as error:
            tell("copies.unmended", error=str(error))

    @property
    def _admin_tls(self) -> bool:
        return self._start.asked.admin_tls

    async def _admin(self) -> None:
        """Answer on the admin port."""
        asked, tls = self._start.asked, self._admin_tls
        config = uvicorn.Config(
            admin_app(self),
            http=limited(_ADMIN),
            ws="none",
            lifespan="off",
            log_config=None,
            access_log=False,
            server_header=False,
            timeout_graceful_shutdown=2,
            ssl_certfile=asked.tls_cert if tls else None,
            ssl_keyfile=asked.tls_key if tls else None,
        )
        server = _AdminServer(config)
        sweeping = asyncio.create_task(server.sweep())
        try:
            await server.serve(sockets=[self._start.admin])
        finally:
            sweeping.cancel()

    async def _change(self, change: Callable[[Store], Pointer], who: str) -> dict[str, Any]:
        """Change the champion in the name of a token."""

        def work() -> dict[str, Any]:
            with self._reopen(f"token {who} at {self._store.actor}") as store:
                return dict(msgspec.to_builtins(change(store)))

        changed = await asyncio.to_thread(work)
        self._watch.nudge()
        return changed

    async def _end(self, works: list[asyncio.Task[Any]], lasting: list[asyncio.Task[Any]]) -> None:
        """Drain the workers while the admin port still tells of it, then end; raise what made a task fail."""
        self._stopping.set()
        self._changed()
        failed = [task.exception() for task in (*works, *lasting) if task.done() and not task.cancelled()]
        await _cancel([*works, *([] if self._restarting is None else [self._restarting])])
        tell("draining", workers=len(self.fleet.workers))
        self._start.serving.close()  # the workers have it too; once they close it nobody is let wait in vain
        await self.fleet.drain(self._start.settle)
        if self._logs and self._epoch:
            with contextlib.suppress(asyncio.TimeoutError):
                await asyncio.wait_for(self._spans(), _ROTATION_SECONDS)
        await _cancel(lasting)
        self._start.admin.close()
        self._state.close()
        tell("ended")
        for error in failed:
            if error is not None:
                raise error

    def _stop(self) -> None:
        if self._stopping.is_set():
            self.fleet.kill()
        self._stopping.set()

    def _changed(self) -> None:
        if self.fleet.flipped:
            self._epoch = self.fleet.live.epoch
        self._news.set()

    def _trouble(self, name: str, words: str) -> None:
        """Say that something is not as it should be; "": it is again."""
        if self._troubles.get(name, "") != words:
            self._troubles[name] = words
            tell("degraded" if words else "mended", what=name, why=words)
            self._changed()

    def _degraded(self) -> list[str]:
        live = self.fleet.live.epoch
        refused = [f"epoch {epoch} is refused: {error['got']}" for epoch, error in self.refused.items() if epoch > live]
        return [*self.fleet.degraded, *(words for words in self._troubles.values() if words), *refused]


async def _cancel(tasks: list[asyncio.Task[Any]]) -> None:
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


class _AdminServer(uvicorn.Server):
    """uvicorn, but that signals are the service's, and slow clients are cut."""

    async def sweep(self) -> None:
        """Look at all connections again and again."""
        while True:
            await asyncio.sleep(SWEEP)
            for connection in list(self.server_state.connections):
                if isinstance(connection, Connection):
                    connection.sweep(time.monotonic())

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield
