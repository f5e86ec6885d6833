"""Files on an HTTPS server: their versions by ETag, their bytes resumed where a connection was cut.

A connection that is not encrypted is refused, but to this machine itself. Credentials are read when they are needed.
"""

import base64
import datetime as dt
import email.utils
import re
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from urllib.parse import urlsplit

import requests
from requests.adapters import HTTPAdapter
from requests.auth import AuthBase
from urllib3.exceptions import HTTPError

from medpipe_assets.aws.secrets import Secret
from medpipe_assets.errors import ConfigurationError, DocumentError, Reason
from medpipe_assets.etlt.credentials import Login, login_of
from medpipe_assets.etlt.places import BLOCK, TRIES, ChangedError, Draft, Found
from medpipe_assets.inbox.engine import Arrival

TIMEOUT = (10.0, 60.0)
"""Seconds to connect, and between two bytes."""
PAUSE_SECONDS = 1.0
"""Before the second request; twice as long before each one after it."""
_RETRIED = frozenset({408, 425, 429, 500, 502, 503, 504})
_THIS_MACHINE = frozenset({"localhost", "127.0.0.1", "::1"})
_RANGE = re.compile(r"bytes (\d+)-\d+/(\d+|\*)")
_SHA256 = re.compile(r"sha-256=:?([A-Za-z0-9+/]{43}=)", re.IGNORECASE)
_BROKEN = (requests.ConnectionError, requests.Timeout, requests.exceptions.ChunkedEncodingError, HTTPError)


class _ThisMachineOnly(HTTPAdapter):
    """Keeps plain HTTP from leaving this machine, by redirection either."""

    def send(self, request: requests.PreparedRequest, *args: object, **options: object) -> requests.Response:
        if urlsplit(request.url or "").hostname not in _THIS_MACHINE:
            raise ConfigurationError("a server is asked without encryption: use its https:// address")
        return super().send(request, *args, **options)  # type: ignore[arg-type]  # passed on as it came


class _Authorization(AuthBase):
    def __init__(self, login: Login) -> None:
        self._login = login

    def __call__(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        login = self._login
        if login.user:
            pair = base64.b64encode(f"{login.user}:{login.password.reveal()}".encode()).decode()
            request.headers["Authorization"] = f"Basic {pair}"
        else:
            request.headers["Authorization"] = f"Bearer {login.password.reveal()}"
        return request


@dataclass(frozen=True)
class HttpsPlace:
    """Files on HTTPS servers.

    Attributes:
        secret: gives the credentials, where the server wants any: a bearer token, or JSON with `user` and `password`.
        pause: waits for so many seconds.
    """

    secret: Callable[[], Secret] | None = None
    pause: Callable[[float], None] = field(default=time.sleep)

    def listing(self, address: str) -> Iterator[Found]:
        headers = self._head(address)
        changed = headers.get("Last-Modified")
        modified = email.utils.parsedate_to_datetime(changed).astimezone(dt.UTC) if changed else None
        yield Found(_arrival(address, headers), modified)

    def current(self, uri: str) -> Arrival:
        return _arrival(uri, self._head(uri))

    def fetch(self, arrival: Arrival, draft: Draft) -> str:
        """Write a file's bytes; where the server states a SHA-256, they must have it."""
        with self._session() as session:
            transfer = _Transfer(arrival.uri, draft)
            for number in range(TRIES):
                if number:
                    self.pause(PAUSE_SECONDS * 2 ** (number - 1))
                if transfer.advance(session):
                    return transfer.version
        raise DocumentError(Reason.ENGINE_UNAVAILABLE, transfer.trouble)

    def _head(self, uri: str) -> Mapping[str, str]:
        with self._session() as session:
            for number in range(TRIES):
                if number:
                    self.pause(PAUSE_SECONDS * 2 ** (number - 1))
                try:
                    # Some servers know no HEAD; a GET that is not read costs as little.
                    with session.head(uri, timeout=TIMEOUT, allow_redirects=True) as answer:
                        known = answer.status_code not in (405, 501)
                    if not known:
                        answer = session.get(uri, timeout=TIMEOUT, stream=True)
                        answer.close()
                except _BROKEN as error:
                    trouble = type(error).__name__
                    continue
                if answer.status_code not in _RETRIED:
                    _refuse(answer.status_code)
                    return answer.headers
                trouble = f"HTTP {answer.status_code}"
        raise DocumentError(Reason.ENGINE_UNAVAILABLE, trouble)

    def _session(self) -> requests.Session:
        session = requests.Session()
        session.mount("http://", _ThisMachineOnly())
        session.headers["Accept-Encoding"] = "identity"  # bytes as they are stored: ranges and hashes are of those
        if self.secret is not None:
            session.auth = _Authorization(login_of(self.secret()))
        return session


def _refuse(status: int) -> None:
    if status in (401, 403):
        raise DocumentError(Reason.UNREADABLE, f"HTTP {status}: access denied; name a secret by source.credentials")
    if status >= 400:
        raise DocumentError(Reason.UNREADABLE, f"HTTP {status}")


def _arrival(uri: str, headers: Mapping[str, str]) -> Arrival:
    return Arrival(uri, _version(headers), int(headers.get("Content-Length") or 0))


def _version(headers: Mapping[str, str]) -> str:
    """The ETag, or the time of the last change and the length; empty where the server tells neither."""
    if etag := headers.get("ETag"):
        return etag
    changed = headers.get("Last-Modified")
    return f"{changed} {headers.get('Content-Length', '')}".strip() if changed else ""


class _Transfer:
    """A file as far as it has come, and what the rest must be of."""

    def __init__(self, uri: str, draft: Draft) -> None:
        self._uri = uri
        self._draft = draft
        self._total: int | None = None
        self._stated: bytes | None = None  # SHA-256
        self._validator = ""
        self.version = ""
        self.trouble = ""

    def advance(self, session: requests.Session) -> bool:
        """Read on to the end; False where the transfer broke off and may go on."""
        headers = {}
        if self._draft.size and self._validator:
            headers = {"Range": f"bytes={self._draft.size}-", "If-Range": self._validator}
        else:
            self._draft.restart()
        try:
            with session.get(self._uri, headers=headers, timeout=TIMEOUT, stream=True) as answer:
                if answer.status_code in _RETRIED:
                    self.trouble = f"HTTP {answer.status_code}"
                    return False
                return self._read(answer)
        except _BROKEN as error:
            self.trouble = f"the transfer broke off: {type(error).__name__}"
            return False

    def _read(self, answer: requests.Response) -> bool:
        if answer.status_code == 416:  # the file is shorter by now
            raise ChangedError
        _refuse(answer.status_code)
        if answer.status_code == 206:
            found = _RANGE.fullmatch(answer.headers.get("Content-Range", ""))
            if found is None or int(found[1]) != self._draft.size:
                raise ChangedError
        else:
            self._begin(answer.headers)
        for block in answer.raw.stream(BLOCK, decode_content=False):
            self._draft.write(block)
        if self._total is not None and self._draft.size != self._total:
            self.trouble = "the transfer ended early"
            return False
        if self._stated not in (None, self._draft.sha256):
            self._draft.restart()
            self.trouble = "not the SHA-256 that the server states"
            return False
        return True

    def _begin(self, headers: Mapping[str, str]) -> None:
        self._draft.restart()
        self.version = _version(headers)
        self._total = int(headers["Content-Length"]) if "Content-Length" in headers else None
        etag = headers.get("ETag", "")
        self._validator = headers.get("Last-Modified", "") if etag.startswith("W/") or not etag else etag
        self._stated = _stated_sha256(headers)


def _stated_sha256(headers: Mapping[str, str]) -> bytes | None:
    """The SHA-256 of a whole file by RFC 9530, RFC 3230, or as S3 states it."""
    for name in ("Repr-Digest", "Digest"):
        if found := _SHA256.search(headers.get(name, "")):
            return base64.b64decode(found[1])
    stated = headers.get("x-amz-checksum-sha256", "")
    return base64.b64decode(stated) if re.fullmatch(r"[A-Za-z0-9+/]{43}=", stated) else None
