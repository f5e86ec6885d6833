"""Compaction of tables that are written by files: a partition's small ones become one, with the same rows.

Which tables, and when, is maintenance's matter. Files are copied batch by batch, whatever their size.
"""

import shutil
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
from pyiceberg.exceptions import CommitFailedException, ValidationException
from pyiceberg.io.pyarrow import schema_to_pyarrow
from pyiceberg.manifest import DataFile

from medpipe_assets.lake.lake import Lake
from medpipe_assets.lake.publication import exchange

SMALL_FILE_BYTES = 8 << 20
ROW_GROUP_ROWS = 100_000
"""Rows held in memory, and those of a row group."""


def compact_partitions(lake: Lake, name: str, from_files: int) -> int:
    """Make one file of each partition's small ones, where there are so many; how many partitions it was done for.

    Where somebody else changes the table meanwhile it stays as it is.
    """
    with lake.leases.hold(name) as lease:
        table = lake.following_contract(name)
        partitions: dict[tuple[int, str], list[DataFile]] = defaultdict(list)
        for file in lake.data_files(name):
            if file.file_size_in_bytes < SMALL_FILE_BYTES:
                partitions[file.spec_id, repr(file.partition)].append(file)
        gone = [files for files in partitions.values() if len(files) >= from_files]
        if not gone:
            return 0
        scratch = lake.location.scratch / f"compact-{name}"
        schema = schema_to_pyarrow(table.schema())
        try:
            added = [lake.adopt(name, _as_one(lake, files, schema, scratch)) for files in gone]
            with lake.leases.commit(lease):
                exchange(lake.table(name), added, [file for files in gone for file in files])
        except (CommitFailedException, ValidationException):
            return 0
        finally:
            shutil.rmtree(scratch, ignore_errors=True)
        return len(gone)


def _as_one(lake: Lake, files: Sequence[DataFile], schema: pa.Schema, scratch: Path) -> Path:
    scratch.mkdir(mode=0o700, parents=True, exist_ok=True)
    target, waiting = scratch / "one.parquet", schema.empty_table()
    with pq.ParquetWriter(target, schema, compression="snappy") as writer:
        for file in files:
            (copy,) = lake.local_copies([file.file_path], scratch / "copies")
            for batch in pq.ParquetFile(copy).iter_batches(ROW_GROUP_ROWS):
                waiting = pa.concat_tables([waiting, _conformed(batch, schema)])
                if waiting.num_rows >= ROW_GROUP_ROWS:
                    writer.write_table(waiting)
                    waiting = schema.empty_table()
            if lake.location.is_remote:
                copy.unlink()
        if waiting.num_rows:
            writer.write_table(waiting)
    return target


def _conformed(batch: pa.RecordBatch, schema: pa.Schema) -> pa.Table:
    """Rows with a table's columns; those that a file is older than are null."""
    columns = [
        batch.column(field.name) if field.name in batch.schema.names else pa.nulls(len(batch), field.type)
        for field in schema
    ]
    return pa.table(columns, names=schema.names).cast(schema)
