"""What of a machine a value may depend on, and which version of it is here.

    Operation("lower", depends=("unicode",)) ─ stated ─▶ {"unicode": "14.0.0"} in the JSON of a transform
                                                             └ check, wherever it is read: the same version, or no

Python's own tables say which letter is the lower case of which: 3.11 has those of Unicode 14.0, 3.12 has 15.0. Only
what is used counts: a transform that depends on nothing runs everywhere, and is the same bytes everywhere.

What does not belong here: the versions of libraries, which decide no value (`engines.tasks` compares them in a job).
"""

from __future__ import annotations

import unicodedata
from collections.abc import Callable, Iterable, Mapping
from importlib.metadata import version
from types import MappingProxyType

from ninetyfive.errors import FeatureError
from ninetyfive.features import tree
from ninetyfive.features.operation import Dependence
from ninetyfive.features.operations import OPERATIONS

_HERE: Mapping[Dependence, Callable[[], str]] = MappingProxyType(
    {"unicode": lambda: unicodedata.unidata_version, "tzdata": lambda: version("tzdata")}
)
_NAMES: Mapping[str, str] = MappingProxyType({"unicode": "Unicode tables", "tzdata": "time zone data (tzdata)"})
_GET: Mapping[str, str] = MappingProxyType(
    {
        "unicode": "run it on a Python of the minor version that fitted it",
        "tzdata": "install that version of the package tzdata",
    }
)


def stated(roots: Iterable[tree.Node]) -> dict[str, str]:
    """The versions, on this machine, of what the operations under `roots` depend on, by name; often none.

    >>> stated([tree.Call("log1p", (tree.Column("a"),))])
    {}
    """
    calls = [node for node in tree.distinct(roots) if isinstance(node, tree.Call)]
    needed = {name for node in calls for name in OPERATIONS[node.operation].depends}
    return {name: _HERE[name]() for name in sorted(needed)}


def check(written: Mapping[str, str], roots: Iterable[tree.Node]) -> None:
    """`FeatureError` where `written`, the versions that a transform was fitted with, are not those of this machine."""
    roots = list(roots)
    here = stated(roots)
    for name in sorted({*here, *written}):
        if written.get(name) == here.get(name):
            continue
        used = sorted(
            node.operation
            for node in tree.distinct(roots)
            if isinstance(node, tree.Call) and name in OPERATIONS[node.operation].depends
        )
        raise FeatureError(
            f"transform, operation {used[0]}" if used else "transform",
            expected=f"the {_NAMES.get(name, name)} of {written.get(name, 'no version')}, with which it was fitted",
            got=here.get(name, "no operation that depends on them"),
            do=f"{_GET.get(name, 'restore the file')}, or fit the transform again here",
        )
