"""The tables that Athena finds in the Glue catalog: Iceberg at a snapshot, and plain Parquet by its partitions.

Names in a query are resolved here, as Trino does it; who runs the query is athena.py.
"""

import io
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import sqlglot
from botocore.exceptions import ClientError
from pyiceberg.table import StaticTable
from sqlglot import exp
from sqlglot.errors import SqlglotError

from medpipe_assets.warehouse.athena_dialect import AthenaQuery
from medpipe_assets.warehouse.engine import ParquetFiles, QueryError, TableData
from medpipe_tests.aws_double.objects import Objects

CATALOG = "AwsDataCatalog"
NULL_PARTITION = "__HIVE_DEFAULT_PARTITION__"


@dataclass(frozen=True)
class Name:
    """A table as a query names it."""

    database: str
    table: str
    snapshot: int | None = None


def resolved(sql: str, database: str) -> tuple[str, Mapping[str, Name]]:
    """A query in which each table goes by one word, and what these words stand for.

    A name with a database never means a named query of the same name; a bare one does, where there is one.
    """
    try:
        query = sqlglot.parse_one(sql, read=AthenaQuery)
    except SqlglotError:
        return sql, {}  # the engine says what is wrong with it
    own = {cte.alias.lower() for cte in query.find_all(exp.CTE)}
    names: dict[str, Name] = {}
    for table in list(query.find_all(exp.Table)):
        if not isinstance(table.this, exp.Identifier) or (not table.db and table.name.lower() in own):
            continue
        if table.catalog and table.catalog.lower() != CATALOG.lower():
            raise QueryError(f"CATALOG_NOT_FOUND: line 1:1: Catalog '{table.catalog}' does not exist")
        name = Name((table.db or database).lower(), table.name.lower(), _snapshot(table))
        word = f"{name.database}.{name.table}@{name.snapshot or 'now'}"
        names[word] = name
        short = exp.Table(this=exp.to_identifier(word, quoted=True), alias=exp.TableAlias(this=_alias(table)))
        table.replace(short)
    return query.sql(AthenaQuery, identify=True), names


def _alias(table: exp.Table) -> exp.Identifier:
    return exp.to_identifier(table.alias_or_name, quoted=True)


def _snapshot(table: exp.Table) -> int | None:
    version = table.args.get("version")
    if version is None:
        return None
    if version.name != "VERSION" or not version.expression.is_int:
        raise QueryError("NOT_SUPPORTED: the double travels by snapshot id alone")
    return int(version.expression.name)


@dataclass(frozen=True)
class GlueTables:
    """Tables of a Glue catalog whose files are in S3.

    Attributes:
        client: makes a client of a service.
        region, endpoint, credentials: of S3, for Iceberg's own reader, as the environment names them.
    """

    client: Callable[[str], Any]
    objects: Objects
    region: str
    endpoint: str | None
    credentials: Mapping[str, str]

    def find(self, name: Name) -> TableData:
        """A table's data.

        Raises:
            QueryError: in Trino's words, where there is no such table.
        """
        glue = self.client("glue")
        try:
            glue.get_database(Name=name.database)
        except ClientError:
            raise QueryError(f"SCHEMA_NOT_FOUND: line 1:1: Schema '{name.database}' does not exist") from None
        try:
            table = glue.get_table(DatabaseName=name.database, Name=name.table)["Table"]
        except ClientError:
            where = f"{CATALOG.lower()}.{name.database}.{name.table}"
            raise QueryError(f"TABLE_NOT_FOUND: line 1:1: Table '{where}' does not exist") from None
        if table.get("Parameters", {}).get("table_type", "").upper() == "ICEBERG":
            return self._iceberg(table["Parameters"]["metadata_location"], name.snapshot)
        if name.snapshot is not None:
            raise QueryError("NOT_SUPPORTED: line 1:1: This connector does not support versioned tables")
        return self._plain(table)

    def _iceberg(self, metadata: str, snapshot: int | None) -> ParquetFiles:
        properties = {
            "py-io-impl": "pyiceberg.io.pyarrow.PyArrowFileIO",
            "s3.region": self.region,
            "s3.access-key-id": self.credentials["AWS_ACCESS_KEY_ID"],
            "s3.secret-access-key": self.credentials["AWS_SECRET_ACCESS_KEY"],
        }
        if self.endpoint:
            properties["s3.endpoint"] = self.endpoint
        table = StaticTable.from_metadata(metadata, properties)
        if snapshot is not None and table.snapshot_by_id(snapshot) is None:
            raise QueryError(f"INVALID_ARGUMENTS: Iceberg snapshot ID does not exists: {snapshot}")
        tasks = list(table.scan(snapshot_id=snapshot).plan_files())
        assert not any(task.delete_files for task in tasks), "deletes are copies on write here"
        return ParquetFiles([task.file.file_path for task in tasks], table.schema().as_arrow())

    def _plain(self, table: Mapping[str, Any]) -> pa.Table:
        """Files below each partition's location, with the partition's values as columns."""
        columns, keys = table["StorageDescriptor"]["Columns"], table.get("PartitionKeys", [])
        schema = pa.schema([(c["Name"], _arrow(c["Type"])) for c in [*columns, *keys]])
        if not keys:
            whole = self._files(table["StorageDescriptor"]["Location"], schema)
            return pa.concat_tables([schema.empty_table(), *whole])
        pages = self.client("glue").get_paginator("get_partitions")
        found = [schema.empty_table()]
        for page in pages.paginate(DatabaseName=table["DatabaseName"], TableName=table["Name"]):
            for partition in page["Partitions"]:
                stored = pa.schema(list(schema)[: len(columns)])
                for rows in self._files(partition["StorageDescriptor"]["Location"], stored):
                    for key, value in zip(keys, partition["Values"], strict=True):
                        kind = schema.field(key["Name"]).type
                        values = pa.array([None if value == NULL_PARTITION else value] * rows.num_rows, pa.string())
                        rows = rows.append_column(key["Name"], values.cast(kind))
                    found.append(rows)
        return pa.concat_tables(found)

    def _files(self, location: str, schema: pa.Schema) -> list[pa.Table]:
        """A column that a file lacks is null."""
        bucket, _, prefix = location.removeprefix("s3://").partition("/")
        tables = []
        for key in self.objects.keys(bucket, prefix):
            rows = pq.read_table(io.BytesIO(self.objects.get(bucket, key) or b""))
            lacking = pa.nulls(rows.num_rows)
            given = {name: rows[name] if name in rows.column_names else lacking for name in schema.names}
            tables.append(pa.table(given).cast(schema))
        return tables


def _arrow(hive: str) -> pa.DataType:
    if hive.startswith("decimal("):
        precision, scale = hive.removeprefix("decimal(").rstrip(")").split(",")
        return pa.decimal128(int(precision), int(scale))
    return _HIVE[hive]


_HIVE: Mapping[str, pa.DataType] = {
    "boolean": pa.bool_(),
    "tinyint": pa.int8(),
    "smallint": pa.int16(),
    "int": pa.int32(),
    "bigint": pa.int64(),
    "float": pa.float32(),
    "double": pa.float64(),
    "string": pa.string(),
    "binary": pa.binary(),
    "date": pa.date32(),
    "timestamp": pa.timestamp("us"),
    "array<string>": pa.list_(pa.string()),
}
"""Types of plain tables that tests use."""
