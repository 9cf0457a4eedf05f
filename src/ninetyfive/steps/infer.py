"""The first schema: inferred from the files once, written to schema.toml, from then on read from there."""

from __future__ import annotations

import os

from ninetyfive.inference import Guess, agree, infer
from ninetyfive.plan import Read, Reduce, result_of
from ninetyfive.reducers.type_guess import TypeGuess
from ninetyfive.schema import Schema
from ninetyfive.schema_toml import from_toml, to_toml
from ninetyfive.sources.discovery import FileFound
from ninetyfive.sources.readers import SourceReader
from ninetyfive.steps.context import Context
from ninetyfive.store.failures import disk_errors
from ninetyfive.values import Text


def schema_in_force(context: Context, files: tuple[FileFound, ...], reader: SourceReader) -> Schema:
    """The schema of schema.toml; without that file, the inferred one, written there (one job for text files)."""
    path = context.schema_file
    if path.exists():
        with disk_errors(str(path)):
            return from_toml(path.read_text(encoding="utf-8"), str(path))
    guesses = _guesses(context, files, reader)
    source = context.declaration.source
    required = [*source.id, *((source.time,) if source.time else ())]
    schema = infer(guesses, required=required, optional=source.optional)
    text = to_toml(schema, {guess.name: guess.note for guess in guesses})
    attempt = path.with_name(f".{path.name}.{os.getpid()}")
    with disk_errors(str(path)):
        attempt.write_text(text, encoding="utf-8")
        attempt.replace(path)
    context.reporter.notice(f"{path.name} was inferred, not reviewed: read it, then `ninetyfive schema accept`")
    return schema


def _guesses(context: Context, files: tuple[FileFound, ...], reader: SourceReader) -> tuple[Guess, ...]:
    source, text = context.declaration.source, reader.text
    seen = {file.url: reader.inspect(file.part) for file in files}
    if any(guesses is None for guesses in seen.values()):
        seen = _guessed_by_reading(context, files, reader, text)
    known = {url: guesses for url, guesses in seen.items() if guesses is not None}
    return agree(known, text=text, types=dict(source.types), optional=source.optional)


def _guessed_by_reading(
    context: Context, files: tuple[FileFound, ...], reader: SourceReader, text: Text
) -> dict[str, tuple[Guess, ...] | None]:
    """What each text file holds; equal files are read once."""
    reducer = TypeGuess(text)
    plan = Reduce(Read(tuple(file.part for file in files), reader), reducer)
    states = context.engine.run({"types": plan})["types"]
    return {file.url: tuple(result_of(reducer, {file.sha256: states[file.sha256]})) for file in files}
