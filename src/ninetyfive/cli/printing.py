"""What the commands print: a short table for people, or one JSON object. Nothing here computes."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, Literal

import msgspec
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from ninetyfive.durations import duration_text
from ninetyfive.metrics import METRICS

Document = Mapping[str, Any]
_CONSTANTS = 6
"""The most values of a learned constant that are printed."""


def emit(document: Any) -> None:
    """One JSON object on stdout."""
    sys.stdout.write(msgspec.json.encode(document).decode() + "\n")


def console_of() -> Console:
    """Where people read: folded on terminals only."""
    console = Console(highlight=False, soft_wrap=False)
    # What is piped is read by programs and pagers: it is not to be folded at 80 columns.
    return console if console.is_terminal else Console(highlight=False, width=120)


def grid(*columns: str, title: str | None = None) -> Table:
    """A table with these columns; one whose name starts with ">" stands to the right."""
    table = Table(title=title, title_justify="left", box=None, pad_edge=False, header_style="bold", title_style="bold")
    table.min_width = len(title or "")
    for name in columns:
        justify: Literal["left", "right"] = "right" if name.startswith(">") else "left"
        table.add_column(name.removeprefix(">"), justify=justify, overflow="fold")
    return table


def number(value: float | int | None) -> str:
    """A number as people read it: thousands apart, four digits that count."""
    if value is None:
        return "–"
    if isinstance(value, int):
        return f"{value:,}"
    return f"{value:,.0f}" if abs(value) >= 10_000 else f"{value:.4g}"


def _interval(metric: Document) -> str:
    """A value with half of its 95 % interval, which lies evenly around it."""
    if metric.get("low") is None:
        return number(metric["value"])
    half = (metric["high"] - metric["low"]) / 2
    return f"{number(metric['value'])} ±{half:,.0f}" if half >= 100 else f"{number(metric['value'])} ±{half:.2g}"


def _ordered(metrics: Document, primary: str | None = None) -> list[str]:
    """The names of metrics in one order, however they were stored: the primary one, then those of `METRICS`."""
    return sorted(metrics, key=lambda name: (name != primary, list(METRICS).index(name)))


def count_of(count: int, word: str) -> str:
    """A number of things in words."""
    return f"{count:,} {word}" + ("" if count == 1 else "s")


def run(document: Document, as_json: bool) -> None:
    """The outcome of `run`."""
    if as_json:
        emit(document)
        return
    console = console_of()
    if document["release"] is None:
        console.print(f"not due: {document['reason']}")
        return
    rows, window = document["rows"], document["window"]
    parts = " + ".join(f"{name} {rows[name]:,}" for name in ("accepted", "quarantined", "unlabelled", "duplicate"))
    read = f"read {rows['read']:,} = {parts}" if rows["read"] else "nothing new to read"
    console.print(f"[bold]rows[/]     {read}")
    counts = ", ".join(f"{name} {window[name]:,}" for name in ("train", "test", "unlabelled", "embargo"))
    borders = (("from", window["from"]), ("test from", window["cut"]), ("as of", window["to"]))
    console.print(f"[bold]window[/]   {counts}")
    if window["to"]:
        console.print(f"{'':<8} {', '.join(f'{word} {time}' for word, time in borders if time)}")
    for place, (what, text) in enumerate(document["chosen"].items()):
        console.print(f"[bold]{'' if place else 'chosen':<8}[/] {what}: {escape(text)}")
    console.print()
    console.print(_metrics_table(document))
    if document["tuning"] is not None:
        console.print()
        print_tuning(console, document["tuning"])
    for column, groups in document["slices"].items():
        console.print()
        console.print(_slice_table(column, groups, document))
    console.print()
    console.print(_gates_table(document["gates"]))
    for text in document["notices"]:
        console.print(f"note: {escape(text)}")
    seconds = sum(step["seconds"] for step in document["steps"])
    skipped = sum(step["skipped"] for step in document["steps"])
    console.print(
        f"\n[bold]release[/]  {document['release'][:12]} {'promoted' if document['promoted'] else 'not promoted'}"
        f": {document['reason']}"
    )
    if document["table"] is not None:
        console.print(
            f"[bold]table[/]    {document['table']['table'][:12]}, {_entities(document['table']['entities'])}"
        )
    unchanged = f"{skipped} of {len(document['steps'])} steps unchanged"
    console.print(f"[bold]run[/]      {count_of(document['jobs'], 'job')}, {seconds:.1f} s, {unchanged}")


def source_requests(found: Sequence[Document], as_json: bool) -> None:
    """What the service of a source would be asked; of files nothing."""
    if as_json:
        emit({"requests": found})
    elif found:
        requests(found)
    else:
        console_of().print("the source is files: no service is asked")


def requests(found: Sequence[Document]) -> None:
    """Requests that would be sent, each with what an earlier answer supplies; a body that was shown is not again."""
    console, shown = console_of(), list[Document]()
    for request in found:
        console.print(f"[bold]{request['method']}[/]  {escape(request.get('purpose', ''))}".rstrip(), soft_wrap=True)
        if request["body"] in shown:
            console.print("  the same as above, with a content of its own\n")
            continue
        shown.append(request["body"])
        if request["body"]:
            console.print_json(data=request["body"])
        if request.get("graph"):
            steps = escape(", ".join(request["graph"]))
            console.print(f"  a graph like this was built and checked, {len(request['graph'])} steps: {steps}")
        for source in dict.fromkeys(later["source"] for later in request["later"]):
            places = ", ".join(later["place"] for later in request["later"] if later["source"] == source)
            console.print(f"  later: {escape(places)}, by {escape(source)}")
        console.print()


def _metrics_table(document: Document) -> Table:
    others = [("constant", document["baselines"]["constant"]), ("linear", document["baselines"]["linear"])]
    if document["champion"]:
        others.append(("champion", document["champion"]["metrics"]))
    table = grid("metric", ">model ±95 %", *(f">{name}" for name, _ in others), ">gain over constant", ">over linear")
    for name in _ordered(document["metrics"], document["primary"]):
        metric = document["metrics"][name]
        gains = [_interval(document["gains"][base][name]) for base in ("constant", "linear")]
        table.add_row(name, _interval(metric), *(number(other[name]["value"]) for _, other in others), *gains)
    return table


def print_tuning(console: Console, tuning: Document) -> None:
    """What was searched for, and what was found: optimistic scores, which the test rows do not stand behind."""
    table = grid("parameter", "searched", ">declared", ">found", ">importance")
    declared, importance = tuning["trials"][0]["params"], tuning["importance"] or {}
    for name, allowed in tuning["space"].items():
        shown = [parameter(params[name]) if name in params else "–" for params in (declared, tuning["params"])]
        share = f"{importance[name]:.0%}" if name in importance else "–"
        table.add_row(escape(name), escape(allowed["text"]), *map(escape, shown), share)
    console.print(table)
    console.print(f"[bold]{'tuned':<8}[/] {_tuned(tuning)}")


def _tuned(tuning: Document) -> str:
    """A tuning in a line."""
    counts = ", ".join(f"{count} {state}" for state, count in tuning["counts"].items() if count)
    values = f"{number(tuning['value'])}, with the declared params {number(tuning['untuned'])}"
    return f"{tuning['metric']} {values}, on training rows (optimistic); {counts}"


def _tuned_params(tuning: Document) -> list[str]:
    """A line for each parameter that was searched for."""
    ends = {one["name"]: f", at its {one['end']} end" for one in tuning["edges"]}
    found = []
    for name, allowed in tuning["space"].items():
        value = parameter(tuning["params"][name]) if name in tuning["params"] else "left as it was"
        share = f", importance {tuning['importance'][name]:.0%}" if tuning["importance"] else ""
        found.append(f"{name} {value} of {allowed['text']}{ends.get(name, '')}{share}")
    return found


def parameter(value: Any) -> str:
    """The value of a parameter."""
    return number(value) if isinstance(value, float) else str(value)


def _slice_table(column: str, groups: Sequence[Document], document: Document) -> Table:
    names = _ordered(document["metrics"], document["primary"])
    table = grid(column, ">rows", *(f">{name}" for name in names), f">gain in {document['primary']}")
    for group in groups:
        cells = [_interval(group["metrics"][name]) if group["metrics"] else "too few" for name in names]
        gain = _interval(group["gain"]) if group["gain"] else ""
        table.add_row(escape(str(group["value"])), f"{group['rows']:,}", *cells, gain)
    return table


def _gates_table(gates: Sequence[Document]) -> Table:
    table = grid("gate", "verdict", "expected", "got")
    for gate in gates:
        verdict = ("[green]yes[/]" if gate["passed"] else "[red]NO[/]") if gate["blocking"] else "[dim]advice[/]"
        table.add_row(escape(gate["name"]), verdict, escape(gate["expected"]), escape(gate["got"]))
    return table


def status(document: Document, as_json: bool) -> None:
    """The outcome of `status`."""
    if as_json:
        emit(document)
        return
    console = console_of()
    champion, last = document["champion"], document["last_run"]
    console.print(f"[bold]{escape(document['system'])}[/]")
    if champion is None:
        console.print("champion  none yet: `ninetyfive run` makes one")
    else:
        measured = champion["metrics"]
        metrics = ", ".join(f"{name} {_interval(measured[name])}" for name in _ordered(measured))
        console.print(
            f"champion  {champion['release'][:12]}, epoch {champion['epoch']}, since {when_of(champion['since'])}"
        )
        console.print(f"          {metrics}")
        if champion["tuning"] is not None:
            console.print(f"tuned     {_tuned(champion['tuning'])}")
            for text in _tuned_params(champion["tuning"]):
                console.print(f"          {escape(text)}")
        if champion["table"] is not None:
            live = champion["table"]
            console.print(f"table     {_live_table(live)}, {_entities(live['entities'])}")
    for kind in ("training", "serving"):
        console.print(f"{kind:<9} {escape(document[kind]['text'])}")
    if (watch := document["watch"]) is not None:
        looked = f"last {when_of(watch['last'])}: {watch['reason']}" if watch["last"] else "nobody has looked yet"
        if watch["last"] and champion and watch["champion"] != champion["release"]:
            looked = f"last {when_of(watch['last'])}, at {watch['champion'][:12]} which was champion: {watch['reason']}"
        console.print(f"watch     every {watch['every']}, {escape(looked)}")
    schema = document["schema"]
    if schema is not None:
        review = "reviewed" if schema["reviewed"] else "inferred, not reviewed"
        console.print(f"schema    version {schema['version']}, {schema['columns']} columns, {review}")
    held = f"{count_of(document['spans'], 'span')}, {count_of(document['releases'], 'release')}"
    console.print(f"store     {escape(document['store'])}: {held}")
    if last is not None:
        console.print(f"last run  {last['id']}, {last['status']}, {when_of(last['started'])}")


def releases(found: Sequence[Document], as_json: bool) -> None:
    """The outcome of `releases`."""
    if as_json:
        emit({"releases": found})
        return
    with_table = any(release["table"] for release in found)
    table = grid(">#", "release", "made", "place", "metrics", *["table"] * with_table)
    for release in found:
        measured = release["metrics"]
        metrics = ", ".join(f"{name} {number(measured[name]['value'])}" for name in _ordered(measured))
        place = "champion" if release["champion"] else "removed" if release["collected"] else ""
        if not place and release["rollback"]:
            place = f"rollback {release['rollback']}"
        pinned = "" if release["pinned"] is None else f"pinned: {escape(release['pinned'])}"
        places = ", ".join(word for word in (place, pinned) if word)
        live = [_live_table(release["table"]) if release["table"] else ""] * with_table
        table.add_row(
            str(release["number"]), release["release"][:12], when_of(release["created"]), places, metrics, *live
        )
    console_of().print(table if found else "no releases yet: `ninetyfive run` makes one")


def _live_table(table: Document) -> str:
    return f"{table['table'][:12]}, {duration_text(table['age'])} old"


def _entities(count: int) -> str:
    return f"{count:,} {'entity' if count == 1 else 'entities'}"


def table(document: Document, as_json: bool) -> None:
    """The outcome of `table build`."""
    if as_json:
        emit(document)
        return
    console, rows = console_of(), document["rows"]
    names = ("entities", "repeated", "rejected", "nameless", "later")
    parts = " + ".join(f"{name} {rows[name]:,}" for name in names if rows[name] or name == "entities")
    console.print(f"[bold]rows[/]     read {rows['read']:,} = {parts}")
    for text in document["notices"]:
        console.print(f"note: {escape(text)}")
    console.print()
    console.print(_gates_table(document["gates"]))
    held = f"{_entities(document['entities'])}, {size(document['size'])}, as of {when_of(document['as_of'])}"
    live = "live" if document["promoted"] else "not live"
    console.print(f"\n[bold]table[/]    {document['table'][:12]} {live}: {escape(document['reason'])}")
    console.print(f"         {held}, of release {document['release'][:12]}")


def tables(found: Sequence[Document], as_json: bool) -> None:
    """The outcome of `table list`."""
    if as_json:
        emit({"tables": found})
        return
    shown = grid(">#", "table", "release", "as of", ">age", ">entities", ">size", "place")
    for one in found:
        place = "live" if one["live"] else "removed" if one["collected"] else "" if one["passed"] else "a gate said no"
        told = (str(one["number"]), one["table"][:12], one["release"][:12], when_of(one["as_of"]))
        shown.add_row(*told, duration_text(one["age"]), f"{one['entities']:,}", size(one["size"]), place)
    console_of().print(shown if found else "no tables yet: `ninetyfive table build` makes one")


def pointer(document: Document, as_json: bool) -> None:
    """The outcome of `promote` and `rollback`."""
    if as_json:
        emit(document)
        return
    table = f", table {document['table'][:12]}" if document["table"] else ""
    console_of().print(f"champion is {document['release'][:12]}{table}, epoch {document['epoch']}")


def size(count: int | None) -> str:
    """Bytes as people read them.

    >>> size(0), size(1536), size(None)
    ('0 B', '1.5 KiB', '–')
    """
    if count is None:
        return "–"
    value, unit = float(count), "B"
    for unit in ("B", "KiB", "MiB", "GiB", "TiB"):
        if value < 1024 or unit == "TiB":
            break
        value /= 1024
    return f"{value:.0f} {unit}" if unit == "B" or value >= 100 else f"{value:.1f} {unit}"


def predicted(document: Document, as_json: bool) -> None:
    """The outcome of `predict`."""
    if as_json:
        emit(document)
        return
    rows, console = document["rows"], console_of()
    console.print(f"{count_of(rows['answered'], 'row')} answered by {document['release'][:12]} → {document['output']}")
    if rows["rejected"]:
        console.print(f"{count_of(rows['rejected'], 'row')} refused by the schema → {document['rejected']}")
    for text in document["notices"]:
        console.print(f"note: {escape(text)}")


def exported(document: Document, as_json: bool) -> None:
    """The outcome of `export`."""
    if as_json:
        emit(document)
        return
    console = console_of()
    console.print(f"release {document['release'][:12]} → {escape(document['folder'])}")
    console.print(f"inputs   {escape(', '.join(document['inputs']))}")
    console.print(f"outputs  {', '.join(document['outputs'])}")
    console.print(f"note: {document['takes']}")


def trace(document: Document, as_json: bool) -> None:
    """The outcome of `trace`."""
    if as_json:
        emit(document)
        return
    console = console_of()
    raw = grid("column", "value", title="what came in")
    for name, value in document["row"].items():
        raw.add_row(escape(name), escape(_shown(value)))
    steps = grid("feature", "operation", ">value", title="step by step")
    last = None
    for step in document["steps"]:
        steps.add_row(
            escape(step["feature"]) if step["feature"] != last else "",
            escape(step["operation"]),
            escape(_shown(step["value"])),
        )
        last = step["feature"]
    inputs = grid("input", ">float32", title="what the model saw")
    for name, value in document["inputs"].items():
        inputs.add_row(escape(name), number(value))
    for table in (raw, steps, inputs):
        console.print(table)
        console.print()
    console.print(f"[bold]answer[/]  {_shown(document['answer'])} by {document['release'][:12]}")


def schema(document: Document, as_json: bool) -> None:
    """The outcome of `schema show` and `schema accept`."""
    if as_json:
        emit(document)
        return
    table = grid("column", "type", "null", "rules", title=f"version {document['version']}, {document['review']}")
    for column in document["columns"]:
        rules = {key: value for key, value in column.items() if key not in ("name", "type", "nullable")}
        allowed = "yes" if column.get("nullable", True) else "no"
        told = ", ".join(f"{key} {_rule(value)}" for key, value in rules.items())
        table.add_row(escape(column["name"]), escape(column["type"]), allowed, escape(told))
    console_of().print(table)


def features(document: Document, as_json: bool) -> None:
    """The outcome of `schema show --features`."""
    if as_json:
        emit(document)
        return
    console = console_of()
    if document["release"] is None:
        table = grid("feature", "tree", title="declared, not fitted yet: `ninetyfive run`")
        for one in document["features"]:
            table.add_row(escape(one["feature"]), escape(one["tree"]))
        console.print(table)
        return
    title = f"release {document['release'][:12]}, on {count_of(document['rows'], 'row')} it was made from"
    table = grid("feature", ">ns a row", ">missing", "the model sees", "tree", title=title)
    learned = grid("feature", "operation", "learned")
    for one in document["features"]:
        cells = (one["feature"], f"{one['nanoseconds']:,}", _percent(one["null_rate"]), one["sees"], one["tree"])
        table.add_row(*map(escape, cells))
        for part in one["learned"]:
            learned.add_row(*map(escape, (one["feature"], part["operation"], _constants(part["constants"]))))
    console.print(table)
    console.print()
    if learned.row_count:
        console.print(learned)
        console.print()
    costs = document["costs"]
    console.print(
        f"all together {costs['row'] * 1e6:.1f} µs a row alone; frames {costs['frame'] * 1e6:.0f} µs and "
        f"{costs['frame_row'] * 1e6:.2f} µs a row, quicker from {count_of(costs['crossover'], 'row')} on"
    )
    if document["code"]:
        console.print("[bold]this release holds code[/]: functions of your own run where it is opened, and need Polars")


def _constants(constants: Mapping[str, Any]) -> str:
    return ", ".join(f"{name} {_constant(value)}" for name, value in constants.items())


def _constant(value: Any) -> str:
    if isinstance(value, list | tuple):
        shown = [_constant(item) for item in value[:_CONSTANTS]]
        more = [f"… {len(value):,} in all"] if len(value) > _CONSTANTS else []
        return f"[{', '.join([*shown, *more])}]"
    return f"{value:.6g}" if isinstance(value, float) else str(value)


def _percent(share: float) -> str:
    return f"{share:.1%}" if share else "0"


def _rule(value: Any) -> str:
    return " | ".join(map(str, value)) if isinstance(value, list | tuple) else str(value)


def schema_diff(document: Document, as_json: bool) -> None:
    """The outcome of `schema diff`."""
    if as_json:
        emit(document)
        return
    console = console_of()
    if not document["champion"]:
        console.print("there is no champion yet to compare schema.toml with: `ninetyfive run` makes one")
        return
    console.print(f"schema.toml against the champion's schema: {count_of(len(document['changes']), 'difference')}")
    for text in document["changes"]:
        console.print(f"  {escape(text)}")


def created(document: Document, as_json: bool) -> None:
    """The outcome of `init`."""
    if as_json:
        emit(document)
        return
    console = console_of()
    for path in document["files"]:
        console.print(f"  wrote {escape(path)}")
    if document["token"] is not None:
        console.print(f"admin token, shown this once: {document['token']}")
    console.print(f"next: {escape(document['next'])}")


def when_of(text: str) -> str:
    """An ISO 8601 time as people read it."""
    return datetime.fromisoformat(text).astimezone(UTC).strftime("%Y-%m-%d %H:%M UTC")


def _shown(value: Any) -> str:
    if isinstance(value, dict):
        return ", ".join(f"{key}: {number(share)}" for key, share in value.items())
    if isinstance(value, float):
        return number(value)
    return "null" if value is None else str(value)
