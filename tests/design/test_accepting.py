"""Accepting: what was measured may be put in force, what was not only by naming what is assumed; and what changed."""

from __future__ import annotations

import msgspec
import pytest
from tests.design.designs import bare, design, training_evidence

from ninetyfive.accepted import Accepted, AcceptedServing, AcceptedTraining
from ninetyfive.design.accepting import Difference, Part, decide_accept, decide_agreed, decide_changed
from ninetyfive.design.evidence import Confidence, Design
from ninetyfive.design.training import choose_training
from ninetyfive.errors import UsageError
from ninetyfive.paradigms import DynamicTraining, StaticTraining

NOW, BY = "2026-01-31T12:00:00+00:00", "user@host"


def sure(serving: Confidence, training: Confidence = "measured", paradigm: str = "hybrid") -> Design:
    """A design whose two decisions are as sure as that."""
    found = design()
    return msgspec.structs.replace(
        found,
        training=msgspec.structs.replace(found.training, confidence=training),
        serving=msgspec.structs.replace(
            found.serving, confidence=serving, paradigm=paradigm, k=None if paradigm == "dynamic" else 1_000
        ),
    )


def test_what_was_measured_is_put_in_force_as_it_is() -> None:
    found = design()
    accepted = decide_accept(found, None, NOW, BY)
    assert (accepted.record, accepted.system, accepted.accepted, accepted.by) == (found.number, found.system, NOW, BY)
    assert (accepted.training.every, accepted.training.window) == (found.training.every, found.training.window)
    assert (accepted.serving.paradigm, accepted.serving.top) == (found.serving.paradigm, found.serving.k)
    assert accepted.assumed == ()
    assert not decide_changed(found, accepted)


@pytest.mark.parametrize("paradigm", ["static", "hybrid"])
@pytest.mark.parametrize("confidence", ["assumed", "none"])
def test_a_table_that_nobody_measured_needs_its_assumption(paradigm: str, confidence: Confidence) -> None:
    found = sure(confidence, paradigm=paradigm)
    with pytest.raises(UsageError, match="--assume requests-like-data"):
        decide_accept(found, None, NOW, BY)
    with pytest.raises(UsageError, match="requests-like-data"):
        decide_accept(found, "answers", NOW, BY)
    assert decide_accept(found, "requests-like-data", NOW, BY).assumed == ("requests-like-data",)


def test_the_model_needs_no_assumption() -> None:
    assert decide_accept(sure("none", paradigm="dynamic"), None, NOW, BY).assumed == ()


def test_what_was_answered_is_accepted_as_answered() -> None:
    found = msgspec.structs.replace(
        sure("assumed", "assumed"), training_evidence=None, release=None, confidence="assumed"
    )
    with pytest.raises(UsageError, match="--assume answers"):
        decide_accept(found, None, NOW, BY)
    assert decide_accept(found, "answers", NOW, BY).assumed == ("answers",)


def test_an_assumption_that_there_is_none_of_is_refused() -> None:
    with pytest.raises(UsageError, match="--assume"):
        decide_accept(design(), "everything", NOW, BY)


def test_a_design_without_evidence_may_only_say_what_is_so_anyway() -> None:
    accepted = decide_accept(bare(), None, NOW, BY)
    assert (accepted.training.paradigm, accepted.serving.paradigm) == ("static", "dynamic")


@pytest.mark.parametrize(
    ("training", "serving", "said"),
    [
        (AcceptedTraining(paradigm="static"), None, "training: "),
        (AcceptedTraining(paradigm="dynamic", every="999d"), None, "training: "),
        (
            AcceptedTraining(paradigm="static", watch="3d", drop=0.2),
            None,
            "training: dynamic every 7d on 90d, not static ",
        ),
        (None, AcceptedServing(paradigm="dynamic"), "serving: hybrid, not dynamic"),
        (None, AcceptedServing(paradigm="hybrid", top=7), "serving: a table of "),
    ],
)
def test_what_changed_is_said(training: AcceptedTraining | None, serving: AcceptedServing | None, said: str) -> None:
    found = sure("proved")
    now = decide_accept(found, None, NOW, BY)
    was: Accepted = msgspec.structs.replace(now, training=training or now.training, serving=serving or now.serving)
    (differs,) = decide_changed(found, was).values()
    assert differs.words.startswith(said)


def differing(found: Design, **parts: object) -> dict[Part, Difference]:
    """What a measurement says that found `parts` of the serving otherwise than what is in force."""
    now = msgspec.structs.replace(found, serving=msgspec.structs.replace(found.serving, **parts))
    return decide_changed(now, decide_accept(found, None, NOW, BY))


def test_one_measurement_alone_changes_nothing() -> None:
    found = sure("proved")
    once, same = differing(found, paradigm="dynamic", k=None), differing(found)
    for first, second in ((once, same), (same, once)):
        changed, (unsure,) = decide_agreed(first, second)
        assert not changed
        assert unsure == "serving: dynamic, not hybrid: two measurements do not agree, so what is in force stays"


def test_two_measurements_that_agree_change_what_is_in_force() -> None:
    found = sure("proved")
    once = differing(found, paradigm="dynamic", k=None)
    assert decide_agreed(once, once) == (("serving: dynamic, not hybrid: two measurements say so",), ())
    # Of tables they agree on the way, not on the size.
    large, larger, small = (differing(found, k=k) for k in (2_000, 3_000, 500))
    (words,), unsure = decide_agreed(large, larger)
    assert words == "serving: a table of 3,000 entities, not a table of 1,000 entities: two measurements say so"
    assert not unsure
    assert not decide_agreed(large, small)[0]
    assert not decide_agreed(large, once)[0]


def test_measurements_of_a_period_agree_on_the_way() -> None:
    found = sure("proved")
    in_force = decide_accept(found, None, NOW, BY)

    def trained(every: str | None, window: str | None) -> dict[Part, Difference]:
        training = msgspec.structs.replace(found.training, every=every, window=window)
        return decide_changed(msgspec.structs.replace(found, training=training), in_force)

    assert decide_agreed(trained("14d", "90d"), trained("28d", None))[0]
    assert not decide_agreed(trained("14d", "90d"), trained("1d", "90d"))[0]
    assert decide_agreed(trained("7d", None), trained("7d", None))[0]
    assert not decide_agreed(trained("7d", None), trained("7d", "30d"))[0]


def test_a_table_of_a_file_is_told_from_one_of_the_log() -> None:
    found = sure("proved")
    was = decide_accept(found, None, NOW, BY)
    found = msgspec.structs.replace(found, serving=msgspec.structs.replace(found.serving, k=None))
    (differs,) = decide_changed(found, was).values()
    assert differs.words == "serving: a table of the file that system.py names, not a table of 1,000 entities"


def test_how_often_a_table_is_built_is_no_other_answer() -> None:
    found = sure("proved")
    was = decide_accept(found, None, NOW, BY)
    was = msgspec.structs.replace(was, serving=msgspec.structs.replace(was.serving, refresh="17m"))
    assert not decide_changed(found, was)


def test_a_watch_is_put_in_force_and_another_one_is_a_change() -> None:
    found = sure("proved")
    choice = msgspec.structs.replace(
        found.training, paradigm="static", policy="on quality drop", every=None, watch="3d", drop=0.25
    )
    found = msgspec.structs.replace(found, training=choice)
    accepted = decide_accept(found, None, NOW, BY)
    assert accepted.training.made() == StaticTraining("90d", "3d", 0.25)
    assert not decide_changed(found, accepted)
    other = msgspec.structs.replace(accepted, training=AcceptedTraining(paradigm="static", window="90d"))
    said = decide_changed(found, other)["training"]
    assert said.words == "training: static on 90d watched every 3d, for a drop of 25%, not static on 90d"


def test_a_training_in_force_that_costs_no_more_stays_and_says_so() -> None:
    known = msgspec.structs.replace(training_evidence(), cannot=())
    quiet = msgspec.structs.replace(known.decay[0], decays=False)
    known = msgspec.structs.replace(known, decay=(quiet, *known.decay[1:]))
    never = next(one for one in known.policies if one.runs and one.every is None)
    cheap = next(one for one in known.policies if one.runs and one.every is not None and one.cost < never.cost)
    found = choose_training(known, DynamicTraining(str(cheap.every)), 0.1)
    assert (found.paradigm, found.every) == ("dynamic", cheap.every)
    assert any("costs no more than never training again: it stays" in reason for reason in found.reasons)
    assert not any("-" in reason and "% less" in reason for reason in found.reasons)
