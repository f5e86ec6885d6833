"""What an operator asks first: what waits, what failed and how to try it again, how fast it goes. Plain data and lines.

Read from the lake's ledger alone, without engines; no name of a source and no text is told. What a changed engine would
have redone is therefore not counted as waiting: `medpipe reprocess` finds that.
"""

import datetime as dt
from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from medpipe_assets.documents.intake import INBOX, RECEIPTS, pending_receipts
from medpipe_assets.errors import RETRIED_BY_THEMSELVES, Reason
from medpipe_assets.lake.lake import Lake
from medpipe_assets.lake.ledger import Verdict, documents_of_day, verdicts, version_after
from medpipe_assets.lake.quarantine import open_failures
from medpipe_assets.lake.schemas import STAGES

LAST_FAILURES = 5
DEFAULT_DAYS = 30
"""Days of receipt that are looked at: the backlog of a line that runs is on the last few."""
DATASETS = "datasets"
"""The stage under which files of datasets stand in quarantine."""


def gather(lake: Lake, days: int = DEFAULT_DAYS, now: dt.datetime | None = None) -> dict[str, Any]:
    """The state of the document line.

    Args:
        days: how many days of receipt, to the present, are looked at for the backlog and the throughput.

    Returns:
        `inbox`, `stages` and `quarantine`: see `_inbox`, `_stages`, `_quarantine`; `last_failures`: rows of quarantine;
        `days`: those looked at that have documents. Times are UTC.
    """
    now = now or dt.datetime.now(dt.UTC)
    looked_at = _days(lake, now.date() - dt.timedelta(days=days - 1))
    failures = open_failures(lake)
    latest = sorted(failures, key=lambda row: row["last_failed_at"], reverse=True)[:LAST_FAILURES]
    told = ("last_failed_at", "document_id", "source_id", "stage", "page", "reason", "detail", "attempts")
    return {
        "at": now,
        "days": looked_at,
        "inbox": _inbox(lake),
        "stages": _stages(lake, looked_at, now),
        "quarantine": _quarantine(failures),
        "last_failures": [{name: row[name] for name in told} for row in latest],
    }


def _days(lake: Lake, since: dt.date) -> list[dt.date]:
    received = lake.read("document_sources", ("ingest_date",))["ingest_date"]
    return sorted(received.filter(pc.greater_equal(received, pa.scalar(since))).unique().to_pylist())


def _inbox(lake: Lake) -> dict[str, Any]:
    """Sources that are receipted and not taken in yet, and since when the oldest receipt waits."""
    receipts = pending_receipts(lake)
    written = [found.modified for found in lake.raw.list(RECEIPTS)]
    return {
        "waiting": sum(len(receipt.arrivals) for receipt in receipts),
        "oldest": min(written) if receipts and written else None,
    }


def _stages(lake: Lake, days: Sequence[dt.date], now: dt.datetime) -> dict[str, dict[str, Any]]:
    """Each stage: documents done and quarantined; `waiting`: those that it has yet to see (or to see again, as their
    input is new or their failure may have passed); since when the oldest of them is ready; documents done in the last
    hour and day.
    """
    told = {}
    ready = {document: None for day in days for document in documents_of_day(lake, day)}
    inputs: Mapping[str, Verdict | None] = ready
    for stage in STAGES:
        own = verdicts(lake, stage, days) if days else {}
        waiting = [d for d, before in inputs.items() if _waits(own.get(d), before)]
        done = [verdict.processed_at for verdict in own.values() if verdict.done]
        told[stage] = {
            "waiting": len(waiting),
            "oldest": _oldest(lake, waiting, inputs),
            "done": len(done),
            "quarantined": len(own) - len(done),
            "done_last_hour": sum(at > now - dt.timedelta(hours=1) for at in done),
            "done_last_day": sum(at > now - dt.timedelta(days=1) for at in done),
        }
        inputs = {d: verdict for d, verdict in own.items() if verdict.done}
    return told


def _waits(own: Verdict | None, before: Verdict | None) -> bool:
    if own is None or own.retried_by_itself:
        return True
    return before is not None and own.input_version != version_after(before)


def _oldest(lake: Lake, waiting: Collection[str], inputs: Mapping[str, Verdict | None]) -> dt.datetime | None:
    """When the first of some documents was ready: done with the stage before, or received."""
    if not waiting:
        return None
    times = [before.processed_at for d in waiting if (before := inputs[d]) is not None]
    if not times:
        times = lake.read("document_sources", ("received_at",), documents=waiting)["received_at"].to_pylist()
    return min(times)


def _quarantine(failures: Collection[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Failures that stand, by stage and reason: how many, since when, and the command that tries them again."""
    counted = Counter((row["stage"], row["reason"]) for row in failures)
    first: dict[tuple[str, str], dt.datetime] = {}
    for row in failures:
        key = row["stage"], row["reason"]
        first[key] = min(row["first_failed_at"], first.get(key, row["first_failed_at"]))
    return [
        {"stage": stage, "reason": reason, "failures": count, "oldest": first[stage, reason],
         "retry": retry_of(stage, reason)}
        for (stage, reason), count in sorted(counted.items())
    ]  # fmt: skip


def retry_of(stage: str, reason: str) -> str:
    """The command that tries failures of a stage again, or what has to be done first."""
    if reason == Reason.BAD_MESSAGE:
        return "medpipe redrive"
    if stage == DATASETS:
        return "medpipe load DATASET FILE, once the file is mended"
    if stage == INBOX:
        return "medpipe run INPUT, once the file can be read"
    if reason in RETRIED_BY_THEMSELVES:
        return "medpipe reprocess"
    return f"medpipe reprocess --reason {reason}"


def documents_failed(lake: Lake, reason: str) -> list[str]:
    """Documents that are in quarantine for a reason, whole or with a page."""
    rows = open_failures(lake)
    return sorted({row["document_id"] for row in rows if row["reason"] == reason and row["document_id"] is not None})


# For a person


def lines(told: Mapping[str, Any], runs: Sequence[Mapping[str, Any]] = ()) -> Iterator[str]:
    """What was gathered, as text."""
    now = told["at"]
    inbox = told["inbox"]
    yield f"inbox: {inbox['waiting']:,} waiting{_since(inbox['oldest'], now)}"
    yield f"{'stage':<18}{'waiting':>9}{'oldest':>10}{'done':>9}{'quarantined':>13}{'last hour':>11}{'last day':>10}"
    for stage, row in told["stages"].items():
        yield (
            f"{stage:<18}{row['waiting']:>9,}{_age(row['oldest'], now):>10}{row['done']:>9,}{row['quarantined']:>13,}"
            f"{row['done_last_hour']:>11,}{row['done_last_day']:>10,}"
        )
    if not told["days"]:
        yield "no document was received on the days looked at"
    for row in told["quarantine"]:
        yield (
            f"quarantine: {row['failures']:,} {row['reason']} in {row['stage']}{_since(row['oldest'], now)}; "
            f"again with: {row['retry']}"
        )
    for row in told["last_failures"]:
        what = row["document_id"][:12] if row["document_id"] else f"source {row['source_id'][:12]}"
        detail = f" ({row['detail']})" if row["detail"] else ""
        yield f"failed {_age(row['last_failed_at'], now)} ago: {what} in {row['stage']}, {row['reason']}{detail}"
    for run in runs:
        yield f"run {run['run_id'][:8]} of {run['day']} failed {_age(run['at'], now)} ago: {run['what']}"


def _since(moment: dt.datetime | None, now: dt.datetime) -> str:
    return "" if moment is None else f", the oldest for {_age(moment, now)}"


def _age(moment: dt.datetime | None, now: dt.datetime) -> str:
    """How long ago, in the largest unit that makes sense."""
    if moment is None:
        return "-"
    seconds = max(0, round((now - moment).total_seconds()))
    for unit, length in (("d", 86_400), ("h", 3_600), ("min", 60)):
        if seconds >= 2 * length:
            return f"{seconds // length} {unit}"
    return f"{seconds} s"
