"""The double over HTTP, for clients in any process: `AWS_ENDPOINT_URL_<SERVICE>` names its address."""

import contextlib
import socket
import struct
import threading
import uuid
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from medpipe_tests.aws_double import wire
from medpipe_tests.aws_double.double import AwsDouble, ConnectionLostError
from medpipe_tests.aws_double.errors import SERVICES, AwsError
from medpipe_tests.aws_double.model import endpoint_variable


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 256

    def __init__(self, double: AwsDouble, port: int) -> None:
        self.double = double
        super().__init__(("127.0.0.1", port), _Request)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that went away is no news; anything else is the double's own fault and told as such."""


class _Request(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    wbufsize = -1  # head and body in one packet
    server: _Server

    def do_POST(self) -> None:
        headers = {name.lower(): value for name, value in self.headers.items()}
        body = self.rfile.read(int(headers.get("content-length", 0)))
        to = None
        try:
            to = wire.address(headers)
            if not headers.get("authorization", "").startswith("AWS4-HMAC-SHA256 Credential="):
                raise AwsError("MissingAuthenticationTokenException", "Missing Authentication Token")
            status, reply = self.server.double.reply(to, body)
        except AwsError as error:
            status, reply = wire.encoded_error(to, error)
        except ConnectionLostError:
            self._break_off()
            return
        except Exception as error:
            self._tell(to, error)
            return
        self._send(status, reply)

    def _tell(self, to: wire.Address | None, error: Exception) -> None:
        """The double's own failure, as a status that no client retries, so that a test sees it."""
        told = AwsError("DoubleFailure", f"{type(error).__name__}: {error}", 418)
        self._send(*wire.encoded_error(to, told))

    def _send(self, status: int, reply: bytes) -> None:
        self.send_response(status)
        self.send_header("Content-Type", wire.CONTENT_TYPE)
        self.send_header("Content-Length", str(len(reply)))
        self.send_header("x-amzn-RequestId", str(uuid.uuid4()))
        self.end_headers()
        self.wfile.write(reply)

    def _break_off(self) -> None:
        """Reset the connection, as a network does, not close it."""
        self.close_connection = True
        with contextlib.suppress(OSError):
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            self.connection.close()

    def log_message(self, format: str, *args: Any) -> None:
        """Requests hold document text; nothing is logged."""


class DoubleServer:
    """The double listening on a port of this machine (0 takes a free one). Use it as a context manager."""

    def __init__(self, double: AwsDouble, port: int = 0) -> None:
        self._server = _Server(double, port)
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._server.server_address[1]}"

    @property
    def environment(self) -> dict[str, str]:
        """The variables that send a client here."""
        return {endpoint_variable(service): self.url for service in (*SERVICES, *self._server.double.services)}

    def __enter__(self) -> "DoubleServer":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()
