"""What an operation is: one entry of the table, with everything that anything else needs to know about it.

    Operation("log1p") ─ result(types)   which type it gives, or that it does not take these
                       ├ frame(pl, site) the Polars expression
                       └ row(site)       the Python source text; both mean the same, bit for bit

A `Site` is one use of an operation as both lowerings are told about it. A learned operation also says which reducer
it needs (`analyzer`) and how the answer becomes constants (`learn`).

What does not belong here: the operations themselves (`operations` puts those of all files into one table), and polars,
which the lowerings are handed.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, TypeAlias

from ninetyfive.errors import DeclarationError, FeatureError, NinetyfiveError
from ninetyfive.features import tree

Frame: TypeAlias = Any  # a polars.Expr: this file is on the path of `import ninetyfive`, which loads no polars
Polars: TypeAlias = Any  # the module polars
Dependence: TypeAlias = Literal["unicode", "tzdata"]
Outcome: TypeAlias = tuple[Any, str]  # a value that can come out, and its name in a one-hot column

COLUMNS = "columns"
"""The result type of an operation that gives several columns: it stands last in a feature."""
MAX_COLUMNS = 10_000
REQUIRED = object()


@dataclass(frozen=True, slots=True)
class Site:
    """One use of an operation.

    `inputs` are Polars expressions for the frame lowering and source texts (a name or a literal) for the row lowering;
    `nodes`, `types`, `nullable`, `nan` and `outcomes` describe them; `bind` gives an object a name in the text.
    """

    inputs: tuple[Any, ...]
    nodes: tuple[tree.Node, ...]
    types: tuple[str, ...]
    nullable: tuple[bool, ...]
    nan: tuple[bool, ...]
    outcomes: tuple[tuple[Outcome, ...] | None, ...]
    arguments: Mapping[str, Any]
    constants: Mapping[str, Any] | None
    result: str
    step: int = 0
    bind: Callable[[str, Any], str] = field(default=lambda name, _: name)

    def strict(self, body: str, *also: str) -> str:
        """Source text of `body`, or None where an input is null or a condition of `also` holds."""
        nulls = [f"{text} is None" for text, may in zip(self.inputs, self.nullable, strict=True) if may]
        conditions = " or ".join([*nulls, *also])
        return f"None if {conditions} else {body}" if conditions else body

    def floats(self) -> tuple[str, ...]:
        """Source texts of the inputs, integers turned into floats as a cast to Float64 does."""
        return tuple(
            f"({text} * 1.0)" if kind == tree.INTEGER else text
            for text, kind in zip(self.inputs, self.types, strict=True)
        )

    def constant(self, index: int) -> Any:
        """The value of an input that was written down as a constant, else None."""
        node = self.nodes[index]
        return node.value if isinstance(node, tree.Constant) else None

    def float_frames(self, pl: Polars) -> tuple[Frame, ...]:
        """The inputs, integers cast to Float64."""
        return tuple(
            frame.cast(pl.Float64) if kind == tree.INTEGER else frame
            for frame, kind in zip(self.inputs, self.types, strict=True)
        )

    def checked(self, body: str) -> str:
        """Source text of an integer `body` that rejects the row where it leaves int64."""
        values = ", ".join(self.inputs)
        return f"(_t if {tree.INT64_MIN} <= (_t := {body}) <= {tree.INT64_MAX} else _overflow({self.step}, {values}))"


@dataclass(frozen=True, slots=True)
class Argument:
    """An argument or learned constant: `check(value, where)` gives the plain value or raises `DeclarationError`."""

    name: str
    check: Callable[[Any, str], Any]
    default: Any = REQUIRED


def _any_null(site: Site) -> bool:
    return any(site.nullable)


def any_nan(site: Site) -> bool:
    """NaN only where an input is."""
    return any(site.nan)


def never(_: Site) -> bool:
    """Not null, not NaN or not refused, whatever the inputs are."""
    return False


def integral(site: Site) -> bool:
    """Where the result is an integer."""
    return site.result == tree.INTEGER


def _always(_: Site) -> bool:
    return True


def _no_outcomes(_: Site) -> tuple[Outcome, ...] | None:
    return None


def _no_columns(_: Site) -> tuple[str, ...]:
    return ()


def _no_refusal(_: Site, __: str) -> None:
    """Whatever it is used on."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Operation:
    """One entry of the table. `meaning` changes whenever the same input would give another output.

    `refuses` says where a row may be refused: an integer that leaves int64. `depends` names what of the machine a value
    depends on (`machine`): "unicode" for Python's tables of letters, "tzdata" for the rules of time zones.

    One whose `result` is `COLUMNS` names them in `columns`. Its `frame` is a list of expressions, one each, or (where
    they are made `together`) one expression of an Array as wide as there are columns; its `row` is a tuple of floats,
    NaN for what is missing. One that is Python and no expression has `call` instead of `frame`: a function of the
    Series of its inputs. `refuse` raises for a use that only types and what was learned show to be wrong.
    """

    name: str
    example: str
    inputs: tuple[int, int | None] = (1, 1)
    form: Literal["method", "infix", "prefix", "function", "when", "feature"] = "method"
    symbol: str = ""
    precedence: int = 9
    takes: str
    gives: str
    nulls: str
    hint: str = ""
    meaning: int = 1
    depends: tuple[Dependence, ...] = ()
    arguments: tuple[Argument, ...] = ()
    check: Callable[[Mapping[str, Any], str], None] | None = None
    result: Callable[[tuple[str, ...], Mapping[str, Any]], str | None]
    frame: Callable[[Polars, Site], Frame] | None = None
    call: Callable[[Polars, Site], Callable[[list[Any]], Any]] | None = None
    row: Callable[[Site], str]
    nullable: Callable[[Site], bool] = _any_null
    nan: Callable[[Site], bool] = _always
    refuses: Callable[[Site], bool] = never
    outcomes: Callable[[Site], tuple[Outcome, ...] | None] = _no_outcomes
    columns: Callable[[Site], tuple[str, ...]] = _no_columns
    together: bool = False
    refuse: Callable[[Site, str], None] = _no_refusal
    constants: tuple[Argument, ...] = ()
    analyzer: Callable[[Mapping[str, Any]], tuple[str, tuple[Any, ...]]] | None = None
    learn: Callable[[Any, Mapping[str, Any], str], dict[str, Any]] | None = None

    @property
    def many(self) -> bool:
        """Whether it gives several columns."""
        return self.columns is not _no_columns

    @property
    def learned(self) -> bool:
        """Whether the operation needs constants that a reducer finds."""
        return self.analyzer is not None

    def checked_arguments(self, given: Mapping[str, Any], where: str) -> tuple[tuple[str, Any], ...]:
        """The arguments in declared order as plain values; a wrong one raises `DeclarationError`."""
        values = {item.name: item.check(given.get(item.name, item.default), where) for item in self.arguments}
        if self.check is not None:
            self.check(values, where)
        return tuple(values.items())

    def checked_constants(self, given: Mapping[str, Any], where: str) -> tuple[tuple[str, Any], ...]:
        """The learned constants in declared order as plain values; a wrong or missing one raises `DeclarationError`."""
        odd = sorted(set(given) - {item.name for item in self.constants})
        if odd:
            raise fail(where, f"what {self.name} learns", odd[0], "fit the transform again")
        return tuple((item.name, item.check(given.get(item.name, REQUIRED), where)) for item in self.constants)


def coherent(fits: Callable[[Site, Mapping[str, Any]], bool]) -> Callable[[Site, str], None]:
    """A `refuse` for constants that do not fit each other, the arguments or the inputs: then somebody altered them."""

    def refuse(site: Site, where: str) -> None:
        if site.constants is not None and not fits(site, site.constants):
            raise FeatureError(
                where,
                expected="learned constants that fit each other and the inputs",
                got=str(dict(site.constants))[:200],
                do="restore the file, or fit the transform again",
            )

    return refuse


def of_type(values: Sequence[Any], kind: str) -> bool:
    """Whether all of `values` are of the logical type `kind`."""
    return all(tree.constant(value, "constants").type == kind for value in values)


def unify(types: tuple[str, ...]) -> str | None:
    """The one type that all of `types` fit: equal types (null fits all), or number for integers and numbers.

    None for lists: only operations on lists take them.
    """
    kinds = set(types) - {tree.NULL}
    if len(kinds) == 1 and not kinds & tree.LISTS.keys():
        return kinds.pop()
    return tree.NUMBER if kinds == set(tree.NUMERIC) else None


def divided_by(pl: Polars, frame: Frame, divisor: float) -> Frame:
    """IEEE division by a constant: Polars multiplies by the reciprocal of a scalar, which is another number."""
    bound = pl.lit(divisor)
    return frame / frame.clip(bound, bound)


def whole(pl: Polars, site: Site) -> list[Frame]:
    """The inputs as number columns that Polars cannot hold as scalars.

    Beside a scalar (which any `when` may make, and a literal is) it multiplies by the reciprocal instead of dividing,
    and takes -0.0 + 0.0 for -0.0, so that a row would depend on its neighbours. `shift(0)` makes the column.
    """
    frames = site.float_frames(pl)
    given = next(frame for frame, node in zip(frames, site.nodes, strict=True) if not isinstance(node, tree.Constant))
    return [
        (pl.when(given.is_null()).then(frame).otherwise(frame) if isinstance(node, tree.Constant) else frame).shift(0)
        for frame, node in zip(frames, site.nodes, strict=True)
    ]


def over_distinct(pl: Polars, frame: Frame, function: Callable[[Any], Any], dtype: Any) -> Frame:
    """`function` of each value by way of the distinct ones; null stays null. For what only Python defines."""

    def apply(series: Any) -> Any:
        if len(series) <= 256:
            values = [None if value is None else function(value) for value in series.to_list()]
            return pl.Series(series.name, values, dtype=dtype)
        old = series.drop_nulls().unique()
        new = pl.Series([function(value) for value in old.to_list()], dtype=dtype)
        return series.replace_strict(old, new, default=None, return_dtype=dtype)

    return frame.map_batches(apply, return_dtype=dtype, is_elementwise=True)


def once(pl: Polars, frames: Sequence[Frame], function: Callable[..., Frame], dtype: Any) -> Frame:
    """`function` of `frames`, each computed once: Polars computes an expression as often as it is written down.

    Without it, a lowering that reads its input twice doubles the work of all that is below it.
    """
    names = [str(place) for place in range(len(frames))]
    expression = function(*(pl.col(name) for name in names))

    def apply(series: Sequence[Any]) -> Any:
        height = 0 if any(not len(one) for one in series) else max(len(one) for one in series)
        full = [one.new_from_index(0, height) if len(one) == 1 else one for one in series]
        return pl.DataFrame(dict(zip(names, full, strict=True))).select(expression).to_series()

    return pl.map_batches(list(frames), apply, return_dtype=dtype, is_elementwise=True)


def over_each(pl: Polars, frames: Sequence[Frame], function: Callable[..., Any], dtype: Any) -> Frame:
    """`function` of the values of each row, null where one is null. For what Polars computes otherwise than Python.

    Numbers are no case for `over_distinct`: few repeat, and -0.0 would be taken for 0.0.
    """

    def apply(series: Sequence[Any]) -> Any:
        height = max(len(one) for one in series)
        columns = [one.to_list() * (height if len(one) == 1 else 1) for one in series]
        values = [None if None in row else function(*row) for row in zip(*columns, strict=False)]
        return pl.Series(series[0].name, values, dtype=dtype)

    return pl.map_batches(list(frames), apply, return_dtype=dtype, is_elementwise=True)


def fail(where: str, expected: str, got: object, do: str) -> NinetyfiveError:
    """The error for an argument that cannot be."""
    shown = "nothing" if got is REQUIRED else repr(got)
    return DeclarationError(where, expected=expected, got=shown[:200], do=do)


def integer_argument(name: str, low: int, high: int, *, optional: bool = False) -> Callable[[Any, str], Any]:
    """A check for an integer in [low, high], or None where `optional`."""

    def check(value: Any, where: str) -> Any:
        if optional and value is None:
            return None
        if isinstance(value, bool) or not isinstance(value, int) or not low <= value <= high:
            raise fail(where, f"{name}: an integer from {low} to {high}", value, f"write {name}={max(low, 10)}")
        return int(value)

    return check


def finite_argument(
    name: str, *, optional: bool = False, low: float = -math.inf, whole: bool = True
) -> Callable[[Any, str], Any]:
    """A check for a finite number (an integer stays one if `whole`) of at least `low`, or None where `optional`."""

    def check(value: Any, where: str) -> Any:
        if optional and value is None:
            return None
        kind = tree.constant(value, where) if value is not REQUIRED else tree.Constant(tree.NULL, None)
        if kind.type not in tree.NUMERIC or not math.isfinite(kind.value) or kind.value < low:
            raise fail(where, f"{name}: a finite number", value, f"write a number such as {name}=1.5")
        return kind.value if whole else float(kind.value)

    return check


def floats_argument(name: str) -> Callable[[Any, str], Any]:
    """A check for finite floats that were learned; gives a tuple."""

    def check(value: Any, where: str) -> tuple[float, ...]:
        if not isinstance(value, list | tuple) or not all(isinstance(x, float) and math.isfinite(x) for x in value):
            raise fail(where, f"{name}: finite floats", value, "fit the transform again")
        return tuple(value)

    return check


def counts_argument(name: str) -> Callable[[Any, str], Any]:
    """A check for counts that were learned: positive integers; gives a tuple."""

    def check(value: Any, where: str) -> tuple[int, ...]:
        if not isinstance(value, list | tuple) or not all(type(x) is int and x > 0 for x in value):
            raise fail(where, f"{name}: positive integers", value, "fit the transform again")
        return tuple(value)

    return check


def word_argument(name: str, words: Sequence[str]) -> Callable[[Any, str], Any]:
    """A check for one of `words`."""

    def check(value: Any, where: str) -> Any:
        if value not in words:
            raise fail(where, f"{name}: one of {', '.join(words)}", value, f'write {name}="{words[0]}"')
        return value

    return check


def values_argument(name: str, *, optional: bool = False, least: int = 0, most: int) -> Callable[[Any, str], Any]:
    """A check for distinct strings, integers or booleans, all of one kind; gives a tuple."""

    def check(value: Any, where: str) -> Any:
        if optional and value is None:
            return None
        do = f'write {name}=["a", "b"]'
        if isinstance(value, str) or not isinstance(value, Sequence):
            raise fail(where, f"{name}: a list of strings, integers or booleans", value, do)
        made = [tree.constant(item, where) for item in value]
        kinds = {item.type for item in made}
        if len(kinds) > 1 or not kinds <= {tree.STRING, tree.INTEGER, tree.BOOLEAN}:
            raise fail(where, f"{name}: strings, integers or booleans of one kind", value, do)
        if len(set(made)) != len(made):
            raise fail(where, f"{name}: each value once", value, "remove what is there twice")
        if not least <= len(made) <= most:
            raise fail(where, f"{name}: {least} to {most} values", f"{len(made)} values", "name the most frequent ones")
        return tuple(item.value for item in made)

    return check
