"""The lake's tables as SQL sees them, whatever engine asks: rows in force only, now or at a past time.

A stage's table keeps rows that are superseded until the next sweep; whoever asks SQL sees those that the ledger
vouches for. The views are in the SQL that DuckDB and Athena share: the one shows them itself, before the other's
queries they stand as named queries (athena_lake.py), and glue_tables.py can make views of them.
"""

import datetime as dt
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field

import pyarrow as pa
import pyarrow.compute as pc
import sqlglot
from sqlglot import exp

from medpipe_assets.lake.lake import Lake
from medpipe_assets.lake.schemas import INGEST_DATE, TABLES, TableContract
from medpipe_assets.warehouse.duckdb import DuckDBWarehouse
from medpipe_assets.warehouse.engine import ParquetFiles, TableData, Warehouse

IN_FORCE = """
    SELECT {columns} FROM (
        SELECT *, row_number() OVER (
            PARTITION BY stage, ingest_date, document_id ORDER BY fence DESC, processed_at DESC
        ) AS place
        FROM stage_status
    ) verdicts
    WHERE place = 1
"""
"""The ledger, reduced to the verdict in force of each document. A document's day is among the keys, since engines push
a condition on a key, and no other, through the window: a query of one day then reads one day of the ledger."""

VOUCHED = """
    SELECT t.* FROM {table} t
    JOIN stage_status_in_force v
        ON t.document_id = v.document_id AND t.ingest_date = v.ingest_date
        AND t.run_id = v.run_id AND t.processed_at = v.processed_at
    WHERE v.stage = '{stage}' AND v.outcome = 'done'
"""

CURRENT = """
    SELECT DISTINCT document_id, first_day AS ingest_date FROM (
        SELECT document_id, deleted,
            row_number() OVER (PARTITION BY source_id ORDER BY sequence DESC) AS place,
            first_value(ingest_date) OVER (PARTITION BY document_id ORDER BY sequence) AS first_day
        FROM document_sources
    ) receipts
    WHERE place = 1 AND document_id IS NOT NULL AND NOT deleted
"""
"""Documents that are the latest of at least one source, and the day of each: that of its first receipt."""


def views(tables: Mapping[str, TableContract] = TABLES) -> Mapping[str, str]:
    """SELECTs by the name under which they hide a table, or add to the tables."""
    ledger = ", ".join(TABLES["stage_status"].schema.names)
    vouched = {c.name: VOUCHED.format(table=c.name, stage=c.stage) for c in tables.values() if c.stage is not None}
    return {**vouched, "stage_status_in_force": IN_FORCE.format(columns=ledger), "current_documents": CURRENT}


@dataclass(frozen=True)
class Scope:
    """Which part of a lake a query sees.

    Attributes:
        as_of: the tables as they were then.
        days: of documents, to which all but the receipts is restricted; None for all.
        documents: to which an engine may restrict it further, to have less to read; None for all.
        pinned: snapshots of tables that must not be newer.
    """

    as_of: dt.datetime | None = None
    days: Collection[dt.date] | None = None
    documents: Collection[str] | None = None
    pinned: Mapping[str, int | None] = field(default_factory=dict)

    def views(self, tables: Mapping[str, TableContract] = TABLES) -> dict[str, exp.Select]:
        """The views, parsed, each restricted to the days."""
        return {name: self._of_days(_select(text)) for name, text in views(tables).items()}

    def _of_days(self, select: exp.Select) -> exp.Select:
        if self.days is None:
            return select
        return exp.select("*").from_(select.subquery("rows_of_all_days")).where(in_days(self.days))

    def days_of(self, contract: TableContract) -> Collection[dt.date] | None:
        """The days to which a table is to be restricted; None for all, as where rows lie on another day than their
        document's.
        """
        return self.days if INGEST_DATE in contract.columns else None


EVERYTHING = Scope()

WarehouseOver = Callable[[Lake, Scope], Warehouse]
"""Makes an engine's warehouse over a part of a lake."""


def _select(text: str) -> exp.Select:
    parsed = sqlglot.parse_one(text, read="trino")
    assert isinstance(parsed, exp.Select)
    return parsed


def in_days(days: Collection[dt.date]) -> exp.Expr:
    """A condition for rows of these days, in the dialects of both engines; of none, false."""
    if not days:
        return exp.false()
    dates = [exp.cast(exp.Literal.string(day.isoformat()), "date") for day in sorted(days)]
    return exp.column("ingest_date").isin(*dates)


def base_tables(lake: Lake, scope: Scope = EVERYTHING) -> Callable[[str], TableData | None]:
    """A table as stored, by name: the files of a local lake, the rows of one on S3; None where no table has it."""

    def table(name: str) -> TableData | None:
        contract = lake.tables.get(name)
        if contract is None:
            return None
        if not lake.exists(name):
            return contract.schema.empty_table()
        days, pinned = scope.days_of(contract), scope.pinned.get(name)
        if name == "document_sources" and scope.documents is not None:
            return _receipts_beside(lake, scope.documents, pinned)
        if days is not None and scope.documents is None and not lake.location.is_remote:
            return ParquetFiles(lake.paths(name, days=days, snapshot_id=pinned), contract.schema)
        if days is not None or name in scope.pinned:
            documents = scope.documents if days is not None else None
            return lake.read(name, days=days, documents=documents, snapshot_id=pinned)
        stored = lake.contents(name, scope.as_of)
        return ParquetFiles(stored, contract.schema) if isinstance(stored, list) else stored

    return table


def _receipts_beside(lake: Lake, documents: Collection[str], snapshot_id: int | None) -> pa.Table:
    """All receipts of the sources of some documents: they tell which of these are current."""
    rows = lake.read("document_sources", snapshot_id=snapshot_id)
    named = pc.is_in(rows["document_id"], pa.array(sorted(documents), pa.string()))
    return rows.filter(pc.is_in(rows["source_id"], rows.filter(named)["source_id"].unique()))


def lake_warehouse(lake: Lake, scope: Scope = EVERYTHING) -> DuckDBWarehouse:
    """SQL over a lake on this machine."""
    return DuckDBWarehouse(
        base_tables(lake, scope),
        views={name: select.sql("duckdb") for name, select in scope.views(lake.tables).items()},
        names=lambda: list(lake.tables),
        temp_directory=lake.location.scratch,
    )
