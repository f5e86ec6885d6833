"""Athena's SQL on Spark: the hand-made truths that DuckDB is held to, and the traps that are Spark's own."""

import datetime as dt
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from medpipe_assets.errors import ConfigurationError
from medpipe_assets.warehouse import spark
from medpipe_assets.warehouse.duckdb import DuckDBWarehouse
from medpipe_assets.warehouse.engine import ParquetFiles, QueryError
from medpipe_assets.warehouse.spark import SparkWarehouse
from medpipe_assets.warehouse.spark_dialect import to_spark
from medpipe_tests import local_spark
from medpipe_tests.unit.warehouse.conftest import NOTES
from medpipe_tests.unit.warehouse.test_athena_dialect import QUERIES, REFUSED_AT_RUN_TIME, VALUES, months_between

Ask = Callable[[str], list[tuple[Any, ...]]]
SCHEMAS = {"notes": NOTES.schema}
REFUSED = frozenset(
    {
        *("7 / 2.0", "1 / 3.0", "2 / 3.0", "-2 / 3.0", "100.0 * 1 / 3", "CAST(1 AS decimal(10, 4)) / 3"),
        *("CAST(100.0 / 3 AS decimal(5, 2))", "try(ARRAY[1][5])", "width_bucket(5.0, 0, 10, 5)"),
        "date(timestamp '2026-01-01 02:00:00 UTC' AT TIME ZONE 'America/New_York')",
        "hour(timestamp '2026-01-01 02:00:00 UTC' AT TIME ZONE 'America/New_York')",
        "from_iso8601_timestamp('2026-01-01T10:00:00+02:00')",
        "date_parse('05/11/2026 13:04:09', '%d/%m/%Y %H:%i:%s')",
        "format_datetime(timestamp '2026-03-05 13:04:09', 'yyyy-MM-dd''T''HH:mm:ss.SSS')",
        "format_datetime(timestamp '2026-03-05 13:04:09', 'd MMM yy, EEEE h a')",
        "parse_datetime('2026-03-05 13:04', 'yyyy-MM-dd HH:mm')",
        "an aggregate divided stays what it is",
        "an aggregate of a named query keeps its scale",
        "a decimal column keeps its scale",
        "JSON keys know upper and lower case",
        "json_extract_scalar of what is no scalar, or no JSON, is null",
        "JSON becomes arrays and text",
        "aggregates",
        "aggregates of nothing",
        "map_agg keeps one value a key and no null key",
    }
)
"""Of the truths, those whose meaning Spark does not have: refused, never answered otherwise."""

MORE: dict[str, tuple[str, Any]] = {
    "integers are divided as integers": ("sum(n) / count(*)", 2),
    "a double divided by nothing is infinite": ("max(score) / 0", float("inf")),
    "nothing divided by nothing is null where it is tried": ("try(sum(n) / 0)", None),
    "array_agg of no rows is null": ("array_agg(n) FILTER (WHERE n > 99)", None),
    "array_agg keeps nulls and their order": ("array_agg(small ORDER BY n DESC)", [5, None, 3]),
    "array_agg orders by several things": ("array_agg(id ORDER BY n > 1 DESC, id DESC)", ["c", "b", "a"]),
    "listagg skips nulls": ("listagg(CAST(small AS varchar), '+') WITHIN GROUP (ORDER BY n)", "3+5"),
    "a double rounds as doubles do": ("round(max(score) - 1.495e0, 2)", 1.0),
    "a large double has no fraction to cut off": ("floor(max(score) * 1e300)", 2.5e300),
    "a cast to an integer rounds": ("CAST(min(score) AS bigint)", 2),
    "blanks around digits are no integer": ("try_cast(min(' 12') AS bigint)", None),
    "a year is no date": ("try_cast(min('2026') AS date)", None),
    "a day with a time is no date": ("try_cast(min('2026-01-05T00:00:00') AS date)", None),
    "yes is no boolean": ("try_cast(min('yes') AS boolean)", None),
    "a letter becomes one letter": ("upper(min('straße'))", "STRAßE"),
    "a last sigma is a sigma": ("lower(min('ΟΔΟΣ'))", "οδοσ"),
    "trim takes every whitespace": ("trim(min('\u2003\t a b\u00a0\n'))", "a b\u00a0"),
    "a part that is not there is null": ("split_part(min('a.b'), '.', 3)", None),
    "a delimiter is no pattern": ("split_part(min('a.b'), '.', 2)", "b"),
    "a backslash in LIKE is itself": ("min('a\\b') LIKE 'a\\_'", True),
    "counting what is never known gives nothing": ("count_if(small > n * NULL)", 0),
    "a capital i with a dot becomes one letter": ("lower(min('İ'))", "i"),
    "the greatest of a null is null": ("greatest(min(n), NULL)", None),
    "the largest element beside a null is null": ("array_max(array_agg(small))", None),
    "flatten passes over null arrays": ("cardinality(flatten(array_agg(numbers)))", 5),
    "the 31st and the last of February are a month apart": (
        "date_diff('month', DATE '2026-01-31', max(day))",
        1,
    ),
    "a row is cast part by part": (
        "CAST(ROW(min('12'), max(n)) AS ROW(a bigint, b varchar))",
        {"a": 12, "b": "4"},
    ),
    "no array is an empty one": ("coalesce(max(NULL), CAST(ARRAY[] AS array(bigint)))", []),
}

UNNESTED: dict[str, tuple[str, list[tuple[Any, ...]]]] = {
    "a left join keeps rows without elements, and ordinality counts from 1": (
        "SELECT id, x, o FROM notes LEFT JOIN UNNEST(numbers) WITH ORDINALITY AS u(x, o) ON TRUE ORDER BY id, o",
        [("a", 1, 1), ("a", 2, 2), ("a", 3, 3), ("b", 4, 1), ("b", None, 2), ("c", None, None)],
    ),
    "an array of rows gives a column a field, in a left join too": (
        "SELECT id, s, c FROM notes LEFT JOIN UNNEST(codes) AS u(s, c) ON TRUE ORDER BY id, s",
        [("a", "icd10", "E11.9"), ("a", "snomed", "44054006"), ("b", None, None), ("c", None, None)],
    ),
    "a range of days goes by days": (
        "SELECT id, count(*) OVER (ORDER BY day RANGE BETWEEN INTERVAL '28' DAY PRECEDING AND CURRENT ROW), 0 "
        "FROM notes WHERE day IS NOT NULL ORDER BY id",
        [("a", 1, 0), ("b", 2, 0)],
    ),
    "a null array beside another gives nulls": (
        "SELECT id, x, y, o FROM notes CROSS JOIN UNNEST(numbers, ARRAY['p']) WITH ORDINALITY AS u(x, y, o) "
        "WHERE id <> 'a' ORDER BY id, o",
        [("b", 4, "p", 1), ("b", None, None, 2), ("c", None, "p", 1)],
    ),
}


@pytest.fixture(scope="module")
def warehouse() -> SparkWarehouse:
    local_spark.start()
    return SparkWarehouse({"notes": NOTES}.get, names=lambda: ["notes"])


@pytest.fixture(scope="module")
def ask(warehouse: SparkWarehouse) -> Ask:
    def rows(sql: str) -> list[tuple[Any, ...]]:
        table = warehouse.query(sql)
        return list(zip(*[column.to_pylist() for column in table.columns], strict=True))

    return rows


def in_utc(value: Any) -> Any:
    """A value with its times as instants: on Spark all are."""
    if isinstance(value, dt.datetime) and value.tzinfo is None:
        return value.replace(tzinfo=dt.UTC)
    return list(map(in_utc, value)) if isinstance(value, list | tuple) else value


@pytest.mark.spark
def test_expressions_mean_what_they_mean_in_athena(ask: Ask) -> None:
    truths = {e: truth for group in VALUES.values() for e, truth in group if e not in REFUSED}
    [row] = ask("SELECT " + ", ".join(truths))
    answers = dict(zip(truths, row, strict=True))
    assert {e: in_utc(v) for e, v in answers.items()} == {e: in_utc(v) for e, v in truths.items()}
    assert [type(v) for v in answers.values()] == [type(v) for v in truths.values()]


@pytest.mark.spark
def test_what_is_a_trap_on_spark_means_what_it_means_in_athena(ask: Ask) -> None:
    truths = {name: truth for name, (_, truth) in MORE.items()}
    sql = "SELECT " + ", ".join(expression for expression, _ in MORE.values()) + " FROM notes"
    [row] = ask(sql)
    assert dict(zip(MORE, row, strict=True)) == truths
    [local] = DuckDBWarehouse({"notes": NOTES}.get).query(sql).to_pylist()
    assert dict(zip(MORE, local.values(), strict=True)) == truths


@pytest.mark.spark
@pytest.mark.parametrize("case", [name for name in QUERIES if name not in REFUSED])
def test_queries_answer_as_athena_would(ask: Ask, case: str) -> None:
    sql, truth = QUERIES[case]
    assert in_utc(ask(sql)) == in_utc(truth)


@pytest.mark.spark
@pytest.mark.parametrize("case", UNNESTED)
def test_unnest_loses_no_row(ask: Ask, case: str) -> None:
    sql, truth = UNNESTED[case]
    assert ask(sql) == truth


@pytest.mark.spark
@pytest.mark.parametrize("sql", [sql for sql in REFUSED_AT_RUN_TIME if "1.0 /" not in sql])
def test_what_fails_in_athena_fails_on_spark_and_quotes_no_value(ask: Ask, sql: str) -> None:
    with pytest.raises(QueryError) as caught:
        ask(sql)
    assert "1.5" not in str(caught.value) and '"A"' not in str(caught.value)


@pytest.mark.spark
def test_complete_months_are_counted_as_athena_counts_them() -> None:
    local_spark.start()
    first = dt.date(2027, 12, 27)
    days = [first + dt.timedelta(n) for n in range(70)] + [dt.date(2028, 2, 29) + dt.timedelta(365 * n) for n in (1, 4)]
    pairs = [(a, b) for a in days[::3] for b in days]
    table = pa.table({"i": range(len(pairs)), "a": [a for a, _ in pairs], "b": [b for _, b in pairs]})
    units = ", ".join(f"date_diff('{unit}', a, b) AS {unit}s" for unit in ("month", "year", "day"))
    got = SparkWarehouse({"t": table}.get).query(f"SELECT {units} FROM t ORDER BY i")
    months = [months_between(a, b) for a, b in pairs]
    assert got["months"].to_pylist() == months
    assert got["years"].to_pylist() == [int(m / 12) for m in months]
    assert got["days"].to_pylist() == [(b - a).days for a, b in pairs]


@pytest.mark.parametrize("refused", sorted(REFUSED))
def test_what_spark_would_answer_otherwise_is_refused(refused: str) -> None:
    with pytest.raises(QueryError):
        to_spark(QUERIES[refused][0] if refused in QUERIES else f"SELECT {refused}", SCHEMAS)


@pytest.mark.parametrize(
    ("sql", "said"),
    [
        ("SELECT foo(1)", "function foo is not supported on Spark at line 1"),
        ("SELECT approx_distinct(id) FROM notes", "approx_distinct"),
        ("SELECT CAST(x AS bigint) FROM (SELECT json_parse(json) AS x FROM notes) AS j", "json_parse"),
        ("SELECT x / 2 FROM unknown", "type of the dividend"),
        ("SELECT CAST(score AS varchar) FROM notes", "cast to decimal"),
        ("SELECT day - day FROM notes", "date_diff"),
        ("SELECT day + 1 FROM notes", "date_add"),
        ("SELECT id LIKE id FROM notes", "ESCAPE"),
        ("SELECT try(CAST(id AS bigint) / (n / 2)) FROM notes", "try"),
        ("SELECT n FROM notes WHERE n = ANY (SELECT 1)", "Any"),
        ("SELECT id = 1 FROM notes", "text is compared with a number"),
    ],
)
def test_a_refusal_names_the_place_or_a_way_out(sql: str, said: str) -> None:
    with pytest.raises(QueryError) as caught:
        to_spark(sql, SCHEMAS)
    assert said in str(caught.value)


@pytest.mark.spark
def test_files_hold_one_partition_each_and_the_column_too(tmp_path: Path) -> None:
    local_spark.start()
    source = tmp_path / "t.parquet"
    states = [None, "CA", "a/b c%=é", "CA", ""]
    pq.write_table(pa.table({"n": [1, 2, 3, 4, 5], "state": states}), source)
    schema = pa.schema([("n", pa.int64()), ("state", pa.string()), ("late", pa.date32())])
    table = ParquetFiles([str(source)], schema)
    files = SparkWarehouse({"t": table}.get).write("SELECT n, state, late FROM t", tmp_path / "out", schema, ["state"])
    found = [pq.read_table(file, partitioning=None) for file in files]
    assert [rows.schema.remove_metadata().types for rows in found] == [schema.types] * len(found)
    assert all(len(set(rows["state"].to_pylist())) == 1 for rows in found)
    assert sorted(n for rows in found for n in rows["n"].to_pylist()) == [1, 2, 3, 4, 5]
    assert {pq.ParquetFile(file).metadata.row_group(0).column(0).compression for file in files} == {"SNAPPY"}


@pytest.mark.spark
@pytest.mark.parametrize(
    ("sql", "said"), [("SELECT id FROM notes", "is said to give n"), ("SELECT score AS n FROM notes", "double")]
)
def test_an_answer_of_other_columns_is_refused(warehouse: SparkWarehouse, tmp_path: Path, sql: str, said: str) -> None:
    with pytest.raises(QueryError, match=said):
        warehouse.write(sql, tmp_path, pa.schema([("n", pa.int64())]))


def test_without_java_the_next_step_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("pyspark")
    monkeypatch.setattr("pyspark.sql.SparkSession.getActiveSession", lambda: None)
    monkeypatch.setenv("PATH", "/nonexistent")
    monkeypatch.delenv("JAVA_HOME", raising=False)
    with pytest.raises(ConfigurationError, match="Java 17"):
        spark.local_session()


def test_without_pyspark_the_next_step_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pyspark.sql", None)
    with pytest.raises(ConfigurationError, match=r"pip install 'medpipe\[spark\]'"):
        spark.local_session()
