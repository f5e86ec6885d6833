"""What AWS's errors mean to a document and to the run; its messages never get through."""

import botocore.session
import pytest
from botocore.exceptions import (
    BotoCoreError,
    ClientError,
    EndpointConnectionError,
    NoCredentialsError,
    NoRegionError,
    ParamValidationError,
    ReadTimeoutError,
)

from medpipe_assets.aws.faults import CONFIGURATION, REASONS, translated
from medpipe_assets.errors import ConfigurationError, DocumentError, Reason

WORDS = "the patient's words"


def client_error(code: str, status: int = 400) -> ClientError:
    return ClientError(
        {"Error": {"Code": code, "Message": WORDS}, "ResponseMetadata": {"HTTPStatusCode": status}}, "DetectPHI"
    )


@pytest.mark.parametrize(
    ("code", "status", "reason"),
    [
        ("ThrottlingException", 400, Reason.ENGINE_UNAVAILABLE),
        ("TooManyRequestsException", 400, Reason.ENGINE_UNAVAILABLE),
        ("ProvisionedThroughputExceededException", 400, Reason.ENGINE_UNAVAILABLE),
        ("LimitExceededException", 400, Reason.ENGINE_UNAVAILABLE),
        ("InternalServerError", 500, Reason.ENGINE_UNAVAILABLE),
        ("SomethingNew", 503, Reason.ENGINE_UNAVAILABLE),
        ("SomethingNew", 429, Reason.ENGINE_UNAVAILABLE),
        ("SomethingNew", 400, Reason.ENGINE_REJECTED),
        ("UnsupportedDocumentException", 400, Reason.UNSUPPORTED_TYPE),
        ("BadDocumentException", 400, Reason.CORRUPT),
        ("DocumentTooLargeException", 400, Reason.TOO_LARGE),
        ("TextSizeLimitExceededException", 400, Reason.TOO_LARGE),
        ("InvalidParameterException", 400, Reason.ENGINE_REJECTED),
        ("ValidationException", 400, Reason.ENGINE_REJECTED),
        ("UnsupportedLanguagePairException", 400, Reason.UNSUPPORTED_LANGUAGE),
    ],
)
def test_a_service_s_error_has_a_reason(code: str, status: int, reason: Reason) -> None:
    error = translated(client_error(code, status), "comprehendmedical", "DetectPHI")
    assert isinstance(error, DocumentError)
    assert error.reason is reason
    assert code in error.detail
    assert WORDS not in str(error)


@pytest.mark.parametrize("code", ["AccessDeniedException", "UnrecognizedClientException", "ExpiredTokenException"])
def test_what_every_document_would_fail_with_stops_the_run(code: str) -> None:
    error = translated(client_error(code), "comprehendmedical", "DetectPHI")
    assert isinstance(error, ConfigurationError)
    assert code in str(error)
    assert WORDS not in str(error)


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (NoCredentialsError(), ConfigurationError),
        (NoRegionError(), ConfigurationError),
        (EndpointConnectionError(endpoint_url="http://x"), Reason.ENGINE_UNAVAILABLE),
        (ReadTimeoutError(endpoint_url="http://x"), Reason.ENGINE_UNAVAILABLE),
        (ParamValidationError(report=WORDS), Reason.ENGINE_REJECTED),
    ],
)
def test_what_goes_wrong_on_this_side_has_a_reason_too(error: BotoCoreError, expected: object) -> None:
    found = translated(error, "textract", "DetectDocumentText")
    assert found.reason is expected if isinstance(found, DocumentError) else type(found) is expected
    assert WORDS not in str(found)


def test_no_code_is_in_both_tables() -> None:
    assert not REASONS.keys() & CONFIGURATION


@pytest.mark.parametrize(
    ("service", "operation"),
    [
        ("textract", "DetectDocumentText"),
        ("textract", "StartDocumentAnalysis"),
        ("translate", "TranslateText"),
        ("comprehendmedical", "DetectEntitiesV2"),
        ("comprehendmedical", "InferICD10CM"),
    ],
)
def test_every_error_that_an_operation_declares_is_retriable_only_if_the_service_is_at_fault(
    service: str, operation: str
) -> None:
    model = botocore.session.get_session().get_service_model(service).operation_model(operation)
    for shape in model.error_shapes:
        error = translated(client_error(shape.name), service, operation)
        passing = any(word in shape.name for word in ("Throttl", "TooMany", "Internal", "Unavailable", "Exceeded"))
        too_large = "TextSize" in shape.name
        if passing and not too_large:
            assert isinstance(error, DocumentError)
            assert error.reason is Reason.ENGINE_UNAVAILABLE, shape.name
