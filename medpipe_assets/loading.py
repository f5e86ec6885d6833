"""Loads started from the command line: what is asked for, the runs it takes, and what came of them.

The work itself is the Dagster graph, materialised in this process by `defs.execution`.
"""

import datetime as dt
import json
import sys
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from medpipe_assets.etlt.contract import Contract, contract_of
from medpipe_assets.etlt.result_sql import transforms_of
from medpipe_assets.etlt.sources import received_on, request
from medpipe_assets.lake.lake import Lake
from medpipe_assets.progress import progress_for

SUMMED = ("files", "rows_in", "rows_out", "rows_rejected", "duplicates", "rows_replaced", "nulled")


@dataclass
class LoadResult:
    """What `medpipe load` tells: counts over the day's load, as the ledger has them, and the tables that stand now."""

    contract: Contract
    lake: Lake
    day: dt.date
    load: dict[str, Any] | None = None
    tables: dict[str, int] = field(default_factory=dict)
    seconds: dict[str, float] = field(default_factory=dict)
    total_seconds: float = 0.0
    failures: list[str] = field(default_factory=list)

    def as_json(self) -> dict[str, Any]:
        """Counts, reasons and names of tables; no file name and no value."""
        load = self.load or {}
        return {
            "dataset": self.contract.dataset,
            "load_date": self.day.isoformat(),
            **{name: load.get(name, 0) for name in SUMMED if name != "rows_rejected"},
            "rows_rejected": json.loads(load.get("rejected_by_reason", "{}")),
            "partitions": load.get("partitions", "").split(),
            "seconds": {asset: round(value, 3) for asset, value in self.seconds.items()},
            "total_seconds": round(self.total_seconds, 3),
            "tables": self.tables,
            "lake": self.lake.location.root,
        }

    def rejected(self) -> Counter[tuple[str, str]]:
        """Rejected records of the day by (column or '', reason)."""
        rows = self.lake.read("dataset_rejects", ("dataset", "load_date", "column", "reason")).to_pylist()
        of_day = [row for row in rows if row["dataset"] == self.contract.dataset and row["load_date"] == self.day]
        return Counter((row["column"] or "", row["reason"]) for row in of_day)


def load_dataset(lake: Lake, dataset: str, inputs: Sequence[str], day: dt.date | None = None) -> LoadResult:
    """Load what is at the inputs, and rebuild the dataset's result tables.

    Args:
        inputs: files, folders, `s3://` prefixes or `https://` and `sftp://` addresses.
        day: the load date; today (UTC) when None.

    Raises:
        ConfigurationError: where there is no such dataset or input.
    """
    begun = time.monotonic()
    contract = contract_of(dataset)
    today = dt.datetime.now(dt.UTC).date()
    result = LoadResult(contract, lake, day or today)
    if not request(lake, contract, inputs, result.day):
        # All was received before: that day's load is what there is to tell, and to finish where it was cut off.
        result.day = max(received_on(lake, contract, inputs), default=result.day)
    from medpipe_assets.defs.execution import run_dataset

    with progress_for(sys.stderr) as progress:
        outcome = run_dataset(lake.location, contract.dataset, result.day, progress=progress)
    result.failures, result.seconds = outcome.failures, outcome.seconds
    result.load = latest_load(lake, contract, result.day)
    names = [contract.table_name, *(transform.name for transform in transforms_of(contract))]
    result.tables = {name: row_count(lake, name) for name in names if lake.exists(name)}
    result.total_seconds = time.monotonic() - begun
    return result


def latest_load(lake: Lake, contract: Contract, day: dt.date) -> dict[str, Any] | None:
    """The ledger's last row about a day's load; None where nothing was published."""
    rows = lake.read("dataset_loads").to_pylist()
    found = [row for row in rows if row["dataset"] == contract.dataset and row["load_date"] == day]
    return max(found, key=lambda row: row["processed_at"], default=None)


def row_count(lake: Lake, name: str) -> int:
    """Rows of a table, from its metadata alone."""
    return sum(task.file.record_count for task in lake.table(name).scan().plan_files())
