"""What Dagster loads: the document line and the datasets. Their resources read the environment when a run starts."""

from collections.abc import Mapping
from typing import Any

import dagster as dg

from medpipe_assets.defs.alerts import failed_run_alerts, finished_run_alerts
from medpipe_assets.defs.datasets.assets import assets_of
from medpipe_assets.defs.datasets.jobs import line_jobs, load_job
from medpipe_assets.defs.datasets.sensors import load_sensor
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
from medpipe_assets.etlt.contract import contract_of, contracts
from medpipe_assets.lake.location import LakeLocation
from medpipe_assets.lake.objects import store_at
from medpipe_assets.settings import Settings, lake_location


def build_defs(
    resource_overrides: Mapping[str, Any] | None = None, location: LakeLocation | None = None
) -> dg.Definitions:
    """The definitions, with some resources replaced (by a test, or by the command line), over the environment's lake
    or another."""
    location = location or lake_location()
    datasets = list(contracts().values())
    loads = {contract.dataset: load_job(contract) for contract in datasets}
    return dg.Definitions(
        assets=[
            *assets(_code_versions(location)),
            inbox_reconciliation,
            *(made for contract in datasets for made in assets_of(contract)),
        ],
        asset_checks=checks(),
        jobs=[documents_job, maintenance_job, reconciliation_job, *loads.values(), *line_jobs(datasets)],
        schedules=[maintenance_schedule, nightly_reconciliation],
        sensors=[
            inbox_sensor,
            s3_inbox_sensor,
            sqs_inbox_sensor,
            *(load_sensor(contract, loads[contract.dataset]) for contract in datasets),
            failed_run_alerts,
            finished_run_alerts,
        ],
        resources={**resources(), **(resource_overrides or {})},
        executor=dg.in_process_executor,
    )


def _code_versions(location: LakeLocation) -> Mapping[str, str]:
    made = stages(make_engines(Settings.load(), location), store_at(location.raw))
    return {name: stage.version for name, stage in made.items()}


def document_defs(
    resource_overrides: Mapping[str, Any] | None = None, location: LakeLocation | None = None
) -> dg.Definitions:
    """Of these definitions, the document line and its job: they are made in a tenth of the time."""
    return dg.Definitions(
        assets=assets(_code_versions(location or lake_location())),
        asset_checks=checks(),
        jobs=[documents_job],
        resources={**resources(), **(resource_overrides or {})},
        executor=dg.in_process_executor,
    )


def dataset_defs(dataset: str, resource_overrides: Mapping[str, Any] | None = None) -> dg.Definitions:
    """Of these definitions, one dataset's assets and the job that loads it: they are made sooner than all."""
    contract = contract_of(dataset)
    return dg.Definitions(
        assets=assets_of(contract),
        jobs=[load_job(contract)],
        resources={**resources(), **(resource_overrides or {})},
        executor=dg.in_process_executor,
    )


@dg.definitions
def definitions() -> dg.Definitions:
    """Called when the code location is loaded, not when this module is imported."""
    return build_defs()
