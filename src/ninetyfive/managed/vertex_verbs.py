"""`submit serve` and `submit predict` on Vertex AI: what is brought together here for the service to do.

    system.py, settings, store ─▶ release, table, configuration ─ content ─▶ job ─▶ vertex_endpoint
    input ─ validated here ─▶ rows ─ content ─▶ job ─▶ vertex_batch ─▶ answers ─▶ the file that `predict` writes

What does not belong here: calls, and what a job is (`vertex_endpoint`, `vertex_batch`).
"""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from ninetyfive.errors import UsageError
from ninetyfive.managed.asked import Asked
from ninetyfive.managed.attending import Attendant
from ninetyfive.managed.cloud import parent
from ninetyfive.managed.jobs import STANDS_FOR, Later, Request, Work, example_id, folder_of, job_id, marked
from ninetyfive.managed.packing import Place
from ninetyfive.managed.vertex_batch import BATCH, BatchPredictions
from ninetyfive.managed.vertex_endpoint import Deploying, Wanted
from ninetyfive.managed.vertex_rows import Batch, write_instances
from ninetyfive.managed.vertex_serving import NEW, Names, container, create_endpoint, deploy, endpoint_id, upload
from ninetyfive.managed_settings import ManagedSettings
from ninetyfive.progress import Reporter
from ninetyfive.serve.messages import Limits, Live, Policy, WorkerConfig, encode
from ninetyfive.sources.files import source_of
from ninetyfive.steps.predict import Answered, Rows, check_output, delivered, joined, sift
from ninetyfive.steps.table import check_servable
from ninetyfive.store.opening import Store
from ninetyfive.store.records import Pointer
from ninetyfive.supervise.copies import Copies
from ninetyfive.supervise.deploying import placed_config, write_service
from ninetyfive.supervise.starting import hosted_config
from ninetyfive.upkeep import Upkeep

if TYPE_CHECKING:
    from ninetyfive.models.release import OpenRelease

_MINUTES = 600.0


def serve(asked: Asked, store: Store, reporter: Reporter) -> tuple[dict[str, Any], list[str]]:
    """Serve a release on the endpoint of its system: what is served then, and the id of the job.

    Of the words: `release` (a hash or its beginning; default: the champion), `traffic` (percent of the requests that
    it answers; default: all), `keep` (how many others stay deployed that have no traffic).
    """
    said, system, words = asked.said, asked.system, _shares(asked)
    store.check_system(system.name)
    pointer = pointed(store, system, asked.words.get("release"))
    with tempfile.TemporaryDirectory() as scratch:
        live = msgspec.structs.replace(Copies(Path(scratch) / "copies").take(store, pointer), epoch=0)
        config = hosted_config(system, asked.settings)
        on = [said.vertex.serving_machine, said.vertex.min_replicas, said.vertex.max_replicas, said.service_account]
        job = _job(asked, [_described(config, live), on])
        wanted = Wanted(
            system=system.name,
            release=pointer.release,
            job=job,
            folder=service_folder(said, job),
            percent=words[0],
            keep=words[1],
        )
        place = Path(scratch) / "service"
        place.mkdir()
        document = Deploying(said, store, reporter).done(
            wanted, lambda folder: write_service(config, live, folder), place
        )
    ids = [document.pop("job")]
    return {**document, "table": pointer.table}, ids


def serve_requests(asked: Asked) -> list[Request]:
    """The calls that deploy a release for the first time, as they are known before; offline."""
    said, system, (percent, _) = asked.said, asked.system.name, _shares(asked)
    names = Names(parent=parent(said), job=example_id(system), endpoint_id=endpoint_id(system))
    release = asked.words.get("release") or STANDS_FOR
    requests = [
        upload(said, names, system, release, service_folder(said, names.job)),
        create_endpoint(said, names, system),
        deploy(said, names, {NEW: 100}, number=STANDS_FOR),
    ]
    content = "the release with its table and configuration, which the store knows"
    found = [marked(request, STANDS_FOR, content) for request in requests]
    split = Later("trafficSplit", f"what is deployed: of several this one gets {percent} %")
    return [*found[:2], msgspec.structs.replace(found[2], later=(*found[2].later, split))]


def predict(asked: Asked, store: Store, reporter: Reporter) -> tuple[dict[str, Any], list[str]]:
    """Answer a file of rows into a file, as `System.predict_file` with the same words; and the id of the job."""
    said, system, output = asked.said, asked.system, Path(asked.words["output"])
    check_output(output, [asked.words["input"], *system.read_urls])
    reporter.started("predict")
    opened = system._open(store, asked.words.get("release"))
    with store.draft() as draft, tempfile.TemporaryDirectory() as scratch:
        engine = system._engine(asked.settings, reporter)
        rows, rejected, notices = sift(opened, source_of(asked.words["input"]), engine, draft)
        batch = _batch(
            asked, opened, rows, Copies(Path(scratch) / "copies").take(store, _pointer(opened.hash)), scratch
        )
        ids, values = [], batch.nothing
        if rows.count:
            id, values = Attendant(batch.to, store, said.poll, reporter).done(batch)
            ids.append(id)
        document = delivered(opened, Answered(joined(opened, rows, values), rejected, notices), output)
    batch.place.remove()
    return document, ids


def predict_requests(asked: Asked) -> list[Request]:
    """The one call of a batch prediction, as it is known before; offline."""
    id, system = example_id(asked.system.name), asked.system.name
    work = Work(id=id, folder=folder_of(asked.said.temporary, id), system=system, purpose="predict")
    return [marked(BatchPredictions(asked.said).render(work), STANDS_FOR, "the rows of the input, and the release")]


def _batch(asked: Asked, opened: OpenRelease, rows: Rows, live: Live, scratch: str) -> Batch:
    """The errand of rows: what is sent is written below `scratch`, and names it."""
    instances, service = Path(scratch) / "instances", Path(scratch) / "service"
    config = for_batches(hosted_config(asked.system, asked.settings))
    write_service(config, live, service)
    first = _job(asked, [_described(config, live), write_instances(rows, instances)])
    return Batch(
        id=first,
        place=Place(folder_of(asked.said.temporary, first)),
        purpose=f"predict: {rows.count:,} rows",
        system=asked.system.name,
        service=service,
        instances=instances,
        count=rows.count,
        classes=opened.about.classes,
        to=BatchPredictions(asked.said),
    )


def pointed(store: Store, system: Upkeep, release: str | None) -> Pointer:
    """The release to be served with its table: the champion, or a named one with its newest good table."""
    champion = store.champion()
    if release is None:
        if champion is None:
            raise UsageError("submit serve", expected="a champion", got="none", do="make one: ninetyfive run")
        return champion
    found = store.release(release).release
    if champion is not None and champion.release == found:
        return champion
    table = store.newest_table(found)
    named = None if table is None else table.id
    check_servable(system.effective_serving, found, named)
    return _pointer(found, named)


def _pointer(release: str, table: str | None = None) -> Pointer:
    """A release that is to be copied, live or not."""
    return Pointer(release=release, epoch=0, below=None, action="promote", reason="", actor="", since="", table=table)


def for_batches(config: WorkerConfig) -> WorkerConfig:
    """A worker that answers as `ninetyfive predict` does: by the model alone, rows in plenty, with time for them."""
    limits = Limits(body=64 * 2**20, rows=4 * BATCH, deadline=_MINUTES, hang=_MINUTES, receive_body=_MINUTES)
    return msgspec.structs.replace(config, policy=Policy(), limits=limits)


def _shares(asked: Asked) -> tuple[int, int]:
    """The words `traffic` and `keep`; `UsageError` for a share that is none."""
    traffic, keep = asked.words.get("traffic", 100), asked.words.get("keep", 0)
    if not 0 <= traffic <= 100 or keep < 0:
        raise UsageError(
            "submit serve",
            expected="--traffic from 0 to 100, and --keep from 0 on",
            got=f"{traffic} and {keep}",
            do="say the percent of the requests that this release shall answer",
        )
    return traffic, keep


def service_folder(said: ManagedSettings, job: str) -> str:
    """Where the service of a model lies, for as long as the model is there."""
    return f"{said.temporary.rstrip('/')}/services/{job.rpartition('-')[0]}"


def _described(config: WorkerConfig, live: Live) -> str:
    return encode(placed_config(config, live)).decode()


def _job(asked: Asked, content: Any) -> str:
    said = asked.said
    return job_id(asked.system.name, [content, container(said), said.project, said.region])
