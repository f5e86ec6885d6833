"""The consumer tables: one SQL file each over the stages' rows in force, rebuilt by days, audited before publication.

A day is rebuilt when what it is made from has changed, and not otherwise. A document is current when it is the latest
of at least one of its sources; a new version that arrives today therefore changes the day of the old one, too.
"""

import datetime as dt
import hashlib
import json
from collections import Counter
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from functools import partial
from importlib.resources import files

import pyarrow as pa
import pyarrow.compute as pc

from medpipe_assets.documents.stage import SILENCE, Progress
from medpipe_assets.lake.lake import Lake
from medpipe_assets.lake.ledger import Verdict, first_days, read_vouched, verdicts
from medpipe_assets.lake.publication import Findings, built_from, publish
from medpipe_assets.lake.schemas import STAGES, TABLES
from medpipe_assets.warehouse.duckdb import DuckDBWarehouse

CONSUMERS = ("diagnoses", "document_summary")
"""In order: a later one may read an earlier one."""

Audit = Callable[[pa.Table], Findings]


@dataclass
class ConsumerReport:
    """What a rebuild did; counts only. `published` is false where nothing had changed or the audit refused."""

    table: str
    days: list[dt.date] = field(default_factory=list)
    rows: int = 0
    published: bool = False
    findings: dict[str, int] = field(default_factory=dict)


def sql_of(name: str) -> str:
    """The table's definition, in Athena's dialect."""
    return files("medpipe_assets").joinpath("datasets", "documents", f"{name}.sql").read_text(encoding="utf-8")


def current_documents(lake: Lake) -> set[str]:
    """Documents that are the latest of at least one source."""
    rows = lake.read("document_sources", ("source_id", "document_id", "sequence", "deleted"))
    latest: dict[str, tuple[int, str | None]] = {}
    columns = (rows[name].to_pylist() for name in ("source_id", "document_id", "sequence", "deleted"))
    for source_id, document_id, sequence, deleted in zip(*columns, strict=True):
        if sequence > latest.get(source_id, (0, None))[0]:
            latest[source_id] = (sequence, None if deleted else document_id)
    return {document_id for _, document_id in latest.values() if document_id is not None}


def affected_days(lake: Lake, day: dt.date) -> list[dt.date]:
    """The day itself, and the days of documents that a source received on this day superseded."""
    rows = lake.read("document_sources", ("source_id", "document_id", "ingest_date"))
    touched = set(rows["source_id"].filter(pc.equal(rows["ingest_date"], pa.scalar(day, pa.date32()))).to_pylist())
    firsts = first_days(lake)
    days = {day}
    for source_id, document_id in zip(rows["source_id"].to_pylist(), rows["document_id"].to_pylist(), strict=True):
        if source_id in touched and document_id is not None:
            days.add(firsts[document_id])
    return sorted(days)


def rebuild(
    lake: Lake,
    name: str,
    day: dt.date,
    *,
    audit: Audit | None = None,
    progress: Progress = SILENCE,
    force: bool = False,
) -> ConsumerReport:
    """Bring a consumer table up to date for a day and the days it affects.

    Args:
        audit: what the staged rows must satisfy; AUDITS of the table when None.
        force: rebuild days that are up to date, too.
    """
    report = ConsumerReport(name)
    with lake.leases.hold(name, on_wait=lambda: progress.waiting(name)) as lease:
        current = current_documents(lake)
        states = {d: _State.of(lake, d, current) for d in affected_days(lake, day)}
        notes = {d: state.note(name) for d, state in states.items()}
        report.days = [d for d in states if force or built_from(lake, name, d) != notes[d]]
        if not report.days:
            return report
        rows = _select(lake, name, {d: states[d] for d in report.days})
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


def is_stale(lake: Lake, day: dt.date) -> bool:
    """Whether any consumer table of a day is behind the stages."""
    state = _State.of(lake, day, current_documents(lake))
    return any(built_from(lake, name, day) != state.note(name) for name in CONSUMERS)


@dataclass(frozen=True)
class _State:
    """What a day's consumer rows are made from."""

    documents: frozenset[str]
    in_force: Mapping[str, Mapping[str, Verdict]]

    @classmethod
    def of(cls, lake: Lake, day: dt.date, current: Collection[str]) -> "_State":
        documents = frozenset(d for d, first in first_days(lake).items() if first == day and d in current)
        return cls(documents, {stage: verdicts(lake, stage, [day]) for stage in STAGES})

    def note(self, name: str) -> str:
        marks = sorted(
            (stage, d, v.run_id, v.processed_at.isoformat())
            for stage, found in self.in_force.items()
            for d, v in found.items()
            if d in self.documents
        )
        made = [sql_of(consumer) for consumer in CONSUMERS[: CONSUMERS.index(name) + 1]]
        return hashlib.sha256(json.dumps([sorted(self.documents), marks, made]).encode()).hexdigest()


def _select(lake: Lake, name: str, states: Mapping[dt.date, _State]) -> pa.Table:
    """Run the table's SQL over the rows in force of these days' current documents."""
    days = list(states)
    documents = pa.array(sorted(d for state in states.values() for d in state.documents), pa.string())
    firsts = first_days(lake)

    def table(wanted: str) -> pa.Table | None:
        if wanted == "current_documents":
            dates = pa.array([firsts[d] for d in documents.to_pylist()], pa.date32())
            return pa.table({"document_id": documents, "ingest_date": dates})
        if wanted == "stage_status":
            found = [v for s in states.values() for by_document in s.in_force.values() for v in by_document.values()]
            return pa.table(
                {
                    "document_id": pa.array([v.document_id for v in found], pa.string()),
                    "stage": pa.array([v.stage for v in found], pa.string()),
                    "outcome": pa.array([v.outcome for v in found], pa.string()),
                    "reason": pa.array([v.reason for v in found], pa.string()),
                }
            )
        if wanted not in TABLES:
            return None
        rows = read_vouched(lake, wanted, days=days)
        return rows.filter(pc.is_in(rows["document_id"], documents))

    return DuckDBWarehouse(table, temp_directory=lake.location.scratch).query(sql_of(name))


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
