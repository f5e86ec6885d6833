"""The Glue catalog as Athena sees it: plain Parquet tables written and registered, and views of the rows in force.

Iceberg tables are registered by the lake's own catalog. Everything here may be done again: the result is the same.
"""

import io
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import islice
from typing import Any, Protocol
from urllib.parse import quote

import pyarrow as pa
import pyarrow.parquet as pq
import sqlglot
from botocore.exceptions import BotoCoreError, ClientError
from sqlglot import exp

from medpipe_assets.aws.clients import Clients
from medpipe_assets.aws.faults import code_of, translated
from medpipe_assets.errors import ConfigurationError
from medpipe_assets.lake.schemas import TABLES
from medpipe_assets.warehouse import lake_tables
from medpipe_assets.warehouse.athena_dialect import AthenaQuery

BATCH = 100
"""Partitions a BatchCreatePartition may make. Source: Glue API reference."""
NULL_PARTITION = "__HIVE_DEFAULT_PARTITION__"
"""What Hive, and so Athena, reads as a null in a partition value."""

_FORMAT = {
    "InputFormat": "org.apache.hadoop.hive.ql.io.parquet.MapredParquetInputFormat",
    "OutputFormat": "org.apache.hadoop.hive.ql.io.parquet.MapredParquetOutputFormat",
    "SerdeInfo": {"SerializationLibrary": "org.apache.hadoop.hive.ql.io.parquet.serde.ParquetHiveSerDe"},
}


@dataclass(frozen=True)
class PlainTable:
    """Parquet files below an `s3://` location. Partition columns stand in the schema, too, but not in the files."""

    name: str
    location: str
    schema: pa.Schema
    partition_by: tuple[str, ...] = ()


FILE = "rows.parquet"
"""The file of a partition: written again, it replaces itself."""


def export_plain(
    clients: Clients, database: str, table: PlainTable, rows: pa.Table, kms_key: str = ""
) -> Sequence[str]:
    """Write rows as plain Parquet, a file a partition, and make them known: for readers that have no Iceberg.

    Partitions that the rows have are replaced, others stay. Partition columns may be texts, dates and whole numbers.

    Args:
        kms_key: encrypts the files; empty for the bucket's own default.

    Returns:
        The files.

    Raises:
        ConfigurationError: no such bucket or database, no permission, or a column of a type that Hive has not.
        DocumentError: engine_unavailable.
    """
    glue, s3 = clients.client("glue"), clients.client("s3")
    register_table(glue, database, table)
    encryption = {"ServerSideEncryption": "aws:kms", "SSEKMSKeyId": kms_key} if kms_key else {}
    written = {}
    for values, part in _by_partition(table, rows):
        file = f"{partition_location(table, values)}{FILE}"
        out = io.BytesIO()
        pq.write_table(part, out, compression="snappy")
        bucket, _, key = file.removeprefix("s3://").partition("/")
        with _calling("PutObject", "s3"):
            s3.put_object(Bucket=bucket, Key=key, Body=out.getvalue(), **encryption)
        written[values] = file
    if table.partition_by:
        register_partitions(glue, database, table, written)
    return list(written.values())


def _by_partition(table: PlainTable, rows: pa.Table) -> Iterator[tuple[tuple[str | None, ...], pa.Table]]:
    """Each partition's values, and its rows without the columns that hold them."""
    if not table.partition_by:
        yield (), rows
        return
    texts = [rows[name].cast(pa.string()).to_pylist() for name in table.partition_by]
    places: dict[tuple[str | None, ...], list[int]] = {}
    for place, values in enumerate(zip(*texts, strict=True)):
        places.setdefault(values, []).append(place)
    kept = rows.drop_columns(list(table.partition_by))
    for values, found in places.items():
        yield values, kept.take(found)


def register_table(glue: Any, database: str, table: PlainTable) -> None:
    """Make a table known, or bring what is known of it up to date.

    Raises:
        ConfigurationError: no such database, no permission, or a column of a type that Hive has not.
        DocumentError: engine_unavailable.
    """
    described = _described(table)
    try:
        with _calling("CreateTable"):
            glue.create_table(DatabaseName=database, TableInput=described)
    except _AlreadyThere:
        with _calling("GetTable"):
            known = glue.get_table(DatabaseName=database, Name=table.name)["Table"]
        if not _agrees(known, described):
            with _calling("UpdateTable"):
                glue.update_table(DatabaseName=database, TableInput=described)


def register_partitions(glue: Any, database: str, table: PlainTable, partitions: Iterable[Sequence[str | None]]) -> int:
    """Make partitions known, each by its values in the order of `partition_by`; how many were new.

    Raises:
        ConfigurationError: no such table, or no permission.
        DocumentError: engine_unavailable, also when Glue refused one of them.
    """
    rest = iter(sorted({tuple(NULL_PARTITION if v is None else v for v in values) for values in partitions}))
    new = 0
    while batch := list(islice(rest, BATCH)):
        described = [
            {"Values": list(v), "StorageDescriptor": _storage(table, partition_location(table, v))} for v in batch
        ]
        with _calling("BatchCreatePartition"):
            answer = glue.batch_create_partition(
                DatabaseName=database, TableName=table.name, PartitionInputList=described
            )
            codes = [error["ErrorDetail"]["ErrorCode"] for error in answer.get("Errors", ())]
            for code in codes:
                if code != _EXISTS:
                    raise ClientError({"Error": {"Code": code}}, "BatchCreatePartition")
        new += len(batch) - len(codes)
    return new


def partition_location(table: PlainTable, values: Sequence[str | None]) -> str:
    """Where a partition's files are: `column=value/`, each value percent-encoded: a slash in it cuts nothing."""
    texts = (NULL_PARTITION if value is None else value for value in values)
    parts = (f"{name}={quote(text, safe='')}/" for name, text in zip(table.partition_by, texts, strict=True))
    return f"{table.location.rstrip('/')}/{''.join(parts)}"


def _described(table: PlainTable) -> dict[str, Any]:
    return {
        "Name": table.name,
        "TableType": "EXTERNAL_TABLE",
        "Parameters": {"classification": "parquet", "EXTERNAL": "TRUE"},
        "PartitionKeys": [_column(table.schema.field(name)) for name in table.partition_by],
        "StorageDescriptor": _storage(table, table.location.rstrip("/") + "/"),
    }


def _storage(table: PlainTable, location: str) -> dict[str, Any]:
    columns = [_column(field) for field in table.schema if field.name not in table.partition_by]
    return {"Columns": columns, "Location": location, **_FORMAT}


def _column(field: pa.Field) -> dict[str, str]:
    return {"Name": field.name, "Type": hive_type(field.type)}


def _agrees(known: dict[str, Any], described: dict[str, Any]) -> bool:
    storage, wanted = known["StorageDescriptor"], described["StorageDescriptor"]
    return (
        [(c["Name"], c["Type"]) for c in storage["Columns"]] == [(c["Name"], c["Type"]) for c in wanted["Columns"]]
        and storage["Location"] == wanted["Location"]
        and [c["Name"] for c in known.get("PartitionKeys", [])] == [c["Name"] for c in described["PartitionKeys"]]
    )


_HIVE = {
    pa.bool_(): "boolean",
    pa.int8(): "tinyint",
    pa.int16(): "smallint",
    pa.int32(): "int",
    pa.int64(): "bigint",
    pa.float32(): "float",
    pa.float64(): "double",
    pa.string(): "string",
    pa.large_string(): "string",
    pa.binary(): "binary",
    pa.date32(): "date",
}


def hive_type(kind: pa.DataType) -> str:
    """Hive's name of an Arrow type.

    Raises:
        ConfigurationError: for a type that Hive has not.
    """
    if pa.types.is_decimal(kind):
        return f"decimal({kind.precision},{kind.scale})"
    if pa.types.is_timestamp(kind):
        return "timestamp"  # Hive's have no zone: they are read as UTC
    if pa.types.is_list(kind):
        return f"array<{hive_type(kind.value_type)}>"
    if pa.types.is_map(kind):
        return f"map<{hive_type(kind.key_type)},{hive_type(kind.item_type)}>"
    if pa.types.is_struct(kind):
        return f"struct<{','.join(f'{field.name}:{hive_type(field.type)}' for field in kind)}>"
    try:
        return _HIVE[kind]
    except KeyError:
        raise ConfigurationError(f"a column of type {kind} cannot be registered as plain Parquet") from None


_EXISTS = "AlreadyExistsException"


class _AlreadyThere(Exception):  # noqa: N818 (no error: somebody else was first)
    pass


@contextmanager
def _calling(operation: str, service: str = "glue") -> Iterator[None]:
    """A call of AWS: its failures are told in the project's words."""
    try:
        yield
    except ClientError as error:
        if code_of(error) == _EXISTS:
            raise _AlreadyThere from None
        if code_of(error) == "EntityNotFoundException":
            raise ConfigurationError(f"glue {operation}: there is no such database or table: make it first") from None
        raise translated(error, service, operation) from None
    except BotoCoreError as error:
        raise translated(error, service, operation) from None


# --- views


class Executes(Protocol):
    """Who runs a statement, as AthenaWarehouse does."""

    def execute(self, sql: str) -> Any: ...


def views(database: str, tables_database: str) -> Mapping[str, str]:
    """SELECTs of the rows in force, by table, those that others read first: what lake_tables.py shows, for Athena.

    Args:
        database: the Glue database of the views.
        tables_database: that of the lake's own tables, superseded rows included.
    """
    known = lake_tables.views()
    plain = {name: f'SELECT * FROM "{name}"' for name in TABLES if name not in known}
    found = {}
    for name, text in sorted({**known, **plain}.items(), key=lambda view: view[0] != "stage_status_in_force"):
        body = sqlglot.parse_one(text, read=AthenaQuery)
        for table in body.find_all(exp.Table):
            of_tables = table.name == name or table.name not in known
            table.set("db", exp.to_identifier(tables_database if of_tables else database))
        found[name] = body.sql(AthenaQuery, identify=True)
    return found


def create_views(athena: Executes, database: str, tables_database: str) -> None:
    """Make, or make anew, the views of the rows in force in a database of their own; queries name that one.

    Raises:
        QueryError, ConfigurationError: as AthenaWarehouse.execute.
    """
    for name, select in views(database, tables_database).items():
        athena.execute(f'CREATE OR REPLACE VIEW "{database}"."{name}" AS {select}')
