"""Every error says where, what was expected, what was found, and what to do next.

    NinetyfiveError                exit 1  the work failed
    ├── UsageError                 exit 2  the words of a command were wrong
    │   ├── DeclarationError               system.py says something that cannot be
    │   └── SettingsError                  ninetyfive.toml or the environment does
    ├── SourceError                        a file or stream cannot be read as declared
    ├── SchemaError                exit 3  data and schema disagree, and the schema blocks
    ├── DataError                  exit 3  rows break a rule that blocks (ids that clash, leakage)
    ├── FeatureError                       a feature cannot be computed from these columns
    ├── ModelError                         the model function, its export or its parity failed
    ├── PlanError                          a plan breaks the rules of plans
    ├── EngineError                        an engine could not finish a job
    ├── ServiceError                       a managed service refused a call, or failed or lost a job
    └── StoreError                         the store cannot be read or written
        ├── IntegrityError                 what is stored is not what was stored
        ├── BottomError                    nothing is below the champion, so that nothing can be returned to
        └── BusyError                      somebody else holds the store

What does not belong here: how an error is printed. `cli` prints them, the API raises them.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Iterator
from contextlib import contextmanager


class NinetyfiveError(Exception):
    """The root of every error that ninetyfive raises on purpose.

    Four strings, none empty: `where` (file, column, row, step), `expected`, `got`, `do` (the next act).
    `exit_code` is what the command line exits with.

    >>> error = SourceError("data/a.csv", expected="a header line", got="an empty file", do="write a header")
    >>> print(error)
    data/a.csv: expected a header line, got an empty file. To do: write a header.
    """

    exit_code = 1

    def __init__(self, where: str, *, expected: str, got: str, do: str) -> None:
        super().__init__(where, expected, got, do)
        self.where = where
        self.expected = expected
        self.got = got
        self.do = do

    def __reduce__(self) -> tuple[object, ...]:
        return _rebuild, (type(self), self.where, self.expected, self.got, self.do)

    def __str__(self) -> str:
        end = "" if self.do.endswith("?") else "."
        return f"{self.said}. To do: {self.do}{end}"

    @property
    def said(self) -> str:
        """The error without what to do, to be told within another one."""
        return f"{self.where}: expected {self.expected}, got {self.got}"

    def as_dict(self) -> dict[str, str]:
        """The error as `--json` prints it: kind, where, expected, got, do."""
        return {
            "kind": type(self).__name__,
            "where": self.where,
            "expected": self.expected,
            "got": self.got,
            "do": self.do,
        }


def _rebuild(kind: type[NinetyfiveError], where: str, expected: str, got: str, do: str) -> NinetyfiveError:
    """Rebuild an error that crossed a process border (workers pickle what they raise)."""
    return kind(where, expected=expected, got=got, do=do)


class UsageError(NinetyfiveError):
    """The words of a command were wrong."""

    exit_code = 2


class DeclarationError(UsageError):
    """`system.py` declares something that cannot be."""


class SettingsError(UsageError):
    """`ninetyfive.toml` or the environment holds a setting that cannot be."""


class SourceError(NinetyfiveError):
    """A source cannot be read as declared."""


class SchemaError(NinetyfiveError):
    """Data and schema disagree, and the schema blocks."""

    exit_code = 3


class DataError(NinetyfiveError):
    """Rows break a rule that blocks."""

    exit_code = 3


class FeatureError(NinetyfiveError):
    """A feature cannot be computed from these columns."""


class ModelError(NinetyfiveError):
    """The model function, its export or its parity failed."""


class PlanError(NinetyfiveError):
    """A plan breaks the rules of plans."""


class EngineError(NinetyfiveError):
    """An engine could not finish a job."""


class ServiceError(NinetyfiveError):
    """A managed service refused a call, cannot be reached, or failed or lost a job."""


class StoreError(NinetyfiveError):
    """The store cannot be read or written."""


class IntegrityError(StoreError):
    """What is stored is not what was stored."""


class BottomError(StoreError):
    """Nothing is below the champion, so that nothing can be returned to."""


class BusyError(StoreError):
    """Somebody else holds the store."""


def near_names(name: str, known: Iterable[str]) -> str:
    """A hint that names what was likely meant, or lists what there is.

    >>> near_names("distnce", ["distance", "origin"])
    "did you mean 'distance'?"
    >>> near_names("zzz", ["b", "a"])
    'there are: a, b'
    """
    names = sorted(known)
    close = difflib.get_close_matches(name, names, n=3, cutoff=0.6)
    if close:
        return "did you mean " + " or ".join(repr(word) for word in close) + "?"
    shown = ", ".join(names[:12]) + (f" and {len(names) - 12} more" if len(names) > 12 else "")
    return f"there are: {shown}" if names else "there are none"


@contextmanager
def needs_extra(extra: str, where: str) -> Iterator[None]:
    """Turn the want of a library into the command that adds it.

    >>> with needs_extra("tune", "tune="):
    ...     import optuna_of_nobody
    Traceback (most recent call last):
    ...
    ninetyfive.errors.UsageError: tune=: expected the packages of the extra 'tune', got no package optuna_of_nobody...
    """
    try:
        yield
    except ModuleNotFoundError as error:
        raise UsageError(
            where,
            expected=f"the packages of the extra {extra!r}",
            got=f"no package {error.name}",
            do=f"pip install 'ninetyfive[{extra}]'",
        ) from error
