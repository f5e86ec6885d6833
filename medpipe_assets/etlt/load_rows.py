"""A load under way, and the SQL for the rows that it writes: its own, and those of the files that it replaces."""

import datetime as dt
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from functools import reduce
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from pyiceberg.expressions import And, BooleanExpression, EqualTo, GreaterThanOrEqual, In, LessThanOrEqual, Or
from pyiceberg.manifest import DataFile

from medpipe_assets.etlt import merge
from medpipe_assets.etlt.contract import Contract
from medpipe_assets.etlt.history import REMOVED, STANDING, history_contract
from medpipe_assets.etlt.kinds import literal
from medpipe_assets.etlt.load_ledger import FlatInput, of_day
from medpipe_assets.etlt.merge import LOAD_DAY
from medpipe_assets.etlt.typed import (
    CODE_OF_MARK,
    FILE_OF_PLACE,
    MARK,
    PLACE,
    PLACE_OF_MARK,
    ROW_OF_PLACE,
    RecordFile,
    TypedRecords,
    listed,
    quoted,
    records,
)
from medpipe_assets.lake.lake import Lake
from medpipe_assets.lake.leases import Lease
from medpipe_assets.lake.publication import ALL_FILES, All

BLOCK_BITS = 12
MOST_PARTITIONS_NAMED = 1_000
"""Up to so many partitions are looked for by their values, beyond them by the range of the key alone."""


@dataclass(frozen=True)
class Work:
    """A load under way."""

    lake: Lake
    contract: Contract
    typed: TypedRecords
    inputs: Sequence[FlatInput]
    lease: Lease
    scratch: Path
    connection: duckdb.DuckDBPyConnection
    run_id: str
    now: dt.datetime

    @property
    def table(self) -> str:
        return self.contract.table_name

    @property
    def day(self) -> dt.date:
        return self.typed.day


def make_records(work: Work) -> None:
    """The relation `records`, and `files`, where each came from."""
    root = work.lake.location.zone("preprocessed")
    paths = work.lake.local_copies([f"{root}/{file.path}" for file in work.inputs], work.scratch / "flat")
    files = [
        RecordFile(str(path), file.is_json, frozenset() if file.is_json else frozenset(pq.read_schema(path).names))
        for path, file in zip(paths, work.inputs, strict=True)
    ]
    work.connection.execute(f"CREATE TEMP VIEW records AS {records(files, list(work.contract.fields))}")
    sources = pa.table(
        {
            "number": pa.array(range(len(files)), pa.int64()),
            "file_id": [file.file_id for file in work.inputs],
            "name": [file.name for file in work.inputs],
            "layout": pa.array([file.layout for file in work.inputs], pa.string()),
            "absent": pa.array([file.absent or None for file in work.inputs], pa.string()),
        }
    )
    work.connection.register("files", sources)
    work.connection.register("shifts", _shifts(work, files))


def _shifts(work: Work, files: Sequence[RecordFile]) -> pa.Table:
    """How many records before each row of a file were rejected when it was flattened, where its rows do not say.

    The row's number i gives its block; `base` of the file's rejected records are before the block, and those `inside`,
    by the number of the row that each is just before.
    """
    numbers = {
        file.file_id: number
        for number, (file, flat) in enumerate(zip(work.inputs, files, strict=True))
        if file.rejected and not flat.is_json and "_row" not in flat.columns
    }
    blocks: list[dict[str, Any]] = []
    if numbers:
        where = And(of_day(work.contract, work.day), EqualTo("stage", "flattened"))
        rejects = work.lake.read("dataset_rejects", ("file_id", "row_number"), where=where)
        for file_id, number in numbers.items():
            rejected = np.sort(rejects.filter(pc.equal(rejects["file_id"], file_id))["row_number"].to_numpy())
            before = rejected - np.arange(len(rejected))
            for block in range((work.inputs[number].rows >> BLOCK_BITS) + 1):
                base, end = np.searchsorted(before, [block << BLOCK_BITS, (block + 1) << BLOCK_BITS])
                blocks.append(
                    {"number": number, "block": block, "base": int(base), "inside": before[base:end].tolist()}
                )
    kinds = [("number", pa.int64()), ("block", pa.int64()), ("base", pa.int64()), ("inside", pa.list_(pa.int64()))]
    return pa.Table.from_pylist(blocks, schema=pa.schema(kinds))


_ROW = f"(r.{ROW_OF_PLACE})"
SOURCE_ROW = f"{_ROW} + coalesce(s.base + len(list_filter(s.inside, lambda n: n <= {_ROW})), 0)"
"""The number of a record `r` in its file, from 1; over ORIGINS."""
ORIGINS = (
    f"JOIN files f ON f.number = r.{FILE_OF_PLACE} "
    f"LEFT JOIN shifts s ON s.number = r.{FILE_OF_PLACE} AND s.block = {_ROW} >> {BLOCK_BITS}"
)
"""What is to be joined with a relation `r` that has PLACE, to know where its records come from."""


@dataclass(frozen=True)
class Met:
    """What a load meets in its table.

    Attributes:
        files: of the table that may hold what it supersedes.
        touched: places in `files` of those that do.
        gone: what goes when the load is published: the touched ones, or all.
        replaced: rows superseded.
        kept_rows: rows of the files that go which are written anew.
    """

    files: Sequence[DataFile]
    touched: Sequence[int]
    gone: Collection[str] | All
    replaced: int
    kept_rows: int


def meet(work: Work) -> Met:
    if work.contract.load_mode == "full":
        merge.nothing_to_compare(work.connection)
        files = work.lake.data_files(work.table)
        return Met(files, range(len(files)), ALL_FILES, sum(file.record_count for file in files), 0)
    match = _matching(work)
    files = work.lake.data_files(work.table, match)
    history = history_contract(work.contract)
    removed = work.lake.data_files(history.name, And(EqualTo(STANDING, REMOVED), match)) if history else []
    if not files and not removed:
        merge.nothing_to_compare(work.connection)
        return Met((), (), (), 0, 0)
    columns = [*work.contract.primary_key, *(name for name, _ in work.contract.order_terms), LOAD_DAY]
    local, local_removed = (
        work.lake.local_copies([file.file_path for file in some], work.scratch / "keys", columns)
        for some in (files, removed)
    )
    merge.compare(work.connection, work.typed, work.contract.table_contract, local, local_removed)
    counted = work.connection.execute("SELECT _file, count(*) FROM superseded GROUP BY 1 ORDER BY 1").fetchall()
    touched = [number for number, _ in counted]
    replaced = sum(count for _, count in counted)
    kept = sum(files[number].record_count for number in touched) - replaced
    return Met(files, touched, frozenset(files[number].file_path for number in touched), replaced, kept)


def _matching(work: Work) -> BooleanExpression:
    """An Iceberg expression for rows with keys like the load's, and for those of its day."""
    own = EqualTo(LOAD_DAY, work.day.isoformat())
    parts: list[BooleanExpression] = []
    for name, least, greatest in merge.bounds(work.connection, work.typed):
        if least is None:
            return own
        parts += [GreaterThanOrEqual(name, _plain(least)), LessThanOrEqual(name, _plain(greatest))]
    for name in set(work.contract.partition_by) & set(work.contract.primary_key):
        values = merge.values_of(work.connection, work.typed, name, MOST_PARTITIONS_NAMED)
        if values is not None:
            parts.append(In(name, set(map(_plain, values))))
    return Or(own, reduce(And, parts))


def _plain(value: Any) -> Any:
    """A value as Iceberg's expressions take it."""
    return value.isoformat() if isinstance(value, dt.date) else value


def beaten(work: Work) -> dict[int, int]:
    """Records that lost against rows of the table, by code."""
    return dict(work.connection.execute(f"SELECT {CODE_OF_MARK}, count(*) FROM beaten GROUP BY 1").fetchall())


BEST = f"standing ANTI JOIN beaten USING ({MARK})"


def typed_rows(work: Work, where: str, more: str = "") -> str:
    """SQL for rows of the table, with their provenance, from records whose PLACE fulfils a condition."""
    columns = work.contract.column_names
    provenance = {
        "_pipeline_execution_id": literal(work.run_id),
        "_pipeline_ingested_at": f"TIMESTAMPTZ {literal(work.now.isoformat())}",
        LOAD_DAY: f"DATE {literal(work.day.isoformat())}",
        "_pipeline_source_file": "f.name",
        "_pipeline_file_id": "f.file_id",
        "_pipeline_source_row": SOURCE_ROW,
        "_pipeline_layout": "f.layout",
        "_pipeline_absent_fields": "f.absent",
    }
    shown = ", ".join([listed(columns, "r"), *(f"{sql} AS {quoted(name)}" for name, sql in provenance.items())])
    rows = work.typed.rows(columns, where=where)
    work.connection.execute(work.typed.macros(rows))
    return f"SELECT {shown}{more} FROM ({rows}) r {ORIGINS}"


def rows_sql(work: Work, met: Met) -> str:
    """SQL for the rows to be written: the load's, and those that stay of the files that go."""
    new = f"SELECT {PLACE_OF_MARK} FROM {BEST} WHERE {CODE_OF_MARK} = 0"
    rows = typed_rows(work, f"{PLACE} IN ({new})")
    if not met.kept_rows:
        return rows
    return f"{rows} UNION ALL BY NAME {stored_rows(work, met, kept=True)}"


def stored_rows(work: Work, met: Met, *, kept: bool) -> str:
    """SQL for rows of the touched files: those that stay, or those that are superseded by another day's."""
    paths = [met.files[number].file_path for number in met.touched]
    local = work.lake.local_copies(paths, work.scratch / "touched")
    table = work.contract.table_contract
    rows = merge.stored(work.connection, table, local, table.schema.names)
    places = f"SELECT list_position({list(met.touched)}, _file) - 1 AS _file, _row FROM superseded"
    if work.contract.load_mode == "full":
        return f"SELECT {listed(table.schema.names)} FROM ({rows}) WHERE {LOAD_DAY} <> DATE '{work.day.isoformat()}'"
    how = "ANTI" if kept else "SEMI"
    those = places if kept else f"{places} WHERE NOT own"
    return f"SELECT {listed(table.schema.names)} FROM ({rows}) {how} JOIN ({those}) USING (_file, _row)"
