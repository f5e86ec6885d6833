"""Telling people that something is wrong, or loaded: log, SNS, and a record in the lake. When is the caller's matter.

An alert holds a kind, counts, ids and reasons; its type takes no free text, so it cannot carry patient data.
"""

import datetime as dt
import hashlib
import json
import logging
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Any, Protocol

from botocore.exceptions import BotoCoreError, ClientError

from medpipe_assets.aws.clients import Clients
from medpipe_assets.aws.faults import code_of, translated
from medpipe_assets.aws.telemetry import check_counts, check_ids
from medpipe_assets.errors import ConfigurationError, DocumentError, Reason

WINDOW = dt.timedelta(hours=1)
"""How long the same alert is not repeated."""

TAIL_BYTES = 1 << 18
"""How much of the file's end is searched for repetitions: hundreds of alerts."""

_log = logging.getLogger(__name__)


class Kind(StrEnum):
    """What has happened."""

    RUN_FAILURE = "run_failure"
    QUARANTINE = "quarantine"
    CHECK_FAILURE = "check_failure"
    BUDGET_REACHED = "budget_reached"
    LOADED = "loaded"


class Severity(StrEnum):
    """How soon somebody should look."""

    INFO = "info"
    WARNING = "warning"
    CRITICAL = "critical"


@dataclass(frozen=True)
class Alert:
    """Something people should know.

    Args:
        counts: numbers by name, e.g. {'quarantined': 12, 'documents': 40}.
        ids: by telemetry.ID_NAMES, e.g. {'stage': 'entities', 'day': '2026-11-20', 'run_id': ...}.
        reasons: how often each reason of quarantine occurs.

    Raises:
        ValueError: for anything that is no count and no id.
    """

    kind: Kind
    severity: Severity
    counts: Mapping[str, float] = field(default_factory=dict)
    ids: Mapping[str, str] = field(default_factory=dict)
    reasons: Mapping[Reason, int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        check_counts(self.counts)
        check_ids(self.ids)
        check_counts({Reason(reason).value: count for reason, count in self.reasons.items()})

    @property
    def key(self) -> str:
        """What makes two alerts the same: kind, severity and ids; not the run, since a retry fails the same way (and
        no two loads are the same).
        """
        ids = sorted((n, value) for n, value in self.ids.items() if n != "run_id" or self.kind is Kind.LOADED)
        return hashlib.sha256(json.dumps([self.kind, self.severity, ids]).encode()).hexdigest()[:32]

    def as_json(self) -> dict[str, Any]:
        """The alert as JSON's types."""
        return {
            "kind": self.kind.value,
            "severity": self.severity.value,
            "counts": dict(self.counts),
            "ids": dict(self.ids),
            "reasons": {Reason(reason).value: count for reason, count in self.reasons.items()},
            "key": self.key,
        }


class Channel(Protocol):
    """A way to reach people."""

    def send(self, alert: Alert, message: str) -> None:
        """Send an alert; `message` is its JSON.

        Raises:
            DocumentError, ConfigurationError: where it did not get through.
        """


@dataclass(frozen=True)
class SnsChannel:
    """An SNS topic. Subscribers can filter by the message attributes `kind` and `severity`."""

    clients: Clients
    topic_arn: str

    def send(self, alert: Alert, message: str) -> None:
        attributes = {"kind": alert.kind.value, "severity": alert.severity.value}
        request = {
            "TopicArn": self.topic_arn,
            "Subject": f"medpipe {alert.severity.value}: {alert.kind.value}",
            "Message": message,
            "MessageAttributes": {n: {"DataType": "String", "StringValue": v} for n, v in attributes.items()},
        }
        if self.topic_arn.endswith(".fifo"):
            request |= {"MessageGroupId": alert.kind.value, "MessageDeduplicationId": _digest(message)}
        try:
            self.clients.client("sns").publish(**request)
        except (ClientError, BotoCoreError) as error:
            raise translated(error, "sns", "Publish") from None


def _digest(message: str) -> str:
    return hashlib.sha256(message.encode()).hexdigest()


class Sent(Protocol):
    """Which alerts were sent: what keeps the processes of an installation from repeating each other."""

    def since(self, alert: Alert, moment: dt.datetime) -> bool:
        """Whether the same alert was sent after a moment."""

    def note(self, alert: Alert, message: str) -> None:
        """Keep an alert that was sent."""


@dataclass(frozen=True)
class SentInFile:
    """A file of JSON lines, private to its owner."""

    path: Path

    def since(self, alert: Alert, moment: dt.datetime) -> bool:
        try:
            with self.path.open("rb") as file:
                file.seek(max(0, file.seek(0, os.SEEK_END) - TAIL_BYTES))
                return any(_is_after(line, alert.key, moment) for line in file)
        except FileNotFoundError:
            return False

    def note(self, alert: Alert, message: str) -> None:
        self.path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        descriptor = os.open(self.path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
        try:
            os.write(descriptor, message.encode() + b"\n")  # in one piece: other processes write there too
        finally:
            os.close(descriptor)


def _is_after(line: bytes, key: str, moment: dt.datetime) -> bool:
    try:
        alert = json.loads(line)
        return bool(alert["key"] == key and dt.datetime.fromisoformat(alert["time"]) > moment)
    except (ValueError, KeyError, TypeError):  # a kill while writing, or the middle of a line
        return False


@dataclass(frozen=True)
class SentInBucket:
    """An object an alert under `s3://bucket/prefix`, overwritten each time it is sent; with a key, encrypted by it."""

    clients: Clients
    root: str
    kms_key: str = ""

    def since(self, alert: Alert, moment: dt.datetime) -> bool:
        try:
            data: bytes = self.clients.client("s3").get_object(**self._object(alert))["Body"].read()
        except ClientError as error:
            if code_of(error) == "NoSuchKey":
                return False
            raise translated(error, "s3", "GetObject") from None
        except BotoCoreError as error:
            raise translated(error, "s3", "GetObject") from None
        return _is_after(data, alert.key, moment)

    def note(self, alert: Alert, message: str) -> None:
        encryption = {"ServerSideEncryption": "aws:kms", "SSEKMSKeyId": self.kms_key} if self.kms_key else {}
        try:
            self.clients.client("s3").put_object(**self._object(alert), **encryption, Body=message.encode())
        except (ClientError, BotoCoreError) as error:
            raise translated(error, "s3", "PutObject") from None

    def _object(self, alert: Alert) -> dict[str, str]:
        bucket, _, prefix = self.root.removeprefix("s3://").rstrip("/").partition("/")
        return {"Bucket": bucket, "Key": f"{prefix}/{alert.key}.json" if prefix else f"{alert.key}.json"}


@dataclass(frozen=True)
class Alerts:
    """Sends an alert once a window, over all processes that share `sent`.

    Two processes at the very same moment may both send: an alert too many is better than one too few.

    Args:
        sent: where repetitions are looked up: SentInFile, or SentInBucket where processes share no disk.
        channels: who hears, beside the log.
        window: how long the same alert is not repeated.
        level: of the log line; lower where somebody watches the run, who is told anyway.
    """

    sent: Sent
    channels: Sequence[Channel] = ()
    window: dt.timedelta = WINDOW
    level: int = logging.WARNING
    now: Callable[[], dt.datetime] = lambda: dt.datetime.now(dt.UTC)

    def send(self, alert: Alert) -> bool:
        """Send an alert, unless the same was sent within the window. Never raises for a service that is down.

        Returns:
            Whether it was sent now. One that got through no channel counts as not sent.
        """
        now = self.now()
        with _logging_errors():
            if self.sent.since(alert, now - self.window):
                return False
        message = json.dumps(alert.as_json() | {"time": now.isoformat()}, sort_keys=True)
        _log.log(self.level, "alert %s", message)
        reached = not self.channels
        for channel in self.channels:
            with _logging_errors():
                channel.send(alert, message)
                reached = True
        if reached:
            with _logging_errors():
                self.sent.note(alert, message)
        return reached


@contextmanager
def _logging_errors() -> Iterator[None]:
    """Log what goes wrong inside, and go on: an alert must not fail the run that it is about."""
    try:
        yield
    except (DocumentError, ConfigurationError) as error:
        _log.error("an alert met an error: %s", error)
