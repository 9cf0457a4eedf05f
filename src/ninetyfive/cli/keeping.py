"""What the commands that keep the store print: pins, gc, doctor, the audit. Nothing here computes."""

from __future__ import annotations

from rich.console import Console
from rich.markup import escape

from ninetyfive.cli.printing import Document, console_of, count_of, emit, grid, size, when_of
from ninetyfive.durations import duration_text


def pin(document: Document, as_json: bool) -> None:
    """The outcome of `pin`."""
    if as_json:
        emit(document)
        return
    console_of().print(f"{document['release'][:12]} is pinned: {escape(document['reason'])}")


def unpin(document: Document, as_json: bool) -> None:
    """The outcome of `unpin`."""
    if as_json:
        emit(document)
        return
    console_of().print(f"{document['release'][:12]} is not pinned any more")


def gc(document: Document, as_json: bool) -> None:
    """The outcome of `gc`."""
    if as_json:
        emit(document)
        return
    console, done = console_of(), document["removed"]
    table = grid(">#", "release", "made", ">size", "verdict", "why")
    for release in document["releases"]:
        verdict = "keep" if release["keep"] else "[red]removed[/]" if done else "[red]remove[/]"
        why = escape("; ".join(release["reasons"]))
        when = when_of(release["created"])
        table.add_row(str(release["number"]), release["release"][:12], when, size(release["bytes"]), verdict, why)
    console.print(table if document["releases"] else "no releases yet: `ninetyfive run` makes one")
    if document["collected_before"]:
        console.print(f"and {count_of(document['collected_before'], 'release')} removed before")
    table = grid("what", ">kept", ">removed" if done else ">to remove", ">size")
    for name, group in document["groups"].items():
        if group["count"] or group["kept"]:
            table.add_row(name, f"{group['kept']:,}", f"{group['count']:,}", size(group["bytes"]))
    console.print()
    console.print(table)
    every = [thing for group in document["groups"].values() for thing in group["largest"]]
    largest = sorted(every, key=lambda thing: -(thing["bytes"] or 0))[:8]
    if largest:
        table = grid(">size", "name", "why", title="the largest that were removed" if done else "the largest to remove")
        for thing in largest:
            table.add_row(size(thing["bytes"]), escape(thing["name"]), escape(thing["why"]))
        console.print()
        console.print(table)
    _gc_end(console, document)


def _gc_end(console: Console, document: Document) -> None:
    """What is beside the tables of `gc`, and what it comes to."""
    rule = document["rule"]
    words = f"releases = {rule['releases']}, age = {duration_text(rule['age'])}"
    words += f", rollbacks = {rule['rollbacks']}, runs = {rule['runs']}"
    console.print(f"\n[bold]rule[/]     {words} ({escape('[keep]')} in ninetyfive.toml)")
    for name in document["foreign"]:
        console.print(f"note: {escape(name)} is not the store's own: it is left where it is")
    if document["held_by"]:
        console.print(f"note: {escape(document['held_by'])} holds the store: orphans are looked for when it has ended")
    count = sum(group["count"] for group in document["groups"].values())
    told = f"{count_of(count, 'thing')}, {size(document['bytes'])}"
    if document["removed"]:
        console.print(f"[bold]removed[/]  {told}")
    elif count:
        console.print(f"nothing is removed yet: `ninetyfive gc --yes` removes {told}")
    else:
        console.print("there is nothing to remove")


def findings(document: Document, as_json: bool) -> None:
    """The outcome of `doctor`."""
    if as_json:
        emit(document)
        return
    console = console_of()
    for finding in document["findings"]:
        told = ": ".join(escape(finding[part]) for part in ("kind", "subject", "problem"))
        console.print(f"[bold]{finding['level']}[/] {told}", soft_wrap=True)
        console.print(f"    to do: {escape(finding['do'])}", soft_wrap=True)
    if not document["findings"]:
        console.print("nothing is wrong")


def audit(document: Document, as_json: bool) -> None:
    """The outcome of `audit verify`."""
    if as_json:
        emit(document)
        return
    if document["whole"]:
        console_of().print(f"{count_of(document['records'], 'record')}, the chain is whole")
        return
    findings(document, as_json)
