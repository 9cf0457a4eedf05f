"""A provisional design from answers alone: stated rules, every gap an assumption, and what would settle it.

    training   a law of nature, or no change ──▶ static          else ─▶ dynamic, every half of the time of change
    serving    inputs known before, entities bounded, few new ones ─▶ static
               a few make most requests, one input for each ────────▶ hybrid
               else ────────────────────────────────────────────────▶ dynamic

It is never more than assumed: there is nothing to measure yet. What does not belong here: the questions (`asking`),
designs that rest on measurements (`training`, `serving`).
"""

from __future__ import annotations

import math
from typing import Literal, NamedTuple

import msgspec

from ninetyfive.design.asking import Answers, read_answers
from ninetyfive.design.evidence import (
    Alternative,
    Assumption,
    Constraints,
    Design,
    ServingChoice,
    ServingEvidence,
    TrainingChoice,
)
from ninetyfive.design.sizing import Load, size
from ninetyfive.design.wording import percent, seconds
from ninetyfive.durations import duration
from ninetyfive.settings import DesignSettings, PriceSettings
from ninetyfive.version import __version__

DAY = 86_400
CHANGE = {"adversary": 2 * DAY, "taste": 14 * DAY, "season": 8 * 7 * DAY}
"""How soon a relation changes where only the reason is known: adversaries take days, taste weeks, seasons months."""
MOST_ROWS = 10_000_000
"""The most rows of a table that answers every request; a larger one is for the head only."""
CPU_MODEL, CPU_TABLE, CPU_ROW, BYTES_ROW, BYTES = 5e-4, 5e-5, 5e-5, 64.0, 200.0
"""Costs that stand for those nobody has measured yet: seconds of CPU; bytes of a row of a table, and of a history."""
_TAIL = 1_000_000
"""How many entities an unbounded number of them counts as, where a head is sized by Zipf's law."""
_SHORTEST, _LONGEST = 3600, 26 * 7 * DAY
_GRID = tuple(int(step * 10**power) for power in range(1, 7) for step in (1, 3))


class Given(NamedTuple):
    """What a provisional design is made with, besides the answers: settings of the project, and when it is made."""

    prices: PriceSettings
    limits: DesignSettings
    made: str
    system: str = "not named yet"


def provisional(text: str, given: Given, where: str = "answers") -> Design:
    """The design that follows from the answers in `text`, a TOML file as `questions` gives it.

    `UsageError` names the line of an answer that cannot be. Nothing has to be answered: an empty text gives the design
    that is in force without any, with every question an assumption.
    """
    answers = read_answers(text, where)
    training = _training(answers)
    limits = _limits(answers, given.limits)
    serving = _serving(answers, limits)
    every = None if training.every is None else float(duration(training.every))
    return Design(
        number=0,
        system=answers.system_name or given.system,
        made=given.made,
        version=__version__,
        release=None,
        training=training,
        training_evidence=None,
        serving=serving,
        serving_evidence=ServingEvidence(
            workload=None,
            measured=None,
            constraints=limits,
            assumed=True,
            cannot=("nothing is measured: this design follows from answers",),
        ),
        sizing=size(_load(answers, serving, limits, every), given.prices),
        assumptions=_assumptions(answers, serving),
        confidence="none" if training.confidence == serving.confidence == "none" else "assumed",
        prices=msgspec.to_builtins(given.prices),
        budget=0.0,
        seconds=0.0,
        noticed=_noticed(answers, limits),
    )


def _limits(answers: Answers, settings: DesignSettings) -> Constraints:
    def said(answer: float | None, setting: float | None) -> float | None:
        return setting if answer is None else answer

    staleness = said(answers.limits_staleness, float(duration(settings.staleness)))
    misses = said(answers.limits_misses, settings.misses)
    return Constraints(
        latency=said(answers.limits_latency, settings.latency),
        staleness=staleness or float(DAY),
        misses=settings.misses if misses is None else misses,
        changed=settings.changed,
        budget=said(answers.limits_budget, settings.budget),
    )


def _training(answers: Answers) -> TrainingChoice:
    """Static where nothing changes the relation, or nobody knows; else anew in half of the time of change."""
    why, changes, delay = answers.relation_why, answers.relation_changes, answers.labels_delay
    if changes is None:
        changes = math.inf if why in ("nature", None) else float(CHANGE[why])
    if changes == math.inf:
        known = why is not None or answers.relation_changes is not None
        reason = "the relation is said not to change" if known else "nobody knows whether the relation changes"
        return TrainingChoice(
            paradigm="static",
            policy="never",
            every=None,
            window=None,
            half_life=None,
            saves=None,
            confidence="assumed" if known else "none",
            reasons=(reason, "inputs are to be watched all the same: what is said may be wrong"),
            alternatives=(Alternative("dynamic training", "it pays where the relation changes, which nobody says"),),
            would_change=("a backtest that shows decay: dynamic training, every half of the half-life",),
        )
    every = min(max(changes / 2, _SHORTEST), _LONGEST)
    window = None if why == "season" else _rounded(changes * 8)
    reasons = [f"the relation changes within {seconds(changes)}: a model is made anew in half of that time"]
    if answers.relation_changes is None:
        reasons[0] = (
            f"{_because(why)}: a change within {seconds(changes)} is assumed, a model is made anew in half of that"
        )
    if window is None:
        reasons.append("a season comes again: the model learns from all that came before, a whole year at least")
    else:
        reasons.append(f"what is older than {window}, eight times as long, says little of today")
    if delay is not None:
        text = _rounded(delay)
        reasons.append(
            f'labels come {seconds(delay)} late: say label_delay="{text}", so that nothing trains on rows '
            "whose label is not known yet"
        )
    return TrainingChoice(
        paradigm="dynamic",
        policy="periodic",
        every=_rounded(every),
        window=window,
        half_life=None,
        saves=None,
        confidence="assumed",
        reasons=tuple(reasons),
        alternatives=(Alternative("static training", f"the relation is said to change within {seconds(changes)}"),),
        would_change=("a backtest without decay: static training", "a half-life that is measured: every half of it"),
    )


def _serving(answers: Answers, limits: Constraints) -> ServingChoice:
    """The cheapest paradigm that the answers allow; each that they do not, with its reason."""
    against = {
        "static": _against_table(answers, limits, whole=True),
        "hybrid": _against_table(answers, limits, whole=False),
    }
    chosen: Literal["static", "dynamic", "hybrid"] = "dynamic"
    if not against["static"]:
        chosen = "static"
    elif not against["hybrid"]:
        chosen = "hybrid"
    reasons = {
        "static": (
            "every entity and what the model sees of it is known before it is asked about",
            f"a table of {_amount(answers.entities_count)} rows answers all, and costs a look-up",
        ),
        "hybrid": (
            "a few entities make most requests, and each has one input: their answers are computed once",
            "what is asked rarely, or for the first time, is computed when it comes: " + _text(against["static"]),
        ),
        "dynamic": tuple(dict.fromkeys(against["static"] + against["hybrid"])),
    }[chosen]
    others = [Alternative(f"{name} serving", _text(why)) for name, why in against.items() if why and name != chosen]
    if chosen != "dynamic":
        others.append(Alternative("dynamic serving", f"a prediction costs about {CPU_MODEL / CPU_TABLE:.0f} look-ups"))
    k = _head(answers, limits) if chosen == "hybrid" else None
    if chosen == "static" and answers.entities_count is not None:
        k = int(answers.entities_count)
    unknown = not any((answers.entities_count, answers.entities_asked, answers.inputs_decided_by))
    return ServingChoice(
        paradigm=chosen,
        k=k,
        refresh=None if chosen == "dynamic" else _rounded(_refresh(answers, limits)),
        cost=None,
        confidence="none" if unknown else "assumed",
        reasons=reasons,
        alternatives=tuple(others),
        would_change=(
            "a request log: cardinality, new entities, coverage and how often features change decide then",
            f"more than {percent(limits.misses)} of requests about new entities: no table answers all",
        ),
    )


def _against_table(answers: Answers, limits: Constraints, *, whole: bool) -> tuple[str, ...]:
    """Why a table of all entities (`whole`), or of the head, cannot be; nothing where it can."""
    why = []
    if answers.inputs_decided_by == "request":
        why.append("whoever asks decides the inputs: they are not known before")
    elif answers.inputs_decided_by is None:
        why.append("it is not known who decides the inputs")
    if answers.inputs_change is not None and answers.inputs_change < limits.staleness:
        why.append(
            f"features change within {seconds(answers.inputs_change)}, a table may be {seconds(limits.staleness)} old"
            if answers.inputs_change
            else "features change with every request"
        )
    if answers.entities_asked == "once":
        why.append("hardly any entity is asked about twice")
    if whole:
        count = answers.entities_count
        if count is None or count > MOST_ROWS:
            why.append(
                "how many entities there are is not known" if count is None else f"there are {_amount(count)} entities"
            )
        if answers.entities_new is not None and answers.entities_new > limits.misses:
            why.append(
                f"{percent(answers.entities_new)} of requests are about new entities, {percent(limits.misses)} may miss"
            )
    elif answers.entities_asked != "few-dominate" and answers.entities_asked != "once":
        why.append("it is not said that a few entities make most requests")
    return tuple(why)


def _head(answers: Answers, limits: Constraints) -> int:
    """How many rows pay: the entity of rank k is asked about often enough between two builds to earn its row.

    By Zipf's law with slope 1 it gets 1 / (k · H) of the requests, H the sum of 1 / rank over all N; its row costs
    `CPU_ROW` a build and saves `CPU_MODEL` − `CPU_TABLE` a request. 1,000 where no rate is known.
    """
    if answers.requests_rate is None:
        return 1_000
    count = answers.entities_count or math.inf
    total = int(min(count, float(_TAIL)))
    requests = answers.requests_rate * _refresh(answers, limits)
    pays = requests * (CPU_MODEL - CPU_TABLE) / CPU_ROW / (math.log(total) + 0.5772)
    fits = [k for k in _GRID if k <= min(pays, total)]
    return fits[-1] if fits else min(10, total)


def _refresh(answers: Answers, limits: Constraints) -> float:
    """How often a table is built: as the features change, and not older than it may be."""
    return min(limits.staleness, answers.inputs_change or math.inf)


def _load(answers: Answers, serving: ServingChoice, limits: Constraints, every: float | None) -> Load:
    rows = answers.data_rows or 0
    if answers.data_rows_a_day is not None and every is not None:
        rows = max(rows, int(answers.data_rows_a_day * every / DAY * 16))
    cpu = {"static": CPU_TABLE, "dynamic": CPU_MODEL, "hybrid": (CPU_MODEL + CPU_TABLE) / 2}[serving.paradigm]
    count = answers.entities_count
    return Load(
        rows=rows,
        bytes=int(rows * (answers.data_bytes_row or BYTES)),
        training_seconds=answers.training_seconds or 0.0,
        every=every,
        rate=answers.requests_rate,
        peak_rate=answers.requests_peak_rate,
        cpu=None if answers.requests_rate is None and answers.requests_peak_rate is None else cpu,
        paradigm=serving.paradigm,
        k=serving.k,
        entities=int(count) if count is not None and count <= MOST_ROWS else None,
        refresh=_refresh(answers, limits),
        cpu_row=CPU_ROW,
        bytes_row=BYTES_ROW,
        static_keeps=serving.paradigm == "static",
    )


def _assumptions(answers: Answers, serving: ServingChoice) -> tuple[Assumption, ...]:
    """What is taken for granted in place of each answer that is missing, and what every answer leaves open."""
    found = [
        Assumption(
            "the answers are true", "`ninetyfive design` on labelled rows and a request log of at least some days"
        ),
        Assumption(
            f"a prediction takes {seconds(CPU_MODEL)} of CPU, a look-up {seconds(CPU_TABLE)}, a row of a table "
            f"{seconds(CPU_ROW)} and {BYTES_ROW:.0f} bytes",
            "`ninetyfive run`, then `ninetyfive design`: it measures them on the machine",
        ),
    ]
    if answers.relation_changes is None:
        why = answers.relation_why
        taken = (
            f"the relation changes within {seconds(float(CHANGE[why]))}"
            if why in CHANGE
            else "the relation does not change"
        )
        found.append(Assumption(taken, "the decay curve of a backtest over labelled rows of several months"))
    if answers.labels_delay is None:
        found.append(Assumption("labels are known at once", "the times of requests beside those of their labels"))
    if answers.inputs_change is None and serving.paradigm != "dynamic":
        taken = "the features of an entity do not change while a table stands"
        found.append(Assumption(taken, "the share of changed fingerprints in a request log"))
    if answers.entities_new is None and serving.paradigm != "dynamic":
        found.append(Assumption("hardly any request is about a new entity", "the new-entity rate of a request log"))
    if answers.entities_asked is None or serving.paradigm == "hybrid":
        taken = (
            "requests follow Zipf's law with slope 1"
            if serving.k is not None
            else "no entity is asked about much more often"
        )
        found.append(Assumption(taken, "peakedness and coverage in a request log"))
    if answers.requests_rate is None:
        found.append(Assumption("one worker is enough", "the rate and the busiest minute of a request log"))
    if answers.data_rows is None and answers.data_rows_a_day is None:
        found.append(Assumption("the data fit one machine", "the rows and bytes of the source"))
    if answers.errors_cost is None:
        found.append(
            Assumption("an error costs what [design] tolerance says", "[prices] point_day, from what an error costs")
        )
    return tuple(found)


def _noticed(answers: Answers, limits: Constraints) -> tuple[str, ...]:
    """Answers that stand against each other, without being impossible."""
    found = []
    changes, delay = answers.relation_changes, answers.labels_delay
    if changes is None and answers.relation_why in CHANGE:
        changes = float(CHANGE[answers.relation_why])
    if changes is not None and delay is not None and delay > changes:
        found.append(
            f"labels come after {seconds(delay)}, and the relation changes within {seconds(changes)}: a model is "
            "behind however often it is made; earlier labels, or some that are made by hand, would help more"
        )
    if answers.limits_latency is not None and answers.limits_latency < 2 * CPU_MODEL:
        found.append(f"{seconds(limits.latency)} is near what one prediction takes: measure it before it is promised")
    rate, cost = answers.requests_rate, answers.errors_cost
    if rate is not None and cost:
        point = rate * DAY * 0.01 * cost
        found.append(
            f"where a hundredth of the metric is a hundredth of the answers, it is worth {point:,.2f} a day: [prices] "
            "point_day takes it"
        )
    return tuple(found)


def _because(why: str | None) -> str:
    return {"adversary": "an adversary learns", "taste": "taste changes", "season": "seasons change it"}.get(
        why or "", ""
    )


def _amount(count: float | None) -> str:
    if count is None:
        return "an unknown number of"
    return "unboundedly many" if count == math.inf else f"{count:,.0f}"


def _text(why: tuple[str, ...]) -> str:
    return "; ".join(why) or "nothing speaks against it"


def _rounded(length: float) -> str:
    """A length as durations are written: in the largest unit of which it is one or at least two, rounded.

    >>> _rounded(86_400), _rounded(14 * 86_400.0), _rounded(5400), _rounded(0.2)
    ('1d', '14d', '90m', '1s')
    """
    for unit, one in (("d", DAY), ("h", 3600), ("m", 60)):
        if length >= 2 * one or length == one:
            return f"{min(round(length / one), 999_999)}{unit}"
    return f"{max(1, round(length))}s"
