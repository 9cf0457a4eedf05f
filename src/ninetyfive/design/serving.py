"""Which way to serve: the cheapest that keeps the constraints, unless what is in force is about as cheap.

    candidates ─ a replay wins ─ constraints ─ cost ─ the simplest within noise ─ hysteresis ─▶ ServingChoice

The rule: a pure function of evidence, which says how sure it is: proved (replayed by the service), measured, assumed
(the workload is), none. Without a log, or with too little of one, it advises the model, and tells what a table would
save.
What does not belong here: what a candidate costs (`forecast`).
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import msgspec
import numpy as np

from ninetyfive.design.evidence import (
    Alternative,
    Candidate,
    Confidence,
    Measured,
    Replayed,
    ServingChoice,
    ServingEvidence,
    Workload,
)
from ninetyfive.design.forecast import ANSWERS, InForce, candidate_of, cpu_of, doubted, judged
from ninetyfive.design.wording import money
from ninetyfive.durations import duration_word
from ninetyfive.prices import MONTH

NOISE = 0.02
"""Costs that differ by less than this share are taken as equal."""
HIT_TOLERANCE, COST_TOLERANCE = 0.02, 0.25
"""By how much a replay may differ from the forecast: points of the hit rate, share of CPU and p50."""
LEAST_PROOF = 200
"""A replay of fewer requests through the service proves nothing."""
FEW = 1_000
"""With fewer requests nothing is advised but the model."""
SIMPLE = ("dynamic", "static", "hybrid")
"""The simplest way to serve first."""


def choose_serving(evidence: ServingEvidence, in_force: InForce | None, hysteresis: float) -> ServingChoice:
    """How to serve. `in_force` stays unless another is cheaper by the share `hysteresis`, or it breaks a constraint.

    To `hysteresis` comes by how much the figures of this machine vary, in the costs and in the replay.
    """
    cannot = _cannot(evidence)
    if cannot or not evidence.candidates:
        return _unknown(evidence, in_force, cannot or "no way to serve was measured")
    workload = evidence.workload
    assert workload is not None
    doubtful = tuple(doubted(one, evidence.constraints) for one in evidence.candidates)
    evidence = msgspec.structs.replace(evidence, candidates=doubtful)
    scale = _Scale.of(evidence.candidates, evidence.currency)
    best, kept = _best(evidence.candidates, evidence.replayed, scale)
    chosen, reasons = best, [_why(best, evidence.candidates, scale, kept)]
    current = candidate_of(evidence.candidates, in_force)
    if current is not None and in_force is not None:
        chosen, words = _with_hysteresis(current, best, scale, hysteresis + _noise(evidence))
        reasons += [words]
        if chosen is current:
            chosen = msgspec.structs.replace(current, k=in_force.k if in_force.k is not None else current.k)
    if scale.zero:
        reasons.append("prices are 0, so no costs can be compared: CPU seconds a month are, instead")
    return ServingChoice(
        paradigm=chosen.paradigm,
        k=chosen.k,
        refresh=None if chosen.refresh is None else duration_word(chosen.refresh),
        cost=None if scale.zero else chosen.cost,
        confidence=_confidence(chosen, evidence),
        reasons=(*reasons, *evidence.overruled),
        alternatives=tuple(_alternatives(chosen, evidence.candidates, scale)),
        would_change=tuple(_would_change(chosen, evidence, scale)),
    )


def with_replayed(evidence: ServingEvidence, replayed: Sequence[Replayed]) -> ServingEvidence:
    """The evidence with what a replay found: where it disagrees with the forecast, candidates become what it says.

    Of two replays of one candidate that by the service counts. What a replay found of some K moves the others of the
    paradigm too, by as much, in between by a share of each: a forecast that was wrong for one K is so for its
    neighbours. Each change is told in `overruled`. CPU or p50 that is wrong for one makes all replayed ones count: else
    ways would be compared by figures of two moments, and what slows the machine would decide between them.
    """
    found: dict[tuple[str, int | None], Replayed] = {
        (one.paradigm, one.k): one for one in sorted(replayed, key=lambda one: one.by == "service")
    }
    bound = evidence.constraints.latency
    overruled = [words for one in found.values() for words in (*_disagreements(one), *_too_slow(one, bound))]
    wrong = [one for one in found.values() if _wrong(one.cpu, one.forecast_cpu) or _wrong(one.p50, one.forecast_p50)]
    moved = tuple(_moved(one, found, evidence, timed=bool(wrong)) for one in evidence.candidates)
    return msgspec.structs.replace(
        evidence,
        candidates=moved,
        replayed=tuple(replayed),
        overruled=(*evidence.overruled, *overruled),
    )


class _Scale(NamedTuple):
    """What is compared: money a month, or CPU seconds where every price is 0."""

    zero: bool
    currency: str

    @classmethod
    def of(cls, candidates: Sequence[Candidate], currency: str = "") -> _Scale:
        return cls(all(one.cost == 0 for one in candidates), currency)

    def amount(self, candidate: Candidate) -> float:
        return candidate.cpu_month if self.zero else candidate.cost

    def told(self, amount: float) -> str:
        return f"{amount:,.4g} CPU seconds a month" if self.zero else f"{money(amount, self.currency)} a month"


def _cannot(evidence: ServingEvidence) -> str:
    """Why nothing but the model can be advised; "" where it can."""
    workload = evidence.workload
    if workload is None or not workload.requests:
        return "there is no request log: who is asked about, and how often, is not known"
    if evidence.measured is None:
        return "what an answer costs was not measured"
    if not workload.entities:
        return "no request has an entity, so none could be looked up in a table"
    if not workload.rate:
        return "all requests came in one moment, so neither their rate nor what came later is known"
    if workload.requests < FEW:
        return f"{workload.requests:,} requests are too few to tell what a table would answer ({FEW:,} are needed)"
    if len(evidence.candidates) == 1 and not math.isnan(evidence.measured.cpu_table):
        return "the log lasts less than a few seconds, so nothing is known of what a table answers later"
    if evidence.sampled < 1.0:
        kept = f"the log keeps the requests of {evidence.sampled:.3g} of the entities ([serve.log] sample)"
        return f"{kept}: a table of it would hold none of the others, and how often these are asked about is not known"
    if evidence.assumed:
        return "there is no request log: rows of the history were taken for requests, which they need not be like"
    return ""


def _unknown(evidence: ServingEvidence, in_force: InForce | None, why: str) -> ServingChoice:
    """The model, or what is in force, where there is not evidence enough for anything else."""
    candidates = evidence.candidates
    scale = _Scale.of(evidence.candidates, evidence.currency)
    known = in_force or InForce("dynamic")
    current = candidate_of(candidates, known)
    reasons = [why]
    reasons.append(
        "what is in force stays" if in_force else "the model answers every request, whoever it is about, as it is now"
    )
    return ServingChoice(
        paradigm=known.paradigm,
        k=known.k,
        refresh=duration_word(current.refresh) if current is not None and current.refresh else None,
        cost=None if current is None or scale.zero else current.cost,
        confidence="assumed" if evidence.assumed and any(one.k for one in candidates) else "none",
        reasons=tuple(reasons),
        alternatives=tuple(_ranges(current, candidates, scale)),
        would_change=("a request log of the service: `ninetyfive design` reads it, and replays it",),
    )


def _ranges(current: Candidate | None, candidates: Sequence[Candidate], scale: _Scale) -> Iterator[Alternative]:
    """What static and hybrid serving would save if requests were like what is known."""
    for paradigm in ("static", "hybrid"):
        tables = [one for one in candidates if one.paradigm == paradigm]
        if not tables or current is None or current.paradigm == paradigm:
            continue
        whole = [one for one in tables if not one.broken] or tables
        saves = sorted(scale.amount(current) - scale.amount(one) for one in whole)
        best = min(whole, key=scale.amount)
        told = f"if requests were like the data it would save {scale.told(saves[0])} to {scale.told(saves[-1])}"
        broken = f", but break {'; '.join(best.broken)}" if best.broken else ""
        yield Alternative(_name(best), f"{told}{broken}; no request was seen that says so")


def best_of(candidates: Sequence[Candidate]) -> Candidate:
    """The one that is chosen of these where nothing is in force and nothing was replayed; `ValueError` of none."""
    return _best(candidates, (), _Scale.of(candidates))[0]


def _best(candidates: Sequence[Candidate], replays: Sequence[Replayed], scale: _Scale) -> tuple[Candidate, bool]:
    """The simplest of the cheapest that keep the constraints, and whether any keeps them.

    Of tables of one paradigm that cost about the same that is taken which was replayed: it is known best.
    """
    replayed = {(one.paradigm, one.k) for one in replays}
    whole = [one for one in candidates if not one.broken]
    if not whole:
        worst = min(_harm(one) for one in candidates)
        whole = [one for one in candidates if _harm(one) == worst]
        return min(whole, key=scale.amount), False
    least = min(scale.amount(one) for one in whole)
    near = [one for one in whole if scale.amount(one) <= least * (1 + NOISE)]

    def order(one: Candidate) -> tuple[int, bool, int]:
        paradigm, k = _order(one)
        return paradigm, (one.paradigm, one.k) not in replayed, k

    return min(near, key=order), True


def _order(candidate: Candidate) -> tuple[int, int]:
    """The simpler the less: by paradigm, then by the size of the table."""
    return SIMPLE.index(candidate.paradigm), candidate.k or 0


def _harm(candidate: Candidate) -> tuple[bool, bool, int]:
    """What breaks most: requests without an answer, then wrong ones, then the others."""
    words = [one.partition(":")[0] for one in candidate.broken]
    return "misses" in words, "changed" in words, len(words)


def _why(best: Candidate, candidates: Sequence[Candidate], scale: _Scale, kept: bool) -> str:
    told = f"{_name(best)} costs {scale.told(scale.amount(best))}"
    if not kept:
        return f"no way to serve keeps every constraint; {told} and does the least harm: {'; '.join(best.broken)}"
    least = min((one for one in candidates if not one.broken), key=scale.amount)
    if best is not least:
        why = "simpler" if _order(best) < _order(least) else "known better, as it was replayed"
        return f"{told}, within {NOISE:.0%} of the cheapest ({_name(least)}), and is {why}"
    return f"{told}, the least of all that keep the constraints"


def _noise(evidence: ServingEvidence) -> float:
    """By which share figures of one thing vary on this machine: in what was measured, or in the replay."""
    told = [one.noise for one in evidence.replayed if one.noise is not None]
    return max([0.0 if evidence.measured is None else evidence.measured.noise, *told])


def _with_hysteresis(current: Candidate, best: Candidate, scale: _Scale, hysteresis: float) -> tuple[Candidate, str]:
    """What is in force or the best, and why."""
    if current.broken and not best.broken:
        return best, f"what is in force ({_name(current)}) breaks {'; '.join(current.broken)}"
    if (current.paradigm, current.k) == (best.paradigm, best.k):
        return current, "it is in force already"
    saved = 1.0 - scale.amount(best) / scale.amount(current) if scale.amount(current) else 0.0
    if saved > hysteresis:
        return best, f"it saves {saved:.0%} of what is in force ({_name(current)}) costs: more than {hysteresis:.0%}"
    if saved <= 0.0:
        return current, f"{_name(current)} is in force, and costs no more"
    return current, f"{_name(current)} is in force; {_name(best)} would save {saved:.0%}, less than {hysteresis:.0%}"


def _confidence(chosen: Candidate, evidence: ServingEvidence) -> Confidence:
    sent = [
        one.requests
        for one in evidence.replayed
        if (one.paradigm, one.k) == (chosen.paradigm, chosen.k) and one.by == "service"
    ]
    return "proved" if max(sent, default=0) >= LEAST_PROOF else "measured"


def _alternatives(chosen: Candidate, candidates: Sequence[Candidate], scale: _Scale) -> Iterator[Alternative]:
    """The best of each other paradigm, and the sizes next to the chosen one."""
    for paradigm in SIMPLE:
        others = [one for one in candidates if one.paradigm == paradigm and paradigm != chosen.paradigm]
        if others:
            best = min(others, key=lambda one: (*_harm(one), scale.amount(one)))
            yield Alternative(_name(best), _why_not(best, chosen, scale))
    tables = [one for one in candidates if one.paradigm == chosen.paradigm and one.k is not None]
    smaller = [one for one in tables if (one.k or 0) < (chosen.k or 0)][-1:]
    larger = [one for one in tables if (one.k or 0) > (chosen.k or 0)][:1]
    for other in (*smaller, *larger):
        yield Alternative(_name(other), _why_not(other, chosen, scale))


def _why_not(other: Candidate, chosen: Candidate, scale: _Scale) -> str:
    if other.broken:
        return f"it breaks {'; '.join(other.broken)}"
    more = scale.amount(other) - scale.amount(chosen)
    if more > 0:
        return f"it costs {scale.told(more)} more"
    return f"it costs {scale.told(-more)} less, which is too little to change for"


def _would_change(chosen: Candidate, evidence: ServingEvidence, scale: _Scale) -> Iterator[str]:
    """What would have to be otherwise for another answer, from the numbers."""
    workload, measured = evidence.workload, evidence.measured
    assert workload is not None
    assert measured is not None
    even = break_even(chosen, evidence.candidates, workload, measured)
    if even is not None:
        side = "above" if chosen.paradigm == "dynamic" else "below"
        other = "a hybrid table" if chosen.paradigm == "dynamic" else "the model alone"
        yield (
            f"{side} a model cost of {even * 1e6:,.3g} µs of CPU a request (now {measured.cpu_model * 1e6:,.3g}) "
            f"{other} would be cheaper"
        )
    for word, share in (("misses", "miss"), ("changed", "stale")):
        only = [
            one
            for one in evidence.candidates
            if [words.partition(":")[0] for words in one.broken] == [word] and scale.amount(one) < scale.amount(chosen)
        ]
        if only:
            best = min(only, key=lambda one: (getattr(one, share), scale.amount(one)))
            yield (
                f"if {word} might be {getattr(best, share):.1%}, {_name(best)} would do, which saves "
                f"{scale.told(scale.amount(chosen) - scale.amount(best))}"
            )
    bound = evidence.constraints.latency
    if bound is not None and chosen.paradigm != "static":
        yield f"if the p99 had to be below {chosen.p99 * 1e3:.3g} ms (it may be {bound * 1e3:.3g})"


def break_even(
    chosen: Candidate, candidates: Sequence[Candidate], workload: Workload, measured: Measured
) -> float | None:
    """The CPU seconds of a prediction at which the model alone and a hybrid table cost the same; None: at none.

    Of the chosen table, or of that which pays first where the model is chosen: everything but the answers of the model
    costs what it does, as CPU time at the price of the answers.
    """
    hybrids = [one for one in candidates if one.paradigm == "hybrid" and one.hit > 0]
    if chosen.paradigm == "hybrid":
        hybrids = [one for one in hybrids if one.k == chosen.k] or hybrids
    answers = workload.rate * MONTH
    found = []
    for one in hybrids:
        used = one.cpu * answers
        price = one.parts[ANSWERS] / used if used and one.parts[ANSWERS] else 0.0
        others = (one.cost - one.parts[ANSWERS]) / price if price else max(0.0, one.cpu_month - used)
        looks = (1.0 - one.hit) * measured.cpu_look
        table = measured.cpu_table + (1.0 - one.hit) * measured.cpu_after
        found.append(table + (looks + others / answers) / one.hit)
    return min(found, default=None)


def _disagreements(one: Replayed) -> Iterator[str]:
    name = f"{one.paradigm} serving" + (f" of the top {one.k:,}" if one.k else "")
    if abs(one.hit - one.forecast_hit) > HIT_TOLERANCE:
        said = f"the replay by the {one.by} hit {one.hit:.1%} where {one.forecast_hit:.1%} was forecast"
        yield f"{name}: {said}: the replay wins"
    if one.paradigm == "static" and _off_stale(one):
        said = f"the replay by the {one.by} was stale in {one.stale:.1%} where {one.forecast_stale:.1%} was forecast"
        yield f"{name}: {said}: the replay wins"
    for what, forecast, value in (("CPU", one.forecast_cpu, one.cpu), ("p50", one.forecast_p50, one.p50)):
        if value is not None and abs(value - forecast) > COST_TOLERANCE * forecast:
            yield (
                f"{name}: the {what} of a request is {value * 1e6:,.3g} µs in the replay by the {one.by}, where "
                f"{forecast * 1e6:,.3g} µs was forecast: the replay wins"
            )


def _too_slow(one: Replayed, bound: float | None) -> Iterator[str]:
    """That a p99 is too long which was forecast short enough.

    The other way round a replay says nothing: it asks one request after the other, so none waits for another.
    """
    if bound is None or one.p99 is None or one.forecast_p99 is None:
        return
    if one.forecast_p99 <= bound < one.p99:
        name = f"{one.paradigm} serving" + (f" of the top {one.k:,}" if one.k else "")
        yield (
            f"{name}: the p99 of a request is {one.p99 * 1e3:.3g} ms in the replay by the {one.by}, where "
            f"{one.forecast_p99 * 1e3:.3g} ms was forecast and {bound * 1e3:.3g} ms is allowed: the replay wins"
        )


def _moved(
    candidate: Candidate, found: dict[tuple[str, int | None], Replayed], evidence: ServingEvidence, *, timed: bool
) -> Candidate:
    """A candidate as the replays of its paradigm say; `timed`: in CPU and p50 too."""
    replays = sorted((one for (paradigm, _), one in found.items() if paradigm == candidate.paradigm), key=_size)
    measured, workload = evidence.measured, evidence.workload
    if not replays or measured is None or workload is None:
        return candidate

    def between(values: list[float]) -> float:
        return float(np.interp(np.log(candidate.k or 1), [np.log(_size(one)) for one in replays], values))

    hit = min(1.0, max(0.0, candidate.hit + between([_off(one) for one in replays])))
    stale, miss, cpu = candidate.stale, candidate.miss, candidate.cpu
    if candidate.paradigm == "static":
        stale = min(hit, max(0.0, candidate.stale + between([_off_stale(one) for one in replays])))
        miss = 1.0 - hit
    cpu += cpu_of(candidate.paradigm, hit, measured) - cpu_of(candidate.paradigm, candidate.hit, measured)
    cpu *= between([_ratio(one.cpu, _cpu_at_hit(one, measured)) for one in replays]) if timed else 1.0
    p50 = candidate.p50 * (between([_ratio(one.p50, one.forecast_p50) for one in replays]) if timed else 1.0)
    late = [_ratio(one.p99, one.forecast_p99 or 0.0) for one in replays]
    slow = [any(_too_slow(one, evidence.constraints.latency)) for one in replays]
    p99 = candidate.p99 * between([ratio if over else 1.0 for ratio, over in zip(late, slow, strict=True)])
    parts = dict(candidate.parts)
    if candidate.cpu and ANSWERS in parts:
        parts[ANSWERS] *= cpu / candidate.cpu
    moved = msgspec.structs.replace(
        candidate,
        hit=hit,
        miss=miss,
        stale=stale,
        cpu=cpu,
        p50=p50,
        p99=max(p99, p50),
        parts=parts,
        cost=sum(parts.values()),
        cpu_month=candidate.cpu_month + (cpu - candidate.cpu) * workload.rate * MONTH,
        miss_most=None,
        stale_most=None,
    )
    return judged(moved, evidence.constraints, workload)


def _size(one: Replayed) -> float:
    return float(one.k or 1)


def _off(one: Replayed) -> float:
    """By how much the forecast of the hit rate is to be moved: 0 where it is right within the tolerance."""
    off = one.hit - one.forecast_hit
    return off if abs(off) > HIT_TOLERANCE else 0.0


def _cpu_at_hit(one: Replayed, measured: Measured) -> float:
    """The forecast of the CPU, had that of the hit rate been right: what is still off is not of the hits."""
    right = cpu_of(one.paradigm, one.forecast_hit + _off(one), measured)
    return one.forecast_cpu + right - cpu_of(one.paradigm, one.forecast_hit, measured)


def _off_stale(one: Replayed) -> float:
    off = 0.0 if one.forecast_stale is None else one.stale - one.forecast_stale
    return off if abs(off) > HIT_TOLERANCE else 0.0


def _ratio(value: float | None, forecast: float) -> float:
    return value / forecast if value is not None and forecast else 1.0


def _wrong(value: float | None, forecast: float) -> bool:
    """Whether a forecast of CPU or p50 was off by more than the tolerance."""
    return abs(_ratio(value, forecast) - 1.0) > COST_TOLERANCE


def _name(candidate: Candidate) -> str:
    """What a candidate is, in words."""
    if candidate.k is None:
        return "dynamic serving"
    every = "" if candidate.refresh is None else f", built every {duration_word(candidate.refresh)}"
    return f"{candidate.paradigm} serving of the top {candidate.k:,}{every}"
