"""Export: a release as a SavedModel, for TensorFlow Serving on transformed inputs.

release folder ─ its model.keras ─▶ FOLDER/ (new): saved_model.pb, variables/
                                 └▶ AIP_MODEL_DIR of a platform's job, over what an earlier try left there
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ninetyfive.errors import UsageError
from ninetyfive.models import keras
from ninetyfive.models.release import OpenRelease, open_release
from ninetyfive.models.saved_model import signature_names, write_saved_model
from ninetyfive.models.training_places import upload
from ninetyfive.store.failures import disk_errors
from ninetyfive.store.opening import Store

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


def hand_over(store: Store, release: str, place: str) -> str:
    """Write the SavedModel of a release to where a platform takes the model from; what is to be said of it.

    A release of another framework leaves the place as it is.
    """
    with store.open_folder(store.release(release)) as folder, store.attempt() as attempt:
        opened = open_release(folder, release)
        if opened.about.adapter != keras.NAME:
            return (
                f"nothing is written to {place}: a SavedModel is made of a Keras model, and this is one of "
                f"{opened.about.adapter}; its release stands in the store"
            )
        export_saved_model(opened, folder, attempt / "saved")
        upload(attempt / "saved", place)
    return f"a SavedModel of the release stands in {place}; it takes transformed inputs"
