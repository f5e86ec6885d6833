"""What loads there were, and what the next is to be made of: the ledger's lines, and a day's flat files.

The ledger's line of a load is written last. The table's own NOTE has it too, from the commit on that published the
load, so that one that is killed in between gets its line with the next.
"""

import datetime as dt
import hashlib
import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import pyarrow as pa
from pyiceberg.expressions import And, BooleanExpression, EqualTo

from medpipe_assets.etlt.contract import Contract
from medpipe_assets.etlt.flatten import flatten_version
from medpipe_assets.lake.lake import Lake
from medpipe_assets.lake.leases import Lease
from medpipe_assets.lake.publication import Finding
from medpipe_assets.lake.schemas import DATASET_LOADS

CODE_VERSION = "1"
"""Changes when the same records would make other rows."""
NOTE = "medpipe.load"
"""The table's property that holds the ledger's line of the load published last."""


@dataclass(frozen=True)
class LoadReport:
    """What a load came to; the fields up to `snapshot_id` are the columns of dataset_loads.

    Attributes:
        warned: rule -> records that break it and were kept.
        findings: of the checks on the table as it was to be published.
        published: whether the load stands.
        repeated: it stood already, and nothing was done.
    """

    dataset: str
    load_date: dt.date
    load_version: str
    files: int = 0
    rows_in: int = 0
    rows_out: int = 0
    rows_rejected: int = 0
    rejected_by_reason: Mapping[str, int] = field(default_factory=dict)
    duplicates: int = 0
    rows_replaced: int = 0
    nulled: int = 0
    partitions: tuple[str, ...] = ()
    snapshot_id: int | None = None
    warned: Mapping[str, int] = field(default_factory=dict)
    findings: tuple[Finding, ...] = ()
    published: bool = False
    repeated: bool = False

    def as_row(self, run_id: str, now: dt.datetime) -> dict[str, Any]:
        """As a row of dataset_loads."""
        row = {name: getattr(self, name) for name in DATASET_LOADS.schema.names if hasattr(self, name)}
        reasons = json.dumps(dict(sorted(self.rejected_by_reason.items())))
        partitions = " ".join(self.partitions)
        return row | {
            "rejected_by_reason": reasons,
            "partitions": partitions,
            "run_id": run_id,
            "processed_at": now,
        }


@dataclass(frozen=True)
class FlatInput:
    """A file of the day, flat: a row of dataset_flattened, with where it came from."""

    file_id: str
    flatten_version: str
    path: str
    is_json: bool
    layout: str | None
    absent: str
    records: int
    rows: int
    rejected: int
    name: str
    sequence: int


def of_day(contract: Contract, day: dt.date) -> BooleanExpression:
    return And(EqualTo("dataset", contract.dataset), EqualTo("load_date", day.isoformat()))


def inputs_of(lake: Lake, contract: Contract, day: dt.date) -> list[FlatInput]:
    """The day's flat files by the contract's version of flattening, in the order of their receipt, each once."""
    received: dict[str, tuple[int, str]] = {}
    for row in lake.read("dataset_files", ("file_id", "uri", "sequence"), where=of_day(contract, day)).to_pylist():
        name = row["uri"].replace("\\", "/").rstrip("/").rpartition("/")[2]
        received[row["file_id"]] = max(received.get(row["file_id"], (0, "")), (row["sequence"], name))
    current = And(of_day(contract, day), EqualTo("flatten_version", flatten_version(contract)))
    flat = sorted(lake.read("dataset_flattened", where=current).to_pylist(), key=lambda row: row["processed_at"])
    found = [
        FlatInput(
            file_id=row["file_id"],
            flatten_version=row["flatten_version"],
            path=row["path"],
            is_json=row["path"].endswith(".ndjson"),
            layout=row["layout"],
            absent=row["absent"],
            records=row["records"],
            rows=row["rows"],
            rejected=row["rejected"],
            sequence=received.get(row["file_id"], (0, ""))[0],
            name=received.get(row["file_id"], (0, ""))[1],
        )
        for row in {row["file_id"]: row for row in flat}.values()
    ]
    return sorted(found, key=lambda file: (file.sequence, file.file_id))


def load_version(contract: Contract, inputs: Sequence[FlatInput]) -> str:
    parts = ("load_mode", "fields", "columns", "primary_key", "order", "partition_by", "history", "rules", "checks")
    stated = contract.model_dump(mode="json", include=set(parts))
    files = [[file.file_id, file.flatten_version] for file in inputs]
    return hashlib.sha256(json.dumps([CODE_VERSION, stated, files], sort_keys=True).encode()).hexdigest()[:32]


def ledger_of(lake: Lake, contract: Contract, lease: Lease) -> dict[dt.date, dict[str, Any]]:
    """The ledger's lines of the dataset by day, after a load that was killed before it had its own has got it."""
    rows = lake.read("dataset_loads", where=EqualTo("dataset", contract.dataset)).to_pylist()
    found = {row["load_date"]: row for row in sorted(rows, key=lambda row: row["processed_at"])}
    table = lake.table(contract.table_name)
    if note := table.properties.get(NOTE):
        row = json.loads(note)
        row["load_date"] = dt.date.fromisoformat(row["load_date"])
        row["processed_at"] = dt.datetime.fromisoformat(row["processed_at"])
        last = found.get(row["load_date"])
        if last is None or last["processed_at"] < row["processed_at"]:
            snapshot = table.current_snapshot()
            row["snapshot_id"] = None if snapshot is None else snapshot.snapshot_id
            write_line(lake, lease, row)
            found[row["load_date"]] = row
    return found


def write_line(lake: Lake, lease: Lease, row: Mapping[str, Any]) -> None:
    same = And(EqualTo("dataset", row["dataset"]), EqualTo("load_date", row["load_date"].isoformat()))
    with lake.leases.commit(lease):
        lake.write("dataset_loads", pa.Table.from_pylist([dict(row)], schema=DATASET_LOADS.schema), replace=same)


def report_of(row: Mapping[str, Any]) -> LoadReport:
    """The report of a load that stands."""
    values = {name: value for name, value in row.items() if name in LoadReport.__dataclass_fields__}
    values["rejected_by_reason"] = json.loads(row["rejected_by_reason"])
    values["partitions"] = tuple(row["partitions"].split())
    return LoadReport(**values, published=True, repeated=True)


def rejected_before(lake: Lake, contract: Contract, day: dt.date, inputs: Sequence[FlatInput]) -> dict[str, int]:
    """Records of the files that were rejected when they were flattened, by reason."""
    if not any(file.rejected for file in inputs):
        return {}
    where = And(of_day(contract, day), EqualTo("stage", "flattened"))
    rows = lake.read("dataset_rejects", ("file_id", "reason"), where=where)
    files = {file.file_id for file in inputs}
    pairs = zip(rows["file_id"].to_pylist(), rows["reason"].to_pylist(), strict=True)
    return dict(Counter(reason for file_id, reason in pairs if file_id in files))
