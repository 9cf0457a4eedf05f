"""Which training a system needs: measured over its own history, then chosen by a pure function of what was measured.

    history, recipe ─ blocks ─▶ backtest ─▶ decay · windows · policies ─▶ TrainingEvidence ─ choose_training ─▶ choice

Retraining is advised only where a test says that models decay, beyond doubt or with a saving that is above 0 by its
interval, and where it is cheaper than never training again, as the mean over all moments at which a system could have
begun: what happened to the first model of the history is luck. Of the policies only those are chosen that
`run --if-due` can do. Where none is chosen, the champion is watched if that would have cost no more: an insurance
against a jump, which no history without one can tell of. Not so where older models were better than fresh ones, beyond
chance: with a season, say, what came since a drop is not what comes next.
What does not belong here: how anything is measured (the modules above), what a training is made of (`backtest`).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import msgspec
import numpy as np

from ninetyfive import values
from ninetyfive.design.backtest import backtest, halves_of
from ninetyfive.design.blocks import Blocks, blocks_of
from ninetyfive.design.contrasts import luck_of
from ninetyfive.design.decay import LEVEL, decay_of
from ninetyfive.design.evidence import (
    Alternative,
    Decay,
    PolicyScore,
    TrainingChoice,
    TrainingEvidence,
)
from ninetyfive.design.history import TIME, History
from ninetyfive.design.replays import DAY, NEVER, ON_DROP, PERIODIC, Rates, score_policies, window_of
from ninetyfive.design.trainer import Recipe, Trainer, Trains
from ninetyfive.design.windows import best_gain, compare_windows
from ninetyfive.design.wording import money, percent
from ninetyfive.durations import duration, duration_text, duration_word
from ninetyfive.paradigms import DynamicTraining, Training
from ninetyfive.prices import MONTH
from ninetyfive.settings import DesignSettings, PriceSettings

LEAST_SECONDS = 60.0
"""What a training is taken to cost at least, in seconds of a processor core: a run also reads, judges and writes."""
PAIRS = 3
"""The fewest pairs of an old and a fresh model on one block from which anything follows."""
UNSEEN = 0.5
"""The share of the gain that may be lost unseen, by the test, before its "no decay" counts for nothing."""
BEYOND_DOUBT = 0.01
"""The p-value of decay below which the cheapest policy is taken, however wide the interval of what it saves."""
_WEEK = 7.0


@dataclass(frozen=True, slots=True)
class Money:
    """What a training costs and what a metric is worth: an hour of a core, a hundredth of the metric a day, or none.

    Without `point_day` a loss of `tolerance` × the gain over the constant baseline for seven days is worth a training.
    """

    cpu_hour: float
    point_day: float | None
    tolerance: float
    currency: str = "USD"

    @classmethod
    def of(cls, prices: PriceSettings, design: DesignSettings) -> Money:
        """From the settings."""
        return cls(prices.cpu_hour, prices.point_day, design.tolerance, prices.currency)

    def price(self, seconds: float) -> float:
        """The price of a training of so many seconds."""
        return max(seconds, LEAST_SECONDS) / 3_600.0 * self.cpu_hour

    def worth(self, price: float, gain: float | None) -> tuple[float, str]:
        """What one unit of the metric is worth a day, and where that was said; 0 where nobody can tell."""
        if self.point_day is not None:
            return self.point_day * 100.0, "[prices] point_day"
        if gain is None or gain <= 0 or self.tolerance <= 0:
            return 0.0, "nothing: a fresh model gains nothing over the constant baseline"
        text = f"[design] tolerance: to lose {self.tolerance:.0%} of the gain for {_WEEK:.0f} days weighs one training"
        return price / (_WEEK * self.tolerance * gain), text


def measure_training(
    history: History,
    recipe: Recipe,
    money: Money,
    left: Callable[[], float] = lambda: np.inf,
    trains: Callable[[History, Recipe, Blocks], Trains] = Trainer,
) -> TrainingEvidence:
    """Backtest a recipe over a history, as far as `left()` seconds go; what stands in the way is said in `cannot`.

    `trains` gives who makes the trainings: this process, or `Children.trains`.
    """
    blocks = blocks_of(history)
    evidence = _about(history, recipe, blocks)
    if history.cannot or blocks.cannot:
        return msgspec.structs.replace(evidence, cannot=(*history.cannot, *(() if history.cannot else blocks.cannot)))
    trainer = trains(history, recipe, blocks)
    test = backtest(trainer, left)
    metric = recipe.metrics[0]
    found = {
        "trainings": test.trainings,
        "noticed": (*evidence.noticed, *test.failed),
        "left_out": (*evidence.left_out, *test.left_out),
    }
    made = int(np.isfinite(np.diagonal(test.grids[test.main].losses[metric][:, :, 0])).sum())
    if made < 2:
        why = "the metric is not defined on any block" if test.trainings and not test.failed else "trainings failed"
        if test.left_out and not test.failed:
            why = "there was no time for two trainings (give it a larger --budget)"
        return msgspec.structs.replace(evidence, cannot=(f"{why}: nothing can be compared",), **found)
    seconds = test.seconds / max(history.share, 1e-9)
    gain, price = best_gain(test, metric), money.price(seconds)
    worth, told = money.worth(price, gain)
    rates = Rates(price, worth)
    window = window_of(test, metric, rates) if worth > 0 else test.main
    aged = test.main if window is None else window
    halves = halves_of(trainer, aged, left)
    decay = tuple(decay_of(test, name, aged, halves) for name in recipe.metrics)
    policies = score_policies(test, metric, window, rates, luck_of(halves, metric, aged)) if worth > 0 else ()
    cannot = _inconclusive(decay[0], gain)
    return msgspec.structs.replace(
        evidence,
        gain=gain,
        decay=decay,
        windows=compare_windows(test, metric),
        policies=policies,
        replayed_days=(blocks.count - blocks.warm) * blocks.length / DAY,
        training_seconds=seconds,
        training_price=price,
        worth=worth,
        worth_from=told,
        currency=money.currency,
        cannot=cannot,
        **found,
    )


def _inconclusive(decay: Decay, gain: float | None) -> tuple[str, ...]:
    """Why nothing follows from a decay, where nothing does."""
    if decay.p_value is None:
        return (decay.reason,)
    if (pairs := sum(point.pairs for point in decay.points)) < PAIRS:
        return (
            f"{pairs} pairs of an old model and a fresh one are too few to tell age from luck ({PAIRS} are needed)",
        )
    if gain is None or gain <= 0:
        return ("a fresh model gains nothing over the constant baseline: whether it decays decides nothing",)
    if not decay.decays and (decay.detectable or 0.0) > UNSEEN * gain:
        return (f"the history is too short or too noisy: {decay.reason}",)
    return ()


def _about(history: History, recipe: Recipe, blocks: Blocks) -> TrainingEvidence:
    time = history.frame[TIME]
    first, last = (None, None) if not len(time) else (int(time[0]), int(time[-1]))
    return TrainingEvidence(
        metric=recipe.metrics[0],
        task=history.task,
        rows=history.frame.height,
        first=None if first is None else str(values.plain(first, "timestamp")),
        last=None if last is None else str(values.plain(last, "timestamp")),
        blocks=blocks.count,
        block=float(blocks.length),
        label_delay=blocks.delay,
        gain=None,
        noticed=(*history.noticed, *blocks.noticed),
        left_out=history.left_out,
    )


def choose_training(evidence: TrainingEvidence, in_force: Training | None, hysteresis: float = 0.1) -> TrainingChoice:
    """The cheapest of never, periodic and watched that the evidence allows; what is in force where nothing else is.

    Another one has to be cheaper than the one in force by the share `hysteresis`. Where nothing can be concluded the
    confidence is "none", and what is in force stays.
    """
    if evidence.cannot or not evidence.policies:
        return _undecided(evidence, in_force)
    decay = evidence.decay[0]
    scores = [score for score in evidence.policies if score.runs]
    plain = next(score for score in scores if score.name == NEVER)
    sure = [score for score in scores if score is not plain and _may(decay, score)]
    best = min([plain, *sure], key=lambda score: score.typical)
    reasons = [_decay_text(evidence, decay)]
    held = _nearest(scores, in_force)
    if held is not None and held is not best and best.typical >= held.typical:
        reasons.append(f"{_name(held)}, the nearest to what is in force, costs no more than {_name(best)}: it stays")
        best = held
    elif held is not None and held is not best and held.typical - best.typical < hysteresis * abs(held.typical):
        reasons.append(
            f"{_name(best)} would cost {_share(held.typical - best.typical, held.typical)} less than {_name(held)}, "
            f"which is in force: less than the {hysteresis:.0%} for which a design changes"
        )
        best = held
    reasons.append(_cost_text(evidence, best, plain))
    turns = (decay.p_value or 0.0) > 1.0 - LEVEL  # what is newest is not what comes next: a season, for example
    insured = _insurance(scores, plain) if best is plain and not turns else None
    if insured is not None and held is plain:
        reasons.append(f"{_name(insured)} would have cost no more, and is an insurance against a jump")
    elif insured is not None:
        best = insured
        reasons.append(_insurance_text(best))
    every, window, watch, drop = best.every, best.window, best.watch, best.drop
    if every is None and (len(evidence.windows) < 2 or not decay.decays):
        window = _static_window(evidence, in_force)
    if in_force is not None and best is held:
        every, window, watch, drop = _of(in_force)
    days = max(evidence.replayed_days, 1e-9)
    return TrainingChoice(
        paradigm="static" if every is None else "dynamic",
        policy=best.name,
        every=every,
        window=window,
        watch=watch,
        drop=drop,
        half_life=decay.half_life,
        saves=(plain.typical - best.typical) / days * MONTH / DAY,
        confidence="measured",
        reasons=tuple(reasons),
        alternatives=tuple(_alternatives(evidence, best, sure)),
        would_change=tuple(_would_change(evidence, best, plain)),
    )


def _undecided(evidence: TrainingEvidence, in_force: Training | None) -> TrainingChoice:
    every, window, watch, drop = _of(in_force)
    stays = "what is in force stays" if in_force is not None else "train once, and look again when there is more"
    return TrainingChoice(
        paradigm="static" if every is None else "dynamic",
        policy=PERIODIC if every is not None else NEVER if watch is None else ON_DROP,
        every=every,
        window=window,
        watch=watch,
        drop=drop,
        half_life=None,
        saves=None,
        confidence="none",
        reasons=(*(evidence.cannot or ("no policy could be replayed",)), stays),
        would_change=("a longer history with labels, in which models of several ages can be compared",),
    )


def _may(decay: Decay, score: PolicyScore) -> bool:
    """Whether a policy may be chosen by its cost: models decay beyond doubt, or they decay and it is sure to save."""
    if not decay.decays:
        return False
    beyond = decay.p_value is not None and decay.p_value < BEYOND_DOUBT
    return beyond or (score.saves is not None and (score.saves.low or 0.0) > 0.0)


def _insurance(scores: list[PolicyScore], plain: PolicyScore) -> PolicyScore | None:
    """The cheapest way to watch that would have cost no more than never training again; of equal ones the closest."""
    least = plain.cost + 1e-9 * abs(plain.cost)
    fitting = [score for score in scores if score.name == ON_DROP and score.cost <= least]
    return min(
        fitting,
        key=lambda score: (score.trainings > 0, score.cost, duration(score.watch or "1s"), score.drop),
        default=None,
    )


def _static_window(evidence: TrainingEvidence, in_force: Training | None) -> str | None:
    """The window of static training without decay: the longest whose fresh models are not worse beyond chance.

    With nothing to say that the newest is better, more is: the window of the cheapest period may be short by luck.
    """
    if len(evidence.windows) < 2:  # no window was compared with another
        return in_force.window if in_force is not None else None
    fitting = [one.window for one in evidence.windows if (one.excess.low or 0.0) <= 0.0]
    return max(fitting, key=lambda window: np.inf if window is None else duration(window))


def _of(training: Training | None) -> tuple[str | None, str | None, str | None, float | None]:
    """Period, window, watch and drop of a training in force."""
    if training is None:
        return None, None, None, None
    if isinstance(training, DynamicTraining):
        return training.every, training.window, None, None
    return None, training.window, training.watch, training.drop if training.watch else None


def _nearest(scores: list[PolicyScore], in_force: Training | None) -> PolicyScore | None:
    """The replayed policy that is nearest to the training in force."""
    if in_force is None:
        return None
    every, _, watch, drop = _of(in_force)
    name = PERIODIC if every is not None else NEVER if watch is None else ON_DROP
    wanted = np.log(duration(every or watch or "1s"))

    def apart(score: PolicyScore) -> tuple[float, float]:
        length = np.log(duration(score.every or score.watch or "1s"))
        return abs(float(length - wanted)), abs((score.drop or 0.0) - (drop or 0.0))

    plain = next(score for score in scores if score.name == NEVER)
    return min((score for score in scores if score.name == name), key=apart, default=plain)


def _name(score: PolicyScore) -> str:
    if score.name == ON_DROP:
        return f"training when a look every {score.watch} finds a drop of {percent(score.drop)}"
    return "never training again" if score.every is None else f"training every {score.every}"


def _share(part: float, whole: float) -> str:
    return f"{part / whole:.0%}" if whole > 0 else "nothing"


def _decay_text(evidence: TrainingEvidence, decay: Decay) -> str:
    if not decay.decays:
        return f"{decay.metric}: {decay.reason}"
    known = [point for point in decay.points if point.excess.low is not None] or list(decay.points)
    worst = max(known, key=lambda point: point.excess.value)
    share = (
        f", {worst.excess.value / evidence.gain:.0%} of its gain over the constant baseline" if evidence.gain else ""
    )
    return (
        f"models decay (p = {decay.p_value:.2g}): at an age of {duration_text(worst.age)} a model loses "
        f"{worst.excess.value:.3g} of {decay.metric} more than a fresh one{share}"
    )


def _cost_text(evidence: TrainingEvidence, best: PolicyScore, plain: PolicyScore) -> str:
    days = f"{evidence.replayed_days:.3g} days, as the mean over all blocks at which it could have begun"
    never = money(plain.typical, evidence.currency)
    if best is plain:
        return f"never training again costs {never} over {days}, and nothing that may be chosen costs less"
    return f"{_name(best)} costs {money(best.typical, evidence.currency)} over {days}; never training again {never}"


def _insurance_text(best: PolicyScore) -> str:
    did = "made no training" if best.trainings == 0 else f"made {best.trainings} trainings, which paid for themselves"
    return (
        f"a look every {best.watch} {did} over the days replayed, and cost no more than never training again: it stays "
        "static, and is watched as an insurance against a jump, which no history without one can tell of"
    )


def _alternatives(evidence: TrainingEvidence, best: PolicyScore, sure: list[PolicyScore]) -> list[Alternative]:
    found, currency = [], evidence.currency
    for score in evidence.policies:
        if score is best:
            continue
        what = _name(score) if score.runs else score.name
        if score.name == "oracle":
            why = f"it knows the future: on this window no policy costs less than its {money(score.typical, currency)}"
        elif not score.runs:
            saved = money(best.typical - score.typical, currency)
            cheaper = f"would save {saved}" if score.typical < best.typical else "costs as much or more"
            why = f"`run --if-due` cannot do it yet; it {cheaper} over the days replayed"
        elif score.typical > best.typical:
            why = f"it costs {money(score.typical, currency)}, {money(best.typical, currency)} is less"
        elif score.name != NEVER and score not in sure:
            why = "what it saves over never training again cannot be told from chance"
        else:
            why = "it is cheaper by less than what a change has to save"
        found.append(Alternative(what, why))
    return found


def _would_change(evidence: TrainingEvidence, best: PolicyScore, plain: PolicyScore) -> list[str]:
    told = []
    rivals = [
        score
        for score in evidence.policies
        if score.runs and score.name != ON_DROP and (score.every is None) != (best.every is None)
    ]
    if rivals and evidence.worth > 0:
        rival = min(rivals, key=lambda score: score.cost)
        quality, trained = rival.quality_cost - best.quality_cost, best.training_cost - rival.training_cost
        if quality * trained > 0 and quality != 0:
            factor = trained / quality
            more = "more" if factor > 1 else "less"
            told.append(
                f"{_name(rival)} would cost as little if a unit of {evidence.metric} were worth {factor:.3g} times "
                f"({more} than) what it is taken for"
            )
    if best is plain or best.name == ON_DROP:
        told.append("decay that a longer history shows")
    else:
        told.append(f"blocks shorter than {duration_word(evidence.block)}: no shorter period was replayed")
    return told
