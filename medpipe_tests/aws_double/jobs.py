"""What all services' jobs share: ids that do not hang on chance, idempotency tokens, and polls until they are done."""

import datetime as dt
import hashlib
import threading
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any


class Ids:
    """Ids of jobs: the same request gets the same ids in the same order in every run."""

    def __init__(self, length: int = 64) -> None:
        self._length = length
        self._issued: Counter[str] = Counter()
        self._lock = threading.Lock()

    def next(self, content: str) -> str:
        with self._lock:
            self._issued[content] += 1
            drawn = f"{content}:{self._issued[content]}"
        return hashlib.sha256(drawn.encode()).hexdigest()[: self._length]


class Tokens:
    """Idempotency tokens: who comes again with a token and the same request gets the first answer."""

    def __init__(self, mismatch: Callable[[], Exception]) -> None:
        self._mismatch = mismatch
        self._seen: dict[str, tuple[str, str]] = {}
        self._lock = threading.Lock()

    def once(self, token: str | None, content: str, start: Callable[[], str]) -> str:
        """The id that `start` gave the first time this token came; without a token it always starts anew.

        Raises:
            Exception: `mismatch()`, when the token came before with other content.
        """
        if token is None:
            return start()
        with self._lock:
            if token not in self._seen:
                self._seen[token] = (content, start())
            before, job = self._seen[token]
        if before != content:
            raise self._mismatch()
        return job


@dataclass
class BatchJob:
    """A job over files; `work` runs when the polls are used up and gives the status and properties of the end."""

    properties: dict[str, Any]
    polls: int
    work: Callable[[], tuple[str, dict[str, Any]]]


class BatchJobs:
    """Jobs over files in S3: SUBMITTED, IN_PROGRESS, then what their work says; or STOPPED.

    Args:
        missing: the error for an unknown job.
        mismatch: the error for a token that came before with another request.
        polls: how often a job is not done yet.
        times: the names of the properties that say when it was submitted and when it ended.
    """

    def __init__(
        self, missing: Callable[[], Exception], mismatch: Callable[[], Exception], polls: int, times: tuple[str, str]
    ) -> None:
        self._missing = missing
        self._polls = polls
        self._submitted, self._ended = times
        self._jobs: dict[str, BatchJob] = {}
        self._ids = Ids(32)
        self._tokens = Tokens(mismatch)
        self._lock = threading.Lock()

    def start(
        self,
        content: str,
        token: str | None,
        properties: Mapping[str, Any],
        work: Callable[[str], tuple[str, dict[str, Any]]],
    ) -> str:
        """Start a job, or find the one that this token started; `work` gets the job's id."""

        def begin() -> str:
            job_id = self._ids.next(content)
            known = {"JobId": job_id, "JobStatus": "SUBMITTED", **properties, self._submitted: dt.datetime.now(dt.UTC)}
            self._jobs[job_id] = BatchJob(known, self._polls, lambda: work(job_id))
            return job_id

        return self._tokens.once(token, content, begin)

    def described(self, job_id: str) -> dict[str, Any]:
        """A job's properties, one poll later."""
        job = self._job(job_id)
        with self._lock:
            if job.properties["JobStatus"] in ("SUBMITTED", "IN_PROGRESS"):
                if job.polls > 0:
                    job.polls -= 1
                    job.properties["JobStatus"] = "IN_PROGRESS"
                else:
                    status, more = job.work()
                    job.properties |= {"JobStatus": status, **more, self._ended: dt.datetime.now(dt.UTC)}
            return dict(job.properties)

    def stop(self, job_id: str) -> dict[str, Any]:
        """Stop a job that is not done; its properties."""
        job = self._job(job_id)
        with self._lock:
            if job.properties["JobStatus"] in ("SUBMITTED", "IN_PROGRESS"):
                job.properties |= {"JobStatus": "STOPPED", self._ended: dt.datetime.now(dt.UTC)}
            return dict(job.properties)

    def all(self) -> list[dict[str, Any]]:
        """The properties of all jobs, as they were last told, in the order of their start."""
        return [dict(job.properties) for job in self._jobs.values()]

    def _job(self, job_id: str) -> BatchJob:
        if job_id not in self._jobs:
            raise self._missing()
        return self._jobs[job_id]
