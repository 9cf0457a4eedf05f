"""Land: the rows of a source that a service has become files, before a run looks at them; other sources are files.

    nf.bigquery, nf.pubsub ─ land ─┐
                                   ├─▶ files, each named by its content ─▶ ingest
    any other source ─ discover ───┘

Whoever reads a source by a declaration comes here: `run`, its look at what is new, and `design`.
What does not belong here: what a service is asked (`sources.bigquery`, `sources.pubsub`).
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from ninetyfive.errors import SettingsError
from ninetyfive.settings import FILE, Settings
from ninetyfive.sources import bigquery, pubsub
from ninetyfive.sources.discovery import discover
from ninetyfive.sources.files import LANDS, Source
from ninetyfive.sources.landing import Landed, Landing
from ninetyfive.steps.context import Context
from ninetyfive.system import Declaration

_SCHEME = "gs://"


def land(context: Context) -> Landed:
    """The files of the system's source now; what a service has of it lands first. Errors of `sources`."""
    source, settings = context.declaration.source, context.settings
    if source.kind not in LANDS:
        return Landed(discover(source, str(settings.folder)))
    landing = replace(landing_of(settings, context.declaration.name, source), tell=context.reporter.notice)
    return (bigquery.land_bigquery if source.kind == "bigquery" else pubsub.land_pubsub)(source, landing)


def landing_of(settings: Settings, system: str, source: Source) -> Landing:
    """Where the rows of a source land: beneath the store; what BigQuery writes, in a bucket, else `SettingsError`."""
    said, folder = settings.managed, settings.store_url
    if source.kind == "bigquery" and not folder.startswith(_SCHEME):
        folder = said.temporary
        if not folder.startswith(_SCHEME):
            raise SettingsError(
                f"{FILE}, [managed] 'temporary'",
                expected="a folder in a bucket, where BigQuery writes rows, as the store is not in one",
                got=folder or "nothing",
                do='write temporary = "gs://bucket/folder", or put the store into a bucket (docs/store.md)',
            )
    return Landing(folder, system, said.project, said.poll, said.patience)


def requests(declaration: Declaration, settings: Settings) -> list[dict[str, Any]]:
    """What the service of a source would be asked, offline: method, body, what earlier answers supply; of files []."""
    source = declaration.source
    if source.kind == "bigquery":
        return bigquery.requests(source, landing_of(settings, declaration.name, source))
    return pubsub.requests(source) if source.kind == "pubsub" else []
