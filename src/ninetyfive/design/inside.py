"""The answering of a worker in this process: the same code from the body of a request to that of its answer.

    body ─ Predict.read ─▶ structs ─ Answering.answer_now ─▶ answers, logged ─ write ─▶ body

The rule: no line of it is another one than a worker runs; only connections and HTTP are left out, so it is a bound on
what a worker can cost, and quick enough for thousands of systems. What does not belong here: the whole worker
(`worker`), which is asked the same way.
"""

from __future__ import annotations

import contextlib
import resource
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import msgspec

from ninetyfive.design.worker import Answer
from ninetyfive.serve import tensorflow
from ninetyfive.serve.answering import Answering
from ninetyfive.serve.counters import Counters
from ninetyfive.serve.http import encode
from ninetyfive.serve.loaded import Loaded
from ninetyfive.serve.log import RequestLog
from ninetyfive.serve.messages import Live, Policy, WorkerConfig
from ninetyfive.serve.rows import Fault


class Inside:
    """Answers bodies as `worker.Worker` does, without HTTP."""

    def __init__(self, loaded: Loaded, config: WorkerConfig, log: RequestLog | None) -> None:
        self._loaded = loaded
        self._answering = Answering(loaded, config.limits, Counters(None), log, "design")
        self._form = tensorflow.Predict(loaded.rows, config.limits.rows)

    def ready(self) -> None:
        """It is."""

    def request(self, body: bytes) -> bytes:
        """What `ask` takes for a body: the body."""
        return body

    def ask(self, request: bytes) -> Answer:
        """The answer to one body."""
        start = time.perf_counter()
        try:
            structs, root, columns = self._form.read(request)
            answered = self._answering.answer_now(self._loaded, structs, root, hold=False)
            status, data = 200, encode(tensorflow.write(answered, columns))
        except Fault as fault:
            status, data = int(fault.status), str(fault).encode()
        return Answer(time.perf_counter() - start, status, data)

    def cpu(self) -> float:
        """Seconds of CPU that this process has used."""
        return time.process_time()

    def memory(self) -> int:
        """The most bytes of memory that this process has taken."""
        most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        return most if sys.platform == "darwin" else most * 1024


@contextlib.contextmanager
def inside(live: Live, policy: Policy, config: WorkerConfig, folder: Path) -> Iterator[Inside]:
    """The answering of a worker, from `live` by `policy`, which logs into `folder`, which is made."""
    folder.mkdir(parents=True)
    loaded = Loaded(live, policy, config.system, None, config.limits)
    with contextlib.ExitStack() as stack:
        if loaded.table is not None:
            stack.callback(loaded.table.close)
        loaded.prove()
        log = None
        if config.log is not None and config.log.mode != "off":
            said = msgspec.structs.replace(config.log, folder=str(folder / "requests"), mode="fast")
            log = RequestLog(said, config.name, loaded.schema.types)
            stack.callback(log.close)
        yield Inside(loaded, config, log)
