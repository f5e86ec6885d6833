"""Textract's documents, jobs, result pages and charges."""

import json
from typing import Any

import pytest
from botocore.exceptions import ClientError

from medpipe_assets.extraction.engine import Page, Words
from medpipe_tests.aws_double.blocks import blocks_of
from medpipe_tests.aws_double.double import ConnectionLostError
from medpipe_tests.aws_double.faults import FaultPlan, FaultRates
from medpipe_tests.aws_double.fixtures import Aws
from medpipe_tests.unit.aws_double.documents import PNG, pdf, png

ROLE = "arn:aws:iam::123456789012:role/textract"


def refused(textract: Any, data: bytes) -> str:
    with pytest.raises(ClientError) as error:
        textract.detect_document_text(Document={"Bytes": data})
    return str(error.value.response["Error"]["Code"])


def located(aws: Aws, data: bytes, key: str = "a b.pdf") -> dict[str, Any]:
    s3 = aws.client("s3")
    s3.create_bucket(Bucket="papers")
    s3.put_object(Bucket="papers", Key=key, Body=data)
    return {"S3Object": {"Bucket": "papers", "Name": key}}


def finished(textract: Any, job: str, **more: Any) -> dict[str, Any]:
    """The first page of results, and how often the job was in progress."""
    polls = 0
    while (answer := textract.get_document_text_detection(JobId=job, **more))["JobStatus"] == "IN_PROGRESS":
        polls += 1
    return {**answer, "Polls": polls}


def test_a_page_becomes_a_page_its_lines_and_their_words(aws: Aws) -> None:
    answer = aws.client("textract").detect_document_text(Document={"Bytes": png("Name:\tAnna Roe\nborn 1950")})
    blocks = answer["Blocks"]
    assert [(b["BlockType"], b.get("Text")) for b in blocks] == [
        ("PAGE", None),
        ("LINE", "Name:"),
        ("LINE", "Anna Roe"),
        ("LINE", "born 1950"),
        ("WORD", "Name:"),
        ("WORD", "Anna"),
        ("WORD", "Roe"),
        ("WORD", "born"),
        ("WORD", "1950"),
    ]
    of = {block["Id"]: block for block in blocks}
    children = [[of[i]["Text"] for i in b["Relationships"][0]["Ids"]] for b in blocks if "Relationships" in b]
    assert children == [["Name:", "Anna Roe", "born 1950"], ["Name:"], ["Anna", "Roe"], ["born", "1950"]]
    assert answer["DocumentMetadata"] == {"Pages": 1}
    assert aws.double.bill.units() == {("textract", "DetectDocumentText", ""): 1}


def test_a_blank_page_is_a_page_and_is_charged(aws: Aws) -> None:
    answer = aws.client("textract").detect_document_text(Document={"Bytes": png("")})
    assert [block["BlockType"] for block in answer["Blocks"]] == ["PAGE"]
    assert aws.double.bill.units() == {("textract", "DetectDocumentText", ""): 1}


def test_an_analysis_finds_tables_and_forms(aws: Aws) -> None:
    document = {"Bytes": png("Name:\tAnna Roe\nTest\tValue\nGlucose\t105\nThe end")}
    answer = aws.client("textract").analyze_document(Document=document, FeatureTypes=["TABLES", "FORMS"])
    of = {block["Id"]: block for block in answer["Blocks"]}

    def text(block: Any) -> str:
        ids = next(r["Ids"] for r in block["Relationships"] if r["Type"] == "CHILD")
        return " ".join(of[i]["Text"] for i in ids)

    [key] = [block for block in of.values() if block.get("EntityTypes") == ["KEY"]]
    [value] = [of[i] for r in key["Relationships"] if r["Type"] == "VALUE" for i in r["Ids"]]
    assert (text(key), text(value)) == ("Name:", "Anna Roe")
    cells = {(b["RowIndex"], b["ColumnIndex"]): text(b) for b in of.values() if b["BlockType"] == "CELL"}
    assert cells == {
        (1, 1): "Name:",
        (1, 2): "Anna Roe",
        (2, 1): "Test",
        (2, 2): "Value",
        (3, 1): "Glucose",
        (3, 2): "105",
    }
    [page] = [block for block in of.values() if block["BlockType"] == "PAGE"]
    kinds = [of[i]["BlockType"] for i in page["Relationships"][0]["Ids"]]
    assert kinds == ["LINE"] * 7 + ["TABLE"] + ["KEY_VALUE_SET"] * 2


def test_boxes_lie_on_the_page_as_it_was_sent() -> None:
    """A word at the top left of an upright page, on paper that had to be turned by a quarter clockwise."""
    words = Words(["Hi"], [0.9], [(0.1, 0.0, 0.3, 0.05)], [0], [2])
    page = Page(1, 100, 100, 90, "ocr", "Hi", words)
    word = blocks_of(page, "d", as_sent=True, numbered=False)[-1]
    assert word["Geometry"]["BoundingBox"] == pytest.approx({"Left": 0.0, "Top": 0.7, "Width": 0.05, "Height": 0.2})
    assert word["Geometry"]["Polygon"][0] == pytest.approx({"X": 0.0, "Y": 0.9})
    upright = blocks_of(page, "d", as_sent=False, numbered=False)[-1]
    assert upright["Geometry"]["BoundingBox"] == pytest.approx({"Left": 0.1, "Top": 0.0, "Width": 0.2, "Height": 0.05})


def test_at_once_only_one_page_of_a_known_format_and_size_is_taken(aws: Aws) -> None:
    textract = aws.client("textract")
    assert refused(textract, b"just text") == "UnsupportedDocumentException"
    assert refused(textract, b"GIF89a" + b"x" * 50) == "UnsupportedDocumentException"
    assert refused(textract, pdf("one", "two")) == "UnsupportedDocumentException"
    assert refused(textract, pdf("!encrypted")) == "UnsupportedDocumentException"
    assert refused(textract, pdf("!broken")) == "BadDocumentException"
    assert refused(textract, png("?")) == "BadDocumentException"
    assert refused(textract, PNG + b"x" * 10_000_000) == "DocumentTooLargeException"
    assert aws.double.bill.charges == []
    textract.detect_document_text(Document={"Bytes": pdf("one")})
    assert aws.double.bill.units() == {("textract", "DetectDocumentText", ""): 1}


def test_features_of_an_analysis_are_charged_together_and_free_ones_not_at_all(aws: Aws) -> None:
    document = located(aws, pdf("one"))
    aws.client("textract").analyze_document(Document=document, FeatureTypes=["TABLES", "LAYOUT", "FORMS"])
    assert aws.double.bill.units() == {("textract", "AnalyzeDocument", "forms+tables"): 1}
    assert aws.double.bill.dollars() == pytest.approx(0.065)


@pytest.mark.parametrize("aws_settings", [{"polls": 3}])
def test_a_job_is_in_progress_and_then_gives_its_blocks_in_pages_of_a_thousand(aws: Aws) -> None:
    textract = aws.client("textract")
    pages = ["\n".join(f"{number} {line}" for line in range(400)) for number in (1, 2)]
    job = textract.start_document_text_detection(DocumentLocation=located(aws, pdf(*pages)))["JobId"]
    answer = finished(textract, job)
    assert answer["Polls"] == 3
    sizes, blocks = [], []
    while True:
        sizes.append(len(answer["Blocks"]))
        blocks += answer["Blocks"]
        assert answer["JobStatus"] == "SUCCEEDED"
        assert answer["DocumentMetadata"] == {"Pages": 2}
        if "NextToken" not in answer:
            break
        answer = textract.get_document_text_detection(JobId=job, NextToken=answer["NextToken"])
    assert sizes == [1_000, 1_000, 402]
    assert len({block["Id"] for block in blocks}) == 2_402
    assert [block["Page"] for block in blocks if block["BlockType"] == "PAGE"] == [1, 2]
    assert aws.double.bill.units() == {("textract", "StartDocumentTextDetection", ""): 2}


def test_pages_that_fail_make_a_partial_success_and_are_not_charged(aws: Aws) -> None:
    textract = aws.client("textract")
    job = textract.start_document_text_detection(DocumentLocation=located(aws, pdf("one", "?", "three")))["JobId"]
    answer = finished(textract, job)
    assert answer["JobStatus"] == "PARTIAL_SUCCESS"
    assert [warning["Pages"] for warning in answer["Warnings"]] == [[2]]
    assert {block["Page"] for block in answer["Blocks"]} == {1, 3}
    assert aws.double.bill.units() == {("textract", "StartDocumentTextDetection", ""): 2}


@pytest.mark.parametrize("aws_settings", [{"faults": FaultPlan(rates=FaultRates(partial=1.0))}])
def test_the_plan_can_make_a_job_lose_a_page(aws: Aws) -> None:
    textract = aws.client("textract")
    job = textract.start_document_text_detection(DocumentLocation=located(aws, pdf("one", "two", "three")))["JobId"]
    answer = finished(textract, job)
    assert answer["JobStatus"] == "PARTIAL_SUCCESS"
    assert len({block["Page"] for block in answer["Blocks"]}) == 2


@pytest.mark.parametrize("text", ["!encrypted", "!broken", "?"])
def test_a_document_that_cannot_be_read_fails_its_job_for_free(aws: Aws, text: str) -> None:
    textract = aws.client("textract")
    job = textract.start_document_text_detection(DocumentLocation=located(aws, pdf(text)))["JobId"]
    answer = finished(textract, job)
    assert answer["JobStatus"] == "FAILED"
    assert answer["StatusMessage"]
    assert aws.double.bill.charges == []


def test_a_missing_object_and_unknown_jobs_and_tokens_are_refused(aws: Aws) -> None:
    textract = aws.client("textract")
    with pytest.raises(textract.exceptions.InvalidS3ObjectException):
        textract.start_document_text_detection(DocumentLocation={"S3Object": {"Bucket": "none", "Name": "a"}})
    with pytest.raises(textract.exceptions.InvalidJobIdException):
        textract.get_document_text_detection(JobId="nobody")
    job = textract.start_document_text_detection(DocumentLocation=located(aws, pdf("one")))["JobId"]
    finished(textract, job)
    with pytest.raises(textract.exceptions.InvalidParameterException):
        textract.get_document_text_detection(JobId=job, NextToken="1.of-another-job")
    with pytest.raises(textract.exceptions.InvalidJobIdException):
        textract.get_document_analysis(JobId=job)


def test_a_token_gives_the_same_job_and_refuses_another_document(aws: Aws) -> None:
    textract = aws.client("textract")
    where = located(aws, pdf("one"))
    first = textract.start_document_text_detection(DocumentLocation=where, ClientRequestToken="t")["JobId"]
    again = textract.start_document_text_detection(DocumentLocation=where, ClientRequestToken="t")["JobId"]
    without = textract.start_document_text_detection(DocumentLocation=where)["JobId"]
    assert first == again != without
    aws.client("s3").put_object(Bucket="papers", Key="other", Body=pdf("two"))
    other = {"S3Object": {"Bucket": "papers", "Name": "other"}}
    with pytest.raises(textract.exceptions.IdempotentParameterMismatchException):
        textract.start_document_text_detection(DocumentLocation=other, ClientRequestToken="t")
    finished(textract, without)
    assert aws.double.bill.units() == {("textract", "StartDocumentTextDetection", ""): 2}


@pytest.mark.parametrize("aws_settings", [{"faults": FaultPlan(rates=FaultRates(lost_reply=1.0))}])
def test_a_job_whose_start_was_never_answered_is_found_again_by_its_token_and_paid_once(aws: Aws) -> None:
    request = {"DocumentLocation": located(aws, pdf("one")), "ClientRequestToken": "t"}
    for _ in range(2):
        with pytest.raises(ConnectionLostError):
            aws.double.call("textract", "StartDocumentTextDetection", request)
    aws.double.faults.rates = FaultRates()
    job = aws.double.call("textract", "StartDocumentTextDetection", request)["JobId"]
    assert finished(aws.client("textract"), job)["JobStatus"] == "SUCCEEDED"
    assert aws.double.bill.units() == {("textract", "StartDocumentTextDetection", ""): 1}


def test_the_end_of_a_job_is_told_to_its_topic(aws: Aws) -> None:
    sns, sqs = aws.client("sns"), aws.client("sqs")
    topic = sns.create_topic(Name="textract")["TopicArn"]
    queue = sqs.create_queue(QueueName="textract")["QueueUrl"]
    arn = sqs.get_queue_attributes(QueueUrl=queue, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
    sns.subscribe(TopicArn=topic, Protocol="sqs", Endpoint=arn, Attributes={"RawMessageDelivery": "true"})
    textract = aws.client("textract")
    job = textract.start_document_text_detection(
        DocumentLocation=located(aws, pdf("one")),
        NotificationChannel={"SNSTopicArn": topic, "RoleArn": ROLE},
        JobTag="d",
    )["JobId"]
    message = json.loads(sqs.receive_message(QueueUrl=queue, WaitTimeSeconds=5)["Messages"][0]["Body"])
    assert (message["JobId"], message["Status"], message["JobTag"]) == (job, "SUCCEEDED", "d")
    assert finished(textract, job)["Polls"] == 0
