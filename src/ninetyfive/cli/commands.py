"""The commands: each finds the system, calls one verb of it, and prints what came back."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from ninetyfive import __version__
from ninetyfive.cli import keeping, printing, reporting
from ninetyfive.cli.designing import design
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
from ninetyfive.cli.managing import jobs_app, submit_app
from ninetyfive.cli.project import load_system
from ninetyfive.cli.serving import deploy_app, print_services, print_waited, serve, token_app
from ninetyfive.cli.tuning import tuning

app = typer.Typer(
    name="ninetyfive",
    help="The other 95 % of a production ML system: new data in, a gated release out.",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
)
schema_app = typer.Typer(help="Show, accept or compare the schema.", no_args_is_help=True)
audit_app = typer.Typer(help="Check the audit trail.", no_args_is_help=True)
table_app = typer.Typer(help="Build and list prediction tables.", no_args_is_help=True)
app.add_typer(schema_app, name="schema")
app.add_typer(audit_app, name="audit")
app.add_typer(table_app, name="table")
app.add_typer(token_app, name="token")
app.add_typer(deploy_app, name="deploy")
app.add_typer(submit_app, name="submit")
app.add_typer(jobs_app, name="jobs")
app.command()(serve)
app.command()(design)
app.command()(tuning)

Reason = Annotated[str, typer.Option(help="Why, for the audit trail.")]
Wait = Annotated[bool, typer.Option("--wait", help="Wait until the services on this machine answer by it.")]
Timeout = Annotated[float, typer.Option("--timeout", min=0.0, help="With --wait: at most so many seconds.")]


@app.callback(invoke_without_command=True)
def root(version: Annotated[bool, typer.Option("--version", help="Print the version and exit.")] = False) -> None:
    """The other 95 % of a production ML system."""
    if version:
        print(__version__)
        raise typer.Exit


@app.command()
def init(
    folder: Annotated[Path, typer.Argument(help="Where the project goes.")] = Path(),
    data: Annotated[
        str | None, typer.Option("--data", help="A Parquet, CSV or JSONL file to propose the system from.")
    ] = None,
    label: Annotated[str | None, typer.Option("--label", help="With --data: the column to predict.")] = None,
    time: Annotated[
        str | None, typer.Option("--time", help="With --data: the column that says when a request is made.")
    ] = None,
    id: Annotated[
        str | None, typer.Option("--id", help="With --data: the columns that name a row, separated by commas.")
    ] = None,
    json: Json = False,
) -> None:
    """Start a project: an example, or from a file.

    Writes system.py, ninetyfive.toml and .gitignore. Without --data it is an example that runs at once; with --data and
    --label every column of your file is proposed as a feature, and schema.toml says their types. No file that is there
    is overwritten.
    """
    from ninetyfive.cli.template import new_project

    ids = [word.strip() for word in id.split(",")] if id else []
    printing.created(new_project(folder, data, label, time, ids), json)


@app.command()
def run(  # noqa: PLR0913  its arguments are the flags of the command
    system: SystemFile = DEFAULT,
    if_due: IfDue = False,
    as_of: AsOf = None,
    no_promote: NoPromote = False,
    no_cache: NoCache = False,
    start: Start = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Show what the service that has the rows would be asked, and ask nothing.")
    ] = False,
    json: Json = False,
) -> None:
    """New data in, a gated release out.

    Steps whose inputs are unchanged are skipped. Exit code 3 where a blocking check or a gate says no.
    """
    declared = load_system(system, trains=True)
    if dry_run:
        printing.source_requests(declared.source_requests(), json)
        return
    with reporting.progress(json) as reporter:
        document = declared.run(
            if_due=if_due, as_of=as_of, promote=not no_promote, cache=not no_cache, start=start, reporter=reporter
        )
    printing.run(document, json)
    if document["release"] is not None and not document["passed"]:
        raise typer.Exit(3)


@app.command("import")
def import_model(
    file: Annotated[Path, typer.Argument(help="The ONNX file.")],
    output: Annotated[
        str | None, typer.Option("--output", help="The output that answers, where several could.")
    ] = None,
    classes: Annotated[
        str | None, typer.Option("--classes", help="The classes in the order of the file, separated by commas.")
    ] = None,
    no_promote: NoPromote = False,
    system: SystemFile = DEFAULT,
    json: Json = False,
) -> None:
    """An ONNX file in, a gated release out.

    A run that takes the file in place of the model function: fitted features, parity, gates and champion as ever.
    """
    declared = load_system(system)
    names = [name.strip() for name in classes.split(",")] if classes else None
    with reporting.progress(json) as reporter:
        document = declared.import_model(file, output=output, classes=names, promote=not no_promote, reporter=reporter)
    printing.run(document, json)
    if not document["passed"]:
        raise typer.Exit(3)


@app.command()
def status(system: SystemFile = DEFAULT, json: Json = False) -> None:
    """What is live, how it is trained and served, and what ran last."""
    document = load_system(system).status()
    printing.status(document, json)
    if not json:
        print_services(document["services"])


@app.command()
def releases(system: SystemFile = DEFAULT, json: Json = False) -> None:
    """Every release, newest first."""
    printing.releases(load_system(system).releases(), json)


@app.command()
def promote(  # noqa: PLR0913  its arguments are the flags of the command
    release: Annotated[str, typer.Argument(help="A release hash or its beginning.")],
    table: Annotated[
        str | None, typer.Option("--table", help="A table of it, by id; default: its newest one whose gates passed.")
    ] = None,
    reason: Reason = "promoted by hand",
    wait: Wait = False,
    timeout: Timeout = 30.0,
    system: SystemFile = DEFAULT,
    json: Json = False,
) -> None:
    """Make a release the champion, with a table of it where there is one.

    With --wait it ends once every service on this machine answers by it; exit code 1 where one does not.
    """
    _moved(load_system(system).promote(release, table=table, reason=reason, wait=timeout if wait else None), json)


@app.command()
def rollback(
    reason: Reason = "rolled back by hand",
    wait: Wait = False,
    timeout: Timeout = 30.0,
    system: SystemFile = DEFAULT,
    json: Json = False,
) -> None:
    """Make the champion before this one, with its table, the champion again.

    With --wait it ends once every service on this machine answers by it; exit code 1 where one does not.
    """
    _moved(load_system(system).rollback(reason=reason, wait=timeout if wait else None), json)


def _moved(document: dict[str, Any], json: bool) -> None:
    printing.pointer(document, json)
    waited = document.get("services", ())
    if not json:
        print_waited(waited)
    if any(one["outcome"] in ("refused", "late") for one in waited):
        raise typer.Exit(1)


@app.command()
def pin(
    release: Annotated[str, typer.Argument(help="A release hash or its beginning.")],
    reason: Reason = "pinned by hand",
    system: SystemFile = DEFAULT,
    json: Json = False,
) -> None:
    """Keep a release from gc, whatever the rule says."""
    keeping.pin(load_system(system).pin(release, reason=reason), json)


@app.command()
def unpin(
    release: Annotated[str, typer.Argument(help="A release hash or its beginning.")],
    reason: Reason = "unpinned by hand",
    system: SystemFile = DEFAULT,
    json: Json = False,
) -> None:
    """Let gc judge a pinned release by the rule again."""
    keeping.unpin(load_system(system).unpin(release, reason=reason), json)


@app.command()
def predict(
    input: Annotated[str, typer.Argument(help="A Parquet, CSV or JSONL file (path, glob or URL) of rows to answer.")],
    output: AnswersOut,
    release: ReleaseOption = None,
    system: SystemFile = DEFAULT,
    json: Json = False,
) -> None:
    """Answer a file of rows into a file.

    The id columns are passed through. Rows that break the schema go into OUTPUT.rejected.ENDING beside it, and the exit
    code is then 3.
    """
    with reporting.progress(json):
        document = load_system(system).predict_file(input, output, release=release)
    printing.predicted(document, json)
    if document["rows"]["rejected"]:
        raise typer.Exit(3)


@app.command()
def export(
    folder: Annotated[Path, typer.Argument(help="A new folder: the SavedModel.")],
    release: ReleaseOption = None,
    system: SystemFile = DEFAULT,
    json: Json = False,
) -> None:
    """Write a release of a Keras model as a SavedModel, for TensorFlow Serving.

    It takes transformed inputs: its signature has an input for each column that the release's transform makes.
    """
    printing.exported(load_system(system).export(folder, release=release), json)


@app.command()
def replay(  # noqa: PLR0913  its arguments are the flags of the command
    log: Annotated[str, typer.Argument(help="The folder of a request log, or one span of it.")],
    to: Annotated[str, typer.Option("--to", metavar="URL", help="The service to ask.")],
    rate: Annotated[float | None, typer.Option("--rate", help="So many requests a second.")] = None,
    speed: Annotated[float | None, typer.Option("--speed", help="So many times as fast as they came.")] = None,
    limit: Annotated[int | None, typer.Option("--limit", min=1, help="At most so many rows.")] = None,
    connections: Annotated[int, typer.Option("--connections", min=1, help="How many are kept open.")] = 16,
    model: Annotated[str | None, typer.Option("--model", help="The model; default: the service says it.")] = None,
    token_env: Annotated[
        str | None, typer.Option("--token-env", metavar="NAME", help="The variable that holds the token.")
    ] = None,
    json: Json = False,
) -> None:
    """Ask the rows of a request log again, and compare the answers.

    Without --rate and --speed as fast as the connections allow.
    """
    import os

    from ninetyfive.cli.replaying import replayed
    from ninetyfive.errors import UsageError
    from ninetyfive.supervise.replay import Asked
    from ninetyfive.supervise.replay import replay as ask_again

    token = os.environ.get(token_env) if token_env is not None else None
    if token_env is not None and not token:
        do = f"export {token_env}, or leave --token-env out"
        raise UsageError("--token-env", expected="a variable with a token", got=f"{token_env}, which is empty", do=do)
    with reporting.progress(json):
        report = ask_again(log, to, Asked(rate, speed, limit, connections, model, token))
    replayed(report, json)


@app.command()
def trace(
    row: Annotated[str | None, typer.Option("--row", help="The row as a JSON object.")] = None,
    file: Annotated[str | None, typer.Option("--file", help="A file to take the row from.")] = None,
    number: Annotated[int, typer.Option("--number", min=0, help="With --file: which row, from 0.")] = 0,
    release: ReleaseOption = None,
    system: SystemFile = DEFAULT,
    json: Json = False,
) -> None:
    """Explain the answer to one row, step by step.

    What came in, each operation, what the model saw, what it said: by the code that serves.
    """
    printing.trace(load_system(system).trace(row=row, file=file, number=number, release=release), json)


@schema_app.command("show")
def schema_show(
    features: Annotated[
        bool, typer.Option("--features", help="The features instead: tree, constants, cost, nulls, what a model sees.")
    ] = False,
    release: ReleaseOption = None,
    system: SystemFile = DEFAULT,
    json: Json = False,
) -> None:
    """The schema in force, and whether anybody has reviewed it; with --features what becomes of its columns.

    The features are those of the champion, or of --release, measured now on rows that it was made from.
    """
    if features:
        printing.features(load_system(system).explain_features(release=release), json)
        return
    printing.schema(load_system(system).schema(), json)


@schema_app.command("accept")
def schema_accept(system: SystemFile = DEFAULT, json: Json = False) -> None:
    """Mark schema.toml as reviewed.

    Where it differs from the champion's schema it gets the next version.
    """
    printing.schema(load_system(system).accept_schema(), json)


@schema_app.command("diff")
def schema_diff(system: SystemFile = DEFAULT, json: Json = False) -> None:
    """What schema.toml changes against the champion."""
    printing.schema_diff(load_system(system).schema_diff(), json)


@app.command()
def doctor(system: SystemFile = DEFAULT, json: Json = False) -> None:
    """Look for what is wrong with the store.

    Anything missing, altered, orphaned or half done, each with what to do. It changes nothing; exit code 3 on an error.
    """
    with reporting.progress(json) as reporter:
        reporter.started("reading every file")
        document = load_system(system).doctor(reporter=reporter)
    keeping.findings(document, json)
    if not document["healthy"]:
        raise typer.Exit(3)


@app.command()
def gc(
    yes: Annotated[bool, typer.Option("--yes", help="Remove it; without this it is only shown.")] = False,
    system: SystemFile = DEFAULT,
    json: Json = False,
) -> None:
    """Show what the store need not keep, and why; with --yes remove it.

    Kept is what the champion, a pinned release, a run that is not ended or the rule of [keep] in ninetyfive.toml
    reaches.
    """
    with reporting.progress(json) as reporter:
        document = load_system(system).gc(remove=yes, reporter=reporter)
    keeping.gc(document, json)


@table_app.command("build")
def table_build(  # noqa: PLR0913  its arguments are the flags of the command
    release: ReleaseOption = None,
    population: Population = None,
    log: RequestLog = None,
    no_promote: LeaveLive = False,
    as_of: RowsOf = None,
    system: SystemFile = DEFAULT,
    json: Json = False,
) -> None:
    """Answer a population beforehand into a table.

    It goes live where its gates pass and its release is live. Exit code 3 where a gate says no: what was live stays.
    """
    with reporting.progress(json) as reporter:
        document = load_system(system).build_table(
            release=release, population=population, log=log, as_of=as_of, promote=not no_promote, reporter=reporter
        )
    printing.table(document, json)
    if not document["passed"]:
        raise typer.Exit(3)


@table_app.command("list")
def table_list(system: SystemFile = DEFAULT, json: Json = False) -> None:
    """Every table, newest first."""
    printing.tables(load_system(system).tables(), json)


@audit_app.command("verify")
def audit_verify(system: SystemFile = DEFAULT, json: Json = False) -> None:
    """Check that the audit trail is whole.

    No record of it was altered, removed or put elsewhere; exit code 3 if one was.
    """
    document = load_system(system).audit_verify()
    keeping.audit(document, json)
    if not document["whole"]:
        raise typer.Exit(3)
