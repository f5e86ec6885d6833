"""Quarantine: failures open, count up, are resolved and open again; nobody else's rows change."""

import datetime as dt
from collections.abc import Iterable
from typing import Any

from medpipe_assets.errors import DocumentError, Reason
from medpipe_assets.lake.lake import Lake
from medpipe_assets.lake.quarantine import Failure, open_failures, record
from medpipe_tests.unit.lake.builders import DAY, NEXT_DAY, NOW, document

STAGE = "extracted_text"


def failure(n: int, reason: Reason = Reason.CORRUPT, page: int | None = None, source: str = "") -> Failure:
    return Failure(source or f"s{n}", document(n), DocumentError(reason, "PDF: PdfiumError", page))


def attempt(
    lake: Lake,
    failures: Iterable[Failure],
    tried: Iterable[int],
    *,
    hour: int = 0,
    stage: str = STAGE,
    day: dt.date = DAY,
) -> None:
    now = NOW + dt.timedelta(hours=hour)
    record(lake, stage, day, failures, {document(n) for n in tried}, run_id=f"run {hour}", now=now)


def stored(lake: Lake, **wanted: Any) -> list[dict[str, Any]]:
    found = [r for r in lake.read("quarantine").to_pylist() if all(r[k] == v for k, v in wanted.items())]
    return sorted(found, key=lambda r: (r["source_id"], r["page"] or 0))


def test_a_failure_opens_a_row_that_says_what_where_and_why(lake: Lake) -> None:
    attempt(lake, [failure(1)], [1])
    assert stored(lake) == [
        {
            "source_id": "s1",
            "document_id": document(1),
            "ingest_date": DAY,
            "stage": STAGE,
            "page": None,
            "reason": "corrupt",
            "detail": "PDF: PdfiumError",
            "attempts": 1,
            "first_failed_at": NOW,
            "last_failed_at": NOW,
            "resolved_at": None,
            "run_id": "run 0",
        }
    ]
    assert open_failures(lake) == stored(lake)


def test_a_repeated_failure_counts_up_in_the_same_row(lake: Lake) -> None:
    attempt(lake, [failure(1)], [1])
    attempt(lake, [failure(1, Reason.TIMEOUT)], [1], hour=1)
    (row,) = stored(lake)
    assert (row["attempts"], row["reason"], row["run_id"]) == (2, "timeout", "run 1")
    assert (row["first_failed_at"], row["last_failed_at"]) == (NOW, NOW + dt.timedelta(hours=1))


def test_a_success_resolves_what_stood(lake: Lake) -> None:
    attempt(lake, [failure(1)], [1])
    attempt(lake, [], [1], hour=1)
    (row,) = stored(lake)
    assert row["resolved_at"] == NOW + dt.timedelta(hours=1)
    assert (row["attempts"], row["last_failed_at"]) == (1, NOW)
    assert open_failures(lake) == []


def test_a_second_success_leaves_the_time_of_the_first(lake: Lake) -> None:
    for hour, failures in enumerate([[failure(1)], [], []]):
        attempt(lake, failures, [1], hour=hour)
    assert stored(lake)[0]["resolved_at"] == NOW + dt.timedelta(hours=1)


def test_a_failure_after_a_success_opens_the_row_again(lake: Lake) -> None:
    for hour, failures in enumerate([[failure(1)], [], [failure(1)]]):
        attempt(lake, failures, [1], hour=hour)
    (row,) = stored(lake)
    assert row["resolved_at"] is None
    assert (row["attempts"], row["first_failed_at"]) == (2, NOW)


def test_what_was_not_tried_stays_open(lake: Lake) -> None:
    attempt(lake, [failure(1), failure(2)], [1, 2])
    attempt(lake, [], [1], hour=1)
    assert [row["document_id"] for row in open_failures(lake)] == [document(2)]


def test_pages_fail_and_heal_one_by_one(lake: Lake) -> None:
    attempt(lake, [failure(1, page=2), failure(1, page=5)], [1])
    attempt(lake, [failure(1, page=5)], [1], hour=1)
    assert [(r["page"], r["attempts"], r["resolved_at"] is None) for r in stored(lake)] == [(2, 1, False), (5, 2, True)]


def test_a_document_of_two_sources_stands_under_both(lake: Lake) -> None:
    attempt(lake, [failure(1, source="a"), failure(1, source="b")], [1])
    assert [row["source_id"] for row in open_failures(lake)] == ["a", "b"]
    attempt(lake, [], [1], hour=1)
    assert open_failures(lake) == []


def test_two_documents_of_one_source_are_kept_apart(lake: Lake) -> None:
    attempt(lake, [failure(1, source="s"), failure(2, source="s")], [1, 2])
    attempt(lake, [], [1], hour=1)
    assert [row["document_id"] for row in open_failures(lake)] == [document(2)]
    assert len(stored(lake)) == 2


def test_rows_of_other_stages_and_days_are_left_alone(lake: Lake) -> None:
    attempt(lake, [failure(1)], [1], stage="entities")
    attempt(lake, [failure(1)], [1], day=NEXT_DAY)
    others = [stored(lake, stage="entities"), stored(lake, ingest_date=NEXT_DAY)]
    attempt(lake, [failure(1)], [1], hour=1)
    attempt(lake, [], [1], hour=2)
    assert [stored(lake, stage="entities"), stored(lake, ingest_date=NEXT_DAY)] == others
    assert [row["ingest_date"] for row in open_failures(lake, [NEXT_DAY])] == [NEXT_DAY]


def test_a_source_whose_bytes_could_not_be_read_stands_without_a_document(lake: Lake) -> None:
    unreadable = Failure("s1", None, DocumentError(Reason.UNREADABLE, "Permission denied"))
    record(lake, "inbox", DAY, [unreadable], ["s1", "s2"], run_id="r", now=NOW)
    assert [(r["source_id"], r["document_id"]) for r in open_failures(lake)] == [("s1", None)]
    record(lake, "inbox", DAY, [], ["s1"], run_id="r", now=NOW)
    assert open_failures(lake) == []


def test_nothing_tried_writes_nothing(lake: Lake) -> None:
    attempt(lake, [], [])
    attempt(lake, [], [1])
    assert stored(lake) == []
