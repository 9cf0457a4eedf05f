"""Jobs of Vertex AI that it numbers itself: custom jobs, batch predictions. Each is found again by its display name.

    List… (display_name = our id) ─ none ─▶ Create… ─▶ List again: of several the oldest is the job
                                  └ one ──▶ it is the job: its state;  running: Cancel…

The service takes any number of them under one display name. So it is looked before each try to create one, and after
it: whoever made a second one meanwhile cancels it.
What does not belong here: what a job is told (`vertex_custom`, `vertex_batch`).
"""

from __future__ import annotations

from functools import partial
from typing import Any, ClassVar

from ninetyfive.calling import CALL_SECONDS
from ninetyfive.managed.cloud import last, word_of
from ninetyfive.managed.jobs import Request
from ninetyfive.managed.vertex import NAME, page, seen
from ninetyfive.managed.vertex_calls import Calls
from ninetyfive.managed_settings import ManagedSettings
from ninetyfive.store.records import Job


class Numbered:
    """All of a `Service` but for `render`; a name of ours ends with our id, not with the service's number.

    `COLLECTION` is that of the full names, `KIND` is in the names of the client's methods, `PAGE` of the console.
    """

    NAME: ClassVar[str] = NAME
    COLLECTION: ClassVar[str]
    KIND: ClassVar[str]
    PAGE: ClassVar[str]

    def __init__(self, settings: ManagedSettings, calls: Calls | None = None) -> None:
        self._settings = settings
        self._calls = calls or Calls(settings)

    def name(self, id: str) -> str:
        """As in `Service`."""
        return f"{self._calls.parent}/{self.COLLECTION}/{id}"

    def submit(self, request: Request) -> Job:
        """As in `Service`; of several that were made at once the oldest stays, the others are cancelled."""
        create = self._calls.bound(request)
        id = request.body[self.COLLECTION.removesuffix("s")]["displayName"]

        def found_or_made() -> Any:
            found = self._listed(id)  # one whose answer was lost, or of somebody else
            return found[0] if found else create()

        made = self._calls.call(found_or_made, self._told(id))
        there = self._there(id)
        if there and there[0].name != made.name:
            self._stop(made.name, id)
        return self._seen(self.name(id), there[0] if there else made)

    def look(self, name: str) -> Job | None:
        """As in `Service`."""
        found = self._there(last(name))
        return self._seen(name, found[0]) if found else None

    def cancel(self, name: str) -> Job | None:
        """As in `Service`; a job that is cancelled keeps its page, and runs nothing."""
        for one in self._there(last(name)):
            if not self._seen(name, one).ended:
                self._stop(one.name, last(name))
        return self.look(name)

    def message(self, job: Any) -> str:
        """What the service says of a job."""
        return str(job.error.message)

    def _there(self, id: str) -> list[Any]:
        """The jobs with this display name, oldest first."""
        return self._calls.call(partial(self._listed, id), self._told(id))

    def _listed(self, id: str) -> list[Any]:
        asked = {"parent": self._calls.parent, "filter": f'display_name="{id}"'}
        found = list(self._method("list_{}s")(asked, retry=None, timeout=CALL_SECONDS))
        return sorted(found, key=lambda job: (job.create_time.isoformat() if job.create_time else "", job.name))

    def _stop(self, number: str, id: str) -> None:
        self._calls.stop(self._method("cancel_{}"), number, f"cancelling {self._told(id)}", self._link(number))

    def _method(self, like: str) -> Any:
        return getattr(self._calls.client("JobService"), like.format(self.KIND))

    def _seen(self, name: str, job: Any) -> Job:
        return seen(name, word_of(job), self._link(job.name), self.message(job))

    def _told(self, id: str) -> str:
        return f"{self.KIND.replace('_', ' ')} {id}"

    def _link(self, number: str) -> str:
        return page(self._settings, f"{self.PAGE}/{last(number)}")
