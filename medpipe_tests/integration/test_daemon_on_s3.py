"""What surrounds the line when the lake is on S3: sensors, alerts, dead letters and their redrive, and its buckets."""

import json
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import boto3
import dagster as dg
import pytest
from moto.sqs.exceptions import SQSException
from moto.sqs.responses import SQSResponse

from medpipe_assets.aws.metering import BudgetReachedError
from medpipe_assets.defs.documents import assets
from medpipe_assets.defs.documents.checks import buckets_are_safe
from medpipe_assets.defs.documents.partitions import today
from medpipe_assets.defs.documents.reconciliation import inbox_reconciliation
from medpipe_assets.defs.documents.sensors import s3_inbox_sensor, sqs_inbox_sensor
from medpipe_assets.defs.resources import LakeResource, resources
from medpipe_assets.documents.intake import pending_receipts
from medpipe_assets.inbox import sqs
from medpipe_assets.lake.lake import Lake
from medpipe_assets.lake.quarantine import open_failures
from medpipe_assets.running import redrive_dead_letters, run_inputs
from medpipe_tests.unit.defs.conftest import Queue, context_of
from medpipe_tests.unit.lake.s3 import BUCKET, REGION, fresh_location, served

KMS = {"ApplyServerSideEncryptionByDefault": {"SSEAlgorithm": "aws:kms"}}


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    with served() as url:
        yield url


@dataclass
class Remote:
    """A lake on S3 that the environment names, an inbox beside it, and an instance of Dagster's."""

    lake: Lake
    inbox: str
    instance: dg.DagsterInstance
    s3: Any

    def arrives(self, name: str, text: str) -> None:
        self.s3.put_object(Bucket=BUCKET, Key=f"{self.inbox}{name}", Body=text.encode())

    def tick(self, sensor: Any, cursor: str | None = None) -> Any:
        return sensor(context_of(sensor, self.instance, self.lake, cursor))

    def waiting(self) -> list[str]:
        return [arrival.uri for receipt in pending_receipts(self.lake) for arrival in receipt.arrivals]

    def on_disk(self) -> list[Path]:
        return [p for p in self.lake.location.home.rglob("*") if p.is_file() and "dagster" not in p.parts]


@pytest.fixture
def remote(url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Remote]:
    location = fresh_location(tmp_path / "home")
    root = location.raw.removesuffix("/raw")
    inbox = f"{root.split('/')[-1]}-inbox/"
    monkeypatch.setenv("MEDPIPE_LAKE", root)
    monkeypatch.setenv("MEDPIPE_HOME", str(location.home))
    monkeypatch.setenv("MEDPIPE_GLUE_DATABASE", location.database)
    monkeypatch.setenv("MEDPIPE_INBOX", f"s3://{BUCKET}/{inbox}")
    monkeypatch.setenv("MEDPIPE_REGION", REGION)
    monkeypatch.setattr(sqs, "POLL_SECONDS", 0)
    with dg.DagsterInstance.ephemeral() as instance:
        yield Remote(LakeResource().open(), inbox, instance, boto3.client("s3"))


def test_what_arrives_is_receipted_on_s3_and_asked_for_once(remote: Remote) -> None:
    remote.arrives("Jane Doe.txt", "asthma")
    told = remote.tick(s3_inbox_sensor)
    (request,) = told.run_requests
    assert request.partition_key == today().isoformat()
    assert remote.waiting() == [f"s3://{BUCKET}/{remote.inbox}Jane%20Doe.txt"]
    assert isinstance(remote.tick(s3_inbox_sensor, told.cursor), dg.SkipReason)
    assert remote.on_disk() == []


def test_dead_letters_stand_in_a_remote_quarantine_until_they_are_redriven(
    remote: Remote, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(_: SQSResponse) -> None:
        raise SQSException("AWS.SimpleQueueService.UnsupportedOperation", "moto moves no messages, and does not say so")

    monkeypatch.setattr(SQSResponse, "start_message_move_task", refuse, raising=False)
    queue = Queue()
    monkeypatch.setenv("MEDPIPE_INBOX_QUEUE", queue.url)
    monkeypatch.setenv("MEDPIPE_INBOX_DEAD_LETTERS", queue.dead)
    queue.give_up('{"Records": "Jane Doe"}')
    for new in (1, 0):
        done = dg.materialize([inbox_reconciliation], instance=remote.instance, resources=resources())
        (event,) = done.get_asset_materialization_events()
        assert event.materialization.metadata["dead_letters_new"].value == new
    assert [row["reason"] for row in open_failures(remote.lake)] == ["bad_message"]
    assert redrive_dead_letters(remote.lake) == 1
    assert (queue.count(queue.dead), queue.count(), open_failures(remote.lake)) == (0, 1, [])
    assert isinstance(remote.tick(sqs_inbox_sensor), dg.SkipReason)


@pytest.mark.long
def test_an_alert_of_a_run_is_remembered_on_s3_and_reaches_subscribers_once(
    remote: Remote, monkeypatch: pytest.MonkeyPatch
) -> None:
    def stop(*_: object, **__: object) -> None:
        raise BudgetReachedError(3)

    monkeypatch.setattr(assets, "run_stage", stop)
    heard = boto3.client("sqs")
    url = heard.create_queue(QueueName="heard")["QueueUrl"]
    arn = heard.get_queue_attributes(QueueUrl=url, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
    topic = boto3.client("sns").create_topic(Name="alerts")["TopicArn"]
    boto3.client("sns").subscribe(TopicArn=topic, Protocol="sqs", Endpoint=arn)
    monkeypatch.setenv("MEDPIPE_ALERT_TOPIC", topic)
    remote.arrives("Jane Doe.txt", "asthma")
    for _ in range(2):
        assert run_inputs(remote.lake, [f"s3://{BUCKET}/{remote.inbox}"], workers=0).budget_reached
    messages = heard.receive_message(QueueUrl=url, MaxNumberOfMessages=10).get("Messages", [])
    alerts = [json.loads(json.loads(message["Body"])["Message"]) for message in messages]
    assert Counter(alert["kind"] for alert in alerts) == {"budget_reached": 1}
    assert "Jane" not in json.dumps(alerts)
    prefix = remote.lake.location.staging.split("/", 3)[3]
    (kept,) = remote.s3.list_objects_v2(Bucket=BUCKET, Prefix=f"{prefix}/alerts/")["Contents"]
    assert json.loads(remote.s3.get_object(Bucket=BUCKET, Key=kept["Key"])["Body"].read()) == alerts[0]
    assert remote.on_disk() == []


def test_buckets_that_may_lose_or_bare_documents_are_warned_of_with_the_next_step(remote: Remote) -> None:
    def look() -> dg.AssetCheckResult:
        bound = resources()
        result = buckets_are_safe(bound["lake"], bound["aws"])
        assert isinstance(result, dg.AssetCheckResult)
        return result

    before = look()
    steps = " ".join(before.metadata["next_steps"].value)
    assert not before.passed and before.severity is dg.AssetCheckSeverity.WARN
    assert "turn versioning on" in steps and "SSE-KMS" in steps and BUCKET in steps
    remote.s3.put_bucket_versioning(Bucket=BUCKET, VersioningConfiguration={"Status": "Enabled"})
    assert look().metadata["shortcomings"].value == 1
    remote.s3.put_bucket_encryption(Bucket=BUCKET, ServerSideEncryptionConfiguration={"Rules": [KMS]})
    assert look().passed


def test_a_bucket_that_cannot_be_looked_at_is_told_and_fails_nothing(
    remote: Remote, monkeypatch: pytest.MonkeyPatch
) -> None:
    bound = resources()
    bound["lake"].open()
    monkeypatch.setattr("medpipe_assets.lake.buckets._bucket", lambda _: "no-such-bucket-anywhere")
    result = buckets_are_safe(bound["lake"], bound["aws"])
    assert isinstance(result, dg.AssetCheckResult)
    assert "NoSuchBucket" in str(result.metadata["next_steps"].value)
