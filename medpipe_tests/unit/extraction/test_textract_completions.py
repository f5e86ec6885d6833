"""Textract's jobs whose ends are told to a topic: nobody asks after them in between, and nothing hangs on a message."""

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from medpipe_assets.aws.calls import PaidCalls
from medpipe_assets.aws.clients import Clients
from medpipe_assets.aws.completions import Completions
from medpipe_assets.extraction import media_type
from medpipe_assets.extraction.engine import Extraction
from medpipe_assets.extraction.textract import TextractExtraction
from medpipe_tests.aws_double.double import Call
from medpipe_tests.aws_double.fixtures import Aws, aws, moto_server
from medpipe_tests.unit.extraction.test_bedrock_data_automation import numbered
from medpipe_tests.unit.extraction.test_textract import scanned_pdf, texts

__all__ = ["aws", "moto_server"]

ROLE = "arn:aws:iam::123456789012:role/textract"
GET = "textract:GetDocumentTextDetection"


@pytest.fixture
def aws_settings() -> dict[str, Any]:
    return {"engines": numbered()}


Make = Callable[..., TextractExtraction]


@pytest.fixture
def engine(aws: Aws) -> Make:
    """Makes engines whose jobs are told of to a queue that all share."""
    aws.client("s3").create_bucket(Bucket="lake")
    sns, sqs = aws.client("sns"), aws.client("sqs")
    topic = sns.create_topic(Name="ends")["TopicArn"]
    url = sqs.create_queue(QueueName="ends")["QueueUrl"]
    arn = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]

    def made(subscribed: bool = True) -> TextractExtraction:
        if subscribed:
            sns.subscribe(TopicArn=topic, Protocol="sqs", Endpoint=arn)
        calls = PaidCalls(Clients(), sleep=lambda _: pytest.fail("nobody is to poll"))
        return TextractExtraction(calls, bucket="lake", completions=Completions(calls, url, topic, ROLE))

    return made


def test_jobs_are_asked_after_when_they_begin_and_when_their_end_is_told(aws: Aws, engine: Make) -> None:
    told = engine()
    documents = [scanned_pdf(*["scan"] * n) for n in range(2, 8)]
    with ThreadPoolExecutor(len(documents)) as threads:
        extractions = list(threads.map(lambda data: told.extract(data, media_type.PDF), documents))
    expected = [[(i, f"page {i}") for i in range(1, n + 1)] for n in range(2, 8)]
    assert [texts(extraction) for extraction in extractions] == expected
    assert aws.double.actions[GET] <= 2 * len(documents)
    assert sum(charge.units for charge in aws.double.bill.charges) == sum(range(2, 8))


def test_a_lost_message_delays_a_job_and_loses_nothing(aws: Aws, engine: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    """The job ends after it was asked after, and nobody hears of it."""
    monkeypatch.setattr("medpipe_assets.aws.calls.WATCHED_PAUSE", 1.0)
    asked, service = threading.Event(), aws.double.services["textract"]
    get, read = service.operations["GetDocumentTextDetection"], service._read_uncached  # type: ignore[attr-defined]

    def answer(call: Call) -> dict[str, Any]:
        answered = get(call)
        asked.set()
        return answered

    def read_late(data: bytes, kind: str) -> Extraction:
        assert asked.wait(20)
        extraction: Extraction = read(data, kind)
        return extraction

    service.operations = {**service.operations, "GetDocumentTextDetection": answer}  # type: ignore[misc]
    service._read_uncached = read_late  # type: ignore[attr-defined]
    extraction = engine(subscribed=False).extract(scanned_pdf("one", "two"), media_type.PDF)
    assert texts(extraction) == [(1, "page 1"), (2, "page 2")]
    assert aws.double.actions[GET] == 2
