"""The pipeline of a run on this machine: compiled as for Vertex AI, its tasks run one after the other by kfp.local.

    Asked ─ parcel ─▶ a folder here ─ kfp.local: data ─▶ train ─▶ release ─▶ document

Nothing is sent, and no setting of a service is needed. What does not belong here: what a task does (`worker`).
"""

from __future__ import annotations

import json
import sys
import tempfile
import warnings
from contextlib import redirect_stdout
from pathlib import Path
from typing import Any

import msgspec

from ninetyfive.errors import EngineError, UsageError, needs_extra
from ninetyfive.managed.asked import Asked
from ninetyfive.managed.jobs import job_id
from ninetyfive.managed.packing import ERROR, RESULTS, Place, unpack_error
from ninetyfive.managed.parcel import ACTOR, PARCEL, Done, content_of, pack, parcel_of
from ninetyfive.managed.pipelining import compiled
from ninetyfive.managed.whole import keep_schema
from ninetyfive.progress import Reporter
from ninetyfive.store.opening import actor_name

_IMAGE = "python:3"
"""What a task is said to need where the settings name no image: nothing is pulled."""


def done_here(asked: Asked, to: str, reporter: Reporter) -> dict[str, Any]:
    """Run the pipeline of a run on this machine; the document of the run.

    Errors are those that a task raised; `EngineError` where one ended without saying why.
    """
    if to != "vertex" or asked.what != "run":
        raise UsageError(
            "--here",
            expected="submit run --to vertex, which is a pipeline",
            got=f"submit {asked.what} --to {to}",
            do="leave --here out",
        )
    parcel = msgspec.structs.replace(parcel_of(asked, shared_disk=True), hours=0.0)
    id = job_id(asked.system.name, content_of(parcel))
    with tempfile.TemporaryDirectory(prefix="ninetyfive-") as scratch:
        place = Place(str(Path(scratch) / "job"))
        place.write(PARCEL, pack(parcel))
        place.write(ACTOR, actor_name().encode())
        said = msgspec.structs.replace(asked.said, image=asked.said.image or _IMAGE)
        failed = _run(compiled(said), {"folder": place.url, "id": id}, Path(scratch))
        results = place.read(RESULTS)
        if results is None:
            written = place.read(f"{id}/{ERROR}")
            if written is not None:
                raise unpack_error(written)
            raise EngineError(
                "the pipeline, run by kfp.local",
                expected="tasks that end well",
                got=failed or "no document",
                do="look at what its tasks wrote above",
            )
    found = msgspec.json.decode(results, type=Done)
    keep_schema(asked, found, reporter)
    return found.document


def _run(spec: dict[str, Any], parameters: dict[str, str], scratch: Path) -> str:
    """Run a compiled pipeline; what is wrong with it, "" where nothing is. What tasks print goes to stderr."""
    with needs_extra("managed", "--here"):
        from kfp import local
        from kfp.components import load_component_from_text
        from kfp.local.config import LocalExecutionConfig

    pipeline = load_component_from_text(json.dumps(spec))
    local.init(
        local.SubprocessRunner(use_venv=False),
        pipeline_root=str(scratch / "outputs"),
        workspace_root=str(scratch / "workspace"),
    )
    try:
        with warnings.catch_warnings(), redirect_stdout(sys.stderr):
            warnings.simplefilter("ignore", RuntimeWarning)  # that the image may be another than this Python
            pipeline(**parameters)
    except RuntimeError as error:
        return str(error)
    finally:
        LocalExecutionConfig.instance = None  # else every later component of this process would run at once
    return ""
