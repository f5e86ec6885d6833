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
from functools import lru_cache
from types import MappingProxyType
from typing import Any, NamedTuple
from weakref import WeakKeyDictionary

import pyarrow as pa
import pyarrow.compute as pc
from pyiceberg.expressions import And, EqualTo

from medpipe_assets.errors import RETRIED_BY_THEMSELVES, Reason
from medpipe_assets.lake.lake import Lake, empty, these_of_day
from medpipe_assets.lake.schemas import STAGES, TABLES, tables_of

DONE = "done"
QUARANTINED = "quarantined"
FIRST_INPUT = "received"
"""The input_version of the first stage: a document's bytes have no version but themselves."""


class Verdict(NamedTuple):
    """What a stage last said of a document; the fields are those of stage_status.

    A tuple, since a day may have tens of thousands, and they are made several times in a run.
    """

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
    return _chained(verdict.input_version, verdict.stage, verdict.stage_version)


@lru_cache(maxsize=1024)  # most documents of a day share one chain
def _chained(*links: str) -> str:
    return hashlib.sha256("\n".join(links).encode()).hexdigest()[:16]


_VERDICT_COLUMNS = Verdict._fields


def verdicts(
    lake: Lake, stage: str, days: Collection[dt.date] | None = None, documents: Collection[str] | None = None
) -> Mapping[str, Verdict]:
    """The verdict in force of each document: the one of the highest fence, then the latest."""
    if days is None or lake.location.is_remote:
        rows = lake.read("stage_status", _VERDICT_COLUMNS, days=days, stage=stage, documents=documents)
        return _in_force(rows)
    found = _remembered(lake, stage, tuple(sorted(days)))
    return found if documents is None else {d: found[d] for d in documents if d in found}


def all_verdicts(lake: Lake, days: Collection[dt.date]) -> list[Verdict]:
    """The verdicts in force of all stages on the documents of some days."""
    return [verdict for stage in STAGES for verdict in verdicts(lake, stage, days).values()]


REMEMBERED = 16
"""Partitions of the ledger that a process remembers of a lake: those of a run, and some."""
_Remembered = tuple[int | None, frozenset[str], Mapping[str, Verdict]]
"""The snapshot of the ledger, a partition's files then, and what they said."""
_memory: WeakKeyDictionary[Lake, dict[Any, _Remembered]] = WeakKeyDictionary()


def _remembered(lake: Lake, stage: str, days: tuple[dt.date, ...]) -> Mapping[str, Verdict]:
    """A stage's verdicts in force, of which only those are read that were not there last time.

    A file of a table never changes. A run asks for the same days dozens of times, and adds a file now and then.
    """
    memory = _memory.setdefault(lake, {})
    snapshot_id = lake.snapshot_id("stage_status")
    seen_at, seen, found = memory.pop((stage, days), (None, frozenset[str](), {}))
    if snapshot_id is None or seen_at != snapshot_id:
        files = frozenset(lake.paths("stage_status", days=days, stage=stage, snapshot_id=snapshot_id))
        if not seen <= files:
            seen, found = frozenset(), {}
        if new := files - seen:
            found = _in_force(lake.read_paths("stage_status", sorted(new), _VERDICT_COLUMNS), found)
        seen = files
    memory[stage, days] = snapshot_id, seen, found
    if len(memory) > REMEMBERED:
        del memory[next(iter(memory))]
    return found


def _in_force(rows: pa.Table, before: Mapping[str, Verdict] = MappingProxyType({})) -> Mapping[str, Verdict]:
    """Of one stage's rows, and those in force before them, the verdict in force of each document."""
    columns = [_values(rows[name]) for name in _VERDICT_COLUMNS]
    in_force = dict(before)
    for verdict in map(Verdict._make, zip(*columns, strict=True)):
        other = in_force.get(verdict.document_id)
        if other is None or (other.fence, other.processed_at) < (verdict.fence, verdict.processed_at):
            in_force[verdict.document_id] = verdict
    return in_force


def _values(column: pa.ChunkedArray) -> list[Any]:
    """As `to_pylist`, but each different value is made once: of the ledger's columns, most have a few only."""
    encoded = column.combine_chunks().dictionary_encode()
    values = [*encoded.dictionary.to_pylist(), None]
    places = pc.fill_null(encoded.indices, len(values) - 1).to_numpy(zero_copy_only=False).tolist()
    return [values[place] for place in places]


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
    return days_of_receipts(_receipts(lake))


def documents_of_day(lake: Lake, day: dt.date) -> set[str]:
    """The documents whose day it is."""
    receipts = _receipts(lake)
    of_day = receipts.filter(pc.equal(receipts["ingest_date"], day))["document_id"]
    candidates = receipts.filter(pc.is_in(receipts["document_id"], of_day.combine_chunks()))
    return {document_id for document_id, first in days_of_receipts(candidates).items() if first == day}


def _receipts(lake: Lake) -> pa.Table:
    return lake.read("document_sources", ("document_id", "ingest_date", "sequence"))


def days_of_receipts(receipts: pa.Table) -> dict[str, dt.date]:
    """The day of each document among receipts (with document_id, ingest_date, sequence).

    First by sequence, not by date: a receipt of an older day that is taken in late would move the document to a day on
    which no stage has seen it.
    """
    documents = receipts.filter(pc.is_valid(receipts["document_id"])).sort_by("sequence")
    firsts = documents.group_by("document_id", use_threads=False).aggregate([("ingest_date", "first")])
    return dict(zip(firsts["document_id"].to_pylist(), _values(firsts["ingest_date_first"]), strict=True))


def inputs_of(lake: Lake, stage: str, day: dt.date) -> dict[str, str]:
    """The documents of a day that a stage is to process, with their input_version."""
    position = STAGES.index(stage)
    if position == 0:
        return dict.fromkeys(documents_of_day(lake, day), FIRST_INPUT)
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


_KEY = ("document_id", "run_id", "processed_at")
"""What tells the rows of a verdict from others."""


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
    needed = list(dict.fromkeys([*wanted, *_KEY]))
    rows = lake.read(table, needed, days=days, documents=documents)
    return vouched(rows, verdicts(lake, stage, days, documents).values()).select(list(wanted))


def sweep(lake: Lake, stage: str, day: dt.date) -> int:
    """Remove a stage's rows of a day that no verdict vouches for; returns how many documents had any."""
    in_force = verdicts(lake, stage, [day]).values()
    swept: set[str] = set()
    for contract in tables_of(stage):
        keys = lake.read(contract.name, _KEY, days=[day])
        kept = vouched(keys, in_force)
        if kept.num_rows == keys.num_rows:
            continue
        orphans = _documents_with_other_rows(keys, kept)
        replacement = vouched(lake.read(contract.name, days=[day], documents=orphans), in_force)
        lake.write(contract.name, replacement, replace=these_of_day(day, orphans))
        swept |= orphans
    return len(swept)


def withdraw(lake: Lake, stage: str, day: dt.date, documents: Collection[str]) -> None:
    """Take back a stage's verdicts on documents that the stage before no longer has done, and the rows they vouch for.

    Codes of a document whose text can no longer be read would otherwise stand for ever, without their evidence.
    """
    of_stage = And(EqualTo("stage", stage), these_of_day(day, documents))
    lake.write("stage_status", empty("stage_status"), replace=of_stage)
    sweep(lake, stage, day)


def _documents_with_other_rows(rows: pa.Table, kept: pa.Table) -> set[str]:
    def counts(table: pa.Table) -> dict[str, int]:
        grouped = table.group_by("document_id").aggregate([([], "count_all")])
        return dict(zip(grouped["document_id"].to_pylist(), grouped["count_all"].to_pylist(), strict=True))

    after = counts(kept)
    return {document_id for document_id, count in counts(rows).items() if count != after.get(document_id, 0)}


def conservation(lake: Lake, stage: str, day: dt.date, documents: Collection[str] | None = None) -> dict[str, Any]:
    """Counts that must balance for a stage's day: inputs = done + quarantined + pending, row counts as vouched for.

    Args:
        documents: those whose rows are counted; all when None.

    Returns:
        inputs; done and quarantined; pending (no verdict); outdated (those of done and quarantined whose input has a
        newer version by now: a run restricted to other documents leaves them so); and `miscounted`: the ids of done
        documents whose row_count differs from their rows in the stage's tables.
    """
    inputs = inputs_of(lake, stage, day)
    own = {d: v for d, v in verdicts(lake, stage, [day]).items() if d in inputs}
    counted = own if documents is None else {d: own[d] for d in documents if d in own}
    found: Counter[str] = Counter()
    for contract in tables_of(stage):
        rows = lake.read(contract.name, _KEY, days=[day], documents=documents)
        found.update(vouched(rows, counted.values())["document_id"].to_pylist())
    return {
        "inputs": len(inputs),
        "done": sum(v.done for v in own.values()),
        "quarantined": sum(not v.done for v in own.values()),
        "pending": len(inputs) - len(own),
        "outdated": sum(v.input_version != inputs[d] for d, v in own.items()),
        "miscounted": sorted(d for d, v in counted.items() if v.done and v.row_count != found[d]),
    }
