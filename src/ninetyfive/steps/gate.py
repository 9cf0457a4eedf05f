"""Gate: the pure decision of `decisions.gates` on what was measured."""

from __future__ import annotations

from typing import Any

import msgspec

from ninetyfive.decisions.gates import Evidence, decide
from ninetyfive.steps.context import Context


def gate_depends(context: Context) -> Any:
    """The declared gates."""
    return msgspec.to_builtins(context.declaration.gates)


def gate(context: Context, trained: dict[str, Any], evaluated: dict[str, Any]) -> dict[str, Any]:
    """Returns `passed` and `gates`, the verdicts in order."""
    champion = evaluated["champion"]
    slices = {
        column: {
            str(group["value"]): {
                "rows": group["rows"],
                "metrics": group["metrics"] or {},
                "over_champion": group["over_champion"],
            }
            for group in groups
            if group["metrics"] is not None
        }
        for column, groups in evaluated["slices"].items()
    }
    evidence = msgspec.convert(
        {
            "metric": evaluated["primary"],
            "rows": evaluated["rows"],
            "metrics": evaluated["metrics"],
            "over_constant": evaluated["gains"]["constant"],
            "over_champion": champion["gains"] if champion else None,
            "slices": slices,
            "seconds": trained["proof"]["timing"]["one"],
        },
        Evidence,
    )
    verdicts = decide(context.declaration.gates, evidence)
    return {"passed": verdicts.passed, "gates": msgspec.to_builtins(verdicts.verdicts)}
