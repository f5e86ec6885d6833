"""The limits are those of AWS's documentation, and each says where it stands."""

import botocore.session
import pytest

from medpipe_assets.aws.limits import LANGUAGES, LIMITS, REGIONS, check_region, limit
from medpipe_assets.errors import ConfigurationError

DOCUMENTED = {
    ("textract", "DetectDocumentText", "document"): 10_000_000,
    ("textract", "DetectDocumentText", "pages"): 1,
    ("textract", "AnalyzeDocument", "document"): 10_000_000,
    ("textract", "AnalyzeDocument", "pages"): 1,
    ("textract", "StartDocumentTextDetection", "document"): 500_000_000,
    ("textract", "StartDocumentTextDetection", "pages"): 3_000,
    ("textract", "StartDocumentTextDetection", "image"): 10_000_000,
    ("textract", "StartDocumentAnalysis", "document"): 500_000_000,
    ("textract", "StartDocumentAnalysis", "pages"): 3_000,
    ("textract", "StartDocumentAnalysis", "image"): 10_000_000,
    ("textract", "GetDocumentTextDetection", "results"): 1_000,
    ("textract", "GetDocumentAnalysis", "results"): 1_000,
    ("bedrock-data-automation-runtime", "InvokeDataAutomationAsync", "document"): 500_000_000,
    ("bedrock-data-automation-runtime", "InvokeDataAutomationAsync", "pages"): 20,
    ("translate", "TranslateText", "text"): 10_000,
    ("translate", "TranslateDocument", "document"): 100_000,
    ("translate", "TranslateDocument", "characters"): 100_000,
    ("comprehendmedical", "DetectEntitiesV2", "text"): 20_000,
    ("comprehendmedical", "DetectPHI", "text"): 20_000,
    ("comprehendmedical", "InferICD10CM", "text"): 10_000,
    ("comprehendmedical", "InferRxNorm", "text"): 10_000,
    ("comprehendmedical", "InferSNOMEDCT", "text"): 10_000,
}


def test_the_table_is_the_documentation_s() -> None:
    assert {(line.service, line.operation, line.limit): line.value for line in LIMITS} == DOCUMENTED


@pytest.mark.parametrize("line", LIMITS, ids=lambda line: f"{line.operation}-{line.limit}")
def test_each_limit_is_of_an_operation_that_exists_and_says_its_source(line) -> None:  # type: ignore[no-untyped-def]
    model = botocore.session.get_session().get_service_model(line.service)
    assert line.operation in model.operation_names
    assert line.source.startswith("https://docs.aws.amazon.com/")
    assert limit(line.service, line.operation, line.limit) == line.value


@pytest.mark.parametrize("operation", ["DetectEntitiesV2", "DetectPHI", "InferICD10CM", "InferRxNorm", "InferSNOMEDCT"])
def test_a_text_limit_is_no_higher_than_what_the_service_s_model_accepts(operation: str) -> None:
    model = botocore.session.get_session().get_service_model("comprehendmedical").operation_model(operation)
    assert limit("comprehendmedical", operation, "text") <= model.input_shape.members["Text"].metadata["max"]


def test_comprehend_medical_reads_english_in_seven_regions_and_govcloud() -> None:
    known = botocore.session.get_session().get_available_regions("comprehendmedical")
    assert len(known) == 7
    assert REGIONS["comprehendmedical"] == {*known, "us-gov-west-1"}
    assert LANGUAGES["comprehendmedical"] == {"en"}


def test_a_region_is_refused_only_where_the_service_is_known_to_be_absent() -> None:
    check_region("comprehendmedical", "ca-central-1")
    check_region("textract", "eu-central-2")
    with pytest.raises(ConfigurationError):
        check_region("comprehendmedical", "eu-north-1")


def test_an_unknown_limit_is_an_error_and_not_a_guess() -> None:
    with pytest.raises(KeyError):
        limit("translate", "TranslateText", "pages")
