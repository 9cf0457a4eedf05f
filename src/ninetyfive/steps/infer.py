"""The first schema: inferred from the files once, written to schema.toml, from then on read from there."""

from __future__ import annotations

from contextlib import suppress

from ninetyfive.errors import StoreError
from ninetyfive.inference import Guess, agree, check_time, infer
from ninetyfive.plan import Read, Reduce, result_of
from ninetyfive.reducers.type_guess import TypeGuess
from ninetyfive.schema import Schema
from ninetyfive.schema_toml import from_toml, to_toml
from ninetyfive.sources.discovery import FileFound
from ninetyfive.sources.readers import SourceReader
from ninetyfive.steps.context import Context
from ninetyfive.store.failures import disk_errors
from ninetyfive.values import Text


def schema_in_force(context: Context, files: tuple[FileFound, ...], reader: SourceReader) -> tuple[Schema, str | None]:
    """The schema of schema.toml and None; without that file, the inferred one (one job for text files) and its text.

    The text is to be kept with `keep_schema` once the declaration was held against it: what was inferred from files
    that cannot be the source must not be in force when they are mended.
    """
    path = context.schema_file
    if path.exists():
        with disk_errors(str(path)):
            return from_toml(path.read_bytes(), str(path)), None
    guesses = _guesses(context, files, reader)
    source = context.declaration.source
    required = [*source.id, *((source.time,) if source.time else ())]
    schema = infer(guesses, required=required, optional=source.optional)
    return schema, to_toml(schema, {guess.name: guess.note for guess in guesses})


def keep_schema(context: Context, text: str) -> None:
    """Write the first schema to schema.toml, whole or not at all; `StoreError` where the folder cannot be written."""
    path = context.schema_file
    attempt = path.with_name(f".{path.name}.new")
    try:
        attempt.write_text(text, encoding="utf-8")
        attempt.replace(path)
    except OSError as error:
        with suppress(OSError):
            attempt.unlink(missing_ok=True)
        raise StoreError(
            str(path),
            expected="room for the first schema in the project's folder",
            got=error.strerror or str(error),
            do="let this user write there, or run once where that is so and bring schema.toml along",
        ) from error
    context.reporter.notice(f"{path.name} was inferred, not reviewed: read it, then `ninetyfive schema accept`")


def _guesses(context: Context, files: tuple[FileFound, ...], reader: SourceReader) -> tuple[Guess, ...]:
    source, text = context.declaration.source, reader.text
    seen = {file.url: reader.inspect(file.part) for file in files}
    if any(guesses is None for guesses in seen.values()):
        seen = _guessed_by_reading(context, files, reader, text)
    known = {url: guesses for url, guesses in seen.items() if guesses is not None}
    merged = agree(known, text=text, types=dict(source.types), optional=source.optional)
    for guess in merged:
        if guess.name == source.time:
            check_time(guess)
    return merged


def _guessed_by_reading(
    context: Context, files: tuple[FileFound, ...], reader: SourceReader, text: Text
) -> dict[str, tuple[Guess, ...] | None]:
    """What each text file holds; equal files are read once."""
    reducer = TypeGuess(text)
    plan = Reduce(Read(tuple(file.part for file in files), reader), reducer)
    states = context.engine.run({"types": plan})["types"]
    return {file.url: tuple(result_of(reducer, {file.sha256: states[file.sha256]})) for file in files}
