"""The lake's tables as a person's SQL sees them: rows in force only, now or at a past time.

A stage's table keeps rows that are superseded until the next sweep; whoever asks SQL sees those that the ledger
vouches for. `stage_status_in_force` is the ledger reduced to the verdicts in force.
"""

import datetime as dt
from collections.abc import Callable, Mapping

from medpipe_assets.lake.lake import Lake
from medpipe_assets.lake.schemas import TABLES
from medpipe_assets.warehouse.duckdb import DuckDBWarehouse
from medpipe_assets.warehouse.engine import ParquetFiles, TableData

IN_FORCE = """
    select * from stage_status
    qualify row_number() over (
        partition by stage, document_id order by fence desc, processed_at desc
    ) = 1
"""

VOUCHED = """
    select t.* from {table} t
    semi join (
        select document_id, run_id, processed_at from (
            select * from stage_status where stage = '{stage}'
            qualify row_number() over (partition by document_id order by fence desc, processed_at desc) = 1
        ) where outcome = 'done'
    ) v using (document_id, run_id, processed_at)
"""


def views() -> Mapping[str, str]:
    """DuckDB SELECTs by the name under which they hide a base table, or add to them."""
    vouched = {c.name: VOUCHED.format(table=c.name, stage=c.stage) for c in TABLES.values() if c.stage is not None}
    return {**vouched, "stage_status_in_force": IN_FORCE}


def base_tables(lake: Lake, as_of: dt.datetime | None = None) -> Callable[[str], TableData | None]:
    """A table as stored, by name: the files of a local lake, the rows of one on S3; None where no table has it."""

    def table(name: str) -> TableData | None:
        contract = TABLES.get(name)
        if contract is None:
            return None
        stored = lake.contents(name, as_of) if lake.exists(name) else []
        return ParquetFiles(stored, contract.schema) if isinstance(stored, list) else stored

    return table


def lake_warehouse(lake: Lake, as_of: dt.datetime | None = None) -> DuckDBWarehouse:
    """SQL over a lake, now or at a past time."""
    return DuckDBWarehouse(
        base_tables(lake, as_of), views=views(), names=lambda: list(TABLES), temp_directory=lake.location.scratch
    )
