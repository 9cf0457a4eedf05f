"""The figures of a record: each a function from a Design to a chart, drawn as SVG without a browser or a network.

    Design ─ figures() ─▶ (Figure(name, title, svg, caption), …); what cannot be drawn says why in its caption

Colours that must follow a light or dark page are the four names below, which the page's style sheet replaces; those of
the series read on both. What does not belong here: the diagram of the chosen system, which is the page's (`page`).
"""

from __future__ import annotations

import io
import math
import re
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, NamedTuple

from ninetyfive.design.evidence import Candidate, Design, PolicyScore
from ninetyfive.design.plane import plane
from ninetyfive.design.wording import chosen, currency_of, number, percent, policy_name, seconds

if TYPE_CHECKING:
    import altair as alt

INK, QUIET, LINES, PAPER = "#1b1b1f", "#5e5e66", "#d9d9de", "#ffffff"
"""Text, lesser text, lines of a grid, and what is behind."""
BLUE, ORANGE, GREEN, RED, GREY = "#3f83c8", "#dc8428", "#3a9b6c", "#cc4b4b", "#8b8b94"
_PARADIGMS = {"static": GREEN, "hybrid": BLUE, "dynamic": ORANGE, "none": GREY}
_WIDTH, _HEIGHT = 290, 190


class Figure(NamedTuple):
    """A figure: its `name` (a word), `title`, `svg` (None: not drawn), and a `caption`, which says why not."""

    name: str
    title: str
    svg: str | None
    caption: str


def figures(design: Design) -> tuple[Figure, ...]:
    """Every figure, in the order in which they are read; equal designs give equal bytes.

    `ModuleNotFoundError` where altair or vl-convert is missing.
    """
    return tuple(draw(design) for draw in (_plane, _decay, _policies, _costs, _times, _coverage))


def svg_of(name: str, chart: alt.TopLevelMixin) -> str:
    """The chart as SVG, whose ids are its own on a page of several."""
    styled = chart.configure(
        background="transparent",
        font="Helvetica, Arial, sans-serif",
        view={"stroke": LINES},
        axis={
            **dict.fromkeys(("labelColor", "titleColor"), INK),
            **dict.fromkeys(("gridColor", "domainColor", "tickColor"), LINES),
            "titleFontWeight": "normal", "labelFontSize": 10, "titleFontSize": 11, "titlePadding": 8,
        },
        legend={
            "orient": "bottom", "labelColor": INK, "titleColor": INK, "labelFontSize": 11, "columns": 3,
            "labelLimit": 160, "title": None, "columnPadding": 14, "symbolSize": 70,
        },
    )  # fmt: skip
    out = io.StringIO()
    styled.save(out, format="svg")
    return re.sub(r'(id="|url\(#)(?=\w)', rf"\1{name}-", out.getvalue())


def data_of(rows: list[dict[str, Any]]) -> alt.Data:
    """Rows for a chart; those with a number that is not finite cannot be drawn."""
    import altair as alt

    drawn = [row for row in rows if all(math.isfinite(one) for one in row.values() if isinstance(one, float))]
    return alt.Data(values=drawn)  # type: ignore[no-untyped-call]


def _missing(name: str, title: str, why: str) -> Figure:
    return Figure(name, title, None, f"Not drawn: {why}.")


def _why(design: Design, what: str) -> str:
    """Why there is no evidence of training, in its own words where it has some."""
    evidence = design.training_evidence
    said = evidence.cannot[0].rstrip(".") if evidence is not None and evidence.cannot else ""
    return f"{what}; {said or 'that needs a labelled history with a time'}"


def _plane(design: Design) -> Figure:
    """The cheapest paradigm at each peakedness and cardinality, and this system."""
    import altair as alt

    title = "Peakedness × cardinality"
    evidence, points = design.serving_evidence, plane(design.serving_evidence)
    if not points or evidence.workload is None:
        return _missing("plane", title, "it needs requests, and what model and table cost on this machine")
    half_x, half_y = 0.02, 10**0.125
    rows: list[dict[str, Any]] = []
    for one in points:  # neighbours of one paradigm are one rectangle
        low, high = one.cardinality / half_y, one.cardinality * half_y
        if rows and (rows[-1]["way"], rows[-1]["y"]) == (one.paradigm, low):
            rows[-1]["x2"] = one.peakedness + half_x
        else:
            left, right = max(one.peakedness - half_x, 0.0), one.peakedness + half_x
            rows.append({"x": left, "x2": right, "y": low, "y2": high, "way": one.paradigm})
    seen = [name for name in _PARADIGMS if any(one.paradigm == name for one in points)]
    x = alt.Scale(domain=[0, 0.98], nice=False)
    y = alt.Scale(type="log", domain=[10 / half_y, 1e7 * half_y], nice=False)
    regions = (
        alt.Chart(data_of(rows))
        .mark_rect(opacity=0.55, strokeWidth=0)
        .encode(
            x=alt.X("x:Q", scale=x, title="peakedness: 1 − normalised entropy"),
            x2="x2:Q",
            y=alt.Y("y:Q", scale=y, title="entities", axis=alt.Axis(format="~s", values=[10**n for n in range(1, 8)])),
            y2="y2:Q",
            color=alt.Color("way:N", scale=alt.Scale(domain=seen, range=[_PARADIGMS[name] for name in seen])),
        )
    )
    at = {"x": min(max(evidence.workload.peakedness, 0.0), 0.98), "y": min(max(evidence.workload.entities, 10), 10**7)}
    ends = at["x"] > 0.6
    here = alt.Chart(data_of([{**at, "text": "this system"}]))
    spot = here.mark_point(shape="cross", size=110, filled=True, color=INK, opacity=1).encode(x="x:Q", y="y:Q")
    word = here.mark_text(
        align="right" if ends else "left", dx=-10 if ends else 10, fontSize=12, fontWeight="bold", color=INK
    ).encode(x="x:Q", y="y:Q", text="text:N")
    chart = alt.layer(regions, spot, word).properties(width=_WIDTH, height=_HEIGHT + 30)
    caption = (
        f"What would cost least were requests as peaked and entities as many, by Zipf's law, all else as measured "
        f"here: {number(evidence.workload.rate)} requests a second, {percent(evidence.workload.new_entity_rate)} of "
        f"them about new entities, a table at most {seconds(evidence.constraints.staleness)} old. This system: "
        f"peakedness {number(evidence.workload.peakedness)}, {evidence.workload.entities:,} entities."
    )
    if "static" not in seen:
        caption += " A table of all entities is cheapest nowhere, or breaks a constraint."
    return Figure("plane", title, svg_of("plane", chart), caption)


def _decay(design: Design) -> Figure:
    """Loss with the age of the model, with intervals; half of the gain; the half-life."""
    import altair as alt

    title, evidence = "Decay with the age of the model", design.training_evidence
    decay = (
        next((one for one in evidence.decay if one.metric == evidence.metric and one.points), None)
        if evidence
        else None
    )
    if evidence is None or decay is None:
        return _missing("decay", title, _why(design, "no ages were compared"))
    day = 86_400.0
    rows = [
        {"age": at.age / day, "loss": at.excess.value, "low": at.excess.low, "high": at.excess.high}
        for at in decay.points
    ]
    base = alt.Chart(data_of(rows)).encode(x=alt.X("age:Q", title="age of the model, days"))
    layers = [
        base.transform_filter("isValid(datum.low) && isValid(datum.high)")
        .mark_rule(color=BLUE, strokeWidth=2)
        .encode(y=alt.Y("low:Q", title=f"{decay.metric} lost against the freshest"), y2="high:Q"),
        base.mark_line(color=BLUE, point=alt.OverlayMarkDef(color=BLUE, filled=True, size=40)).encode(y="loss:Q"),
    ]
    zero = alt.Chart(data_of([{"y": 0.0}])).mark_rule(color=QUIET).encode(y="y:Q")
    layers.insert(0, zero)
    if evidence.gain:
        half = alt.Chart(data_of([{"y": evidence.gain / 2, "text": "half of the gain over the constant"}]))
        layers.append(half.mark_rule(color=RED, strokeDash=[5, 4]).encode(y="y:Q"))
        crossed = any(at.excess.value > evidence.gain / 2 for at in decay.points)
        if crossed:  # there is room below the line, at its end
            word = half.mark_text(color=INK, align="right", baseline="top", dx=-4, dy=3, fontSize=11)
        else:
            word = half.mark_text(color=INK, align="left", baseline="top", dx=4, dy=4, fontSize=11)
        layers.append(word.encode(x=alt.value(_WIDTH if crossed else 0), y="y:Q", text="text:N"))
    if decay.half_life is not None:
        life = alt.Chart(data_of([{"x": decay.half_life / day, "text": f"half-life {seconds(decay.half_life)}"}]))
        layers.append(life.mark_rule(color=RED, strokeDash=[5, 4]).encode(x="x:Q"))
        word = life.mark_text(color=INK, align="left", baseline="bottom", dx=5, dy=-4, fontSize=11)
        layers.append(word.encode(x="x:Q", y=alt.value(_HEIGHT), text="text:N"))
    chart = alt.layer(*layers).properties(width=_WIDTH, height=_HEIGHT)
    says = "decays" if decay.decays else "is not seen to decay"
    test = "" if decay.p_value is None else f" (p = {decay.p_value:.2g})"
    caption = f"{decay.metric} {says}{test}. {_sentence(decay.reason)} Bars are 95 % intervals; above 0 is worse."
    return Figure("decay", title, svg_of("decay", chart), caption)


def _short_name(one: PolicyScore) -> str:
    """The name of a policy where there is room for thirty letters."""
    return policy_name(one) if one.watch is None else f"drop {100 * (one.drop or 0.0):.3g} %, watch {one.watch}"


def _policies(design: Design) -> Figure:
    """What each policy costs: quality that is lost and trainings, stacked; the oracle as a line."""
    import altair as alt

    title, evidence = "Retraining policies, by cost", design.training_evidence
    if evidence is None or not evidence.policies:
        return _missing("policies", title, _why(design, "no policy was replayed"))
    ranked = sorted(evidence.policies, key=lambda one: one.cost)
    names = [
        f"{_short_name(one)}{' (chosen)' if _is_chosen(design, one) else '' if one.runs else ' *'}" for one in ranked
    ]
    parts = {"quality lost": BLUE, "trainings": ORANGE}
    rows = [
        {"policy": name, "part": part, "order": place, "cost": cost}
        for name, one in zip(names, ranked, strict=True)
        for place, (part, cost) in enumerate(zip(parts, (one.quality_cost, one.training_cost), strict=True))
    ]
    bars = (
        alt.Chart(data_of(rows))
        .mark_bar()
        .encode(
            x=alt.X(
                "cost:Q",
                title=f"cost in {number(evidence.replayed_days)} days, {currency_of(design)}",
                axis=alt.Axis(tickCount=4, labelOverlap=True),
            ),
            y=alt.Y("policy:N", sort=names, title=None, axis=alt.Axis(labelLimit=190, minExtent=175)),
            color=alt.Color("part:N", scale=alt.Scale(domain=list(parts), range=list(parts.values()))),
            order=alt.Order("order:Q"),
        )
    )
    layers: list[Any] = [bars]
    oracle = next((one for one in ranked if one.name == "oracle"), None)
    if oracle is not None:
        line = alt.Chart(data_of([{"x": oracle.cost}]))
        layers.append(line.mark_rule(color=INK, strokeDash=[4, 3]).encode(x="x:Q"))
    chart = alt.layer(*layers).properties(width=_WIDTH - 115, height=20 * len(names))
    caption = (
        "All policies replayed on one backtest. The dashed line is the oracle, which knows what comes. A star marks "
        "what is shown for comparison, and is not done by `ninetyfive run --if-due`."
    )
    if any(one.quality_cost < 0 for one in ranked):
        caption += " Left of 0: older models happened to lose less than the freshest."
    return Figure("policies", title, svg_of("policies", chart), caption)


def _is_chosen(design: Design, one: PolicyScore) -> bool:
    """Whether it is the policy that the design says: periodic ones by how often and on what, else never."""
    choice = design.training
    if choice.paradigm == "static":
        return (one.name, one.watch, one.drop) == (choice.policy, choice.watch, choice.drop)
    return one.runs and (one.every, one.window) == (choice.every, choice.window)


def _costs(design: Design) -> Figure:
    """Cost a month against K."""
    currency = currency_of(design)
    caption = (
        f"Work of answers and of building tables, in {currency} a month; a machine that stands idle costs the same in "
        "each. Hollow points break a constraint."
    )
    return _against_k(design, ("costs", "Cost against K", f"{currency} a month", caption), lambda one: one.cost, None)


def _times(design: Design) -> Figure:
    """p50 and p99 against K, and the latency that is allowed."""
    limit = design.serving_evidence.constraints.latency
    words = ("times", "p50 against K", "p50, milliseconds", "Half of the answers come within this time.")
    allowed = None if limit is None else limit * 1000
    return _against_k(design, words, lambda one: one.p50 * 1000, allowed)


def _against_k(
    design: Design, words: tuple[str, str, str, str], value: Callable[[Candidate], float], limit: float | None
) -> Figure:
    """A line over K for hybrid serving, points for static, a level for dynamic; the chosen one ringed."""
    import altair as alt

    name, title, axis, caption = words
    found = [one for one in design.serving_evidence.candidates if math.isfinite(value(one))]
    tables = sorted((one for one in found if one.k), key=lambda one: (one.paradigm, one.k or 0))
    if not tables:
        return _missing(
            name, title, "no table was forecast; that needs a request log, and what answers cost on this machine"
        )
    seen = [way for way in _PARADIGMS if any(one.paradigm == way for one in found)]
    color = alt.Color("way:N", scale=alt.Scale(domain=seen, range=[_PARADIGMS[way] for way in seen]))
    rows = [{"k": one.k, "value": value(one), "way": one.paradigm, "kept": not one.broken} for one in tables]
    x = _k_axis("K, entities in the table", [one.k or 1 for one in tables])
    y = alt.Y("value:Q", title=axis)
    base = alt.Chart(data_of(rows)).encode(x=x, y=y, color=color)
    layers: list[Any] = [
        base.mark_line(strokeWidth=2),
        base.transform_filter("datum.kept").mark_point(filled=True, size=45, opacity=1),
        base.transform_filter("!datum.kept").mark_point(filled=False, size=45, opacity=1),
    ]
    levels = [{"value": value(one), "way": one.paradigm} for one in found if not one.k]
    if levels:
        layers.append(alt.Chart(data_of(levels)).mark_rule(strokeWidth=2).encode(y=y, color=color))
    best = chosen(design)
    if best is not None and best.k:
        ring = alt.Chart(data_of([{"k": best.k, "value": value(best), "text": f"chosen: K = {best.k:,}"}]))
        layers.append(ring.mark_point(size=190, color=INK, strokeWidth=2, opacity=1).encode(x=x, y=y))
        layers.append(ring.mark_rule(color=INK, strokeDash=[2, 3]).encode(x=x))
        word = ring.mark_text(baseline="bottom", color=INK, fontSize=11)  # above the plot, where no line is
        layers.append(word.encode(x=x, y=alt.value(-11), text="text:N"))
    note = caption
    if limit is not None and limit <= 3 * max(value(one) for one in found):
        layers.append(alt.Chart(data_of([{"value": limit}])).mark_rule(color=RED, strokeDash=[5, 4]).encode(y=y))
        note += f" The dashed line is the latency that is allowed, {number(limit)} ms."
    elif limit is not None:
        note += f" The latency that is allowed, {number(limit)} ms, is above what is drawn."
    return Figure(name, title, svg_of(name, alt.layer(*layers).properties(width=_WIDTH, height=_HEIGHT)), note)


def _coverage(design: Design) -> Figure:
    """What a table and a cache of K entities answer."""
    import altair as alt

    title, workload = "What K entities cover", design.serving_evidence.workload
    if workload is None or not (workload.coverage or workload.lru):
        return _missing("coverage", title, "there is no request log")
    series = {"in the table": GREEN, "and unchanged": BLUE, "LRU cache": ORANGE}
    known, unchanged, cache = series
    rows: list[dict[str, Any]] = [
        {"k": one.k, "share": one.covered, "what": known} for one in workload.coverage if one.k
    ]
    rows += [{"k": one.k, "share": one.hit, "what": unchanged} for one in workload.coverage if one.k]
    rows += [{"k": one.size, "share": one.hit, "what": cache} for one in workload.lru if one.size]
    seen = [name for name in series if any(row["what"] == name for row in rows)]
    chart = (
        alt.Chart(data_of(rows))
        .mark_line(strokeWidth=2, point=alt.OverlayMarkDef(filled=True, size=30))
        .encode(
            x=_k_axis("K", [row["k"] for row in rows]),
            y=alt.Y("share:Q", title="share of requests", scale=alt.Scale(domain=[0, 1]), axis=alt.Axis(format="%")),
            color=alt.Color("what:N", scale=alt.Scale(domain=seen, range=[series[name] for name in seen])),
        )
        .properties(width=_WIDTH, height=_HEIGHT)
    )
    caption = (
        "The entities most asked about in one window, counted in the window that follows it; and what a "
        f"least-recently-used cache of as many would answer. {percent(workload.new_entity_rate)} of "
        "requests are about new entities."
    )
    return Figure("coverage", title, svg_of("coverage", chart), caption)


def _k_axis(title: str, ks: list[int]) -> alt.X:
    """A logarithmic axis over these K, with a line at each power of ten."""
    import altair as alt

    low, high = min(ks) / 1.2, max(ks) * 1.2
    tens = [10**power for power in range(16) if low <= 10**power <= high]
    axis = alt.Axis(format="~s", values=tens) if len(tens) > 1 else alt.Axis(format="~s", tickCount=4)
    return alt.X("k:Q", scale=alt.Scale(type="log", domain=[low, high], nice=False), title=title, axis=axis)


def _sentence(text: str) -> str:
    text = text.strip()
    return (text[:1].upper() + text[1:]).rstrip(".") + "." if text else ""
