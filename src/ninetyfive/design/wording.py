"""How a design is said in words and figures, the same in the record, its page and on the command line.

    TrainingChoice, ServingChoice ─▶ a sentence, a line of system.py
    numbers ─▶ text with a unit; None, and what is not a number ─▶ "–"

What does not belong here: where a text stands (`markdown`, `page`).
"""

from __future__ import annotations

import math

from ninetyfive.design.evidence import (
    Alternative,
    Candidate,
    Design,
    Interval,
    PolicyScore,
    Replayed,
    ServingChoice,
    TrainingChoice,
)
from ninetyfive.design.forecast import InForce, candidate_of
from ninetyfive.durations import duration_text

NOTHING = "–"
CONFIDENCE = {
    "proved": "proved (replayed through the service)",
    "measured": "measured",
    "assumed": "assumed (it rests on answers or assumptions, not on measurements)",
    "none": "none (there is not enough evidence)",
}


def training_words(choice: TrainingChoice) -> str:
    """What the choice of training says, without a full stop.

    >>> made = dict(half_life=None, saves=None, confidence="measured", reasons=())
    >>> training_words(TrainingChoice(paradigm="dynamic", policy="periodic", every="7d", window="90d", **made))
    'dynamic training: every 7d, on the newest 90d'
    """
    window = f"on the newest {choice.window}" if choice.window else "on all that came before"
    if choice.watch is not None:
        return f"static training: once, {window}; again when a look every {choice.watch} finds {_drop(choice)}"
    if choice.paradigm == "static":
        return f"static training: once, {window}"
    return f"dynamic training: every {choice.every}, {window}"


def _drop(choice: TrainingChoice) -> str:
    return f"that quality dropped by {percent(choice.drop)}"


def serving_words(choice: ServingChoice) -> str:
    """What the choice of serving says, without a full stop."""
    again = f", built again every {choice.refresh}" if choice.refresh else ""
    if choice.paradigm == "dynamic":
        return "dynamic serving: the model answers every request"
    if choice.paradigm == "static":
        held = f"the {choice.k:,} entities most asked about" if choice.k is not None else "every entity"
        return f"static serving: a table of {held}{again} answers every request"
    held = f"the {choice.k:,} entities most asked about" if choice.k is not None else "the head"
    return f"hybrid serving: a table of {held}{again}; the model answers the rest"


def declared(design: Design) -> tuple[str, str]:
    """What system.py would say: the arguments `training=` and `serving=`."""
    training, serving = design.training, design.serving
    words = [f'every="{training.every}"'] if training.paradigm == "dynamic" else []
    words += [f'window="{training.window}"'] if training.window else []
    words += [f'watch="{training.watch}"'] if training.watch else []
    words += [f"drop={training.drop:g}"] if training.watch and training.drop is not None else []
    kind = "DynamicTraining" if training.paradigm == "dynamic" else "StaticTraining"
    table = f"top={serving.k}" if serving.k is not None else 'population="..."'
    served = {"static": f"StaticServing({table})", "hybrid": f"HybridServing({table})", "dynamic": "DynamicServing()"}
    return f"training=nf.{kind}({', '.join(words)})", f"serving=nf.{served[serving.paradigm]}"


def chosen(design: Design) -> Candidate | None:
    """The candidate that was chosen, or that of the nearest K where a size in force stays; None: none was forecast."""
    return candidate_of(design.serving_evidence.candidates, InForce(design.serving.paradigm, design.serving.k))


def replayed(design: Design) -> Replayed | None:
    """The replay of what was chosen: through the service where there is one, else by the worker's code."""
    choice = design.serving
    found = [one for one in design.serving_evidence.replayed if (one.paradigm, one.k) == (choice.paradigm, choice.k)]
    return next((one for one in found if one.by == "service"), found[0] if found else None)


def candidate_name(one: Candidate | Replayed) -> str:
    """A way to serve, by its paradigm and how many its table holds."""
    return one.paradigm if one.k is None else f"{one.paradigm}, K = {one.k:,}"


def policy_name(one: PolicyScore) -> str:
    """A retraining policy, with how often and on what it trains where that is part of it."""
    if one.watch:
        return f"{one.name} {percent(one.drop)}, watched every {one.watch}"
    name = f"every {one.every}" if one.every and one.name == "periodic" else one.name
    return f"{name} on {one.window}" if one.window and one.every else name


def number(value: float | int | None) -> str:
    """A number as people read it: thousands apart, four digits that count.

    >>> number(None), number(12_000), number(0.123456), number(123456.7), number(0.0)
    ('–', '12,000', '0.1235', '123,457', '0')
    """
    if value is None or math.isnan(value):
        return NOTHING
    if isinstance(value, int):
        return f"{value:,}"
    return f"{value:,.0f}" if abs(value) >= 10_000 else f"{value:,.4g}"


def percent(share: float | None) -> str:
    """A share as percents.

    >>> percent(0.9341), percent(0.00012), percent(None), percent(1.0)
    ('93.4 %', '0.012 %', '–', '100 %')
    """
    if share is None or math.isnan(share):
        return NOTHING
    value = share * 100
    if 0.1 <= abs(value) < 99.95:
        return f"{value:.1f} %"
    return f"{value:.2g} %" if abs(value) < 0.1 else f"{value:.4g} %"


def seconds(value: float | None) -> str:
    """A time in the unit in which it reads best.

    >>> seconds(0.00035), seconds(0.012), seconds(3.25), seconds(90000.0), seconds(None)
    ('350 µs', '12 ms', '3.2 s', '1d', '–')
    """
    if value is None or math.isnan(value):
        return NOTHING
    if value == 0 or abs(value) >= 60:
        return duration_text(value) if value else "0 s"
    for factor, unit in ((1, "s"), (1e3, "ms"), (1e6, "µs")):
        if abs(value) * factor >= 1 or unit == "µs":
            shown = value * factor
            return f"{shown:.3g} {unit}" if abs(shown) >= 10 else f"{shown:.2g} {unit}"
    return NOTHING


def size(count: float | None) -> str:
    """Bytes as people read them.

    >>> size(0), size(1536), size(3 * 2**30), size(None)
    ('0 B', '1.5 KiB', '3.0 GiB', '–')
    """
    if count is None or math.isnan(count):
        return NOTHING
    value = float(count)
    for unit in ("B", "KiB", "MiB", "GiB"):
        if value < 1024:
            return f"{value:.0f} B" if unit == "B" else f"{value:.1f} {unit}"
        value /= 1024
    return f"{value:.1f} TiB"


def money(value: float | None, currency: str) -> str:
    """An amount of money; small ones with the digits that count.

    >>> money(12.3456, "USD"), money(0.0000123, "USD"), money(None, "USD"), money(0.0, "EUR")
    ('12.35 USD', '0.000012 USD', '–', '0 EUR')
    """
    if value is None or math.isnan(value):
        return NOTHING
    if value == 0:
        return f"0 {currency}"
    if abs(value) >= 0.1:
        return f"{value:,.2f} {currency}"
    return f"{value:.{1 - math.floor(math.log10(abs(value)))}f} {currency}"


def interval(value: Interval) -> str:
    """A value with its 95 % interval."""
    if value.low is None or value.high is None:
        return number(value.value)
    return f"{number(value.value)} [{number(value.low)}, {number(value.high)}]"


def currency_of(design: Design) -> str:
    """The currency of the prices that the design was made with."""
    return str(design.prices.get("currency") or "USD")


def alternatives(design: Design) -> tuple[Alternative, ...]:
    """What was not chosen, of both questions."""
    return design.training.alternatives + design.serving.alternatives


def error(forecast: float | None, found: float | None) -> float | None:
    """How far a forecast was from what was found, as a share of it."""
    return None if forecast is None or not found else (forecast - found) / found


def left_out(design: Design) -> tuple[str, ...]:
    """What the budget cut, of all parts, each once."""
    workload = design.serving_evidence.workload
    parts = (design.left_out, design.training_evidence, design.serving_evidence, workload)
    return _said(*(one if isinstance(one, tuple) else one.left_out if one else () for one in parts))


def noticed(design: Design) -> tuple[str, ...]:
    """What is odd about history and requests, each once."""
    workload = design.serving_evidence.workload
    parts = (design.noticed, design.training_evidence, design.serving_evidence, workload)
    return _said(*(one if isinstance(one, tuple) else one.noticed if one else () for one in parts))


def cannot(design: Design) -> tuple[str, ...]:
    """What cannot be concluded, and why, each once."""
    training = design.training_evidence.cannot if design.training_evidence else ()
    return _said(training, design.serving_evidence.cannot)


def _said(*parts: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(text for part in parts for text in part))
