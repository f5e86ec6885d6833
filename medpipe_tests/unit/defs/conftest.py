"""An account of AWS's with a bucket and a queue, that exists only in this process; and ticks of sensors."""

import json
from collections.abc import Callable, Iterator
from typing import Any

import boto3
import dagster as dg
import pytest
from moto import mock_aws

from medpipe_assets.defs.documents import sensors
from medpipe_assets.defs.resources import LakeResource, resources
from medpipe_assets.inbox import sqs
from medpipe_assets.lake.lake import Lake

BUCKET = "clinic"


@pytest.fixture
def account(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    variables = {"ACCESS_KEY_ID": "testing", "SECRET_ACCESS_KEY": "testing", "DEFAULT_REGION": "us-east-1"}
    for name, value in variables.items():
        monkeypatch.setenv(f"AWS_{name}", value)
    for name in ("AWS_ENDPOINT_URL", "AWS_PROFILE", "AWS_REGION"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(sqs, "POLL_SECONDS", 0)
    monkeypatch.setattr(sensors, "DRAIN_SECONDS", 5)
    with mock_aws():
        yield


@pytest.fixture
def s3(account: None) -> Any:
    client = boto3.client("s3")
    client.create_bucket(Bucket=BUCKET)
    return client


class Queue:
    """The queue that S3 notifies, and its dead letters, after two receives."""

    def __init__(self) -> None:
        self.client = boto3.client("sqs")
        self.dead = self.client.create_queue(QueueName="dead")["QueueUrl"]
        arn = self.client.get_queue_attributes(QueueUrl=self.dead, AttributeNames=["QueueArn"])["Attributes"]
        policy = json.dumps({"deadLetterTargetArn": arn["QueueArn"], "maxReceiveCount": 1})
        self.url = self.client.create_queue(QueueName="news", Attributes={"RedrivePolicy": policy})["QueueUrl"]

    def tell(self, *messages: dict[str, Any]) -> None:
        for message in messages:
            self.client.send_message(QueueUrl=self.url, MessageBody=json.dumps(message))

    def give_up(self, body: str) -> None:
        self.client.send_message(QueueUrl=self.dead, MessageBody=body)

    def count(self, url: str = "") -> int:
        names = ["ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible"]
        told = self.client.get_queue_attributes(QueueUrl=url or self.url, AttributeNames=names)["Attributes"]
        return sum(int(told[name]) for name in names)


@pytest.fixture
def queue(account: None, monkeypatch: pytest.MonkeyPatch) -> Queue:
    made = Queue()
    monkeypatch.setenv("MEDPIPE_INBOX_QUEUE", made.url)
    monkeypatch.setenv("MEDPIPE_INBOX_DEAD_LETTERS", made.dead)
    return made


TEST_EVENT = {"Service": "Amazon S3", "Event": "s3:TestEvent", "Time": "2026-11-20T08:00:00.000Z", "Bucket": BUCKET}


def news(key: str, sequencer: int, etag: str = "", size: int = 0, name: str = "ObjectCreated:Put") -> dict[str, Any]:
    """A message of S3's about one object; without an ETag it is gone."""
    told = {"key": key, "sequencer": f"{sequencer:018X}", **({"eTag": etag, "size": size} if etag else {})}
    record = {
        "eventSource": "aws:s3",
        "eventTime": "2026-11-20T08:00:00.000Z",
        "eventName": name if etag else "ObjectRemoved:DeleteMarkerCreated",
        "s3": {"bucket": {"name": BUCKET}, "object": told},
    }
    return {"Records": [record]}


def put(s3: Any, key: str, text: str, sequencer: int) -> dict[str, Any]:
    """Put an object, and give the message that S3 would send."""
    etag = s3.put_object(Bucket=BUCKET, Key=key, Body=text.encode())["ETag"].strip('"')
    return news(key, sequencer, etag, len(text.encode()))


Tick = Callable[..., dg.SensorResult | dg.SkipReason]


def context_of(
    sensor: Any, instance: dg.DagsterInstance, lake: Lake, cursor: str | None = None
) -> dg.SensorEvaluationContext:
    """What a sensor is given at a tick, with the code location's resources over a lake."""
    root = "" if lake.location.is_remote else str(lake.location.home)
    bound = resources() | {"lake": LakeResource(root=root)}
    needed = {name: bound[name] for name in ("lake", "aws", "telemetry")}
    return dg.build_sensor_context(instance=instance, cursor=cursor, sensor_name=sensor.name, resources=needed)


@pytest.fixture
def tick(lake: Lake) -> Iterator[Tick]:
    """Ticks a sensor over the lake, on an instance of the test's own."""
    with dg.DagsterInstance.ephemeral() as instance:

        def once(sensor: Any, cursor: str | None = None) -> Any:
            return sensor(context_of(sensor, instance, lake, cursor))

        yield once
