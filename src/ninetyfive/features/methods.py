"""The named operations as methods: `.log1p()`, `.vocabulary(top=300)`. Each is one line over the table.

    class Expr(Methods)     records `._method("log1p")`     a method without an entry in the table fails a test

What does not belong here: operators and the functions that begin an expression (`recording`), and what an operation
means (`operations`).
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date
from typing import TYPE_CHECKING, Literal, Self, TypeAlias

Plain: TypeAlias = "bool | int | float | str | date"
CastType: TypeAlias = Literal["integer", "number", "string", "date", "timestamp"]


class Methods:
    """The methods of an expression; the class that records adds `_method`."""

    __slots__ = ()

    if TYPE_CHECKING:

        def _method(self, operation: str, *inputs: object, **arguments: object) -> Self: ...

    def log1p(self) -> Self:
        """The natural logarithm of 1 + x: a number. Below -1 it is NaN, at -1 -inf; null stays null."""
        return self._method("log1p")

    def clip(self, low: float | None = None, high: float | None = None) -> Self:
        """The value, but not below `low` and not above `high` (one may be None). Null and NaN stay."""
        return self._method("clip", low=low, high=high)

    def fill_null(self, value: Self | Plain) -> Self:
        """`value` (a constant or an expression of the same type) where it is null. NaN stays NaN."""
        return self._method("fill_null", value)

    def is_null(self) -> Self:
        """Whether it is null: a boolean that never is. NaN is not null."""
        return self._method("is_null")

    def cast(self, to: CastType) -> Self:
        """The value as another type; what cannot be cast is null."""
        return self._method("cast", to=to)

    def lower(self) -> Self:
        """A string in lower case, as Python's `str.lower` makes it. Null stays null."""
        return self._method("lower")

    def hour(self) -> Self:
        """The hour of a timestamp, 0 to 23: of the wall clock, or of UTC for `timestamp[UTC]`. Null stays null."""
        return self._method("hour")

    def weekday(self) -> Self:
        """The day of the week of a timestamp or date, from 1 (Monday) to 7. Null stays null."""
        return self._method("weekday")

    def month(self) -> Self:
        """The month of a timestamp or date, 1 to 12. Null stays null."""
        return self._method("month")

    def list_length(self) -> Self:
        """How many elements a list has, null elements too: an integer. Null stays null; an empty list has 0."""
        return self._method("list_length")

    def list_contains(self, value: Self | Plain) -> Self:
        """Whether one of a list's elements is `value` (a constant or an expression of their type): a boolean.

        Null where the list or the value is null, or the value NaN. A null or NaN element is no value.
        """
        return self._method("list_contains", value)

    def list_element(self, index: int) -> Self:
        """The element of a list at `index`: 0 is the first, -1 the last. Null where there is none, or it is null."""
        return self._method("list_element", index=index)

    def zscore(self) -> Self:
        """(x - mean) / std as learned from the training rows; 0.0 where std is 0. Null and NaN stay."""
        return self._method("zscore")

    def minmax(self) -> Self:
        """(x - min) / (max - min) as learned from the training rows; 0.0 where they are equal. Null and NaN stay."""
        return self._method("minmax")

    def robust_scale(self) -> Self:
        """(x - median) by the distance of the training rows' quartiles (by 1 where that is 0). Null and NaN stay."""
        return self._method("robust_scale")

    def winsorize(self, low: float = 0.01, high: float = 0.99) -> Self:
        """The value, but not below and not above these quantiles of the training rows. Null and NaN stay."""
        return self._method("winsorize", low=low, high=high)

    def quantile_transform(self, n: int = 1000, output: Literal["uniform", "normal"] = "uniform") -> Self:
        """Its share of the training rows, 0 to 1, by `n` quantiles; or the normal value of it. Null and NaN stay."""
        return self._method("quantile_transform", n=n, output=output)

    def fill_mean(self) -> Self:
        """The mean of the training rows where it is null or NaN: a number."""
        return self._method("fill_mean")

    def fill_median(self) -> Self:
        """The median of the training rows where it is null or NaN: a number."""
        return self._method("fill_median")

    def fill_mode(self) -> Self:
        """The most frequent value of the training rows where it is null: a string, an integer or a boolean."""
        return self._method("fill_mode")

    def quantile_bins(self, n: int) -> Self:
        """The index, 0 to n-1, of its bin between the training rows' quantiles. Null and NaN give null."""
        return self._method("quantile_bins", n=n)

    def vocabulary(self, top: int | None = None, min_count: int = 1) -> Self:
        """The index of a string, integer or boolean by its frequency in the training rows: 1 is the most frequent.

        At most `top` values, each seen at least `min_count` times; ties by value. 0 is anything else, and null.
        """
        return self._method("vocabulary", top=top, min_count=min_count)

    def frequency(self, top: int | None = None) -> Self:
        """The share of the training rows with this value, of the `top` most frequent. 0.0 for any other, and null."""
        return self._method("frequency", top=top)

    def target_encode(self, folds: int = 5, smooth: float = 20) -> Self:
        """The mean label of this value, as if `smooth` rows had the mean of all; that is also what null gives.

        A training row gets what the rows of the other `folds` say, so that no row sees its own label.
        """
        return self._method("target_encode", folds=folds, smooth=smooth)

    def cyclic(self, period: float) -> Self:
        """Two columns, sine and cosine of 2π · x / period. Null, NaN and infinities give NaN. It stands last."""
        return self._method("cyclic", period=period)

    def ngram_counts(
        self, buckets: int, longest: int = 1, shortest: int = 1, of: Literal["words", "characters"] = "words"
    ) -> Self:
        """One column a bucket: how many n-grams of the text hash into it. Null gives 0.0 in all. It stands last."""
        return self._method("ngram_counts", buckets=buckets, longest=longest, shortest=shortest, of=of)

    def tfidf(
        self,
        top: int = 1000,
        longest: int = 1,
        shortest: int = 1,
        of: Literal["words", "characters"] = "words",
        min_count: int = 1,
    ) -> Self:
        """One column for each of the `top` n-grams of the training rows: TF-IDF, rows of length 1.

        An n-gram stands in at least `min_count` rows. Null gives 0.0 in all columns. It stands last.
        """
        return self._method("tfidf", top=top, longest=longest, shortest=shortest, of=of, min_count=min_count)

    def one_hot(self, values: Sequence[str] | Sequence[int] | Sequence[bool] | None = None) -> Self:
        """One column per value, 1.0 where it is that value: of `values`, or of its known outcomes. Stands last."""
        return self._method("one_hot", values=values)
