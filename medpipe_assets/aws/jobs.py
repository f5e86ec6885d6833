"""Jobs whose answers are paid for once: started under a token of their own, waited for, read, kept. No engine is here.

Where a job's end is told to a queue, completions.py waits for it; batch jobs over a whole day are in batch_jobs.py.
"""

import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

from medpipe_assets.aws.calls import JOB_SECONDS, PaidCalls
from medpipe_assets.aws.metering import Cost
from medpipe_assets.aws.prices import price
from medpipe_assets.aws.responses import response_key
from medpipe_assets.errors import DocumentError, Reason

Answer = dict[str, Any]

FORGOTTEN = ("InvalidJobIdException", "NoSuchKey")
"""What is said of a job whose results are no longer kept: by Textract after seven days, by S3 of results there."""

FAILURES: Mapping[str, Reason] = {
    "FAILED": Reason.ENGINE_REJECTED,
    "ClientError": Reason.ENGINE_REJECTED,
    "ServiceError": Reason.ENGINE_UNAVAILABLE,
}
"""Statuses of jobs that came to nothing, and what that means."""


def _pages_of_answers(calls: PaidCalls, job: "Job", request: Mapping[str, Any], first: Answer) -> list[Answer]:
    answers = [first]
    while token := answers[-1].get("NextToken"):
        answers.append(calls.send(job.service, job.get, {**request, "NextToken": token}))
    return answers


@dataclass(frozen=True, slots=True)
class Job:
    """A service's job, as far as services differ; what is not given is in Textract's manner.

    Attributes:
        start, get: operations, e.g. 'StartDocumentTextDetection' and 'GetDocumentTextDetection'.
        token, job_id, status: what their members are called.
        results: all of a finished job's answers, given the request and the answer of `get` that told its end.
    """

    service: str
    start: str
    get: str
    token: str = "ClientRequestToken"
    job_id: str = "JobId"
    status: str = "JobStatus"
    results: Callable[[PaidCalls, "Job", Mapping[str, Any], Answer], list[Answer]] = _pages_of_answers


def run(
    calls: PaidCalls,
    job: Job,
    request: Mapping[str, Any],
    *,
    content: bytes,
    settings: Mapping[str, Any],
    units: float,
    unit: str,
    option: str = "",
    prepare: Callable[[], None] = lambda: None,
    check: Callable[[list[Answer]], None] = lambda _: None,
    wait: Callable[[str, float], object] | None = None,
    seconds: float = JOB_SECONDS,
) -> list[Answer]:
    """The answers of a job, or those in the store.

    The job's token stands for the request: started again after a kill, it is the same job, and nothing is paid twice. A
    job that failed, or whose results are no longer kept, is started anew once.

    Args:
        request: of `start`, without its token.
        prepare: called before the job is started, not at all where the answers are in the store.
        check: raises for answers that are paid for but not to be kept.
        wait: waits for a job's end, given its id, for so many seconds at most; None only asks after it.
        seconds: how long the job may take.
        Else as for PaidCalls.call.

    Raises:
        DocumentError: ENGINE_REJECTED or ENGINE_UNAVAILABLE where the job failed twice, TIMEOUT where it takes too long
            (the next try finds it again); what `check` raises; else as for PaidCalls.call.
        ConfigurationError, BudgetReachedError: likewise.
    """
    key = response_key(job.service, job.start, settings, content)
    first = response_key(job.service, job.start, request, key.encode())

    def pay() -> Answer:
        prepare()
        failure = ""
        for token in (first, uuid.uuid4().hex):
            job_id = calls.send(job.service, job.start, {**request, job.token: token})[job.job_id]
            answers, failure = _finished(calls, job, job_id, wait, seconds)
            if not failure:
                return {"Answers": answers}
        reason = FAILURES.get(failure, Reason.ENGINE_UNAVAILABLE)
        raise DocumentError(reason, f"{job.service} {job.start}: the job failed: {failure}")

    cost = Cost(job.service, job.start, units, unit, price(job.service, job.start, option).of(units))
    return list(calls.once(key, cost, pay, lambda response: check(response["Answers"]))["Answers"])


def _finished(
    calls: PaidCalls, job: Job, job_id: str, wait: Callable[[str, float], object] | None, seconds: float
) -> tuple[list[Answer], str]:
    """All of a finished job's answers; or how it failed, were it that it is forgotten."""
    request = {job.job_id: job_id}

    def status(answer: Mapping[str, Any]) -> str:
        return str(answer[job.status])

    watch = None if wait is None else partial(wait, job_id)
    try:
        answer = calls.poll(job.service, job.get, request, status=status, seconds=seconds, wait=watch)
        if status(answer) in FAILURES:
            return [], status(answer)
        return job.results(calls, job, request, answer), ""
    except DocumentError as error:
        if error.detail.endswith(FORGOTTEN):
            return [], "its results are gone"
        raise
