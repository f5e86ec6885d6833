"""Translate's limits, languages, terminologies and charges."""

import json

import pytest
from botocore.exceptions import ClientError
from hypothesis import given
from hypothesis import strategies as st

from medpipe_tests.aws_double.engines import reversible_toy
from medpipe_tests.aws_double.errors import AwsError
from medpipe_tests.aws_double.fixtures import Aws
from medpipe_tests.aws_double.standing import stand_up

PAIR = {"SourceLanguageCode": "es", "TargetLanguageCode": "en"}


@given(st.text())
def test_the_toy_undoes_itself(text: str) -> None:
    assert reversible_toy(reversible_toy(text)) == text


@pytest.mark.parametrize("text", ["é" * 5_001, "x" * 10_001])
def test_a_text_over_ten_thousand_bytes_is_refused(text: str) -> None:
    double = stand_up()
    with pytest.raises(AwsError) as refused:
        double.call("translate", "TranslateText", {"Text": text, **PAIR})
    assert refused.value.code == "TextSizeLimitExceededException"
    assert double.bill.charges == []


def test_a_text_of_ten_thousand_bytes_is_translated_and_charged_by_character() -> None:
    double = stand_up()
    double.call("translate", "TranslateText", {"Text": "é" * 5_000, **PAIR})
    assert double.bill.units() == {("translate", "TranslateText", ""): 5_000}


@pytest.mark.parametrize(("source", "target"), [("en", "en"), ("xx", "en"), ("es", "xx")])
def test_pairs_that_are_none_are_refused(aws: Aws, source: str, target: str) -> None:
    translate = aws.client("translate")
    with pytest.raises(translate.exceptions.UnsupportedLanguagePairException) as refused:
        translate.translate_text(Text="hola", SourceLanguageCode=source, TargetLanguageCode=target)
    assert refused.value.response["SourceLanguageCode"] == source


def test_the_language_is_told_where_it_is_asked_for(aws: Aws) -> None:
    text = "El paciente refiere dolor abdominal desde hace tres días, sin fiebre ni vómitos."
    answer = aws.client("translate").translate_text(Text=text, SourceLanguageCode="auto", TargetLanguageCode="en")
    assert answer["SourceLanguageCode"] == "es"
    with pytest.raises(ClientError, match="DetectedLanguageLowConfidence"):
        aws.client("translate").translate_text(Text="7", SourceLanguageCode="auto", TargetLanguageCode="en")


def test_a_terminologys_words_stand_as_it_wants_them_and_are_named(aws: Aws) -> None:
    translate = aws.client("translate")
    data = {"File": b"es,en\nHTA,high blood pressure\nDM,diabetes\n", "Format": "CSV"}
    translate.import_terminology(Name="clinic", MergeStrategy="OVERWRITE", TerminologyData=data)
    answer = translate.translate_text(Text="tiene HTA", TerminologyNames=["clinic"], **PAIR)
    assert answer["TranslatedText"] == "eneit high blood pressure"
    term = {"SourceText": "HTA", "TargetText": "high blood pressure"}
    assert answer["AppliedTerminologies"] == [{"Name": "clinic", "Terms": [term]}]
    with pytest.raises(translate.exceptions.ResourceNotFoundException):
        translate.translate_text(Text="tiene HTA", TerminologyNames=["nobodys"], **PAIR)


def test_a_plain_document_is_translated_and_charged_by_character(aws: Aws) -> None:
    translate = aws.client("translate")
    document = {"Content": b"dolor de cabeza", "ContentType": "text/plain"}
    answer = translate.translate_document(Document=document, **PAIR)
    assert answer["TranslatedDocument"]["Content"] == b"rolod ed azebac"
    assert aws.double.bill.units() == {("translate", "TranslateDocument", ""): 15}


def test_a_batch_translates_every_file_into_a_folder_of_its_own(aws: Aws) -> None:
    s3, translate = aws.client("s3"), aws.client("translate")
    s3.create_bucket(Bucket="texts")
    for name, body in {"a.txt": b"hola", "bad.txt": b"\xff"}.items():
        s3.put_object(Bucket="texts", Key=f"in/{name}", Body=body)
    job = translate.start_text_translation_job(
        InputDataConfig={"S3Uri": "s3://texts/in/", "ContentType": "text/plain"},
        OutputDataConfig={"S3Uri": "s3://texts/out/"},
        DataAccessRoleArn="arn:aws:iam::123456789012:role/translate",
        SourceLanguageCode="es",
        TargetLanguageCodes=["en"],
    )["JobId"]
    states = []
    while not states or states[-1]["JobStatus"] == "IN_PROGRESS":
        states.append(translate.describe_text_translation_job(JobId=job)["TextTranslationJobProperties"])
    assert [state["JobStatus"] for state in states] == ["IN_PROGRESS", "COMPLETED_WITH_ERROR"]
    assert states[-1]["OutputDataConfig"]["S3Uri"] == f"s3://texts/out/123456789012-TranslateText-{job}/"
    folder = f"out/123456789012-TranslateText-{job}/"
    assert s3.get_object(Bucket="texts", Key=f"{folder}en.a.txt")["Body"].read() == b"aloh"
    details = s3.get_object(Bucket="texts", Key=f"{folder}details/en.auxiliary-translation-details.json")
    assert json.loads(details["Body"].read())["details"] == [{"sourceFile": "a.txt", "targetFile": "en.a.txt"}]
    assert aws.double.bill.units() == {("translate", "StartTextTranslationJob", ""): 4}
