"""The double inside a client of this process: no port, no bytes on a wire, but the same bytes in between."""

import io
from typing import Any

from botocore.awsrequest import AWSPreparedRequest, AWSResponse
from botocore.exceptions import ConnectionClosedError

from medpipe_tests.aws_double import wire
from medpipe_tests.aws_double.double import AwsDouble, ConnectionLostError
from medpipe_tests.aws_double.errors import AwsError


def attach(client: Any, double: AwsDouble) -> Any:
    """Let the double answer a botocore client's requests; gives the client back."""

    def answer(request: AWSPreparedRequest, **_: Any) -> AWSResponse:
        headers = {name.lower(): _text(value) for name, value in request.headers.items()}
        to = wire.address(headers)
        try:
            status, reply = double.reply(to, _bytes(request.body))
        except AwsError as error:
            status, reply = wire.encoded_error(to, error)
        except ConnectionLostError:
            raise ConnectionClosedError(endpoint_url=request.url) from None
        return AWSResponse(request.url, status, {"Content-Type": wire.CONTENT_TYPE}, _Raw(reply))

    client.meta.events.register_first("before-send.*.*", answer)
    return client


class _Raw(io.BytesIO):
    """A body as urllib3 gives it."""

    def stream(self, *_: Any, **__: Any) -> Any:
        yield self.read()


def _text(value: str | bytes) -> str:
    return value.decode() if isinstance(value, bytes) else value


def _bytes(body: Any) -> bytes:
    return body if isinstance(body, bytes) else _text(body or "").encode()
