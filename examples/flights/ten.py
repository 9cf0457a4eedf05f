"""Write ten flights of December as requests: the columns that a client knows before departure, nothing later.

build/ten.parquet    for `ninetyfive predict` and `trace`
build/ten.json       the body of a request to `ninetyfive serve`
"""

import json
from pathlib import Path

import polars as pl

HERE = Path(__file__).parent
LATER = ["dep_time", "dep_delay", "air_time", "arr_delay"]

(HERE / "build").mkdir(exist_ok=True)
december = pl.read_parquet(HERE / "data" / "flights-2013-12.parquet")
ten = december.sort("scheduled_at").gather_every(december.height // 10).head(10).drop(LATER)
ten.write_parquet(HERE / "build" / "ten.parquet")
rows = ten.with_columns(pl.col("scheduled_at").dt.to_string("iso:strict")).to_dicts()
(HERE / "build" / "ten.json").write_text(json.dumps({"instances": rows}), encoding="utf-8")
