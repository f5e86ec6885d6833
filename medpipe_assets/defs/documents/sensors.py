"""The sensors of the document line. What to do about what was found is decided in pure functions beside them."""

import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict
from functools import partial

import dagster as dg

from medpipe_assets.aws.clients import Clients
from medpipe_assets.defs.aws import AwsResource
from medpipe_assets.defs.documents.jobs import documents_job
from medpipe_assets.defs.documents.partitions import today
from medpipe_assets.defs.resources import LakeResource, TelemetryResource, private_errors
from medpipe_assets.documents.intake import Receipt, pending_receipts, receive
from medpipe_assets.documents.news import record_news
from medpipe_assets.errors import DocumentError
from medpipe_assets.inbox.local import LocalInbox
from medpipe_assets.inbox.places import s3_inbox
from medpipe_assets.inbox.s3 import S3Inbox, advance
from medpipe_assets.inbox.sqs import drain
from medpipe_assets.lake.lake import Lake
from medpipe_assets.lake.location import ZONES
from medpipe_assets.settings import Settings, inbox_folder, is_remote

SETTLE_SECONDS = 2.0
"""A file changed more recently may still be being copied."""
DRAIN_SECONDS = 20
"""How long a tick takes messages: Dagster ends a tick after 60 seconds, and what they say is to be recorded by then."""
PATIENCE_TICKS = 12
"""How long what trickles into a folder is gathered for the next run: two minutes. Other sensors look seldom anyway."""
RETRY_AFTER_TICKS = 20
"""A receipt that is still there after so many ticks, with no run at work, is asked for again."""


def requests(
    receipts: list[Receipt], cursor: str | None, active_days: set[str], patience: int = 1
) -> tuple[list[dg.RunRequest], str]:
    """One run request a day with receipts waiting, and the next cursor.

    A day is asked for at once when its first receipt waits. What comes after that is asked for when no run is at work
    on the day, and either nothing more has come since the last look, or `patience` looks have passed: a trickle ends in
    a run every few minutes. Receipts that are still there long after (the run failed, or was killed) are asked for
    again. The cursor holds, by day, the receipts asked for, those last seen, the looks since, and the attempts made;
    never more than is waiting.
    """
    before = json.loads(cursor) if cursor else {}
    after, asked = {}, []
    for day in sorted({receipt.day.isoformat() for receipt in receipts}):
        ids = sorted(receipt.id for receipt in receipts if receipt.day.isoformat() == day)
        known = {"ids": [], "seen": [], "ticks": 0, "attempt": 0} | before.get(day, {})
        ticks, attempt, asked_for = known["ticks"] + 1, known["attempt"], known["ids"]
        new = not set(ids) <= set(asked_for)
        settled = not attempt or ids == known["seen"] or ticks >= patience
        if day not in active_days and ((new and settled) or ticks >= RETRY_AFTER_TICKS):
            ticks, attempt, asked_for = 0, attempt + 1, ids
            asked.append(dg.RunRequest(run_key=f"{day} {ids[-1]} {len(ids)} {attempt}", partition_key=day))
        after[day] = {"ids": sorted(set(asked_for) & set(ids)), "seen": ids, "ticks": ticks, "attempt": attempt}
    return asked, json.dumps(after)


def _active_days(context: dg.SensorEvaluationContext) -> set[str]:
    statuses = [dg.DagsterRunStatus.QUEUED, dg.DagsterRunStatus.STARTING, dg.DagsterRunStatus.STARTED]
    runs = context.instance.get_runs(dg.RunsFilter(job_name=documents_job.name, statuses=statuses))
    return {run.tags.get("dagster/partition", "") for run in runs}


def watched(settings: Settings) -> str:
    """The kind of inbox that is watched: one at a time, or a receipt would be asked for by each sensor that sees it."""
    if settings.inbox_queue:
        return "queue"
    return "bucket" if is_remote(settings.inbox) else "folder"


ELSEWHERE: Mapping[tuple[str, str], str] = {
    ("folder", "queue"): "no folder is watched: the queue MEDPIPE_INBOX_QUEUE tells what arrives",
    ("folder", "bucket"): "no folder is watched: MEDPIPE_INBOX is on S3",
    (
        "bucket",
        "queue",
    ): "no bucket is listed but by the nightly reconciliation: MEDPIPE_INBOX_QUEUE tells what arrives",
    ("bucket", "folder"): "no bucket is watched: set MEDPIPE_INBOX=s3://bucket/prefix",
    ("queue", "bucket"): "no queue is drained: set MEDPIPE_INBOX_QUEUE to the URL of one that S3 notifies",
    ("queue", "folder"): "no queue is drained: set MEDPIPE_INBOX_QUEUE to the URL of one that S3 notifies",
}
"""Why a sensor skips, by the kind that it is for and the kind that is watched."""


@contextmanager
def _plain_errors() -> Iterator[None]:
    """As `private_errors`; what a service refused is told by its code, in which there is no document text."""
    with private_errors():
        try:
            yield
        except DocumentError as error:
            raise dg.Failure(str(error)) from None


def _count(
    context: dg.SensorEvaluationContext,
    telemetry: TelemetryResource,
    receipts: list[Receipt],
    asked: list[dg.RunRequest],
) -> None:
    counts = {"receipts_waiting": len(receipts), "runs_requested": len(asked)}
    telemetry.open().metrics("sensor_tick", {"sensor": context.sensor_name}, counts)


def _told(
    context: dg.SensorEvaluationContext, asked: list[dg.RunRequest], cursor: str, nothing: str
) -> dg.SensorResult | dg.SkipReason:
    if asked:
        return dg.SensorResult(run_requests=asked, cursor=cursor)
    context.update_cursor(cursor)
    return dg.SkipReason(nothing)


@dg.sensor(
    job=documents_job,
    minimum_interval_seconds=10,
    default_status=dg.DefaultSensorStatus.RUNNING,
    description="Watches the inbox folder (MEDPIPE_INBOX, or `inbox` in the lake) and runs the day for what arrives.",
)
def inbox_sensor(
    context: dg.SensorEvaluationContext, lake: LakeResource, telemetry: TelemetryResource
) -> dg.SensorResult | dg.SkipReason:
    with _plain_errors():
        settings = Settings.load()
        if (kind := watched(settings)) != "folder":
            return dg.SkipReason(ELSEWHERE["folder", kind])
        opened = lake.open()
        folder = inbox_folder(settings, opened.location)
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        receive(opened, LocalInbox((folder,), SETTLE_SECONDS).arrivals(), today())
        receipts = pending_receipts(opened)
    asked, cursor = requests(receipts, context.cursor, _active_days(context), PATIENCE_TICKS)
    _count(context, telemetry, receipts, asked)
    return _told(context, asked, cursor, "nothing new in the inbox")


@dg.sensor(
    job=documents_job,
    minimum_interval_seconds=60,
    default_status=dg.DefaultSensorStatus.RUNNING,
    description="Lists the bucket of MEDPIPE_INBOX=s3://bucket/prefix and runs the day for what is new there.",
)
def s3_inbox_sensor(
    context: dg.SensorEvaluationContext, lake: LakeResource, aws: AwsResource, telemetry: TelemetryResource
) -> dg.SensorResult | dg.SkipReason:
    before = json.loads(context.cursor or "{}")
    with _plain_errors():
        settings = Settings.load()
        if (kind := watched(settings)) != "bucket":
            return dg.SkipReason(ELSEWHERE["bucket", kind])
        opened = lake.open()
        arrivals, listed = advance(before.get("listed", ""), bucket_of(settings, opened, aws.clients()).listing())
        receive(opened, arrivals, today())
        receipts = pending_receipts(opened)
    asked, cursor = requests(receipts, before.get("asked"), _active_days(context))
    _count(context, telemetry, receipts, asked)
    return _told(context, asked, json.dumps({"listed": listed, "asked": cursor}), "nothing new in the bucket")


@dg.sensor(
    job=documents_job,
    minimum_interval_seconds=30,
    default_status=dg.DefaultSensorStatus.RUNNING,
    description="Drains the queue that S3 notifies (MEDPIPE_INBOX_QUEUE) and runs the days that the news concern.",
)
def sqs_inbox_sensor(
    context: dg.SensorEvaluationContext, lake: LakeResource, aws: AwsResource, telemetry: TelemetryResource
) -> dg.SensorResult | dg.SkipReason:
    with _plain_errors():
        settings = Settings.load()
        if (kind := watched(settings)) != "queue":
            return dg.SkipReason(ELSEWHERE["queue", kind])
        opened = lake.open()
        record = partial(record_news, opened, day=today(), run_id="sqs_inbox_sensor")
        clients = aws.clients()
        holds = _of_interest(settings, opened, clients)
        report = drain(settings.inbox_queue, clients.client("sqs"), record, DRAIN_SECONDS, holds=holds)
        receipts = pending_receipts(opened)
    context.log.info(f"drained {asdict(report)}")
    asked, cursor = requests(receipts, context.cursor, _active_days(context))
    _count(context, telemetry, receipts, asked)
    return _told(context, asked, cursor, f"nothing new in the queue ({report.messages} messages)")


def bucket_of(settings: Settings, lake: Lake, clients: Clients) -> S3Inbox:
    """The inbox on S3 that MEDPIPE_INBOX names, less the lake itself."""
    return s3_inbox(settings.inbox, clients, map(lake.location.zone, ZONES))


def _of_interest(settings: Settings, lake: Lake, clients: Clients) -> Callable[[str], bool]:
    """Which URIs are taken in: those of MEDPIPE_INBOX; where that is not on S3, all that the queue tells of."""
    if is_remote(settings.inbox):
        return bucket_of(settings, lake, clients).holds
    zones = tuple(f"{lake.location.zone(name)}/" for name in ZONES)
    return lambda uri: not uri.startswith(zones)
