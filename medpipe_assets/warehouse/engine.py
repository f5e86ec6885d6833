"""The interface of the warehouse: SQL in Athena's dialect over the lake's tables in, Arrow out.

No engine lives here. An engine reads and never writes: a table becomes part of the lake only
through a commit.
"""

from collections.abc import Sequence
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


class Warehouse(Protocol):
    """Answers SQL in Athena's dialect, engine version 3 (Trino)."""

    def query(self, sql: str) -> pa.Table:
        """Answer one SELECT (or WITH ... SELECT).

        Columns have the Arrow types of what Athena returns: no unsigned and no 128-bit integer, timestamps in UTC.

        Raises:
            QueryError: the SQL is wrong, names a table that is not there, or asks for what this engine cannot do right.
        """
        ...
