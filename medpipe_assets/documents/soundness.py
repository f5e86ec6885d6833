"""Whether what a stage has stored is sound: its rules and its balance, over what is new on a day or all of it.

Each chunk was checked before it was committed; this is asked of the tables as they are read again. How far a day has
been checked is noted beside the ledger, so that a run looks at what came since, and at what failed last time.
"""

import datetime as dt
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any

import pyarrow.compute as pc
from pyiceberg.table import Table

from medpipe_assets.documents.line import READS, RULE_NAMES, check_rules
from medpipe_assets.lake.lake import Lake
from medpipe_assets.lake.ledger import conservation, read_vouched, verdicts
from medpipe_assets.lake.schemas import STAGES, tables_of

BATCH_DOCUMENTS = 500
"""Documents whose rows are in memory at once."""
_CHECKED = "medpipe.checked."


@dataclass(frozen=True)
class Soundness:
    """What was found of a stage's day; how many documents were looked at.

    Attributes:
        offenders: ids of documents by the rule that their rows break.
        balance: see `conservation`.
    """

    looked_at: int
    offenders: dict[str, list[str]]
    balance: dict[str, Any]

    @property
    def sound(self) -> bool:
        """Whether all rows stand as the rules and the ledger say; documents that still wait do not matter."""
        return not any(self.offenders.values()) and not self.balance["miscounted"]


def check_day(lake: Lake, stage: str, day: dt.date) -> Soundness:
    """Check all that is stored."""
    return _check(lake, stage, day, None)


def check_new(lake: Lake, stage: str, day: dt.date, run_id: str) -> Soundness:
    """Check what a run has stored, and what was not found sound before. Where all is sound, that is noted."""
    own = verdicts(lake, stage, [day])
    fence = checked_up_to(lake, stage, day)
    found = _check(lake, stage, day, {d for d, v in own.items() if v.fence > fence or v.run_id == run_id})
    last = max((verdict.fence for verdict in own.values()), default=0)
    if found.sound and last > fence:
        lake.change("stage_status", lambda table: _note(table, stage, day, last))
    return found


def checked_up_to(lake: Lake, stage: str, day: dt.date) -> int:
    """The fence up to which the verdicts of a stage's day were found sound; 0 where it was never checked."""
    return int(lake.table("stage_status").properties.get(f"{_CHECKED}{day.isoformat()}.{stage}", 0))


def _note(table: Table, stage: str, day: dt.date, fence: int) -> None:
    with table.transaction() as transaction:
        transaction.set_properties({f"{_CHECKED}{day.isoformat()}.{stage}": str(fence)})


def forget_checks(lake: Lake, before: dt.date) -> int:
    """Drop the notes of days before a date, which would be carried along for ever; how many. Whoever runs such a day
    again checks all of it."""
    table = lake.table("stage_status")
    old = [p for p in table.properties if p.startswith(_CHECKED) and p < f"{_CHECKED}{before.isoformat()}"]
    if old:
        lake.change("stage_status", lambda table: _remove(table, old))
    return len(old)


def _remove(table: Table, properties: Sequence[str]) -> None:
    with table.transaction() as transaction:
        transaction.remove_properties(*properties)


def _check(lake: Lake, stage: str, day: dt.date, documents: Collection[str] | None) -> Soundness:
    ids = sorted(verdicts(lake, stage, [day]) if documents is None else documents)
    offenders: dict[str, list[str]] = {name: [] for name in RULE_NAMES[stage]}
    for begin in range(0, len(ids), BATCH_DOCUMENTS):
        for name, found in _offenders(lake, stage, day, ids[begin : begin + BATCH_DOCUMENTS]).items():
            offenders[name] += sorted(found)
    # Where nothing is new, no row is counted.
    return Soundness(len(ids), offenders, conservation(lake, stage, day, documents))


def _offenders(lake: Lake, stage: str, day: dt.date, ids: Collection[str]) -> dict[str, Collection[str]]:
    wanted = {**READS[stage], **{c.name: tuple(c.schema.names) for c in tables_of(stage)}}
    tables = {
        name: read_vouched(lake, name, tuple(dict.fromkeys(("document_id", *columns))), days=[day], documents=ids)
        for name, columns in wanted.items()
    }
    return check_rules(stage, tables)


def days_worked_on(lake: Lake, since: dt.datetime) -> list[dt.date]:
    """The days on whose documents some stage has spoken since a time."""
    rows = lake.read("stage_status", ("ingest_date", "processed_at"))
    return sorted(rows.filter(pc.greater_equal(rows["processed_at"], since))["ingest_date"].unique().to_pylist())


def check_days(lake: Lake, days: Collection[dt.date]) -> list[dict[str, Any]]:
    """Check all stages of some days.

    Returns:
        A row for each check that failed: day, stage, check, how many documents, and the first of them.
    """
    broken = []
    for day in sorted(days):
        for stage in STAGES:
            found = check_day(lake, stage, day)
            for check, ids in {**found.offenders, "conservation": found.balance["miscounted"]}.items():
                if ids:
                    broken.append({"day": day, "stage": stage, "check": check, "documents": len(ids), "first": ids[0]})
    return broken
