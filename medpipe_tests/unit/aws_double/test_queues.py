"""The queue that drains are measured on behaves as SQS's does, over HTTP."""

from collections.abc import Iterator
from typing import Any

import pytest
from botocore.exceptions import ClientError

from medpipe_tests.aws_double.double import AwsDouble, Bill
from medpipe_tests.aws_double.model import session
from medpipe_tests.aws_double.queues import Queues
from medpipe_tests.aws_double.server import DoubleServer

URL = "https://sqs.us-east-1.amazonaws.com/123456789012/news"


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def queues(clock: Clock) -> Queues:
    return Queues(URL, clock)


@pytest.fixture
def client(queues: Queues) -> Iterator[Any]:
    with DoubleServer(AwsDouble({"sqs": queues}, Bill())) as server:
        yield session().create_client(
            "sqs",
            region_name="us-east-1",
            endpoint_url=server.environment["AWS_ENDPOINT_URL_SQS"],
            aws_access_key_id="a",
            aws_secret_access_key="b",
        )


def test_a_message_is_hidden_until_its_time_is_up_and_gone_when_deleted(
    client: Any, queues: Queues, clock: Clock
) -> None:
    queues.tell(["one", "two", "three"])
    request = {"QueueUrl": URL, "MaxNumberOfMessages": 2, "VisibilityTimeout": 60}
    first = client.receive_message(**request)["Messages"]
    assert [message["Body"] for message in first] == ["one", "two"]
    assert [message["Body"] for message in client.receive_message(**request)["Messages"]] == ["three"]
    assert "Messages" not in client.receive_message(**request)
    client.delete_message_batch(QueueUrl=URL, Entries=[{"Id": "0", "ReceiptHandle": first[0]["ReceiptHandle"]}])
    clock.now = 61
    again = client.receive_message(QueueUrl=URL, MaxNumberOfMessages=10)["Messages"]
    assert {message["Body"] for message in again} == {"two", "three"} and len(queues) == 2


def test_more_than_ten_at_once_and_other_queues_are_refused(client: Any) -> None:
    with pytest.raises(ClientError, match="ValidationException"):
        client.receive_message(QueueUrl=URL, MaxNumberOfMessages=11)
    entries = [{"Id": str(number), "ReceiptHandle": "r"} for number in range(11)]
    with pytest.raises(ClientError, match="TooManyEntriesInBatchRequest"):
        client.delete_message_batch(QueueUrl=URL, Entries=entries)
    with pytest.raises(ClientError, match="QueueDoesNotExist"):
        client.receive_message(QueueUrl=f"{URL}2")
