"""Verbs that look after a system: its store, its schema, its tokens. `System` (api.py) adds those that do its work.

What does not belong here: anything that takes thought (`store`, `steps`). Imports stand in the verbs, so that
declaring a system loads nothing heavy.
"""

from __future__ import annotations

import copy
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from ninetyfive.accepted import FILE, FOLDER, Accepted, read_accepted
from ninetyfive.errors import SettingsError, UsageError, needs_extra
from ninetyfive.progress import Reporter, Silent
from ninetyfive.settings import Settings, load_settings
from ninetyfive.system import Declaration

if TYPE_CHECKING:
    from ninetyfive.models.release import OpenRelease
    from ninetyfive.plan import Engine
    from ninetyfive.store.opening import Store


class Upkeep(Declaration):
    """A declaration with what looks after its store; the errors of `ninetyfive.errors` are raised."""

    _lent: Engine | None = None

    @property
    def folder(self) -> Path:
        """The project's folder: where the file stands that declares the system, else the working folder."""
        return Path(self.origin).resolve().parent if self.origin else Path.cwd()

    @property
    def settings(self) -> Settings:
        """ninetyfive.toml and the environment, read now."""
        return load_settings(self.folder)

    @property
    def read_urls(self) -> list[str]:
        """The urls that the system reads: nothing is written over them."""
        read = (*self.source.urls, *(self.source.labels.urls if self.source.labels else ()))
        return [str(self.folder / url) if "://" not in url else url for url in read]

    @property
    def accepted(self) -> Accepted | None:
        """The design in force of the project: design/accepted.toml, read now; None where there is none."""
        found = read_accepted(self.folder) if self.origin else None
        if found is not None and found.system != self.name:
            raise SettingsError(
                str(self.folder / FOLDER / FILE),
                expected=f"a design of system {self.name!r}",
                got=f"one of {found.system!r}",
                do="accept one of this system: ninetyfive design --accept, or remove the file",
            )
        return found

    def on(self, engine: Engine) -> Self:
        """The same system, whose jobs run on `engine` whatever the settings say."""
        twin = copy.copy(self)
        twin._lent = engine
        return twin

    def new_token(self, scope: str, *, name: str | None = None) -> dict[str, Any]:
        """Make a token of a scope (predict, read, operate, admin); it stands in the answer, and nowhere else."""
        from ninetyfive.supervise.tokens import new_token

        token, kept = new_token(self._home, scope, name)
        self._tell("token.new", kept.name, {"scope": kept.scope})
        return {"token": token, "name": kept.name, "scope": kept.scope, "created": kept.created}

    def tokens(self) -> list[dict[str, Any]]:
        """The names and scopes of the tokens that there are, oldest first."""
        from ninetyfive.supervise.tokens import read_tokens

        return [{"name": one.name, "scope": one.scope, "created": one.created} for one in read_tokens(self._home)]

    def revoke_token(self, name: str) -> dict[str, Any]:
        """Forget a token; a running service lets it in no more within a second."""
        from ninetyfive.supervise.tokens import revoke_token

        gone = revoke_token(self._home, name)
        self._tell("token.revoke", gone.name, {"scope": gone.scope})
        return {"name": gone.name, "scope": gone.scope, "created": gone.created}

    def pin(self, release: str, *, reason: str = "pinned by hand") -> dict[str, Any]:
        """Keep a release (a hash or its beginning) from `gc`, whatever the rule says, until it is unpinned."""
        import msgspec

        with self._store(self.settings, migrate=True) as store:
            store.check_system(self.name)
            return dict(msgspec.to_builtins(store.pin(store.release(release).release, reason)))

    def unpin(self, release: str, *, reason: str = "unpinned by hand") -> dict[str, Any]:
        """Let `gc` judge a release by the rule again."""
        with self._store(self.settings, migrate=True) as store:
            store.check_system(self.name)
            found = store.release(release).release
            store.unpin(found, reason)
            return {"release": found, "reason": reason}

    def gc(self, *, remove: bool = False, reporter: Reporter | None = None) -> dict[str, Any]:
        """What the store need not keep, by the rule of `[keep]`, and why; with `remove` it is removed."""
        from ninetyfive.steps.collect import collect

        settings = self.settings
        with self._store(settings, migrate=remove) as store:
            store.check_system(self.name)
            return collect(store, settings.keep, remove=remove, reporter=reporter or Silent())

    def schema(self) -> dict[str, Any]:
        """The schema in force (schema.toml), and whether it was reviewed."""
        from ninetyfive.steps.review import shown

        return shown(self.folder)

    def explain_features(self, *, release: str | None = None) -> dict[str, Any]:
        """Each feature: its tree, what it learned, what it costs, how often it is missing, what the model sees.

        Of a release (a hash or its beginning; default: the champion, else the newest), measured now on rows that it was
        made from. Before there is one, what is declared.
        """
        from ninetyfive.steps.explain import explain, explain_declared

        settings = self.settings
        if not self._exists(settings):
            return explain_declared(self.features)
        with self._store(settings) as store:
            if release is None and store.champion() is None:
                made = store.releases()
                if not made:
                    return explain_declared(self.features)
                release = made[0].release
            return explain(self._open(store, release), store)

    def accept_schema(self) -> dict[str, Any]:
        """Mark schema.toml as reviewed; where it differs from the champion's schema, with the next version."""
        from ninetyfive.steps.review import accept

        settings = self.settings
        with self._store(settings, create=True) as store:
            return accept(self.folder, store, self._champion_schema(store))

    def schema_diff(self) -> dict[str, Any]:
        """What differs between the champion's schema and schema.toml."""
        from ninetyfive.steps.review import compare

        settings = self.settings
        if not self._exists(settings):
            return compare(self.folder, None)
        with self._store(settings) as store:
            return compare(self.folder, self._champion_schema(store))

    def doctor(self, *, reporter: Reporter | None = None) -> dict[str, Any]:
        """All that is wrong with the store, each with what to do."""
        import msgspec

        from ninetyfive.errors import IntegrityError
        from ninetyfive.store.doctor import unreadable

        try:
            with self._store(self.settings) as store:
                found = store.doctor((reporter or Silent()).rows)
        except IntegrityError as error:
            found = [unreadable(error)]
        findings = msgspec.to_builtins(found)
        return {"healthy": not any(finding["level"] == "error" for finding in findings), "findings": findings}

    def audit_verify(self) -> dict[str, Any]:
        """Whether the audit trail is whole, and if not, what was altered, removed or moved."""
        import msgspec

        with self._store(self.settings) as store:
            findings = msgspec.to_builtins(store.audit_verify())
            return {"whole": not findings, "records": len(store.audit_records()), "findings": findings}

    @property
    def _home(self) -> Path:
        from ninetyfive.store.opening import work_folder

        settings = self.settings
        return work_folder(settings.store_url, settings.catalog)

    def _tell(self, action: str, subject: str, details: dict[str, Any]) -> None:
        """Tell the audit of what changed outside the catalog, where there is one yet."""
        settings = self.settings
        if self._exists(settings):
            with self._store(settings, migrate=True) as store:
                store.tell(action, subject, details)

    def _store(self, settings: Settings, *, create: bool = False, migrate: bool = False) -> Store:
        from ninetyfive.store.opening import open_store

        elsewhere = self._lent is not None or settings.engine != "local"
        return open_store(settings.store_url, settings.catalog, create=create, migrate=migrate, elsewhere=elsewhere)

    def _exists(self, settings: Settings) -> bool:
        from ninetyfive.store.opening import store_exists

        return store_exists(settings.store_url, settings.catalog)

    def _engine(self, settings: Settings, reporter: Reporter) -> Engine:
        if self._lent is not None:
            return self._lent
        if settings.engine == "local":
            from ninetyfive.engines.local import LocalEngine

            local = settings.local
            return LocalEngine(
                local.threads, local.memory, progress=reporter.rows, partition_memory=local.partition_memory
            )
        with needs_extra(settings.engine, f'engine = "{settings.engine}"'):
            if settings.engine == "spark":
                from ninetyfive.engines.spark import SparkEngine

                spark = settings.spark
                return SparkEngine(
                    master=spark.master,
                    remote=spark.remote,
                    options=spark.options,
                    partition_memory=spark.partition_memory,
                    progress=reporter.rows,
                )
            from ninetyfive.engines.beam import BeamEngine

            beam = settings.beam
            return BeamEngine(
                beam.options,
                temporary=None if beam.temporary is None else settings.absolute(beam.temporary),
                partition_memory=beam.partition_memory,
                progress=reporter.rows,
            )

    def _open(self, store: Store, release: str | None) -> OpenRelease:
        from ninetyfive.models.release import open_release

        store.check_system(self.name)
        if release is None:
            champion = store.champion()
            if champion is None:
                raise UsageError(
                    f"system {self.name!r}",
                    expected="a champion",
                    got="none yet",
                    do="make one with `ninetyfive run`"
                    if not store.releases()
                    else "promote one of `ninetyfive releases`, or name one with --release",
                )
            release = champion.release
        named = store.release(release)
        with store.open_folder(named) as folder:
            return open_release(folder, named.release)

    def _champion_schema(self, store: Store) -> Any:
        return None if store.champion() is None else self._open(store, None).schema
