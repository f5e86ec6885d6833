"""The jobs and schedules of the document line."""

import dagster as dg

from medpipe_assets.defs.documents.assets import GROUP

documents_job = dg.define_asset_job(
    "documents",
    selection=dg.AssetSelection.groups(GROUP),
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
