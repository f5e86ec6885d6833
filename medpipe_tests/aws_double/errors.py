"""The errors a service answers with, and the words each service has for the same trouble. Nothing raises them here."""

from collections.abc import Container, Mapping
from typing import Any

DATA_AUTOMATION = "bedrock-data-automation-runtime"
SERVICES = ("textract", DATA_AUTOMATION, "translate", "comprehendmedical", "athena")
"""The services that the double stands in for."""


class AwsError(Exception):
    """What a service answers instead of a result.

    Args:
        code: as botocore shows it, e.g. 'ThrottlingException'.
        message: the service's own words; like the real ones it may hold a little of the request.
        status: of HTTP; 0 takes it from the service model.
        members: further members of the error's shape.
    """

    def __init__(self, code: str, message: str, status: int = 0, members: Mapping[str, Any] | None = None) -> None:
        super().__init__(code, message)
        self.code = code
        self.message = message
        self.status = status
        self.members = dict(members or {})


class DoubleError(AssertionError):
    """The double itself is wrong: it was about to answer what the service model does not allow."""


THROTTLES: Mapping[str, tuple[str, ...]] = {
    "textract": ("ProvisionedThroughputExceededException", "ThrottlingException"),
    DATA_AUTOMATION: ("ServiceQuotaExceededException", "ThrottlingException"),
    "translate": ("TooManyRequestsException", "ThrottlingException"),
    "comprehendmedical": ("TooManyRequestsException", "ThrottlingException"),
    "athena": ("TooManyRequestsException", "ThrottlingException"),
}
"""What each service calls a request too many: the exception of its API reference, and what its front door says."""

INTERNAL: Mapping[str, str] = {
    "textract": "InternalServerError",
    DATA_AUTOMATION: "InternalServerException",
    "translate": "InternalServerException",
    "comprehendmedical": "InternalServerException",
    "athena": "InternalServerException",
}
"""What each service calls its own failure."""

CONSTRAINT: Mapping[str, str] = {"athena": "InvalidRequestException"}
"""What a service calls a request that its model does not allow; all others say ValidationException."""

ALWAYS_POSSIBLE = frozenset(
    {
        "AccessDeniedException",
        "MissingAuthenticationTokenException",
        "SerializationException",
        "ServiceUnavailable",
        "ThrottlingException",
        "UnknownOperationException",
        "UnrecognizedClientException",
        "ValidationException",
    }
)
"""Errors of every service's front door, which no operation lists. Source: 'Common Errors' of each API reference."""


def constraint_error(service: str, problems: list[str], known: Container[str]) -> AwsError:
    """The refusal of a request that breaks the service model; `known` are the errors of the operation."""
    if "TextSizeLimitExceededException" in known and "'Text'" in problems[0] and "or equal to" in problems[0]:
        return AwsError("TextSizeLimitExceededException", problems[0])
    count = f"{len(problems)} validation error{'s' if len(problems) > 1 else ''} detected"
    return AwsError(CONSTRAINT.get(service, "ValidationException"), f"{count}: {'; '.join(problems)}")
