"""A run as a pipeline of three tasks, each the same command continued, compiled by kfp.

    data: ingest … apply ─▶ train: (tune), train ─▶ release: evaluate, gate, release, promote

A task is a lightweight component: its container runs the few lines below, which call `worker`. Nothing is handed from
task to task: the store has what a task recorded, and the next one goes on from there. Caching is off, as steps have
keys of their own.
What does not belong here: what a task does (`worker`), and where the pipeline runs.
"""
# No `from __future__ import annotations`: kfp reads the annotations of the components below.

from typing import Any

from ninetyfive.errors import needs_extra
from ninetyfive.managed_settings import ManagedSettings

NAME = "ninetyfive-run"


def data(folder: str, id: str) -> None:
    """Read the source in, fit and apply the features."""
    import importlib

    importlib.import_module("ninetyfive.managed.worker").main([folder, id, "data"])


def train(folder: str, id: str) -> None:
    """Tune and train the model."""
    import importlib

    importlib.import_module("ninetyfive.managed.worker").main([folder, id, "train"])


def release(folder: str, id: str) -> None:
    """Evaluate, ask the gates, register the release and promote it."""
    import importlib

    importlib.import_module("ninetyfive.managed.worker").main([folder, id, "release"])


TASKS = (data, train, release)
"""The tasks, each after the one before."""


def compiled(said: ManagedSettings) -> dict[str, Any]:
    """The pipeline as kfp compiles it, for the image and the sizes of the settings; its parameters: folder and id."""
    with needs_extra("managed", "a pipeline"):
        from google.protobuf.json_format import MessageToDict
        from kfp import dsl

    made = [dsl.component(base_image=said.image, install_kfp_package=False)(function) for function in TASKS]

    def run(folder: str, id: str) -> None:
        before = None
        for component in made:
            task = component(folder=folder, id=id)
            task.set_caching_options(False)
            _sized(task, said)
            if before is not None:
                task.after(before)
            before = task

    return dict(MessageToDict(dsl.pipeline(name=NAME)(run).pipeline_spec))


def _sized(task: Any, said: ManagedSettings) -> None:
    """Give a task its machine; "G" is what the service counts the memory of its machines in."""
    sizes = said.vertex
    trains = task.name == "train"
    task.set_cpu_limit(str(sizes.train_cores if trains else sizes.cores))
    task.set_memory_limit(f"{sizes.train_memory_gib if trains else sizes.memory_gib:g}G")
    if trains and sizes.accelerator:
        task.set_accelerator_type(sizes.accelerator)
        task.set_accelerator_limit(sizes.accelerators)
