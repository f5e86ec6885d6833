"""Running a stage over a day: work list, chunks, checks, commits. The same for every stage; what differs is data.

A chunk is committed data first, verdicts last, under the stage's lease. Killed anywhere, a rerun ends in the same
content, and at most a chunk of work is repeated.
"""

import datetime as dt
import hashlib
import time
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice, takewhile
from typing import Any, Protocol

import pyarrow as pa
import pyarrow.compute as pc

from medpipe_assets.documents.pool import Place, PoolSettings, map_tasks
from medpipe_assets.documents.versions import wanted
from medpipe_assets.errors import DocumentError, Reason, RunStopError
from medpipe_assets.lake import quarantine
from medpipe_assets.lake.lake import Lake, columns_to_table, conform
from medpipe_assets.lake.leases import Lease
from medpipe_assets.lake.ledger import (
    DONE,
    QUARANTINED,
    Verdict,
    Work,
    inputs_of,
    read_vouched,
    sweep,
    verdicts,
    withdraw,
    work_list,
)
from medpipe_assets.lake.schemas import TABLES, tables_of

Columns = dict[str, list[Any]]
Rows = list[dict[str, Any]]
Tables = Mapping[str, pa.Table]


@dataclass(frozen=True, slots=True)
class Task:
    """A document to be processed, with its rows of the tables that the stage reads."""

    document_id: str
    rows: Mapping[str, Rows]


@dataclass(frozen=True, slots=True)
class Output:
    """What a stage made of a document.

    Attributes:
        tables: columns by table (those of the contract less the common ones).
        failures: errors of pages.
        error: why the whole document failed; None where it did not.
        costs: rows of `costs` less the common columns and `stage`: what was paid, or saved, for the document.
        stop: why the run must stop before the document is processed; None where it need not.
    """

    tables: Mapping[str, Columns]
    failures: tuple[DocumentError, ...] = ()
    error: DocumentError | None = None
    costs: tuple[Mapping[str, Any], ...] = ()
    stop: RunStopError | None = None


@dataclass(frozen=True)
class Stage:
    """A stage as data.

    Attributes:
        name: one of schemas.STAGES.
        engine: engine name, engine version, settings, code version, in words.
        reads: columns wanted of each table read.
        process: makes a document's output; raises DocumentError. Picklable for processes.
        place: where documents are processed: in processes where parsing may crash, in threads for services.
        check: offending document ids by check name, given the chunk's tables and those read.
        prepare: what is done once for all of a day's work list before the first of its documents is processed, such as
            asking a service about all of them at once. It is given the day and a function that reads the tasks, anew
            each time, a batch after the other. None: nothing.
    """

    name: str
    engine: str
    reads: Mapping[str, Sequence[str]]
    process: Callable[[Task], Output]
    place: Place
    check: Callable[[Tables], Mapping[str, Collection[str]]]
    prepare: Callable[[dt.date, Callable[[], Iterator[Task]]], None] | None = None

    @property
    def version(self) -> str:
        """The stage_version: the engine's name and a hash of all that `engine` says; a change redoes the work."""
        return f"{self.engine.partition(' ')[0]}-{hashlib.sha256(self.engine.encode()).hexdigest()[:12]}"


@dataclass(frozen=True)
class ChunkSettings:
    """When a chunk is committed: whichever of the two comes first."""

    documents: int = 500
    seconds: float = 20.0


class Progress(Protocol):
    """Who watches a stage work: the log, or a bar on a terminal."""

    def begin(self, stage: str, total: int) -> None: ...

    def advance(self, documents: int) -> None: ...

    def waiting(self, stage: str) -> None: ...


class Silence:
    """Nobody watches."""

    def begin(self, stage: str, total: int) -> None:
        pass

    def advance(self, documents: int) -> None:
        pass

    def waiting(self, stage: str) -> None:
        pass


SILENCE = Silence()


@dataclass(frozen=True)
class Selection:
    """Which documents to process: all that need it, or, of `only`, those that need it, or (`force`) all of them."""

    only: frozenset[str] | None = None
    force: bool = False


EVERYTHING_PENDING = Selection()
DEFAULT_POOL = PoolSettings()
DEFAULT_CHUNKS = ChunkSettings()


@dataclass
class StageReport:
    """What a stage did in a run; counts only."""

    stage: str
    processed: int = 0
    done: int = 0
    quarantined: int = 0
    rows: dict[str, int] = field(default_factory=dict)
    chunks: int = 0
    swept: int = 0
    seconds: float = 0.0
    dollars: float = 0.0
    saved_dollars: float = 0.0


@dataclass
class _Chunk:
    outputs: list[tuple[str, Output | DocumentError]] = field(default_factory=list)
    read: list[tuple[set[str], Tables]] = field(default_factory=list)  # with the documents not committed yet
    costs: list[Mapping[str, Any]] = field(default_factory=list)
    begun: float = field(default_factory=time.monotonic)

    def add(self, document_id: str, output: Output | DocumentError | RunStopError) -> RunStopError | None:
        """Take an output in, or its costs alone where the run must stop before the document is processed."""
        if isinstance(output, RunStopError):
            return output
        if isinstance(output, Output):
            self.costs += [{"document_id": document_id, **cost} for cost in output.costs]
            if output.stop is not None:
                return output.stop
            output = output.error or output
        self.outputs.append((document_id, output))
        return None

    def is_full(self, settings: ChunkSettings) -> bool:
        return len(self.outputs) >= settings.documents or time.monotonic() - self.begun >= settings.seconds


def run_stage(
    lake: Lake,
    stage: Stage,
    day: dt.date,
    *,
    run_id: str,
    selection: Selection = EVERYTHING_PENDING,
    pool: PoolSettings = DEFAULT_POOL,
    chunks: ChunkSettings = DEFAULT_CHUNKS,
    progress: Progress = SILENCE,
) -> StageReport:
    """Process what a day's work list holds, and commit it chunk by chunk.

    Raises:
        LeaseLostError: where another run took over; its own commits stand, nothing is half done.
        RunStopError: where the configuration is wrong or the budget used up; what is done is committed.
    """
    report = StageReport(stage.name)
    begun = time.monotonic()
    name = f"{stage.name} {day.isoformat()}"
    with lake.leases.hold(name, on_wait=lambda: progress.waiting(stage.name)) as lease:
        if not lease.clean:
            with lake.leases.commit(lease):
                report.swept = sweep(lake, stage.name, day)
        inputs, own = inputs_of(lake, stage.name, day), verdicts(lake, stage.name, [day])
        if gone := own.keys() - inputs.keys():
            with lake.leases.commit(lease):
                withdraw(lake, stage.name, day, gone)
        inputs = _less_newer(lake, stage, inputs, own)
        work = work_list(inputs, own, stage.version, only=selection.only, force=selection.force)
        progress.begin(stage.name, len(work.input_versions))
        if work.input_versions:
            with lake.leases.commit(lease):
                _describe_version(lake, stage, run_id)
            _prepare(lake, stage, day, work, chunks)
            _run_chunks(lake, stage, day, work, lease, report, run_id, pool, chunks, progress)
        if work.redo:
            with lake.leases.commit(lease):
                sweep(lake, stage.name, day)
    report.seconds = time.monotonic() - begun
    return report


def _less_newer(lake: Lake, stage: Stage, inputs: dict[str, str], own: Mapping[str, Verdict]) -> dict[str, str]:
    """The inputs, less what a run that began after this one has done already by a version of its own."""
    newer = wanted(lake, stage.name)
    if newer in (None, stage.version):
        return inputs
    return {d: version for d, version in inputs.items() if d not in own or own[d].stage_version != newer}


def _prepare(lake: Lake, stage: Stage, day: dt.date, work: Work, settings: ChunkSettings) -> None:
    def tasks() -> Iterator[Task]:
        for ids in _batches(list(work.input_versions), settings.documents):
            yield from _tasks(ids, _read(lake, stage, day, ids))

    if stage.prepare is not None:
        stage.prepare(day, tasks)


def _run_chunks(
    lake: Lake,
    stage: Stage,
    day: dt.date,
    work: Work,
    lease: Lease,
    report: StageReport,
    run_id: str,
    pool: PoolSettings,
    settings: ChunkSettings,
    progress: Progress,
) -> None:
    chunk = _Chunk()
    stops: list[RunStopError] = []

    def tasks() -> Iterator[Task]:
        for ids in _batches(list(work.input_versions), settings.documents):
            if stops:
                return
            read = _read(lake, stage, day, ids)
            chunk.read.append((set(ids), read))
            yield from takewhile(lambda _: not stops, _tasks(ids, read))

    def commit() -> None:
        with lake.leases.commit(lease):
            _commit(lake, stage, day, work, chunk, lease, report, run_id)
        # What was read for documents that are still in the pool stays for the checks of their chunk.
        committed = {document_id for document_id, _ in chunk.outputs}
        chunk.read = [(left, tables) for ids, tables in chunk.read if (left := ids - committed)]
        chunk.outputs, chunk.costs, chunk.begun = [], [], time.monotonic()

    for task, output in map_tasks(stage.process, tasks(), pool, stage.place):
        if (stop := chunk.add(task.document_id, output)) is not None:
            stops.append(stop)
        progress.advance(1)
        if chunk.is_full(settings):
            commit()
    if chunk.outputs or chunk.costs:
        commit()
    if stops:
        raise stops[0]


def _describe_version(lake: Lake, stage: Stage, run_id: str) -> None:
    """Note what a stage_version stands for, the first time that it is used."""
    known = lake.read("stage_versions", ("stage_version",), stage=stage.name)["stage_version"].to_pylist()
    if stage.version not in known:
        row = {"stage": stage.name, "stage_version": stage.version, "description": stage.engine, "run_id": run_id}
        columns = {name: [value] for name, value in (row | {"processed_at": dt.datetime.now(dt.UTC)}).items()}
        lake.write("stage_versions", columns_to_table("stage_versions", columns))


def _batches(ids: Sequence[str], size: int) -> Iterator[list[str]]:
    iterator = iter(ids)
    while batch := list(islice(iterator, size)):
        yield batch


def _read(lake: Lake, stage: Stage, day: dt.date, ids: Sequence[str]) -> Tables:
    return {
        table: read_vouched(lake, table, ("document_id", *columns), days=[day], documents=ids)
        for table, columns in stage.reads.items()
    }


def _tasks(ids: Sequence[str], read: Tables) -> Iterator[Task]:
    grouped: dict[str, dict[str, Rows]] = {document_id: {name: [] for name in read} for document_id in ids}
    for name, table in read.items():
        for row in table.to_pylist():
            grouped[row["document_id"]][name].append(row)
    for document_id, rows in grouped.items():
        yield Task(document_id, rows)


def _commit(
    lake: Lake, stage: Stage, day: dt.date, work: Work, chunk: _Chunk, lease: Lease, report: StageReport, run_id: str
) -> None:
    now = dt.datetime.now(dt.UTC)
    common = {"ingest_date": day, "stage_version": stage.version, "run_id": run_id, "processed_at": now}
    outputs = dict(chunk.outputs)
    try:
        tables = _assemble(stage, work, outputs, common)
    except ValueError:
        outputs = {d: _if_it_fits(stage, work, d, output, common) for d, output in outputs.items()}
        tables = _assemble(stage, work, outputs, common)
    read = [of_batch for _, of_batch in chunk.read]
    for document_id, check in _offending(stage, tables, read, outputs).items():
        outputs[document_id] = DocumentError(Reason.INCONSISTENT, f"its rows fail the check {check}")
    quarantined = {d: output for d, output in outputs.items() if isinstance(output, DocumentError)}
    counts: dict[str, int] = dict.fromkeys(outputs, 0)
    for name, rows in tables.items():
        kept = rows.filter(pc.invert(pc.is_in(rows["document_id"], pa.array(sorted(quarantined), pa.string()))))
        lake.write(name, kept)
        report.rows[name] = report.rows.get(name, 0) + kept.num_rows
        for document_id in kept["document_id"].to_pylist():
            counts[document_id] += 1
    quarantine.record(
        lake, stage.name, day, _failures(lake, outputs), list(outputs), run_id=run_id, now=now
    )  # fmt: skip
    _write_costs(lake, stage, day, chunk.costs, report, run_id, now)
    ids = list(outputs)
    lake.write(
        "stage_status",
        columns_to_table(
            "stage_status",
            {
                "document_id": ids,
                "input_version": [work.input_versions[d] for d in ids],
                **{name: [value] * len(ids) for name, value in common.items()},
                "stage": [stage.name] * len(ids),
                "outcome": [QUARANTINED if d in quarantined else DONE for d in ids],
                "reason": [quarantined[d].reason.value if d in quarantined else None for d in ids],
                "row_count": [counts[d] for d in ids],
                "fence": [lease.fence] * len(ids),
            },
        ),
    )
    report.chunks += 1
    report.processed += len(ids)
    report.quarantined += len(quarantined)
    report.done += len(ids) - len(quarantined)


def _write_costs(
    lake: Lake,
    stage: Stage,
    day: dt.date,
    costs: Sequence[Mapping[str, Any]],
    report: StageReport,
    run_id: str,
    now: dt.datetime,
) -> None:
    """What was paid is written before the verdicts: a call stands in the table though its document has to wait."""
    if not costs:
        return
    common = {"ingest_date": day, "stage": stage.name, "run_id": run_id, "processed_at": now}
    lake.write("costs", pa.Table.from_pylist([{**cost, **common} for cost in costs], TABLES["costs"].schema))
    report.dollars += sum(cost["dollars"] for cost in costs)
    report.saved_dollars += sum(cost["saved_dollars"] for cost in costs)


def _assemble(
    stage: Stage, work: Work, outputs: Mapping[str, Output | DocumentError], common: Mapping[str, Any]
) -> dict[str, pa.Table]:
    """The chunk's rows, table by table, with the common columns added.

    Raises:
        ValueError: where some document's values do not fit a contract.
    """
    assembled: dict[str, pa.Table] = {}
    for contract in tables_of(stage.name):
        columns: Columns = {column.name: [] for column in contract.columns}
        for document_id, output in outputs.items():
            if isinstance(output, DocumentError):
                continue
            own = output.tables.get(contract.name, {})
            count = _length(contract.name, own)
            for name, values in own.items():
                columns[name] += values
            columns["document_id"] += [document_id] * count
            columns["input_version"] += [work.input_versions[document_id]] * count
        total = len(columns["document_id"])
        columns |= {name: [value] * total for name, value in common.items()}
        assembled[contract.name] = conform(contract, columns_to_table(contract.name, columns))
    return assembled


def _length(table: str, columns: Columns) -> int:
    """The number of rows. Ragged columns of two documents may even out, so each document's are looked at."""
    lengths = {len(values) for values in columns.values()}
    if len(lengths) > 1:
        raise ValueError(f"{table}: columns of different lengths")
    return next(iter(lengths), 0)


def _if_it_fits(
    stage: Stage, work: Work, document_id: str, output: Output | DocumentError, common: Mapping[str, Any]
) -> Output | DocumentError:
    """The output, or an error in its place where its values do not fit the contract."""
    try:
        _assemble(stage, work, {document_id: output}, common)
    except ValueError:
        return DocumentError(Reason.INCONSISTENT, "its rows do not fit the table's types")
    return output


def _offending(stage: Stage, made: Tables, read: Sequence[Tables], documents: Collection[str]) -> dict[str, str]:
    """Those of the documents whose rows fail one of the stage's checks, with the check's name."""
    inputs = {name: pa.concat_tables([tables[name] for tables in read]) for name in stage.reads} if read else {}
    return {d: name for name, offenders in stage.check({**inputs, **made}).items() for d in offenders if d in documents}


def _failures(lake: Lake, outputs: Mapping[str, Output | DocumentError]) -> list[quarantine.Failure]:
    """Failures of documents and of their pages, each under every source that the document came from."""
    errors = {
        document_id: (output,) if isinstance(output, DocumentError) else output.failures
        for document_id, output in outputs.items()
    }
    failed = {document_id for document_id, found in errors.items() if found}
    if not failed:
        return []
    sources = lake.read("document_sources", ("source_id", "document_id"), documents=failed)
    pairs = sorted(set(zip(sources["source_id"].to_pylist(), sources["document_id"].to_pylist(), strict=True)))
    return [
        quarantine.Failure(source_id, document_id, DocumentError(error.reason, error.detail, error.page))
        for source_id, document_id in pairs
        for error in errors[document_id]
    ]
