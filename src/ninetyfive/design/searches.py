"""The picture of a search: how the best value came about, and each parameter against the value. SVG, without a browser.

    tuning (docs/tuning.md) ─ picture() ─▶ value by trial, the best so far  │  value by parameter 1  │  … parameter 2 …

What does not belong here: what was searched for, and how (`steps.tune`).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from ninetyfive.design.figures import BLUE, GREY, ORANGE, PAPER, RED, data_of, svg_of

if TYPE_CHECKING:
    import altair as alt

_SIDE, _COLUMNS = 210, 3
_COLOURS = {"scored": BLUE, "stopped": GREY, "the best": ORANGE}


def picture(tuning: Mapping[str, Any]) -> str:
    """The search as SVG; a trial that was stopped stands at its mean so far, one that failed nowhere.

    `ModuleNotFoundError` where altair or vl-convert is missing.
    """
    import altair as alt

    rows = [
        {
            "trial": one["number"],
            "value": sum(one["scores"]) / len(one["scores"]),
            "state": _state(tuning, one),
            **{
                f"at{place}": _shown(one["params"][name])
                for place, name in enumerate(tuning["space"])
                if name in one["params"]
            },
        }
        for one in tuning["trials"]
        if one["scores"] and one["state"] != "failed"
    ]
    seen = [state for state in _COLOURS if any(row["state"] == state for row in rows)]
    colour = alt.Color("state:N", scale=alt.Scale(domain=seen, range=[_COLOURS[state] for state in seen]))
    value = alt.Y("value:Q", title=tuning["metric"], scale=alt.Scale(zero=False))
    points = alt.Chart(data_of(rows)).mark_circle(size=45, opacity=0.85).encode(y=value, color=colour)
    history = alt.layer(*_lines(tuning), points.encode(x=alt.X("trial:Q", title="trial", axis=alt.Axis(tickMinStep=1))))
    slices = [
        points.transform_filter(f"isValid(datum.at{place})").encode(x=_axis(f"at{place}", name, allowed))
        for place, (name, allowed) in enumerate(tuning["space"].items())
    ]
    drawn = [chart.properties(width=_SIDE, height=_SIDE) for chart in (history, *slices)]
    return svg_of("search", alt.concat(*drawn, columns=_COLUMNS).properties(background=PAPER))


def _state(tuning: Mapping[str, Any], trial: Mapping[str, Any]) -> str:
    if trial["number"] == tuning["best"]:
        return "the best"
    return "scored" if trial["state"] == "complete" else "stopped"


def _lines(tuning: Mapping[str, Any]) -> list[alt.Chart]:
    """The best value so far, and that of the declared parameters."""
    import altair as alt

    rows: list[dict[str, Any]] = []
    better = max if tuning["higher_is_better"] else min
    for one in tuning["trials"]:
        known = ([rows[-1]["value"]] if rows else []) + ([one["value"]] if one["state"] == "complete" else [])
        if known:
            rows.append({"trial": one["number"], "value": better(known)})
    value = alt.Y("value:Q")
    found = [alt.Chart(data_of(rows)).mark_line(color=ORANGE, interpolate="step-after").encode(x="trial:Q", y=value)]
    if tuning["untuned"] is not None:
        declared = alt.Chart(data_of([{"value": tuning["untuned"]}]))
        found.append(declared.mark_rule(color=RED, strokeDash=[5, 4]).encode(y=value))
    return found


def _axis(field: str, name: str, allowed: Mapping[str, Any]) -> alt.X:
    import altair as alt

    if allowed["kind"] == "choice":
        return alt.X(f"{field}:N", title=name, axis=alt.Axis(labelAngle=0))
    scale = alt.Scale(type="log" if allowed["log"] else "linear", domain=[allowed["low"], allowed["high"]], nice=False)
    return alt.X(f"{field}:Q", title=name, scale=scale, axis=alt.Axis(tickCount=5, format="~g"))


def _shown(value: Any) -> Any:
    """A value as it is drawn: numbers as they are, all else as its text."""
    return value if isinstance(value, int | float) and not isinstance(value, bool) else str(value)
