"""The public `System`: a declaration with its verbs. Each opens what it needs, does one thing, gives plain data back.

What does not belong here: anything that takes thought (`run`, `steps`). Imports stand in the verbs, so that
declaring a system loads nothing heavy.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ninetyfive.design import BUDGET
from ninetyfive.errors import UsageError, near_names, needs_extra
from ninetyfive.progress import Reporter, Silent
from ninetyfive.upkeep import Upkeep

if TYPE_CHECKING:
    import polars as pl

    from ninetyfive.steps.context import Context


class System(Upkeep):
    """A production system around a model: declare it, then `run`, `status`, `predict`, `trace`, `promote` ….

    The arguments are those of `Declaration`. The verbs return what the commands print with `--json`; they raise the
    errors of `ninetyfive.errors`. Store and settings are beside the file that declares the system.

    >>> import ninetyfive as nf
    >>> from ninetyfive import col
    >>> late = nf.System(
    ...     "late",
    ...     source=nf.parquet("flights.parquet", id="key"),
    ...     label=col("delay") > 15,
    ...     features={"hour": col("hour")},
    ... )
    >>> @late.model(params={"max_iter": 10})
    ... def model(x, y, params):
    ...     from sklearn.ensemble import HistGradientBoostingClassifier
    ...     return HistGradientBoostingClassifier(**params).fit(x, y)
    >>> late.effective_serving
    DynamicServing(on_outside=422)
    """

    def run(
        self,
        *,
        if_due: bool = False,
        as_of: str | None = None,
        promote: bool = True,
        cache: bool = True,
        start: str | None = None,
        reporter: Reporter | None = None,
    ) -> dict[str, Any]:
        """New data in, a gated release out; returns the document of the run (docs/running.md).

        `if_due` runs only when the training paradigm says so; `as_of` is an ISO 8601 time (default: the newest in the
        data); `promote=False` leaves the champion; `cache=False` does every step again, `start` one and all after it.
        """
        from ninetyfive.run import Asked, as_of_microseconds, run
        from ninetyfive.steps.platform import platform_of

        platform = platform_of(os.environ)
        with self._context(reporter, as_of_microseconds(as_of)) as context:
            asked = Asked(promote=promote, cache=cache, start=start, if_due=if_due)
            return run(replace(context, platform=platform), asked)

    def source_requests(self) -> list[dict[str, Any]]:
        """What the service of a BigQuery or Pub/Sub source would be asked by a run, offline; [] of files.

        Each has its `method` and `body` as it would be sent, and under `later` which values of it ("place") stand for
        what an earlier answer supplies ("source"). `SettingsError` where rows of BigQuery have no bucket to land in.
        """
        from ninetyfive.steps.land import requests

        return requests(self, self.settings)

    def import_model(
        self,
        path: str | Path,
        *,
        output: str | None = None,
        classes: Sequence[str] | None = None,
        as_of: str | None = None,
        promote: bool = True,
        reporter: Reporter | None = None,
    ) -> dict[str, Any]:
        """A run that takes an ONNX file in place of the model function; returns its document (docs/models.md).

        `output` names the output that answers, where several could; `classes` are those of its columns, in their order,
        where the file does not say them. `ModelError` for a file that a release cannot hold, `UsageError` for no file.
        """
        from ninetyfive.hashing import bytes_hash
        from ninetyfive.models.imported import OnnxFile
        from ninetyfive.run import Asked, as_of_microseconds, run
        from ninetyfive.system import Model

        path = Path(path)
        if not path.is_file():
            raise UsageError(str(path), expected="an ONNX file", got="no such file", do="name the file of a model")
        data = path.read_bytes()
        given = OnnxFile(path.name, data, output, None if classes is None else tuple(classes))
        params = {"file": path.name, "sha256": bytes_hash(data), "output": output, "classes": classes and list(classes)}
        model = Model(given, {name: value for name, value in params.items() if value is not None})
        with self._context(reporter, as_of_microseconds(as_of)) as context:
            return run(context, Asked(promote=promote, model=model))

    def predict(self, rows: Any, *, release: str | None = None) -> pl.DataFrame:
        """Answer a Polars frame (or what one is made from): id columns and `prediction`, in the order of the rows.

        Multiclass gives a column `prediction:CLASS` each. A row that breaks the request's schema raises `DataError`
        that names rule, column and value. `release` is a hash or its beginning; default: the champion. Few rows are
        answered one by one, more of them by the engine, whichever was measured to be quicker; the bits are the same.
        """
        import polars as pl

        from ninetyfive.errors import DataError
        from ninetyfive.sources.files import frame
        from ninetyfive.steps.predict import predict_few, predict_frame

        settings, source = self.settings, frame(rows)
        with self._store(settings) as store:
            opened = self._open(store, release)
            if pl.DataFrame(rows).height <= opened.crossover:
                answers, rejected = predict_few(opened, source)
            else:
                answers, rejected = predict_frame(opened, source, self._engine(settings, Silent()))
            if rejected.height:
                first = rejected.row(0, named=True)
                raise DataError(
                    f"predict, column {first['column']!r}",
                    expected="rows that keep the schema",
                    got=f"{rejected.height} that do not, the first by rule {first['rule']!r}: {first['value']}",
                    do="correct the rows, or use predict_file, which puts such rows aside",
                )
            return answers

    def predict_file(self, input: str, output: str | Path, *, release: str | None = None) -> dict[str, Any]:
        """Answer a file of rows into a file; rows that break the schema go into `OUTPUT.rejected.ENDING` beside it."""
        from ninetyfive.sources.files import source_of
        from ninetyfive.steps.predict import check_output, delivered, predict

        settings, output = self.settings, Path(output)
        check_output(output, [input, *self.read_urls])
        with self._store(settings) as store, store.draft() as draft:
            opened = self._open(store, release)
            return delivered(opened, predict(opened, source_of(input), self._engine(settings, Silent()), draft), output)

    def export(self, to: str | Path, *, release: str | None = None) -> dict[str, Any]:
        """Write a release of a Keras model as a SavedModel into a new folder, for TensorFlow Serving (docs/keras.md).

        It takes transformed inputs: the columns that `transform.json` makes, by name. `release` is a hash or its
        beginning; default: the champion.
        """
        from ninetyfive.steps.export import export_saved_model

        with self._store(self.settings) as store:
            opened = self._open(store, release)
            with store.open_folder(store.release(opened.hash)) as folder:
                return export_saved_model(opened, folder, Path(to))

    def trace(
        self,
        given: Mapping[str, Any] | None = None,
        *,
        row: str | None = None,
        file: str | None = None,
        number: int = 0,
        release: str | None = None,
    ) -> dict[str, Any]:
        """One row step by step: `given` as a mapping, `row` as JSON text, or row `number` of a `file`."""
        from ninetyfive.steps.trace import row_of, trace

        with self._store(self.settings) as store:
            opened = self._open(store, release)
            return trace(opened, given if given is not None else row_of(opened.request, row, file, number))

    def status(self) -> dict[str, Any]:
        """What is live, how it is trained and served, and what ran last."""
        from ninetyfive.steps.status import status

        settings = self.settings
        services = self._services()
        if not self._exists(settings):
            return {**status(self, None, settings.store_url, self.folder), "services": services}
        with self._store(settings) as store:
            return {**status(self, store, settings.store_url, self.folder), "services": services}

    def releases(self) -> list[dict[str, Any]]:
        """Every release, newest first; [] where there is no store yet."""
        from ninetyfive.steps.status import releases

        settings = self.settings
        if not self._exists(settings):
            return []
        with self._store(settings) as store:
            return releases(store)

    def tuning(self, release: str | None = None, *, picture: str | Path | None = None) -> dict[str, Any]:
        """What was tried before a release (a hash or its beginning; default: the champion) was trained.

        `picture`: a file that the search is drawn into, as SVG; it needs the extra `design`. `UsageError` where the
        release was not tuned. docs/tuning.md has the document.
        """
        from ninetyfive.steps.status import tuning

        with self._store(self.settings) as store:
            opened = self._open(store, release)
            found = tuning(store, opened.hash)
        if found is None:
            raise UsageError(
                f"release {opened.hash[:12]}",
                expected="one whose model was tuned",
                got="one with declared params",
                do="declare @model(tune=...), and run",
            )
        if picture is not None:
            with needs_extra("design", "--picture"):
                from ninetyfive.design.searches import picture as draw

                drawn = draw(found)
            try:
                Path(picture).write_text(drawn, encoding="utf-8")
            except OSError as error:
                do = "make its folder, or name another file"
                raise UsageError("--picture", expected="a file that can be written", got=str(error), do=do) from None
        return found

    def build_table(
        self,
        *,
        release: str | None = None,
        population: str | None = None,
        log: str | None = None,
        as_of: str | None = None,
        promote: bool = True,
        reporter: Reporter | None = None,
    ) -> dict[str, Any]:
        """Answer a population beforehand into a table, and make it live if its gates pass and its release is live.

        `release` is a hash or its beginning; default: the champion. The population is the declared one, or a file of
        rows; serving with `top=` takes it from the request log in the folder `log` (default: the service's own).
        `as_of` is an ISO 8601 time; default: now. Returns the document of the table (docs/tables.md).
        """
        from ninetyfive.steps.population import log_folder, named
        from ninetyfive.steps.table import LEASE_SECONDS, Asked, as_of_moment, refresh

        told, settings = reporter or Silent(), self.settings
        population_of = named(self.effective_serving, self.folder, population, log or log_folder(settings))
        asked = Asked(population_of, as_of_moment(as_of), "table build")
        with self._store(settings, migrate=True) as store, store.lease("ninetyfive table build", wait=LEASE_SECONDS):
            store.check_system(self.name)
            opened = self._open(store, release)
            return refresh(store, self._engine(settings, told), opened, asked, told, promote)

    def tables(self) -> list[dict[str, Any]]:
        """Every table, newest first: of which release, as of when, how many entities, live or not, good or not."""
        from ninetyfive.steps.status import tables

        settings = self.settings
        if not self._exists(settings):
            return []
        with self._store(settings) as store:
            return tables(store)

    def design(
        self,
        *,
        log: str | None = None,
        budget: float = BUDGET,
        assume: str | None = None,
        reporter: Reporter | None = None,
    ) -> dict[str, Any]:
        """Measure which training and which serving this system needs, and record it; its document (docs/design.md).

        `log` is the folder of a request log (default: that of the service), `budget` how many seconds it may take;
        `assume="requests-like-data"` decides as if requests were like the history where there is no log.
        """
        from ninetyfive.design.measuring import Asked
        from ninetyfive.design.verbs import design

        asked = Asked(log, budget, assume)
        with self._context(reporter) as context:
            return design(context, asked)

    def design_from_answers(self, answers: str | Path) -> dict[str, Any]:
        """Record the provisional design that follows from a file of answers (docs/design.md)."""
        from ninetyfive.design.verbs import design_from_answers

        return design_from_answers(Path(answers), self.settings, self.name)

    def accept_design(self, number: int | None = None, *, assume: str | None = None) -> dict[str, Any]:
        """Put a recorded design in force (default: the newest), where system.py says "measured".

        One that rests on what nobody measured is refused unless `assume` names it: "requests-like-data", "answers".
        """
        from ninetyfive.design.verbs import accept
        from ninetyfive.store.opening import actor_name

        found = accept(self, self.folder, number, assume, actor_name())
        self._tell("design.accept", f"design {found['number']}", {"assumed": found["assumed"]})
        return found

    def check_design(
        self, *, log: str | None = None, budget: float = BUDGET, reporter: Reporter | None = None
    ) -> dict[str, Any]:
        """Measure again, and say under "changed" whether another design than the one in force is the answer now."""
        from ninetyfive.design.measuring import Asked
        from ninetyfive.design.verbs import check

        with self._context(reporter) as context:
            return check(context, Asked(log, budget))

    def promote(
        self, release: str, *, table: str | None = None, reason: str = "promoted by hand", wait: float | None = None
    ) -> dict[str, Any]:
        """Make a release (a hash or its beginning) the champion, with a table of it; every byte is checked first.

        The table is the one that is named, by its id or the beginning of it, else the newest good one of the release.
        `wait`: up to so many seconds, until each service that runs on this machine answers by it, or has refused it;
        `services` then says which.
        """
        import msgspec

        from ninetyfive.steps.table import promote

        with self._store(self.settings, migrate=True) as store:
            store.check_system(self.name)
            pointer = promote(store, self.effective_serving, release, table, reason)
            return self._waited(dict(msgspec.to_builtins(pointer)), wait)

    def rollback(self, *, reason: str = "rolled back by hand", wait: float | None = None) -> dict[str, Any]:
        """Make the champion before this one, with its table, the champion again; again: the one before that.

        `wait` as for `promote`.
        """
        import msgspec

        from ninetyfive.steps.table import rollback

        with self._store(self.settings, migrate=True) as store:
            store.check_system(self.name)
            pointer = rollback(store, self.effective_serving, reason)
            return self._waited(dict(msgspec.to_builtins(pointer)), wait)

    def serve(self, *, told: Callable[[dict[str, Any]], None] | None = None, **over: Any) -> None:
        """Serve the champion, and whatever becomes champion, until SIGTERM or Ctrl-C ends it (docs/serving.md).

        `told` is called once requests are answered, with where and what. `over` goes over `[serve]` of the settings:
        `host`, `port`, `admin_port`, `workers`, `metrics_on_serving`; `insecure=True` serves beyond this machine
        without a token or TLS.
        """
        from ninetyfive.supervise.starting import Words, serve

        serve(self, self.settings, Words(**over), os.environ, told)

    def deploy(
        self, to: str | Path, *, image: str | None = None, insecure: bool = False, log: bool = False
    ) -> dict[str, Any]:
        """Write a folder from which a container serves the champion: Dockerfile, Kubernetes manifest, release, table.

        `image` is what the manifest calls it. It needs a token to predict, or `insecure`; `log` keeps the request log
        in the container, which ends with it.
        """
        from ninetyfive.supervise.starting import deploy

        return deploy(self, self.settings, Path(to), image, insecure=insecure, log=log)

    def submit(
        self,
        what: str,
        *,
        to: str,
        dry_run: bool = False,
        here: bool = False,
        reporter: Reporter | None = None,
        **words: Any,
    ) -> dict[str, Any]:
        """`run`, `predict` or `table` with its jobs, or all of it, done by a managed service; or `serve` there.

        `words` are those of the verb (`run`, `predict_file`, `build_table`); of `serve` they are `release` (default:
        the champion), `traffic` (percent) and `keep` (docs/managed.md). Its document comes back, with `service` and
        the ids of the `service_jobs`. `dry_run` gives what would be sent instead, offline; `here` runs the pipeline of
        a run on this machine.
        """
        from ninetyfive.managed.asked import COMMANDS, Asked
        from ninetyfive.managed.offers import check_login, checked, rendered, wholly

        if what not in COMMANDS:
            raise UsageError("submit", expected="a command", got=repr(what), do=near_names(what, COMMANDS))
        if here and dry_run:
            do = "leave --dry-run out: --here sends nothing"
            raise UsageError("submit", expected="--here or --dry-run", got="both", do=do)
        settings, told = self.settings, reporter or Silent()
        asked = Asked(self, settings, what, words)
        if dry_run:
            return rendered(asked, to)
        if here:
            from ninetyfive.managed.locally import done_here

            return {**done_here(asked, to, told), "service": "kfp.local", "service_jobs": []}
        done = wholly(asked, to)
        check_login(checked(settings, to, what), to)
        if done is not None:
            with self._store(settings, create=what == "run", migrate=True) as store:
                document, ids = done(asked, store, told)
            return {**document, "service": to, "service_jobs": ids}
        with needs_extra("managed", f"--to {to}"):
            from ninetyfive.managed.engine import engine_on
        with (
            self._store(settings, create=what == "run", migrate=True) as store,
            engine_on(settings, self.name, to, store, told) as made,
        ):
            twin, told = self.on(made), made.telling(told)
            if what == "predict":
                told.started(what)
                document = twin.predict_file(**words)
            else:
                document = (twin.run if what == "run" else twin.build_table)(reporter=told, **words)
            return {**document, "service": to, "service_jobs": list(made.submitted)}

    def jobs(self) -> list[dict[str, Any]]:
        """The jobs that were submitted to managed services, newest first, as they were last seen."""
        from ninetyfive.managed.verbs import listed

        settings = self.settings
        if not self._exists(settings):
            return []
        with self._store(settings) as store:
            return listed(store)

    def job(self, id: str) -> dict[str, Any]:
        """One job (an id or its beginning), as its service knows it now."""
        from ninetyfive.managed.verbs import shown

        with self._store(self.settings, migrate=True) as store:
            return shown(store, self.settings.managed, id)

    def cancel_job(self, id: str) -> dict[str, Any]:
        """Stop a job (an id or its beginning); returns once nothing of it runs any more, and its folder is removed."""
        from ninetyfive.managed.verbs import cancelled

        with self._store(self.settings, migrate=True) as store:
            return cancelled(store, self.settings.managed, id)

    def attach_job(self, id: str, *, reporter: Reporter | None = None) -> dict[str, Any]:
        """Wait until a job (an id or its beginning) has ended. The same `submit` again then reads its results."""
        from ninetyfive.managed.verbs import attached

        with self._store(self.settings, migrate=True) as store:
            return attached(store, self.settings.managed, id, reporter or Silent())

    @contextmanager
    def _context(self, reporter: Reporter | None, as_of: int | None = None) -> Iterator[Context]:
        from ninetyfive.steps.context import Context

        told, settings = reporter or Silent(), self.settings
        with self._store(settings, create=True) as store:
            yield Context(self, settings, store, self._engine(settings, told), told, as_of)

    def _services(self) -> list[dict[str, Any]]:
        """The services of this system that run on this machine."""
        import msgspec

        from ninetyfive.supervise.states import running

        return [dict(msgspec.to_builtins(one)) for one in running(self._home)]

    def _waited(self, pointer: dict[str, Any], seconds: float | None) -> dict[str, Any]:
        """A new champion, once the services have it, where that is waited for."""
        from ninetyfive.supervise.states import wait_flipped

        if seconds is None:
            return pointer
        return {**pointer, "services": wait_flipped(self._home, pointer["epoch"], seconds)}
