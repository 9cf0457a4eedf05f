"""What a service starts with: system.py, the settings and the words of the command, brought together and checked.

    paradigm ─▶ policy     settings, flags, AIP_… ─▶ where it listens     tokens ─▶ who is let in     ─▶ Start

The rule: whatever is wrong with any of it is told before a worker starts.
What does not belong here: what the service does then (`service`).
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import msgspec

from ninetyfive.durations import duration
from ninetyfive.errors import SettingsError
from ninetyfive.paradigms import DynamicServing, Serving, StaticServing
from ninetyfive.serve.messages import Access, Live, Policy, WorkerConfig
from ninetyfive.settings import Settings
from ninetyfive.steps.population import log_folder
from ninetyfive.store.opening import Store, open_store, work_folder
from ninetyfive.supervise.binding import Asked, check_tls, decide_access, listen
from ninetyfive.supervise.deploying import deployed_access, render
from ninetyfive.supervise.service import Service, Start
from ninetyfive.supervise.states import StateFile
from ninetyfive.supervise.tokens import read_tokens
from ninetyfive.system import Declaration

_PORT = 8080
_NOTHING = Live(epoch=0, release="", number=0, folder="")


class Words(msgspec.Struct, frozen=True, kw_only=True):
    """What the command says over the settings; None: nothing."""

    host: str | None = None
    port: int | None = None
    admin_port: int | None = None
    workers: int | None = None
    metrics_on_serving: bool = False
    insecure: bool = False


def serve(
    declared: Declaration,
    settings: Settings,
    words: Words,
    environment: Mapping[str, str],
    told: Callable[[dict[str, Any]], None] | None,
) -> None:
    """Serve the champion of a system until a signal ends it; `told` gets the opening words once it answers."""
    home = work_folder(settings.store_url, settings.catalog)
    asked = asked_of(settings, words, environment)
    check_tls(asked)

    def reopen(actor: str | None = None) -> Store:
        return open_store(settings.store_url, settings.catalog, create=False, actor=actor)

    with ExitStack() as stack, reopen() as store:
        store.check_system(declared.name)
        config = worker_config(declared, settings, asked, environment, home)
        if words.metrics_on_serving:
            config = msgspec.structs.replace(config, metrics=True)
        serving = stack.enter_context(listen(asked.host, asked.port, "--port"))
        admin = stack.enter_context(listen(asked.admin_host, asked.admin_port, "--admin-port"))
        port = serving.getsockname()[1]
        start = Start(
            home=home,
            config=msgspec.structs.replace(config, port=port, listen_fd=serving.fileno()),
            serving_as=declared.effective_serving,
            workers=words.workers or settings.serve.workers,
            settle=settings.serve.settle,
            asked=asked,
            serving=serving,
            admin=admin,
        )
        asyncio.run(_run(start, store, reopen, told))


def deploy(
    declared: Declaration, settings: Settings, folder: Path, image: str | None, *, insecure: bool, log: bool
) -> dict[str, Any]:
    """Write a folder that is a service of the champion into `folder`; with `log` it keeps the request log too."""
    home = work_folder(settings.store_url, settings.catalog)
    access = deployed_access(read_tokens(home), insecure)
    asked = Asked(host="127.0.0.1", port=_PORT, admin_host="127.0.0.1", admin_port=0)
    config = worker_config(declared, settings, asked, {}, home)
    config = msgspec.structs.replace(config, access=access, log=config.log if log else None)
    with open_store(settings.store_url, settings.catalog, create=False) as store:
        store.check_system(declared.name)
        return render(config, store, folder, image)


def hosted_config(declared: Declaration, settings: Settings) -> WorkerConfig:
    """What a worker is told that a platform stands in front of, which lets in, logs and counts itself."""
    asked = Asked(host="127.0.0.1", port=_PORT, admin_host="127.0.0.1", admin_port=0)
    home = work_folder(settings.store_url, settings.catalog)
    config = worker_config(declared, settings, asked, {}, home)
    return msgspec.structs.replace(config, access=Access(hosts=("*",)), log=None, metrics=False)


def asked_of(settings: Settings, words: Words, environment: Mapping[str, str]) -> Asked:
    """Where to listen: the command over the platform's environment (`AIP_HTTP_PORT`) over the settings."""
    said = settings.serve
    platform = environment.get("AIP_HTTP_PORT", "")
    if platform and not (platform.isdecimal() and int(platform) < 2**16):
        raise SettingsError("AIP_HTTP_PORT", expected="a port", got=repr(platform), do="see who sets it")
    host = "0.0.0.0" if platform else said.host
    return Asked(
        host=words.host or host,
        port=words.port if words.port is not None else int(platform or said.port),
        admin_host=said.admin_host,
        admin_port=words.admin_port if words.admin_port is not None else said.admin_port,
        hosts=said.hosts,
        tls_cert=None if said.tls_cert is None else settings.absolute(said.tls_cert),
        tls_key=None if said.tls_key is None else settings.absolute(said.tls_key),
        insecure=words.insecure,
        platform=bool(platform),
    )


def worker_config(
    declared: Declaration, settings: Settings, asked: Asked, environment: Mapping[str, str], home: Path
) -> WorkerConfig:
    """What each worker is told, but for what is live, its own name and files, and the socket."""
    said = settings.serve
    log = msgspec.structs.replace(
        said.log,
        folder=log_folder(settings),
        key_file=None if said.log.key_file is None else settings.absolute(said.log.key_file),
    )
    return WorkerConfig(
        name="",
        system=declared.name,
        live=_NOTHING,
        policy=policy_of(declared.effective_serving),
        limits=said.limits,
        access=decide_access(asked, read_tokens(home)),
        log=log,
        metrics=said.metrics_on_serving,
        host=asked.host,
        port=asked.port,
        tls_cert=asked.tls_cert,
        tls_key=asked.tls_key,
        health_route=environment.get("AIP_HEALTH_ROUTE") if asked.platform else None,
        predict_route=environment.get("AIP_PREDICT_ROUTE") if asked.platform else None,
        access_log=said.access_log,
    )


def policy_of(serving: Serving) -> Policy:
    """The paradigm in force as a worker keeps it."""
    outside = serving.on_outside
    if isinstance(serving, DynamicServing):
        return Policy(paradigm="dynamic", on_outside=outside)
    age = None if serving.max_age is None else duration(serving.max_age)
    if isinstance(serving, StaticServing):
        missing, change = serving.on_missing, serving.on_change
        return Policy(paradigm="static", on_missing=missing, on_change=change, on_outside=outside, max_age=age)
    return Policy(paradigm="hybrid", cache=serving.cache, on_outside=outside, max_age=age)


async def _run(
    start: Start, store: Store, reopen: Callable[[str | None], Store], told: Callable[[dict[str, Any]], None] | None
) -> None:
    state = StateFile(start.home, f"{os.uname().nodename}-{start.config.port}")
    await Service(start, store, reopen, state).run(told)
