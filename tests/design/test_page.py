"""page.py and figures.py: one file that needs nothing else, in which no name is markup; what is missing says why."""

from __future__ import annotations

import re
from html.parser import HTMLParser
from xml.etree import ElementTree

import msgspec
import pytest
from tests.design.designs import bare, design, training_evidence, workload

from ninetyfive.design.evidence import Decay, Design, Interval
from ninetyfive.design.figures import figures
from ninetyfive.design.markdown import markdown
from ninetyfive.design.page import boxes, page
from ninetyfive.design.plane import plane

NAMES = ["plane", "decay", "policies", "costs", "times", "coverage"]
EVIL = '<script>alert("x")</script> & `a` | [b](javascript:c) *d*'


@pytest.fixture(scope="module")
def whole() -> str:
    return page(design())


class Tags(HTMLParser):
    """The tags of a page, in order, with their attributes; what is open and never closed."""

    VOID = ("meta", "br", "img", "link", "input", "hr")

    def __init__(self, text: str) -> None:
        super().__init__()
        self.seen: list[tuple[str, dict[str, str | None]]] = []
        self.open: list[str] = []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.seen.append((tag, dict(attrs)))
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.seen.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


def test_the_page_is_whole_and_needs_nothing_else(whole: str) -> None:
    tags = Tags(whole)
    assert tags.open == []
    kinds = {tag for tag, _ in tags.seen}
    assert not kinds & {"script", "link", "img", "iframe", "object", "base"}
    loading = [value for _, attributes in tags.seen for name, value in attributes.items() if name in ("src", "href")]
    assert [value for value in loading if not str(value).startswith("#")] == []
    assert "@import" not in whole
    assert set(re.findall(r"url\((.)", whole)) <= {"#"}
    assert re.findall(r"https?://(?!www\.w3\.org/)\S+", whole) == []
    assert 'name="viewport"' in whole
    assert "prefers-color-scheme: dark" in whole


def test_ids_are_given_once(whole: str) -> None:
    ids = [attributes["id"] for _, attributes in Tags(whole).seen if "id" in attributes]
    assert len(ids) == len(set(ids))
    assert set(re.findall(r"url\(#([\w-]+)\)", whole)) <= set(ids)


def test_equal_designs_give_equal_bytes(whole: str) -> None:
    assert page(design()) == whole
    assert markdown(design()) == markdown(design())


def test_every_figure_is_drawn_from_whole_evidence() -> None:
    drawn = figures(design())
    assert [one.name for one in drawn] == NAMES
    for one in drawn:
        assert one.svg is not None
        ElementTree.fromstring(one.svg)
    said = {one.name: one.svg or "" for one in drawn}
    assert ">this system<" in said["plane"]
    assert ">half-life 42d<" in said["decay"]
    assert ">every 7d on 90d (chosen)<" in said["policies"]
    assert ">oracle *<" in said["policies"]
    assert ">drop 10 %, watch 7d<" in said["policies"]
    assert ">chosen: K = 1,000<" in said["costs"]
    assert ">LRU cache<" in said["coverage"]


def test_a_figure_without_evidence_is_left_out_and_says_why() -> None:
    for one in figures(bare()):
        assert one.svg is None
        assert one.caption.startswith("Not drawn: ")
    assert page(bare()).count("Not drawn: ") == len(NAMES)


def test_numbers_that_are_not_finite_are_not_drawn() -> None:
    evidence = training_evidence()
    odd = tuple(msgspec.structs.replace(one, excess=Interval(float("inf"))) for one in evidence.decay[0].points[:2])
    decay = Decay(metric="auc", points=odd, decays=False, p_value=None, half_life=float("inf"), reason="")
    made = design(training_evidence=msgspec.structs.replace(evidence, decay=(decay,)))
    (drawn,) = (one for one in figures(made) if one.name == "decay")
    assert drawn.svg is not None
    assert "NaN" not in drawn.svg


def test_where_no_table_could_be_measured_there_is_no_plane_and_a_dash() -> None:
    evidence = design().serving_evidence
    assert evidence.measured is not None
    cost = msgspec.structs.replace(
        evidence.measured, cpu_table=float("nan"), cpu_row=float("nan"), bytes_row=float("nan")
    )
    made = design(serving_evidence=msgspec.structs.replace(evidence, measured=cost))
    assert plane(made.serving_evidence) == ()
    assert "nan" not in markdown(made)


def evil() -> Design:
    made = design(system=EVIL, release=EVIL, noticed=(EVIL,), left_out=(EVIL,))
    training = msgspec.structs.replace(made.training, reasons=(EVIL,))
    return msgspec.structs.replace(
        made, training=training, training_evidence=msgspec.structs.replace(training_evidence(), metric=EVIL)
    )


def test_no_name_becomes_markup() -> None:
    shown = page(evil())
    assert "script" not in {tag for tag, _ in Tags(shown).seen}
    assert "&lt;script&gt;" in shown
    text = markdown(evil())
    assert "<script>" not in text.replace("\\<script\\>", "")
    assert "[b](" not in text.replace("\\[b](", "")
    for table in re.findall(r"(?:^\|.*\n)+", text, re.MULTILINE):
        assert len({len(re.findall(r"(?<!\\)\|", row)) for row in table.splitlines()}) == 1


def test_the_markdown_says_the_decision_first_and_all_that_a_reader_asks() -> None:
    text = markdown(design())
    titles = re.findall(r"^##? (.*)", text, re.MULTILINE)
    assert titles == [
        "Design 0001 of trips", "Evidence: training", "Evidence: serving", "Sizing", "Alternatives, and why not",
        "What would change the answer", "Assumptions", "Left out for want of time", "How it was measured",
    ]  # fmt: skip
    head = text[: text.index("## ")]
    assert "Dynamic training: every 7d, on the newest 90d" in head
    assert "Hybrid serving: a table of the 1,000 entities most asked about, built again every 1d" in head
    for said in ("p = 0.0004", "half-life 42d", "on drift", "| chosen |", "machine: 2 cores"):
        assert said in text
    assert "window 180d: 40 trainings" in text[text.index("## Left out") :]


def test_the_diagram_names_the_components_of_what_was_chosen(whole: str) -> None:
    named = boxes(design())
    assert named["table"].lines == ("K = 1,000", "built every 1d", "62.5 KiB")
    assert named["trainings"].lines == ("every 7d", "newest 90d")
    assert named["labels"].lines == ("6h late",)
    assert named["requests"].lines == ("13.8 a minute",)
    assert named["workers"].lines == ("1 worker", "table, else model")
    assert "table" not in boxes(bare())
    assert ">table<" in whole
    assert ">table<" not in page(bare())


def test_what_only_entities_or_trainings_tell_is_not_said_without_them() -> None:
    training, serving = training_evidence(), design().serving_evidence
    nobody = msgspec.structs.replace(workload(0), peakedness=1.0)
    short = msgspec.structs.replace(
        training, training_seconds=0.0, gain=None, decay=(msgspec.structs.replace(training.decay[0], half_life=None),)
    )
    text = markdown(
        design(
            training_evidence=short, serving_evidence=msgspec.structs.replace(serving, workload=nobody, candidates=())
        )
    )
    assert "| requests, and entities asked about | 600,000, 0 |" in text
    for said in ("peakedness (1", "half-life –", "gains –", "of 0 s"):
        assert said not in text, said


def test_a_rate_that_is_assumed_is_not_drawn_as_known() -> None:
    found = design()
    assert boxes(found)["requests"].lines == ("13.8 a minute",)
    rare = msgspec.structs.replace(workload(), rate=0.001)
    for assumed, said in ((False, "3.6 an hour"), (True, "rate not known")):
        serving = msgspec.structs.replace(found.serving_evidence, workload=rare, assumed=assumed)
        assert boxes(design(serving_evidence=serving))["requests"].lines == (said,)


def test_the_command_that_accepts_names_what_is_assumed() -> None:
    assert "`ninetyfive design --accept 1` puts it in force" in markdown(design())
    guessed = msgspec.structs.replace(design().serving, confidence="assumed")
    assert "--accept 1 --assume requests-like-data` puts" in markdown(design(serving=guessed))
