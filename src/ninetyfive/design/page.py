"""The record as a page: one HTML file that needs no network and no script, on phones and screens, light or dark.

    content(design), figures(design), what the diagram says ─ page.html.j2 ─▶ design/0001.html

Every text is escaped by the template. It needs the extra `design`: jinja2, altair, vl-convert. What does not belong
here: what the record says (`content`), the charts (`figures`).
"""

from __future__ import annotations

from importlib import import_module
from importlib.resources import files
from typing import Any, NamedTuple

from ninetyfive.design.content import Code, Items, Rows, Text, content
from ninetyfive.design.evidence import Design
from ninetyfive.design.figures import INK, LINES, PAPER, QUIET, figures
from ninetyfive.design.wording import CONFIDENCE, seconds, serving_words, size, training_words

EXTRA = ("jinja2", "altair", "vl_convert")
"""What the page is made with: the modules of the extra `design`."""
_FIGURES = {"training": ("decay", "policies"), "serving": ("plane", "coverage", "costs", "times")}
_MOST_LETTERS = 18


class Box(NamedTuple):
    """A component of the diagram: what it is, and what is said of it, a line each."""

    title: str
    lines: tuple[str, ...]


def page(design: Design) -> str:
    """The page of `design`, the same bytes for the same design; `ModuleNotFoundError` names what is missing."""
    for name in EXTRA:
        import_module(name)
    import jinja2

    environment = jinja2.Environment(
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=jinja2.StrictUndefined,
        keep_trailing_newline=True,
    )
    environment.filters["inline"] = _inline
    environment.tests["text"] = lambda block: isinstance(block, Text)
    environment.tests["items"] = lambda block: isinstance(block, Items)
    environment.tests["rows"] = lambda block: isinstance(block, Rows)
    environment.tests["code"] = lambda block: isinstance(block, Code)
    text = files("ninetyfive.design").joinpath("page.html.j2").read_text(encoding="utf-8")
    drawn = {one.name: one for one in figures(design)}
    return environment.from_string(text).render(
        design=design,
        cards=(
            ("Training", design.training.paradigm, _after(training_words(design.training)), design.training.confidence),
            ("Serving", design.serving.paradigm, _after(serving_words(design.serving)), design.serving.confidence),
        ),
        confidence=CONFIDENCE,
        sections=content(design),
        figures={name: [drawn[one] for one in ones] for name, ones in _FIGURES.items()},
        boxes=boxes(design),
        colours={"ink": INK, "quiet": QUIET, "lines": LINES, "paper": PAPER},
    )


def boxes(design: Design) -> dict[str, Box]:
    """The components of the chosen system, by name; "table" only where one answers."""
    training, serving, evidence = design.training, design.serving, design.training_evidence
    rows = (f"{evidence.rows:,} rows",) if evidence else ()
    delay = evidence.label_delay if evidence else 0.0
    window = f"newest {training.window}" if training.window else "all rows"
    trained = ("once" if training.paradigm == "static" else f"every {training.every}", window)
    if training.watch:
        trained = ("once; on a drop", f"looks every {training.watch}")
    release = design.release[:12] if design.release else "not made yet"
    workers = f"{design.sizing.workers:,} × worker" if design.sizing.workers != 1 else "1 worker"
    says = {"static": "table answers", "dynamic": "model answers", "hybrid": "table, else model"}
    found = {
        "source": Box("source", (_short(design.system), *rows)),
        "trainings": Box("run --if-due", trained),
        "release": Box("release", (release,)),
        "workers": Box("serve", (workers, says[serving.paradigm])),
        "log": Box("request log", ("every answer",)),
        "labels": Box("labels", (f"{seconds(delay)} late" if delay else "joined by request",)),
        "requests": Box("requests", (_rate(design),)),
    }
    if serving.paradigm != "dynamic":
        held = "every entity" if serving.k is None else f"K = {serving.k:,}"
        again = f"built every {serving.refresh}" if serving.refresh else "built once"
        stored = next((size(one.table_bytes) for one in design.serving_evidence.candidates if one.k == serving.k), "")
        found["table"] = Box("table", (held, again, *((stored,) if stored else ())))
    return found


def _rate(design: Design) -> str:
    """How often requests come, in words."""
    workload = design.serving_evidence.workload
    if workload is None or design.serving_evidence.assumed:
        return "rate not known"
    for unit, length in (("second", 1), ("minute", 60), ("hour", 3600)):
        if workload.rate * length >= 1:
            return f"{workload.rate * length:,.3g} {'an' if unit == 'hour' else 'a'} {unit}"
    return f"{workload.rate * 86_400:,.3g} a day"


def _after(text: str) -> str:
    """What follows the paradigm."""
    return text.partition(": ")[2]


def _short(text: str) -> str:
    text = " ".join(text.split())
    return text if len(text) <= _MOST_LETTERS else text[: _MOST_LETTERS - 1] + "…"


def _inline(text: str) -> Any:
    """Text with what stands between backticks as code; all of it escaped."""
    import markupsafe

    parts = text.split("`")
    if len(parts) % 2 == 0:
        return markupsafe.escape(text)
    wrapped = (
        markupsafe.Markup("<code>{}</code>").format(part) if place % 2 else part for place, part in enumerate(parts)
    )
    return markupsafe.Markup("").join(wrapped)
