"""What a run would cost, from counts of pages and characters."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from medpipe_assets.aws.estimate import DocumentFacts, Estimate, EstimateSettings, estimate
from medpipe_assets.errors import ConfigurationError

NAIVE = EstimateSettings(skip_digital=False, skip_english=False)


def dollars(found: list[Estimate]) -> float:
    return sum(line.dollars for line in found)


def of(found: list[Estimate], operation: str) -> Estimate:
    (line,) = [line for line in found if line.operation == operation and line.reason_saved is None]
    return line


def test_a_scanned_spanish_page_of_3000_characters_costs_what_is_published() -> None:
    found = estimate([DocumentFacts(scanned_pages=1, characters={"es": 3_000})], EstimateSettings())
    assert {line.operation: round(line.dollars, 6) for line in found} == {
        "DetectDocumentText": 0.0015,
        "TranslateText": 0.045,
        "DetectEntitiesV2": 0.30,
        "InferICD10CM": 0.015,
    }


def test_what_is_routed_around_a_service_is_reported_as_saved() -> None:
    found = estimate([DocumentFacts(digital_pages=2, characters={"en": 6_000})], EstimateSettings(codes_only=True))
    saved = {line.reason_saved: round(line.saved_dollars, 6) for line in found if line.reason_saved}
    assert saved == {"digital": 0.003, "english": 0.09, "codes_only": 0.60}
    assert dollars(found) == pytest.approx(0.03)


def test_a_page_that_is_not_read_yet_is_guessed() -> None:
    found = estimate([DocumentFacts(scanned_pages=2, unread_pages=2)], EstimateSettings())
    assert of(found, "TranslateText").units == 6_000
    assert of(found, "DetectEntitiesV2").units == 60


def test_each_page_may_end_with_a_unit_that_is_not_full() -> None:
    found = estimate([DocumentFacts(characters={"en": 1_000}, pages=4)], EstimateSettings())
    assert of(found, "DetectEntitiesV2").units == of(found, "InferICD10CM").units == 13


def test_stages_that_are_not_on_aws_cost_nothing() -> None:
    facts = [DocumentFacts(scanned_pages=3, characters={"de": 9_000})]
    local = EstimateSettings(extraction=False, translation=False, recognition=False)
    assert {line.operation for line in estimate(facts, local)} == {"InferICD10CM"}


def test_options_have_their_own_prices() -> None:
    facts = [DocumentFacts(scanned_pages=10, characters={"en": 1_000})]
    found = estimate(facts, EstimateSettings(features="tables+forms", also=("DetectPHI", "InferRxNorm")))
    assert of(found, "AnalyzeDocument").dollars == pytest.approx(0.65)
    assert of(found, "DetectPHI").dollars == pytest.approx(0.014)
    with pytest.raises(ConfigurationError, match="price"):
        estimate(facts, EstimateSettings(features="queries"))


@pytest.mark.parametrize(("output", "dollars_a_page"), [("standard", 0.01), ("custom", 0.04)])
def test_data_automation_has_its_price_in_place_of_textracts(output: str, dollars_a_page: float) -> None:
    facts = [DocumentFacts(scanned_pages=3, digital_pages=2)]
    sent, saved = estimate(facts, EstimateSettings(data_automation=output))
    assert (sent.operation, sent.dollars) == ("InvokeDataAutomationAsync", pytest.approx(3 * dollars_a_page))
    assert (saved.reason_saved, saved.saved_dollars) == ("digital", pytest.approx(2 * dollars_a_page))


def test_a_document_without_text_costs_no_unit_of_text() -> None:
    assert [line.operation for line in estimate([DocumentFacts(scanned_pages=1)], EstimateSettings())] == [
        "DetectDocumentText"
    ]
    assert estimate([], EstimateSettings()) == []


facts = st.builds(
    DocumentFacts,
    st.integers(0, 50),
    st.integers(0, 50),
    st.dictionaries(st.sampled_from(["en", "es", "de"]), st.integers(0, 10**5)),
    st.integers(0, 5),
)


@given(st.lists(facts, max_size=5), st.booleans())
def test_paid_and_saved_together_are_the_naive_bill(documents: list[DocumentFacts], codes_only: bool) -> None:
    routed = estimate(documents, EstimateSettings(codes_only=codes_only))
    naive = dollars(estimate(documents, NAIVE))
    assert dollars(routed) + sum(line.saved_dollars for line in routed) == pytest.approx(naive)


@given(st.lists(facts, max_size=5))
def test_estimates_of_documents_add_up(documents: list[DocumentFacts]) -> None:
    settings = EstimateSettings()
    one_by_one = sum(dollars(estimate([document], settings)) for document in documents)
    assert dollars(estimate(documents, settings)) == pytest.approx(one_by_one)
