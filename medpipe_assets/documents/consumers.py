"""The consumer tables: one SQL file each over the stages' rows in force, rebuilt by days, audited before publication.

A day is rebuilt when what it is made from has changed, and not otherwise. A document is current when it is the latest
of at least one of its sources; a new version that arrives today therefore changes the day of the old one, too.
"""

import datetime as dt
import hashlib
import json
from collections import Counter
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from functools import partial
from importlib.resources import files
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from medpipe_assets.aws.metering import collecting
from medpipe_assets.documents.stage import SILENCE, Progress
from medpipe_assets.errors import RunStopError
from medpipe_assets.lake.lake import Lake
from medpipe_assets.lake.ledger import Verdict, all_verdicts, days_of_receipts
from medpipe_assets.lake.publication import Findings, built_from, publish
from medpipe_assets.lake.schemas import TABLES
from medpipe_assets.warehouse.engine import QueryError, QueryReport, Warehouse
from medpipe_assets.warehouse.lake_tables import Scope, WarehouseOver, lake_warehouse

CONSUMERS = ("diagnoses", "document_summary")
"""In order: a later one may read an earlier one."""

Audit = Callable[[pa.Table], Findings]


@dataclass
class ConsumerReport:
    """What a rebuild did; counts only. `published` is false where nothing had changed or the audit refused.

    `query` is what the SQL took, None where it ran on this machine or not at all; `dollars` what was paid for it.
    """

    table: str
    days: list[dt.date] = field(default_factory=list)
    rows: int = 0
    published: bool = False
    findings: dict[str, int] = field(default_factory=dict)
    query: QueryReport | None = None
    dollars: float = 0.0


def sql_of(name: str) -> str:
    """The table's definition, in Athena's dialect."""
    return files("medpipe_assets").joinpath("datasets", "documents", f"{name}.sql").read_text(encoding="utf-8")


def current_documents(lake: Lake) -> set[str]:
    """Documents that are the latest of at least one source."""
    return _Receipts.of(lake).current


def affected_days(lake: Lake, day: dt.date) -> list[dt.date]:
    """The day itself, and the days of documents that a source received on this day superseded."""
    return _Receipts.of(lake).affected_days(day)


@dataclass(frozen=True)
class _Receipts:
    """What was received, at one snapshot.

    Attributes:
        current: documents that are the latest of at least one source.
        firsts: the day of each document.
    """

    snapshot_id: int | None
    rows: list[tuple[str, str | None, dt.date, int, bool]]
    current: set[str]
    firsts: Mapping[str, dt.date]

    @classmethod
    def of(cls, lake: Lake) -> "_Receipts":
        names = ("source_id", "document_id", "ingest_date", "sequence", "deleted")
        snapshot_id = lake.snapshot_id("document_sources")
        table = lake.read("document_sources", names, snapshot_id=snapshot_id)
        rows = list(zip(*(table[name].to_pylist() for name in names), strict=True))
        latest: dict[str, tuple[int, str | None]] = {}
        for source_id, document_id, _, sequence, deleted in rows:
            if sequence > latest.get(source_id, (0, None))[0]:
                latest[source_id] = (sequence, None if deleted else document_id)
        current = {document_id for _, document_id in latest.values() if document_id is not None}
        return cls(snapshot_id, rows, current, days_of_receipts(table))

    def affected_days(self, day: dt.date) -> list[dt.date]:
        touched = {source_id for source_id, _, received, *_ in self.rows if received == day}
        documents = (document_id for source_id, document_id, *_ in self.rows if source_id in touched)
        return sorted({day} | {self.firsts[document_id] for document_id in documents if document_id is not None})


def rebuild(
    lake: Lake,
    name: str,
    day: dt.date,
    *,
    run_id: str = "",
    warehouse: WarehouseOver = lake_warehouse,
    audit: Audit | None = None,
    progress: Progress = SILENCE,
    force: bool = False,
) -> ConsumerReport:
    """Bring a consumer table up to date for a day and the days it affects.

    Args:
        run_id: to whose account goes what the SQL engine is paid.
        warehouse: the engine that the table's SQL is asked of.
        audit: what the staged rows must satisfy; AUDITS of the table when None.
        force: rebuild days that are up to date, too.

    Raises:
        RunStopError: the SQL could not be answered; the table is as it was.
    """
    report = ConsumerReport(name)
    with lake.leases.hold(name, on_wait=lambda: progress.waiting(name)) as lease:
        receipts = _Receipts.of(lake)
        states = _states(lake, receipts.affected_days(day), receipts)
        notes = {d: state.note(name) for d, state in states.items()}
        report.days = [d for d in states if force or built_from(lake, name, d) != notes[d]]
        if not report.days:
            return report
        # Documents that are received by now would be foreign to the audit, which knows those of the notes.
        asked = warehouse(lake, Scope(days=report.days, pinned={"document_sources": receipts.snapshot_id}))
        rows = _answer(lake, name, day, asked, run_id, report)
        findings = publish(
            lake,
            name,
            rows,
            audit or partial(audit_rows, name, {d: states[d].documents for d in report.days}),
            lease,
            notes={d: notes[d] for d in report.days},
        )
        report.rows = rows.num_rows
        report.findings = {check: len(offenders) for check, offenders in findings.items()}
        report.published = not any(findings.values())
    return report


def _answer(lake: Lake, name: str, day: dt.date, asked: Warehouse, run_id: str, report: ConsumerReport) -> pa.Table:
    """The rows that a table's SQL gives. What was paid is kept, also where no answer came."""
    with collecting() as costs:
        try:
            rows, report.query = asked.ask(sql_of(name))
        except QueryError as error:
            raise RunStopError(f"{name} could not be computed and stays as it was: {error}") from None
        finally:
            report.dollars = _keep_costs(lake, name, day, [asdict(cost) for cost in costs], run_id)
    return rows


def _keep_costs(lake: Lake, name: str, day: dt.date, costs: Sequence[Mapping[str, Any]], run_id: str) -> float:
    """Put what queries cost into the table `costs`, under no document; the dollars."""
    now = dt.datetime.now(dt.UTC)
    common = {"document_id": "", "ingest_date": day, "stage": name, "run_id": run_id, "processed_at": now}
    lake.write("costs", pa.Table.from_pylist([{**cost, **common} for cost in costs], TABLES["costs"].schema))
    return float(sum(cost["dollars"] for cost in costs))


def is_stale(lake: Lake, day: dt.date) -> bool:
    """Whether any consumer table of a day is behind the stages."""
    state = _states(lake, [day], _Receipts.of(lake))[day]
    return any(built_from(lake, name, day) != state.note(name) for name in CONSUMERS)


@dataclass(frozen=True)
class _State:
    """What a day's consumer rows are made from: its current documents, and the verdicts in force on them."""

    documents: frozenset[str]
    verdicts: Collection[Verdict]

    def note(self, name: str) -> str:
        marks = sorted((v.stage, v.document_id, v.run_id, v.processed_at.isoformat()) for v in self.verdicts)
        made = [sql_of(consumer) for consumer in CONSUMERS[: CONSUMERS.index(name) + 1]]
        return hashlib.sha256(json.dumps([sorted(self.documents), marks, made]).encode()).hexdigest()


def _states(lake: Lake, days: Collection[dt.date], receipts: _Receipts) -> dict[dt.date, _State]:
    verdicts = all_verdicts(lake, days)
    states = {}
    for day in days:
        documents = frozenset(d for d in receipts.current if receipts.firsts[d] == day)
        states[day] = _State(documents, [v for v in verdicts if v.document_id in documents])
    return states


def audit_rows(name: str, documents: Mapping[dt.date, Collection[str]], rows: pa.Table) -> Findings:
    """What must hold of a consumer table's days: keys unique, no document lost, foreign or on another's day."""
    expected = {d for found in documents.values() for d in found}
    listed = rows["document_id"].to_pylist()
    placed = zip(rows["ingest_date"].to_pylist(), listed, strict=True)
    findings: dict[str, Collection[str]] = {
        "documents_are_current": {d for day, d in placed if d not in documents.get(day, ())}
    }
    if name == "document_summary":
        findings["every_document_is_there"] = expected - set(listed)
        keys: list[tuple[str, ...]] = [(d,) for d in listed]
    else:
        keys = list(zip(listed, rows["code_system"].to_pylist(), rows["code"].to_pylist(), strict=True))
        probability = rows["probability"]
        fine = pc.and_(pc.greater_equal(probability, 0), pc.less_equal(probability, 1))  # not so for NaN
        findings["probabilities_in_range"] = set(rows["document_id"].filter(pc.invert(fine)).to_pylist())
    findings["keys_are_unique"] = {key[0] for key, count in Counter(keys).items() if count > 1}
    return findings
