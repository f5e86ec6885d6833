"""What Dagster remembers of past runs, for the command line: asked of its instance, changed nowhere."""

import datetime as dt
from typing import Any

import dagster as dg

from medpipe_assets.defs.documents.jobs import documents_job
from medpipe_assets.defs.execution import instance_of, said
from medpipe_assets.lake.location import LakeLocation


def failed_runs(location: LakeLocation, limit: int = 5) -> list[dict[str, Any]]:
    """The last runs of the document line that failed: `run_id`, `day`, `at`, and what their first failing step said."""
    if not (location.home / "dagster").exists():
        return []
    with dg.DagsterInstance.from_ref(instance_of(location)) as instance:
        failed = dg.RunsFilter(job_name=documents_job.name, statuses=[dg.DagsterRunStatus.FAILURE])
        records = instance.get_run_records(failed, limit=limit)
        return [
            {
                "run_id": record.dagster_run.run_id,
                "day": record.dagster_run.tags.get("dagster/partition", ""),
                "at": record.update_timestamp.replace(tzinfo=dt.UTC),
                "what": _what(instance, record.dagster_run.run_id),
            }
            for record in records
        ]


def _what(instance: dg.DagsterInstance, run_id: str) -> str:
    records = instance.get_records_for_run(run_id, of_type=dg.DagsterEventType.STEP_FAILURE, limit=1).records
    event = records[0].event_log_entry.dagster_event if records else None
    if event is None:
        return "it was ended before a step failed"
    return f"{event.step_key}: {said(event.step_failure_data.error)}"
