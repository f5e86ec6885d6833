"""What Dagster loads: the document line, bound to resources that read the environment when a run starts."""

from collections.abc import Mapping
from typing import Any

import dagster as dg

from medpipe_assets.defs.documents.alerts import failed_run_alerts, finished_run_alerts
from medpipe_assets.defs.documents.assets import assets
from medpipe_assets.defs.documents.checks import checks
from medpipe_assets.defs.documents.jobs import (
    documents_job,
    maintenance_job,
    maintenance_schedule,
    nightly_reconciliation,
    reconciliation_job,
)
from medpipe_assets.defs.documents.reconciliation import inbox_reconciliation
from medpipe_assets.defs.documents.sensors import inbox_sensor, s3_inbox_sensor, sqs_inbox_sensor
from medpipe_assets.defs.resources import make_engines, resources
from medpipe_assets.documents.line import stages
from medpipe_assets.lake.objects import store_at
from medpipe_assets.settings import Settings, lake_location


def build_defs(resource_overrides: Mapping[str, Any] | None = None) -> dg.Definitions:
    """The definitions, with some resources replaced: by a test, or by the command line."""
    location = lake_location()
    made = stages(make_engines(Settings.load(), location), store_at(location.raw))
    code_versions = {name: stage.version for name, stage in made.items()}
    return dg.Definitions(
        assets=[*assets(code_versions), inbox_reconciliation],
        asset_checks=checks(),
        jobs=[documents_job, maintenance_job, reconciliation_job],
        schedules=[maintenance_schedule, nightly_reconciliation],
        sensors=[inbox_sensor, s3_inbox_sensor, sqs_inbox_sensor, failed_run_alerts, finished_run_alerts],
        resources={**resources(), **(resource_overrides or {})},
        executor=dg.in_process_executor,
    )


@dg.definitions
def definitions() -> dg.Definitions:
    """Called when the code location is loaded, not when this module is imported."""
    return build_defs()
