"""The champion as a model function may continue it: its fitted model, where that answers the same inputs.

    context.champion ─ same task, classes, label, columns and constants? ─ yes ─▶ its model in the native form
                                                                         └ no ──▶ None, and a notice that says why

The champion is the one that a run compares with: never what came of the same inputs, so that a second run with nothing
new continues from where the first one did. What does not belong here: whether the function takes one (`training`).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from ninetyfive.errors import FeatureError, StoreError
from ninetyfive.features.transform import Transform
from ninetyfive.models import imported
from ninetyfive.models.adapters import adapter_named
from ninetyfive.models.release import open_release
from ninetyfive.models.signatures import takes_champion
from ninetyfive.models.training import Labels
from ninetyfive.steps.context import Prepared


@dataclass(frozen=True, slots=True)
class Continued:
    """The model to continue from and its release; or None of both, and what is to be said of that."""

    model: Any = None
    release: str | None = None
    notices: tuple[str, ...] = ()


def champion_to_continue(context: Prepared, transform: Transform, known: Labels) -> Continued:
    """The champion for a model function that takes one."""
    if context.champion is None or not takes_champion(context.model.function):
        return Continued()
    name = f"champion {context.champion[:12]} is not continued:"
    try:
        with context.store.open_folder(context.store.release(context.champion)) as folder:
            release = open_release(folder, context.champion)
            about = release.about
            asked = (known.task, known.classes, str(context.declaration.label))
            if (about.task, about.classes, about.label) != asked:
                return Continued(notices=(f"{name} its task, classes or label are others",))
            if release.transform.columns != transform.columns:
                return Continued(notices=(f"{name} its columns are others",))
            if release.transform.to_json() != transform.to_json():
                return Continued(notices=(f"{name} its features learned other constants from its rows",))
            if about.adapter == imported.NAME:
                return Continued(notices=(f"{name} it was imported",))
            return Continued(adapter_named(about.adapter).load(folder), context.champion)
    except (StoreError, FeatureError) as error:
        return Continued(notices=(f"{name} {error}",))
