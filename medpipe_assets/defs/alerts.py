"""Who is told when a run fails, a check does, quarantine is above its threshold, the budget is reached, or a dataset is
loaded.

What is worth telling is read off a run's events by a pure function; sending it once is the matter of aws/alerts.py.
"""

import logging
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass

import dagster as dg
from pyiceberg.expressions import EqualTo

from medpipe_assets.aws.alerts import Alert, Alerts, Kind, SentInBucket, SentInFile, Severity, SnsChannel
from medpipe_assets.aws.clients import Clients
from medpipe_assets.defs.aws import AwsResource
from medpipe_assets.defs.documents.jobs import documents_job, maintenance_job, reconciliation_job
from medpipe_assets.defs.resources import LakeResource, private_errors
from medpipe_assets.documents.costs import tells_budget_reached
from medpipe_assets.errors import Reason
from medpipe_assets.lake.lake import Lake
from medpipe_assets.lake.location import LakeLocation
from medpipe_assets.lake.quarantine import open_failures
from medpipe_assets.settings import Settings

Told = dg.SkipReason | None

QUARANTINE_CHECK = "share_under_threshold"
LOADS_NOTHING = frozenset({documents_job.name, maintenance_job.name, reconciliation_job.name})
"""Jobs after which nobody needs to look for what was loaded."""
LOAD_COUNTS = ("files", "rows_in", "rows_out", "rows_rejected", "duplicates", "rows_replaced")

COMMAND_LINE: Mapping[str, str] = {"medpipe/launched_by": "command line"}
"""The tag of runs that their starter tells of; the sensors leave those alone, so that nobody hears of one twice."""


@dataclass(frozen=True, slots=True)
class Failed:
    """A step or a check of a run that failed.

    Attributes:
        asset: of the check, or the step's own name.
        check: its name; empty for a step.
        counts: what the check counted.
        message: of the step's error.
        warns: whether the check only warns.
    """

    asset: str
    check: str = ""
    counts: Mapping[str, float] | None = None
    message: str = ""
    warns: bool = False


def alerts_of(
    failed: Iterable[Failed], ids: Mapping[str, str], *, has_failed: bool, reasons: Mapping[Reason, int]
) -> Iterator[Alert]:
    """What is to be told of a run that has ended.

    Args:
        ids: of the run: job, run_id and (where it has one) day.
        has_failed: whether the run has, and not only a check that warns.
        reasons: what stands in quarantine on its day.
    """
    found = list(failed)
    for check in (f for f in found if f.check):
        is_share = check.check == QUARANTINE_CHECK
        yield Alert(
            Kind.QUARANTINE if is_share else Kind.CHECK_FAILURE,
            Severity.WARNING if check.warns else Severity.CRITICAL,
            check.counts or {},
            {**ids, "asset": check.asset, "check": check.check},
            reasons if is_share else {},
        )
    steps = [f for f in found if not f.check]
    if any(tells_budget_reached(f.message) for f in steps):
        yield Alert(Kind.BUDGET_REACHED, Severity.WARNING, {}, ids)
    elif has_failed:
        named = {"asset": steps[0].asset} if steps else {}
        yield Alert(Kind.RUN_FAILURE, Severity.CRITICAL, {"failed_steps": len(steps)}, {**ids, **named})


def failures_in(instance: dg.DagsterInstance, run_id: str) -> Iterator[Failed]:
    """The steps and checks that failed, as the run's events have them."""
    kinds = {dg.DagsterEventType.STEP_FAILURE, dg.DagsterEventType.ASSET_CHECK_EVALUATION}
    for entry in instance.all_logs(run_id, of_type=kinds):
        event = entry.get_dagster_event()
        if event.is_step_failure:
            error = event.step_failure_data.error
            yield Failed(event.step_key or "step", message=error.message if error else "")
        elif not (data := event.asset_check_evaluation_data).passed:
            values = {name: value.value for name, value in data.metadata.items()}
            counts = {name: n for name, n in values.items() if isinstance(n, int | float) and not isinstance(n, bool)}
            warns = data.severity is dg.AssetCheckSeverity.WARN
            yield Failed(data.asset_key.to_user_string(), data.check_name, counts, warns=warns)


def alerts_for(settings: Settings, location: LakeLocation, clients: Clients, level: int = logging.WARNING) -> Alerts:
    """Log and file; with MEDPIPE_ALERT_TOPIC its subscribers, too. What was sent is remembered beside the lake."""
    sent = (
        SentInBucket(clients, f"{location.zone('staging')}/alerts", location.kms_key)
        if location.is_remote
        else SentInFile(location.home / "alerts.jsonl")
    )
    return Alerts(sent, [SnsChannel(clients, settings.alert_topic)] if settings.alert_topic else [], level=level)


def tell(
    instance: dg.DagsterInstance, run: dg.DagsterRun, lake: Callable[[], Lake], clients: Clients, *, level: int
) -> None:
    """Send what is to be told of a run that has ended; nothing, and `lake` is not opened, where documents went well.

    Args:
        level: of the lines in the log.
    """
    failed, has_failed = list(failures_in(instance, run.run_id)), run.status is dg.DagsterRunStatus.FAILURE
    may_have_loaded = run.job_name not in LOADS_NOTHING
    if not failed and not has_failed and not may_have_loaded:
        return
    opened, day = lake(), run.tags.get("dagster/partition")
    ids = {"job": run.job_name, "run_id": run.run_id, **({"day": day} if day else {})}
    reasons: Counter[Reason] = Counter()
    if any(f.check == QUARANTINE_CHECK for f in failed):
        standing = open_failures(opened)
        reasons.update(Reason(row["reason"]) for row in standing if row["ingest_date"].isoformat() == day)
    alerts = alerts_for(Settings.load(), opened.location, clients, level)
    for alert in alerts_of(failed, ids, has_failed=has_failed, reasons=reasons):
        alerts.send(alert)
    for alert in loads_of(opened, run.run_id) if may_have_loaded else ():
        alerts.send(alert)


def loads_of(lake: Lake, run_id: str) -> Iterator[Alert]:
    """What a run loaded, with the counts of the ledger; a load that stood already is none."""
    if not lake.exists("dataset_loads"):
        return
    for row in lake.read("dataset_loads", where=EqualTo("run_id", run_id)).to_pylist():
        ids = {"dataset": row["dataset"], "day": row["load_date"].isoformat(), "run_id": run_id}
        yield Alert(Kind.LOADED, Severity.INFO, {name: row[name] for name in LOAD_COUNTS}, ids)


def _tell(context: dg.RunStatusSensorContext, lake: LakeResource, aws: AwsResource) -> Told:
    run = context.dagster_run
    if run.tags.items() >= COMMAND_LINE.items():
        return dg.SkipReason("the command line that started the run tells of it")
    with private_errors():
        tell(context.instance, run, lake.open, aws.clients(), level=logging.WARNING)
    return None


@dg.run_failure_sensor(
    default_status=dg.DefaultSensorStatus.RUNNING,
    description="Alerts when a run fails, with the checks that did, or when its budget is reached.",
)
def failed_run_alerts(
    context: dg.RunFailureSensorContext, lake: LakeResource, aws: AwsResource
) -> dg.SkipReason | None:
    return _tell(context, lake, aws)


@dg.run_status_sensor(
    run_status=dg.DagsterRunStatus.SUCCESS,
    default_status=dg.DefaultSensorStatus.RUNNING,
    description="Tells of a load, and of a run that went through with a check that failed, such as the share of "
    "quarantined documents.",
)
def finished_run_alerts(
    context: dg.RunStatusSensorContext, lake: LakeResource, aws: AwsResource
) -> dg.SkipReason | None:
    return _tell(context, lake, aws)
