"""What operators see: the backlog, the quarantine with the command that retries it, and that a name is never told."""

import datetime as dt
import json

from medpipe_assets.errors import RETRIED_BY_THEMSELVES, DocumentError, Reason
from medpipe_assets.lake.lake import Lake
from medpipe_assets.lake.ledger import FIRST_INPUT, verdicts, version_after
from medpipe_assets.lake.quarantine import Failure, record
from medpipe_assets.lake.schemas import STAGES
from medpipe_assets.status import documents_failed, gather, lines, retry_of
from medpipe_tests.unit.lake.builders import DAY, NOW, document, put, receive, verdict_row

LATER = NOW + dt.timedelta(minutes=30)


def fail(lake: Lake, name: str, reason: Reason, stage: str = "extracted_text") -> None:
    error = DocumentError(reason, "limit 5")
    record(lake, stage, DAY, [Failure(f"source of {name}", document(name), error)], [], run_id="x", now=NOW)


def test_the_backlog_of_a_stage_is_what_the_one_before_has_done_and_it_has_not(lake: Lake) -> None:
    receive(lake, [document(name) for name in ("new", "half", "failed", "again")])
    done = [verdict_row(document(name), input_version=FIRST_INPUT) for name in ("half", "failed", "again")]
    put(lake, "stage_status", *done)
    handed_on = version_after(verdicts(lake, STAGES[0])[document("half")])
    common = {"stage": STAGES[1], "input_version": handed_on, "outcome": "quarantined"}
    put(
        lake,
        "stage_status",
        verdict_row(document("failed"), **common, reason="corrupt"),
        verdict_row(document("again"), **common, reason="timeout"),
    )
    told = gather(lake, now=LATER)
    assert {stage: row["waiting"] for stage, row in told["stages"].items()} == {
        **dict.fromkeys(STAGES, 0), STAGES[0]: 1, STAGES[1]: 2,
    }  # fmt: skip
    assert told["stages"][STAGES[1]]["oldest"] == NOW, "it was ready when the stage before was done with it"
    assert told["stages"][STAGES[0]]["done_last_hour"] == 3
    assert told["stages"][STAGES[1]]["quarantined"] == 2
    assert told["days"] == [DAY]


def test_input_that_has_become_another_waits_to_be_done_again(lake: Lake) -> None:
    receive(lake, [document("a")])
    put(lake, "stage_status", verdict_row(document("a")), verdict_row(document("a"), STAGES[1], input_version="old"))
    assert gather(lake, now=LATER)["stages"][STAGES[1]]["waiting"] == 1


def test_quarantine_is_told_by_reason_with_what_retries_it(lake: Lake) -> None:
    receive(lake, [document("a")])
    fail(lake, "a", Reason.ENCRYPTED)
    fail(lake, "b", Reason.ENCRYPTED)
    fail(lake, "c", Reason.TIMEOUT)
    told = gather(lake, now=LATER)
    assert [(row["reason"], row["failures"], row["retry"]) for row in told["quarantine"]] == [
        ("encrypted", 2, "medpipe reprocess --reason encrypted"),
        ("timeout", 1, "medpipe reprocess"),
    ]
    assert documents_failed(lake, "encrypted") == sorted([document("a"), document("b")])
    text = "\n".join(lines(told))
    assert "2 encrypted in extracted_text, the oldest for 30 min" in text
    assert "file:///" not in text + json.dumps(told, default=str), "a source's name is patient data"
    record(lake, "extracted_text", DAY, [], [document("a"), document("b")], run_id="x", now=LATER)
    assert [row["reason"] for row in gather(lake, now=LATER)["quarantine"]] == ["timeout"], "it resolves itself"


def test_every_reason_has_a_way_on() -> None:
    for reason in Reason:
        for stage in (*STAGES, "inbox", "datasets"):
            assert retry_of(stage, reason.value).startswith("medpipe ")
    assert {r for r in Reason if retry_of("entities", r.value) == "medpipe reprocess"} == set(RETRIED_BY_THEMSELVES)


def test_an_empty_lake_has_nothing_waiting(lake: Lake) -> None:
    told = gather(lake)
    assert all(row["waiting"] == row["done"] == 0 for row in told["stages"].values())
    assert "no document was received" in "\n".join(lines(told))
