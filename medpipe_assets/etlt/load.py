"""Load: a day's flat records become rows of the dataset's table, rejects, history and a line in the ledger.

The order of the writes makes a load that is killed anywhere come out the same when it is run again: rejects and history
(which a rerun replaces), then the table, in one commit that also notes the ledger's line, then the ledger.
"""

import datetime as dt
import hashlib
import json
import shutil
from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import reduce
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from pyiceberg.expressions import And, BooleanExpression, EqualTo, GreaterThanOrEqual, In, LessThanOrEqual, Or
from pyiceberg.io.pyarrow import schema_to_pyarrow
from pyiceberg.manifest import DataFile
from pyiceberg.table import Table

from medpipe_assets.documents.stage import SILENCE, Progress
from medpipe_assets.errors import ConfigurationError, RunStopError
from medpipe_assets.etlt import merge, table_checks
from medpipe_assets.etlt.contract import Contract
from medpipe_assets.etlt.duck import MEMORY_LIMIT, connected
from medpipe_assets.etlt.kinds import literal
from medpipe_assets.etlt.merge import LOAD_DAY, Judged
from medpipe_assets.etlt.parquet_files import write
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
from medpipe_assets.lake.lake import Lake, conform
from medpipe_assets.lake.leases import Lease
from medpipe_assets.lake.publication import ALL_FILES, All, Finding, Staged, exchange, publish_files
from medpipe_assets.lake.schemas import DATASET_LOADS, DATASET_REJECTS, Column, TableContract
from medpipe_assets.warehouse.duckdb import explain

CODE_VERSION = "1"
"""Changes when the same records would make other rows."""
NOTE = "medpipe.load"
"""The table's property that holds the ledger's line of the load published last: a load that is killed after it was
published, and before it was in the ledger, gets there with the next."""
STANDING = "_pipeline_standing"
SUPERSEDED, REMOVED = "superseded", "removed"
LOADED = "loaded"
"""The stage of rejects of a load."""
CONSERVATION = "conservation"
"""The check that every record is in the table, rejected, or lost against another; and every row written."""
MOST_PARTITIONS_NAMED = 1_000
"""Up to so many partitions are looked for by their values, beyond them by the range of the key alone."""
REJECTS_AT_ONCE = 20_000
"""Records of rejects held in memory."""


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


def history_contract(contract: Contract) -> TableContract | None:
    """The table beside a dataset's own of rows and records that do not stand in it; None where it has none.

    With `history` these are all that were ever fine: a row is either in the table or there. A dataset with rules that
    remove needs at least the records that removed rows, so that none that is loaded late brings them back.
    """
    if not contract.history and not any(rule.otherwise == "remove" for rule in contract.rules.values()):
        return None
    table = contract.table_contract
    standing = Column(STANDING, pa.string(), f"'{SUPERSEDED}' by a newer row, or '{REMOVED}' its key", nullable=True)
    return TableContract(
        f"{table.name}_history",
        table.zone,
        f"{table.row} that was superseded, or that removed it",
        (*table.columns, standing),
        (STANDING, LOAD_DAY),
    )


@dataclass(frozen=True)
class _Input:
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


@dataclass(frozen=True)
class _Work:
    """A load under way."""

    lake: Lake
    contract: Contract
    typed: TypedRecords
    inputs: Sequence[_Input]
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


def load(
    lake: Lake,
    contract: Contract,
    day: dt.date,
    *,
    run_id: str,
    progress: Progress = SILENCE,
    memory_limit: str = MEMORY_LIMIT,
    now: dt.datetime | None = None,
) -> LoadReport:
    """Load a day's flat records into the dataset's table, if its checks pass; a load that stands already is left alone.

    With load_mode 'merge' the day's rows of before are replaced, and of rows with the same key the best stands,
    whatever the order of the loads. With 'full' the load becomes the table, unless a newer day's did.

    Args:
        memory_limit: DuckDB's; beyond it, it spills into the lake's scratch.
        now: when the rows are loaded.

    Raises:
        ConfigurationError: where the contract's SQL is wrong, or fails on a record; nothing is published.
        RunStopError: where memory or disk do not suffice.
    """
    now = now or dt.datetime.now(dt.UTC)
    with lake.leases.hold(contract.table_name, lambda: progress.waiting(contract.table_name)) as lease:
        inputs = _inputs(lake, contract, day)
        ledger = _ledger(lake, contract, lease)
        version = _load_version(contract, inputs)
        blank = LoadReport(contract.dataset, day, version, files=len(inputs), rows_in=sum(i.records for i in inputs))
        if (stands := ledger.get(day)) and stands["load_version"] == version:
            return _report_of(stands)
        if not inputs:
            return blank
        if contract.load_mode == "full" and any(other > day for other in ledger):
            return _settled(lake, lease, _late(lake, contract, blank, inputs), run_id, now)
        progress.begin(contract.table_name, sum(i.rows for i in inputs))
        scratch = lake.location.scratch / f"load-{contract.table_name}"
        with _emptied(scratch), _explained(contract), connected(scratch, memory_limit) as connection:
            _prepare(connection)
            typed = TypedRecords(contract, day)
            work = _Work(lake, contract, typed, inputs, lease, scratch, connection, run_id, now)
            report = _loaded(work, blank)
        progress.advance(sum(i.rows for i in inputs))
        return _settled(lake, lease, report, run_id, now) if report.published else report


@contextmanager
def _emptied(scratch: Path) -> Iterator[None]:
    """A folder for the block alone: the lease lets in one load at a time, so what is there was left by one killed."""
    shutil.rmtree(scratch, ignore_errors=True)
    scratch.mkdir(mode=0o700, parents=True)
    try:
        yield
    finally:
        shutil.rmtree(scratch, ignore_errors=True)


@contextmanager
def _explained(contract: Contract) -> Iterator[None]:
    """What DuckDB gives up for, without the values that its own messages quote."""
    try:
        yield
    except (duckdb.OutOfMemoryException, duckdb.IOException) as error:
        raise RunStopError(f"{contract.dataset}: {explain(error)}") from None
    except duckdb.Error as error:
        raise ConfigurationError(
            f"{contract.dataset}: an expression of the contract fails on a record: {explain(error)}"
        ) from None


def _prepare(connection: duckdb.DuckDBPyConnection) -> None:
    for setting in ("integer_division = true", "preserve_insertion_order = false", "default_null_order = 'nulls_last'"):
        connection.execute(f"SET {setting}")


def _of_day(contract: Contract, day: dt.date) -> BooleanExpression:
    return And(EqualTo("dataset", contract.dataset), EqualTo("load_date", day.isoformat()))


def _inputs(lake: Lake, contract: Contract, day: dt.date) -> list[_Input]:
    """The day's flat files in the order of their receipt, each once."""
    received: dict[str, tuple[int, str]] = {}
    for row in lake.read("dataset_files", ("file_id", "uri", "sequence"), where=_of_day(contract, day)).to_pylist():
        name = row["uri"].replace("\\", "/").rstrip("/").rpartition("/")[2]
        received[row["file_id"]] = max(received.get(row["file_id"], (0, "")), (row["sequence"], name))
    flat = sorted(
        lake.read("dataset_flattened", where=_of_day(contract, day)).to_pylist(), key=lambda row: row["processed_at"]
    )
    found = [
        _Input(
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


def _load_version(contract: Contract, inputs: Sequence[_Input]) -> str:
    parts = ("load_mode", "fields", "columns", "primary_key", "order", "partition_by", "history", "rules", "checks")
    stated = contract.model_dump(mode="json", include=set(parts))
    files = [[file.file_id, file.flatten_version] for file in inputs]
    return hashlib.sha256(json.dumps([CODE_VERSION, stated, files], sort_keys=True).encode()).hexdigest()[:32]


def _ledger(lake: Lake, contract: Contract, lease: Lease) -> dict[dt.date, dict[str, Any]]:
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
            _write_line(lake, lease, row)
            found[row["load_date"]] = row
    return found


def _write_line(lake: Lake, lease: Lease, row: Mapping[str, Any]) -> None:
    same = And(EqualTo("dataset", row["dataset"]), EqualTo("load_date", row["load_date"].isoformat()))
    with lake.leases.commit(lease):
        lake.write("dataset_loads", pa.Table.from_pylist([dict(row)], schema=DATASET_LOADS.schema), replace=same)


def _settled(lake: Lake, lease: Lease, report: LoadReport, run_id: str, now: dt.datetime) -> LoadReport:
    _write_line(lake, lease, report.as_row(run_id, now))
    return report


def _report_of(row: Mapping[str, Any]) -> LoadReport:
    """The report of a load that stands."""
    values = {name: value for name, value in row.items() if name in LoadReport.__dataclass_fields__}
    values["rejected_by_reason"] = json.loads(row["rejected_by_reason"])
    values["partitions"] = tuple(row["partitions"].split())
    return LoadReport(**values, published=True, repeated=True)


def _late(lake: Lake, contract: Contract, blank: LoadReport, inputs: Sequence[_Input]) -> LoadReport:
    """The report of a full load that a newer day's has made void."""
    reasons = _rejected_before(lake, contract, blank.load_date, inputs)
    return replace(
        blank,
        rows_rejected=sum(file.rejected for file in inputs),
        rejected_by_reason=reasons,
        duplicates=sum(file.rows for file in inputs),
        published=True,
    )


def _rejected_before(lake: Lake, contract: Contract, day: dt.date, inputs: Sequence[_Input]) -> dict[str, int]:
    """Records of the files that were rejected when they were flattened, by reason."""
    if not any(file.rejected for file in inputs):
        return {}
    where = And(_of_day(contract, day), EqualTo("stage", "flattened"))
    rows = lake.read("dataset_rejects", ("file_id", "reason"), where=where)
    files = {file.file_id for file in inputs}
    pairs = zip(rows["file_id"].to_pylist(), rows["reason"].to_pylist(), strict=True)
    return dict(Counter(reason for file_id, reason in pairs if file_id in files))


def _loaded(work: _Work, blank: LoadReport) -> LoadReport:
    """Judge, merge, write, and publish."""
    _make_records(work)
    judged = merge.judge(work.connection, work.typed)
    met = _meet(work)
    report = _counted(work, blank, judged, _beaten(work), met.replaced)
    table = work.lake.following_contract(work.table)
    _write_rejects(work)
    _write_history(work, met)
    rows = _rows(work, met)
    written = (
        write(work.connection, rows, table.schema(), work.contract.partition_by, work.scratch / "rows") if rows else []
    )
    partitions = tuple(sorted({file.partition for file in written})) if work.contract.partition_by else ("*",)
    report = replace(report, partitions=partitions if written else ())
    expected = report.rows_out + met.kept_rows
    flat = sum(file.rows for file in work.inputs)
    there = report.rows_out + report.duplicates + report.rows_rejected - sum(file.rejected for file in work.inputs)
    lost = abs(sum(file.rows for file in written) - expected) + abs(flat - there)

    def audit(staged: Staged) -> list[Finding]:
        parameters = {"as_of": f"DATE '{work.day.isoformat()}'"}
        return [
            Finding(CONSERVATION, lost),
            *table_checks.audit(
                work.lake, work.contract, work.table, staged, parameters=parameters, scratch=work.scratch
            ),
        ]

    publication = publish_files(
        work.lake,
        work.table,
        add=[file.path for file in written],
        remove=met.gone,
        audit=audit,
        lease=work.lease,
        properties={
            NOTE: json.dumps(report.as_row(work.run_id, work.now), default=str),
            table_checks.CHECKS: table_checks.version_of(work.contract, work.table),
        },
    )
    stands = publication.snapshot_id is not None
    return replace(report, snapshot_id=publication.snapshot_id, findings=publication.findings, published=stands)


def _make_records(work: _Work) -> None:
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
    work.connection.register("sources", sources)
    work.connection.execute("CREATE TEMP TABLE files AS SELECT * FROM sources")


@dataclass(frozen=True)
class _Met:
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


def _meet(work: _Work) -> _Met:
    if work.contract.load_mode == "full":
        merge.nothing_to_compare(work.connection)
        files = work.lake.data_files(work.table)
        return _Met(files, range(len(files)), ALL_FILES, sum(file.record_count for file in files), 0)
    match = _matching(work)
    files = work.lake.data_files(work.table, match)
    history = history_contract(work.contract)
    removed = work.lake.data_files(history.name, And(EqualTo(STANDING, REMOVED), match)) if history else []
    if not files and not removed:
        merge.nothing_to_compare(work.connection)
        return _Met((), (), (), 0, 0)
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
    return _Met(files, touched, frozenset(files[number].file_path for number in touched), replaced, kept)


def _matching(work: _Work) -> BooleanExpression:
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


def _beaten(work: _Work) -> dict[int, int]:
    """Records that lost against rows of the table, by code."""
    return dict(work.connection.execute(f"SELECT {CODE_OF_MARK}, count(*) FROM beaten GROUP BY 1").fetchall())


def _counted(work: _Work, blank: LoadReport, judged: Judged, beaten: Mapping[int, int], replaced: int) -> LoadReport:
    stand = {code: count - beaten.get(code, 0) for code, count in judged.best.items()}
    removing = {work.typed.removals[code - 1]: count for code, count in stand.items() if code and count}
    reasons = Counter(_rejected_before(work.lake, work.contract, work.day, work.inputs))
    for reason, count in [*removing.items(), *((why, count) for (_, why), count in judged.rejected.items())]:
        reasons[reason] += count
    before = sum(file.rejected for file in work.inputs)
    return replace(
        blank,
        rows_out=stand.get(0, 0),
        rows_rejected=before + sum(judged.rejected.values()) + sum(removing.values()),
        rejected_by_reason=dict(reasons),
        duplicates=judged.duplicates + sum(beaten.values()),
        rows_replaced=replaced,
        nulled=judged.nulled,
        warned=judged.warned,
    )


_STANDING = f"standing ANTI JOIN beaten USING ({MARK})"


def _typed_rows(work: _Work, where: str, more: str = "") -> str:
    """SQL for rows of the table, with their provenance, from records whose PLACE fulfils a condition."""
    columns = work.contract.column_names
    provenance = {
        "_pipeline_execution_id": literal(work.run_id),
        "_pipeline_ingested_at": f"TIMESTAMPTZ {literal(work.now.isoformat())}",
        LOAD_DAY: f"DATE {literal(work.day.isoformat())}",
        "_pipeline_source_file": "f.name",
        "_pipeline_file_id": "f.file_id",
        "_pipeline_source_row": f"r.{ROW_OF_PLACE}",
        "_pipeline_layout": "f.layout",
        "_pipeline_absent_fields": "f.absent",
    }
    shown = ", ".join([listed(columns, "r"), *(f"{sql} AS {quoted(name)}" for name, sql in provenance.items())])
    rows = work.typed.rows(columns, where=where)
    work.connection.execute(work.typed.macros(rows))
    return f"SELECT {shown}{more} FROM ({rows}) r JOIN files f ON f.number = r.{FILE_OF_PLACE}"


def _rows(work: _Work, met: _Met) -> str:
    """SQL for the rows to be written: the load's, and those that stay of the files that go."""
    new = f"SELECT {PLACE_OF_MARK} FROM {_STANDING} WHERE {CODE_OF_MARK} = 0"
    rows = _typed_rows(work, f"{PLACE} IN ({new})")
    if not met.kept_rows:
        return rows
    return f"{rows} UNION ALL BY NAME {_stored_rows(work, met, kept=True)}"


def _stored_rows(work: _Work, met: _Met, *, kept: bool) -> str:
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


def _write_rejects(work: _Work) -> None:
    """Put the day's rejects in place of those of before."""
    said: list[tuple[str | None, str]] = [(None, name) for name in work.typed.removals]
    said += [(fault.column, fault.reason) for fault in work.typed.faults]
    reasons = pa.table(
        {
            "code": pa.array(range(1, len(said) + 1), pa.int64()),
            "column": pa.array([column for column, _ in said], pa.string()),
            "reason": pa.array([reason for _, reason in said], pa.string()),
        }
    )
    work.connection.register("reasons", reasons)
    marks = f"SELECT {PLACE_OF_MARK} AS place, {CODE_OF_MARK} AS code FROM {_STANDING} WHERE {CODE_OF_MARK} > 0"
    record = ", ".join(f"{quoted(name)} := r.{quoted(name)}" for name in work.contract.fields)
    new = (
        f'SELECT f.file_id, r.{ROW_OF_PLACE} AS row_number, w."column", w.reason, '
        f"CAST(to_json(struct_pack({record})) AS VARCHAR) AS record "
        f"FROM records r JOIN ({marks}) m ON m.place = r.{PLACE} JOIN files f ON f.number = r.{FILE_OF_PLACE} "
        "JOIN reasons w USING (code)"
    )
    common = {
        "dataset": work.contract.dataset,
        "load_date": work.day,
        "stage": LOADED,
        "run_id": work.run_id,
        "processed_at": work.now,
    }
    path = work.scratch / "rejects.parquet"
    count = 0
    schema = schema_to_pyarrow(work.lake.table(DATASET_REJECTS.name).schema())
    with pq.ParquetWriter(path, schema, compression="snappy") as writer:
        for batch in work.connection.sql(new).to_arrow_reader(REJECTS_AT_ONCE):
            rows = pa.Table.from_batches([batch])
            for name, value in common.items():
                rows = rows.append_column(name, pa.repeat(pa.scalar(value), rows.num_rows))
            writer.write_table(conform(DATASET_REJECTS, rows).cast(schema))
            count += rows.num_rows
    added = [work.lake.adopt(DATASET_REJECTS.name, path)] if count else []
    mine = And(_of_day(work.contract, work.day), EqualTo("stage", LOADED))

    def exchanged(table: Table) -> None:
        before = work.lake.data_files(DATASET_REJECTS.name, mine)
        if added or before:
            exchange(table, [*added, *_others_of(work, before)], before)

    with work.lake.leases.commit(work.lease):
        work.lake.change(DATASET_REJECTS.name, exchanged)


def _others_of(work: _Work, files: Sequence[DataFile]) -> list[str]:
    """What files of the day's rejects hold of other stages, in files of its own."""
    added = []
    for path in work.lake.local_copies([file.file_path for file in files], work.scratch / "rejects"):
        rows = pq.read_table(path)
        others = rows.filter(pc.not_equal(rows["stage"], LOADED))
        if others.num_rows:
            copy = work.scratch / "others.parquet"
            pq.write_table(others, copy, compression="snappy")
            added.append(work.lake.adopt(DATASET_REJECTS.name, copy))
    return added


def _write_history(work: _Work, met: _Met) -> None:
    """Put into the history what does not stand in the table, in place of what the day had there before."""
    history = history_contract(work.contract)
    if history is None:
        return
    table = work.lake.following_contract(history.name)
    places, last = f"SELECT {PLACE_OF_MARK} FROM {_STANDING} WHERE {CODE_OF_MARK}", len(work.typed.removals)
    removing = f"{places} BETWEEN 1 AND {last}"
    where = f"{PLACE} IN ({removing})"
    if work.contract.history:
        where = f"{PLACE} NOT IN ({places} NOT BETWEEN 1 AND {last})"
    standing = f", CASE WHEN r.{PLACE} IN ({removing}) THEN '{REMOVED}' ELSE '{SUPERSEDED}' END AS {STANDING}"
    parts = [_typed_rows(work, where, standing)]
    if work.contract.history and met.touched:
        parts.append(f"SELECT *, '{SUPERSEDED}' AS {STANDING} FROM ({_superseded_rows(work, met, history)})")
    written = write(
        work.connection,
        " UNION ALL BY NAME ".join(parts),
        table.schema(),
        history.partition_by,
        work.scratch / "history",
    )
    added = [work.lake.adopt(history.name, file.path) for file in written]
    own = work.lake.data_files(history.name, EqualTo(LOAD_DAY, work.day.isoformat()))
    if added or own:
        with work.lake.leases.commit(work.lease):
            work.lake.change(history.name, lambda table: exchange(table, added, own))


def _superseded_rows(work: _Work, met: _Met, history: TableContract) -> str:
    """SQL for the table's rows that are superseded, less those that a load that was killed put into the history."""
    rows = _stored_rows(work, met, kept=False)
    names = (LOAD_DAY, "_pipeline_file_id", "_pipeline_source_row")
    days = [
        day.isoformat() for (day,) in work.connection.execute(f"SELECT DISTINCT {LOAD_DAY} FROM ({rows})").fetchall()
    ]
    there = (
        work.lake.data_files(history.name, And(EqualTo(STANDING, SUPERSEDED), In(LOAD_DAY, set(days)))) if days else []
    )
    if not there:
        return rows
    local = work.lake.local_copies([file.file_path for file in there], work.scratch / "history-keys", names)
    known = merge.stored(work.connection, history, local, names)
    return f"SELECT * FROM ({rows}) ANTI JOIN (SELECT {listed(names)} FROM ({known})) USING ({listed(names)})"
