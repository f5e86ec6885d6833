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
from medpipe_assets.lake.ledger import days_of_receipts
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
    return set(_Receipts.of(lake).current.to_pylist())


def affected_days(lake: Lake, day: dt.date) -> list[dt.date]:
    """The day itself, and the days of documents that a source received on this day superseded."""
    return _Receipts.of(lake).affected_days(day)


@dataclass(frozen=True)
class _Receipts:
    """What was received, at one snapshot: rows of document_sources, in the order of receipt.

    There may be millions, so they stay in Arrow, and what is asked of them is asked for some days.
    """

    snapshot_id: int | None
    rows: pa.Table

    @classmethod
    def of(cls, lake: Lake) -> "_Receipts":
        names = ("source_id", "document_id", "ingest_date", "sequence", "deleted")
        snapshot_id = lake.snapshot_id("document_sources")
        rows = lake.read("document_sources", names, snapshot_id=snapshot_id)
        return cls(snapshot_id, rows.sort_by("sequence"))

    def until(self, sequence: int) -> "_Receipts":
        """Those up to a number."""
        return _Receipts(self.snapshot_id, self.rows.filter(pc.less_equal(self.rows["sequence"], sequence)))

    @property
    def last(self) -> int:
        """The highest number."""
        return pc.max(self.rows["sequence"]).as_py() or 0

    @property
    def current(self) -> pa.Array:
        """Documents that are the latest of at least one source."""
        grouped = self.rows.group_by("source_id", use_threads=False)
        # A null is a value here: what was found last may be no document.
        whatever = pc.ScalarAggregateOptions(skip_nulls=False)
        latest = grouped.aggregate([("document_id", "last", whatever), ("deleted", "last", whatever)])
        there = pc.and_(pc.is_valid(latest["document_id_last"]), pc.invert(latest["deleted_last"]))
        return latest["document_id_last"].filter(there).unique()

    def firsts(self, documents: pa.Array | None = None) -> Mapping[str, dt.date]:
        """The day of each document, or of these."""
        return days_of_receipts(self.rows if documents is None else self._of("document_id", documents).rows)

    def _of(self, column: str, values: pa.Array) -> "_Receipts":
        return _Receipts(self.snapshot_id, self.rows.filter(pc.is_in(self.rows[column], values)))

    def beside(self, documents: pa.Array) -> "_Receipts":
        """All receipts of the sources of some documents."""
        return self._of("source_id", self._of("document_id", documents).rows["source_id"].unique())

    def current_on(self, day: dt.date, among: Collection[str] | None = None) -> frozenset[str]:
        """The current documents of a day, or those of some."""
        of_day = (
            self.rows.filter(pc.equal(self.rows["ingest_date"], day))["document_id"].unique()
            if among is None
            else pa.array(sorted(among), pa.string())
        )
        near = self.beside(of_day)
        firsts = near.firsts(of_day)
        return frozenset(d for d in near.current.to_pylist() if firsts.get(d) == day)

    def touched_since(self, sequence: int) -> pa.Array:
        """Documents, past ones too, of the sources of which there is a receipt with a higher number."""
        sources = self.rows.filter(pc.greater(self.rows["sequence"], sequence))["source_id"].unique()
        return self._of("source_id", sources).rows["document_id"].drop_null().unique()

    def affected_days(self, day: dt.date) -> list[dt.date]:
        sources = self.rows.filter(pc.equal(self.rows["ingest_date"], day))["source_id"].unique()
        touched = self._of("source_id", sources).rows["document_id"].drop_null().unique()
        return sorted({day, *self.firsts(touched).values()})


@dataclass(frozen=True)
class _Change:
    """What is to be done for a day: the note of what it is built from then, and the documents to redo.

    Attributes:
        documents: those whose rows may be others by now, and those that are current no more; None: the whole day.
    """

    note: str
    documents: frozenset[str] | None


def _change(lake: Lake, name: str, day: dt.date, receipts: _Receipts, force: bool = False) -> _Change | None:
    """What has changed since a day of a table was built; None where nothing has.

    The note says up to which fence of each stage, and up to which receipt, everything is in the table, and what ledger
    and receipts said up to there. Both only grow, so that they must say the same today; where they do not (a verdict
    was withdrawn, two runs wrote at once), or the SQL is another, the whole day is redone.
    """
    ledger = lake.read("stage_status", ("document_id", "stage", "fence", "processed_at"), days=[day])
    now = {"made": _made(name), "ledger": _tally(ledger), "receipts": [receipts.last, receipts.rows.num_rows]}
    note = json.dumps(now, sort_keys=True)
    before = {} if force else _note(lake, name, day)
    if before.get("made") != now["made"]:
        return _Change(note, None)
    last, received = before["receipts"]
    fences = {stage: fence for stage, (fence, _, _) in before["ledger"].items()}
    old = _up_to(ledger, fences)
    if _tally(ledger.filter(old)) != before["ledger"] or receipts.until(last).rows.num_rows != received:
        return _Change(note, None)
    newer = ledger.filter(pc.invert(old))["document_id"].unique().to_pylist()
    moved = (d for d, first in receipts.firsts(receipts.touched_since(last)).items() if first == day)
    changed = frozenset(newer).union(moved)
    return _Change(note, changed) if changed else None


def _note(lake: Lake, name: str, day: dt.date) -> dict[str, Any]:
    """What a day of a table was built from; nothing where it never was, or an earlier version built it."""
    try:
        found = json.loads(built_from(lake, name, day) or "{}")
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}


def _tally(ledger: pa.Table) -> dict[str, list[int]]:
    """By stage: the highest fence, how many verdicts there are, and the sum of the times at which they were given."""
    stamped = ledger.set_column(3, "processed_at", ledger["processed_at"].cast(pa.int64()))
    found = stamped.group_by("stage").aggregate([("fence", "max"), ("fence", "count"), ("processed_at", "sum")])
    columns = ("fence_max", "fence_count", "processed_at_sum")
    return {row["stage"]: [row[column] for column in columns] for row in found.to_pylist()}


def _up_to(ledger: pa.Table, fences: Mapping[str, int]) -> pa.ChunkedArray:
    """Which verdicts were given under these fences, or earlier ones."""
    stages = pa.array(fences, pa.string())
    limits = pc.take(pa.array(fences.values(), pa.int64()), pc.index_in(ledger["stage"], stages))
    return pc.fill_null(pc.less_equal(ledger["fence"], limits), False)


def _made(name: str) -> str:
    """The SQL of a table, and of those that it may read, in a word."""
    made = [sql_of(consumer) for consumer in CONSUMERS[: CONSUMERS.index(name) + 1]]
    return hashlib.sha256("\n".join(made).encode()).hexdigest()[:16]


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

    Where few documents have changed, the SQL is asked about them alone, and only their rows are replaced.

    Args:
        run_id: to whose account goes what the SQL engine is paid.
        warehouse: the engine that the table's SQL is asked of.
        audit: what the staged rows must satisfy; AUDITS of the table when None.
        force: rebuild whole days, up to date or not.

    Raises:
        RunStopError: the SQL could not be answered; the table is as it was.
    """
    report = ConsumerReport(name)
    with lake.leases.hold(name, on_wait=lambda: progress.waiting(name)) as lease:
        receipts = _Receipts.of(lake)
        changes = {d: _change(lake, name, d, receipts, force) for d in receipts.affected_days(day)}
        todo = {d: change for d, change in changes.items() if change is not None}
        report.days = list(todo)
        if not todo:
            return report
        only = _few(todo.values())
        expected = {d: receipts.current_on(d, only) for d in todo}
        # Documents that are received by now would be foreign to the audit, which knows those of the notes.
        scope = Scope(days=report.days, documents=only, pinned={"document_sources": receipts.snapshot_id})
        rows = _answer(lake, name, day, warehouse(lake, scope), run_id, report)
        if only is not None:  # an engine may tell of the whole days
            rows = rows.filter(pc.is_in(rows["document_id"], pa.array(sorted(only), pa.string())))
        findings = publish(
            lake,
            name,
            rows,
            audit or partial(audit_rows, name, expected),
            lease,
            notes={d: change.note for d, change in todo.items()},
            documents=only,
        )
        report.rows = rows.num_rows
        report.findings = {check: len(offenders) for check, offenders in findings.items()}
        report.published = not any(findings.values())
    return report


FEW = 1000
"""Up to so many changed documents are asked about by name; more are not worth the longer question."""


def _few(changes: Collection[_Change]) -> frozenset[str] | None:
    """The documents to be redone, where they are few; None: whole days."""
    sets = [change.documents for change in changes]
    together = frozenset[str]().union(*(documents for documents in sets if documents is not None))
    return together if None not in sets and len(together) <= FEW else None


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
    receipts = _Receipts.of(lake)
    return any(_change(lake, name, day, receipts) is not None for name in CONSUMERS)


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
