"""The price table says what AWS charges, since when, and where that stands."""

import datetime as dt

import botocore.session
import pytest
from hypothesis import given
from hypothesis import strategies as st

from medpipe_assets.aws.prices import price, prices, units_of_text
from medpipe_assets.errors import ConfigurationError

LISTED = [
    ("textract", "DetectDocumentText", "", 1, 0.0015),
    ("textract", "StartDocumentTextDetection", "", 1, 0.0015),
    ("textract", "AnalyzeDocument", "tables", 1, 0.015),
    ("textract", "AnalyzeDocument", "forms", 1, 0.05),
    ("textract", "StartDocumentAnalysis", "tables+forms", 1, 0.065),
    ("translate", "TranslateText", "", 1_000_000, 15.0),
    ("translate", "TranslateDocument", "docx", 1_000_000, 30.0),
    ("comprehendmedical", "DetectEntitiesV2", "", 1, 0.01),
    ("comprehendmedical", "DetectPHI", "", 1, 0.0014),
    ("comprehendmedical", "InferICD10CM", "", 1, 0.0005),
    ("comprehendmedical", "InferRxNorm", "", 1, 0.00025),
    ("comprehendmedical", "InferSNOMEDCT", "", 1, 0.0075),
    ("athena", "StartQueryExecution", "", 1, 5.0),
    ("glue", "StartJobRun", "", 1, 0.44),
    ("bedrock-data-automation-runtime", "InvokeDataAutomationAsync", "standard", 1, 0.01),
    ("bedrock-data-automation-runtime", "InvokeDataAutomationAsync", "custom", 1, 0.04),
]


@pytest.mark.parametrize(("service", "operation", "option", "units", "dollars"), LISTED)
def test_a_price_is_the_listed_one(service: str, operation: str, option: str, units: int, dollars: float) -> None:
    assert price(service, operation, option).of(units) == pytest.approx(dollars)


@pytest.mark.parametrize(
    ("service", "operation", "units", "dollars"),
    [
        ("comprehendmedical", "DetectEntitiesV2", units_of_text(3_000), 0.30),
        ("translate", "TranslateText", 3_000, 0.045),
        ("comprehendmedical", "InferICD10CM", units_of_text(3_000), 0.015),
        ("textract", "DetectDocumentText", 1, 0.0015),
    ],
)
def test_a_page_of_3000_characters_costs_what_is_published(
    service: str, operation: str, units: int, dollars: float
) -> None:
    assert price(service, operation).of(units) == pytest.approx(dollars)


@pytest.mark.parametrize("key", sorted(prices()))
def test_each_price_is_of_an_operation_that_exists_with_source_and_date(key: tuple[str, str, str]) -> None:
    service, operation, option = key
    assert operation in botocore.session.get_session().get_service_model(service).operation_names
    found = price(service, operation, option)
    assert found.source.startswith("https://aws.amazon.com/")
    assert dt.date(2026, 1, 1) <= found.date
    assert found.dollars > 0 < found.per


def test_an_operation_without_a_price_is_refused() -> None:
    with pytest.raises(ConfigurationError, match=r"prices\.tsv"):
        price("textract", "AnalyzeExpense")


@given(st.integers(0, 10**7))
def test_text_is_charged_in_whole_units_of_100_characters_one_at_least(characters: int) -> None:
    units = units_of_text(characters)
    assert units >= 1
    assert characters <= units * 100 < max(characters, 1) + 100
