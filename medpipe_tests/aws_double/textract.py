"""Amazon Textract: DetectDocumentText and AnalyzeDocument, at once and as jobs that are polled or notified.

Pages are read by an engine; what is Textract's own is here: formats, sizes, jobs, result pages, charges.
What the blocks of a page are is in blocks.py.
"""

import hashlib
import json
import threading
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from concurrent.futures import TimeoutError as NotYet
from dataclasses import dataclass, field
from functools import partial as bound
from typing import Any

from medpipe_assets.aws.limits import limit
from medpipe_assets.errors import DocumentError, Reason
from medpipe_assets.extraction.engine import Extraction
from medpipe_assets.extraction.media_type import IMAGES, sniff
from medpipe_tests.aws_double.blocks import Block, blocks_of
from medpipe_tests.aws_double.double import Call, Charge
from medpipe_tests.aws_double.errors import AwsError
from medpipe_tests.aws_double.jobs import Ids, Tokens
from medpipe_tests.aws_double.objects import Objects

FORMATS = frozenset({"application/pdf", "image/png", "image/jpeg", "image/tiff"})
"""Source: https://docs.aws.amazon.com/textract/latest/dg/limits-document.html"""

MODEL_VERSION = "1.0"
PATIENCE = 5.0
"""Seconds a poll waits for a slow engine before it says IN_PROGRESS once more."""

_FREE_WITH_OTHERS = frozenset({"LAYOUT", "SIGNATURES"})
"""Source: https://aws.amazon.com/textract/pricing/"""

_UNREADABLE = "PAGE_UNREADABLE"
_UNSUPPORTED = ("UnsupportedDocumentException", "Request has unsupported document format")
_BAD = ("BadDocumentException", "Request has bad document")
_REFUSALS: Mapping[Reason, tuple[str, str]] = {
    Reason.ENCRYPTED: _UNSUPPORTED,
    Reason.UNSUPPORTED_TYPE: _UNSUPPORTED,
    Reason.TOO_LARGE: ("DocumentTooLargeException", "Document is too large"),
}


@dataclass
class Job:
    """An asynchronous job; `polls` is how often it still says IN_PROGRESS whatever the engine does, `told` whether its
    end was, and None where nobody is to be told."""

    operation: str
    polls: int
    work: Future["Outcome"]
    told: threading.Event | None = None

    @property
    def is_at_work(self) -> bool:
        """Whether the job still says IN_PROGRESS, now that it is asked; until its end is told, if that is to be."""
        if self.told is not None:
            return not self.told.is_set()
        self.polls -= 1
        return self.polls >= 0


@dataclass(frozen=True)
class Outcome:
    """A job's end, as Get tells it page by page."""

    status: str
    blocks: list[Block] = field(default_factory=list)
    pages: int = 0
    lost: tuple[int, ...] = ()
    message: str | None = None


class Textract:
    """The service.

    Args:
        read: bytes and media type to pages.
        charge: takes what a call costs.
        objects: S3, for documents that lie there.
        publish: sends a message (JSON) to a topic; None refuses notification channels.
        polls: how often a job answers IN_PROGRESS at least.
    """

    name = "textract"

    def __init__(
        self,
        read: Callable[[bytes, str], Extraction],
        charge: Callable[[Charge], None],
        objects: Objects,
        publish: Callable[[str, str], None] | None = None,
        polls: int = 1,
    ) -> None:
        self._read_uncached = read
        self._charge = charge
        self._objects = objects
        self._publish = publish
        self._polls = polls
        self._known: dict[str, Extraction | DocumentError] = {}
        self._jobs: dict[str, Job] = {}
        self._ids = Ids()
        self._tokens = Tokens(lambda: AwsError("IdempotentParameterMismatchException", "Token was used before"))
        self._workers = ThreadPoolExecutor(4, thread_name_prefix="textract")
        self.operations: Mapping[str, Callable[[Call], dict[str, Any]]] = {
            "DetectDocumentText": self._at_once,
            "AnalyzeDocument": self._at_once,
            "StartDocumentTextDetection": self._start,
            "StartDocumentAnalysis": self._start,
            "GetDocumentTextDetection": bound(self._get, "StartDocumentTextDetection"),
            "GetDocumentAnalysis": bound(self._get, "StartDocumentAnalysis"),
        }

    # --- at once

    def _at_once(self, call: Call) -> dict[str, Any]:
        _check_features(call)
        document = call.request["Document"]
        if ("Bytes" in document) == ("S3Object" in document):
            raise _invalid()
        data = document.get("Bytes") or self._object(document["S3Object"])
        if len(data) > limit("textract", call.operation, "document"):
            raise AwsError(*_REFUSALS[Reason.TOO_LARGE])
        media_type = _format(data)
        try:
            extraction = self._read(data, media_type)
        except DocumentError as error:
            raise AwsError(*_REFUSALS.get(error.reason, _BAD)) from None
        if len(extraction.pages) + len(extraction.failures) > limit("textract", call.operation, "pages"):
            raise AwsError(*_UNSUPPORTED)
        if not extraction.pages:
            raise AwsError(*_BAD)
        self._charge_pages(call, 1)
        features = call.request.get("FeatureTypes", ())
        blocks = blocks_of(extraction.pages[0], call.fingerprint, media_type in IMAGES, False, features)
        return {"DocumentMetadata": {"Pages": 1}, "Blocks": blocks, _version_member(call.operation): MODEL_VERSION}

    # --- jobs

    def _start(self, call: Call) -> dict[str, Any]:
        _check_features(call)
        request = call.request
        if "S3Object" not in request["DocumentLocation"] or "OutputConfig" in request:
            raise _invalid()
        if "NotificationChannel" in request and self._publish is None:
            raise _invalid()
        data = self._object(request["DocumentLocation"]["S3Object"])
        if len(data) > limit("textract", call.operation, "document"):
            raise AwsError(*_REFUSALS[Reason.TOO_LARGE])
        token = request.get("ClientRequestToken")
        return {"JobId": self._tokens.once(token, call.fingerprint, lambda: self._run(call, data))}

    def _run(self, call: Call, data: bytes) -> str:
        job_id = self._ids.next(call.fingerprint)
        told = threading.Event() if "NotificationChannel" in call.request else None
        work = self._workers.submit(self._finish, job_id, call, data, told)
        self._jobs[job_id] = Job(call.operation, self._polls, work, told)
        return job_id

    def _finish(self, job_id: str, call: Call, data: bytes, told: threading.Event | None) -> Outcome:
        outcome = self._outcome(call, data)
        if outcome.status != "FAILED":
            self._charge_pages(call, outcome.pages - len(outcome.lost))
        if told and self._publish:
            told.set()
            topic = call.request["NotificationChannel"]["SNSTopicArn"]
            self._publish(topic, _completion(job_id, call, outcome.status))
        return outcome

    def _outcome(self, call: Call, data: bytes) -> Outcome:
        try:
            media_type = _format(data)
            extraction = self._read(data, media_type)
        except AwsError:
            return Outcome("FAILED", message="UNSUPPORTED_DOCUMENT_TYPE")
        except DocumentError as error:
            known = error.reason in _REFUSALS
            return Outcome("FAILED", message="UNSUPPORTED_DOCUMENT_TYPE" if known else "BAD_DOCUMENT")
        total = len(extraction.pages) + len(extraction.failures)
        if total > limit("textract", call.operation, "pages"):
            return Outcome("FAILED", message="DOCUMENT_TOO_LARGE")
        lost = {error.page or 1 for error in extraction.failures}
        if call.partial and not lost and total > 1:
            lost = {1 + int(call.fingerprint, 16) % total}
        if len(lost) == total:
            return Outcome("FAILED", message="BAD_DOCUMENT")
        blocks = [
            block
            for page in extraction.pages
            if page.number not in lost
            for block in blocks_of(
                page, call.fingerprint, media_type in IMAGES, True, call.request.get("FeatureTypes", ())
            )
        ]
        return Outcome("PARTIAL_SUCCESS" if lost else "SUCCEEDED", blocks, total, tuple(sorted(lost)))

    def _get(self, started_by: str, call: Call) -> dict[str, Any]:
        job = self._jobs.get(call.request["JobId"])
        if job is None or job.operation != started_by:
            raise AwsError("InvalidJobIdException", "Request has invalid Job Id")
        most = limit("textract", call.operation, "results")
        version = {_version_member(call.operation): MODEL_VERSION}
        if job.is_at_work:
            return {"JobStatus": "IN_PROGRESS", **version}
        try:
            outcome = job.work.result(PATIENCE)
        except NotYet:
            return {"JobStatus": "IN_PROGRESS", **version}
        begin = self._position(call)
        end = begin + min(call.request.get("MaxResults", most), most)
        warnings = [{"ErrorCode": _UNREADABLE, "Pages": list(outcome.lost)}] if outcome.lost else None
        return {
            "JobStatus": outcome.status,
            "StatusMessage": outcome.message,
            "DocumentMetadata": {"Pages": outcome.pages} if outcome.pages else None,
            "Blocks": outcome.blocks[begin:end],
            "NextToken": _token(call.request["JobId"], end) if end < len(outcome.blocks) else None,
            "Warnings": warnings,
            **version,
        }

    def _position(self, call: Call) -> int:
        """Where a page of results begins; a token of another job, or of nobody's, is refused."""
        token = call.request.get("NextToken")
        if token is None:
            return 0
        begin, _, _ = token.partition(".")
        if not begin.isdecimal() or token != _token(call.request["JobId"], int(begin)):
            raise _invalid()
        return int(begin)

    # --- both

    def _object(self, where: Mapping[str, str]) -> bytes:
        data = self._objects.get(where.get("Bucket", ""), where.get("Name", ""), where.get("Version"))
        if data is None:
            raise AwsError("InvalidS3ObjectException", "Unable to get object metadata from S3")
        return data

    def _read(self, data: bytes, media_type: str) -> Extraction:
        """Read once; a document sent again costs no time again."""
        content = hashlib.sha256(data).hexdigest()
        if content not in self._known:
            try:
                self._known[content] = self._read_uncached(data, media_type)
            except DocumentError as error:
                self._known[content] = error
        known = self._known[content]
        if isinstance(known, DocumentError):
            raise known
        return known

    def _charge_pages(self, call: Call, pages: int) -> None:
        self._charge(Charge(self.name, call.operation, pages, "page", _priced(call.request.get("FeatureTypes", ()))))


def _priced(features: Sequence[str]) -> str:
    """The features that are paid for: some come free with others."""
    paid = [feature.lower() for feature in sorted(features) if feature not in _FREE_WITH_OTHERS]
    return "+".join(paid or [feature.lower() for feature in sorted(features)])


def _invalid() -> AwsError:
    return AwsError("InvalidParameterException", "Request has invalid parameters")


def _format(data: bytes) -> str:
    try:
        media_type = sniff(data)
    except DocumentError:
        raise AwsError(*_UNSUPPORTED) from None
    if media_type not in FORMATS:
        raise AwsError(*_UNSUPPORTED)
    return media_type


def _check_features(call: Call) -> None:
    """QUERIES needs its questions and nothing else takes them."""
    features: Iterable[str] = call.request.get("FeatureTypes", ())
    if ("QUERIES" in features) != ("QueriesConfig" in call.request):
        raise _invalid()


def _version_member(operation: str) -> str:
    return "AnalyzeDocumentModelVersion" if "Analy" in operation else "DetectDocumentTextModelVersion"


def _token(job_id: str, position: int) -> str:
    return f"{position}.{hashlib.sha256(f'{job_id} {position}'.encode()).hexdigest()}"


def _completion(job_id: str, call: Call, status: str) -> str:
    """The message that goes to the topic: https://docs.aws.amazon.com/textract/latest/dg/async-notification-payload.html"""
    place = call.request["DocumentLocation"]["S3Object"]
    return json.dumps(
        {
            "JobId": job_id,
            "Status": status,
            "API": call.operation,
            **({"JobTag": call.request["JobTag"]} if "JobTag" in call.request else {}),
            "Timestamp": int(time.time() * 1000),
            "DocumentLocation": {"S3ObjectName": place.get("Name", ""), "S3Bucket": place.get("Bucket", "")},
        }
    )
