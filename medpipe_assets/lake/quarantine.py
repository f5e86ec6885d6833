"""Quarantine: one row a failure that still stands or once stood, found again by source, document, stage and page."""

import datetime as dt
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import pyarrow as pa
from pyiceberg.expressions import And, EqualTo, In

from medpipe_assets.errors import DocumentError
from medpipe_assets.lake.lake import Lake
from medpipe_assets.lake.schemas import QUARANTINE


@dataclass(frozen=True, slots=True)
class Failure:
    """A failure to be put into quarantine; `document_id` is None where the bytes could not be read."""

    source_id: str
    document_id: str | None
    error: DocumentError

    @property
    def key(self) -> tuple[str, str | None, int | None]:
        return (self.source_id, self.document_id, self.error.page)


def record(
    lake: Lake,
    stage: str,
    day: dt.date,
    failures: Iterable[Failure],
    tried: Collection[str],
    *,
    run_id: str,
    now: dt.datetime,
) -> None:
    """Open, reopen or resolve a stage's quarantine rows after an attempt.

    Args:
        failures: what failed.
        tried: ids of all documents (or, for the inbox, sources) attempted: their open rows that did not fail again
            are resolved.
        now: the time to write.
    """
    wanted = {failure.key: failure for failure in failures}
    if not wanted and not tried:
        return
    stored = lake.read("quarantine", days=[day]).to_pylist()
    known = {_key(row): row for row in stored if row["stage"] == stage}
    attempted = set(tried)
    changed: list[dict[str, Any]] = []
    for key, failure in wanted.items():
        changed.append(_failed(known.get(key), failure, stage, day, run_id, now))
    for key, row in known.items():
        concerned = (row["document_id"] or row["source_id"]) in attempted
        if concerned and key not in wanted and row["resolved_at"] is None:
            changed.append({**row, "resolved_at": now})
    if not changed:
        return
    sources = {row["source_id"] for row in changed}
    keys = {_key(row) for row in changed}
    others = [row for key, row in known.items() if row["source_id"] in sources and key not in keys]
    lake.write(
        "quarantine",
        pa.Table.from_pylist([*others, *changed], schema=QUARANTINE.schema),
        replace=And(EqualTo("ingest_date", day.isoformat()), EqualTo("stage", stage), In("source_id", sources)),
    )


def _key(row: Mapping[str, Any]) -> tuple[str, str | None, int | None]:
    return (row["source_id"], row["document_id"], row["page"])


def _failed(
    before: Mapping[str, Any] | None, failure: Failure, stage: str, day: dt.date, run_id: str, now: dt.datetime
) -> dict[str, Any]:
    return {
        "source_id": failure.source_id,
        "document_id": failure.document_id,
        "ingest_date": day,
        "stage": stage,
        "page": failure.error.page,
        "reason": failure.error.reason.value,
        "detail": failure.error.detail,
        "attempts": 1 + (before["attempts"] if before else 0),
        "first_failed_at": before["first_failed_at"] if before else now,
        "last_failed_at": now,
        "resolved_at": None,
        "run_id": run_id,
    }


def open_failures(lake: Lake, days: Collection[dt.date] | None = None) -> list[dict[str, Any]]:
    """The rows of failures that stand."""
    return [row for row in lake.read("quarantine", days=days).to_pylist() if row["resolved_at"] is None]
