"""Figures beside their bounds: as a table for people, as JSON for programs.

What does not belong here: how anything is measured.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass


@dataclass(frozen=True)
class Figure:
    """What was measured, and its bound where it has one: `least` or `most`; `spread` are its least and most rounds."""

    what: str
    value: float
    unit: str
    least: float | None = None
    most: float | None = None
    spread: tuple[float, float] | None = None

    @property
    def held(self) -> bool:
        """Whether it is within its bound."""
        return not (self.least is not None and self.value < self.least) and not (
            self.most is not None and self.value > self.most
        )


def tell(title: str, figures: Sequence[Figure], machine: str, as_json: bool) -> int:
    """Print all; 0 where every bound is held, else 1."""
    held = all(figure.held for figure in figures)
    if as_json:
        listed = [{**asdict(figure), "held": figure.held} for figure in figures]
        print(json.dumps({"title": title, "figures": listed, "machine": machine, "held": held}))
        return 0 if held else 1
    print(f"\n{title}")
    width = max(len(figure.what) for figure in figures)
    for figure in figures:
        bound, verdict = "", ""
        if figure.least is not None or figure.most is not None:
            words = "at least" if figure.least is not None else "at most"
            bound = f"{words} {figure.least if figure.least is not None else figure.most:g}"
            verdict = "held" if figure.held else "BROKEN"
        rounds = f"({figure.spread[0]:.4g} to {figure.spread[1]:.4g})" if figure.spread else ""
        line = f"  {figure.what:<{width}}  {figure.value:>10.4g} {figure.unit:<8} {rounds:<24} {bound:<14} {verdict}"
        print(line.rstrip())
    print(f"  {machine}")
    return 0 if held else 1
