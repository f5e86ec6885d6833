"""Flat records of a day for loads under test: files in the preprocessed zone, and what the ledger says of them."""

import datetime as dt
import hashlib
import io
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from medpipe_assets.etlt.contract import Contract, parse
from medpipe_assets.etlt.flatten import flatten_version
from medpipe_assets.etlt.history import history_contract
from medpipe_assets.lake.lake import Lake
from medpipe_assets.lake.location import LakeLocation
from medpipe_assets.lake.objects import store_at
from medpipe_assets.lake.schemas import DATASET_FILES, DATASET_FLATTENED, DATASET_REJECTS, TABLES

DAY = dt.date(2026, 11, 2)
NOW = dt.datetime(2026, 11, 2, 12, tzinfo=dt.UTC)
Record = Mapping[str, str | None]

CLINICS = """
dataset: clinics
line: providers
description: Clinics of a test.
row: a clinic
primary_key: [id, state]
order: [since desc]
partition_by: [state]
fields:
  id: {kind: identifier(3), description: id, required: true}
  place: {kind: state, description: state as stated, invalid: "null", keep: false}
  name: {description: name, phi: true}
  since: {kind: date, description: day of enrollment}
  beds: {kind: integer, description: beds, invalid: "null"}
  status: {description: status as stated, keep: false}
columns:
  state: {type: varchar, sql: "coalesce(place, 'UNKNOWN')", description: state}
  years: {type: bigint, sql: "date_diff('year', since, :as_of)", description: years since}
rules:
  has_a_name: {sql: "name <> 'nobody'", description: a clinic has a name}
  is_open: {sql: "coalesce(status, 'A') = 'A'", description: the clinic is open, otherwise: remove}
  has_beds: {sql: "beds > 0", description: a clinic has beds, otherwise: warn}
checks:
  one_row: {description: a clinic has one row, not_null: [id, state], unique: [id, state]}
"""


def contract(text: str = CLINICS, **changes: Any) -> Contract:
    """A contract from YAML, with some entries changed."""
    return Contract.model_validate({**parse(text, "test").model_dump(), **changes})


def lake_at(location: LakeLocation, *contracts: Contract) -> Lake:
    """A lake with the tables of some contracts; empty where there is none yet."""
    tables = dict(TABLES)
    for stated in contracts:
        made = (stated.table_contract, history_contract(stated))
        tables |= {table.name: table for table in made if table}
    return Lake(location, tables=tables)


def lake_of(folder: Path, *contracts: Contract) -> Lake:
    """As `lake_at`, in a folder."""
    return lake_at(LakeLocation.under(folder), *contracts)


def put_file(
    lake: Lake,
    stated: Contract,
    records: Sequence[Record],
    *,
    day: dt.date = DAY,
    sequence: int = 1,
    as_json: bool = False,
    rejected: Mapping[int, str] | None = None,
    version: str = "",
    nonce: str = "",
) -> str:
    """Put a file's flat records into the lake, as of its receipt on a day; gives the file's id.

    Args:
        rejected: reason of each record that was rejected when the file was flattened, by its number.
        version: of flattening; the contract's when empty.
    """
    rejected = rejected or {}
    version = version or flatten_version(stated)
    file_id = hashlib.sha256(json.dumps([list(map(dict, records)), nonce]).encode()).hexdigest()
    name = f"datasets/{stated.dataset}/{day}/{file_id}-{version}.{'ndjson' if as_json else 'parquet'}"
    data = _as_ndjson(records, rejected) if as_json else _as_parquet(stated, records)
    store_at(lake.location.preprocessed).put(name, data)
    common = {"dataset": stated.dataset, "load_date": day, "file_id": file_id, "run_id": "test", "processed_at": NOW}
    _append(
        lake,
        DATASET_FILES.name,
        {
            **common,
            "uri": f"file:///in/file-{sequence}.csv",
            "version": str(sequence),
            "size_bytes": 1,
            "sequence": sequence,
            "received_at": NOW,
            "raw_key": f"datasets/{file_id}",
        },
    )
    _append(
        lake,
        DATASET_FLATTENED.name,
        {
            **common,
            "flatten_version": version,
            "path": name,
            "format": "json" if as_json else "csv",
            "encoding": "utf-8",
            "delimiter": None,
            "layout": None,
            "records": len(records) + len(rejected),
            "rows": len(records),
            "rejected": len(rejected),
            "columns": "{}",
            "absent": "",
        },
    )
    more = {"stage": "flattened", "column": None, "record": None}
    _append(
        lake, DATASET_REJECTS.name, *({**common, **more, "row_number": n, "reason": why} for n, why in rejected.items())
    )
    return file_id


def _as_ndjson(records: Sequence[Record], rejected: Mapping[int, str]) -> bytes:
    numbers = [n for n in range(1, len(records) + len(rejected) + 1) if n not in rejected]
    lines = [json.dumps({**row, "_row": n}) for n, row in zip(numbers, records, strict=True)]
    return "".join(f"{line}\n" for line in lines).encode()


def _as_parquet(stated: Contract, records: Sequence[Record]) -> bytes:
    columns = {field: pa.array([row.get(field) for row in records], pa.string()) for field in stated.fields}
    pq.write_table(pa.table(columns), written := io.BytesIO())
    return written.getvalue()


def _append(lake: Lake, table: str, *rows: dict[str, Any]) -> None:
    lake.write(table, pa.Table.from_pylist(list(rows), schema=TABLES[table].schema))


def rows_of(lake: Lake, table: str, *columns: str) -> list[tuple[Any, ...]]:
    """Some columns of a table's rows, in order of their text."""
    found = lake.read(table, columns).to_pydict()
    return sorted(zip(*(found[column] for column in columns), strict=True), key=repr)
