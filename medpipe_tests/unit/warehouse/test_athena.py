"""Athena as the warehouse: the same answers as on one machine, nothing left at work, and errors that quote no row."""

import dataclasses
import datetime as dt
import itertools
import uuid
from collections.abc import Callable
from decimal import Decimal
from types import SimpleNamespace
from typing import Any

import pyarrow as pa
import pytest
from botocore.exceptions import ClientError
from hypothesis import given
from hypothesis import strategies as st

from medpipe_assets.aws.clients import Clients
from medpipe_assets.aws.metering import collecting
from medpipe_assets.errors import ConfigurationError
from medpipe_assets.warehouse import athena
from medpipe_assets.warehouse.athena import AthenaWarehouse
from medpipe_assets.warehouse.duckdb import DuckDBWarehouse
from medpipe_assets.warehouse.engine import QueryError
from medpipe_tests.aws_double.athena import WorkGroup
from medpipe_tests.aws_double.faults import FaultPlan, FaultRates
from medpipe_tests.aws_double.fixtures import Aws, aws, moto_server  # noqa: F401 (fixtures)
from medpipe_tests.unit.warehouse.conftest import NOTES

TABLES = {
    "notes": NOTES,
    "numbers": pa.table({"n": pa.array(range(2_345), pa.int64())}),
    "many": pa.table({"n": pa.array(range(1_300_000), pa.int64())}),
    "kinds": pa.table(
        {
            "b": [True, False, None],
            "s": pa.array([1, -1, None], pa.int16()),
            "r": pa.array([1.5, float("-inf"), None], pa.float32()),
            "d": pa.array([1e300, float("inf"), None], pa.float64()),
            "big": pa.array([12_345_678.9, -1e-5, None], pa.float64()),
            "text": ["", "null", None],
            "bytes": pa.array([b"", b"\x00\xff", None], pa.binary()),
            "price": pa.array([Decimal("1.50"), Decimal("-0.01"), None], pa.decimal128(12, 2)),
            "local": pa.array([dt.datetime(2026, 1, 1, 2, 3, 4, 567_000), None, None], pa.timestamp("us")),
            "instant": pa.array([dt.datetime(2026, 1, 1, 2, 3, 4, 567_000), None, None], pa.timestamp("us", "UTC")),
        }
    ),
}
LOCAL = DuckDBWarehouse(TABLES.get, names=lambda: list(TABLES), threads=1)


@pytest.fixture
def aws_settings() -> dict[str, Any]:
    workgroups = {
        "analysts": WorkGroup(output_location="s3://results/analysts/", enforced=True),
        "small": WorkGroup(bytes_cutoff=10_000_000, output_location="s3://results/small/"),
    }
    return {"warehouse": lambda: LOCAL, "workgroups": workgroups, "polls": 2}


@pytest.fixture
def warehouse(aws: Aws) -> AthenaWarehouse:  # noqa: F811 (the fixture)
    aws.client("s3").create_bucket(Bucket="results")
    return AthenaWarehouse(aws.client("athena"), "medpipe", "analysts", s3=aws.client("s3"), first_pause=0.0)


def rows(table: pa.Table) -> list[tuple[Any, ...]]:
    return sorted(zip(*[column.to_pylist() for column in table.columns], strict=True), key=repr)


def refusal(ask: Callable[[], Any]) -> str:
    with pytest.raises(QueryError) as caught:
        ask()
    return str(caught.value)


def test_an_answer_has_the_values_and_types_that_it_has_on_one_machine(warehouse: AthenaWarehouse) -> None:
    sql = "select * from kinds"
    got, expected = warehouse.query(sql), LOCAL.query(sql)
    assert got.schema.types == expected.schema.types
    assert got.column_names == expected.column_names
    assert rows(got) == rows(expected)


def test_an_answer_of_many_pages_is_whole_and_in_order(warehouse: AthenaWarehouse) -> None:
    assert warehouse.query("select n from numbers order by n")["n"].to_pylist() == list(range(2_345))


def test_an_answer_without_rows_has_its_types(warehouse: AthenaWarehouse) -> None:
    got = warehouse.query("select id, day, seen from notes where n > 99")
    assert (got.num_rows, got.schema.types) == (0, [pa.string(), pa.date32(), pa.timestamp("us", "UTC")])


def test_columns_of_the_same_name_are_both_answered(warehouse: AthenaWarehouse) -> None:
    assert rows(warehouse.query("select max(n) as a, min(n) as a from numbers")) == [(2344, 0)]


@pytest.mark.parametrize("sql", ["select id, codes, numbers, seen from notes", "select tags from notes"])
def test_nested_values_keep_their_types(warehouse: AthenaWarehouse, sql: str) -> None:
    got, expected = warehouse.query(sql), LOCAL.query(sql)
    assert rows(got) == rows(expected)
    assert [kind.id for kind in got.schema.types] == [kind.id for kind in expected.schema.types]


def test_nested_values_without_rows_are_no_error(warehouse: AthenaWarehouse) -> None:
    got = warehouse.query("select codes, numbers from notes where n > 99")
    assert got.num_rows == 0 and all(pa.types.is_list(kind) for kind in got.schema.types)


def test_nested_values_that_cannot_be_read_are_refused_with_advice(warehouse: AthenaWarehouse) -> None:
    alone = dataclasses.replace(warehouse, s3=None)
    assert "codes: arrays, maps and rows" in refusal(lambda: alone.query("select codes from notes"))


@pytest.mark.parametrize("sql", ["select * from kinds", "select n from numbers", "select id from notes where n > 9"])
def test_a_large_answer_by_unload_is_the_same(warehouse: AthenaWarehouse, sql: str) -> None:
    got, expected = dataclasses.replace(warehouse, unload=True).query(sql), LOCAL.query(sql)
    assert got.schema.types == expected.schema.types
    assert rows(got) == rows(expected)


def test_an_unloaded_instant_keeps_its_microseconds(warehouse: AthenaWarehouse) -> None:
    got = dataclasses.replace(warehouse, unload=True).query("select seen from notes where id = 'a'")
    assert got["seen"].to_pylist() == [dt.datetime(2026, 1, 1, 2, 0, 0, 1500, tzinfo=dt.UTC)]


def test_what_a_query_scans_is_told_and_metered_as_it_is_billed(
    warehouse: AthenaWarehouse,
    aws: Aws,  # noqa: F811
) -> None:
    with collecting() as costs:
        _, report = warehouse.ask("select count(*) as n from many")
        _, twice = warehouse.ask("select codes from notes")
        refusal(lambda: warehouse.query("select x from nothing"))
    assert report.bytes_scanned == TABLES["many"].nbytes and report.query_id
    assert twice.bytes_scanned == 2 * NOTES.nbytes
    assert sum(cost.units for cost in costs) == pytest.approx(sum(aws.double.bill.units().values()))
    assert sum(cost.dollars for cost in costs) == pytest.approx(aws.double.bill.dollars())
    assert len(costs) == 3


def test_a_query_beyond_the_workgroup_s_limit_says_so(warehouse: AthenaWarehouse) -> None:
    small = dataclasses.replace(warehouse, workgroup="small")
    assert "scans more than a query of workgroup small may" in refusal(lambda: small.query("select * from many"))


@pytest.mark.parametrize(
    "sql",
    [
        "insert into notes values (1)",
        "drop table notes",
        "-- select\ndelete from notes",
        "unload (select 1) to 's3://x'",
    ],
)
def test_a_query_changes_nothing(warehouse: AthenaWarehouse, aws: Aws, sql: str) -> None:  # noqa: F811
    assert "only one SELECT" in refusal(lambda: warehouse.query(sql))
    assert not aws.double.actions


@pytest.mark.parametrize(
    "sql", ["-- why\nselect 1 as a;", "/* why */ (select 1 as a)", "WITH x AS (select 1 a) SELECT a FROM x"]
)
def test_a_query_may_begin_as_it_likes(warehouse: AthenaWarehouse, sql: str) -> None:
    assert rows(warehouse.query(sql)) == [(1,)]


def test_a_wrong_installation_is_no_wrong_query(warehouse: AthenaWarehouse) -> None:
    for wrong in ({"workgroup": "missing"}, {"workgroup": "primary"}):
        with pytest.raises(ConfigurationError, match="check the workgroup, its output location"):
            dataclasses.replace(warehouse, **wrong).query("select 1 as a")


class TestWithFaults:
    @pytest.fixture
    def aws_settings(self, aws_settings: dict[str, Any]) -> dict[str, Any]:
        faults = FaultPlan(seed=3, rates=FaultRates(throttle=0.05, server_error=0.05, reset=0.05, lost_reply=0.15))
        return {**aws_settings, "faults": faults}

    def test_faults_change_no_answer_and_pay_for_nothing_twice(
        self,
        warehouse: AthenaWarehouse,
        aws: Aws,  # noqa: F811
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        tokens = itertools.count(1)  # the fate of a call hangs on what it says
        monkeypatch.setattr(athena, "uuid", SimpleNamespace(uuid4=lambda: uuid.UUID(int=next(tokens))))
        monkeypatch.setattr(athena.time, "sleep", lambda seconds: None)  # nor botocore between its tries
        retrying = Clients(retry_mode="standard", max_attempts=8).client("athena")
        warehouse = dataclasses.replace(warehouse, client=retrying)
        for n in range(8):
            assert rows(warehouse.query(f"select max(n) as n, {n} as i from numbers")) == [(2344, n)]
        assert aws.double.actions["athena:StartQueryExecution"] > 8
        assert sum(aws.double.bill.calls().values()) == 8


class Scripted:
    """Athena of one query, which goes through the states given and stays in the last."""

    def __init__(self, *states: str, reason: str = "", refuse: ClientError | None = None, **more: Any) -> None:
        self.states, self.reason, self.refuse, self.more = list(states), reason, refuse, more
        self.started: list[dict[str, Any]] = []
        self.stopped: list[str] = []

    def start_query_execution(self, **request: Any) -> dict[str, str]:
        self.started.append(request)
        if self.refuse:
            raise self.refuse
        return {"QueryExecutionId": "q1"}

    def get_query_execution(self, **_: Any) -> dict[str, Any]:
        state = self.states.pop(0) if len(self.states) > 1 else self.states[0]
        status = {"State": state, "StateChangeReason": self.reason}
        return {"QueryExecution": {"QueryExecutionId": "q1", "WorkGroup": "analysts", "Status": status, **self.more}}

    def stop_query_execution(self, QueryExecutionId: str) -> None:  # noqa: N803 (botocore's)
        self.stopped.append(QueryExecutionId)

    def get_query_results(self, **_: Any) -> dict[str, Any]:
        info = [{"Name": "a", "Type": "integer"}]
        data = [{"Data": [{"VarCharValue": text}]} for text in ("a", self.more.get("value", "1"))]
        return {"ResultSet": {"Rows": data, "ResultSetMetadata": {"ColumnInfo": info}}}


def scripted(client: Scripted, **settings: Any) -> AthenaWarehouse:
    return AthenaWarehouse(client, "medpipe", first_pause=0.0, longest_pause=0.0, **settings)


@pytest.mark.parametrize("interruption", [KeyboardInterrupt, GeneratorExit, SystemExit])
def test_a_query_is_stopped_with_whoever_waits_for_it(
    monkeypatch: pytest.MonkeyPatch, interruption: type[BaseException]
) -> None:
    def interrupted(seconds: float) -> None:
        raise interruption

    monkeypatch.setattr(athena.time, "sleep", interrupted)
    client = Scripted("RUNNING")
    with pytest.raises(interruption):
        scripted(client).query("select 1")
    assert client.stopped == ["q1"]


def test_a_query_that_takes_too_long_is_stopped(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = itertools.count(step=10)
    monkeypatch.setattr(athena.time, "monotonic", lambda: next(clock))
    client = Scripted("RUNNING")
    assert "longer than 60 seconds" in refusal(lambda: scripted(client, timeout_seconds=60).query("select 1"))
    assert client.stopped == ["q1"]


def test_pauses_between_questions_grow_up_to_a_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    pauses: list[float] = []
    monkeypatch.setattr(athena.time, "sleep", pauses.append)
    AthenaWarehouse(Scripted(*["RUNNING"] * 12, "SUCCEEDED"), "medpipe").query("select 1")
    assert len(pauses) == 12
    assert pauses[0] <= 0.2 and max(pauses) <= 5.0 and pauses[-1] >= 2.5
    assert len(set(pauses)) == 12  # with chance in them: many who wait don't ask all at once


def test_a_query_that_ended_is_not_stopped() -> None:
    client = Scripted("QUEUED", "RUNNING", "SUCCEEDED")
    assert rows(scripted(client).query("select 1")) == [(1,)]
    assert client.stopped == []


def test_a_statement_sent_again_with_its_token_can_be_recognised() -> None:
    client = Scripted("SUCCEEDED")
    scripted(client).execute("insert into t select 1", token="x" * 40)
    scripted(client).execute("insert into t select 1")
    assert client.started[0]["ClientRequestToken"] == "x" * 40
    assert len(client.started[1]["ClientRequestToken"]) == 32
    assert "ResultConfiguration" not in client.started[0]


def test_results_are_encrypted_by_the_key_that_is_set() -> None:
    client = Scripted("SUCCEEDED")
    scripted(client, output_location="s3://results/", kms_key="alias/lake").query("select 1")
    encryption = {"EncryptionOption": "SSE_KMS", "KmsKey": "alias/lake"}
    assert client.started[0]["ResultConfiguration"] == {
        "OutputLocation": "s3://results/",
        "EncryptionConfiguration": encryption,
    }


def test_no_copy_of_an_unloaded_answer_is_left(warehouse: AthenaWarehouse, aws: Aws) -> None:  # noqa: F811
    private = dataclasses.replace(warehouse, unload=True, output_location="s3://results/private/")
    assert private.query("select id from notes").num_rows
    found = aws.client("s3").list_objects_v2(Bucket="results")["Contents"]
    assert found and not [item["Key"] for item in found if "/unload/" in item["Key"]]


def test_what_a_query_was_made_into_is_asked_and_its_places_are_not_told(warehouse: AthenaWarehouse) -> None:
    made = dataclasses.replace(warehouse, prepare=lambda sql: f"with x as (select 2 as a) {sql}")
    assert rows(made.query("select a from x")) == [(2,)]
    reason = "COLUMN_NOT_FOUND: line 1:99: Column 'nme' cannot be resolved"
    failing = scripted(Scripted("FAILED", reason=reason), prepare=str)
    assert refusal(lambda: failing.query("select nme from t")) == "COLUMN_NOT_FOUND: Column 'nme' cannot be resolved"


def test_an_account_has_no_other_catalog_than_its_own(warehouse: AthenaWarehouse) -> None:
    sql = {"QueryString": "select 1", "WorkGroup": "analysts"}
    for catalog, state in (("AwsDataCatalog", "SUCCEEDED"), ("nobodys", "FAILED")):
        started = warehouse.client.start_query_execution(**sql, QueryExecutionContext={"Catalog": catalog})
        assert warehouse._wait(started["QueryExecutionId"])["Status"]["State"] == state


@pytest.mark.parametrize(
    "reason",
    [
        "INVALID_CAST_ARGUMENT: Cannot cast 'Ana Pérez' to INT",
        "FAILED: INVALID_FUNCTION_ARGUMENT: Ana Pérez",
        "HIVE_BAD_DATA: Field name's value 'Ana Pérez' is not valid",
        "GENERIC_INTERNAL_ERROR: Ana Pérez",
        "DIVISION_BY_ZERO: Ana Pérez",
        "Ana Pérez",
        "",
    ],
)
def test_what_fails_on_a_row_is_told_without_its_values(reason: str) -> None:
    message = refusal(lambda: scripted(Scripted("FAILED", reason=reason)).query("select 1"))
    assert "Ana" not in message and "q1" in message
    assert reason.removeprefix("FAILED: ").partition(":")[0] in message or "Ana" in reason.partition(":")[0]


def test_what_is_wrong_in_the_sql_is_told_with_its_place() -> None:
    reason = "COLUMN_NOT_FOUND: line 1:8: Column 'nme' cannot be resolved. This query ran against the \"m\" database"
    message = refusal(lambda: scripted(Scripted("FAILED", reason=reason)).query("select nme from t"))
    assert message == "COLUMN_NOT_FOUND: line 1:8: Column 'nme' cannot be resolved."
    refused = ClientError(
        {"Error": {"Code": "InvalidRequestException", "Message": "line 1:8: mismatched input 'frm'"}}, "x"
    )
    assert refusal(lambda: scripted(Scripted("x", refuse=refused)).query("select frm")).startswith(
        "line 1:8: mismatched"
    )


def test_a_query_stopped_by_somebody_else_says_so() -> None:
    message = refusal(lambda: scripted(Scripted("CANCELLED", reason="Query cancelled by user")).query("select 1"))
    assert message == "query q1 was stopped from outside"


def test_an_unavailable_athena_can_be_asked_again_and_a_refused_one_cannot() -> None:
    throttled = ClientError({"Error": {"Code": "TooManyRequestsException", "Message": "Ana"}}, "x")
    message = refusal(lambda: scripted(Scripted("x", refuse=throttled)).query("select 1"))
    assert "ask again later" in message and "Ana" not in message
    denied = ClientError({"Error": {"Code": "AccessDeniedException", "Message": "Ana"}}, "x")
    with pytest.raises(ConfigurationError, match="StartQueryExecution: AccessDeniedException"):
        scripted(Scripted("x", refuse=denied)).query("select 1")


def test_a_value_that_cannot_be_read_is_not_quoted() -> None:
    with pytest.raises(QueryError) as caught:
        scripted(Scripted("SUCCEEDED", value="Ana Pérez")).query("select 1")
    assert str(caught.value) == "column a holds a integer that cannot be read; cast it to varchar"
    assert caught.value.__context__ is None


@pytest.mark.parametrize(
    "text",
    ["2026-07-01 12:00:00.000 UTC", "2026-07-01 14:00:00.000 Europe/Madrid", "2026-07-01 07:00:00.000000 -05:00"],
)
def test_an_instant_of_any_zone_is_read_in_utc(text: str) -> None:
    column = athena._Column.of({"Name": "at", "Type": "timestamp(3) with time zone"})
    assert column.texts([text]).to_pylist() == [dt.datetime(2026, 7, 1, 12, tzinfo=dt.UTC)]


@given(st.integers(-(2**63), 2**63 - 1) | st.none(), st.floats() | st.none())
def test_any_number_comes_back(whole: int | None, real: float | None) -> None:
    columns = [athena._Column.of({"Name": "a", "Type": kind}) for kind in ("bigint", "double")]
    texts = [{} if v is None else {"VarCharValue": repr(v).replace("inf", "Infinity")} for v in (whole, real)]
    got = [column.to_pylist()[0] for column in athena._table(columns, [texts]).columns]
    assert repr(got) == repr([whole, real])
