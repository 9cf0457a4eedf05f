"""The request log as a source: its columns, the labels that are joined to it, and the runs on it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import polars as pl
import pytest
from tests.conftest import Project
from tests.sources.logs import LATER, labels_of, log_trips, on_log, request_id

import ninetyfive as nf
from ninetyfive import col
from ninetyfive.errors import DeclarationError, SourceError, UsageError
from ninetyfive.sources.discovery import discover
from ninetyfive.sources.files import Source
from ninetyfive.sources.labels import LabelCounts, hashed_columns, join_labels, rowless
from ninetyfive.sources.readers import reader_of

Trips = Callable[..., pl.DataFrame]

REQUEST = ["request_id", "request_time", "at", "zone", "distance"]


def joined(source: Source) -> tuple[pl.DataFrame, dict[str, str], LabelCounts | None]:
    """All rows of the source, the spans' names by file, and what became of the labels."""
    files, reader, counts = join_labels(source, discover(source))
    rows = pl.concat([frame for file in files for frame in reader.read(file.part)])
    return rows.sort("request_id"), {Path(file.url).name: file.sha256 for file in files}, counts


@pytest.fixture
def log(tmp_path: Path, trips: Trips) -> Path:
    """Two spans of 40 and 20 requests."""
    log_trips(tmp_path / "log", trips(40))
    log_trips(tmp_path / "log", trips(20, 40))
    return tmp_path / "log"


def without_rows(trips: pl.DataFrame) -> pl.DataFrame:
    """The trips as requests of which nothing is known."""
    return trips.with_columns(pl.lit(None).alias(name) for name in ("at", "zone", "distance"))


class TestRows:
    def test_a_row_is_its_id_its_time_and_the_request(self, log: Path, trips: Trips) -> None:
        rows, _, counts = joined(nf.request_log(log))
        assert rows.columns == REQUEST
        assert counts is None
        assert rows.drop("request_id", "request_time").equals(pl.concat([trips(40), trips(20, 40)]).drop(LATER))
        assert rows["request_time"].dt.replace_time_zone(None).equals(rows["at"])

    def test_what_was_answered_and_what_is_hashed_are_no_columns(self, tmp_path: Path, trips: Trips) -> None:
        policy = {"zone": "hash", "distance": "drop"}
        log_trips(tmp_path / "log", trips(5), columns=policy, key_file=str(tmp_path / "key"))
        source = nf.request_log(tmp_path / "log")
        files = discover(source)
        names = reader_of(source).names(files[0].part)
        assert names is not None
        assert list(names) == ["request_id", "request_time", "at"]
        assert hashed_columns(files) == ("zone",)

    def test_columns_alone(self, log: Path, trips: Trips, tmp_path: Path) -> None:
        labels_of(trips(60)).write_parquet(tmp_path / "labels.parquet")
        source = nf.request_log(log, labels=tmp_path / "labels.parquet")
        files, reader, _ = join_labels(source, discover(source))
        for columns, expected in (
            (("tip",), ["tip"]),
            (("zone", "tip"), ["zone", "tip"]),
            (("at",), ["at"]),
            ((), ["request_id"]),
        ):
            (frame,) = reader.read(files[0].part, columns=columns)
            assert frame.columns == expected

    def test_records_without_a_row_are_left_out_and_counted(self, tmp_path: Path, trips: Trips) -> None:
        rows = trips(40)
        nothing = rows.filter(pl.col("trip") % 3 == 0)
        held = rows.with_columns(
            pl.when(pl.col("trip") % 3 > 0).then(pl.col(name)).alias(name) for name in ("at", "zone", "distance")
        )
        log_trips(tmp_path / "log", held)
        log_trips(tmp_path / "log", without_rows(trips(9, 40)))
        path = tmp_path / "labels.parquet"
        labels_of(rows).write_parquet(path)
        source = nf.request_log(tmp_path / "log", labels=path)
        files = discover(source)
        assert rowless(files) == nothing.height + 9
        found, _, counts = joined(source)
        assert found["request_id"].to_list() == [request_id(trip) for trip in range(40) if trip % 3]
        assert counts is not None
        assert (counts.joined, counts.waiting) == (26, 14)
        assert {reader_of(source).count(file.part) for file in files} == {None}
        seen = {guess.name: (guess.rows, guess.nulls) for guess in reader_of(source).inspect(files[0].part)}
        assert seen["request_id"] == seen["at"]
        log_trips(tmp_path / "empty", without_rows(trips(9)))
        with pytest.raises(SourceError, match="expected requests with their rows, got none"):
            joined(nf.request_log(tmp_path / "empty"))

    def test_a_log_without_a_span_says_when_there_is_one(self, tmp_path: Path) -> None:
        (tmp_path / "w1-5be1c0de-000001.open").touch()
        with pytest.raises(SourceError, match=r"a span of a request log, got none\. To do: end the service, or"):
            discover(nf.request_log(tmp_path))

    def test_another_parquet_file_is_no_log(self, tmp_path: Path) -> None:
        pl.DataFrame({"request_id": ["a"]}).write_parquet(tmp_path / "a.parquet")
        source = nf.request_log(tmp_path)
        with pytest.raises(SourceError, match="a span of a request log"):
            reader_of(source).names(discover(source)[0].part)


class TestLabels:
    def test_labels_are_joined_by_id_and_each_is_counted(self, log: Path, trips: Trips, tmp_path: Path) -> None:
        known = labels_of(trips(30))
        more = pl.DataFrame(
            {
                "request_id": [request_id(0), request_id(1), request_id(2), request_id(900), None],
                "tip": [known["tip"][0], 99.0, None, 5.0, 1.0],
            }
        )
        path = tmp_path / "labels.parquet"
        pl.concat([known, more]).write_parquet(path)
        rows, _, counts = joined(nf.request_log(log, labels=path))
        assert counts == LabelCounts(read=35, joined=30, waiting=1, repeated=1, replaced=2, quarantined=1)
        assert counts.read == counts.joined + counts.waiting + counts.repeated + counts.replaced + counts.quarantined
        expected = known["tip"].to_list()
        expected[1], expected[2] = 99.0, None
        assert rows["tip"].to_list() == expected + [None] * 30
        assert "1 of requests of which the log has no row (yet)" in str(counts)

    @pytest.mark.parametrize("ending", ["csv", "jsonl"])
    def test_of_text_types_are_seen_or_given(self, log: Path, tmp_path: Path, ending: str) -> None:
        path = tmp_path / f"labels.{ending}"
        rows = pl.DataFrame({"request_id": [request_id(number) for number in range(3)], "tip": [1, 2, 3]})
        rows.write_csv(path) if ending == "csv" else rows.write_ndjson(path)
        found, _, _ = joined(nf.request_log(log, labels=path))
        assert found["tip"].dtype == pl.Int64()
        found, _, _ = joined(nf.request_log(log, labels=path, types={"tip": "number"}))
        assert found["tip"].head(4).to_list() == [1.0, 2.0, 3.0, None]

    def test_what_no_column_can_hold_is_quarantined(self, log: Path, tmp_path: Path) -> None:
        path = tmp_path / "labels.csv"
        path.write_text(f"request_id;tip\n{request_id(0)};1.5\n{request_id(1)};late\n;2.5\n")
        labels = nf.csv(path, separator=";", types={"tip": "number"})
        found, _, counts = joined(nf.request_log(log, labels=labels))
        assert counts == LabelCounts(read=3, joined=1, waiting=0, repeated=0, replaced=0, quarantined=2)
        assert found["tip"].head(2).to_list() == [1.5, None]

    def test_labels_of_a_frame_and_columns_that_only_some_have(self, log: Path, trips: Trips, tmp_path: Path) -> None:
        found, _, _ = joined(nf.request_log(log, labels=nf.frame(labels_of(trips(3)))))
        assert found["tip"].is_not_null().sum() == 3
        labels_of(trips(3)).write_parquet(tmp_path / "labels-1.parquet")
        labels_of(trips(2, 3), "fare").write_parquet(tmp_path / "labels-2.parquet")
        labels = nf.parquet(tmp_path / "labels-*.parquet", optional=["fare"])
        found, _, counts = joined(nf.request_log(log, labels=labels))
        assert found["fare"].head(6).is_null().to_list() == [True, True, True, False, False, True]
        assert counts is not None
        assert (counts.joined, counts.quarantined) == (5, 0)

    def test_later_files_by_name_win(self, log: Path, tmp_path: Path) -> None:
        for name, tip in (("b", 2.0), ("a", 1.0), ("c", 2.0)):
            rows = pl.DataFrame({"request_id": [request_id(0), request_id(ord(name))], "tip": [tip, 0.0]})
            rows.write_parquet(tmp_path / f"labels-{name}.parquet")
        found, _, counts = joined(nf.request_log(log, labels=str(tmp_path / "labels-*.parquet")))
        assert found["tip"][0] == 2.0
        assert counts == LabelCounts(read=6, joined=1, waiting=3, repeated=1, replaced=1, quarantined=0)

    def test_a_span_is_another_one_when_its_own_labels_change(self, log: Path, trips: Trips, tmp_path: Path) -> None:
        path = tmp_path / "labels.parquet"
        source = nf.request_log(log, labels=path)
        names = []
        for known in (labels_of(trips(60)).head(50), labels_of(trips(60)).reverse().tail(50), labels_of(trips(60))):
            known.write_parquet(path)
            names.append(joined(source)[1])
        first, same, more = names
        assert first == same
        assert sum(first[file] == more[file] for file in first) == 1

    def test_labels_that_change_meanwhile_are_refused(self, log: Path, trips: Trips, tmp_path: Path) -> None:
        path = tmp_path / "labels.parquet"
        source = nf.request_log(log, labels=path)
        labels_of(trips(10)).write_parquet(path)
        files, _, _ = join_labels(source, discover(source))
        labels_of(trips(20)).write_parquet(path)
        _, reader, _ = join_labels(source, discover(source))
        with pytest.raises(SourceError, match="the labels that were found"):
            list(reader.read(files[0].part))

    def test_labels_that_cannot_be(self, log: Path, tmp_path: Path) -> None:
        path = tmp_path / "labels.parquet"
        for columns, said in (
            ({"id": ["a"], "tip": [1.0]}, "expected a column 'request_id'"),
            ({"request_id": ["a"], "zone": ["x"]}, "rename or leave out that column"),
            ({"request_id": ["a"], "request_time": ["x"]}, "rename or leave out that column"),
        ):
            pl.DataFrame(columns).write_parquet(path)
            with pytest.raises(SourceError, match=said):
                joined(nf.request_log(log, labels=path))
        with pytest.raises(UsageError, match="ends in"):
            nf.request_log(log, labels="labels.xlsx")
        with pytest.raises(DeclarationError, match="a file of ids and labels"):
            nf.request_log(log, labels=nf.request_log(log))


class TestDeclaration:
    def test_what_the_log_adds_is_no_feature_and_no_entity(self, log: Path) -> None:
        for words, said in (
            (
                {"features": {"hour": col("request_time").hour()}},
                "'request_time', which the source adds to what a request holds",
            ),
            ({"features": {"zone": col("zone").vocabulary()}, "entity": ["request_id"]}, "take 'request_id' out"),
        ):
            with pytest.raises(DeclarationError, match=said):
                nf.System("trips", source=nf.request_log(log), label=col("tip") > 2, **words)  # type: ignore[arg-type]


@pytest.mark.slow
class TestRuns:
    def test_the_model_is_the_one_of_the_rows_themselves(
        self, project: Project, finished: Project, trips: Trips
    ) -> None:
        rows = trips()
        log_trips(project.folder / "log", rows.head(700))
        log_trips(project.folder / "log", rows.tail(500))
        labels_of(rows, "fare").write_parquet(project.folder / "labels.parquet")
        on_log(project)
        document = project.run()
        assert document["promoted"], document["reason"]
        assert document["rows"] == {
            "read": 1200, "accepted": 1200, "quarantined": 0, "unlabelled": 0, "duplicate": 0
        }  # fmt: skip
        assert document["labels"] == {
            "read": 1200, "joined": 1200, "waiting": 0, "repeated": 0, "replaced": 0, "quarantined": 0
        }  # fmt: skip
        asked = trips(50, 2_000)
        got = project.load().predict(asked.drop(LATER))
        assert got["prediction"].equals(finished.load().predict(asked.drop("tip", "fare"))["prediction"])
        models = [one.release(one.champion()) / "model.onnx" for one in (project, finished)]
        assert models[0].read_bytes() == models[1].read_bytes()

    def test_late_labels_are_read_with_their_spans_alone(self, project: Project, trips: Trips) -> None:
        rows = trips()
        log_trips(project.folder / "log", rows.head(700))
        log_trips(project.folder / "log", rows.tail(500))
        path = project.folder / "labels.parquet"
        log_trips(project.folder / "log", without_rows(trips(10, 5_000)))
        labels_of(rows, "fare").head(1000).write_parquet(path)
        on_log(project)
        first = project.run()
        assert first["rows"]["unlabelled"] == 200
        assert "10 records of the request log have no row, and are left out" in first["notices"]
        assert any("1,000 labels: 1,000 joined to a request" in notice for notice in first["notices"])
        assert project.done(project.run()) == []
        labels_of(rows, "fare").write_parquet(path)
        second = project.run()
        assert second["rows"] == {"read": 500, "accepted": 500, "quarantined": 0, "unlabelled": 0, "duplicate": 0}
        assert second["window"]["rows"] == 1200

    def test_label_columns_that_the_system_does_not_name(self, project: Project, trips: Trips) -> None:
        rows = trips()
        log_trips(project.folder / "log", rows)
        labels_of(rows, "fare").with_columns(pl.lit(1.0).alias("paid")).write_parquet(project.folder / "labels.parquet")
        on_log(project)
        with pytest.raises(DeclarationError, match=r"'paid' of the labels, which the system does not name.*add it to"):
            project.run()

    def test_a_hashed_column_is_no_feature(self, project: Project, trips: Trips) -> None:
        rows = trips()
        key = str(project.folder / "key")
        log_trips(project.folder / "log", rows, columns={"zone": "hash"}, key_file=key)
        labels_of(rows, "fare").write_parquet(project.folder / "labels.parquet")
        on_log(project)
        with pytest.raises(DeclarationError, match="feature 'zone': expected columns that are logged as they were"):
            project.run()
