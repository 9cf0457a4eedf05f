"""Export: a release as a SavedModel, for TensorFlow Serving on transformed inputs.

release folder ─ its model.keras ─▶ FOLDER/ (new): saved_model.pb, variables/
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ninetyfive.errors import UsageError
from ninetyfive.models import keras
from ninetyfive.models.release import OpenRelease
from ninetyfive.models.saved_model import signature_names, write_saved_model
from ninetyfive.store.failures import disk_errors

TAKES = "it takes transformed inputs, as transform.json of the release makes them of a row; a null is NaN"


def export_saved_model(opened: OpenRelease, folder: Path, to: Path) -> dict[str, Any]:
    """Write the SavedModel of a release, whose files are in `folder`, into `to`, which is new or empty.

    `UsageError` where the release is of another framework than Keras, or `to` holds something.
    """
    about = opened.about
    if about.adapter != keras.NAME:
        raise UsageError(
            f"release {opened.hash[:12]}",
            expected="a release of a Keras model",
            got=f"one of {about.adapter}",
            do="name another one with --release: a SavedModel is what TensorFlow makes",
        )
    if to.exists() and (not to.is_dir() or any(to.iterdir())):
        raise UsageError(str(to), expected="a new or empty folder", got="one that holds something", do="name another")
    model = keras.load(folder)
    with disk_errors(str(to)):
        write_saved_model(model, about.columns, about.task, about.classes, to)
    return {
        "release": opened.hash,
        "folder": str(to),
        "signature": "serving_default",
        "inputs": dict(zip(signature_names(about.columns), about.columns, strict=True)),
        "outputs": ["probabilities", "classes"] if about.task == "multiclass" else ["prediction"],
        "takes": TAKES,
    }
