"""How the traffic of an endpoint is shared out among what is deployed there: pure.

    {"1": 90, "2": 10} ─ shared("3", 20) ─▶ {"1": 72, "2": 8, "3": 20}      the others keep their proportions
                       ─ without("2") ───▶ {"1": 100}

Shares are whole percents and add up to 100 exactly; who has none is not named. What does not belong here: calls.
"""

from __future__ import annotations

from collections.abc import Mapping


def shared(now: Mapping[str, int], id: str, percent: int) -> dict[str, int]:
    """The shares where `id` gets `percent`, and the others the rest in proportion; alone it gets all.

    >>> shared({"1": 90, "2": 10}, "3", 15)
    {'1': 77, '2': 8, '3': 15}
    >>> shared({}, "3", 15), shared({"1": 100}, "1", 15)
    ({'3': 100}, {'1': 100})
    """
    others = {name: share for name, share in now.items() if name != id and share > 0}
    mine = percent if others else 100
    return _named({**_proportional(others, 100 - mine), id: mine})


def without(now: Mapping[str, int], id: str, newest: str = "") -> dict[str, int]:
    """The shares where `id` has none any more, and the others all; `newest` gets it where the others had nothing.

    >>> without({"1": 90, "2": 10}, "1"), without({"1": 100}, "1", newest="2"), without({"1": 100}, "1")
    ({'2': 100}, {'2': 100}, {})
    """
    others = {name: share for name, share in now.items() if name != id and share > 0}
    if not others and newest:
        return {newest: 100}
    return _named(_proportional(others, 100)) if others else {}


def _proportional(shares: Mapping[str, int], whole: int) -> dict[str, int]:
    """`whole` in the proportions of `shares`, in whole numbers: the largest remainders are rounded up."""
    total = sum(shares.values())
    if not total:
        return {}
    parts = {name: divmod(share * whole, total) for name, share in shares.items()}
    left = whole - sum(part for part, _ in parts.values())
    up = sorted(parts, key=lambda name: (-parts[name][1], name))[:left]
    return {name: part + (name in up) for name, (part, _) in parts.items()}


def _named(shares: Mapping[str, int]) -> dict[str, int]:
    return {name: share for name, share in shares.items() if share}
