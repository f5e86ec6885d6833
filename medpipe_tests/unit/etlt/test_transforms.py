"""A result table is built, audited and published; and left alone where nothing has changed."""

import csv
import datetime as dt
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from medpipe_assets.errors import ConfigurationError
from medpipe_assets.etlt.contract import Check, Contract
from medpipe_assets.etlt.engines import Answer, Question, choose, with_duckdb
from medpipe_assets.etlt.result_sql import Transform, parse
from medpipe_assets.etlt.transforms import TransformReport, run_transform
from medpipe_assets.lake.lake import Lake
from medpipe_assets.lake.location import LakeLocation
from medpipe_assets.lake.schemas import DATASET_LOADS, TABLES
from medpipe_tests import local_spark
from medpipe_tests.unit.etlt import visits

DAY = dt.date(2026, 11, 20)
BY_STATE = next(transform for transform in visits.transforms() if transform.name == "visits_by_state")
DAYS = next(transform for transform in visits.transforms() if transform.name == "visit_days")
TEXTS = next(transform for transform in visits.transforms() if transform.name == "visit_texts")


@pytest.fixture
def lake(tmp_path: Path) -> Lake:
    contract = visits.contract()
    tables = {**TABLES, contract.table_name: contract.table_contract}
    tables |= {transform.name: transform.table_contract for transform in visits.transforms()}
    made = Lake(LakeLocation.under(tmp_path / "lake"), tables=tables)
    fill(made, 40)
    return made


def fill(lake: Lake, count: int, seed: int = 0) -> None:
    schema = visits.contract().table_contract.schema
    rows = visits.rows(schema, ("visit_id",), [BY_STATE.parsed], count, seed)
    files = pa.array([f"file {n % 2}" for n in range(count)])
    rows = rows.set_column(rows.schema.get_field_index("_pipeline_file_id"), "_pipeline_file_id", files)
    lake.write("visits", rows)


def run(lake: Lake, transform: Transform = BY_STATE, contract: Contract | None = None, **more: Any) -> TransformReport:
    return run_transform(lake, contract or visits.contract(), transform, as_of=DAY, run_id="run 1", **more)


def test_a_table_is_made_partitioned_and_checked(lake: Lake) -> None:
    report = run(lake)
    rows = lake.read("visits_by_state")
    assert report.published and report.engine == "duckdb" and report.rows == rows.num_rows > 3
    assert sum(rows["visits"].to_pylist()) == 40
    assert [(f.check, f.offenders, f.blocking) for f in report.findings] == [
        ("one_row_a_state", 0, True),
        ("few_visits", 0, False),
    ]
    assert len(lake.data_files("visits_by_state")) == rows.num_rows
    assert report.inputs == {"visits": lake.snapshot_id("visits")} and report.input_bytes > 0
    assert not list(lake.location.scratch.iterdir())


def test_what_has_not_changed_is_not_done_again(lake: Lake) -> None:
    first = run(lake)

    def never(lake: Lake, question: Question) -> Answer:
        raise AssertionError("nothing was to be asked")

    again = run(lake, engines={"duckdb": never})
    assert again.unchanged and not again.published
    assert (again.rows, again.snapshot_id) == (first.rows, first.snapshot_id)
    assert again.results == ()


def test_other_rows_sql_parameters_or_checks_make_it_anew(lake: Lake) -> None:
    run(lake)
    run(lake, TEXTS)
    first = run(lake, DAYS)
    assert run(lake, DAYS, parameters={"months": 7}).published
    assert run_transform(lake, visits.contract(), DAYS, as_of=DAY + dt.timedelta(1), run_id="2").published
    assert run(lake, BY_STATE, parameters={"months": 7}).unchanged, "it does not name the parameter"
    stricter = {**visits.contract().checks, "more": Check(table="visits_by_state", not_null=("state",))}
    assert run(lake, contract=visits.contract().model_copy(update={"checks": stricter})).published
    fill(lake, 10, seed=1)
    assert run(lake).published and sum(lake.read("visits_by_state")["visits"].to_pylist()) == 50
    assert first.published and run(lake, force=True).published


def test_a_check_that_fails_leaves_the_table_as_it_was(lake: Lake) -> None:
    before = run(lake)
    fill(lake, 10, seed=1)
    impossible = {"none": Check(table="visits_by_state", sql="select 1 as x from visits_by_state where visits > 0")}
    refused = run(lake, contract=visits.contract().model_copy(update={"checks": impossible}))
    assert not refused.published and refused.findings[0].stops and refused.results == ()
    assert lake.snapshot_id("visits_by_state") == before.snapshot_id
    warned = {"none": impossible["none"].model_copy(update={"blocking": False})}
    assert run(lake, contract=visits.contract().model_copy(update={"checks": warned})).published


def test_the_day_is_that_of_the_newest_load(lake: Lake) -> None:
    given = {pa.string(): "x", pa.int64(): 1, pa.timestamp("us", tz="UTC"): dt.datetime(2026, 1, 1, tzinfo=dt.UTC)}
    for dataset, day in (("visits", dt.date(2026, 2, 1)), ("visits", dt.date(2026, 1, 1)), ("others", DAY)):
        row = {f.name: given.get(f.type) for f in DATASET_LOADS.schema} | {"dataset": dataset, "load_date": day}
        lake.write("dataset_loads", pa.Table.from_pylist([row], schema=DATASET_LOADS.schema))
    assert run_transform(lake, visits.contract(), BY_STATE, run_id="1").as_of == dt.date(2026, 2, 1)


def test_results_are_files_with_what_they_were_made_of(lake: Lake) -> None:
    report = run(lake)
    place = Path(lake.location.staging, "results", "visits_by_state")
    stated = json.loads((place / "visits_by_state.json").read_text())
    rows = lake.read("visits_by_state").to_pylist()
    told = stated["metadata"]
    assert {name: told[name] for name in ("table", "as_of", "row_count", "engine", "run_id")} == {
        "table": "visits_by_state",
        "as_of": "2026-11-20",
        "row_count": len(rows),
        "engine": "duckdb",
        "run_id": "run 1",
    }
    assert (told["query_id"], told["snapshot_id"]) == (report.query_id, report.snapshot_id)
    assert told["parameters"] == {"as_of": "2026-11-20", "months": 6, "word": "it's ñ"}
    assert {source["file_id"] for source in told["source_files"]} == {"file 0", "file 1"}
    assert [row["state"] for row in stated["rows"]] == sorted(row["state"] for row in rows)
    by_state = {row["state"]: row for row in rows}
    for row in stated["rows"]:
        assert row["numbers"] == by_state[row["state"]]["numbers"] and row["people"] == by_state[row["state"]]["people"]
    with (place / "visits_by_state.csv").open(newline="") as file:
        listed = list(csv.DictReader(file))
    assert [row["state"] for row in listed] == [row["state"] for row in stated["rows"]]
    assert json.loads(listed[0]["numbers"] or "null") == stated["rows"][0]["numbers"]
    assert {oct(file.stat().st_mode & 0o777) for file in place.iterdir()} == {"0o600"}


def test_results_that_are_missing_are_written_without_asking_again(lake: Lake) -> None:
    run(lake)
    place = Path(lake.location.staging, "results", "visits_by_state", "visits_by_state.csv")
    place.unlink()
    report = run(lake)
    assert report.unchanged and place.exists()


def test_a_table_of_nothing_is_an_empty_table(tmp_path: Path, lake: Lake) -> None:
    empty = Lake(LakeLocation.under(tmp_path / "other"), tables=lake.tables)
    report = run(empty)
    assert report.published and report.rows == 0 and report.inputs == {"visits": None}
    place = Path(empty.location.staging, "results", "visits_by_state")
    assert json.loads((place / "visits_by_state.json").read_text())["rows"] == []
    assert (place / "visits_by_state.csv").read_text().startswith("state,visits")


def test_an_answer_of_other_types_than_the_header_says_is_refused(lake: Lake) -> None:
    columns = tuple(replace(c, type=pa.date32()) if c.name == "visits" else c for c in BY_STATE.columns)
    with pytest.raises(ConfigurationError, match="visits_by_state: column visits is BIGINT"):
        run(lake, replace(BY_STATE, columns=columns))


def test_an_engine_that_is_not_there_is_named(lake: Lake) -> None:
    with pytest.raises(ConfigurationError, match="'athena' here"):
        run(lake, engine="athena")


def test_a_new_column_of_the_header_is_one_of_the_table(lake: Lake) -> None:
    run(lake, TEXTS)
    wider = visits.FILES["visit_texts"].replace("-- column code", "-- column more bigint: one\n-- column code")
    made = parse(wider.replace("    lower(to_hex", "    1 as more,\n    lower(to_hex").lstrip(), "x", visits.contract())
    tables = {**lake.tables, made.name: made.table_contract}
    assert run(Lake(lake.location, tables=tables), made).published
    assert set(Lake(lake.location, tables=tables).read("visit_texts")["more"].to_pylist()) == {1}


@pytest.mark.parametrize(
    ("size", "remote", "chosen"),
    [(0, False, "duckdb"), (10 * 2**30, True, "duckdb"), (10 * 2**30 + 1, False, "spark"), (2**40, True, "athena")],
)
def test_auto_goes_by_what_is_read(size: int, remote: bool, chosen: str) -> None:
    class Somewhere:
        class location:  # noqa: N801
            is_remote = remote

    assert choose("auto", size, Somewhere()) == chosen  # type: ignore[arg-type]
    assert choose("spark", size, Somewhere()) == "spark"  # type: ignore[arg-type]


def test_memory_is_bounded_by_the_limit_given(lake: Lake) -> None:
    fill(lake, 300, seed=3)
    report = run(lake, engines={"duckdb": lambda lake, question: with_duckdb(lake, question, "200MB")})
    assert report.published


@pytest.mark.spark
def test_spark_makes_the_same_table(lake: Lake) -> None:
    local_spark.start()
    run(lake)
    before = sorted(map(str, lake.read("visits_by_state").to_pylist()))
    report = run(lake, engine="spark", force=True)
    assert report.engine == "spark" and report.published
    assert sorted(map(str, lake.read("visits_by_state").to_pylist())) == before
