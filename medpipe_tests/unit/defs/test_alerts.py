"""Alerts: what is told of a run that has ended, to whom, once, and with nothing of a patient's in it."""

import datetime as dt
import json
from collections import Counter
from collections.abc import Callable, Mapping
from typing import Any

import boto3
import dagster as dg
import pytest

from medpipe_assets.aws.alerts import Kind, Severity
from medpipe_assets.aws.metering import BudgetReachedError
from medpipe_assets.defs.alerts import (
    COMMAND_LINE,
    QUARANTINE_CHECK,
    Failed,
    alerts_of,
    failed_run_alerts,
    finished_run_alerts,
)
from medpipe_assets.defs.aws import AwsResource
from medpipe_assets.defs.resources import LakeResource, private_errors
from medpipe_assets.errors import DocumentError, Reason
from medpipe_assets.lake import quarantine
from medpipe_assets.lake.lake import Lake
from medpipe_tests.unit.lake.builders import NOW

IDS = {"job": "documents", "run_id": "1f", "day": "2026-11-20"}


def told(*failed: Failed, has_failed: bool = True, reasons: dict[Reason, int] | None = None) -> list[Any]:
    return list(alerts_of(failed, IDS, has_failed=has_failed, reasons=reasons or {}))


def test_a_run_that_went_well_is_no_news() -> None:
    assert told(has_failed=False) == []


def test_a_run_that_failed_without_a_step_is_told_all_the_same() -> None:
    (alert,) = told()
    assert alert.kind is Kind.RUN_FAILURE and alert.severity is Severity.CRITICAL


def test_a_budget_that_is_used_up_is_no_failure_of_the_run() -> None:
    (alert,) = told(Failed("entities", message=f"dagster.Failure: {BudgetReachedError(12.5)}"))
    assert alert.kind is Kind.BUDGET_REACHED


def test_quarantine_above_the_threshold_tells_the_reasons() -> None:
    check = Failed("quarantine", QUARANTINE_CHECK, {"share": 0.75, "threshold": 0.5}, warns=True)
    (alert,) = told(check, has_failed=False, reasons={Reason.CORRUPT: 3})
    assert alert.kind is Kind.QUARANTINE and alert.severity is Severity.WARNING
    assert alert.as_json()["reasons"] == {"corrupt": 3} and alert.counts["share"] == 0.75


# --- on a run ---------------------------------------------------------------------------------------------------------

PATIENT = "Jane Doe has asthma"


@dg.asset
def sound() -> None:
    pass


@dg.asset
def broken() -> None:
    with private_errors():
        raise ValueError(PATIENT)


@dg.asset
def bounded() -> None:
    with private_errors():
        raise BudgetReachedError(3)


@dg.asset_check(asset=sound, name=QUARANTINE_CHECK)
def share() -> dg.AssetCheckResult:
    metadata = {"share": 0.75, "threshold": 0.5, "first_offenders": [PATIENT]}
    return dg.AssetCheckResult(passed=False, severity=dg.AssetCheckSeverity.WARN, metadata=metadata)


Ends = Callable[..., None]


@pytest.fixture
def ends(lake: Lake) -> Any:
    """Lets a run of an asset end, and ticks the sensor that concerns it as often as asked."""

    def end(*assets: Any, times: int = 1, tags: Mapping[str, str] | None = None) -> None:
        with dg.DagsterInstance.ephemeral() as instance:
            checks = [a for a in assets if isinstance(a, dg.AssetChecksDefinition)]
            definitions = dg.Definitions(
                assets=[a for a in assets if a not in checks],
                asset_checks=checks,
                jobs=[dg.define_asset_job("documents", executor_def=dg.in_process_executor)],
            )
            done = definitions.resolve_job_def("documents").execute_in_process(
                instance=instance, raise_on_error=False, tags={"dagster/partition": "2026-11-20", **(tags or {})}
            )
            sensor = finished_run_alerts if done.success else failed_run_alerts
            context = dg.build_run_status_sensor_context(
                sensor_name=sensor.name,
                dagster_instance=instance,
                dagster_run=done.dagster_run,
                dagster_event=done.all_events[-1],
                resources={"lake": LakeResource(root=str(lake.location.home)), "aws": AwsResource()},
            )
            for _ in range(times):
                sensor(context if done.success else context.for_run_failure())

    return end


def in_file(lake: Lake) -> list[dict[str, Any]]:
    file = lake.location.home / "alerts.jsonl"
    return [json.loads(line) for line in file.read_text().splitlines()] if file.exists() else []


def test_a_failed_run_is_in_the_file_once_and_says_nothing_of_a_patient(lake: Lake, ends: Ends) -> None:
    ends(broken, times=3)
    ends(broken)  # a retry of the same day
    (alert,) = in_file(lake)
    assert alert["kind"] == "run_failure" and alert["ids"]["asset"] == "broken" and alert["ids"]["day"] == "2026-11-20"
    assert "Jane" not in json.dumps(alert)


def test_a_run_that_the_command_line_tells_of_is_left_to_it(lake: Lake, ends: Ends) -> None:
    ends(broken, tags=COMMAND_LINE)
    assert in_file(lake) == []


def test_a_sound_run_leaves_no_file(lake: Lake, ends: Ends) -> None:
    ends(sound)
    assert in_file(lake) == []


def test_a_budget_reached_is_told_as_that(lake: Lake, ends: Ends) -> None:
    ends(bounded)
    assert [alert["kind"] for alert in in_file(lake)] == ["budget_reached"]


def test_a_check_that_warns_is_told_after_a_run_that_went_through(lake: Lake, ends: Ends) -> None:
    failure = quarantine.Failure("s1", None, DocumentError(Reason.CORRUPT))
    quarantine.record(lake, "inbox", dt.date(2026, 11, 20), [failure], ["s1"], run_id="r", now=NOW)
    ends(sound, share)
    (alert,) = in_file(lake)
    assert alert["kind"] == "quarantine" and alert["counts"] == {"share": 0.75, "threshold": 0.5}
    assert alert["reasons"] == {"corrupt": 1} and "Jane" not in json.dumps(alert)


def test_subscribers_of_the_topic_hear_of_it_once(
    lake: Lake, ends: Ends, account: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    sns, sqs = boto3.client("sns"), boto3.client("sqs")
    topic, url = sns.create_topic(Name="alerts")["TopicArn"], sqs.create_queue(QueueName="heard")["QueueUrl"]
    arn = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
    sns.subscribe(TopicArn=topic, Protocol="sqs", Endpoint=arn)
    monkeypatch.setenv("MEDPIPE_ALERT_TOPIC", topic)
    ends(broken, times=2)
    heard = sqs.receive_message(QueueUrl=url, MaxNumberOfMessages=10).get("Messages", [])
    kinds = Counter(json.loads(json.loads(message["Body"])["Message"])["kind"] for message in heard)
    assert kinds == {"run_failure": 1}
