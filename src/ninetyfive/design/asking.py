"""What an architect would ask before there is data: one table of questions; template and reader come from it.

    QUESTIONS ─ questions() ─▶ a commented TOML file ─ somebody answers ─▶ read_answers() ─▶ Answers

No question has to be answered: what is left out, or "unknown", is None. What does not belong here: what follows from
answers (`answers`).
"""

from __future__ import annotations

import math
import re
import tomllib
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import msgspec

from ninetyfive.durations import duration
from ninetyfive.errors import DeclarationError, UsageError, near_names

NEVER, EVERY_REQUEST, UNBOUNDED, UNKNOWN = "never", "every-request", "unbounded", "unknown"
_MOST = 1e15


class Answers(msgspec.Struct, frozen=True, kw_only=True):
    """The answers, a field a question; None: nobody knows. Durations in seconds: never is infinity, every request 0.

    `entities_count` is infinity where it is unbounded.
    """

    system_name: str | None = None
    entities_count: float | None = None
    entities_new: float | None = None
    entities_asked: str | None = None
    inputs_decided_by: str | None = None
    inputs_change: float | None = None
    relation_changes: float | None = None
    relation_why: str | None = None
    labels_delay: float | None = None
    requests_rate: float | None = None
    requests_peak_rate: float | None = None
    limits_latency: float | None = None
    limits_staleness: float | None = None
    limits_misses: float | None = None
    limits_budget: float | None = None
    data_rows: int | None = None
    data_rows_a_day: float | None = None
    data_bytes_row: float | None = None
    training_seconds: float | None = None
    errors_cost: float | None = None


class Kind(NamedTuple):
    """What an answer may be, in words, and how it is read; the reader raises `ValueError`."""

    words: str
    read: Callable[[object], Any]


class Question(NamedTuple):
    """A question of the table `table`: what is asked, an answer as it may be, and what an answer may be."""

    table: str
    key: str
    asks: str
    example: str
    kind: Kind

    @property
    def field(self) -> str:
        """The field of `Answers`."""
        return f"{self.table}_{self.key}"


def _number(least: float, most: float = _MOST) -> Callable[[object], float]:
    def read(value: object) -> float:
        if isinstance(value, bool) or not isinstance(value, int | float) or not least <= value <= most:
            raise ValueError
        return float(value)

    return read


def _whole(least: int) -> Callable[[object], int]:
    def read(value: object) -> int:
        if isinstance(value, bool) or not isinstance(value, int) or not least <= value <= _MOST:
            raise ValueError
        return value

    return read


def _text(value: object) -> str:
    if not isinstance(value, str) or not value.strip():
        raise ValueError
    return value


def _duration(**words: float) -> Callable[[object], float]:
    def read(value: object) -> float:
        if not isinstance(value, str):
            raise ValueError
        return words[value] if value in words else float(duration(value))

    return read


def _one_of(*words: str) -> Kind:
    def read(value: object) -> str:
        if value not in words:
            raise ValueError
        return str(value)

    return Kind("one of " + ", ".join(f'"{word}"' for word in words), read)


def _count(value: object) -> float:
    return math.inf if value == UNBOUNDED else float(_whole(1)(value))


_LENGTH = Kind('a length of time like "30m", "6h", "1d" or "12w"', _duration())
_NEVER_TOO = Kind('a length of time like "6h" or "12w", or "never"', _duration(never=math.inf))
_CHANGE = Kind(
    'a length of time like "6h" or "12w", "never" or "every-request"',
    _duration(**{NEVER: math.inf, EVERY_REQUEST: 0.0}),
)
_POSITIVE = Kind("a number above 0", _number(1e-12))
_SHARE = Kind("a share from 0 to 1", _number(0.0, 1.0))
_MONEY = Kind("a number from 0", _number(0.0))

QUESTIONS = (
    Question("system", "name", "What is the system called?", '"spam"', Kind("text", _text)),
    Question(
        "entities", "count",
        "How many different things can be asked about (ads, users, phrases)?\nWhat anybody may write is unbounded.",
        "5000", Kind('a whole number from 1, or "unbounded"', _count),
    ),
    Question(
        "entities", "new",
        "How do they grow: which share of requests is about something that was never asked about before?",
        "0.02", _SHARE,
    ),
    Question(
        "entities", "asked",
        "How often is each asked about? Once: hardly any comes again; evenly: all come again, about equally often;\n"
        "few-dominate: a few make most requests.",
        '"few-dominate"', _one_of("once", "evenly", "few-dominate"),
    ),
    Question(
        "inputs", "decided_by",
        "Who decides what the model sees? The entity: its features are known before a request comes; the key: one\n"
        "fixed input for each thing asked about (a phrase, a word); the request: whoever asks sends it.",
        '"entity"', _one_of("entity", "key", "request"),
    ),
    Question("inputs", "change", "How soon do the features of one entity change?", '"1d"', _CHANGE),
    Question(
        "relation", "changes",
        "How soon does the relation of inputs and answer change so much that a model of before is clearly worse?",
        '"4w"', _NEVER_TOO,
    ),
    Question(
        "relation", "why",
        "Why might it change? An adversary who learns, a season, taste, or is it a law of nature (or of language)?",
        '"taste"', _one_of("adversary", "season", "taste", "nature"),
    ),
    Question("labels", "delay", "How long after a request is the right answer known?", '"7d"', _LENGTH),
    Question("requests", "rate", "How many requests a second, on average?", "20", _POSITIVE),
    Question("requests", "peak_rate", "And in the busiest minute?", "100", _POSITIVE),
    Question("limits", "latency", "In how many seconds must 99 % be answered?", "0.1", _POSITIVE),
    Question("limits", "staleness", "How old may a table of answers become?", '"1d"', _LENGTH),
    Question("limits", "misses", "Which share of requests may go without an answer?", "0.01", _SHARE),
    Question("limits", "budget", "What may serving cost a month, in the currency of [prices]?", "500", _MONEY),
    Question(
        "data", "rows", "How many labelled rows are there to begin with?", "1000000",
        Kind("a whole number from 0", _whole(0)),
    ),
    Question("data", "rows_a_day", "How many rows come a day?", "20000", _MONEY),
    Question("data", "bytes_row", "How many bytes is a row, in memory?", "200", _POSITIVE),
    Question("training", "seconds", "How long does a training take on one machine?", "60", _POSITIVE),
    Question("errors", "cost", "What does one wrong answer cost, in the currency of [prices]?", "0.5", _MONEY),
)  # fmt: skip
_TABLES = tuple(dict.fromkeys(one.table for one in QUESTIONS))
_HEAD = """\
# What an architect would ask before there is data. Take the # from each line that you can answer, and correct it.
# What is left out, or "unknown", becomes an assumption of the design, with the measurement that would settle it.
#
#     ninetyfive design --answers THIS-FILE
"""


def questions() -> str:
    """The template: every question as a comment, with an answer as it may be; as it stands nothing is answered.

    >>> questions().splitlines()[6:9]
    ['# What is the system called?', '# text', '# name = "spam"']
    """
    lines = [_HEAD]
    for table in _TABLES:
        lines.append(f"[{table}]")
        for one in QUESTIONS:
            if one.table == table:
                lines += [
                    f"# {line}" for line in (*one.asks.splitlines(), one.kind.words, f"{one.key} = {one.example}")
                ]
                lines.append("")
    return "\n".join(lines).rstrip() + "\n"


def read_answers(text: str, where: str = "answers") -> Answers:
    """The answers in a TOML `text`; `UsageError` names the line, the key and what it takes.

    >>> read_answers('[entities]\\ncount = "unknown"\\nnew = 0.5').entities_new
    0.5
    """
    try:
        document = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise UsageError(where, expected="TOML", got=str(error), do="correct that line") from None
    found: dict[str, Any] = {}
    for table, answers in document.items():
        if table not in _TABLES:
            raise UsageError(
                f"{where}, line {_line(text, table)}, {table!r}",
                expected="a table of questions",
                got=repr(table),
                do=near_names(table, _TABLES),
            )
        if not isinstance(answers, Mapping):
            do = f"write [{table}] on a line of its own, and the answers below"
            raise UsageError(f"{where}, {table!r}", expected="a table", got=repr(answers), do=do)
        found |= _answers(text, where, table, answers)
    answered = Answers(**found)
    _possible(answered, where)
    return answered


def _answers(text: str, where: str, table: str, answers: Mapping[str, object]) -> dict[str, Any]:
    known = {one.key: one for one in QUESTIONS if one.table == table}
    found = {}
    for key, value in answers.items():
        place = f"{where}, line {_line(text, table, key)}, [{table}] {key}"
        if key not in known:
            raise UsageError(place, expected="a question of this table", got=repr(key), do=near_names(key, known))
        if value == UNKNOWN:
            continue
        question = known[key]
        try:
            found[question.field] = question.kind.read(value)
        except (ValueError, DeclarationError):
            do = f"write it like {key} = {question.example}, or leave it out"
            raise UsageError(place, expected=question.kind.words, got=repr(value), do=do) from None
    return found


def _possible(answers: Answers, where: str) -> None:
    """`UsageError` for answers that cannot be true together."""

    def refuse(keys: str, expected: str, got: str) -> None:
        raise UsageError(f"{where}, {keys}", expected=expected, got=got, do="correct one of the two, or leave it out")

    rate, peak = answers.requests_rate, answers.requests_peak_rate
    if rate is not None and peak is not None and peak < rate:
        refuse("[requests] rate and peak_rate", "a peak that is not below the mean", f"{peak:g} and {rate:g}")
    if answers.relation_why == "adversary" and answers.relation_changes == math.inf:
        refuse("[relation] changes and why", "a relation that changes where an adversary learns", '"never"')
    if answers.inputs_decided_by == "key" and answers.inputs_change == 0.0:
        refuse("[inputs] decided_by and change", "one input for each key", '"every-request"')
    new = answers.entities_new
    if answers.entities_asked == "once" and new is not None and new < 0.5:
        refuse(
            "[entities] asked and new",
            "mostly new entities where each is asked about once",
            f"a share of {new:g}",
        )


def _line(text: str, table: str, key: str | None = None) -> int:
    """The line where a table or a key of it stands, from 1; 1 where it is written in another way."""
    here = ""
    for number, line in enumerate(text.splitlines(), 1):
        if found := re.match(r"\s*\[+\s*([^\]\s]+)\s*\]", line):
            here = found[1].strip("\"'")
            if here == table and key is None:
                return number
        name = re.match(r"\s*(?:\"([^\"]*)\"|'([^']*)'|([\w.-]+))\s*=", line)
        said = next((one for one in name.groups() if one is not None), "") if name else ""
        if key is None and not here and said.partition(".")[0] == table:
            return number
        if key is not None and ((here == table and said == key) or (not here and said == f"{table}.{key}")):
            return number
    return 1
