"""Runs plans on Apache Beam: one pipeline a job, on any runner; our code in its workers.

    plans ─ Submission ─▶ job and tasks in a temporary root ─ beam_graph ─▶ any runner ─▶ results in it ─ Submission ─▶

The driver waits, tells how far it is, and stops what runs when it is stopped itself.
What does not belong here: the graph and its workers (`beam_graph`), the driver's side of a job (`submission`).
"""

from __future__ import annotations

import tempfile
import uuid
from collections.abc import Mapping
from concurrent.futures import Future, ThreadPoolExecutor, wait
from contextlib import redirect_stderr
from io import StringIO
from typing import Any

import apache_beam as beam
from apache_beam.options.pipeline_options import GoogleCloudOptions, PipelineOptions
from apache_beam.runners.runner import PipelineState

from ninetyfive.engines.beam_graph import Root, build
from ninetyfive.engines.shipping import Told, dumps
from ninetyfive.engines.submission import Submission
from ninetyfive.errors import EngineError, SettingsError, near_names
from ninetyfive.plan import PARTITION_MEMORY, Plan
from ninetyfive.progress import RowProgress

RUNNER = "FnApiRunner"
"""Beam's own runner in this process. The default of Beam first tries to fetch another one from the network."""

_NEAR, _FAR = 0.25, 5.0
"""How often progress is looked at, in seconds: of a local root, of one in a bucket."""


class BeamEngine:
    """An `Engine` on Beam; see `plan.Engine` for what `run` gives, and docs/engines.md for how plans are mapped.

    `options` are Beam's pipeline options by name (`runner`, default FnApiRunner in this process; `direct_num_workers`,
    `flink_master`, `project` …). `temporary` is a folder that driver and workers reach (default: `temp_location` of the
    options, else the system's). `partition_memory` in bytes: the rows of one partition of a shuffle. `progress` as for
    `LocalEngine`, in steps of tasks. Workers need ninetyfive installed, and reach every url of the plans.
    """

    def __init__(
        self,
        options: Mapping[str, Any] | None = None,
        *,
        temporary: str | None = None,
        partition_memory: int = PARTITION_MEMORY,
        progress: RowProgress | None = None,
    ) -> None:
        self.jobs = 0
        self._options = dict(options or {})
        self._temporary = temporary
        self._room = partition_memory
        self._progress = progress

    def run(self, plans: Mapping[str, Plan]) -> dict[str, Any]:
        """Run all plans as one pipeline; a run that fails raises and leaves no file behind.

        Errors as for `LocalEngine`; `EngineError` too for what the runner says. Ctrl-C stops the workers of this
        machine after the chunks in work, and cancels the job of a runner elsewhere.
        """
        if not plans:
            return {}
        with Told("beam"):
            options = options_of({"runner": RUNNER, **self._options})
            place = self._temporary or options.view_as(GoogleCloudOptions).temp_location or tempfile.gettempdir()
            url = f"{place.rstrip('/')}/ninetyfive-{uuid.uuid4().hex[:12]}"
            root = Root(url, private=place == tempfile.gettempdir())
        submission = Submission(plans, self._room, root.path if root.local else None)
        self.jobs += 1
        with submission, Told("beam"):
            try:
                if submission.tasks:
                    self._run(submission, root, options)
                return submission.results(root.results())
            finally:
                root.clear()

    def _run(self, submission: Submission, root: Root, options: PipelineOptions) -> None:
        pipeline = beam.Pipeline(options=options)
        places = root.keep(*dumps(submission.job, *submission.tasks))
        build(pipeline, root.url, places, submission.rounds)
        job = _Running(pipeline)
        with ThreadPoolExecutor(1, thread_name_prefix="ninetyfive-beam") as pool:
            running = pool.submit(job.run)
            try:
                self._wait(running, root, submission.rows)
                running.result()
            except BaseException:
                while not wait([running], timeout=_NEAR).done:
                    job.cancel()  # again and again: a job that is still being submitted cannot be cancelled yet
                    root.clear()
                raise
        if self._progress is not None and submission.rows is not None:
            self._progress(submission.rows, submission.rows)

    def _wait(self, running: Future[None], root: Root, rows: int | None) -> None:
        told = 0
        while not wait([running], timeout=_NEAR if root.local else _FAR).done:
            if self._progress is not None and (done := root.progress()) > told:
                self._progress(done, rows)
                told = done


def options_of(said: Mapping[str, Any], where: str = "[engines.beam.options]") -> PipelineOptions:
    """Beam's options; `SettingsError` for a value that Beam refuses, or a name that its own runner does not know."""
    with redirect_stderr(StringIO()) as usage:
        try:
            options: PipelineOptions = PipelineOptions.from_dictionary(dict(said))
            known = options.get_all_options()
        except SystemExit:
            got = usage.getvalue().strip().rpartition("error: ")[2]
            raise SettingsError(where, expected="values that Beam takes", got=got, do="correct the option") from None
    for name in said:
        if said["runner"] == RUNNER and name not in known:
            raise SettingsError(f"{where} {name!r}", expected="an option of Beam", got=name, do=near_names(name, known))
    return options


class _Running:
    """A pipeline that runs: `run` blocks until it ends."""

    def __init__(self, pipeline: beam.Pipeline) -> None:
        self._pipeline = pipeline
        self._result: Any = None

    def run(self) -> None:
        self._result = self._pipeline.run()
        state = self._result.wait_until_finish() or self._result.state
        if state != PipelineState.DONE:
            raise EngineError(
                "engine beam", expected="a job that ends well", got=f"one that is {state}", do="look into its logs"
            )

    def cancel(self) -> None:
        """Cancel a job of a runner elsewhere; workers of this process see that the root is gone."""
        if self._result is not None and not PipelineState.is_terminal(self._result.state):
            self._result.cancel()
