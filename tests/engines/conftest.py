"""What tests of engines share: a Ctrl-C at a moment that the work itself chooses."""

from __future__ import annotations

import _thread
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest


@pytest.fixture
def interrupt_at() -> Callable[[Path], None]:
    """A function that interrupts the main thread, as Ctrl-C does, once a file is there."""

    def watch(mark: Path) -> None:
        def stop() -> None:
            while not mark.exists():
                time.sleep(0.05)
            _thread.interrupt_main()

        threading.Thread(target=stop, daemon=True).start()

    return watch
