"""answers.py and asking.py: what follows from answers, what is assumed without them, and answers that cannot be."""

from __future__ import annotations

import re
import tomllib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ninetyfive.design.answers import CHANGE, Given, provisional
from ninetyfive.design.asking import QUESTIONS, Answers, questions, read_answers
from ninetyfive.design.evidence import Design
from ninetyfive.durations import duration
from ninetyfive.errors import UsageError
from ninetyfive.settings import DesignSettings, PriceSettings

GIVEN = Given(PriceSettings(), DesignSettings(), "2026-11-26T00:00:00+00:00")

SPAM = """
[entities]
count = "unbounded"
new = 0.9
asked = "once"
[inputs]
decided_by = "request"
change = "every-request"
[relation]
changes = "2d"
why = "adversary"
[labels]
delay = "6h"
[requests]
rate = 50
peak_rate = 400
[limits]
latency = 0.05
"""
VOICE = """
[entities]
count = "unbounded"
new = 0.15
asked = "few-dominate"
[inputs]
decided_by = "key"
change = "never"
[relation]
changes = "never"
why = "nature"
[requests]
rate = 200
"""
ADS = """
[entities]
count = 5_000
new = 0.002
asked = "evenly"
[inputs]
decided_by = "entity"
change = "1d"
[relation]
changes = "14d"
why = "taste"
[labels]
delay = "7d"
[requests]
rate = 300
peak_rate = 2_000
"""


def made(text: str) -> Design:
    return provisional(text, GIVEN)


def test_a_spam_filter_is_trained_and_served_dynamically() -> None:
    design = made(SPAM)
    assert (design.training.paradigm, design.training.every, design.training.window) == ("dynamic", "1d", "16d")
    assert (design.serving.paradigm, design.serving.k, design.serving.refresh) == ("dynamic", None, None)
    assert any("not known before" in reason for reason in design.serving.reasons)


def test_voice_commands_are_trained_once_and_served_from_a_table_and_a_model() -> None:
    design = made(VOICE)
    assert (design.training.paradigm, design.training.policy, design.training.every) == ("static", "never", None)
    assert (design.serving.paradigm, design.serving.refresh) == ("hybrid", "1d")
    assert design.serving.k is not None
    assert {one.what for one in design.serving.alternatives} == {"static serving", "dynamic serving"}


def test_ad_conversion_is_trained_with_label_delay_and_served_from_a_table() -> None:
    design = made(ADS)
    assert (design.training.paradigm, design.training.every, design.training.window) == ("dynamic", "7d", "112d")
    assert any('label_delay="7d"' in reason for reason in design.training.reasons)
    assert (design.serving.paradigm, design.serving.k, design.serving.refresh) == ("static", 5_000, "1d")
    assert design.sizing.should_be_table


@pytest.mark.parametrize("text", [SPAM, VOICE, ADS])
def test_what_follows_from_answers_is_never_more_than_assumed(text: str) -> None:
    design = made(text)
    assert design.confidence == design.training.confidence == design.serving.confidence == "assumed"
    assert design.serving_evidence.assumed
    assert design.serving_evidence.workload is None
    assert design.training_evidence is None
    assert design.release is None
    assert all(one.what and one.settle for one in design.assumptions)


def test_without_answers_everything_is_an_assumption() -> None:
    for text in ("", "[entities]\n", questions(), '[relation]\nwhy = "unknown"\nchanges = "unknown"\n'):
        design = made(text)
        assert (design.training.paradigm, design.serving.paradigm) == ("static", "dynamic")
        assert design.confidence == "none"
        assert len(design.assumptions) >= 7
        assert not design.sizing.should_be_table


def test_each_answer_takes_an_assumption_away() -> None:
    def assumed(text: str) -> set[str]:
        return {one.what for one in made(text).assumptions}

    for more in ('[labels]\ndelay = "1d"', "[requests]\nrate = 1.5", "[data]\nrows = 10", "[errors]\ncost = 1"):
        assert assumed(more) < assumed("")
    taken = assumed('[relation]\nwhy = "nature"')
    assert "the relation does not change" in taken
    assert any("2d" in one for one in assumed('[relation]\nwhy = "adversary"'))


@pytest.mark.parametrize(("change", "serving"), [("1h", "dynamic"), ("1d", "static"), ("never", "static")])
def test_features_that_change_while_a_table_stands_forbid_it(change: str, serving: str) -> None:
    assert made(ADS.replace('change = "1d"', f'change = "{change}"')).serving.paradigm == serving


@pytest.mark.parametrize(("new", "serving"), [(0.01, "static"), (0.011, "dynamic")])
def test_more_new_entities_than_may_miss_forbid_a_table_of_all(new: float, serving: str) -> None:
    assert made(ADS.replace("new = 0.002", f"new = {new}")).serving.paradigm == serving


def test_the_head_grows_with_the_requests_and_stays_below_the_entities() -> None:
    def head(rate: float, count: str = '"unbounded"') -> int:
        text = VOICE.replace("rate = 200", f"rate = {rate}").replace('"unbounded"', count)
        k = made(text).serving.k
        assert k is not None
        return k

    heads = [head(rate) for rate in (1e-4, 0.01, 1.0, 100.0)]
    assert heads == sorted(heads)
    assert heads[0] < heads[-1]
    assert head(1e6, "20_000_000") <= 20_000_000
    assert made(VOICE[: VOICE.index("[requests]")]).serving.k == 1_000


def test_labels_later_than_the_change_are_noticed() -> None:
    design = made(ADS.replace('delay = "7d"', 'delay = "30d"'))
    assert any("a model is behind however often it is made" in one for one in design.noticed)


def test_a_season_is_learned_from_a_whole_year() -> None:
    design = made('[relation]\nwhy = "season"\n')
    assert (design.training.paradigm, design.training.window) == ("dynamic", None)
    assert duration(str(design.training.every)) == CHANGE["season"] / 2


WRONG = [
    ("[entities]\ncount = 0", "line 2, [entities] count", "a whole number from 1"),
    ("[entities]\n\ncount = true", "line 3, [entities] count", "a whole number from 1"),
    ("[entities]\nnew = 1.5", "line 2, [entities] new", "a share from 0 to 1"),
    ("[entities]\nnew = nan", "line 2, [entities] new", "a share from 0 to 1"),
    ("[entities]\nasked = \"often\"", "line 2, [entities] asked", "few-dominate"),
    ("[entities]\nasks = 1", "line 2, [entities] asks", "did you mean 'asked'?"),
    ("[requests]\nrate = -1", "line 2, [requests] rate", "a number above 0"),
    ("[requests]\nrate = inf", "line 2, [requests] rate", "a number above 0"),
    ("[requests]\nrate = 9\npeak_rate = 3", "[requests] rate and peak_rate", "not below the mean"),
    ("[labels]\ndelay = \"soon\"", "line 2, [labels] delay", "a length of time"),
    ("[labels]\ndelay = 7", "line 2, [labels] delay", "a length of time"),
    ("[labels]\ndelay = \"never\"", "line 2, [labels] delay", "a length of time"),
    ("[relation]\nwhy = \"adversary\"\nchanges = \"never\"", "[relation] changes and why", "an adversary learns"),
    ("[inputs]\ndecided_by = \"key\"\nchange = \"every-request\"", "[inputs] decided_by", "one input for each key"),
    ("[entities]\nasked = \"once\"\nnew = 0.0", "[entities] asked and new", "mostly new entities"),
    ("[system]\nname = \"\"", "line 2, [system] name", "text"),
    ("[entity]\ncount = 3", "line 1, 'entity'", "did you mean 'entities'?"),
    ("entities = 3", "'entities'", "a table"),
    ("entities.count = \"x\"", "line 1, [entities] count", "a whole number"),
    ("[entities\n", "answers", "TOML"),
]  # fmt: skip


@pytest.mark.parametrize(("text", "where", "said"), WRONG)
def test_an_answer_that_cannot_be_is_named_by_its_line(text: str, where: str, said: str) -> None:
    with pytest.raises(UsageError) as caught:
        made(text)
    assert where in caught.value.where
    assert said in str(caught.value)


def test_the_template_asks_everything_and_every_example_is_an_answer() -> None:
    template = questions()
    assert tomllib.loads(template) == {one.table: {} for one in QUESTIONS}
    assert {one.field for one in QUESTIONS} == set(Answers.__struct_fields__)
    answered = re.sub(r"^# (\w+ = )", r"\1", template, flags=re.MULTILINE)
    found = read_answers(answered)
    assert all(getattr(found, one.field) is not None for one in QUESTIONS)
    assert max(map(len, template.splitlines())) <= 120


EXAMPLES = {one: st.sampled_from([one.example, '"unknown"']) for one in QUESTIONS}


@given(st.fixed_dictionaries({}, optional=EXAMPLES))
def test_any_set_of_answers_gives_a_design(chosen: dict[object, str]) -> None:
    text = "\n".join(f"{one.table}.{one.key} = {chosen[one]}" for one in QUESTIONS if one in chosen)
    design = made(text)
    assert design.confidence in ("assumed", "none")
    assert design.training.every is None or duration(design.training.every) >= 3600
    assert (design.serving.k is None) == (design.serving.paradigm == "dynamic")
