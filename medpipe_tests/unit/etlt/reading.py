"""What tests look at of a file made flat."""

import json
import tempfile
from dataclasses import dataclass
from pathlib import Path

import pyarrow.parquet as pq

from medpipe_assets.etlt import duck
from medpipe_assets.etlt.contract import Contract
from medpipe_assets.etlt.flatten import flatten_file
from medpipe_assets.etlt.records import FlatFile


@dataclass
class Read:
    """A flat file, its rows as tuples of the contract's fields (None where empty), and its rejects."""

    file: FlatFile
    rows: list[tuple[str | None, ...]]
    numbers: list[int]  # of the rows, where the file has them
    rejects: list[tuple[int, str, str | None]]


def read(contract: Contract, data: bytes) -> Read:
    """Flatten a file of these bytes."""
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        path = folder / "input"
        path.write_bytes(data)
        with duck.connected(folder) as connection:
            flat = flatten_file(contract, path, folder, connection)
        if flat.format == "csv":
            records = pq.read_table(flat.path).to_pylist()
        else:
            records = [json.loads(line) for line in flat.path.read_text(encoding="utf-8").split("\n")[:-1]]
        rejects = pq.read_table(flat.rejects).to_pylist() if flat.rejects else []
    return Read(
        flat,
        [tuple(record.get(name) or None for name in contract.fields) for record in records],
        [record["_row"] for record in records if "_row" in record],
        [(reject["row_number"], reject["reason"], reject["record"]) for reject in rejects],
    )
