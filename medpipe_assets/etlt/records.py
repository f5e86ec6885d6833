"""What a reader makes of a file: flat records in a file of their own, and an account of every record there was."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from medpipe_assets.etlt.columns import SourceColumn

MALFORMED, BLANK, REPEATED_HEADER = "malformed", "blank", "repeated_header"
"""Why a record does not go on."""
MAX_REJECT_CHARACTERS = 100_000
"""What is kept of the text of a rejected record."""


@dataclass(frozen=True)
class FlatFile:
    """A file's records, flat.

    Attributes:
        path: Parquet with a text column for every field of the contract, in the file's order (`csv`); or NDJSON with
            the fields that the file has, as text, and `_row`, the record's number in the file (`json`).
        format: 'csv' or 'json'.
        encoding: of the text.
        delimiter: of CSV.
        layout: the contract's layout that it has.
        rows: records that went on.
        rejected: reason -> records that did not.
        rejects: Parquet with row_number (from 1, the header not counted), reason and record; None without any.
        columns: the file's own.
        absent: fields that it does not have.
    """

    path: Path
    format: str
    encoding: str
    delimiter: str | None
    layout: str | None
    rows: int
    rejected: Mapping[str, int]
    rejects: Path | None
    columns: tuple[SourceColumn, ...]
    absent: tuple[str, ...]

    @property
    def records(self) -> int:
        """All records found."""
        return self.rows + sum(self.rejected.values())
