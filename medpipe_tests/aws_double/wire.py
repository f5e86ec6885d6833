"""Requests and replies as bytes, in JSON 1.x, which all these services speak.

Textract, Translate and Comprehend Medical also speak CBOR; botocore prefers JSON, so it is not done here. Only the form
is known here, not whether a value is allowed.
"""

import base64
import datetime as dt
import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any

from botocore.model import Shape

from medpipe_tests.aws_double.errors import SERVICES, AwsError
from medpipe_tests.aws_double.model import operation_model, service_model

CONTENT_TYPE = "application/x-amz-json-1.1"


@dataclass(frozen=True, slots=True)
class Address:
    """Whom a request is for."""

    service: str
    operation: str


@cache
def _prefixes() -> dict[str, str]:
    return {service_model(service).metadata["targetPrefix"]: service for service in (*SERVICES, "sqs")}


def address(headers: Mapping[str, str]) -> Address:
    """Whom a request is for, by its headers (names in lower case).

    Raises:
        AwsError: UnknownOperationException.
    """
    prefix, _, operation = headers.get("x-amz-target", "").partition(".")
    service = _prefixes().get(prefix, "")
    if not service or operation not in service_model(service).operation_names:
        raise AwsError("UnknownOperationException", "")
    return Address(service, operation)


def decoded(to: Address, body: bytes) -> dict[str, Any]:
    """A request's members.

    Raises:
        AwsError: SerializationException where the body is not of the protocol.
    """
    try:
        shape = operation_model(to.service, to.operation).input_shape
        return dict(_from_json(shape, json.loads(body or b"{}")))
    except (ValueError, TypeError, AttributeError):
        raise AwsError("SerializationException", "Request could not be read") from None


def encoded(to: Address, members: Mapping[str, Any]) -> bytes:
    """A reply's body."""
    shape = operation_model(to.service, to.operation).output_shape
    return json.dumps(_to_json(shape, members)).encode()


def encoded_error(to: Address | None, error: AwsError) -> tuple[int, bytes]:
    """Status and body of an error; `to` is None where nobody is addressed."""
    shapes = {s.name: s for s in service_model(to.service).error_shapes} if to else {}
    shape = shapes.get(error.code)
    modelled = int(shape.metadata.get("error", {}).get("httpStatusCode", 0)) if shape else 0
    status = error.status or modelled or (500 if error.code.startswith("InternalServer") else 400)
    spelling = "message" if shape and "message" in shape.members else "Message"
    return status, json.dumps({"__type": error.code, spelling: error.message, **error.members}).encode()


def _from_json(shape: Shape | None, value: Any) -> Any:
    """JSON's value as Python's; members that the shape does not know stay, to be refused later."""
    if shape is None:
        return value
    if shape.type_name == "structure":
        return {k: _from_json(shape.members.get(k), v) for k, v in value.items() if v is not None}
    if shape.type_name == "list":
        return [_from_json(shape.member, v) for v in value]
    if shape.type_name == "map":
        return {k: _from_json(shape.value, v) for k, v in value.items()}
    if shape.type_name == "blob":
        return base64.b64decode(value, validate=True)
    if shape.type_name == "timestamp":
        return dt.datetime.fromtimestamp(value, dt.UTC)
    return value


def _to_json(shape: Shape, value: Any) -> Any:
    if shape.type_name == "structure":
        return {k: _to_json(shape.members[k], v) for k, v in value.items()}
    if shape.type_name == "list":
        return [_to_json(shape.member, v) for v in value]
    if shape.type_name == "map":
        return {k: _to_json(shape.value, v) for k, v in value.items()}
    if shape.type_name == "blob":
        return base64.b64encode(value).decode()
    return value.timestamp() if shape.type_name == "timestamp" else value
