"""What is asked of a service: a command of a system, with its words and the settings in force.

What does not belong here: what a service makes of it (a file a service).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, get_args

from ninetyfive.managed_settings import ManagedSettings
from ninetyfive.settings import Settings
from ninetyfive.upkeep import Upkeep

What = Literal["run", "predict", "table", "serve"]


COMMANDS: tuple[What, ...] = get_args(What)


@dataclass(frozen=True)
class Asked:
    """A command `what` of a `system`; `words` are those of its verb (`run`, `predict_file`, `build_table`), of
    "serve" those of `vertex_verbs.serve`."""

    system: Upkeep
    settings: Settings
    what: What
    words: Mapping[str, Any] = field(default_factory=dict)

    @property
    def said(self) -> ManagedSettings:
        """What the settings say of services."""
        return self.settings.managed
