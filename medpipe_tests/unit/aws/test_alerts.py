"""People hear of a fault once, as structured JSON, with no patient data in it; and an alert that fails fails alone."""

import datetime as dt
import json
import stat
from pathlib import Path

import boto3
import pytest
from hypothesis import given
from hypothesis import strategies as st

from medpipe_assets.aws.alerts import Alert, Alerts, Kind, SentInBucket, SentInFile, Severity, SnsChannel
from medpipe_assets.aws.clients import Clients
from medpipe_assets.errors import DocumentError, Reason
from medpipe_tests.unit.aws.conftest import REGION

IDS = {"stage": "entities", "day": "2026-11-20", "run_id": "run-1"}
ALERT = Alert(
    Kind.QUARANTINE, Severity.WARNING, {"quarantined": 12, "documents": 40}, IDS, {Reason.CORRUPT: 11, Reason.EMPTY: 1}
)


class Clock:
    def __init__(self) -> None:
        self.now = dt.datetime(2026, 11, 20, 12, tzinfo=dt.UTC)

    def __call__(self) -> dt.datetime:
        return self.now


class Listener:
    """A channel that notes what it is sent, or is down."""

    def __init__(self) -> None:
        self.messages: list[str] = []
        self.down = False

    def send(self, alert: Alert, message: str) -> None:
        if self.down:
            raise DocumentError(Reason.ENGINE_UNAVAILABLE, "sns Publish: InternalError")
        self.messages.append(message)


def test_an_alert_reaches_the_topic_s_subscribers_as_json(aws: None, tmp_path: Path) -> None:
    sns, sqs = boto3.client("sns", region_name=REGION), boto3.client("sqs", region_name=REGION)
    topic = sns.create_topic(Name="alerts")["TopicArn"]
    queue = sqs.create_queue(QueueName="inbox")["QueueUrl"]
    arn = sqs.get_queue_attributes(QueueUrl=queue, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
    sns.subscribe(TopicArn=topic, Protocol="sqs", Endpoint=arn)
    assert Alerts(SentInFile(tmp_path / "alerts.jsonl"), [SnsChannel(Clients(REGION), topic)], now=Clock()).send(ALERT)
    (received,) = sqs.receive_message(QueueUrl=queue)["Messages"]
    envelope = json.loads(received["Body"])
    assert envelope["Subject"] == "medpipe warning: quarantine"
    assert envelope["MessageAttributes"]["severity"]["Value"] == "warning"
    assert json.loads(envelope["Message"]) == {
        "kind": "quarantine",
        "severity": "warning",
        "counts": {"quarantined": 12, "documents": 40},
        "ids": IDS,
        "reasons": {"corrupt": 11, "empty": 1},
        "key": ALERT.key,
        "time": "2026-11-20T12:00:00+00:00",
    }


def test_a_topic_that_is_not_there_does_not_fail_the_run(aws: None, tmp_path: Path) -> None:
    channel = SnsChannel(Clients(REGION), f"arn:aws:sns:{REGION}:123456789012:absent")
    assert not Alerts(SentInFile(tmp_path / "alerts.jsonl"), [channel]).send(ALERT)


def test_the_same_alert_is_sent_once_a_window_also_by_other_processes_and_runs(tmp_path: Path) -> None:
    clock, listener = Clock(), Listener()
    for run in range(5):
        again = Alert(ALERT.kind, ALERT.severity, {"quarantined": run}, {**IDS, "run_id": f"run-{run}"})
        Alerts(SentInFile(tmp_path / "alerts.jsonl"), [listener], now=clock).send(
            again
        )  # a new object: nothing is remembered
        clock.now += dt.timedelta(minutes=10)
    assert len(listener.messages) == 1
    clock.now += dt.timedelta(minutes=10, seconds=1)
    assert Alerts(SentInFile(tmp_path / "alerts.jsonl"), [listener], now=clock).send(ALERT)


def test_other_stages_kinds_and_severities_are_other_alerts(tmp_path: Path) -> None:
    alerts = Alerts(SentInFile(tmp_path / "alerts.jsonl"), now=Clock())
    others = [
        Alert(Kind.QUARANTINE, Severity.WARNING, ids={**IDS, "stage": "pages"}),
        Alert(Kind.QUARANTINE, Severity.CRITICAL, ids=IDS),
        Alert(Kind.RUN_FAILURE, Severity.WARNING, ids=IDS),
    ]
    assert all(alerts.send(alert) for alert in [ALERT, *others])


def test_an_alert_that_did_not_get_through_is_sent_at_the_next_occasion(tmp_path: Path) -> None:
    listener = Listener()
    alerts = Alerts(SentInFile(tmp_path / "alerts.jsonl"), [listener], now=Clock())
    listener.down = True
    assert not alerts.send(ALERT)
    listener.down = False
    assert alerts.send(ALERT)
    assert not alerts.send(ALERT)


def test_alerts_are_kept_in_a_private_file_and_logged(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    path = tmp_path / "home" / "alerts.jsonl"
    assert Alerts(SentInFile(path), now=Clock()).send(ALERT)
    (line,) = path.read_text().splitlines()
    assert json.loads(line)["kind"] == "quarantine"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert ALERT.key in caplog.text


def test_half_a_line_left_by_a_kill_stops_nothing(tmp_path: Path) -> None:
    path = tmp_path / "alerts.jsonl"
    alerts = Alerts(SentInFile(path), now=Clock())
    path.write_text('{"kind": "quar\n[]\n')
    assert alerts.send(ALERT)
    assert not alerts.send(ALERT)


def test_processes_that_share_no_disk_share_a_bucket(bucket: str) -> None:
    clock, listener = Clock(), Listener()
    for _ in range(3):
        Alerts(SentInBucket(Clients(REGION), f"s3://{bucket}/alerts"), [listener], now=clock).send(ALERT)
    assert len(listener.messages) == 1
    clock.now += dt.timedelta(hours=1, seconds=1)
    assert Alerts(SentInBucket(Clients(REGION), f"s3://{bucket}/alerts"), [listener], now=clock).send(ALERT)


def test_an_alerts_record_is_encrypted_with_the_lakes_key(bucket: str) -> None:
    clients = Clients(REGION)
    SentInBucket(clients, f"s3://{bucket}/alerts", "alias/lake").note(ALERT, "{}")
    kept = clients.client("s3").head_object(Bucket=bucket, Key=f"alerts/{ALERT.key}.json")
    assert (kept["ServerSideEncryption"], kept["SSEKMSKeyId"]) == ("aws:kms", "alias/lake")


def test_a_bucket_that_is_not_there_does_not_keep_an_alert_back(aws: None) -> None:
    listener = Listener()
    assert Alerts(SentInBucket(Clients(REGION), "s3://absent"), [listener]).send(ALERT)
    assert len(listener.messages) == 1


@given(st.text())
def test_an_alert_takes_no_prose(text: str) -> None:
    prose = text + " of the patient"
    for ids, counts in (({"stage": prose}, {}), ({prose: "x"}, {}), ({}, {prose: 1}), ({}, {"n": prose})):
        with pytest.raises(ValueError) as error:
            Alert(Kind.RUN_FAILURE, Severity.CRITICAL, counts, ids)  # type: ignore[arg-type]
        assert prose not in str(error.value)
