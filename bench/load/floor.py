"""Floor F: the worker's own HTTP server round an application that only reads, decodes and encodes a constant.

    python -m bench.load.floor CONFIG.json

The body is decoded into the struct of the worker's rows; the answer has the form and the size of the worker's. No
route, access, limit of the body, check, log, counter or sweep: what is left is what any answer over this stack costs.
"""

from __future__ import annotations

import asyncio
import signal
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import msgspec
import uvicorn

from ninetyfive.models.release import open_release
from ninetyfive.serve.messages import WorkerConfig
from ninetyfive.serve.rows import Rows
from ninetyfive.serve.tensorflow import Metadata, Predictions
from ninetyfive.serve.worker import listening, prepare, server_of

_encode = msgspec.json.Encoder().encode


def application(config: WorkerConfig) -> Callable[..., Awaitable[None]]:
    """The ASGI application."""
    live = config.live
    rows = Rows(open_release(Path(live.folder), live.release).request)
    fields = [("instances", list[rows.quick])]  # type: ignore[name-defined]
    request = msgspec.defstruct("PredictRequest", fields, forbid_unknown_fields=True)
    decode = msgspec.json.Decoder(request).decode

    async def answer(_: dict[str, Any], receive: Callable[..., Any], send: Callable[..., Any]) -> None:
        message = await receive()
        body = message["body"]
        while message["more_body"]:
            message = await receive()
            body += message["body"]
        instances = decode(body).instances
        count = len(instances)
        metadata = Metadata(f"{0:032x}", live.release, live.table, None, ["model"] * count)
        data = _encode(Predictions([0.40479600429534910] * count, metadata))
        headers = [(b"content-type", b"application/json"), (b"content-length", str(len(data)).encode())]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": data})

    return answer


async def _serve(config: WorkerConfig) -> None:
    server = server_of(application(config), config)
    await server.startup(sockets=[listening(config)])
    over = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, over.set)
    await over.wait()


def main() -> None:
    config = msgspec.json.decode(Path(sys.argv[1]).read_bytes(), type=WorkerConfig)
    prepare()
    factory = uvicorn.Config(lambda: None, loop="uvloop").get_loop_factory()
    with asyncio.Runner(loop_factory=factory) as runner:
        runner.run(_serve(config))


if __name__ == "__main__":
    main()
