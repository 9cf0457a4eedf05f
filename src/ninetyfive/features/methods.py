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

Unit: TypeAlias = Literal["seconds", "minutes", "hours", "days", "weeks", "years"]


class Methods:
    """The methods of an expression; the class that records adds `_method`."""

    __slots__ = ()

    if TYPE_CHECKING:

        def _method(self, operation: str, *inputs: object, **arguments: object) -> Self: ...

    def abs(self) -> Self:
        """The value without its sign, of the same type; the smallest int64 rejects the row. Null and NaN stay."""
        return self._method("abs")

    def sign(self) -> Self:
        """-1, 0 or 1, of the same type; -0.0 stays -0.0. Null and NaN stay."""
        return self._method("sign")

    def round(self, digits: int = 0) -> Self:
        """The value rounded to `digits` decimals (-2: to hundreds), of the same type. Null, NaN and inf stay.

        As Python's `round`: to the nearest, and where the value lies exactly between two, to the even one.
        """
        return self._method("round", digits=digits)

    def floor(self) -> Self:
        """The next whole number that is not above it, of the same type. Null, NaN and inf stay."""
        return self._method("floor")

    def ceil(self) -> Self:
        """The next whole number that is not below it, of the same type. Null, NaN and inf stay."""
        return self._method("ceil")

    def sqrt(self) -> Self:
        """The square root: a number. Below 0 it is NaN; null stays null."""
        return self._method("sqrt")

    def exp(self) -> Self:
        """e to the power of it: a number, inf where that is too large. Null and NaN stay."""
        return self._method("exp")

    def log(self) -> Self:
        """The natural logarithm: a number. Below 0 it is NaN, at 0 -inf; null stays null."""
        return self._method("log")

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

    def isin(self, values: Sequence[str] | Sequence[float] | Sequence[bool]) -> Self:
        """Whether it is one of `values`: a boolean. Null stays null, and NaN gives null."""
        return self._method("isin", values=values)

    def bucketize(self, edges: Sequence[float], left_closed: bool = False) -> Self:
        """The index, 0 to the number of ascending `edges`, of its bucket between them. Null and NaN give null.

        A value equal to an edge belongs to the bucket below it, or with `left_closed` to the one above.
        """
        return self._method("bucketize", edges=edges, left_closed=left_closed)

    def hash_bucket(self, n: int) -> Self:
        """The bucket, 0 to n-1, of a string, integer or boolean by a hash that never changes. Null stays null."""
        return self._method("hash_bucket", n=n)

    def lower(self) -> Self:
        """A string in lower case, as Python's `str.lower` makes it. Null stays null."""
        return self._method("lower")

    def upper(self) -> Self:
        """A string in upper case, as Python's `str.upper` makes it. Null stays null."""
        return self._method("upper")

    def strip(self) -> Self:
        """A string without blanks at both ends, as Python's `str.strip` makes it. Null stays null."""
        return self._method("strip")

    def length(self) -> Self:
        """The number of characters (code points) of a string. Null stays null."""
        return self._method("length")

    def slice(self, start: int, length: int | None = None) -> Self:
        """`length` characters of a string from `start` on, or all: 0 is the first, -1 the last. Null stays null.

        What lies outside of the string is left out.
        """
        return self._method("slice", start=start, length=length)

    def contains(self, text: str) -> Self:
        """Whether `text` (no pattern) is in a string: a boolean. Null stays null."""
        return self._method("contains", text=text)

    def starts_with(self, prefix: str) -> Self:
        """Whether a string begins with `prefix`: a boolean. Null stays null."""
        return self._method("starts_with", prefix=prefix)

    def ends_with(self, suffix: str) -> Self:
        """Whether a string ends with `suffix`: a boolean. Null stays null."""
        return self._method("ends_with", suffix=suffix)

    def replace(self, old: str, new: str) -> Self:
        """A string in which each `old` (no pattern), from the left, is `new`. Null stays null."""
        return self._method("replace", old=old, new=new)

    def split_part(self, separator: str, index: int) -> Self:
        """The part at `index` of a string cut at each `separator`: 0 is the first, -1 the last.

        Null stays null, and where there are fewer parts it is null.
        """
        return self._method("split_part", separator=separator, index=index)

    def year(self) -> Self:
        """The year of a timestamp or date. Null stays null."""
        return self._method("year")

    def quarter(self) -> Self:
        """The quarter of a timestamp or date, 1 to 4. Null stays null."""
        return self._method("quarter")

    def month(self) -> Self:
        """The month of a timestamp or date, 1 to 12. Null stays null."""
        return self._method("month")

    def week(self) -> Self:
        """The week of a timestamp or date as ISO 8601 counts, 1 to 53. Null stays null."""
        return self._method("week")

    def day(self) -> Self:
        """The day of the month of a timestamp or date, 1 to 31. Null stays null."""
        return self._method("day")

    def day_of_year(self) -> Self:
        """The day of the year of a timestamp or date, 1 to 366. Null stays null."""
        return self._method("day_of_year")

    def weekday(self) -> Self:
        """The day of the week of a timestamp or date, from 1 (Monday) to 7. Null stays null."""
        return self._method("weekday")

    def hour(self) -> Self:
        """The hour of a timestamp, 0 to 23: of the wall clock, or of UTC for `timestamp[UTC]`. Null stays null."""
        return self._method("hour")

    def minute(self) -> Self:
        """The minute of a timestamp, 0 to 59. Null stays null."""
        return self._method("minute")

    def second(self) -> Self:
        """The second of a timestamp, 0 to 59. Null stays null."""
        return self._method("second")

    def since(self, other: Self | Plain, unit: Unit = "days") -> Self:
        """How long it is after `other`, a time of the same type, in `unit`: a number. Null where either is null.

        In years it is an integer: the calendar years that are over, as an age.
        """
        return self._method("since", other, unit=unit)

    def in_zone(self, zone: str) -> Self:
        """What the clock in a time zone ("Europe/Paris") shows at a `timestamp[UTC]`: a `timestamp`. Null stays null.

        Outside of the years 1 to 9999 it is null.
        """
        return self._method("in_zone", zone=zone)

    def from_zone(self, zone: str) -> Self:
        """The moment (`timestamp[UTC]`) when the clock in a time zone first shows a `timestamp`. Null stays null.

        A time that the clock leaves out counts on with the offset of before: 02:30 means an hour after 01:30. Outside
        of the years 1 to 9999 it is null.
        """
        return self._method("from_zone", zone=zone)

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
