"""What a job is, as plain data: equal for equal work, in every process and on every machine.

    plans ─ described ─▶ lists, texts, numbers ─ content_hash ─▶ the name of the job

Pickled bytes will not do: they depend on the order of sets, on what is shared, and on what was cached. So values are
described by what they are made of: the fields that a dataclass or struct is given, the project's own modules.
What does not belong here: how plans travel (`packing`).
"""

from __future__ import annotations

import functools
import types
from collections.abc import Callable, Mapping
from dataclasses import fields, is_dataclass, replace
from enum import Enum
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import polars as pl

from ninetyfive.engines.tasks import pack_rows, versions
from ninetyfive.errors import EngineError
from ninetyfive.hashing import bytes_hash, content_hash, function_hash, package_hash
from ninetyfive.loading import own_modules
from ninetyfive.plan import Map, Plan, Reduce, Shuffle, Write


def placed(plans: Mapping[str, Plan], place: Callable[[int], str]) -> dict[str, Plan]:
    """The plans with the url of each `Write` replaced by that of its number, counted as they are met."""
    done: dict[int, Plan] = {}
    numbers: dict[str, int] = {}

    def moved(plan: Plan) -> Plan:
        if id(plan) not in done:
            if isinstance(plan, Write):
                url = place(numbers.setdefault(plan.url, len(numbers)))
                done[id(plan)] = replace(plan, input=moved(plan.input), url=url)
            elif isinstance(plan, Shuffle):
                done[id(plan)] = replace(plan, inputs=tuple(moved(below) for below in plan.inputs))
            elif isinstance(plan, Map | Reduce):
                done[id(plan)] = replace(plan, input=moved(plan.input))
            else:
                done[id(plan)] = plan
        return done[id(plan)]

    return {name: moved(plan) for name, plan in plans.items()}


def content_of(plans: Mapping[str, Plan], partition_memory: int) -> str:
    """The hash (64 hex digits) of all that decides what a job makes, wherever its files go.

    `EngineError` for a value that cannot be told from another by its content.
    """
    told = described(placed(plans, str))
    own = {module.__name__: _source(module) for module in own_modules()}
    return content_hash([told, own, versions(), package_hash(), partition_memory])


def described(value: Any) -> Any:
    """A value as lists, texts and numbers that are equal where the values are.

    >>> described(frozenset({"b", "a"})) == described(frozenset({"a", "b"}))
    True
    >>> described((1, True)) == described((1, 1))
    False
    """
    return _Described().of(value)


class _Described:
    """One description. An object is described once; one that holds itself is named there by how far up it is."""

    def __init__(self) -> None:
        self._open: dict[int, int] = {}
        self._done: dict[int, tuple[Any, Any]] = {}

    def of(self, value: Any) -> Any:
        if value is None or isinstance(value, bool | str):
            return value if not isinstance(value, str) else ["text", value]
        if isinstance(value, Enum):
            return ["enum", _name(type(value)), value.name]
        if isinstance(value, int | float | complex):
            return [type(value).__name__, repr(value)]
        if isinstance(value, bytes | bytearray | memoryview):
            return ["bytes", bytes_hash(bytes(value))]
        if id(value) in self._done:
            return self._done[id(value)][1]
        if id(value) in self._open:
            return ["above", len(self._open) - self._open[id(value)]]
        self._open[id(value)] = len(self._open)
        told = self._collection(value) if isinstance(value, _COLLECTIONS) else self._object(value)
        del self._open[id(value)]
        self._done[id(value)] = value, told
        return told

    def _collection(self, value: Any) -> Any:
        if isinstance(value, Mapping):
            pairs = [[self.of(key), self.of(one)] for key, one in value.items()]
            return ["mapping", sorted(pairs, key=_order)]
        if isinstance(value, set | frozenset):
            return ["set", sorted((self.of(one) for one in value), key=_order)]
        return [type(value).__name__, [self.of(one) for one in value]]

    def _object(self, value: Any) -> Any:
        match value:
            case pl.DataFrame():
                return ["frame", bytes_hash(pack_rows(value))]
            case pl.Series():
                return ["series", value.name, bytes_hash(pack_rows(value.to_frame()))]
            case pl.DataType():
                return ["dtype", repr(value)]
            case pl.Expr():
                return ["expression", value.meta.serialize(format="json")]
            case np.ndarray() if value.dtype != object:
                return ["array", str(value.dtype), list(value.shape), bytes_hash(np.ascontiguousarray(value).tobytes())]
            case type() | types.BuiltinFunctionType() | types.ModuleType():
                return ["named", _name(value)]
            case types.FunctionType():
                return self._function(value)
            case types.MethodType():
                return ["method", value.__name__, self.of(value.__self__)]
            case functools.partial():
                return ["partial", self.of([value.func, value.args, value.keywords])]
            case msgspec.Struct():
                names = type(value).__struct_fields__
            case _ if is_dataclass(value):
                names = tuple(one.name for one in fields(value) if one.init)
            case _:
                return self._reduced(value)
        return [_name(type(value)), content_hash([[name, self.of(getattr(value, name))] for name in names])]

    def _function(self, value: types.FunctionType) -> Any:
        cells = [cell.cell_contents for cell in value.__closure__ or ()]
        return [
            "function",
            _name(value),
            function_hash(value),
            self.of([cells, value.__defaults__, value.__kwdefaults__]),
        ]

    def _reduced(self, value: Any) -> Any:
        """By what it would be pickled as; a state that only caches what it was made from makes two jobs of one."""
        try:
            parts = value.__reduce_ex__(4)
        except (TypeError, AttributeError) as error:
            raise EngineError(
                f"a value of type {type(value).__qualname__} in the plans of a job",
                expected="one that can be told by its content, as a job of a service is named by it",
                got=str(error),
                do="make it a frozen dataclass of plain values",
            ) from error
        if isinstance(parts, str):
            return ["named", parts]
        items = [list(part) if hasattr(part, "__next__") else part for part in parts]
        return [_name(type(value)), self.of(items)]


_COLLECTIONS = (Mapping, set, frozenset, list, tuple)


def _order(told: Any) -> bytes:
    return msgspec.json.encode(told)


def _name(value: Any) -> str:
    module = getattr(value, "__module__", "") or ""
    return f"{module}.{getattr(value, '__qualname__', None) or value.__name__}"


def _source(module: types.ModuleType) -> str:
    return bytes_hash(Path(str(module.__file__)).read_bytes())
