"""The settings: ninetyfive.toml says *where* (store, catalog, engine); system.py says *what*.

Order of force: environment (`NINETYFIVE_STORE`, `NINETYFIVE_ENGINES_LOCAL_THREADS` …; not `options`), ninetyfive.toml,
the defaults.
Text may name an environment variable as `${NAME}`; a password or token written out is an error. Without a file
everything runs embedded in `.ninetyfive/` beside system.py.
"""

from __future__ import annotations

import math
import os
import re
import tomllib
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Annotated, Any, Literal
from urllib.parse import quote

import msgspec

from ninetyfive.durations import duration
from ninetyfive.errors import DeclarationError, SettingsError, near_names
from ninetyfive.managed_settings import MAPPINGS, SERVICES, ManagedSettings
from ninetyfive.plan import PARTITION_MEMORY
from ninetyfive.serve.messages import Limits, Log

FILE = "ninetyfive.toml"
_SECRET_NAME = re.compile(r"(password|passwd|secret|token|credential|api_?key|private_?key)", re.IGNORECASE)
_SECRET_URL = re.compile(r"://[^/\s:@]*:(?!\$\{[^}]*\}@)[^/\s@]+@")
_SECRET_QUERY = re.compile(r"[?&][^=&]*(?:password|passwd|secret|token|key)[^=&]*=(?!\$\{)", re.IGNORECASE)
_REFERENCE = re.compile(r"\$\{([A-Za-z_][A-Za-z0-9_]*)\}")
_LOGIN = re.compile(r"://([^/?#\s@]*)@")
_SIZES = {"KiB": 2**10, "MiB": 2**20, "GiB": 2**30}
Port = Annotated[int, msgspec.Meta(ge=0, le=65535)]


@dataclass(frozen=True, slots=True)
class LocalEngineSettings:
    """`[engines.local]`: threads (None: the machine's cores) and memory, the bytes a shuffle holds before it spills.

    `partition_memory`, here and below: the bytes that the rows of one partition of a shuffle may take.
    """

    threads: int | None = None
    memory: int = 512 * 2**20
    partition_memory: int = PARTITION_MEMORY


@dataclass(frozen=True, slots=True)
class SparkEngineSettings:
    """`[engines.spark]`: `master` (None: this machine), or `remote` for Spark Connect; `options`: Spark's settings."""

    master: str | None = None
    remote: str | None = None
    options: Mapping[str, Any] = field(default_factory=dict)
    partition_memory: int = PARTITION_MEMORY


@dataclass(frozen=True, slots=True)
class BeamEngineSettings:
    """`[engines.beam]`: a `temporary` folder that all workers reach; `options` are Beam's pipeline options."""

    temporary: str | None = None
    options: Mapping[str, Any] = field(default_factory=dict)
    partition_memory: int = PARTITION_MEMORY


@dataclass(frozen=True, slots=True)
class KeepSettings:
    """`[keep]`: what `gc` leaves in the store, beside the champion, what is pinned, and what an open run needs.

    `releases`: this many of the newest; `age`: those made or live within this many seconds; `rollbacks`: what as many
    rollbacks in a row return to; `runs`: what the steps of this many of the last runs that ended well made and read.
    """

    releases: int = 10
    age: int = 30 * 86_400
    rollbacks: int = 10
    runs: int = 3


class ServeSettings(msgspec.Struct, frozen=True, kw_only=True):
    """`[serve]`: where the service listens, for whom, with how many `workers`; and its limits and request log.

    `admin_host` and `admin_port` are those of whoever operates it. `hosts` may be named by requests beside `host` and
    the names of this machine to itself; "*" is any. `settle`: for so many seconds a service that ends says that it is
    not ready, and still answers. A `log` without a folder is kept in the store's local folder.
    """

    host: str = "127.0.0.1"
    port: Port = 8080
    admin_host: str = "127.0.0.1"
    admin_port: Port = 8081
    workers: Annotated[int, msgspec.Meta(ge=1, le=256)] = 2
    hosts: tuple[str, ...] = ()
    tls_cert: str | None = None
    tls_key: str | None = None
    access_log: Literal["none", "errors", "all"] = "errors"
    metrics_on_serving: bool = False
    settle: Annotated[float, msgspec.Meta(ge=0, le=3600)] = 0.0
    limits: Limits = Limits()
    log: Log = Log(folder="")


class PriceSettings(msgspec.Struct, frozen=True, kw_only=True):
    """`[prices]`: what things cost, in one `currency`, as of `dated`; the defaults are list prices of rented machines.

    `cpu_hour`: one processor core for an hour; `memory_gib_hour`; `storage_gib_month`: of a disk beside the workers.
    `point_day`: what a hundredth of the primary metric is worth a day (None: `[design] tolerance` says it instead).
    """

    currency: str = "USD"
    dated: str = "2026-11"
    cpu_hour: float = 0.0316
    memory_gib_hour: float = 0.0042
    storage_gib_month: float = 0.10
    point_day: float | None = None


class DesignSettings(msgspec.Struct, frozen=True, kw_only=True):
    """`[design]`: what a design has to keep, and when it changes. Durations are text, shares from 0 to 1.

    `latency`: seconds of the p99; `staleness`: how old a table may become; `misses`: the share of requests that nothing
    answers; `changed`: the share answered from features that have changed; `budget`: money a month; None: no bound.
    `tolerance`: a loss of this share of the model's gain over the constant baseline, for seven days, weighs as much as
    one training; used where `[prices] point_day` is not said. `hysteresis`: by which share another design has to be
    cheaper than the one in force.
    """

    latency: float | None = 0.1
    staleness: str = "1d"
    misses: float = 0.01
    changed: float = 0.01
    budget: float | None = None
    tolerance: float = 0.05
    hysteresis: float = 0.1


@dataclass(frozen=True, slots=True)
class Settings:
    """Where a project runs: `folder` (beside system.py), `store` and `catalog` (path or URL), `engine` (one word)."""

    folder: Path
    store: str = ".ninetyfive"
    catalog: str | None = None
    engine: str = "local"
    local: LocalEngineSettings = LocalEngineSettings()
    spark: SparkEngineSettings = SparkEngineSettings()
    beam: BeamEngineSettings = BeamEngineSettings()
    keep: KeepSettings = KeepSettings()
    serve: ServeSettings = field(default_factory=ServeSettings)
    prices: PriceSettings = field(default_factory=PriceSettings)
    design: DesignSettings = field(default_factory=DesignSettings)
    managed: ManagedSettings = field(default_factory=ManagedSettings)

    @property
    def store_url(self) -> str:
        """The store as an absolute path, or as the URL it is."""
        return self.absolute(self.store)

    def absolute(self, place: str) -> str:
        """A path of the settings as an absolute one, from the project's folder (`~`: one's home); a URL as it is."""
        return place if "://" in place else str((self.folder / Path(place).expanduser()).absolute())


ENGINES = {"local": LocalEngineSettings, "spark": SparkEngineSettings, "beam": BeamEngineSettings}
_WORDS = ("store", "catalog", "engine")
_BELOW: dict[str, type[Limits] | type[Log]] = {"limits": Limits, "log": Log}
_FLAT: dict[str, type[PriceSettings] | type[DesignSettings]] = {"prices": PriceSettings, "design": DesignSettings}
_PLACES = (
    *((word,) for word in _WORDS),
    *(("engines", name, one.name) for name in ENGINES for one in fields(ENGINES[name])),
    *(("keep", one.name) for one in fields(KeepSettings)),
    *(("serve", name) for name in ServeSettings.__struct_fields__ if name not in _BELOW),
    *(("serve", below, name) for below, kind in _BELOW.items() for name in kind.__struct_fields__),
    *(("managed", name) for name in ManagedSettings.__struct_fields__ if name not in SERVICES),
    *(("managed", service, name) for service, kind in SERVICES.items() for name in kind.__struct_fields__),
    *((table, name) for table, kind in _FLAT.items() for name in kind.__struct_fields__),
)
_NO_VARIABLE = ("columns", "options", *MAPPINGS)
_SHARES = ("misses", "changed", "tolerance", "hysteresis")
_BYTES = ("body", "header_bytes", "segment_bytes")


def load_settings(folder: Path, environment: Mapping[str, str] | None = None) -> Settings:
    """Read ninetyfive.toml in `folder`, overridden by the environment; `SettingsError` names the key that is wrong."""
    environment = os.environ if environment is None else environment
    document = _read(folder / FILE)
    _known(f"{FILE}, ", document, {*_WORDS, "engines", "keep", "serve", "managed", *_FLAT})
    engines = _table("engines", document.get("engines", {}))
    _known(f"{FILE}, [engines] ", engines, ENGINES)
    for name, kind in ENGINES.items():
        engines[name] = _table(f"engines.{name}", engines.get(name, {}))
        _known(f"{FILE}, [engines.{name}] ", engines[name], {one.name for one in fields(kind)})
    keep = _table("keep", document.get("keep", {}))
    _known(f"{FILE}, [keep] ", keep, {one.name for one in fields(KeepSettings)})
    serve = _table("serve", document.get("serve", {}))
    _known(f"{FILE}, [serve] ", serve, ServeSettings.__struct_fields__)
    for name, below in _BELOW.items():
        serve[name] = _table(f"serve.{name}", serve.get(name, {}))
        _known(f"{FILE}, [serve.{name}] ", serve[name], below.__struct_fields__)
    managed = _table("managed", document.get("managed", {}))
    _known(f"{FILE}, [managed] ", managed, ManagedSettings.__struct_fields__)
    for name, service in SERVICES.items():
        managed[name] = _table(f"managed.{name}", managed.get(name, {}))
        _known(f"{FILE}, [managed.{name}] ", managed[name], service.__struct_fields__)
    flat = {name: _table(name, document.get(name, {})) for name in _FLAT}
    for name, kind in _FLAT.items():
        _known(f"{FILE}, [{name}] ", flat[name], kind.__struct_fields__)
    tables = {"engines": engines, "keep": keep, "serve": serve, "managed": managed, **flat}
    places = _override({**document, **tables}, environment)
    values: dict[str, Any] = {key: _text(places[key], environment) for key in _WORDS if key in places}
    if values.get("engine", "local") not in ENGINES:
        where, name = places["engine"][0], values["engine"]
        raise SettingsError(where, expected="a known engine", got=repr(name), do=near_names(name, ENGINES))
    values |= {name: kind(**_engine(name, places, environment)) for name, kind in ENGINES.items()}
    values |= {name: kind(**_flat(name, kind, places)) for name, kind in _FLAT.items()}
    values |= {"serve": _serve(places, environment), "managed": _managed(places, environment)}
    return Settings(folder=folder, keep=KeepSettings(**_keep(places)), **values)


def variables(environment: Mapping[str, str]) -> dict[str, str]:
    """What the environment says of the settings, by the names of the variables.

    >>> variables({"NINETYFIVE_ENGINE": "spark", "HOME": "/", "NINETYFIVE_STORE": ""})
    {'NINETYFIVE_ENGINE': 'spark'}
    """
    names = (_variable(words) for words in _PLACES if words[-1] not in _NO_VARIABLE)
    return {name: environment[name] for name in names if environment.get(name)}


def holds_secret(name: str, text: str) -> bool:
    """Whether a setting is a password or token, by its name, or has one written out in its url.

    >>> holds_secret("catalog", "postgresql://ada:pw@host/db"), holds_secret("store", "gs://bucket/store")
    (True, False)
    """
    return _is_secret(name, text)


def _variable(words: tuple[str, ...]) -> str:
    return "NINETYFIVE_" + "_".join(words).upper()


def _engine(engine: str, places: Mapping[str, tuple[str, Any]], environment: Mapping[str, str]) -> dict[str, Any]:
    """What is said of one engine, by setting."""
    said: dict[str, Any] = {}
    for one in fields(ENGINES[engine]):
        place = places.get(f"engines.{engine}.{one.name}")
        if place is None:
            continue
        if one.name == "threads":
            said[one.name] = _whole(*place, "threads = 2", 1)
        elif one.name == "options":
            said[one.name] = _options(*place, environment)
        elif one.name.endswith("memory"):
            said[one.name] = _size(*place)
        else:
            said[one.name] = _text(place, environment)
    return said


def _keep(places: Mapping[str, tuple[str, Any]]) -> dict[str, int]:
    """What is said of what to keep, by setting: ages in seconds, the others as they are."""
    said: dict[str, int] = {}
    for one in fields(KeepSettings):
        place = places.get(f"keep.{one.name}")
        if place is not None:
            least = 1 if one.name in ("rollbacks", "runs") else 0
            said[one.name] = _age(*place) if one.name == "age" else _whole(*place, f"{one.name} = 2", least)
    return said


def _serve(places: Mapping[str, tuple[str, Any]], environment: Mapping[str, str]) -> ServeSettings:
    """What is said of the service."""
    said: dict[str, dict[str, Any]] = {}
    for prefix, kind in (("serve", ServeSettings), *((f"serve.{name}", below) for name, below in _BELOW.items())):
        said[prefix] = {
            one.name: _served(*places[f"{prefix}.{one.name}"], one, environment)
            for one in msgspec.structs.fields(kind)
            if f"{prefix}.{one.name}" in places
        }
    limits, log = Limits(**said["serve.limits"]), Log(**{"folder": "", **said["serve.log"]})
    return ServeSettings(limits=limits, log=log, **said["serve"])


def _managed(places: Mapping[str, tuple[str, Any]], environment: Mapping[str, str]) -> ManagedSettings:
    """What is said of managed services."""

    def said(prefix: str, kind: type[msgspec.Struct]) -> dict[str, Any]:
        found: dict[str, Any] = {}
        for one in msgspec.structs.fields(kind):
            place = places.get(f"{prefix}.{one.name}")
            if place is not None:
                mapping = one.name in MAPPINGS
                found[one.name] = _options(*place, environment) if mapping else _typed(*place, one.type, environment)
        return found

    services: dict[str, Any] = {name: kind(**said(f"managed.{name}", kind)) for name, kind in SERVICES.items()}
    return ManagedSettings(**{**said("managed", ManagedSettings), **services})


def _typed(where: str, value: object, kind: Any, environment: Mapping[str, str]) -> Any:
    """A setting as its own type, within its bounds."""
    taken = _text((where, value), environment) if isinstance(value, str) and value else value
    try:
        return msgspec.convert(taken, kind, strict=not isinstance(value, str))
    except msgspec.ValidationError as error:
        raise SettingsError(
            where, expected="a value that this setting takes", got=f"{value!r}", do=f"see the page of settings: {error}"
        ) from None


def _flat(table: str, kind: type[msgspec.Struct], places: Mapping[str, tuple[str, Any]]) -> dict[str, Any]:
    """What is said in [prices] or [design]: numbers from 0, shares up to 1, durations, words."""
    said: dict[str, Any] = {}
    for one in msgspec.structs.fields(kind):
        if f"{table}.{one.name}" not in places:
            continue
        where, value = places[f"{table}.{one.name}"]
        try:
            taken = msgspec.convert(value, one.type, strict=not isinstance(value, str))
            most = 1.0 if one.name in _SHARES else math.inf
            if isinstance(taken, float) and not (0.0 <= taken <= most and math.isfinite(taken)):
                told = "a finite number from 0" if most == math.inf else f"a number from 0 to {most:g}"
                raise msgspec.ValidationError(f"expected {told}")
        except msgspec.ValidationError as error:
            do = f"see the page of settings: {error}"
            raise SettingsError(where, expected="a value that this setting takes", got=repr(value), do=do) from None
        if one.name == "staleness":
            duration(taken, where)
        said[one.name] = taken
    return said


def _served(where: str, value: object, setting: msgspec.structs.FieldInfo, environment: Mapping[str, str]) -> Any:
    """A setting of the service as its own type; bytes may be said as sizes, and lists in a variable with commas."""
    if setting.name in _BYTES and isinstance(value, str) and not value.isdecimal():
        return _size(where, value)
    if setting.name == "hosts" and isinstance(value, str):
        value = [word.strip() for word in value.split(",") if word.strip()]
    if isinstance(value, str):
        value = _text((where, value), environment)
    try:
        taken = msgspec.convert(value, setting.type, strict=False)
        least = {"sample": 0.0, "settle": 0.0, "port": 0, "admin_port": 0}.get(setting.name)
        if isinstance(taken, int | float) and not isinstance(taken, bool):
            fits = taken > 0 if least is None else taken >= least
            if not fits or (setting.name == "sample" and taken > 1.0):
                raise msgspec.ValidationError("it is out of range")
    except msgspec.ValidationError as error:
        raise SettingsError(
            where, expected="a value that this setting takes", got=f"{value!r}", do=f"see the page of settings: {error}"
        ) from None
    return taken


def _read(path: Path) -> dict[str, Any]:
    """The document of a settings file; {} where there is none."""
    try:
        document = tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise SettingsError(str(path), expected="TOML", got=str(error), do="correct the line it names") from None
    except OSError as error:
        raise SettingsError(str(path), expected="a file that can be read", got=str(error), do="correct it") from None
    _refuse_secrets(document, str(path))
    return document


def _override(document: Mapping[str, Any], environment: Mapping[str, str]) -> dict[str, tuple[str, Any]]:
    """`{setting: (where it is said, value)}`: `NINETYFIVE_ENGINES_LOCAL_THREADS` goes over [engines.local] threads."""
    places: dict[str, tuple[str, Any]] = {}
    for words in _PLACES:
        name = _variable(words)
        table = document
        for word in words[:-1]:
            table = table[word]
        if environment.get(name) and words[-1] not in _NO_VARIABLE:
            places[".".join(words)] = name, environment[name]
        elif words[-1] in table:
            folder = f"[{'.'.join(words[:-1])}] " if words[:-1] else ""
            places[".".join(words)] = f"{FILE}, {folder}{words[-1]!r}", table[words[-1]]
    return places


def _known(where: str, table: Mapping[str, Any], known: Collection[str]) -> None:
    for key in table:
        if key not in known:
            raise SettingsError(f"{where}{key!r}", expected="a known setting", got=repr(key), do=near_names(key, known))


def _table(name: str, value: object) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise SettingsError(f"{FILE}, {name!r}", expected="a table", got=repr(value), do="write [engines.local]")
    return dict(value)


def _options(where: str, value: object, environment: Mapping[str, str]) -> dict[str, Any]:
    """A table of plain values, of which texts may name the environment; `a.b = 1` in it is the option "a.b"."""
    if not isinstance(value, dict):
        raise SettingsError(
            where, expected="a table", got=repr(value), do='write it like options = { "spark.executor.cores" = 2 }'
        )
    found: dict[str, Any] = {}
    for name, one in value.items():
        if isinstance(one, dict):
            inner = _options(f"{where}, {name!r}", one, environment)
            found |= {f"{name}.{below}": value for below, value in inner.items()}
        else:
            found[name] = _expanded(f"{where}, {name!r}", one, environment)
    return found


def _whole(where: str, value: object, like: str, least: int) -> int:
    whole = int(value) if isinstance(value, str) and value.isdecimal() else value
    if not isinstance(whole, int) or isinstance(whole, bool) or whole < least:
        raise SettingsError(where, expected=f"a whole number from {least}", got=repr(value), do=f"write it like {like}")
    return whole


def _age(where: str, value: object) -> int:
    try:
        return duration(str(value), where)
    except DeclarationError as error:
        raise SettingsError(where, expected=error.expected, got=error.got, do=error.do) from None


def _size(where: str, value: object) -> int:
    match = re.fullmatch(r"([1-9][0-9]*)\s*(KiB|MiB|GiB)", value) if isinstance(value, str) else None
    if match is None:
        raise SettingsError(
            where, expected="a size such as '512MiB'", got=repr(value), do='write it like memory = "1GiB"'
        )
    return int(match[1]) * _SIZES[match[2]]


def _text(place: tuple[str, Any], environment: Mapping[str, str]) -> str:
    """A text with what it names in the environment; percent-encoded where that is the user or password of a url."""
    where, value = place
    if not isinstance(value, str) or not value:
        raise SettingsError(where, expected="text", got=repr(value), do='write it like store = "data/store"')

    def expand(match: re.Match[str]) -> str:
        if match[1] not in environment:
            raise SettingsError(
                where, expected=f"{match[1]} in the environment", got="nothing", do=f"export {match[1]}=..."
            )
        found, login = environment[match[1]], _LOGIN.search(value)
        if login is None or not login.start(1) <= match.start() < login.end(1):
            return found
        return quote(found, safe="" if ":" in login[1] else ":")

    return _REFERENCE.sub(expand, value)


def _expanded(where: str, value: object, environment: Mapping[str, str]) -> Any:
    if isinstance(value, list):
        return [_expanded(where, one, environment) for one in value]
    return _text((where, value), environment) if isinstance(value, str) else value


def _refuse_secrets(value: Any, path: str, name: str = "") -> None:
    """`SettingsError` for a password or token that is written out, wherever it stands."""
    if isinstance(value, dict):
        for key, inner in value.items():
            _refuse_secrets(inner, path, f"{name}.{key}" if name else key)
    elif isinstance(value, list):
        for inner in value:
            _refuse_secrets(inner, path, name)
    elif _is_secret(name, str(value)):
        raise SettingsError(
            f"{path}, {name!r}",
            expected="no secret in the file",
            got="one, written out",
            do=f'put it into the environment and write {name} = "...${{NAME}}..."',
        )


def _is_secret(key: str, text: str) -> bool:
    if _SECRET_NAME.search(key):
        return not _REFERENCE.fullmatch(text)
    return bool(_SECRET_URL.search(text) or _SECRET_QUERY.search(text))
