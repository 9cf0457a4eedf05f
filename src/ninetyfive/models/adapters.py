"""The adapters there are, and which of them a model needs.

    fitted model ─ adapter_for ─▶ the first adapter that recognises it ─ save · load · export · predict

An adapter is a module of this folder with these five functions in this order, and four words: `NAME`, as releases
name it; `FILES`, what `save` writes; `FORMS`, the forms that may serve, the first choice first; `NEEDS`, what has to be
installed to load the native form. Importing it imports no framework.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Any, Protocol, cast

from ninetyfive.errors import ModelError, near_names
from ninetyfive.metrics import Task
from ninetyfive.models import imported, keras, lightgbm, sklearn, xgboost
from ninetyfive.models.predictor import Answers, Inputs


class Adapter(Protocol):
    """What a framework must offer; every function is pure but for the folder it is given."""

    NAME: str
    FILES: tuple[str, ...]
    FORMS: tuple[str, ...]
    NEEDS: tuple[str, ...]

    def recognises(self, model: object) -> bool:
        """Whether the model is of this framework; never imports it."""
        ...

    def save(self, model: Any, folder: Path) -> None:
        """Write the native form (no pickle); equal models, equal bytes."""
        ...

    def load(self, folder: Path) -> Any:
        """Read what `save` wrote."""
        ...

    def export(self, model: Any, columns: Sequence[str], task: Task, classes: Sequence[str]) -> bytes:
        """The served form, as ONNX; equal models, equal bytes.

        An adapter whose `FORMS` has another form of a file beside "onnx" takes that word as a fifth argument.
        """
        ...

    def predict(self, model: Any, x: Inputs, task: Task, classes: Sequence[str]) -> Answers:
        """The model's own answers."""
        ...


ADAPTERS: Mapping[str, Adapter] = MappingProxyType(
    {module.NAME: cast(Adapter, module) for module in (lightgbm, xgboost, sklearn, keras, imported)}
)
"""Every adapter by name, in the order in which they are asked: the wrappers of boosted trees are scikit-learn's too."""


def adapter_for(model: object, where: str = "model") -> Adapter:
    """The first adapter that recognises the model; `ModelError` if none does.

    >>> adapter_for(3)
    Traceback (most recent call last):
    ninetyfive.errors.ModelError: model: expected a fitted model of one of: lightgbm, xgboost, sklearn, ...
    """
    for adapter in ADAPTERS.values():
        if adapter.recognises(model):
            return adapter
    raise ModelError(
        where,
        expected="a fitted model of one of: " + ", ".join(ADAPTERS),
        got=type(model).__name__ if model is not None else "None",
        do="return the fitted model itself, such as `return LogisticRegression().fit(x, y)`",
    )


def adapter_named(name: str) -> Adapter:
    """The adapter of that name; `ModelError` with near names if there is none.

    >>> adapter_named("sklearn").NAME
    'sklearn'
    """
    if name not in ADAPTERS:
        raise ModelError("adapter", expected="a known one", got=repr(name), do=near_names(name, ADAPTERS).rstrip("?"))
    return ADAPTERS[name]
