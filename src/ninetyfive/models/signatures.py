"""What a model function takes: rows, perhaps with the champion to continue from, or `params` alone.

(x, y, params[, champion]) ─▶ returns a fitted model        (params) ─▶ returns a compiled one, which ninetyfive fits
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any


def params_alone(function: Callable[..., Any]) -> bool:
    """Whether a model function takes `params`, and no rows.

    >>> params_alone(lambda params: None), params_alone(lambda x, y, params: None)
    (True, False)
    """
    return _takes(function, 1) and not takes_rows(function)


def takes_rows(function: Callable[..., Any]) -> bool:
    """Whether a model function takes `(x, y, params)`, or `champion` beside them.

    >>> takes_rows(lambda x, y, params, champion: None), takes_rows(lambda x, y: None)
    (True, False)
    """
    return _takes(function, 3, {"champion": None} if takes_champion(function) else {})


def takes_champion(function: Callable[..., Any]) -> bool:
    """Whether a model function has an argument `champion`, the model to continue from.

    >>> takes_champion(lambda x, y, params, champion: champion), takes_champion(lambda x, y, params: x)
    (True, False)
    """
    return "champion" in inspect.signature(function).parameters


def _takes(function: Callable[..., Any], count: int, named: Mapping[str, Any] = MappingProxyType({})) -> bool:
    try:
        inspect.signature(function).bind(*[None] * count, **named)
    except (TypeError, ValueError):
        return False
    return True
