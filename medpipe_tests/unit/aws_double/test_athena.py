"""Athena's queries: states, result pages, values, limits, files in S3."""

import datetime as dt
import io
from decimal import Decimal
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from medpipe_assets.warehouse.duckdb import DuckDBWarehouse
from medpipe_assets.warehouse.engine import ParquetFiles
from medpipe_tests.aws_double.athena import WorkGroup, written
from medpipe_tests.aws_double.fixtures import Aws

TABLES = {
    "numbers": pa.table({"n": pa.array(range(2_500), pa.int64())}),
    "many": pa.table({"n": pa.array(range(1_300_000), pa.int64())}),
    "visits": pa.table(
        {
            "who": ["Anna", None, 'O"Neil'],
            "seen": pa.array([dt.date(2026, 3, 1), None, dt.date(2026, 3, 2)]),
            "score": [0.5, 12_345_678.0, None],
            "codes": pa.array([["E11.9", "I10"], [], None]),
        }
    ),
}
IN_S3 = ParquetFiles(["s3://results/lake/visits.parquet"], TABLES["visits"].schema)
SETTINGS = {
    "warehouse": lambda: DuckDBWarehouse({**TABLES, "in_s3": IN_S3}.get, names=lambda: list(TABLES), threads=1),
    "workgroups": {
        "small": WorkGroup(bytes_cutoff=10_000_000, output_location="s3://results/small/"),
        "strict": WorkGroup(output_location="s3://results/strict/", enforced=True),
    },
    "polls": 2,
}


@pytest.fixture
def aws_settings() -> dict[str, Any]:
    return dict(SETTINGS)


@pytest.fixture
def athena(aws: Aws) -> Any:
    aws.client("s3").create_bucket(Bucket="results")
    return aws.client("athena")


def started(athena: Any, sql: str, **more: Any) -> str:
    where = {} if "WorkGroup" in more else {"ResultConfiguration": {"OutputLocation": "s3://results/here"}}
    return str(athena.start_query_execution(QueryString=sql, **{**where, **more})["QueryExecutionId"])


def ended(athena: Any, query: str) -> tuple[list[str], dict[str, Any]]:
    """The states that a query went through, and its description at the end."""
    states = []
    while True:
        described = athena.get_query_execution(QueryExecutionId=query)["QueryExecution"]
        states.append(described["Status"]["State"])
        if states[-1] not in ("QUEUED", "RUNNING"):
            return states, described


def values(page: dict[str, Any]) -> list[list[str | None]]:
    return [[cell.get("VarCharValue") for cell in row["Data"]] for row in page["ResultSet"]["Rows"]]


def test_a_query_runs_and_its_result_has_a_header_and_values_as_text(aws: Aws, athena: Any) -> None:
    query = started(athena, "SELECT who, seen, score, codes FROM visits ORDER BY seen")
    states, described = ended(athena, query)
    assert states == ["RUNNING", "RUNNING", "SUCCEEDED"]
    assert described["Statistics"]["DataScannedInBytes"] == TABLES["visits"].nbytes
    page = athena.get_query_results(QueryExecutionId=query)
    assert values(page) == [
        ["who", "seen", "score", "codes"],
        ["Anna", "2026-03-01", "0.5", "[E11.9, I10]"],
        ['O"Neil', "2026-03-02", None, None],
        [None, None, "1.2345678E7", "[]"],
    ]
    columns = page["ResultSet"]["ResultSetMetadata"]["ColumnInfo"]
    assert [column["Type"] for column in columns] == ["varchar", "date", "double", "array"]
    assert described["ResultConfiguration"]["OutputLocation"] == f"s3://results/here/{query}.csv"
    written_file = aws.client("s3").get_object(Bucket="results", Key=f"here/{query}.csv")["Body"].read()
    assert written_file.splitlines()[2] == b'"O""Neil","2026-03-02",,'
    assert aws.double.bill.units() == {("athena", "StartQueryExecution", ""): 1e-5}


def test_results_come_in_pages_of_a_thousand_rows_with_the_header_in_the_first(athena: Any) -> None:
    query = started(athena, "SELECT n FROM numbers ORDER BY n")
    ended(athena, query)
    sizes, seen, token = [], [], {}
    while True:
        page = athena.get_query_results(QueryExecutionId=query, **token)
        sizes.append(len(values(page)))
        seen += [row[0] for row in values(page)]
        if "NextToken" not in page:
            break
        token = {"NextToken": page["NextToken"]}
    assert sizes == [1_000, 1_000, 501]
    assert seen == ["n", *map(str, range(2_500))]


def test_a_query_that_is_wrong_fails_with_a_reason_and_for_free(aws: Aws, athena: Any) -> None:
    query = started(athena, "SELECT x FROM nothing")
    states, described = ended(athena, query)
    assert states[-1] == "FAILED"
    assert "nothing" in described["Status"]["StateChangeReason"]
    assert described["Status"]["AthenaError"]["Retryable"] is False
    with pytest.raises(athena.exceptions.InvalidRequestException, match="FAILED"):
        athena.get_query_results(QueryExecutionId=query)
    assert aws.double.bill.charges == []


def test_a_stopped_query_is_cancelled_and_stays_so(athena: Any) -> None:
    query = started(athena, "SELECT n FROM numbers")
    athena.stop_query_execution(QueryExecutionId=query)
    assert ended(athena, query)[0] == ["CANCELLED"]
    with pytest.raises(athena.exceptions.InvalidRequestException, match="CANCELLED"):
        athena.get_query_results(QueryExecutionId=query)


def test_a_query_that_scans_more_than_its_workgroup_allows_is_cancelled(athena: Any) -> None:
    query = started(athena, "SELECT count(*) FROM many", WorkGroup="small")
    states, described = ended(athena, query)
    assert states[-1] == "CANCELLED"
    assert "Bytes scanned limit" in described["Status"]["StateChangeReason"]
    assert ended(athena, started(athena, "SELECT who FROM visits", WorkGroup="small"))[0][-1] == "SUCCEEDED"


def test_no_cutoff_is_lower_than_athena_has_it() -> None:
    with pytest.raises(ValueError, match="10000000"):
        WorkGroup(bytes_cutoff=9_999_999)


def test_a_workgroup_that_enforces_its_settings_decides_where_results_go(athena: Any) -> None:
    elsewhere = {"OutputLocation": "s3://results/mine/"}
    query = started(athena, "SELECT 1 AS one", WorkGroup="strict", ResultConfiguration=elsewhere)
    assert ended(athena, query)[1]["ResultConfiguration"]["OutputLocation"].startswith("s3://results/strict/")
    described = athena.get_work_group(WorkGroup="small")["WorkGroup"]["Configuration"]
    assert described["BytesScannedCutoffPerQuery"] == 10_000_000


def test_unload_writes_parquet_once_into_an_empty_place(aws: Aws, athena: Any) -> None:
    sql = "UNLOAD (SELECT who, codes FROM visits) TO 's3://results/out/' WITH (format = 'PARQUET')"
    query = started(athena, sql)
    states, described = ended(athena, query)
    assert states[-1] == "SUCCEEDED"
    s3 = aws.client("s3")
    manifest = s3.get_object(Bucket="results", Key=f"here/{query}-manifest.csv")["Body"].read().decode()
    assert described["Statistics"]["DataManifestLocation"] == f"s3://results/here/{query}-manifest.csv"
    [file] = manifest.split()
    body = s3.get_object(Bucket="results", Key=file.removeprefix("s3://results/"))["Body"].read()
    assert pq.read_table(io.BytesIO(body)).equals(TABLES["visits"].select(["who", "codes"]))
    page = athena.get_query_results(QueryExecutionId=query)
    assert (page["UpdateCount"], values(page)) == (3, [])
    states, described = ended(athena, started(athena, sql))
    assert states[-1] == "FAILED"
    assert "HIVE_PATH_ALREADY_EXISTS" in described["Status"]["StateChangeReason"]


def test_tables_whose_files_lie_in_s3_are_read_there(aws: Aws) -> None:
    s3 = aws.client("s3")
    s3.create_bucket(Bucket="results")
    out = io.BytesIO()
    pq.write_table(TABLES["visits"], out)
    s3.put_object(Bucket="results", Key="lake/visits.parquet", Body=out.getvalue())
    query = started(aws.client("athena"), "SELECT count(*) AS n FROM in_s3")
    described = ended(aws.client("athena"), query)[1]
    assert described["Statistics"]["DataScannedInBytes"] == len(out.getvalue())
    assert values(aws.client("athena").get_query_results(QueryExecutionId=query)) == [["n"], ["3"]]


def test_a_token_gives_the_same_query_and_refuses_another(athena: Any) -> None:
    token = {"ClientRequestToken": "t" * 32}
    first = started(athena, "SELECT 1 AS one", **token)
    assert started(athena, "SELECT 1 AS one", **token) == first
    with pytest.raises(athena.exceptions.InvalidRequestException, match="Idempotent"):
        started(athena, "SELECT 2 AS two", **token)


@pytest.mark.parametrize(
    "more",
    [
        {"WorkGroup": "nobodys"},
        {"WorkGroup": "primary"},
        {"ResultConfiguration": {"OutputLocation": "s3://no-such-bucket/"}},
    ],
)
def test_a_query_without_a_place_for_its_results_is_refused(athena: Any, more: dict[str, Any]) -> None:
    with pytest.raises(athena.exceptions.InvalidRequestException):
        started(athena, "SELECT 1 AS one", **more)


def test_an_unknown_query_and_a_token_of_another_are_refused(athena: Any) -> None:
    with pytest.raises(athena.exceptions.InvalidRequestException):
        athena.get_query_execution(QueryExecutionId="nobodys")
    query = started(athena, "SELECT 1 AS one")
    ended(athena, query)
    with pytest.raises(athena.exceptions.InvalidRequestException):
        athena.get_query_results(QueryExecutionId=query, NextToken="other.1000")


@pytest.mark.parametrize(
    ("value", "kind", "text"),
    [
        (True, pa.bool_(), "true"),
        (7, pa.int32(), "7"),
        (Decimal("1.50"), pa.decimal128(5, 2), "1.50"),
        (1e-4, pa.float64(), "1.0E-4"),
        (1.0, pa.float64(), "1.0"),
        (float("nan"), pa.float64(), "NaN"),
        (dt.datetime(2026, 3, 1, 4, 5, 6, 789_000), pa.timestamp("us"), "2026-03-01 04:05:06.789"),
        (dt.datetime(2026, 3, 1, tzinfo=dt.UTC), pa.timestamp("us", "UTC"), "2026-03-01 00:00:00.000 UTC"),
        (b"\x01\xff", pa.binary(), "01 ff"),
        ({"a": 1, "b": None}, pa.struct({"a": pa.int32(), "b": pa.string()}), "{a=1, b=null}"),
        ([("k", 1)], pa.map_(pa.string(), pa.int32()), "{k=1}"),
    ],
)
def test_values_are_written_as_athena_writes_them(value: Any, kind: pa.DataType, text: str) -> None:
    assert written(value, kind) == text
