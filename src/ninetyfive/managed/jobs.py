"""What a job of a managed service is, what it is called, and what to do next about it: pure.

    work ─ render ─▶ Request: method and body, exactly as they are sent
    attempts known, results there? ─ decide ─▶ submit | attach | read | stop, and why

A job is named by its content, so that the same work is the same job, whoever submits it, how often, on which machine.
One that failed, was cancelled or lost has used its name up: the next attempt has the next number.
What does not belong here: a call (`calling`, and a file a service), and what the catalog keeps (`store.jobs`).
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import Any, ClassVar, Literal, Protocol

import msgspec

from ninetyfive.hashing import content_hash
from ninetyfive.settings import holds_secret
from ninetyfive.store.records import Job

ID_LETTERS = 63
"""The longest id that every service takes: Dataproc's batches have the lowest limit."""
_SYSTEM_LETTERS, _HASH_LETTERS = 24, 24
DRIVER = "driver.py"
"""The main file of a job, in its folder."""
GRAPHS = "graphs"
"""The folder of the graphs of an attempt, in its own."""
STANDS_FOR = "<content>"
"""What is shown for the hash of a content that is not known yet."""
NOT_SHOWN = "<not shown>"
"""What is shown for a secret."""
ENDED = ("done", "failed", "cancelled", "lost")
TRIES = 3
"""How many attempts one command watches of a job that the service loses."""


class Later(msgspec.Struct, frozen=True):
    """A value that is not known before an earlier job has ended: where in the body, and what supplies it.

    `place` is a path of names, like "batch.pyspark_batch.args.1".
    """

    place: str
    source: str


class Request(msgspec.Struct, frozen=True, kw_only=True):
    """One call: `method` is its full name (gRPC) or verb and path (REST), `body` its message as JSON, as it is sent.

    `later` says which values stand in for those of an earlier job; a request that is sent has none. `purpose` is what
    the job does, in the words of steps; `graph` names the steps of the graph that it stages.
    """

    method: str
    body: dict[str, Any]
    later: tuple[Later, ...] = ()
    purpose: str = ""
    graph: tuple[str, ...] = ()


class Graph(msgspec.Struct, frozen=True):
    """A graph as it is staged: where, its bytes, and their sha256 in hex digits."""

    url: str
    data: bytes
    digest: str


class Work(msgspec.Struct, frozen=True, kw_only=True):
    """What a service is asked to run: the job's `id`, its `folder` (a url) with all that it reads, and for what.

    `system` and `purpose` are for people: labels, lists. `graph`: what a service runs that takes no program.
    """

    id: str
    folder: str
    system: str
    purpose: str
    graph: Graph | None = None


class Looking(Protocol):
    """What of a managed service knows jobs that there are; `name` is pure, the others raise `ServiceError`."""

    NAME: ClassVar[str]

    def name(self, id: str) -> str:
        """The service's full name of the job with this id, as `look` and `cancel` take it."""
        ...

    def look(self, name: str) -> Job | None:
        """The job as the service knows it now; None where it knows none."""
        ...

    def cancel(self, name: str) -> Job | None:
        """Stop a job, and whatever costs; one that has ended stays as it is. Returns as soon as that is asked for."""
        ...


class Service(Looking, Protocol):
    """A managed service that takes jobs. `render` is pure and needs no network; `submit` raises `ServiceError`."""

    def render(self, work: Work) -> Request:
        """The call that submits this work: exactly what `submit` sends."""
        ...

    def submit(self, request: Request) -> Job:
        """Send a rendered call; a job that is there already under its name is the answer, not an error."""
        ...


class Decision(msgspec.Struct, frozen=True):
    """What to do next about a piece of work: `attempt` is the number of the job to submit or to attach to."""

    act: Literal["submit", "attach", "read", "stop"]
    attempt: int
    why: str


def decide(attempts: Sequence[Job], results: bool, watched: int = 0) -> Decision:
    """What to do about work whose `attempts` are known, oldest first; `results`: whether they are there to be read.

    `watched`: how many attempts this command has seen end. One that ended badly before it is history, and is tried
    again; one that failed under its eyes ends it; one that was lost is tried again, up to `TRIES`.

    >>> decide([], results=False)
    Decision(act='submit', attempt=1, why='no such job yet')
    """
    number = len(attempts)
    if results:
        return Decision("read", max(number, 1), "its results are there")
    if not attempts:
        return Decision("submit", 1, "no such job yet")
    last = attempts[-1]
    if last.state in ("pending", "running"):
        return Decision("attach", number, f"it is {last.state}")
    told = {"done": "it is done, but its results are not there", "failed": "it failed"}
    ended = told.get(last.state, f"it was {last.state}")
    if not watched:
        return Decision("submit", number + 1, f"attempt {number} is history: {ended}")
    if last.state == "lost" and watched < TRIES:
        return Decision("submit", number + 1, ended)
    return Decision("stop", number, ended)


def job_id(system: str, content: Any, attempt: int = 1) -> str:
    """The id of a job: ninetyfive, the system's name, the hash of the content, the attempt; a-z, 0-9 and hyphens.

    >>> job_id("Späte Flüge!", {"rows": 1})
    'n95-spte-flge-74e2d27c7e03e296805655dd-1'
    """
    word = re.sub(r"-+", "-", re.sub(r"[^a-z0-9-]", "", re.sub(r"[\s_.]+", "-", system.lower()))).strip("-")
    end = f"-{content_hash(content)[:_HASH_LETTERS]}-{attempt}"
    room = min(_SYSTEM_LETTERS, ID_LETTERS - len("n95-") - len(end))
    return f"n95-{word[:room].strip('-') or 'system'}{end}"


def example_id(system: str) -> str:
    """An id with a mark where the hash of a content will stand that is not known yet.

    >>> example_id("late")
    'n95-late-<content>-1'
    """
    head, _, attempt = job_id(system, "").rpartition("-")
    return f"{head.rpartition('-')[0]}-{STANDS_FOR}-{attempt}"


def places(value: Any, mark: str, path: str = "") -> Iterator[str]:
    """The paths of all values of a body that hold `mark`, which stands for what an earlier call supplies."""
    if isinstance(value, dict):
        for name, one in value.items():
            yield from places(one, mark, f"{path}.{name}" if path else name)
    elif isinstance(value, list):
        for number, one in enumerate(value):
            yield from places(one, mark, f"{path}.{number}")
    elif isinstance(value, str) and mark in value:
        yield path


def marked(request: Request, mark: str, source: str) -> Request:
    """A request in which each value that holds `mark` stands in for what `source` supplies."""
    later = tuple(Later(place, source) for place in places(request.body, mark))
    return msgspec.structs.replace(request, later=(*request.later, *later))


def without_secrets(request: Request) -> Request:
    """A request as it is shown: a text that its name or a login in a url says to be secret is not in it.

    >>> without_secrets(Request(method="", body={"properties": {"a.secret.key": "hunter2"}})).body
    {'properties': {'a.secret.key': '<not shown>'}}
    """
    shown = msgspec.structs.replace(request, body=_shown(request.body))
    return marked(shown, NOT_SHOWN, "a secret of the settings, which is sent")


def _shown(value: Any, name: str = "") -> Any:
    if isinstance(value, dict):
        named = str(value.get("key", "value"))  # of one in a list of names and values
        return {key: _shown(one, named if key == "value" else key) for key, one in value.items()}
    if isinstance(value, list):
        return [_shown(one, name) for one in value]
    return NOT_SHOWN if isinstance(value, str) and value and holds_secret(name, value) else value


def gone(job: Job) -> Job:
    """A job that its service does not know any more: lost, unless it has ended before."""
    return job if job.ended else msgspec.structs.replace(job, state="lost", message="the service knows it no more")


def attempt_of(id: str, attempt: int) -> str:
    """The id of another attempt at the same work.

    >>> attempt_of("n95-late-0123456789abcdef01234567-1", 2)
    'n95-late-0123456789abcdef01234567-2'
    """
    return f"{id.rpartition('-')[0]}-{attempt}"


def outputs_of(folder: str) -> str:
    """Where a job leaves what is kept when its folder is removed: one place for all attempts.

    >>> outputs_of("gs://bucket/jobs/n95-late-0a")
    'gs://bucket/outputs/n95-late-0a'
    """
    jobs, _, name = folder.rpartition("/")
    return f"{jobs.removesuffix('/jobs')}/outputs/{name}"


def folder_of(temporary: str, id: str) -> str:
    """The folder of a job and its attempts.

    >>> folder_of("gs://bucket/", "n95-late-0a-2")
    'gs://bucket/jobs/n95-late-0a'
    """
    return f"{temporary.rstrip('/')}/jobs/{id.rpartition('-')[0]}"
