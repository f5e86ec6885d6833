"""The jobs and schedules of the document line."""

import dagster as dg

from medpipe_assets.defs.documents.assets import GROUP
from medpipe_assets.documents.word_documents import NAME as WORD_DOCUMENTS
from medpipe_assets.settings import Settings, is_remote

documents_job = dg.define_asset_job(
    "documents",
    selection=dg.AssetSelection.groups(GROUP) | dg.AssetSelection.assets(WORD_DOCUMENTS),
    description="A day of documents, from what was received to coded, queryable tables.",
    executor_def=dg.in_process_executor,
)

maintenance_job = dg.define_asset_job(
    "maintenance",
    selection=dg.AssetSelection.assets("lake_maintenance"),
    description="Compaction, snapshot expiry and removal of orphaned files.",
    executor_def=dg.in_process_executor,
)

maintenance_schedule = dg.ScheduleDefinition(
    name="nightly_maintenance",
    job=maintenance_job,
    cron_schedule="30 3 * * *",
    execution_timezone="UTC",
    default_status=dg.DefaultScheduleStatus.RUNNING,
)

reconciliation_job = dg.define_asset_job(
    "reconciliation",
    selection=dg.AssetSelection.assets("inbox_reconciliation"),
    description="Finds what no message announced, what is gone from the inbox on S3, and dead letters.",
    executor_def=dg.in_process_executor,
)


@dg.schedule(
    job=reconciliation_job,
    cron_schedule="30 2 * * *",
    execution_timezone="UTC",
    default_status=dg.DefaultScheduleStatus.RUNNING,
)
def nightly_reconciliation() -> dg.RunRequest | dg.SkipReason:
    """Every night, where the inbox is on S3."""
    if is_remote(Settings.load().inbox):
        return dg.RunRequest()
    return dg.SkipReason("no inbox on S3 is configured: MEDPIPE_INBOX=s3://bucket/prefix")
