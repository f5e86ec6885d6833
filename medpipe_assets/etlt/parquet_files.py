"""Parquet files for an Iceberg table, written by DuckDB: with the table's field ids, a partition a file."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

import duckdb
from pyiceberg.schema import Schema
from pyiceberg.types import IcebergType, ListType, NestedField, StructType

from medpipe_assets.etlt.kinds import literal
from medpipe_assets.etlt.typed import listed, quoted

FILE_BYTES = "32MB"
"""A partition has a second file from about there on: a merge that meets one row of a file writes the file anew."""


_PARTITION = "_partition"


@dataclass(frozen=True, slots=True)
class Written:
    """A file, its number of rows, and its partition as text, the columns' values joined by '/'."""

    path: Path
    rows: int
    partition: str


def write(
    connection: duckdb.DuckDBPyConnection, sql: str, schema: Schema, partition_by: Iterable[str], folder: Path
) -> list[Written]:
    """Write a query's rows below a folder.

    Args:
        schema: of the table; the query has its columns, or some of them, of the same types.
        folder: is made.
    """
    ids = ", ".join(_field_id(column) for column in schema.fields)
    options = [f"FORMAT parquet, COMPRESSION snappy, FILE_SIZE_BYTES '{FILE_BYTES}'", f"FIELD_IDS {{{ids}}}"]
    columns = tuple(partition_by)
    if columns:
        # DuckDB names folders by the values; these may be of any length, and are nobody's business.
        sql = f"SELECT *, hash({listed(columns)}) AS {_PARTITION} FROM ({sql})"
        options.append(f"PARTITION_BY ({_PARTITION})")
    written = connection.execute(f"COPY ({sql}) TO {literal(str(folder))} ({', '.join(options)}, RETURN_STATS true)")
    return [
        Written(Path(path), rows, "/".join(_only_value(statistics, column) for column in columns))
        for path, rows, _, _, statistics, *_ in written.fetchall()
        if rows
    ]


def _only_value(statistics: Mapping[str, Mapping[str, str]], column: str) -> str:
    """The value that a column has in a whole file, as text."""
    return statistics.get(quoted(column), {}).get("min", "null")


def _field_id(field: NestedField) -> str:
    return f"{quoted(field.name)}: {_ids_of(field.field_type, field.field_id)}"


def _ids_of(kind: IcebergType, own: int) -> str:
    inside: list[str] = []
    if isinstance(kind, ListType):
        inside = [f"element: {_ids_of(kind.element_type, kind.element_id)}"]
    elif isinstance(kind, StructType):
        inside = [_field_id(field) for field in kind.fields]
    return f"{{{', '.join([f'__duckdb_field_id: {own}', *inside])}}}" if inside else str(own)
