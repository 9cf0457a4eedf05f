"""A bucket that refuses is told of like a disk that does, wherever it is met."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import polars as pl
import pytest
from fsspec.implementations.memory import MemoryFile
from gcsfs.retry import HttpError

from ninetyfive.clients import client_errors
from ninetyfive.engines.writing import Folder, SpanWriter, file_errors
from ninetyfive.errors import IntegrityError, SourceError, StoreError
from ninetyfive.sources.opening import failures
from ninetyfive.sources.spans import SpanReader, part_of
from ninetyfive.store.buckets import bucket_errors

REFUSED = HttpError({"code": 401, "message": "Anonymous caller"})


@pytest.mark.parametrize("edge", [file_errors, failures, bucket_errors])
def test_what_a_client_raises_is_told_with_the_url(edge: Any) -> None:
    assert not isinstance(REFUSED, OSError)
    assert isinstance(REFUSED, client_errors())
    with pytest.raises((StoreError, SourceError), match=r"gs://bucket/a.*Anonymous caller"), edge("gs://bucket/a"):
        raise REFUSED


@pytest.mark.parametrize("error", [REFUSED, OSError("Forbidden: a token that ended")])
def test_a_bucket_that_refuses_to_be_read_is_not_told_as_damage(
    error: Exception, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    writer = SpanWriter(Folder(f"memory://{tmp_path.name}"), "a")
    writer.add(pl.DataFrame({"x": [1]}))
    part = part_of(writer.close(pl.DataFrame()))

    def refuse(*_: object) -> bytes:
        raise error

    monkeypatch.setattr(MemoryFile, "read", refuse)
    with pytest.raises(StoreError, match="a bucket that answers") as caught:
        list(SpanReader().read(part))
    assert not isinstance(caught.value, IntegrityError)
