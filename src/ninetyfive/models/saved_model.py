"""A Keras release as a SavedModel, for TensorFlow Serving: a signature whose inputs are transformed columns by name.

    model.keras ─ load ─▶ model ─ write_saved_model ─▶ FOLDER/saved_model.pb, variables/
                                                       serving_default: one float32 (rows,) for each column

**It takes transformed inputs**: what `transform.json` makes of a row, not the row itself. What asks it has to transform
as the release does, which only ninetyfive's own service does for you. It stands in no release: a graph that TensorFlow
writes has other bytes each time.
"""

from __future__ import annotations

import re
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ninetyfive.errors import ModelError
from ninetyfive.metrics import Task
from ninetyfive.models.keras import NUMPY_2
from ninetyfive.models.seeding import import_tensorflow


def signature_names(columns: Sequence[str]) -> list[str]:
    """The inputs of the signature: the columns, what TensorFlow takes in no name as `_`; `ModelError` where two meet.

    >>> signature_names(["hour", "origin=EWR"])
    ['hour', 'origin_EWR']
    """
    names = [re.sub(r"[^A-Za-z0-9_]", "_", column) for column in columns]
    names = [f"_{name}" if name[0].isdigit() else name for name in names]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise ModelError(
            "SavedModel",
            expected="a name of its own for every input of the signature",
            got=f"several columns as {twice[0]!r}: {[c for c, n in zip(columns, names, strict=True) if n == twice[0]]}",
            do="rename one of the features: letters, digits and _ stay as they are",
        )
    return names


def write_saved_model(model: Any, columns: Sequence[str], task: Task, classes: Sequence[str], folder: Path) -> None:
    """Write the SavedModel into `folder`, made with it.

    Its outputs: `prediction` (rows,); of a multiclass model `probabilities` (rows, classes) and `classes` beside them.
    """
    tensorflow = import_tensorflow()
    names = signature_names(columns)

    def serve(**given: Any) -> dict[str, Any]:
        answers = model(tensorflow.stack([given[name] for name in names], axis=1), training=False)
        if task != "multiclass":
            return {"prediction": answers[:, -1]}
        words = tensorflow.tile(tensorflow.constant([list(classes)]), [tensorflow.shape(answers)[0], 1])
        return {"probabilities": answers, "classes": words}

    specs = {name: tensorflow.TensorSpec((None,), tensorflow.float32, name=name) for name in names}
    module = tensorflow.Module()
    module.model = model
    signature = tensorflow.function(serve, autograph=False).get_concrete_function(**specs)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=NUMPY_2, category=DeprecationWarning)
        tensorflow.saved_model.save(module, str(folder), signatures={"serving_default": signature})
