"""Comprehend Medical's shapes, limits and charges."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from medpipe_assets.recognition.engine import Attribute, Mention, Trait
from medpipe_tests.aws_double.engines import Engines, embedded_engines, toy_engines
from medpipe_tests.aws_double.errors import AwsError
from medpipe_tests.aws_double.fixtures import Aws
from medpipe_tests.aws_double.medical_batches import units
from medpipe_tests.aws_double.standing import stand_up


@pytest.mark.parametrize(
    ("operation", "most"),
    [("DetectEntitiesV2", 20_000), ("DetectPHI", 20_000), ("InferICD10CM", 10_000), ("InferRxNorm", 10_000)],
)
def test_texts_over_the_limit_in_bytes_are_refused(operation: str, most: int) -> None:
    double = stand_up()
    double.call("comprehendmedical", operation, {"Text": "é" * (most // 2)})
    for text in ("é" * (most // 2 + 1), "x" * (most + 1)):
        with pytest.raises(AwsError) as refused:
            double.call("comprehendmedical", operation, {"Text": text})
        assert refused.value.code == "TextSizeLimitExceededException"
    assert double.bill.units() == {("comprehendmedical", operation, ""): most / 200}


@given(st.integers(1, 20_000))
def test_units_are_hundreds_of_characters_begun(characters: int) -> None:
    assert 100 * (units("x" * characters) - 1) < characters <= 100 * units("x" * characters)


def test_a_condition_gets_codes_and_a_negation(aws: Aws) -> None:
    answer = aws.client("comprehendmedical").infer_icd10_cm(Text="No hypertension; diabetes.")
    first, second = answer["Entities"]
    assert [trait["Name"] for trait in first["Traits"]] == ["NEGATION"]
    assert [concept["Code"] for concept in second["ICD10CMConcepts"]] == ["E11.9"]
    assert [entity["Id"] for entity in answer["Entities"]] == [0, 1]


def _engines(mention: Mention) -> Engines:
    toy = toy_engines()
    return Engines(toy.read, toy.translate, lambda _: [mention], lambda _: [], lambda _, found: [()] * len(found))


def test_a_mention_in_pieces_becomes_one_range() -> None:
    text = "renal and hepatic failure"
    mention = Mention("MEDICAL_CONDITION", "DX_NAME", ((0, 5), (18, 25)), 0.9)
    answer = stand_up(_engines(mention)).call("comprehendmedical", "DetectEntitiesV2", {"Text": text})
    entity = answer["Entities"][0]
    assert (entity["BeginOffset"], entity["EndOffset"], entity["Text"]) == (0, 25, text)


def test_attributes_and_traits_that_an_operation_does_not_know_are_left_out() -> None:
    text = "severe asthma as a child, her mother too"
    severe = Attribute("QUALITY", "MEDICAL_CONDITION", "severe", ((0, 6),), 0.9, 0.8, "QUALITY")
    dose = Attribute("DOSAGE", "MEDICATION", "severe", ((0, 6),), 0.9, 0.8, "DOSAGE")
    traits = (Trait("PAST_HISTORY", 0.9), Trait("FAMILY_HISTORY", 0.8))
    mention = Mention("MEDICAL_CONDITION", "DX_NAME", ((7, 13),), 0.9, traits, (severe, dose))
    double = stand_up(_engines(mention))
    entity = double.call("comprehendmedical", "DetectEntitiesV2", {"Text": text})["Entities"][0]
    assert [trait["Name"] for trait in entity["Traits"]] == ["PAST_HISTORY", "PERTAINS_TO_FAMILY"]
    assert [attribute["Type"] for attribute in entity["Attributes"]] == ["QUALITY", "DOSAGE"]
    coded = double.call("comprehendmedical", "InferICD10CM", {"Text": text})["Entities"][0]
    assert [trait["Name"] for trait in coded["Traits"]] == ["PERTAINS_TO_FAMILY"]
    assert [attribute["Type"] for attribute in coded["Attributes"]] == ["QUALITY"]


def test_medpipes_own_engines_fit_the_services_shapes() -> None:
    text = (
        "Seen on 12 March 2024. 67-year-old with type 2 diabetes mellitus and hypertension, no chest pain. "
        "Metformin 850 mg twice daily. MRN: A1234567. Chest X-ray normal. Pain in the left knee."
    )
    double = stand_up(embedded_engines())
    found = double.call("comprehendmedical", "DetectEntitiesV2", {"Text": text})["Entities"]
    assert {"MEDICAL_CONDITION", "MEDICATION", "TEST_TREATMENT_PROCEDURE"} <= {e["Category"] for e in found}
    assert all(text[e["BeginOffset"] : e["EndOffset"]] == e["Text"] for e in found)
    coded = double.call("comprehendmedical", "InferICD10CM", {"Text": text})["Entities"]
    codes = {concept["Code"] for entity in coded for concept in entity["ICD10CMConcepts"]}
    assert {"E11.9", "I10"} <= codes
    phi = double.call("comprehendmedical", "DetectPHI", {"Text": text})["Entities"]
    assert {"DATE", "AGE", "ID"} <= {entity["Type"] for entity in phi}
    drugs = double.call("comprehendmedical", "InferRxNorm", {"Text": text})["Entities"]
    assert [drug["Text"].lower() for drug in drugs] == ["metformin"]


ROLE = "arn:aws:iam::123456789012:role/medical"


@pytest.mark.parametrize("aws_settings", [{"polls": 2}])
def test_a_batch_answers_every_file_and_lists_those_it_could_not_read(aws: Aws) -> None:
    s3, medical = aws.client("s3"), aws.client("comprehendmedical")
    s3.create_bucket(Bucket="texts")
    files = {"a.txt": b"diabetes", "deep/b.txt": b"no hypertension" * 10, "bad.txt": b"\xff", "empty.txt": b""}
    for name, body in files.items():
        s3.put_object(Bucket="texts", Key=f"in/{name}", Body=body)
    job = medical.start_icd10_cm_inference_job(
        InputDataConfig={"S3Bucket": "texts", "S3Key": "in/"},
        OutputDataConfig={"S3Bucket": "texts", "S3Key": "out"},
        DataAccessRoleArn=ROLE,
        LanguageCode="en",
    )["JobId"]
    states = []
    while not states or states[-1]["JobStatus"] == "IN_PROGRESS":
        described = medical.describe_icd10_cm_inference_job(JobId=job)
        states.append(described["ComprehendMedicalAsyncJobProperties"])
    assert [state["JobStatus"] for state in states] == ["IN_PROGRESS", "IN_PROGRESS", "PARTIAL_SUCCESS"]
    folder = f"out/123456789012-ICD10CMInference-{job}/"
    assert states[-1]["OutputDataConfig"] == {"S3Bucket": "texts", "S3Key": folder}

    def read(key: str) -> Any:
        return json.loads(s3.get_object(Bucket="texts", Key=key)["Body"].read())

    assert read(f"{folder}a.txt.out")["Entities"][0]["ICD10CMConcepts"][0]["Code"] == "E11.9"
    assert len(read(f"{folder}deep/b.txt.out")["Entities"]) == 10
    summary = read(states[-1]["ManifestFilePath"])["Summary"]
    assert (summary["SuccessFilesCount"], summary["UnprocessedFilesCount"]) == (2, 2)
    unread = read(summary["UnprocessedFilesListLocation"])["Files"]
    assert {file["Input"] for file in unread} == {"bad.txt", "empty.txt"}
    assert aws.double.bill.units() == {("comprehendmedical", "StartICD10CMInferenceJob", ""): 1 + 2}


def test_a_stopped_batch_does_nothing_and_costs_nothing(aws: Aws) -> None:
    aws.client("s3").create_bucket(Bucket="texts")
    medical = aws.client("comprehendmedical")
    request = {
        "InputDataConfig": {"S3Bucket": "texts"},
        "OutputDataConfig": {"S3Bucket": "texts"},
        "DataAccessRoleArn": ROLE,
        "LanguageCode": "en",
    }
    job = medical.start_phi_detection_job(**request, ClientRequestToken="t")["JobId"]
    assert medical.start_phi_detection_job(**request, ClientRequestToken="t")["JobId"] == job
    medical.stop_phi_detection_job(JobId=job)
    [listed] = medical.list_phi_detection_jobs()["ComprehendMedicalAsyncJobPropertiesList"]
    assert (listed["JobId"], listed["JobStatus"]) == (job, "STOPPED")
    with pytest.raises(medical.exceptions.ResourceNotFoundException):
        medical.describe_phi_detection_job(JobId="nobodys")
    with pytest.raises(medical.exceptions.InvalidRequestException):
        medical.start_phi_detection_job(**{**request, "InputDataConfig": {"S3Bucket": "nobodys"}})
    assert aws.double.bill.charges == []
