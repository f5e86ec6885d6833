"""The embedded engine: what it reads, what it must not read, and what its errors must not tell."""

import datetime as dt
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from medpipe_assets.warehouse.duckdb import DuckDBWarehouse
from medpipe_assets.warehouse.engine import ParquetFiles, QueryError, TableData

SCHEMA = pa.schema(
    [
        ("id", pa.string()),
        ("spans", pa.list_(pa.struct([("page", pa.int32()), ("begin", pa.int32())]))),
        ("at", pa.timestamp("us", tz="UTC")),
        ("score", pa.float32()),
    ]
)
NOON = dt.datetime(2026, 1, 1, 12, tzinfo=dt.UTC)


def rows(*ids: str) -> pa.Table:
    return pa.table(
        {
            "id": ids,
            "spans": [[{"page": 1, "begin": 0}]] * len(ids),
            "at": [NOON] * len(ids),
            "score": [0.5] * len(ids),
        },
        schema=SCHEMA,
    )


def files(folder: Path, *tables: pa.Table) -> ParquetFiles:
    paths = []
    for i, table in enumerate(tables):
        paths.append(str(folder / f"it's {i}.parquet"))
        pq.write_table(table, paths[-1])
    return ParquetFiles(paths, SCHEMA)


def test_a_table_is_all_its_files_and_only_those(tmp_path: Path) -> None:
    table = files(tmp_path, rows("a"), rows("b", "c"))
    pq.write_table(rows("stray"), tmp_path / "stray.parquet")
    got = DuckDBWarehouse({"t": table}.get).query("SELECT * FROM t ORDER BY id")
    assert got["id"].to_pylist() == ["a", "b", "c"]
    assert got.schema.names == SCHEMA.names
    assert got["at"].to_pylist() == [NOON] * 3
    assert got.schema.field("at").type == pa.timestamp("us", tz="UTC")


def test_an_empty_table_has_its_columns_and_types() -> None:
    warehouse = DuckDBWarehouse({"t": ParquetFiles([], SCHEMA)}.get)
    got = warehouse.query("SELECT *, score / 2 AS half FROM t")
    assert (got.num_rows, got.schema.names) == (0, [*SCHEMA.names, "half"])
    assert got.schema.field("at").type == pa.timestamp("us", tz="UTC")
    assert warehouse.query("SELECT count(*) AS n FROM t CROSS JOIN UNNEST(spans) AS s(page, begin)").to_pylist() == [
        {"n": 0}
    ]


def test_an_older_file_without_a_column_reads_as_null_and_a_dropped_column_is_not_seen(tmp_path: Path) -> None:
    older = rows("a").drop_columns(["score"]).append_column("gone", pa.array([1]))
    got = DuckDBWarehouse({"t": files(tmp_path, older, rows("b"))}.get).query("SELECT * FROM t ORDER BY id")
    assert got.schema.names == SCHEMA.names
    assert got["score"].to_pylist() == [None, 0.5]


def test_only_tables_that_the_query_names_are_asked_for() -> None:
    asked = []

    def tables(name: str) -> TableData:
        asked.append(name)
        return rows("a")

    DuckDBWarehouse(tables).query(
        "WITH c AS (SELECT * FROM One) SELECT * FROM c JOIN two USING (id) JOIN c AS d USING (id)"
    )
    assert sorted(asked) == ["one", "two"]


def test_an_unknown_table_is_named_with_what_there_is() -> None:
    warehouse = DuckDBWarehouse({}.get, names=lambda: ["diagnoses", "entities"], views={"summary": "SELECT 1"})
    with pytest.raises(
        QueryError, match=r"no table diagnosis. Did you mean diagnoses\? .*diagnoses, entities, summary"
    ):
        warehouse.query("SELECT * FROM diagnosis")


def test_a_view_hides_the_table_of_its_name_and_may_name_others() -> None:
    tables = {"t": rows("a", "b"), "ledger": pa.table({"id": ["b"]})}
    views = {
        "t": "SELECT t.* FROM t SEMI JOIN ledger USING (id)",
        "twice": "SELECT * FROM t UNION ALL SELECT * FROM t",
    }
    warehouse = DuckDBWarehouse(tables.get, views=views)
    assert warehouse.query("SELECT id FROM t").to_pylist() == [{"id": "b"}]
    assert warehouse.query("SELECT id FROM twice").to_pylist() == [{"id": "b"}, {"id": "b"}]
    assert warehouse.query("SELECT page FROM twice CROSS JOIN UNNEST(spans) AS s(page, begin)").num_rows == 2


def test_views_that_name_each_other_in_a_circle_are_refused() -> None:
    warehouse = DuckDBWarehouse({}.get, views={"a": "SELECT * FROM b", "b": "SELECT * FROM a"})
    with pytest.raises(QueryError, match="defined by itself"):
        warehouse.query("SELECT * FROM a")


def test_path_tells_the_file_and_a_star_leaves_it_out(tmp_path: Path) -> None:
    warehouse = DuckDBWarehouse({"t": files(tmp_path, rows("a"), rows("b"))}.get)
    got = warehouse.query('SELECT id, "$path" AS path FROM t ORDER BY id').to_pylist()
    assert [Path(row["path"]).name for row in got] == ["it's 0.parquet", "it's 1.parquet"]
    assert warehouse.query("SELECT * FROM t WHERE \"$path\" LIKE '%1.parquet'").schema.names == SCHEMA.names


FORBIDDEN = [
    "COPY t TO '{target}'",
    "COPY (SELECT 1) TO '{target}'",
    "ATTACH '{target}' AS x",
    "INSTALL httpfs",
    "LOAD httpfs",
    "PRAGMA version",
    "SET threads = 1",
    "CREATE TABLE x AS SELECT 1",
    "INSERT INTO t VALUES ('x')",
    "DROP TABLE t",
    "EXPLAIN SELECT 1",
    "CALL pragma_version()",
    "EXPORT DATABASE '{target}'",
    "SELECT 1; SELECT 2",
    "",
    "SELECT * FROM read_csv('{secret}')",
    "SELECT * FROM read_parquet('{secret}')",
    "SELECT * FROM '{secret}'",
    'SELECT * FROM "{secret}"',
    "SELECT * FROM glob('/*')",
    "SELECT content FROM read_text('{secret}')",
    "SELECT * FROM duckdb_settings()",
    "SELECT * FROM information_schema.tables",
    "SELECT getenv('HOME')",
    "SELECT * FROM query('SELECT 1')",
    "SELECT * FROM query_table('t')",
    "SELECT columns('.*') FROM t",
    "SELECT * FROM t WHERE id IN (SELECT content FROM read_text('{secret}'))",
    "WITH x AS (SELECT * FROM read_csv('{secret}')) SELECT * FROM x",
    "SELECT * FROM t, LATERAL (SELECT * FROM read_text('{secret}')) AS z",
    "SELECT t_to_bigint(id) FROM t",
]


@pytest.mark.parametrize("sql", FORBIDDEN)
def test_a_query_reads_only_the_lake_and_writes_nothing(tmp_path: Path, sql: str) -> None:
    secret, target = tmp_path / "secret.csv", tmp_path / "target.csv"
    secret.write_text("secret\n1\n")
    with pytest.raises(QueryError) as caught:
        DuckDBWarehouse({"t": rows("a")}.get).query(sql.format(secret=secret, target=target))
    assert "DuckDB" not in str(caught.value)
    assert sorted(tmp_path.iterdir()) == [secret]


def test_even_a_view_cannot_read_a_file_that_no_table_is_made_of(tmp_path: Path) -> None:
    secret = tmp_path / "secret.csv"
    secret.write_text("secret\n1\n")
    warehouse = DuckDBWarehouse({"t": rows("a")}.get, views={"v": f"SELECT * FROM read_csv('{secret}')"})
    with pytest.raises(QueryError):
        warehouse.query("SELECT * FROM v")


LEAKS = [
    "SELECT CAST(id AS integer) FROM t",
    "SELECT CAST(id AS double) FROM t",
    "SELECT CAST(id AS date) FROM t",
    "SELECT CAST(id AS timestamp) FROM t",
    "SELECT CAST(id AS boolean) FROM t",
    "SELECT CAST(id AS decimal(5, 2)) FROM t",
    "SELECT date_parse(id, '%Y-%m-%d') FROM t",
    "SELECT json_parse(id) FROM t",
    "SELECT CAST(json_parse(id) AS array(integer)) FROM t",
    "SELECT from_iso8601_timestamp(id) FROM t",
    "SELECT from_hex(id) FROM t",
    "SELECT regexp_like('x', id) FROM t",
    "SELECT 1 FROM t WHERE CAST(concat(id, 'x') AS bigint) = 1",
]


@pytest.mark.parametrize("sql", LEAKS)
def test_errors_and_what_they_come_from_never_quote_a_value(sql: str) -> None:
    patient = "María (Gómez"
    with pytest.raises(QueryError) as caught:
        DuckDBWarehouse({"t": pa.table({"id": [patient]})}.get).query(sql)
    error: BaseException | None = caught.value
    while error is not None:
        assert "Gómez" not in str(error) and "Mar" not in str(error)
        error = error.__cause__ or error.__context__


def test_a_query_that_needs_too_much_memory_says_so() -> None:
    warehouse = DuckDBWarehouse({"t": rows("a")}.get, memory_limit="8MB", threads=1)
    with pytest.raises(QueryError, match="memory"):
        warehouse.query("SELECT array_agg(x) FROM t CROSS JOIN UNNEST(sequence(1, 3000000)) AS u(x)")


def test_a_missing_file_is_reported_without_ado(tmp_path: Path) -> None:
    with pytest.raises(QueryError, match="file of a table cannot be read"):
        DuckDBWarehouse({"t": ParquetFiles([str(tmp_path / "gone.parquet")], SCHEMA)}.get).query("SELECT * FROM t")


def test_an_answer_is_written_in_files_of_one_partition_each(tmp_path: Path) -> None:
    table = pa.table({"n": [1, 2, 3, 4, 5], "state": [None, "CA", "a/b c%=é", "CA", ""]})
    schema = pa.schema([("state", pa.string()), ("n", pa.int64()), ("half", pa.int64())])
    sql = "SELECT state, n, CAST(n / 2 AS integer) AS half FROM t"
    files = DuckDBWarehouse({"t": table}.get).write(sql, tmp_path, schema, ["state"])
    found = [pq.read_table(file, partitioning=None) for file in files]
    assert [rows.schema.types for rows in found] == [schema.types] * 4
    assert sorted(rows["n"].to_pylist() for rows in found) == [[1], [2, 4], [3], [5]]
    assert all(len(set(rows["state"].to_pylist())) == 1 for rows in found)
    assert {pq.ParquetFile(file).metadata.row_group(0).column(0).compression for file in files} == {"SNAPPY"}


def test_an_answer_of_no_rows_is_no_file(tmp_path: Path) -> None:
    schema = pa.schema([("n", pa.int64())])
    assert DuckDBWarehouse(lambda _: None).write("SELECT 1 AS n WHERE false", tmp_path, schema) == []


@pytest.mark.parametrize(
    ("sql", "said"),
    [
        ("SELECT 1 AS m", "is said to give n"),
        ("SELECT 'a' AS n", "column n is VARCHAR"),
        ("SELECT 1e0 AS n", "column n is DOUBLE"),
    ],
)
def test_an_answer_of_other_columns_or_wider_types_is_refused(tmp_path: Path, sql: str, said: str) -> None:
    with pytest.raises(QueryError, match=said):
        DuckDBWarehouse(lambda _: None).write(sql, tmp_path, pa.schema([("n", pa.int64())]))


def test_a_large_answer_is_written_in_little_memory(tmp_path: Path) -> None:
    sql = "SELECT n, lpad(CAST(n AS varchar), 60, 'x') AS text FROM UNNEST(sequence(1, 1000)) AS a(i) CROSS JOIN t"
    table = pa.table({"n": pa.array(range(1000), pa.int64())})
    schema = pa.schema([("n", pa.int64()), ("text", pa.string())])
    warehouse = DuckDBWarehouse({"t": table}.get, memory_limit="100MB", temp_directory=tmp_path, threads=1)
    folder = tmp_path / "out"
    folder.mkdir()
    assert sum(pq.read_metadata(file).num_rows for file in warehouse.write(sql, folder, schema)) == 1_000_000
