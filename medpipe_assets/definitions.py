"""What Dagster loads: the document line, bound to resources that read the environment when a run starts."""

from collections.abc import Mapping
from typing import Any

import dagster as dg

from medpipe_assets.defs.documents.assets import assets
from medpipe_assets.defs.documents.checks import checks
from medpipe_assets.defs.documents.jobs import documents_job, maintenance_job, maintenance_schedule
from medpipe_assets.defs.documents.sensors import inbox_sensor
from medpipe_assets.defs.resources import make_engines, resources
from medpipe_assets.documents.line import stages
from medpipe_assets.settings import Settings, lake_location


def build_defs(resource_overrides: Mapping[str, Any] | None = None) -> dg.Definitions:
    """The definitions, with some resources replaced: by a test, or by the command line."""
    location = lake_location()
    made = stages(make_engines(Settings.load(), location), location.raw_path)
    code_versions = {name: stage.version for name, stage in made.items()}
    return dg.Definitions(
        assets=assets(code_versions),
        asset_checks=checks(),
        jobs=[documents_job, maintenance_job],
        schedules=[maintenance_schedule],
        sensors=[inbox_sensor],
        resources={**resources(), **(resource_overrides or {})},
        executor=dg.in_process_executor,
    )


@dg.definitions
def definitions() -> dg.Definitions:
    """Called when the code location is loaded, not when this module is imported."""
    return build_defs()
