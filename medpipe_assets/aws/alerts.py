"""Telling people that something is wrong: a file in the lake, the log, and SNS. When to tell is decided by the caller.

An alert holds a kind, counts, ids and reasons; its type takes no free text, so it cannot carry patient data.
"""

import datetime as dt
import fcntl
import hashlib
import json
import logging
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import IO, Any, Protocol

from botocore.exceptions import BotoCoreError, ClientError

from medpipe_assets.aws.clients import Clients
from medpipe_assets.aws.faults import translated
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
        """What makes two alerts the same: kind, severity and ids; not the run, since a retry fails the same way."""
        ids = sorted((name, value) for name, value in self.ids.items() if name != "run_id")
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


@dataclass(frozen=True)
class Alerts:
    """Sends an alert once a window, over all processes that share the file.

    Args:
        file: JSON lines of the alerts sent, private to its owner; where repetitions are looked up.
        channels: beside the file and the log.
        window: how long the same alert is not repeated.
    """

    file: Path
    channels: Sequence[Channel] = ()
    window: dt.timedelta = WINDOW
    now: Callable[[], dt.datetime] = lambda: dt.datetime.now(dt.UTC)

    def send(self, alert: Alert) -> bool:
        """Send an alert, unless the same was sent within the window. Never raises for a channel that is down.

        Returns:
            Whether it was sent now. One that did not get through any channel is not held to be sent.
        """
        now = self.now()
        message = json.dumps(alert.as_json() | {"time": now.isoformat()}, sort_keys=True)
        with self._locked() as file:
            if alert.key in _keys_since(file, now - self.window):
                return False
            _log.warning("alert %s", message)
            if not self._through_channels(alert, message):
                return False
            file.write(message.encode() + b"\n")
        return True

    def _through_channels(self, alert: Alert, message: str) -> bool:
        reached = not self.channels
        for channel in self.channels:
            try:
                channel.send(alert, message)
                reached = True
            except (DocumentError, ConfigurationError) as error:
                _log.error("an alert did not get through: %s", error)
        return reached

    @contextmanager
    def _locked(self) -> Iterator[IO[bytes]]:
        self.file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        with os.fdopen(os.open(self.file, os.O_RDWR | os.O_APPEND | os.O_CREAT, 0o600), "r+b") as file:
            fcntl.flock(file, fcntl.LOCK_EX)  # let go of when the file is closed
            yield file


def _keys_since(file: IO[bytes], since: dt.datetime) -> set[str]:
    """Keys of the alerts sent since then; lines that cannot be read (a kill while writing) are passed over."""
    end = file.seek(0, os.SEEK_END)
    file.seek(max(0, end - TAIL_BYTES))
    keys = set()
    for line in file.read().splitlines():
        try:
            alert = json.loads(line)
            if dt.datetime.fromisoformat(alert["time"]) > since:
                keys.add(alert["key"])
        except (ValueError, KeyError, TypeError):
            continue
    return keys
