"""Light transform: each file of a day becomes flat records in the preprocessed zone, and a line in the ledger.

How a file is read is the readers' matter (csv_records, json_records); what becomes of its records is the load's.
"""

import datetime as dt
import hashlib
import json
from collections import Counter
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq
from pyiceberg.expressions import And, EqualTo, In

from medpipe_assets.documents.stage import SILENCE, Progress
from medpipe_assets.errors import DocumentError, Reason
from medpipe_assets.etlt import duck
from medpipe_assets.etlt.columns import to_json
from medpipe_assets.etlt.contract import Contract
from medpipe_assets.etlt.csv_records import read_csv
from medpipe_assets.etlt.encodings import as_utf8, encoding_of
from medpipe_assets.etlt.json_records import read_json
from medpipe_assets.etlt.packing import unpacked
from medpipe_assets.etlt.records import FlatFile
from medpipe_assets.etlt.zone_files import drafts, keep, opened
from medpipe_assets.inbox.engine import source_id
from medpipe_assets.lake import quarantine
from medpipe_assets.lake.lake import Lake
from medpipe_assets.lake.leases import Lease
from medpipe_assets.lake.schemas import DATASET_FLATTENED, DATASET_REJECTS

CODE_VERSION = "2"
"""Changes when the same file would make other records."""
STAGE = "datasets"
"""The name under which files that cannot be read stand in quarantine."""
FLATTENED = "flattened"
"""The stage of rejects that are made here."""
CHUNK_FILES = 500
CHUNK_REJECTS = 100_000
"""A chunk of files is in the ledger when it has so many files, or rejects: a run that is killed loses no more."""


@dataclass
class FlattenReport:
    """What was flattened; counts only.

    Attributes:
        files: files made flat now.
        unchanged: files of the day that were flat already.
        failed: files that could not be read, now in quarantine.
        records: records found in `files`.
        rows: records of them that went on.
        rejected: reason -> records that did not.
    """

    files: int = 0
    unchanged: int = 0
    failed: int = 0
    records: int = 0
    rows: int = 0
    rejected: Counter[str] = field(default_factory=Counter)


@dataclass(frozen=True, slots=True)
class _File:
    file_id: str
    raw_key: str
    uri: str
    again: bool  # flat already by another version


@dataclass
class _Chunk:
    lines: list[dict[str, Any]] = field(default_factory=list)  # of the ledger
    failures: list[quarantine.Failure] = field(default_factory=list)
    rejects: list[tuple[str, Path]] = field(default_factory=list)  # file_id, Parquet
    count: int = 0  # of rejects
    again: bool = False  # rejects of the same files may be there


def flatten_version(contract: Contract) -> str:
    """A hash of what decides how files become records: what the contract says of its source, and the code's version."""
    said = {
        "source": contract.source.model_dump(include={"format", "record_path", "delimiter", "encodings"}),
        "layouts": [[name, *map(list, (layout.has, layout.lacks))] for name, layout in contract.layouts.items()],
        "fields": [
            [name, [list(spec.names(name, layout)) for layout in (None, *contract.layouts)]]
            for name, spec in contract.fields.items()
        ],
        "code": CODE_VERSION,
    }
    return hashlib.sha256(json.dumps(said).encode()).hexdigest()


def flatten_file(contract: Contract, path: Path, folder: Path, connection: duckdb.DuckDBPyConnection) -> FlatFile:
    """Make one file's records flat.

    Args:
        folder: an empty one for what is made.
        connection: of `duck.connected`.

    Raises:
        DocumentError: empty, corrupt, inconsistent, too_large, unsafe_archive.
    """
    plain = unpacked(path, folder)
    if not plain.stat().st_size:
        raise DocumentError(Reason.EMPTY)
    encoding = encoding_of(plain, contract.source.encodings)
    text = as_utf8(plain, encoding, folder / "text")
    if text != plain and plain != path:
        plain.unlink()
    read = read_json if (contract.source.format == "json" or _begins_as_json(contract, text)) else read_csv
    return read(contract, text, encoding, folder, connection)


def _begins_as_json(contract: Contract, path: Path) -> bool:
    if contract.source.format != "auto":
        return False
    with path.open("rb") as file:
        return file.read(1 << 16).removeprefix(b"\xef\xbb\xbf").lstrip()[:1] in (b"{", b"[")


def flatten(
    lake: Lake, contract: Contract, day: dt.date, *, run_id: str, progress: Progress = SILENCE
) -> FlattenReport:
    """Flatten a day's files that are not yet so by this version of contract and code.

    A file that cannot be read goes into quarantine, the others go on; it is tried again with each run.
    """
    report = FlattenReport()
    owner = f"{contract.dataset}_flattened"
    with lake.leases.hold(owner, on_wait=lambda: progress.waiting(owner)) as lease:
        todo = _todo(lake, contract, day, report)
        progress.begin(owner, len(todo))
        if not todo:
            return report
        with drafts(lake, "preprocessed", owner) as folder:
            chunk = _Chunk(again=not lease.clean)
            for number, file in enumerate(todo):
                _flatten_one(lake, contract, day, file, folder / str(number), chunk)
                progress.advance(1)
                if len(chunk.lines) + len(chunk.failures) >= CHUNK_FILES or chunk.count >= CHUNK_REJECTS:
                    _commit(lake, contract, day, chunk, lease, run_id, report)
                    chunk = _Chunk(again=not lease.clean)
            _commit(lake, contract, day, chunk, lease, run_id, report)
    return report


def _todo(lake: Lake, contract: Contract, day: dt.date, report: FlattenReport) -> list[_File]:
    """The day's files in the order of their receipt, each once."""
    of_day = And(EqualTo("dataset", contract.dataset), EqualTo("load_date", day.isoformat()))
    rows = lake.read("dataset_files", ("file_id", "raw_key", "uri", "sequence"), where=of_day)
    files = {row["file_id"]: row for row in rows.sort_by("sequence").to_pylist()}
    flat = lake.read("dataset_flattened", ("file_id", "flatten_version"), where=of_day).to_pylist()
    version = flatten_version(contract)
    before = {row["file_id"] for row in flat}
    done = {row["file_id"] for row in flat if row["flatten_version"] == version}
    report.unchanged = len(files.keys() & done)
    return [
        _File(row["file_id"], row["raw_key"], row["uri"], row["file_id"] in before)
        for row in files.values()
        if row["file_id"] not in done
    ]


def _flatten_one(lake: Lake, contract: Contract, day: dt.date, file: _File, folder: Path, chunk: _Chunk) -> None:
    folder.mkdir(mode=0o700)
    version = flatten_version(contract)
    try:
        with opened(lake, file.raw_key, folder) as raw, duck.connected(folder) as connection:
            flat = flatten_file(contract, raw, folder, connection)
    except DocumentError as error:
        chunk.failures.append(quarantine.Failure(source_id(file.uri), file.file_id, error))
        return
    key = f"datasets/{contract.dataset}/{day.isoformat()}/{file.file_id}-{version[:12]}{flat.path.suffix}"
    keep(lake, "preprocessed", key, flat.path)
    chunk.again |= file.again
    if flat.rejects is not None:
        chunk.rejects.append((file.file_id, flat.rejects))
        chunk.count += sum(flat.rejected.values())
    chunk.lines.append(_line(contract, day, file, flat, version, key) | {"rejected_by": flat.rejected})
    for made in folder.iterdir():  # what is large need not wait for the chunk
        if made != flat.rejects:
            made.unlink()


def _line(contract: Contract, day: dt.date, file: _File, flat: FlatFile, version: str, key: str) -> dict[str, Any]:
    return {
        "dataset": contract.dataset,
        "load_date": day,
        "file_id": file.file_id,
        "flatten_version": version,
        "path": key,
        "format": flat.format,
        "encoding": flat.encoding,
        "delimiter": flat.delimiter,
        "layout": flat.layout,
        "records": flat.records,
        "rows": flat.rows,
        "rejected": flat.records - flat.rows,
        "columns": to_json(flat.columns),
        "absent": " ".join(flat.absent),
    }


def _commit(
    lake: Lake, contract: Contract, day: dt.date, chunk: _Chunk, lease: Lease, run_id: str, report: FlattenReport
) -> None:
    """Put rejects, then the ledger's lines, in place of those of before; then the quarantine."""
    if not chunk.lines and not chunk.failures:
        return
    now = dt.datetime.now(dt.UTC)
    run = {"run_id": run_id, "processed_at": now}
    tried = {line["file_id"] for line in chunk.lines}
    for line in chunk.lines:
        report.rejected.update(line.pop("rejected_by"))
    with lake.leases.commit(lease):
        _replace_rejects(lake, contract, day, chunk, tried, run)
        if chunk.lines:
            lake.write(
                "dataset_flattened",
                pa.Table.from_pylist([line | run for line in chunk.lines], schema=DATASET_FLATTENED.schema),
            )
        failed = {failure.document_id for failure in chunk.failures if failure.document_id}
        if failed or lake.exists("quarantine"):
            quarantine.record(lake, STAGE, day, chunk.failures, tried | failed, run_id=run_id, now=now)
    report.files += len(chunk.lines)
    report.failed += len(chunk.failures)
    report.records += sum(line["records"] for line in chunk.lines)
    report.rows += sum(line["rows"] for line in chunk.lines)


def _replace_rejects(
    lake: Lake, contract: Contract, day: dt.date, chunk: _Chunk, files: Collection[str], run: Mapping[str, Any]
) -> None:
    """Write rejects, a part at a time, in place of those that an earlier version, or a run that was killed, left."""
    of_files = And(
        And(EqualTo("dataset", contract.dataset), EqualTo("load_date", day.isoformat())),
        And(EqualTo("stage", FLATTENED), In("file_id", set(files))),
    )
    if files and chunk.again and lake.read("dataset_rejects", ("file_id",), where=of_files).num_rows:
        lake.write("dataset_rejects", DATASET_REJECTS.schema.empty_table(), replace=of_files)
    waiting: list[pa.Table] = []
    for file_id, path in chunk.rejects:
        about = {"dataset": contract.dataset, "load_date": day, "file_id": file_id, "stage": FLATTENED, "column": None}
        for batch in pq.ParquetFile(path).iter_batches(CHUNK_REJECTS):
            waiting.append(_rejects(batch, {**about, **run}))
            if sum(part.num_rows for part in waiting) >= CHUNK_REJECTS:
                lake.write("dataset_rejects", pa.concat_tables(waiting))
                waiting.clear()
    if waiting:
        lake.write("dataset_rejects", pa.concat_tables(waiting))


def _rejects(batch: pa.RecordBatch, same: Mapping[str, Any]) -> pa.Table:
    columns = {
        column.name: batch[column.name]
        if column.name in batch.schema.names
        else pa.repeat(pa.scalar(same[column.name], column.type), batch.num_rows)
        for column in DATASET_REJECTS.columns
    }
    return pa.table(columns).cast(DATASET_REJECTS.schema)
