"""Athena's meaning against truth written by hand from Trino's documentation, never against DuckDB's opinion."""

import datetime as dt
from collections.abc import Callable
from decimal import Decimal
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from medpipe_assets.warehouse.athena_dialect import to_duckdb
from medpipe_assets.warehouse.duckdb import DuckDBWarehouse
from medpipe_assets.warehouse.engine import QueryError

Ask = Callable[[str], list[tuple[Any, ...]]]

UTC = dt.UTC
VALUES: dict[str, list[tuple[str, Any]]] = {
    "division": [
        ("7 / 2", 3),
        ("-7 / 2", -3),
        ("7 / -2", -3),
        ("-7 % 3", -1),
        ("7 / 2e0", 3.5),
        ("1e0 / 0", float("inf")),
        ("7 / 2.0", Decimal("3.5")),
        ("1 / 3.0", Decimal("0.3")),  # a decimal keeps the larger scale of the two
        ("2 / 3.0", Decimal("0.7")),
        ("-2 / 3.0", Decimal("-0.7")),
        ("100.0 * 1 / 3", Decimal("33.3")),
        ("CAST(1 AS decimal(10, 4)) / 3", Decimal("0.3333")),
        ("1 / nullif(0, 0)", None),
        ("try(1 / 0)", None),
        ("mod(7, 3)", 1),
        ("ceil(7) / 2", 3),
    ],
    "casts": [
        ("CAST('12' AS integer)", 12),
        ("CAST('-12' AS bigint)", -12),
        ("try_cast('1.5' AS integer)", None),
        ("try_cast('12x' AS bigint)", None),
        ("try_cast(' 1' AS bigint)", None),
        ("try_cast('99999999999' AS integer)", None),
        ("try_cast('1.5' AS double)", 1.5),
        ("CAST(2.5 AS integer)", 3),
        ("CAST(2.5e0 AS integer)", 3),
        ("CAST(-2.5e0 AS integer)", -3),
        ("CAST('2026-01-05' AS date)", dt.date(2026, 1, 5)),
        ("try_cast('2026-01-05 10:00:00' AS date)", None),
        ("try_cast('2026-02-30' AS date)", None),
        ("try_cast('05/01/2026' AS date)", None),
        ("CAST('2026-01-05 10:00:00.5' AS timestamp)", dt.datetime(2026, 1, 5, 10, 0, 0, 500000)),
        ("try_cast('2026-01-05T10:00:00' AS timestamp)", None),
        ("CAST('T' AS boolean)", True),
        ("try_cast('yes' AS boolean)", None),
        ("CAST(12 AS varchar)", "12"),
        ("CAST(1.50 AS varchar)", "1.50"),
        ("CAST(true AS varchar)", "true"),
        ("CAST('abcdef' AS varchar(3))", "abc"),
        ("CAST(date '2026-01-05' AS varchar)", "2026-01-05"),
        ("CAST(100.0 / 3 AS decimal(5, 2))", Decimal("33.30")),
        ("CAST('1.55' AS decimal(3, 1))", Decimal("1.6")),
        ("CAST(ROW('a', 1) AS ROW(x varchar, y integer)).y", 1),
    ],
    "dates": [
        ("date '2026-01-31' + interval '1' month", dt.date(2026, 2, 28)),
        ("date '2026-03-01' - interval '1' day", dt.date(2026, 2, 28)),
        ("interval '2' day + date '2026-02-28'", dt.date(2026, 3, 2)),
        ("timestamp '2026-01-01 22:00:00' + interval '3' hour", dt.datetime(2026, 1, 2, 1)),
        ("date_add('month', 1, date '2026-01-31')", dt.date(2026, 2, 28)),
        ("date_add('week', -1, date '2026-01-08')", dt.date(2026, 1, 1)),
        ("date_add('quarter', 1, date '2026-01-31')", dt.date(2026, 4, 30)),
        ("date_add('hour', 3, timestamp '2026-01-01 22:00:00')", dt.datetime(2026, 1, 2, 1)),
        ("date_diff('day', date '2026-01-01', date '2026-02-01')", 31),
        ("date_diff('year', date '1960-12-31', date '2026-12-30')", 65),
        ("date_diff('year', date '1960-12-31', date '2026-12-31')", 66),
        ("date_diff('month', date '2026-01-31', date '2026-02-28')", 1),
        ("date_diff('month', date '2026-02-28', date '2026-01-31')", -1),
        ("date_diff('day', timestamp '2026-01-01 12:00:00', timestamp '2026-01-02 11:59:59')", 0),
        ("date_diff('hour', timestamp '2026-01-01 00:59:59', timestamp '2026-01-01 01:00:00')", 0),
        ("date_diff('second', timestamp '2026-01-01 00:00:05', timestamp '2026-01-01 00:00:00')", -5),
        ("date_diff('week', date '2026-01-01', date '2026-01-14')", 1),
        ("date_trunc('month', date '2026-05-17')", dt.date(2026, 5, 1)),
        ("date_trunc('week', date '2026-01-04')", dt.date(2025, 12, 29)),
        ("date_trunc('hour', timestamp '2026-05-17 13:45:00')", dt.datetime(2026, 5, 17, 13)),
        ("day_of_week(date '2026-01-04')", 7),
        ("week(date '2026-01-01')", 1),
        ("year_of_week(date '2027-01-01')", 2026),
        ("extract(quarter FROM date '2026-05-01')", 2),
        ("millisecond(timestamp '2026-01-01 00:00:05.123')", 123),
        ("last_day_of_month(date '2028-02-03')", dt.date(2028, 2, 29)),
        ("date(timestamp '2026-01-01 02:00:00 UTC' AT TIME ZONE 'America/New_York')", dt.date(2025, 12, 31)),
        ("hour(timestamp '2026-01-01 02:00:00 UTC' AT TIME ZONE 'America/New_York')", 21),
        ("timestamp '2026-01-01 02:00:00 America/New_York'", dt.datetime(2026, 1, 1, 7, tzinfo=UTC)),
        ("from_iso8601_timestamp('2026-01-01T10:00:00+02:00')", dt.datetime(2026, 1, 1, 8, tzinfo=UTC)),
        ("from_iso8601_date('2026-01-01')", dt.date(2026, 1, 1)),
        ("to_unixtime(timestamp '2026-01-01 00:00:00 UTC')", 1767225600.0),
        ("from_unixtime(0)", dt.datetime(1970, 1, 1, tzinfo=UTC)),
    ],
    "date patterns": [
        ("date_format(timestamp '2026-03-05 13:04:09', '%Y%m%d %H:%i:%s')", "20260305 13:04:09"),
        (
            "date_format(timestamp '2026-03-05 13:04:09', '%e.%c.%y %h %p %W %b %M %T')",
            "5.3.26 01 PM Thursday Mar March 13:04:09",
        ),
        ("date_format(date '2026-03-05', '100%% %j')", "100% 064"),
        ("date_parse('05/11/2026 13:04:09', '%d/%m/%Y %H:%i:%s')", dt.datetime(2026, 11, 5, 13, 4, 9)),
        ("format_datetime(timestamp '2026-03-05 13:04:09', 'yyyy-MM-dd''T''HH:mm:ss.SSS')", "2026-03-05T13:04:09.000"),
        ("format_datetime(timestamp '2026-03-05 13:04:09', 'd MMM yy, EEEE h a')", "5 Mar 26, Thursday 1 PM"),
        ("parse_datetime('2026-03-05 13:04', 'yyyy-MM-dd HH:mm')", dt.datetime(2026, 3, 5, 13, 4, tzinfo=UTC)),
    ],
    "nulls": [
        ("greatest(1, NULL, 3)", None),
        ("greatest(1, 2, 3)", 3),
        ("least(1, NULL)", None),
        ("concat('a', NULL)", None),
        ("'a' || NULL", None),
        ("concat('a', 'b', 'c')", "abc"),
        ("concat_ws('-', 'a', NULL, 'b')", "a-b"),
        ("NULL IS DISTINCT FROM 1", True),
        ("contains(ARRAY[1, NULL], 2)", None),
        ("contains(ARRAY[1, 3], 2)", False),
        ("array_max(ARRAY[1, NULL])", None),
        ("array_position(ARRAY[1], 5)", 0),
        ("any_match(ARRAY[1, NULL], x -> x > 1)", None),
        ("any_match(ARRAY[2, NULL], x -> x > 1)", True),
        ("all_match(ARRAY[0, NULL], x -> x > 1)", False),
        ("all_match(ARRAY[2, NULL], x -> x > 1)", None),
        ("none_match(ARRAY[1, 2], x -> x > 5)", True),
    ],
    "arrays and maps": [
        ("ARRAY[10, 20][1]", 10),
        ("element_at(ARRAY[10, 20], 3)", None),
        ("element_at(ARRAY[10, 20], -1)", 20),
        ("element_at(MAP(ARRAY['a'], ARRAY[1]), 'z')", None),
        ("MAP(ARRAY['a'], ARRAY[1])['a']", 1),
        ("cardinality(ARRAY[1, NULL])", 2),
        ("cardinality(MAP(ARRAY['a'], ARRAY[1]))", 1),
        ("transform(ARRAY[1, 2], x -> x * 10)", [10, 20]),
        ("filter(ARRAY[1, 5, NULL], x -> x > 2)", [5]),
        ("reduce(ARRAY[1, 2, 3], 0, (s, x) -> s + x, s -> s)", 6),
        ("reduce(ARRAY[1, 2, 3], 0, (s, x) -> s + x, s -> s * 10)", 60),
        ("sequence(1, 4)", [1, 2, 3, 4]),
        ("sequence(3, 1)", [3, 2, 1]),
        ("sequence(1, 6, 2)", [1, 3, 5]),
        (
            "sequence(date '2026-01-30', date '2026-02-01')",
            [dt.date(2026, 1, 30), dt.date(2026, 1, 31), dt.date(2026, 2, 1)],
        ),
        (
            "sequence(date '2026-01-01', date '2026-03-01', interval '1' month)",
            [dt.date(2026, m, 1) for m in (1, 2, 3)],
        ),
        ("array_join(ARRAY['a', NULL, 'b'], '|')", "a|b"),
        ("array_join(ARRAY['a', NULL], '|', '?')", "a|?"),
        ("array_sort(ARRAY[3, NULL, 1])", [1, 3, None]),
        ("array_distinct(ARRAY[1, 1, NULL, NULL])", [1, None]),
        ("slice(ARRAY[1, 2, 3, 4], 2, 2)", [2, 3]),
        ("slice(ARRAY[1, 2, 3, 4], -2, 2)", [3, 4]),
        ("flatten(ARRAY[ARRAY[1], ARRAY[2, 3]])", [1, 2, 3]),
        ("reverse(ARRAY[1, 2])", [2, 1]),
        ("repeat('x', 3)", ["x", "x", "x"]),
        ("ARRAY[1] || ARRAY[2]", [1, 2]),
        ("try(ARRAY[1][5])", None),
    ],
    "text": [
        ("split_part('a-b-c', '-', 3)", "c"),
        ("split_part('a-b', '-', 5)", None),
        ("split('a,b', ',')[2]", "b"),
        ("strpos('abc', 'c')", 3),
        ("strpos('abc', 'z')", 0),
        ("position('b' IN 'abc')", 2),
        ("substr('abc', 0)", ""),
        ("substr('abc', -2)", "bc"),
        ("substr('abc', -5)", ""),
        ("substring('abcdef' FROM 2 FOR 3)", "bcd"),
        ("length('ñandú')", 5),
        ("lpad('7', 3, '0')", "007"),
        ("lpad('1234', 3, '0')", "123"),
        ("trim(LEADING 'x' FROM 'xax')", "ax"),
        ("reverse('abc')", "cba"),
        ("replace('banana', 'an')", "ba"),
        ("to_hex(md5(to_utf8('a')))", "0CC175B9C0F1B6A831C399E269772661"),
        ("regexp_like('code E11.9', '[A-Z]\\d')", True),
        ("regexp_extract('code E11.9', '([A-Z]\\d{2})\\.(\\d)', 2)", "9"),
        ("regexp_extract('none', '\\d+')", None),
        ("regexp_extract('E11', '([A-Z]\\d\\d)(\\.\\d)?', 2)", None),
        ("regexp_replace('a1b2', '\\d')", "ab"),
        ("regexp_replace('a1b2', '(\\d)', '<$1>')", "a<1>b<2>"),
        ("regexp_replace('a1', '1', '\\$5')", "a$5"),
        ("'a_b' LIKE 'a!_b' ESCAPE '!'", True),
        ("'A' LIKE 'a'", False),
    ],
    "numbers": [
        ("round(2.5)", Decimal(3)),
        ("round(-2.5e0)", -3.0),
        ("round(1234.567, 1)", Decimal("1234.6")),
        ("ceil(1.2)", Decimal(2)),
        ("floor(-1.2e0)", -2.0),
        ("truncate(-1.7e0)", -1.0),
        ("power(2, 10)", 1024.0),
        ("width_bucket(5.0, 0, 10, 5)", 3),
    ],
}


@pytest.mark.parametrize("group", VALUES)
def test_expressions_mean_what_they_mean_in_athena(ask: Ask, group: str) -> None:
    expressions = [expression for expression, _ in VALUES[group]]
    [row] = ask("SELECT " + ", ".join(expressions))
    assert dict(zip(expressions, row, strict=True)) == dict(VALUES[group])
    assert [type(v) for v in row] == [type(v) for _, v in VALUES[group]]


QUERIES: dict[str, tuple[str, list[tuple[Any, ...]]]] = {
    "an aggregate divided stays what it is": (
        "SELECT sum(n) / count(*), avg(n) / 2, 100.0 * sum(n) / count(*), max(day) - interval '1' day FROM notes",
        [(2, 7 / 6, Decimal("233.3"), dt.date(2026, 2, 27))],
    ),
    "an aggregate of a named query keeps its scale": (
        "WITH c AS (SELECT id, sum(n) AS k FROM notes GROUP BY id) "
        "SELECT id, 100.0 * k / (SELECT sum(k) FROM c) FROM c ORDER BY 1",
        [("a", Decimal("14.3")), ("b", Decimal("28.6")), ("c", Decimal("57.1"))],
    ),
    "a quotient can be grouped, filtered and ordered by": (
        "SELECT id, sum(n) / 2 FROM notes GROUP BY id HAVING sum(n) / 2 > 0 ORDER BY sum(n) / 2 DESC",
        [("c", 2), ("b", 1)],
    ),
    "try around an aggregate": ("SELECT try(sum(n) / 0), try(sum(n) / 2) FROM notes", [(None, 3)]),
    "a decimal column keeps its scale": ("SELECT price / 3 FROM notes WHERE id = 'a'", [(Decimal("0.33"),)]),
    "a window function in arithmetic": (
        "SELECT n, n - lag(n) OVER (ORDER BY n), sum(n) OVER (ORDER BY n) / 2 FROM notes ORDER BY n",
        [(1, None, 0), (2, 1, 1), (4, 2, 3)],
    ),
    "nulls are last, ascending": ("SELECT small FROM notes ORDER BY small", [(3,), (5,), (None,)]),
    "nulls are last, descending": ("SELECT small FROM notes ORDER BY small DESC", [(5,), (3,), (None,)]),
    "nulls first where it says so": ("SELECT small FROM notes ORDER BY small NULLS FIRST LIMIT 1", [(None,)]),
    "nulls are last in a window and in array_agg": (
        "SELECT array_agg(small ORDER BY small DESC), array_agg(r ORDER BY r) FROM "
        "(SELECT small, row_number() OVER (ORDER BY small DESC) * coalesce(small, 100) AS r FROM notes) AS x",
        [([5, 3, None], [5, 6, 300])],
    ),
    "an array of rows gives a column a field": (
        "SELECT c.system, c.code FROM notes CROSS JOIN UNNEST(codes) AS c(system, code) ORDER BY 1",
        [("icd10", "E11.9"), ("snomed", "44054006")],
    ),
    "columns of UNNEST can be renamed": (
        "SELECT y FROM notes CROSS JOIN UNNEST(codes) AS c(x, y) WHERE x = 'icd10'",
        [("E11.9",)],
    ),
    "ordinality counts from one": (
        "SELECT id, x, o FROM notes CROSS JOIN UNNEST(numbers) WITH ORDINALITY AS u(x, o) ORDER BY id, o",
        [("a", 1, 1), ("a", 2, 2), ("a", 3, 3), ("b", 4, 1), ("b", None, 2)],
    ),
    "a left join keeps rows without elements": (
        "SELECT id, count(x) FROM notes LEFT JOIN UNNEST(numbers) AS u(x) ON TRUE GROUP BY id ORDER BY id",
        [("a", 3), ("b", 1), ("c", 0)],
    ),
    "the shorter array ends in nulls": (
        "SELECT x, y FROM UNNEST(ARRAY[1, 2], ARRAY['p']) AS u(x, y) ORDER BY x",
        [(1, "p"), (2, None)],
    ),
    "a map gives keys and values": (
        "SELECT id, k, v FROM notes CROSS JOIN UNNEST(tags) AS u(k, v)",
        [("a", "k", 1)],
    ),
    "an unnested value can be unnested on": (
        "SELECT c, i FROM notes CROSS JOIN UNNEST(codes) AS u(s, c) CROSS JOIN UNNEST(sequence(1, n + 1)) AS v(i) "
        "WHERE s = 'icd10' ORDER BY i",
        [("E11.9", 1), ("E11.9", 2)],
    ),
    "fields and elements of a column": (
        "SELECT codes[1].code, element_at(codes, 9).code, element_at(tags, 'none'), tags['k'] "
        "FROM notes WHERE id = 'a'",
        [("E11.9", None, None, 1)],
    ),
    "JSON keys know upper and lower case": (
        "SELECT json_extract_scalar(json, '$.A'), json_extract_scalar(json, '$.a.b[1]'), "
        "json_extract_scalar(json, '$[\"a\"].t'), json_extract_scalar(json, '$.B') FROM notes WHERE id = 'a'",
        [("1", "z", "true", None)],
    ),
    "json_extract_scalar of what is no scalar, or no JSON, is null": (
        "SELECT json_extract_scalar(json, '$.a'), json_extract_scalar(json, '$.a.x') FROM notes ORDER BY id",
        [(None, None), (None, None), (None, None)],
    ),
    "JSON becomes arrays and text": (
        "SELECT CAST(json_extract(json, '$.a.b') AS array(varchar)), json_format(json_extract(json, '$.a.b')), "
        "json_array_length(json_extract(json, '$.a.b')) FROM notes WHERE id = 'a'",
        [(["1", "z"], '[1,"z"]', 2)],
    ),
    "aggregates": (
        "SELECT count(small), count_if(n > 1), approx_distinct(id), max_by(id, n), min_by(score, n), "
        "array_agg(small ORDER BY id), bool_or(n > 3), count(*) FILTER (WHERE n > 1), "
        "listagg(id, ',') WITHIN GROUP (ORDER BY id DESC) "
        "FROM notes",
        [(2, 2, 3, "c", 1.5, [3, None, 5], True, 2, "c,b,a")],
    ),
    "max_by gives the null that belongs to the maximum": (
        "SELECT max_by(small, n), max_by(score, n) FROM notes",
        [(5, None)],
    ),
    "aggregates of nothing": (
        "SELECT count(*), sum(n), array_agg(n), map_agg(id, n) FROM notes WHERE n > 99",
        [(0, None, None, None)],
    ),
    "map_agg keeps one value a key and no null key": (
        "SELECT map_agg(k, 1), map_agg(id, n) FILTER (WHERE n < 2) "
        "FROM (SELECT id, n, nullif(id, 'c') AS k FROM notes) AS x",
        [([("a", 1), ("b", 1)], [("a", 1)])],
    ),
    "grouping sets": (
        "SELECT id, grouping(id), sum(n) FROM notes GROUP BY GROUPING SETS ((id), ()) ORDER BY id",
        [("a", 0, 1), ("b", 0, 2), ("c", 0, 4), (None, 1, 7)],
    ),
    "ignore nulls": (
        "SELECT id, lag(small) IGNORE NULLS OVER (ORDER BY id) FROM notes ORDER BY id",
        [("a", None), ("b", 3), ("c", 3)],
    ),
    "values": ("SELECT b FROM (VALUES (1, 'x'), (2, 'y')) AS v(a, b) WHERE a = 2", [("y",)]),
    "times": (
        "SELECT CAST(seen AS timestamp), CAST(seen AS date), date_add('day', 1, seen) FROM notes WHERE id = 'a'",
        [
            (
                dt.datetime(2026, 1, 1, 2, 0, 0, 2000),
                dt.date(2026, 1, 1),
                dt.datetime(2026, 1, 2, 2, 0, 0, 1500, tzinfo=UTC),
            )
        ],
    ),
}


@pytest.mark.parametrize("case", QUERIES)
def test_queries_answer_as_athena_would(ask: Ask, case: str) -> None:
    sql, truth = QUERIES[case]
    got = [tuple(sorted(v) if case.startswith("map_agg") and v else v for v in row) for row in ask(sql)]
    assert got == truth


REFUSED_AT_RUN_TIME = {
    "SELECT 1 / 0": "DIVISION_BY_ZERO",
    "SELECT n % (n - n) FROM notes": "DIVISION_BY_ZERO",
    "SELECT 1.0 / 0": "DIVISION_BY_ZERO",
    "SELECT CAST('1.5' AS integer)": "INVALID_CAST_ARGUMENT",
    "SELECT CAST(json AS bigint) FROM notes": "INVALID_CAST_ARGUMENT",
    "SELECT numbers[9] FROM notes": "INVALID_FUNCTION_ARGUMENT",
    "SELECT element_at(numbers, 0) FROM notes": "INVALID_FUNCTION_ARGUMENT",
    "SELECT tags['none'] FROM notes WHERE id = 'a'": "INVALID_FUNCTION_ARGUMENT",
    "SELECT sequence(1, 5, -1)": "INVALID_FUNCTION_ARGUMENT",
    "SELECT CAST(n * 200 AS tinyint) FROM notes": "NUMERIC_VALUE_OUT_OF_RANGE",
}

REFUSED_HERE = {
    "SELECT foo(1)": "function foo is not supported here at line 1, column 8",
    "SELECT n\nFROM notes\nWHERE bar(n)": "at line 3, column 7",
    "SELECT n FROM": "does not parse",
    "SELECT day > '2026-01-01' FROM notes": "DATE '",
    "SELECT id = 1 FROM notes": "text is compared with a number",
    "SELECT n IN ('1') FROM notes": "a number is compared with text",
    "SELECT u.c FROM notes CROSS JOIN UNNEST(codes) AS u(c)": "UNNEST gives 2 columns, but 1 are named",
    "SELECT CAST(score AS varchar) FROM notes": "cast to decimal",
    "SELECT try(CAST(score AS varchar)) FROM notes": "take it out of try",
    "SELECT day - day FROM notes": "date_diff",
    "SELECT avg(price) FROM notes": "avg of a decimal",
    "SELECT transform(numbers, x -> x * 1.0 / 3) FROM notes": "division of decimals",
    "SELECT seen AT TIME ZONE 'Europe/Madrid' FROM notes": "AT TIME ZONE",
    "SELECT date_format(day, '%D') FROM notes": "%D",
    "SELECT format_datetime(seen, 'yyyy ZZ') FROM notes": "ZZ",
    "SELECT json_extract(json, '$..a') FROM notes": "JSON path",
    "SELECT regexp_extract(id, '(a*)?', 1) FROM notes": "group 1",
    "SELECT * FROM notes TABLESAMPLE BERNOULLI (10)": "sample",
    "SELECT * FROM notes FOR TIMESTAMP AS OF timestamp '2026-01-01 00:00:00'": "not supported",
    "WITH RECURSIVE r AS (SELECT 1 AS x) SELECT * FROM r": "recursive",
    "SELECT * FROM other.notes": "database name",
    "SELECT DISTINCT ON (id) id FROM notes": "on is not supported",
}


@pytest.mark.parametrize("sql", REFUSED_AT_RUN_TIME)
def test_what_fails_in_athena_fails_here(ask: Ask, sql: str) -> None:
    with pytest.raises(QueryError, match=REFUSED_AT_RUN_TIME[sql]):
        ask(sql)


@pytest.mark.parametrize("sql", REFUSED_HERE)
def test_what_cannot_be_done_right_is_refused_with_its_place_or_a_way_out(ask: Ask, sql: str) -> None:
    with pytest.raises(QueryError) as caught:
        ask(sql)
    assert REFUSED_HERE[sql] in str(caught.value)


def test_unnamed_columns_are_named_by_their_position(warehouse: DuckDBWarehouse) -> None:
    names = warehouse.query("SELECT n, count(*), max(id) AS top, 1 FROM notes GROUP BY n").column_names
    assert names == ["n", "_col1", "top", "_col3"]


def test_results_have_types_that_athena_has(warehouse: DuckDBWarehouse) -> None:
    table = warehouse.query("SELECT sum(n), count(*), cardinality(array_agg(n)), array_agg(sum(n)) OVER () FROM notes")
    assert table.schema.types == [pa.int64(), pa.int64(), pa.int64(), pa.list_(pa.field("l", pa.int64()))]


def test_a_literal_date_stays_a_literal_so_that_files_can_be_skipped() -> None:
    assert "CAST('2026-01-01' AS DATE)" in to_duckdb("SELECT 1 FROM t WHERE d >= DATE '2026-01-01'")


WIDE = st.integers(-(2**63), 2**63 - 1)


@settings(max_examples=20, deadline=None)
@given(st.lists(st.tuples(WIDE, WIDE.filter(lambda b: b not in (0, -1))), min_size=1, max_size=200))
def test_integer_division_truncates_toward_zero(pairs: list[tuple[int, int]]) -> None:
    table = pa.table({"i": range(len(pairs)), "a": [a for a, _ in pairs], "b": [b for _, b in pairs]})
    got = DuckDBWarehouse(lambda _: table).query("SELECT a / b AS q, a % b AS r FROM t ORDER BY i")
    quotients = [abs(a) // abs(b) * (1 if (a < 0) == (b < 0) else -1) for a, b in pairs]
    assert got["q"].to_pylist() == quotients
    assert got["r"].to_pylist() == [a - b * q for (a, b), q in zip(pairs, quotients, strict=True)]


DAYS = st.dates(dt.date(1900, 1, 1), dt.date(2100, 12, 31))


def months_between(a: dt.date, b: dt.date) -> int:
    """Complete months, as Joda-Time counts them: the last day of a shorter month completes one."""
    if b < a:
        return -months_between(b, a)
    last = (b + dt.timedelta(1)).day == 1
    begun = a.day if not last else min(a.day, b.day)
    return (b.year - a.year) * 12 + b.month - a.month - (b.day < begun)


@settings(max_examples=20, deadline=None)
@given(st.lists(st.tuples(DAYS, DAYS), min_size=1, max_size=200))
def test_date_diff_counts_complete_units(pairs: list[tuple[dt.date, dt.date]]) -> None:
    table = pa.table({"i": range(len(pairs)), "a": [a for a, _ in pairs], "b": [b for _, b in pairs]})
    units = ("day", "week", "month", "quarter", "year")
    asked = ", ".join(f"date_diff('{u}', a, b) AS {u}s" for u in units)
    got = DuckDBWarehouse(lambda _: table).query(f"SELECT {asked} FROM t ORDER BY i").to_pylist()
    for (a, b), row in zip(pairs, got, strict=True):
        days, months = (b - a).days, months_between(a, b)
        assert row == {
            "days": days,
            "weeks": int(days / 7),
            "months": months,
            "quarters": int(months / 3),
            "years": int(months / 12),
        }


@settings(max_examples=15, deadline=None)
@given(
    st.lists(
        st.tuples(
            st.decimals(-(10**8), 10**8, places=2), st.decimals(-(10**4), 10**4, places=3).filter(lambda d: d != 0)
        ),
        min_size=1,
        max_size=100,
    )
)
def test_division_of_decimals_is_exact_and_rounds_half_up(pairs: list[tuple[Decimal, Decimal]]) -> None:
    from decimal import ROUND_HALF_UP, localcontext

    table = pa.table(
        {
            "i": range(len(pairs)),
            "a": pa.array([a for a, _ in pairs], pa.decimal128(12, 2)),
            "b": pa.array([b for _, b in pairs], pa.decimal128(9, 3)),
        }
    )
    got = DuckDBWarehouse(lambda _: table).query("SELECT a / b AS q FROM t ORDER BY i")["q"].to_pylist()
    with localcontext() as context:
        context.prec = 60
        assert got == [(a / b).quantize(Decimal("0.001"), rounding=ROUND_HALF_UP) for a, b in pairs]
