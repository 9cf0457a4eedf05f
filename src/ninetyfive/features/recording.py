"""How a feature is written: `col("distance").log1p().zscore()` runs nothing, it records a tree.

    col("a") ─ Expr(Column) ─ .log1p() ─▶ Expr(Call("log1p", …))     each method is one line over the table

Wrong arguments and unknown operations fail here, when they are written; what only the schema knows (whether a column
exists, its type) fails in `program`. What does not belong here: what an operation means (`operations`).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from numbers import Integral
from typing import Literal, NoReturn, Self, TypeAlias

from ninetyfive.errors import DeclarationError, near_names
from ninetyfive.features import tree
from ninetyfive.features.encoding import TARGET_ENCODE
from ninetyfive.features.functions import FUNCTION, function_source
from ninetyfive.features.methods import Methods, Plain
from ninetyfive.features.operations import OPERATIONS
from ninetyfive.features.source import quoted, source

Operand: TypeAlias = "Expr | Plain"
_NULL = tree.Constant(tree.NULL, None)


class Expr(Methods):
    """A recorded expression; `node` is its tree. Comparisons record too, so compare `node`s to compare expressions.

    Every operation is in `docs/features.md`: what it takes and gives, and what it does with null and NaN.

    >>> feature = col("distance").log1p().zscore()
    >>> print(feature, sorted(feature.columns()))
    col("distance").log1p().zscore() ['distance']
    """

    __slots__ = ("node",)
    __hash__ = None  # type: ignore[assignment]  # `==` records, so an expression cannot be a key
    __array_ufunc__ = None  # numpy scalars on the left side leave the operation to us

    def __init__(self, node: tree.Node) -> None:
        self.node = node

    def columns(self) -> frozenset[str]:
        """The names of the source columns it reads."""
        return tree.columns_of(self.node)

    def __str__(self) -> str:
        return source(self.node)

    def __repr__(self) -> str:
        return source(self.node)

    def __bool__(self) -> NoReturn:
        raise DeclarationError(
            source(self.node),
            expected="an expression that is recorded, not decided",
            got="`and`, `or`, `not`, `in`, `if` or a chained comparison on it",
            do='write & | ~ with parentheses, as in (col("a") > 0) & (col("b") < 5), or when(...) for if/else',
        )

    def __getattr__(self, name: str) -> NoReturn:
        if name.startswith("_") or name == "node":
            raise AttributeError(name)
        methods = [known.name for known in OPERATIONS.values() if known.form == "method"]
        raise DeclarationError(
            f"{source(self.node)}.{name}", expected="an operation", got=repr(name), do=near_names(name, methods)
        )

    def _method(self, operation: str, *inputs: object, **arguments: object) -> Self:
        return type(self)(record(operation, (self, *inputs), arguments).node)

    def __add__(self, other: Operand) -> Expr:
        return self._method("add", other)

    def __radd__(self, other: Operand) -> Expr:
        return record("add", (other, self))

    def __sub__(self, other: Operand) -> Expr:
        return self._method("subtract", other)

    def __rsub__(self, other: Operand) -> Expr:
        return record("subtract", (other, self))

    def __mul__(self, other: Operand) -> Expr:
        return self._method("multiply", other)

    def __rmul__(self, other: Operand) -> Expr:
        return record("multiply", (other, self))

    def __truediv__(self, other: Operand) -> Expr:
        return self._method("divide", other)

    def __rtruediv__(self, other: Operand) -> Expr:
        return record("divide", (other, self))

    def __pow__(self, other: Operand) -> Expr:
        return self._method("power", _exponent(other))

    def __rpow__(self, other: Operand) -> Expr:
        return record("power", (other, self))

    def __neg__(self) -> Expr:
        return self._method("negate")

    def __eq__(self, other: Operand) -> Expr:  # type: ignore[override]
        return self._method("equal", other)

    def __ne__(self, other: Operand) -> Expr:  # type: ignore[override]
        return self._method("not_equal", other)

    def __lt__(self, other: Operand) -> Expr:
        return self._method("less", other)

    def __le__(self, other: Operand) -> Expr:
        return self._method("less_equal", other)

    def __gt__(self, other: Operand) -> Expr:
        return self._method("greater", other)

    def __ge__(self, other: Operand) -> Expr:
        return self._method("greater_equal", other)

    def __and__(self, other: Operand) -> Expr:
        return self._method("and", other)

    def __rand__(self, other: Operand) -> Expr:
        return record("and", (other, self))

    def __or__(self, other: Operand) -> Expr:
        return self._method("or", other)

    def __ror__(self, other: Operand) -> Expr:
        return record("or", (other, self))

    def __invert__(self) -> Expr:
        return self._method("not")


class When:
    """The first words of if/else: `when(condition)` waits for `.then(value)`."""

    __slots__ = ("_condition",)

    def __init__(self, condition: Expr) -> None:
        self._condition = condition

    def then(self, value: Operand | None) -> Then:
        """The value where the condition is true."""
        return Then(self._condition, value)


class Then:
    """The middle of if/else: it waits for `.otherwise(value)`, which makes it an expression."""

    __slots__ = ("_condition", "_value")

    def __getattr__(self, name: str) -> NoReturn:
        if name.startswith("_"):
            raise AttributeError(name)
        raise DeclarationError(
            f"when(...).then(...).{name}",
            expected=".otherwise(...)",
            got=repr(name),
            do="end it with .otherwise(...) first",
        )

    def __init__(self, condition: Expr, value: Operand | None) -> None:
        self._condition = condition
        self._value = value

    def otherwise(self, value: Operand | None) -> Expr:
        """The value where the condition is false or null."""
        return record("if_else", (self._condition, self._value, value))


def col(name: str) -> Expr:
    """A source column by its name, to build features and the label from.

    >>> print(col("dep_time").hour() * 2)
    col("dep_time").hour() * 2
    """
    if not isinstance(name, str) or not name or name.startswith("__"):
        raise DeclarationError(
            f"col({name!r})",
            expected="the name of a source column",
            got="a name that ninetyfive keeps for itself" if isinstance(name, str) and name else repr(name),
            do="name a column of the schema; names that begin with __ are reserved",
        )
    return Expr(tree.Column(tree.constant(name, f"col({name!a})").value))


def when(condition: Expr) -> When:
    """If/else: `when(condition).then(a).otherwise(b)`; where the condition is null it is b.

    >>> print(when(col("a") > 0).then(1).otherwise(None))
    when(col("a") > 0).then(1).otherwise(None)
    """
    if not isinstance(condition, Expr):
        raise DeclarationError(
            "when(...)",
            expected="a recorded condition",
            got=repr(condition)[:200],
            do='write it as in when(col("a") > 0)',
        )
    return When(condition)


def concat(*parts: Expr | str) -> Expr:
    """Strings one after the other, as `+` also does; null where one is null.

    >>> print(concat(col("origin"), "-", col("dest")))
    concat(col("origin"), "-", col("dest"))
    """
    return record("concat", parts)


def pca(*inputs: Expr | float, components: int = 2) -> Expr:
    """The places of numbers along the axes of greatest variance of the training rows: one column a component.

    Centred, not scaled: write `.zscore()` where the units differ. Null or NaN in one input gives NaN. It stands last.

    >>> print(pca(col("temp").zscore(), col("dewp").zscore(), components=1))
    pca(col("temp").zscore(), col("dewp").zscore(), components=1)
    """
    return record("pca", inputs, {"components": components})


def feature(
    function: Callable[..., object], inputs: Sequence[Expr], returns: Literal["number", "integer", "boolean", "string"]
) -> Expr:
    """A feature by a function of your own, on Polars Series: one for each of `inputs`, all of one length, in order.

    It gives a Series of as many values of the type `returns`, looks at each row by itself, and stands alone: made by
    `def`, what it needs imported inside. Its source is shipped with the release, which then holds code. Wrong functions
    raise `DeclarationError`; what it gives is checked each time (`FeatureError`).

    >>> def manhattan(a, b):
    ...     return a.abs() + b.abs()
    >>> print(feature(manhattan, [col("dx"), col("dy")], returns="number"))
    feature(manhattan, [col("dx"), col("dy")], returns="number")
    """
    if isinstance(inputs, Expr | str) or not inputs or not all(isinstance(item, Expr) for item in inputs):
        raise DeclarationError(
            f"feature({getattr(function, '__name__', function)}), inputs=",
            expected="a list of expressions",
            got=repr(inputs)[:200],
            do='write inputs=[col("a"), col("b")]',
        )
    name, text = function_source(function, len(inputs))
    return record(FUNCTION, inputs, {"name": name, "source": text, "returns": returns})


def coalesce(*values: Operand) -> Expr:
    """The first of `values`, all of one type, that is not null; null where all are. NaN is not null.

    >>> print(coalesce(col("mobile"), col("phone"), "none"))
    coalesce(col("mobile"), col("phone"), "none")
    """
    return record("coalesce", values)


def least(*values: Operand) -> Expr:
    """The smallest of numbers, strings or times of one type. Nulls are passed over; NaN where one is NaN.

    >>> print(least(col("bid"), col("limit")))
    least(col("bid"), col("limit"))
    """
    return record("least", values)


def greatest(*values: Operand) -> Expr:
    """The largest of numbers, strings or times of one type. Nulls are passed over; NaN where one is NaN.

    >>> print(greatest(col("dep_delay"), 0))
    greatest(col("dep_delay"), 0)
    """
    return record("greatest", values)


def cross(*parts: Operand) -> Expr:
    """Strings, integers or booleans crossed to one string, as "LGA|JFK": equal only where all of them are.

    Follow it by `.vocabulary()` or `.hash_bucket(n)`. Null where one is null.

    >>> print(cross(col("origin"), col("dest")).hash_bucket(1000))
    cross(col("origin"), col("dest")).hash_bucket(1000)
    """
    return record("cross", parts)


def record(operation: str, inputs: Sequence[object], arguments: dict[str, object] | None = None) -> Expr:
    """The expression of an operation on expressions and plain values; wrong words raise `DeclarationError`."""
    try:
        return Expr(_call(operation, inputs, arguments or {}))
    except DeclarationError as error:
        where = _where(operation, inputs, arguments or {})
        raise DeclarationError(where, expected=error.expected, got=error.got, do=error.do) from None


def _call(operation: str, inputs: Sequence[object], arguments: dict[str, object]) -> tree.Call:
    entry = OPERATIONS[operation]
    nodes = tuple(_node(value) for value in inputs)
    least, _ = entry.inputs
    if len(nodes) < least:
        raise _refuse(f"at least {least} input{'s' if least > 1 else ''}", str(len(nodes)), f"write {entry.example}")
    if all(isinstance(node, tree.Constant) for node in nodes):
        raise _refuse("a column", "only constants", "use col(...) for a column")
    for index, node in enumerate(nodes):
        if isinstance(node, tree.Call) and OPERATIONS[node.operation].many:
            raise _refuse("one column", f"the columns of {node.operation}", f"let {node.operation} stand last")
        if node == _NULL and (operation != "if_else" or index == 0):
            raise _refuse("a value", "None", "write .is_null() to ask for nulls")
    if operation == "if_else" and nodes[1] == nodes[2] == _NULL:
        raise _refuse("a value", "None twice", "give .then or .otherwise a value")
    below = {node.operation for node in tree.distinct(nodes) if isinstance(node, tree.Call)}
    if operation == TARGET_ENCODE and TARGET_ENCODE in below:
        raise _refuse("something that knows no label", "a target_encode below another", "encode each word by itself")
    call = tree.Call(operation, nodes, entry.checked_arguments(arguments, "here"))
    if call.depth > tree.MAX_DEPTH or call.size > tree.MAX_SIZE:
        raise _refuse(
            f"at most {tree.MAX_DEPTH} operations inside one another and {tree.MAX_SIZE} in all",
            f"{call.depth} and {call.size}",
            "split the feature into several",
        )
    return call


def _exponent(value: object) -> object:
    """A negative integer as a float: the power is then a number, which of integers it could not be."""
    return float(value) if isinstance(value, Integral) and int(value) < 0 else value


def _refuse(expected: str, got: str, do: str) -> DeclarationError:
    return DeclarationError("here", expected=expected, got=got, do=do)


def _node(value: object) -> tree.Node:
    if isinstance(value, Expr):
        return value.node
    if isinstance(value, When | Then):
        raise _refuse("a finished when(...)", type(value).__name__, "end it with .then(...).otherwise(...)")
    return tree.constant(value, "here")


def _where(operation: str, inputs: Sequence[object], arguments: dict[str, object]) -> str:
    """The words that were written, as near as they can be told before they are known to be right."""
    entry = OPERATIONS[operation]
    shown = [quoted(item)[:120] if isinstance(item, str) else repr(item)[:120] for item in inputs]
    if entry.form == "infix":
        return f" {entry.symbol} ".join(shown)
    if entry.form == "prefix":
        return f"{entry.symbol}{shown[0]}"
    if entry.form == "when":
        return "when({}).then({}).otherwise({})".format(*shown)
    named = [f"{name}={value!r}"[:120] for name, value in arguments.items() if value is not None]
    if entry.form == "feature":
        return f"feature({arguments['name']}, [{', '.join(shown)}])"
    if entry.form == "function":
        return f"{operation}({', '.join([*shown, *named])})"
    written = [*shown[1:], *named]
    return f"{shown[0]}.{operation}({', '.join(written)})"
