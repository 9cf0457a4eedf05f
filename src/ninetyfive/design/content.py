"""What a record says, as blocks: the decision first, then what it rests on, what was not chosen, what would change it.

    Design ─ content() ─▶ sections of Text, Items, Rows, Code ─▶ markdown, page

Both forms of a record are made of this, so that they say the same. In texts `backticks` are code; nothing else is
markup. What does not belong here: how blocks look (`markdown`, `page`), figures (`figures`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

from ninetyfive.design.accepting import accepts
from ninetyfive.design.evidence import LEVELS, Design, Measured, Range, TrainingEvidence, Workload
from ninetyfive.design.wording import (
    CONFIDENCE,
    NOTHING,
    alternatives,
    candidate_name,
    cannot,
    currency_of,
    declared,
    error,
    interval,
    left_out,
    money,
    noticed,
    number,
    percent,
    policy_name,
    replayed,
    seconds,
    serving_words,
    size,
    training_words,
)
from ninetyfive.prices import price_table

_FEW = 12
"""The most rows of a table of candidates: those that a reader compares."""


class Text(NamedTuple):
    """A paragraph."""

    text: str


class Items(NamedTuple):
    """A list; without a title where that is ""."""

    title: str
    texts: tuple[str, ...]


class Rows(NamedTuple):
    """A table."""

    title: str
    head: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]


class Code(NamedTuple):
    """Lines of Python."""

    lines: tuple[str, ...]


Block = Text | Items | Rows | Code


class Section(NamedTuple):
    """Blocks under a title; `name` is a word for links, and says which figures belong to it."""

    name: str
    title: str
    blocks: tuple[Block, ...]


def content(design: Design) -> tuple[Section, ...]:
    """Every section of the record of `design`; equal designs give equal content."""
    parts = (
        ("decision", "Decision", _decision(design)),
        ("training", "Evidence: training", _training(design)),
        ("serving", "Evidence: serving", _serving(design)),
        ("sizing", "Sizing", _sizing(design)),
        ("alternatives", "Alternatives, and why not", _alternatives(design)),
        ("changes", "What would change the answer", _changes(design)),
        ("assumptions", "Assumptions", _assumptions(design)),
        ("left-out", "Left out for want of time", _left_out(design)),
        ("measured", "How it was measured", _how(design)),
    )
    made = [Section(name, title, tuple(blocks)) for name, title, blocks in parts]
    return tuple(section for section in made if section.blocks)


def _decision(design: Design) -> Iterator[Block]:
    texts = (_sentence(training_words(design.training)), _sentence(serving_words(design.serving)))
    yield Items("", texts)
    training, serving = CONFIDENCE[design.training.confidence], CONFIDENCE[design.serving.confidence]
    both = f"Confidence in both: {training}."
    yield Text(both if training == serving else f"Confidence in the training: {training}; in the serving: {serving}.")
    if design.sizing.should_be_table:
        yield Text("This endpoint should be a table: see sizing.")
    yield Text(f'`{accepts(design)}` puts it in force where system.py says `"measured"`. Written out it is:')
    yield Code(tuple(f"{line}," for line in declared(design)))
    yield from _items("Why this training", design.training.reasons)
    yield from _items("Why this serving", design.serving.reasons)
    yield from _items("What cannot be concluded", cannot(design))


def _training(design: Design) -> Iterator[Block]:
    evidence = design.training_evidence
    if evidence is None:
        yield Text("No history was measured.")
        return
    delay = f"known {seconds(evidence.label_delay)} later" if evidence.label_delay else "known at once"
    says = [
        f"{evidence.rows:,} labelled rows from {evidence.first or NOTHING} to {evidence.last or NOTHING}, in "
        f"{evidence.blocks:,} blocks of {seconds(evidence.block)}; labels are {delay}."
    ]
    if evidence.training_seconds:
        trained = "1 training" if evidence.trainings == 1 else f"{evidence.trainings:,} trainings"
        says.append(f"{trained} of about {seconds(evidence.training_seconds)} of CPU each.")
    if evidence.gain is not None:
        says.append(f"The model gains {number(evidence.gain)} in {evidence.metric} over the constant baseline.")
    if evidence.decay:
        says.append("Excess is what a model loses beyond the freshest, in units of the metric: above 0 is worse.")
    yield Text(" ".join(says))
    for one in evidence.decay:
        decays = "decays" if one.decays else "is not seen to decay"
        test = "" if one.p_value is None else f" (p = {one.p_value:.2g})"
        life = "" if one.half_life is None else f"; half-life {seconds(one.half_life)}"
        title = f"{one.metric} {decays}{test}{life}: {one.reason}"
        rows = tuple((seconds(at.age), interval(at.excess), f"{at.pairs:,}", f"{at.rows:,}") for at in one.points)
        yield Rows(title, ("age of the model", "excess", "pairs", "rows"), rows)
    if evidence.windows:
        cells = tuple(
            (one.window or "all before", interval(one.excess), f"{one.trainings:,}") for one in evidence.windows
        )
        yield Rows("Windows, by the loss beyond that of the best", ("window", "excess", "trainings"), cells)
    if evidence.policies:
        yield from _policies(evidence, currency_of(design))


def _policies(evidence: TrainingEvidence, currency: str) -> Iterator[Block]:
    rows = tuple(
        (
            policy_name(one),
            f"{one.trainings:,}",
            number(one.excess),
            money(one.quality_cost, currency),
            money(one.training_cost, currency),
            money(one.cost, currency),
            money(one.typical, currency),
            NOTHING if one.saves is None else interval(one.saves),
            percent(one.recovered),
            "yes" if one.runs else "no",
        )
        for one in sorted(evidence.policies, key=lambda one: one.cost)
    )
    head = (
        "policy",
        "trainings",
        "excess",
        "quality",
        "training",
        "cost",
        "typical",
        "saves",
        "recovered",
        "`run` does it",
    )
    yield Rows(f"Policies replayed over {number(float(evidence.replayed_days))} days", head, rows)
    yield Text(
        f"A unit of {evidence.metric} is worth {money(evidence.worth, currency)} a day ({evidence.worth_from}), a "
        f"training costs {money(evidence.training_price, currency)}. "
        "Cost is quality and training together. Quality is what is lost beyond a model made anew each block: below 0 "
        "where an older one happened to lose less. Typical: the cost as the mean over all blocks at which it could "
        "have begun, by which is chosen. Saves: what it costs less than never retraining, with its 90 % "
        "interval. Recovered: the share of what the oracle saves over never retraining, below 0 where it costs more."
    )


def _serving(design: Design) -> Iterator[Block]:
    evidence = design.serving_evidence
    if evidence.assumed:
        yield Text("Assumed: there is no request log; the workload is that of the history, or of answers.")
    if evidence.workload is None:
        yield Text("No requests were measured.")
    else:
        yield from _workload(evidence.workload)
    limits, currency = evidence.constraints, currency_of(design)
    latency = "no bound on latency" if limits.latency is None else f"p99 {seconds(limits.latency)}"
    budget = "no budget" if limits.budget is None else f"{money(limits.budget, currency)} a month"
    yield Text(
        f"To be kept: {latency}; a table at most {seconds(limits.staleness)} old; misses {percent(limits.misses)}; "
        f"answers from changed features {percent(limits.changed)}; {budget}."
    )
    if (cost := evidence.measured) is not None:
        rows = (
            ("the model answers", seconds(cost.cpu_model), seconds(cost.p50_model), seconds(cost.p99_model)),
            ("the table answers", seconds(cost.cpu_table), seconds(cost.p50_table), seconds(cost.p99_table)),
            ("no table holds it, and there is no answer", seconds(cost.cpu_miss), NOTHING, NOTHING),
            ("a look-up in vain before the model answers", seconds(cost.cpu_look), seconds(cost.p50_look), NOTHING),
            *_soon(cost),
            ("a row of a table is built", seconds(cost.cpu_row), NOTHING, NOTHING),
        )
        title = f"Measured on {cost.machine}: a row takes {size(cost.bytes_row)}, a worker {size(cost.memory)}"
        yield Rows(title, ("what", "CPU", "p50", "p99"), rows)
    yield from _candidates(design)
    yield from _replays(design)
    yield from _items("Overruled by the replay", evidence.overruled)


def _soon(cost: Measured) -> Iterator[tuple[str, str, str, str]]:
    """What answers of a table take between those of the model, where that was measured."""
    for name, kind in (("right after the model did", "after"), ("soon after the model did", "soon")):
        if kind in cost.latencies:
            late = dict(zip(LEVELS, cost.latencies[kind], strict=True))
            cpu = seconds(cost.cpu_table + cost.cpu_after) if kind == "after" else NOTHING
            yield f"the table answers {name}", cpu, seconds(late[0.5]), seconds(late[0.99])


def _workload(found: Workload) -> Iterator[Block]:
    rows: tuple[tuple[str, str], ...] = (
        ("requests, and entities asked about", f"{found.requests:,}, {found.entities:,}"),
        ("days", number(found.days)),
        ("requests a second: mean, busiest minute", f"{number(found.rate)}, {number(found.peak_rate)}"),
    )
    of_entities = (
        ("requests about entities never seen before", percent(found.new_entity_rate)),
        ("peakedness (1 − normalised entropy)", number(found.peakedness)),
        ("slope of Zipf's law, R² of its fit", f"{number(found.zipf_slope)}, {number(found.zipf_fit)}"),
        ("Gini coefficient", number(found.gini)),
        ("requests about an entity asked about before", percent(found.repeated)),
        ("of these, with other features than before", percent(found.change_rate)),
        ("of a head, still one a day later", percent(found.head_kept)),
    )
    rows += of_entities if found.entities else ()
    yield Rows(f"Requests from {found.first} to {found.last}", ("what", "value"), rows)
    if found.coverage:
        cells = tuple((f"{one.k:,}", percent(one.covered), percent(one.hit)) for one in found.coverage)
        title = "What the K entities most asked about cover of the window after"
        yield Rows(title, ("K", "asked about", "and features unchanged"), cells)


def _candidates(design: Design) -> Iterator[Block]:
    ranked = sorted(design.serving_evidence.candidates, key=lambda one: (bool(one.broken), one.cost))
    if not ranked:
        return
    currency, kept = currency_of(design), (design.serving.paradigm, design.serving.k)
    shown = [one for place, one in enumerate(ranked) if place < _FEW or (one.paradigm, one.k) == kept]
    for one in ranked:
        if one.paradigm not in {other.paradigm for other in shown}:
            shown.append(one)
    rows = tuple(
        (
            candidate_name(one),
            money(one.cost, currency),
            percent(one.hit) + _between(one.hit_range),
            percent(one.miss),
            percent(one.stale),
            seconds(one.p50),
            seconds(one.p99),
            "; ".join(one.broken) or ("chosen" if (one.paradigm, one.k) == kept else "kept"),
        )
        for one in shown
    )
    title = f"Ways to serve, by cost a month: {len(shown)} of {len(ranked)}; hits with the range of nine in ten futures"
    head = ("way", "cost", "hits", "misses", "changed", "p50", "p99", "constraints")
    yield Rows(title, head, rows)


def _replays(design: Design) -> Iterator[Block]:
    rows = tuple(
        (
            candidate_name(one),
            one.by,
            f"{percent(one.hit)} ({percent(one.forecast_hit)}{_between(one.forecast_hit_range)})",
            percent(one.miss),
            percent(one.stale) + ("" if one.forecast_stale is None else f" ({percent(one.forecast_stale)})"),
            _beside(one.cpu, one.forecast_cpu, one.forecast_cpu_range),
            _beside(one.p50, one.forecast_p50, one.forecast_p50_range),
        )
        for one in design.serving_evidence.replayed
    )
    if rows:
        title = "Replayed on the window that neither fitted nor chose; in brackets the forecast, its range, its error"
        yield Rows(title, ("way", "by", "hits", "misses", "changed", "CPU", "p50"), rows)
    if replayed(design) is None and design.serving_evidence.candidates:
        yield Text("What was chosen was not replayed.")


def _beside(found: float | None, forecast: float, within: Range | None) -> str:
    """What took so many seconds beside what was forecast."""
    return f"{seconds(found)} ({seconds(forecast)}{_between(within, seconds)}{_off(forecast, found)})"


def _between(within: Range | None, show: Callable[[float], str] = percent) -> str:
    """The range of a forecast; "" where none is known, or where it is as narrow as what is shown."""
    if within is None:
        return ""
    low, high = map(show, within)
    return "" if low == high else f", {low} to {high}"


def _off(forecast: float | None, found: float | None) -> str:
    off = error(forecast, found)
    return "" if off is None else f", {off:+.0%}"


def _sizing(design: Design) -> Iterator[Block]:
    sizing, currency, table = design.sizing, currency_of(design), price_table()
    yield Text(
        f"Engine `{sizing.engine}`, workers {sizing.workers:,}, memory {size(sizing.memory)}: "
        f"{money(sizing.month, currency)} a month, of which {money(sizing.idle, currency)} for what stands idle."
    )
    yield from _items("", sizing.reasons)
    if sizing.managed:
        rows = tuple((one.service, one.what, one.amount, f"{one.month:,.2f}") for one in sizing.managed)
        title = (
            f"Managed services that would do a part of it, {table.currency} a month: list prices of {table.region}, "
            f"table of {table.dated}"
        )
        yield Rows(title, ("service", "what for", "how much", "month"), rows)


def _alternatives(design: Design) -> Iterator[Block]:
    rows = tuple((one.what, one.why_not) for one in alternatives(design))
    yield Rows("", ("what", "why not"), rows) if rows else Text("None was compared.")


def _changes(design: Design) -> Iterator[Block]:
    texts = design.training.would_change + design.serving.would_change
    yield Items("", texts) if texts else Text("Nothing was found that would.")


def _assumptions(design: Design) -> Iterator[Block]:
    rows = tuple((one.what, one.settle) for one in design.assumptions)
    yield Rows("", ("assumed", "what would settle it"), rows) if rows else Text("None.")


def _left_out(design: Design) -> Iterator[Block]:
    yield from _items("", left_out(design))


def _how(design: Design) -> Iterator[Block]:
    cost = design.serving_evidence.measured
    texts = [f"made {design.made} by ninetyfive {design.version}"]
    if design.budget:
        texts.append(f"{number(design.seconds)} s of a budget of {number(design.budget)} s")
    made_by = design.training_evidence and design.training_evidence.made_by
    if made_by:
        texts.append(f"trainings: {made_by}")
    if cost is not None:
        texts.append(f"machine: {cost.machine}; repeated timings differ by {percent(cost.noise)}")
    texts.append(f"release: {design.release}" if design.release else "release: none was measured")
    said = [
        f"{name} {one if isinstance(one, str) else number(one)}"
        for name, one in design.prices.items()
        if one is not None
    ]
    texts.append(f"prices: {', '.join(said)}" if said else "prices: none")
    yield Items("", tuple(texts))
    yield from _items("Noticed", noticed(design))


def _items(title: str, texts: Sequence[str]) -> Iterator[Block]:
    if texts:
        yield Items(title, tuple(texts))


def _sentence(text: str) -> str:
    return text[:1].upper() + text[1:]
