"""Load: a day's flat records become rows of the dataset's table, rejects, history and a line in the ledger.

The order of the writes makes a load that is killed anywhere come out the same when it is run again: rejects and history
(which a rerun replaces), then the table, in one commit that also notes the ledger's line, then the ledger.
"""

import datetime as dt
import json
import shutil
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import duckdb

from medpipe_assets.documents.stage import SILENCE, Progress
from medpipe_assets.errors import ConfigurationError, RunStopError
from medpipe_assets.etlt import merge, table_checks
from medpipe_assets.etlt.contract import Contract
from medpipe_assets.etlt.duck import MEMORY_LIMIT, connected
from medpipe_assets.etlt.history import history_contract as history_contract
from medpipe_assets.etlt.load_ledger import (
    NOTE,
    FlatInput,
    LoadReport,
    inputs_of,
    ledger_of,
    load_version,
    rejected_before,
    report_of,
    write_line,
)
from medpipe_assets.etlt.load_rows import Met, Work, beaten, make_records, meet, rows_sql
from medpipe_assets.etlt.merge import Judged
from medpipe_assets.etlt.not_loaded import write_history, write_rejects
from medpipe_assets.etlt.parquet_files import Written, write
from medpipe_assets.etlt.typed import TypedRecords
from medpipe_assets.lake.lake import Lake
from medpipe_assets.lake.leases import Lease
from medpipe_assets.lake.publication import Finding, Staged, publish_files
from medpipe_assets.warehouse.duckdb import explain

CONSERVATION = "conservation"
"""The check that every record is in the table, rejected, or lost against another; and every row written."""


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
    whatever the order of the loads. With 'full' the load becomes the table, unless a newer day's did. Rejects and
    history are those of the last load that was tried, so that one can see why its checks did not pass.

    Args:
        memory_limit: DuckDB's; beyond it, it spills into the lake's scratch.
        now: when the rows are loaded.

    Raises:
        ConfigurationError: where the contract's SQL is wrong, or fails on a record; nothing is published.
        RunStopError: where memory or disk do not suffice.
    """
    now = now or dt.datetime.now(dt.UTC)
    with lake.leases.hold(contract.table_name, lambda: progress.waiting(contract.table_name)) as lease:
        inputs = inputs_of(lake, contract, day)
        ledger = ledger_of(lake, contract, lease)
        version = load_version(contract, inputs)
        blank = LoadReport(contract.dataset, day, version, files=len(inputs), rows_in=sum(i.records for i in inputs))
        if (stands := ledger.get(day)) and stands["load_version"] == version:
            return report_of(stands)
        if not inputs:
            return blank
        if contract.load_mode == "full" and any(other > day for other in ledger):
            return _settled(lake, lease, _late(lake, contract, blank, inputs), run_id, now)
        progress.begin(contract.table_name, sum(i.rows for i in inputs))
        scratch = lake.location.scratch / f"load-{contract.table_name}"
        with _emptied(scratch), _explained(contract), connected(scratch, memory_limit) as connection:
            _prepare(connection)
            typed = TypedRecords(contract, day)
            work = Work(lake, contract, typed, inputs, lease, scratch, connection, run_id, now)
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
        raise ConfigurationError(f"{contract.dataset}: the contract's SQL fails: {explain(error)}") from None


def _prepare(connection: duckdb.DuckDBPyConnection) -> None:
    for setting in ("integer_division = true", "preserve_insertion_order = false", "default_null_order = 'nulls_last'"):
        connection.execute(f"SET {setting}")


def _settled(lake: Lake, lease: Lease, report: LoadReport, run_id: str, now: dt.datetime) -> LoadReport:
    write_line(lake, lease, report.as_row(run_id, now))
    return report


def _late(lake: Lake, contract: Contract, blank: LoadReport, inputs: Sequence[FlatInput]) -> LoadReport:
    """The report of a full load that a newer day's has made void."""
    reasons = rejected_before(lake, contract, blank.load_date, inputs)
    return replace(
        blank,
        rows_rejected=sum(file.rejected for file in inputs),
        rejected_by_reason=reasons,
        duplicates=sum(file.rows for file in inputs),
        published=True,
    )


def _loaded(work: Work, blank: LoadReport) -> LoadReport:
    """Judge, merge, write, and publish."""
    make_records(work)
    judged = merge.judge(work.connection, work.typed)
    met = meet(work)
    report = _counted(work, blank, judged, beaten(work), met.replaced)
    write_rejects(work)
    write_history(work, met)
    written = _write_rows(work, met)
    partitions = sorted({file.partition for file in written}) if work.contract.partition_by else ["*"]
    report = replace(report, partitions=tuple(partitions) if written else ())
    lost = abs(sum(file.rows for file in written) - report.rows_out - met.kept_rows) + _lost(work, report)

    def audit(staged: Staged) -> list[Finding]:
        parameters = {"as_of": f"DATE '{work.day.isoformat()}'"}
        found = table_checks.audit(
            work.lake, work.contract, work.table, staged, parameters=parameters, scratch=work.scratch
        )
        return [Finding(CONSERVATION, lost), *found]

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


def _write_rows(work: Work, met: Met) -> list[Written]:
    schema = work.lake.following_contract(work.table).schema()
    return write(work.connection, rows_sql(work, met), schema, work.contract.partition_by, work.scratch / "rows")


def _lost(work: Work, report: LoadReport) -> int:
    """Records that are neither in the table, nor rejected, nor duplicates; or are counted twice."""
    flat = sum(file.rows for file in work.inputs)
    rejected = report.rows_rejected - sum(file.rejected for file in work.inputs)
    return abs(flat - report.rows_out - rejected - report.duplicates)


def _counted(work: Work, blank: LoadReport, judged: Judged, lost: Mapping[int, int], replaced: int) -> LoadReport:
    stand = {code: count - lost.get(code, 0) for code, count in judged.best.items()}
    removing = {work.typed.removals[code - 1]: count for code, count in stand.items() if code and count}
    reasons = Counter(rejected_before(work.lake, work.contract, work.day, work.inputs))
    for reason, count in [*removing.items(), *((why, count) for (_, why), count in judged.rejected.items())]:
        reasons[reason] += count
    before = sum(file.rejected for file in work.inputs)
    return replace(
        blank,
        rows_out=stand.get(0, 0),
        rows_rejected=before + sum(judged.rejected.values()) + sum(removing.values()),
        rejected_by_reason=dict(reasons),
        duplicates=judged.duplicates + sum(lost.values()),
        rows_replaced=replaced,
        nulled=judged.nulled,
        warned=judged.warned,
    )
