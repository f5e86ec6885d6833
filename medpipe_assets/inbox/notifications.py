"""What S3 tells about objects, directly, through SNS or through EventBridge: messages become events, events arrivals.

Pure functions over text and small values; the queue is in sqs.py.
"""

import datetime as dt
import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, NoReturn
from urllib.parse import unquote_plus

from medpipe_assets.errors import DocumentError, Reason
from medpipe_assets.inbox.engine import Arrival, source_id
from medpipe_assets.inbox.s3 import Version, uri_of


class BadMessage(DocumentError):  # noqa: N818 (what an operator calls it)
    """A message that is none of S3's, or not in its form; the detail says what is missing, never what is there."""


def _bad(detail: str) -> BadMessage:
    return BadMessage(Reason.BAD_MESSAGE, detail)


class Kind(StrEnum):
    """What happened to an object."""

    CREATED = "created"
    REMOVED = "removed"
    """The object is no longer there, or (in a bucket with versions) hidden by a delete marker."""
    VERSION_REMOVED = "version removed"
    """One version, perhaps not the current one, is no longer there."""
    RESTORED = "restored"
    """It can be read again, after it was archived."""


@dataclass(frozen=True, slots=True)
class Event:
    """Something that happened to an object; two accounts of the same happening are equal.

    Attributes:
        etag, size: of a created or restored object; empty and 0 otherwise.
        version_id: of a bucket with versions, else empty.
        sequencer: orders the events of one key, see `order`; empty for a restoration.
        time: seconds since 1970 at which S3 had finished.
    """

    bucket: str
    key: str
    kind: Kind
    etag: str
    size: int
    version_id: str
    sequencer: str
    time: int


@dataclass(frozen=True, slots=True, order=True)
class Deleted:
    """A source that is gone.

    Attributes:
        uri: as an arrival's.
        version_id: when not empty, only this version is gone: the source is, where this was its latest.
        sequencer: of the deletion.
        time: seconds since 1970.
    """

    uri: str
    version_id: str
    sequencer: str
    time: int

    @property
    def source_id(self) -> str:
        return source_id(self.uri)

    def concerns(self, version: str) -> bool:
        """Whether the source is gone if this is the latest version known of it: a late deletion ends nothing newer."""
        known = Version.parse(version)
        if known is None:
            return False
        if self.version_id:
            return self.version_id == known.version_id
        if known.modified is not None:
            return known.modified <= self.time
        return order(known.sequencer) < order(self.sequencer)


def order(sequencer: str) -> str:
    """What to sort the events of one key by.

    S3 says to pad the shorter hexadecimal text with zeros on the right, and to compare as text; without zeros on the
    right, any two compare the same. Source: Amazon S3 user guide, event message structure.
    """
    return sequencer.upper().rstrip("0")


def parse(body: str) -> list[Event]:
    """The events of a message; none in S3's test message and in news that change nothing for a reader.

    Raises:
        BadMessage: it cannot be understood, whole or in part.
    """
    message = _json(body)
    if message.get("Type") == "Notification" and isinstance(message.get("Message"), str):
        message = _json(message["Message"])  # SNS's envelope
    if message.get("Event") == "s3:TestEvent":
        return []
    if "detail-type" in message:
        return _bridged(message)
    records = message.get("Records")
    if not isinstance(records, list) or not records:
        raise _bad("no notification of S3")
    return [event for record in records for event in _recorded(record)]


def _json(body: str) -> dict[str, Any]:
    try:
        message = json.loads(body, parse_constant=_no_number)
    except (ValueError, RecursionError):
        raise _bad("not JSON") from None
    if not isinstance(message, dict):
        raise _bad("not a JSON object")
    return message


def _no_number(name: str) -> NoReturn:
    raise ValueError


_RECORDED: Mapping[str, Kind | None] = {
    "ObjectCreated:Put": Kind.CREATED,
    "ObjectCreated:Post": Kind.CREATED,
    "ObjectCreated:Copy": Kind.CREATED,
    "ObjectCreated:CompleteMultipartUpload": Kind.CREATED,
    "ObjectRemoved:Delete": Kind.VERSION_REMOVED,
    "ObjectRemoved:DeleteMarkerCreated": Kind.REMOVED,
    "LifecycleExpiration:Delete": Kind.VERSION_REMOVED,
    "LifecycleExpiration:DeleteMarkerCreated": Kind.REMOVED,
    "ObjectRestore:Completed": Kind.RESTORED,
    "ObjectRestore:Post": None,
    "ObjectRestore:Delete": None,
}
"""Event names of notifications, without `s3:`; None is for news that change nothing for a reader."""

_BUCKET = re.compile(r"[A-Za-z0-9._-]+", re.ASCII)

_BRIDGED: Mapping[str, Kind | None] = {
    "Object Created": Kind.CREATED,
    "Object Deleted": Kind.VERSION_REMOVED,
    "Object Restore Completed": Kind.RESTORED,
    "Object Restore Initiated": None,
    "Object Restore Expired": None,
}
"""EventBridge's names of the same."""


def _kind(kinds: Mapping[str, Kind | None], name: Any) -> Kind | None:
    if not isinstance(name, str) or name not in kinds:
        raise _bad("an event of another kind")
    return kinds[name]


def _recorded(record: Any) -> list[Event]:
    """A record of a notification; its key is encoded as in a form."""
    if not isinstance(record, dict) or record.get("eventSource") not in ("aws:s3", None):
        raise _bad("a record of another service")
    name = record.get("eventName")
    kind = _kind(_RECORDED, name.removeprefix("s3:") if isinstance(name, str) else None)
    place = _part(record, "s3")
    described = _part(place, "object")
    try:
        key = unquote_plus(_text(described, "key"), errors="strict")
    except UnicodeDecodeError:
        raise _bad("a key that is no text") from None
    named = {"etag": "eTag", "version_id": "versionId"}
    return _event(kind, place, described, key, named, record.get("eventTime"))


def _bridged(message: dict[str, Any]) -> list[Event]:
    """An event of EventBridge; its key is as it is."""
    if message.get("source") != "aws.s3":
        raise _bad("an event of another service")
    kind = _kind(_BRIDGED, message["detail-type"])
    detail = _part(message, "detail")
    if detail.get("deletion-type") == "Delete Marker Created" and kind is Kind.VERSION_REMOVED:
        kind = Kind.REMOVED
    described = _part(detail, "object")
    named = {"etag": "etag", "version_id": "version-id"}
    return _event(kind, detail, described, _text(described, "key"), named, message.get("time"))


def _event(
    kind: Kind | None,
    place: dict[str, Any],
    described: dict[str, Any],
    key: str,
    named: Mapping[str, str],
    time: Any,
) -> list[Event]:
    bucket = _text(_part(place, "bucket"), "name")
    if not _BUCKET.fullmatch(bucket):
        raise _bad("bucket of another form")
    try:
        uri_of(bucket, key)
    except UnicodeEncodeError:
        raise _bad("a key that is no text") from None
    if kind is None:
        return []
    version_id = _word(described, named["version_id"])
    if kind is Kind.VERSION_REMOVED and version_id in ("", "null"):
        kind = Kind.REMOVED  # a bucket without versions
    there = kind in (Kind.CREATED, Kind.RESTORED)
    etag = _word(described, named["etag"]) if there else ""
    size = _size(described) if there else 0
    return [Event(bucket, key, kind, etag, size, version_id, _sequencer(described), _seconds(time))]


def _part(of: dict[str, Any], name: str) -> dict[str, Any]:
    part = of.get(name)
    if not isinstance(part, dict):
        raise _bad(f"no {name}")
    return part


def _text(of: dict[str, Any], name: str) -> str:
    text = of.get(name)
    if not isinstance(text, str) or not text:
        raise _bad(f"no {name}")
    return text


def _word(of: dict[str, Any], name: str) -> str:
    """A text without spaces, empty where there is none: they stand between the parts of a version."""
    word = of.get(name) or ""
    if not isinstance(word, str) or not word.isascii() or any(c.isspace() for c in word):
        raise _bad(f"{name} of another form")
    return word.strip('"')


def _sequencer(described: dict[str, Any]) -> str:
    sequencer = _word(described, "sequencer")
    if not set(sequencer) <= set("0123456789abcdefABCDEF"):
        raise _bad("sequencer of another form")
    return sequencer


def _size(described: dict[str, Any]) -> int:
    size = described.get("size", 0)
    if not isinstance(size, int) or isinstance(size, bool) or not 0 <= size < 2**63:
        raise _bad("size of another form")
    return size


def _seconds(time: Any) -> int:
    try:
        read = dt.datetime.fromisoformat(time)
        return int((read if read.tzinfo else read.replace(tzinfo=dt.UTC)).timestamp())
    except (TypeError, ValueError, OverflowError):
        raise _bad("no time of the event") from None


def fold(events: Iterable[Event]) -> tuple[list[Arrival], list[Deleted]]:
    """What is there and what is gone after the events, in whatever order and how often they were told.

    Returns:
        At most one arrival a source, and deletions of other sources, both sorted by URI. A source of which nothing but
        removed versions is known has a deletion for each of them.
    """
    by_key: dict[tuple[str, str], set[Event]] = {}
    for event in events:
        by_key.setdefault((event.bucket, event.key), set()).add(event)
    arrivals: list[Arrival] = []
    deleted: set[Deleted] = set()
    for (bucket, key), happened in by_key.items():
        uri = uri_of(bucket, key)
        ended = {
            event.version_id: event for event in sorted(happened, key=_place) if event.kind is Kind.VERSION_REMOVED
        }
        last = _last(event for event in happened if event.version_id not in ended)
        if last is None:
            deleted.update(_deleted(uri, event) for event in ended.values())
        elif last.kind is Kind.REMOVED:
            deleted.add(_deleted(uri, last))
        else:
            arrivals.append(_arrival(uri, last))
    return sorted(arrivals), sorted(deleted)


def _place(event: Event) -> tuple[Any, ...]:
    """Events of one key in order; where S3 does not tell them apart, in one that does not depend on the queue's."""
    return (order(event.sequencer), event.time, event.kind, event.version_id, event.etag, event.size)


def _last(happened: Iterable[Event]) -> Event | None:
    """The event that says what stands under a key: a restoration, which has no sequencer, where nothing else does."""
    telling = list(happened)
    changing = [event for event in telling if event.kind is not Kind.RESTORED]
    return max(changing or telling, key=_place, default=None)


def _arrival(uri: str, event: Event) -> Arrival:
    # A restoration is a version of its own: the one before could not be read.
    modified = event.time if event.kind is Kind.RESTORED else None
    version = Version(event.etag, event.size, modified, order(event.sequencer), event.version_id)
    return Arrival(uri, str(version), event.size)


def _deleted(uri: str, event: Event) -> Deleted:
    version_id = event.version_id if event.kind is Kind.VERSION_REMOVED else ""
    return Deleted(uri, version_id, order(event.sequencer), event.time)
