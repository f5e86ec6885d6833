"""What Athena finds in the Glue catalog: plain tables and partitions, registered as often as one likes, and views."""

import datetime as dt
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import boto3
import duckdb
import pyarrow as pa
import pytest
from moto import mock_aws

from medpipe_assets.aws.clients import Clients
from medpipe_assets.errors import ConfigurationError
from medpipe_assets.lake.schemas import TABLES
from medpipe_assets.warehouse import lake_tables
from medpipe_assets.warehouse.athena import AthenaWarehouse
from medpipe_assets.warehouse.duckdb import DuckDBWarehouse
from medpipe_assets.warehouse.glue_tables import (
    PlainTable,
    create_views,
    export_plain,
    hive_type,
    partition_location,
    register_partitions,
    register_table,
    views,
)
from medpipe_tests.aws_double.fixtures import Aws, aws, aws_settings, moto_server  # noqa: F401 (fixtures)

SCHEMA = pa.schema([("npi", pa.string()), ("beds", pa.int32()), ("state", pa.string())])
FACILITIES = PlainTable("facilities", "s3://lake/parquet/facilities", SCHEMA, ("state",))


@pytest.fixture
def glue(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "testing")
    monkeypatch.delenv("AWS_PROFILE", raising=False)
    monkeypatch.delenv("AWS_ENDPOINT_URL", raising=False)
    with mock_aws():
        client = boto3.client("glue", "us-east-1")
        client.create_database(DatabaseInput={"Name": "medpipe"})
        yield client


def columns(glue: Any) -> list[tuple[str, str]]:
    table = glue.get_table(DatabaseName="medpipe", Name="facilities")["Table"]
    return [(c["Name"], c["Type"]) for c in table["StorageDescriptor"]["Columns"] + table["PartitionKeys"]]


def partitions(glue: Any) -> dict[tuple[str, ...], str]:
    found = glue.get_partitions(DatabaseName="medpipe", TableName="facilities")["Partitions"]
    return {tuple(p["Values"]): p["StorageDescriptor"]["Location"] for p in found}


def test_a_table_registered_again_is_the_same(glue: Any) -> None:
    for _ in range(2):
        register_table(glue, "medpipe", FACILITIES)
    assert columns(glue) == [("npi", "string"), ("beds", "int"), ("state", "string")]


def test_a_table_with_a_new_column_is_brought_up_to_date(glue: Any) -> None:
    register_table(glue, "medpipe", FACILITIES)
    wider = PlainTable(FACILITIES.name, FACILITIES.location, SCHEMA.append(pa.field("opened", pa.date32())), ("state",))
    register_table(glue, "medpipe", wider)
    assert columns(glue) == [("npi", "string"), ("beds", "int"), ("opened", "date"), ("state", "string")]


def test_partitions_registered_again_are_the_same_and_only_new_ones_count(glue: Any) -> None:
    register_table(glue, "medpipe", FACILITIES)
    states = [(f"S{n:03}",) for n in range(250)]
    assert register_partitions(glue, "medpipe", FACILITIES, states[:150] + states[:3]) == 150
    assert register_partitions(glue, "medpipe", FACILITIES, states) == 100
    assert register_partitions(glue, "medpipe", FACILITIES, states) == 0
    assert set(partitions(glue)) == set(states)


def test_a_slash_and_a_null_in_a_partition_value_lose_nothing(glue: Any) -> None:
    register_table(glue, "medpipe", FACILITIES)
    register_partitions(glue, "medpipe", FACILITIES, [("N/A",), (None,)])
    assert partitions(glue) == {
        ("N/A",): "s3://lake/parquet/facilities/state=N%2FA/",
        ("__HIVE_DEFAULT_PARTITION__",): "s3://lake/parquet/facilities/state=__HIVE_DEFAULT_PARTITION__/",
    }
    assert partition_location(FACILITIES, [None]) == partitions(glue)[("__HIVE_DEFAULT_PARTITION__",)]


def test_a_database_that_is_not_there_stops_the_run(glue: Any) -> None:
    with pytest.raises(ConfigurationError, match="no such database or table"):
        register_table(glue, "missing", FACILITIES)
    with pytest.raises(ConfigurationError, match="no such database or table"):
        register_partitions(glue, "medpipe", FACILITIES, [("a",)])


def test_every_table_of_the_lake_has_hive_types() -> None:
    for contract in TABLES.values():
        for field in contract.schema:
            assert hive_type(field.type)
    assert (
        hive_type(TABLES["entities"].schema.field("source_spans").type) == "array<struct<page:int,begin:int,end:int>>"
    )
    with pytest.raises(ConfigurationError, match="uint8"):
        hive_type(pa.uint8())


@pytest.mark.long
def test_a_plain_table_that_was_exported_is_read_by_athena_as_it_was(aws: Aws) -> None:  # noqa: F811
    """Slashes, blanks, quotes, missing values and nested ones; exported twice, as one that was cut off would be."""
    states = [None, "N/A", "a b", "%2F", "CA", "O'Neil", "null", None]
    rows = pa.table(
        {
            "npi": [f"{n}" for n in range(8)],
            "beds": pa.array([1, None] * 4, pa.int32()),
            "empty": pa.nulls(8, pa.float64()),
            "codes": [["a"], [], None, [None]] * 2,
            "day": [dt.date(2026, 11, 20), dt.date(2026, 11, 21)] * 4,
            "state": states,
        }
    )
    aws.client("s3").create_bucket(Bucket="open")
    aws.client("glue").create_database(DatabaseInput={"Name": "open"})
    table = PlainTable("facilities", "s3://open/plain/facilities", rows.schema, ("day", "state"))
    for _ in range(2):
        assert len(export_plain(Clients(), "open", table, rows)) == 8
    athena = AthenaWarehouse(
        aws.client("athena"), "open", output_location="s3://open/results/", s3=aws.client("s3"), first_pause=0.0
    )
    found = replace(athena, unload=True).query("select * from facilities")
    assert found.sort_by("npi").equals(rows)
    assert athena.query("select npi from facilities where state = 'N/A'")["npi"].to_pylist() == ["1"]
    assert athena.query("select count(*) as n from facilities where state is null")["n"].to_pylist() == [2]


def sample(table: str, rows: list[dict[str, Any]]) -> pa.Table:
    """Rows of a table of the lake; what is not said but the day is null."""
    schema = pa.schema([field.with_nullable(True) for field in TABLES[table].schema])
    return pa.Table.from_pylist([{"ingest_date": dt.date(2026, 11, 20), **row} for row in rows], schema)


def test_the_views_show_the_rows_in_force_that_one_machine_shows() -> None:
    """A document done twice, one quarantined after it was done, and rows of a run that nobody vouches for."""

    def at(hour: int) -> dt.datetime:
        return dt.datetime(2026, 11, 20, hour, tzinfo=dt.UTC)

    ledger = [
        ("d1", 1, 1, "done"),
        ("d1", 2, 2, "done"),
        ("d2", 1, 1, "done"),
        ("d2", 3, 1, "quarantined"),
        ("d3", 1, 5, "done"),
        ("d3", 1, 4, "done"),
    ]
    stored = {
        "stage_status": sample(
            "stage_status",
            [
                {
                    "document_id": d,
                    "stage": "entities",
                    "fence": f,
                    "processed_at": at(h),
                    "run_id": f"r{h}",
                    "outcome": o,
                }
                for d, f, h, o in ledger
            ],
        ),
        "entities": sample(
            "entities",
            [
                {"document_id": d, "processed_at": at(h), "run_id": f"r{h}", "entity_id": f"{d}.{h}.{n}"}
                for d, h in (("d1", 1), ("d1", 2), ("d2", 1), ("d3", 4), ("d3", 5), ("d4", 1))
                for n in range(2)
            ],
        ),
    }
    local = DuckDBWarehouse(stored.get, views=lake_tables.views(), threads=1)
    connection = duckdb.connect(config={"threads": 1})
    connection.execute("CREATE SCHEMA base; CREATE SCHEMA shown")
    for name, table in stored.items():
        connection.register("arrow", table)
        connection.execute(f'CREATE TABLE base."{name}" AS SELECT * FROM arrow')
    for name, key in (
        ("stage_status_in_force", "document_id, outcome"),
        ("entities", "entity_id"),
        ("stage_status", "fence"),
    ):
        here = local.query(f"select {key} from {name} order by {key}")
        connection.execute(f'CREATE VIEW shown."{name}" AS {views("shown", "base")[name]}')
        there = connection.sql(f"SELECT {key} FROM shown.{name} ORDER BY {key}").to_arrow_table()
        assert there.to_pylist() == here.to_pylist()
    assert [r["entity_id"] for r in local.query("select entity_id from entities order by 1").to_pylist()] == [
        "d1.2.0", "d1.2.1", "d3.5.0", "d3.5.1",
    ]  # fmt: skip


def test_every_table_has_a_view_in_a_database_of_their_own() -> None:
    class Statements(list[str]):
        execute = list.append

    made = Statements()
    create_views(made, "medpipe", "medpipe_tables")
    assert {sql.partition(" AS")[0] for sql in made} == {
        f'CREATE OR REPLACE VIEW "medpipe"."{name}"' for name in [*TABLES, "stage_status_in_force", "current_documents"]
    }
    assert "stage_status_in_force" in made[0], "others read it"
    assert all('"medpipe_tables".' in sql for sql in made)
