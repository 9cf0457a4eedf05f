"""What is public is documented: each public name, each command and each of its flags stands in README.md or docs/."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import fields
from pathlib import Path
from typing import Any

import msgspec
import pytest
import typer

import ninetyfive
from ninetyfive.cli.commands import app
from ninetyfive.managed_settings import MAPPINGS, SERVICES, ManagedSettings
from ninetyfive.metrics import METRICS
from ninetyfive.run import STEPS
from ninetyfive.serve.exposition import METRICS as SERVED
from ninetyfive.serve.messages import Limits, Log
from ninetyfive.settings import ENGINES, DesignSettings, KeepSettings, PriceSettings, ServeSettings, Settings
from ninetyfive.supervise.admin import ROUTES

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
TEXT = "\n".join(page.read_text(encoding="utf-8") for page in PAGES)


def stands(word: str) -> bool:
    """Whether `word` stands in the pages as a word of its own."""
    return re.search(rf"(?<![\w-]){re.escape(word)}(?![\w-])", TEXT) is not None


def commands() -> Iterator[tuple[str, set[str]]]:
    """Every command as the words that call it, for example `schema accept`, with its long flags."""

    def below(words: str, command: Any) -> Iterator[tuple[str, set[str]]]:
        options = (option for option in command.params if option.param_type_name == "option" and not option.hidden)
        yield words, {flag for option in options for flag in option.opts if flag.startswith("--")} - {"--help"}
        for name, child in getattr(command, "commands", {}).items():
            yield from below(f"{words} {name}", child)

    yield from below("ninetyfive", typer.main.get_command(app))


@pytest.mark.parametrize("name", getattr(ninetyfive, "__all__", []))
def test_a_public_name_is_documented(name: str) -> None:
    assert getattr(ninetyfive, name).__doc__, f"{name} has no docstring"
    assert stands(name), f"{name} stands in no page"


def test_commands_and_their_flags_are_documented() -> None:
    missing = []
    for words, flags in commands():
        missing += [] if stands(words) else [words]
        missing += [f"{words} {flag}" for flag in sorted(flags) if not stands(flag)]
    assert not missing


def names(kind: type[msgspec.Struct]) -> tuple[str, ...]:
    """The fields of a struct."""
    return kind.__struct_fields__


def test_every_metric_of_the_service_and_route_of_the_admin_port_is_documented() -> None:
    missing = [name for name in SERVED if not stands(name) and not stands(f"{name}_total")]
    missing += [path for path, methods in ROUTES.items() for method in methods if f"`{method} {path}`" not in TEXT]
    assert not missing


def test_settings_metrics_and_steps_are_documented() -> None:
    engines = [f"engines.{name}.{one.name}" for name, kind in ENGINES.items() for one in fields(kind)]
    flat = {"prices": PriceSettings, "design": DesignSettings}
    tables = ("folder", "keep", "serve", "managed", *ENGINES, *flat)
    settings = [*(one.name for one in fields(Settings) if one.name not in tables), *engines]
    settings += [f"keep.{one.name}" for one in fields(KeepSettings)]
    settings += [f"serve.{name}" for name in ServeSettings.__struct_fields__ if name not in ("limits", "log")]
    settings += [f"serve.{below}.{name}" for below, kind in (("limits", Limits), ("log", Log)) for name in names(kind)]
    settings += [f"{table}.{name}" for table, kind in flat.items() for name in names(kind)]
    settings += [f"managed.{name}" for name in names(ManagedSettings) if name not in SERVICES]
    settings += [f"managed.{service}.{name}" for service, kind in SERVICES.items() for name in names(kind)]
    told = [name for name in settings if name.rpartition(".")[2] not in ("columns", "options", *MAPPINGS)]
    variables = ["NINETYFIVE_" + name.replace(".", "_").upper() for name in told]
    words = [*settings, *variables, *METRICS, *(step.name for step in STEPS)]
    assert not [word for word in words if not stands(word)]


def test_the_architecture_page_names_every_module_and_no_file_that_is_not_there() -> None:
    package = Path(ninetyfive.__file__).parent
    tops = {path.stem for path in package.iterdir() if path.suffix == ".py" or (path / "__init__.py").exists()}
    page = (ROOT / "ARCHITECTURE.md").read_text(encoding="utf-8")
    named = set(re.findall(r"`([\w/]+?)/?`", page))
    assert tops - {"__init__"} <= named
    tree = [path for top in ("src", "tests", "examples") for path in (ROOT / top).rglob("*.py")]
    files = set(re.findall(r"[\w/]+\.py\b", page + (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")))
    assert not [name for name in files if not any(path.as_posix().endswith(f"/{name}") for path in tree)]


def test_the_site_shows_every_page() -> None:
    nav = (ROOT / "mkdocs.yml").read_text(encoding="utf-8")
    assert not [page.name for page in PAGES[1:] if page.relative_to(ROOT / "docs").as_posix() not in nav]


def test_links_between_files_lead_somewhere() -> None:
    """Relative links of the pages beside README.md; those inside docs/ are checked by `make docs`."""
    broken = []
    for page in sorted(ROOT.glob("*.md")):
        for target in re.findall(r"\]\((?!\w+:|#)([^)#\s]+)", page.read_text(encoding="utf-8")):
            if not (page.parent / target).exists():
                broken.append(f"{page.name}: {target}")
    assert not broken
