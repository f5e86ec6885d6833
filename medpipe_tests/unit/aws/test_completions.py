"""Threads that wait for jobs are woken by what a queue tells, whatever else is in it. The queue is moto's."""

import json
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import pytest
from botocore.exceptions import ClientError

from medpipe_assets.aws.calls import PaidCalls
from medpipe_assets.aws.clients import Clients
from medpipe_assets.aws.completions import Completions
from medpipe_assets.errors import ConfigurationError
from medpipe_tests.unit.aws.conftest import REGION, Lazy

ROLE = "arn:aws:iam::123456789012:role/textract"
SOON = 20.0
"""Seconds within which a message is there in any case."""


@dataclass
class Queue:
    """A queue that is subscribed to a topic, and what a run has to do with it."""

    url: str
    topic: str
    calls: PaidCalls
    completions: Completions
    sqs: Any
    sns: Any

    def tell(self, job_id: str) -> None:
        """What Textract says of a job that is over."""
        told = {"JobId": job_id, "Status": "SUCCEEDED", "API": "StartDocumentTextDetection", "Timestamp": 1}
        self.sns.publish(TopicArn=self.topic, Message=json.dumps(told))

    def put(self, body: str) -> None:
        self.sqs.send_message(QueueUrl=self.url, MessageBody=body)

    def left(self) -> int:
        """Messages in the queue, those that are hidden among them."""
        names = ["ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible"]
        found = self.sqs.get_queue_attributes(QueueUrl=self.url, AttributeNames=names)["Attributes"]
        return sum(map(int, found.values()))


@pytest.fixture(params=[True, False], ids=["raw", "in an envelope"])
def queue(request: pytest.FixtureRequest, aws: None) -> Iterator[Queue]:
    clients = Clients(REGION)
    sqs, sns = clients.client("sqs"), clients.client("sns")
    url = sqs.create_queue(QueueName="ends")["QueueUrl"]
    arn = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
    topic = sns.create_topic(Name="ends")["TopicArn"]
    raw = {"RawMessageDelivery": str(request.param).lower()}
    sns.subscribe(TopicArn=topic, Protocol="sqs", Endpoint=arn, Attributes=raw)
    calls = PaidCalls(clients)
    yield Queue(url, topic, calls, Completions(calls, url, topic, ROLE), sqs, sns)


def test_a_message_wakes_who_waits_for_its_job_and_leaves_the_queue(queue: Queue) -> None:
    queue.tell("a")
    started = time.monotonic()
    assert queue.completions.wait("a", SOON)
    assert time.monotonic() - started < SOON / 2
    assert queue.left() == 0


def test_many_threads_share_one_drain(queue: Queue) -> None:
    """Each is woken by its own message, and never do two receive at once."""
    receiving = threading.Semaphore(1)
    receive = queue.calls.send

    def alone(service: str, operation: str, request: dict[str, Any]) -> dict[str, Any]:
        if operation != "ReceiveMessage":
            return receive(service, operation, request)
        assert receiving.acquire(blocking=False), "two threads receive"
        try:
            return receive(service, operation, {**request, "MaxNumberOfMessages": 3})
        finally:
            receiving.release()

    queue.calls.send = alone  # type: ignore[method-assign]
    names = [f"job {i}" for i in range(12)]
    with ThreadPoolExecutor(len(names)) as threads:
        waits = [threads.submit(queue.completions.wait, name, SOON) for name in names]
        for name in reversed(names):
            queue.tell(name)
        assert all(wait.result() for wait in waits)
    assert queue.left() == 0


def test_a_lost_message_costs_the_wait_and_nothing_else(queue: Queue) -> None:
    assert not queue.completions.wait("a", 1)


@pytest.mark.parametrize(
    "body", ["no JSON", "[]", "7", '{"Message": "no JSON"}', '{"Records": []}', '{"JobId": "of another run"}']
)
def test_what_is_not_ours_goes_back_to_the_queue(queue: Queue, body: str) -> None:
    queue.put(body)
    queue.tell("a")
    assert queue.completions.wait("a", SOON)
    assert queue.left() == 1
    assert not queue.completions.wait("b", 1)
    queue.sqs.purge_queue(QueueUrl=queue.url)


def test_what_another_run_waits_for_reaches_it(queue: Queue) -> None:
    other = Completions(queue.calls, queue.url, queue.topic, ROLE)
    queue.tell("b")
    assert not queue.completions.wait("a", 1)
    assert other.wait("b", SOON)


def test_a_repeated_message_wakes_nobody_twice_and_leaves_the_queue(queue: Queue) -> None:
    for _ in range(2):
        queue.tell("a")
    assert queue.completions.wait("a", SOON)
    queue.tell("b")
    assert queue.completions.wait("b", SOON)
    assert queue.left() == 0


def test_a_queue_that_is_not_there_stops_the_run(queue: Queue) -> None:
    queue.sqs.delete_queue(QueueUrl=queue.url)
    with pytest.raises(ConfigurationError):
        queue.completions.wait("a", SOON)


def test_a_queue_out_of_reach_is_waited_out() -> None:
    time_ = Lazy()
    asked: list[float] = []

    class Away:
        def client(self, _: str) -> "Away":
            return self

        def receive_message(self, **_: Any) -> None:
            asked.append(time_.now)
            raise ClientError(
                {"Error": {"Code": "ServiceUnavailable"}, "ResponseMetadata": {"HTTPStatusCode": 503}}, "ReceiveMessage"
            )

    calls = PaidCalls(Away())  # type: ignore[arg-type]
    completions = Completions(calls, "url", "topic", ROLE, clock=time_.clock, sleep=time_.sleep)
    assert not completions.wait("a", 100)
    assert 95 <= time_.now <= 101
    assert len(asked) <= 6


def test_a_message_that_comes_back_again_and_again_comes_ever_more_rarely(queue: Queue) -> None:
    hidden: list[int] = []
    send = queue.calls.send

    def noting(service: str, operation: str, request: dict[str, Any]) -> dict[str, Any]:
        if operation != "ChangeMessageVisibilityBatch":
            return send(service, operation, request)
        (entry,) = request["Entries"]
        hidden.append(entry["VisibilityTimeout"])
        return send(service, operation, {**request, "Entries": [{**entry, "VisibilityTimeout": 0}]})

    queue.calls.send = noting  # type: ignore[method-assign]
    queue.put("nobody's")
    over: Callable[[], bool] = lambda: len(hidden) > 12  # noqa: E731
    while not over():
        queue.completions.wait("a", 0.1)
    assert hidden[:3] == [2, 4, 8]
    assert max(hidden) == 600
    queue.sqs.purge_queue(QueueUrl=queue.url)
