"""Log lines and metrics as JSON that CloudWatch understands: ids, counts and reasons, and by construction nothing else.

`check_ids` is what keeps prose out: names come from a closed list, and values have no spaces. Alerts use it too.
"""

import datetime as dt
import json
import logging
import math
import os
import re
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

NAMESPACE = "medpipe"

ID_NAMES = frozenset(
    "asset check code_location dataset day document_id job operation partition queue reason run_id schedule sensor "
    "service source_id stage stage_version state table".split()
)
"""What an id may be the id of."""

DIMENSIONS = frozenset({"dataset", "operation", "reason", "sensor", "service", "stage", "table"})
"""Ids of which there are few: CloudWatch charges for each combination of a metric's dimensions."""

UNITS: Mapping[str, str] = {"seconds": "Seconds", "dollars": "None", "dollars_saved": "None"}
"""CloudWatch's units of our counts; of all others it is 'Count'."""

_TOKEN = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:/-]{0,255}")
_NAME = re.compile(r"[a-z][a-z0-9_]{0,63}")

_log = logging.getLogger(__name__)

METRICS_A_LINE = 100
"""Source: https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/CloudWatch_Embedded_Metric_Format_Specification.html"""


def check_ids(ids: Mapping[str, str]) -> dict[str, str]:
    """The ids, where each has a name of ID_NAMES and a value without spaces.

    Raises:
        ValueError: naming the id that does not fit, never its value.
    """
    for name, value in ids.items():
        if name not in ID_NAMES:
            raise ValueError(f"'{name}' is not the name of an id" if _NAME.fullmatch(name) else "not the name of an id")
        if not _TOKEN.fullmatch(value):
            raise ValueError(f"the value of '{name}' is not an id")
    return dict(ids)


def check_counts(counts: Mapping[str, float]) -> dict[str, float]:
    """The counts, where each has a plain name and a finite number.

    Raises:
        ValueError: naming the count that does not fit, never its value.
    """
    for name, value in counts.items():
        if not _NAME.fullmatch(name):
            raise ValueError("a count's name is lower-case letters, digits and underscores")
        if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
            raise ValueError(f"'{name}' is not a count")
    return dict(counts)


def log_line(event: str, ids: Mapping[str, str], counts: Mapping[str, float], *, level: str, now: dt.datetime) -> str:
    """A JSON object: time, level, event, ids, counts.

    Raises:
        ValueError: for an event, id or count that is none.
    """
    return _json({"time": now.isoformat(), "level": level, "event": _event(event), **_facts(ids, counts)})


def metric_line(
    event: str, ids: Mapping[str, str], counts: Mapping[str, float], units: Mapping[str, str], *, now: dt.datetime
) -> str:
    """A log line in CloudWatch's embedded metric format: the counts are metrics; ids of DIMENSIONS their dimensions.

    Args:
        units: CloudWatch's unit by count, e.g. 'Seconds'; 'Count' for those not named.

    Raises:
        ValueError: for an event, id or count that is none, or more counts than a line may have.
    """
    if len(counts) > METRICS_A_LINE:
        raise ValueError(f"a line has at most {METRICS_A_LINE} metrics")
    directive = {
        "Namespace": NAMESPACE,
        "Dimensions": [sorted(ids.keys() & DIMENSIONS)],
        "Metrics": [{"Name": name, "Unit": units.get(name, "Count")} for name in counts],
    }
    aws = {"Timestamp": int(now.timestamp() * 1000), "CloudWatchMetrics": [directive]}
    return _json({"_aws": aws, "event": _event(event), **_facts(ids, counts)})


def _event(event: str) -> str:
    if not _NAME.fullmatch(event):
        raise ValueError("an event's name is lower-case letters, digits and underscores")
    return event


def _facts(ids: Mapping[str, str], counts: Mapping[str, float]) -> dict[str, Any]:
    if clash := ids.keys() & counts.keys():
        raise ValueError(f"'{min(clash)}' is both an id and a count")
    return check_ids(ids) | check_counts(counts)


def _json(line: Mapping[str, Any]) -> str:
    return json.dumps(line, separators=(",", ":"))


Sink = Callable[[str], None]
"""Takes a line, with its end."""


def to_stdout(line: str) -> None:
    """Standard output, which on ECS and Lambda is CloudWatch Logs."""
    sys.stdout.write(line)  # in one piece, so that threads do not mix their lines
    sys.stdout.flush()


def to_stderr(line: str) -> None:
    """Standard error, which is CloudWatch Logs too."""
    sys.stderr.write(line)
    sys.stderr.flush()


def to_nowhere(line: str) -> None:
    """Nobody is told."""


@dataclass(frozen=True)
class ToFile:
    """A file, private to its owner, for the CloudWatch agent to read. Several processes may write to it."""

    path: Path

    def __call__(self, line: str) -> None:
        self.path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        descriptor = os.open(self.path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
        try:
            os.write(descriptor, line.encode())
        finally:
            os.close(descriptor)


SINKS: Mapping[str, Sink] = {"stdout": to_stdout, "stderr": to_stderr, "off": to_nowhere}


def sink_at(place: str) -> Sink:
    """The sink of a name in SINKS; any other place is a file's path."""
    return SINKS.get(place) or ToFile(Path(place).expanduser())


@dataclass(frozen=True)
class Telemetry:
    """Writes lines. One that cannot be written is lost, and the log says so: it must not fail the run it is about."""

    sink: Sink = to_stdout

    def log(
        self, event: str, ids: Mapping[str, str], counts: Mapping[str, float] | None = None, *, level: str = "INFO"
    ) -> None:
        """Write a log line."""
        self._write(log_line(event, ids, counts or {}, level=level, now=dt.datetime.now(dt.UTC)))

    def metrics(
        self,
        event: str,
        ids: Mapping[str, str],
        counts: Mapping[str, float],
        units: Mapping[str, str] = UNITS,
    ) -> None:
        """Write metrics."""
        self._write(metric_line(event, ids, counts, units, now=dt.datetime.now(dt.UTC)))

    def _write(self, line: str) -> None:
        try:
            self.sink(line + "\n")
        except (OSError, ValueError) as error:  # a full disk, or a stream that is closed
            _log.error("a line of telemetry was lost: %s", type(error).__name__)
