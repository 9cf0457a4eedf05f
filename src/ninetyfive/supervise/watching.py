"""The champion as the service sees it: asked for again and again, never waited for.

    every quarter second, or when nudged ─▶ catalog ─▶ a pointer
                                                    └▶ no answer: `unreachable` says why, and what serves goes on

What does not belong here: what is done about a new champion (`service`).
"""

from __future__ import annotations

import asyncio

from ninetyfive.errors import StoreError
from ninetyfive.store.opening import Store
from ninetyfive.store.records import Pointer

POLL_SECONDS = 0.25
_PATIENCE = 2.0
_CANDIDATES = 3


class Watch:
    """Asks the catalog of `store` for the champion."""

    def __init__(self, store: Store) -> None:
        self.unreachable = ""
        self._store = store
        self._asking: asyncio.Task[Pointer | None] | None = None
        self._nudged = asyncio.Event()

    def nudge(self) -> None:
        """Ask now: something has changed."""
        self._nudged.set()

    async def pause(self) -> None:
        """Wait until it is time to ask again."""
        try:
            await asyncio.wait_for(self._nudged.wait(), POLL_SECONDS)
        except TimeoutError:
            return
        self._nudged.clear()

    async def champion(self) -> Pointer | None:
        """The champion; None where there is none, or the catalog does not say within two seconds."""
        if self._asking is None:
            self._asking = asyncio.create_task(asyncio.to_thread(self._store.champion))
        await asyncio.wait({self._asking}, timeout=_PATIENCE)
        if not self._asking.done():
            self.unreachable = f"the catalog has not answered for {_PATIENCE:g} s and more"
            return None
        asked, self._asking = self._asking, None
        try:
            found = asked.result()
        except StoreError as error:
            self.unreachable = f"the catalog cannot be read: {error.got}"
            return None
        self.unreachable = ""
        return found


def candidates(store: Store) -> list[Pointer]:
    """The champion, then what rollbacks would return to: what a service may begin with, best first."""
    history = {pointer.epoch: pointer for pointer in store.history()}
    found: list[Pointer] = []
    epoch: int | None = max(history, default=None)
    while epoch in history and len(found) < _CANDIDATES:
        found.append(history[epoch])
        below = history[epoch].below
        epoch = below if below is not None and below < epoch else None
    return found
