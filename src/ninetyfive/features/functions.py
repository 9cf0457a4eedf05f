"""A user's own vectorised function as an operation: its source is kept, and run by frames in both places.

    feature(distance_km, [col("lat"), col("lon")], returns="number")
      Polars Series of the inputs ─▶ function ─▶ a Series of the same length

The source text travels in the tree, and with a release as a file of its own, so that what serves is what trained. The
function stands alone: what it needs it imports inside. It must look at each row by itself; a fit tries that out.
What does not belong here: whether code may run at all (whoever opens a release decides).
"""

from __future__ import annotations
import __future__

import ast
import builtins
import dis
import importlib.util
import inspect
import sys
import sysconfig
import textwrap
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from types import CodeType
from typing import Any, TypeAlias

from ninetyfive.errors import DeclarationError, FeatureError
from ninetyfive.features import tree
from ninetyfive.features.operation import Argument, Operation, Polars, Site, fail, word_argument
from ninetyfive.hashing import bytes_hash
from ninetyfive.schema import dtype

FUNCTION, SOURCE = "feature", "source"
RETURNS = (tree.NUMBER, tree.INTEGER, tree.BOOLEAN, tree.STRING)
Function: TypeAlias = Callable[..., Any]


def function_source(function: object, inputs: int) -> tuple[str, str]:
    """The name and source text of a function of `inputs` Series that stands alone; `DeclarationError` says why not."""
    code = getattr(function, "__code__", None)
    name = getattr(function, "__name__", repr(function))
    where = f"feature({name})"
    if not inspect.isfunction(function) or not isinstance(code, CodeType) or name == "<lambda>":
        raise DeclarationError(
            where,
            expected="a function made by def",
            got=type(function).__name__ if name != "<lambda>" else "a lambda",
            do="write it as def distance_km(a, b)",
        )
    if code.co_freevars or function.__defaults__ or function.__kwdefaults__:
        got = f"{code.co_freevars[0]!r} of the function round it" if code.co_freevars else "default values"
        raise DeclarationError(
            where, expected="a function that stands alone", got=got, do="move what it needs into its body"
        )
    try:
        inspect.signature(function).bind(*range(inputs))
    except TypeError as error:
        raise DeclarationError(
            where,
            expected=f"a function of {inputs} arguments, one an input",
            got=str(error),
            do="give it as many inputs",
        ) from None
    outside = sorted(_outside(code, function.__globals__))
    if outside:
        raise DeclarationError(
            where,
            expected="a function that stands alone: only its own source is shipped",
            got=f"the name {outside[0]!r} from outside",
            do="import or define it inside the function, as in `import polars as pl` on its first line",
        )
    own = sorted(_own_modules(code))
    if own:
        raise DeclarationError(
            where,
            expected="imports of installed packages alone: only the function's own source is shipped",
            got=f"an import of {own[0]}",
            do="move what it needs into its body, or install it as a package",
        )
    try:
        text = textwrap.dedent(inspect.getsource(function))
    except (OSError, TypeError):
        raise DeclarationError(
            where, expected="a function whose source stands in a file", got="none", do="write it into system.py"
        ) from None
    if not text.startswith("def "):
        raise DeclarationError(
            where, expected="a function made by def, without decorators", got=text.splitlines()[0], do="take them off"
        )
    if ast.parse(text).body[0].name != name:  # type: ignore[attr-defined]  # it begins with def
        raise DeclarationError(
            where, expected="the function that its file holds", got="a file that was changed since", do="load it again"
        )
    return name, text


def _outside(code: CodeType, known: Mapping[str, Any]) -> set[str]:
    """Global names that a function reads, in functions inside it too, but for builtins that nothing hides."""
    found = {one.argval for one in dis.get_instructions(code) if one.opname in ("LOAD_GLOBAL", "LOAD_NAME")}
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            found |= _outside(constant, known)
    return {name for name in found if name in known or not hasattr(builtins, name)}


def _own_modules(code: CodeType) -> set[str]:
    """The modules that a function imports, in functions inside it too, which are not installed: they may change."""
    found: set[str] = set()
    for one in dis.get_instructions(code):
        if one.opname == "IMPORT_NAME" and not _installed(one.argval.partition(".")[0]):
            found.add(one.argval or "a module beside it")
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            found |= _own_modules(constant)
    return found


def _installed(name: str) -> bool:
    """Whether a module comes with Python or stands where packages are installed."""
    if name in sys.stdlib_module_names:
        return True
    try:
        spec = importlib.util.find_spec(name) if name else None
    except (ImportError, ValueError):
        return False
    places = [sysconfig.get_path(kind) for kind in ("purelib", "platlib")]
    files = [*(spec.submodule_search_locations or ()), spec.origin or ""] if spec else []
    return any(Path(file).is_relative_to(place) for file in files for place in places)


def code_of(nodes: Iterable[tree.Node]) -> dict[str, str]:
    """`{sha256: source text}` of the functions among `nodes`, in order of the hash."""
    sources = [
        dict(node.arguments)[SOURCE] for node in nodes if isinstance(node, tree.Call) and node.operation == FUNCTION
    ]
    return dict(sorted((bytes_hash(text.encode()), text) for text in sources))


def _result(types: tuple[str, ...], arguments: Mapping[str, Any]) -> str | None:
    known = all(kind in tree.TYPES and kind != tree.OPAQUE for kind in types)
    return str(arguments["returns"]) if known else None


def _called(pl: Polars, site: Site) -> Callable[[list[Any]], Any]:
    """The function on a list of Series of one length, its answer checked and in the dtype that was declared."""
    arguments, returns = site.arguments, site.arguments["returns"]
    scope: dict[str, Any] = {}
    lazily = __future__.annotations.compiler_flag  # hints may name what is not there
    exec(compile(arguments[SOURCE], f"<feature {arguments['name']}>", "exec", lazily), scope)
    function, declared = scope[arguments["name"]], dtype(returns)

    def takes(given: Any) -> bool:
        if returns == tree.NUMBER:
            return bool(given.is_numeric() and not given.is_decimal())
        return bool(given.is_integer()) if returns == tree.INTEGER else bool(given == declared)

    def call(series: list[Any]) -> Any:
        rows = len(series[0])
        if not rows:
            return pl.Series([], dtype=declared)
        try:
            answer = function(*series)
        except Exception as cause:
            raise FeatureError(
                f"feature({arguments['name']})",
                expected=f"a function that takes {len(series)} Series",
                got=f"{type(cause).__name__}: {cause}",
                do="correct the function",
            ) from cause
        given = isinstance(answer, pl.Series)
        if not given or len(answer) != rows or not (takes(answer.dtype) or answer.dtype == pl.Null):
            raise FeatureError(
                f"feature({arguments['name']})",
                expected=f"a Polars Series of {rows} values of type {returns}",
                got=f"a Series of {len(answer)} {answer.dtype}" if given else type(answer).__name__,
                do="return one value for each row, and say with returns= what they are",
            )
        return answer.cast(declared)

    return call


def _row(site: Site) -> str:
    """One row by way of Series of one value: what a function makes of frames is what it makes of a row."""
    import polars as pl  # a release with code loads it at start; others never do

    call, kinds = _called(pl, site), [dtype(kind) for kind in site.types]
    physical = {kind: pl.Int32 if kind == pl.Date else pl.Int64 for kind in kinds if kind.is_temporal()}

    def one(*values: Any) -> Any:
        series = [
            pl.Series([value], dtype=physical.get(kind, kind)).cast(kind)
            for value, kind in zip(values, kinds, strict=True)
        ]
        return call(series).item()

    return f"{site.bind(f'_function_{site.step}', one)}({', '.join(site.inputs)})"


def _words(name: str) -> Argument:
    def check(value: Any, where: str) -> str:
        if not isinstance(value, str) or not value:
            raise fail(where, f"{name}: a text", value, "fit the transform again")
        return value

    return Argument(name, check)


OPERATIONS = (
    Operation(
        name=FUNCTION,
        example='feature(distance_km, [col("a"), col("b")], returns="number")',
        form="feature",
        inputs=(1, None),
        takes="expressions of any type but opaque",
        gives="what the function returns: a number, an integer, a boolean or a string",
        nulls="as the function does; it sees null as null and NaN as NaN",
        arguments=(_words("name"), _words(SOURCE), Argument("returns", word_argument("returns", RETURNS))),
        result=_result,
        nullable=lambda _: True,
        call=_called,
        row=_row,
    ),
)
