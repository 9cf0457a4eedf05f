"""The one table of operations: whatever records, checks, lowers, documents or tests an operation reads it here.

    OPERATIONS["log1p"] ─▶ Operation(takes, gives, nulls, result, frame, row, …)

To add one, write its entry in the file of its kind and its method in `methods`; the property tests, the document
test and the method test find it by walking this table and fail until it is complete.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from ninetyfive.features import (
    arithmetic,
    buckets,
    categories,
    choices,
    encoding,
    filling,
    functions,
    learned,
    lists,
    magnitudes,
    missing,
    powers,
    projections,
    scaling,
    terms,
    texts,
    times,
    zones,
)
from ninetyfive.features.operation import Operation

OPERATIONS: Mapping[str, Operation] = MappingProxyType(
    {
        operation.name: operation
        for module in (
            arithmetic,
            magnitudes,
            powers,
            missing,
            choices,
            texts,
            times,
            zones,
            lists,
            buckets,
            scaling,
            filling,
            learned,
            encoding,
            projections,
            terms,
            categories,
            functions,
        )
        for operation in module.OPERATIONS
    }
)
