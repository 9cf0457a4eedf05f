"""Operations that count the n-grams of a text: ngram_counts into hashed buckets, tfidf over a learned vocabulary.

    text ─ n-grams ─┬─ hash ─▶ bucket ─▶ counts              nothing learned, two n-grams may share a bucket
                    └─ vocabulary ─▶ count · idf, length 1   the most frequent n-grams of the training rows

The row function is the truth; frames map it over distinct texts, into one Array that the columns are taken from.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any

import xxhash

from ninetyfive.errors import FeatureError
from ninetyfive.features import tree
from ninetyfive.features.learned import MAX_WORDS
from ninetyfive.features.operation import (
    COLUMNS,
    MAX_COLUMNS,
    Argument,
    Frame,
    Operation,
    Polars,
    Site,
    coherent,
    counts_argument,
    fail,
    integer_argument,
    never,
    word_argument,
)
from ninetyfive.ngrams import Of, ngrams

TERM_COUNTS = "TermCounts"
_LONGEST = 10
Counter = Callable[[str | None], list[float]]


def _text(types: tuple[str, ...], _: Mapping[str, Any]) -> str | None:
    return COLUMNS if types == (tree.STRING,) else None


def _bucket_counter(site: Site) -> Counter:
    width = site.arguments["buckets"]
    shortest, longest, of = _grams(site)
    digest = xxhash.xxh64_intdigest

    def count(text: str | None) -> list[float]:
        counts = [0.0] * width
        for gram in () if text is None else ngrams(text, shortest, longest, of):
            counts[digest(gram.encode()) % width] += 1.0
        return counts

    return count


def _tfidf_counter(site: Site) -> Counter:
    assert site.constants is not None
    weights = _weights(site.constants["documents"], site.constants["rows"])
    place = {term: index for index, term in enumerate(site.constants["terms"])}
    shortest, longest, of = _grams(site)

    def weigh(text: str | None) -> list[float]:
        values = [0.0] * len(weights)
        for gram in () if text is None else ngrams(text, shortest, longest, of):
            index = place.get(gram)
            if index is not None:
                values[index] += weights[index]
        length = math.sqrt(math.fsum(value * value for value in values))
        return [value / length for value in values] if length else values

    return weigh


def _weights(documents: tuple[int, ...], rows: int) -> list[float]:
    """log((1 + rows) / (1 + documents)) + 1: the smoothed inverse document frequency of scikit-learn."""
    return [math.log((1 + rows) / (1 + found)) + 1.0 for found in documents]


def _grams(site: Site) -> tuple[int, int, Of]:
    return site.arguments["shortest"], site.arguments["longest"], site.arguments["of"]


def _array_frame(counter: Callable[[Site], Counter], width: Callable[[Site], int]) -> Callable[[Polars, Site], Frame]:
    def frame(pl: Polars, site: Site) -> Frame:
        columns, count = width(site), counter(site)
        dtype = pl.Array(pl.Float32, columns)

        def counted(series: Any) -> Any:
            import numpy as np  # this file is on the path of `import ninetyfive`

            distinct = series.unique()
            rows = np.empty((len(distinct), columns), dtype=np.float32)
            for index, text in enumerate(distinct):
                rows[index] = count(text)
            found = pl.DataFrame({"text": distinct, "row": pl.Series(range(len(distinct)), dtype=pl.Int64)})
            places = series.to_frame("text").join(found, on="text", how="left", nulls_equal=True, maintain_order="left")
            return pl.Series(series.name, rows[places["row"].to_numpy()], dtype=dtype)

        return site.inputs[0].map_batches(counted, return_dtype=dtype, is_elementwise=True)

    return frame


def _array_row(counter: Callable[[Site], Counter], name: str) -> Callable[[Site], str]:
    return lambda site: f"{site.bind(f'{name}_{site.step}', counter(site))}({site.inputs[0]})"


def _learn_terms(result: Mapping[str, Any], arguments: Mapping[str, Any], where: str) -> dict[str, Any]:
    counted = [(term, found) for term, found in result["documents"].items() if found >= arguments["min_count"]]
    counted.sort(key=lambda pair: (-pair[1], pair[0]))
    kept = sorted(counted[: arguments["top"]])
    if not kept:
        raise FeatureError(
            where,
            expected=f"n-grams that stand in at least {arguments['min_count']} training rows",
            got=f"none in {result['rows']} texts",
            do="lower min_count, count shorter n-grams, or remove the feature",
        )
    return {
        "terms": tuple(term for term, _ in kept),
        "documents": tuple(found for _, found in kept),
        "rows": result["rows"],
    }


def _terms(site: Site) -> tuple[str, ...]:
    return site.constants["terms"] if site.constants is not None else ()


def _check_lengths(arguments: Mapping[str, Any], where: str) -> None:
    if arguments["shortest"] > arguments["longest"]:
        got = (arguments["shortest"], arguments["longest"])
        raise fail(where, "shortest at most longest", got, "write longest=2 for single words and pairs")


def _texts(value: Any, where: str) -> tuple[str, ...]:
    right = isinstance(value, list | tuple) and all(isinstance(item, str) for item in value)
    if not right or len(set(value)) != len(value) or len(value) > MAX_COLUMNS:
        raise fail(where, "terms: strings, each once", value, "fit the transform again")
    return tuple(value)


_LENGTHS = (
    Argument("longest", integer_argument("longest", 1, _LONGEST), 1),
    Argument("shortest", integer_argument("shortest", 1, _LONGEST), 1),
    Argument("of", word_argument("of", ("words", "characters")), "words"),
)
_HINT = 'it counts in strings: cast first, as in .cast("string")'
_EMPTY = "null, like a text without n-grams, gives 0.0 in all columns"

OPERATIONS = (
    Operation(
        name="ngram_counts",
        example='col("s").ngram_counts(64, longest=2)',
        takes="a string",
        gives="number columns feature=0, feature=1, …: how many n-grams hash (XXH64 of the UTF-8) into each of the "
        "buckets; it must stand last",
        nulls=_EMPTY,
        hint=_HINT,
        arguments=(Argument("buckets", integer_argument("buckets", 1, MAX_COLUMNS)), *_LENGTHS),
        check=_check_lengths,
        result=_text,
        nullable=never,
        frame=_array_frame(_bucket_counter, lambda site: int(site.arguments["buckets"])),
        row=_array_row(_bucket_counter, "_count"),
        columns=lambda site: tuple(str(place) for place in range(site.arguments["buckets"])),
        together=True,
    ),
    Operation(
        name="tfidf",
        example='col("s").tfidf(top=100)',
        takes="a string",
        gives="number columns feature=n-gram, for the n-grams in the most training rows: count · idf, scaled to length "
        "1; idf is log((1 + rows) / (1 + rows with it)) + 1; it must stand last",
        nulls=f"{_EMPTY}; null is not counted when it learns",
        hint=_HINT,
        arguments=(
            Argument("top", integer_argument("top", 1, MAX_COLUMNS), 1000),
            *_LENGTHS,
            Argument("min_count", integer_argument("min_count", 1, tree.INT64_MAX), 1),
        ),
        check=_check_lengths,
        result=_text,
        nullable=never,
        frame=_array_frame(_tfidf_counter, lambda site: len(_terms(site))),
        row=_array_row(_tfidf_counter, "_weigh"),
        columns=_terms,
        together=True,
        analyzer=lambda arguments: (
            TERM_COUNTS,
            (arguments["shortest"], arguments["longest"], arguments["of"], MAX_WORDS),
        ),
        learn=_learn_terms,
        refuse=coherent(
            lambda _, known: (
                0 < len(known["terms"]) == len(known["documents"]) and max(known["documents"]) <= known["rows"]
            )
        ),
        constants=(
            Argument("terms", _texts),
            Argument("documents", counts_argument("documents")),
            Argument("rows", integer_argument("rows", 0, tree.INT64_MAX)),
        ),
    ),
)
