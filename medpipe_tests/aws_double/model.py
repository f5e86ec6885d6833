"""What botocore's service models allow: required and unknown members, types, lengths, ranges, patterns and enums.

botocore itself checks a request's types and minima only; the services check the rest, and so does this. No limit that
stands in the documentation alone is known here.
"""

from collections.abc import Iterator
from functools import cache
from typing import Any

import botocore.session
import regex
from botocore.model import OperationModel, ServiceModel, Shape
from botocore.session import Session
from botocore.validate import ParamValidator


@cache
def session() -> Session:
    """One session for all that the double asks itself: a new one would read all models again."""
    return botocore.session.get_session()


@cache
def service_model(service: str) -> ServiceModel:
    """The service's model, of the version that botocore's clients use."""
    return session().get_service_model(service)


@cache
def endpoint_variable(service: str) -> str:
    """The environment variable that sends a service's clients elsewhere.

    Source: https://docs.aws.amazon.com/sdkref/latest/guide/feature-ss-endpoints.html
    """
    name: str = service_model(service).service_id.hyphenize()
    return "AWS_ENDPOINT_URL_" + name.replace("-", "_").upper()


@cache
def action_name(service: str, operation: str) -> str:
    """An operation as permissions name it, e.g. 'bedrock:GetDataAutomationStatus'."""
    model = service_model(service)
    return f"{model.signing_name}:{operation}"


@cache
def operation_model(service: str, operation: str) -> OperationModel:
    """An operation's model."""
    return service_model(service).operation_model(operation)


def violations(shape: Shape, value: Any) -> list[str]:
    """Everything about a value that its shape does not allow, in words; empty where all is well."""
    report = ParamValidator().validate(value, shape)
    wrong = [line for line in report.generate_report().split("\n") if line] if report.has_errors() else []
    return wrong or list(_broken(shape, value, ""))


def _broken(shape: Shape, value: Any, path: str) -> Iterator[str]:
    """What botocore leaves to the service; the value is known to have the right types."""
    if shape.type_name == "structure":
        for name, member in value.items():
            yield from _broken(shape.members[name], member, f"{path}.{name}")
        return
    if shape.type_name == "map":
        for key, member in value.items():
            yield from _broken(shape.key, key, f"{path} key")
            yield from _broken(shape.value, member, f"{path}.{key}")
        return
    if shape.type_name == "list":
        for i, member in enumerate(value):
            yield from _broken(shape.member, member, f"{path}[{i}]")
    yield from _out_of_bounds(shape, value, path.lstrip("."))


def _out_of_bounds(shape: Shape, value: Any, path: str) -> Iterator[str]:
    rules = shape.metadata
    most = rules.get("max")
    if most is not None and shape.type_name in ("string", "list", "blob") and len(value) > most:
        yield f"Value at '{path}' failed to satisfy constraint: Member must have length less than or equal to {most}"
    if most is not None and shape.type_name in ("integer", "long", "float", "double") and value > most:
        yield f"Value at '{path}' failed to satisfy constraint: Member must have value less than or equal to {most}"
    if rules.get("enum") and value not in rules["enum"]:
        yield f"Value at '{path}' failed to satisfy constraint: Member must satisfy enum value set"
    if shape.type_name == "string" and rules.get("pattern") and not _pattern(rules["pattern"]).fullmatch(value):
        yield f"Value at '{path}' failed to satisfy constraint: Member must satisfy regular expression pattern"


@cache
def _pattern(pattern: str) -> regex.Pattern[str]:
    """The services' patterns are Java's: `.` does not match a line break, the whole value must match, and a character
    beyond 16 bits may be written as its two surrogates.
    """
    return regex.compile(_SURROGATES.sub(lambda pair: _joined(int(pair[1], 16), int(pair[2], 16)), pattern))


_SURROGATES = regex.compile(r"\\u(D[89AB][0-9A-F]{2})\\u(D[C-F][0-9A-F]{2})", regex.IGNORECASE)


def _joined(high: int, low: int) -> str:
    return f"\\U{0x10000 + (high - 0xD800) * 0x400 + low - 0xDC00:08X}"
