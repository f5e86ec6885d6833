"""A prefix of an S3 bucket as an inbox: names and versions of objects, listing, what is new since, and fetching.

What notifications say about the same objects is read in notifications.py.
"""

import base64
import datetime as dt
import hashlib
import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote, unquote

from botocore.exceptions import BotoCoreError, ClientError, HTTPClientError, IncompleteReadError

from medpipe_assets.aws.faults import code_of, translated
from medpipe_assets.errors import DocumentError, Reason
from medpipe_assets.inbox.engine import Arrival

READ_TRIES = 5
MAX_DOCUMENT_BYTES = 500 * 1024 * 1024
"""Amazon Textract's limit for an asynchronous document (500 MB)."""
PART_BYTES = 8 * 1024 * 1024

OVERLAP_SECONDS = 3600
"""How long after its time stamp an object may first be listed: a multipart upload bears the time at which it began."""
EDGE_OBJECTS = 4096
"""Objects that a cursor remembers; older ones beyond are listed again, which receipts find to be known."""


def uri_of(bucket: str, key: str) -> str:
    """`s3://bucket/key`, the key percent-encoded: ASCII, with no `!`, which separates a ZIP from its members.

    Raises:
        UnicodeEncodeError: for a key that is no text.
    """
    return f"s3://{bucket}/{quote(key)}"


def place_of(uri: str) -> tuple[str, str]:
    """Bucket and key of a URI; the inverse of `uri_of`."""
    bucket, _, key = uri.removeprefix("s3://").partition("/")
    return bucket, unquote(key)


@dataclass(frozen=True, slots=True)
class Version:
    """Which object it is that stands under a key, as a listing or a notification tells.

    Attributes:
        etag: changes with the bytes; without quotes.
        size: bytes.
        modified: seconds since 1970, as listed, or at which it was restored; None from other notifications.
        sequencer: S3's ordering of a key's events, empty from a listing.
        version_id: of a bucket with versions; empty in others, and from a listing, which does not tell.
    """

    etag: str
    size: int
    modified: int | None = None
    sequencer: str = ""
    version_id: str = ""

    def __str__(self) -> str:
        when = f"s{self.sequencer}" if self.modified is None else f"t{self.modified}"
        return f"{self.etag} {self.size} {when} {self.version_id}".rstrip()

    @classmethod
    def parse(cls, text: str) -> "Version | None":
        """The inverse of str; None for a version that is none of S3's."""
        etag, size, when, version_id, *rest = (*text.split(" "), "", "", "", "")
        if any(rest) or not size.isdecimal() or when[:1] not in ("s", "t"):
            return None
        if when[0] == "t":
            return cls(etag, int(size), int(when[1:]), "", version_id) if when[1:].isdecimal() else None
        return cls(etag, int(size), None, when[1:], version_id)

    def same_bytes(self, other: "Version") -> bool:
        """Whether both can be the same object, one listed and one announced."""
        return (self.etag, self.size) == (other.etag, other.size)


@dataclass(frozen=True, slots=True)
class Listed:
    """An object of a listing, with its time stamp (S3 gives whole seconds)."""

    arrival: Arrival
    modified: dt.datetime


@dataclass(frozen=True)
class S3Inbox:
    """Objects below a prefix of a bucket. The consoles' folder markers, and what is excluded, are left alone.

    Args:
        bucket, prefix: where to look; an empty prefix is the whole bucket.
        client: botocore's, of S3.
        exclude: prefixes of keys that are no input: a lake in the same bucket would take itself in.
        max_bytes: larger objects are not read.
    """

    bucket: str
    prefix: str
    client: Any
    exclude: tuple[str, ...] = ()
    max_bytes: int = MAX_DOCUMENT_BYTES

    def holds(self, uri: str) -> bool:
        """Whether a URI is of a key that belongs to this inbox, there or not."""
        bucket, key = place_of(uri)
        inside = uri.startswith("s3://") and bucket == self.bucket and key.startswith(self.prefix)
        return inside and not key.endswith("/") and not (self.exclude and key.startswith(self.exclude))

    def arrivals(self) -> Iterator[Arrival]:
        """Everything there now, in the order of keys."""
        return (listed.arrival for listed in self.listing())

    def listing(self) -> Iterator[Listed]:
        """Everything there now, in the order of keys, with time stamps.

        Raises:
            ConfigurationError: no such bucket, or no permission to list it.
            DocumentError: engine_unavailable.
        """
        pages = self.client.get_paginator("list_objects_v2").paginate(Bucket=self.bucket, Prefix=self.prefix)
        try:
            for page in pages:
                for item in page.get("Contents", ()):
                    uri = uri_of(self.bucket, item["Key"])
                    if self.holds(uri):
                        yield _listed(uri, item)
        except (ClientError, BotoCoreError) as error:
            raise translated(error, "s3", "ListObjectsV2") from None

    def fetch(self, uri: str, version: str = "") -> bytes:
        """An object's bytes, all of one version of it: a broken transfer goes on only while the ETag is the same.

        Args:
            version: as listed or announced; the object must still be that one. Empty reads what is there now.

        Raises:
            DocumentError: unreadable (gone, refused, archived, replaced, of another inbox), too_large,
                engine_unavailable.
            ConfigurationError: credentials or bucket are wrong.
        """
        if not self.holds(uri):
            raise DocumentError(Reason.UNREADABLE, "not in this inbox")
        expected = Version.parse(version)
        transfer = _Transfer(self, place_of(uri)[1], expected.etag if expected else "")
        for _ in range(READ_TRIES):
            if transfer.advance():
                return bytes(transfer.data)
        raise DocumentError(Reason.ENGINE_UNAVAILABLE, f"the transfer broke off {READ_TRIES} times")


def _listed(uri: str, item: dict[str, Any]) -> Listed:
    modified: dt.datetime = item["LastModified"]
    version = Version(item["ETag"].strip('"'), item["Size"], int(modified.timestamp()))
    return Listed(Arrival(uri, str(version), version.size), modified)


_REFUSALS = {
    "404": "gone",
    "NoSuchKey": "gone",
    "NoSuchVersion": "gone",
    "AccessDenied": "access denied",
    "InvalidObjectState": "archived: restore it first",
    "PreconditionFailed": "replaced by another version",
}
"""What S3 refuses for one object and may grant for the next; other errors are not the object's."""


@dataclass
class _Transfer:
    """The bytes of an object as far as they have come, and the ETag that the rest must have."""

    inbox: S3Inbox
    key: str
    etag: str

    def __post_init__(self) -> None:
        self.data = bytearray()
        self.size = 0

    def advance(self) -> bool:
        """Read on to the end; False where the transfer broke off and may go on.

        Raises:
            DocumentError, ConfigurationError: as `S3Inbox.fetch`.
        """
        request: dict[str, Any] = {"Bucket": self.inbox.bucket, "Key": self.key}
        if self.etag:
            request["IfMatch"] = f'"{self.etag}"'
        if self.data:
            request["Range"] = f"bytes={len(self.data)}-"
        try:
            answer = self.inbox.client.get_object(**request)
        except ClientError as error:
            if code_of(error) in _REFUSALS:
                raise DocumentError(Reason.UNREADABLE, _REFUSALS[code_of(error)]) from None
            raise translated(error, "s3", "GetObject") from None
        except BotoCoreError as error:
            raise translated(error, "s3", "GetObject") from None
        return self._read(answer)

    def _read(self, answer: Any) -> bool:
        self.etag = answer["ETag"].strip('"')
        self.size = len(self.data) + answer["ContentLength"]
        with answer["Body"] as body:
            if self.size > self.inbox.max_bytes:
                raise DocumentError(Reason.TOO_LARGE, f"over {self.inbox.max_bytes} bytes")
            try:
                while part := body.read(PART_BYTES):
                    self.data += part
            except (HTTPClientError, IncompleteReadError):
                pass  # the next try goes on from here
        return len(self.data) == self.size


def advance(cursor: str, listing: Iterable[Listed]) -> tuple[list[Arrival], str]:
    """What a listing has that no listing before had, and the cursor after it.

    No object is lost that is first listed within OVERLAP_SECONDS of its time stamp, whatever the order. Objects are
    told again only when over EDGE_OBJECTS lie within the overlap.

    Args:
        cursor: of the listing before; empty (or none of ours) starts afresh. Keep the new one only when what was told
            is recorded.

    Returns:
        Arrivals in the listing's order; a text of at most some 60 kB that names no object: the newest time stamp,
        and hashes of what was seen within the overlap before it.
    """
    newest, edge = _read_cursor(cursor)
    since = newest - OVERLAP_SECONDS
    new, recent = [], []
    for listed in listing:
        modified = int(listed.modified.timestamp())
        newest = max(newest, modified)
        if modified < since:
            continue
        mark = _mark(listed.arrival)
        recent.append((modified, mark))
        if mark not in edge:
            new.append(listed.arrival)
    kept = sorted((seen for seen in recent if seen[0] >= newest - OVERLAP_SECONDS), reverse=True)[:EDGE_OBJECTS]
    return new, json.dumps({"newest": newest, "edge": [mark for _, mark in kept]})


def _mark(arrival: Arrival) -> str:
    """72 bits of a hash of key, ETag and time stamp: among 4,096, one in 10^18 objects is taken for another."""
    digest = hashlib.sha256(f"{arrival.uri}\n{arrival.version}".encode()).digest()
    return base64.urlsafe_b64encode(digest[:9]).decode()


def _read_cursor(cursor: str) -> tuple[int, frozenset[str]]:
    try:
        read = json.loads(cursor)
        return int(read["newest"]), frozenset(map(str, read["edge"]))
    except (ValueError, TypeError, KeyError):
        return 0, frozenset()
