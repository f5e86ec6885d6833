"""The interface of the warehouse: SQL in Athena's dialect over the lake's tables in, Arrow out.

No engine lives here. An engine reads, and writes no table: one becomes part of the lake only
through a commit.
"""

import difflib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Protocol

import pyarrow as pa


class QueryError(Exception):
    """A query cannot be answered: the message names the problem, the place in the SQL and the next step.

    It never holds a value of a row, so it may be logged.
    """


@dataclass(frozen=True, slots=True)
class ParquetFiles:
    """A table as Parquet files: their paths and the Arrow schema that readers see.

    A column of the schema that a file lacks reads as null; a column of a file that the schema lacks is not seen.
    No path at all is an empty table.
    """

    paths: Sequence[str]
    schema: pa.Schema


TableData = ParquetFiles | pa.Table
"""What a table's rows are made of, whoever keeps them."""


@dataclass(frozen=True, slots=True)
class QueryReport:
    """What a query took, where that is charged for.

    Attributes:
        query_id: Athena's.
        bytes_scanned: of the tables; what is charged may be more.
        milliseconds: from its arrival at Athena to its end.
    """

    query_id: str
    bytes_scanned: int
    milliseconds: int


def unknown_table(name: str, known: Iterable[str]) -> QueryError:
    """What to raise where a query names a table that is not there."""
    names = sorted(known)
    close = difflib.get_close_matches(name, names, n=1)
    hint = f" Did you mean {close[0]}?" if close else ""
    return QueryError(f"there is no table {name}.{hint} The tables are: {', '.join(names) or 'none yet'}")


class Warehouse(Protocol):
    """Answers SQL in Athena's dialect, engine version 3 (Trino)."""

    def query(self, sql: str) -> pa.Table:
        """Answer one SELECT (or WITH ... SELECT).

        Columns have the Arrow types of what Athena returns: no unsigned and no 128-bit integer, timestamps in UTC.

        Raises:
            QueryError: the SQL is wrong, names a table that is not there, or asks for what this engine cannot do right.
        """
        ...

    def ask(self, sql: str) -> tuple[pa.Table, QueryReport | None]:
        """As `query`, and what it took; None where nothing is charged for."""
        ...
