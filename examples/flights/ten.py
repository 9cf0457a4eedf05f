"""Write ten flights of December as requests: the columns that a client knows before departure, nothing later."""

from pathlib import Path

import polars as pl

HERE = Path(__file__).parent
LATER = ["dep_time", "dep_delay", "air_time", "arr_delay"]

(HERE / "build").mkdir(exist_ok=True)
december = pl.read_parquet(HERE / "data" / "flights-2013-12.parquet")
december.sort("scheduled_at").gather_every(december.height // 10).head(10).drop(LATER).write_parquet(
    HERE / "build" / "ten.parquet"
)
