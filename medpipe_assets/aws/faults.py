"""What an AWS failure means to the document line: one table of error codes. Who retries is decided elsewhere.

A service's message is never passed on, since it can echo what was sent; its error code is.
"""

from collections.abc import Mapping

from botocore.exceptions import (
    BotoCoreError,
    ClientError,
    CredentialRetrievalError,
    DataNotFoundError,
    InvalidRegionError,
    NoAuthTokenError,
    NoCredentialsError,
    NoRegionError,
    ParamValidationError,
    PartialCredentialsError,
    ProfileNotFound,
    SSOError,
    TokenRetrievalError,
    UnknownServiceError,
)

from medpipe_assets.errors import ConfigurationError, DocumentError, Reason

REASONS: Mapping[str, Reason] = {
    # Throttles and quotas that outlived the retries.
    "LimitExceededException": Reason.ENGINE_UNAVAILABLE,
    "ProvisionedThroughputExceededException": Reason.ENGINE_UNAVAILABLE,
    "RequestLimitExceeded": Reason.ENGINE_UNAVAILABLE,
    "ServiceQuotaExceededException": Reason.ENGINE_UNAVAILABLE,
    "SlowDown": Reason.ENGINE_UNAVAILABLE,
    "Throttling": Reason.ENGINE_UNAVAILABLE,
    "ThrottledException": Reason.ENGINE_UNAVAILABLE,
    "ThrottlingException": Reason.ENGINE_UNAVAILABLE,
    "TooManyRequestsException": Reason.ENGINE_UNAVAILABLE,
    # The service is not well.
    "InternalServerError": Reason.ENGINE_UNAVAILABLE,
    "InternalServerException": Reason.ENGINE_UNAVAILABLE,
    "RequestTimeout": Reason.ENGINE_UNAVAILABLE,
    "RequestTimeoutException": Reason.ENGINE_UNAVAILABLE,
    "ServiceUnavailable": Reason.ENGINE_UNAVAILABLE,
    "ServiceUnavailableException": Reason.ENGINE_UNAVAILABLE,
    "ConcurrentModificationException": Reason.ENGINE_UNAVAILABLE,
    "ConflictException": Reason.ENGINE_UNAVAILABLE,
    "InvalidJobIdException": Reason.ENGINE_UNAVAILABLE,  # a job's results are kept for a week
    # The document.
    "BadDocumentException": Reason.CORRUPT,
    "DocumentTooLargeException": Reason.TOO_LARGE,
    "TextSizeLimitExceededException": Reason.TOO_LARGE,
    "UnsupportedDocumentException": Reason.UNSUPPORTED_TYPE,
    "UnsupportedLanguagePairException": Reason.UNSUPPORTED_LANGUAGE,
    "DetectedLanguageLowConfidenceException": Reason.UNSUPPORTED_LANGUAGE,
}
"""Reasons by error code; what is in neither table is ENGINE_REJECTED, or ENGINE_UNAVAILABLE with a status of 500 on."""

CONFIGURATION = frozenset(
    {
        "AccessDenied",
        "AccessDeniedException",
        "AuthFailure",
        "ExpiredToken",
        "ExpiredTokenException",
        "IncompleteSignature",
        "InvalidAccessKeyId",
        "InvalidClientTokenId",
        "InvalidKMSKeyException",
        "InvalidSignatureException",
        "MissingAuthenticationToken",
        "MissingAuthenticationTokenException",
        "NoSuchBucket",
        "NotAuthorized",
        "OptInRequired",
        "ResourceNotFoundException",
        "SignatureDoesNotMatch",
        "SubscriptionRequiredException",
        "UnauthorizedOperation",
        "UnknownOperationException",
        "UnrecognizedClientException",
    }
)
"""Error codes that mean the installation: every document would fail the same way."""

_UNCONFIGURED = (
    CredentialRetrievalError,
    DataNotFoundError,
    InvalidRegionError,
    NoAuthTokenError,
    NoCredentialsError,
    NoRegionError,
    PartialCredentialsError,
    ProfileNotFound,
    SSOError,
    TokenRetrievalError,
    UnknownServiceError,
)


def code_of(error: ClientError) -> str:
    """The error's code, e.g. 'ThrottlingException'."""
    return str(error.response.get("Error", {}).get("Code", "Unknown")).rpartition("#")[2]


def translated(
    error: ClientError | BotoCoreError, service: str, operation: str = ""
) -> DocumentError | ConfigurationError:
    """The error to raise instead of botocore's, `from None`: with the call and the error's code, never its message."""
    call = f"{service} {operation}".strip()
    if isinstance(error, ClientError):
        return _of_service(error, call)
    name = type(error).__name__
    if isinstance(error, _UNCONFIGURED):
        return ConfigurationError(f"{call}: {name}: set AWS_REGION and credentials (AWS_PROFILE, or a role)")
    if isinstance(error, ParamValidationError):
        return DocumentError(Reason.ENGINE_REJECTED, f"{call}: {name}")
    return DocumentError(Reason.ENGINE_UNAVAILABLE, f"{call}: {name}")  # no connection, or a time limit


def _of_service(error: ClientError, call: str) -> DocumentError | ConfigurationError:
    code = code_of(error)
    if code in CONFIGURATION:
        return ConfigurationError(f"{call}: {code}: check credentials, permissions and the names in the settings")
    status = int(error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0))
    unknown = Reason.ENGINE_UNAVAILABLE if status >= 500 or status == 429 else Reason.ENGINE_REJECTED
    return DocumentError(REASONS.get(code, unknown), f"{call}: {code}")
