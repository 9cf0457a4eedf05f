"""The commands of the prediction service: run it, and say who may call it."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer

from ninetyfive.cli import printing
from ninetyfive.cli.flags import DEFAULT, Json, SystemFile
from ninetyfive.cli.project import load_system

token_app = typer.Typer(help="Make, list or revoke the tokens of the service.", no_args_is_help=True)
deploy_app = typer.Typer(help="Write what a platform needs to serve the champion.", no_args_is_help=True)


def serve(  # noqa: PLR0913  its arguments are the flags of the command
    system: SystemFile = DEFAULT,
    host: Annotated[str | None, typer.Option("--host", help="The address to listen on; default: this machine.")] = None,
    port: Annotated[int | None, typer.Option("--port", min=0, max=65535, help="The port; default 8080.")] = None,
    admin_port: Annotated[
        int | None, typer.Option("--admin-port", min=0, max=65535, help="The admin port; default 8081.")
    ] = None,
    workers: Annotated[int | None, typer.Option("--workers", min=1, max=256, help="Processes; default 2.")] = None,
    metrics_on_serving: Annotated[
        bool, typer.Option("--metrics-on-serving", help="Answer /metrics on the serving port too.")
    ] = False,
    insecure: Annotated[
        bool, typer.Option("--insecure", help="Serve beyond this machine without a token or TLS.")
    ] = False,
    json: Json = False,
) -> None:
    """Serve the champion, and whatever becomes champion.

    Runs until SIGTERM or Ctrl-C, then answers what is in flight; SIGHUP replaces the workers one by one. What it says
    stands on stderr, a line of JSON for each event; on stdout only where it listens, once it answers.
    """
    load_system(system).serve(
        host=host,
        port=port,
        admin_port=admin_port,
        workers=workers,
        metrics_on_serving=metrics_on_serving,
        insecure=insecure,
        told=lambda opening: _print_opening(opening, json),
    )


@token_app.command("new")
def token_new(
    scope: Annotated[str, typer.Option("--scope", help="What it may do: predict, read, operate or admin.")],
    name: Annotated[str | None, typer.Option("--name", help="What it is called; default: its scope.")] = None,
    system: SystemFile = DEFAULT,
    json: Json = False,
) -> None:
    """Make a token and print it, this once.

    Its SHA-256 alone is kept. A running service knows it within a second.
    """
    _print_token(load_system(system).new_token(scope, name=name), json)


@token_app.command("list")
def token_list(system: SystemFile = DEFAULT, json: Json = False) -> None:
    """The tokens that there are, by name."""
    _print_tokens(load_system(system).tokens(), json)


@token_app.command("revoke")
def token_revoke(
    name: Annotated[str, typer.Argument(help="The name of a token.")],
    system: SystemFile = DEFAULT,
    json: Json = False,
) -> None:
    """Let a token in no more."""
    _print_revoked(load_system(system).revoke_token(name), json)


@deploy_app.command("render")
def deploy_render(
    to: Annotated[Path, typer.Option("--to", help="A new or empty folder.")],
    image: Annotated[str | None, typer.Option("--image", help="What the manifest calls the image.")] = None,
    insecure: Annotated[bool, typer.Option("--insecure", help="Ask for no token: something in front does.")] = False,
    log: Annotated[bool, typer.Option("--log", help="Keep the request log in the container.")] = False,
    system: SystemFile = DEFAULT,
    json: Json = False,
) -> None:
    """Write a Dockerfile, a Kubernetes manifest, and the champion that is baked in.

    One container is one worker of one release: to serve another release is to render, build and apply again.
    """
    _print_rendered(load_system(system).deploy(to, image=image, insecure=insecure, log=log), json)


def _print_rendered(done: printing.Document, as_json: bool) -> None:
    if as_json:
        printing.emit(done)
        return
    for path in done["files"]:
        print(f"  wrote {done['folder']}/{path}")
    print(f"release {done['release'][:12]} is in {done['folder']}/service")


def print_services(services: Sequence[printing.Document]) -> None:
    """The services that run on this machine, below the rest of `status`."""
    for one in services:
        listens = one["url"] or one["service"]
        print(f"service   {listens}, {one['ready']} of {one['wanted']} workers, epoch {one['epoch']}")
        for reason in one["degraded"]:
            print(f"          {reason}")


def print_waited(services: Sequence[printing.Document]) -> None:
    """What became of each service that a change of the champion waited for."""
    for one in services:
        words = {"flipped": "answers by it", "late": "does not answer by it yet", "ended": "has ended"}
        told = words.get(one["outcome"]) or f"refused it: {one['error']['got']}"
        print(f"service {one.get('url') or one['service']} {told}")


def _print_opening(opening: printing.Document, as_json: bool) -> None:
    """Where it listens and what answers, said at once, whoever reads it."""
    if as_json:
        printing.emit(opening)
    else:
        table = f", table {opening['table'][:12]}" if opening["table"] else ""
        print(f"{opening['system']}  {opening['url']}, admin {opening['admin_url']}")
        print(f"{opening['paradigm']}, release {opening['release'][:12]}{table}, epoch {opening['epoch']}")
        for reason in opening["degraded"]:
            print(f"note: {reason}")
    sys.stdout.flush()


def _print_token(made: printing.Document, as_json: bool) -> None:
    """The one place where a token is ever printed, with `init`."""
    if as_json:
        printing.emit(made)
        return
    print(made["token"], flush=True)  # before what is said of it
    print(f"token {made['name']!r}, scope {made['scope']}: it is shown this once", file=sys.stderr)


def _print_tokens(found: Sequence[printing.Document], as_json: bool) -> None:
    if as_json:
        printing.emit({"tokens": found})
        return
    for one in found:
        print(f"{one['name']:<20}  {one['scope']:<8}  {one['created']}")
    if not found:
        print("no tokens: `ninetyfive token new --scope predict` makes one")


def _print_revoked(gone: printing.Document, as_json: bool) -> None:
    if as_json:
        printing.emit(gone)
        return
    print(f"token {gone['name']} is revoked")
