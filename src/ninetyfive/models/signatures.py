"""What a model function takes: rows, or `params` alone.

(x, y, params) ─▶ returns a fitted model        (params) ─▶ returns a compiled one, which ninetyfive fits
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any


def params_alone(function: Callable[..., Any]) -> bool:
    """Whether a model function takes `params`, and no rows.

    >>> params_alone(lambda params: None), params_alone(lambda x, y, params: None)
    (True, False)
    """
    return _takes(function, 1) and not _takes(function, 3)


def _takes(function: Callable[..., Any], count: int) -> bool:
    try:
        inspect.signature(function).bind(*[None] * count)
    except (TypeError, ValueError):
        return False
    return True
