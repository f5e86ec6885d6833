"""Materialising the graph in this process: what `medpipe run` and `medpipe reprocess` do, and nothing of their own.

The run is recorded in the same Dagster instance that the web UI shows.
"""

import datetime as dt
import fcntl
import logging
import os
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import dagster as dg
from dagster._core.instance.ref import InstanceRef

from medpipe_assets.aws.clients import Clients
from medpipe_assets.definitions import dataset_defs, document_defs
from medpipe_assets.defs.alerts import COMMAND_LINE, tell
from medpipe_assets.defs.documents.jobs import documents_job
from medpipe_assets.documents.pool import where
from medpipe_assets.etlt.tables import open_lake
from medpipe_assets.lake.location import LakeLocation
from medpipe_assets.settings import Settings

_log = logging.getLogger(__name__)

DAGSTER_YAML = """\
# Written once by medpipe; yours to change.
telemetry:
  enabled: false
nux:
  enabled: false
concurrency:
  runs:
    max_concurrent_runs: 2
  pools:
    # Assets that call a service are in its pool: textract, translate, comprehend_medical, athena. Rates are kept by
    # process, so a limit of 1 keeps those of the account: `dagster instance concurrency set textract 1`. No pool has a
    # limit until it is given one. A run that was killed keeps its slot until you free it (UI: Deployment, Concurrency).
    granularity: op
retention:
  sensor:
    purge_after_days: {skipped: 2, failure: 30, success: 30}
  schedule:
    purge_after_days: {skipped: 7, failure: 90, success: 90}
"""


@dataclass
class RunOutcome:
    """A day's run: whether it went through, seconds by asset, and, where it did not, what failed (no document text)."""

    day: dt.date
    run_id: str
    success: bool
    seconds: dict[str, float] = field(default_factory=dict)
    failures: list[str] = field(default_factory=list)


def dagster_home(location: LakeLocation) -> Path:
    """The folder of Dagster's own files: DAGSTER_HOME where it is set, else in the lake. Made where it is absent."""
    home = Path(os.environ.get("DAGSTER_HOME") or location.home / "dagster")
    home.mkdir(mode=0o700, parents=True, exist_ok=True)
    config = home / "dagster.yaml"
    if not config.exists():
        config.write_text(DAGSTER_YAML)
    return home


def run_days(
    location: LakeLocation,
    days: Sequence[dt.date],
    *,
    progress: Any,
    workers: int | None = None,
    profile: str = "",
    budget: float | None = None,
    reprocess: Mapping[dt.date, Mapping[str, Any]] | None = None,
) -> list[RunOutcome]:
    """Materialise the document line for some days, one run a day, oldest first.

    Args:
        progress: a documents.stage.Progress.
        budget: dollars that each run may pay for calls; None means MEDPIPE_BUDGET_DOLLARS, which may set none.
        reprocess: configuration of the Reprocess resource by day.
    """
    from medpipe_assets.defs.resources import (
        EnginesResource,
        LakeResource,
        RunnerResource,
        TelemetryResource,
        WarehouseResource,
    )

    overrides = {
        "lake": LakeResource(root=location.root),  # empty: its zones are named by the environment alone
        "engines": EnginesResource(profile=profile, budget=budget),
        "warehouse": WarehouseResource(profile=profile),
        "runner": RunnerResource(workers=workers),
        "telemetry": TelemetryResource(command_line=True),
        "progress": dg.ResourceDefinition.hardcoded_resource(progress),
    }
    outcomes = []
    with _materialising(location, lambda: document_defs(overrides, location), documents_job.name) as run:
        for day in sorted(days):
            outcomes.append(run(day, {"reprocess": {"config": dict((reprocess or {}).get(day, {}))}}))
    return outcomes


def run_dataset(location: LakeLocation, dataset: str, day: dt.date, *, progress: Any) -> RunOutcome:
    """Materialise a dataset's assets for a day.

    Args:
        progress: a documents.stage.Progress.
    """
    from medpipe_assets.defs.resources import LakeResource, TelemetryResource

    overrides = {
        "lake": LakeResource(root=location.root),
        "telemetry": TelemetryResource(command_line=True),
        "progress": dg.ResourceDefinition.hardcoded_resource(progress),
    }
    with _materialising(location, lambda: dataset_defs(dataset, overrides), f"load_{dataset}") as run:
        return run(day, {})


Run = Callable[[dt.date, Mapping[str, Any]], RunOutcome]


@contextmanager
def _materialising(location: LakeLocation, defs: Callable[[], dg.Definitions], job_name: str) -> Iterator[Run]:
    """A function that runs a job for a day, with configuration of its resources."""
    with warnings.catch_warnings(), _opened(location) as instance:
        job = defs().resolve_job_def(job_name)

        def run(day: dt.date, resources: Mapping[str, Any]) -> RunOutcome:
            result = job.execute_in_process(
                instance=instance,
                partition_key=day.isoformat(),
                raise_on_error=False,
                tags=COMMAND_LINE,
                run_config={
                    "loggers": {"console": {"config": {"log_level": "CRITICAL"}}},
                    **({"resources": dict(resources)} if resources else {}),
                },
            )
            _alert(instance, result.run_id, location)
            return _outcome(day, result)

        yield run


def _opened(location: LakeLocation) -> dg.DagsterInstance:
    """Dagster's instance, opened by one process at a time: two that find its databases absent would both make them."""
    with (dagster_home(location) / ".opening").open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        return dg.DagsterInstance.from_ref(instance_of(location))


def _alert(instance: dg.DagsterInstance, run_id: str, location: LakeLocation) -> None:
    """Send the run's alerts. Whoever waits for it is told what failed by the command, which this must not fail."""
    clients = Clients(Settings.load().region)
    try:
        run = instance.get_run_by_id(run_id)
        if run is not None:
            tell(instance, run, partial(open_lake, location, clients), clients, level=logging.INFO)
    except Exception as error:  # whatever it was: the run is over, and its outcome is not the alert's
        _log.error("no alerts were sent: failed with %s", where(error))


def instance_of(location: LakeLocation) -> InstanceRef:
    """Where the Dagster instance of a lake is."""
    return InstanceRef.from_dir(str(dagster_home(location)))


def _outcome(day: dt.date, result: dg.ExecuteInProcessResult) -> RunOutcome:
    outcome = RunOutcome(day, result.run_id, result.success)
    for event in result.get_step_success_events():
        outcome.seconds[event.step_key or ""] = event.step_success_data.duration_ms / 1000
    for evaluation in result.get_asset_check_evaluations():
        if not evaluation.passed and evaluation.blocking:
            outcome.failures.append(f"check {evaluation.check_name} of {evaluation.asset_key.to_user_string()} failed")
    for event in result.filter_events(lambda e: e.is_step_failure):
        outcome.failures.append(f"{event.step_key}: {said(event.step_failure_data.error)}")
    return outcome


def said(error: Any) -> str:
    """What `private_errors` let through, less the exception's class; that of the last try, not that tries are over."""
    if error is None:
        return "failed"
    while error.cause is not None:
        error = error.cause
    return str(error.message).strip().splitlines()[0].removeprefix("dagster._core.definitions.events.Failure: ")
