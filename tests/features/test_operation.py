"""What lowerings are built with: `once`, which keeps a deep feature from doubling its work at each level."""

from __future__ import annotations

import polars as pl
import pytest

from ninetyfive.features.frames import FrameFunction
from ninetyfive.features.operation import once
from ninetyfive.features.recording import Expr, coalesce, col, greatest, least

TYPES = {"a": "number", "b": "number", "t": "timestamp", "u": "timestamp[UTC]"}


@pytest.mark.parametrize(
    "feature",
    [
        col("a").round(2),
        col("a") ** 2,
        col("a").isin([1.5]),
        col("a").bucketize([0, 1]),
        coalesce(col("a"), col("b"), 0),
        least(col("a"), col("b")),
        greatest(col("a"), 0.5),
        col("t").since(col("t"), "years"),
        col("u").in_zone("Europe/Paris"),
        col("t").from_zone("Europe/Paris"),
    ],
    ids=str,
)
def test_a_frame_form_reads_each_input_once(feature: Expr) -> None:
    written = str(feature).count("col(")
    *_, last = FrameFunction((("x", feature.node),), tuple(TYPES.items())).stages
    assert len(last.expressions[0].meta.root_names()) == written


def test_once_takes_scalars_for_columns_and_no_rows() -> None:
    summed = once(pl, [pl.col("a"), pl.lit(1.0)], lambda left, right: left + right + left, pl.Float64)
    assert pl.DataFrame({"a": [1.0, 2.0, None]}).select(summed).to_series().to_list() == [3.0, 5.0, None]
    assert pl.DataFrame({"a": []}, schema={"a": pl.Float64}).select(summed).height == 0
