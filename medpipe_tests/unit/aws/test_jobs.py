"""A job is started once, waited for and read whole. The service says what it is told."""

from pathlib import Path
from typing import Any

import pytest

from medpipe_assets.aws import jobs
from medpipe_assets.aws.calls import LONGEST_PAUSE, WATCHED_PAUSE, PaidCalls
from medpipe_assets.aws.metering import collecting
from medpipe_assets.errors import ConfigurationError, DocumentError, Reason
from medpipe_tests.unit.aws.conftest import Lazy, Service, failure, paid_calls

STARTED = (200, {"JobId": "job-1"})
RUNNING = (200, {"JobStatus": "IN_PROGRESS"})
FAILED = (200, {"JobStatus": "FAILED"})
FIRST = (200, {"JobStatus": "SUCCEEDED", "Blocks": [{"Id": "a"}], "NextToken": "t"})
LAST = (200, {"JobStatus": "SUCCEEDED", "Blocks": [{"Id": "b"}]})


def detect(calls: PaidCalls, place: str = "raw", **options: Any) -> list[dict[str, Any]]:
    return jobs.run(
        calls,
        jobs.Job("textract", "StartDocumentTextDetection", "GetDocumentTextDetection"),
        {"DocumentLocation": {"S3Object": {"Bucket": place, "Name": "x"}}},
        content=b"a document of three pages",
        settings={},
        units=3,
        unit="page",
        **options,
    )


def tokens(service: Service) -> list[str]:
    return [request["ClientRequestToken"] for operation, request, _ in service.asked if operation.startswith("Start")]


def test_a_job_is_started_awaited_and_fetched_page_by_page(service: Service, tmp_path: Path) -> None:
    service.answer(STARTED, RUNNING, RUNNING, FIRST, LAST)
    with collecting() as costs:
        answers = detect(paid_calls(tmp_path))
    assert [block["Id"] for answer in answers for block in answer["Blocks"]] == ["a", "b"]
    assert service.asked[-1][1] == {"JobId": "job-1", "NextToken": "t"}
    assert [(cost.operation, cost.units, cost.dollars) for cost in costs] == [
        ("StartDocumentTextDetection", 3, pytest.approx(0.0045))
    ]


def test_a_finished_job_is_not_started_again(service: Service, tmp_path: Path) -> None:
    service.answer(STARTED, FIRST, LAST)
    answers = detect(paid_calls(tmp_path))
    asked = len(service.asked)
    assert detect(paid_calls(tmp_path)) == answers
    assert len(service.asked) == asked


def test_a_job_asked_for_again_after_a_kill_is_the_same_job(service: Service, tmp_path: Path) -> None:
    service.answer(STARTED, RUNNING)
    with pytest.raises(DocumentError) as error:
        detect(paid_calls(tmp_path), seconds=100)
    assert error.value.reason is Reason.TIMEOUT
    service.answer(STARTED, LAST)
    detect(paid_calls(tmp_path))
    assert len(set(tokens(service))) == 1


def test_a_job_that_failed_or_is_forgotten_is_started_anew_once(service: Service, tmp_path: Path) -> None:
    for first in (FAILED, failure("InvalidJobIdException")):
        service.asked.clear()
        service.answer(STARTED, first, STARTED, LAST)
        detect(paid_calls(tmp_path / first[1].get("JobStatus", "forgotten")))
        assert len(set(tokens(service))) == 2
    service.answer(STARTED, FAILED, STARTED, FAILED)
    calls = paid_calls(tmp_path / "failing")
    with pytest.raises(DocumentError) as error:
        detect(calls)
    assert error.value.reason is Reason.ENGINE_REJECTED
    assert calls.budget.spent == 0


def test_a_job_is_asked_after_ever_more_rarely_and_not_for_ever(service: Service, tmp_path: Path) -> None:
    service.answer(STARTED, RUNNING)
    time_ = Lazy()
    with pytest.raises(DocumentError, match="timeout"):
        detect(paid_calls(tmp_path, time_=time_), seconds=3600)
    assert 3500 <= time_.now <= 3600
    assert len(service.asked) < 3600 / LONGEST_PAUSE + 12


def test_a_job_whose_end_is_told_is_asked_after_when_it_is_told(service: Service, tmp_path: Path) -> None:
    service.answer(STARTED, RUNNING, LAST)
    waits: list[tuple[str, float]] = []
    detect(paid_calls(tmp_path), wait=lambda job_id, seconds: waits.append((job_id, seconds)))
    assert waits == [("job-1", WATCHED_PAUSE)]


def test_what_a_job_needs_is_prepared_only_where_it_is_started(service: Service, tmp_path: Path) -> None:
    service.answer(STARTED, LAST)
    prepared: list[int] = []
    for _ in range(2):
        detect(paid_calls(tmp_path), prepare=lambda: prepared.append(1))
    assert prepared == [1]


def test_an_answer_that_is_not_to_be_kept_is_paid_and_asked_for_again(service: Service, tmp_path: Path) -> None:
    def refuse(_: object) -> None:
        raise ConfigurationError("not what was ordered")

    service.answer(STARTED, LAST, STARTED, LAST)
    with collecting() as costs, pytest.raises(ConfigurationError, match="ordered"):
        detect(paid_calls(tmp_path), check=refuse)
    assert [cost.units for cost in costs] == [3]
    assert detect(paid_calls(tmp_path))[0]["Blocks"] == [{"Id": "b"}]


def test_a_job_that_is_asked_for_in_another_way_is_another_job(service: Service, tmp_path: Path) -> None:
    """The service refuses a token that comes again with another request."""
    service.answer(STARTED, RUNNING, STARTED, RUNNING)
    for place in ("here", "there"):
        with pytest.raises(DocumentError):
            detect(paid_calls(tmp_path), place=place, seconds=0)
    assert len(set(tokens(service))) == 2


def test_a_failure_of_the_services_own_is_for_the_next_run(service: Service, tmp_path: Path) -> None:
    failed = (200, {"JobStatus": "ServiceError"})
    service.answer(STARTED, failed, STARTED, failed)
    with pytest.raises(DocumentError) as error:
        detect(paid_calls(tmp_path))
    assert error.value.reason is Reason.ENGINE_UNAVAILABLE
