"""Comprehend Medical's shapes, limits and charges."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from medpipe_assets.recognition.engine import Attribute, Mention, Trait
from medpipe_tests.aws_double.comprehend_medical import units
from medpipe_tests.aws_double.engines import Engines, embedded_engines, toy_engines
from medpipe_tests.aws_double.errors import AwsError
from medpipe_tests.aws_double.fixtures import Aws
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
    assert {"MEDICAL_CONDITION", "MEDICATION", "PROTECTED_HEALTH_INFORMATION"} <= {e["Category"] for e in found}
    assert all(text[e["BeginOffset"] : e["EndOffset"]] == e["Text"] for e in found)
    coded = double.call("comprehendmedical", "InferICD10CM", {"Text": text})["Entities"]
    codes = {concept["Code"] for entity in coded for concept in entity["ICD10CMConcepts"]}
    assert {"E11.9", "I10"} <= codes
    phi = double.call("comprehendmedical", "DetectPHI", {"Text": text})["Entities"]
    assert {"DATE", "AGE", "ID"} <= {entity["Type"] for entity in phi}
    drugs = double.call("comprehendmedical", "InferRxNorm", {"Text": text})["Entities"]
    assert [drug["Text"].lower() for drug in drugs] == ["metformin"]
