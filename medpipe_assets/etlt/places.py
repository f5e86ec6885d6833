"""Where a dataset's files come from: what lies in a folder or under an S3 prefix, and its bytes, streamed.

Servers are in https.py and sftp.py. What has been received before, and where bytes go, is not known here.
"""

import datetime as dt
import hashlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from botocore.exceptions import BotoCoreError, ClientError, HTTPClientError, IncompleteReadError

from medpipe_assets.aws.clients import Clients
from medpipe_assets.aws.faults import code_of, translated
from medpipe_assets.errors import ConfigurationError, DocumentError, Reason
from medpipe_assets.inbox.engine import Arrival
from medpipe_assets.inbox.local import LocalInbox, path_of
from medpipe_assets.inbox.s3 import S3Inbox, Version
from medpipe_assets.inbox.s3 import place_of as bucket_and_key

BLOCK = 8 << 20
MAX_FILE_BYTES = 64 << 30
TRIES = 5
"""Requests for the rest of one file; each goes on from where the one before broke off."""


@dataclass(frozen=True, slots=True)
class Found:
    """A file that is there, and when it was last changed, where the place tells."""

    arrival: Arrival
    modified: dt.datetime | None


class Draft:
    """A file in the making, and the hash of what it holds so far; a context manager."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.size = 0
        self._file = path.open("wb")
        self._hash = hashlib.sha256()

    def write(self, block: bytes) -> None:
        if self.size + len(block) > MAX_FILE_BYTES:
            raise DocumentError(Reason.TOO_LARGE, f"over {MAX_FILE_BYTES >> 30} GB")
        self._file.write(block)
        self._hash.update(block)
        self.size += len(block)

    def restart(self) -> None:
        """Forget what came so far."""
        self._file.seek(0)
        self._file.truncate()
        self._hash = hashlib.sha256()
        self.size = 0

    @property
    def sha256(self) -> bytes:
        return self._hash.digest()

    def __enter__(self) -> "Draft":
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()


class ChangedError(Exception):
    """The file is no longer the one that was listed: what came of it is worth nothing."""


class Place(Protocol):
    """Files at one kind of address.

    Every method raises a DocumentError: unreadable (gone, refused), engine_unavailable (nobody answers); or a
    ConfigurationError.
    """

    def listing(self, address: str) -> Iterator[Found]:
        """The files at an address that a person gives: one file, or all in a folder or below a prefix."""
        ...

    def current(self, uri: str) -> Arrival:
        """What is at the URI of an arrival now."""
        ...

    def fetch(self, arrival: Arrival, draft: Draft) -> str:
        """Write a file's bytes, all from one moment; returns the version that they are of.

        Raises:
            ChangedError: the file is another by now.
        """
        ...


class LocalPlace:
    """Files and folders of this machine."""

    def listing(self, address: str) -> Iterator[Found]:
        path = path_of(address) if address.startswith("file://") else Path(address).expanduser()
        if not path.exists():
            raise ConfigurationError("there is no such file or folder to load from: look at its name")
        for arrival in LocalInbox((path,)).arrivals():
            status = path_of(arrival.uri).stat()
            yield Found(arrival, dt.datetime.fromtimestamp(max(status.st_mtime, status.st_ctime), dt.UTC))

    def current(self, uri: str) -> Arrival:
        for arrival in LocalInbox((path_of(uri),)).arrivals():
            return arrival
        raise DocumentError(Reason.UNREADABLE, "gone")

    def fetch(self, arrival: Arrival, draft: Draft) -> str:
        path = path_of(arrival.uri)
        if not path.is_file():
            raise DocumentError(Reason.UNREADABLE, "gone, or not a regular file")
        try:
            with path.open("rb") as file:
                while draft.size <= arrival.size and (block := file.read(BLOCK)):  # one that grows has no end
                    draft.write(block)
        except OSError as error:
            raise DocumentError(Reason.UNREADABLE, error.strerror or type(error).__name__) from None
        if self.current(arrival.uri) != arrival or draft.size != arrival.size:
            raise ChangedError
        return arrival.version


@dataclass(frozen=True)
class S3Place:
    """Objects on S3.

    Attributes:
        exclude: roots whose objects are no input: the zones of a lake.
    """

    clients: Clients
    exclude: tuple[str, ...] = ()

    def listing(self, address: str) -> Iterator[Found]:
        """An address is an object's, or else a prefix: the beginning of keys."""
        bucket, _, key = address.removeprefix("s3://").partition("/")
        if not bucket:
            raise ConfigurationError("files on S3 are named s3://bucket/key or s3://bucket/prefix")
        inbox = self._inbox(bucket, key)
        exact = [found for found in inbox.listing() if place_key(found.arrival.uri) == key] if key else []
        for found in exact or inbox.listing():
            yield Found(found.arrival, found.modified)

    def _inbox(self, bucket: str, prefix: str) -> S3Inbox:
        roots = (_parted(root) for root in self.exclude)
        below = tuple(f"{key.rstrip('/')}/" if key else "" for other, key in roots if other == bucket)
        inside = tuple(root for root in below if not prefix.startswith(root))
        return S3Inbox(bucket, prefix, self._client, inside)

    def current(self, uri: str) -> Arrival:
        bucket, key = bucket_and_key(uri)
        for found in S3Inbox(bucket, key, self._client).listing():
            if found.arrival.uri == uri:
                return found.arrival
        raise DocumentError(Reason.UNREADABLE, "gone")

    def fetch(self, arrival: Arrival, draft: Draft) -> str:
        version = Version.parse(arrival.version)
        assert version is not None
        for _ in range(TRIES):
            answer = self._get(arrival.uri, version.etag, draft.size)
            with answer["Body"] as body:
                try:
                    while block := body.read(BLOCK):
                        draft.write(block)
                except (HTTPClientError, IncompleteReadError):
                    continue  # the next request goes on from here
            if draft.size == version.size:
                return arrival.version
        raise DocumentError(Reason.ENGINE_UNAVAILABLE, f"the transfer broke off {TRIES} times")

    def _get(self, uri: str, etag: str, begin: int) -> Any:
        bucket, key = bucket_and_key(uri)
        rest = {"Range": f"bytes={begin}-"} if begin else {}
        try:
            return self._client.get_object(Bucket=bucket, Key=key, IfMatch=f'"{etag}"', **rest)
        except ClientError as error:
            if code_of(error) in ("PreconditionFailed", "InvalidRange", "NoSuchKey", "404"):
                raise ChangedError from None
            if code_of(error) in ("AccessDenied", "InvalidObjectState"):
                raise DocumentError(Reason.UNREADABLE, code_of(error)) from None
            raise translated(error, "s3", "GetObject") from None
        except BotoCoreError as error:
            raise translated(error, "s3", "GetObject") from None

    @property
    def _client(self) -> Any:
        return self.clients.client("s3")


def _parted(root: str) -> tuple[str, str]:
    bucket, _, key = root.removeprefix("s3://").partition("/")
    return bucket, key


def place_key(uri: str) -> str:
    """The key of an object's URI."""
    return bucket_and_key(uri)[1]


def fetched(place: Place, arrival: Arrival, draft: Draft) -> str:
    """Fetch a file as it is now, again where it changes meanwhile; returns the version that came.

    Raises:
        DocumentError: as `Place`; unreadable where it changed at each try.
    """
    for _ in range(TRIES):
        try:
            return place.fetch(arrival, draft)
        except ChangedError:
            draft.restart()
            arrival = place.current(arrival.uri)
    raise DocumentError(Reason.UNREADABLE, "changed while it was read")


Places = Callable[[str], Place]
"""The place of an address, by its scheme."""
