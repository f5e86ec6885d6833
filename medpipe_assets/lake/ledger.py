"""The ledger: which stage said what of which document, and what is therefore still to be done.

`stage_status` is the only thing that work lists and conservation read. A row of a stage's table counts only when the
verdict in force vouches for it: same document, same run, same `processed_at`. So rows of a run that was cut off
between data and verdict are there but do not count, and the sweep removes them.
"""

import datetime as dt
import hashlib
from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
from pyiceberg.expressions import And, EqualTo

from medpipe_assets.errors import RETRIED_BY_THEMSELVES, Reason
from medpipe_assets.lake.lake import Lake, documents_of_day, empty
from medpipe_assets.lake.schemas import STAGES, TABLES, tables_of

DONE = "done"
QUARANTINED = "quarantined"
FIRST_INPUT = "received"
"""The input_version of the first stage: a document's bytes have no version but themselves."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """What a stage last said of a document; the fields are those of stage_status."""

    document_id: str
    stage: str
    stage_version: str
    input_version: str
    outcome: str
    reason: str | None
    row_count: int
    run_id: str
    processed_at: dt.datetime
    fence: int

    @property
    def done(self) -> bool:
        return self.outcome == DONE

    @property
    def retried_by_itself(self) -> bool:
        """Quarantined for a reason that may have passed by the next run."""
        return self.outcome == QUARANTINED and Reason(self.reason or "") in RETRIED_BY_THEMSELVES


def version_after(verdict: Verdict) -> str:
    """The input_version that a stage's verdict hands to the next stage: a hash of the chain so far."""
    chain = "\n".join((verdict.input_version, verdict.stage, verdict.stage_version))
    return hashlib.sha256(chain.encode()).hexdigest()[:16]


_VERDICT_COLUMNS = tuple(Verdict.__dataclass_fields__)


def verdicts(
    lake: Lake, stage: str, days: Collection[dt.date] | None = None, documents: Collection[str] | None = None
) -> dict[str, Verdict]:
    """The verdict in force of each document: the one of the highest fence, then the latest."""
    rows = lake.read("stage_status", _VERDICT_COLUMNS, days=days, stage=stage, documents=documents)
    return {v.document_id: v for v in _in_force(rows)}


def all_verdicts(lake: Lake, days: Collection[dt.date]) -> list[Verdict]:
    """The verdicts in force of all stages on the documents of some days, with one read."""
    return _in_force(lake.read("stage_status", _VERDICT_COLUMNS, days=days))


def _in_force(rows: pa.Table) -> list[Verdict]:
    columns = [rows[name].to_pylist() for name in _VERDICT_COLUMNS]
    in_force: dict[tuple[str, str], Verdict] = {}
    for values in zip(*columns, strict=True):
        verdict = Verdict(*values)
        key = verdict.stage, verdict.document_id
        other = in_force.get(key)
        if other is None or (other.fence, other.processed_at) < (verdict.fence, verdict.processed_at):
            in_force[key] = verdict
    return list(in_force.values())


@dataclass(frozen=True)
class Work:
    """A stage's work list: documents with the input_version each is to be processed under, ordered by id.

    `redo` holds those that have a verdict already, whose rows are to be replaced.
    """

    input_versions: dict[str, str]
    redo: frozenset[str]


def work_list(
    inputs: Mapping[str, str],
    own: Mapping[str, Verdict],
    stage_version: str,
    *,
    only: Collection[str] | None = None,
    force: bool = False,
) -> Work:
    """What a stage has to do, from its inputs and its own verdicts.

    Args:
        inputs: document -> input_version, of all documents that the stage before has done.
        own: the stage's verdicts in force.
        stage_version: the version that would do the work now.
        only: restrict to these documents.
        force: redo documents whose verdict is up to date, too.
    """
    wanted = inputs if only is None else {d: inputs[d] for d in set(only) & set(inputs)}
    todo = {
        document_id: input_version
        for document_id, input_version in sorted(wanted.items())
        if force or not _settled(own.get(document_id), stage_version, input_version)
    }
    return Work(todo, frozenset(todo) & frozenset(own))


def _settled(verdict: Verdict | None, stage_version: str, input_version: str) -> bool:
    return (
        verdict is not None
        and verdict.stage_version == stage_version
        and verdict.input_version == input_version
        and not verdict.retried_by_itself
    )


def first_days(lake: Lake) -> dict[str, dt.date]:
    """The day of each document: that of its first receipt."""
    return days_of_receipts(lake.read("document_sources", ("document_id", "ingest_date", "sequence")))


def days_of_receipts(receipts: pa.Table) -> dict[str, dt.date]:
    """The day of each document among receipts (with document_id, ingest_date, sequence).

    First by sequence, not by date: a receipt of an older day that is taken in late would move the document to a day on
    which no stage has seen it.
    """
    rows = receipts.sort_by("sequence")
    days: dict[str, dt.date] = {}
    for document_id, day in zip(rows["document_id"].to_pylist(), rows["ingest_date"].to_pylist(), strict=True):
        if document_id is not None:
            days.setdefault(document_id, day)
    return days


def inputs_of(lake: Lake, stage: str, day: dt.date) -> dict[str, str]:
    """The documents of a day that a stage is to process, with their input_version."""
    position = STAGES.index(stage)
    if position == 0:
        return {document_id: FIRST_INPUT for document_id, first in first_days(lake).items() if first == day}
    upstream = verdicts(lake, STAGES[position - 1], [day])
    return {document_id: version_after(verdict) for document_id, verdict in upstream.items() if verdict.done}


def vouched(rows: pa.Table, verdicts_in_force: Iterable[Verdict]) -> pa.Table:
    """Those rows (with document_id, run_id, processed_at) that a done verdict vouches for."""
    done = [v for v in verdicts_in_force if v.done]
    vouchers = pa.table(
        {
            "document_id": pa.array([v.document_id for v in done], pa.string()),
            "run_id": pa.array([v.run_id for v in done], pa.string()),
            "processed_at": pa.array([v.processed_at for v in done], rows["processed_at"].type),
        }
    )
    return rows.filter(pc.is_in(_key(rows), _key(vouchers).combine_chunks()))


def _key(rows: pa.Table) -> pa.ChunkedArray:
    stamp = rows["processed_at"].cast(pa.int64()).cast(pa.string())
    return pc.binary_join_element_wise(rows["document_id"], rows["run_id"], stamp, " ")


def read_vouched(
    lake: Lake,
    table: str,
    columns: Sequence[str] | None = None,
    *,
    days: Collection[dt.date] | None = None,
    documents: Collection[str] | None = None,
) -> pa.Table:
    """A stage's rows in force: what the next stage, a check or a person may see."""
    stage = TABLES[table].stage
    if stage is None:
        return lake.read(table, columns, days=days, documents=documents)
    wanted = columns or TABLES[table].schema.names
    needed = list(dict.fromkeys([*wanted, "document_id", "run_id", "processed_at"]))
    rows = lake.read(table, needed, days=days, documents=documents)
    return vouched(rows, verdicts(lake, stage, days, documents).values()).select(list(wanted))


def sweep(lake: Lake, stage: str, day: dt.date) -> int:
    """Remove a stage's rows of a day that no verdict vouches for; returns how many documents had any."""
    in_force = verdicts(lake, stage, [day]).values()
    swept: set[str] = set()
    for contract in tables_of(stage):
        rows = lake.read(contract.name, days=[day])
        kept = vouched(rows, in_force)
        if kept.num_rows == rows.num_rows:
            continue
        orphans = _documents_with_other_rows(rows, kept)
        replacement = kept.filter(pc.is_in(kept["document_id"], pa.array(sorted(orphans), pa.string())))
        lake.write(contract.name, replacement, replace=documents_of_day(day, orphans))
        swept |= orphans
    return len(swept)


def withdraw(lake: Lake, stage: str, day: dt.date, documents: Collection[str]) -> None:
    """Take back a stage's verdicts on documents that the stage before no longer has done, and the rows they vouch for.

    Codes of a document whose text can no longer be read would otherwise stand for ever, without their evidence.
    """
    of_stage = And(EqualTo("stage", stage), documents_of_day(day, documents))
    lake.write("stage_status", empty("stage_status"), replace=of_stage)
    sweep(lake, stage, day)


def _documents_with_other_rows(rows: pa.Table, kept: pa.Table) -> set[str]:
    def counts(table: pa.Table) -> dict[str, int]:
        grouped = table.group_by("document_id").aggregate([([], "count_all")])
        return dict(zip(grouped["document_id"].to_pylist(), grouped["count_all"].to_pylist(), strict=True))

    after = counts(kept)
    return {document_id for document_id, count in counts(rows).items() if count != after.get(document_id, 0)}


def conservation(lake: Lake, stage: str, day: dt.date) -> dict[str, Any]:
    """Counts that must balance for a stage's day: inputs = done + quarantined + pending, row counts as vouched for.

    Returns:
        inputs; done and quarantined; pending (no verdict); outdated (those of done and quarantined whose input has a
        newer version by now: a run restricted to other documents leaves them so); and `miscounted`: the ids of done
        documents whose row_count differs from their rows in the stage's tables.
    """
    inputs = inputs_of(lake, stage, day)
    own = {d: v for d, v in verdicts(lake, stage, [day]).items() if d in inputs}
    found: Counter[str] = Counter()
    for contract in tables_of(stage):
        rows = vouched(lake.read(contract.name, ("document_id", "run_id", "processed_at"), days=[day]), own.values())
        found.update(rows["document_id"].to_pylist())
    return {
        "inputs": len(inputs),
        "done": sum(v.done for v in own.values()),
        "quarantined": sum(not v.done for v in own.values()),
        "pending": len(inputs) - len(own),
        "outdated": sum(v.input_version != inputs[d] for d, v in own.items()),
        "miscounted": sorted(d for d, v in own.items() if v.done and v.row_count != found[d]),
    }
