"""What a feature is: a small tree of pure data, compared by value.

    Column("distance") ─▶ Call("log1p") ─▶ Call("zscore")       what `col("distance").log1p().zscore()` records

A node says which operation, on what, with which arguments; after fitting, also with which constants. It holds no
data and no code. Subtrees may be shared: a node knows its hash, so that walking is linear in distinct nodes; and its
depth and size as written out, which are bounded, so that no text and no recursion runs away.

What does not belong here: what an operation means (`operations`), how a user writes one (`recording`).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from numbers import Integral, Real
from typing import Any

from ninetyfive.errors import DeclarationError

BOOLEAN = "boolean"
INTEGER = "integer"
NUMBER = "number"
STRING = "string"
TIMESTAMP = "timestamp"
TIMESTAMP_UTC = "timestamp[UTC]"
DATE = "date"
LISTS = {f"list[{element}]": element for element in (BOOLEAN, INTEGER, NUMBER, STRING)}
"""The types of lists, and the type of their elements."""
OPAQUE = "opaque"
NULL = "null"

TYPES = (BOOLEAN, INTEGER, NUMBER, STRING, TIMESTAMP, TIMESTAMP_UTC, DATE, *LISTS, OPAQUE)
TIMES = (TIMESTAMP, TIMESTAMP_UTC)
NUMERIC = (INTEGER, NUMBER)

INT64_MIN = -(2**63)
INT64_MAX = 2**63 - 1
MAX_DEPTH = 100
MAX_SIZE = 10_000

_EPOCH = datetime(1970, 1, 1)
_MICROSECOND = timedelta(microseconds=1)
_EPOCH_ORDINAL = date(1970, 1, 1).toordinal()


@dataclass(frozen=True)
class Column:
    """The values of one source column, named as in the schema."""

    name: str

    depth = 1
    size = 1


@dataclass(frozen=True)
class Constant:
    """One value that was written down: `type` is a logical type ("null" for None), `value` its row scalar.

    Compared by type and text, so that 1, 1.0 and true differ, 0.0 and -0.0 differ, and NaN equals NaN.
    """

    type: str
    value: Any = field(compare=False)
    text: str = field(init=False, repr=False)

    depth = 1
    size = 1

    def __post_init__(self) -> None:
        object.__setattr__(self, "text", repr(self.value))


@dataclass(frozen=True, eq=False)
class Call:
    """An operation on `inputs`: `arguments` were written down, `constants` were learned (None: none, or not yet)."""

    operation: str
    inputs: tuple[Node, ...]
    arguments: tuple[tuple[str, Any], ...] = ()
    constants: tuple[tuple[str, Any], ...] | None = None
    depth: int = field(init=False, repr=False)
    size: int = field(init=False, repr=False)
    _key: tuple[Any, ...] = field(init=False, repr=False)
    _hash: int = field(init=False, repr=False)

    def __post_init__(self) -> None:
        key = (self.operation, repr(self.arguments), repr(self.constants), self.inputs)
        object.__setattr__(self, "_key", key)
        object.__setattr__(self, "_hash", hash(key))
        object.__setattr__(self, "depth", 1 + max((node.depth for node in self.inputs), default=0))
        object.__setattr__(self, "size", 1 + sum(node.size for node in self.inputs))

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Call):
            return NotImplemented
        return self is other or (self._hash == other._hash and self._key == other._key)

    def __hash__(self) -> int:
        return self._hash

    def __reduce__(self) -> tuple[Any, ...]:
        return Call, (self.operation, self.inputs, self.arguments, self.constants)


Node = Column | Constant | Call


def distinct(roots: Iterable[Node]) -> list[Node]:
    """Every distinct node under `roots`, once, inputs before those that read them.

    >>> distinct([Call("add", (Column("a"), Column("a")))])[0]
    Column(name='a')
    """
    seen: dict[Node, None] = {}

    def visit(node: Node) -> None:
        if node in seen:
            return
        if isinstance(node, Call):
            for source in node.inputs:
                visit(source)
        seen[node] = None

    for root in roots:
        visit(root)
    return list(seen)


def columns_of(node: Node) -> frozenset[str]:
    """The names of the source columns that a node reads."""
    return frozenset(part.name for part in distinct([node]) if isinstance(part, Column))


def replace(roots: Mapping[str, Node], new: Mapping[Node, Node]) -> dict[str, Node]:
    """The same trees with each node of `new` in the place of the old one, also under other nodes."""
    done: dict[Node, Node] = {}
    for node in distinct(roots.values()):
        made = node
        if isinstance(node, Call):
            inputs = tuple(done[source] for source in node.inputs)
            if inputs != node.inputs:
                made = Call(node.operation, inputs, node.arguments, node.constants)
        done[node] = new.get(node, made)
    return {name: done[node] for name, node in roots.items()}


def constant(value: object, where: str) -> Constant:
    """A constant node from a Python value: None, bool, int, float, str, datetime, date (numpy scalars as well).

    A `datetime` with a zone becomes `timestamp[UTC]`, one without `timestamp`. Anything else, and an integer outside
    int64, raises `DeclarationError` that names `where`.

    >>> constant(datetime(1970, 1, 2), "here")
    Constant(type='timestamp', value=86400000000)
    """
    if value is None:
        return Constant(NULL, None)
    if isinstance(value, bool):
        return Constant(BOOLEAN, value)
    if isinstance(value, str):
        return Constant(STRING, _utf8(value, where))
    if isinstance(value, datetime):
        naive = value if value.tzinfo is None else value.astimezone(UTC).replace(tzinfo=None)
        return Constant(TIMESTAMP if value.tzinfo is None else TIMESTAMP_UTC, (naive - _EPOCH) // _MICROSECOND)
    if isinstance(value, date):
        return Constant(DATE, value.toordinal() - _EPOCH_ORDINAL)
    if isinstance(value, Integral):
        number = int(value)
        if not INT64_MIN <= number <= INT64_MAX:
            raise DeclarationError(where, expected="an integer of 64 bits", got=str(number), do="write it as a float")
        return Constant(INTEGER, number)
    if isinstance(value, Real):
        return Constant(NUMBER, float(value))
    raise DeclarationError(
        where,
        expected="a column expression, a number, a string, a boolean or a time",
        got=f"{type(value).__name__} {str(value)[:80]!r}",
        do="use col(...) for a column, or a plain value",
    )


def _utf8(text: str, where: str) -> str:
    try:
        text.encode("utf-8")
    except UnicodeEncodeError:
        raise DeclarationError(
            where, expected="text that UTF-8 can hold", got=ascii(text), do="remove the surrogate characters"
        ) from None
    return str(text)


def moment(scalar: int, logical: str) -> date:
    """The Python date or datetime (with UTC where the type says so) of a row scalar.

    >>> moment(1, "date")
    datetime.date(1970, 1, 2)
    """
    if logical == DATE:
        return date.fromordinal(scalar + _EPOCH_ORDINAL)
    naive = _EPOCH + scalar * _MICROSECOND
    return naive.replace(tzinfo=UTC) if logical == TIMESTAMP_UTC else naive
