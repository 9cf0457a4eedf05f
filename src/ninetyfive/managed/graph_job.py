"""Plans as an errand for a service that takes a graph of Beam: built here, its end gathered here.

    plans ─ Submission ─▶ job, tasks, pipeline.pb in the folder ─ the service: our workers ─▶ messages in the folder
                                                                                                   │ the job is done
                                    results of plans ◀─ results in the folder ◀─ Submission.left ◀─┘

What a driver does elsewhere is done here, once the service says that the job is done: as often as it is asked for,
since files stay where workers left them. Each submitter stages under a name of its own content, so that two do not mix.
What does not belong here: the steps of the graph (`engines.beam_graph`), what the service is told (`dataflow`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import apache_beam as beam
from apache_beam.portability import common_urns
from apache_beam.portability.api import beam_runner_api_pb2

from ninetyfive.engines.beam import options_of
from ninetyfive.engines.beam_graph import Root, build
from ninetyfive.engines.shipping import dumps
from ninetyfive.engines.submission import Submission
from ninetyfive.errors import EngineError, SettingsError
from ninetyfive.hashing import bytes_hash
from ninetyfive.managed.dataflow import OFFLINE, PIPELINE, WHERE, options
from ninetyfive.managed.identity import placed
from ninetyfive.managed.jobs import GRAPHS, Graph, Request, Work
from ninetyfive.managed.packing import ERROR, FILES, RESULTS, pack_results
from ninetyfive.managed.plans_job import PlansErrand
from ninetyfive.managed_settings import ManagedSettings
from ninetyfive.store.crashing import crash_point
from ninetyfive.store.records import Job

_MARK = 12


@dataclass(frozen=True, slots=True)
class GraphErrand(PlansErrand):
    """Plans as an errand: their graph in its folder, and what its workers said, gathered."""

    def results(self, attempts: Sequence[Job], /) -> dict[str, Any] | None:
        """As in `Errand`; what the last attempt left is made into results first, or the error of a worker is found."""
        if (found := self.read()) is not None or not attempts:
            return found
        last = attempts[-1]
        names = self.place.below(f"{last.id}/{GRAPHS}")
        with self.place.told():
            roots = [Root(f"{self.place.url}/{last.id}/{GRAPHS}/{name}") for name in names]
            if last.state == "failed":
                for error in filter(None, (root.error() for root in roots)):
                    self.place.write(f"{last.id}/{ERROR}", error)
            if last.state != "done" or not roots:
                return None
            messages = [message for root in roots for message in root.results()]
        crash_point("job done")
        try:
            left = self._submission(last.id).left(messages)
        except EngineError:  # messages are gone: it is done, and its results are not there
            return None
        self.place.write(RESULTS, pack_results(self.plans, left))
        return self.read()

    def prepare(self, id: str) -> Request:
        """The job, its tasks and the graph in the folder."""
        self.place.remove(RESULTS)  # of an attempt whose files are gone
        submission = self._submission(id)
        shipped = dumps(submission.job, *submission.tasks)
        mark = bytes_hash(b"".join(shipped))[:_MARK]
        name = f"{id}/{GRAPHS}/{mark}"
        with self.place.told():
            root = Root(f"{self.place.url}/{name}")
            places = root.keep(*shipped)
        with submission:  # its folders are there
            data = graph(self.orders.settings, root.url, places, submission.rounds)
        self.place.write(f"{name}/{PIPELINE}", data)
        staged = Graph(f"{self.place.url}/{name}/{PIPELINE}", data, bytes_hash(data))
        system, purpose = self.orders.system, self.purpose
        return self.service.render(Work(id=id, folder=self.place.url, system=system, purpose=purpose, graph=staged))

    def _submission(self, id: str) -> Submission:
        plans = placed(self.plans, lambda number: f"{self.place.url}/{id}/{FILES}/{number}")
        return Submission(plans, self.orders.partition_memory, attempt="graph")


def graph(said: ManagedSettings, root: str, places: list[tuple[int, int]], rounds: list[bool]) -> bytes:
    """The pipeline of a job as the service takes it: the same bytes for the same arguments, in any process.

    `SettingsError` where Beam refuses an option, or one lets it send what is not in the image.
    """
    told = options_of({**options(said), **OFFLINE}, WHERE)
    try:
        pipeline = beam.Pipeline(options=told)
    except ValueError as error:
        raise SettingsError(WHERE, expected="options that Beam takes", got=str(error), do="correct them") from error
    build(pipeline, root, places, rounds)
    pipeline.run()
    runner: Any = pipeline.runner
    proto = runner.proto_pipeline
    _check(proto, said.image)
    return bytes(proto.SerializeToString(deterministic=True))


def example(said: ManagedSettings, root: str) -> bytes:
    """The pipeline of a job with one shuffle, states and files, for people to look at."""
    return graph(said, root, [(0, 1)], [True, True])


def _check(proto: Any, image: str) -> None:
    """`SettingsError` where the graph names what the workers would not have."""
    for one in proto.components.environments.values():
        payload = beam_runner_api_pb2.DockerPayload.FromString(one.payload)
        if one.urn != common_urns.environments.DOCKER.urn or payload.container_image != image:
            got = f"{one.urn} {payload.container_image}".strip()
            raise SettingsError(WHERE, expected=f"workers from the image {image}", got=got, do="leave the option out")
        if one.dependencies:
            raise SettingsError(
                WHERE,
                expected="nothing to be sent to the workers beside the plans",
                got=f"{len(one.dependencies)} files of this machine",
                do="install what they need in the image",
            )
