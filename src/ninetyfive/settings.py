"""The settings: ninetyfive.toml says *where* (store, catalog, engine); system.py says *what*.

Order of force: environment (`NINETYFIVE_STORE`, `NINETYFIVE_ENGINES_LOCAL_THREADS` …), ninetyfive.toml, the defaults.
Text may name an environment variable as `${NAME}`; a password or token written out is an error. Without a file
everything runs embedded in `.ninetyfive/` beside system.py.
"""

from __future__ import annotations

import os
import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from ninetyfive.errors import SettingsError, near_names

FILE = "ninetyfive.toml"
_SECRET_NAME = re.compile(r"(password|passwd|secret|token|credential|api_?key|private_?key)", re.IGNORECASE)
_SECRET_URL = re.compile(r"://[^/\s:@]*:(?!\$\{)[^/\s@]+@")
_REFERENCE = re.compile(r"\$\{([A-Za-z_][A-Za-z0-9_]*)\}")
_SIZES = {"KiB": 2**10, "MiB": 2**20, "GiB": 2**30}


@dataclass(frozen=True, slots=True)
class LocalEngineSettings:
    """`[engines.local]`: threads (None: the machine's cores) and memory, the bytes a shuffle holds before it spills."""

    threads: int | None = None
    memory: int = 512 * 2**20


@dataclass(frozen=True, slots=True)
class Settings:
    """Where a project runs: `folder` (beside system.py), `store` and `catalog` (path or URL), `engine` (one word)."""

    folder: Path
    store: str = ".ninetyfive"
    catalog: str | None = None
    engine: str = "local"
    local: LocalEngineSettings = LocalEngineSettings()

    @property
    def store_url(self) -> str:
        """The store as an absolute path, or as the URL it is."""
        return self.store if "://" in self.store else str((self.folder / self.store).absolute())


ENGINES = ("local",)


def load_settings(folder: Path, environment: Mapping[str, str] | None = None) -> Settings:
    """Read ninetyfive.toml in `folder`, overridden by the environment; `SettingsError` names the key that is wrong."""
    environment = os.environ if environment is None else environment
    path = folder / FILE
    document: dict[str, Any] = {}
    if path.exists():
        try:
            document = tomllib.loads(path.read_text(encoding="utf-8"))
        except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
            raise SettingsError(str(path), expected="TOML", got=str(error), do="correct the line it names") from None
        _refuse_secrets(document, str(path))
    _override(document, environment)
    top = {field.name for field in fields(Settings)} - {"folder", "local"} | {"engines"}
    for key in document:
        if key not in top:
            raise SettingsError(f"{FILE}, {key!r}", expected="a known setting", got=repr(key), do=near_names(key, top))
    values = {key: _text(document[key], key, environment) for key in ("store", "catalog", "engine") if key in document}
    if values.get("engine", "local") not in ENGINES:
        name = values["engine"]
        raise SettingsError(
            f"{FILE}, 'engine'", expected="a known engine", got=repr(name), do=near_names(name, ENGINES)
        )
    return Settings(folder=folder, local=_local(document.get("engines", {})), **values)


def _local(engines: object) -> LocalEngineSettings:
    if not isinstance(engines, dict) or not set(engines) <= set(ENGINES):
        raise SettingsError(
            f"{FILE}, 'engines'", expected="tables named after engines", got=repr(engines), do="write [engines.local]"
        )
    table = engines.get("local", {})
    known = {field.name for field in fields(LocalEngineSettings)}
    for key in table:
        if key not in known:
            where = f"{FILE}, [engines.local] {key!r}"
            raise SettingsError(where, expected="a known setting", got=repr(key), do=near_names(key, known))
    threads = table.get("threads")
    if isinstance(threads, str) and threads.isdigit():
        threads = int(threads)
    if threads is not None and (not isinstance(threads, int) or isinstance(threads, bool) or threads < 1):
        where = f"{FILE}, [engines.local] 'threads'"
        raise SettingsError(where, expected="a whole number from 1", got=repr(threads), do="write threads = 2")
    return LocalEngineSettings(threads, _size(table.get("memory", "512MiB")))


def _size(text: object) -> int:
    match = re.fullmatch(r"(\d+)\s*(KiB|MiB|GiB)", text) if isinstance(text, str) else None
    if match is None:
        raise SettingsError(
            f"{FILE}, [engines.local] 'memory'",
            expected="a size such as '512MiB'",
            got=repr(text),
            do='write memory = "1GiB"',
        )
    return int(match[1]) * _SIZES[match[2]]


def _text(value: object, key: str, environment: Mapping[str, str]) -> str:
    where = f"{FILE}, {key!r}"
    if not isinstance(value, str) or not value:
        raise SettingsError(where, expected="text", got=repr(value), do=f'write {key} = "..."')

    def expand(match: re.Match[str]) -> str:
        if match[1] not in environment:
            raise SettingsError(
                where, expected=f"{match[1]} in the environment", got="nothing", do=f"export {match[1]}=..."
            )
        return environment[match[1]]

    return _REFERENCE.sub(expand, value)


def _refuse_secrets(document: Mapping[str, Any], path: str, prefix: str = "") -> None:
    for key, value in document.items():
        name = f"{prefix}{key}"
        if isinstance(value, dict):
            _refuse_secrets(value, path, f"{name}.")
        elif isinstance(value, str) and (
            (_SECRET_NAME.search(key) and not _REFERENCE.fullmatch(value)) or _SECRET_URL.search(value)
        ):
            raise SettingsError(
                f"{path}, {name!r}",
                expected="no secret in the file",
                got="one, written out",
                do=f'put it into the environment and write {name} = "...${{NAME}}..."',
            )


def _override(document: dict[str, Any], environment: Mapping[str, str]) -> None:
    """`NINETYFIVE_STORE` sets store, `NINETYFIVE_ENGINES_LOCAL_THREADS` sets [engines.local] threads."""
    paths = [("store",), ("catalog",), ("engine",), ("engines", "local", "threads"), ("engines", "local", "memory")]
    for path in paths:
        value = environment.get("NINETYFIVE_" + "_".join(path).upper())
        if value:
            table = document
            for key in path[:-1]:
                table = table.setdefault(key, {})
            table[path[-1]] = value
