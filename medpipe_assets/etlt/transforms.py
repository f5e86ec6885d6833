"""Transform: a result table's SQL is answered, audited and published; what has not changed is not done again.

What the `.sql` files state is in result_sql.py, the engines are in engines.py.
"""

import datetime as dt
import hashlib
import json
import shutil
import time
import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pyiceberg.expressions import EqualTo

from medpipe_assets.documents.stage import SILENCE, Progress
from medpipe_assets.errors import ConfigurationError
from medpipe_assets.etlt import table_checks
from medpipe_assets.etlt.contract import Contract
from medpipe_assets.etlt.engines import LOCAL, Answer, Engine, Question, choose, engine_named
from medpipe_assets.etlt.result_sql import Transform, Value, literal, parse, transforms_of, values_of
from medpipe_assets.etlt.results import is_there, write_results
from medpipe_assets.lake.lake import Lake
from medpipe_assets.lake.leases import Lease
from medpipe_assets.lake.publication import ALL_FILES, Finding, Publication, Staged, publish_files
from medpipe_assets.warehouse.athena_dialect import AthenaQuery
from medpipe_assets.warehouse.duckdb import DuckDBWarehouse
from medpipe_assets.warehouse.engine import ParquetFiles, QueryError

__all__ = ["Transform", "TransformReport", "newest_load", "parse", "run_transform", "transforms_of"]

CODE_VERSION = "1"
"""Changes when the same SQL over the same rows would make another table."""
NOTE = "medpipe.transform"
"""The table's property that says what it was made from."""
_NAMES = "schema.name-mapping.default"
"""Iceberg's property that says which column of a file without field ids is which of the table's."""


@dataclass(frozen=True)
class TransformReport:
    """What a transform came to.

    Attributes:
        engine: that answered; empty where nothing was asked.
        inputs: snapshots of the tables that were read, by name; None of an empty one.
        input_bytes: of their files.
        rows: of the table as it stands, or was staged.
        findings: of the checks on the staged rows.
        published: whether the table was changed.
        unchanged: inputs, SQL, parameters and checks are those of the table as it stands: nothing was done.
        results: keys, in the staging zone, of results written as files.
        query_id: the engine's own, or one of ours.
        bytes_scanned: what Athena charges for.
        engine_metadata: what else the engine tells of its run, such as a Glue job run's id.
    """

    table: str
    as_of: dt.date
    engine: str = ""
    inputs: Mapping[str, int | None] = field(default_factory=dict)
    input_bytes: int = 0
    rows: int = 0
    findings: tuple[Finding, ...] = ()
    published: bool = False
    unchanged: bool = False
    results: tuple[str, ...] = ()
    query_id: str = ""
    bytes_scanned: int | None = None
    engine_metadata: Mapping[str, str] = field(default_factory=dict)
    snapshot_id: int | None = None
    seconds: float = 0.0


@dataclass(frozen=True)
class _Work:
    """A transform under way."""

    lake: Lake
    contract: Contract
    transform: Transform
    as_of: dt.date
    values: Mapping[str, Value]
    snapshots: Mapping[str, int | None]
    run_id: str
    scratch: Path

    @property
    def name(self) -> str:
        return self.transform.name

    def literals(self) -> dict[str, str]:
        """The parameters' values as SQL."""
        stated = self.contract.parameters
        return {name: literal(name, stated[name], value).sql(AthenaQuery) for name, value in self.values.items()}

    def version(self) -> str:
        """What the table is made from."""
        table = self.transform.table_contract
        columns = [(column.name, str(column.type)) for column in table.columns]
        checks = table_checks.version_of(self.contract, self.name)
        made = [CODE_VERSION, self.transform.bound(self.values), columns, table.partition_by, self.snapshots, checks]
        return hashlib.sha256(json.dumps(made, sort_keys=True).encode()).hexdigest()


def run_transform(
    lake: Lake,
    contract: Contract,
    transform: Transform,
    *,
    as_of: dt.date | None = None,
    run_id: str,
    engine: str = "",
    engines: Mapping[str, Engine] = LOCAL,
    parameters: Mapping[str, Value] | None = None,
    force: bool = False,
    progress: Progress = SILENCE,
) -> TransformReport:
    """Bring a result table up to date: the whole of it is replaced, if its checks pass.

    Args:
        as_of: the day that `:as_of` stands for; that of the dataset's newest load when None.
        engine: one of `engines`, or 'auto'; the contract's when empty.
        parameters: values in place of the contract's defaults.
        force: also where nothing has changed.

    Raises:
        ConfigurationError: the SQL, the header, a parameter or the engine is wrong.
    """
    begun = time.monotonic()
    day = as_of or newest_load(lake, contract) or dt.datetime.now(dt.UTC).date()
    with (
        lake.leases.hold(transform.name, lambda: progress.waiting(transform.name)) as lease,
        _emptied(lake.location.scratch / f"transform-{transform.name}") as scratch,
    ):
        values = values_of(contract.parameters, day, parameters or {})
        work = _Work(lake, contract, transform, day, values, _snapshots(lake, contract, transform), run_id, scratch)
        if not force and lake.table(transform.name).properties.get(NOTE) == work.version():
            report = _unchanged(work)
        else:
            progress.begin(transform.name, 1)
            report = _rebuilt(work, engine or contract.engine, engines, lease)
            progress.advance(1)
        results = tuple(_results(work, report))
    seconds = time.monotonic() - begun
    return TransformReport(**(vars(report) | {"results": results, "seconds": seconds}))


def newest_load(lake: Lake, contract: Contract) -> dt.date | None:
    """The day of the newest load that stands; None before the first."""
    days = lake.read("dataset_loads", ("load_date", "dataset"), where=EqualTo("dataset", contract.dataset))
    return max(days["load_date"].to_pylist(), default=None)


@contextmanager
def _emptied(scratch: Path) -> Iterator[Path]:
    """A folder for the block alone; the lease lets in one at a time, so what is there was left by one killed."""
    shutil.rmtree(scratch, ignore_errors=True)
    scratch.mkdir(mode=0o700, parents=True)
    try:
        yield scratch
    finally:
        shutil.rmtree(scratch, ignore_errors=True)


def _snapshots(lake: Lake, contract: Contract, transform: Transform) -> dict[str, int | None]:
    if unknown := [name for name in transform.inputs if name not in lake.tables]:
        raise ConfigurationError(f"{contract.dataset}: {transform.name} reads {unknown[0]}, which is no table")
    return {name: lake.snapshot_id(name) if lake.exists(name) else None for name in transform.inputs}


def _unchanged(work: _Work) -> TransformReport:
    files = work.lake.data_files(work.name)
    rows = sum(file.record_count for file in files)
    snapshot = work.lake.snapshot_id(work.name)
    return TransformReport(
        work.name, work.as_of, inputs=work.snapshots, rows=rows, unchanged=True, snapshot_id=snapshot
    )


def _rebuilt(work: _Work, stated: str, engines: Mapping[str, Engine], lease: Lease) -> TransformReport:
    input_bytes = sum(
        file.file_size_in_bytes
        for name, snapshot in work.snapshots.items()
        if snapshot is not None
        for file in work.lake.data_files(name, snapshot_id=snapshot)
    )
    engine = choose(stated, input_bytes, work.lake)
    answer = _answered(work, engine_named(engine, engines), input_bytes)
    rows: list[int] = []
    published = _published(work, answer, lease, rows)
    return TransformReport(
        work.name,
        work.as_of,
        engine=engine,
        inputs=work.snapshots,
        input_bytes=input_bytes,
        rows=rows[0],
        findings=published.findings,
        published=published.snapshot_id is not None,
        query_id=answer.query_id or uuid.uuid4().hex,
        bytes_scanned=answer.bytes_scanned,
        engine_metadata=answer.metadata,
        snapshot_id=published.snapshot_id,
    )


def _answered(work: _Work, engine: Engine, input_bytes: int) -> Answer:
    table = work.transform.table_contract
    question = Question(
        work.name,
        work.transform.bound(work.values),
        work.snapshots,
        input_bytes,
        table.schema,
        table.partition_by,
        work.scratch,
        table_checks.queries_of(work.contract, work.name, work.literals()),
    )
    try:
        return engine(work.lake, question)
    except QueryError as error:
        raise ConfigurationError(f"{work.contract.dataset}/{work.name}: {error}") from None


def _published(work: _Work, answer: Answer, lease: Lease, rows: list[int]) -> Publication:
    """Publish files, if the checks pass; `rows` takes how many rows were staged."""
    lake, name = work.lake, work.name

    def audit(staged: Staged) -> list[Finding]:
        rows.append(staged.rows)
        return table_checks.audit(
            lake,
            work.contract,
            name,
            staged,
            parameters=work.literals(),
            counted=answer.offenders,
            scratch=work.scratch,
        )

    names = lake.following_contract(name).schema().name_mapping.model_dump_json()
    properties = {
        NOTE: work.version(),
        table_checks.CHECKS: table_checks.version_of(work.contract, name),
        _NAMES: names,
    }
    return publish_files(
        lake, name, add=answer.files, remove=ALL_FILES, audit=audit, lease=lease, properties=properties
    )


def _results(work: _Work, report: TransformReport) -> list[str]:
    """Write the table as files, where its header says so, and it was published or they are missing."""
    forms = work.transform.results
    stands = report.published or report.unchanged
    if not stands or (report.unchanged and all(is_there(work.lake, work.name, form) for form in forms)):
        return []
    paths = [file.file_path for file in work.lake.data_files(work.name)]
    files = work.lake.local_copies(paths, work.scratch / "results")
    return write_results(work.lake, work.name, forms, files, _metadata(work, report), work.scratch) if forms else []


def _metadata(work: _Work, report: TransformReport) -> dict[str, Any]:
    return {
        "table": work.name,
        "query_id": report.query_id or report.snapshot_id,
        "as_of": work.as_of.isoformat(),
        "parameters": {
            name: value.isoformat() if isinstance(value, dt.date) else value for name, value in work.values.items()
        },
        "source_files": _sources(work),
        "row_count": report.rows,
        "engine": report.engine or None,
        "run_id": work.run_id,
        "snapshot_id": report.snapshot_id,
        "written_at": dt.datetime.now(dt.UTC).isoformat(timespec="seconds").replace("+00:00", "Z"),
    }


def _sources(work: _Work) -> list[dict[str, str]]:
    """The files that the dataset's rows came from."""
    name, columns = work.contract.table_name, ("_pipeline_file_id", "_pipeline_source_file")
    if not work.lake.exists(name):
        return []
    paths = [file.file_path for file in work.lake.data_files(name)]
    copies = work.lake.local_copies(paths, work.scratch / "sources", columns)
    rows = ParquetFiles([str(path) for path in copies], work.lake.tables[name].schema)
    file_id, file_name = columns
    asked = f"SELECT DISTINCT {file_id} AS file_id, {file_name} AS name FROM loaded WHERE {file_id} IS NOT NULL"
    found: list[dict[str, str]] = (
        DuckDBWarehouse({"loaded": rows}.get, temp_directory=work.scratch).query(f"{asked} ORDER BY 2, 1").to_pylist()
    )
    return found
