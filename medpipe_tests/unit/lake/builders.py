"""Small rows for lakes under test: documents, verdicts, pages. Values are made up; only what a test names matters."""

import datetime as dt
import hashlib
from collections.abc import Iterable, Sequence
from typing import Any

import pyarrow as pa

from medpipe_assets.lake.lake import Lake
from medpipe_assets.lake.schemas import TABLES

DAY = dt.date(2026, 11, 2)
NEXT_DAY = dt.date(2026, 11, 3)
NOW = dt.datetime(2026, 11, 2, 12, tzinfo=dt.UTC)
VOLATILE = frozenset(
    {"run_id", "processed_at", "fence", "received_at", "first_failed_at", "last_failed_at", "attempts"}
)
"""Columns in which a run that was cut off and done again may differ from one that was not."""

_DEFAULTS: dict[pa.DataType, Any] = {
    pa.string(): "x",
    pa.bool_(): False,
    pa.int32(): 1,
    pa.int64(): 1,
    pa.float32(): 0.5,
    pa.float64(): 0.5,
    pa.date32(): DAY,
    pa.timestamp("us", tz="UTC"): NOW,
}


def document(name: str | int) -> str:
    """A document id."""
    return hashlib.sha256(str(name).encode()).hexdigest()


def rows(table: str, *given: dict[str, Any]) -> pa.Table:
    """Rows of a table in which only some columns matter; the others get any valid value (nulls where allowed)."""
    contract = TABLES[table]
    defaults = {
        c.name: None if c.nullable else [] if pa.types.is_list(c.type) else _DEFAULTS[c.type] for c in contract.columns
    }
    unknown = {name for row in given for name in row} - set(defaults)
    assert not unknown, f"no such columns: {unknown}"
    return pa.Table.from_pylist([{**defaults, **row} for row in given], schema=contract.schema)


def put(lake: Lake, table: str, *given: dict[str, Any]) -> None:
    """Append rows to a table."""
    lake.write(table, rows(table, *given))


def receive(lake: Lake, documents: Iterable[str], day: dt.date = DAY) -> None:
    """Record documents as received on a day, each from a source of its own."""
    listed = list(documents)
    numbers = lake.leases.next_numbers("document_sources", len(listed))
    put(
        lake,
        "document_sources",
        *(
            {"source_id": f"source of {d}", "document_id": d, "ingest_date": day, "uri": f"file:///{d}", "sequence": n}
            for d, n in zip(listed, numbers, strict=True)
        ),
    )


def verdict_row(document_id: str, stage: str = "raw_documents", **more: Any) -> dict[str, Any]:
    """A row of stage_status, done unless told otherwise."""
    return {"document_id": document_id, "stage": stage, "outcome": "done", "row_count": 1, "fence": 1, **more}


def content(lake: Lake, tables: Sequence[str], leave_out: Iterable[str] = VOLATILE) -> dict[str, list[str]]:
    """What tables hold, in a fixed order, without the columns that tell one run from another.

    Of other times only whether they are set counts, unless nothing is left out.
    """
    left_out = set(leave_out)

    def told(value: Any) -> Any:
        return "a time" if left_out and isinstance(value, dt.datetime) else value

    return {
        name: sorted(
            repr({column: told(value) for column, value in row.items() if column not in left_out})
            for row in lake.read(name).to_pylist()
        )
        for name in tables
    }
