"""Opening files anywhere that fsspec reaches, with errors that say which file and what to do.

What does not belong here: what is in the files.
"""

from __future__ import annotations

import lzma
import zipfile
import zlib
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, BinaryIO, cast

import fsspec
import fsspec.core

from ninetyfive.clients import client_errors
from ninetyfive.errors import SourceError, near_names
from ninetyfive.hashing import content_hash
from ninetyfive.plan import Part
from ninetyfive.schema import reserved


def file_system(url: str) -> tuple[Any, str]:
    """The fsspec file system of a path or URL, and the path in it; unknown or missing protocols raise `SourceError`."""
    try:
        system, path = fsspec.core.url_to_fs(url)
    except ValueError as error:
        raise SourceError(
            url, expected="a path or a URL that fsspec knows", got=str(error), do="correct the start of the URL"
        ) from None
    except ImportError as error:
        raise SourceError(
            url, expected="the package that opens such URLs", got=str(error), do="install it beside ninetyfive"
        ) from None
    return system, path


def is_local(system: Any) -> bool:
    """Whether a file system is the disk of this machine."""
    return "file" in ((system.protocol,) if isinstance(system.protocol, str) else system.protocol)


@contextmanager
def failures(url: str) -> Iterator[None]:
    """Turn what a file system raises while `url` is opened or read into `SourceError`."""
    try:
        yield
    except FileNotFoundError:
        raise SourceError(url, expected="a file", got="nothing there", do="check the path, or run again") from None
    except PermissionError as error:
        raise SourceError(url, expected="a file that may be read", got=str(error), do="grant read access") from None
    except client_errors(EOFError, zlib.error, lzma.LZMAError, zipfile.BadZipFile) as error:
        got = f"a read error ({error})"
        raise SourceError(
            url, expected="a file that can be read", got=got, do="fetch or write the file again"
        ) from None


def mark_of(info: Mapping[str, Any]) -> str:
    """Changes when the file does, as far as its file system tells; "" where it tells nothing but the size."""
    told = [
        info.get(name) for name in ("mtime", "ino", "ETag", "etag", "md5Hash", "generation", "LastModified", "updated")
    ]
    if all(part is None for part in told):
        return ""
    return content_hash([str(info["name"]), info["size"], *(str(part) for part in told)])


def unchanged(part: Part) -> tuple[Any, str]:
    """The file system and path of a part whose file is the one that was discovered; else `SourceError`."""
    system, path = file_system(part.url)
    with failures(part.url):
        info = system.info(path)
    size, mark = info["size"], mark_of(info)
    known = dict(part.options)
    if size != known.get("size", size) or mark != (known.get("mark") or mark):
        was = f"the {known['size']:,} bytes that were found there"
        got = f"{size:,} bytes" if size != known["size"] else "a file that was written again since"
        raise SourceError(part.url, expected=was, got=got, do="let its writer finish, then run again")
    return system, path


@contextmanager
def unpacked(part: Part) -> Iterator[BinaryIO]:
    """The bytes of a part's file, decompressed where its name says so (.gz, .bz2, .xz, .zip).

    The file is looked at before it is opened, and again after it was read: one that changed meanwhile is refused.
    """
    unchanged(part)
    with failures(part.url), fsspec.open(part.url, "rb", compression="infer") as stream:
        yield cast(BinaryIO, stream)
    unchanged(part)


def check_names(names: Iterable[str], where: str) -> None:
    """Refuse column names that are empty, reserved (`__…`, `*`, `^…$`) or there twice."""
    seen: set[str] = set()
    for name in names:
        if not name:
            do = "name it in the header, or write the file without its index column"
            raise SourceError(where, expected="a name for each column", got="an empty column name", do=do)
        why = reserved(name)
        if why:
            got = f"{name!r} ({why})"
            raise SourceError(where, expected="column names that are free", got=got, do="rename the column")
        if name in seen:
            raise SourceError(where, expected="each column once", got=f"{name!r} twice", do="rename one of them")
        seen.add(name)


def nothing_there(url: str, names: Iterable[str]) -> SourceError:
    """The error for a path or glob that matches no file, with what is near it."""
    return SourceError(url, expected="a file", got="no match", do=f"check the path ({near_names(_last(url), names)})")


def no_span(url: str) -> SourceError:
    """The error for the folder of a request log that has no span."""
    do = "end the service, or wait serve.log.segment_seconds: it makes spans of segments then; else check the path"
    return SourceError(url, expected="a span of a request log", got="none", do=do)


def _last(url: str) -> str:
    return url.rstrip("/").rsplit("/", 1)[-1]
