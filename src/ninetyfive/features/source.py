"""The text of a node: the Python source that records it, with no more parentheses than Python needs.

>>> from ninetyfive.features.recording import col
>>> print((col("origin") + "-" + col("dest")).vocabulary(top=300))
(col("origin") + "-" + col("dest")).vocabulary(top=300)
"""

from __future__ import annotations

import json
import math
from typing import Any

from ninetyfive.features import tree
from ninetyfive.features.operation import REQUIRED
from ninetyfive.features.operations import OPERATIONS

_ATOM = 10
_UNARY = 8


def source(node: tree.Node) -> str:
    """The source text that records `node`. Learned constants are not part of it."""
    return _text(node, 0)


def quoted(text: str) -> str:
    """A string as a literal in double quotes."""
    return json.dumps(text, ensure_ascii=False)


def literal(value: Any) -> str:
    """A plain value (None, bool, int, float, str or a tuple of them) as a literal."""
    if isinstance(value, str):
        return quoted(value)
    if isinstance(value, tuple):
        return f"[{', '.join(literal(item) for item in value)}]"
    if isinstance(value, float) and not math.isfinite(value):
        return f'float("{value}")'
    return repr(value)


def _constant(node: tree.Constant) -> str:
    if node.type not in (*tree.TIMES, tree.DATE):
        return literal(node.value)
    try:
        moment = tree.moment(node.value, node.type)
    except (ValueError, OverflowError):
        return f"<{node.type} {node.value}>"
    return repr(moment).replace("datetime.timezone.utc", "timezone.utc").removeprefix("datetime.")


def _text(node: tree.Node, outer: int) -> str:
    if isinstance(node, tree.Column):
        return f"col({quoted(node.name)})"
    if isinstance(node, tree.Constant):
        return _constant(node)
    operation = OPERATIONS[node.operation]
    if operation.symbol == "**":
        text = _power(*node.inputs)
        return f"({text})" if outer > operation.precedence else text
    if operation.form == "infix":
        left, right = node.inputs
        side = operation.precedence + (operation.symbol in ("==", "!=", "<", "<=", ">", ">="))
        text = f"{_text(left, side)} {operation.symbol} {_text(right, operation.precedence + 1)}"
        return f"({text})" if outer > operation.precedence else text
    if operation.form == "prefix":
        text = f"{operation.symbol}{_text(node.inputs[0], operation.precedence)}"
        return f"({text})" if outer > operation.precedence else text
    parts = [_text(item, 0) for item in node.inputs]
    if operation.form == "when":
        return "when({}).then({}).otherwise({})".format(*parts)
    if operation.form == "function":
        return f"{node.operation}({', '.join([*parts, *_arguments(node)])})"
    if operation.form == "feature":
        values = dict(node.arguments)
        return f'feature({values["name"]}, [{", ".join(parts)}], returns="{values["returns"]}")'
    written = [*parts[1:], *_arguments(node)]
    return f"{_text(node.inputs[0], _ATOM)}.{node.operation}({', '.join(written)})"


def _power(base: tree.Node, exponent: tree.Node) -> str:
    """`**` binds closer than a sign on its left, which a negative constant has too, but not than one on its right."""
    left = _text(base, _ATOM)
    if isinstance(base, tree.Constant) and left.startswith("-"):
        left = f"({left})"
    return f"{left} ** {_text(exponent, _UNARY)}"


def _arguments(node: tree.Call) -> list[str]:
    values = dict(node.arguments)
    written = []
    for argument in OPERATIONS[node.operation].arguments:
        value = values[argument.name]
        if argument.default is REQUIRED:
            written.append(literal(value))
        elif repr(value) != repr(argument.default):
            written.append(f"{argument.name}={literal(value)}")
    return written
