"""The commands `submit` and `jobs`: what they ask of the system, and what they print."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer
from rich.markup import escape
from rich.table import Table

from ninetyfive.cli import printing, reporting
from ninetyfive.cli.flags import (
    DEFAULT,
    AnswersOut,
    AsOf,
    IfDue,
    Json,
    LeaveLive,
    NoCache,
    NoPromote,
    Population,
    ReleaseOption,
    RequestLog,
    RowsOf,
    Start,
    SystemFile,
)
from ninetyfive.cli.project import load_system

To = Annotated[
    str, typer.Option("--to", metavar="SERVICE", help="The service that runs the jobs: dataproc, dataflow, vertex.")
]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Show what would be sent and may cost, and send nothing.")]
Here = Annotated[bool, typer.Option("--here", help="With vertex: run the same pipeline on this machine instead.")]
JobId = Annotated[str, typer.Argument(help="The id of a job, or its beginning.")]

submit_app = typer.Typer(
    help="Let a managed service run the jobs of a command, or serve a release.", no_args_is_help=True
)
jobs_app = typer.Typer(help="List, show, cancel or wait for jobs of managed services.", no_args_is_help=True)


@submit_app.command("run")
def submit_run(  # noqa: PLR0913  its arguments are the flags of the command
    to: To,
    dry_run: DryRun = False,
    here: Here = False,
    if_due: IfDue = False,
    as_of: AsOf = None,
    no_promote: NoPromote = False,
    no_cache: NoCache = False,
    start: Start = None,
    system: SystemFile = DEFAULT,
    json: Json = False,
) -> None:
    """As `ninetyfive run`, with the jobs that read rows run by a service, and training here; by vertex all of it.

    Submitted twice it is one job; after a crash the same command attaches to what runs. Ctrl-C cancels.
    """
    words = {"if_due": if_due, "as_of": as_of, "promote": not no_promote, "cache": not no_cache, "start": start}
    document = _submitted(system, "run", to, dry_run, json, words | ({"here": True} if here else {}))
    if document is None:
        return
    printing.run(document, json)
    _jobs_told(document, json)
    if document["release"] is not None and not document["passed"]:
        raise typer.Exit(3)


@submit_app.command("predict")
def submit_predict(  # noqa: PLR0913  its arguments are the flags of the command
    input: Annotated[str, typer.Argument(help="A Parquet, CSV or JSONL file (URL) of rows to answer.")],
    output: AnswersOut,
    to: To,
    dry_run: DryRun = False,
    release: ReleaseOption = None,
    system: SystemFile = DEFAULT,
    json: Json = False,
) -> None:
    """As `ninetyfive predict`, answered by the workers of a service."""
    words = {"input": input, "output": output, "release": release}
    document = _submitted(system, "predict", to, dry_run, json, words)
    if document is None:
        return
    printing.predicted(document, json)
    _jobs_told(document, json)
    if document["rows"]["rejected"]:
        raise typer.Exit(3)


@submit_app.command("serve")
def submit_serve(  # noqa: PLR0913  its arguments are the flags of the command
    to: To,
    dry_run: DryRun = False,
    release: ReleaseOption = None,
    traffic: Annotated[
        int, typer.Option("--traffic", metavar="PERCENT", help="How much of the traffic this release gets.")
    ] = 100,
    keep: Annotated[
        int, typer.Option("--keep", help="How many others without traffic stay deployed; each costs as long.")
    ] = 0,
    system: SystemFile = DEFAULT,
    json: Json = False,
) -> None:
    """Deploy a release on an endpoint of the service, or give it another share of the traffic.

    What is deployed costs every hour until `ninetyfive jobs cancel` undeploys it.
    """
    words = {"release": release, "traffic": traffic, "keep": keep}
    document = _submitted(system, "serve", to, dry_run, json, words)
    if document is None:
        return
    if json:
        printing.emit(document)
        return
    console = printing.console_of()
    console.print(f"[bold]release {document['release'][:12]}[/] is deployed: {document['url']}", soft_wrap=True)
    for job, share in document["traffic"].items():
        console.print(f"  {share:>3} %  {job}")
    for job in document["undeployed"]:
        console.print(f"  undeployed: {job}")
    console.print("each costs as long as it is deployed: ninetyfive jobs cancel JOB")


@submit_app.command("table")
def submit_table(  # noqa: PLR0913  its arguments are the flags of the command
    to: To,
    dry_run: DryRun = False,
    release: ReleaseOption = None,
    population: Population = None,
    log: RequestLog = None,
    no_promote: LeaveLive = False,
    as_of: RowsOf = None,
    system: SystemFile = DEFAULT,
    json: Json = False,
) -> None:
    """As `ninetyfive table build`, answered by the workers of a service."""
    words = {"release": release, "population": population, "log": log, "as_of": as_of, "promote": not no_promote}
    document = _submitted(system, "table", to, dry_run, json, words)
    if document is None:
        return
    printing.table(document, json)
    _jobs_told(document, json)
    if not document["passed"]:
        raise typer.Exit(3)


@jobs_app.command("list")
def jobs_list(system: SystemFile = DEFAULT, json: Json = False) -> None:
    """Every job, newest first, as it was last seen."""
    found = load_system(system).jobs()
    if json:
        printing.emit({"jobs": found})
        return
    console = printing.console_of()
    if not found:
        console.print("no jobs: ninetyfive submit makes them")
        return
    table = Table("job", "state", "for", "submitted", box=None, pad_edge=False)
    for job in found:
        table.add_row(job["id"], job["state"], escape(job["purpose"]), job["created"][:19])
    console.print(table)


@jobs_app.command("show")
def jobs_show(job: JobId, system: SystemFile = DEFAULT, json: Json = False) -> None:
    """One job, as its service knows it now."""
    _job(load_system(system).job(job), json)


@jobs_app.command("cancel")
def jobs_cancel(job: JobId, system: SystemFile = DEFAULT, json: Json = False) -> None:
    """Stop a job, and wait until nothing of it costs any more."""
    _job(load_system(system).cancel_job(job), json)


@jobs_app.command("attach")
def jobs_attach(job: JobId, system: SystemFile = DEFAULT, json: Json = False) -> None:
    """Wait until a job has ended; exit code 1 where it did not end well.

    The same `ninetyfive submit` again then reads its results.
    """
    with reporting.progress(json) as reporter:
        document = load_system(system).attach_job(job, reporter=reporter)
    _job(document, json)
    if document["state"] != "done":
        raise typer.Exit(1)


def _submitted(
    system: Path, what: str, to: str, dry_run: bool, json: bool, words: dict[str, Any]
) -> dict[str, Any] | None:
    """The document of a command that was submitted; None where it was only shown."""
    declared = load_system(system)
    if dry_run:
        _rendered(declared.submit(what, to=to, dry_run=True, **words), json)
        return None
    with reporting.progress(json) as reporter:
        return declared.submit(what, to=to, reporter=reporter, **words)


def _rendered(document: dict[str, Any], json: bool) -> None:
    """What would be sent, and may cost."""
    if json:
        printing.emit(document)
        return
    console = printing.console_of()
    printing.requests(document["requests"])
    cost = document["estimate"]
    for line in cost["lines"]:
        dated = "no date" if line["as_of"] == "undated" else line["as_of"]
        price = f"{line['price']:g} {cost['currency']}, the price ({dated}) of 1 {line['unit']}"
        console.print(f"{line['what']}: {line['amount']:g} × {price}")
    if cost["lines"]:
        most = "without an end of its own" if cost["most"] is None else f"at most {cost['most']:.4g}"
        amounts = f"{cost['hour']:.4g} an hour, at least {cost['least']:.4g}, {most}"
        console.print(f"[bold]a job[/]: {cost['currency']} {amounts}; list prices of {cost['region']}, {cost['dated']}")
    for text in cost["not_known"]:
        console.print(f"not in it: {escape(text)}")


def _job(document: dict[str, Any], json: bool) -> None:
    if json:
        printing.emit(document)
        return
    console = printing.console_of()
    for name, value in document.items():
        if value:
            console.print(f"[bold]{name:<8}[/] {escape(value)}", soft_wrap=True)


def _jobs_told(document: dict[str, Any], json: bool) -> None:
    if not json and document["service_jobs"]:
        count = len(document["service_jobs"])
        printing.console_of().print(f"jobs     {count} by {document['service']}: see ninetyfive jobs list")
