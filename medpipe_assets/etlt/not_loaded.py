"""Where the records and rows go that do not stand in the table: rejects, and the history.

Both are put in place of what an earlier load of the same day left there, so that a load can be run again.
"""

from collections.abc import Sequence

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from pyiceberg.expressions import And, EqualTo, In
from pyiceberg.io.pyarrow import schema_to_pyarrow
from pyiceberg.manifest import DataFile
from pyiceberg.table import Table

from medpipe_assets.etlt import merge
from medpipe_assets.etlt.history import REMOVED, STANDING, SUPERSEDED, history_contract
from medpipe_assets.etlt.load_ledger import of_day
from medpipe_assets.etlt.load_rows import BEST, ORIGINS, SOURCE_ROW, Met, Work, stored_rows, typed_rows
from medpipe_assets.etlt.merge import LOAD_DAY
from medpipe_assets.etlt.parquet_files import write
from medpipe_assets.etlt.typed import CODE_OF_MARK, PLACE, PLACE_OF_MARK, listed, quoted
from medpipe_assets.lake.lake import conform
from medpipe_assets.lake.publication import exchange
from medpipe_assets.lake.schemas import DATASET_REJECTS, TableContract

LOADED = "loaded"
"""The stage of rejects of a load."""
REJECTS_AT_ONCE = 20_000
"""Records of rejects held in memory."""


def write_rejects(work: Work) -> None:
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
    marks = f"SELECT {PLACE_OF_MARK} AS place, {CODE_OF_MARK} AS code FROM {BEST} WHERE {CODE_OF_MARK} > 0"
    record = ", ".join(f"{quoted(name)} := r.{quoted(name)}" for name in work.contract.fields)
    new = (
        f'SELECT f.file_id, {SOURCE_ROW} AS row_number, w."column", w.reason, '
        f"CAST(to_json(struct_pack({record})) AS VARCHAR) AS record "
        f"FROM records r JOIN ({marks}) m ON m.place = r.{PLACE} {ORIGINS} "
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
    mine = And(of_day(work.contract, work.day), EqualTo("stage", LOADED))

    def exchanged(table: Table) -> None:
        before = work.lake.data_files(DATASET_REJECTS.name, mine)
        if added or before:
            exchange(table, [*added, *_others_of(work, before)], before)

    with work.lake.leases.commit(work.lease):
        work.lake.change(DATASET_REJECTS.name, exchanged)


def _others_of(work: Work, files: Sequence[DataFile]) -> list[str]:
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


def write_history(work: Work, met: Met) -> None:
    """Put into the history what does not stand in the table, in place of what the day had there before."""
    history = history_contract(work.contract)
    if history is None:
        return
    table = work.lake.following_contract(history.name)
    places, last = f"SELECT {PLACE_OF_MARK} FROM {BEST} WHERE {CODE_OF_MARK}", len(work.typed.removals)
    removing = f"{places} BETWEEN 1 AND {last}"
    where = f"{PLACE} IN ({removing})"
    if work.contract.history:
        where = f"{PLACE} NOT IN ({places} NOT BETWEEN 1 AND {last})"
    standing = f", CASE WHEN r.{PLACE} IN ({removing}) THEN '{REMOVED}' ELSE '{SUPERSEDED}' END AS {STANDING}"
    parts = [typed_rows(work, where, standing)]
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


def _superseded_rows(work: Work, met: Met, history: TableContract) -> str:
    """SQL for the table's rows that are superseded, less those that a load that was killed put into the history."""
    rows = stored_rows(work, met, kept=False)
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
