"""The sensors of the document line. What to do about what was found is decided in pure functions beside them."""

import json

import dagster as dg

from medpipe_assets.defs.documents.jobs import documents_job
from medpipe_assets.defs.documents.partitions import today
from medpipe_assets.defs.resources import LakeResource, private_errors
from medpipe_assets.documents.intake import Receipt, pending_receipts, receive
from medpipe_assets.inbox.local import LocalInbox
from medpipe_assets.settings import Settings, inbox_folder

SETTLE_SECONDS = 2.0
"""A file changed more recently may still be being copied."""
RETRY_AFTER_TICKS = 20
"""A receipt that is still there after so many ticks, with no run at work, is asked for again."""


def requests(receipts: list[Receipt], cursor: str | None, active_days: set[str]) -> tuple[list[dg.RunRequest], str]:
    """One run request a day with receipts waiting, and the next cursor.

    A day is asked for again when it has new receipts, or when its old ones are still there long after and no run is
    at work on it (the run failed, or was killed). The cursor holds, by day, the receipts asked for, the ticks since,
    and the attempts made; never more than is waiting.
    """
    before = json.loads(cursor) if cursor else {}
    after, asked = {}, []
    for day in sorted({receipt.day.isoformat() for receipt in receipts}):
        ids = sorted(receipt.id for receipt in receipts if receipt.day.isoformat() == day)
        known = before.get(day, {"ids": [], "ticks": 0, "attempt": 0})
        ticks, attempt = known["ticks"] + 1, known["attempt"]
        stuck = ticks >= RETRY_AFTER_TICKS and day not in active_days
        if not set(ids) <= set(known["ids"]) or stuck:
            ticks, attempt = 0, attempt + 1
            asked.append(dg.RunRequest(run_key=f"{day} {ids[-1]} {len(ids)} {attempt}", partition_key=day))
        after[day] = {"ids": ids, "ticks": ticks, "attempt": attempt}
    return asked, json.dumps(after)


def _active_days(context: dg.SensorEvaluationContext) -> set[str]:
    statuses = [dg.DagsterRunStatus.QUEUED, dg.DagsterRunStatus.STARTING, dg.DagsterRunStatus.STARTED]
    runs = context.instance.get_runs(dg.RunsFilter(job_name=documents_job.name, statuses=statuses))
    return {run.tags.get("dagster/partition", "") for run in runs}


@dg.sensor(
    job=documents_job,
    minimum_interval_seconds=10,
    default_status=dg.DefaultSensorStatus.RUNNING,
    description="Watches the inbox folder (MEDPIPE_INBOX, or `inbox` in the lake) and runs the day for what arrives.",
)
def inbox_sensor(context: dg.SensorEvaluationContext, lake: LakeResource) -> dg.SensorResult | dg.SkipReason:
    with private_errors():
        opened = lake.open()
        folder = inbox_folder(Settings.load(), opened.location)
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        receive(opened, LocalInbox((folder,), SETTLE_SECONDS).arrivals(), today())
        receipts = pending_receipts(opened)
    asked, cursor = requests(receipts, context.cursor, _active_days(context))
    if not asked:
        context.update_cursor(cursor)
        return dg.SkipReason("nothing new in the inbox")
    return dg.SensorResult(run_requests=asked, cursor=cursor)
