"""What Athena is asked about a lake: the query's own meaning is kept, and the tables mean what they mean here."""

import datetime as dt
from types import SimpleNamespace
from typing import cast

import pyarrow as pa
import pytest

from medpipe_assets.lake.lake import Lake
from medpipe_assets.lake.location import LakeLocation
from medpipe_assets.warehouse.athena_dialect import to_duckdb
from medpipe_assets.warehouse.athena_lake import over_lake
from medpipe_assets.warehouse.duckdb import DuckDBWarehouse
from medpipe_assets.warehouse.engine import QueryError
from medpipe_assets.warehouse.lake_tables import EVERYTHING, Scope, lake_warehouse
from medpipe_tests.aws_double.athena_tables import resolved
from medpipe_tests.unit.lake.builders import DAY, NEXT_DAY, document, put, receive, verdict_row
from medpipe_tests.unit.lake.test_sql import fill
from medpipe_tests.unit.warehouse.test_athena_dialect import QUERIES, VALUES

NO_TABLES = cast(Lake, SimpleNamespace(tables={}))


def in_words_of_duckdb(sql: str) -> str:
    """What is run here of a query; of one that needs types of tables, why not, less the place."""
    try:
        return to_duckdb(sql)
    except QueryError as error:
        return str(error).partition(" at line")[0]


@pytest.mark.parametrize("sql", [f"SELECT {value} AS v" for group in VALUES.values() for value, _ in group])
def test_an_expression_is_written_with_the_meaning_that_it_was_read_with(sql: str) -> None:
    assert in_words_of_duckdb(over_lake(sql, NO_TABLES)) == in_words_of_duckdb(sql)


@pytest.mark.parametrize("case", QUERIES)
def test_a_query_is_written_with_the_meaning_that_it_was_read_with(case: str) -> None:
    sql = QUERIES[case][0]
    assert in_words_of_duckdb(over_lake(sql, NO_TABLES)) == in_words_of_duckdb(sql)


def answered(lake: Lake, sql: str, scope: Scope = EVERYTHING) -> pa.Table:
    """The answer of an engine that sees the tables as stored, at the snapshots that it is told."""
    written, names = resolved(over_lake(sql, lake, scope), "")

    def stored(word: str) -> pa.Table:
        name = names[word]
        assert name.database == lake.location.database
        rows = lake.read(name.table)
        return rows.slice(0, 0) if name.snapshot is None else lake.read(name.table, snapshot_id=name.snapshot)

    return DuckDBWarehouse(stored, threads=1).query(written)


@pytest.fixture(scope="module")
def lake(tmp_path_factory: pytest.TempPathFactory) -> Lake:
    made = Lake(LakeLocation.under(tmp_path_factory.mktemp("lake")))
    fill(made)
    receive(made, [document(0), document(1)])
    tomorrow = {"document_id": document("t"), "ingest_date": NEXT_DAY}
    receive(made, [document("t")], NEXT_DAY)
    put(made, "pages", {**tomorrow, "text": "tomorrow"})
    put(made, "stage_status", verdict_row(stage="extracted_text", **tomorrow))
    return made


QUESTIONS = [
    "select text from pages order by text",
    "select p.text, s.outcome from pages p join stage_status_in_force s on s.document_id = p.document_id order by 1",
    "select count(*) as n from stage_status",
    "with long as (select document_id from pages where length(text) > 3) select count(*) as n from long",
    "select text from pages union select reason from stage_status_in_force order by 1",
    "select document_id, ingest_date from current_documents order by 1",
    "(select count(*) as n from words)",
    "select (select count(*) from pages) as n, exists (select 1 from segments) as e",
    "select count(*) as n from pages a, pages b where a.text in (select text from pages)",
]


@pytest.mark.parametrize("sql", QUESTIONS)
@pytest.mark.parametrize("days", [None, [DAY], [NEXT_DAY], [DAY, NEXT_DAY]])
def test_tables_mean_the_rows_in_force_of_the_days(lake: Lake, sql: str, days: list[dt.date] | None) -> None:
    scope = Scope(days=days)
    assert answered(lake, sql, scope).equals(lake_warehouse(lake, scope).query(sql))


def test_tables_are_as_they_were(lake: Lake) -> None:
    last = lake.table("pages").history()[-1].timestamp_ms
    for moment, texts in ((last - 1, ["kept", "new"]), (last, ["kept", "new", "tomorrow"]), (1, [])):
        scope = Scope(dt.datetime.fromtimestamp(moment / 1000, dt.UTC))
        sql = "select distinct text from pages where document_id is not null order by 1"
        verdicts = Scope(scope.as_of, pinned={"stage_status": lake.snapshot_id("stage_status")})
        assert answered(lake, sql, verdicts)["text"].to_pylist() == texts
        assert answered(lake, sql, scope).equals(lake_warehouse(lake, scope).query(sql))


def test_a_table_that_the_lake_has_not_is_left_to_athena() -> None:
    assert over_lake("select a from facilities", NO_TABLES) == 'SELECT "a" FROM "facilities"'


@pytest.mark.parametrize(
    ("sql", "told"),
    [
        ("with pages as (select 1 as a) select a from pages", "WITH pages: the lake has a table of this name"),
        ('select * from "medpipe"."pages"', "a database name is not supported here"),
        ("select * from pages for version as of 1", "version is not supported here"),
        ("values ((select count(*) from pages))", "begin with SELECT"),
        ("drop table pages", "only one SELECT"),
        ("select 1 as a; select 2 as b", "only one SELECT"),
    ],
)
def test_what_would_mean_something_else_is_refused(lake: Lake, sql: str, told: str) -> None:
    with pytest.raises(QueryError, match=told):
        over_lake(sql, lake)
