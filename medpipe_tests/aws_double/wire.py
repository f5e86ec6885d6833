"""Requests and replies as bytes, in the two protocols that clients of these services speak: JSON 1.x and RPC v2 CBOR.

Today's botocore speaks CBOR with Textract, Translate and Comprehend Medical, older ones and Athena JSON; a real service
understands both. Only the form is known here, not whether a value is allowed.
"""

import base64
import datetime as dt
import json
import struct
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any

from botocore.model import Shape
from botocore.parsers import ResponseParserError, RpcV2CBORParser

from medpipe_tests.aws_double.errors import SERVICES, AwsError
from medpipe_tests.aws_double.model import operation_model, service_model

CBOR = "rpc-v2-cbor"


@dataclass(frozen=True, slots=True)
class Address:
    """Whom a request is for: `protocol` is CBOR or the JSON version ('1.0', '1.1')."""

    service: str
    operation: str
    protocol: str


@cache
def _prefixes() -> dict[str, str]:
    return {service_model(service).metadata["targetPrefix"]: service for service in SERVICES}


def address(path: str, headers: Mapping[str, str]) -> Address:
    """Whom a request is for.

    Raises:
        AwsError: UnknownOperationException.
    """
    if headers.get("smithy-protocol") == CBOR:
        _, _, prefix, _, operation = [*path.split("/"), "", "", "", ""][:5]
        protocol = CBOR
    else:
        prefix, _, operation = headers.get("x-amz-target", "").partition(".")
        protocol = headers.get("content-type", "").rpartition("json-")[2]
    service = _prefixes().get(prefix, "")
    if not service or operation not in service_model(service).operation_names:
        raise AwsError("UnknownOperationException", "")
    return Address(service, operation, protocol)


def decoded(to: Address, body: bytes) -> dict[str, Any]:
    """A request's members.

    Raises:
        AwsError: SerializationException where the body is not of the protocol.
    """
    try:
        if to.protocol == CBOR:
            parser = RpcV2CBORParser()
            read: dict[str, Any] = parser.parse_data_item(parser.get_peekable_stream_from_bytes(body)) if body else {}
            return read
        shape = operation_model(to.service, to.operation).input_shape
        return dict(_from_json(shape, json.loads(body or b"{}")))
    except (ValueError, TypeError, AttributeError, EOFError, ResponseParserError):
        raise AwsError("SerializationException", "Request could not be read") from None


def encoded(to: Address, members: Mapping[str, Any]) -> bytes:
    """A reply's body."""
    if to.protocol == CBOR:
        return b"".join(_cbor(members))
    shape = operation_model(to.service, to.operation).output_shape
    return json.dumps(_to_json(shape, members)).encode()


def encoded_error(to: Address, error: AwsError) -> tuple[int, bytes]:
    """Status and body of an error."""
    shapes = {s.name: s for s in service_model(to.service).error_shapes}
    shape = shapes.get(error.code)
    modelled = int(shape.metadata.get("error", {}).get("httpStatusCode", 0)) if shape else 0
    status = error.status or modelled or (500 if error.code.startswith("InternalServer") else 400)
    spelling = "message" if shape and "message" in shape.members else "Message"
    body = {"__type": error.code, spelling: error.message, **error.members}
    return status, b"".join(_cbor(body)) if to.protocol == CBOR else json.dumps(body).encode()


def content_type(to: Address) -> str:
    """The Content-Type of a reply."""
    return "application/cbor" if to.protocol == CBOR else f"application/x-amz-json-{to.protocol}"


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


def _cbor(value: Any) -> list[bytes]:
    """Concise Binary Object Representation (RFC 8949), as far as AWS uses it."""
    if value is None or isinstance(value, bool):
        return [{None: b"\xf6", True: b"\xf5", False: b"\xf4"}[value]]
    if isinstance(value, int):
        return [_head(0, value) if value >= 0 else _head(1, -1 - value)]
    if isinstance(value, float):
        return [b"\xfb", struct.pack(">d", value)]
    if isinstance(value, dt.datetime):
        return [_head(6, 1), *_cbor(value.timestamp())]
    if isinstance(value, bytes):
        return [_head(2, len(value)), value]
    if isinstance(value, str):
        text = value.encode()
        return [_head(3, len(text)), text]
    if isinstance(value, Mapping):
        return [_head(5, len(value)), *(part for item in value.items() for v in item for part in _cbor(v))]
    return [_head(4, len(value)), *(part for item in value for part in _cbor(item))]


def _head(kind: int, number: int) -> bytes:
    if number < 24:
        return bytes([kind << 5 | number])
    for extra, size in ((24, 1), (25, 2), (26, 4), (27, 8)):
        if number < 1 << 8 * size:
            return bytes([kind << 5 | extra]) + number.to_bytes(size, "big")
    raise OverflowError(number)
